"""Inflate what came in over a network, in every encoding, with a hard cap on the size held meanwhile.

The one such place in airis: a second decompressor would be a second chance to forget the cap.
"""

import io
import sys
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import cramjam
import lz4.frame as _lz4

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed")
"""What a Content-Encoding may be, as the Collector's ``compression_algorithms`` spells it; "" is none."""

MAX_PARTS = 10_000
"""Members, frames or chunks in one body: a body of millions of empty ones would cost seconds."""

_SLICE_BYTES = 64 * 1024
"""Input given to a decompressor at once; it copies what it leaves over."""
_STEP_BYTES = 1024 * 1024
"""Output taken from a decompressor at once."""
_ZSTD_WINDOW_LOG = 23
"""8 MiB, what RFC 9659 allows in a Content-Encoding; a frame can ask for 2 GiB."""
_SNAPPY_STREAM_START = b"\xff\x06\x00\x00sNaPpY"
_SNAPPY_CHUNK_BYTES = 65536
"""The most that a chunk of a snappy stream may hold."""


class IntakeError(ValueError):
    """A body cannot be taken."""

    kind = "body"
    """What a counter calls it."""


class TooLarge(IntakeError):
    """The body is larger than allowed, as it came or inflated."""

    kind = "too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the request is larger than {limit_bytes} bytes after decompression")


class UnknownEncoding(IntakeError):
    """The body's encoding is none that is offered here."""

    kind = "encoding"

    def __init__(self, encoding: str, offered: tuple[str, ...] = ENCODINGS) -> None:
        super().__init__(f'encoding "{encoding}" is not supported; use one of {", ".join(filter(None, offered))}')


class Undecodable(IntakeError):
    """The body is not what its encoding says: corrupt, or cut off."""

    kind = "corrupt"


def decompress(encoding: str, body: bytes, limit_bytes: int, offered: tuple[str, ...] = ENCODINGS) -> bytes:
    """The plain body; inflating stops as soon as it has given more than `limit_bytes`.

    Raises TooLarge, Undecodable or, for an encoding that is not among `offered`, UnknownEncoding.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        if len(body) > limit_bytes:
            raise TooLarge(limit_bytes)
        return body
    inflate = _CODECS.get(name) if name in offered else None
    if inflate is None:
        raise UnknownEncoding(encoding, offered)
    try:
        return inflate(body, limit_bytes)
    except IntakeError:
        raise
    except _CODEC_ERRORS as error:
        raise Undecodable(f"not {name}: {error}") from error


class _Inflater(Protocol):
    """The shape of the standard library's decompressors."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether there is no more output without more input."""
        ...

    @property
    def unused_data(self) -> bytes | None:
        """Input behind the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes more."""
        ...


class _Zlib:
    """zlib's decompressor in that shape."""

    def __init__(self, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)
        self.eof = False
        self.needs_input = True

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the stream."""
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes more."""
        piece = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self.eof = self._inflater.eof
        self.needs_input = not self._inflater.unconsumed_tail
        return piece


def _inflate(body: bytes, limit_bytes: int, new: Callable[[], _Inflater]) -> bytes:
    """Step through all streams in the body, one behind the other, under one cap."""
    output = io.BytesIO()  # hands its content over without a second copy, unlike joined pieces
    position = 0
    streams = 1
    inflater = new()
    data = body[:_SLICE_BYTES]
    while True:
        position += len(data)
        piece = inflater.decompress(data, _STEP_BYTES)
        output.write(piece)
        if output.tell() > limit_bytes:
            raise TooLarge(limit_bytes)
        if inflater.eof:
            position -= len(inflater.unused_data or b"")
            if position == len(body):
                return output.getvalue()
            streams += 1
            if streams > MAX_PARTS:
                raise Undecodable(f"more than {MAX_PARTS} compressed streams in one body")
            inflater = new()
        elif position == len(body) and inflater.needs_input and len(piece) < _STEP_BYTES:
            raise Undecodable("the compressed body is cut off")
        data = body[position : position + _SLICE_BYTES] if inflater.needs_input else b""


def _gunzip(body: bytes, limit_bytes: int) -> bytes:
    return _inflate(body, limit_bytes, lambda: _Zlib(16 + zlib.MAX_WBITS))


def _inflate_deflate(body: bytes, limit_bytes: int) -> bytes:
    """What "deflate" means is the zlib format, but some clients send the bare stream, which has no such header."""
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _inflate(body, limit_bytes, lambda: _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS))


def _unzstd(body: bytes, limit_bytes: int) -> bytes:
    options: Any = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return _inflate(body, limit_bytes, lambda: zstd.ZstdDecompressor(options=options))


def _unlz4(body: bytes, limit_bytes: int) -> bytes:
    new: Any = _lz4.LZ4FrameDecompressor
    return _inflate(body, limit_bytes, new)


def _unsnappy(body: bytes, limit_bytes: int) -> bytes:
    """A block says its size first. Older Collectors send the framed format under this name as well."""
    if body.startswith(_SNAPPY_STREAM_START):
        return _unsnappy_framed(body, limit_bytes)
    if cramjam.snappy.decompress_raw_len(body) > limit_bytes:
        raise TooLarge(limit_bytes)
    return bytes(cramjam.snappy.decompress_raw(body))


def _unsnappy_framed(body: bytes, limit_bytes: int) -> bytes:
    """Add up what the chunks say they hold before any is inflated."""
    size = position = chunks = 0
    while position < len(body):
        chunk_type = body[position]
        end = position + 4 + int.from_bytes(body[position + 1 : position + 4], "little")
        if end > len(body) or position + 4 > len(body):
            raise Undecodable("the compressed body is cut off")
        if chunk_type <= 1:  # 0 compressed, 1 not; both begin with four bytes of checksum
            data = body[position + 8 : end]
            held = cramjam.snappy.decompress_raw_len(data) if chunk_type == 0 else len(data)
            if held > _SNAPPY_CHUNK_BYTES:
                raise Undecodable(f"a snappy chunk of {held} bytes; {_SNAPPY_CHUNK_BYTES} are allowed")
            size += held
        if size > limit_bytes:
            raise TooLarge(limit_bytes)
        chunks += 1
        if chunks > MAX_PARTS:
            raise Undecodable(f"more than {MAX_PARTS} chunks in one body")
        position = end
    return bytes(cramjam.snappy.decompress(body, output_len=size))


_CODECS: Mapping[str, Callable[[bytes, int], bytes]] = MappingProxyType(
    {
        "gzip": _gunzip,
        "zlib": _inflate_deflate,
        "deflate": _inflate_deflate,
        "zstd": _unzstd,
        "lz4": _unlz4,
        "snappy": _unsnappy,
        "x-snappy-framed": _unsnappy_framed,
    }
)
_CODEC_ERRORS = (zlib.error, zstd.ZstdError, cramjam.DecompressionError, RuntimeError, EOFError)
