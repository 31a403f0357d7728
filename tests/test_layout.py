"""The links in src/airis are the Python folders at the root, and the examples, which the package has as data."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_IMPORTED = {"tests", "benchmarks", "examples", "docs", "web", "rust", "src"}
DATA = {"examples"}


def test_every_root_folder_imports_as_airis() -> None:
    folders = {p.name for p in ROOT.iterdir() if any(p.glob("*.py"))} - NOT_IMPORTED
    links = {p.name: p.resolve() for p in (ROOT / "src/airis").iterdir() if p.is_symlink()}

    assert links == {name: ROOT / name for name in folders | DATA}


def test_the_type_checker_sees_every_folder() -> None:
    links = {f"src/airis/{p.name}" for p in (ROOT / "src/airis").iterdir() if p.is_symlink()}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert set(settings["tool"]["pyright"]["include"]) == {"src", *links} - {f"src/airis/{name}" for name in DATA}
