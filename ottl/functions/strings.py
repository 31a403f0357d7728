"""Converters of strings."""

from typing import Any

from airis.ottl.arguments import (
    Getter,
    IntGetter,
    StringGetter,
    StringLikeGetter,
    prepared,
)
from airis.ottl.functions.cases import CASES, camel, lower, snake, upper
from airis.ottl.patterns import Regex
from airis.ottl.registry import Converter, Functions
from airis.ottl.sprintf import sprintf
from airis.ottl.values import EvaluationError

STRINGS = Functions()
declare = STRINGS.declare


@declare("Concat")
def concat(vals: list[StringLikeGetter], delimiter: StringGetter) -> Converter:
    """The texts of values with a delimiter between them; nil is written <nil>."""

    def get(here: Any) -> str:
        between = delimiter(here)
        texts = [value(here) for value in vals]
        return between.join("<nil>" if text is None else text for text in texts)

    return get


@declare("Split")
def split(target: StringGetter, delimiter: StringGetter) -> Converter:
    """The parts of a string between delimiters; its characters, where the delimiter is empty."""

    def get(here: Any) -> list[str]:
        text, between = target(here), delimiter(here)
        return text.split(between) if between else list(text)

    return get


@declare("Substring")
def substring(target: StringGetter, start: IntGetter, length: IntGetter, utf8_safe: bool | None = None) -> Converter:
    """A part of a string, by bytes; with utf8_safe the characters that are whole in it."""

    def get(here: Any) -> str:
        first, count = start(here), length(here)
        if first < 0:
            raise EvaluationError(f"start is at least 0, not {first}")
        if count <= 0:
            raise EvaluationError(f"length is at least 1, not {count}")
        raw = target(here).encode()
        end = first + count
        if end > len(raw):
            raise EvaluationError(f"{first} + {count} is more than the {len(raw)} bytes of the string")
        if utf8_safe:
            while first < len(raw) and _is_inside(raw[first]):
                first += 1
            while first < end < len(raw) and _is_inside(raw[end]):
                end -= 1
        # A part of a character cannot be sent on: it becomes U+FFFD.
        return raw[first : max(first, end)].decode(errors="replace")

    return get


def _is_inside(byte: int) -> bool:
    """Whether a byte is behind the first one of a character."""
    return byte & 0xC0 == 0x80


@declare("Trim")
def trim(target: StringGetter, replacement: str | None = None) -> Converter:
    """A string without any of the given characters, by default spaces, at its ends."""
    characters = " " if replacement is None else replacement
    return lambda here: target(here).strip(characters) if characters else target(here)


@declare("TrimPrefix")
def trim_prefix(target: StringGetter, prefix: StringGetter) -> Converter:
    """A string without what it may begin with."""
    return lambda here: target(here).removeprefix(prefix(here))


@declare("TrimSuffix")
def trim_suffix(target: StringGetter, suffix: StringGetter) -> Converter:
    """A string without what it may end in."""
    return lambda here: target(here).removesuffix(suffix(here))


@declare("HasPrefix")
def has_prefix(target: StringGetter, prefix: StringGetter) -> Converter:
    """Whether a string begins with another."""
    return lambda here: target(here).startswith(prefix(here))


@declare("HasSuffix")
def has_suffix(target: StringGetter, suffix: StringGetter) -> Converter:
    """Whether a string ends in another."""
    return lambda here: target(here).endswith(suffix(here))


@declare("IsMatch")
def is_match(target: StringLikeGetter, pattern: StringGetter) -> Converter:
    """Whether a pattern is found in the text of a value; not in nil."""
    regex = prepared(pattern, Regex)

    def test(here: Any) -> bool:
        found, text = regex(here), target(here)
        return text is not None and found.matches(text)

    return test


@declare("Format")
def format_(format: str, vals: list[Getter]) -> Converter:  # noqa: A002 - its name in statements
    """A template with its verbs replaced by values, as Go's fmt.Sprintf does, which tells in it what does not fit."""
    return lambda here: sprintf(format, [value(here) for value in vals])


# Cases


@declare("ConvertCase")
def convert_case(target: StringGetter, to_case: str) -> Converter:
    """A string in another case: ``lower``, ``upper``, ``snake`` or ``camel``."""
    change = CASES.get(to_case)
    if change is None:
        raise ValueError(f"to_case is one of {', '.join(CASES)}, not {to_case!a}")
    return lambda here: change(target(here))


@declare("ToLowerCase")
def to_lower_case(target: StringGetter) -> Converter:
    """A string in small letters."""
    return lambda here: lower(target(here))


@declare("ToUpperCase")
def to_upper_case(target: StringGetter) -> Converter:
    """A string in capital letters."""
    return lambda here: upper(target(here))


@declare("ToSnakeCase")
def to_snake_case(target: StringGetter) -> Converter:
    """A string such as ``MyMetricName`` as ``my_metric_name``."""
    return lambda here: snake(target(here))


@declare("ToCamelCase")
def to_camel_case(target: StringGetter) -> Converter:
    """A string such as ``my_metric_name`` as ``MyMetricName``."""
    return lambda here: camel(target(here))
