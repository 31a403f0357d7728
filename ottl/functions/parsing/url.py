"""The parts of URLs, told apart as Go's net/url does (RFC 3986)."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.texts import go_int
from airis.ottl.values import EvaluationError, Value

URLS = Functions()

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_HOST = re.compile(r"(\[[^\]]*\]|[^\[\]:]*)(?::([0-9]*))?", re.ASCII)
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
# What is not escaped where a part has to be; as it is written, a part may have more of these.
_IN_PATH = "$&+,/:;=@"
_IN_USER = "$&+,;="
_IN_FRAGMENT = "$&+,/:;=?@!()*"
_IN_HOST = "!$&'()*+,;=:[]<>\""


def _unescaped(text: str, what: str) -> str:
    """Raises EvaluationError for a % that begins no escape."""

    def byte(found: re.Match[str]) -> str:
        if found[1] is None:
            raise EvaluationError(f"the {what} has a % without two hexadecimal digits behind it")
        return chr(0xDC00 + number) if (number := int(found[1], 16)) > 127 else chr(number)

    plain = _ESCAPE.sub(byte, text)
    return plain if plain == text else plain.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _escaped(text: str, safe: str) -> str:
    return quote(text, safe=safe)


@dataclass(frozen=True, slots=True)
class Url:
    """The parts, as they are after what is escaped in them was told."""

    scheme: str
    opaque: str
    username: str | None
    password: str | None
    host: str
    port: str
    path: str
    raw_path: str
    query: str | None
    fragment: str
    raw_fragment: str
    has_authority: bool

    @property
    def user_info(self) -> str:
        """As it is written."""
        name = _escaped(self.username or "", _IN_USER)
        return name if self.password is None else f"{name}:{_escaped(self.password, _IN_USER)}"

    def __str__(self) -> str:
        """The URL as Go writes it: with a scheme in small letters, and everything escaped that has to be."""
        start = f"{self.scheme}:" if self.scheme else ""
        if self.opaque:
            rest = self.opaque
        else:
            rest = self.raw_path
            host = _escaped(self.host, _IN_HOST) + self.port
            is_named = bool(host) or self.username is not None
            if self.has_authority and (is_named or (self.scheme and rest)):
                user = "" if self.username is None else f"{self.user_info}@"
                rest = f"//{user}{host}{rest}"
        query = "" if self.query is None else f"?{self.query}"
        return f"{start}{rest}{query}{f'#{self.raw_fragment}' if self.fragment else ''}"


def parse(text: str) -> Url:
    """The parts of a URL; raises EvaluationError for what is none."""
    if _CONTROL.search(text):
        raise EvaluationError("a URL has no control characters")
    rest, _, fragment = text.partition("#")
    found = _SCHEME.match(rest)
    scheme = found[1].lower() if found else ""
    if found:
        rest = rest[found.end() :]
    elif rest.startswith(":"):
        raise EvaluationError("the scheme in front of the : is missing")
    rest, mark, query = rest.partition("?")
    opaque = ""
    if not rest.startswith("/"):
        if scheme:
            rest, opaque = "", rest
        elif ":" in rest.partition("/")[0]:
            raise EvaluationError("the first part of a path without a scheme has no :")
    has_authority = rest.startswith("//") and (bool(scheme) or not rest.startswith("///"))
    authority, path = "", rest
    if has_authority:
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    username, password, host, port = _authority(authority)
    raw_path = path if _is_as_written(path, _IN_PATH) else _escaped(_unescaped(path, "path"), _IN_PATH)
    plain_fragment = _unescaped(fragment, "fragment")
    return Url(
        scheme=scheme,
        opaque=opaque,
        username=username,
        password=password,
        host=host,
        port=port,
        path=_unescaped(path, "path"),
        raw_path=raw_path,
        query=query if mark else None,
        fragment=plain_fragment,
        raw_fragment=fragment if _is_as_written(fragment, _IN_FRAGMENT) else _escaped(plain_fragment, _IN_FRAGMENT),
        has_authority=has_authority,
    )


def _is_as_written(text: str, safe: str) -> bool:
    """Whether all of it can stand in a URL."""
    return (
        re.fullmatch(rf"(?:[A-Za-z0-9\-._~!'()*\[\]{re.escape(safe)}]|%[0-9A-Fa-f]{{2}})*", text, re.ASCII) is not None
    )


def _authority(text: str) -> tuple[str | None, str | None, str, str]:
    """User, password, host and port with its colon."""
    user_info, at, host_port = text.rpartition("@")
    username = password = None
    if at:
        if not _USERINFO.fullmatch(user_info):
            raise EvaluationError("the user information has characters that must be escaped")
        name, colon, secret = user_info.partition(":")
        username = _unescaped(name, "user")
        password = _unescaped(secret, "password") if colon else None
    found = _HOST.fullmatch(host_port)
    if found is None:
        raise EvaluationError(f"{host_port!a} is no host with a port")
    host, port = found.groups()
    if re.search(r"[\s\\^`{|}?#]", host):
        raise EvaluationError(f"{host!a} has a character that no host has")
    return username, password, _unescaped(host, "host"), "" if port is None else f":{port}"


def _parts(url: Url) -> dict[str, Value]:
    """The attributes of the semantic conventions, and those of the user."""
    found: dict[str, Value] = {
        "url.original": str(url),
        "url.domain": url.host.removeprefix("[").removesuffix("]"),
        "url.scheme": url.scheme,
        "url.path": url.path,
    }
    if digits := url.port[1:]:
        try:
            found["url.port"] = go_int(digits)
        except ValueError:
            raise EvaluationError(f"{digits} is no port") from None
    if url.fragment:
        found["url.fragment"] = url.fragment
    if url.username is not None:
        found["url.user_info"] = url.user_info
        if url.username:
            found["url.username"] = url.username
        if url.password is not None:
            found["url.password"] = url.password
    if url.query:
        found["url.query"] = url.query
    extension = url.path.rpartition(".")
    if extension[1] and extension[2]:
        found["url.extension"] = extension[2]
    return found


def _query(text: str) -> dict[str, Value]:
    """Of a text that is a query alone: its parameters, each with a list of its values."""
    parameters: dict[str, list[Value]] = {}
    for pair in text.split("&"):
        if ";" in pair:
            raise EvaluationError("a query has no ; but as %3B")
        if not pair:
            continue
        key, _, value = pair.partition("=")
        name = _unescaped(key.replace("+", " "), "query")
        parameters.setdefault(name, []).append(_unescaped(value.replace("+", " "), "query"))
    return {"query": {**parameters}} if parameters else {}


@URLS.declare("URL")
def url(uri: StringGetter) -> Converter:
    """A map of the parts of a URL; of a query alone, which begins with a question mark, its parameters."""

    def get(here: Any) -> dict[str, Value]:
        text = within_limits(uri(here), "a URL")
        if not text:
            raise EvaluationError("the URL is empty")
        return _query(text[1:]) if text.startswith("?") else _parts(parse(text))

    return get
