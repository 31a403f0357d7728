"""``airis validate``: is a configuration right, without starting it."""

import typer

from airis.service.commands.options import ConfigOption


def validate(config: ConfigOption = None) -> None:
    """Check a configuration and start nothing: silent and 0 when it is right, else every error and 2."""
    from airis.component import StartError
    from airis.component.telemetry import Metrics
    from airis.service.commands.run import load_or_exit
    from airis.service.graph import Graph

    configuration = load_or_exit(config)
    try:
        Graph(configuration, Metrics())
    except StartError as error:
        typer.echo(f"{configuration.source}: {error}", err=True)
        raise typer.Exit(2) from None
