"""Values as texts, the way the Collector writes them, and numbers as Go reads them."""

import base64
import re

import orjson

from airis.ottl.values import Duration, EvaluationError, Time, Value, type_name

_INT = re.compile(r"[+-]?[0-9]+", re.ASCII)


def go_int(text: str) -> int:
    """As Go's ParseInt with base 10; ValueError for what is no number of 64 bits."""
    if not _INT.fullmatch(text):
        raise ValueError(text)
    number = int(text)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(text)
    return number


def text_of(value: Value) -> str:
    """A value's text: numbers as in JSON, bytes in hexadecimal, lists and maps as JSON; raises EvaluationError."""
    match value:
        case str():
            return value
        case bytes():
            return value.hex()
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | list() | dict():
            try:
                return orjson.dumps(value, default=_in_json, option=orjson.OPT_SORT_KEYS).decode()
            except orjson.JSONEncodeError as error:
                raise EvaluationError(str(error)) from error
        case Time() | Duration():
            raise EvaluationError(f"{type_name(value)} has no text of its own; format it")
        case _:
            raise EvaluationError(f"{type_name(value)} has no text")


def _in_json(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError


def attribute_text(value: Value) -> str:
    """A value as a string, as telemetry's own conversion gives it: bytes in Base64, nothing as nothing."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return "" if value is None else text_of(value)
