"""``airis version``: what runs here."""

import os
from pathlib import Path
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

        reason = slow_because()
        typer.echo(f"kernels {kernels.backend}" + (f": {reason}" if reason else ""))
        typer.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")


def slow_because() -> str | None:
    """Why the slower reference kernels work, and what makes it the native ones; None when these do."""
    import airis
    from airis.data import kernels

    if kernels.backend == "native":
        return None
    if os.environ.get("AIRIS_KERNELS") == "reference":
        return "AIRIS_KERNELS asks for the slower ones"
    in_a_clone = Path(airis.__file__).with_name("receivers").is_symlink()
    again = "make clean install" if in_a_clone else "pip install --force-reinstall --no-cache-dir airis"
    return f'airis was installed without its Rust core; for full speed put cargo on the PATH and run "{again}"'
