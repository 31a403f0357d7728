"""Texts of separated values.

Sources: Go's encoding/csv (RFC 4180, with quotes that are lazy or ignored), and SplitString of the Collector's parsers
for key-value pairs.
"""

from collections.abc import Callable
from typing import Any

from airis.ottl.arguments import StringGetter
from airis.ottl.functions.parsing.limits import within_limits
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, Value

SEPARATED = Functions()

_MODES = ("strict", "lazyQuotes", "ignoreQuotes")


class CsvReader:
    """The records of a text, one after the other, as Go's csv.Reader reads them."""

    def __init__(self, text: str, delimiter: str, is_lazy: bool) -> None:
        self._delimiter = delimiter
        self._is_lazy = is_lazy
        self._lines = _lines(text)
        self._next = 0

    def records(self) -> list[list[str]]:
        """All of them; raises EvaluationError for a quote that is in the wrong place."""
        found: list[list[str]] = []
        while self._next < len(self._lines):
            line = self._take()
            if line != "\n":
                found.append(self._record(line))
        return found

    def _take(self) -> str:
        self._next += 1
        return self._lines[self._next - 1]

    def _record(self, line: str) -> list[str]:
        fields: list[str] = []
        while True:
            if line.startswith('"'):
                field, line, has_more = self._quoted(line[1:])
            else:
                field, separator, line = line.partition(self._delimiter)
                has_more = bool(separator)
                if not has_more:
                    field = _without_end(field)
                if not self._is_lazy and '"' in field:
                    raise EvaluationError('a " is in a field that does not begin with one')
            fields.append(field)
            if not has_more:
                return fields

    def _quoted(self, line: str) -> tuple[str, str, bool]:
        """The field behind a quote, what is behind it, and whether that is another field."""
        parts: list[str] = []
        while True:
            inside, quote, rest = line.partition('"')
            parts.append(inside)
            if not quote:  # the field goes on in the next line
                if self._next == len(self._lines):
                    if not self._is_lazy:
                        raise EvaluationError('a field is not closed: its other " is missing')
                    return _without_end("".join(parts)), "", False
                line = self._take()
            elif rest.startswith('"'):
                parts.append('"')
                line = rest[1:]
            elif rest.startswith(self._delimiter):
                return "".join(parts), rest[len(self._delimiter) :], True
            elif not _without_end(rest):
                return "".join(parts), "", False
            elif self._is_lazy:
                parts.append('"')
                line = rest
            else:
                raise EvaluationError('a " inside a field in quotes is written ""')


def _lines(text: str) -> list[str]:
    """With their ends, of which there is but one kind; a last one that is empty does not count."""
    lines = [f"{line}\n" for line in text.replace("\r\n", "\n").split("\n")]
    lines[-1] = lines[-1][:-1].removesuffix("\r")
    return lines if lines[-1] else lines[:-1]


def _without_end(line: str) -> str:
    return line.removesuffix("\n")


def csv_row(text: str, delimiter: str, is_lazy: bool) -> list[str]:
    """The fields of a text that is one row, whatever line breaks it has: they belong to the field they are in.

    Raises EvaluationError.
    """
    records = CsvReader(text, delimiter, is_lazy).records()
    if not records:
        raise EvaluationError("there is no row of values")
    row = records[0]
    for record in records[1:]:
        row[-1] += f"\n{record[0]}"
        row += record[1:]
    return row


def _one_character(name: str, text: str) -> str:
    if len(text) != 1 or text in '\r\n"\ufffd':
        raise ValueError(f"{name} is a single character, and no quote or line break, not {text!a}")
    return text


@SEPARATED.declare("ParseCSV")
def parse_csv(
    target: StringGetter,
    header: StringGetter,
    delimiter: str | None = None,
    header_delimiter: str | None = None,
    mode: str | None = None,
) -> Converter:
    """A map of a row of comma-separated values, with the names that a header has."""
    separator = "," if delimiter is None else _one_character("delimiter", delimiter)
    between = separator if header_delimiter is None else _one_character("header_delimiter", header_delimiter)
    chosen = mode or "strict"
    if chosen not in _MODES:
        raise ValueError(f"mode is {', '.join(_MODES)}, not {mode!a}")
    split: Callable[[str], list[str]] = (
        (lambda text: text.split(separator))
        if chosen == "ignoreQuotes"
        else (lambda text: csv_row(text, separator, chosen == "lazyQuotes"))
    )

    def get(here: Any) -> dict[str, Value]:
        text, names = within_limits(target(here), "a row"), header(here)
        if not names:
            raise EvaluationError("the header is empty")
        keys, fields = names.split(between), split(text)
        if len(keys) != len(fields):
            raise EvaluationError(f"wrong number of fields: expected {len(keys)}, found {len(fields)}")
        return dict(zip(keys, fields, strict=True))

    return get


def split_at(text: str, delimiter: str) -> list[str]:
    """The parts of a text between delimiters that are not in quotes, without the quotes and without empty parts.

    Raises EvaluationError for a quote that is not closed.
    """
    found: list[str] = []
    current: list[str] = []
    quote = ""
    at = 0

    def ended() -> None:
        if current:
            found.append("".join(current))
            current.clear()

    while at < len(text):
        character = text[at]
        if not quote and text.startswith(delimiter, at):
            ended()
            at += len(delimiter)
            continue
        if character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            current.append(character)
        at += 1
    if quote:
        raise EvaluationError("a value in quotes is not closed")
    ended()
    return found


@SEPARATED.declare("ParseKeyValue")
def parse_key_value(target: StringGetter, delimiter: str | None = None, pair_delimiter: str | None = None) -> Converter:
    """A map of pairs such as ``k1=v1 k2="v 2"``."""
    between, pairs = delimiter or "=", pair_delimiter or " "
    if between == pairs:
        raise ValueError(f"pair_delimiter {pairs!a} cannot be the delimiter as well")

    def get(here: Any) -> dict[str, Value]:
        text = within_limits(target(here), "a text of pairs")
        if not text:
            raise EvaluationError("there is nothing to parse: the target is empty")
        found: dict[str, Value] = {}
        for pair in split_at(text, pairs):
            key, separator, value = pair.partition(between)
            if not separator:
                raise EvaluationError(f"{pair!a} is no pair: it has no {between!a}")
            found[key.strip()] = value.strip()
        return found

    return get
