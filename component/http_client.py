"""The options of an HTTP client, as the Collector has them, and a session of aiohttp."""

import io
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field, field_validator, model_validator

from airis import __version__
from airis.component.compression import LEVELS
from airis.component.config import Config, Duration, Secret
from airis.component.headers import SecretHeaders
from airis.component.tls import TlsClientConfig
from airis.component.unsupported import NO_AUTHENTICATORS, NO_MIDDLEWARES, not_supported
from airis.proto.otlp_answers import MAX_RETRY_AFTER_S

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 64 * 1024
"""What is read of an answer, as the Collector does."""
_LARGE_BYTES = 1024 * 1024
"""Larger bodies are handed to aiohttp as files, which it sends in pieces."""
_FOR_EVER_S = 10 * 365 * 86400.0
_HTTP_2 = "Without effect: HTTP/1.1 is spoken"
_POOL = "Without effect: a connection stays for as long as idle_conn_timeout says"
_OF_THE_BODY = ("content-length", "content-encoding", "transfer-encoding")


class CompressionParamsConfig(Config):
    """How hard to compress."""

    level: int = Field(
        default=0,
        ge=-2,
        le=22,
        description="1 (fast) to 9 (small) for gzip, zlib and deflate, to 22 for zstd (from 19 on the same); 0 or "
        "less: fast. The other encodings have no levels.",
    )


class CookiesConfig(Config):
    """Keep cookies and send them back."""


class HttpClientConfig(Config):
    """How to send requests to an HTTP server."""

    proxy_url: Secret = Field(
        default=Secret(""),
        description="http:// URL of a proxy; empty: as HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment say.",
    )
    tls: TlsClientConfig = Field(
        default=TlsClientConfig(),
        description="Encryption of https:// endpoints; insecure has no effect, the endpoint decides.",
    )
    timeout: Duration = Field(default=0.0, ge=0, description="Longest time of an attempt; 0: without a limit.")
    headers: SecretHeaders = Field(default_factory=dict[str, Secret], description="Headers sent with every request.")
    compression: Literal["", "none", "gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"] = Field(
        default="", description="Content-Encoding of requests."
    )
    compression_params: CompressionParamsConfig = Field(
        default=CompressionParamsConfig(), description="How hard to compress."
    )
    read_buffer_size: int = Field(default=0, ge=0, description="Has no effect here, in bytes.")
    write_buffer_size: int = Field(default=0, ge=0, description="Has no effect here, in bytes.")
    max_idle_conns: int = Field(default=100, ge=0, description=f"{_POOL}.")
    max_idle_conns_per_host: int = Field(default=0, ge=0, description=f"{_POOL}.")
    max_conns_per_host: int = Field(default=0, ge=0, description="Most connections to a server; 0: without a limit.")
    idle_conn_timeout: Duration = Field(
        default=90.0, ge=0, description="How long a connection is kept for the next request; 0: for ever."
    )
    disable_keep_alives: bool = Field(default=False, description="A new connection for every request.")
    http2_read_idle_timeout: Duration = Field(default=0.0, ge=0, description=f"{_HTTP_2}.")
    http2_ping_timeout: Duration = Field(default=0.0, ge=0, description=f"{_HTTP_2}.")
    force_attempt_http2: bool = Field(default=True, description=f"{_HTTP_2}.")
    cookies: CookiesConfig | None = Field(default=None, description="Keep cookies and send them back; absent: ignored.")
    auth: Annotated[dict[str, Any] | None, not_supported(NO_AUTHENTICATORS)] = Field(
        default=None, description="Not supported yet: authenticators. Anything in it is an error."
    )
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every request. Anything in it is an error.",
    )

    @field_validator("proxy_url")
    @classmethod
    def _proxy_that_aiohttp_has(cls, proxy: Secret) -> Secret:
        url = proxy.get_secret_value()
        if url and not (url.startswith(("http://", "https://")) and urlsplit(url).hostname):
            raise ValueError("not the URL of an HTTP proxy; write http://host:port")
        return proxy

    @field_validator("headers")
    @classmethod
    def _not_those_of_the_body(cls, headers: dict[str, Secret]) -> dict[str, Secret]:
        for name in headers:
            if name.lower() in _OF_THE_BODY:
                raise ValueError(f'"{name}" follows from the body; leave it out (see compression)')
        return headers

    @model_validator(mode="after")
    def _level_that_there_is(self) -> Self:
        level, highest = self.compression_params.level, LEVELS.get(self.compression, 0)
        if level > highest and self.is_compressed:
            offered = f"has levels up to {highest}" if highest else "has no levels"
            raise ValueError(f"compression_params::level: {self.compression} {offered}")
        return self

    @property
    def is_compressed(self) -> bool:
        """Whether requests are."""
        return self.compression not in ("", "none")


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, and what was read of its body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    content_type: str
    body: bytes
    is_whole: bool
    """Whether the body ends where `body` does."""


class HttpClient:
    """Sends requests over connections that are kept; raises what aiohttp does, TimeoutError and OSError."""

    def __init__(self, config: HttpClientConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}
        """By URL."""

    async def open(self) -> None:
        """Be ready to send; raises StartError for the option at fault."""
        import aiohttp

        config = self._config
        connector = aiohttp.TCPConnector(
            ssl=config.tls.context(),
            limit=0,
            limit_per_host=config.max_conns_per_host,
            keepalive_timeout=None if config.disable_keep_alives else (config.idle_conn_timeout or _FOR_EVER_S),
            force_close=config.disable_keep_alives,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.CookieJar() if config.cookies else aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=config.timeout or None),
            # An answer that is not compressed can be read up to a limit without being inflated.
            headers={"User-Agent": f"airis/{__version__}", "Accept-Encoding": "identity"},
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; those of the headers that the configuration has as well are the configuration's.

        A redirect is not followed: credentials would go elsewhere.
        """
        assert self._session is not None
        config = self._config
        own = {name: value.get_secret_value() for name, value in config.headers.items()}
        given = {name.lower() for name in own}
        async with self._session.post(
            url,
            data=io.BytesIO(body) if len(body) > _LARGE_BYTES else body,
            headers={**{name: value for name, value in headers.items() if name.lower() not in given}, **own},
            allow_redirects=False,
            proxy=self._proxy(url),
            server_hostname=config.tls.server_name_override or None,
        ) as response:
            content = bytearray()
            while len(content) <= MAX_ANSWER_BYTES and (piece := await response.content.readany()):
                content += piece
            return Answer(
                response.status,
                response.reason or "",
                response.headers,
                response.content_type,
                bytes(content[:MAX_ANSWER_BYTES]),
                len(content) <= MAX_ANSWER_BYTES,
            )

    def _proxy(self, url: str) -> str | None:
        if url not in self._proxies:
            self._proxies[url] = self._config.proxy_url.get_secret_value() or _proxy_of_the_system(url)
        return self._proxies[url]


def _proxy_of_the_system(url: str) -> str | None:
    """As the environment says, but none to this machine, as in Go."""
    to = urlsplit(url)
    if _is_loopback(to.hostname or "") or proxy_bypass(to.netloc):
        return None
    return getproxies().get(to.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def retry_after_s(header: str, now_unix_s: float) -> float | None:
    """Seconds that a Retry-After header asks to wait, as a number or a date; None where it says neither."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:20]), MAX_RETRY_AFTER_S)
    try:
        delay = parsedate_to_datetime(header).timestamp() - now_unix_s
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, delay), MAX_RETRY_AFTER_S)
