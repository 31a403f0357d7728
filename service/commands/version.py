"""``airis version``: what runs here."""

from typing import Annotated

import typer


def version(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also which kernels work, and the Python.")] = False,
) -> None:
    """Print the version."""
    from airis import __version__

    typer.echo(f"airis {__version__}")
    if verbose:
        import platform

        from airis.data import kernels

        typer.echo(f"kernels {kernels.backend}")
        if kernels.backend == "reference":
            typer.echo("  for full speed: pip install --force-reinstall . with cargo on the PATH")
        typer.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
