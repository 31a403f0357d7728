"""What the commands about a write-ahead log share: which log, how to print, and what is said when it cannot be."""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airis.service.commands.options import data_directory
from airis.service.render.rows import one_line, say

if TYPE_CHECKING:
    from airis.data import Signal
    from airis.service.log_place import LogPlace

StorageOption = Annotated[
    str,
    typer.Option("--storage", metavar="ID", help="Of several file_storage extensions the one whose log is meant."),
]
LogDirectoryOption = Annotated[
    Path | None,
    typer.Option(
        "--directory", metavar="DIR", help="The directory of a log, in place of the one that the configuration names."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class LogFormat(StrEnum):
    """How facts about a log are written to stdout."""

    TABLE = "table"
    JSON = "json"


class ContentFormat(StrEnum):
    """How records are written to stdout."""

    TABLE = "table"
    JSON = "json"
    OTLP_JSON = "otlp-json"


LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option("--format", help="How to print; by default a table on a terminal and JSON into a pipe."),
]
ContentFormatOption = Annotated[
    ContentFormat | None,
    typer.Option(
        "--format",
        help='How to print; by default a table on a terminal and JSON into a pipe. "otlp-json" is what was sent, a '
        "request on a line.",
    ),
]


def on_terminal(given: LogFormat | ContentFormat | None) -> str:
    """The format asked for, or the one that fits where stdout goes."""
    return given or (LogFormat.TABLE if sys.stdout.isatty() else LogFormat.JSON)


@contextmanager
def log_at(
    config: Sequence[str] | None, data_dir: Path | None, storage: str, directory: Path | None
) -> "Generator[LogPlace]":
    """The log that is meant; what cannot be done ends the command with a word about it, exit code 1."""
    from airis.service.log_place import LogUnavailable, find_log
    from airis.storage.wal.operations import NotPossible

    try:
        yield find_log(config, data_directory(data_dir), storage, directory)
    except LogUnavailable as error:
        say(f"airis: {error}")
    except NotPossible as error:
        say(f"airis: {error}")
        if error.choices:
            say("\n".join(["there are:", *(f"  {one_line(choice)}" for choice in error.choices)]))
    except OSError as error:
        say(f"airis: {error}")
    else:
        return
    raise typer.Exit(1)


def confirm(question: str, yes: bool) -> None:
    """Go on if that is wanted; without a terminal nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        say(f"airis: {question} Say --yes; there is no terminal to ask on")
        raise typer.Exit(2)
    if not typer.confirm(one_line(question)):
        say("Nothing was done")
        raise typer.Exit(1)


def so_many(number: int, what: str) -> str:
    """``1 item``, ``2 items``, ``2 batches``."""
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"


def signal_of(number: int) -> "Signal | None":
    """The signal of a record; None for a number that no airis writes."""
    from airis.component.sending.durable import SIGNALS

    return next((signal for signal, its in SIGNALS.items() if its == number), None)


def signal_name(number: int) -> str:
    """The same in words."""
    return str(signal_of(number) or f"signal {number}")


def content_of(signal: "Signal | None", payload: bytes) -> Any:
    """An OTLP request as JSON values, or what is wrong with it."""
    import orjson

    from airis.data import kernels

    if signal is None:
        return {"error": "it is of a signal that this airis does not know"}
    try:
        return orjson.loads(kernels.to_json(signal, payload))
    except (kernels.MalformedPayload, ValueError) as error:
        return {"error": f"it cannot be read: {error}"}


def meta_of(meta: bytes) -> Any:
    """What is kept of where a batch came from."""
    import orjson

    try:
        return orjson.loads(meta or b"{}")
    except ValueError:
        return meta.hex()


def write_facts(facts: Mapping[str, Any]) -> None:
    """Write names and values to stdout, one on a line."""
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {one_line(str(value))}")


def write_items(signal: "Signal | None", payload: bytes) -> None:
    """Write the items of a request as lines for a person."""
    from google.protobuf.message import DecodeError
    from rich.text import Text

    from airis.proto import otlp
    from airis.service.render.items import items_of, line
    from airis.service.render.rows import terminal

    if signal is None or not signal.is_joinable:
        say("Its items are not shown; write --format otlp-json")
        return
    try:
        message = otlp.parse(signal, payload)
    except DecodeError as error:
        say(f"airis: it cannot be read: {error}")
        return
    terminal().print(Text("\n").join(line(signal, one) for one in items_of(signal, message)), soft_wrap=True)
