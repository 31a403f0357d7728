"""Converters of lists and maps, and what looks into them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from airis.ottl.arguments import Getter, ListGetter, MapGetter
from airis.ottl.functions.types import unusable
from airis.ottl.registry import Converter, Functions
from airis.ottl.texts import attribute_text
from airis.ottl.values import EvaluationError, Id, Parts, Value, equal, is_number, type_name

LISTS = Functions()
declare = LISTS.declare


@declare("Coalesce")
def coalesce(values: list[Getter]) -> Converter:
    """The first value that is not nil; nil where there is none."""
    if not values:
        raise ValueError("values has at least one")

    def get(here: Any) -> Value:
        return next((value for value in (each(here) for each in values) if value is not None), None)

    return get


@declare("Len")
def length(target: Getter) -> Converter:
    """The bytes of a string, or the items of a list or a map."""

    def get(here: Any) -> int:
        value = target(here)
        match value:
            case str():
                return len(value.encode())
            case Id():
                raise unusable("Len", value)
            case bytes() | list() | dict():
                return len(value)
            case Parts():
                return len(value.messages)
            case _:
                raise unusable("Len", value)

    return get


@declare("ContainsValue")
def contains_value(target: ListGetter, item: Getter) -> Converter:
    """Whether a list has an item that equals a value."""

    def test(here: Any) -> bool:
        found, wanted = target(here), item(here)
        return any(equal(each, wanted) for each in found)

    return test


@declare("Index")
def index(target: Getter, value: Getter) -> Converter:
    """Where in a string another begins, by bytes, or where in a list a value is; -1 where it is not."""

    def get(here: Any) -> int:
        found, wanted = target(here), value(here)
        if isinstance(found, str):
            if not isinstance(wanted, str):
                raise EvaluationError(f"what is looked for in a string is a string, not {type_name(wanted)}")
            return found.encode().find(wanted.encode())
        if not isinstance(found, list):
            raise EvaluationError(f"expected a string or a list, not {type_name(found)}")
        return next((number for number, item in enumerate(found) if equal(item, wanted)), -1)

    return get


@declare("Keys")
def keys(target: MapGetter) -> Converter:
    """The keys of a map, in its order."""
    return lambda here: list(target(here))


@declare("Values")
def values(target: MapGetter) -> Converter:
    """The values of a map, in its order."""
    return lambda here: list(target(here).values())


@declare("Sort")
def sort(target: Getter, order: str | None = None) -> Converter:
    """A list in order, ``asc`` or ``desc``: by number, or by text where not all are numbers.

    A list with lists, maps or bytes in it is left as it is.
    """
    if order not in (None, "asc", "desc"):
        raise ValueError(f"order is asc or desc, not {order!a}")

    def get(here: Any) -> Value:
        found = target(here)
        if not isinstance(found, list):
            raise EvaluationError(f"expected a list, not {type_name(found)}")
        if any(isinstance(item, list | dict | bytes) for item in found):
            return found
        if all(map(is_number, found)):
            return sorted(found, key=_rank(found), reverse=order == "desc")
        return sorted(found, key=lambda item: attribute_text(item).encode(), reverse=order == "desc")

    return get


def _rank(numbers: Sequence[Value]) -> Callable[[Any], Any]:
    """Of whole numbers themselves, since not all of them are doubles; NaN comes first, as in Go."""
    if all(type(number) is int for number in numbers):
        return lambda number: number
    return lambda number: (not math.isnan(number), float(number))


@declare("SliceToMap")
def slice_to_map(
    target: ListGetter, key_path: list[str] | None = None, value_path: list[str] | None = None
) -> Converter:
    """A map of a list's items: by what is at a path in each, else by their numbers."""

    def get(here: Any) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for number, item in enumerate(target(here)):
            key = str(number) if key_path is None else _key(item, key_path, number)
            found[key] = item if value_path is None else _inside(item, value_path, number)
        return found

    return get


def _key(item: Value, path: Sequence[str], number: int) -> str:
    key = _inside(item, path, number)
    if not isinstance(key, str):
        raise EvaluationError(f"the key of item {number} is {type_name(key)}, not string")
    return key


def _inside(item: Value, path: Sequence[str], number: int) -> Value:
    if not isinstance(item, dict):
        raise EvaluationError(f"item {number} is {type_name(item)}, not map")
    if not path:
        raise EvaluationError("a path has at least one key")
    for name in path:
        if not isinstance(item, dict) or name not in item:
            raise EvaluationError(f"item {number} has nothing at {'.'.join(path)}")
        item = item[name]
    return item


@declare("ToKeyValueString")
def to_key_value_string(
    target: MapGetter,
    delimiter: str | None = None,
    pair_delimiter: str | None = None,
    sort_output: bool | None = None,
) -> Converter:
    """A map as text such as ``k1=v1 k2=v2``; what has a delimiter in it is put into quotes."""
    between = "=" if delimiter is None else delimiter
    pairs = " " if pair_delimiter is None else pair_delimiter
    if not between or not pairs:
        raise ValueError(f"{'pair_delimiter' if between else 'delimiter'} is not empty")
    if between == pairs:
        raise ValueError(f"delimiter and pair_delimiter are not the same ({pairs!a})")

    def quoted(text: str) -> str:
        text = text.replace('"', '\\"')
        return f'"{text}"' if between in text or pairs in text else text

    def get(here: Any) -> str:
        found = target(here)
        names = sorted(found, key=str.encode) if sort_output else found
        return pairs.join(f"{quoted(name)}{between}{quoted(attribute_text(found[name]))}" for name in names)

    return get
