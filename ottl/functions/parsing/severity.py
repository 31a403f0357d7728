"""Levels of logs, told by the texts and the numbers that stand for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airis.ottl.arguments import Constant, Getter, MapGetter
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value, type_name

SEVERITY = Functions()

_CLASSES = {f"{digit}xx": (digit * 100, digit * 100 + 99) for digit in range(2, 6)}


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a level is told by: one of some texts, or a number in a range, both ends included."""

    texts: frozenset[str] = frozenset()
    numbers: tuple[int, int] | None = None

    def holds(self, value: str | int) -> bool:
        """Whether a text or a number stands for the level."""
        if isinstance(value, str):
            return value in self.texts
        return self.numbers is not None and self.numbers[0] <= value <= self.numbers[1]


def _criterion(level: str, value: Value) -> Criterion:
    if not isinstance(value, dict):
        raise ValueError(f'a criterion of {level} is a map such as {{"equals": ["inf"]}}, not {type_name(value)}')
    texts = value.get("equals", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"equals of {level} is a list of strings")
    numbers = _range(level, value["range"]) if "range" in value else None
    return Criterion(frozenset(map(str, texts)), numbers)


def _range(level: str, value: Value) -> tuple[int, int]:
    if isinstance(value, str):
        if value not in _CLASSES:
            raise ValueError(f"range of {level} is one of {', '.join(_CLASSES)}, not {value!a}")
        return _CLASSES[value]
    if not isinstance(value, dict):
        raise ValueError(f'range of {level} is a map with min and max, or a text such as "2xx", not {type_name(value)}')
    least, most = value.get("min"), value.get("max")
    if type(least) is not int or type(most) is not int:
        raise ValueError(f"range of {level} has a min and a max that are ints")
    return least, most


def criteria(mapping: dict[str, Value]) -> list[tuple[str, Sequence[Criterion]]]:
    """The criteria of each level; ValueError says what is wrong in a mapping."""
    found: list[tuple[str, Sequence[Criterion]]] = []
    for level, listed in mapping.items():
        if not isinstance(listed, list):
            raise ValueError(f"{level} has a list of criteria, not {type_name(listed)}")
        found.append((level, [_criterion(level, value) for value in listed]))
    return found


@SEVERITY.declare("ParseSeverity")
def parse_severity(target: Getter, mapping: MapGetter) -> Converter:
    """The level that a text or an int stands for; the first that has it in the mapping."""
    if not isinstance(mapping, Constant):
        raise ValueError("mapping is a map that is written out")
    levels = criteria(mapping.value)

    def get(here: Any) -> str:
        value = target(here)
        if not isinstance(value, str) and type(value) is not int:
            raise EvaluationError(f"a level is told by a string or an int, not {type_name(value)}")
        for level, listed in levels:
            if any(criterion.holds(value) for criterion in listed):
                return level
        raise EvaluationError(f"no level has {value!a}")

    return get
