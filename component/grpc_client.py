"""The options of a gRPC client, as the Collector has them, and a channel of grpcio."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airis import __version__
from airis.component.config import Config, Duration, Secret
from airis.component.grpc_tls import refuse_what_grpcio_lacks
from airis.component.headers import SecretHeaders
from airis.component.tls import TlsClientConfig
from airis.component.unsupported import NO_AUTHENTICATORS, NO_MIDDLEWARES, not_supported

if TYPE_CHECKING:
    import grpc

RECONNECT_MS = (500, 2000)
"""First and longest wait between two tries to connect. gRPC's own two minutes would outlast our retries, which would
fail without a try."""

Metadata = tuple[tuple[str, str | bytes], ...]


class KeepaliveClientConfig(Config):
    """Pings on a connection that is silent."""

    time: Duration = Field(default=10.0, gt=0, description="Ping a server that was silent for so long.")
    timeout: Duration = Field(default=10.0, gt=0, description="End the connection if no answer comes.")
    permit_without_stream: bool = Field(default=False, description="Ping while no call is open, too.")


class GrpcClientConfig(Config):
    """Where a gRPC server is, and how to call it."""

    endpoint: str = Field(
        description="host:port, dns:///host:port or unix:///path of the server. http:// before it is without TLS, "
        "https:// with TLS."
    )
    compression: Literal["", "none", "gzip", "snappy", "zstd"] = Field(
        default="", description="none or gzip. snappy and zstd are not supported: gRPC here has neither."
    )
    tls: TlsClientConfig = Field(default=TlsClientConfig(), description="Encryption; on unless insecure.")
    keepalive: KeepaliveClientConfig | None = Field(default=None, description="Pings; absent: none.")
    read_buffer_size: int = Field(
        default=0, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what arrives."
    )
    write_buffer_size: int = Field(
        default=0, ge=0, description="Has no effect here, in bytes: gRPC sizes its buffers by what is sent."
    )
    wait_for_ready: bool = Field(
        default=False, description="Wait for a connection within the timeout, rather than fail without one."
    )
    headers: SecretHeaders = Field(default_factory=dict[str, Secret], description="Metadata sent with every call.")
    user_agent: str = Field(default="", description="How the client calls itself; empty: airis and its version.")
    balancer_name: Literal["round_robin", "pick_first"] = Field(
        default="round_robin",
        description="How calls go to the addresses of a name: round_robin to each in turn, pick_first all to one.",
    )
    authority: str = Field(default="", description="Host that calls are for (:authority); empty: the endpoint's.")
    auth: Annotated[dict[str, Any] | None, not_supported(NO_AUTHENTICATORS)] = Field(
        default=None, description="Not supported yet: authenticators. Anything in it is an error."
    )
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every call. Anything in it is an error.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str) -> str:
        _target(endpoint)
        return endpoint

    @field_validator("compression")
    @classmethod
    def _compression_that_grpcio_has(cls, name: str) -> str:
        if name in ("snappy", "zstd"):
            raise ValueError(f"gRPC has no {name} here; write gzip or none, or use otlp_http, which has {name}")
        return name

    @field_validator("headers")
    @classmethod
    def _metadata_that_can_be(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        for name, value in headers.items():
            if name.lower().startswith("grpc-"):
                raise ValueError(f'"{name}": names that begin with grpc- are gRPC\'s own')
            if not value.get_secret_value().isascii() and not name.lower().endswith("-bin"):
                raise ValueError(f'the value of "{name}" is not ASCII; gRPC sends nothing else')
        return headers

    @model_validator(mode="after")
    def _tls_that_grpcio_has(self) -> Self:
        if self.tls.insecure_skip_verify:
            raise ValueError(
                "tls::insecure_skip_verify: gRPC here cannot leave out the check of the server's certificate; name "
                "its authority in ca_file, or its name in server_name_override, or use otlp_http"
            )
        refuse_what_grpcio_lacks(self.tls)
        if self.endpoint.startswith("http://") and self.tls.model_copy(update={"insecure": False}) != TlsClientConfig():
            raise ValueError("endpoint: http:// is without encryption, but tls has options for it; write https://")
        return self

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is: authorities of one's own count more than ``insecure``, as in the Collector."""
        if self.endpoint.startswith(("http://", "https://")):
            return self.endpoint.startswith("https://")
        return not self.tls.insecure or bool(self.tls.ca_file or self.tls.ca_pem)

    def metadata(self) -> Metadata:
        """The headers as gRPC takes them."""
        given = ((name.lower(), value.get_secret_value()) for name, value in self.headers.items())
        return tuple((name, value.encode() if name.endswith("-bin") else value) for name, value in given)

    def channel_arguments(self) -> list[tuple[str, int | str]]:
        """The options as grpcio takes them."""
        first, longest = RECONNECT_MS
        arguments: list[tuple[str, int | str]] = [
            ("grpc.lb_policy_name", self.balancer_name),
            ("grpc.primary_user_agent", self.user_agent or f"airis/{__version__}"),
            ("grpc.initial_reconnect_backoff_ms", first),
            ("grpc.max_reconnect_backoff_ms", longest),
            ("grpc.max_send_message_length", -1),
        ]
        if self.authority:
            arguments.append(("grpc.default_authority", self.authority))
        if self.tls.server_name_override:
            arguments.append(("grpc.ssl_target_name_override", self.tls.server_name_override))
        if self.keepalive:
            arguments += [
                ("grpc.keepalive_time_ms", _milliseconds(self.keepalive.time)),
                ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive.timeout)),
                ("grpc.keepalive_permit_without_calls", int(self.keepalive.permit_without_stream)),
                ("grpc.http2.max_pings_without_data", 0),
            ]
        return arguments


def open_channel(config: GrpcClientConfig) -> "grpc.Channel":
    """A channel, which connects when it is needed; raises StartError for the option at fault."""
    import grpc

    compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
    target, arguments = _target(config.endpoint), config.channel_arguments()
    if not config.is_encrypted:
        return grpc.insecure_channel(target, arguments, compression)
    tls = config.tls
    tls.context()  # grpcio takes anything and then fails every handshake, so OpenSSL has a look first
    authorities = tls.authorities()
    if authorities is None or tls.include_system_ca_certs_pool:
        authorities = b"\n".join(filter(None, (authorities, _system_authorities()))) or None
    own = bool(tls.cert_file or tls.cert_pem)
    credentials = grpc.ssl_channel_credentials(
        authorities, tls.key() if own else None, tls.certificate() if own else None
    )
    return grpc.secure_channel(target, credentials, arguments, compression)


def _target(endpoint: str) -> str:
    """The endpoint as gRPC names it; raises ValueError that says what to write."""
    scheme, _, rest = endpoint.partition("://")
    if endpoint.startswith("unix:"):
        path = endpoint.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ValueError(f'"{endpoint}" has no path; write "unix:///path/of/the.sock"')
        return f"unix:{path}"
    if scheme == "dns" and rest:
        server, slash, name = rest.partition("/")
        if slash and server:  # dns://server/name
            return f"dns://{server}/{_host_and_port(name)}"
        return f"dns:///{_host_and_port(name or server)}"
    if scheme in ("http", "https") and rest:
        url = urlsplit(endpoint)
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError(f'"{endpoint}": gRPC has no paths; write "{scheme}://{url.netloc}", or use otlp_http')
        return _host_and_port(rest.rstrip("/"))
    if "://" in endpoint:
        raise ValueError(
            f'"{endpoint}": "{scheme}" is not supported; write host:port, dns:///host:port or unix:///path'
        )
    return _host_and_port(endpoint)


def _host_and_port(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not address:
        raise ValueError('needs a server; write host:port, such as "localhost:4317"')
    if not colon or address.endswith("]"):
        raise ValueError(f'"{address}" has no port; write "{address}:4317"')
    if ":" in host and not host.startswith("["):
        raise ValueError(f'"{address}": write an IPv6 address in brackets, as in "[::1]:4317"')
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'"{address}": "{port}" is no port; write a number up to 65535')
    return f"{host or 'localhost'}:{port}"


def _system_authorities() -> bytes | None:
    """The authorities that OpenSSL trusts here, PEM; None where it has none, and grpcio takes its own list."""
    paths = ssl.get_default_verify_paths()
    with suppress(OSError):
        if paths.cafile:
            return Path(paths.cafile).read_bytes()
        if paths.capath:
            found = [file.read_bytes() for file in sorted(Path(paths.capath).glob("*.[0-9]"))]
            return b"\n".join(found) or None
    return None


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), 2**31 - 2)
