"""Values as texts, the way the Collector writes them, and numbers as Go reads them."""

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson

from airis.ottl.values import Duration, EvaluationError, Id, Time, Value, type_name

_INT = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DIGITS = "[0-9](?:_?[0-9])*"
_FLOAT = re.compile(
    rf"[+-]?(?:inf|infinity|nan|(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?)",
    re.ASCII | re.IGNORECASE,
)
_HEX = "[0-9a-f](?:_?[0-9a-f])*"
_HEX_FLOAT = re.compile(rf"[+-]?0x_?(?:{_HEX}\.?(?:{_HEX})?|\.{_HEX})p[+-]?{_DIGITS}", re.ASCII | re.IGNORECASE)
_IN_PAGES = re.compile("[<>&\u2028\u2029]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def go_int(text: str) -> int:
    """As Go's ParseInt with base 10; ValueError for what is no number of 64 bits."""
    if not _INT.fullmatch(text):
        raise ValueError(text)
    number = int(text)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(text)
    return number


def go_float(text: str) -> float:
    """As Go's ParseFloat; ValueError for what is no number, or none of 64 bits."""
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number) and text[-1].isdigit():
            raise ValueError(text)
        return number
    if _HEX_FLOAT.fullmatch(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except OverflowError as error:
            raise ValueError(text) from error
    raise ValueError(text)


def text_of(value: Value) -> str:
    """A value's text: bytes and ids in hexadecimal, all else as in JSON; raises EvaluationError."""
    match value:
        case str():
            return value
        case bytes():
            return value.hex()
        case _:
            return _json(value, float_text)


def attribute_text(value: Value) -> str:
    """The text of a value that an attribute has, which is empty for nil; raises EvaluationError.

    Bytes are in Base64, and small numbers have their exponent without a zero.
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case float() if not math.isfinite(value):
            return f"json: unsupported value: {go_inf(value)}"
        case _:
            return _json(value, lambda number: float_text(number).replace("e-0", "e-"))


def float_text(number: float) -> str:
    """A double as in Go's JSON: ``1``, ``1e+21``, ``1e-07``; raises EvaluationError for what is no number."""
    if not math.isfinite(number):
        raise EvaluationError(f"{go_inf(number)} has no text")
    if number and not 1e-6 <= abs(number) < 1e21:
        digits, _, exponent = f"{Decimal(repr(number)).normalize():e}".partition("e")
        return f"{digits}e{exponent[0]}{exponent[1:].rjust(2, '0')}"
    text = f"{Decimal(repr(number)):f}"
    return text.removesuffix(".0")


def go_inf(number: float) -> str:
    """A double that is no number, as Go writes it."""
    return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"


def rfc3339(time: Time) -> str:
    """A time as in JSON, with as many digits of its second as there are; raises EvaluationError."""
    moment = local_time(time)
    offset = int((moment.utcoffset() or timedelta()).total_seconds())
    sign, minutes = "-" if offset < 0 else "+", abs(offset) // 60
    zone = f"{sign}{minutes // 60:02}:{minutes % 60:02}" if offset else "Z"
    fraction = f".{time.unix_nano % 1_000_000_000:09}".rstrip("0").rstrip(".")
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{fraction}{zone}"


def local_time(time: Time) -> datetime:
    """The date and the second of the day in the zone of a time; raises EvaluationError where there is none."""
    try:
        return (_EPOCH + timedelta(seconds=time.unix_nano // 1_000_000_000)).astimezone(time.zone)
    except (OverflowError, ValueError) as error:
        raise EvaluationError("a time outside of the years 1 to 9999 has no date") from error


def _json(value: Value, number: Callable[[float], str]) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number(value)
        case str():
            return _quoted(value)
        case Id():
            return _quoted(value.hex())
        case bytes():
            return _quoted(base64.b64encode(value).decode())
        case list():
            return f"[{','.join(_json(item, number) for item in value)}]"
        case dict():
            return f"{{{','.join(f'{_quoted(key)}:{_json(value[key], number)}' for key in sorted(value))}}}"
        case Time():
            return _quoted(rfc3339(value))
        case Duration():
            return str(value.nano)
        case _:
            raise EvaluationError(f"{type_name(value)} has no text")


def _quoted(text: str) -> str:
    """As a string in Go's JSON, which can stand in a page as well."""
    return _IN_PAGES.sub(lambda found: f"\\u{ord(found.group()):04x}", orjson.dumps(text).decode())
