"""Converters to ids of traces, spans and profiles, and new ids of other kinds."""

import uuid
from collections.abc import Callable
from typing import Any

from airis.ottl.arguments import BytesLikeGetter, Constant
from airis.ottl.functions.clock import CLOCK, RANDOM
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Id

IDS = Functions()
declare = IDS.declare


def _id(size: int, target: Callable[[Any], bytes]) -> Converter:
    """Of so many bytes, or of twice as many digits in hexadecimal; raises ValueError for a constant that is neither."""

    def made(raw: bytes) -> Id:
        if len(raw) == size:
            return Id(raw)
        if len(raw) == 2 * size and raw.isalnum():
            try:
                return Id(bytes.fromhex(raw.decode()))
            except ValueError:
                pass
        raise ValueError(f"an id has {size} bytes, or {2 * size} digits in hexadecimal")

    if isinstance(target, Constant):
        constant = made(target.value)
        return lambda here: constant

    def get(here: Any) -> Id:
        try:
            return made(target(here))
        except ValueError as error:
            raise EvaluationError(str(error)) from error

    return get


@declare("SpanID")
def span_id(target: BytesLikeGetter) -> Converter:
    """The id of a span, of 8 bytes or of 16 digits in hexadecimal."""
    return _id(8, target)


@declare("TraceID")
def trace_id(target: BytesLikeGetter) -> Converter:
    """The id of a trace, of 16 bytes or of 32 digits in hexadecimal."""
    return _id(16, target)


@declare("ProfileID")
def profile_id(target: BytesLikeGetter) -> Converter:
    """The id of a profile, of 16 bytes or of 32 digits in hexadecimal."""
    return _id(16, target)


@declare("UUID")
def new_uuid() -> Converter:
    """A new UUID of version 4, which is random."""
    return lambda here: str(uuid.UUID(bytes=RANDOM.take(16), version=4))


@declare("UUIDv7")
def new_uuid_7() -> Converter:
    """A new UUID of version 7, which begins with the time."""

    def get(here: Any) -> str:
        milliseconds = CLOCK.now().unix_nano // 1_000_000
        raw = bytearray((milliseconds & ((1 << 48) - 1)).to_bytes(6, "big") + RANDOM.take(10))
        raw[6] = 0x70 | raw[6] & 0x0F
        raw[8] = 0x80 | raw[8] & 0x3F
        return str(uuid.UUID(bytes=bytes(raw)))

    return get
