"""``airis trace``: one trace as a waterfall, as rows, or as it was sent."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import (
    Format,
    ItemFormat,
    ItemFormatOption,
    chosen,
    say,
    terminal,
    write_bytes,
    write_rows,
)
from airis.service.render.time import iso

if TYPE_CHECKING:
    from airis.storage import Store
    from airis.storage.reader import StoredSpan

LEAST_DIGITS = 6
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_DIGITS = re.compile(r"[0-9a-f]{1,32}")
_MOST_NAMED = 10


def trace(
    trace_id: Annotated[
        str, typer.Argument(metavar="ID", help="The trace's id or its first digits, or a traceparent header.")
    ],
    form: ItemFormatOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show one trace: its spans as a tree, each with a bar where it lies in time."""
    from airis.service.access import run_reading

    wanted = chosen(form)
    digits = parse_id(trace_id)

    async def read(store: "Store") -> "tuple[list[str], list[StoredSpan], bytes]":
        from airis.storage import reader

        found = [digits] if len(digits) == 32 else await reader.trace_ids(store, digits, limit=_MOST_NAMED + 1)
        if len(found) != 1:
            return found, [], b""
        if wanted == ItemFormat.OTLP:
            return found, [], await reader.trace_request(store, found[0])
        return found, await reader.trace_spans(store, found[0]), b""

    found, spans, request = run_reading(read, config, data_dir)
    if len(found) > 1:
        more = "more than " if len(found) > _MOST_NAMED else ""
        shown = found[:_MOST_NAMED]
        say(f"airis: {more}{len(shown)} traces begin with {digits}; say more of it:")
        say("\n".join(f"  {one}" for one in shown))
        raise typer.Exit(1)
    if not spans and not request:
        say(f"airis: no trace {digits}{'' if len(digits) == 32 else '…'} here; see what there is: airis traces")
        raise typer.Exit(1)
    if request:
        from airis.data.kernels import to_json

        write_bytes(to_json("traces", request), b"\n")
    elif wanted == Format.TABLE:
        from airis.service.render.waterfall import waterfall

        console = terminal()
        for line in waterfall(spans, console.width):
            console.print(line, overflow="ignore", no_wrap=True, crop=False)
    else:
        write_rows([_row(span) for span in spans], wanted, _FIELDS)


def parse_id(text: str) -> str:
    """The hex digits that someone pasted: an id, a beginning of one, a UUID, a traceparent header."""
    lowered = text.strip().lower()
    header = _TRACEPARENT.fullmatch(lowered)
    digits = header[1] if header else lowered.removeprefix("0x").replace("-", "")
    if not _DIGITS.fullmatch(digits):
        raise typer.BadParameter(f'"{text}" is no trace id; it has 32 hex digits', param_hint="ID")
    if len(digits) < LEAST_DIGITS:
        raise typer.BadParameter(f'"{text}" is too short; give at least {LEAST_DIGITS} digits', param_hint="ID")
    return digits


_FIELDS = (
    "time",
    "trace_id",
    "span_id",
    "parent_span_id",
    "service",
    "name",
    "kind",
    "duration_nano",
    "status",
    "status_message",
    "attributes",
    "resource",
    "events",
)


def _row(span: "StoredSpan") -> dict[str, object]:
    return {
        "time": iso(span.start_unix_nano),
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "service": span.service,
        "name": span.name,
        "kind": span.kind,
        "duration_nano": span.duration_nano,
        "status": span.status,
        "status_message": span.status_message,
        "attributes": dict(span.attributes),
        "resource": dict(span.resource),
        "events": [
            {"time": iso(event.time_unix_nano), "name": event.name, "attributes": dict(event.attributes)}
            for event in span.events
        ],
    }
