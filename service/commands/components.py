"""``airis components``: what there is to build pipelines of."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from rich.text import Text

    from airis.component import Factory, Kind

_MOST_COLUMNS = 100
_LEAST_NAME = 16
_MOST_NAME = 14
"""A longer one has a line of its own."""


class ListFormat(StrEnum):
    """How a list of things to know is written."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Installed:
    """A component type, or why it cannot be used."""

    kind: "Kind"
    type_name: str
    module: str
    distribution: str
    """The package it comes from and its version: ``airis 0.1.0``."""
    factory: "Factory | None"
    trouble: str = ""


def components(
    form: Annotated[
        ListFormat,
        typer.Option("--format", help='To read, or as "otelcol components" writes them, or the same in JSON.'),
    ] = ListFormat.TABLE,
) -> None:
    """List the components that are installed.

    Each with what it does, where it comes from, how stable it is for which signals, and how else its type is written.
    """
    from airis.service.render.rows import terminal
    from airis.service.render.yaml import to_json, to_yaml

    found = list(installed())
    if form is ListFormat.TABLE:
        console = terminal()
        for line in _page(found, min(console.width, _MOST_COLUMNS)):
            console.print(line, soft_wrap=True)
    else:
        document = _document(found)
        typer.echo(to_yaml(document) if form is ListFormat.YAML else to_json(document), nl=False)


def installed() -> "Iterator[Installed]":
    """All types by kind and name; one that cannot be imported is there with the reason."""
    from importlib.metadata import entry_points

    from airis.component import Kind

    for kind in Kind:
        for entry in sorted(entry_points(group=f"airis.{kind.section}"), key=lambda e: e.name):
            yield _load(kind, entry)


def _load(kind: "Kind", entry: "EntryPoint") -> Installed:
    from airis.component import load

    distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
    try:
        factory = load(kind, entry.name)
    except (ImportError, AttributeError) as error:  # what another package brings may not fit this one
        return Installed(kind, entry.name, entry.module, distribution, None, str(error))
    return Installed(kind, entry.name, entry.module, distribution, factory)


def _page(found: list[Installed], width: int) -> "Iterator[Text]":
    """Name and summary in two columns, and below the summary what else is known."""
    from rich.text import Text

    from airis import __version__
    from airis.component import Kind
    from airis.service.render.rows import one_line

    column = max(_LEAST_NAME, *(len(one.type_name) + 4 for one in found if len(one.type_name) <= _MOST_NAME))
    own = f"airis {__version__}"
    yield Text(own)
    for kind in Kind:
        of_kind = [one for one in found if one.kind is kind]
        if of_kind:
            yield Text("")
            yield Text(kind.section.capitalize(), style="bold")
        for one in of_kind:
            lead = f"  {one.type_name:<{column - 2}}"
            if len(lead) > column:
                yield Text(lead, style="cyan")
                lead = " " * column
            said = one.factory.summary if one.factory else f"cannot be loaded: {one.trouble}"
            style = "" if one.factory else "red"
            for number, line in enumerate(_wrapped(one_line(said), width - column)):
                text = Text(lead if number == 0 else " " * column, style="cyan" if number == 0 else "")
                yield text.append(line, style=style or "default")
            for line in _wrapped("; ".join(_facts(one, own)), width - column):
                yield Text(" " * column + line, style="dim")


def _facts(one: Installed, own: str) -> list[str]:
    from airis.service.reference import also_written, stability_in_words

    levels = stability_in_words(one.factory) if one.factory else ""
    others = also_written(one.factory) if one.factory else []
    return [
        *([levels] if levels else []),
        *([f"also written {', '.join(others)}"] if others else []),
        one.module if one.distribution == own else f"{one.module} from {one.distribution}",
    ]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 30), break_long_words=False, break_on_hyphens=False)


def _document(found: list[Installed]) -> dict[str, Any]:
    """The form of ``otelcol components``, and more of each component."""
    from airis import __doc__ as description
    from airis import __version__
    from airis.component import Kind
    from airis.config.providers import SCHEMES

    return {
        "buildinfo": {"command": "airis", "description": description, "version": __version__},
        **{kind.section: [_described(one) for one in found if one.kind is kind] for kind in Kind},
        "providers": [{"scheme": scheme} for scheme in SCHEMES],
    }


def _described(one: Installed) -> dict[str, Any]:
    from airis.service.reference import also_written

    described: dict[str, Any] = {
        "name": one.type_name,
        "module": one.module,
        "distribution": one.distribution,
    }
    if one.factory is None:
        return described | {"error": one.trouble}
    levels = {signal.value: level for signal, level in one.factory.stability.items()}
    levels |= {f"{taken}-to-{given}": level for (taken, given), level in one.factory.conversions.items()}
    return described | {
        "summary": one.factory.summary,
        "also_written": also_written(one.factory),
        "stability": {what: level.capitalize() for what, level in levels.items()},
    }
