"""What the Collector's attributes processor makes of a value: another type, or bytes to be hashed."""

import json
import math
import re
import struct
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.data.reference.values import encode_value, number_text

_INTEGER = re.compile("[+-]?[0-9]+", re.ASCII)
_DIGITS = "[0-9](?:_?[0-9])*"
_DOUBLE = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?", re.ASCII)
_SPECIAL = re.compile("[+-]?inf(?:inity)?|nan", re.ASCII | re.IGNORECASE)
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def hashed_bytes(value: AnyValue) -> bytes | None:
    """What is hashed of a value, None of one that becomes an empty text, as an empty one does."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value.encode() or None
    if kind == "bool_value":
        return bytes([value.bool_value])
    if kind == "int_value":
        return struct.pack("<q", value.int_value)
    if kind == "double_value":
        return struct.pack("<d", value.double_value)
    return None


def convert(value: AnyValue, to: str) -> AnyValue | None:
    """The value as one of another type, None where it stays as it is."""
    kind = value.WhichOneof("value")
    held: Any = getattr(value, kind) if kind in ("string_value", "bool_value", "int_value", "double_value") else None
    if to == "string":
        return None if kind == "string_value" else AnyValue(string_value=_text(value))
    if held is None or kind == f"{to}_value":
        return None
    if to == "int":
        number = _integer(held)
        return None if number is None else AnyValue(int_value=number)
    if to == "double":
        double = _double(held)
        return None if double is None else AnyValue(double_value=double)
    truth = _BOOLS.get(held) if isinstance(held, str) else held != 0
    return None if truth is None else AnyValue(bool_value=truth)


def _integer(held: bool | float | str) -> int | None:
    if isinstance(held, str):
        # Python reads no more than 4,300 digits.
        digits = held.lstrip("+-").lstrip("0") if _INTEGER.fullmatch(held) else "9" * 20
        if len(digits) > 19:
            return None
        number = int(held)
        return number if -(1 << 63) <= number < 1 << 63 else None
    if isinstance(held, float):
        if math.isnan(held):
            return 0
        return max(-(1 << 63), min((1 << 63) - 1, int(held))) if math.isfinite(held) else _edge(held)
    return int(held)


def _edge(infinity: float) -> int:
    return (1 << 63) - 1 if infinity > 0 else -(1 << 63)


def _double(held: bool | int | str) -> float | None:
    if not isinstance(held, str):
        return float(held)
    if _SPECIAL.fullmatch(held):
        return float(held)
    number = float(held) if _DOUBLE.fullmatch(held) else math.inf
    # Go calls what is too large an error.
    return None if math.isinf(number) else number


def _text(value: AnyValue) -> str:
    """What pdata's AsString gives."""
    kind = value.WhichOneof("value")
    if kind == "double_value" and not math.isfinite(value.double_value):
        number = {"NaN": "NaN", "Infinity": "+Inf", "-Infinity": "-Inf"}[number_text(value.double_value)]
        return f"json: unsupported value: {number}"
    if kind not in ("array_value", "kvlist_value"):
        return encode_value(value)[0]
    try:
        return _json(value)
    except ValueError:
        return ""


def _json(value: AnyValue) -> str:
    """JSON as Go's encoder writes it; raises ValueError for a double that JSON has not."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return f"[{','.join(map(_json, value.array_value.values))}]"
    if kind == "kvlist_value":
        # A Go map: the last of a key counts, and the keys are sorted.
        entries = {entry.key: entry.value for entry in value.kvlist_value.values}
        return "{" + ",".join(f"{_quoted(key)}:{_json(entries[key])}" for key in sorted(entries)) + "}"
    if kind == "double_value" and not math.isfinite(value.double_value):
        raise ValueError("not a number of JSON")
    text, sign = encode_value(value)
    if sign == "n":
        return "null"
    return _quoted(text) if sign in "sx" else text


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
