"""Digests are those of the published vectors, and of the Collector's documentation."""

import hashlib

import pytest

from airis.ottl.functions.hashing import fnv1a, murmur3_32, murmur3_128
from tests.ottl.evaluating import is_refused_on_the_item, value_of

DIGESTS = ("FNV", "MD5", "SHA1", "SHA256", "SHA512", "Murmur3Hash", "Murmur3Hash128", "XXH3", "XXH128")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('FNV("hello world")', 8618312879776256743),
        ('FNV("")', -3750763034362895579),
        ('FNV("a")', 0xAF63DC4C8601EC8C - (1 << 64)),
        ('FNV("foobar")', 0x85944171F73967E8 - (1 << 64)),
        ('MD5("hello world")', "5eb63bbbe01eeed093cb22bb8f5acdc3"),
        ('MD5("")', "d41d8cd98f00b204e9800998ecf8427e"),
        ('MD5("abc")', "900150983cd24fb0d6963f7d28e17f72"),
        ('SHA1("abc")', "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ('SHA1("")', "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ('SHA256("abc")', "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ('SHA256("")', "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ('SHA512("")', hashlib.sha512(b"").hexdigest()),
        (
            'SHA512("foo bar")',
            "65019286222ace418f742556366f9b9da5aaf6797527d2f0cba5bfe6b2f8ed24"
            "746542a0f2be1da8d63c2477f688b608eb53628993afa624f378b03f10090ce7",
        ),
        ('Murmur3Hash("Hello World")', "ce837619"),
        ('Murmur3Hash("")', "00000000"),
        ('Murmur3Hash128("Hello World")', "dbc2a0c1ab26631a27b4c09fcf1fe683"),
        ('Murmur3Hash128("")', "0" * 32),
        ('XXH3("hello world")', "d447b1ea40e6988b"),
        ('XXH3("")', "2d06800538d394c2"),
        ('XXH128("hello world")', "df8d09e93f874900a99b8775cc15b6c7"),
        ('XXH128("")', "99aa06d3014798d86001c324468d497f"),
        ('MD5("é")', hashlib.md5("é".encode(), usedforsecurity=False).hexdigest()),
        ("SHA256(body)", hashlib.sha256(b"text").hexdigest()),
    ],
)
def test_a_digest_is_the_published_one(expression: str, expected: object) -> None:
    assert value_of(expression, "text") == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello", 0x248BFA47),
        (b"hello, world", 0x149BBB7F),
        (b"19 Jan 2038 at 3:14:07 AM", 0xE31E8A70),
        (b"The quick brown fox jumps over the lazy dog.", 0xD5C48BFC),
    ],
)
def test_murmur3_of_32_bits_takes_texts_of_any_length(data: bytes, expected: int) -> None:
    assert murmur3_32(data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello", (0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19)),
        (b"hello, world", (0x342FAC623A5EBC8E, 0x4CDCBC079642414D)),
        (b"19 Jan 2038 at 3:14:07 AM", (0xB89E5988B737AFFC, 0x664FC2950231B2CB)),
        (b"The quick brown fox jumps over the lazy dog.", (0xCD99481F9EE902C9, 0x695DA1A38987B6E7)),
    ],
)
def test_murmur3_of_128_bits_takes_texts_of_any_length(data: bytes, expected: tuple[int, int]) -> None:
    assert murmur3_128(data) == expected


def test_fnv_is_a_signed_number() -> None:
    assert fnv1a(b"") == 0xCBF29CE484222325 - (1 << 64)


@pytest.mark.parametrize("name", DIGESTS)
@pytest.mark.parametrize(("body", "kind"), [(None, "nil"), (10, "int"), (1.5, "double"), (b"x", "bytes"), ([], "list")])
def test_only_strings_have_a_digest(name: str, body: object, kind: str) -> None:
    is_refused_on_the_item(f"{name}(body)", f"expected string, not {kind}", body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("17893729974", True),
        ("1789 3729 974", True),
        ("", False),
        ("  ", False),
        ("0", True),
        (17893729974, True),
        ("17893729975", False),
        ("4111111111111111", True),
        ("4111111111111112", False),
        ("79927398713", True),
    ],
)
def test_a_check_digit_is_right_or_not(body: object, expected: bool) -> None:
    assert value_of("IsValidLuhn(body)", body) is expected


@pytest.mark.parametrize("body", [None, "test", False, 30.3, "12a4", "-18", "\uff11\uff18"])
def test_what_is_no_number_has_no_check_digit(body: object) -> None:
    is_refused_on_the_item("IsValidLuhn(body)", "invalid input", body)
