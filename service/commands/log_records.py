"""``airis wal inspect``, ``export`` and ``requeue``: the records of a write-ahead log."""

import os
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from airis.service.commands.log_options import (
    ContentFormat,
    ContentFormatOption,
    LogDirectoryOption,
    StorageOption,
    content_of,
    log_at,
    meta_of,
    on_terminal,
    signal_name,
    signal_of,
    so_many,
    write_facts,
    write_items,
)
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.amounts import size
from airis.service.render.rows import json_line, one_line, say, write_bytes, write_table
from airis.service.render.time import iso

if TYPE_CHECKING:
    from airis.service.log_place import LogPlace
    from airis.storage.wal.catalog import Catalog
    from airis.storage.wal.put import Put
    from airis.storage.wal.segment import Entry

RangeArgument = Annotated[
    str, typer.Argument(metavar="RECORDS", help='One record or several: "42", "40-49", "40-" for all from 40 on.')
]


class ExportFormat(StrEnum):
    """How records are written out."""

    OTLP_JSON = "otlp-json"
    OTLP_PROTO = "otlp-proto"


class LogSignal(StrEnum):
    """Records of one signal."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"
    PROFILES = "profiles"


def inspect(
    records: RangeArgument,
    form: ContentFormatOption = None,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show records: where they stand, what is said of them, who is still to have them, and what is in them."""
    first, last = parse_range(records)
    wanted = on_terminal(form)
    shown = 0
    with log_at(config, data_dir, storage, directory) as place:
        catalog = place.catalog()
        entries = catalog.entries(first, last)
        if wanted == ContentFormat.TABLE and first != last:
            rows = [_row(catalog, entry) for entry in entries]
            shown = len(rows)
            if rows:
                write_table(rows, tuple(rows[0]), {"record", "items", "size"}, whole=("record", "arrived"))
        else:
            for entry in entries:
                shown += 1
                _show(catalog, entry, wanted)
    if not shown:
        say(f"airis: there is no record {records} in {place.directory}; see which there are: airis wal ls")
        raise typer.Exit(1)


def parse_range(text: str) -> tuple[int, int | None]:
    """The first and last sequence of what was named."""
    match = re.fullmatch(r"(\d{1,19})(-(\d{1,19})?)?", text, re.ASCII)
    first = int(match[1]) if match else 0
    last = first if match and not match[2] else int(match[3]) if match and match[3] else None
    if match is None or (last is not None and last < first):
        raise typer.BadParameter(f'"{text}" names no records; write 42, 40-49 or 40-', param_hint="RECORDS")
    return first, last


def _row(catalog: "Catalog", entry: "Entry") -> dict[str, Any]:
    head = entry.head
    return {
        "record": head.sequence,
        "signal": signal_name(head.signal),
        "items": head.items,
        "size": size(entry.size_bytes),
        "arrived": iso(head.wall_unix_nano),
        "batch": head.batch_id.hex(),
        "owed": ", ".join(catalog.owing(entry)) or "nobody",
        "": "" if entry.is_whole else "damaged",
    }


def _show(catalog: "Catalog", entry: "Entry", wanted: str) -> None:
    import orjson

    signal = signal_of(entry.head.signal)
    payload = catalog.payload(entry)
    if wanted == ContentFormat.OTLP_JSON:
        if payload is None:
            say(f"airis: record {entry.head.sequence} is damaged and left out")
        else:
            write_bytes(json_line(orjson.dumps(content_of(signal, payload))))
        return
    facts = _facts(catalog, entry)
    if wanted == ContentFormat.JSON:
        facts["content"] = None if payload is None else content_of(signal, payload)
        write_bytes(json_line(orjson.dumps(facts)))
        return
    write_facts({name: _words(value) for name, value in facts.items()})
    if payload is not None:
        typer.echo("")
        write_items(signal, payload)


def _facts(catalog: "Catalog", entry: "Entry") -> dict[str, Any]:
    from airis.storage.wal.segment import lanes_of

    head = entry.head
    return {
        "record": head.sequence,
        "file": entry.segment,
        "offset": entry.offset,
        "size_bytes": entry.size_bytes,
        "whole": entry.is_whole,
        "signal": signal_name(head.signal),
        "items": head.items,
        "requests": head.requests,
        "arrived": iso(head.wall_unix_nano),
        "batch_id": head.batch_id.hex(),
        "codec": head.codec,
        "subscribers": [catalog.name_of(lane) for lane in lanes_of(head)],
        "owed": catalog.owing(entry),
        "meta": meta_of(entry.meta),
    }


def _words(value: Any) -> str:
    from airis.service.render.rows import cell

    return ", ".join(cast("list[str]", value)) if isinstance(value, list) else cell(value)


def export(
    records: RangeArgument = "0-",
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="How to write: OTLP/JSON, a request on a line, or OTLP in protobuf, each request after its length in "
            "4 bytes. The file exporter writes the same.",
            show_default=True,
        ),
    ] = ExportFormat.OTLP_JSON,
    signal: Annotated[LogSignal | None, typer.Option(help="Only records of this signal.")] = None,
    subscriber: Annotated[str, typer.Option(metavar="NAME", help="Only what this one is still to have.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; by default stdout.")
    ] = None,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write records as OTLP, to look at them with other tools, or to carry them elsewhere. They stay in the log."""
    first, last = parse_range(records)
    if form is ExportFormat.OTLP_PROTO and signal is None:
        raise typer.BadParameter("nothing in protobuf tells the signals apart; choose one", param_hint="--signal")
    if output is None and form is ExportFormat.OTLP_PROTO and sys.stdout.isatty():
        raise typer.BadParameter("protobuf is binary; write it to a file with --output", param_hint="--format")
    written = left_out = 0
    with log_at(config, data_dir, storage, directory) as place, _written_to(output) as write:
        catalog = place.catalog()
        _check_subscriber(catalog, subscriber)
        for entry in catalog.entries(first, last):
            if signal is not None and signal_name(entry.head.signal) != signal:
                continue
            if subscriber and subscriber not in catalog.owing(entry):
                continue
            payload = catalog.payload(entry)
            exported = None if payload is None else _exported(entry, payload, form)
            if exported is None:
                left_out += 1
                say(f"airis: record {entry.head.sequence} cannot be read and is left out")
            else:
                written += 1
                write(exported)
    say(f"{so_many(written, 'record')} written")
    if left_out:
        raise typer.Exit(1)


def _check_subscriber(catalog: "Catalog", subscriber: str) -> None:
    from airis.storage.wal.operations import NotPossible

    names = sorted(state.name for state in catalog.states.values())
    if subscriber and subscriber not in names:
        raise NotPossible(f'the log has no subscriber "{subscriber}"', names)


def _exported(entry: "Entry", payload: bytes, form: ExportFormat) -> bytes | None:
    from airis.data import kernels
    from airis.exporters.file import FRAME_HEADER_BYTES

    if form is ExportFormat.OTLP_PROTO:
        return len(payload).to_bytes(FRAME_HEADER_BYTES, "big") + payload
    signal = signal_of(entry.head.signal)
    try:
        return kernels.to_json(signal, payload) + b"\n" if signal is not None else None
    except kernels.MalformedPayload:
        return None


@contextmanager
def _written_to(output: Path | None) -> Generator[Callable[[bytes], object]]:
    """Takes bytes for a new file, or for stdout."""
    if output is None:
        yield lambda data: write_bytes(json_line(data[:-1]) if data.endswith(b"\n") and sys.stdout.isatty() else data)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise typer.BadParameter(f"{output} is there already; name another file", param_hint="--output") from None
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="--output") from None
    with os.fdopen(descriptor, "wb") as file:
        yield file.write
        file.flush()
        os.fsync(file.fileno())


def requeue(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help='What "airis wal export" wrote, or the name of a copy in quarantine.',
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SUBSCRIBER",
            help='Into whose queue, as "airis wal ls" names it; what was in quarantine goes to those who were to have '
            "it, if nobody is named.",
        ),
    ] = "",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Whose exported records are; OTLP does not say it.")
    ] = "",
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Put exported records, or what is whole in a copy in quarantine, back into the queues.

    Each is put there again, also if it was delivered before. A copy that was whole is deleted then.
    """
    from airis.service.log_recall import read_copy, read_exported
    from airis.storage.wal.operations import NotPossible

    with log_at(config, data_dir, storage, directory) as place:
        catalog = place.catalog()
        copies = catalog.quarantined()
        for name in names:
            if name in copies:
                found = read_copy(catalog, name, to)
                if not found.puts:
                    raise NotPossible(f"{name}: there is no whole record in it")
                items = _put_all(place, found.puts)
                if found.is_whole:
                    (place.directory / "quarantine" / name).unlink()
                kept = "" if found.is_whole else "; the copy stays, for what is damaged in it"
                amount = f"{so_many(len(found.puts), 'batch')} with {so_many(items, 'item')}"
                say(f"{name}: {amount} back in the queue{kept}")
                continue
            if not Path(name).is_file():
                raise NotPossible(f'"{name}" is no file, and no copy in quarantine', sorted(copies))
            if not to:
                raise typer.BadParameter("say whose queue it goes into", param_hint="--to")
            puts = [(to, put) for put in read_exported(Path(name), _signal_of_subscriber(catalog, to), tenant)]
            items = _put_all(place, puts)
            amount = f"{so_many(len(puts), 'batch')} with {so_many(items, 'item')}"
            say(f"{one_line(name)}: {amount} in the queue of {to}")


def _put_all(place: "LogPlace", puts: "list[tuple[str, Put]]") -> int:
    items = done = 0
    try:
        for to, put in puts:
            items += place.put_back(to, put).items
            done += 1
    finally:
        if done < len(puts):
            say(f"{so_many(done, 'batch')} of {len(puts)} went into the queue, the others did not")
    return items


def _signal_of_subscriber(catalog: "Catalog", name: str) -> Any:
    _check_subscriber(catalog, name)
    return signal_of(next(lane.signal for lane, state in catalog.states.items() if state.name == name))
