"""gRPC calls by grpcio."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airis import __version__
from airis.component.authentication import ClientAuthenticator
from airis.component.compression import THREAD_BYTES
from airis.component.grpc_client import GrpcAnswer, GrpcClientConfig, Metadata, target
from airis.component.proxies import proxy_of_the_system
from airis.component.tls import system_authorities
from airis.data import NO_ORIGIN, Origin

if TYPE_CHECKING:
    import grpc

RECONNECT_MS = (500, 2000)
"""First and longest wait between two tries to connect. gRPC's own two minutes would outlast our retries, which would
fail without a try."""
PROXIES = ("grpc", "https", "http")
"""The variables that gRPC looks at, in its order."""


def channel_arguments(config: GrpcClientConfig) -> list[tuple[str, int | str]]:
    """The options as grpcio takes them."""
    first, longest = RECONNECT_MS
    arguments: list[tuple[str, int | str]] = [
        ("grpc.lb_policy_name", config.balancer_name),
        ("grpc.primary_user_agent", config.user_agent or f"airis/{__version__}"),
        ("grpc.initial_reconnect_backoff_ms", first),
        ("grpc.max_reconnect_backoff_ms", longest),
        ("grpc.max_send_message_length", -1),
    ]
    to = target(config.endpoint)
    if not to.host or not proxy_of_the_system(PROXIES, to.host, to.port):
        arguments.append(("grpc.enable_http_proxy", 0))
    if config.authority:
        arguments.append(("grpc.default_authority", config.authority))
    if config.tls.server_name_override:
        arguments.append(("grpc.ssl_target_name_override", config.tls.server_name_override))
    if config.keepalive:
        arguments += [
            ("grpc.keepalive_time_ms", _milliseconds(config.keepalive.time)),
            ("grpc.keepalive_timeout_ms", _milliseconds(config.keepalive.timeout)),
            ("grpc.keepalive_permit_without_calls", int(config.keepalive.permit_without_stream)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    return arguments


def open_channel(config: GrpcClientConfig) -> "grpc.Channel":
    """A channel, which connects when it is needed; raises StartError for the option at fault."""
    import grpc

    compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
    to, arguments = target(config.endpoint).grpcio, channel_arguments(config)
    if not config.is_encrypted:
        return grpc.insecure_channel(to, arguments, compression)
    tls = config.tls
    tls.context()  # grpcio takes anything and then fails every handshake, so OpenSSL has a look first
    authorities = tls.authorities()
    if authorities is None or tls.include_system_ca_certs_pool:
        authorities = b"\n".join(filter(None, (authorities, system_authorities()))) or None
    own = bool(tls.cert_file or tls.cert_pem)
    credentials = grpc.ssl_channel_credentials(
        authorities, tls.key() if own else None, tls.certificate() if own else None
    )
    return grpc.secure_channel(to, credentials, arguments, compression)


class GrpcioClient:
    """Calls by grpcio, whose threads tell the loop when one has ended."""

    def __init__(self, config: GrpcClientConfig, authenticator: ClientAuthenticator | None = None) -> None:
        """Raises StartError for the option at fault."""
        self._config = config
        self._channel = open_channel(config)
        self._authenticator = authenticator
        self._metadata = config.metadata()
        self._methods: dict[str, Any] = {}

    async def call(self, method: str, payload: bytes, timeout_s: float, origin: Origin = NO_ORIGIN) -> GrpcAnswer:
        """Send a message and return how the call ended; cancelled, the call is."""
        metadata = self._config.metadata(self._authenticator, origin) if self._authenticator else self._metadata
        call = await self._start(method, payload, timeout_s, metadata)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def wake(_call: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(_set_done, done)

        call.add_done_callback(wake)
        try:
            await done
        except asyncio.CancelledError:
            call.cancel()
            raise
        error = call.exception()
        return GrpcAnswer(0, body=call.result()) if error is None else _answer(error)

    async def close(self) -> None:
        """Close all connections."""
        self._channel.close()

    async def _start(self, method: str, payload: bytes, timeout_s: float, metadata: Metadata) -> Any:
        if method not in self._methods:
            self._methods[method] = self._channel.unary_unary(method, None, None)
        start = partial(
            self._methods[method].future,
            payload,
            timeout=timeout_s or None,
            metadata=metadata,
            wait_for_ready=self._config.wait_for_ready,
        )
        if self._config.compression != "gzip" or len(payload) <= THREAD_BYTES:
            return start()
        # grpcio compresses where a call is started, without the GIL. Its asyncio interface can start one in the loop
        # only, which would stand still for 25 ms per MB; hence this one.
        starting = asyncio.ensure_future(asyncio.to_thread(start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(lambda started: started.exception() or started.result().cancel())
            raise


def _set_done(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _answer(error: Any) -> GrpcAnswer:
    message = error.details() or ""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    details: bytes = trailers.get("grpc-status-details-bin", b"")
    return GrpcAnswer(error.code().value[0], message, details, speaks_http1="http1.x server" in message)


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 2**31 - 2)
