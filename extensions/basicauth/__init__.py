"""HTTP's Basic authentication: of clients, by users and passwords as in htpasswd, or as a client."""

import asyncio
import binascii
import hashlib
import os
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from airis.component import Config, Extension, Host, Secret, Telemetry, extension
from airis.component.authentication import (
    AuthenticatorConfig,
    ClientAuthenticator,
    Credentials,
    Direction,
    Identity,
    ServerAuthenticator,
    Unauthenticated,
    Undecided,
    with_header,
)
from airis.component.unsupported import not_supported
from airis.component.watched_file import WatchedFiles
from airis.data import Origin
from airis.extensions.basicauth import htpasswd
from airis.extensions.basicauth.htpasswd import Stored

CHECKS = 2
"""Passwords that are looked at in threads at the same time."""
MAX_WAITING = 16
"""Passwords of one user that wait to be looked at; who comes then is told to come again."""
_PREFIX = "basic "


class HtpasswdConfig(Config):
    """Who may send."""

    file: str = Field(
        default="",
        description="A file of htpasswd: bcrypt, {SHA}, {SSHA}, $apr1$, $1$ or plain text; other kinds, such as crypt "
        "and $5$, are errors. Changes of it are noticed.",
    )
    inline: Secret = Field(
        default=Secret(""), description="What would be in the file; of a user in both this one counts."
    )

    @field_validator("inline")
    @classmethod
    def _can_be_read(cls, inline: Secret) -> Secret:
        htpasswd.read(inline.get_secret_value())
        return inline

    @model_validator(mode="after")
    def _has_users(self) -> Self:
        if not self.file and not htpasswd.read(self.inline.get_secret_value()):
            raise ValueError('no credentials; write file, or inline: "user:password"')
        return self


class ClientCredentialsConfig(Config):
    """As whom to send."""

    username: str = Field(default="", description="The user.")
    username_file: str = Field(
        default="", description="A file with the user in it, in place of username; changes of it are noticed."
    )
    password: Secret = Field(default=Secret(""), description="The password.")
    password_file: str = Field(
        default="", description="A file with the password in it, in place of password; changes of it are noticed."
    )
    aws_secrets_manager: Annotated[
        dict[str, Any] | None, not_supported("secrets of AWS are not supported; write password_file")
    ] = Field(default=None, description="Not supported: credentials from AWS. Anything in it is an error.")

    @field_validator("username")
    @classmethod
    def _of_one_part(cls, username: str) -> str:
        return _checked_user(username) if username else username

    @model_validator(mode="after")
    def _has_a_user(self) -> Self:
        if not self.username and not self.username_file:
            raise ValueError("needs username, or username_file")
        return self


class BasicAuthConfig(AuthenticatorConfig):
    """Who may send, or as whom to send: one of them."""

    htpasswd: HtpasswdConfig | None = Field(default=None, description="For the auth of a receiver: who may send.")
    client_auth: ClientCredentialsConfig | None = Field(
        default=None, description="For the auth of an exporter: as whom to send."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.htpasswd is not None and self.client_auth is not None:
            raise ValueError("only one of htpasswd and client_auth; write a second basicauth for the other")
        if self.htpasswd is None and self.client_auth is None:
            raise ValueError("needs htpasswd, for a receiver, or client_auth, for an exporter")
        return self

    def directions(self) -> frozenset[Direction]:
        """One."""
        return frozenset({"server" if self.htpasswd is not None else "client"})


class BasicServer(ServerAuthenticator):
    """Looks passwords up.

    A password that was right is not looked at again, as that may take long by intention, until the user's entry
    changes. Passwords of one user are looked at one after the other, so that who tries many for one user holds nobody
    else up; all users that there are not are one.
    """

    reads = ("authorization",)
    challenge = 'Basic realm="airis", charset="UTF-8"'

    def __init__(self) -> None:
        super().__init__()
        self._users: Mapping[str, Stored] = {}
        self._decoy: Stored | None = None
        self._key = os.urandom(32)
        self._right: dict[str, bytes] = {}
        """A keyed digest of the entry and the password of each user whose password was right."""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._checks = asyncio.Semaphore(CHECKS)

    def use(self, users: Mapping[str, Stored]) -> None:
        """Let these in from now on, and no others."""
        self._users = users
        # Whether there is a user must not be seen by how long the answer takes.
        self._decoy = next((stored for stored in users.values() if stored.is_slow), None)
        self._right = {user: proof for user, proof in self._right.items() if user in users}
        self.changed()

    async def authenticate(self, credentials: Credentials) -> Identity:
        """The user, as ``subject`` and ``username``."""
        user, password = _read(credentials.get("authorization", ()))
        while True:
            stored = self._users.get(user)
            is_right = await self._is_right(user, stored, password)
            if self._users.get(user) == stored:  # or it changed meanwhile
                break
        if not is_right:
            raise Unauthenticated("invalid credentials")
        return Identity({"subject": user, "username": user})

    async def _is_right(self, user: str, stored: Stored | None, password: bytes) -> bool:
        if stored is None:
            if self._decoy is not None:
                await self._looked_at("", self._decoy, password)
            return False
        if not stored.is_slow:
            return stored.fits(password)
        proof = hashlib.blake2b(stored.text.encode() + b"\0" + password, key=self._key).digest()
        if compare_digest(self._right.get(user, b""), proof):
            return True
        if not await self._looked_at(user, stored, password):
            return False
        self._right[user] = proof
        return True

    async def _looked_at(self, user: str, stored: Stored, password: bytes) -> bool:
        if self._waiting[user] >= MAX_WAITING:
            raise Undecided("too many passwords of the user are waiting to be looked at")
        self._waiting[user] += 1
        try:
            async with self._turns[user], self._checks:
                return await asyncio.to_thread(stored.fits, password)
        finally:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                del self._waiting[user], self._turns[user]


class BasicClient(ClientAuthenticator):
    """Sends a user with its password."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password

    def headers(self, given: Mapping[str, str], origin: Origin) -> Mapping[str, str]:
        """With them in ``Authorization``."""
        pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return with_header(given, "Authorization", f"Basic {pair}")


@extension("basicauth")
class BasicAuth(Extension[BasicAuthConfig]):
    """Authenticate by user and password: the clients of a receiver, or an exporter.

    The pipeline knows the user as `auth.subject` and `auth.username`; the credentials themselves, the Collector's
    `raw`, do not go on with the data. What is in files is used as soon as it changes.
    """

    def __init__(
        self,
        config: BasicAuthConfig,
        telemetry: Telemetry,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` passes the time between two looks at a file."""
        super().__init__(config, telemetry)
        self._files = WatchedFiles(telemetry, sleep)
        self._server = BasicServer()
        client = config.client_auth or ClientCredentialsConfig.model_construct()
        self._client = BasicClient(client.username, client.password.get_secret_value())
        if config.htpasswd is not None:
            self._files.add(config.htpasswd.file, "htpasswd::file", self._use)
        self._files.add(client.username_file, "client_auth::username_file", self._use_user)
        self._files.add(client.password_file, "client_auth::password_file", self._use_password)

    def provides(self) -> object:
        """The authenticator."""
        return self._server if self.config.htpasswd is not None else self._client

    async def start(self, host: Host) -> None:
        """Read the files; raises StartError."""
        if self.config.htpasswd is not None and not self.config.htpasswd.file:
            self._use("")
        await self._files.start()

    async def shutdown(self) -> None:
        """Watch the files no more."""
        await self._files.close()

    def _use(self, text: str) -> None:
        assert self.config.htpasswd is not None
        users = {**htpasswd.read(text), **htpasswd.read(self.config.htpasswd.inline.get_secret_value())}
        if not users:
            raise ValueError("there is no user in it")
        weak = sum(stored.is_weak for stored in users.values())
        if weak:
            hint = "htpasswd -B makes hashes that can be read by others"
            self.telemetry.log.warning("passwords are plain, or soon known to who reads them", users=weak, hint=hint)
        self._server.use(users)

    def _use_user(self, text: str) -> None:
        self._client.user = _checked_user(text.strip())

    def _use_password(self, text: str) -> None:
        self._client.password = text.strip()


def _checked_user(user: str) -> str:
    if not user or ":" in user:
        raise ValueError("a user must not be empty, nor have a colon in it")
    return user


def _read(headers: tuple[str, ...]) -> tuple[str, bytes]:
    """User and password of a header, in the words that the Collector has for what is wrong."""
    if not headers or not headers[0]:
        raise Unauthenticated("no basic auth provided")
    if headers[0][: len(_PREFIX)].lower() != _PREFIX:
        raise Unauthenticated("invalid authorization scheme prefix")
    try:
        pair = b64decode(headers[0][len(_PREFIX) :].encode("latin-1"), validate=True)
        user, colon, password = pair.partition(b":")
        if colon:
            return user.decode(), password
    except (binascii.Error, UnicodeError):
        pass
    raise Unauthenticated("invalid authorization format")
