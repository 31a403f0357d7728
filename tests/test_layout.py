"""The links in src/airis and the Python folders at the root are the same set."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_IMPORTED = {"tests", "benchmarks", "examples", "docs", "web", "rust", "src"}


def test_every_root_folder_imports_as_airis() -> None:
    folders = {p.name for p in ROOT.iterdir() if any(p.glob("*.py"))} - NOT_IMPORTED
    links = {p.name: p.resolve() for p in (ROOT / "src/airis").iterdir() if p.is_symlink()}

    assert links == {name: ROOT / name for name in folders}
