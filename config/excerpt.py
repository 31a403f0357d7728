"""Lines of a source that anybody may see: keys, and the values that a message is about, but no other value."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from airis.config.errors import Mark, printable

HIDDEN = "…"
MAX_CELLS = 100
"""Width of a line; more would be wrapped, and the caret would stand under something else."""
_BEFORE_CARET = 60

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What YAML counts as the end of a line."""
_KEY = re.compile(r"\s*(?:- +)*[A-Za-z0-9_./-]+\s*:(?:\s+|$)")
_INDENT = re.compile(r"\s*(?:- +)*")
_REFERENCES = {"receivers", "processors", "exporters"}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a line that is a key or a value, from column to column."""

    begin: int
    end: int
    is_shown: bool
    is_whole: bool
    """All of it stands in this line."""


@dataclass(slots=True)
class _Level:
    """A list or mapping that is being read."""

    path: tuple[str, ...]
    is_mapping: bool
    key: str | None = None
    """The key whose value comes next; None if a key comes next."""


@dataclass(slots=True)
class Source:
    """One text, of which lines are shown."""

    text: str
    _lines: list[str] = field(default_factory=list[str])
    _pieces: dict[int, list[_Piece]] = field(default_factory=dict[int, list[_Piece]])
    _understood: tuple[int, int] = (0, 0)
    """Line and column, from 0, up to which the text is known to be YAML."""

    def __post_init__(self) -> None:
        self._lines = _BREAK.split(self.text)
        levels: list[_Level] = []
        try:
            for event in yaml.parse(self.text, Loader=_LOADER):
                self._read(event, levels)
        except (yaml.YAMLError, RecursionError, UnicodeError):
            return
        self._understood = (len(self._lines), 0)

    def excerpt(self, mark: Mark, *, shown: bool = False) -> tuple[str, int] | None:
        """The line at a mark, and the cells before the caret; None for one that is not there, or empty.

        `shown` is for a value that begins at the mark and may be seen.
        """
        if not 0 < mark.line <= len(self._lines):
            return None
        line, column = self._lines[mark.line - 1], mark.column - 1
        written, before, was_hidden = "", None, False
        for begin, end, text in self._parts(mark.line - 1, column if shown else -1):
            if begin == end:
                continue
            if text is None and was_hidden:
                written = written.removesuffix(HIDDEN)
            if before is None and column < end:
                before = _cells(written + ("" if text is None else _safe(line[begin:column])))
            written += HIDDEN if text is None else text
            was_hidden = text is None
        if not written.strip():
            return None
        return _clipped(written.rstrip(), _cells(written) if before is None else before)

    def _parts(self, number: int, shown: int) -> Iterator[tuple[int, int, str | None]]:
        """A line in parts: from column to column, and what is seen there; None is hidden. A comment is left out."""
        line, position = self._lines[number], 0
        for piece in sorted(self._pieces.get(number, []), key=lambda piece: piece.begin):
            begin, end = min(max(piece.begin, position), len(line)), min(piece.end, len(line))
            yield position, begin, _safe(line[position:begin])
            is_shown = piece.is_shown or (piece.begin == shown and piece.is_whole)
            yield begin, end, _safe(line[begin:end]) if is_shown else None
            position = max(position, end)
        limit = self._limit(number)
        if limit < len(line):  # behind a mistake that ends the YAML: of what looks like a key the key is seen
            start = _KEY.match(line) or _INDENT.match(line)
            limit = max(limit, start.end() if start else 0)
        between, comment, _ = line[position:limit].partition("#")
        yield position, position + len(between), _safe(between)
        if not comment and line[limit:].strip():
            yield max(position, limit), len(line), None

    def _limit(self, number: int) -> int:
        """The column up to which a line is understood."""
        line, column = self._understood
        return len(self._lines[number]) if number < line else column if number == line else 0

    def _read(self, event: Any, levels: list[_Level]) -> None:
        self._understood = (event.end_mark.line, event.end_mark.column)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            path = levels[-1].path + _step(levels[-1]) if levels else ()
            levels.append(_Level(path, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            levels.pop()
            _advance(levels, "")
        elif isinstance(event, yaml.AliasEvent):
            _advance(levels, "")
        elif isinstance(event, yaml.ScalarEvent):
            value = str(event.value)
            is_key = bool(levels) and levels[-1].is_mapping and levels[-1].key is None
            self._note(event, is_key or (bool(levels) and _is_reference(levels[-1]) and "$" not in value))
            _advance(levels, value)

    def _note(self, event: Any, is_shown: bool) -> None:
        """Remember where a key or value stands; of one of several lines the indentation is not part of it."""
        begin, end = event.start_mark, event.end_mark
        for number, line in enumerate(self._lines[begin.line : end.line + 1], begin.line):
            first = begin.column if number == begin.line else len(line) - len(line.lstrip())
            last = end.column if number == end.line else len(line)
            if last > first:  # nothing is there of a null, and in the line behind a block
                is_whole = begin.line == end.line
                self._pieces.setdefault(number, []).append(_Piece(first, last, is_shown and is_whole, is_whole))


def _step(level: _Level) -> tuple[str, ...]:
    return tuple((level.key or "").split("::")) if level.is_mapping else ("",)


def _advance(levels: list[_Level], value: str) -> None:
    """After a key comes its value, after the value a key."""
    if levels and levels[-1].is_mapping:
        levels[-1].key = value if levels[-1].key is None else None


def _is_reference(level: _Level) -> bool:
    """Whether a value here is the id of a component, under ``service``."""
    path = level.path + (_step(level) if level.is_mapping else ())
    if path[:2] == ("service", "extensions"):
        return len(path) == 2
    return path[:2] == ("service", "pipelines") and len(path) == 4 and path[3] in _REFERENCES


def _safe(text: str) -> str:
    return printable(text.replace("\t", " "))


def _cells(text: str) -> int:
    """How wide a terminal shows the text."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _clipped(line: str, before: int) -> tuple[str, int]:
    """The part of a long line around the caret."""
    if _cells(line) <= MAX_CELLS:
        return line, before
    first = 0
    while before - _cells(line[:first]) > _BEFORE_CARET:
        first += 1
    last = first
    while last < len(line) and _cells(line[first : last + 1]) <= MAX_CELLS:
        last += 1
    begin = HIDDEN if first else ""
    return f"{begin}{line[first:last]}{HIDDEN if last < len(line) else ''}", before - _cells(line[:first]) + len(begin)
