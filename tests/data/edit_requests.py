"""Requests with something at every level to edit, and what is found in them afterwards."""

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.edits import (
    Edit,
)
from airis.data.fields import Attribute, Level
from airis.proto import otlp

METRIC_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def value(literal: Any) -> AnyValue:
    """A literal as a message."""
    match literal:
        case AnyValue():
            return literal
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=literal)
        case int():
            return AnyValue(int_value=literal)
        case float():
            return AnyValue(double_value=literal)
        case str():
            return AnyValue(string_value=literal)
        case bytes():
            return AnyValue(bytes_value=literal)
    made = AnyValue()
    if isinstance(literal, dict):
        made.kvlist_value.SetInParent()
        made.kvlist_value.values.extend(pairs(**literal))
    else:
        made.array_value.SetInParent()
        made.array_value.values.extend(map(value, literal))
    return made


def pairs(**literals: Any) -> list[KeyValue]:
    """Attributes."""
    return [KeyValue(key=key, value=value(literal)) for key, literal in literals.items()]


def traces(*spans: Span) -> bytes:
    """Spans in one scope."""
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource", r=1))
    scoped = owner.scope_spans.add(schema_url="https://s", spans=spans)
    scoped.scope.name, scoped.scope.version = "lib", "1"
    scoped.scope.attributes.extend(pairs(a="scope", s=1))
    return request.SerializeToString()


def full_span() -> Span:
    """A span with an event and a link, each with attributes."""
    span = Span(name="get", kind=2, trace_state="k=v", start_time_unix_nano=1, end_time_unix_nano=2, flags=3)
    span.trace_id, span.span_id, span.parent_span_id = b"\x01" * 16, b"\x02" * 8, b"\x03" * 8
    span.status.code, span.status.message = 2, "bad"  # type: ignore[assignment]
    span.attributes.extend(pairs(a="item", b=True))
    for number in range(2):
        span.events.add(name="event", time_unix_nano=9).attributes.extend(pairs(a="event", n=number))
        span.links.add(trace_id=b"\x04" * 16, trace_state="l=v", flags=4).attributes.extend(pairs(a="link", n=number))
    return span


def logs() -> bytes:
    """One log record with everything."""
    request = ExportLogsServiceRequest()
    owner = request.resource_logs.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource"))
    scoped = owner.scope_logs.add(schema_url="https://s")
    scoped.scope.attributes.extend(pairs(a="scope"))
    record = scoped.log_records.add(severity_text="INFO", event_name="e", flags=1, trace_id=b"\xab\xcd")
    record.severity_number, record.time_unix_nano, record.observed_time_unix_nano = 9, 1, 2  # type: ignore[assignment]
    record.body.CopyFrom(value({"user": {"id": 7}, "list": ["x", "y"]}))
    record.attributes.extend(pairs(a="item"))
    return request.SerializeToString()


def metrics() -> bytes:
    """A metric of each kind with two points, exemplars where there can be some."""
    request = ExportMetricsServiceRequest()
    owner = request.resource_metrics.add(schema_url="https://r")
    owner.resource.attributes.extend(pairs(a="resource"))
    scoped = owner.scope_metrics.add(schema_url="https://s")
    scoped.scope.attributes.extend(pairs(a="scope"))
    for kind in METRIC_KINDS:
        metric = scoped.metrics.add(name=kind, unit="s", description="d")
        metric.metadata.extend(pairs(a="metric"))
        for number in range(2):
            point = getattr(metric, kind).data_points.add(start_time_unix_nano=1, time_unix_nano=2, flags=1)
            point.attributes.extend(pairs(a="item", n=number))
            if kind != "summary":
                exemplar = point.exemplars.add(time_unix_nano=3, trace_id=b"\x05" * 16)
                exemplar.filtered_attributes.extend(pairs(a="exemplar"))
    return request.SerializeToString()


PAYLOADS = {"traces": traces(full_span()), "metrics": metrics(), "logs": logs()}


LEVELS: list[tuple[str, Level]] = [
    *(("traces", level) for level in ("resource", "scope", "item", "event", "link")),
    *(("metrics", level) for level in ("resource", "scope", "metric", "item", "exemplar")),
    *(("logs", level) for level in ("resource", "scope", "item")),
]  # type: ignore[list-item]


def edited(kernels: Any, signal: str, payload: bytes, *edits: Edit, mask: bytes | None = None) -> bytes:
    """The payload after the edits."""
    return kernels.scan(signal, payload).edit(kernels.Edits(edits), mask).payload


def messages(signal: str, payload: bytes, level: Level) -> list[Any]:
    """All messages at a level."""
    found: list[Any] = [otlp.parse(signal, payload)]
    steps = {
        "traces": ["resource_spans", "scope_spans", "spans"],
        "metrics": ["resource_metrics", "scope_metrics", "metrics"],
        "logs": ["resource_logs", "scope_logs", "log_records"],
    }[signal]
    for step in steps[: {"resource": 1, "scope": 2}.get(level, 3)]:
        found = [inner for message in found for inner in getattr(message, step)]
    if level in ("resource", "scope"):
        return [getattr(message, level) for message in found]
    if signal == "metrics" and level != "metric":
        found = [point for metric in found for point in getattr(metric, metric.WhichOneof("data")).data_points]
    if level in ("event", "link", "exemplar"):
        found = [inner for message in found for inner in getattr(message, f"{level}s", ())]
    return found


def attributes(signal: str, payload: bytes, level: Level) -> list[list[KeyValue]]:
    """The attributes of all messages at a level."""
    name = {"metric": "metadata", "exemplar": "filtered_attributes"}.get(level, "attributes")
    return [list(getattr(message, name)) for message in messages(signal, payload, level)]


def after(kernels: Any, before: list[KeyValue], *edits: Edit) -> list[KeyValue]:
    """What the attributes of a span become."""
    payload = edited(kernels, "traces", traces(Span(attributes=before)), *edits)
    [found] = attributes("traces", payload, "item")
    return found


def item(key: str, *path: str | int) -> Attribute:
    """An attribute of an item."""
    return Attribute("item", key, path)
