"""Conditions, answered for every item of a view."""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from airis.data.expressions import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_VALUES,
    AllOf,
    AnyOf,
    Compare,
    Constant,
    Contains,
    Exists,
    Expression,
    HasPrefix,
    HasSuffix,
    HasType,
    InvalidExpression,
    Matches,
    Not,
    OneOf,
    Scalar,
    Some,
)
from airis.data.fields import Attribute, Field, Level, Source
from airis.data.reference.fields import REPEATED, Found, Item, check_level, items, reader
from airis.data.reference.pattern import Pattern
from airis.data.reference.values import encode_value

Condition = Callable[[Item], bool]
_T = TypeVar("_T")

_TYPES = {
    "string_value": "text",
    "bool_value": "bool",
    "int_value": "int",
    "double_value": "double",
    "array_value": "array",
    "kvlist_value": "map",
    "bytes_value": "bytes",
}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Predicate:
    """A condition on the items of a signal, compiled."""

    def __init__(self, signal: str, expression: Expression) -> None:
        """Compile; InvalidExpression says what is wrong, and where."""
        if signal not in ("traces", "metrics", "logs"):
            raise ValueError(f"{signal} is not supported")
        self.signal = signal
        self._conditions = 0
        self._values = 0
        self._holds = self._compile(expression, "", 1, ())

    def mask(self, view: Any) -> bytes:
        """One byte for every item of the view in order: 1 where the condition holds, else 0."""
        if view.signal != self.signal:
            raise ValueError(f"a condition on {self.signal}, but a view of {view.signal}")
        return bytes(self._holds(item) for item in items(view.signal, view.message))

    def _compile(self, expression: Expression, where: str, depth: int, bound: tuple[Level, ...]) -> Condition:
        """`bound` are the repeated levels of which one element is looked at."""
        if depth > MAX_DEPTH:
            raise _fault(where, f"more than {MAX_DEPTH} conditions in one another")
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _fault(where, f"more than {MAX_CONDITIONS} conditions")
        match expression:
            case Constant(value):
                return lambda item: bool(value)
            case AllOf(conditions):
                compiled = self._compile_all(conditions, where, depth, bound)
                return lambda item: all(condition(item) for condition in compiled)
            case AnyOf(conditions):
                compiled = self._compile_all(conditions, where, depth, bound)
                return lambda item: any(condition(item) for condition in compiled)
            case Not(inner):
                condition = self._compile(inner, _join(where, "condition"), depth + 1, bound)
                return lambda item: not condition(item)
            case Some(repeated, inner):
                _at(_join(where, "level"), lambda: check_level(self.signal, repeated))
                return _some(repeated, self._compile(inner, _join(where, "condition"), depth + 1, (*bound, repeated)))
            case _:
                condition, levels = self._compile_leaf(expression, where)
                for level in levels:
                    if level in REPEATED and level not in bound:
                        condition = _some(level, condition)
                return condition

    def _compile_all(
        self, conditions: Iterable[Expression], where: str, depth: int, bound: tuple[Level, ...]
    ) -> list[Condition]:
        return [
            self._compile(condition, _join(where, f"conditions[{index}]"), depth + 1, bound)
            for index, condition in enumerate(conditions)
        ]

    def _compile_leaf(self, leaf: Any, where: str) -> tuple[Condition, set[Level]]:
        """A condition without others in it, and the levels that it asks."""
        match leaf:
            case Compare(left, operator, right):
                read = self._reader(left, where, "left")
                if isinstance(right, Attribute | Field):
                    other = self._reader(right, where, "right")
                    levels: set[Level] = {left.level, right.level}
                    return lambda item: _compare(_plain(read(item)), operator, _plain(other(item))), levels
                value = _plain(right)
                return lambda item: _compare(_plain(read(item)), operator, value), {left.level}
            case Matches(source, text, whole):
                pattern = _at(_join(where, "pattern"), lambda: Pattern(text, whole=whole))
                test = _on_text(pattern.matches)
            case OneOf(source, values):
                listed = list(values)
                self._values += len(listed)
                if self._values > MAX_VALUES:
                    raise _fault(_join(where, "values"), f"more than {MAX_VALUES} values")
                test = _one_of(listed)
            case Exists(source):
                test = _exists
            case HasType(source, types):
                test = _has_type(frozenset(types))
            case HasPrefix(source, part):
                test = _on_text(lambda text: text.startswith(_bytes(part)))
            case HasSuffix(source, part):
                test = _on_text(lambda text: text.endswith(_bytes(part)))
            case Contains(source, part):
                test = _on_text(lambda text: _bytes(part) in text)
            case _:
                raise _fault(where, f"{type(leaf).__name__} is no condition")
        read = self._reader(source, where, "source")
        return lambda item: test(read(item)), {source.level}

    def _reader(self, source: Source, where: str, name: str) -> Callable[[Item], Found]:
        return _at(_join(where, name), lambda: reader(self.signal, source))


def _some(level: Level, condition: Condition) -> Condition:
    return lambda item: any(condition(one) for one in item.elements(level))


def _exists(found: Found) -> bool:
    return found is not None


def _one_of(values: list[Scalar]) -> Callable[[Found], bool]:
    def test(found: Found) -> bool:
        plain = _plain(found)
        return any(plain == _plain(value) for value in values)

    return test


def _has_type(types: frozenset[str]) -> Callable[[Found], bool]:
    def test(found: Found) -> bool:
        if isinstance(found, int):
            return "int" in types
        return found is not None and _TYPES.get(str(found.WhichOneof("value")), "empty") in types

    return test


def _on_text(test: Callable[[bytes], bool]) -> Callable[[Found], bool]:
    """A condition on the text of what is found."""

    def has(found: Found) -> bool:
        if isinstance(found, int):
            return test(str(found).encode())
        kind = found.WhichOneof("value") if found is not None else None
        if found is None or kind not in _TYPES:
            return False
        return test(found.bytes_value if kind == "bytes_value" else encode_value(found)[0].encode())

    return has


def _bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


def _plain(found: Found | Scalar) -> tuple[str, Any]:
    """The type of a value, one for all numbers, and what Python compares rightly with others of this type."""
    match found:
        case None:
            return "nothing", None
        case bool():
            return "bool", found
        case int():
            return "number", found
        case float():
            # Inside of a list Python takes NaN for equal to itself.
            return ("NaN", object()) if math.isnan(found) else ("number", found)
        case str():
            return "text", found
        case bytes():
            return "bytes", found
        case _:
            pass
    kind = found.WhichOneof("value")
    if kind == "array_value":
        return "array", [_plain(value) for value in found.array_value.values]
    if kind == "kvlist_value":
        entries = sorted(found.kvlist_value.values, key=lambda entry: entry.key)
        return "map", [(entry.key, _plain(entry.value)) for entry in entries]
    return _plain(getattr(found, kind) if kind in _TYPES else None)


def _compare(left: tuple[str, Any], operator: str, right: tuple[str, Any]) -> bool:
    if operator == "==":
        return left == right
    if operator == "!=":
        return left != right
    is_ordered = left[0] == right[0] and left[0] in ("number", "text", "bytes", "bool")
    return is_ordered and _ORDERS[operator](left[1], right[1])


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _fault(where: str, reason: str) -> InvalidExpression:
    return InvalidExpression(f"{where}: {reason}" if where else reason)


def _at(where: str, work: Callable[[], _T]) -> _T:
    """Do what may find a fault, and say where it was found."""
    try:
        return work()
    except InvalidExpression as fault:
        raise _fault(where, str(fault)) from None
