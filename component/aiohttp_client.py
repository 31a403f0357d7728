"""HTTP requests by aiohttp."""

import io
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from airis.component.authentication import ClientAuthenticator
from airis.component.compression import compress_aside
from airis.component.errors import StartError
from airis.component.http_client import MAX_ANSWER_BYTES, Answer, HttpClientConfig, NoAnswer
from airis.component.proxies import proxy_of_the_system
from airis.component.telemetry import Telemetry
from airis.component.tls import RenewalClock, load_certificate, log_failed_reload
from airis.data import NO_ORIGIN, Origin

_LARGE_BYTES = 1024 * 1024
"""Larger bodies are handed to aiohttp as files, which it sends in pieces."""
_FOR_EVER_S = 10 * 365 * 86400.0


class AiohttpClient:
    """Speaks HTTP/1.1."""

    def __init__(
        self, config: HttpClientConfig, telemetry: Telemetry, authenticator: ClientAuthenticator | None = None
    ) -> None:
        """To be called in the loop; raises StartError for the option at fault."""
        self._config = config
        self._authenticator = authenticator
        self._telemetry = telemetry
        self._context = config.tls.context()
        self._clock = RenewalClock(config.tls.reload_interval)
        connector = aiohttp.TCPConnector(
            ssl=self._context,
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
            auto_decompress=False,
        )
        self._proxies: dict[str, str | None] = {}
        """By URL."""

    async def prepare(self, payload: bytes) -> bytes:
        """A body to post, compressed as configured: once, however often it is sent."""
        config = self._config
        if not config.is_compressed:
            return payload
        return await compress_aside(config.compression, payload, config.compression_params.level)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], origin: Origin = NO_ORIGIN) -> Answer:
        """Send a body; those of the headers that the configuration has as well are the configuration's."""
        if self._clock.due() and self._config.tls.cert_file:
            try:
                load_certificate(self._context, self._config.tls)
            except StartError as error:
                log_failed_reload(error, self._telemetry)
        merged = self._config.merged(headers, self._authenticator, origin)
        try:
            return await self._post(url, body, merged)
        except aiohttp.ClientResponseError as error:
            raise NoAnswer("it does not speak HTTP/1", not_http1=True) from error
        except TimeoutError as error:
            raise NoAnswer("no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswer(f"no answer: {str(error) or type(error).__name__}") from error

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with self._session.post(
            url,
            data=io.BytesIO(body) if len(body) > _LARGE_BYTES else body,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy(url),
            server_hostname=self._config.tls.server_name_override or None,
        ) as response:
            content = bytearray()
            while len(content) <= MAX_ANSWER_BYTES and (piece := await response.content.readany()):
                content += piece
            return Answer(
                response.status,
                response.reason or "",
                {name.lower(): value for name, value in response.headers.items()},
                bytes(content[:MAX_ANSWER_BYTES]),
                len(content) <= MAX_ANSWER_BYTES,
            )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _proxy(self, url: str) -> str | None:
        if url not in self._proxies:
            to = urlsplit(url)
            port = to.port or (443 if to.scheme == "https" else 80)
            found = self._config.proxy_url.get_secret_value()
            self._proxies[url] = found or proxy_of_the_system((to.scheme,), to.hostname or "", port)
        return self._proxies[url]
