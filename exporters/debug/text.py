"""What the `debug` exporter writes of a request: the Collector's layout, from messages of opentelemetry-proto."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Exemplar, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data import Signal
from airis.exporters.debug.profiles import brief_profile, full_profile, full_tables
from airis.exporters.debug.values import (
    attribute_lines,
    bracketed,
    columns,
    dropped_line,
    enum_name,
    number_of,
    pairs,
    short,
    text_of,
    timestamp,
    typed,
    words,
)


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
    brief: Callable[[Any, Any], Iterable[str]]
    """Of the request and an item."""
    full: Callable[[Any, int, Any], Iterable[str]]
    """Of the request, the item's place and the item."""
    tables: Callable[[Any], Iterable[str]] = lambda _request: ()
    """What items refer to, of the whole request."""

    def counts(self, request: Any, items: int) -> dict[str, int]:
        """The numbers shown for a batch."""
        counts = {self.resources: len(getattr(request, self.resources))}
        if self.items == "metrics":
            scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
            return {**counts, "metrics": sum(len(scope.metrics) for scope in scopes), "data_points": items}
        if self.items == "profiles":
            scopes = [scope for resource in request.resource_profiles for scope in resource.scope_profiles]
            return {**counts, "profiles": sum(len(scope.profiles) for scope in scopes), "samples": items}
        return {**counts, self.items: items}


def brief_lines(layout: Layout, request: Any) -> Iterator[str]:
    """One line for each resource, scope and item."""
    for r, resource in enumerate(getattr(request, layout.resources)):
        yield words(
            f"{layout.resource_title} #{r}", bracketed(resource.schema_url), pairs(resource.resource.attributes)
        )
        for s, group in enumerate(getattr(resource, layout.scopes)):
            scope = group.scope
            name = f"{scope.name}@{scope.version}" if scope.version else scope.name
            yield words(f"{layout.scope_title} #{s}", name, bracketed(group.schema_url), pairs(scope.attributes))
            for item in getattr(group, layout.items):
                yield from layout.brief(request, item)


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
            yield from attribute_lines("InstrumentationScope attributes", group.scope.attributes)
            yield from dropped_line(
                "InstrumentationScope dropped attributes count", group.scope.dropped_attributes_count
            )
            for i, item in enumerate(getattr(group, layout.items)):
                yield from layout.full(request, i, item)
    yield from layout.tables(request)


LINES: dict[str, Callable[[Layout, Any], Iterable[str]]] = {
    "basic": lambda _layout, _request: (),
    "normal": brief_lines,
    "detailed": full_lines,
}


def _brief_span(span: Span) -> Iterator[str]:
    yield words(span.name, span.trace_id.hex(), span.span_id.hex(), pairs(span.attributes))


def _full_span(index: int, span: Span) -> Iterator[str]:
    yield f"Span #{index}"
    yield from columns(
        ("Trace ID", span.trace_id.hex()),
        ("Parent ID", span.parent_span_id.hex()),
        ("ID", span.span_id.hex()),
        ("Name", span.name),
        ("Kind", enum_name(Span.SpanKind, span.kind, "SPAN_KIND_")),
    )
    if span.trace_state:
        yield from columns(("TraceState", span.trace_state))
    if span.flags:
        yield from columns(("Flags", f"{span.flags:#x}"))
    yield from columns(
        ("Start time", timestamp(span.start_time_unix_nano)),
        ("End time", timestamp(span.end_time_unix_nano)),
        ("Status code", enum_name(Status.StatusCode, span.status.code, "STATUS_CODE_")),
        ("Status message", span.status.message),
    )
    yield from dropped_line("    DroppedAttributesCount", span.dropped_attributes_count)
    yield from dropped_line("    DroppedEventsCount", span.dropped_events_count)
    yield from dropped_line("    DroppedLinksCount", span.dropped_links_count)
    yield from attribute_lines("Attributes", span.attributes)
    if span.events:
        yield "Events:"
    for i, event in enumerate(span.events):
        yield f"SpanEvent #{i}"
        yield f"     -> Name: {event.name}"
        yield f"     -> Timestamp: {timestamp(event.time_unix_nano)}"
        yield f"     -> DroppedAttributesCount: {event.dropped_attributes_count}"
        yield from attribute_lines("     -> Attributes", event.attributes, "          -> ")
    if span.links:
        yield "Links:"
    for i, link in enumerate(span.links):
        yield f"SpanLink #{i}"
        yield f"     -> Trace ID: {link.trace_id.hex()}"
        yield f"     -> ID: {link.span_id.hex()}"
        yield f"     -> TraceState: {link.trace_state}"
        yield f"     -> DroppedAttributesCount: {link.dropped_attributes_count}"
        yield from attribute_lines("     -> Attributes", link.attributes, "          -> ")


def _brief_log(record: LogRecord) -> Iterator[str]:
    yield words(text_of(record.body), pairs(record.attributes))


def _full_log(index: int, record: LogRecord) -> Iterator[str]:
    severity = enum_name(SeverityNumber, record.severity_number, "SEVERITY_NUMBER_")
    yield f"LogRecord #{index}"
    yield f"ObservedTimestamp: {timestamp(record.observed_time_unix_nano)}"
    yield f"Timestamp: {timestamp(record.time_unix_nano)}"
    yield f"SeverityText: {record.severity_text}"
    yield f"SeverityNumber: {severity}({record.severity_number})"
    if record.event_name:
        yield f"EventName: {record.event_name}"
    yield f"Body: {typed(record.body)}"
    yield from attribute_lines("Attributes", record.attributes)
    yield from dropped_line("DroppedAttributesCount", record.dropped_attributes_count)
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
        attributes = ",".join(f"{a.key}={text_of(a.value)}" for a in point.attributes)
        if kind in ("gauge", "sum"):
            value = number_of(point)
        else:
            value = words(*(f"{name}={short(number)}" for name, number in _statistics(point)), *_brief_buckets(point))
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
        temporality = enum_name(AggregationTemporality, number, "AGGREGATION_TEMPORALITY_")
        yield f"     -> AggregationTemporality: {temporality}"
    yield from attribute_lines("     -> Metadata", metric.metadata, "          -> ")
    for i, point in enumerate(_points(metric)):
        yield f"{'Number' if kind in ('gauge', 'sum') else title}DataPoints #{i}"
        yield from _full_point(kind, point)


def _full_point(kind: str, point: Any) -> Iterator[str]:
    yield from attribute_lines("Data point attributes", point.attributes)
    yield f"StartTimestamp: {timestamp(point.start_time_unix_nano)}"
    yield f"Timestamp: {timestamp(point.time_unix_nano)}"
    yield from dropped_line("Flags", point.flags)
    if kind in ("gauge", "sum"):
        yield f"Value: {number_of(point)}"
    else:
        yield from (f"{name.capitalize()}: {short(number)}" for name, number in _statistics(point))
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
        yield from (f"q{short(q.quantile)}={short(q.value)}" for q in point.quantile_values)
    elif "scale" in fields:
        yield from (f"{low}..{high}={count}" for low, high, count in _exponential_buckets(point))
    else:
        bounds = [f"le{short(bound)}=" for bound in point.explicit_bounds] + [""] * len(point.bucket_counts)
        yield from (f"{bound}{count}" for bound, count in zip(bounds, point.bucket_counts, strict=False))


def _full_buckets(kind: str, point: Any) -> Iterator[str]:
    if kind == "summary":
        for i, q in enumerate(point.quantile_values):
            yield f"QuantileValue #{i}: Quantile {short(q.quantile)}, Value {short(q.value)}"
    elif kind == "exponential_histogram":
        for low, high, count in _exponential_buckets(point):
            yield f"Bucket {low}, {high}, Count: {count}"
    else:
        for i, bound in enumerate(point.explicit_bounds):
            yield f"ExplicitBounds #{i}: {short(bound)}"
        for i, count in enumerate(point.bucket_counts):
            yield f"Buckets #{i}, Count: {count}"


def _exponential_buckets(point: Any) -> Iterator[tuple[str, str, int]]:
    """Lower bound, upper bound (with brackets) and count, from the lowest values to the highest."""

    def bound(index: int) -> str:
        try:
            return short(math.exp2(math.ldexp(index, -point.scale)))
        except OverflowError:
            return "inf"

    negative: Sequence[int] = point.negative.bucket_counts
    for i, count in reversed(list(enumerate(negative, point.negative.offset))):
        yield f"[-{bound(i + 1)}", f"-{bound(i)})", count
    if point.zero_count:
        yield f"[{short(-point.zero_threshold)}", f"{short(point.zero_threshold)}]", point.zero_count
    for i, count in enumerate(point.positive.bucket_counts, point.positive.offset):
        yield f"({bound(i)}", f"{bound(i + 1)}]", count


def _exemplars(exemplars: Sequence[Exemplar]) -> Iterator[str]:
    if exemplars:
        yield "Exemplars:"
    for i, exemplar in enumerate(exemplars):
        yield f"Exemplar #{i}"
        yield f"     -> Trace ID: {exemplar.trace_id.hex()}"
        yield f"     -> Span ID: {exemplar.span_id.hex()}"
        yield f"     -> Timestamp: {timestamp(exemplar.time_unix_nano)}"
        yield f"     -> Value: {number_of(exemplar)}"
        yield from attribute_lines("     -> FilteredAttributes", exemplar.filtered_attributes, "          -> ")


def _resource(resource: Resource) -> Iterator[str]:
    yield from attribute_lines("Resource attributes", resource.attributes)
    yield from dropped_line("Resource dropped attributes count", resource.dropped_attributes_count)
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


LAYOUTS = {
    Signal.TRACES: Layout(
        request=ExportTraceServiceRequest,
        resources="resource_spans",
        scopes="scope_spans",
        items="spans",
        resource_title="ResourceSpans",
        scope_title="ScopeSpans",
        brief=lambda _request, span: _brief_span(span),
        full=lambda _request, index, span: _full_span(index, span),
    ),
    Signal.METRICS: Layout(
        request=ExportMetricsServiceRequest,
        resources="resource_metrics",
        scopes="scope_metrics",
        items="metrics",
        resource_title="ResourceMetrics",
        scope_title="ScopeMetrics",
        brief=lambda _request, metric: _brief_metric(metric),
        full=lambda _request, index, metric: _full_metric(index, metric),
    ),
    Signal.LOGS: Layout(
        request=ExportLogsServiceRequest,
        resources="resource_logs",
        scopes="scope_logs",
        items="log_records",
        resource_title="ResourceLog",
        scope_title="ScopeLogs",
        brief=lambda _request, log: _brief_log(log),
        full=lambda _request, index, log: _full_log(index, log),
    ),
    Signal.PROFILES: Layout(
        request=ExportProfilesServiceRequest,
        resources="resource_profiles",
        scopes="scope_profiles",
        items="profiles",
        resource_title="ResourceProfiles",
        scope_title="ScopeProfiles",
        brief=lambda request, profile: brief_profile(request.dictionary, profile),
        full=lambda request, index, profile: full_profile(request.dictionary, index, profile),
        tables=lambda request: full_tables(request.dictionary),
    ),
}
