"""``airis ottl``: statements of the transformation language tried out, and which way they go."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from airis.service.commands.look import SETTINGS, Command, Commands
from airis.service.render.rows import json_line, one_line, printable, say, write_bytes

if TYPE_CHECKING:
    from airis.ottl.explaining import Explanation
    from airis.ottl.playground import Sample
    from airis.ottl.syntax import OttlError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
    help="Try statements and conditions of the transformation language (OTTL), and see how they are carried out.",
)

CONTEXTS = ("resource", "scope", "span", "spanevent", "spanlink", "metric", "datapoint", "exemplar", "log")


def _contexts() -> list[str]:
    return list(CONTEXTS)


class Output(StrEnum):
    """What is written to stdout."""

    TEXT = "text"
    OTLP = "otlp"


TextArgument = Annotated[
    str, typer.Argument(metavar="STATEMENT", help="A statement, such as 'set(span.name, \"x\")', or a condition.")
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        autocompletion=_contexts,
        help="What paths belong to: span, log, datapoint, …; by default what they say, else the items.",
    ),
]


def explain(text: TextArgument, context: ContextOption = None) -> None:
    """Say whether a statement is done to all items at once or item by item, and what prevents it.

    Exit code 2: it cannot be used.
    """
    from airis.ottl.explaining import context_of, explained
    from airis.ottl.syntax import OttlError

    try:
        found = explained(text, context_of(text, _known(context)))
    except OttlError as error:
        _fail(error)
    write_bytes("".join(f"{line}\n" for line in _explanation(text, found)).encode())


def _explanation(text: str, found: "Explanation") -> Sequence[str]:
    lines = [printable(text), f"  context  {found.context}"]
    if found.reason:
        lines.append(f"  runs     item by item: {one_line(found.reason)}")
        return [*lines, *(f"           {printable(line)}" for line in found.part.splitlines())]
    lines.append("  runs     with the kernels, on all items of a batch at once")
    lines += [f"  edit     {one_line(edit)}" for edit in found.edits]
    if found.is_statement and not found.edits:
        lines.append("  edit     none: nil changes nothing")
    if not found.is_sure:
        lines.append("  unless   an item of the batch could fail or come out otherwise: then item by item")
    return lines


def run(
    text: TextArgument,
    input_: Annotated[
        str,
        typer.Option("--input", "-i", metavar="FILE", help="A request in OTLP/JSON; - is stdin.", show_default=False),
    ],
    context: ContextOption = None,
    output: Annotated[
        Output, typer.Option("--output", help="What becomes of each item, or the whole request in OTLP/JSON.")
    ] = Output.TEXT,
) -> None:
    """Carry a statement out on a request in a file, or ask a condition, and show each item before and after.

    Nothing is sent anywhere. Exit codes: 1 the file cannot be read, 2 the statement cannot be used.
    """
    from airis.data import kernels
    from airis.ottl.explaining import context_of
    from airis.ottl.playground import tried
    from airis.ottl.syntax import OttlError

    sample = _sample(input_)
    try:
        outcome = tried(text, context_of(text, _known(context), sample.signal), sample)
    except OttlError as error:
        _fail(error)
    if output is Output.OTLP:
        write_bytes(json_line(kernels.to_json(sample.signal, outcome.payload)))
        return
    for result in outcome.results:
        lines = [f"{result.name}: {result.answer}", *(f"  {line}" for line in result.lines)]
        write_bytes("".join(f"{one_line(line)}\n" for line in lines).encode())


def _sample(name: str) -> "Sample":
    from airis.ottl.playground import NoSample, Sample

    try:
        return Sample.read(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        say(f"{name}: {error.strerror}")
    except NoSample as error:
        say(f"{name}: {error}")
    raise typer.Exit(1)


def _known(context: str | None) -> str | None:
    if context is not None and context not in CONTEXTS:
        raise typer.BadParameter(f'there is no "{context}", but {", ".join(CONTEXTS)}', param_hint="--context")
    return context


def _fail(error: "OttlError") -> NoReturn:
    say(f"{error}\n{error.pointed_out()}")
    raise typer.Exit(2)


for command in (explain, run):
    app.command(cls=Command)(command)
