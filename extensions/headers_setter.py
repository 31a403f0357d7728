"""Headers of requests that go out, from the configuration, from files, or from what clients sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from airis.component import Config, Extension, Host, Permanent, Secret, Telemetry, extension
from airis.component.authentication import (
    AuthenticatorConfig,
    ClientAuthenticator,
    Direction,
    NamesAuthenticator,
    client_authenticator_of,
    with_header,
)
from airis.component.config import ANY_CASE
from airis.component.headers import WITHHELD, checked_name, is_sendable
from airis.component.watched_file import WatchedFiles
from airis.data import Origin

_SOURCES = ("value", "value_file", "from_context", "from_attribute")


class HeaderConfig(Config):
    """One header."""

    key: str = Field(description="Its name.")
    action: Annotated[Literal["insert", "update", "upsert", "delete"], ANY_CASE] = Field(
        default="upsert",
        description="insert writes where the header is not there, update where it is, upsert both; delete takes it "
        "away. Those are there that the exporter's headers have.",
    )
    value: Secret | None = Field(default=None, description="The value.")
    value_file: str = Field(
        default="", description="A file with the value in it, without the end of its line; changes are noticed."
    )
    from_context: str = Field(
        default="",
        description="The header of the client's request that has the value: include_metadata of the receiver lets it "
        "through, and metadata_keys keeps it behind the batch processor. Without it nothing is done.",
    )
    from_attribute: str = Field(
        default="",
        description="What the receiver's authenticator knows of the client, such as subject; metadata_keys with "
        "auth.subject keeps it behind the batch processor. Without it nothing is done.",
    )
    default_value: Secret | None = Field(
        default=None, description="The value where from_context or from_attribute give none."
    )

    @field_validator("key")
    @classmethod
    def _is_a_header(cls, key: str) -> str:
        return checked_name(key)

    @field_validator("value", "default_value")
    @classmethod
    def _can_be_sent(cls, value: Secret | None) -> Secret | None:
        if value is not None:
            _check(value.get_secret_value())
        return value

    @field_validator("from_context")
    @classmethod
    def _goes_on(cls, name: str) -> str:
        if name.lower() in WITHHELD:
            raise ValueError("credentials, and headers that are about one message, do not go on with the data")
        return name

    @field_validator("from_attribute")
    @classmethod
    def _is_kept(cls, name: str) -> str:
        if name == "raw":
            raise ValueError('credentials do not go on with the data; who the client is is "subject"')
        return name

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) not in (None, "")]
        given = given or (["value"] if self.value is not None else [])
        if self.action == "delete":
            return self
        if not given:
            raise ValueError(f"needs one of {', '.join(_SOURCES)}")
        if len(given) > 1:
            raise ValueError(f"takes only one of {' and '.join(given)}")
        if self.default_value is not None and given[0] in ("value", "value_file"):
            raise ValueError(f"default_value is for from_context and from_attribute, not for {given[0]}")
        return self


class HeadersSetterConfig(AuthenticatorConfig):
    """The headers."""

    headers: list[HeaderConfig] = Field(min_length=1, description="What is done to headers, in this order.")
    additional_auth: Annotated[str, NamesAuthenticator("client")] = Field(
        default="", description="Id of another authenticator of exporters, which adds to the headers behind these."
    )

    def directions(self) -> frozenset[Direction]:
        """One."""
        return frozenset({"client"})


class HeadersSetterClient(ClientAuthenticator):
    """Sets headers."""

    def __init__(self, headers: Sequence[HeaderConfig]) -> None:
        self._headers = headers
        self.contents: dict[str, str] = {}
        """Of files, by their paths."""
        self.additional: ClientAuthenticator | None = None
        self.needs_encryption = False  # headers are no secret, as in the Collector

    def add(self, additional: ClientAuthenticator) -> None:
        """Let another authenticator add to the headers behind these."""
        self.additional = additional
        self.needs_encryption = additional.needs_encryption

    def headers(self, given: Mapping[str, str], origin: Origin) -> Mapping[str, str]:
        """With those that are set; raises Permanent where a client sent several values."""
        for header in self._headers:
            is_there = any(name.lower() == header.key.lower() for name in given)
            if header.action == "delete":
                given = with_header(given, header.key, None)
            elif header.action == "upsert" or is_there == (header.action == "update"):
                value = self._value(header, origin)
                given = given if value is None else with_header(given, header.key, value)
        return self.additional.headers(given, origin) if self.additional else given

    def _value(self, header: HeaderConfig, origin: Origin) -> str | None:
        if header.value is not None:
            return header.value.get_secret_value()
        if header.value_file:
            return self.contents[header.value_file]
        values = origin.metadata.get(header.from_context.lower(), ()) if header.from_context else ()
        if header.from_attribute and header.from_attribute in origin.auth:
            values = (origin.auth[header.from_attribute],)
        if len(values) > 1:
            raise Permanent(f'the client sent {len(values)} values of "{header.from_context}"; one can be sent on')
        if values:
            return values[0]
        return None if header.default_value is None else header.default_value.get_secret_value()


@extension("headers_setter")
class HeadersSetter(Extension[HeadersSetterConfig]):
    """Set headers of an exporter's requests, also to what the clients sent whose data it is."""

    def __init__(
        self,
        config: HeadersSetterConfig,
        telemetry: Telemetry,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` passes the time between two looks at a file."""
        super().__init__(config, telemetry)
        self._client = HeadersSetterClient(config.headers)
        self._files = WatchedFiles(telemetry, sleep)
        for place, header in enumerate(config.headers):
            self._files.add(header.value_file, f"headers::{place}::value_file", self._user_of(header))

    def dependencies(self) -> Sequence[str]:
        """The additional authenticator."""
        return (self.config.additional_auth,) if self.config.additional_auth else ()

    def provides(self) -> object:
        """The authenticator."""
        return self._client

    async def start(self, host: Host) -> None:
        """Read the files; raises StartError."""
        if self.config.additional_auth:
            self._client.add(client_authenticator_of(self.config.additional_auth, host, "additional_auth"))
        await self._files.start()

    async def shutdown(self) -> None:
        """Watch the files no more."""
        await self._files.close()

    def _user_of(self, header: HeaderConfig) -> Callable[[str], None]:
        def use(text: str) -> None:
            value = text.strip()
            _check(value)
            self._client.contents[header.value_file] = value

        return use


def _check(value: str) -> None:
    if not is_sendable(value):
        raise ValueError("the value has characters that a header cannot have")
