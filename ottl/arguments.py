"""What functions take: the types of their parameters, and what becomes of an argument.

A function is written as a factory: it is given its arguments once, when a statement is compiled, and gives what is
called for every item. Constants (`str`, `int`, …) it is given as they are, all else as getters.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Protocol, TypeVar

from airis.ottl.texts import go_float, go_int, text_of
from airis.ottl.values import Duration, EvaluationError, Time, Value, type_name

T = TypeVar("T")

_LIMIT = 1 << 63


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of parameters whose arguments are values of items."""

    name: str
    check: Callable[[Value], Any] | None = None
    """Gives the value as it is wanted; raises EvaluationError."""


class Place(Protocol):
    """A place in telemetry that can be read and written."""

    def get(self, here: Any) -> Value:
        """What is there."""
        ...

    def set(self, here: Any, value: Value) -> None:
        """Write; raises EvaluationError for a value of a type that the place cannot have."""
        ...


class Function(Protocol):
    """A function or a lambda that a function is given."""

    def __call__(self, here: Any, *values: Value) -> Value:
        """Its result for these arguments."""
        ...


def _exactly(kind: type, name: str) -> Callable[[Value], Any]:
    def check(value: Value) -> Any:
        if type(value) is not kind:
            raise EvaluationError(f"expected {name}, not {type_name(value)}")
        return value

    return check


def _text_like(value: Value) -> str | None:
    return None if value is None else text_of(value)


def _int_like(value: Value) -> int | None:
    match value:
        case None:
            return None
        case bool():
            return int(value)
        case int():
            return value
        case float():
            # Go makes the least number of what does not fit.
            return int(value) if -_LIMIT <= value < _LIMIT else -_LIMIT
        case str():
            try:
                return go_int(value)
            except ValueError:
                return None  # alone among its like this gives nil, and no error
        case _:
            raise EvaluationError(f"{type_name(value)} cannot be made an int")


def _float_like(value: Value) -> float | None:
    match value:
        case None:
            return None
        case bool() | int() | float():
            return float(value)
        case str():
            try:
                return go_float(value)
            except ValueError:
                raise EvaluationError(f"{value!a} is no number") from None
        case _:
            raise EvaluationError(f"{type_name(value)} cannot be made a double")


def _bytes_like(value: Value) -> bytes:
    match value:
        case None:
            return b""
        case bool():
            return bytes([value])
        case int():
            return (value % (1 << 64)).to_bytes(8, "big")
        case float():
            return struct.pack(">d", value)
        case str():
            return value.encode()
        case bytes() if type(value) is bytes:
            return value
        case _:
            raise EvaluationError(f"{type_name(value)} cannot be made bytes")


def _bool_like(value: Value) -> bool | None:
    match value:
        case None:
            return None
        case bool():
            return value
        case int() | float():
            return value != 0
        case str():
            if value in ("1", "t", "T", "TRUE", "true", "True"):
                return True
            if value in ("0", "f", "F", "FALSE", "false", "False"):
                return False
            raise EvaluationError(f"{value!a} is no bool")
        case _:
            raise EvaluationError(f"{type_name(value)} cannot be made a bool")


Getter = Annotated[Callable[[Any], Value], Kind("a value")]
StringGetter = Annotated[Callable[[Any], str], Kind("a string", _exactly(str, "string"))]
IntGetter = Annotated[Callable[[Any], int], Kind("an int", _exactly(int, "int"))]
FloatGetter = Annotated[Callable[[Any], float], Kind("a double", _exactly(float, "double"))]
BoolGetter = Annotated[Callable[[Any], bool], Kind("a bool", _exactly(bool, "bool"))]
TimeGetter = Annotated[Callable[[Any], Time], Kind("a time", _exactly(Time, "time"))]
DurationGetter = Annotated[Callable[[Any], Duration], Kind("a duration", _exactly(Duration, "duration"))]
ListGetter = Annotated[Callable[[Any], list[Value]], Kind("a list", _exactly(list, "list"))]
MapGetter = Annotated[Callable[[Any], dict[str, Value]], Kind("a map", _exactly(dict, "map"))]
BytesGetter = Annotated[Callable[[Any], bytes], Kind("bytes", _exactly(bytes, "bytes"))]
StringLikeGetter = Annotated[Callable[[Any], str | None], Kind("what can be a string", _text_like)]
IntLikeGetter = Annotated[Callable[[Any], int | None], Kind("what can be an int", _int_like)]
FloatLikeGetter = Annotated[Callable[[Any], float | None], Kind("what can be a double", _float_like)]
BytesLikeGetter = Annotated[Callable[[Any], bytes], Kind("what can be bytes", _bytes_like)]
BoolLikeGetter = Annotated[Callable[[Any], bool | None], Kind("what can be a bool", _bool_like)]

PLACE = Kind("a path")
"""A path that can be read and written."""
FUNCTION = Kind("a function")
ENUM = Kind("an enumerator")


@dataclass(frozen=True, slots=True)
class LambdaKind(Kind):
    """A function of so many arguments that is written out."""

    count: int = 0


PlaceArgument = Annotated[Place, PLACE]
FunctionArgument = Annotated[Function, FUNCTION]
EnumArgument = Annotated[int, ENUM]
Lambda0 = Annotated[Function, LambdaKind("a function such as () => true", count=0)]
Lambda2 = Annotated[Function, LambdaKind("a function such as (key, value) => true", count=2)]
Lambda3 = Annotated[Function, LambdaKind("a function such as (sum, key, value) => sum + value", count=3)]

CONSTANTS: Mapping[type, str] = {
    str: "a string that is written out",
    int: "an int that is written out",
    float: "a double that is written out",
    bool: "true or false",
    bytes: "bytes that are written out",
}


class Constant:
    """The getter of an argument that is written out, for functions that can do more once."""

    __slots__ = ("_again", "value")

    def __init__(self, value: Any, again: Callable[[Any], Any] | None = None) -> None:
        """`again` gives the value of lists and maps anew: a cache could keep one, and change it for all items."""
        self.value = value
        self._again = again

    def __call__(self, here: Any) -> Any:
        """The value."""
        return self.value if self._again is None else self._again(here)


def prepared(getter: Callable[[Any], str], prepare: Callable[[str], T]) -> Callable[[Any], T]:
    """What is made of a string, once for one that is written out, else for every item; the last ones are kept.

    `prepare` raises ValueError for a string that nothing can be made of.
    """
    if isinstance(getter, Constant):
        made = prepare(getter.value)
        return lambda here: made
    kept = lru_cache(256)(prepare)

    def get(here: Any) -> T:
        try:
            return kept(getter(here))
        except ValueError as error:
            raise EvaluationError(str(error)) from error

    return get


def checked(getter: Callable[[Any], Value], kind: Kind) -> Callable[[Any], Any]:
    """A getter whose values are as a parameter wants them."""
    check = kind.check
    if check is None:
        return getter
    return lambda here: check(getter(here))
