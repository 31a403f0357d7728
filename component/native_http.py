"""HTTP requests by the client of Rust."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airis.component.authentication import ClientAuthenticator
from airis.component.errors import StartError
from airis.component.http_client import MAX_ANSWER_BYTES, Answer, HttpClientConfig, NoAnswer
from airis.component.native_client import Heads, Outlet, native_tls, proxy_parts, unusable
from airis.component.proxies import basic_authorization, parse_proxy, proxy_of_the_system
from airis.component.telemetry import Telemetry
from airis.component.tls import RenewalClock, log_failed_reload
from airis.component.unsupported import Unsupported
from airis.data import NO_ORIGIN, Origin

if TYPE_CHECKING:
    from airis._core import Body, ClientTls, Head, Remote

PING_TIMEOUT_S = 15.0
"""As in the Collector."""
_QUOTED = "/:;?&=%!$'()*+,-._~@"
"""What stays as it is in a URL behind its host."""


@dataclass(frozen=True, slots=True)
class _Address:
    """Of a URL: the server, and the URL in the letters that HTTP has."""

    scheme: str
    host: str
    port: int
    url: str

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class NativeHttpClient:
    """HTTP/1.1, and HTTP/2 where a server chooses it under TLS, by a thread of Rust."""

    def __init__(
        self,
        config: HttpClientConfig,
        urls: Sequence[str],
        telemetry: Telemetry,
        authenticator: ClientAuthenticator | None = None,
    ) -> None:
        """To be called in the loop; raises StartError for the option at fault, as Unsupported, or ImportError."""
        from airis._core import Body

        if config.cookies:
            raise Unsupported("the native transport keeps no cookies", "cookies")
        self._config = config
        self._authenticator = authenticator
        self._telemetry = telemetry
        self._body = Body
        self._clock = RenewalClock(config.tls.reload_interval)
        self._tls = self._new_tls()
        self._heads: Heads[tuple[str, tuple[tuple[str, str], ...]]] = Heads()
        addresses = {url: _address(url) for url in urls}
        for url in urls:
            self._new_head(url, config.merged({}))  # says now what is wrong with it
        self._remotes: list[Remote] = []
        self._servers: dict[str, int] = {}
        self._outlet = Outlet()
        known: dict[tuple[str, str], int] = {}
        for url, address in addresses.items():
            key = address.scheme, address.authority
            if key not in known:
                remote = self._remote(address)
                self._remotes.append(remote)
                known[key] = self._outlet.client.http(
                    remote, keep_alive=not config.disable_keep_alives, max_connections=config.max_conns_per_host
                )
            self._servers[url] = known[key]

    async def prepare(self, payload: bytes) -> "Body":
        """A body to post, compressed as configured: once, however often it is sent."""
        config = self._config
        if not config.is_compressed:
            return self._body(payload)
        return self._body(payload, config.compression, config.compression_params.level)

    async def post(self, url: str, body: "Body", headers: Mapping[str, str], origin: Origin = NO_ORIGIN) -> Answer:
        """Send a body; those of the headers that the configuration has as well are the configuration's."""
        if self._clock.due():
            self._renew()
        head = self._head(url, headers, origin)
        answer = await self._outlet.send(self._servers[url], head, body, self._config.timeout)
        match answer.fault:
            case None:
                headers = dict(reversed(answer.headers))  # the first of a name counts
                return Answer(answer.status, answer.reason, headers, answer.body, answer.is_whole)
            case "late":
                raise NoAnswer(answer.detail)
            case "protocol":
                raise NoAnswer(answer.detail, not_http1=True)
            case _:
                at = urlsplit(url)
                raise NoAnswer(f"no answer: {at.hostname}:{_port(at.scheme, at.port)}: {answer.detail}")

    async def close(self) -> None:
        """Close all connections."""
        await self._outlet.close()

    def _renew(self) -> None:
        try:
            tls = self._new_tls()
        except StartError as error:
            log_failed_reload(error, self._telemetry)
            return
        for remote in self._remotes:
            remote.renew(tls)

    def _new_tls(self) -> "ClientTls":
        offered = ("h2", "http/1.1") if self._config.force_attempt_http2 else ("http/1.1",)
        return native_tls(self._config.tls, offered)

    def _head(self, url: str, headers: Mapping[str, str], origin: Origin) -> "Head":
        if self._authenticator is None:  # what the configuration adds is always the same
            key = url, tuple(headers.items())
            return self._heads.get(key, lambda: self._new_head(url, self._config.merged(headers)))
        merged = self._config.merged(headers, self._authenticator, origin)
        return self._heads.get((url, tuple(merged.items())), lambda: self._new_head(url, merged))

    def _new_head(self, url: str, merged: dict[str, str]) -> "Head":
        from airis._core import Head

        lower = {name.lower() for name in merged}
        if (authorization := basic_authorization(url)) and "authorization" not in lower:
            merged["Authorization"] = authorization
        address = _address(url)
        proxy = self._proxy(address)
        if proxy and address.scheme == "http" and (authorization := basic_authorization(proxy)):
            merged["Proxy-Authorization"] = authorization
        try:
            return Head(address.url, [(name, value.encode("latin-1")) for name, value in merged.items()])
        except ValueError as error:
            raise unusable(error, "headers" if "header" in str(error) else "endpoint") from error

    def _proxy(self, address: _Address) -> str | None:
        configured = self._config.proxy_url.get_secret_value()
        return configured or proxy_of_the_system((address.scheme,), address.host, address.port)

    def _remote(self, address: _Address) -> "Remote":
        from airis._core import Remote

        config = self._config
        proxy = self._proxy(address)
        is_encrypted = address.scheme == "https"
        times = {
            "idle": config.idle_conn_timeout,
            "ping": config.http2_read_idle_timeout,
            "ping_timeout": config.http2_ping_timeout or PING_TIMEOUT_S,
        }
        try:
            parts = proxy_parts(parse_proxy(proxy), address.authority if is_encrypted else None) if proxy else None
            return Remote(
                host=address.host,
                port=address.port,
                addresses=(),
                path=None,
                proxy=parts,
                tls=self._tls if is_encrypted else None,
                server_name=config.tls.server_name_override or address.host,
                times=times,
                pings_idle=True,
                max_answer_bytes=MAX_ANSWER_BYTES,
            )
        except ValueError as error:
            raise unusable(error, "endpoint") from error


def _port(scheme: str, port: int | None) -> int:
    return port or (443 if scheme == "https" else 80)


def _address(url: str) -> _Address:
    """Where a URL goes; names of other alphabets as DNS has them."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host.isascii():
        host = host.encode("idna").decode()
    shown = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    behind = quote(parts.path or "/", safe=_QUOTED) + (f"?{quote(parts.query, safe=_QUOTED)}" if parts.query else "")
    return _Address(parts.scheme, host, _port(parts.scheme, parts.port), f"{parts.scheme}://{shown}{port}{behind}")
