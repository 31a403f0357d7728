"""``airis status``: does it run, what does it hold, what has it counted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from airis.service.commands.options import ConfigOption, DataDirOption, data_directory
from airis.service.render.amounts import size
from airis.service.render.rows import Format, FormatOption, chosen, printable, write_bytes, write_rows, write_table
from airis.service.render.time import ago, iso

if TYPE_CHECKING:
    from airis.service.instance import Instance
    from airis.storage.reader import TableTotals

NOT_RUNNING = 3
METRICS_TIMEOUT_S = 2.0
ADMIN_TIMEOUT_S = 5.0

_COUNTED = {
    "accepted": "otelcol_receiver_accepted",
    "refused": "otelcol_receiver_refused",
    "sent": "otelcol_exporter_sent",
    "failed": "otelcol_exporter_send_failed",
}
_SIGNALS = {"traces": "spans", "metrics": "metric_points", "logs": "log_records", "profiles": "profile_samples"}

Counts = Mapping[str, Mapping[str, int]]
"""For each signal what was accepted, refused, sent, failed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds, or why that is not known."""

    tables: "Sequence[TableTotals]" = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the running instance says of itself, as far as it answers."""

    counts: Counts | None = None
    ledger: Mapping[str, Any] | None = None


def status(form: FormatOption = None, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Say whether airis runs here, what is wrong, where every item is, and what the store holds.

    Exit codes: 1 the store cannot be read, 3 airis is not running here.
    """
    from airis.service import instance

    wanted = chosen(form)
    directory = data_directory(data_dir)
    running = instance.running(directory)
    stored = _stored(config, directory)
    told = Told(_counts(running.metrics_address), _ledger(directory)) if running else Told()
    if wanted in (Format.JSON, Format.NDJSON):
        _write_document(directory, running, stored, told, indent=wanted == Format.JSON)
    elif wanted == Format.TABLE:
        _write_page(directory, running, stored, told)
    else:
        write_rows([_table_row(total) for total in stored.tables], wanted, _FIELDS)
    if running is None:
        raise typer.Exit(NOT_RUNNING)
    if stored.trouble:
        raise typer.Exit(1)


def _stored(config: Sequence[str] | None, directory: Path) -> Stored:
    import asyncio

    from airis.service.access import StoreUnavailable, open_store
    from airis.storage import StoreError, reader

    async def read() -> "list[TableTotals]":
        async with open_store(config, directory) as store:
            return await reader.totals(store)

    try:
        return Stored(asyncio.run(read()))
    except (StoreError, StoreUnavailable) as error:
        return Stored(trouble=str(error))


def _ledger(directory: Path) -> Mapping[str, Any] | None:
    """Where every item is, by the running instance; None where it does not tell."""
    from http.client import HTTPException

    from airis.service.admin_client import AdminConnection, NotRunning

    try:
        connection = AdminConnection(directory, ADMIN_TIMEOUT_S)
        try:
            answered, document = connection.json("GET", "/api/v1/ledger")
        finally:
            connection.close()
    except (NotRunning, OSError, HTTPException):
        return None
    return document if answered == HTTPStatus.OK else None


def _counts(address: str) -> Counts | None:
    """What the running instance counted; None where it does not tell."""
    import urllib.request

    if not address:
        return None
    url = address if "://" in address else f"http://{address}"
    # Without a proxy: the address is this machine's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/').removesuffix('/metrics')}/metrics", timeout=METRICS_TIMEOUT_S) as response:
            return counted(response.read().decode(errors="replace"))
    except (OSError, ValueError):
        return None


def counted(exposition: str) -> Counts:
    """The counters in a Prometheus exposition, over all components; of a signal that none has counted, zeros.

    Profiles, which few have, are left out then.
    """
    from prometheus_client.parser import text_string_to_metric_families

    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    counts = {
        signal: {what: int(sums.get(f"{name}_{items}_total", 0)) for what, name in _COUNTED.items()}
        for signal, items in _SIGNALS.items()
    }
    return {signal: those for signal, those in counts.items() if signal != "profiles" or any(those.values())}


def _write_document(directory: Path, running: "Instance | None", stored: Stored, told: Told, *, indent: bool) -> None:
    import orjson

    document = {
        "running": running is not None,
        "data_dir": str(directory),
        "instance": running and {**asdict(running), "started": iso(running.started_unix_s * 1_000_000_000)},
        "tables": [_table_row(total) for total in stored.tables],
        "trouble": stored.trouble or None,
        "counts": told.counts,
        "ledger": told.ledger,
    }
    write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0), b"\n")


def _write_page(directory: Path, running: "Instance | None", stored: Stored, told: Told) -> None:
    from airis.service.render.ledger import write_ledger, write_troubles

    if running:
        since = ago(time.time() - running.started_unix_s)
        typer.echo(f"airis {running.version} is running, pid {running.pid}, started {since}")
        if told.ledger is not None:
            write_troubles(told.ledger)
        facts = {"configuration": ", ".join(running.configs) or "built-in", **running.endpoints}
        if running.metrics_address:
            facts["own metrics"] = running.metrics_address
    else:
        typer.echo('airis is not running here; start it with "airis run"')
        facts = {}
    facts["data"] = str(directory)
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"  {printable(name):<{width}}  {printable(value)}")
    typer.echo("")
    if stored.trouble:
        typer.echo(printable(f"The store: {stored.trouble}"))
    else:
        columns = ("table", "rows", "size", "oldest", "newest")
        now = time.time()
        write_table([_shown(total, now) for total in stored.tables], columns, {"rows", "size"})
    if told.ledger is not None:
        write_ledger(told.ledger)
    elif told.counts is not None:
        typer.echo("")
        counted = told.counts.items()
        rows = [{"since the start": signal, **{k: f"{v:,}" for k, v in its.items()}} for signal, its in counted]
        write_table(rows, ("since the start", *_COUNTED), set(_COUNTED))


_FIELDS = ("table", "rows", "size_bytes", "oldest", "newest")


def _table_row(total: "TableTotals") -> dict[str, object]:
    return {
        "table": total.table,
        "rows": total.rows,
        "size_bytes": total.size_bytes,
        "oldest": total.oldest_unix_s and iso(total.oldest_unix_s * 1_000_000_000),
        "newest": total.newest_unix_s and iso(total.newest_unix_s * 1_000_000_000),
    }


def _shown(total: "TableTotals", now: float) -> dict[str, object]:
    return {
        "table": total.table,
        "rows": f"{total.rows:,}",
        "size": size(total.size_bytes),
        "oldest": "" if total.oldest_unix_s is None else ago(now - total.oldest_unix_s),
        "newest": "" if total.newest_unix_s is None else ago(now - total.newest_unix_s),
    }
