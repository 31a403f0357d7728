"""Inflating: every encoding, within its cap, and nothing cut off passes for whole."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from time import process_time

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from airis.component import intake

LIMIT = 4 * 1024 * 1024
BOMB_BYTES = 64 * 1024 * 1024


def deflate_without_header(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODECS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("zlib", zlib.compress),
    "deflate with zlib header": ("deflate", zlib.compress),
    "deflate without header": ("deflate", deflate_without_header),
    "zstd with content size": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd without content size": ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress),
    "lz4": ("lz4", lz4.frame.compress),
    "snappy": ("snappy", lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "snappy, framed as older Collectors send it": ("snappy", lambda data: bytes(cramjam.snappy.compress(data))),
    "x-snappy-framed": ("x-snappy-framed", lambda data: bytes(cramjam.snappy.compress(data))),
}
each_codec = pytest.mark.parametrize(("encoding", "compress"), CODECS.values(), ids=CODECS)
DATA = b"spans and more spans " * 20_000


@each_codec
def test_gives_back_what_was_compressed(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    for data in (b"x", DATA):
        assert intake.decompress(encoding, compress(data), LIMIT) == data


@each_codec
def test_the_limit_is_of_the_plain_size_and_inclusive(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = compress(DATA)

    assert intake.decompress(encoding, body, len(DATA)) == DATA
    with pytest.raises(intake.TooLarge, match=f"larger than {len(DATA) - 1} bytes"):
        intake.decompress(encoding, body, len(DATA) - 1)


@each_codec
def test_a_bomb_is_refused_before_it_fills_the_memory(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(BOMB_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(intake.TooLarge):
            intake.decompress(encoding, bomb, LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * LIMIT + 4 * 1024 * 1024


@each_codec
def test_a_body_cut_off_is_an_error(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = compress(DATA)

    for missing in (1, 3, len(body) // 2, len(body) - 1):
        with pytest.raises(intake.Undecodable):
            intake.decompress(encoding, body[:-missing], LIMIT)


@each_codec
@given(body=st.binary(max_size=200))
def test_arbitrary_bytes_are_plain_data_or_an_intake_error(
    encoding: str, compress: Callable[[bytes], bytes], body: bytes
) -> None:
    for tried in (body, compress(DATA)[:20] + body):
        try:
            assert len(intake.decompress(encoding, tried, LIMIT)) <= LIMIT
        except intake.IntakeError:
            continue


@pytest.mark.parametrize("codec", ["gzip", "zlib", "zstd with content size", "lz4", "x-snappy-framed"])
def test_streams_behind_one_another_are_one_body(codec: str) -> None:
    encoding, compress = CODECS[codec]

    assert intake.decompress(encoding, compress(DATA) + compress(b"") + compress(b"end"), LIMIT) == DATA + b"end"


def test_streams_behind_one_another_share_the_limit() -> None:
    with pytest.raises(intake.TooLarge):
        intake.decompress("gzip", gzip.compress(DATA) * 2, 2 * len(DATA) - 1)


@pytest.mark.parametrize(
    ("encoding", "part"),
    [("gzip", gzip.compress(b"")), ("x-snappy-framed", b"\xfe\x00\x00\x00")],
    ids=["gzip members", "snappy padding"],
)
def test_a_body_of_very_many_empty_parts_is_refused_soon(encoding: str, part: bytes) -> None:
    body = bytes(cramjam.snappy.compress(b"")) * (encoding == "x-snappy-framed") + part * 200_000
    started = process_time()

    with pytest.raises(intake.Undecodable, match="more than 10000"):
        intake.decompress(encoding, body, LIMIT)

    assert process_time() - started < 1


def test_garbage_behind_a_stream_is_an_error() -> None:
    with pytest.raises(intake.Undecodable):
        intake.decompress("gzip", gzip.compress(DATA) + b"garbage", LIMIT)


def test_a_zstd_window_over_8_mib_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    body = zstandard.ZstdCompressor(compression_params=wide).compressobj().compress(DATA)
    body += zstandard.ZstdCompressor(compression_params=wide).compress(DATA)

    with pytest.raises(intake.Undecodable, match="zstd"):
        intake.decompress("zstd", body, LIMIT)


def test_a_snappy_block_that_claims_more_than_it_holds_is_refused_by_its_claim() -> None:
    with pytest.raises(intake.TooLarge):
        intake.decompress("snappy", b"\xff\xff\xff\xff\x0f" + b"\x00a", LIMIT)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_no_encoding_hands_back_the_same_bytes_within_the_limit(encoding: str) -> None:
    assert intake.decompress(encoding, DATA, len(DATA)) is DATA
    with pytest.raises(intake.TooLarge):
        intake.decompress(encoding, DATA, len(DATA) - 1)


def test_names_are_taken_in_any_case() -> None:
    assert intake.decompress("GZip", gzip.compress(DATA), LIMIT) == DATA


@pytest.mark.parametrize(
    ("encoding", "offered"), [("br", intake.ENCODINGS), ("gzip, zstd", intake.ENCODINGS), ("gzip", ("", "zstd"))]
)
def test_another_encoding_is_refused_with_those_there_are(encoding: str, offered: tuple[str, ...]) -> None:
    with pytest.raises(intake.UnknownEncoding, match=f'encoding "{encoding}" is not supported; use one of .*zstd'):
        intake.decompress(encoding, b"", LIMIT, offered)
