"""Cut a payload into smaller ones without reading its items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from airis.data.malformed import MalformedPayload
from airis.data.reference.places import LEVELS, Level, check_level
from airis.data.reference.validate import count_below, count_items, last_member
from airis.proto import otlp, wire

MAX_REPEATED_BYTES = 256 * 1024 * 1024
"""Owners may be repeated to so many bytes: a sender could make much of little."""
_REQUEST = 0


@dataclass(slots=True, eq=False)
class _Owner:
    """A message on the way to the items: its field number and all of it that is not on the way."""

    number: int
    header: bytes
    body: bytearray = field(default_factory=bytearray)


def check_limits(signal: str, max_items: int | None, max_bytes: int | None, level: str) -> None:
    """Refuse what cannot be a limit with ValueError."""
    for name, limit in (("max_items", max_items), ("max_bytes", max_bytes)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name} must be at least 1")
    check_level(signal, level)


def split(
    signal: str, payload: bytes, max_items: int | None = None, max_bytes: int | None = None, level: Level = "item"
) -> list[bytes]:
    """Payloads of at most so many items and bytes, in order; what owns the items is repeated in each part.

    What stands at the `level` is never cut, nor is a profile: one that is more than the limits by itself is a part
    alone. A payload that makes one part is handed back as the same object. Raises MalformedPayload, also where owners
    would be repeated to more than 256 MiB.
    """
    layout = otlp.layout(signal)
    check_limits(signal, max_items, max_bytes, level)
    count = count_items(signal, payload)
    most_items = count if max_items is None else max_items
    most_bytes = len(payload) if max_bytes is None else max_bytes
    if count <= most_items and len(payload) <= most_bytes:
        return [payload]
    depth = layout.unit if level == "item" else LEVELS.index(level) + 1
    parts: list[bytes] = []
    size = 0
    for part in _parts(_units(payload, layout.levels, depth, _REQUEST), most_items, max_bytes):
        size += len(part)
        if size - len(payload) > MAX_REPEATED_BYTES:
            raise MalformedPayload("what owns the items would be repeated to more than 256 MiB")
        parts.append(part)
    # One part may still be smaller, written anew.
    is_cut = len(parts) > 1 or any(len(part) <= most_bytes < len(payload) for part in parts)
    return parts if is_cut else [payload]


_Unit = tuple[tuple[_Owner, ...], bytes, int]
"""What is not cut, as a field, with its owners from the request down and the number of items in it."""


def _parts(units: Iterator[_Unit], max_items: int, max_bytes: int | None) -> Iterator[bytes]:
    part = _Part()
    for owners, unit, items in units:
        is_full = (items > 0 and part.items + items > max_items) or (
            max_bytes is not None and part.size_with(owners, unit) > max_bytes
        )
        if part.open and is_full:
            yield part.close()
            part = _Part()
        part.add(owners, unit, items)
    if part.open:
        yield part.close()


def _units(
    data: bytes, levels: Sequence[frozenset[int]], depth: int, number: int, above: tuple[_Owner, ...] = ()
) -> Iterator[_Unit]:
    """What stands `depth` levels down, and what on the way has nothing below."""
    inside: list[wire.Field] = []
    header: list[bytes] = []
    for part in wire.fields(data, 0, len(data)):
        if part.number in levels[0] and part.wire_type == wire.LENGTH:
            inside.append(part)
        else:
            header.append(data[part.start : part.end])
    owners = (*above, _Owner(number, b"".join(header)))
    if len(levels[0]) > 1:
        # Data of a metric that comes in several fields is one: what a field has of it is for the points of all.
        counting = last_member(inside)
        joined = b"".join(data[part.content : part.end] for part in counting)
        yield from _units(joined, levels[1:], depth - 1, counting[0].number, owners)
        return
    for part in inside:
        content, below = data[part.content : part.end], levels[1:]
        items = count_below(content, below)
        has_nothing = not items if below and len(below[0]) > 1 else below and not count_below(content, below[:1])
        if depth == 1 or has_nothing:
            yield owners, data[part.start : part.end], items
        else:
            yield from _units(content, below, depth - 1, part.number, owners)


class _Part:
    """A payload that is put together."""

    def __init__(self) -> None:
        self.open: list[_Owner] = []
        self.items = 0

    def size_with(self, owners: Sequence[_Owner], unit: bytes) -> int:
        """The size in bytes that it would have."""
        shared = self._shared(owners)
        sizes = [len(owner.body) for owner in self.open]
        for owner in reversed(self.open[shared:]):
            _close_size(sizes, owner.number)
        sizes += [len(owner.header) for owner in owners[shared:]]
        sizes[-1] += len(unit)
        for owner in reversed(owners[1:]):
            _close_size(sizes, owner.number)
        return sizes[0]

    def add(self, owners: Sequence[_Owner], unit: bytes, items: int) -> None:
        """Add what is not cut to its owners."""
        shared = self._shared(owners)
        self._close(shared)
        for owner in owners[shared:]:
            owner.body = bytearray(owner.header)
            self.open.append(owner)
        self.open[-1].body += unit
        self.items += items

    def close(self) -> bytes:
        """The payload."""
        self._close(1)
        return bytes(self.open.pop().body)

    def _shared(self, owners: Sequence[_Owner]) -> int:
        shared = 0
        while shared < min(len(self.open), len(owners)) and self.open[shared] is owners[shared]:
            shared += 1
        return shared

    def _close(self, keep: int) -> None:
        """Put the innermost owners into those around them until `keep` are left."""
        while len(self.open) > keep:
            closed = self.open.pop()
            if self.open:
                self.open[-1].body += wire.length_delimited(closed.number, bytes(closed.body))


def _close_size(sizes: list[int], number: int) -> None:
    """Put the innermost size into the one around it."""
    size = sizes.pop()
    if sizes:
        sizes[-1] += len(wire.to_varint(number << 3 | wire.LENGTH)) + len(wire.to_varint(size)) + size
