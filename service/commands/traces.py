"""``airis traces``: the newest traces that fit."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from airis.service.commands.conditions import AttributeOption, ServiceOption, described, pairs
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import (
    Format,
    ItemFormat,
    ItemFormatOption,
    chosen,
    narrow,
    say,
    write_bytes,
    write_rows,
    write_table,
)
from airis.service.render.time import LastOption, iso, moment, seconds, since_nano, span_of_time

if TYPE_CHECKING:
    from airis.storage import Store
    from airis.storage.reader import TraceSummary


class Status(StrEnum):
    """How a span ended."""

    OK = "ok"
    ERROR = "error"
    UNSET = "unset"


SHORT_ID = 16
"""Digits of a trace id in a narrow terminal; "airis trace" takes them."""


def traces(
    service: ServiceOption = "",
    operation: Annotated[str, typer.Option(metavar="NAME", help="Only with a span of this name.")] = "",
    min_duration: Annotated[
        str, typer.Option(metavar="DURATION", help="Only with a span that took at least so long, such as 100ms.")
    ] = "",
    status: Annotated[Status | None, typer.Option(help="Only with a span that ended so.")] = None,
    attr: AttributeOption = None,
    last: LastOption = "1h",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 20,
    form: ItemFormatOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the newest traces in which one span meets all conditions."""
    from airis.service.access import run_reading

    wanted = chosen(form)
    attributes = pairs(attr, "--attr")
    since = since_nano(last)
    min_duration_nano = int(seconds(min_duration, "--min-duration") * 1e9) if min_duration else 0

    async def find(store: "Store") -> "tuple[list[TraceSummary], bytes]":
        from airis.storage import reader

        found = await reader.find_traces(
            store,
            service=service,
            operation=operation,
            min_duration_nano=min_duration_nano,
            status=status.capitalize() if status else "",
            attributes=attributes,
            since=since,
            limit=limit,
        )
        if wanted != ItemFormat.OTLP or not found:
            return found, b""
        return found, await reader.traces_request(store, [summary.trace_id for summary in found])

    found, request = run_reading(find, config, data_dir)
    if not found:
        given = described(
            [
                ("--service", service),
                ("--operation", operation),
                ("--min-duration", min_duration),
                ("--status", status),
                *(("--attr", text) for text in attr or ()),
            ]
        )
        say(f"No traces in the last {last}{given}; look further back with --last 24h, or see who sends: airis services")
    if wanted == ItemFormat.OTLP:
        if request:
            from airis.data.kernels import to_json

            write_bytes(to_json("traces", request), b"\n")
    elif found or wanted != Format.TABLE:
        _write(found, wanted)


_FIELDS = ("time", "trace_id", "service", "operation", "duration_nano", "spans", "errors", "services")
_COLUMNS = ("time", "trace_id", "service", "operation", "duration", "spans", "errors", "services")


def _write(found: "Sequence[TraceSummary]", form: str) -> None:
    if form != Format.TABLE:
        write_rows([_row(summary) for summary in found], form, _FIELDS)
        return
    less = narrow()
    rows = [_table_row(summary, SHORT_ID if less else 32) for summary in found]
    write_table(rows, _COLUMNS[:-1] if less else _COLUMNS, whole=("time", "trace_id", "duration"))


def _row(summary: "TraceSummary") -> dict[str, object]:
    return {
        "time": iso(summary.start_unix_nano),
        "trace_id": summary.trace_id,
        "service": summary.service,
        "operation": summary.name,
        "duration_nano": summary.duration_nano,
        "spans": summary.spans,
        "errors": summary.errors,
        "services": list(summary.services),
    }


def _table_row(summary: "TraceSummary", digits: int) -> dict[str, object]:
    return {
        **_row(summary),
        "time": moment(summary.start_unix_nano),
        "trace_id": summary.trace_id[:digits],
        "duration": span_of_time(summary.duration_nano),
        "errors": summary.errors or None,
        "services": ", ".join(summary.services),
    }
