"""The options of a gRPC client, as the Collector has them, and calls over either transport."""

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airis.component.authentication import ClientAuthConfig, ClientAuthenticator, client_authenticator, sent_headers
from airis.component.config import Config, Duration, Secret
from airis.component.errors import StartError
from airis.component.grpc_tls import refuse_what_grpcio_lacks
from airis.component.headers import SecretHeaders
from airis.component.listen import is_loopback
from airis.component.telemetry import Telemetry
from airis.component.tls import RenewableTlsConfig
from airis.component.transport import Transport, choose
from airis.component.unsupported import NO_MIDDLEWARES, not_supported
from airis.data import NO_ORIGIN, Origin

if TYPE_CHECKING:
    from airis.component.lifecycle import Host

Metadata = tuple[tuple[str, str | bytes], ...]


class KeepaliveClientConfig(Config):
    """Pings on a connection that is silent."""

    time: Duration = Field(default=10.0, gt=0, description="Ping a server that was silent for so long.")
    timeout: Duration = Field(default=10.0, gt=0, description="End the connection if no answer comes.")
    permit_without_stream: bool = Field(default=False, description="Ping while no call is open, too.")


class GrpcClientConfig(Config):
    """Where a gRPC server is, and how to call it."""

    endpoint: str = Field(
        description="host:port, dns:///host:port, unix:///path or a list ipv4:1.2.3.4:4317,1.2.3.5:4317 of the server. "
        "http:// before it is without TLS, https:// with TLS."
    )
    transport: Transport = Field(
        default="auto",
        description="What sends: native (a thread of Rust) or python (grpcio); auto: native, but python for an option "
        "that only python has (dns://server/name, curves and cipher suites that rustls does not speak), and where "
        "airis was built without Rust.",
    )
    compression: Literal["", "none", "gzip", "snappy", "zstd"] = Field(
        default="", description="How messages are compressed; snappy and zstd over the native transport only."
    )
    tls: RenewableTlsConfig = Field(default=RenewableTlsConfig(), description="Encryption; on unless insecure.")
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
    auth: ClientAuthConfig | None = Field(
        default=None, description="Which extension says with which credentials calls are made."
    )
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every call. Anything in it is an error.",
    )

    @field_validator("endpoint")
    @classmethod
    def _endpoint_can_be_read(cls, endpoint: str) -> str:
        target(endpoint)
        return endpoint

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
    def _tls_goes_with_the_endpoint(self) -> Self:
        plain = RenewableTlsConfig()
        if self.endpoint.startswith("http://") and self.tls.model_copy(update={"insecure": False}) != plain:
            raise ValueError("endpoint: http:// is without encryption, but tls has options for it; write https://")
        return self

    @model_validator(mode="after")
    def _python_has_it(self) -> Self:
        if self.transport == "python":
            self.check_python()
        return self

    def check_python(self) -> None:
        """Raise ValueError for an option that grpcio does not have."""
        if self.compression in ("snappy", "zstd"):
            raise ValueError(
                f"compression: grpcio has no {self.compression}; write gzip or none, "
                "transport: native, or use otlp_http"
            )
        if self.tls.insecure_skip_verify:
            raise ValueError(
                "tls::insecure_skip_verify: grpcio cannot leave out the check of the server's certificate; name "
                "its authority in ca_file, or its name in server_name_override, or write transport: native"
            )
        if self.tls.reload_interval:
            raise ValueError("tls::reload_interval: grpcio reads certificates once; write transport: native")
        refuse_what_grpcio_lacks(self.tls)

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is: authorities of one's own count more than ``insecure``, as in the Collector."""
        if self.endpoint.startswith(("http://", "https://")):
            return self.endpoint.startswith("https://")
        return not self.tls.insecure or bool(self.tls.ca_file or self.tls.ca_pem)

    def metadata(self, authenticator: ClientAuthenticator | None = None, origin: Origin = NO_ORIGIN) -> Metadata:
        """The headers of a call as gRPC takes them; raises Permanent where there is no such call."""
        given = {name.lower(): value.get_secret_value() for name, value in self.headers.items()}
        sent = ((name.lower(), value) for name, value in sent_headers(authenticator, given, origin).items())
        return tuple((name, value.encode() if name.endswith("-bin") else value) for name, value in sent)

    def check_encryption(self, authenticator: ClientAuthenticator | None) -> None:
        """Raise StartError where credentials would go to another machine without TLS, as grpc-go does."""
        if authenticator is None or not authenticator.needs_encryption or self.is_encrypted:
            return
        to = target(self.endpoint)
        hosts = [to.host, *(address.rpartition(":")[0].strip("[]") for address in to.addresses)]
        if to.path or all(is_loopback(host) for host in hosts if host):
            return
        raise StartError(
            "gRPC does not send credentials to another machine without TLS; leave insecure out", "tls::insecure"
        )


@dataclass(frozen=True, slots=True)
class GrpcAnswer:
    """How a call ended."""

    code: int
    """google.rpc.Code"""
    message: str = ""
    """Of whoever ended it: as hostile as a server."""
    details: bytes = b""
    """An encoded google.rpc.Status, empty where there is none."""
    body: bytes = b""
    speaks_http1: bool = False
    """Whether the server answered in HTTP/1, which is no gRPC."""


class GrpcClient(Protocol):
    """Makes calls to one endpoint over connections that are kept."""

    async def call(self, method: str, payload: bytes, timeout_s: float, origin: Origin = NO_ORIGIN) -> GrpcAnswer:
        """Send a message and return how the call ended; cancelled, the call is. A timeout of 0 is none.

        `origin` is where the data came from, for an authenticator that asks. Raises Permanent where there is no such
        call.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_grpc_client(config: GrpcClientConfig, telemetry: Telemetry, host: "Host") -> GrpcClient:
    """A client, which connects when it is needed; raises StartError for the option at fault.

    `host` has the extension that `auth` names.
    """
    authenticator = client_authenticator(config.auth, host)
    config.check_encryption(authenticator)

    def native() -> GrpcClient:
        from airis.component.native_grpc import NativeGrpcClient

        return NativeGrpcClient(config, telemetry, authenticator)

    def python() -> GrpcClient:
        from airis.component.grpcio_client import GrpcioClient

        try:
            config.check_python()
        except ValueError as error:
            option, _, reason = str(error).partition(": ")
            raise StartError(reason, option) from error
        return GrpcioClient(config, authenticator)

    return choose(config.transport, native, python, telemetry)


class Target(NamedTuple):
    """What an endpoint names."""

    grpcio: str
    """As grpcio has it."""
    host: str = ""
    port: int = 0
    addresses: tuple[str, ...] = ()
    """``ip:port`` of each of a list."""
    path: str = ""
    """Of a unix socket."""
    dns_server: str = ""


def target(endpoint: str) -> Target:
    """What an endpoint names; raises ValueError that says what to write."""
    scheme, _, rest = endpoint.partition("://")
    if endpoint.startswith("unix:"):
        path = endpoint.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ValueError(f'"{endpoint}" has no path; write "unix:///path/of/the.sock"')
        return Target(f"unix:{path}", path=path)
    if endpoint.startswith(("ipv4:", "ipv6:")):
        family, _, list_ = endpoint.partition(":")
        found = tuple(_address(each.strip(), family) for each in list_.removeprefix("///").split(","))
        return Target(f"{family}:{','.join(found)}", addresses=found)
    if scheme == "dns" and rest:
        server, slash, name = rest.partition("/")
        if slash and server:  # dns://server/name
            return _named(name, f"dns://{server}/", server)
        return _named(name or server, "dns:///")
    if scheme in ("http", "https") and rest:
        url = urlsplit(endpoint)
        if url.path not in ("", "/") or url.query or url.fragment:
            raise ValueError(f'"{endpoint}": gRPC has no paths; write "{scheme}://{url.netloc}", or use otlp_http')
        return _named(rest.rstrip("/"))
    if "://" in endpoint:
        raise ValueError(
            f'"{endpoint}": "{scheme}" is not supported; write host:port, dns:///host:port or unix:///path'
        )
    return _named(endpoint)


def _named(address: str, scheme: str = "", dns_server: str = "") -> Target:
    whole = _host_and_port(address)
    host, _, port = whole.rpartition(":")
    return Target(scheme + whole, host.removeprefix("[").removesuffix("]"), int(port), dns_server=dns_server)


def _address(text: str, family: str) -> str:
    whole = _host_and_port(text)
    host = whole.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        found = f"ipv{ipaddress.ip_address(host).version}"
    except ValueError:
        found = ""
    if found != family:
        raise ValueError(f'"{text}" is no address of {family}; write the name as it is, or dns:///{text}')
    return whole


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
