"""Rows as a table, JSON, NDJSON, CSV or Arrow."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

Row = Mapping[str, Any]


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
FormatOption = Annotated[Format | None, typer.Option("--format", "-f", help=_HELP)]
ItemFormatOption = Annotated[
    ItemFormat | None,
    typer.Option("--format", "-f", help=f'{_HELP} "otlp" is OTLP/JSON, exactly what was sent.'),
]


def chosen(given: "Format | ItemFormat | None") -> str:
    """The format asked for, or the one that fits where stdout goes."""
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

        options = orjson.OPT_INDENT_2 if form == Format.JSON else 0
        parts = [list(rows)] if form == Format.JSON else rows
        sys.stdout.buffer.writelines(orjson.dumps(part, default=str, option=options) + b"\n" for part in parts)
        sys.stdout.buffer.flush()


def write_table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write rows as an aligned table; telemetry's control characters are shown, not obeyed."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        values = [row.get(column) for row in rows]
        numeric = bool(values) and all(isinstance(v, int | float) or v is None for v in values)
        table.add_column(Text(printable(column)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell(row.get(column)))) for column in columns))
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(table)


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


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    return cell(value) if isinstance(value, list | dict) else value


def _write_arrow(rows: Sequence[Row]) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist([dict(row) for row in rows])
    with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
        stream.write_table(table)
