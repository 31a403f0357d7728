"""Samples as the bodies of remote-write requests."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from airis.proto import wire
from airis.proto.remote_write import MESSAGES, V1, request_class

Spans = tuple[list[tuple[int, int]], list[int]]
"""Offsets and lengths, and what each bucket has more than the one before."""


@dataclass(frozen=True)
class Family:
    """A metric family."""

    name: str
    type_number: int
    help: str
    unit: str


@dataclass(frozen=True)
class SentExemplar:
    """An exemplar, its time in milliseconds."""

    labels: tuple[tuple[str, str], ...]
    value: float
    time: int


@dataclass(frozen=True)
class SentHistogram:
    """A native histogram of integers."""

    count: int = 0
    sum: float = 0.0
    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: int = 0
    positive: Spans = ([], [])
    negative: Spans = ([], [])


@dataclass
class _Body:
    symbols: dict[str, int] = field(default_factory=dict[str, int])
    fields: list[bytes] = field(default_factory=list[bytes])

    def size(self, *, added: Iterable[bytes] = (), symbols: Iterable[str] = ()) -> int:
        texts = (len(wire.length_delimited(4, text.encode())) for text in (*self.symbols, *symbols))
        return sum(map(len, (*self.fields, *added))) + sum(texts)

    def bytes(self) -> bytes:
        return b"".join([*(wire.length_delimited(4, text.encode()) for text in self.symbols), *self.fields])


def bodies(samples: Any, version: int, max_bytes: int, *, metadata: bool) -> list[bytes]:
    """Bodies of at most `max_bytes`, but for a series that is larger by itself."""
    request_class(version)
    made = list(_of_families(samples, max_bytes)) if version == V1 and metadata else []
    body = _Body()
    for series, labels in enumerate(samples.numbers):
        whole, new = _series(samples, series, labels, version, body.symbols)
        if body.fields and body.size(added=[whole], symbols=new) > max_bytes:
            made.append(body.bytes())
            body = _Body()
            whole, new = _series(samples, series, labels, version, body.symbols)
        body.fields.append(whole)
        body.symbols |= new
    return [*made, body.bytes()] if body.fields else made


def _of_families(samples: Any, max_bytes: int) -> Iterator[bytes]:
    body = _Body()
    for family in samples.families:
        message = MESSAGES[V1]["MetricMetadata"](
            type=family.type_number, metric_family_name=family.name, help=family.help, unit=family.unit
        )
        whole = wire.length_delimited(3, message.SerializeToString())
        if body.fields and body.size(added=[whole]) > max_bytes:
            yield body.bytes()
            body = _Body()
        body.fields.append(whole)
    if body.fields:
        yield body.bytes()


def _series(
    samples: Any, series: int, labels: Iterable[tuple[str, str]], version: int, known: dict[str, int]
) -> tuple[bytes, dict[str, int]]:
    """A series as a field of its request, and the symbols that it adds to those that are known."""
    message = MESSAGES[version]["TimeSeries"]()
    new: dict[str, int] = {}

    def symbol(text: str) -> int:
        if not known and not new:
            new[""] = 0
        return known[text] if text in known else new.setdefault(text, len(known) + len(new))

    def label(owner: Any, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            if version == V1:
                owner.labels.add(name=name, value=value)
            else:
                owner.labels_refs.extend((symbol(name), symbol(value)))

    label(message, labels)
    for _, start, time, value in (point for point in samples.points if point[0] == series):
        made = message.histograms.add(timestamp=time) if isinstance(value, SentHistogram) else None
        if made is None:
            made = message.samples.add(value=value, timestamp=time)
        else:
            _fill(made, value)
        if version != V1:
            made.start_timestamp = start
    for owner, exemplar in samples.sent_exemplars:
        if owner == series:
            label(message.exemplars.add(value=exemplar.value, timestamp=exemplar.time), exemplar.labels)
    if version != V1:
        family = samples.family_of[series]
        message.metadata.type = family.type_number
        message.metadata.help_ref, message.metadata.unit_ref = symbol(family.help), symbol(family.unit)
        message.metadata.SetInParent()
    return wire.length_delimited(1 if version == V1 else 5, message.SerializeToString()), new


def _fill(made: Any, histogram: SentHistogram) -> None:
    made.count_int, made.zero_count_int = histogram.count, histogram.zero_count
    made.sum, made.schema, made.zero_threshold = histogram.sum, histogram.schema, histogram.zero_threshold
    for side, (spans, deltas) in (("positive", histogram.positive), ("negative", histogram.negative)):
        for offset, length in spans:
            getattr(made, f"{side}_spans").add(offset=offset, length=length)
        getattr(made, f"{side}_deltas").extend(deltas)
