"""Headers: how they are written in a configuration, what can be one, and which of a request go on with its data."""

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator

from airis.component.config import Secret

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def checked_name(name: str) -> str:
    """What can be the name of a header; raises ValueError."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f'"{name}" is not the name of a header')
    return name


def is_sendable(value: str) -> bool:
    """Whether every server takes it for the value of one header."""
    return value.isascii() and value.isprintable()


def check_lines(headers: Iterable[tuple[str, str]]) -> None:
    """Raise ValueError for what would not stay one header; a value is not repeated, since it may be a credential."""
    for name, value in headers:
        checked_name(name)
        if not value.isprintable():
            raise ValueError(f'the value of "{name}" has a line end or another control character')


def as_text(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    """Headers as they are read everywhere: every byte is a character."""
    return ((str(name, "latin-1"), str(value, "latin-1")) for name, value in headers)


def from_pairs(headers: Any) -> Any:
    """A map, also where it is written as the Collector's list of ``{name, value}``."""
    if not isinstance(headers, list):
        return headers
    found: dict[str, str] = {}
    for pair in cast("list[Any]", headers):
        if not isinstance(pair, dict) or cast("dict[str, Any]", pair).keys() != {"name", "value"}:
            raise ValueError("each header of a list has name and value")
        name, value = (str(text) for text in cast("dict[str, Any]", pair).values())
        if name in found:
            raise ValueError(f'"{name}" is there twice')
        found[name] = value
    return found


def _of_one_line(headers: dict[str, Secret]) -> dict[str, Secret]:
    check_lines((name, value.get_secret_value()) for name, value in headers.items())
    return headers


SecretHeaders = Annotated[dict[str, Secret], BeforeValidator(from_pairs), AfterValidator(_of_one_line)]
"""Headers that a client sends: their values print masked."""

Metadata = Mapping[str, tuple[str, ...]]

WITHHELD = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "grpc-accept-encoding",
        "grpc-encoding",
        "grpc-timeout",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that never go on with the data. Credentials must not get into queues on disk; what describes one message or
one hop says nothing about the data, and would keep batches from being joined."""


def metadata_of(headers: Iterable[tuple[str, str]]) -> Metadata:
    """Request headers by lower-case name, but for credentials and what belongs to the message or the hop."""
    kept: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        if name not in WITHHELD:
            kept[name] = (*kept.get(name, ()), value)
    return MappingProxyType(kept)
