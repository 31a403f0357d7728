"""Regular expressions with RE2 itself, and what Go does otherwise put right."""

import importlib
import re
from typing import Any

from airis.data.expressions import InvalidExpression

MAX_BYTES = 1 << 17
MAX_DEPTH = 250

_TOKEN = re.compile(
    r"""
      \\Q.*?(?:\\E|\Z)                                      # plain text
    | \\.
    | \[\^?\]?(?:\[:.*?:\]|\\.|[^\]\\])*\]                  # a class
    | (?P<count>\{(?:[1-9]\d{8,}(?:,\d*)?|\d+,[1-9]\d{8,})\})
    | (?P<flags>\(\?[imsU-]*\))
    | (?P<open>\((?:\?P?<(?P<name>[^>]*)>|(?P<special>\?))?)
    | (?P<close>\))
    | .
    """,
    re.DOTALL | re.VERBOSE,
)


class Pattern:
    """A regular expression in RE2's syntax, compiled."""

    def __init__(self, pattern: str, *, whole: bool = False) -> None:
        """Compile; InvalidExpression says what is wrong, and where."""
        # Only who uses patterns without the native core needs the package, and there are not wheels for every machine.
        try:
            re2: Any = importlib.import_module("re2")
        except ImportError:
            raise InvalidExpression(
                "without the native core regular expressions need google-re2; install airis[reference]"
            ) from None
        if len(pattern.encode()) > MAX_BYTES:
            raise InvalidExpression(f"longer than {MAX_BYTES} bytes")
        self.groups, unnamed = _without_names(pattern)
        """The names of the groups in order, None for one without a name."""
        options = re2.Options()
        options.log_errors = False
        options.max_mem = 64 << 20
        try:
            regex = re2.compile(unnamed.encode(), options)
        except re2.error as error:
            raise InvalidExpression(error.args[0].decode()) from None
        self._find = regex.fullmatch if whole else regex.search

    def search(self, text: bytes) -> list[tuple[int, int] | None] | None:
        """Of the first match the places of the whole and of every group, None for a group that took no part."""
        return self._search(text, 0)

    def search_all(self, text: bytes) -> list[list[tuple[int, int] | None]]:
        """Of every match the same, as Go's ``FindAll`` tells them: an empty one does not touch the one before."""
        found: list[list[tuple[int, int] | None]] = []
        at, last_end = 0, -1
        while at <= len(text) and (places := self._search(text, at)) and places[0]:
            start, end = places[0]
            is_apart = end > at or start != last_end
            at = end if end > at else at + _character_size(text, at)
            last_end = end
            if is_apart:
                found.append(places)
        return found

    def _search(self, text: bytes, at: int) -> list[tuple[int, int] | None] | None:
        while match := self._find(text, at):
            start, end = match.span()
            if start < end or not _is_inside_character(text, start):
                spans = [match.span(group) for group in range(1 + len(self.groups))]
                return [None if span == (-1, -1) else span for span in spans]
            # RE2 finds what is empty (`\B`) also between the bytes of a character, Go does not.
            at = start + 1
        return None

    def matches(self, text: bytes) -> bool:
        """Whether it matches, which takes less than to say where."""
        return self.search(text) is not None


def _character_size(text: bytes, at: int) -> int:
    """Of the character that begins at a place, 1 where none does."""
    for size in range(1, 5):
        if len(text[at : at + size].decode(errors="ignore")) == 1:
            return size
    return 1


def _is_inside_character(text: bytes, at: int) -> bool:
    """Whether a character begins before a place and ends behind it."""
    for start in range(max(at - 3, 0), at):
        for end in range(at + 1, min(start + 4, len(text)) + 1):
            character = text[start:end].decode(errors="ignore")
            if len(character) == 1 and len(character.encode()) == end - start:
                return True
    return False


def _without_names(pattern: str) -> tuple[list[str | None], str]:
    """The names of the groups, and the pattern without them: Go lets two have the same name, RE2 does not."""
    names: list[str | None] = []
    parts: list[str] = []
    depth = 0
    for token in _TOKEN.finditer(pattern):
        text, name = token[0], token["name"]
        if text == r"\C":
            raise InvalidExpression(r"a single byte of a character cannot be matched: `\C`")
        if token["count"]:
            # RE2 takes it for text.
            raise InvalidExpression(f"invalid repetition count `{text}`")
        if name is not None and not re.fullmatch("[A-Za-z0-9_]+", name):
            raise InvalidExpression(f"invalid named capture `{text}`")
        if token["open"] and not token["special"]:
            names.append(name)
        depth += bool(token["open"]) - bool(token["close"])
        if depth > MAX_DEPTH:
            raise InvalidExpression(f"more than {MAX_DEPTH} groups in one another")
        parts.append(text if name is None else "(")
    return names, "".join(parts)
