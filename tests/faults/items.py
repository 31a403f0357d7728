"""Items that say who they are: a run, a producer and a sequence, and a content that follows from these."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

SIGNALS = ("traces", "logs", "metrics")
REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
POISON = "poison"
"""In the text of an item that nobody can take."""


class Stamp(NamedTuple):
    """An item as it was issued, or as it was found: its name, and a digest of all that it holds."""

    key: str
    digest: str


def key_of(run: str, producer: int, sequence: int) -> str:
    return f"{run}/{producer}/{sequence}"


def request_of(
    signal: str, run: str, producer: int, sequences: Iterable[int], base_unix_nano: int, *, filler: str = ""
) -> Any:
    """One OTLP request; every item is a millisecond after the one before."""
    request = REQUESTS[signal]()
    about = Resource(attributes=[_attribute("service.name", run)])
    if signal == "traces":
        spans = request.resource_spans.add(resource=about).scope_spans.add().spans
    elif signal == "logs":
        records = request.resource_logs.add(resource=about).scope_logs.add().log_records
    else:
        gauge = request.resource_metrics.add(resource=about).scope_metrics.add().metrics.add(name="fault_points").gauge
    for sequence in sequences:
        key = key_of(run, producer, sequence)
        content = hashlib.sha256(key.encode()).digest()
        at = base_unix_nano + sequence * 1_000_000
        if signal == "traces":
            spans.add(
                name="fault",
                trace_id=content[:16],
                span_id=content[16:24],
                start_time_unix_nano=at,
                end_time_unix_nano=at + 1000 + sequence % 1000,
                attributes=[_attribute("fault.key", key), _attribute("fault.text", content.hex() + filler)],
            )
        elif signal == "logs":
            records.add(
                time_unix_nano=at,
                severity_number=9,
                body=AnyValue(string_value=content.hex() + filler),
                attributes=[_attribute("fault.key", key)],
            )
        else:
            # What a point holds is its value: 48 bits, which a double has room for.
            points = gauge.data_points
            points.add(time_unix_nano=at, as_double=float(int.from_bytes(content[:6], "big")))
            points[-1].attributes.append(_attribute("fault.producer", f"{run}/{producer}"))
            points[-1].attributes.append(_attribute("fault.base", str(base_unix_nano)))
    return request


def stamps_of(signal: str, request: Any) -> Iterator[Stamp]:
    """Who is in a request, computed from what it holds now."""
    if signal == "traces":
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    at, end = span.start_time_unix_nano, span.end_time_unix_nano
                    text = _text(span.attributes, "fault.text")
                    key = _text(span.attributes, "fault.key")
                    yield span_stamp(key, span.trace_id.hex(), span.span_id.hex(), at, end - at, text)
    elif signal == "logs":
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    key = _text(record.attributes, "fault.key")
                    yield record_stamp(key, record.time_unix_nano, record.body.string_value)
    else:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.gauge.data_points:
                        producer = _text(point.attributes, "fault.producer")
                        base = _text(point.attributes, "fault.base")
                        yield point_stamp(producer, base, point.time_unix_nano, point.as_double)


def span_stamp(key: str, trace_id: str, span_id: str, at: int, duration: int, text: str) -> Stamp:
    return Stamp(key, _digest(key, trace_id, span_id, at, duration, text))


def record_stamp(key: str, at: int, text: str) -> Stamp:
    return Stamp(key, _digest(key, at, text))


def point_stamp(producer: str, base: str, at: int, value: float) -> Stamp:
    """A point's sequence is its time."""
    key = f"{producer}/{(at - int(base or 0)) // 1_000_000}"
    return Stamp(key, _digest(key, at, int(value)))


def is_poison(request: Any) -> bool:
    return POISON.encode() in request.SerializeToString()


def _digest(*fields: object) -> str:
    return hashlib.sha256("\x1f".join(map(str, fields)).encode()).hexdigest()[:16]


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _text(attributes: Iterable[KeyValue], key: str) -> str:
    return next((each.value.string_value for each in attributes if each.key == key), "")
