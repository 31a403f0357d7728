"""The options of a gRPC server, as the Collector has them, and what they are for grpcio."""

import ssl
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airis.component.config import Config, Duration
from airis.component.errors import StartError
from airis.component.listen import Transport, parse_endpoint
from airis.component.telemetry import Telemetry
from airis.component.tls import CertificateClock, TlsServerConfig, load_certificate, log_failed_reload

if TYPE_CHECKING:
    import grpc

DEFAULT_MAX_MESSAGE_MIB = 4
MAX_MILLISECONDS = 2**31 - 2
"""24.8 days; grpcio takes no longer times, and 2**31 - 1 for never."""


class KeepaliveParameters(Config):
    """When the server pings a client, and when it ends a connection."""

    max_connection_idle: Duration = Field(default=0.0, ge=0, description="End a connection without calls; 0: never.")
    max_connection_age: Duration = Field(
        default=0.0, ge=0, description="End every connection after so long, so that clients spread out anew; 0: never."
    )
    max_connection_age_grace: Duration = Field(
        default=0.0, ge=0, description="How long its calls may then still take; 0: without a limit."
    )
    time: Duration = Field(default=0.0, ge=0, description="Ping a client that was silent for so long; 0: 2h.")
    timeout: Duration = Field(default=0.0, ge=0, description="End the connection if no answer comes; 0: 20s.")


class KeepaliveEnforcement(Config):
    """How often clients may ping."""

    min_time: Duration = Field(default=0.0, ge=0, description="A client that pings more often is disconnected; 0: 5m.")
    permit_without_stream: bool = Field(default=False, description="Let clients ping while they have no call open.")


class KeepaliveServerConfig(Config):
    """Pings on idle connections."""

    server_parameters: KeepaliveParameters | None = Field(default=None, description="Pings by the server.")
    enforcement_policy: KeepaliveEnforcement | None = Field(default=None, description="Pings by clients.")


class GrpcServerConfig(Config):
    """Where and how to serve gRPC."""

    transport: Transport = Field(default="tcp", description="tcp or unix.")
    endpoint: str = Field(description="host:port to listen on, or the path of the socket with transport unix.")
    tls: TlsServerConfig | None = Field(default=None, description="Serve over TLS; absent: without.")
    max_recv_msg_size_mib: int = Field(
        default=0, ge=0, lt=2048, description="Largest request after decompression, in MiB; 0: gRPC's 4."
    )
    max_concurrent_streams: int = Field(
        default=0, ge=0, lt=2**31, description="Calls in progress on one connection; 0: without a limit."
    )
    keepalive: KeepaliveServerConfig | None = Field(default=None, description="Pings; absent: gRPC's defaults.")
    include_metadata: bool = Field(
        default=False, description="Hand call metadata on with the data, credentials excepted."
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str, others: ValidationInfo) -> str:
        if others.data.get("transport") == "tcp":
            parse_endpoint(endpoint)
        return endpoint

    @model_validator(mode="after")
    def _tls_that_grpcio_has(self) -> Self:
        if self.tls and self.tls.min_version != "1.2":
            raise ValueError("tls::min_version: gRPC offers TLS 1.2 and 1.3 and cannot be told otherwise; leave it out")
        if self.tls and self.tls.max_version not in ("", "1.3"):
            raise ValueError("tls::max_version: gRPC offers TLS 1.2 and 1.3 and cannot be told otherwise; leave it out")
        if self.tls and self.tls.cipher_suites:
            raise ValueError("tls::cipher_suites: gRPC has its own choice and cannot be told otherwise; leave it out")
        return self

    def channel_arguments(self) -> list[tuple[str, int]]:
        """The options as grpcio takes them."""
        size = self.max_recv_msg_size_mib or DEFAULT_MAX_MESSAGE_MIB
        # Without the second a taken port is no error: the kernel would share it out between both servers.
        arguments = [("grpc.max_receive_message_length", size * 1024 * 1024), ("grpc.so_reuseport", 0)]
        if self.max_concurrent_streams:
            arguments.append(("grpc.max_concurrent_streams", self.max_concurrent_streams))
        keepalive = self.keepalive or KeepaliveServerConfig()
        ours = keepalive.server_parameters or KeepaliveParameters()
        theirs = keepalive.enforcement_policy or KeepaliveEnforcement()
        durations = {
            "grpc.max_connection_idle_ms": ours.max_connection_idle,
            "grpc.max_connection_age_ms": ours.max_connection_age,
            "grpc.max_connection_age_grace_ms": ours.max_connection_age_grace,
            "grpc.keepalive_time_ms": ours.time,
            "grpc.keepalive_timeout_ms": ours.timeout,
            "grpc.http2.min_ping_interval_without_data_ms": theirs.min_time,
        }
        arguments.extend(
            (name, min(round(seconds * 1000), MAX_MILLISECONDS)) for name, seconds in durations.items() if seconds
        )
        arguments.append(("grpc.keepalive_permit_without_calls", int(theirs.permit_without_stream)))
        return arguments


def server_credentials(config: TlsServerConfig, telemetry: Telemetry) -> "grpc.ServerCredentials":
    """Credentials for a server that read the certificate again when that is due; raises StartError."""
    import grpc

    authorities = config.client_authorities()

    def load() -> grpc.ServerCertificateConfiguration:
        # grpcio takes anything and then fails every handshake, so OpenSSL has a look first.
        certificate, key = load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), config)
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)

    reloading = CertificateClock(config.reload_interval)

    def fetch() -> Any:
        """Asked at every handshake; None keeps what is in use."""
        if not reloading.due():
            return None
        try:
            return load()
        except StartError as error:
            log_failed_reload(error, telemetry)
            return None

    return grpc.dynamic_ssl_server_credentials(load(), fetch, authorities is not None)
