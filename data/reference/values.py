"""Attribute values as text that people can read, with a signature that makes typed values of it again.

The text of a value: a string is itself, a bool ``true`` or ``false``, an integer decimal, a double as ECMAScript
prints numbers (but ``-0``, ``NaN``, ``Infinity``), bytes base64, an array or a map compact JSON, an empty value "".

The signature of a value: ``s`` string, ``b`` bool, ``i`` integer, ``d`` double, ``x`` bytes, ``n`` empty, an array
``[…]`` and a map ``{…}`` of the signatures of their values, written once where two or more are all the same.
That of a set of attributes is theirs in a row without the ``s`` at its end: of strings alone it is "".
"""

import base64
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

ABSENT = "-"
"""The signature of a body that is not there."""

_CLOSING = {"[": "]", "{": "}"}


def encode_attributes(attributes: Iterable[KeyValue]) -> tuple[list[tuple[str, str]], str]:
    """Keys with the texts of their values, in order, and the signature of the set."""
    pairs: list[tuple[str, str]] = []
    signs: list[str] = []
    for attribute in attributes:
        text, sign = encode_value(attribute.value)
        pairs.append((attribute.key, text))
        signs.append(sign)
    return pairs, "".join(signs).rstrip("s")


def encode_value(value: AnyValue) -> tuple[str, str]:
    """The text and the signature of a value."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value, "s"
    if kind == "int_value":
        return str(value.int_value), "i"
    if kind == "bool_value":
        return "true" if value.bool_value else "false", "b"
    if kind == "double_value":
        return number_text(value.double_value), "d"
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode(), "x"
    if kind == "array_value" or kind == "kvlist_value":
        return _json_text(value), _sign(value)
    return "", "n"


def decode_attributes(pairs: Iterable[Sequence[str]], signature: str) -> list[KeyValue]:
    """What `encode_attributes` was given; raises ValueError for texts that do not fit the signature."""
    signs = _parse(signature)
    return [
        KeyValue(key=key, value=_from_text(text, signs[index] if index < len(signs) else "s"))
        for index, (key, text) in enumerate(pairs)
    ]


def decode_value(text: str, signature: str) -> AnyValue | None:
    """The value with this text; an empty signature is a string's, `ABSENT` gives None."""
    if signature == ABSENT:
        return None
    return _from_text(text, _parse(signature)[0] if signature else "s")


def number_text(number: float) -> str:
    """A double as ECMAScript's Number::toString prints it, but with the sign of -0."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    sign, digit_tuple, exponent = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + int(exponent)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1:+d}"
    return f"-{text}" if sign else text


def _json_text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return f"[{','.join(map(_json_text, value.array_value.values))}]"
    if kind == "kvlist_value":
        entries = (f"{_quoted(entry.key)}:{_json_text(entry.value)}" for entry in value.kvlist_value.values)
        return "{" + ",".join(entries) + "}"
    text, sign = encode_value(value)
    if sign == "n":
        return "null"
    quoted = sign in "sx" or (sign == "d" and not math.isfinite(value.double_value))
    return _quoted(text) if quoted else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _sign(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return f"[{_signs(map(_sign, value.array_value.values))}]"
    if kind == "kvlist_value":
        return "{" + _signs(_sign(entry.value) for entry in value.kvlist_value.values) + "}"
    return encode_value(value)[1]


def _signs(signs: Iterable[str]) -> str:
    listed = list(signs)
    return listed[0] if listed and len(set(listed)) == 1 else "".join(listed)


Sign = str | tuple[str, list[Any]]
"""A sign, or an opening bracket with the signs inside."""


def _parse(signature: str) -> list[Sign]:
    return list(_parse_until(iter(signature), ""))


def _parse_until(signs: Iterator[str], closing: str) -> Iterator[Sign]:
    for sign in signs:
        if sign == closing:
            return
        yield (sign, list(_parse_until(signs, _CLOSING[sign]))) if sign in _CLOSING else sign


def _from_text(text: str, sign: Sign) -> AnyValue:
    if isinstance(sign, tuple):
        return _from_json(json.loads(text, object_pairs_hook=_Entries, parse_int=str, parse_float=str), sign)
    if sign == "s":
        return AnyValue(string_value=text)
    if sign == "i":
        return AnyValue(int_value=int(text))
    if sign == "b":
        return AnyValue(bool_value=text == "true")
    if sign == "d":
        return AnyValue(double_value=float(text))
    if sign == "x":
        return AnyValue(bytes_value=base64.b64decode(text))
    if sign == "n":
        return AnyValue()
    raise ValueError(f"{sign!r} is no sign of a type")


class _Entries(list[tuple[str, Any]]):
    """A JSON object's entries, in order, with keys that come twice."""


def _from_json(value: Any, sign: Sign) -> AnyValue:
    if not isinstance(sign, tuple):
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return _from_text(text, sign)
    bracket, signs = sign
    each = signs * len(value) if len(signs) == 1 else signs
    made = AnyValue()
    if bracket == "[":
        made.array_value.values.extend(_from_json(item, s) for item, s in zip(value, each, strict=True))
        made.array_value.SetInParent()
    else:
        made.kvlist_value.values.extend(
            KeyValue(key=key, value=_from_json(item, s)) for (key, item), s in zip(value, each, strict=True)
        )
        made.kvlist_value.SetInParent()
    return made
