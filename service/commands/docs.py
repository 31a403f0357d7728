"""``airis docs``: the pages that are made from the code."""

from pathlib import Path
from typing import Annotated

import typer


def docs(
    directory: Annotated[Path, typer.Option("--dir", help="The folder of the pages.")] = Path("docs"),
    write: Annotated[bool, typer.Option("--write", help="Write the pages.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail if a page is not what the code says.")] = False,
) -> None:
    """Print, write or check the reference pages made from the code."""
    from airis.service.reference import pages

    stale: list[Path] = []
    for name, text in pages().items():
        path = directory / name
        if write:
            path.write_text(text)
        elif check:
            if not path.exists() or path.read_text() != text:
                stale.append(path)
        else:
            typer.echo(text)
    if stale:
        typer.echo(f"not what the code says: {', '.join(map(str, stale))}; run: make docs", err=True)
        raise typer.Exit(1)
