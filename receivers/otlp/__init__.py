"""OTLP over gRPC and HTTP: what every OpenTelemetry SDK and Collector sends."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from airis.component import Config, Consumer, Duration, Host, Receiver, StartError, Telemetry, receiver
from airis.component.grpc import GrpcServerConfig
from airis.component.http import FLUSH_S, SHUTDOWN_GRACE_S, HttpServer, HttpServerConfig
from airis.component.unsupported import Unsupported
from airis.data import Signal
from airis.receivers.otlp.admission import Admission
from airis.receivers.otlp.http import OtlpHttp

if TYPE_CHECKING:
    from airis.receivers.otlp.grpc import OtlpGrpc
    from airis.receivers.otlp.listeners import Listener
    from airis.receivers.otlp.native import NativeTransport


PROFILES_PATH = "/v1development/profiles"
"""Where profiles are taken; there is no option for it, here as in the Collector."""


class OtlpGrpcConfig(GrpcServerConfig):
    """OTLP over gRPC."""

    endpoint: str = Field(
        default="localhost:4317", description="host:port to listen on, or the path of the socket with transport unix."
    )


class OtlpHttpConfig(HttpServerConfig):
    """OTLP over HTTP, protobuf and JSON."""

    endpoint: str = Field(
        default="localhost:4318", description="host:port to listen on, or the path of the socket with transport unix."
    )
    # SDKs that send metrics once a minute would meet a connection that is just being closed.
    idle_timeout: Duration = Field(
        default=0.0, ge=0, description="How long a connection is kept open between requests; 0: for ever."
    )
    traces_url_path: str = Field(default="/v1/traces", description="Path that takes traces.")
    metrics_url_path: str = Field(default="/v1/metrics", description="Path that takes metrics.")
    logs_url_path: str = Field(default="/v1/logs", description="Path that takes logs.")

    @field_validator("traces_url_path", "metrics_url_path", "logs_url_path")
    @classmethod
    def _with_slash(cls, path: str) -> str:
        if not path:
            raise ValueError("the path must not be empty")
        return path if path.startswith("/") else f"/{path}"

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if len(set(self.paths().values())) < len(self.paths()):
            raise ValueError(
                f"traces_url_path, metrics_url_path and logs_url_path must differ, also from {PROFILES_PATH}"
            )
        return self

    def paths(self) -> dict[Signal, str]:
        """Where each signal is taken."""
        return {
            Signal.TRACES: self.traces_url_path,
            Signal.METRICS: self.metrics_url_path,
            Signal.LOGS: self.logs_url_path,
            Signal.PROFILES: PROFILES_PATH,
        }


class OtlpProtocols(Config):
    """The protocols to listen for."""

    grpc: OtlpGrpcConfig | None = Field(default=None, description="OTLP over gRPC; absent: off.")
    http: OtlpHttpConfig | None = Field(default=None, description="OTLP over HTTP, protobuf and JSON; absent: off.")


class OtlpAdmissionConfig(Config):
    """How much may be on its way; over the native transport."""

    request_limit_mib: int = Field(
        default=32,
        ge=1,
        lt=2**32,
        description="Memory for all requests that are read, wait or are held, in MiB; one request at a time may pass "
        "it. It bounds what may be unanswered, so a slow exporter may need more: what comes in one of its round trips.",
    )
    max_wait: Duration = Field(
        default=5.0,
        ge=0,
        description="How long a request waits for space before it is refused, and told to come again after a second. "
        "Of one HTTP/2 connection only so many wait as leave half of its window to those that have begun; the others "
        "are refused at once.",
    )


class OtlpConfig(Config):
    """Which protocols to listen for, and where."""

    protocols: OtlpProtocols = Field(default=OtlpProtocols(), description="At least one of grpc and http.")
    transport: Literal["auto", "native", "python"] = Field(
        default="auto",
        description="What serves the protocols: native (a thread of Rust, many times cheaper for small requests) or "
        "python (grpcio and uvicorn); auto: native, but python for a protocol with an option that only python has "
        "(http::cors, http::auth::request_params, grpc::transport: unix, grpc::keepalive::enforcement_policy, curves "
        "and cipher suites that rustls does not speak), and where airis was built without Rust.",
    )
    admission: OtlpAdmissionConfig = Field(
        default=OtlpAdmissionConfig(), description="How much may be on its way; the python transport has no such limit."
    )

    @model_validator(mode="after")
    def _at_least_one_protocol(self) -> Self:
        if self.protocols.grpc is None and self.protocols.http is None:
            raise ValueError("protocols names no protocol; write at least one of grpc and http")
        return self


@receiver("otlp", traces="beta", metrics="beta", logs="beta", profiles="alpha")
class OtlpReceiver(Receiver[OtlpConfig]):
    """Takes traces, metrics, logs and profiles over OTLP and answers a client when its data was taken behind.

    A signal that no pipeline takes from this receiver is answered UNIMPLEMENTED or 404.
    """

    def __init__(
        self,
        config: OtlpConfig,
        downstream: Mapping[Signal, Consumer],
        telemetry: Telemetry,
        clock: Callable[[], int] = time.time_ns,
        grace_s: float = SHUTDOWN_GRACE_S,
    ) -> None:
        """`clock` gives the wall time in nanoseconds; `grace_s` is how long held clients may wait at shutdown."""
        super().__init__(config, downstream, telemetry)
        self.admission = Admission(downstream, telemetry, clock)
        self.grace_s = grace_s
        self.http: HttpServer | None = None
        self.grpc: OtlpGrpc | None = None
        self.native: NativeTransport | None = None
        self._endpoints: dict[str, str] = {}

    async def start(self, host: Host) -> None:
        """Listen; raises StartError, and then listens nowhere."""
        self.native = self._native()
        try:
            if self.config.protocols.grpc:
                self._endpoints["OTLP gRPC"] = await self._start_grpc(self.config.protocols.grpc, host)
            if self.config.protocols.http:
                self._endpoints["OTLP HTTP"] = await self._start_http(self.config.protocols.http, host)
        except StartError:
            await self.shutdown()
            raise

    def _native(self) -> "NativeTransport | None":
        """The native transport, where it is wanted and there; raises StartError."""
        if self.config.transport == "python":
            return None
        try:
            from airis.receivers.otlp.native import NativeTransport

            limits = self.config.admission
            limit_bytes = limits.request_limit_mib * 1024 * 1024
            return NativeTransport(self.admission, self.telemetry, limit_bytes, limits.max_wait)
        except ImportError as error:
            if self.config.transport == "native":
                raise StartError("airis was built without its native part; write python", "transport") from error
            return None

    async def _start_grpc(self, config: OtlpGrpcConfig, host: Host) -> str:
        if self.native:
            from airis.receivers.otlp.listeners import GrpcListener

            address = await self._listen(self.native, GrpcListener(config, self.admission), host)
            if address is not None:
                return f"unix:{address}" if config.transport == "unix" else address
        from airis.receivers.otlp.grpc import OtlpGrpc  # grpcio and its services take 0.1 s to import

        self.grpc = OtlpGrpc(config, self.admission, self.telemetry)
        await self.grpc.start(host)
        return self.grpc.address

    async def _start_http(self, config: OtlpHttpConfig, host: Host) -> str:
        if self.native:
            from airis.receivers.otlp.listeners import HttpListener

            address = await self._listen(self.native, HttpListener(config, self.admission), host)
            if address is not None:
                scheme = "https" if config.tls else "http"
                return f"unix:{address}" if config.transport == "unix" else f"{scheme}://{address}"
        app = OtlpHttp(config, self.admission)
        self.http = HttpServer(app, config, self.telemetry, "protocols::http", refuse=app.refuse)
        await self.http.start(host)
        return self.http.url

    async def _listen(self, native: "NativeTransport", listener: "Listener", host: Host) -> str | None:
        """The address of a native listener; None where the Python transport is to listen instead."""
        try:
            return await native.listen(listener, host)
        except Unsupported as error:
            if self.config.transport == "native":
                error.reason += "; write transport: python"
                raise
            self.telemetry.log.info(
                "served by the Python transport", protocol=listener.transport, option=error.option, reason=error.reason
            )
            return None

    def endpoints(self) -> Mapping[str, str]:
        """The addresses, ports in place of 0."""
        return self._endpoints

    async def shutdown(self) -> None:
        """Take nothing new and wait for those held; who is still held after the grace is told to come back."""
        refusing = asyncio.get_running_loop().call_later(self.grace_s, self.admission.refuse_held)
        try:
            # The servers' own deadline is longer: they cut clients off, a refusal lets them send again at once.
            deadline_s = self.grace_s + FLUSH_S
            servers = (self.native, self.grpc, self.http)
            await asyncio.gather(*(server.shutdown(deadline_s) for server in servers if server))
        finally:
            refusing.cancel()
