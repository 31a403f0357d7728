"""Converters of strings that are encoded."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from airis.ottl.arguments import Getter, StringGetter, prepared
from airis.ottl.functions.charsets import codec
from airis.ottl.functions.types import unusable
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Id

ENCODINGS = Functions()
declare = ENCODINGS.declare

_LINE_ENDS = str.maketrans("", "", "\r\n")
_STANDARD = re.compile("[A-Za-z0-9+/]*(={0,2})", re.ASCII)
_FOR_URLS = re.compile("[A-Za-z0-9_-]*(={0,2})", re.ASCII)


class Base64:
    """One of the four kinds: with ``+/`` or with ``-_`` for URLs, with padding or without."""

    def __init__(self, for_urls: bool, is_padded: bool) -> None:
        self._for_urls = for_urls
        self._is_padded = is_padded

    def encode(self, raw: bytes) -> str:
        """The text for bytes."""
        text = (base64.urlsafe_b64encode if self._for_urls else base64.b64encode)(raw).decode()
        return text if self._is_padded else text.rstrip("=")

    def decode(self, text: str) -> bytes:
        """The bytes of a text, which can have ends of lines in it; raises EvaluationError."""
        text = text.translate(_LINE_ENDS)
        found = (_FOR_URLS if self._for_urls else _STANDARD).fullmatch(text)
        padding = -len(text.rstrip("=")) % 4
        wanted = padding if self._is_padded else 0
        if found is None or len(found[1]) != wanted:
            raise EvaluationError(f"it is no Base64{' with' if self._is_padded else ' without'} padding")
        try:
            return base64.b64decode(text + "=" * (padding - wanted), b"-_" if self._for_urls else None)
        except binascii.Error as error:
            raise EvaluationError(f"it is no Base64: {error}") from error


BASE64 = {
    "base64": Base64(for_urls=False, is_padded=True),
    "base64-raw": Base64(for_urls=False, is_padded=False),
    "base64-url": Base64(for_urls=True, is_padded=True),
    "base64-raw-url": Base64(for_urls=True, is_padded=False),
}


def _variant(name: str) -> Base64:
    if name not in BASE64:
        raise ValueError(f"variant is one of {', '.join(BASE64)}, not {name!a}")
    return BASE64[name]


@declare("Base64Encode")
def base64_encode(target: StringGetter, variant: StringGetter | None = None) -> Converter:
    """A string in Base64, of the variant ``base64``, ``base64-raw``, ``base64-url`` or ``base64-raw-url``."""
    if variant is None:
        return lambda here: BASE64["base64"].encode(target(here).encode())
    chosen = prepared(variant, _variant)
    return lambda here: chosen(here).encode(target(here).encode())


@declare("Base64Decode")
def base64_decode(target: StringGetter) -> Converter:
    """The string that another is the Base64 of; Decode can do more."""
    return lambda here: BASE64["base64"].decode(target(here)).decode(errors="replace")


@declare("Decode")
def decode(target: Getter, encoding: StringGetter) -> Converter:
    """The string that another, or bytes, encode: in a variant of Base64, or in a character set of the IANA."""
    decoder = prepared(encoding, _decoder)

    def get(here: Any) -> str:
        found = target(here)
        if isinstance(found, Id) or not isinstance(found, str | bytes):
            raise unusable("Decode", found)
        return decoder(here)(found.encode() if isinstance(found, str) else found)

    return get


def _decoder(name: str) -> Callable[[bytes], str]:
    if variant := BASE64.get(name):
        return lambda raw: variant.decode(raw.decode("latin-1")).decode(errors="replace")
    charset = codec(name)
    return lambda raw: raw.decode(charset, "replace")
