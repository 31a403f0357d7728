"""What stands behind ``env:``, ``file:``, ``yaml:``, ``http:`` and ``https:``, for sources and for references."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = ("env", "file", "http", "https", "yaml")
MAX_BYTES = 4 * 1024 * 1024
TIMEOUT_S = 10.0

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Unavailable(Exception):
    """Why there is no text, in words that repeat nothing of the location."""


def scheme_of(location: str) -> str | None:
    """What comes before the colon, if it can be a scheme; a drive letter cannot."""
    found = _SCHEME.match(location)
    return found[1] if found else None


def read_variable(rest: str, environment: Mapping[str, str]) -> str | None:
    """The value in ``NAME`` or ``NAME:-default``; None for a variable that is not set and has no default."""
    name, has_default, default = rest.partition(":-")
    if not _VARIABLE.fullmatch(name):
        raise Unavailable("this is not the name of an environment variable: letters, digits and underscores")
    return environment.get(name, default if has_default else None)


def read_file(path: Path) -> bytes:
    """All of the file; raises Unavailable."""
    try:
        with path.open("rb") as file:
            return _within_limit(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise Unavailable("there is no such file") from None
    except IsADirectoryError:
        raise Unavailable("it is a folder") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise Unavailable(_reason(error)) from None


def read_url(url: str) -> bytes:
    """The body of the answer to GET, without a proxy; raises Unavailable.

    A redirection is followed, but from https to https only. A server that is silent for `TIMEOUT_S`, or whose answer
    takes longer, is given up.
    """
    # Few configurations need these, and every start would wait for them.
    import ssl
    from http.client import HTTPException, IncompleteRead, InvalidURL
    from urllib import error, request

    class Redirections(request.HTTPRedirectHandler):
        def redirect_request(
            self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> request.Request | None:
            if not newurl.startswith("https:" if req.type == "https" else ("http:", "https:")):
                raise Unavailable("the server redirects to where it is not safe to follow")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = request.OpenerDirector()
    for handler in (
        request.HTTPHandler(),
        request.HTTPSHandler(context=ssl.create_default_context()),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        Redirections(),
    ):
        opener.add_handler(handler)
    deadline = time.monotonic() + TIMEOUT_S
    try:
        with opener.open(_request(url), timeout=TIMEOUT_S) as answer:
            body = b""
            while len(body) <= MAX_BYTES and (part := answer.read1(65536)):
                body += part
                if time.monotonic() > deadline:
                    raise TimeoutError
            if answer.length and len(body) <= MAX_BYTES:
                raise IncompleteRead(body)
    except error.HTTPError as failed:
        raise Unavailable(f"the server answered {failed.code}") from None
    except (InvalidURL, ValueError):
        raise Unavailable("this is not an address") from None
    except IncompleteRead:
        raise Unavailable("the answer is not whole") from None
    except HTTPException:
        raise Unavailable("the answer is not HTTP") from None
    except OSError as failed:
        raise Unavailable(_reason(failed)) from None
    if answer.status != 200:
        raise Unavailable(f"the server answered {answer.status}")
    return _within_limit(body)


def shown_url(url: str) -> str:
    """The address without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme_of(url)}:…"
    return f"{parts.scheme}://{_host(parts)}{parts.path}"


def _request(url: str) -> Any:
    from base64 import b64encode
    from urllib.request import Request

    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError
    request = Request(parts._replace(netloc=_host(parts), fragment="").geturl(), headers={"User-Agent": "airis"})
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        # Not sent again to where it redirects.
        request.add_unredirected_header("Authorization", f"Basic {b64encode(credentials.encode()).decode()}")
    return request


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _within_limit(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise Unavailable(f"it is larger than {MAX_BYTES // 1024**2} MiB")
    return data


def _reason(error: OSError | ValueError) -> str:
    """What went wrong, without the "[Errno 111]" and "(_ssl.c:1006)" that help nobody."""
    # urllib and ssl keep the reason in an attribute of that name: an exception, or a word of OpenSSL's.
    reason = getattr(error, "reason", None)
    if isinstance(reason, OSError):
        return _reason(reason)
    if isinstance(error, TimeoutError):
        return f"there was no whole answer within {TIMEOUT_S:.0f} seconds"
    if verification := getattr(error, "verify_message", ""):
        return f"its certificate is not accepted: {verification}"
    if isinstance(reason, str):
        return f"the connection failed: {reason.lower().replace('_', ' ')}"
    text = getattr(error, "strerror", None) or "it cannot be read"
    return text[:1].lower() + text[1:]
