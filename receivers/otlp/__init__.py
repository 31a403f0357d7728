"""OTLP over gRPC and HTTP: what every OpenTelemetry SDK and Collector sends."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from airis.component import Config, Consumer, Duration, Host, Receiver, StartError, Telemetry, receiver
from airis.component.grpc import GrpcServerConfig
from airis.component.http import FLUSH_S, SHUTDOWN_GRACE_S, HttpServer, HttpServerConfig
from airis.data import Signal
from airis.receivers.otlp.admission import Admission
from airis.receivers.otlp.http import OtlpHttp

if TYPE_CHECKING:
    from airis.receivers.otlp.grpc import OtlpGrpc


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
            raise ValueError("traces_url_path, metrics_url_path and logs_url_path must differ")
        return self

    def paths(self) -> dict[Signal, str]:
        """Where each signal is taken."""
        return {
            Signal.TRACES: self.traces_url_path,
            Signal.METRICS: self.metrics_url_path,
            Signal.LOGS: self.logs_url_path,
        }


class OtlpProtocols(Config):
    """The protocols to listen for."""

    grpc: OtlpGrpcConfig | None = Field(default=None, description="OTLP over gRPC; absent: off.")
    http: OtlpHttpConfig | None = Field(default=None, description="OTLP over HTTP, protobuf and JSON; absent: off.")


class OtlpConfig(Config):
    """Which protocols to listen for, and where."""

    protocols: OtlpProtocols = Field(default=OtlpProtocols(), description="At least one of grpc and http.")

    @model_validator(mode="after")
    def _at_least_one_protocol(self) -> Self:
        if self.protocols.grpc is None and self.protocols.http is None:
            raise ValueError("protocols names no protocol; write at least one of grpc and http")
        return self


@receiver("otlp", traces="beta", metrics="beta", logs="beta")
class OtlpReceiver(Receiver[OtlpConfig]):
    """Takes traces, metrics and logs over OTLP and answers a client when its data was taken behind.

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
        if config.protocols.http:
            app = OtlpHttp(config.protocols.http, self.admission)
            self.http = HttpServer(app, config.protocols.http, telemetry, "protocols::http")

    async def start(self, host: Host) -> None:
        """Listen; raises StartError, and then listens nowhere."""
        try:
            if self.config.protocols.grpc:
                from airis.receivers.otlp.grpc import OtlpGrpc  # grpcio and its services take 0.1 s to import

                self.grpc = OtlpGrpc(self.config.protocols.grpc, self.admission, self.telemetry)
                await self.grpc.start()
            if self.http:
                await self.http.start()
        except StartError:
            await self.shutdown()
            raise

    def endpoints(self) -> Mapping[str, str]:
        """The addresses, ports in place of 0."""
        return {
            **({"OTLP gRPC": self.grpc.address} if self.grpc else {}),
            **({"OTLP HTTP": self.http.url} if self.http else {}),
        }

    async def shutdown(self) -> None:
        """Take nothing new and wait for those held; who is still held after the grace is told to come back."""
        refusing = asyncio.get_running_loop().call_later(self.grace_s, self.admission.refuse_held)
        try:
            # The servers' own deadline is longer: they cut clients off, a refusal lets them send again at once.
            deadline_s = self.grace_s + FLUSH_S
            await asyncio.gather(*(server.shutdown(deadline_s) for server in (self.grpc, self.http) if server))
        finally:
            refusing.cancel()
