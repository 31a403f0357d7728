"""``airis logs``: the newest log records that fit, and those that arrive while it is watched."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from airis.service.commands.conditions import AttributeOption, ServiceOption, described, pairs
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.commands.trace import parse_id
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
from airis.service.render.time import LastOption, iso, since_nano

if TYPE_CHECKING:
    from airis.storage import Store
    from airis.storage.reader import StoredLog

POLL_S = 1.0
OVERLAP_NANO = 5 * 60 * 1_000_000_000
"""How late a record may arrive, by its own time, and still be shown by ``--follow``."""
MOST_OVERLAPPING = 5_000
"""Records that ``--follow`` looks at each time: the newest of the overlap."""

_SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "warning": 13, "error": 17, "fatal": 21}


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what arrives, until Ctrl-C.")] = False,
    grep: Annotated[str, typer.Option(metavar="TEXT", help="Only with this text in the body, in any case.")] = "",
    severity: Annotated[
        str,
        typer.Option(metavar="LEVEL", help="Only this severe or more: trace, debug, info, warn, error, fatal, 1-24."),
    ] = "",
    trace: Annotated[str, typer.Option(metavar="ID", help="Only of this trace.")] = "",
    service: ServiceOption = "",
    attr: AttributeOption = None,
    last: LastOption = "1h",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, the newest.")] = 100,
    form: ItemFormatOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show the newest log records, oldest first."""
    from airis.service.access import run_reading

    wanted = chosen(form)
    if follow and wanted not in (Format.TABLE, Format.NDJSON):
        raise typer.BadParameter("--follow writes lines or ndjson", param_hint="--format")
    conditions = Conditions(grep, _severity(severity), _trace_id(trace), service, pairs(attr, "--attr"))
    since = since_nano(last)
    if follow:
        with suppress(KeyboardInterrupt):
            run_reading(lambda store: _follow(store, conditions, since, limit, wanted), config, data_dir)
        return

    async def read(store: "Store") -> "tuple[list[StoredLog], bytes]":
        if wanted == ItemFormat.OTLP:
            return [], await conditions.request(store, since=since, limit=limit)
        return await conditions.find(store, since=since, until=None, limit=limit), b""

    found, request = run_reading(read, config, data_dir)
    if not found and not request:
        given = described(
            [
                ("--grep", grep),
                ("--severity", severity),
                ("--trace", trace),
                ("--service", service),
                *(("--attr", text) for text in attr or ()),
            ]
        )
        say(f"No log records in the last {last}{given}; look further back with --last 24h")
    if request:
        from airis.data.kernels import to_json

        write_bytes(to_json("logs", request), b"\n")
    elif wanted != ItemFormat.OTLP:
        _write(found, wanted)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a record must meet."""

    grep: str = ""
    severity: int = 0
    trace_id: str = ""
    service: str = ""
    attributes: dict[str, str] = field(default_factory=dict[str, str])

    async def find(self, store: "Store", *, since: int, until: int | None, limit: int) -> "list[StoredLog]":
        """The newest records of the half-open window that meet them, oldest first."""
        from airis.storage import reader

        return await reader.find_logs(
            store,
            grep=self.grep,
            severity=self.severity,
            trace_id=self.trace_id,
            service=self.service,
            attributes=self.attributes,
            since=since,
            until=until,
            limit=limit,
        )

    async def request(self, store: "Store", *, since: int, limit: int) -> bytes:
        """The newest records that meet them as they were sent."""
        from airis.storage import reader

        return await reader.logs_request(
            store,
            grep=self.grep,
            severity=self.severity,
            trace_id=self.trace_id,
            service=self.service,
            attributes=self.attributes,
            since=since,
            limit=limit,
        )


class Find(Protocol):
    """Reads log records, oldest first, the newest `limit` of those in the half-open window."""

    def __call__(self, *, since: int, until: int | None, limit: int) -> "Awaitable[list[StoredLog]]":
        """The records."""
        ...


class Follower:
    """Gives every record once, also one that arrives later than its time says.

    A record is known by all that is in it; of equal ones it gives as many as there are.
    """

    def __init__(self, find: Find, now: Callable[[], int] = time.time_ns) -> None:
        self._find = find
        self._now = now
        self._seen: Counter[object] = Counter()
        self.overrun = False
        """Whether more arrived since the last look than it looks at."""

    async def first(self, since: int, limit: int) -> "list[StoredLog]":
        """The newest records since then, with which it begins."""
        edge = max(since, self._now() - OVERLAP_NANO)
        overlapping = await self._look(edge)
        if len(overlapping) < limit and since < edge:
            before = await self._find(since=since, until=edge, limit=limit - len(overlapping))
            return [*before, *overlapping]
        return overlapping[-limit:]

    async def new(self) -> "list[StoredLog]":
        """What is there now and was not before, oldest first."""
        return await self._look(self._now() - OVERLAP_NANO)

    async def _look(self, since: int) -> "list[StoredLog]":
        window = await self._find(since=since, until=None, limit=MOST_OVERLAPPING)
        before, self._seen = self._seen, Counter()
        fresh: list[StoredLog] = []
        for record in window:
            identity = _identity(record)
            self._seen[identity] += 1
            if self._seen[identity] > before[identity]:
                fresh.append(record)
        self.overrun = len(fresh) == MOST_OVERLAPPING and bool(before)
        return fresh


def _identity(record: "StoredLog") -> object:
    fixed = (record.time_unix_nano, record.service, record.severity_number, record.severity, record.event_name)
    return hash((*fixed, record.body, record.trace_id, record.span_id, tuple(record.attributes.items())))


async def _follow(
    store: "Store",
    conditions: Conditions,
    since: int,
    limit: int,
    form: str,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    now: Callable[[], int] = time.time_ns,
) -> None:
    """Write records as they arrive, for ever; a store that does not answer for a while is asked again."""
    from airis.storage import StoreError

    follower = Follower(partial(conditions.find, store), now)
    _write(await follower.first(since, limit), form)
    silent = False
    while True:
        await sleep(POLL_S)
        try:
            fresh = await follower.new()
        except StoreError as error:
            if error.code is not None:
                raise
            if not silent:
                say(f"airis: {error}; trying again")
            silent = True
            continue
        silent = False
        if follower.overrun:
            say(f"More than {MOST_OVERLAPPING:,} records since the last look; the oldest of them are left out")
        _write(fresh, form)


def _write(records: "Sequence[StoredLog]", form: str) -> None:
    if form == Format.TABLE:
        from airis.service.render.log_lines import log_line

        console = terminal()
        for record in records:
            console.print(log_line(record), soft_wrap=True)
    else:
        write_rows([_row(record) for record in records], form, _FIELDS)


def _severity(text: str) -> int:
    """The lowest severity number of a name or number; 0 for no choice."""
    if not text:
        return 0
    number = int(text) if text.isascii() and text.isdigit() else _SEVERITIES.get(text.lower(), 0)
    if not 1 <= number <= 24:
        raise typer.BadParameter(
            f'"{text}" is no severity; write trace, debug, info, warn, error, fatal or 1 to 24', param_hint="--severity"
        )
    return number


def _trace_id(text: str) -> str:
    if not text:
        return ""
    digits = parse_id(text)
    if len(digits) != 32:
        raise typer.BadParameter("give all 32 digits of the trace id", param_hint="--trace")
    return digits


_FIELDS = (
    "time",
    "severity",
    "severity_number",
    "service",
    "event_name",
    "body",
    "trace_id",
    "span_id",
    "attributes",
)


def _row(record: "StoredLog") -> dict[str, object]:
    return {
        "time": iso(record.time_unix_nano),
        "severity": record.severity,
        "severity_number": record.severity_number,
        "service": record.service,
        "event_name": record.event_name,
        "body": record.body,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "attributes": dict(record.attributes),
    }
