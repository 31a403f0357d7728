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
    from airis.service.reference import is_ours, pages

    made = pages()
    there = [str(path.relative_to(directory)) for path in directory.rglob("*.md")]
    left_over = [directory / name for name in there if is_ours(name) and name not in made]
    if write:
        for name, text in made.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        for path in left_over:
            path.unlink()
    elif check:
        stale = [directory / name for name, text in made.items() if _read(directory / name) != text]
        if stale or left_over:
            wrong = ", ".join(map(str, sorted(stale + left_over)))
            typer.echo(f"not what the code says: {wrong}; run: make docs", err=True)
            raise typer.Exit(1)
    else:
        typer.echo("\n".join(made.values()), nl=False)


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
