"""The documentation leads somewhere. Its SQL runs in tests/storage/test_schema.py, its commands in test_readme.py."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airis.config.errors import RULES

from .running import AIRIS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)")


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ +(.*?) *$", CODE.sub(lambda code: code[0].strip("`"), page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue  # somewhere else
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_heading(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_the_folders_that_contributors_are_shown_are_all_there_are() -> None:
    table = re.findall(r"^\| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    shown = {folder for row in table for folder in re.findall(r"`(\w+)/`", row)}
    folders = {path.name for path in (ROOT / "src/airis").iterdir() if path.is_symlink()}

    assert folders - shown == set()
    assert {folder for folder in shown if not (ROOT / folder).is_dir()} == set()


def test_the_configuration_on_the_page_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/config.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "airis.yaml").write_text(example)

    answer = subprocess.run([AIRIS, "validate", "-c", tmp_path / "airis.yaml"], capture_output=True, check=False)

    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")


def test_every_rule_of_the_configuration_is_on_its_page() -> None:
    page = (ROOT / "docs/config.md").read_text()

    assert dict(re.findall(r"^\| `([a-z][a-z-]+)` \| (.*) \|$", page, re.MULTILINE)) == dict(RULES)
