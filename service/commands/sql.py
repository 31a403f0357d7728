"""``airis sql``: one SQL statement on what is stored."""

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import Format, FormatOption, chosen, printable, say, write_bytes, write_table

if TYPE_CHECKING:
    from airis.query.failures import QueryFailure
    from airis.storage import Answer, Store

MOST_TABLE_ROWS = 10_000
"""A table is laid out as a whole; whoever wants more rows wants them in another format."""
_CLICKHOUSE = {
    Format.TABLE: "JSONCompactEachRowWithNamesAndTypes",
    Format.JSON: "JSONEachRow",
    Format.NDJSON: "JSONEachRow",
    Format.CSV: "CSVWithNames",
    Format.ARROW: "ArrowStream",
}


def sql(
    query: Annotated[
        str, typer.Argument(help='The statement, such as "SELECT * FROM otel_logs LIMIT 10"; - is stdin.')
    ],
    form: FormatOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Ask in SQL, as ClickHouse speaks it; it can only read.

    The tables are otel_traces, otel_logs, metric_series, metric_samples, …: see docs/storage.md, or ask
    airis sql "SHOW TABLES" and airis sql "DESCRIBE otel_traces".
    """
    from airis.query.failures import failure
    from airis.service.access import run_reading
    from airis.storage import StoreError

    wanted = chosen(form)
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise typer.BadParameter("the query is empty", param_hint="QUERY")

    async def ask(store: "Store") -> "QueryFailure | None":
        try:
            await write_result(store, text, wanted)
        except StoreError as error:
            if error.code is None:
                raise
            return failure(error, text)
        return None

    failed = run_reading(ask, config, data_dir)
    if failed is not None:
        explain(failed, text)
        raise typer.Exit(1)


async def write_result(store: "Store", query: str, form: str) -> None:
    """Write the result to stdout while it arrives; raises StoreError."""
    from airis.query.sql import EXACT

    asked = _CLICKHOUSE[Format(form)]
    settings = dict(EXACT)
    if form == Format.JSON:
        settings["output_format_json_array_of_rows"] = "1"
    if form == Format.TABLE:
        settings["output_format_json_quote_decimals"] = "1"
    async with store.query(query, output_format=asked, settings=settings) as answer:
        its_own = answer.headers.get("x-clickhouse-format", asked) != asked
        if form == Format.TABLE and not its_own:
            await _write_table(answer)
            return
        last = b"\n"
        async for chunk in answer.chunks():
            write_bytes(chunk)
            last = chunk[-1:] or last
        if form == Format.JSON and last != b"\n":
            write_bytes(b"\n")


def explain(failed: "QueryFailure", query: str) -> None:
    """Say on stderr why the query failed and, of a syntax error, where."""
    from airis.query.failures import pointed

    say(f"airis: {failed.brief} ({failed.type})")
    if failed.offset is not None:
        for line in pointed(query, failed.offset):
            say(f"  {line}")
    if failed.type == "READONLY":
        say("airis sql only reads.")


async def _write_table(answer: "Answer") -> None:
    import json

    names: list[str] = []
    types: list[str] = []
    rows: list[dict[str, str]] = []
    more = False
    async for line in _lines(answer):
        values: list[Any] = json.loads(line)  # unlike orjson it reads integers of any size
        if not names:
            names = _distinct([str(value) for value in values])
        elif not types:
            types = [str(value) for value in values]
        elif len(rows) == MOST_TABLE_ROWS:
            more = True
            break
        else:
            rows.append(dict(zip(names, map(_cell, values), strict=True)))
    if names:
        write_table(rows, names, {name for name, kind in zip(names, types, strict=True) if _is_number(kind)})
    if more:
        say(f"These are the first {MOST_TABLE_ROWS:,} rows; all of them: --format ndjson")


async def _lines(answer: "Answer") -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.chunks():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
    if rest:
        yield rest


def _distinct(names: list[str]) -> list[str]:
    """Names of which the second of a kind has a number: a result may have two columns of one name."""
    seen: dict[str, int] = {}
    distinct: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return distinct


def _cell(value: Any) -> str:
    """Numbers in full, booleans as SQL writes them."""
    import json

    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return printable(str(value))


def _is_number(kind: str) -> bool:
    for wrapper in ("LowCardinality(", "Nullable("):
        kind = kind.removeprefix(wrapper)
    return kind.startswith(("Int", "UInt", "Float", "BFloat", "Decimal")) and not kind.startswith("Interval")
