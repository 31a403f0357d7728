"""JSON in strings (RFC 8259)."""

import math
from typing import Any, cast

import orjson

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import DEEPEST, within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value

JSON = Functions()


@JSON.declare("ParseJSON")
def parse_json(target: StringGetter) -> Converter:
    """The map or the list that a JSON text is; all its numbers are doubles."""

    def get(here: Any) -> Value:
        text = within_limits(target(here), "a JSON text")
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise EvaluationError(f"it is no JSON: {error}") from error
        if not isinstance(document, list | dict):
            raise EvaluationError("it is neither an object nor an array of JSON")
        return _with_doubles(document, DEEPEST)

    return get


def _with_doubles(value: Any, depth: int) -> Value:
    if type(value) is int or type(value) is float:
        number = float(value)
        if not math.isfinite(number):
            raise EvaluationError("a number in the JSON text is too large for a double")
        return number
    if not isinstance(value, list | dict):
        return cast(Value, value)
    if not depth:
        raise EvaluationError(f"the JSON text has more than {DEEPEST} objects and arrays in one another")
    if isinstance(value, list):
        return [_with_doubles(item, depth - 1) for item in cast(list[Any], value)]
    return {key: _with_doubles(item, depth - 1) for key, item in cast(dict[str, Any], value).items()}
