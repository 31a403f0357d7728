"""Rows of the store's tables back to OTLP messages, exactly as they were sent.

Every select list below gives a row that JSON can carry without loss: times and 64-bit values as integers, doubles as
their bits, maps as lists of pairs (a map may hold a key twice). Not kept by the tables, and so not told apart here:
an empty message (status, resource, scope, buckets) from an absent one, and the order of items within a request.
"""

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import orjson
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.reference.series import NO_VALUE, STALE_MARKER
from airis.data.reference.values import decode_attributes, decode_value

Row = Mapping[str, Any]

_U64 = (1 << 64) - 1
_NO_RECORDED_VALUE = 1
"""Bit of a data point's flags."""

_KINDS = {"Unspecified": 0, "Internal": 1, "Server": 2, "Client": 3, "Producer": 4, "Consumer": 5}
_STATUSES = {"Unset": 0, "Ok": 1, "Error": 2}
_TEMPORALITIES = {"unspecified": 0, "delta": 1, "cumulative": 2}

_PAIRS = "'Array(Tuple(String, String))'"

_OWNER_COLUMNS = f"""
    CAST(ResourceAttributes, {_PAIRS}) AS resource_attributes, ResourceAttributesTypes AS resource_types,
    ResourceDroppedAttributesCount AS resource_dropped, ResourceEntityRefs AS resource_entity_refs,
    ResourceSchemaUrl AS resource_schema_url,
    ScopeName AS scope_name, ScopeVersion AS scope_version,
    CAST(ScopeAttributes, {_PAIRS}) AS scope_attributes, ScopeAttributesTypes AS scope_types,
    ScopeDroppedAttributesCount AS scope_dropped, ScopeSchemaUrl AS scope_schema_url"""

SPAN_COLUMNS = f"""{_OWNER_COLUMNS},
    toUnixTimestamp64Nano(Timestamp) AS time, TimestampSource AS time_source,
    Duration AS duration, NegativeDuration AS negative_duration,
    TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_span_id, TraceState AS trace_state,
    TraceFlags AS flags, SpanName AS name, SpanKind AS kind, StatusCode AS status, StatusMessage AS status_message,
    CAST(SpanAttributes, {_PAIRS}) AS attributes, SpanAttributesTypes AS types, DroppedAttributesCount AS dropped,
    DroppedEventsCount AS dropped_events, DroppedLinksCount AS dropped_links,
    arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`) AS event_times, `Events.Name` AS event_names,
    arrayMap(m -> CAST(m, {_PAIRS}), `Events.Attributes`) AS event_attributes, `Events.AttributesTypes` AS event_types,
    `Events.DroppedAttributesCount` AS event_dropped,
    `Links.TraceId` AS link_trace_ids, `Links.SpanId` AS link_span_ids, `Links.TraceState` AS link_states,
    arrayMap(m -> CAST(m, {_PAIRS}), `Links.Attributes`) AS link_attributes, `Links.AttributesTypes` AS link_types,
    `Links.TraceFlags` AS link_flags, `Links.DroppedAttributesCount` AS link_dropped"""
"""Of otel_traces, for traces()."""

LOG_COLUMNS = f"""{_OWNER_COLUMNS},
    toUnixTimestamp64Nano(Timestamp) AS time, TimestampSource AS time_source,
    toUnixTimestamp64Nano(ObservedTimestamp) AS observed,
    TraceId AS trace_id, SpanId AS span_id, TraceFlags AS flags,
    SeverityText AS severity_text, SeverityNumber AS severity_number, EventName AS event_name,
    Body AS body, BodyType AS body_type,
    CAST(LogAttributes, {_PAIRS}) AS attributes, LogAttributesTypes AS types, DroppedAttributesCount AS dropped"""
"""Of otel_logs, for logs()."""

SERIES_COLUMNS = f"""
    id, toUnixTimestamp(min_time) AS since_s, otel_name AS name, kind, unit, temporality, monotonic, integer, help,
    CAST(attributes, {_PAIRS}) AS point_attributes, attributes_types AS types,
    CAST(metadata, {_PAIRS}) AS metric_metadata, metadata_types,
    arrayMap(b -> reinterpretAsUInt64(b), bounds) AS bounds_bits,
    CAST(resource, {_PAIRS}) AS resource_attributes, resource_types,
    resource_dropped_attributes_count AS resource_dropped, resource_entity_refs, resource_schema_url,
    scope_name, scope_version, CAST(scope_attributes, {_PAIRS}) AS scope_attributes,
    scope_attributes_types AS scope_types, scope_dropped_attributes_count AS scope_dropped, scope_schema_url"""
"""Of metric_series, for metrics()."""

_POINT_COLUMNS = """
    id, toUnixTimestamp64Nano(ts) AS time, ts_source AS time_source,
    toUnixTimestamp64Nano(start) AS start_time, flags"""

SAMPLE_COLUMNS = f"""{_POINT_COLUMNS}, reinterpretAsUInt64(value) AS value_bits, value_residue"""
"""Of metric_samples, for metrics()."""

HISTOGRAM_COLUMNS = f"""{_POINT_COLUMNS},
    count, if(isNull(sum), NULL, reinterpretAsUInt64(assumeNotNull(sum))) AS sum_bits, schema,
    reinterpretAsUInt64(zero_threshold) AS zero_threshold_bits, zero_count, pos_offset, pos, neg_offset, neg,
    if(isNull(min), NULL, reinterpretAsUInt64(assumeNotNull(min))) AS min_bits,
    if(isNull(max), NULL, reinterpretAsUInt64(assumeNotNull(max))) AS max_bits"""
"""Of metric_histograms, for metrics()."""

SUMMARY_COLUMNS = f"""{_POINT_COLUMNS},
    count, reinterpretAsUInt64(sum) AS sum_bits,
    arrayMap(q -> reinterpretAsUInt64(q), quantiles) AS quantile_bits,
    arrayMap(v -> reinterpretAsUInt64(v), values) AS value_bits"""
"""Of metric_summaries, for metrics()."""

EXEMPLAR_COLUMNS = f"""
    id, toUnixTimestamp64Nano(point_ts) AS point_time, toUnixTimestamp64Nano(ts) AS time,
    reinterpretAsUInt64(value) AS value_bits, value_residue, integer, trace_id, span_id,
    CAST(attributes, {_PAIRS}) AS filtered_attributes, attributes_types AS types"""
"""Of metric_exemplars, for metrics()."""


class _ResourceItems(Protocol):
    """ResourceSpans, ResourceLogs or ResourceMetrics."""

    schema_url: str

    @property
    def resource(self) -> Resource: ...


class _ScopeItems(Protocol):
    """ScopeSpans, ScopeLogs or ScopeMetrics."""

    schema_url: str

    @property
    def scope(self) -> InstrumentationScope: ...


_R = TypeVar("_R", bound=_ResourceItems)
_S = TypeVar("_S", bound=_ScopeItems)


class _Owners(Generic[_R, _S]):
    """Finds the resource and scope of a row in a request, or adds them."""

    def __init__(self, add_resource: Callable[[], _R], add_scope: Callable[[_R], _S]) -> None:
        self._add_resource = add_resource
        self._add_scope = add_scope
        self._resources: dict[bytes, _R] = {}
        self._scopes: dict[bytes, _S] = {}

    def of(self, row: Row) -> _S:
        """The message that holds the items of the row's resource and scope."""
        resource_key = orjson.dumps([value for column, value in row.items() if column.startswith("resource_")])
        key = resource_key + orjson.dumps([value for column, value in row.items() if column.startswith("scope_")])
        if key not in self._scopes:
            if resource_key not in self._resources:
                self._resources[resource_key] = self._resource(row)
            self._scopes[key] = self._scope(self._resources[resource_key], row)
        return self._scopes[key]

    def _resource(self, row: Row) -> _R:
        message = self._add_resource()
        message.schema_url = row["resource_schema_url"]
        message.resource.attributes.extend(decode_attributes(row["resource_attributes"], row["resource_types"]))
        message.resource.dropped_attributes_count = row["resource_dropped"]
        for ref in orjson.loads(row["resource_entity_refs"] or "[]"):
            ParseDict(ref, message.resource.entity_refs.add())
        return message

    def _scope(self, resource: _R, row: Row) -> _S:
        message = self._add_scope(resource)
        message.schema_url = row["scope_schema_url"]
        message.scope.name = row["scope_name"]
        message.scope.version = row["scope_version"]
        message.scope.attributes.extend(decode_attributes(row["scope_attributes"], row["scope_types"]))
        message.scope.dropped_attributes_count = row["scope_dropped"]
        return message


def traces(rows: Iterable[Row]) -> ExportTraceServiceRequest:
    """A request of SPAN_COLUMNS rows, in their order within each scope."""
    request = ExportTraceServiceRequest()
    owners = _Owners(request.resource_spans.add, lambda resource: resource.scope_spans.add())
    for row in rows:
        _span(row, owners.of(row).spans.add())
    return request


def _span(row: Row, span: Span) -> None:
    time = _sent_time(row, "sent")
    span.start_time_unix_nano = time
    if row["time_source"] == "sent":
        span.end_time_unix_nano = (time + int(row["duration"]) - int(row["negative_duration"])) & _U64
    else:
        span.end_time_unix_nano = _sent_time(row, "end")
    span.trace_id = bytes.fromhex(row["trace_id"])
    span.span_id = bytes.fromhex(row["span_id"])
    span.parent_span_id = bytes.fromhex(row["parent_span_id"])
    span.trace_state = row["trace_state"]
    span.flags = row["flags"]
    span.name = row["name"]
    span.kind = _number(_KINDS, row["kind"])  # type: ignore[assignment]
    span.attributes.extend(decode_attributes(row["attributes"], row["types"]))
    span.dropped_attributes_count = row["dropped"]
    span.dropped_events_count = row["dropped_events"]
    span.dropped_links_count = row["dropped_links"]
    if row["status"] != "Unset" or row["status_message"]:
        span.status.code = _number(_STATUSES, row["status"])  # type: ignore[assignment]
        span.status.message = row["status_message"]
    for event_time, name, attributes, types, dropped in zip(
        row["event_times"],
        row["event_names"],
        row["event_attributes"],
        row["event_types"],
        row["event_dropped"],
        strict=True,
    ):
        span.events.add(
            time_unix_nano=_unsigned(event_time),
            name=name,
            attributes=decode_attributes(attributes, types),
            dropped_attributes_count=dropped,
        )
    for trace_id, span_id, state, attributes, types, flags, dropped in zip(
        row["link_trace_ids"],
        row["link_span_ids"],
        row["link_states"],
        row["link_attributes"],
        row["link_types"],
        row["link_flags"],
        row["link_dropped"],
        strict=True,
    ):
        span.links.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id),
            trace_state=state,
            attributes=decode_attributes(attributes, types),
            flags=flags,
            dropped_attributes_count=dropped,
        )


def logs(rows: Iterable[Row]) -> ExportLogsServiceRequest:
    """A request of LOG_COLUMNS rows, in their order within each scope."""
    request = ExportLogsServiceRequest()
    owners = _Owners(request.resource_logs.add, lambda resource: resource.scope_logs.add())
    for row in rows:
        _record(row, owners.of(row).log_records.add())
    return request


def _record(row: Row, record: LogRecord) -> None:
    record.time_unix_nano = _sent_time(row, "sent")
    record.observed_time_unix_nano = _unsigned(row["observed"])
    record.trace_id = bytes.fromhex(row["trace_id"])
    record.span_id = bytes.fromhex(row["span_id"])
    record.flags = row["flags"]
    record.severity_text = row["severity_text"]
    record.severity_number = row["severity_number"]
    record.event_name = row["event_name"]
    record.attributes.extend(decode_attributes(row["attributes"], row["types"]))
    record.dropped_attributes_count = row["dropped"]
    body = decode_value(row["body"], row["body_type"])
    if body is not None:
        record.body.CopyFrom(body)


def metrics(
    series: Iterable[Row],
    samples: Iterable[Row] = (),
    histograms: Iterable[Row] = (),
    summaries: Iterable[Row] = (),
    exemplars: Iterable[Row] = (),
) -> ExportMetricsServiceRequest:
    """A request of the points whose series are given, in their order within each metric.

    A series whose resource changed has several rows: a point gets the one that was registered last before it, or the
    first. Numbers become gauges or sums, histograms explicit or exponential ones, as their series says.
    """
    request = ExportMetricsServiceRequest()
    places = _Metrics(request, series, exemplars)
    for row in samples:
        point = places.add(row)
        if isinstance(point, NumberDataPoint):
            _sample(row, places.series(row)["integer"], point)
    for row in histograms:
        point = places.add(row)
        if isinstance(point, HistogramDataPoint):
            point.explicit_bounds.extend(_double(bits) for bits in places.series(row)["bounds_bits"])
            _histogram(row, point)
        elif isinstance(point, ExponentialHistogramDataPoint):
            _exponential_histogram(row, point)
    for row in summaries:
        point = places.add(row)
        if isinstance(point, SummaryDataPoint):
            _summary(row, point)
    return request


_Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class _Metrics:
    """The metrics of a request by series, and where the next point of one goes."""

    def __init__(self, request: ExportMetricsServiceRequest, series: Iterable[Row], exemplars: Iterable[Row]) -> None:
        self._owners = _Owners(request.resource_metrics.add, lambda resource: resource.scope_metrics.add())
        self._metrics: dict[bytes, Metric] = {}
        self._variants: defaultdict[int, list[Row]] = defaultdict(list)
        for row in sorted(series, key=lambda row: int(row["since_s"])):
            self._variants[int(row["id"])].append(row)
        self._exemplars: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
        for row in exemplars:
            self._exemplars[int(row["id"]), int(row["point_time"])].append(row)

    def series(self, point: Row) -> Row:
        """The series row that was active at the time of the point."""
        variants = self._variants[int(point["id"])]
        time_s = int(point["time"]) // 1_000_000_000
        return variants[max(0, bisect_right(variants, time_s, key=lambda row: int(row["since_s"])) - 1)]

    def add(self, row: Row) -> _Point:
        """A new point in its metric, with all that points of every kind have."""
        series = self.series(row)
        point: _Point = _points(self._metric(series)).add()
        point.attributes.extend(decode_attributes(series["point_attributes"], series["types"]))
        point.time_unix_nano = _sent_time(row, "sent")
        point.start_time_unix_nano = _unsigned(row["start_time"])
        point.flags = row["flags"]
        if not isinstance(point, SummaryDataPoint):
            # The first of points at the same time gets them all: which is whose is not stored.
            for exemplar in self._exemplars.pop((int(row["id"]), int(row["time"])), ()):
                _exemplar(exemplar, point.exemplars.add())
        return point

    def _metric(self, series: Row) -> Metric:
        owner = self._owners.of(series)
        identity = [series[column] for column in _METRIC_IDENTITY]
        key = orjson.dumps([id(owner), *identity])
        if key not in self._metrics:
            self._metrics[key] = _metric(series, owner)
        return self._metrics[key]


_METRIC_IDENTITY = ("name", "kind", "unit", "help", "temporality", "monotonic", "metric_metadata", "metadata_types")


def _metric(series: Row, owner: ScopeMetrics) -> Metric:
    metric = owner.metrics.add(name=series["name"], unit=series["unit"], description=series["help"])
    metric.metadata.extend(decode_attributes(series["metric_metadata"], series["metadata_types"]))
    temporality: Any = _number(_TEMPORALITIES, series["temporality"])
    match series["kind"]:
        case "gauge":
            metric.gauge.SetInParent()
        case "sum":
            metric.sum.aggregation_temporality = temporality
            metric.sum.is_monotonic = series["monotonic"]
        case "histogram":
            metric.histogram.aggregation_temporality = temporality
        case "exponential_histogram":
            metric.exponential_histogram.aggregation_temporality = temporality
        case _:
            metric.summary.SetInParent()
    return metric


def _points(metric: Metric) -> Any:
    """The repeated field of the metric's data points."""
    kind = metric.WhichOneof("data")
    assert kind is not None
    return getattr(metric, kind).data_points


def _sample(row: Row, integer: bool, point: NumberDataPoint) -> None:
    bits = int(row["value_bits"])
    if bits == NO_VALUE or (bits == STALE_MARKER and point.flags & _NO_RECORDED_VALUE):
        return
    if integer:
        point.as_int = int(_double(bits)) + row["value_residue"]
    else:
        point.as_double = _double(bits)


def _histogram(row: Row, point: HistogramDataPoint) -> None:
    point.count = int(row["count"])
    point.bucket_counts.extend(int(count) for count in row["pos"])
    _statistics(row, point)


def _exponential_histogram(row: Row, point: ExponentialHistogramDataPoint) -> None:
    point.count = int(row["count"])
    point.scale = row["schema"]
    point.zero_threshold = _double(row["zero_threshold_bits"])
    point.zero_count = int(row["zero_count"])
    for offset, counts, buckets in (
        (row["pos_offset"], row["pos"], point.positive),
        (row["neg_offset"], row["neg"], point.negative),
    ):
        if offset or counts:
            buckets.offset = offset
            buckets.bucket_counts.extend(int(count) for count in counts)
    _statistics(row, point)


def _statistics(row: Row, point: HistogramDataPoint | ExponentialHistogramDataPoint) -> None:
    if row["sum_bits"] is not None:
        point.sum = _double(row["sum_bits"])
    if row["min_bits"] is not None:
        point.min = _double(row["min_bits"])
    if row["max_bits"] is not None:
        point.max = _double(row["max_bits"])


def _summary(row: Row, point: SummaryDataPoint) -> None:
    point.count = int(row["count"])
    point.sum = _double(row["sum_bits"])
    for quantile, value in zip(row["quantile_bits"], row["value_bits"], strict=True):
        point.quantile_values.add(quantile=_double(quantile), value=_double(value))


def _exemplar(row: Row, exemplar: Exemplar) -> None:
    exemplar.time_unix_nano = _unsigned(row["time"])
    exemplar.trace_id = bytes.fromhex(row["trace_id"])
    exemplar.span_id = bytes.fromhex(row["span_id"])
    exemplar.filtered_attributes.extend(decode_attributes(row["filtered_attributes"], row["types"]))
    bits = int(row["value_bits"])
    if row["integer"]:
        exemplar.as_int = int(_double(bits)) + row["value_residue"]
    elif bits != NO_VALUE:
        exemplar.as_double = _double(bits)


def _sent_time(row: Row, source: str) -> int:
    """The row's time if it was sent in this place; 0 if it stands for a time that was not."""
    return _unsigned(row["time"]) if row["time_source"] == source else 0


def _unsigned(nanoseconds: int | str) -> int:
    return int(nanoseconds) & _U64


def _double(bits: int | str) -> float:
    (value,) = struct.unpack("<d", int(bits).to_bytes(8, "little"))
    return float(value)


def _number(names: Mapping[str, int], text: str) -> int:
    """The number of an enumerator; one that OpenTelemetry has no name for is stored as its digits."""
    return names[text] if text in names else int(text)
