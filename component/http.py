"""The HTTP server that components share: the Collector's options, and ASGI applications on uvicorn in our loop."""

import asyncio
import os
import re
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Annotated, Any

import httptools
import uvicorn
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from airis.component import intake
from airis.component.config import Config, Duration
from airis.component.errors import StartError
from airis.component.headers import HEADER_NAME, from_pairs
from airis.component.listen import Transport, address_of, bind, is_wildcard, parse_endpoint
from airis.component.telemetry import Telemetry
from airis.component.tls import TlsServerConfig, server_context
from airis.component.unsupported import NO_MIDDLEWARES, not_supported

DEFAULT_MAX_BODY_BYTES = 20 * 1024 * 1024

SHUTDOWN_GRACE_S = 5.0
"""How long requests in progress may take once the server shuts down."""
FLUSH_S = 1.0
"""How long clients may then take to read their answers."""

MAX_HEAD_BYTES = 64 * 1024
"""Largest request line with its headers, or trailers; the parser would keep any amount."""

_NEVER_S = 10 * 365 * 86400
THREAD_BYTES = 64 * 1024
"""A compressed body larger than this is inflated in a thread, so that the loop stays responsive."""

Headers = Sequence[tuple[bytes, bytes]]

NO_AUTHENTICATION = (
    "authentication is not supported yet; leave auth out, and let only those reach the endpoint who may use it"
)


class CorsConfig(Config):
    """Let pages of other origins send from a browser."""

    allowed_origins: list[str] = Field(
        default_factory=list[str],
        description="Origins that may send, such as https://shop.example or https://*.example; * is any.",
    )
    allowed_headers: list[str] = Field(
        default_factory=list[str],
        description="Request headers they may set besides Accept, Content-Type and the language headers; * is any.",
    )
    exposed_headers: list[str] = Field(default_factory=list[str], description="Answer headers that pages may read.")
    max_age: int = Field(default=0, ge=0, description="How long a browser may remember a preflight answer, in seconds.")


class HttpServerConfig(Config):
    """Where and how to serve HTTP."""

    transport: Transport = Field(default="tcp", description="tcp or unix.")
    endpoint: str = Field(description="host:port to listen on, or the path of the socket with transport unix.")
    tls: TlsServerConfig | None = Field(default=None, description="Serve HTTPS; absent: plain HTTP.")
    cors: CorsConfig | None = Field(default=None, description="Cross-origin requests from browsers; absent: refused.")
    max_request_body_size: int = Field(
        default=DEFAULT_MAX_BODY_BYTES,
        ge=0,
        description="Largest request body after decompression, in bytes; 0: 20971520.",
    )
    include_metadata: bool = Field(
        default=False, description="Hand request headers on with the data, credentials excepted."
    )
    response_headers: Annotated[dict[str, str], BeforeValidator(from_pairs)] = Field(
        default_factory=dict[str, str],
        description="Headers added to every answer, as a map or as a list of {name, value}.",
    )
    compression_algorithms: list[str] = Field(
        default_factory=lambda: list(intake.ENCODINGS),
        description="Content-Encodings that are accepted of request bodies.",
    )
    read_header_timeout: Duration = Field(
        default=60.0,
        ge=0,
        description="Longest time from a request's first byte to the end of its headers; 0: for ever.",
    )
    read_timeout: Duration = Field(
        default=60.0,
        ge=0,
        description="Longest time from the end of the headers to the end of the body; 0: for ever (the Collector's "
        "default, with which a slow body never ends).",
    )
    write_timeout: Duration = Field(
        default=0.0,
        ge=0,
        description="Longest time from the end of a request's headers until its answer has left; then the connection "
        "is closed. 0: for ever.",
    )
    idle_timeout: Duration = Field(
        default=60.0, ge=0, description="How long a connection is kept open between requests; 0: for ever."
    )
    keep_alives_enabled: bool = Field(default=True, description="Take several requests on one connection.")
    auth: Annotated[dict[str, Any] | None, not_supported(NO_AUTHENTICATION)] = Field(
        default=None, description="Not supported yet: authentication of clients. Anything in it is an error."
    )
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every request. Anything in it is an error.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str, others: ValidationInfo) -> str:
        if others.data.get("transport") == "tcp":
            parse_endpoint(endpoint)
        return endpoint

    @field_validator("response_headers")
    @classmethod
    def _headers_of_one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not HEADER_NAME.fullmatch(name):
                raise ValueError(f'"{name}" is not the name of a header')
            if not value.isprintable():
                raise ValueError(f'the value of "{name}" has a line end or another control character')
        return headers

    @field_validator("compression_algorithms")
    @classmethod
    def _known_algorithms(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in intake.ENCODINGS:
                raise ValueError(str(intake.UnknownEncoding(name)))
        return names

    @property
    def max_body_bytes(self) -> int:
        """The limit in force."""
        return self.max_request_body_size or DEFAULT_MAX_BODY_BYTES


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, config: HttpServerConfig) -> bytes:
    """The request's body, inflated, within the configured size.

    Raises ClientGone, or what `intake.decompress` raises. The rest of a body that is too large is read and
    thrown away by the server while the answer is under way, so that the client gets to see it.
    """
    limit = config.max_body_bytes
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit:
        raise intake.TooLarge(limit)
    body = await _read_all(receive, limit)
    encoding = header(scope, b"content-encoding")
    offered = tuple(config.compression_algorithms)
    if encoding and len(body) > THREAD_BYTES:
        return await asyncio.to_thread(intake.decompress, encoding, body, limit, offered)
    return intake.decompress(encoding, body, limit, offered)


async def _read_all(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message["body"])
        size += len(message["body"])
        if size > limit:
            raise intake.TooLarge(limit)
        if not message["more_body"]:
            return b"".join(pieces) if len(pieces) > 1 else pieces[0]


def header(scope: Scope, name: bytes) -> str:
    """The first value of a request header, by its lower-case name; empty if it is absent."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


async def answer(
    send: Send, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8", headers: Headers = ()
) -> None:
    """Send a whole response."""
    length = str(len(body)).encode()
    all_headers = [(b"content-type", content_type.encode("latin-1")), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


class HttpServer:
    """Serves an ASGI application at an endpoint, in the running loop.

    Cross-origin requests, `response_headers` and time limits are the server's; a body is the application's
    to read, best with `read_body`. A request still in progress when the grace of a shutdown has passed is
    cancelled, and what its application answers then is sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: HttpServerConfig,
        telemetry: Telemetry,
        section: str = "",
        socket_mode: int | None = None,
    ) -> None:
        """`section` is where the options stand in the component's, such as ``protocols::http``.

        `socket_mode` are the permissions of a unix socket; without it the process's umask decides.
        """
        self.config = config
        self.telemetry = telemetry
        self._app = app
        self._section = section
        self._socket_mode = socket_mode
        self._server: asyncio.Server | None = None
        self._state = ServerState()
        self._address = ""

    @property
    def port(self) -> int:
        """The port it is bound to, also where the configuration says 0; 0 for a unix socket."""
        return 0 if self.config.transport == "unix" else parse_endpoint(self._address)[1]

    @property
    def address(self) -> str:
        """What a client connects to: ``127.0.0.1:4318``, or the path of the unix socket."""
        return self._address

    @property
    def url(self) -> str:
        """The address with its scheme."""
        if self.config.transport == "unix":
            return f"unix:{self._address}"
        return f"{'https' if self.config.tls else 'http'}://{self._address}"

    async def start(self) -> None:
        """Listen; raises StartError that names the option at fault."""
        try:
            context = server_context(self.config.tls, self.telemetry) if self.config.tls else None
            sock = bind(self.config.endpoint, self.config.transport)
        except StartError as error:
            error.option = "::".join(part for part in (self._section, error.option) if part)
            raise
        self._address = address_of(sock)
        if self._socket_mode is not None:
            os.chmod(self._address, self._socket_mode)  # nobody connects before the socket listens
        warn_of_exposure(self.config.endpoint, self.config.transport, self.config.tls, self.telemetry)
        self._server = await self._listen(sock, context)

    async def _listen(self, sock: socket.socket, context: ssl.SSLContext | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        settings = uvicorn.Config(
            _with_cors(self._serve, self.config.cors) if self.config.cors else self._serve,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",  # what an application raises is logged here, with the component's name
            access_log=False,
            proxy_headers=False,
        )
        settings.load()
        fixed_headers = [
            (name.lower().encode(), value.encode()) for name, value in self.config.response_headers.items()
        ]

        def accept() -> asyncio.Protocol:
            return _Connection(settings, self._state, self.config, fixed_headers)

        handshake_timeout = (self.config.read_header_timeout or None) if context else None
        create = loop.create_unix_server if self.config.transport == "unix" else loop.create_server
        return await create(accept, sock=sock, ssl=context, backlog=2048, ssl_handshake_timeout=handshake_timeout)

    async def shutdown(self, grace_s: float = SHUTDOWN_GRACE_S) -> None:
        """Take nothing new, answer what is held, close."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=FLUSH_S)
        await self._close_connections()
        if self.config.transport == "unix":
            self._remove_socket()

    def _remove_socket(self) -> None:
        Path(self._address).unlink(missing_ok=True)  # asyncio removes it only from Python 3.13 on

    async def _close_connections(self) -> None:
        """Wait until the answers have left, but not for clients that do not read them."""
        open_connections: list[_Connection] = [c for c in self._state.connections if isinstance(c, _Connection)]
        if open_connections:
            closed = [asyncio.create_task(connection.until_lost()) for connection in open_connections]
            _, pending = await asyncio.wait(closed, timeout=FLUSH_S)
            for waiter in pending:
                waiter.cancel()
            for connection in open_connections:
                connection.transport.abort()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, with its faults logged; uvicorn answers them."""
        try:
            await self._app(scope, receive, send)
        except ClientGone:
            pass
        except Exception:
            self.telemetry.log.exception("request failed", path=scope["path"])
            raise


class _Connection(HttpToolsProtocol):
    """uvicorn's connection with the limits that it lacks, and deaf to offers to speak another protocol."""

    def __init__(
        self, settings: uvicorn.Config, state: ServerState, config: HttpServerConfig, fixed_headers: Headers
    ) -> None:
        super().__init__(settings, state, app_state={}, _loop=asyncio.get_running_loop())
        self._lost: asyncio.Event = asyncio.Event()
        self.timeout_keep_alive = config.idle_timeout or _NEVER_S  # type: ignore[assignment]
        self._config = config
        self._fixed_headers = fixed_headers
        self._reading: asyncio.TimerHandle | None = None
        self._answering: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        """What came since the last piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._allow(self._config.read_header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._allow(0)
        self._end_answering()
        super().connection_lost(exc)
        self._lost.set()

    async def until_lost(self) -> None:
        """Return when the connection is closed."""
        await self._lost.wait()

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            while True:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:
                    data = self._without_offer() + data[offer.args[0] :]
                    self.parser = httptools.HttpRequestParser(self)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def _should_upgrade(self) -> bool:
        # The parser takes the body of a request with "Upgrade: h2c", as Java's client sends it, for the other
        # protocol. It is left aside here, and comes again without the offer.
        return True

    def _without_offer(self) -> bytes:
        """The head of the request just read, without the headers that offer another protocol."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in _OFFERS]
                value = b",".join(kept)
            if name not in _OFFERS:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _refuse_head(self) -> None:
        if self.cycle and not self.cycle.response_complete:  # an answer is on its way
            self.transport.abort()
        else:
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._allow(self._config.read_header_timeout)

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        if self.parser.should_upgrade():
            return
        self.server_state.default_headers = [(b"date", _date()), *self._fixed_headers]
        super().on_headers_complete()
        # After "Expect: 100-continue" nobody knows whether the body follows an answer that did not wait for it.
        if self.expect_100_continue or not self._config.keep_alives_enabled:
            self.cycle.keep_alive = False
        # The body of a pipelined request is not read before the one in front is answered.
        self._allow(0 if self.pipeline else self._config.read_timeout)
        if not self.pipeline:
            self._allow_answer()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._allow(0)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        pipelined = bool(self.pipeline)
        super().on_response_complete()
        if self.cycle.more_body and self._reading is None:  # of a pipelined request
            self._allow(self._config.read_timeout)
        if pipelined:
            self._allow_answer()

    def _allow_answer(self) -> None:
        """Close the connection unless the answer that is due now has left in its time."""
        self._end_answering()
        if self._config.write_timeout:
            self._answering = self.loop.call_later(self._config.write_timeout, self._answer_is_late)

    def _answer_is_late(self) -> None:
        if not self.cycle.response_complete or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _end_answering(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None

    def _allow(self, seconds: float) -> None:
        """Close the connection after so long, unless this is called again; 0 is for ever."""
        if self._reading is not None:
            self._reading.cancel()
        self._reading = self.loop.call_later(seconds, self.transport.abort) if seconds else None


_OFFERS = (b"upgrade", b"http2-settings")
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def warn_of_exposure(endpoint: str, transport: Transport, tls: TlsServerConfig | None, telemetry: Telemetry) -> None:
    """Say in the log what the options expose, or do not do, that their author may not have meant."""
    if tls is None and is_wildcard(endpoint, transport):
        telemetry.log.warning("listens on every address without TLS: whoever reaches it can send", endpoint=endpoint)
    if tls is not None and (tls.ca_file or tls.ca_pem) and not tls.client_ca_file:
        telemetry.log.warning("tls::ca_file does not verify clients; tls::client_ca_file does", endpoint=endpoint)


def _with_cors(app: ASGIApp, config: CorsConfig) -> ASGIApp:
    from starlette.middleware.cors import CORSMiddleware  # takes 0.1 s to import

    return CORSMiddleware(
        app,
        allow_origins=config.allowed_origins,
        allow_origin_regex=_origins_pattern(config.allowed_origins),
        allow_methods=("GET", "HEAD", "POST"),
        allow_headers=config.allowed_headers,
        allow_credentials=True,
        expose_headers=config.exposed_headers,
        max_age=config.max_age,
    )


def _origins_pattern(origins: Iterable[str]) -> str:
    """An expression for the origins in which ``*`` stands for any characters."""
    return "|".join(re.escape(origin).replace(r"\*", ".*") for origin in origins)


_date_cache: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date header, made once a second."""
    global _date_cache
    now = int(time.time())
    if now != _date_cache[0]:
        _date_cache = (now, formatdate(now, usegmt=True).encode())
    return _date_cache[1]
