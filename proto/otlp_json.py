"""OTLP/JSON, both ways (opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding").

It is protobuf's JSON mapping with three changes: trace, span and profile ids are hex, enums are integers, unknown
fields are ignored. Read leniently: names in either spelling, enums by name, ids in any case, text repaired. Of a name
that an object has twice the last counts; a field that it has in both spellings is a fault.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn, cast

import orjson
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from airis.data.malformed import MalformedPayload
from airis.proto import otlp
from airis.proto.otlp import MAX_DEPTH

_IDS = frozenset({"trace_id", "span_id", "parent_span_id", "profile_id"})
_INTEGER = re.compile("-?[0-9]+")
_NUMBER = re.compile("[0-9.eE+-]+")
_MAX_DIGITS = 38
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Wrong(ValueError):
    """A value that does not fit; the path grows on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path = ""

    def inside(self, step: str) -> "_Wrong":
        joint = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{step}{joint}{self.path}"
        return self


def from_json(signal: str, body: bytes) -> bytes:
    """The protobuf payload of an OTLP/JSON request; raises MalformedPayload, which names the field."""
    document = _load(body)
    if not isinstance(document, dict):
        raise MalformedPayload("the body is not a JSON object")
    message = otlp.layout(signal).request()
    try:
        _fill(message, cast("dict[str, Any]", document), MAX_DEPTH)
    except _Wrong as wrong:
        raise MalformedPayload(f"{wrong.path}: {wrong}") from None
    return message.SerializeToString()


def to_json(signal: str, payload: bytes) -> bytes:
    """The payload as one OTLP/JSON object; raises MalformedPayload for one that did not pass `validate`."""
    try:
        message = otlp.parse(signal, payload)
    except DecodeError as error:
        raise MalformedPayload(f"not an OTLP {signal} request: {error}") from None
    return orjson.dumps(to_object(message))


def to_object(message: Message) -> dict[str, Any]:
    """The message as JSON values; defaults are left out, explicit presence is kept."""
    known = _fields(message.DESCRIPTOR)
    return {known[field.name].json_name: known[field.name].write(value) for field, value in message.ListFields()}


def _load(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = str(error)
    try:
        # orjson is right to refuse bytes that are not UTF-8 and halves of surrogate pairs; senders send them.
        text = body.decode("utf-8-sig", "replace")
        return json.loads(text, parse_constant=_no_constant, parse_int=_integer_or_double)
    except (ValueError, RecursionError):
        raise MalformedPayload(f"not JSON: {fault}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _integer_or_double(text: str) -> int | float:
    """As orjson reads it: what 64 bits cannot hold is a double."""
    number = int(text) if len(text) <= _MAX_DIGITS else 1 << 64
    return number if -(1 << 63) <= number < 1 << 64 else float(text)


def _whole(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is read and written."""

    name: str
    json_name: str
    repeated: bool
    message: bool
    read: Callable[[Any], Any]
    """From a JSON value; of a message field never called."""
    write: Callable[[Any], Any]
    """To a JSON value; of a repeated field all of it."""


def _fill(message: Message, document: dict[str, Any], depth: int) -> None:
    known = _names(message.DESCRIPTOR)
    for key, value in document.items():
        field = known.get(key)
        if field is None or value is None:
            continue
        try:
            if key != field.json_name and document.get(field.json_name) is not None:
                raise _Wrong("named in both spellings")
            if field.repeated:
                _fill_repeated(message, field, value, depth)
            elif field.message:
                _fill_message(getattr(message, field.name), value, depth)
            else:
                setattr(message, field.name, field.read(value))
        except _Wrong as wrong:
            raise wrong.inside(key) from None


def _fill_repeated(message: Message, field: _Field, value: Any, depth: int) -> None:
    if not isinstance(value, list):
        raise _Wrong("expected an array")
    repeated = getattr(message, field.name)
    for index, item in enumerate(cast("list[Any]", value)):
        try:
            if field.message:
                _fill_message(repeated.add(), item, depth)
            else:
                repeated.append(field.read(item))
        except _Wrong as wrong:
            raise wrong.inside(f"[{index}]") from None


def _fill_message(message: Message, value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise _Wrong("expected an object")
    if not depth:
        raise _Wrong(f"more than {MAX_DEPTH} objects in one another")
    message.SetInParent()
    _fill(message, cast("dict[str, Any]", value), depth - 1)


@cache
def _names(message: Any) -> dict[str, _Field]:
    """Fields by both spellings of their names."""
    known = _fields(message).values()
    return {field.name: field for field in known} | {field.json_name: field for field in known}


@cache
def _fields(message: Any) -> dict[str, _Field]:
    return {field.name: _field(field) for field in message.fields}


def _field(field: Any) -> _Field:
    read, write = _codec(field)
    if field.is_repeated:
        return _Field(
            field.name, field.json_name, True, field.message_type is not None, read, lambda v: [write(x) for x in v]
        )
    return _Field(field.name, field.json_name, False, field.message_type is not None, read, write)


def _codec(field: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    kind = field.type
    if kind == FieldDescriptor.TYPE_MESSAGE:
        return _same, to_object
    if kind == FieldDescriptor.TYPE_STRING:
        return _read_text, _same
    if kind == FieldDescriptor.TYPE_BYTES:
        return (_read_hex, bytes.hex) if field.name in _IDS else (_read_base64, _write_base64)
    if kind == FieldDescriptor.TYPE_BOOL:
        return _read_bool, _same
    if kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _read_double, _write_double
    if kind == FieldDescriptor.TYPE_ENUM:
        numbers = {value.name: value.number for value in field.enum_type.values}
        return _read_enum(numbers), _same
    low, high = _RANGES[kind]
    return _read_integer(low, high), str if high >= 1 << 53 else _same


_RANGES = {
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64),
        (-(1 << 63), (1 << 63) - 1),
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), (0, (1 << 64) - 1)),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32),
        (-(1 << 31), (1 << 31) - 1),
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), (0, (1 << 32) - 1)),
}


def _same(value: Any) -> Any:
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("expected a string")
    return value if value.isascii() else _whole(value)


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("expected true or false")
    return value


def _read_hex(value: Any) -> bytes:
    try:
        return binascii.unhexlify(value)
    except (ValueError, TypeError):
        raise _Wrong("expected an id in hexadecimal") from None


def _read_base64(value: Any) -> bytes:
    text = _read_text(value).rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise _Wrong("expected base64") from None


_URL_SAFE = str.maketrans("-_", "+/")


def _write_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _read_double(value: Any) -> float:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        try:
            value = _double(value)
        except ValueError:
            raise _Wrong("expected a number") from None
        if not math.isfinite(value):
            raise _Wrong("expected a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong("expected a number")
    if not math.isfinite(value):
        raise _Wrong("the number is too large")
    return float(value)


def _write_double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _read_enum(numbers: dict[str, int]) -> Callable[[Any], int]:
    integer = _read_integer(-(1 << 31), (1 << 31) - 1)

    def read(value: Any) -> int:
        if isinstance(value, str) and value in numbers:
            return numbers[value]
        return integer(value)

    return read


def _read_integer(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool):
            raise _Wrong("expected an integer")
        try:
            number = int(value) if isinstance(value, int) else _integral(value)
        except (ValueError, TypeError, OverflowError):
            raise _Wrong("expected an integer") from None
        if not low <= number <= high:
            raise _Wrong(f"{number} is not between {low} and {high}")
        return number

    return read


def _integral(value: Any) -> int:
    """An integer written as text or as a float such as 1.0 or "1e3"."""
    if isinstance(value, str):
        if len(value) > _MAX_DIGITS:
            raise ValueError(value)
        if _INTEGER.fullmatch(value):
            return int(value)
        value = _double(value)
    number = float(value)
    if not number.is_integer():
        raise ValueError(value)
    return int(number)


def _double(text: str) -> float:
    """Of digits, a point, an exponent and signs alone; Python would take more."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)
