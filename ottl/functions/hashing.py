"""Digests and check digits of strings.

Sources: RFC 1321, FIPS 180-4, RFC 9923 (FNV), the reference implementations of MurmurHash3 and xxHash, ISO/IEC 7812-1
(Luhn).
"""

import hashlib
from collections.abc import Callable
from typing import Any

import xxhash

from airis.ottl.arguments import StringGetter, StringLikeGetter
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value

HASHING = Functions()

_32, _64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def _of_bytes(name: str, digest: Callable[[bytes], Value], what: str) -> None:
    def make(target: StringGetter) -> Converter:
        return lambda here: digest(target(here).encode())

    make.__doc__ = f"The {what} of a string."
    HASHING.declare(name)(make)


def fnv1a(data: bytes) -> int:
    """FNV-1a of 64 bits, as a signed number."""
    number = 0xCBF29CE484222325
    for byte in data:
        number = (number ^ byte) * 0x100000001B3 & _64
    return number - (1 << 64) if number >> 63 else number


def _rotated(number: int, by: int, width: int) -> int:
    return (number << by | number >> (width - by)) & ((1 << width) - 1)


def murmur3_32(data: bytes) -> int:
    """MurmurHash3_x86_32 with the seed 0."""

    def mixed(block: int) -> int:
        return _rotated(block * 0xCC9E2D51 & _32, 15, 32) * 0x1B873593 & _32

    end = len(data) & ~3
    number = 0
    for at in range(0, end, 4):
        number ^= mixed(int.from_bytes(data[at : at + 4], "little"))
        number = (_rotated(number, 13, 32) * 5 + 0xE6546B64) & _32
    number ^= mixed(int.from_bytes(data[end:], "little")) ^ len(data)
    number = (number ^ number >> 16) * 0x85EBCA6B & _32
    number = (number ^ number >> 13) * 0xC2B2AE35 & _32
    return number ^ number >> 16


_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


def _mixed_first(block: int) -> int:
    return _rotated(block * _C1 & _64, 31, 64) * _C2 & _64


def _mixed_second(block: int) -> int:
    return _rotated(block * _C2 & _64, 33, 64) * _C1 & _64


def _finished(number: int) -> int:
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & _64
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 & _64
    return number ^ number >> 33


def murmur3_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3_x64_128 with the seed 0, as its two halves."""
    end = len(data) & ~15
    first = second = 0
    for at in range(0, end, 16):
        first ^= _mixed_first(int.from_bytes(data[at : at + 8], "little"))
        first = ((_rotated(first, 27, 64) + second & _64) * 5 + 0x52DCE729) & _64
        second ^= _mixed_second(int.from_bytes(data[at + 8 : at + 16], "little"))
        second = ((_rotated(second, 31, 64) + first & _64) * 5 + 0x38495AB5) & _64
    tail = data[end:]
    first ^= _mixed_first(int.from_bytes(tail[:8], "little")) ^ len(data)
    second ^= _mixed_second(int.from_bytes(tail[8:], "little")) ^ len(data)
    first = first + second & _64
    second = second + first & _64
    first, second = _finished(first), _finished(second)
    first = first + second & _64
    return first, second + first & _64


def _murmur3_128_hex(data: bytes) -> str:
    return b"".join(half.to_bytes(8, "little") for half in murmur3_128(data)).hex()


_of_bytes("FNV", fnv1a, "FNV-1a hash of 64 bits")
_of_bytes("MD5", lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(), "MD5 digest in hexadecimal")
_of_bytes("SHA1", lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest(), "SHA-1 digest in hexadecimal")
_of_bytes("SHA256", lambda data: hashlib.sha256(data).hexdigest(), "SHA-256 digest in hexadecimal")
_of_bytes("SHA512", lambda data: hashlib.sha512(data).hexdigest(), "SHA-512 digest in hexadecimal")
_of_bytes(
    "Murmur3Hash",
    lambda data: murmur3_32(data).to_bytes(4, "little").hex(),
    "32-bit MurmurHash3 in hexadecimal, the lowest byte first",
)
_of_bytes("Murmur3Hash128", _murmur3_128_hex, "128-bit MurmurHash3 in hexadecimal, the lowest byte of each half first")
_of_bytes("XXH3", xxhash.xxh3_64_hexdigest, "64-bit XXH3 in hexadecimal")
_of_bytes("XXH128", xxhash.xxh3_128_hexdigest, "128-bit XXH3 in hexadecimal")


@HASHING.declare("IsValidLuhn")
def is_valid_luhn(target: StringLikeGetter) -> Converter:
    """Whether the last digit of a number is the right check digit; spaces count for nothing."""

    def test(here: Any) -> bool:
        text = target(here)
        if text is None:
            raise EvaluationError("invalid input: nil")
        digits = text.replace(" ", "")
        if not digits:
            return False
        if not (digits.isascii() and digits.isdigit()):
            raise EvaluationError(f"invalid input: {text!a} is no number")
        # Every second digit from the right is doubled, and its own digits are summed: 7 gives 14 gives 5.
        doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
        return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0

    return test
