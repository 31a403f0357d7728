"""Compress what goes out over a network; `intake` is the way back."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cramjam

THREAD_BYTES = 32 * 1024
"""More than this is compressed in a thread, so that the loop stays responsive."""

_ZSTD_MAX_LEVEL = 19
"""Beyond, zstd wants windows that receivers need not have (RFC 9659)."""
_FASTEST = 1
"""For gzip a quarter of the time of the usual 6, and some 8 % more bytes."""


def _gzip(body: bytes, level: int) -> bytes:
    if level == _FASTEST:
        return bytes(cramjam.gzip.compress(body, level))
    return zlib.compress(body, level, 16 + zlib.MAX_WBITS)


def _zlib(body: bytes, level: int) -> bytes:
    return bytes(cramjam.zlib.compress(body, level)) if level == _FASTEST else zlib.compress(body, level)


def _zstd(body: bytes, level: int) -> bytes:
    return bytes(cramjam.zstd.compress(body, min(level, _ZSTD_MAX_LEVEL)))


def _lz4(body: bytes, _level: int) -> bytes:
    return bytes(cramjam.lz4.compress(body))


def _snappy(body: bytes, _level: int) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def _snappy_framed(body: bytes, _level: int) -> bytes:
    return bytes(cramjam.snappy.compress(body))


_COMPRESSORS: Mapping[str, Callable[[bytes, int], bytes]] = MappingProxyType(
    {
        "gzip": _gzip,
        "zlib": _zlib,
        "deflate": _zlib,
        "zstd": _zstd,
        "lz4": _lz4,
        "snappy": _snappy,
        "x-snappy-framed": _snappy_framed,
    }
)

LEVELS: Mapping[str, int] = MappingProxyType({"gzip": 9, "zlib": 9, "deflate": 9, "zstd": 22})
"""The highest level of each encoding that has levels."""


def compress(encoding: str, body: bytes, level: int = 0) -> bytes:
    """The body in a Content-Encoding; level 0 or less is a fast one."""
    return _COMPRESSORS[encoding](body, level if level > 0 else _FASTEST)


async def compress_aside(encoding: str, body: bytes, level: int = 0) -> bytes:
    """As `compress`, in a thread where it takes long."""
    if len(body) > THREAD_BYTES:
        return await asyncio.to_thread(compress, encoding, body, level)
    return compress(encoding, body, level)
