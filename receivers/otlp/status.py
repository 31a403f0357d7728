"""The answers: what an outcome is in gRPC's and HTTP's codes, and their bodies in both encodings.

After the Collector's map (receiver/otlpreceiver/internal/errors) but for Permanent, which is INTERNAL and 500
there: some SDKs send a request again after any 5xx, and this one would only fail again.
"""

import math
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from airis.component import ConsumeError, Partial, Retryable
from airis.component.intake import IntakeError, TooLarge, UnknownEncoding
from airis.data import Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Encoding

MAX_MESSAGE_CHARS = 500
"""A message goes into gRPC's trailers, twice; clients take 8 KiB of them and see another error beyond."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An outcome other than success."""

    code: int
    """google.rpc.Code"""
    http_status: int
    message: str
    retry_after_s: float | None = None

    def status(self) -> Status:
        """The google.rpc.Status, with RetryInfo where the delay is known."""
        status = Status(code=self.code, message=self.message)
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromNanoseconds(round(self.retry_after_s * 1e9))
            status.details.add().Pack(RetryInfo(retry_delay=delay))
        return status

    def http_headers(self) -> list[tuple[bytes, bytes]]:
        """Retry-After, in whole seconds, never too early."""
        if self.retry_after_s is None:
            return []
        return [(b"retry-after", str(math.ceil(self.retry_after_s)).encode())]


def refusal(error: ConsumeError | MalformedPayload | IntakeError) -> Refusal:
    """What a client is told of an error."""
    message = str(error)[:MAX_MESSAGE_CHARS]
    match error:
        case Retryable():
            return Refusal(Code.UNAVAILABLE, 503, message, error.retry_after)
        case TooLarge():
            return Refusal(Code.RESOURCE_EXHAUSTED, 413, message)
        case UnknownEncoding():
            return Refusal(Code.INVALID_ARGUMENT, 415, message)
        case _:
            return Refusal(Code.INVALID_ARGUMENT, 400, message)


def success(signal: Signal, encoding: Encoding, partial: Partial | None = None) -> bytes:
    """The body of a full success, or of a partial one."""
    if partial is None:
        return b"{}" if encoding == "json" else b""
    return encode(_partial_success(signal, partial), encoding)


def encode(message: Message, encoding: Encoding) -> bytes:
    """A small message in the request's encoding; neither Status nor the responses have ids, so that JSON is JSON."""
    if encoding == "json":
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()


def _partial_success(signal: Signal, partial: Partial) -> Message:
    if signal is Signal.TRACES:
        traces = ExportTraceServiceResponse()
        traces.partial_success.rejected_spans = partial.rejected
        traces.partial_success.error_message = partial.reason
        return traces
    if signal is Signal.METRICS:
        metrics = ExportMetricsServiceResponse()
        metrics.partial_success.rejected_data_points = partial.rejected
        metrics.partial_success.error_message = partial.reason
        return metrics
    if signal is Signal.PROFILES:
        profiles = ExportProfilesServiceResponse()
        # Samples are counted here; how many profiles they are of is not known.
        profiles.partial_success.rejected_profiles = partial.rejected
        message = f"{partial.rejected} samples: {partial.reason}" if partial.rejected else partial.reason
        profiles.partial_success.error_message = message
        return profiles
    logs = ExportLogsServiceResponse()
    logs.partial_success.rejected_log_records = partial.rejected
    logs.partial_success.error_message = partial.reason
    return logs
