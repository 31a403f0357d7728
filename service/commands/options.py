"""Options that several commands share."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="AIRIS_CONFIG",
        show_envvar=True,
        help="The pipeline configuration; without one the built-in default.",
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
