"""The client of Rust, `airis._core.Client`, as coroutines; and the options of servers as it takes them.

Its thread is started with it, never takes the interpreter's lock, and rings when something was answered.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from airis.component.errors import Retryable, StartError
from airis.component.proxies import Proxy
from airis.component.tls import TlsClientConfig, system_authorities
from airis.component.unsupported import Unsupported

if TYPE_CHECKING:
    from airis._core import Answer, Body, ClientTls, Head

MAX_HEADS = 256

K = TypeVar("K", bound=Hashable)

ProxyParts = tuple[str, int, bool, str | None, str | None]


class Outlet:
    """Sends, and wakes who waits for an answer."""

    def __init__(self) -> None:
        """Start the thread; to be called in the loop that waits."""
        from airis._core import Client

        self.client: Client = Client()
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._fd = self.client.fd
        self._loop.add_reader(self._fd, self._take)

    async def send(self, server: int, head: "Head", body: "Body", timeout_s: float) -> "Answer":
        """What came of it, in time or not; cancelled, the request is given up."""
        token = self.client.send(server, head, body, timeout_s)
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[token] = answered
        try:
            return await answered
        except asyncio.CancelledError:
            self.client.cancel(token)
            raise
        finally:
            del self._waiting[token]

    def _take(self) -> None:
        for answer in self.client.take():
            answered = self._waiting.get(answer.token)
            if answered is not None and not answered.done():
                answered.set_result(answer)

    async def close(self) -> None:
        """Close all connections, and end the thread; who still waits is told to try again."""
        self._loop.remove_reader(self._fd)
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(Retryable("the client is closed"))
        await asyncio.to_thread(self.client.end)


class Heads(Generic[K]):
    """Heads of requests, made once for many; so many at most, as an authenticator may give each sender others."""

    def __init__(self) -> None:
        self._known: dict[K, Head] = {}

    def get(self, key: K, make: Callable[[], "Head"]) -> "Head":
        """The head that the key stands for."""
        head = self._known.get(key)
        if head is None:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            head = self._known[key] = make()
        return head


def native_tls(config: TlsClientConfig, protocols: Sequence[str]) -> "ClientTls":
    """From the files as they are now; raises StartError, and Unsupported for what rustls does not take."""
    from airis._core import ClientTls

    config.context()  # OpenSSL says what is wrong with files, in the words of the Python transports
    authorities = config.authorities()
    system = system_authorities() if authorities is None or config.include_system_ca_certs_pool else None
    if authorities is None and system is None and not config.insecure_skip_verify:
        raise Unsupported("the native transport does not find the authorities of the system", "tls")
    own = bool(config.cert_file or config.cert_pem)
    older = [name for name in config.cipher_suites if not name.startswith(("TLS_AES_", "TLS_CHACHA20_"))]
    oldest = "1.3" if config.cipher_suites and not older else config.min_version
    try:
        return ClientTls(
            authorities=authorities,
            system=system,
            certificate=config.certificate() if own else None,
            key=config.key() if own else None,
            versions=[version for version in ("1.2", "1.3") if oldest <= version <= (config.max_version or "1.3")],
            suites=older,
            curves=config.curve_preferences,
            verify=not config.insecure_skip_verify,
            protocols=protocols,
        )
    except ValueError as error:
        raise Unsupported(f"the native transport cannot use it: {error}", "tls") from error


def proxy_parts(proxy: Proxy, tunnel_to: str | None) -> ProxyParts:
    """A proxy as the client takes it: asked to connect to a server, or handed plain requests."""
    return proxy.host, proxy.port, proxy.is_tls, proxy.authorization, tunnel_to


def unusable(error: ValueError, option: str) -> StartError:
    """For what the native client does not take of an address or a header; the Python transport may."""
    return Unsupported(f"the native transport cannot use it: {error}", option)
