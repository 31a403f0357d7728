"""Spans and log records to be sampled, and what they should become, computed as the specifications say it."""

from fractions import Fraction
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.proto import otlp

WHOLE = 1 << 56
KINDS = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}


def attributes(given: dict[str, Any]) -> list[KeyValue]:
    """Attributes as messages."""
    return [
        KeyValue(key=key, value=AnyValue() if value is None else AnyValue(**{KINDS[type(value)]: value}))
        for key, value in given.items()
    ]


def spans(*given: tuple[bytes, str] | tuple[bytes, str, dict[str, Any]]) -> bytes:
    """One resource and scope with spans of a trace id, a trace state and attributes."""
    request = otlp.layout("traces").request()
    scoped = request.resource_spans.add().scope_spans.add()
    for trace_id, state, *more in given:
        scoped.spans.add(trace_id=trace_id, trace_state=state, attributes=attributes(more[0] if more else {}))
    return request.SerializeToString()


def records(*given: tuple[bytes, dict[str, Any]]) -> bytes:
    """One resource and scope with log records of a trace id and attributes."""
    request = otlp.layout("logs").request()
    scoped = request.resource_logs.add().scope_logs.add()
    for trace_id, pairs in given:
        scoped.log_records.add(trace_id=trace_id, attributes=attributes(pairs))
    return request.SerializeToString()


def items(signal: str, payload: bytes) -> list[Any]:
    """The spans or log records of all resources."""
    request = otlp.parse(signal, payload)
    if signal == "traces":
        return [s for owner in request.resource_spans for scoped in owner.scope_spans for s in scoped.spans]
    return [r for owner in request.resource_logs for scoped in owner.scope_logs for r in scoped.log_records]


def states(payload: bytes) -> list[str]:
    """The trace states of all spans."""
    return [span.trace_state for span in items("traces", payload)]


def pairs(payload: bytes) -> list[dict[str, Any]]:
    """The attributes of all log records."""
    return [
        {entry.key: getattr(entry.value, entry.value.WhichOneof("value") or "", None) for entry in record.attributes}
        for record in items("logs", payload)
    ]


def fnv1a(seed: int, content: bytes) -> int:
    """FNV-1a of 32 bits (draft-eastlake-fnv) over the seed, least byte first, and the content."""
    number = 2166136261
    for byte in [seed & 255, seed >> 8 & 255, seed >> 16 & 255, seed >> 24, *content]:
        number = (number ^ byte) * 16777619 % 2**32
    return number


def is_kept_by_hash(seed: int, content: bytes, percentage: int) -> bool:
    """The choice as the first of the Collector's samplers made it: for whole percentages, of 16384 buckets."""
    return fnv1a(seed, content) % 16384 < percentage * 16384 // 100


def exact_threshold(share: Fraction, precision: int) -> str:
    """The digits of a threshold, in exact arithmetic: those that are all 0 or all f in front do not count."""
    rejected = 1 - share
    digits = precision
    while digits < 14 and min(share, rejected) * 16 ** (digits - precision + 1) < 1:
        digits += 1
    number = int(rejected * 16**digits + Fraction(1, 2))
    return f"{number:0{digits}x}".rstrip("0") or "0"
