"""``airis wal``: what the write-ahead log of sending queues holds, and what is done about it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.log_options import (
    LogDirectoryOption,
    LogFormat,
    LogFormatOption,
    StorageOption,
    YesOption,
    confirm,
    log_at,
    on_terminal,
    signal_name,
    so_many,
)
from airis.service.commands.log_records import export, inspect, requeue
from airis.service.commands.look import SETTINGS, Command, Commands
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.amounts import count, size
from airis.service.render.rows import json_line, one_line, say, write_bytes, write_table
from airis.service.render.time import ago, iso

if TYPE_CHECKING:
    from airis.service.log_place import LogPlace
    from airis.storage.wal.catalog import Backlog, Catalog, Listed

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Look into the queues on disk, check them, and take things out and in.",
)


def list_log(
    form: LogFormatOption = None,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List who is owed what, and the files it stands in.

    It reads the files and changes nothing, whether airis runs or not.
    """
    wanted = on_terminal(form)
    with log_at(config, data_dir, storage, directory) as place:
        catalog = place.catalog()
        listed = list(catalog.segments())
        backlogs = catalog.backlogs(listed)
        if wanted == LogFormat.JSON:
            import orjson

            document = _document(place, catalog, backlogs, listed)
            write_bytes(json_line(orjson.dumps(document, option=orjson.OPT_INDENT_2)))
            return
        _write_tables(place, catalog, backlogs, listed)


def _document(
    place: "LogPlace", catalog: "Catalog", backlogs: "list[Backlog]", listed: "list[Listed]"
) -> dict[str, Any]:
    return {
        "directory": str(place.directory),
        "running": place.is_running,
        "subscribers": [
            {
                "subscriber": each.name,
                "signal": signal_name(each.lane.signal),
                "configured": None if place.subscribers is None else each.name in place.subscribers,
                "batches": each.owed.batches,
                "items": each.owed.items,
                "size_bytes": each.owed.size_bytes,
                "oldest": iso(each.oldest_unix_nano) if each.oldest_unix_nano else None,
                "under_way_batches": each.under_way,
                "trouble": each.trouble or None,
            }
            for each in backlogs
        ],
        "segments": [
            {
                "file": each.segment.name,
                "first": each.segment.first,
                "last": each.segment.last,
                "size_bytes": each.segment.size,
                "complete": each.segment.is_complete,
                "oldest": iso(each.segment.oldest_unix_nano) if each.segment.oldest_unix_nano else None,
                "newest": iso(each.segment.newest_unix_nano) if each.segment.newest_unix_nano else None,
                "batches": sum(total.batches for total in each.segment.totals.values()),
                "items": {signal_name(signal): total.items for signal, total in each.segment.totals.items()},
                "owed": {name: {"batches": a.batches, "items": a.items} for name, a in each.owed.items()},
                "trouble": each.trouble or None,
            }
            for each in listed
        ],
        "dead_letters": len(catalog.letter_names()),
        "quarantine": [{"file": name, "size_bytes": size} for name, size in catalog.quarantined().items()],
    }


def _write_tables(place: "LogPlace", catalog: "Catalog", backlogs: "list[Backlog]", listed: "list[Listed]") -> None:
    now = time.time()
    who = "airis runs and writes to it" if place.is_running else "nothing writes to it"
    say(f"{place.directory}: {who}")
    rows: list[dict[str, Any]] = [
        {
            "subscriber": each.name,
            "batches": count(each.owed.batches),
            "items": count(each.owed.items),
            "size": size(each.owed.size_bytes),
            "oldest": ago(now - each.oldest_unix_nano / 1e9) if each.oldest_unix_nano else "",
            "": _remark(place, each),
        }
        for each in backlogs
    ]
    write_table(rows, ("subscriber", "batches", "items", "size", "oldest", ""), {"batches", "items", "size"})
    typer.echo("")
    rows = [
        {
            "records": f"{each.segment.first}-{each.segment.last}",
            "size": size(each.segment.size),
            "newest": ago(now - each.segment.newest_unix_nano / 1e9) if each.segment.newest_unix_nano else "",
            "batches": count(sum(total.batches for total in each.segment.totals.values())),
            "items": ", ".join(f"{count(t.items)} {signal_name(n)}" for n, t in each.segment.totals.items()),
            "owed": each.trouble or ", ".join(f"{name} {count(a.items)}" for name, a in each.owed.items()) or "nobody",
        }
        for each in listed
    ]
    write_table(rows, ("records", "size", "newest", "batches", "items", "owed"), {"size", "batches"})
    letters, copies = len(catalog.letter_names()), catalog.quarantined()
    if letters:
        say(f"{so_many(letters, 'dead letter')}: airis dlq ls")
    if copies:
        say(f"{so_many(len(copies), 'piece')} of damage in quarantine ({size(sum(copies.values()))})")


def _remark(place: "LogPlace", backlog: "Backlog") -> str:
    if backlog.trouble:
        return f"{backlog.trouble}; it will be given all again"
    if place.subscribers is not None and backlog.name not in place.subscribers:
        return "not configured any more"
    return ""


def verify(
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Check all checksums and say file:offset of each damage; nothing is changed.

    Exit code 1: there is damage.
    """
    with log_at(config, data_dir, storage, directory) as place:
        catalog = place.catalog()
        damaged = 0
        for each in catalog.damage():
            damaged += 1
            where = one_line(str(place.directory / each.file))
            write_bytes(f"{where}:{each.offset}: {so_many(each.size_bytes, 'byte')}: {each.what}\n".encode())
        files = catalog.checked()
    say(f"{so_many(files, 'file')}, {so_many(damaged, 'damaged place')}")
    if damaged:
        raise typer.Exit(1)


def forget(
    subscriber: Annotated[
        str, typer.Argument(metavar="SUBSCRIBER", help='As "airis wal ls" names it, such as exporters/otlp:traces.')
    ],
    yes: YesOption = False,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give up for good what an exporter is owed that is not configured any more, and count it."""
    from airis.storage.wal.operations import NotPossible

    with log_at(config, data_dir, storage, directory) as place:
        catalog = place.catalog()
        backlogs = {each.name: each for each in catalog.backlogs(catalog.segments())}
        if subscriber not in backlogs:
            raise NotPossible(f'the log has no subscriber "{subscriber}"', sorted(backlogs))
        if place.subscribers and subscriber in place.subscribers:
            raise NotPossible(f'"{subscriber}" is configured; take the exporter out of the configuration first')
        owed = backlogs[subscriber].owed
        amount = f"{so_many(owed.items, 'item')} in {so_many(owed.batches, 'batch')}"
        confirm(f"Give up {amount} that {subscriber} did not get?", yes)
        done = place.forget(subscriber)
    say(f"{done.subscriber} is forgotten, with {so_many(done.items, 'item')}")


app.command(cls=Command, name="ls")(list_log)
commands: tuple[Callable[..., None], ...] = (inspect, verify, export, requeue, forget)
for command in commands:
    app.command(cls=Command)(command)
