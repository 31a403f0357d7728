"""OTLP metrics as Prometheus' series and samples.

After the Collector's remote-write exporter (pkg/translator/prometheusremotewrite) and the OpenTelemetry specification,
"Prometheus and OpenMetrics Compatibility":

- Numbers are samples; a histogram is ``_sum``, ``_count`` and ``_bucket`` with cumulative counts, a summary ``_sum``,
  ``_count`` and a series for each quantile; an exponential histogram is a native one, of a schema of at most 8.
- ``job`` and ``instance`` are made of the resource; its other attributes are ``target_info``, at the time of its
  latest point, or labels. A label without a value is none.
- What was Prometheus' before it was OTLP keeps its names.
- A point without a recorded value is a stale marker.
- Of an exemplar's labels all but the ids are left away where they have more than 128 characters together.

Left out are points that are not cumulative, numbers without a value, and exponential histograms with a scale below -4
or buckets too far away.
"""

import math
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import xxhash
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from airis.data.reference.remote_bodies import Family, SentExemplar, SentHistogram, bodies
from airis.data.reference.remote_histograms import STALE_MARKER
from airis.data.reference.values import encode_value
from airis.proto.prometheus_names import (
    PROMETHEUS_TYPE,
    STRATEGIES,
    TRANSLATOR,
    label_name,
    name_by,
    unit_text,
)
from airis.proto.remote_write import METRIC_TYPES

MAX_EXEMPLAR_CHARS = 128
MAX_SCHEMA, MIN_SCHEMA = 8, -4
MAX_GAP = 2
"""Up to so many empty buckets cost less than a span."""

_IDENTITY = ("service.namespace", "service.name", "service.instance.id")
_NO_RECORDED_VALUE = 1
_TYPES = {"gauge": "gauge", "histogram": "histogram", "exponential_histogram": "histogram", "summary": "summary"}
_STALE = struct.unpack("<d", STALE_MARKER.to_bytes(8, "little"))[0]

LabelSet = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Naming:
    strategy: str
    namespace: str
    external_labels: Sequence[tuple[str, str]]
    resource_labels: bool
    except_service: bool
    target_info: bool
    scope_labels: bool

    @property
    def is_utf8(self) -> bool:
        return self.strategy in ("NoUTF8EscapingWithSuffixes", "NoTranslation")

    def prefixed(self, name: str) -> str:
        return f"{self.namespace}_{name}" if self.namespace else name


def samples(
    view: Any,
    arrived_unix_nano: int,
    *,
    strategy: str = STRATEGIES[0],
    namespace: str = "",
    external_labels: Sequence[tuple[str, str]] = (),
    resource_labels: bool = False,
    except_service: bool = False,
    target_info: bool = True,
    scope_labels: bool = False,
) -> "Samples":
    """The series and samples of metrics; a point without a time has that of its arrival.

    `strategy` is one of `airis.proto.prometheus_names.STRATEGIES`, `namespace` a prefix of every name,
    `external_labels` stand where a series has none of that name. `resource_labels` makes labels of the resource's
    attributes, but with `except_service` not of those that say which service it is. Raises ValueError for another
    signal or strategy.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"{strategy} is no translation strategy")
    if view.signal != "metrics":
        raise ValueError("only metrics have samples")
    naming = _Naming(strategy, namespace, external_labels, resource_labels, except_service, target_info, scope_labels)
    made = Samples()
    for owner in view.message.resource_metrics:
        _add_owner(made, owner, arrived_unix_nano, naming)
    return made


class Samples:
    """Series and their samples, as columns; numbers are little-endian."""

    def __init__(self) -> None:
        self.numbers: dict[LabelSet, int] = {}
        """Of every series the number, by its labels."""
        self.families: dict[Family, None] = {}
        self.family_of: list[Family] = []
        self.points: list[tuple[int, int, int, float | SentHistogram]] = []
        """Series, start and time in milliseconds, and value."""
        self.sent_exemplars: list[tuple[int, SentExemplar]] = []
        self.left_out: dict[str, int] = {}
        """Points that are no samples, by reason."""

    def __len__(self) -> int:
        return len(self.numbers)

    def labels(self, series: int) -> list[tuple[str, str]]:
        """The labels of a series, by name; IndexError where there is no such series."""
        return list(list(self.numbers)[series])

    @property
    def hashes(self) -> bytes:
        """Of every series a hash of its labels, 8 bytes each."""
        return array("Q", [_hash(labels) for labels in self.numbers]).tobytes()

    @property
    def series(self) -> bytes:
        """Of every sample the number of its series, 4 bytes each."""
        return array("I", [point[0] for point in self._samples()]).tobytes()

    @property
    def times(self) -> bytes:
        """Of every sample the time in milliseconds, 8 bytes each, signed."""
        return array("q", [point[2] for point in self._samples()]).tobytes()

    @property
    def values(self) -> bytes:
        """Of every sample the value, a double."""
        return b"".join(struct.pack("<d", point[3]) for point in self._samples())

    @property
    def histograms(self) -> int:
        """How many native histograms there are beside the samples."""
        return sum(isinstance(point[3], SentHistogram) for point in self.points)

    @property
    def exemplars(self) -> int:
        """How many exemplars there are."""
        return len(self.sent_exemplars)

    def remote_write(self, version: int, max_bytes: int, *, metadata: bool = False) -> list[bytes]:
        """Bodies of at most `max_bytes` before compression, but for a series that is larger by itself.

        With `metadata` those of 1.0 begin with the families; those of 2.0 have them with their series.
        """
        return bodies(self, version, max_bytes, metadata=metadata)

    def add_series(self, labels: dict[str, str], family: Family) -> int:
        """The number of the series with these labels, those with a value; it is added where it is new."""
        kept = [(name, value) for name, value in labels.items() if name and value]
        key = tuple(sorted(kept, key=lambda pair: pair[0].encode()))
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.family_of.append(family)
        return self.numbers[key]

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count points that are no samples."""
        self.left_out[reason] = self.left_out.get(reason, 0) + count

    def _samples(self) -> Iterator[Any]:
        return (point for point in self.points if not isinstance(point[3], SentHistogram))


def _add_owner(made: Samples, owner: Any, arrived: int, naming: _Naming) -> None:
    resource = _Resource(owner.resource)
    latest = points = 0
    for scoped in owner.scope_metrics:
        scope_labels = _scope_labels(scoped) if naming.scope_labels else []
        for metric in scoped.metrics:
            kind = metric.WhichOneof("data")
            if kind is None or not getattr(metric, kind).data_points:
                continue
            writer = _Writer(made, metric, kind, resource, scope_labels, naming)
            for point in getattr(metric, kind).data_points:
                points += 1
                nano = point.time_unix_nano or arrived
                latest = max(latest, nano)
                writer.point(point, nano)
    if points and naming.target_info:
        _add_target_info(made, resource, latest, naming)


class _Resource:
    def __init__(self, resource: Any) -> None:
        pairs = [(attribute.key, encode_value(attribute.value)[0]) for attribute in resource.attributes]
        values = dict(reversed(pairs))
        namespace, service, instance = (values.get(key, "") for key in _IDENTITY)
        job = f"{namespace}/{service}" if namespace and service else service
        self.pairs = sorted(pairs, key=lambda pair: pair[0].encode())
        self.derived = {name: text for name, text in (("instance", instance), ("job", job)) if text}


class _Writer:
    """The samples of one metric."""

    def __init__(
        self,
        made: Samples,
        metric: Any,
        kind: str,
        resource: _Resource,
        scope_labels: Sequence[tuple[str, str]],
        naming: _Naming,
    ) -> None:
        self.made = made
        self.kind = kind
        self.resource = resource
        self.scope_labels = scope_labels
        self.naming = naming
        data = getattr(metric, kind)
        is_counter = kind == "sum" and data.is_monotonic
        cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        self.is_cumulative = kind in ("gauge", "summary") or data.aggregation_temporality == cumulative
        types = [encode_value(a.value)[0] for a in metric.metadata if a.key == PROMETHEUS_TYPE]
        self.is_utf8 = naming.is_utf8 or bool(types)
        name, unit, type_name = metric.name, metric.unit, _TYPES.get(kind, "counter" if is_counter else "gauge")
        if not types:
            name = name_by(naming.strategy, name, unit, counter=is_counter, gauge=kind == "gauge")
            unit = unit_text(unit)
        elif types[0] in METRIC_TYPES:
            type_name = types[0]
        self.name = naming.prefixed(name)
        self.family = Family(self.name, METRIC_TYPES.index(type_name), metric.description, unit)
        made.families[self.family] = None

    def point(self, point: Any, nano: int) -> None:
        """Add what a point is."""
        if not self.is_cumulative:
            self.made.leave_out("temporality")
            return
        self.base = self.labels(point)
        self.start, self.time = point.start_time_unix_nano // 10**6, nano // 10**6
        self.is_stale = bool(point.flags & _NO_RECORDED_VALUE)
        if self.kind in ("gauge", "sum"):
            self.number(point)
        elif self.kind == "histogram":
            self.explicit(point)
        elif self.kind == "exponential_histogram":
            self.exponential(point)
        else:
            self.sample("_sum", point.sum)
            self.sample("_count", float(point.count))
            for value in point.quantile_values:
                self.sample("", value.value, quantile=plain(value.quantile))

    def labels(self, point: Any) -> dict[str, str]:
        """The labels of all samples of a point."""
        naming = self.naming
        own = [(attribute.key, encode_value(attribute.value)[0]) for attribute in point.attributes]
        if naming.resource_labels:
            added = [p for p in self.resource.pairs if not (naming.except_service and p[0] in _IDENTITY)]
            keys = {key for key, _ in added}
            # The resource's attribute stands in place of a point's with the same key.
            own = [pair for pair in own if pair[0] not in keys] + added
        labels = _joined(own, is_utf8=self.is_utf8)
        return _with_others(labels, self.resource, self.scope_labels, naming)

    def add(self, suffix: str, **extra: str) -> int:
        """The number of a series."""
        return self.made.add_series({**self.base, **extra, "__name__": f"{self.name}{suffix}"}, self.family)

    def sample(self, suffix: str, value: float, **extra: str) -> int:
        """Add a sample; gives the number of its series."""
        series = self.add(suffix, **extra)
        self.made.points.append((series, self.start, self.time, _STALE if self.is_stale else value))
        return series

    def number(self, point: Any) -> None:
        """Add a number."""
        kind = point.WhichOneof("value")
        if kind is None and not self.is_stale:
            self.made.leave_out("value")
            return
        series = self.sample("", float(getattr(point, kind)) if kind else 0.0)
        self.exemplars(point, [], series)

    def explicit(self, point: Any) -> None:
        """Add a histogram with explicit bounds."""
        if point.HasField("sum"):
            self.sample("_sum", point.sum)
        self.sample("_count", float(point.count))
        cumulative = 0
        buckets: list[tuple[float, int]] = []
        for bound, count in zip(point.explicit_bounds, point.bucket_counts, strict=False):
            cumulative = (cumulative + count) % 2**64
            buckets.append((bound, self.sample("_bucket", float(cumulative), le=plain(bound))))
        above = self.sample("_bucket", float(point.count), le="+Inf")
        self.exemplars(point, buckets, above)

    def exponential(self, point: Any) -> None:
        """Add a native histogram."""
        histogram = SentHistogram(sum=_STALE) if self.is_stale else _native(point)
        if histogram is None:
            self.made.leave_out("scale")
            return
        series = self.add("")
        self.made.points.append((series, self.start, self.time, histogram))
        self.exemplars(point, [], series)

    def exemplars(self, point: Any, buckets: Sequence[tuple[float, int]], above: int) -> None:
        """Add the exemplars, each to the series of its bucket."""
        for exemplar in point.exemplars:
            sent = _exemplar(exemplar, is_utf8=self.is_utf8)
            series = next((series for bound, series in buckets if sent.value <= bound), above)
            self.made.sent_exemplars.append((series, sent))


def plain(number: float) -> str:
    """A double in decimal digits without an exponent, as Go's ``FormatFloat`` with ``f`` and -1 does."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _native(point: Any) -> SentHistogram | None:
    if point.scale < MIN_SCHEMA:
        return None
    schema = min(point.scale, MAX_SCHEMA)
    sides = [_spans(buckets, point.scale - schema) for buckets in (point.positive, point.negative)]
    if any(offset >= 2**31 or offset < -(2**31) for spans, _ in sides for offset, _ in spans):
        return None
    return SentHistogram(
        point.count, point.sum, schema, point.zero_threshold, point.zero_count, positive=sides[0], negative=sides[1]
    )


def _spans(buckets: Any, shift: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Offsets and lengths, and what each bucket has more than the one before; 2^shift buckets become one."""
    counts: dict[int, int] = {}
    for index, count in enumerate(buckets.bucket_counts):
        if count:
            # OTLP numbers a bucket by its lower bound, Prometheus by its upper one.
            merged = (buckets.offset + index >> shift) + 1
            counts[merged] = (counts.get(merged, 0) + count) % 2**64
    spans: list[tuple[int, int]] = []
    filled: list[int] = []
    end = 0
    for index, count in counts.items():
        gap = index - end
        if spans and gap <= MAX_GAP:
            filled += [0] * gap
            spans[-1] = (spans[-1][0], spans[-1][1] + gap + 1)
        else:
            spans.append((gap, 1))
        filled.append(count)
        end = index + 1
    deltas = [(one - before + 2**63) % 2**64 - 2**63 for before, one in zip([0, *filled], filled, strict=False)]
    return spans, deltas


def _exemplar(exemplar: Any, *, is_utf8: bool) -> SentExemplar:
    ids = (("trace_id", exemplar.trace_id.hex()), ("span_id", exemplar.span_id.hex()))
    labels = [(name, text) for name, text in ids if text]
    others = [(_spelt(a.key, is_utf8=is_utf8), encode_value(a.value)[0]) for a in exemplar.filtered_attributes]
    if sum(len(name) + len(text) for name, text in (*labels, *others)) <= MAX_EXEMPLAR_CHARS:
        labels += others
    kind = exemplar.WhichOneof("value")
    value = float(getattr(exemplar, kind)) if kind else 0.0
    return SentExemplar(tuple(labels), value, exemplar.time_unix_nano // 10**6)


def _add_target_info(made: Samples, resource: _Resource, latest: int, naming: _Naming) -> None:
    others = [pair for pair in resource.pairs if pair[0] not in _IDENTITY]
    if not others or not resource.derived:
        return
    name = naming.prefixed("target_info")
    labels = _with_others(_joined(others, is_utf8=naming.is_utf8), resource, (), naming)
    family = Family(name, METRIC_TYPES.index("gauge"), "Attributes of the resource", "")
    made.families[family] = None
    made.points.append((made.add_series({**labels, "__name__": name}, family), 0, latest // 10**6, 1.0))


def _joined(pairs: Sequence[tuple[str, str]], *, is_utf8: bool) -> dict[str, str]:
    """Labels of attributes; the values of keys that become one name are joined."""
    labels: dict[str, str] = {}
    for key, value in sorted(pairs, key=lambda pair: pair[0].encode()):
        name = _spelt(key, is_utf8=is_utf8)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def _with_others(
    labels: dict[str, str], resource: _Resource, scope_labels: Sequence[tuple[str, str]], naming: _Naming
) -> dict[str, str]:
    labels |= resource.derived
    for name, value in naming.external_labels:
        labels.setdefault(name, value)
    return labels | {_spelt(name, is_utf8=naming.is_utf8): value for name, value in scope_labels}


def _scope_labels(scoped: Any) -> list[tuple[str, str]]:
    scope = scoped.scope
    if scope.name == TRANSLATOR:
        return []
    named = (("name", scope.name), ("version", scope.version), ("schema_url", scoped.schema_url))
    attributes = ((attribute.key, encode_value(attribute.value)[0]) for attribute in scope.attributes)
    return [(f"otel_scope_{name}", text) for name, text in (*named, *attributes) if text]


def _spelt(key: str, *, is_utf8: bool) -> str:
    return key if is_utf8 else label_name(key)


def _hash(labels: LabelSet) -> int:
    parts = (text.encode() for pair in labels for text in pair)
    return xxhash.xxh3_64_intdigest(b"".join(len(part).to_bytes(4, "little") + part for part in parts))
