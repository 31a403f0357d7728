"""OTLP requests as a table, path of a field → value, and as a list to compare; read without airis's own codecs."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

SIGNALS = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
}


def parse_json(signal: str, text: str) -> Message:
    """The request in one OTLP/JSON document: protobuf's mapping, but for ids in hex."""
    return ParseDict(_with_base64_ids(json.loads(text or "{}")), SIGNALS[signal][0]())


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_base64_ids(item)
        for key, item in value.items()
    }


def items(signal: str, message: Message) -> Iterator[tuple[Message, Message, Message]]:
    """Every span, log record or metric with the messages of its resource and scope."""
    _, resources, scopes, name = SIGNALS[signal]
    for owner in getattr(message, resources):
        for scoped in getattr(owner, scopes):
            for item in getattr(scoped, name):
                yield owner, scoped, item


def table(signal: str, message: Message) -> dict[str, object]:
    """Every field that is set: ``resource.…`` and ``scope.…`` once, those of an item behind its name."""
    told: dict[str, object] = {}
    for owner, scoped, item in items(signal, message):
        name = item.name if signal != "logs" else item.event_name or item.body.string_value  # type: ignore[attr-defined]
        shared = {"resource": owner.resource, "scope": scoped.scope}  # type: ignore[attr-defined]
        lines = [line for prefix, part in shared.items() for line in _fields(prefix, part)]
        lines += [("resource.schema_url", owner.schema_url), ("scope.schema_url", scoped.schema_url)]  # type: ignore[attr-defined]
        for path, value in [*lines, *_fields(name, item)]:
            assert told.setdefault(path, value) == value, f"{path} is there twice: {told[path]!r}, {value!r}"
    return told


def _fields(path: str, message: Message) -> Iterator[tuple[str, object]]:
    for field, value in message.ListFields():
        inside = f"{path}.{field.name}"
        if field.message_type is None:
            yield inside, _scalar(field, list(value) if field.is_repeated else value)
        elif field.message_type.name == "KeyValue":
            yield from ((f"{inside}.{pair.key}", plain(pair.value)) for pair in value)
        elif field.message_type.name == "AnyValue":
            yield inside, plain(value)
        elif field.is_repeated:
            for index, part in enumerate(value):
                yield from _fields(f"{inside}[{index}]", part)
        else:
            yield from _fields(inside, value)


def _scalar(field: Any, value: Any) -> object:
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value.hex() if isinstance(value, bytes) else value


def plain(value: AnyValue) -> object:
    """An attribute's value or a body in Python's types, which tell OTLP's apart."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


def exactly(signal: str, messages: list[Message]) -> list[tuple[bytes, ...]]:
    """Every span, log record or data point with all that belongs to it, in an order of their own.

    An empty message inside says the same as an absent one, see docs/decisions/0002-exact-round-trip.md.
    """
    return sorted(
        (_dump(owner.resource), owner.schema_url.encode(), _dump(scoped.scope), scoped.schema_url.encode(), _dump(part))
        for message in messages
        for owner, scoped, item in items(signal, message)
        for part in (_single_points(item) if signal == "metrics" else [item])
    )


def _single_points(metric: Message) -> Iterator[Message]:
    kind = metric.WhichOneof("data")
    assert kind is not None
    for point in getattr(metric, kind).data_points:
        single = type(metric)()
        single.CopyFrom(metric)
        del getattr(single, kind).data_points[:]
        getattr(single, kind).data_points.append(point)
        yield single


def _dump(message: Message) -> bytes:
    copy = type(message)()
    copy.CopyFrom(message)
    _drop_empty(copy)
    return copy.SerializeToString(deterministic=True)


def _drop_empty(message: Message) -> None:
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.name == "AnyValue":
            continue
        for part in value if field.is_repeated else [value]:
            _drop_empty(part)
        if not field.is_repeated and field.containing_oneof is None and not value.ByteSize():
            message.ClearField(field.name)
