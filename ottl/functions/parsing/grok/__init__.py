"""Grok: patterns made of patterns by name.

``%{SYNTAX}``, ``%{SYNTAX:name}`` and ``%{SYNTAX:name:type}`` stand for the pattern that `SYNTAX` names; what it finds
is given the name, and the type ``int``, ``long``, ``float``, ``double``, ``bool`` or ``string``. What is expanded, how
groups are named and what is left out follow go-grok (https://github.com/elastic/go-grok), and the patterns in the other
modules here have the names and the fields of the sets that it ships.
"""

import re
from collections.abc import Mapping

from airis.ottl.functions.parsing.grok.definitions import DEFINITIONS
from airis.ottl.patterns import Regex
from airis.ottl.texts import go_int
from airis.ottl.values import EvaluationError, Value

_REFERENCE = re.compile(r"%\{(\w+)(?::([\w.]+)(?::(\w+))?)?\}", re.ASCII)
_DOT = "___"
"""Stands for a dot in the name of a group, which RE2 does not take there."""

MOST_ROUNDS = 100
"""Patterns in one another: one that refers to itself would have no end."""
LONGEST_EXPANDED = 1 << 17
"""Characters of a pattern with all in it, which is what a regular expression may have."""

_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def _typed(text: str, kind: str, name: str) -> Value:
    try:
        match kind:
            case "string":
                return text
            case "int" | "long":
                return go_int(text)
            case "float" | "double":
                return float(text)
            case "bool" | "boolean":
                return _BOOLS[text]
            case _:
                raise EvaluationError(
                    f"{name} has the type {kind!a}; there is int, long, float, double, bool and string"
                )
    except (ValueError, KeyError):
        raise EvaluationError(f"{name}: {text!a} is no {kind}") from None


class Grok:
    """A pattern with what it refers to."""

    def __init__(self, pattern: str, definitions: Mapping[str, str], named_only: bool) -> None:
        """Expand and compile; ValueError for a name that there is no pattern of, and for what is no pattern."""
        self._types: dict[str, str] = {}
        self._definitions = definitions
        self._named_only = named_only
        self._regex = Regex(self._expanded(pattern))
        self.has_names = any(self._regex.groups)

    def _expanded(self, pattern: str) -> str:
        for _ in range(MOST_ROUNDS):
            if not _REFERENCE.search(pattern):
                return pattern
            pattern = _REFERENCE.sub(self._definition, pattern)
            if len(pattern) > LONGEST_EXPANDED:
                raise ValueError(f"the grok pattern has more than {LONGEST_EXPANDED} characters when it is expanded")
        raise ValueError(f"the grok pattern has more than {MOST_ROUNDS} patterns in one another: does one need itself?")

    def _definition(self, found: re.Match[str]) -> str:
        syntax, name, kind = found.groups()
        pattern = self._definitions.get(syntax) or DEFINITIONS.get(syntax)
        if pattern is None:
            raise ValueError(f"there is no grok pattern {syntax}")
        group = (name or syntax).replace(".", _DOT)
        if kind:
            self._types[group] = kind
        return f"({pattern})" if self._named_only and not name else f"(?P<{group}>{pattern})"

    def parse(self, text: str) -> dict[str, Value]:
        """What is found by name; names that find nothing are left out. Raises EvaluationError for a type."""
        found = self._regex.first(text)
        if found is None:
            return {}
        result: dict[str, Value] = {}
        for group, part in zip(self._regex.groups, found[1:], strict=True):
            if group and part:
                name = group.replace(_DOT, ".")
                result[name] = _typed(part, self._types.get(group, "string"), name)
        return result
