"""Values of XPath 1.0 and what is made of them (https://www.w3.org/TR/1999/REC-xpath-19991116/, sections 3 and 4)."""

import math
import re
from collections.abc import Callable
from functools import partial

Plain = str | float | bool
"""What is no set of nodes."""

_NUMBER = re.compile(r"\s*-?(?:\d+(?:\.\d*)?|\.\d+)\s*", re.ASCII)


def boolean(value: object) -> bool:
    """What ``boolean()`` makes of a value, nodes included."""
    return not math.isnan(value) and value != 0 if type(value) is float else bool(value)


def string(value: Plain) -> str:
    """What ``string()`` makes of a value."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            if not math.isfinite(value):
                return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            return str(value)


def number(value: Plain) -> float:
    """What ``number()`` makes of a value: NaN of a text that is none."""
    if isinstance(value, bool | float):
        return float(value)
    text = string(value)
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def holds(operator: str, a: str | float, b: str | float) -> bool:
    """Whether a comparison holds; texts are compared as such by ``=`` and ``!=`` alone."""
    if operator in ("=", "!="):
        if isinstance(a, float) or isinstance(b, float):
            a, b = number(a), number(b)
        return (a == b) is (operator == "=")
    left, right = number(a), number(b)
    match operator:
        case "<":
            return left < right
        case "<=":
            return left <= right
        case ">":
            return left > right
        case _:
            return left >= right


def reckoned(operator: str, a: float, b: float) -> float:
    """The result of an operator, as IEEE 754 has it."""
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "div":
            if b == 0:
                return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
            return a / b
        case _:
            return math.fmod(a, b) if math.isfinite(a) and b != 0 else math.nan


# Functions


def _whole(function: Callable[[float], float], number: float) -> float:
    return float(function(number)) if math.isfinite(number) else number


OF_NUMBERS: dict[str, Callable[[float], float]] = {
    "number": lambda number: number,
    "floor": partial(_whole, math.floor),
    "ceiling": partial(_whole, math.ceil),
    "round": partial(_whole, lambda number: math.floor(number + 0.5)),
}
"""Functions of a number, by name."""


def of_texts(function: str, texts: list[str], values: list[Plain]) -> Plain:
    """The result of a function of texts; `values` are what the texts were made of."""
    first = texts[0]
    other = texts[1] if len(texts) > 1 else ""
    match function:
        case "string":
            return first
        case "concat":
            return "".join(texts)
        case "starts-with":
            return first.startswith(other)
        case "ends-with":
            return first.endswith(other)
        case "contains":
            return other in first
        case "substring-before":
            return first.partition(other)[0] if other and other in first else ""
        case "substring-after":
            return first.partition(other)[2] if other else first
        case "substring":
            return _substring(first, [number(value) for value in values[1:]])
        case "string-length":
            return float(len(first))
        case "normalize-space":
            return " ".join(first.split())
        case _:
            return _translated(first, other, texts[2])


def _substring(text: str, numbers: list[float]) -> str:
    start = OF_NUMBERS["round"](numbers[0])
    end = start + OF_NUMBERS["round"](numbers[1]) if len(numbers) > 1 else math.inf
    return "".join(character for position, character in enumerate(text, 1) if start <= position < end)


def _translated(text: str, characters: str, others: str) -> str:
    table: dict[int, str] = {}
    for index, character in enumerate(characters):
        table.setdefault(ord(character), others[index : index + 1])
    return text.translate(table)
