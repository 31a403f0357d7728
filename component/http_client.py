"""The options of an HTTP client, as the Collector has them, and requests over either transport."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from airis import __version__
from airis.component.authentication import ClientAuthConfig, ClientAuthenticator, client_authenticator, sent_headers
from airis.component.compression import LEVELS
from airis.component.config import Config, Duration, Secret
from airis.component.errors import Permanent, Retryable, Throttled
from airis.component.headers import SecretHeaders
from airis.component.telemetry import Telemetry
from airis.component.tls import RenewableTlsConfig
from airis.component.transport import Transport, choose
from airis.component.unsupported import NO_MIDDLEWARES, not_supported
from airis.component.words import quoted
from airis.data import NO_ORIGIN, Origin
from airis.proto.otlp_answers import MAX_RETRY_AFTER_S

if TYPE_CHECKING:
    from airis.component.lifecycle import Host

MAX_ANSWER_BYTES = 64 * 1024
"""What is read of an answer, as the Collector does."""
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
    transport: Transport = Field(
        default="auto",
        description="What sends: native (a thread of Rust, which speaks HTTP/2 as well) or python (aiohttp); auto: "
        "native, but python for an option that only python has (cookies, curves and cipher suites that rustls does not "
        "speak), and where airis was built without Rust.",
    )
    tls: RenewableTlsConfig = Field(
        default=RenewableTlsConfig(),
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
    http2_read_idle_timeout: Duration = Field(
        default=0.0,
        ge=0,
        description="Ping a server of HTTP/2 that was silent for so long; 0: never. Over the native transport.",
    )
    http2_ping_timeout: Duration = Field(
        default=0.0, ge=0, description="End the connection if no answer to the ping comes within; 0: 15s."
    )
    force_attempt_http2: bool = Field(
        default=True, description="Offer HTTP/2 to https:// servers; over the native transport, python has HTTP/1.1."
    )
    cookies: CookiesConfig | None = Field(default=None, description="Keep cookies and send them back; absent: ignored.")
    auth: ClientAuthConfig | None = Field(
        default=None, description="Which extension says with which credentials requests are sent."
    )
    middlewares: Annotated[list[dict[str, Any]], not_supported(NO_MIDDLEWARES)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: extensions that see every request. Anything in it is an error.",
    )

    @field_validator("proxy_url")
    @classmethod
    def _proxy_of_http(cls, proxy: Secret) -> Secret:
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

    def merged(
        self,
        headers: Mapping[str, str],
        authenticator: ClientAuthenticator | None = None,
        origin: Origin = NO_ORIGIN,
    ) -> dict[str, str]:
        """Those headers, the configuration's, which count more, and the authenticator's, which count most.

        Raises Permanent where there is no such request.
        """
        own = {name: value.get_secret_value() for name, value in self.headers.items()}
        given = {name.lower() for name in own}
        ours = {"User-Agent": f"airis/{__version__}", "Accept-Encoding": "identity", **headers}
        both = {**{name: value for name, value in ours.items() if name.lower() not in given}, **own}
        return dict(sent_headers(authenticator, both, origin))


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer, and what was read of its body."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    is_whole: bool
    """Whether the body ends where `body` does."""

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class NoAnswer(Exception):
    """There is none; the words say why."""

    def __init__(self, reason: str, *, not_http1: bool = False) -> None:
        """`not_http1`: what came is not of HTTP/1."""
        super().__init__(reason)
        self.reason = reason
        self.not_http1 = not_http1


class HttpClient(Protocol):
    """Sends requests over connections that are kept."""

    async def prepare(self, payload: bytes) -> Any:
        """A body to post, compressed as configured: once, however often it is sent."""
        ...

    async def post(self, url: str, body: Any, headers: Mapping[str, str], origin: Origin = NO_ORIGIN) -> Answer:
        """Send a body; those of the headers that the configuration has as well are the configuration's.

        `origin` is where the data came from, for an authenticator that asks. A redirect is not followed: credentials
        would go elsewhere. Raises NoAnswer, and Permanent where there is no such request.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_http_client(config: HttpClientConfig, urls: Sequence[str], telemetry: Telemetry, host: "Host") -> HttpClient:
    """A client for these URLs, which connects when it is needed; raises StartError for the option at fault.

    `host` has the extension that `auth` names.
    """
    authenticator = client_authenticator(config.auth, host)

    def native() -> HttpClient:
        from airis.component.native_http import NativeHttpClient

        return NativeHttpClient(config, urls, telemetry, authenticator)

    def python() -> HttpClient:
        from airis.component.aiohttp_client import AiohttpClient

        return AiohttpClient(config, telemetry, authenticator)

    return choose(config.transport, native, python, telemetry)


def refusal(answer: Answer, words: str, may_come_again: bool, now_unix_s: float) -> Retryable | Permanent:
    """What a caller is to do about an answer that is no success; `words` are what the server says, quoted."""
    if 300 <= answer.status < 400:
        to = quoted(answer.headers.get("location", "another address"))
        return Permanent(f"{answer.status}: redirects are not followed; write its address as the endpoint: {to}")
    reason = f"{answer.status} {quoted(answer.reason)}: {words}".rstrip(": ")
    if may_come_again:
        retry_after = retry_after_s(answer.headers.get("retry-after", ""), now_unix_s)
        # RFC 6585, section 4; RFC 9110, section 15.6.4: a 503 that says when is one of overload or maintenance.
        is_throttled = answer.status == 429 or (answer.status == 503 and retry_after is not None)
        return (Throttled if is_throttled else Retryable)(reason, retry_after)
    return Permanent(reason)


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
