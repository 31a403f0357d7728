"""A running otlp receiver, requests of every signal, and clients of every protocol and encoding."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import (
    ExportProfilesServiceRequest,
    ExportProfilesServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from airis.component import Consumer, Kind
from airis.component.testing import FakeHost, build
from airis.component.testing import Sink as AnySink
from airis.data import Batch, Signal, kernels
from airis.receivers.otlp import OtlpReceiver

SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
    Signal.PROFILES: "opentelemetry.proto.collector.profiles.v1development.ProfilesService",
}
PATHS = {signal: f"/v1development/{signal}" if signal is Signal.PROFILES else f"/v1/{signal}" for signal in Signal}
M = TypeVar("M", bound=Message)

RESPONSES: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
    Signal.PROFILES: ExportProfilesServiceResponse,
}


def request_of(signal: Signal, items: int = 1, name: str = "x") -> bytes:
    """An export request with so many items of that name."""
    if signal is Signal.TRACES:
        traces = ExportTraceServiceRequest()
        spans = traces.resource_spans.add().scope_spans.add().spans
        for number in range(items):
            spans.add(name=name, trace_id=number.to_bytes(16, "big"), span_id=b"spanspan", start_time_unix_nano=1)
        return traces.SerializeToString()
    if signal is Signal.METRICS:
        metrics = ExportMetricsServiceRequest()
        points = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=name).gauge.data_points
        for number in range(items):
            points.add(as_int=number, time_unix_nano=1)
        return metrics.SerializeToString()
    if signal is Signal.PROFILES:
        profiles = ExportProfilesServiceRequest()
        profiles.dictionary.string_table.extend(["", name])
        profile = profiles.resource_profiles.add().scope_profiles.add().profiles.add(profile_id=b"sixteen byte id.")
        profile.sample_type.type_strindex = 1
        for number in range(items):
            profile.samples.add(values=[number], stack_index=1)
        return profiles.SerializeToString()
    logs = ExportLogsServiceRequest()
    records = logs.resource_logs.add().scope_logs.add().log_records
    for _ in range(items):
        records.add(time_unix_nano=1).body.string_value = name
    return logs.SerializeToString()


class Sink(AnySink):
    """A sink that knows the items at its gate: a transport may join what waits."""

    def __init__(self) -> None:
        super().__init__()
        self.held_items = 0
        self._came = asyncio.Event()

    async def consume(self, batch: Batch) -> None:
        self.held_items += batch.items
        self._came.set()
        try:
            await super().consume(batch)
        finally:
            self.held_items -= batch.items

    async def until_held(self, items: int) -> None:
        """Return when so many items are held at the gate."""
        while self.held_items < items:
            self._came.clear()
            await self._came.wait()


@dataclass(frozen=True)
class Outcome:
    """What a client was told."""

    code: str
    """Name of the gRPC code, or the HTTP status."""
    response: Message | None = None
    status: Status | None = None
    """google.rpc.Status of a refusal."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    """What gRPC says of a refusal."""


class GrpcClient:
    """OTLP over gRPC, without any generated client."""

    def __init__(self, address: str, **options: Any) -> None:
        self.channel = grpc.aio.insecure_channel(address, **options)

    async def export(
        self, signal: Signal, request: bytes, metadata: tuple[tuple[str, str], ...] = (), **options: Any
    ) -> Outcome:
        call = self.channel.unary_unary(f"/{SERVICES[signal]}/Export")
        try:
            reply = await call(request, metadata=metadata, **options)
        except grpc.aio.AioRpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            status = Status.FromString(trailers.get("grpc-status-details-bin", b""))
            return Outcome(error.code().name, status=status, message=error.details() or "")
        return Outcome("OK", RESPONSES[signal].FromString(reply))

    async def close(self) -> None:
        await self.channel.close()


class HttpClient:
    """OTLP over HTTP in one of its encodings."""

    def __init__(self, url: str, encoding: str, **options: Any) -> None:
        self.url = url
        self.encoding = encoding
        self.content_type = "application/json" if encoding == "json" else "application/x-protobuf"
        self.session = aiohttp.ClientSession(**options)

    async def export(self, signal: Signal, request: bytes, headers: Mapping[str, str] | None = None) -> Outcome:
        body = kernels.to_json(signal, request) if self.encoding == "json" else request
        return await self.post(signal, body, headers)

    async def post(self, signal: Signal, body: bytes, headers: Mapping[str, str] | None = None) -> Outcome:
        all_headers = {"content-type": self.content_type, **(headers or {})}
        async with self.session.post(f"{self.url}{PATHS[signal]}", data=body, headers=all_headers) as reply:
            assert reply.content_type == self.content_type
            content = await reply.read()
            if reply.status == 200:
                return Outcome("200", self._decode(content, RESPONSES[signal]()), headers=reply.headers)
            return Outcome(str(reply.status), status=self._decode(content, Status()), headers=reply.headers)

    def _decode(self, content: bytes, message: M) -> M:
        if self.encoding == "json":
            return json_format.Parse(content, message)
        message.ParseFromString(content)
        return message

    async def close(self) -> None:
        await self.session.close()


Client = GrpcClient | HttpClient


class Otlp:
    """A receiver at free ports, its sink, and clients for it."""

    def __init__(self, receiver: OtlpReceiver, sink: Sink, stack: AsyncExitStack) -> None:
        self.receiver = receiver
        self.sink = sink
        self._stack = stack

    @property
    def grpc_address(self) -> str:
        return self.receiver.endpoints()["OTLP gRPC"]

    @property
    def url(self) -> str:
        return self.receiver.endpoints()["OTLP HTTP"]

    def client(self, kind: str) -> Client:
        """A client of the kind ``grpc``, ``protobuf`` or ``json``."""
        client = GrpcClient(self.grpc_address) if kind == "grpc" else HttpClient(self.url, kind)
        self._stack.push_async_callback(client.close)
        return client


StartOtlp = Callable[..., Awaitable[Otlp]]


@pytest.fixture(params=["python", "native"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport, one after the other; the native one is skipped where it was not built."""
    if request.param == "native":
        pytest.importorskip("airis._core")
    return str(request.param)


@pytest.fixture
async def start_otlp(tmp_path: Path, transport: str) -> AsyncIterator[StartOtlp]:
    """Start a receiver with these options for each protocol."""
    async with AsyncExitStack() as stack:

        async def start(
            *,
            downstream: Mapping[Signal, Consumer] | None = None,
            http: Mapping[str, Any] | None = None,
            grpc: Mapping[str, Any] | None = None,
            options: Mapping[str, Any] | None = None,
            component_id: str = "otlp",
            extensions: Mapping[str, object] | None = None,
            **replaced: Any,
        ) -> Otlp:
            all_options = {
                "transport": transport,
                **(options or {}),
                "protocols": {
                    "grpc": {"endpoint": "localhost:0", **(grpc or {})},
                    "http": {"endpoint": "localhost:0", **(http or {})},
                },
            }
            sink = Sink()
            receiver = build(
                component_id, all_options, downstream or sink, kind=Kind.RECEIVER, **{"grace_s": 0.0, **replaced}
            )
            await receiver.start(FakeHost(tmp_path, extensions))
            stack.push_async_callback(receiver.shutdown)
            return Otlp(receiver, sink, stack)

        yield start


@pytest.fixture
async def otlp(start_otlp: StartOtlp) -> Otlp:
    """A receiver with the default options."""
    return await start_otlp()


@pytest.fixture(params=["grpc", "protobuf", "json"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of client, one after the other."""
    return str(request.param)


@pytest.fixture
async def client(otlp: Otlp, kind: str) -> Client:
    """A client of each kind for the receiver with default options."""
    return otlp.client(kind)


@pytest.fixture(params=list(Signal))
def signal(request: pytest.FixtureRequest) -> Signal:
    """Each signal, one after the other."""
    return Signal(request.param)
