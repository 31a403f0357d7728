"""Answer questions over HTTP: SQL on what is stored, and whether this instance is well."""

import asyncio
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

import orjson
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from airis import __version__
from airis.component import Config, Duration, Extension, Host, Telemetry, extension
from airis.component.authentication import Denied
from airis.component.browsers import other_site_of
from airis.component.config import NamesExtension
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.query.sql import SqlApi, refuse
from airis.storage import Store

MIB = 1024 * 1024
PING_TIMEOUT_S = 2.0


class SqlConfig(Config):
    """What one SQL query may take; the store's own limits hold besides."""

    max_execution_time: Duration = Field(default=30.0, gt=0, description="Longest run of a query.")
    max_result_rows: int = Field(default=100_000, ge=1, description="Most rows of a result; a query with more fails.")
    max_result_bytes: int = Field(
        default=256 * MIB, ge=1, description="Largest result before it is written in a format."
    )
    max_memory_bytes: int = Field(default=2048 * MIB, ge=MIB, description="Most memory of a query.")

    def settings(self) -> Mapping[str, str]:
        """The limits as ClickHouse settings."""
        return {
            "max_execution_time": f"{self.max_execution_time:g}",
            "max_result_rows": str(self.max_result_rows),
            "max_result_bytes": str(self.max_result_bytes),
            "result_overflow_mode": "throw",
            "max_memory_usage": str(self.max_memory_bytes),
        }


class QueryConfig(HttpServerConfig):
    """Where questions are answered, and how much one may take."""

    endpoint: str = Field("127.0.0.1:8000", description="host:port to listen on.")
    store: Annotated[str, NamesExtension()] = Field("store", description="Id of the store extension to read from.")
    sql: SqlConfig = Field(default_factory=SqlConfig, description="What one SQL query may take.")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the API."""

    path: str
    methods: tuple[str, ...]
    permission: str
    """What a caller must be allowed to do; empty: nothing, as for a load balancer."""
    summary: str
    handler: ASGIApp


@extension("query")
class Query(Extension[QueryConfig]):
    """Serve `/api/v1/sql`, which reads only and within limits, `/healthz`, `/readyz` and `/version`."""

    def __init__(self, config: QueryConfig, telemetry: Telemetry, ping_timeout_s: float = PING_TIMEOUT_S) -> None:
        super().__init__(config, telemetry)
        self._ping_timeout_s = ping_timeout_s
        self._store: Store | None = None
        self._ready = False
        sql = SqlApi(self._stored, config, config.sql.settings(), telemetry.log)
        reading = ("GET", "HEAD")
        table = [
            Route("/", reading, "", "this list", self._index),
            Route("/api/v1/sql", ("GET", "POST"), "read", "a query: ?query=SELECT 1&format=json, or POST", sql),
            Route("/healthz", reading, "", "200 while the process is alive", self._healthz),
            Route("/readyz", reading, "", "200 when everything is started and the store answers", self._readyz),
            Route("/version", reading, "", "what runs here", self._version),
        ]
        self.routes: Mapping[str, Route] = {route.path: route for route in table}
        open_paths = [route.path for route in table if not route.permission]
        self._server = HttpServer(self._serve, config, telemetry, open_paths=open_paths, refuse=_refuse)

    def dependencies(self) -> Sequence[str]:
        """The store."""
        return (self.config.store,)

    async def start(self, host: Host) -> None:
        """Listen; what is asked before `ready` is answered, too."""
        self._store = host.extension(self.config.store, Store)
        await self._server.start(host)

    async def ready(self) -> None:
        """Say so at ``/readyz``."""
        self._ready = True

    async def draining(self) -> None:
        """Say so at ``/readyz``."""
        self._ready = False

    async def shutdown(self) -> None:
        """Stop listening."""
        await self.draining()
        await self._server.shutdown()

    def endpoints(self) -> Mapping[str, str]:
        """The URL of the API."""
        return {"query API": self._server.url}

    def _stored(self) -> Store:
        assert self._store is not None
        return self._store

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self.routes.get(scope["path"])
        if reason := other_site_of(scope, self.config):
            message = f"{reason}; name those that may send in cors::allowed_origins of {self.telemetry.component_id}"
            await refuse(send, HTTPStatus.FORBIDDEN, "ACCESS_DENIED", message)
        elif route is None:
            paths = sorted(self.routes)
            message = f"there is no {scope['path']} here; there is {', '.join(paths)}"
            await refuse(send, HTTPStatus.NOT_FOUND, "NOT_FOUND", message, paths=paths)
        elif scope["method"] not in route.methods:
            allowed = ", ".join(route.methods)
            message = f"{route.path} takes {allowed}"
            headers = [(b"allow", allowed.encode())]
            await refuse(send, HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message, headers=headers)
        else:
            await route.handler(scope, receive, send)

    async def _index(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        lines = [f"{route.path:<14} {', '.join(route.methods):<11} {route.summary}" for route in self.routes.values()]
        await answer(send, 200, "\n".join([f"airis {__version__}", "", *lines, ""]).encode())

    async def _healthz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer_json(send, 200, {"status": "ok"})

    async def _readyz(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        reasons = [] if self._ready else ["not every component is started, or the shutdown has begun"]
        if not await self._store_answers():
            reasons.append(f'the store "{self.config.store}" does not answer')
        if reasons:
            await _answer_json(send, 503, {"status": "not ready", "reasons": reasons})
        else:
            await _answer_json(send, 200, {"status": "ready"})

    async def _store_answers(self) -> bool:
        try:
            async with asyncio.timeout(self._ping_timeout_s):
                return await self._stored().ping()
        except TimeoutError:
            return False

    async def _version(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        from airis.data import kernels

        running = {"version": __version__, "kernels": kernels.backend, "python": platform.python_version()}
        await _answer_json(send, 200, running)


async def _refuse(_scope: Scope, send: Send, denied: Denied, headers: Sequence[tuple[bytes, bytes]]) -> None:
    status = HTTPStatus(denied.http_status)
    await refuse(send, status, status.name, denied.reason, headers=headers)


async def _answer_json(send: Send, status: int, body: Mapping[str, object]) -> None:
    headers = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
    await answer(send, status, orjson.dumps(body) + b"\n", "application/json", headers)
