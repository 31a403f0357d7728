"""OTLP servers that answer as they are told to, and keep what they were sent."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from aiohttp import web
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from airis.data import Batch, Signal

from ..receivers.conftest import request_of


def batch_of(signal: Signal = Signal.TRACES, items: int = 1, name: str = "x") -> Batch:
    return Batch(signal, request_of(signal, items, name), items)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status_of(code: int, message: str, retry_delay_s: float | None = None) -> bytes:
    """An encoded google.rpc.Status, with RetryInfo where a delay is given."""
    status = Status(code=code, message=message)
    if retry_delay_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(retry_delay_s * 1e9))
        status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status.SerializeToString()


@dataclass
class GrpcAnswer:
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    details: bytes | None = None
    """grpc-status-details-bin"""
    body: bytes = b""


@dataclass
class Call:
    method: str
    body: bytes
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class GrpcServer:
    """Takes every method; a call is held while the gate is closed."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[GrpcAnswer] = []
        """Of the next calls; after them every call succeeds."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = self.most_held = self.left = 0
        self.came = asyncio.Event()
        self.address = ""
        self._server: grpc.aio.Server | None = None

    async def start(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> "GrpcServer":
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Handler(self),))
        port = (
            self._server.add_secure_port(address, credentials)
            if credentials
            else self._server.add_insecure_port(address)
        )
        self.address = address if address.startswith("unix:") else f"localhost:{port}"
        await self._server.start()
        return self

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    async def until_held(self, calls: int) -> None:
        while self.held < calls:
            self.came.clear()
            await self.came.wait()

    async def take(self, call: Call, context: Any) -> bytes:
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        self.came.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.left += 1
            self.came.set()
            raise
        finally:
            self.held -= 1
        self.calls.append(call)
        answer = self.answers.pop(0) if self.answers else GrpcAnswer()
        if answer.code is not grpc.StatusCode.OK:
            trailers = (("grpc-status-details-bin", answer.details),) if answer.details is not None else ()
            await context.abort(answer.code, answer.message, trailers)
        return answer.body


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        async def take(body: bytes, context: Any) -> bytes:
            return await self._server.take(Call(details.method, body, dict(details.invocation_metadata)), context)

        return grpc.unary_unary_rpc_method_handler(take)


@dataclass
class HttpAnswer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/x-protobuf"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Request:
    path: str
    body: bytes
    headers: Mapping[str, str]
    peer: tuple[str, int]


class HttpServer:
    """Takes every path; a request is held while the gate is closed."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[HttpAnswer] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = self.most_held = 0
        self.came = asyncio.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._scheme = "http"

    @property
    def url(self) -> str:
        return f"{self._scheme}://localhost:{self.port}"

    async def start(self, port: int = 0, context: Any = None) -> "HttpServer":
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, auto_decompress=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=context)
        await site.start()
        self._scheme = "https" if context else "http"
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            self.gate.set()
            await self._runner.cleanup()

    async def until_held(self, requests: int) -> None:
        while self.held < requests:
            self.came.clear()
            await self.came.wait()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        self.came.set()
        try:
            await self.gate.wait()
        finally:
            self.held -= 1
        assert request.transport is not None
        peer = request.transport.get_extra_info("peername")
        self.requests.append(Request(request.path, body, dict(request.headers), peer))
        answer = self.answers.pop(0) if self.answers else HttpAnswer()
        headers = {"Content-Type": answer.content_type, **answer.headers}
        return web.Response(status=answer.status, body=answer.body, headers=headers)


Start = Callable[..., Any]
