"""``airis graph``: how the components of a configuration are connected."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from airis.service.commands.options import ConfigOption, SetOption, sources


class GraphFormat(StrEnum):
    """How a graph is written."""

    TREE = "tree"
    DOT = "dot"
    MERMAID = "mermaid"


def graph(
    config: ConfigOption = None,
    sets: SetOption = None,
    form: Annotated[
        GraphFormat,
        typer.Option(
            "--format",
            help='For the terminal, for Graphviz ("airis graph --format dot | dot -Tsvg") or for '
            "Markdown, in which GitHub draws Mermaid.",
        ),
    ] = GraphFormat.TREE,
) -> None:
    """Draw the pipelines: receivers, processors, exporters.

    A double arrow is a connector, which hands on from one pipeline to others.
    """
    from airis.service.commands.run import load_or_exit
    from airis.service.render import pipelines
    from airis.service.render.rows import terminal

    configuration = load_or_exit(sources(config, sets), quiet=True)
    if form is GraphFormat.DOT:
        typer.echo(pipelines.dot(configuration), nl=False)
    elif form is GraphFormat.MERMAID:
        typer.echo(pipelines.mermaid(configuration), nl=False)
    else:
        console = terminal()
        for line in pipelines.tree(configuration, console.width):
            console.print(pipelines.plain(line, sys.stdout.encoding), soft_wrap=True)
