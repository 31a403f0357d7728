"""Whose page a browser's request comes from: pages of other sites reach what listens on the user's machine, too."""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import Scope

from airis.component.http import HttpServerConfig, header
from airis.component.listen import is_loopback, parse_endpoint


def other_site(scope: Scope, listen_host: str, allowed_origins: Sequence[str] = (), *, any_name: bool = False) -> str:
    """Why a request is not to be taken, empty if it is: an HTTP server that trusts whoever reaches it asks this first.

    It comes of a page of another origin, or names a host that is not this one: a site's name that was rebound to this
    machine's address. An origin in `allowed_origins`, where ``*`` stands for any characters, may send, and its name may
    be asked for. `any_name` is for a server that has names we do not know, since it is reached from elsewhere.
    """
    origin = header(scope, b"origin").lower()
    host = header(scope, b"host").lower()
    allowed = [allowed_origin.lower() for allowed_origin in allowed_origins]
    if origin and urlsplit(origin).netloc != host and not any(_fits(origin, pattern) for pattern in allowed):
        return "requests of other sites' pages are not taken"
    if not origin and header(scope, b"sec-fetch-site") not in ("", "none", "same-origin"):
        return "requests of other sites' pages are not taken"
    name = _name(host)
    known = {"", "localhost", listen_host.lower(), *(_name(urlsplit(pattern).netloc) for pattern in allowed)}
    return "" if any_name or name in known or _is_address(name) else f"requests for the host '{name}' are not taken"


def other_site_of(scope: Scope, config: HttpServerConfig) -> str:
    """`other_site` for a server with these options; a unix socket is nothing that a page reaches."""
    if config.transport == "unix":
        return ""
    host = parse_endpoint(config.endpoint)[0]
    origins = config.cors.allowed_origins if config.cors else ()
    return other_site(scope, host, origins, any_name=not is_loopback(host))


def _fits(origin: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), origin) is not None


def _name(host: str) -> str:
    """The host of a Host header, without its port."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return name.removeprefix("[").removesuffix("]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
