"""Strings in other cases: letters as Go changes them, words as the library strcase v0.3 tells them apart."""

import re
from collections.abc import Callable, Mapping

_SPACES = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SEPARATORS = re.compile("[ _.-]")
_BOUNDARIES = re.compile(
    "(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[0-9])|(?<=[A-Z])(?=[A-Z][a-z])", re.ASCII
)


def lower(text: str) -> str:
    """Each character by itself: unlike Python, no final sigma, and an İ becomes an i."""
    if text.isascii():
        return text.lower()
    return "".join("i" if character == "İ" else character.lower() for character in text)


def upper(text: str) -> str:
    """Each character by itself: what has no capital letter of one character, such as ß, stays."""
    return text.upper() if text.isascii() else "".join(map(_capital, text))


def _capital(character: str) -> str:
    for capital in (character.upper(), character.title()):
        if len(capital) == 1:
            return capital
    return character


def snake(text: str) -> str:
    """``MyMetricName`` as ``my_metric_name``; only letters of ASCII change, and numbers are words."""
    parts = _BOUNDARIES.sub("_", text.strip(_SPACES))
    return _ascii_lower(_SEPARATORS.sub("_", parts))


def camel(text: str) -> str:
    """``my_metric_name`` as ``MyMetricName``; characters outside of ASCII go, and numbers are words."""
    parts: list[str] = []
    is_first, was_capital = True, False
    for character in text.strip(_SPACES):
        is_capital = "A" <= character <= "Z"
        if is_capital or "a" <= character <= "z":
            if is_first:
                character = character.upper()
            elif was_capital and is_capital:
                character = character.lower()
            parts.append(character)
            is_first = False
        elif "0" <= character <= "9":
            parts.append(character)
            is_first = True
        else:
            is_first = character in "_ -."
        was_capital = is_capital
    return "".join(parts)


def _ascii_lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda found: found.group().lower(), text)


CASES: Mapping[str, Callable[[str], str]] = {"lower": lower, "upper": upper, "snake": snake, "camel": camel}
"""By name."""
