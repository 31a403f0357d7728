"""Who sends, and as whom we send: what authenticators promise, and the options that name one.

A server's authenticator looks at a request's headers before anything of its body is read; a client's adds to the
headers of a request that is about to go out. Extensions provide them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from airis.component.config import Config
from airis.component.errors import Permanent, StartError
from airis.component.headers import checked_name, is_sendable
from airis.data import NO_AUTH, Origin

if TYPE_CHECKING:
    from airis.component.lifecycle import Host

Direction = Literal["server", "client"]
Credentials = Mapping[str, tuple[str, ...]]
"""The headers that an authenticator looks at: by lower-case name, values in order."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is."""

    attributes: Mapping[str, str] = field(default_factory=lambda: NO_AUTH)
    """What pipelines know as ``auth.<name>``, such as ``subject``; never a credential, since it goes into queues."""
    valid_s: float | None = None
    """How long this may be remembered, in seconds; None: until the authenticator says that something changed."""


ANYBODY = Identity()
"""A client that may send, and has no name."""


class Denied(Exception):
    """A client may not send; the text is told to it."""

    kind = "denied"
    """What a counter calls it."""
    grpc_code = 16
    """google.rpc.Code.UNAUTHENTICATED"""
    http_status = 401
    is_permanent = True
    """Whether it may be remembered."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unauthenticated(Denied):
    """Its credentials are missing or wrong."""

    kind = "unauthenticated"


class Forbidden(Denied):
    """It is known, and may not send here."""

    kind = "forbidden"
    grpc_code = 7
    """google.rpc.Code.PERMISSION_DENIED"""
    http_status = 403


class Undecided(Denied):
    """Nobody knows at the moment; it may come again."""

    kind = "undecided"
    grpc_code = 14
    """google.rpc.Code.UNAVAILABLE"""
    http_status = 503
    is_permanent = False
    retry_after_s = 1.0


class ServerAuthenticator(ABC):
    """Decides who may send."""

    reads: tuple[str, ...]
    """The headers that decide, in lower case: requests that agree in them get one decision."""
    challenge: str
    """What WWW-Authenticate says to a client without the right credentials, such as ``Bearer``."""

    def __init__(self) -> None:
        self._forgetting: list[Callable[[], None]] = []

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Identity:
        """Who this is; raises Unauthenticated, Forbidden, or Undecided where that is not known at the moment."""

    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Call `forget` whenever earlier decisions do not hold any more; what is given ends that."""
        self._forgetting.append(forget)
        return lambda: self._forgetting.remove(forget)

    def changed(self) -> None:
        """Say that earlier decisions do not hold any more."""
        for forget in self._forgetting:
            forget()


class ClientAuthenticator(ABC):
    """Says with which headers a request goes out."""

    needs_encryption = True
    """Whether what it adds is a secret, which gRPC does not send without TLS."""

    @abstractmethod
    def headers(self, given: Mapping[str, str], origin: Origin) -> Mapping[str, str]:
        """The headers of a request: `given` are those that are configured, `origin` is where its data came from.

        Raises Permanent or Retryable where there is no such request.
        """


class AuthenticatorConfig(Config):
    """Options of an extension that is an authenticator."""

    def directions(self) -> frozenset[Direction]:
        """Whom it authenticates with these options: the clients of a server, a client, or both."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class NamesAuthenticator:
    """Marks an option that is the id of an extension which authenticates in this direction."""

    direction: Direction


class ServerAuthConfig(Config):
    """Which extension decides who may send."""

    authenticator: Annotated[str, NamesAuthenticator("server")] = Field(
        min_length=1, description="Id of the extension, which service::extensions names as well."
    )


class HttpServerAuthConfig(ServerAuthConfig):
    """Which extension decides who may send."""

    request_params: list[str] = Field(
        default_factory=list[str],
        description="Parameters of the query that stand for headers of their names, where a client cannot set headers. "
        "They are written to the logs of proxies, so leave it empty where you can.",
    )

    @field_validator("request_params")
    @classmethod
    def _names_of_headers(cls, names: list[str]) -> list[str]:
        return [checked_name(name) for name in names]


class ClientAuthConfig(Config):
    """Which extension says with which credentials is sent."""

    authenticator: Annotated[str, NamesAuthenticator("client")] = Field(
        min_length=1, description="Id of the extension, which service::extensions names as well."
    )


def server_authenticator(config: ServerAuthConfig | None, host: "Host | None") -> ServerAuthenticator | None:
    """The authenticator of a server, None where everybody may send; raises StartError for the option at fault."""
    if config is None:
        return None
    if host is None:
        raise StartError("nobody can be authenticated here; leave it out", "auth")
    found = _provided(config.authenticator, host, "auth::authenticator")
    if not isinstance(found, ServerAuthenticator):
        reason = f'the extension "{config.authenticator}" does not authenticate the clients of a server'
        raise StartError(reason, "auth::authenticator")
    return found


def client_authenticator(config: ClientAuthConfig | None, host: "Host") -> ClientAuthenticator | None:
    """The authenticator of a client, None where there is none; raises StartError for the option at fault."""
    return None if config is None else client_authenticator_of(config.authenticator, host, "auth::authenticator")


def client_authenticator_of(extension_id: str, host: "Host", option: str) -> ClientAuthenticator:
    """The authenticator of a client with this id; raises StartError for the option."""
    found = _provided(extension_id, host, option)
    if not isinstance(found, ClientAuthenticator):
        raise StartError(f'the extension "{extension_id}" does not authenticate a client', option)
    return found


def _provided(extension_id: str, host: "Host", option: str) -> object:
    try:
        return host.extension(extension_id, object)
    except StartError as error:
        error.option = option
        raise


def sent_headers(
    authenticator: ClientAuthenticator | None, given: Mapping[str, str], origin: Origin
) -> Mapping[str, str]:
    """The headers of a request as they go out; raises Permanent for one that would not stay one header."""
    if authenticator is None:
        return given
    headers = authenticator.headers(given, origin)
    for name, value in headers.items():
        # What clients sent is in some of them. The value is not repeated: it may be a credential.
        if given.get(name) != value and not is_sendable(value):
            raise Permanent(f'what is there for the header "{name}" is not printable ASCII, which headers are')
    return headers


def with_header(given: Mapping[str, str], name: str, value: str | None) -> Mapping[str, str]:
    """The headers with this one in place of those of its name in any case; None takes it away."""
    kept = {other: text for other, text in given.items() if other.lower() != name.lower()}
    return kept if value is None else {**kept, name: value}
