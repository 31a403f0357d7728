"""``airis print-config``: the configuration that would run."""

import typer

from airis.service.commands.options import ConfigOption


def print_config(config: ConfigOption = None) -> None:
    """Print the configuration: the built-in default, or the file as it is written."""
    from airis.config import default_text
    from airis.service.commands.run import load_or_exit

    load_or_exit(config)
    typer.echo(default_text() if config is None else config.read_text(), nl=False)
