"""The HTTP server that components share: the Collector's options, and ASGI applications on uvicorn in our loop."""

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from starlette.types import ASGIApp, Receive, Scope, Send

from airis.component import intake
from airis.component.authentication import Denied, HttpServerAuthConfig
from airis.component.config import Config, Duration
from airis.component.door import Door, door_of
from airis.component.errors import StartError
from airis.component.headers import check_lines, from_pairs
from airis.component.http_door import Guarded, Refuse
from airis.component.http_listener import Listener
from airis.component.listen import Transport, is_wildcard, parse_endpoint
from airis.component.telemetry import Telemetry
from airis.component.tls import TlsServerConfig
from airis.component.unsupported import NO_MIDDLEWARES, not_supported

if TYPE_CHECKING:
    from airis.component.grpc import GrpcServerConfig
    from airis.component.lifecycle import Host

DEFAULT_MAX_BODY_BYTES = 20 * 1024 * 1024

SHUTDOWN_GRACE_S = 5.0
"""How long requests in progress may take once the server shuts down."""
FLUSH_S = 1.0
"""How long clients may then take to read their answers."""

THREAD_BYTES = 64 * 1024
"""A compressed body larger than this is inflated in a thread, so that the loop stays responsive."""

Headers = Sequence[tuple[bytes, bytes]]


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
    auth: HttpServerAuthConfig | None = Field(default=None, description="Who may send; absent: everybody.")
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
        check_lines(headers.items())
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

    Servers that name the same endpoint share its port, if at most one of them answers more than paths of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: HttpServerConfig,
        telemetry: Telemetry,
        section: str = "",
        socket_mode: int | None = None,
        paths: Sequence[str] = (),
        open_paths: Collection[str] = (),
        refuse: Refuse | None = None,
    ) -> None:
        """`section` is where the options stand in the component's, such as ``protocols::http``.

        `socket_mode` are the permissions of a unix socket; without it the process's umask decides. `paths` are all
        that the application answers; without them it answers every path that nobody else does. `open_paths` can be
        asked for by everybody, whatever `auth` says; `refuse` answers those who are not let in, else it is a line of
        text.
        """
        self.config = config
        self.telemetry = telemetry
        self.paths = tuple(paths)
        self._application = app
        self._app = app
        """The application behind what is in front of it, from the start on."""
        self._open_paths = tuple(open_paths)
        self._refuse = refuse or _refuse_in_text
        self._door: Door | None = None
        self._section = section
        self._socket_mode = socket_mode
        self._listener: Listener | None = None
        self._address = ""
        self._tasks: set[asyncio.Task[object]] = set()
        """In which requests are answered."""

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

    async def start(self, host: "Host | None" = None) -> None:
        """Listen; raises StartError that names the option at fault. `host` has the extension that `auth` names."""
        try:
            self._door = door_of(self.config.auth, host, self.telemetry)
            self._app = self._guarded()
            self._listener = await Listener.at(self, self._socket_mode)
        except StartError as error:
            error.option = "::".join(part for part in (self._section, error.option) if part)
            raise
        self._address = self._listener.address
        warn_of_exposure(self.config, self.telemetry)

    def _guarded(self) -> ASGIApp:
        """The application, which nobody reaches whom the door does not let in."""
        app = self._application
        if self._door is not None:
            parameters = self.config.auth.request_params if self.config.auth else ()
            app = Guarded(app, self._door, parameters, self._open_paths, self._refuse)
        # In front of the door: a browser asks without credentials whether it may send some.
        return _with_cors(app, self.config.cors) if self.config.cors else app

    async def shutdown(self, grace_s: float = SHUTDOWN_GRACE_S) -> None:
        """Take nothing new, answer what is held, close."""
        if self._door is not None:
            door, self._door = self._door, None
            await door.close()
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        listener.leave(self)
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=FLUSH_S)
        await listener.closed(FLUSH_S)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application, with its faults logged; uvicorn answers them."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._app(scope, receive, send)
        except ClientGone:
            pass
        except Exception:
            self.telemetry.log.exception("request failed", path=scope["path"])
            raise
        finally:
            self._tasks.discard(task)


async def _refuse_in_text(_scope: Scope, send: Send, denied: Denied, headers: Headers) -> None:
    await answer(send, denied.http_status, f"{denied.reason}\n".encode(), headers=headers)


def warn_of_exposure(config: "HttpServerConfig | GrpcServerConfig", telemetry: Telemetry) -> None:
    """Say in the log what the options expose, or do not do, that their author may not have meant."""
    endpoint, transport, tls = config.endpoint, config.transport, config.tls
    is_guarded = config.auth is not None
    if tls is None and is_wildcard(endpoint, transport):
        told = "listens on every address without TLS: whoever reaches it can send"
        if is_guarded:
            told = "listens on every address without TLS: credentials can be read on their way"
        telemetry.log.warning(told, endpoint=endpoint)
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
