"""What the `debug` exporter writes of a request: the Collector's layout, from messages of opentelemetry-proto."""

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data import Signal


def printable(text: str) -> str:
    """The text on one line: control characters, line ends and what turns the direction of writing as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a signal's request are, what the Collector calls them, and how an item is written."""

    request: Any
    resources: str
    scopes: str
    items: str
    resource_title: str
    scope_title: str
    brief: Callable[[Any], Iterable[str]]
    full: Callable[[int, Any], Iterable[str]]

    def counts(self, request: Any, items: int) -> dict[str, int]:
        """The numbers shown for a batch."""
        counts = {self.resources: len(getattr(request, self.resources))}
        if self.items == "metrics":
            scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
            return {**counts, "metrics": sum(len(scope.metrics) for scope in scopes), "data_points": items}
        return {**counts, self.items: items}


def brief_lines(layout: Layout, request: Any) -> Iterator[str]:
    """One line for each resource, scope and item."""
    for r, resource in enumerate(getattr(request, layout.resources)):
        yield _words(
            f"{layout.resource_title} #{r}", _bracketed(resource.schema_url), _pairs(resource.resource.attributes)
        )
        for s, group in enumerate(getattr(resource, layout.scopes)):
            scope = group.scope
            name = f"{scope.name}@{scope.version}" if scope.version else scope.name
            yield _words(f"{layout.scope_title} #{s}", name, _bracketed(group.schema_url), _pairs(scope.attributes))
            for item in getattr(group, layout.items):
                yield from layout.brief(item)


def full_lines(layout: Layout, request: Any) -> Iterator[str]:
    """Every field that is set, a line for each."""
    for r, resource in enumerate(getattr(request, layout.resources)):
        yield f"{layout.resource_title} #{r}"
        yield f"Resource SchemaURL: {resource.schema_url}"
        yield from _resource(resource.resource)
        for s, group in enumerate(getattr(resource, layout.scopes)):
            yield f"{layout.scope_title} #{s}"
            yield f"{layout.scope_title} SchemaURL: {group.schema_url}"
            yield f"InstrumentationScope {group.scope.name} {group.scope.version}"
            yield from _attributes("InstrumentationScope attributes", group.scope.attributes)
            yield from _dropped("InstrumentationScope dropped attributes count", group.scope.dropped_attributes_count)
            for i, item in enumerate(getattr(group, layout.items)):
                yield from layout.full(i, item)


LINES: dict[str, Callable[[Layout, Any], Iterable[str]]] = {
    "basic": lambda _layout, _request: (),
    "normal": brief_lines,
    "detailed": full_lines,
}


def _brief_span(span: Span) -> Iterator[str]:
    yield _words(span.name, span.trace_id.hex(), span.span_id.hex(), _pairs(span.attributes))


def _full_span(index: int, span: Span) -> Iterator[str]:
    yield f"Span #{index}"
    yield from _columns(
        ("Trace ID", span.trace_id.hex()),
        ("Parent ID", span.parent_span_id.hex()),
        ("ID", span.span_id.hex()),
        ("Name", span.name),
        ("Kind", _enum(Span.SpanKind, span.kind, "SPAN_KIND_")),
    )
    if span.trace_state:
        yield from _columns(("TraceState", span.trace_state))
    if span.flags:
        yield from _columns(("Flags", f"{span.flags:#x}"))
    yield from _columns(
        ("Start time", _time(span.start_time_unix_nano)),
        ("End time", _time(span.end_time_unix_nano)),
        ("Status code", _enum(Status.StatusCode, span.status.code, "STATUS_CODE_")),
        ("Status message", span.status.message),
    )
    yield from _dropped("    DroppedAttributesCount", span.dropped_attributes_count)
    yield from _dropped("    DroppedEventsCount", span.dropped_events_count)
    yield from _dropped("    DroppedLinksCount", span.dropped_links_count)
    yield from _attributes("Attributes", span.attributes)
    if span.events:
        yield "Events:"
    for i, event in enumerate(span.events):
        yield f"SpanEvent #{i}"
        yield f"     -> Name: {event.name}"
        yield f"     -> Timestamp: {_time(event.time_unix_nano)}"
        yield f"     -> DroppedAttributesCount: {event.dropped_attributes_count}"
        yield from _attributes("     -> Attributes", event.attributes, "          -> ")
    if span.links:
        yield "Links:"
    for i, link in enumerate(span.links):
        yield f"SpanLink #{i}"
        yield f"     -> Trace ID: {link.trace_id.hex()}"
        yield f"     -> ID: {link.span_id.hex()}"
        yield f"     -> TraceState: {link.trace_state}"
        yield f"     -> DroppedAttributesCount: {link.dropped_attributes_count}"
        yield from _attributes("     -> Attributes", link.attributes, "          -> ")


def _brief_log(record: LogRecord) -> Iterator[str]:
    yield _words(_text(record.body), _pairs(record.attributes))


def _full_log(index: int, record: LogRecord) -> Iterator[str]:
    severity = _enum(SeverityNumber, record.severity_number, "SEVERITY_NUMBER_")
    yield f"LogRecord #{index}"
    yield f"ObservedTimestamp: {_time(record.observed_time_unix_nano)}"
    yield f"Timestamp: {_time(record.time_unix_nano)}"
    yield f"SeverityText: {record.severity_text}"
    yield f"SeverityNumber: {severity}({record.severity_number})"
    if record.event_name:
        yield f"EventName: {record.event_name}"
    yield f"Body: {_typed(record.body)}"
    yield from _attributes("Attributes", record.attributes)
    yield from _dropped("DroppedAttributesCount", record.dropped_attributes_count)
    yield f"Trace ID: {record.trace_id.hex()}"
    yield f"Span ID: {record.span_id.hex()}"
    yield f"Flags: {record.flags}"


def _points(metric: Metric) -> Sequence[Any]:
    """The data points, whatever their kind."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def _brief_metric(metric: Metric) -> Iterator[str]:
    kind = metric.WhichOneof("data")
    for point in _points(metric):
        attributes = ",".join(f"{a.key}={_text(a.value)}" for a in point.attributes)
        if kind in ("gauge", "sum"):
            value = _number(point)
        else:
            value = _words(*(f"{name}={_short(number)}" for name, number in _statistics(point)), *_brief_buckets(point))
        yield f"{metric.name}{{{attributes}}} {value}"


def _full_metric(index: int, metric: Metric) -> Iterator[str]:
    kind = metric.WhichOneof("data") or "empty"
    title = "".join(word.capitalize() for word in kind.split("_"))
    yield f"Metric #{index}"
    yield "Descriptor:"
    yield f"     -> Name: {metric.name}"
    yield f"     -> Description: {metric.description}"
    yield f"     -> Unit: {metric.unit}"
    yield f"     -> DataType: {title}"
    if kind == "sum":
        yield f"     -> IsMonotonic: {str(metric.sum.is_monotonic).lower()}"
    if kind in ("sum", "histogram", "exponential_histogram"):
        number = getattr(metric, kind).aggregation_temporality
        temporality = _enum(AggregationTemporality, number, "AGGREGATION_TEMPORALITY_")
        yield f"     -> AggregationTemporality: {temporality}"
    yield from _attributes("     -> Metadata", metric.metadata, "          -> ")
    for i, point in enumerate(_points(metric)):
        yield f"{'Number' if kind in ('gauge', 'sum') else title}DataPoints #{i}"
        yield from _full_point(kind, point)


def _full_point(kind: str, point: Any) -> Iterator[str]:
    yield from _attributes("Data point attributes", point.attributes)
    yield f"StartTimestamp: {_time(point.start_time_unix_nano)}"
    yield f"Timestamp: {_time(point.time_unix_nano)}"
    yield from _dropped("Flags", point.flags)
    if kind in ("gauge", "sum"):
        yield f"Value: {_number(point)}"
    else:
        yield from (f"{name.capitalize()}: {_short(number)}" for name, number in _statistics(point))
        yield from _full_buckets(kind, point)
    if kind != "summary":
        yield from _exemplars(point.exemplars)


def _statistics(point: Any) -> Iterator[tuple[str, float]]:
    """Count, sum, min and max of a distribution, as far as they are there."""
    optional = {field.name for field in point.DESCRIPTOR.fields if field.has_presence}
    for name in ("count", "sum", "min", "max"):
        if name in point.DESCRIPTOR.fields_by_name and (name not in optional or point.HasField(name)):
            yield name, getattr(point, name)


def _brief_buckets(point: Any) -> Iterator[str]:
    fields = point.DESCRIPTOR.fields_by_name
    if "quantile_values" in fields:
        yield from (f"q{_short(q.quantile)}={_short(q.value)}" for q in point.quantile_values)
    elif "scale" in fields:
        yield from (f"{low}..{high}={count}" for low, high, count in _exponential_buckets(point))
    else:
        bounds = [f"le{_short(bound)}=" for bound in point.explicit_bounds] + [""] * len(point.bucket_counts)
        yield from (f"{bound}{count}" for bound, count in zip(bounds, point.bucket_counts, strict=False))


def _full_buckets(kind: str, point: Any) -> Iterator[str]:
    if kind == "summary":
        for i, q in enumerate(point.quantile_values):
            yield f"QuantileValue #{i}: Quantile {_short(q.quantile)}, Value {_short(q.value)}"
    elif kind == "exponential_histogram":
        for low, high, count in _exponential_buckets(point):
            yield f"Bucket {low}, {high}, Count: {count}"
    else:
        for i, bound in enumerate(point.explicit_bounds):
            yield f"ExplicitBounds #{i}: {_short(bound)}"
        for i, count in enumerate(point.bucket_counts):
            yield f"Buckets #{i}, Count: {count}"


def _exponential_buckets(point: Any) -> Iterator[tuple[str, str, int]]:
    """Lower bound, upper bound (with brackets) and count, from the lowest values to the highest."""

    def bound(index: int) -> str:
        try:
            return _short(math.exp2(math.ldexp(index, -point.scale)))
        except OverflowError:
            return "inf"

    negative: Sequence[int] = point.negative.bucket_counts
    for i, count in reversed(list(enumerate(negative, point.negative.offset))):
        yield f"[-{bound(i + 1)}", f"-{bound(i)})", count
    if point.zero_count:
        yield f"[{_short(-point.zero_threshold)}", f"{_short(point.zero_threshold)}]", point.zero_count
    for i, count in enumerate(point.positive.bucket_counts, point.positive.offset):
        yield f"({bound(i)}", f"{bound(i + 1)}]", count


def _exemplars(exemplars: Sequence[Exemplar]) -> Iterator[str]:
    if exemplars:
        yield "Exemplars:"
    for i, exemplar in enumerate(exemplars):
        yield f"Exemplar #{i}"
        yield f"     -> Trace ID: {exemplar.trace_id.hex()}"
        yield f"     -> Span ID: {exemplar.span_id.hex()}"
        yield f"     -> Timestamp: {_time(exemplar.time_unix_nano)}"
        yield f"     -> Value: {_number(exemplar)}"
        yield from _attributes("     -> FilteredAttributes", exemplar.filtered_attributes, "          -> ")


def _resource(resource: Resource) -> Iterator[str]:
    yield from _attributes("Resource attributes", resource.attributes)
    yield from _dropped("Resource dropped attributes count", resource.dropped_attributes_count)
    if resource.entity_refs:
        yield "Resource entity refs:"
    for i, entity in enumerate(resource.entity_refs):
        yield f"     -> Entity ref #{i}:"
        yield f"          -> Type: {entity.type}"
        if entity.schema_url:
            yield f"          -> Schema URL: {entity.schema_url}"
        for title, keys in (("ID keys", entity.id_keys), ("Description keys", entity.description_keys)):
            if keys:
                yield f"          -> {title}:"
            yield from (f"               -> {key}" for key in keys)


def _attributes(title: str, attributes: Sequence[KeyValue], indent: str = "     -> ") -> Iterator[str]:
    if attributes:
        yield f"{title}:"
    yield from (f"{indent}{a.key}: {_typed(a.value)}" for a in attributes)


def _dropped(title: str, count: int) -> Iterator[str]:
    if count:
        yield f"{title}: {count}"


def _columns(*rows: tuple[str, str]) -> Iterator[str]:
    yield from (f"    {name:<15}: {value}" for name, value in rows)


def _pairs(attributes: Sequence[KeyValue]) -> str:
    return " ".join(f"{a.key}={_text(a.value)}" for a in attributes)


def _words(*words: str) -> str:
    return " ".join(word for word in words if word)


def _bracketed(text: str) -> str:
    return f"[{text}]" if text else ""


_TYPE_NAMES = {
    "string_value": "Str",
    "bool_value": "Bool",
    "int_value": "Int",
    "double_value": "Double",
    "array_value": "Slice",
    "kvlist_value": "Map",
    "bytes_value": "Bytes",
}


def _typed(value: AnyValue) -> str:
    """The value with its type, ``Int(1)``."""
    return f"{_TYPE_NAMES.get(value.WhichOneof('value') or '', 'Empty')}({_text(value)})"


def _text(value: AnyValue) -> str:
    """The value alone; arrays and maps as JSON."""
    plain = _plain(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode("ascii")
        case None:
            return None
        case kind:
            return getattr(value, kind)


def _number(point: Any) -> str:
    """The value of a data point or an exemplar."""
    kind = point.WhichOneof("value")
    return _short(getattr(point, kind)) if kind else ""


def _short(number: float) -> str:
    """The shortest decimal that is read back as the same number; whole ones without a point."""
    return repr(number).removesuffix(".0")


def _enum(names: Any, number: int, prefix: str) -> str:
    """``SPAN_KIND_SERVER`` as ``Server``; a number without a name as it is."""
    try:
        return str(names.Name(number)).removeprefix(prefix).capitalize()
    except ValueError:
        return str(number)


def _time(unix_nano: int) -> str:
    """As the Collector writes it, ``2020-02-11 20:26:12.000000321 +0000 UTC``."""
    seconds, nano = divmod(unix_nano, 1_000_000_000)
    fraction = f".{nano:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


LAYOUTS = {
    Signal.TRACES: Layout(
        request=ExportTraceServiceRequest,
        resources="resource_spans",
        scopes="scope_spans",
        items="spans",
        resource_title="ResourceSpans",
        scope_title="ScopeSpans",
        brief=_brief_span,
        full=_full_span,
    ),
    Signal.METRICS: Layout(
        request=ExportMetricsServiceRequest,
        resources="resource_metrics",
        scopes="scope_metrics",
        items="metrics",
        resource_title="ResourceMetrics",
        scope_title="ScopeMetrics",
        brief=_brief_metric,
        full=_full_metric,
    ),
    Signal.LOGS: Layout(
        request=ExportLogsServiceRequest,
        resources="resource_logs",
        scopes="scope_logs",
        items="log_records",
        resource_title="ResourceLog",
        scope_title="ScopeLogs",
        brief=_brief_log,
        full=_full_log,
    ),
}
