"""OTLP servers on loopback that answer what a test tells them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest
from aiohttp import web

SERVICES = ("trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService")

GrpcRefusal = tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]


@dataclass
class Received:
    address: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    """Service or path, and body."""
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


@pytest.fixture
def grpc_server() -> Callable[..., AbstractAsyncContextManager[Received]]:
    return _grpc_server


@pytest.fixture
def http_server() -> Callable[..., AbstractAsyncContextManager[Received]]:
    return _http_server


@asynccontextmanager
async def _grpc_server(*answers: bytes | GrpcRefusal) -> AsyncIterator[Received]:
    """Gives the answers in turn and the last one for ever; without any, success."""
    received = Received()
    script = list(answers)

    def export_of(service: str) -> Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]:
        async def export(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            received.requests.append((service, request))
            metadata = context.invocation_metadata() or ()
            received.headers.append({name: str(value) for name, value in metadata})  # type: ignore[misc]
            answer = script.pop(0) if len(script) > 1 else script[0] if script else b""
            if isinstance(answer, tuple):
                await context.abort(*answer)
            return answer

        return export

    server = grpc.aio.server()
    for service in SERVICES:
        methods = {"Export": grpc.unary_unary_rpc_method_handler(export_of(service))}
        handler = grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{service}", methods)
        server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    received.address = f"127.0.0.1:{port}"
    try:
        yield received
    finally:
        await server.stop(None)


@asynccontextmanager
async def _http_server(*answers: Callable[[], web.Response]) -> AsyncIterator[Received]:
    """The same over HTTP."""
    received = Received()
    script = list(answers)

    async def export(request: web.Request) -> web.Response:
        received.requests.append((request.path, await request.read()))
        received.headers.append({name.lower(): value for name, value in request.headers.items()})
        make = script.pop(0) if len(script) > 1 else script[0] if script else web.Response
        return make()

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/{path:.*}", export)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    received.address = f"{host}:{port}"
    try:
        yield received
    finally:
        await runner.cleanup()
