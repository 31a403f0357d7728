"""Values while a statement runs: their types, how they are compared and reckoned with, and how telemetry holds them."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, cast

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList

from airis.proto.otlp import MAX_DEPTH


class EvaluationError(Exception):
    """A statement that cannot be carried out on one item; what is done then is for `error_mode` to say."""


@dataclass(frozen=True, slots=True)
class Time:
    """A moment, and the zone in which its hours and days are told."""

    unix_nano: int
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time, which can be negative."""

    nano: int


class Id(bytes):
    """A trace's or a span's id, which equals no mere bytes."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Messages that a statement hands on as they are, such as the events of a span."""

    messages: tuple[Any, ...]


Value = bool | int | float | str | bytes | Time | Duration | Parts | Sequence["Value"] | Mapping[str, "Value"] | None
"""Lists and maps are those of Python; what telemetry holds is changed through its place alone."""

_TYPE_NAMES: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    bytes: "bytes",
    Id: "id",
    Parts: "messages",
    Time: "time",
    Duration: "duration",
    list: "list",
    dict: "map",
    type(None): "nil",
}


def type_name(value: Value) -> str:
    """What the type of a value is called in messages."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)


# Comparing

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = (bool, str, bytes, Duration)


def comparison(symbol: str) -> Callable[[Value, Value], bool]:
    """What an operator answers; it never fails: of values that cannot be compared ``!=`` alone is true.

    Numbers of different types are compared as doubles, nil with nil alone, lists and maps by what is in them.
    """
    order = _ORDERS[symbol]
    if symbol in ("==", "!="):
        is_equal = symbol == "=="
        return lambda a, b: equal(a, b) is is_equal

    def compare(a: Value, b: Value) -> bool:
        if type(a) is type(b):
            if isinstance(a, _ORDERED) or type(a) in (int, float):
                return order(a, b)
            if isinstance(a, Time) and isinstance(b, Time):
                return order(a.unix_nano, b.unix_nano)
            return a is None and symbol in ("<=", ">=")
        if is_number(a) and is_number(b):
            return order(float(cast(float, a)), float(cast(float, b)))
        return False

    return compare


def equal(a: Value, b: Value) -> bool:
    """Whether ``==`` holds."""
    if type(a) is not type(b):
        return is_number(a) and is_number(b) and float(cast(float, a)) == float(cast(float, b))
    if isinstance(a, Time) and isinstance(b, Time):
        return a.unix_nano == b.unix_nano
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return a == b


def is_number(value: object) -> bool:
    """Whether it is an int or a double, which a bool is not."""
    return type(value) is int or type(value) is float


# Reckoning


def reckon(symbol: str, a: Value, b: Value) -> Value:
    """``a + b`` and so on; raises EvaluationError for types that do not go together, and for a division by 0."""
    if type(a) is int and type(b) is int:
        return _whole(symbol, a, b)
    if type(a) is float and type(b) is float:
        if symbol == "/" and b == 0:
            raise EvaluationError("attempted to divide by 0")
        result: float = _REAL[symbol](a, b)
        return result
    if symbol in "+-":
        sign = 1 if symbol == "+" else -1
        match a, b:
            case Time(), Duration():
                return Time(a.unix_nano + sign * b.nano, a.zone)
            case Duration(), Time() if symbol == "+":
                return Time(a.nano + b.unix_nano, b.zone)
            case Duration(), Duration():
                return Duration(a.nano + sign * b.nano)
            case Time(), Time() if symbol == "-":
                return Duration(a.unix_nano - b.unix_nano)
            case _:
                pass
    raise EvaluationError(f"{type_name(a)} {symbol} {type_name(b)} cannot be reckoned")


def negated(value: Value) -> Value:
    """``-a``; raises EvaluationError for what is no number."""
    if type(value) is int:
        return _wrapped(-value)
    if type(value) is float:
        return -value
    raise EvaluationError(f"-{type_name(value)} cannot be reckoned")


_REAL: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b,
}


def _whole(symbol: str, a: int, b: int) -> int:
    match symbol:
        case "+":
            return _wrapped(a + b)
        case "-":
            return _wrapped(a - b)
        case "*":
            return _wrapped(a * b)
        case _:
            if b == 0:
                raise EvaluationError("attempted to divide by 0")
            quotient = abs(a) // abs(b)  # towards zero, as Go divides
            return _wrapped(quotient if (a < 0) == (b < 0) else -quotient)


def _wrapped(number: int) -> int:
    """In 64 bits, as Go has it."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


# Keys


def taken(value: Value, key: Value) -> Value:
    """What a map has under a key or a list at an index; nil for a key that is absent. Raises EvaluationError."""
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise EvaluationError(f"a map has keys of type string, not {type_name(key)}")
        return value.get(key)
    if isinstance(value, list):
        if type(key) is not int:
            raise EvaluationError(f"a list has indexes of type int, not {type_name(key)}")
        if not 0 <= key < len(value):
            raise EvaluationError(f"index {key} is outside a list of {len(value)}")
        item: Value = value[key]
        return item
    raise EvaluationError(f"nothing can be taken out of {type_name(value)}")


# What telemetry holds


def held(value: AnyValue) -> str | None:
    """Which of its fields a value is in; None for none, and for a reference to a text, which profiles alone have."""
    kind = value.WhichOneof("value")
    return None if kind == "string_value_strindex" else kind


def from_any(value: AnyValue) -> Value:
    """The value that an AnyValue holds; a copy."""
    match held(value):
        case None:
            return None
        case "array_value":
            return [from_any(item) for item in value.array_value.values]
        case "kvlist_value":
            return from_attributes(value.kvlist_value.values)
        case kind:
            return cast(Value, getattr(value, kind))


def from_attributes(attributes: Sequence[KeyValue]) -> dict[str, Value]:
    """A map of attributes; the first of a key counts."""
    found: dict[str, Value] = {}
    for attribute in attributes:
        if attribute.key not in found:
            found[attribute.key] = from_any(attribute.value)
    return found


_ROOM = MAX_DEPTH - 20
"""Messages in one another that a value may be made of: the others are those around it. Deeper ones cannot be read."""


def write_any(target: AnyValue, value: Value) -> None:
    """Make an AnyValue hold a value; raises EvaluationError for one that telemetry does not have, or too deep a one."""
    made = AnyValue()  # the target stays as it is where this fails half-way
    _fill(made, value, _ROOM)
    target.CopyFrom(made)


def write_attributes(target: Any, values: Mapping[str, Value]) -> None:
    """Make a repeated field of KeyValues hold a map, and nothing else; raises EvaluationError as `write_any`."""
    made = KeyValueList()
    _fill_map(made.values, values, _ROOM)
    del target[:]
    target.extend(made.values)


def _fill(target: AnyValue, value: Value, room: int) -> None:
    """`room` is how many messages in one another the value may be made of."""
    if room <= 0:
        raise EvaluationError("the value has too many lists and maps in one another to be sent on")
    match value:
        case None:
            pass
        case bool():
            target.bool_value = value
        case int():
            target.int_value = _wrapped(value)
        case float():
            target.double_value = value
        case str():
            target.string_value = value
        case bytes():
            target.bytes_value = value
        case list():
            target.array_value.SetInParent()
            for item in value:
                _fill(target.array_value.values.add(), item, room - 2)
        case dict():
            target.kvlist_value.SetInParent()
            _fill_map(target.kvlist_value.values, value, room - 3)
        case _:
            raise EvaluationError(f"{type_name(value)} cannot be kept in telemetry; make a string or a number of it")


def _fill_map(target: Any, values: Mapping[str, Value], room: int) -> None:
    for key, value in values.items():
        _fill(target.add(key=key).value, value, room)
