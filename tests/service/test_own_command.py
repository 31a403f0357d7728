"""What a person types to reach airis from another terminal."""

import os
import sys
from pathlib import Path

import pytest

from airis.service.commands.options import own_command


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment's folder that is not on the path, with an airis in it; the working directory is above."""
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    (folder / "airis").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return folder


def test_its_name_where_it_is_on_the_path(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}/usr/bin")

    assert own_command() == "airis"


def test_the_path_from_here_where_it_is_not(beside: Path) -> None:
    assert own_command() == ".venv/bin/airis"


def test_the_whole_path_from_elsewhere(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = beside / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert own_command() == str(beside / "airis")


def test_the_interpreter_where_the_script_is_missing(beside: Path) -> None:
    (beside / "airis").unlink()

    assert own_command() == f"{beside}/python -m airis"
