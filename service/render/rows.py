"""Rows as a table, JSON, NDJSON, CSV or Arrow."""

import csv
import io
import json
import math
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]
NARROW = 130
"""Columns of a terminal under which a list shows less."""


class Format(StrEnum):
    """How rows are written to stdout."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"


class ItemFormat(StrEnum):
    """How telemetry is written to stdout: as rows, or exactly as it was sent."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    OTLP = "otlp"


_HELP = "How to print; by default a table on a terminal and one JSON object per line into a pipe."
FormatOption = Annotated[Format | None, typer.Option("--format", help=_HELP)]
ItemFormatOption = Annotated[
    ItemFormat | None,
    typer.Option("--format", help=f'{_HELP} "otlp" is OTLP/JSON, exactly what was sent.'),
]


def chosen(given: "Format | ItemFormat | None") -> str:
    """The format asked for, or the one that fits where stdout goes; bytes for a terminal end the command."""
    if given == Format.ARROW and sys.stdout.isatty():
        raise typer.BadParameter(
            "arrow is binary; write it to a file or a pipe: … > result.arrow", param_hint="--format"
        )
    return given or (Format.TABLE if sys.stdout.isatty() else Format.NDJSON)


def write_rows(rows: Sequence[Row], form: str, columns: Sequence[str]) -> None:
    """Write rows to stdout; `columns` names and orders what a table and CSV show."""
    if form == Format.TABLE:
        write_table(rows, columns)
    elif form == Format.CSV:
        sys.stdout.write(_csv(rows, columns))
    elif form == Format.ARROW:
        _write_arrow(rows)
    else:
        import orjson

        readable = [{key: _json_value(value) for key, value in row.items()} for row in rows]
        options = orjson.OPT_INDENT_2 if form == Format.JSON else 0
        parts = [readable] if form == Format.JSON else readable
        write_bytes(*(orjson.dumps(part, default=str, option=options) + b"\n" for part in parts))


def write_bytes(*pieces: bytes) -> None:
    """Write bytes to stdout, now; ends the command when nobody reads any more, as after ``| head``."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is still in the buffer has nowhere to go: the interpreter would complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Not the OSError: inside a query it would look like the store's.
        raise typer.Exit(1) from None


def write_table(
    rows: Sequence[Row], columns: Sequence[str], numeric: Collection[str] | None = None, whole: Collection[str] = ()
) -> None:
    """Write rows as an aligned table; telemetry's control characters are shown, not obeyed.

    `numeric` names the columns that stand at the right; without it the values tell. A column in `whole` is not
    folded, however narrow the terminal.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        at_right = column in numeric if numeric is not None else _is_numeric([row.get(column) for row in rows])
        justify: Literal["left", "right"] = "right" if at_right else "left"
        table.add_column(Text(printable(column)), justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(Text(printable(cell(row.get(column)))) for column in columns))
    console = terminal()
    if not sys.stdout.isatty():
        console.width = 1_000_000  # what no window shows is not folded: a row is a line
    console.print(table)


def narrow() -> bool:
    """Whether a terminal reads along that has room for the most important columns only."""
    return sys.stdout.isatty() and terminal().width < NARROW


def terminal() -> "Console":
    """Prints to stdout as a terminal's width and colours allow, and obeys nothing in the text."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def cell(value: Any) -> str:
    """A value as it stands in a table: lists and maps as JSON, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, list | dict):
        import orjson

        return orjson.dumps(value, default=str).decode()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    """The text with control characters written as escapes; line ends stay."""
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """The text with line ends, too, written as escapes."""
    return printable(text).replace("\n", "\\n")


def json_line(document: bytes) -> bytes:
    """A line of JSON; a terminal gets what it could obey as escapes, of which JSON itself has but some."""
    return (json_printable(document.decode()).encode() if sys.stdout.isatty() else document) + b"\n"


def json_printable(document: str) -> str:
    """The same JSON without a character that is not to be printed."""
    if document.isprintable():
        return document
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in document)


def say(text: str) -> None:
    """A word to the user beside the result, on stderr."""
    typer.echo(printable(text), err=True)


def _is_numeric(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, int | float) or v is None for v in values)


def _json_value(value: Any) -> Any:
    """What JSON has no number for, as a word, as OTLP/JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    return cell(value) if isinstance(value, list | dict) else value


def _write_arrow(rows: Sequence[Row]) -> None:
    import pyarrow

    arrow: Any = pyarrow  # has no types
    table = arrow.Table.from_pylist([dict(row) for row in rows])
    with arrow.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
        stream.write_table(table)
    sys.stdout.buffer.flush()
