"""Check a payload once at the door, and count what is in it."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from airis.data.malformed import MalformedPayload
from airis.proto import otlp, wire


def validate(signal: str, payload: bytes) -> tuple[bytes, int, int]:
    """The payload with invalid UTF-8 repaired, its number of items, and the number of repaired strings.

    A payload with nothing to repair is handed back as the same object. Raises MalformedPayload.
    """
    repaired = 0
    try:
        message = otlp.parse(signal, payload)
    except DecodeError:
        # protobuf's parser refuses a whole request for one bad string and does not say where it is.
        payload, repaired = wire.repair(payload, otlp.layout(signal).request.DESCRIPTOR)
        try:
            message = otlp.parse(signal, payload)
        except DecodeError as error:
            raise MalformedPayload(f"not an OTLP {signal} request: {error}") from None
    return payload, _items(signal, message), repaired


def count_items(signal: str, payload: bytes) -> int:
    """The number of items, from lengths alone, without reading the items."""
    return count_below(payload, otlp.layout(signal).levels)


def count_below(data: bytes, levels: Iterable[frozenset[int]]) -> int:
    """The number of messages that stand so many levels below another one, at fields with these numbers."""
    spans = [(0, len(data))]
    for numbers in levels:
        spans = [
            (field.content, field.end)
            for start, end in spans
            for field in last_member(
                field
                for field in wire.fields(data, start, end)
                if field.number in numbers and field.wire_type == wire.LENGTH
            )
        ]
    return len(spans)


def last_member(fields: Iterable[wire.Field]) -> list[wire.Field]:
    """What counts of fields that lead to items: of a oneof the last member, which begins anew behind another one."""
    counting: list[wire.Field] = []
    for field in fields:
        if counting and counting[-1].number != field.number:
            counting = []
        counting.append(field)
    return counting


def _items(signal: str, message: Any) -> int:
    if signal == "traces":
        return sum(len(scope.spans) for owner in message.resource_spans for scope in owner.scope_spans)
    if signal == "logs":
        return sum(len(scope.log_records) for owner in message.resource_logs for scope in owner.scope_logs)
    if signal == "profiles":
        scopes = (scope for owner in message.resource_profiles for scope in owner.scope_profiles)
        return sum(len(profile.samples) for scope in scopes for profile in scope.profiles)
    return sum(
        len(getattr(metric, kind).data_points)
        for owner in message.resource_metrics
        for scope in owner.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data")) is not None
    )
