"""Converters that are given functions, such as ``(key, value) => …``."""

from collections.abc import Iterable
from typing import Any

from airis.ottl.arguments import Function, Getter, Lambda0, Lambda2, Lambda3, MapGetter
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import Duration, EvaluationError, Id, Parts, Time, Value, type_name

LAMBDAS = Functions()
declare = LAMBDAS.declare


def _pairs(value: Value) -> Iterable[tuple[int | str, Value]]:
    """Numbers and items of a list, or keys and values of a map; raises EvaluationError for all else."""
    if isinstance(value, list):
        return enumerate(value)
    if isinstance(value, dict):
        return value.items()
    raise EvaluationError(f"expected a list or a map, not {type_name(value)}")


def _holds(predicate: Function, here: Any, *arguments: Value) -> bool:
    answer = predicate(here, *arguments)
    if not isinstance(answer, bool):
        raise EvaluationError(f"the function answers {type_name(answer)}, not bool")
    return answer


def _result(function: Function, here: Any, *arguments: Value) -> Value:
    result = function(here, *arguments)
    if result is None:
        raise EvaluationError("the function gives nil")
    return result


@declare("All")
def all_(source: Getter, predicate: Lambda2) -> Converter:
    """Whether a function is true for all items of a list or a map, as of one without any."""
    return lambda here: all(_holds(predicate, here, key, value) for key, value in _pairs(source(here)))


@declare("Any")
def any_(source: Getter, predicate: Lambda2) -> Converter:
    """Whether a function is true for one item of a list or a map."""
    return lambda here: any(_holds(predicate, here, key, value) for key, value in _pairs(source(here)))


@declare("Filter")
def filter_(source: Getter, predicate: Lambda2) -> Converter:
    """The items of a list or a map that a function is true for."""

    def get(here: Any) -> Value:
        found = source(here)
        kept = [(key, value) for key, value in _pairs(found) if _holds(predicate, here, key, value)]
        return dict(kept) if isinstance(found, dict) else [value for _, value in kept]  # type: ignore[arg-type]

    return get


@declare("Find")
def find(source: Getter, predicate: Lambda2, mapper: Lambda2 | None = None) -> Converter:
    """The first item of a list or a map that a function is true for, or what another makes of it; nil without one."""

    def get(here: Any) -> Value:
        for key, value in _pairs(source(here)):
            if _holds(predicate, here, key, value):
                return value if mapper is None else _result(mapper, here, key, value)
        return None

    return get


@declare("MapEach")
def map_each(source: Getter, mapper: Lambda2) -> Converter:
    """A list or a map with what a function makes of each value."""

    def mapped(here: Any, key: int | str, value: Value) -> Value:
        result = _result(mapper, here, key, value)
        if isinstance(result, Time | Duration | Id | Parts):
            raise EvaluationError(f"a list or a map cannot have {type_name(result)} in it")
        return result

    def get(here: Any) -> Value:
        found = source(here)
        made = [(key, mapped(here, key, value)) for key, value in _pairs(found)]
        return dict(made) if isinstance(found, dict) else [value for _, value in made]  # type: ignore[arg-type]

    return get


@declare("MapKeys")
def map_keys(source: MapGetter, key_mapper: Lambda2) -> Converter:
    """A map with what a function makes of each key; of two keys that become the same the last one stays."""

    def get(here: Any) -> Value:
        made: dict[str, Value] = {}
        for key, value in source(here).items():
            name = key_mapper(here, key, value)
            if not isinstance(name, str):
                raise EvaluationError(f"the function makes {type_name(name)} of a key, not string")
            made[name] = value
        return made

    return get


@declare("Reduce")
def reduce(source: Getter, seed: Getter, accumulator: Lambda3) -> Converter:
    """What a function makes of a seed and the first item of a list or a map, then of that and the next, and so on."""

    def get(here: Any) -> Value:
        pairs, reached = _pairs(source(here)), seed(here)
        for key, value in pairs:
            reached = _result(accumulator, here, reached, key, value)
        return reached

    return get


@declare("When")
def when(condition: Lambda0, true_value: Getter, false_value: Getter) -> Converter:
    """One value where a function is true, else another."""
    return lambda here: true_value(here) if _holds(condition, here) else false_value(here)
