"""Converters from one type to another, and what asks for a type."""

import math
import re

from airis.ottl.arguments import (
    BoolLikeGetter,
    BytesLikeGetter,
    FloatLikeGetter,
    Getter,
    IntGetter,
    IntLikeGetter,
    StringGetter,
    StringLikeGetter,
)
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import Duration, EvaluationError, Id, Parts, Time, Value, type_name

TYPES = Functions()
declare = TYPES.declare

_PREFIXES = {"0b": 2, "0o": 8, "0x": 16}
_UNDERSCORES = re.compile("_?[0-9a-z]+(?:_[0-9a-z]+)*", re.ASCII)
_LIMIT = 1 << 63


@declare("Bool")
def to_bool(target: BoolLikeGetter) -> Converter:
    """A bool of a number, which is true unless it is 0, or of a string such as true, t or 1; nil of nil."""
    return target


@declare("Int")
def to_int(target: IntLikeGetter) -> Converter:
    """An int of a double, cut off towards zero, of a bool or of a string; nil of nil and of a string that is none."""
    return target


@declare("Double")
def to_double(target: FloatLikeGetter) -> Converter:
    """A double of an int, a bool or a string; nil of nil."""
    return target


@declare("String")
def to_string(target: StringLikeGetter) -> Converter:
    """A string of any value: bytes and ids in hexadecimal, lists, maps and times as JSON; nil of nil."""
    return target


@declare("Hex")
def to_hex(target: BytesLikeGetter) -> Converter:
    """The bytes of a value in hexadecimal: 8 of an int or a double, 1 of a bool, none of nil."""
    return lambda here: target(here).hex()


@declare("IsBool")
def is_bool(target: Getter) -> Converter:
    """Whether a value is a bool."""
    return lambda here: type(target(here)) is bool


@declare("IsDouble")
def is_double(target: Getter) -> Converter:
    """Whether a value is a double."""
    return lambda here: type(target(here)) is float


@declare("IsInt")
def is_int(target: Getter) -> Converter:
    """Whether a value is an int."""
    return lambda here: type(target(here)) is int


@declare("IsString")
def is_string(target: Getter) -> Converter:
    """Whether a value is a string."""
    return lambda here: type(target(here)) is str


@declare("IsList")
def is_list(target: Getter) -> Converter:
    """Whether a value is a list, or several messages such as the events of a span."""
    return lambda here: isinstance(target(here), list | Parts)


@declare("IsMap")
def is_map(target: Getter) -> Converter:
    """Whether a value is a map."""
    return lambda here: isinstance(target(here), dict)


@declare("IsEmpty")
def is_empty(target: Getter) -> Converter:
    """Whether a value is nil, has nothing in it, or is the zero of its type."""
    return lambda here: _is_empty(target(here))


def _is_empty(value: Value) -> bool:
    match value:
        case Id():
            return not any(value)
        case Duration():
            return value.nano == 0
        case Time() | Parts():
            return False
        case _:
            return not value


@declare("IsRootSpan", contexts=["span"])
def is_root_span() -> Converter:
    """Whether the span has no parent."""
    return lambda here: not any(here.item.parent_span_id)


@declare("Log")
def log(target: FloatLikeGetter) -> Converter:
    """The natural logarithm of a number, or of what can be made one."""

    def get(here: object) -> Value:
        number = target(here)
        if number is None or number <= 0:
            raise EvaluationError(f"there is no logarithm of {'nil' if number is None else f'{number:g}'}")
        return math.log(number)

    return get


@declare("ParseInt")
def parse_int(target: StringGetter, base: IntGetter) -> Converter:
    """The int that a string is in a base; base 0 lets a prefix such as 0x say which, and allows underscores."""
    return lambda here: parsed_int(target(here), base(here))


def parsed_int(text: str, base: int) -> int:
    """As Go's ParseInt with 64 bits; raises EvaluationError."""
    if base < 0 or base == 1 or base > 36:
        raise EvaluationError(f"there is no base {base}; it is 0, or from 2 to 36")
    negative = text.startswith("-")
    digits = (text[1:] if text[:1] in ("-", "+") else text).lower()
    if base == 0:
        base, digits = _implied(digits)
    if not (digits.isascii() and digits.isalnum()) or any(int(digit, 36) >= base for digit in digits):
        raise EvaluationError(f"{text!a} is no number in base {base}")
    significant = digits.lstrip("0")
    # A number of more digits has more bits in any base, and Python does not read one of thousands.
    number = int(significant or "0", base) if len(significant) <= 64 else 2 * _LIMIT
    if number > _LIMIT or (number == _LIMIT and not negative):
        raise EvaluationError(f"{text!a} is out of range: an int has 64 bits")
    return -number if negative else number


def _implied(digits: str) -> tuple[int, str]:
    """The base that a prefix tells, and the digits without underscores; none, where these are in wrong places."""
    prefixed = _PREFIXES.get(digits[:2])
    base = prefixed or (8 if digits.startswith("0") and len(digits) > 1 else 10)
    rest = digits[2:] if prefixed else digits[1:] if base == 8 else digits
    if "_" not in rest:
        return base, rest
    is_good = _UNDERSCORES.fullmatch(rest) and (base != 10 or not rest.startswith("_"))
    return base, rest.replace("_", "") if is_good else ""


def unusable(function: str, value: Value) -> EvaluationError:
    """What is raised for a value of a type that a function cannot take."""
    return EvaluationError(f"{function} cannot take {type_name(value)}")
