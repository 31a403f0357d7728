"""The options of a gRPC server, as the Collector has them, and what they are for grpcio."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airis.component.authentication import ServerAuthConfig
from airis.component.config import Config, Duration
from airis.component.door import Door
from airis.component.errors import StartError
from airis.component.grpc_tls import refuse_what_grpcio_lacks
from airis.component.http import warn_of_exposure
from airis.component.listen import Transport, address_of, bind, parse_endpoint
from airis.component.telemetry import Telemetry
from airis.component.tls import CertificateClock, TlsServerConfig, log_failed_reload
from airis.component.unsupported import NO_MIDDLEWARES, not_supported

if TYPE_CHECKING:
    import grpc
    import grpc.aio

DEFAULT_MAX_MESSAGE_MIB = 4
MAX_MILLISECONDS = 2**31 - 2
"""24.8 days; grpcio takes no longer times, and 2**31 - 1 for never."""
MAX_STREAMS = 2**31 - 1
"""The largest number that grpcio takes."""


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
        default=0, ge=0, lt=2**32, description="Calls in progress on one connection; 0: without a limit."
    )
    read_buffer_size: int = Field(
        default=0, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what arrives."
    )
    write_buffer_size: int = Field(
        default=0, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what is sent."
    )
    keepalive: KeepaliveServerConfig | None = Field(default=None, description="Pings; absent: gRPC's defaults.")
    include_metadata: bool = Field(
        default=False, description="Hand call metadata on with the data, credentials excepted."
    )
    auth: ServerAuthConfig | None = Field(default=None, description="Who may call; absent: everybody.")
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every call. Anything in it is an error.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str, others: ValidationInfo) -> str:
        if others.data.get("transport") == "tcp":
            parse_endpoint(endpoint)
        return endpoint

    @model_validator(mode="after")
    def _tls_that_grpcio_has(self) -> Self:
        if self.tls:
            refuse_what_grpcio_lacks(self.tls)
        return self

    def channel_arguments(self) -> list[tuple[str, int]]:
        """The options as grpcio takes them."""
        size = self.max_recv_msg_size_mib or DEFAULT_MAX_MESSAGE_MIB
        # Without the second a taken port is no error: the kernel would share it out between both servers.
        arguments = [("grpc.max_receive_message_length", size * 1024 * 1024), ("grpc.so_reuseport", 0)]
        if self.max_concurrent_streams:
            arguments.append(("grpc.max_concurrent_streams", min(self.max_concurrent_streams, MAX_STREAMS)))
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


def new_server(config: GrpcServerConfig, door: Door | None) -> "grpc.aio.Server":
    """A server of grpcio with these options, at which nobody calls whom the door does not let in."""
    import grpc.aio

    from airis.component.grpc_door import Doorkeeper

    interceptors = [Doorkeeper(door)] if door else None
    return grpc.aio.server(interceptors=interceptors, options=config.channel_arguments())


def listen(server: "grpc.aio.Server", config: GrpcServerConfig, telemetry: Telemetry) -> str:
    """Let the server listen where the configuration says, and give the address: ``host:port`` or ``unix:path``.

    Raises StartError that names the option at fault.
    """
    credentials = server_credentials(config.tls, telemetry) if config.tls else None
    # grpcio says no more than that it failed; a socket of our own says why.
    with bind(config.endpoint, config.transport) as probe:
        address = address_of(probe)
    if config.transport == "unix":
        Path(address).unlink()
        address = f"unix:{address}"
    elif parse_endpoint(config.endpoint)[1] == 0:
        address = f"{address.rpartition(':')[0]}:0"
    port = 0
    with suppress(RuntimeError):
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    if not port:
        raise StartError(f'"{config.endpoint}": gRPC cannot listen there', "endpoint")
    warn_of_exposure(config, telemetry)
    return address if config.transport == "unix" else f"{address.rpartition(':')[0]}:{port}"


def server_credentials(config: TlsServerConfig, telemetry: Telemetry) -> "grpc.ServerCredentials":
    """Credentials for a server that read the certificate again when that is due; raises StartError."""
    import grpc

    def load() -> grpc.ServerCertificateConfiguration:
        # grpcio takes anything and then fails every handshake, so OpenSSL has a look first.
        config.context()
        pair = (config.key(), config.certificate())
        return grpc.ssl_server_certificate_configuration([pair], config.client_authorities())

    reloading = CertificateClock(config)

    def fetch() -> Any:
        """Asked at every handshake; None keeps what is in use."""
        if not reloading.due():
            return None
        try:
            return load()
        except StartError as error:
            log_failed_reload(error, telemetry)
            return None

    return grpc.dynamic_ssl_server_credentials(load(), fetch, bool(config.client_ca_file))
