"""A payload scanned once, for what is asked of all its items."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal

from google.protobuf.message import DecodeError

from airis.data.arrow import Column
from airis.data.fields import Source
from airis.data.malformed import MalformedPayload
from airis.data.reference import group as grouping
from airis.data.reference.arrow import ArrowTable
from airis.data.reference.edits import Edits, edited
from airis.data.reference.fields import items
from airis.data.reference.native import Blocks, encode
from airis.data.reference.places import Level, kept, places
from airis.data.reference.rewrite import Function, MessageName, rewrite
from airis.data.reference.series import SeriesIndex
from airis.data.reference.split import check_limits, split
from airis.data.reference.values import encode_value
from airis.proto import otlp

MAX_REPEATED_BYTES = 1 << 30
MAX_PAYLOAD_BYTES = 1 << 30


def scan(signal: str, payload: bytes, *, validated: bool = False) -> "View":
    """Read a payload that passed `validate`; raises MalformedPayload for another one.

    It is read as a whole whether it was validated or not.
    """
    if signal == "profiles":
        raise ValueError("profiles is not supported")
    layout = otlp.layout(signal)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MalformedPayload("a payload of more than 1 GiB")
    try:
        return View(signal, layout.request.FromString(payload), payload)
    except DecodeError as error:
        raise MalformedPayload(f"not an OTLP {signal} request: {error}") from None


def concat(views: Sequence["View"]) -> "View":
    """One view with the items of all, in order; ValueError for none, and for those of different signals."""
    if not views:
        raise ValueError("no views to join")
    first = views[0]
    if len(views) == 1:
        return first
    if any(view.signal != first.signal for view in views):
        raise ValueError("views of different signals cannot be joined")
    made = type(first.message)()
    for view in views:
        made.MergeFrom(view.message)
    return View(first.signal, made)


class View:
    """What is in a payload, or in what was made of one; it never changes."""

    def __init__(self, signal: str, message: Any, payload: bytes | None = None) -> None:
        self.signal = signal
        self.message = message
        self._payload = payload
        self._places = list(places(signal, message))

    @property
    def items(self) -> int:
        """Spans, metric data points or log records."""
        return len(self._places)

    @property
    def payload(self) -> bytes:
        """The payload that says what the view does: the one that was scanned, or one made when first asked for."""
        if self._payload is None:
            self._payload = self.message.SerializeToString()
        return self._payload

    @property
    def size_bytes(self) -> int:
        """The length of the payload."""
        return len(self.payload)

    def select(self, mask: bytes) -> "View":
        """The items whose byte is not 0, of one byte for each; the view itself where that is all of them.

        A metric, scope or resource without any of them goes, also one that had none before.
        """
        self._check_mask(mask)
        return self if all(mask) else View(self.signal, kept(self.signal, self.message, mask))

    def group(self, sources: Sequence[Source], limit: int = 10_000) -> list[tuple[tuple[Any, ...] | None, "View"]]:
        """The items by what they have at the sources, with their values, in the order in which the first of each comes.

        There are at most `limit` groups; the items of more of them come last, together, with None.
        """
        return [
            (values, self.select(bytes(place in wanted for place in range(self.items))))
            for values, wanted in self._grouped(sources, limit)
        ]

    def collect(
        self, sources: Sequence[Source], measure: Source, limit: int = 10_000
    ) -> list[tuple[tuple[Any, ...] | None, bytes]]:
        """As `group`, but of the items of every group only the whole numbers at `measure`, which costs less.

        They are in order, eight bytes each, little-endian and signed: the nearest that fits, 0 for what is none.
        """
        read = grouping.reader(self.signal, measure)
        numbers = [grouping.whole(read(place)).to_bytes(8, "little", signed=True) for place in self._places]
        return [
            (values, b"".join(numbers[place] for place in wanted)) for values, wanted in self._grouped(sources, limit)
        ]

    def _grouped(
        self, sources: Sequence[Source], limit: int
    ) -> Iterable[tuple[tuple[Any, ...] | None, Mapping[int, None]]]:
        """Values, and the numbers of the items that have them, in order."""
        if limit < 1:
            raise ValueError("limit must be at least 1")
        readers = [grouping.reader(self.signal, source) for source in sources]
        wanted: dict[Hashable, dict[int, None]] = defaultdict(dict)
        values: list[tuple[Any, ...] | None] = []
        for index, place in enumerate(self._places):
            found = [read(place) for read in readers]
            key: Hashable = tuple(map(grouping.typed, found))
            if key not in wanted:
                if len(values) < limit:
                    values.append(tuple(map(grouping.python_value, found)))
                else:
                    key = "rest"
            wanted[key][index] = None
        if "rest" in wanted:
            values.append(None)
        return zip(values, wanted.values(), strict=True)

    def split(self, max_items: int | None = None, max_bytes: int | None = None, level: Level = "item") -> list["View"]:
        """Views within limits, in order; what owns the items is in each."""
        check_limits(self.signal, max_items, max_bytes, level)
        parts = split(self.signal, self.payload, max_items, max_bytes, level)
        return [self if part is self.payload else scan(self.signal, part) for part in parts]

    def edit(self, edits: Edits, mask: bytes | None = None) -> "View":
        """The view after edits (`airis.data.edits`), the view itself where nothing changes.

        A mask of one byte for each item leaves out those whose byte is 0: a resource, scope or metric is edited when
        one of its items is left, and for all of them. Raises MalformedPayload where copies would make more than 1 GiB.
        """
        if mask is not None:
            self._check_mask(mask)
        made = edited(self.signal, self.message, edits, mask)
        return self if made is None else View(self.signal, made)

    def rewrite(self, function: Function, messages: Collection[MessageName], mask: bytes | None = None) -> "View":
        """The view with messages as a function makes them anew, of their name and bytes; None leaves one as it is.

        All that it is given is as it was before, a metric without its points, which it keeps. A mask of one byte for
        each item leaves out those whose byte is 0: what several items have is given when one of them is left, and
        changes for all of them.
        """
        if mask is not None:
            self._check_mask(mask)
        made = rewrite(self.signal, self.message, function, messages, mask)
        return self if made is None else View(self.signal, made)

    def attribute(self, key: str, level: Literal["resource", "scope", "item"] = "item") -> list[str | None]:
        """For every item in order the text of an attribute, None where it is absent; the first of a key counts."""
        if level not in ("resource", "scope", "item"):
            raise ValueError(f"{level} is not resource, scope or item")
        owners = (
            {"resource": place.owner.resource, "scope": place.scoped.scope, "item": place.item}[level]
            for place in self._places
        )
        return [
            next((encode_value(attribute.value)[0] for attribute in owner.attributes if attribute.key == key), None)
            for owner in owners
        ]

    def arrow(self, columns: Mapping[str, Source | Column] | None = None) -> ArrowTable:
        """The items as an Arrow table (`airis.data.arrow`), with the columns of the signal's table if none are given.

        Raises InvalidExpression for a source that the signal does not have, and for a type that does not fit one.
        """
        return ArrowTable(self.signal, list(items(self.signal, self.message)), columns)

    def native(self, arrived_unix_nano: int, series: SeriesIndex) -> Blocks:
        """The blocks for the store's tables; metric series are registered unless `series` knows them.

        Raises MalformedPayload where rows would repeat their resources and scopes to more than 1 GiB.
        """
        # Every row has its resource and scope: a sender could make much of little.
        repeated = (place.owner.resource.ByteSize() + place.scoped.scope.ByteSize() for place in self._places)
        if sum(repeated) > MAX_REPEATED_BYTES:
            raise MalformedPayload("resources and scopes would be repeated to more than 1 GiB")
        return encode(self.signal, self.message, arrived_unix_nano, series)

    def _check_mask(self, mask: bytes) -> None:
        if len(mask) != self.items:
            raise ValueError(f"a mask of {len(mask)} bytes for {self.items} items")
