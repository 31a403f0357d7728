"""Health over gRPC: ``grpc.health.v1`` for the whole service, as the empty name, and for each pipeline by its id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from airis.component import Host, StartError, Telemetry
from airis.component.door import Door, door_of
from airis.component.grpc import GrpcServerConfig, listen, new_server

LOOK_S = 0.5
"""How often it is looked whether a watcher has something new to be told."""
GRACE_S = 1.0

_Answer = health_pb2.HealthCheckResponse
Context = grpc.aio.ServicerContext[Any, Any]


class HealthGrpc:
    """The listener; `is_serving` knows all names and what to say of them."""

    def __init__(
        self, config: GrpcServerConfig, telemetry: Telemetry, is_serving: Callable[[], Mapping[str, bool]]
    ) -> None:
        self.config = config
        self.telemetry = telemetry
        self.address = ""
        """``host:port``, or ``unix:path``; empty before the start."""
        self._is_serving = is_serving
        self._server: grpc.aio.Server | None = None
        self._door: Door | None = None
        self._closing = asyncio.Event()

    async def start(self, host: Host) -> None:
        """Listen; raises StartError that names the option at fault."""
        add: Any = health_pb2_grpc.add_HealthServicer_to_server
        try:
            self._door = door_of(self.config.auth, host, self.telemetry)
            server = new_server(self.config, self._door)
            add(self, server)
            self.address = listen(server, self.config, self.telemetry)
        except StartError as error:
            error.option = f"grpc::{error.option}"
            raise
        self._server = server
        await server.start()

    async def shutdown(self) -> None:
        """Send watchers away and close."""
        self._closing.set()
        if self._door is not None:
            await self._door.close()
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(GRACE_S)

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Whether the service, or the pipeline, serves."""
        serving = self._is_serving().get(request.service)
        if serving is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Service not found.")
        return _answer(serving)

    async def List(self, _request: Any, _context: Context) -> Any:  # noqa: N802
        """All that can be asked for."""
        statuses = {name: _answer(serving) for name, serving in self._is_serving().items()}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(self, request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """An answer now, and another one at every change until the shutdown."""
        told: Any = None
        while not self._closing.is_set():
            answer = _answer(self._is_serving().get(request.service))
            if answer != told:
                told = answer
                yield answer
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), LOOK_S)
        await context.abort(grpc.StatusCode.CANCELLED, "Server shutting down.")


def _answer(serving: bool | None) -> Any:
    if serving is None:
        return _Answer(status=_Answer.SERVICE_UNKNOWN)
    return _Answer(status=_Answer.SERVING if serving else _Answer.NOT_SERVING)
