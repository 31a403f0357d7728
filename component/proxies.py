"""Which proxy a client asks: what its environment says, as the Collector reads it."""

import ipaddress
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from airis.component.listen import is_loopback


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of HTTP."""

    host: str
    port: int
    is_tls: bool
    authorization: str | None = field(repr=False)
    """Of the header Proxy-Authorization; it is a credential."""


def parse_proxy(url: str) -> Proxy:
    """The proxy of a URL; raises ValueError for one that has none."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not the URL of an HTTP proxy; write http://host:port")
    is_tls = parts.scheme == "https"
    return Proxy(parts.hostname, parts.port or (443 if is_tls else 80), is_tls, basic_authorization(url))


def basic_authorization(url: str) -> str | None:
    """The name and password in a URL, as a header has them."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def proxy_of_the_system(schemes: Sequence[str], host: str, port: int) -> str | None:
    """The URL that the first ``SCHEME_proxy`` gives; None for a host of ``no_proxy`` and for this machine, as in Go."""
    known = getproxies()
    if is_loopback(host) or proxy_bypass(f"{host}:{port}") or _is_in_a_network(host, known.get("no", "")):
        return None
    return next((known[scheme] for scheme in schemes if known.get(scheme)), None)


def _is_in_a_network(host: str, no_proxy: str) -> bool:
    """Whether the host is an address in a network that is named, such as 10.0.0.0/8."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for each in no_proxy.split(","):
        try:
            if "/" in each and address in ipaddress.ip_network(each.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
