"""What OTLP servers answer, read by a client that trusts nothing in it (docs/specification.md, "Failures")."""

from typing import Any, cast

import orjson
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

MAX_RETRY_AFTER_S = 3600.0
"""The longest wait that a server is believed to mean."""

_REJECTED = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
    "profiles": "rejectedProfiles",
}


class UnreadableAnswer(ValueError):
    """It is not what it should be."""


def partial_success(signal: str, body: bytes, *, is_json: bool = False) -> tuple[int, str]:
    """How many items a server did not take, and what it says of it; 0 and empty for a full success.

    Raises UnreadableAnswer.
    """
    if not body:
        return 0, ""
    if is_json:
        return _partial_success_json(signal, body)
    try:
        # The response of every signal has these fields, under names of its own.
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError as error:
        raise UnreadableAnswer(f"not an OTLP response: {error}") from error
    return max(0, partial.rejected_spans), partial.error_message


def _partial_success_json(signal: str, body: bytes) -> tuple[int, str]:
    try:
        partial = _object(_object(orjson.loads(body)).get("partialSuccess"))
        return max(0, int(partial.get(_REJECTED[signal]) or 0)), str(partial.get("errorMessage") or "")
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableAnswer(f"not an OTLP response: {error}") from error


def status_message(body: bytes, *, is_json: bool = False) -> str:
    """The message of a google.rpc.Status; raises UnreadableAnswer."""
    try:
        if is_json:
            return str(_object(orjson.loads(body)).get("message") or "")
        return str(Status.FromString(body).message)
    except (DecodeError, ValueError) as error:
        raise UnreadableAnswer(f"not a google.rpc.Status: {error}") from error


def retry_info_s(status: bytes) -> float | None:
    """The seconds that the RetryInfo in an encoded google.rpc.Status asks to wait; None where there is none."""
    try:
        for detail in Status.FromString(status).details:
            info = RetryInfo()
            if detail.Unpack(info):
                delay = info.retry_delay
                seconds: float = delay.seconds + delay.nanos / 1e9
                return min(max(0.0, seconds), MAX_RETRY_AFTER_S)
    except DecodeError:
        pass
    return None


def _object(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, Any]", value)
