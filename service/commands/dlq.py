"""``airis dlq``: dead letters, which no exporter could deliver."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.log_options import (
    ContentFormat,
    ContentFormatOption,
    LogDirectoryOption,
    LogFormat,
    LogFormatOption,
    StorageOption,
    YesOption,
    confirm,
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
from airis.service.commands.look import SETTINGS, Command, Commands
from airis.service.commands.options import ConfigOption, DataDirOption
from airis.service.render.rows import cell, json_line, say, write_bytes, write_table
from airis.service.render.time import ago, iso

if TYPE_CHECKING:
    from airis.storage.wal.catalog import Catalog
    from airis.storage.wal.dead import DeadLetter

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="See what could not be delivered and why, and let it in again or drop it.",
)

LettersArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help='As "airis dlq ls" names them.', show_default=False),
]
AllOption = Annotated[bool, typer.Option("--all", help="All there are.")]
ExporterOption = Annotated[
    str,
    typer.Option(
        "--exporter", metavar="NAME", help="Only those of this exporter, such as otlp or exporters/otlp:logs."
    ),
]


@app.command(cls=Command, name="ls")
def list_letters(
    exporter: ExporterOption = "",
    form: LogFormatOption = None,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List the dead letters, oldest first: who could not deliver what, when and why."""
    wanted = on_terminal(form)
    with log_at(config, data_dir, storage, directory) as place:
        letters = Letters(place.catalog())
        chosen = letters.of(exporter)
        if wanted == LogFormat.JSON:
            import orjson

            rows = [
                {"id": letters.id_of(letter.name), **_facts(letter, letters.sizes[letter.name])} for letter in chosen
            ]
            write_bytes(json_line(orjson.dumps(rows, option=orjson.OPT_INDENT_2)))
        elif chosen:
            now = time.time()
            table: list[dict[str, Any]] = [
                {
                    "id": letters.id_of(letter.name),
                    "exporter": letter.subscriber.removeprefix("exporters/"),
                    "items": letter.head.items,
                    "when": ago(now - letter.buried_unix_nano / 1e9),
                    "reason": letter.reason,
                }
                for letter in chosen
            ]
            write_table(table, ("id", "exporter", "items", "when", "reason"), {"items"}, whole=("id", "when"))
        else:
            say("No dead letters")
        letters.say_unreadable()


@app.command(cls=Command)
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help='As "airis dlq ls" names it.')],
    form: ContentFormatOption = None,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show a dead letter: what is said of it, and what is in it."""
    import orjson

    wanted = on_terminal(form)
    with log_at(config, data_dir, storage, directory) as place:
        letters = Letters(place.catalog())
        found = letters.read(letter)
        signal = signal_of(found.head.signal)
        if wanted == ContentFormat.OTLP_JSON:
            write_bytes(json_line(orjson.dumps(content_of(signal, found.payload))))
        elif wanted == ContentFormat.JSON:
            facts = {"id": letters.id_of(found.name), **_facts(found, len(found.payload))}
            write_bytes(json_line(orjson.dumps({**facts, "content": content_of(signal, found.payload)})))
        else:
            write_facts({name: cell(value) for name, value in _facts(found, len(found.payload)).items()})
            typer.echo("")
            write_items(signal, found.payload)


@app.command(cls=Command)
def requeue(
    letters: LettersArgument = None,
    everything: AllOption = False,
    exporter: ExporterOption = "",
    to: Annotated[
        str,
        typer.Option("--to", metavar="SUBSCRIBER", help="Into another queue than that of the exporter that buried it."),
    ] = "",
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Put dead letters back into the queue of the exporter that could not deliver them.

    A letter is deleted once it is in the queue.
    """
    with log_at(config, data_dir, storage, directory) as place:
        names = Letters(place.catalog()).chosen(letters, everything, exporter)
        for name in names:
            done = place.requeue(name, to)
            say(f"{name}: {so_many(done.items, 'item')} in the queue of {done.subscriber}")


@app.command(cls=Command)
def drop(
    letters: LettersArgument = None,
    everything: AllOption = False,
    exporter: ExporterOption = "",
    yes: YesOption = False,
    storage: StorageOption = "",
    directory: LogDirectoryOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Delete dead letters for good. They were counted when they were buried."""
    with log_at(config, data_dir, storage, directory) as place:
        names = Letters(place.catalog()).chosen(letters, everything, exporter)
        if not names:
            say("No dead letters")
            return
        confirm(f"Delete {so_many(len(names), 'dead letter')} for good?", yes)
        items = sum(place.drop(name).items for name in names)
    say(f"{so_many(len(names), 'dead letter')} with {so_many(items, 'item')} deleted")


class Letters:
    """The dead letters of a log, by short ids."""

    def __init__(self, catalog: "Catalog") -> None:
        self._dead = catalog.letters()
        self._names = catalog.letter_names()
        self._unreadable: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        """Bytes of the payloads that were read."""

    def id_of(self, name: str) -> str:
        """Record and the first digits of the batch; the whole name where that is not one alone."""
        short = _short(name)
        return short if sum(_short(other) == short for other in self._names) == 1 else name

    def of(self, exporter: str = "") -> "list[DeadLetter]":
        """Those of an exporter, or all, without their payloads; raises NotPossible for one that has none."""
        from airis.storage.wal.format import NotOurs, WrongVersion
        from airis.storage.wal.operations import NotPossible

        found: list[DeadLetter] = []
        for name in self._names:
            try:
                letter = self._dead.read(name)
                self.sizes[name] = len(letter.payload)
                found.append(replace(letter, payload=b""))  # all of them may be more than there is memory for
            except FileNotFoundError:  # requeued just now
                continue
            except (NotOurs, WrongVersion, OSError, ValueError, KeyError) as error:
                self._unreadable[name] = str(error)
        if not exporter:
            return found
        chosen = [
            letter
            for letter in found
            if exporter in (letter.subscriber, letter.subscriber.removeprefix("exporters/").rpartition(":")[0])
        ]
        if not chosen:
            have = sorted({letter.subscriber for letter in found})
            raise NotPossible(f'"{exporter}" has no dead letters', have)
        return chosen

    def read(self, wanted: str) -> "DeadLetter":
        """The letter with an id; raises NotPossible."""
        from airis.storage.wal.format import NotOurs, WrongVersion
        from airis.storage.wal.operations import NotPossible

        name = self.name_of(wanted)
        try:
            return self._dead.read(name)
        except (NotOurs, WrongVersion, ValueError, KeyError) as error:
            raise NotPossible(f'the dead letter "{name}" cannot be read: {error}') from error

    def name_of(self, wanted: str) -> str:
        """The file of a letter; raises NotPossible."""
        from airis.storage.wal.operations import NotPossible

        if wanted in self._names:
            return wanted
        found = [name for name in self._names if wanted and _short(name).startswith(wanted)]
        if len(found) == 1:
            return found[0]
        how = "there is no dead letter" if not found else "several dead letters begin with"
        raise NotPossible(f'{how} "{wanted}"', [self.id_of(name) for name in found or self._names])

    def chosen(self, ids: list[str] | None, everything: bool, exporter: str) -> list[str]:
        """The files of what was asked for; raises NotPossible."""
        if bool(ids) + everything + bool(exporter) != 1:
            raise typer.BadParameter("name some, or say --all, or --exporter", param_hint="ID")
        if ids:
            return [self.name_of(wanted) for wanted in ids]
        return [letter.name for letter in self.of(exporter)]

    def say_unreadable(self) -> None:
        """Say which could not be read."""
        for name, why in self._unreadable.items():
            say(f"airis: {name} cannot be read: {why}")


def _short(name: str) -> str:
    _, sequence, batch = [*name.split("-", 2), "", ""][:3]
    return f"{sequence.lstrip('0') or '0'}-{batch[:8]}"


def _facts(letter: "DeadLetter", size_bytes: int) -> dict[str, Any]:
    return {
        "exporter": letter.subscriber,
        "reason": letter.reason,
        "when": iso(letter.buried_unix_nano),
        "signal": signal_name(letter.head.signal),
        "items": letter.head.items,
        "size_bytes": size_bytes,
        "arrived": iso(letter.head.wall_unix_nano),
        "batch_id": letter.head.batch_id.hex(),
        "record": letter.head.sequence,
        "meta": meta_of(letter.meta),
        "file": f"dead/{letter.name}",
    }
