"""Options that several commands share."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from airis.config import Sources

ConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="The pipeline configuration; without one the built-in default. Repeatable: later ones are merged over "
        "earlier ones. Also a folder, or file:…, env:…, yaml:…, https:… [env var: AIRIS_CONFIG, one in each line]",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One option over all files, as a.b.c=value; repeatable. [env var: AIRIS_SET, one in each line]",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="AIRIS_DATA_DIR",
        show_envvar=True,
        help="Where airis keeps its data.",
        show_default="~/.local/share/airis",
    ),
]


def sources(config: Sequence[str] | None, sets: Sequence[str] | None = None) -> "Sources":
    """What was named on the command line, else in the environment."""
    from airis.config import Sources

    return Sources(tuple(config or _lines("AIRIS_CONFIG")), tuple(sets or _lines("AIRIS_SET")))


def _lines(variable: str) -> list[str]:
    return [line for line in os.environ.get(variable, "").splitlines() if line.strip()]


def data_directory(chosen: Path | None) -> Path:
    """The chosen data directory, or the user's default one (XDG base directory specification)."""
    if chosen is not None:
        return chosen.expanduser().absolute()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "airis"


def own_command() -> str:
    """How to type ``airis`` in another terminal: who said "make run" does not have it on the path there."""
    if shutil.which("airis"):
        return "airis"
    path = Path(sys.executable).with_name("airis")
    if not path.exists():
        return f"{shlex.quote(sys.executable)} -m airis"
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
