"""A port, and the HTTP servers that share it."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import httptools
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from airis.component.errors import StartError
from airis.component.http_connection import Connection, Terms
from airis.component.listen import address_of, bind, parse_endpoint
from airis.component.tls import server_context

if TYPE_CHECKING:
    from airis.component.http import HttpServer, HttpServerConfig

_SHARED = ("tls", "read_header_timeout", "idle_timeout")
"""Options that hold before it is known what a request is for."""
_RETRY_AFTER_S = 1
EXCHANGE_S = 120.0
"""How long another server may come in the place of one that has left: a reload drains for 30 s, and starts for 60."""

_ELSE = ""
"""Stands for every path that no server has for itself."""

_Place = tuple[str, str, int]


class Listener:
    """A port that is open while a server uses it."""

    def __init__(self, first: "HttpServer", place: _Place) -> None:
        self.address = ""
        """What a client connects to."""
        self._first = first
        self._place = place
        self._servers: dict[HttpServer, Terms] = {}
        self._by_path: dict[str, HttpServer] = {}
        self._expected: dict[str, float] = {}
        """Until when another server is expected at a path, by the clock of the loop."""
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @classmethod
    async def at(cls, server: "HttpServer", socket_mode: int | None) -> "Listener":
        """The listener at a server's endpoint, with the server added; raises StartError that names the option.

        `socket_mode` are the permissions of a unix socket that is made.
        """
        open_here = _open.setdefault(asyncio.get_running_loop(), {})
        place = _place_of(server.config)
        listener = open_here.get(place)
        if listener is None:
            listener = cls(server, place)
            await listener._listen(socket_mode)
            if listener._can_be_shared:
                open_here[place] = listener
        else:
            listener._check(server)
        listener._add(server)
        return listener

    def leave(self, server: "HttpServer") -> None:
        """Hand no more requests to the server, and take no more connections if it was the last one."""
        del self._servers[server]
        for path in _paths_of(server):
            del self._by_path[path]
            self._expected[path] = asyncio.get_running_loop().time() + EXCHANGE_S
        if self._servers:
            return
        _open.get(asyncio.get_running_loop(), {}).pop(self._place, None)
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.shutdown()

    async def closed(self, flush_s: float) -> None:
        """Return when all is closed, if no server is left; clients have so long to read their answers."""
        if self._servers or self._server is None:
            return
        self._server = None
        open_connections = self._connections
        if open_connections:
            waiters = [asyncio.create_task(connection.until_lost()) for connection in open_connections]
            _, pending = await asyncio.wait(waiters, timeout=flush_s)
            for waiter in pending:
                waiter.cancel()
            for connection in open_connections:
                connection.transport.abort()
        if self._place[0] == "unix":
            self._remove_socket()

    def _remove_socket(self) -> None:
        Path(self.address).unlink(missing_ok=True)  # asyncio removes it only from Python 3.13 on

    @property
    def _connections(self) -> list[Connection]:
        return [c for c in self._state.connections if isinstance(c, Connection)]

    @property
    def _can_be_shared(self) -> bool:
        return self._place[0] == "unix" or self._place[2] != 0

    async def _listen(self, socket_mode: int | None) -> None:
        config = self._first.config
        context = server_context(config.tls, self._first.telemetry) if config.tls else None
        sock = bind(config.endpoint, config.transport)
        self.address = address_of(sock)
        if socket_mode is not None:
            os.chmod(self.address, socket_mode)  # nobody connects before the socket listens
        settings = uvicorn.Config(
            self._serve,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",  # what an application raises is logged by its server, with the component's name
            access_log=False,
            proxy_headers=False,
        )
        settings.load()
        first = _terms_of(self._first)

        def accept() -> asyncio.Protocol:
            return Connection(settings, self._state, first, self._terms_at)

        loop = asyncio.get_running_loop()
        handshake_timeout = (config.read_header_timeout or None) if context else None
        create = loop.create_unix_server if config.transport == "unix" else loop.create_server
        self._server = await create(
            accept, sock=sock, ssl=context, backlog=2048, ssl_handshake_timeout=handshake_timeout
        )

    def _check(self, server: "HttpServer") -> None:
        """Raise StartError unless the server can share the port with those that are there."""
        endpoint = server.config.endpoint
        for path in _paths_of(server):
            if other := self._by_path.get(path):
                what = "path" if server.config.transport == "unix" else "port"
                both = "every path" if path == _ELSE else path
                raise StartError(
                    f'"{endpoint}": the {what} is taken by {_name(other)}, which answers {both} too; write another one',
                    "endpoint",
                )
        for option in _SHARED:
            if getattr(server.config, option) != getattr(self._first.config, option):
                raise StartError(
                    f'"{endpoint}" is shared with {_name(self._first)}: {option} must be the same there', option
                )

    def _add(self, server: "HttpServer") -> None:
        self._servers[server] = _terms_of(server)
        for path in _paths_of(server):
            self._by_path[path] = server
            self._expected.pop(path, None)
        self._warn_of_part_guarded(server)

    def _warn_of_part_guarded(self, server: "HttpServer") -> None:
        """Whoever writes `auth` beside an endpoint may believe that nothing at that port is open."""
        is_guarded = server.config.auth is not None
        others = [_name(other) for other in self._servers if (other.config.auth is not None) is not is_guarded]
        if others:
            guarded, unguarded = ([_name(server)], others) if is_guarded else (others, [_name(server)])
            told = "auth is for a part of the port alone: whoever reaches it can use the rest"
            server.telemetry.log.warning(
                told, endpoint=server.config.endpoint, guarded=", ".join(guarded), open=", ".join(unguarded)
            )

    def _server_at(self, path: str) -> "HttpServer | None":
        found = self._by_path.get(path)
        return found if found or self._is_expected(path) else self._by_path.get(_ELSE)

    def _is_expected(self, path: str) -> bool:
        """Whether the server of the path may just be exchanged for another one."""
        return self._expected.get(path, 0.0) > asyncio.get_running_loop().time()

    def _terms_at(self, target: bytes) -> Terms:
        server: HttpServer | None = self._first
        if len(self._servers) > 1 or server not in self._servers:
            # As uvicorn reads it, or a path in escapes would be answered by one server under the terms of another.
            server = self._server_at(unquote(str(httptools.parse_url(target).path or b"", "ascii")))
        if server is None:
            server = next(iter(self._servers), self._first)
        return self._servers.get(server) or _terms_of(server)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        server = self._server_at(path)
        if server is not None:
            await server.serve(scope, receive, send)
            return
        # A sender must not take it for settled that there is nobody.
        is_expected = self._is_expected(path) or self._is_expected(_ELSE)
        status, words = (503, b"not served at the moment\n") if is_expected else (404, b"not found\n")
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(words))]
        if is_expected:
            headers.append((b"retry-after", b"%d" % _RETRY_AFTER_S))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": words})


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Place, Listener]] = WeakKeyDictionary()
"""Those whose port others can share."""


def _place_of(config: "HttpServerConfig") -> _Place:
    if config.transport == "unix":
        return "unix", config.endpoint, 0
    host, port = parse_endpoint(config.endpoint)
    return "tcp", "127.0.0.1" if host.lower() == "localhost" else host.lower(), port


def _paths_of(server: "HttpServer") -> Sequence[str]:
    return server.paths or (_ELSE,)


def _terms_of(server: "HttpServer") -> Terms:
    headers = server.config.response_headers.items()
    return Terms(server.config, [(name.lower().encode(), value.encode()) for name, value in headers])


def _name(server: "HttpServer") -> str:
    return f"{server.telemetry.kind} {server.telemetry.component_id}"
