"""Bearer tokens: of clients, compared with those that may send, or as a client."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Self

from pydantic import Field, field_validator, model_validator

from airis.component import Extension, Host, Secret, Telemetry, extension
from airis.component.authentication import (
    ANYBODY,
    AuthenticatorConfig,
    ClientAuthenticator,
    Credentials,
    Direction,
    Identity,
    ServerAuthenticator,
    Unauthenticated,
    with_header,
)
from airis.component.headers import HEADER_NAME, checked_name, is_sendable
from airis.component.watched_file import WatchedFiles
from airis.data import Origin


class BearerTokenAuthConfig(AuthenticatorConfig):
    """The tokens."""

    header: str = Field(default="Authorization", description="The header that has the token.")
    scheme: str = Field(default="Bearer", description="The word before the token; empty: none.")
    token: Secret = Field(default=Secret(""), description="The token.")
    tokens: list[Secret] = Field(
        default_factory=list[Secret],
        description="Several tokens, instead of token: a receiver takes each of them, an exporter sends the first.",
    )
    filename: str = Field(
        default="",
        description="A file with the tokens, one in a line; what is behind a space is a comment. It counts instead of "
        "token and tokens, and changes of it are noticed.",
    )

    @field_validator("header")
    @classmethod
    def _is_a_header(cls, header: str) -> str:
        return checked_name(header)

    @field_validator("scheme")
    @classmethod
    def _is_a_word(cls, scheme: str) -> str:
        if scheme and not HEADER_NAME.fullmatch(scheme):
            raise ValueError(f'"{scheme}" is not one word')
        return scheme

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, token: Secret) -> Secret:
        _check(token.get_secret_value(), may_be_empty=True)
        return token

    @field_validator("tokens")
    @classmethod
    def _each_can_be_sent(cls, tokens: list[Secret]) -> list[Secret]:
        for token in tokens:
            _check(token.get_secret_value())
        return tokens

    @model_validator(mode="after")
    def _has_tokens(self) -> Self:
        if self.token.get_secret_value() and self.tokens:
            raise ValueError("either token or tokens, not both")
        if not (self.token.get_secret_value() or self.tokens or self.filename):
            raise ValueError("no bearer token; write token, tokens or filename")
        return self

    def directions(self) -> frozenset[Direction]:
        """Both."""
        return frozenset({"server", "client"})


class BearerTokens(ServerAuthenticator, ClientAuthenticator):
    """Compares tokens, and sends the first."""

    def __init__(self, header: str, scheme: str) -> None:
        super().__init__()
        self._header = header
        self._prefix = f"{scheme} " if scheme else ""
        self.reads = (header.lower(),)
        self.challenge = scheme or "Bearer"
        self._key = os.urandom(32)
        self._first = ""
        self._digests: list[bytes] = []

    def use(self, tokens: Sequence[str]) -> None:
        """Take these from now on, and no others."""
        self._first = self._prefix + tokens[0]
        self._digests = [self._digest(self._prefix + token) for token in tokens]
        self.changed()

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Whoever has one of the tokens; in the Collector's words otherwise."""
        values = credentials.get(self.reads[0], ())
        if not values or not values[0]:
            raise Unauthenticated(f"missing or empty authorization header: {self._header}")
        digest = self._digest(values[0])
        if not sum(compare_digest(digest, known) for known in self._digests):  # all of them, whichever it is
            raise Unauthenticated("provided authorization does not match expected scheme or token")
        return ANYBODY

    def headers(self, given: Mapping[str, str], origin: Origin) -> Mapping[str, str]:
        """With the first token."""
        return with_header(given, self._header, self._first)

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode(errors="surrogatepass"), key=self._key).digest()


@extension("bearertokenauth")
class BearerTokenAuth(Extension[BearerTokenAuthConfig]):
    """Authenticate by a token: the clients of a receiver, or an exporter."""

    def __init__(
        self,
        config: BearerTokenAuthConfig,
        telemetry: Telemetry,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` passes the time between two looks at the file."""
        super().__init__(config, telemetry)
        self._tokens = BearerTokens(config.header, config.scheme)
        self._files = WatchedFiles(telemetry, sleep)
        self._files.add(config.filename, "filename", self._use)

    def provides(self) -> object:
        """The authenticator, of either side."""
        return self._tokens

    async def start(self, host: Host) -> None:
        """Read the file; raises StartError."""
        given = [token.get_secret_value() for token in [self.config.token, *self.config.tokens]]
        given = [token for token in given if token]
        if not self.config.filename:
            self._tokens.use(given)
        elif given:
            self.telemetry.log.warning("filename counts, and not what is configured beside it", ignored=len(given))
        await self._files.start()

    async def shutdown(self) -> None:
        """Watch the file no more."""
        await self._files.close()

    def _use(self, text: str) -> None:
        tokens = [words[0] for line in text.splitlines() if (words := line.split())]
        if not tokens:
            raise ValueError("there is no token in it")
        for token in tokens:
            _check(token)
        self._tokens.use(tokens)


def _check(token: str, *, may_be_empty: bool = False) -> None:
    if not token and not may_be_empty:
        raise ValueError("a token is empty")
    if not is_sendable(token):
        raise ValueError("a token has characters that a header cannot have")
