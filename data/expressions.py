"""Conditions on items: trees that the kernels compile once (`Predicate`) and answer for every item of a payload.

A condition never fails: what cannot be compared or searched makes it false.

- ``==`` holds between values of one type that are the same; ``!=`` holds wherever ``==`` does not, also between values
  of different types. Integers and doubles are numbers, compared exactly, also beyond 2^53; NaN equals nothing. Texts,
  bytes and bools (false before true) have an order, texts bytewise; ids are texts. Arrays are equal element by
  element, maps entry by entry in any order; neither has an order.
- What is absent and a value without content equal None, and nothing else; `Exists` tells them apart.
- `Matches`, `HasPrefix`, `HasSuffix` and `Contains` look at the text of a value (`airis.data.reference.values`):
  numbers as they are printed, arrays and maps as JSON, but bytes as they are. What is absent or empty has no text. With
  `HasType` beside them they are about texts alone.
- Of events, links and exemplars an item has several. A single condition on one holds where it holds for one of them;
  `Some` asks for one that fulfils several.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal, get_args

from airis.data.fields import Source

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
Type = Literal["text", "bool", "int", "double", "bytes", "array", "map", "empty"]
RepeatedLevel = Literal["event", "link", "exemplar"]
Scalar = str | bytes | bool | int | float | None
"""An integer fits 64 bits, with a sign or without."""

MAX_DEPTH = 64
"""Of conditions inside one another."""
MAX_CONDITIONS = 10_000
"""In one expression."""
MAX_VALUES = 1_000_000
"""In all sets of one expression together."""


class InvalidExpression(ValueError):
    """A condition that cannot be compiled; the message says where, what is wrong, and what there is instead."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always, or never."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of a source with a value or with another source."""

    left: Source
    operator: Operator
    right: Source | Scalar

    def __post_init__(self) -> None:
        _check_name("operator", self.operator, Operator)
        _check_scalar(self.right)


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression in RE2's syntax."""

    source: Source
    pattern: str
    whole: bool = False
    """Whether it has to match all of the text, rather than some of it."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Whether a source equals one of the values; as fast for many as for few."""

    source: Source
    values: Sequence[Scalar] | Set[Scalar]

    def __post_init__(self) -> None:
        for value in self.values:
            _check_scalar(value)


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether an attribute is there, whatever its value; fields are, unless they are optional and not set."""

    source: Source


@dataclass(frozen=True, slots=True)
class HasType:
    """Whether a value is of one of the types; ``empty`` is a value without content."""

    source: Source
    types: Sequence[Type] | Set[Type]

    def __post_init__(self) -> None:
        for name in self.types:
            _check_name("type", name, Type)


@dataclass(frozen=True, slots=True)
class HasPrefix:
    """Whether a text begins with another."""

    source: Source
    text: str | bytes


@dataclass(frozen=True, slots=True)
class HasSuffix:
    """Whether a text ends with another."""

    source: Source
    text: str | bytes


@dataclass(frozen=True, slots=True)
class Contains:
    """Whether a text has another in it."""

    source: Source
    text: str | bytes


@dataclass(frozen=True, slots=True)
class AllOf:
    """All conditions; true where there are none."""

    conditions: Sequence["Expression"]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the conditions; false where there are none."""

    conditions: Sequence["Expression"]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    condition: "Expression"


@dataclass(frozen=True, slots=True)
class Some:
    """Whether one event, link or exemplar fulfils a condition; sources of this level in it are about that one."""

    level: RepeatedLevel
    condition: "Expression"

    def __post_init__(self) -> None:
        _check_name("level", self.level, RepeatedLevel)


Expression = (
    Constant
    | Compare
    | Matches
    | OneOf
    | Exists
    | HasType
    | HasPrefix
    | HasSuffix
    | Contains
    | AllOf
    | AnyOf
    | Not
    | Some
)


def _check_name(what: str, name: object, known: object) -> None:
    if name not in get_args(known):
        raise InvalidExpression(f"no {what} is called {name!r}; there are {', '.join(get_args(known))}")


def _check_scalar(value: object) -> None:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise InvalidExpression(f"{value} does not fit 64 bits")
