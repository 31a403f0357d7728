"""gRPC calls by the client of Rust."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from google.rpc.code_pb2 import Code

from airis import __version__
from airis.component.authentication import ClientAuthenticator
from airis.component.errors import StartError
from airis.component.grpc_client import GrpcAnswer, GrpcClientConfig, Metadata, Target, target
from airis.component.native_client import Heads, Outlet, native_tls, proxy_parts, unusable
from airis.component.proxies import parse_proxy, proxy_of_the_system
from airis.component.telemetry import Telemetry
from airis.component.tls import RenewalClock, log_failed_reload
from airis.component.unsupported import Unsupported
from airis.component.words import quoted
from airis.data import NO_ORIGIN, Origin

if TYPE_CHECKING:
    from airis._core import Answer, Head, Remote

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""What gRPC takes of an answer unless told otherwise."""
IDLE_S = 1800.0
"""A connection that makes no call for so long is closed, as by gRPC."""
PROXIES = ("grpc", "https", "http")
"""The variables that gRPC looks at, in its order."""
ENCODINGS = {"gzip": "gzip", "zstd": "zstd", "snappy": "x-snappy-framed"}
"""What is meant by grpc-encoding, in the client's words."""

OF_HTTP = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
"""What a status of HTTP means where there is none of gRPC (doc/http-grpc-status-mapping.md)."""
OF_FAULTS = {"late": Code.DEADLINE_EXCEEDED, "protocol": Code.INTERNAL, "too_large": Code.RESOURCE_EXHAUSTED}
"""What a fault means; all others are UNAVAILABLE: there was no answer, and nothing is known."""


class NativeGrpcClient:
    """Calls over HTTP/2 by a thread of Rust: bytes go out as they are, or compressed there."""

    def __init__(
        self, config: GrpcClientConfig, telemetry: Telemetry, authenticator: ClientAuthenticator | None = None
    ) -> None:
        """Raises StartError for the option at fault; Unsupported, or ImportError without Rust."""
        from airis._core import Body

        self._config = config
        self._telemetry = telemetry
        self._body = Body
        self._encoding = ENCODINGS.get(config.compression, "")
        self._authenticator = authenticator
        self._metadata = config.metadata()
        self._heads: Heads[tuple[str, Metadata]] = Heads()
        self._clock = RenewalClock(config.tls.reload_interval)
        self._remote = _remote(config)
        self._new_head("/", self._metadata)  # says now what is wrong with the authority
        self._outlet = Outlet()
        self._server = self._outlet.client.grpc(
            self._remote, round_robin=config.balancer_name == "round_robin", wait_for_ready=config.wait_for_ready
        )

    async def call(self, method: str, payload: bytes, timeout_s: float, origin: Origin = NO_ORIGIN) -> GrpcAnswer:
        """Send a message and return how the call ended; cancelled, the call is. A timeout of 0 is none."""
        if self._clock.due():
            self._renew()
        metadata = self._config.metadata(self._authenticator, origin) if self._authenticator else self._metadata
        head = self._heads.get((method, metadata), partial(self._new_head, method, metadata))
        answer = await self._outlet.send(self._server, head, self._body(payload, self._encoding), timeout_s)
        return _read(answer, self._config.endpoint)

    async def close(self) -> None:
        """Close all connections."""
        await self._outlet.close()

    def _renew(self) -> None:
        try:
            self._remote.renew(native_tls(self._config.tls, ("h2",)))
        except StartError as error:
            log_failed_reload(error, self._telemetry)

    def _new_head(self, method: str, metadata: Metadata) -> "Head":
        from airis._core import Head

        config = self._config
        agent = f"{config.user_agent} airis/{__version__}".lstrip()
        headers = [("te", b"trailers"), ("content-type", b"application/grpc"), ("user-agent", agent.encode())]
        if config.compression in ENCODINGS:
            headers.append(("grpc-encoding", config.compression.encode()))
        headers.append(("grpc-accept-encoding", b"identity,gzip,zstd,snappy"))
        headers.extend(
            (name, b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode())
            for name, value in metadata
        )
        scheme = "https" if config.is_encrypted else "http"
        try:
            return Head(f"{scheme}://{_authority(config)}{method}", headers)
        except ValueError as error:
            raise unusable(error, "authority" if config.authority else "endpoint") from error


def _authority(config: GrpcClientConfig) -> str:
    """Whom calls are for: what is configured, else the server."""
    to = target(config.endpoint)
    if config.authority or config.tls.server_name_override:
        return config.authority or config.tls.server_name_override
    if to.path:
        return "localhost"
    return to.addresses[0] if to.addresses else to.grpcio.removeprefix("dns:///")


def _remote(config: GrpcClientConfig) -> "Remote":
    from airis._core import Remote

    to = target(config.endpoint)
    if to.dns_server:
        raise Unsupported("the native transport asks the system for names, and no server of its own", "endpoint")
    tls = native_tls(config.tls, ("h2",)) if config.is_encrypted else None
    times: dict[str, float] = {"idle": IDLE_S}
    if config.keepalive:
        times |= {"ping": config.keepalive.time, "ping_timeout": config.keepalive.timeout}
    proxy = proxy_of_the_system(PROXIES, to.host, to.port) if to.host else None
    try:
        return Remote(
            host=to.host,
            port=to.port,
            addresses=to.addresses,
            path=to.path or None,
            proxy=proxy_parts(parse_proxy(proxy), _authority_of(to)) if proxy else None,
            tls=tls,
            server_name=config.tls.server_name_override or _host(to),
            times=times,
            pings_idle=config.keepalive is not None and config.keepalive.permit_without_stream,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )
    except ValueError as error:
        raise unusable(error, "endpoint") from error


def _authority_of(to: Target) -> str:
    return f"[{to.host}]:{to.port}" if ":" in to.host else f"{to.host}:{to.port}"


def _host(to: Target) -> str:
    if to.addresses:
        return to.addresses[0].rpartition(":")[0].removeprefix("[").removesuffix("]")
    return to.host or "localhost"


def _read(answer: "Answer", endpoint: str) -> GrpcAnswer:
    """How a call ended, by the rules of gRPC; the words of faults begin with the endpoint."""
    if answer.fault is not None:
        code = OF_FAULTS.get(answer.fault, Code.UNAVAILABLE)
        return GrpcAnswer(code, f"{endpoint}: {answer.detail}", speaks_http1=answer.fault == "http1")
    trailers = dict(answer.trailers)
    status = trailers.get("grpc-status")
    if status is None:
        return _foreign(answer, endpoint)
    code = int(status) if status.isascii() and status.isdigit() and len(status) < 9 else Code.UNKNOWN
    if code == Code.OK and not answer.is_whole:
        return GrpcAnswer(Code.INTERNAL, f"{endpoint}: the answer is cut off")
    message = unquote(trailers.get("grpc-message", ""), errors="replace")
    return GrpcAnswer(code, message, _details(trailers), answer.body)


def _details(trailers: Mapping[str, str]) -> bytes:
    encoded = trailers.get("grpc-status-details-bin", "")
    try:
        return b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return b""


def _foreign(answer: "Answer", endpoint: str) -> GrpcAnswer:
    """An answer without a status of gRPC: of a proxy, or of another kind of server."""
    code = Code.UNKNOWN if answer.status == 200 else OF_HTTP.get(answer.status, Code.UNKNOWN)
    content_type = dict(answer.headers).get("content-type", "")
    said = f"HTTP {answer.status}, {content_type or 'without a content type'}, and no status of gRPC"
    words = quoted(answer.body) if not content_type.startswith("application/grpc") else ""
    return GrpcAnswer(code, f"{endpoint}: it answers {said}: {words}".rstrip(": "))
