"""Prometheus remote write 1.0 and 2.0 as OTLP.

After the Collector's receiver (prometheusremotewritereceiver) and the OpenTelemetry specification, "Prometheus and
OpenMetrics Compatibility":

- A series is a metric of its name, which is not changed; its type goes into the metric's metadata as
  ``prometheus.type``. Counters are monotonic sums, infos and state sets other sums, all else gauges.
- ``job`` and ``instance`` are the resource (``service.name``, ``service.namespace``, ``service.instance.id``), the
  labels ``otel_scope_…`` are the scope, all others the attributes of the points. ``target_info`` is no metric: its
  labels are attributes of the resource, here and in later requests.
- Native histograms are exponential ones, those with custom buckets explicit ones. The series of a classic histogram
  and of a summary stay series: nothing says that one request has them all. (The Collector drops them.)
- A stale marker is a point without a recorded value.
- An exemplar belongs to the first point of its series at its time or later, else to the last one, also where it came
  in a series of its own.

What cannot be taken is left out, by itself where that is possible, and counted by reason:

- ``symbol``: a reference to a symbol that there is not, or a name without a value
- ``labels``: more than 4096 of them, or more than 1 MiB
- ``label_name``, ``duplicate_label``, ``no_name`` (no ``__name__``), ``empty`` (no points)
- ``time``: one that is not after 1970, or after 2262
- ``histogram_schema``: neither exponential nor of custom buckets
- ``histogram_buckets``: spans, counts and bounds that do not fit one another
- ``histogram_count``: another one than the buckets have
- ``histogram_gauge``, ``histogram_fraction`` (counts that are not whole), ``histogram_width`` (more than 16,384
  buckets): what OTLP has no room for
- ``exemplar_labels``, ``exemplar_alone`` (no point that it could belong to)
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags, Exemplar

from airis.data.malformed import MalformedPayload
from airis.data.reference.announced import Announced, Family, Target, family_of
from airis.data.reference.remote_histograms import (
    CUSTOM_BUCKETS,
    LeftOut,
    check_histogram,
    is_stale,
    nano,
    write_explicit,
    write_exponential,
)
from airis.proto import wire
from airis.proto.prometheus_names import PROMETHEUS_TYPE, TRANSLATOR
from airis.proto.remote_write import V1, request_class

Labels = tuple[tuple[str, str], ...]
"""Names and values, by name."""

MAX_LABELS = 4096
MAX_LABEL_BYTES = 1 << 20
MAX_NAME_CHARS = 100

_IDENTITY = ("service.namespace", "service.name", "service.instance.id")
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_NO_RECORDED_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK


@dataclass
class RemoteWritten:
    """What a request became."""

    payload: bytes = b""
    """OTLP metrics."""
    items: int = 0
    """Data points in the payload."""
    samples: int = 0
    """Samples that were taken, those that only say what a target is included."""
    histograms: int = 0
    exemplars: int = 0
    repaired: int = 0
    """Strings whose invalid UTF-8 was replaced by U+FFFD."""
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """By reason how much was left out, and the name of the first metric that it happened to."""
    targets: dict[Target, list[tuple[str, str]]] = field(default_factory=dict[Target, list[tuple[str, str]]])
    families: list[tuple[str, Family]] = field(default_factory=list[tuple[str, Family]])

    def leave_out(self, reason: str, count: int, labels: Iterable[tuple[str, str]]) -> None:
        """Count what cannot be taken."""
        if not count:
            return
        names = (value for name, value in labels if name == "__name__" and value)
        before, first = self.left_out.get(reason, (0, next(names, "")[:MAX_NAME_CHARS]))
        self.left_out[reason] = (before + count, first)


def from_remote_write(version: int, body: bytes, announced: Announced, limit_bytes: int) -> RemoteWritten:
    """The OTLP metrics of a decompressed request.

    Raises MalformedPayload for what is no request of this version (1 or 2), and for one whose metrics, before they are
    put together, are larger than `limit_bytes`; ValueError for another version.
    """
    request, repaired = _parse(version, body)
    return _Conversion(version, request, announced, limit_bytes, repaired).all()


def _parse(version: int, body: bytes) -> tuple[Any, int]:
    message = request_class(version)
    try:
        return message.FromString(body), 0
    except DecodeError:
        body, repaired = wire.repair(body, message.DESCRIPTOR)
    try:
        return message.FromString(body), repaired
    except DecodeError as error:
        raise MalformedPayload(f"not a remote-write request: {error}") from None


class _Conversion:
    """A request on its way to OTLP."""

    def __init__(self, version: int, request: Any, announced: Announced, limit_bytes: int, repaired: int) -> None:
        self.version = version
        self.request = request
        self.announced = announced
        self.room = limit_bytes
        self.written = RemoteWritten(repaired=repaired)
        self.message = ExportMetricsServiceRequest()
        self.owners: dict[Target, Any] = {}
        self.scopes: dict[Any, Any] = {}
        self.metrics: dict[Any, Any] = {}
        if version == V1:
            families = ((m.metric_family_name, Family(_unsigned(m.type), m.help, m.unit)) for m in request.metadata)
            self.written.families = [(name, family) for name, family in families if name]
        self.families = dict(self.written.families)

    def all(self) -> RemoteWritten:
        """Do it."""
        strays: dict[Labels, list[Any]] = defaultdict(list)
        for series in self.request.timeseries:
            if series.exemplars and not series.samples and not series.histograms:
                try:
                    strays[self.labels(series)] += series.exemplars
                except LeftOut:
                    continue
        for series in self.request.timeseries:
            points = len(series.samples) + len(series.histograms)
            try:
                labels = self.labels(series)
                if not points and not series.exemplars:
                    raise LeftOut("empty")
            except LeftOut as fault:
                known = self.pairs(series.labels if self.version == V1 else series.labels_refs)[0]
                self.written.leave_out(fault.reason, max(points, 1), known)
                self.written.leave_out("exemplar_alone", len(series.exemplars), known)
                continue
            if not points:
                continue
            if dict(labels)["__name__"] == "target_info" and {"job", "instance"} & dict(labels).keys():
                self.learn(series, labels)
            else:
                self.series(series, labels, [*series.exemplars, *strays.pop(labels, [])])
        for labels, exemplars in strays.items():
            self.written.leave_out("exemplar_alone", len(exemplars), labels)
        self.describe_targets()
        self.written.payload = self.message.SerializeToString()
        return self.written

    def pairs(self, references: Any) -> tuple[list[tuple[str, str]], bool]:
        """Labels as they stand, and whether all could be looked up."""
        if self.version == V1:
            return [(label.name, label.value) for label in references], True
        symbols = self.request.symbols
        texts = [symbols[index] for index in references if index < len(symbols)]
        is_whole = len(texts) == len(references) and len(texts) % 2 == 0
        return list(zip(texts[::2], texts[1::2], strict=False))[: MAX_LABELS + 1], is_whole

    def labels(self, series: Any) -> Labels:
        """The labels of a series, without those that have no value: for Prometheus they are not there."""
        pairs, is_whole = self.pairs(series.labels if self.version == V1 else series.labels_refs)
        if self.version != V1:
            size = max(len(self.request.symbols), 1)
            is_whole = is_whole and series.metadata.help_ref < size and series.metadata.unit_ref < size
        if not is_whole:
            raise LeftOut("symbol")
        if _are_too_large(pairs):
            raise LeftOut("labels")
        labels = sorted((pair for pair in pairs if pair[1]), key=lambda pair: pair[0].encode())
        names = [name for name, _ in labels]
        if len(set(names)) < len(names):
            raise LeftOut("duplicate_label")
        if "" in names:
            raise LeftOut("label_name")
        if "__name__" not in names:
            raise LeftOut("no_name")
        return tuple(labels)

    def learn(self, series: Any, labels: Labels) -> None:
        """Remember what a target is."""
        of = dict(labels)
        is_gone = bool(series.samples) and is_stale(series.samples[-1].value)
        attributes = [pair for pair in labels if pair[0] not in ("__name__", "job", "instance")]
        kept = [] if is_gone else attributes
        self.spend(sum(_size(name, value) for name, value in kept))
        self.written.targets[of.get("job", ""), of.get("instance", "")] = kept
        self.written.samples += len(series.samples)
        self.written.histograms += len(series.histograms)
        self.written.leave_out("exemplar_alone", len(series.exemplars), labels)

    def series(self, series: Any, labels: Labels, exemplars: Sequence[Any]) -> None:
        """Add the points of a series."""
        place = _Place(labels, self.family(series, dict(labels)["__name__"]))
        made = list(self.exemplars(exemplars, labels))
        times = [nano(sample.timestamp) for sample in series.samples]
        assigned = _assign(made, times)
        taken = len(made) if any(time is not None for time in times) else 0
        for index, (sample, time) in enumerate(zip(series.samples, times, strict=True)):
            if time is None:
                self.written.leave_out("time", 1, labels)
            else:
                self.add_sample(place, sample, series, time, assigned[index])
        kept = [self.checked(histogram, labels) for histogram in series.histograms]
        if not taken:
            times = [nano(histogram.timestamp) if histogram is not None else None for histogram in kept]
            assigned = _assign(made, times)
            taken = len(made) if any(time is not None for time in times) else 0
        else:
            assigned = _assign([], [None for _ in kept])
        for histogram, own in zip(kept, assigned, strict=False):
            if histogram is not None:
                self.add_histogram(place, histogram, series, own)
        self.written.exemplars += taken
        self.written.leave_out("exemplar_alone", len(made) - taken, labels)

    def family(self, series: Any, name: str) -> Family:
        """What is known of the family of a series."""
        if self.version == V1:
            return family_of(name, lambda known: self.families.get(known) or self.announced.family(known))
        metadata = series.metadata
        return Family(_unsigned(metadata.type), self.symbol(metadata.help_ref), self.symbol(metadata.unit_ref))

    def symbol(self, index: int) -> str:
        """A symbol; without any there need not be one for a text that is absent."""
        return str(self.request.symbols[index]) if self.request.symbols else ""

    def checked(self, histogram: Any, labels: Labels) -> Any:
        """The histogram, None for one that cannot be taken."""
        try:
            check_histogram(histogram)
        except LeftOut as fault:
            self.written.leave_out(fault.reason, 1, labels)
            return None
        return histogram

    def exemplars(self, exemplars: Iterable[Any], labels: Labels) -> Iterator[Exemplar]:
        """As OTLP has them."""
        for exemplar in exemplars:
            pairs, is_whole = self.pairs(exemplar.labels if self.version == V1 else exemplar.labels_refs)
            if not is_whole or _are_too_large(pairs):
                self.written.leave_out("exemplar_labels", 1, labels)
                continue
            made = Exemplar(time_unix_nano=nano(exemplar.timestamp) or 0, as_double=exemplar.value)
            for name, value in pairs:
                if name == "trace_id" and not made.trace_id and _is_id(value, 32):
                    made.trace_id = bytes.fromhex(value)
                elif name == "span_id" and not made.span_id and _is_id(value, 16):
                    made.span_id = bytes.fromhex(value)
                elif name and value:
                    made.filtered_attributes.append(_attribute(name, value))
            yield made

    def add_sample(self, place: "_Place", sample: Any, series: Any, time: int, exemplars: Sequence[Exemplar]) -> None:
        """Add a sample to its metric."""
        metric, _ = self.metric(place, place.kind)
        start = self.start(sample, series)
        point = getattr(metric, metric.WhichOneof("data")).data_points.add(
            start_time_unix_nano=start, time_unix_nano=time, exemplars=exemplars, attributes=place.attributes
        )
        if is_stale(sample.value):
            point.flags = _NO_RECORDED_VALUE
        else:
            point.as_double = sample.value
        self.spend(point.ByteSize())
        self.written.samples += 1
        self.written.items += 1

    def add_histogram(self, place: "_Place", histogram: Any, series: Any, exemplars: Sequence[Exemplar]) -> None:
        """Add a native histogram to its metric."""
        write = write_explicit if histogram.schema == CUSTOM_BUCKETS else write_exponential
        metric, _ = self.metric(place, "histogram" if histogram.schema == CUSTOM_BUCKETS else "exponential_histogram")
        point = getattr(metric, metric.WhichOneof("data")).data_points.add(
            start_time_unix_nano=self.start(histogram, series), exemplars=exemplars, attributes=place.attributes
        )
        write(point, histogram)
        self.spend(point.ByteSize())
        self.written.histograms += 1
        self.written.items += 1

    def start(self, point: Any, series: Any) -> int:
        """When what it counts began, 0 where nothing says that."""
        if self.version == V1:
            return 0
        own = point.start_timestamp
        # A histogram's own time counts only where OTLP can have it.
        has_own = own != 0 if point.DESCRIPTOR.name == "Sample" else nano(own) is not None
        return nano(own if has_own else series.created_timestamp) or 0

    def metric(self, place: "_Place", kind: str) -> tuple[Any, Any]:
        """The metric that points of this kind belong to, added where it is new, and its scope."""
        target = (place.job, place.instance)
        if target not in self.owners:
            self.spend(_size(*target))
            self.owners[target] = self.message.resource_metrics.add()
        scope_key = (target, place.scope)
        if scope_key not in self.scopes:
            name, version, schema_url, attributes = place.scope
            self.spend(_size(name, version, schema_url, *(text for pair in attributes for text in pair)))
            scoped = self.scopes[scope_key] = self.owners[target].scope_metrics.add(schema_url=schema_url)
            scoped.scope.name, scoped.scope.version = name, version
            scoped.scope.attributes.extend(_attribute(*pair) for pair in attributes)
        family = place.family
        key = (scope_key, place.name, family.unit, family.type_number, kind)
        if key not in self.metrics:
            self.spend(_size(place.name, family.unit, family.help))
            metric = self.metrics[key] = self.scopes[scope_key].metrics.add(
                name=place.name, unit=family.unit, description=family.help
            )
            _set_data(metric, kind)
            metric.metadata.append(_attribute(PROMETHEUS_TYPE, family.type_name))
        elif len(family.help.encode()) > len(self.metrics[key].description.encode()):
            self.spend(_size(family.help))
            self.metrics[key].description = family.help
        return self.metrics[key], self.scopes[scope_key]

    def describe_targets(self) -> None:
        """Give every resource what this request or those before it told of its target."""
        for (job, instance), owner in self.owners.items():
            # As Collectors take it apart; another number of slashes is part of the name.
            namespace, _, name = job.partition("/") if job.count("/") == 1 else ("", "", job)
            identity = zip(_IDENTITY, (namespace, name, instance), strict=True)
            others = self.written.targets.get((job, instance), self.announced.target((job, instance)))
            owner.resource.SetInParent()
            owner.resource.attributes.extend(_attribute(key, value) for key, value in identity if value)
            owner.resource.attributes.extend(_attribute(*pair) for pair in others if pair[0] not in _IDENTITY)

    def spend(self, size: int) -> None:
        """Count bytes of the payload: a reference of one byte can stand for a megabyte."""
        self.room -= size
        if self.room < 0:
            raise MalformedPayload("larger as OTLP than is allowed")


class _Place:
    """Where the points of a series belong."""

    def __init__(self, labels: Labels, family: Family) -> None:
        named = dict(labels)
        self.family = family
        self.name = named.pop("__name__")
        self.job, self.instance = named.pop("job", ""), named.pop("instance", "")
        name, version = named.pop("otel_scope_name", ""), named.pop("otel_scope_version", "")
        schema_url = named.pop("otel_scope_schema_url", "")
        prefix = "otel_scope_"
        scope = {label: value for label, value in named.items() if label.startswith(prefix) and label != prefix}
        self.scope = (
            name or ("" if version else TRANSLATOR),
            version,
            schema_url,
            tuple((label.removeprefix(prefix), value) for label, value in scope.items()),
        )
        self.attributes = [_attribute(label, value) for label, value in named.items() if label not in scope]
        self.kind = _kind(self.name, family.type_name)


def _kind(name: str, type_name: str) -> str:
    """What OTLP makes of the samples of a series."""
    parts = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    if type_name == "counter" or name.endswith(parts.get(type_name, "\0")):
        return "counter"
    return "sum" if type_name in ("info", "stateset") else "gauge"


def _set_data(metric: Any, kind: str) -> None:
    if kind == "gauge":
        metric.gauge.SetInParent()
        return
    data = metric.sum if kind in ("counter", "sum") else getattr(metric, kind)
    data.aggregation_temporality = _CUMULATIVE
    if kind == "counter":
        data.is_monotonic = True


def _assign(exemplars: Sequence[Exemplar], times: Sequence[int | None]) -> list[list[Exemplar]]:
    """The exemplars of each point; None is the time of one that there is not."""
    assigned: list[list[Exemplar]] = [[] for _ in times]
    points = [(index, time) for index, time in enumerate(times) if time is not None]
    for exemplar in exemplars if points else ():
        later = (index for index, time in points if time >= exemplar.time_unix_nano)
        assigned[next(later, points[-1][0])].append(exemplar)
    return assigned


def _are_too_large(pairs: Sequence[tuple[str, str]]) -> bool:
    return len(pairs) > MAX_LABELS or sum(_size(*pair) for pair in pairs) > MAX_LABEL_BYTES


def _size(*texts: str) -> int:
    return sum(len(text.encode()) for text in texts)


def _attribute(key: str, value: str) -> KeyValue:
    attribute = KeyValue(key=key)
    attribute.value.string_value = value
    return attribute


def _is_id(text: str, digits: int) -> bool:
    return re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", text) is not None and set(text) != {"0"}


def _unsigned(number: int) -> int:
    return number & 0xFFFF_FFFF
