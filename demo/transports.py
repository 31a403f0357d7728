"""OTLP to a server: gRPC with raw bytes, HTTP with protobuf or JSON, one attempt each."""

import ipaddress
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import aiohttp
import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from airis.component import Permanent, Retryable
from airis.data import Signal
from airis.demo.sender import Answer, Transport

M = TypeVar("M", bound=Message)

REQUEST_TIMEOUT_S = 30.0

# OTLP specification, "Failures": the codes that a client may answer by sending the same request again.
_RETRYABLE_CODES = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})


class WireProtocol(StrEnum):
    """How requests travel."""

    GRPC = "grpc"
    HTTP = "http"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go and how; ``endpoint`` is ``host:port`` or a URL, empty for this machine's default port."""

    protocol: WireProtocol = WireProtocol.GRPC
    endpoint: str = ""
    insecure: bool | None = None
    """Plaintext; when unset, as the endpoint's scheme says, otherwise plaintext to loopback addresses only."""
    path: str = ""
    """HTTP path instead of ``/v1/<signal>``."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    skip_verify: bool = False
    timeout_s: float = REQUEST_TIMEOUT_S
    """The longest wait for the answer to one attempt; 0 or infinity is for ever."""

    @property
    def patience_s(self) -> float | None:
        """The timeout as libraries have it, None for ever."""
        return self.timeout_s if self.timeout_s and math.isfinite(self.timeout_s) else None

    @property
    def authority(self) -> str:
        """``host:port``."""
        return self._url.netloc

    @property
    def base_path(self) -> str:
        """The path in the endpoint, without a slash at its end."""
        return self._url.path.rstrip("/")

    @property
    def plaintext(self) -> bool:
        """Whether the connection goes without TLS."""
        if self.insecure is not None:
            return self.insecure
        if self._url.scheme:
            return self._url.scheme == "http"
        return _is_loopback(self._url.hostname or "")

    @property
    def _url(self) -> SplitResult:
        default_port = 4317 if self.protocol is WireProtocol.GRPC else 4318
        endpoint = self.endpoint or f"localhost:{default_port}"
        if "://" in endpoint:
            return urlsplit(endpoint)
        url = urlsplit(f"//{endpoint}")
        return url if url.port else url._replace(netloc=f"{url.netloc}:{default_port}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def connect(target: Target, encode_json: Callable[[str, bytes], bytes] | None = None) -> Transport:
    """The transport for a target; opens nothing before the first request.

    ``encode_json`` turns a protobuf payload into OTLP/JSON and is asked only for ``WireProtocol.JSON``.
    """
    if target.protocol is WireProtocol.GRPC:
        return GrpcTransport(target)
    if target.protocol is WireProtocol.JSON and encode_json is None:
        from airis.data.kernels import to_json

        encode_json = to_json
    return HttpTransport(target, encode_json if target.protocol is WireProtocol.JSON else None)


_SERVICES: dict[Signal, str] = {
    Signal.TRACES: "trace.v1.TraceService",
    Signal.METRICS: "metrics.v1.MetricsService",
    Signal.LOGS: "logs.v1.LogsService",
}


class GrpcTransport:
    """Unary calls with the payload as it is."""

    def __init__(self, target: Target) -> None:
        if target.skip_verify:
            raise ValueError("gRPC cannot leave out the check of the server's certificate; name its authority instead")
        self._target = target
        self._channel: grpc.aio.Channel | None = None

    def _open(self) -> grpc.aio.Channel:
        target = self._target
        # The sender repeats by the rules of OTLP; gRPC's own retries would be counted nowhere.
        options = [("grpc.enable_retries", 0), ("grpc.max_send_message_length", -1)]
        if target.plaintext:
            return grpc.aio.insecure_channel(target.authority, options=options)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=target.ca_cert.read_bytes() if target.ca_cert else None,
            private_key=target.client_key.read_bytes() if target.client_key else None,
            certificate_chain=target.client_cert.read_bytes() if target.client_cert else None,
        )
        return grpc.aio.secure_channel(target.authority, credentials, options=options)

    async def export(self, signal: Signal, payload: bytes) -> Answer:
        """One call; without an answer in time it counts as refused."""
        if self._channel is None:
            self._channel = self._open()
        method = f"/opentelemetry.proto.collector.{_SERVICES[signal]}/Export"
        call = cast(
            "Callable[..., Awaitable[bytes]]",
            self._channel.unary_unary(method, None, None),  # pyright: ignore[reportUnknownMemberType]
        )
        metadata = tuple((name.lower(), value) for name, value in self._target.headers.items())
        try:
            body = await call(payload, timeout=self._target.patience_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error
        return _read_answer(signal, body)

    async def shutdown(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None


def _refusal(error: grpc.aio.AioRpcError) -> Retryable | Permanent:
    if "http1.x server" in (error.details() or ""):
        return Permanent("it speaks HTTP and not gRPC, as port 4318 does; choose --protocol http, or port 4317")
    reason = f"{error.code().name}: {error.details()}"
    retry_after = _retry_info_s(error)
    exhausted = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    if error.code() in _RETRYABLE_CODES or (exhausted and retry_after is not None):
        return Retryable(reason, retry_after)
    return Permanent(reason)


def _retry_info_s(error: grpc.aio.AioRpcError) -> float | None:
    """The delay in the answer's RetryInfo, which gRPC carries in a trailer; None without one."""
    for name, value in cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ()):
        if name == "grpc-status-details-bin":
            try:
                details = Status.FromString(cast("bytes", value)).details
            except DecodeError:
                return None
            for detail in details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


class HttpTransport:
    """POST to ``/v1/<signal>``, as protobuf or, with ``encode_json``, as JSON."""

    def __init__(self, target: Target, encode_json: Callable[[str, bytes], bytes] | None) -> None:
        self._target = target
        self._encode_json = encode_json
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=True if self._target.plaintext else self._tls(), limit=0)
        timeout = aiohttp.ClientTimeout(total=self._target.patience_s)
        content_type = "application/json" if self._encode_json else "application/x-protobuf"
        headers = {"Content-Type": content_type, **self._target.headers}
        return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)

    def _tls(self) -> ssl.SSLContext:
        target = self._target
        context = ssl.create_default_context(cafile=target.ca_cert)
        if target.client_cert:
            context.load_cert_chain(target.client_cert, target.client_key)
        if target.skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _url(self, signal: Signal) -> str:
        target = self._target
        path = target.path or f"/v1/{signal}"
        return f"{'http' if target.plaintext else 'https'}://{target.authority}{target.base_path}/{path.lstrip('/')}"

    async def export(self, signal: Signal, payload: bytes) -> Answer:
        """One POST; a lost connection and no answer within 30 s count as refused."""
        if self._session is None:
            self._session = self._open()
        data = self._encode_json(signal, payload) if self._encode_json else payload
        try:
            async with self._session.post(self._url(signal), data=data, allow_redirects=False) as response:
                body = await response.read()
        except aiohttp.ClientResponseError as error:
            # Frames of HTTP/2, which aiohttp takes for a status line.
            reason = "it does not speak HTTP/1, as port 4317 does not; choose --protocol grpc, or port 4318"
            raise Permanent(reason) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Retryable(f"no answer: {error or 'timed out'}") from error
        is_json = response.content_type == "application/json"
        if response.status == 200:
            return _read_answer(signal, body, is_json=is_json)
        reason = f"{response.status} {response.reason}: {_error_message(body, is_json=is_json)}".rstrip(": ")
        if response.status in _RETRYABLE_STATUSES:
            raise Retryable(reason, retry_after_s(response.headers.get("Retry-After")))
        raise Permanent(reason)

    async def shutdown(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def retry_after_s(header: str | None, clock: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks to wait, written as a number or as a date; None when it says neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - clock())
    except ValueError:
        return None


def _read_answer(signal: Signal, body: bytes, *, is_json: bool = False) -> Answer:
    """The rejected count and the message of an Export response."""
    try:
        if signal is Signal.TRACES:
            traces = _decode(ExportTraceServiceResponse(), body, is_json=is_json).partial_success
            return Answer(traces.rejected_spans, traces.error_message)
        if signal is Signal.METRICS:
            metrics = _decode(ExportMetricsServiceResponse(), body, is_json=is_json).partial_success
            return Answer(metrics.rejected_data_points, metrics.error_message)
        logs = _decode(ExportLogsServiceResponse(), body, is_json=is_json).partial_success
        return Answer(logs.rejected_log_records, logs.error_message)
    except (DecodeError, json_format.ParseError) as error:
        raise Permanent(f"the answer is not an OTLP response: {error}") from error


def _error_message(body: bytes, *, is_json: bool) -> str:
    """The message of a google.rpc.Status, or the beginning of whatever else the server answered."""
    try:
        return str(_decode(Status(), body, is_json=is_json).message)
    except (DecodeError, json_format.ParseError):
        return body[:200].decode("utf-8", "replace")


def _decode(message: M, body: bytes, *, is_json: bool) -> M:
    if is_json:
        return json_format.Parse(body or b"{}", message, ignore_unknown_fields=True)
    message.ParseFromString(body)
    return message
