"""Faults on purpose: they come where and when they are asked for, and a word that is none is refused."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airis.component import failpoints

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch):
    """Ask for faults, as the environment would."""

    def ask(text: str) -> None:
        monkeypatch.setattr(failpoints, "_actions", failpoints.parse(text))
        failpoints._passed.clear()

    return ask


def failures(name: str, times: int) -> list[int]:
    """At which of so many times it failed."""
    found: list[int] = []
    for number in range(1, times + 1):
        try:
            failpoints.passed(name)
        except OSError as error:
            found += [number] if error.errno == errno.EIO and name in str(error) else [-1]
    return found


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", []),
        ("wal.sync=EIO", [1, 2, 3, 4]),
        ("wal.sync=EIO@2", [2]),
        ("wal.sync=EIO@3+", [3, 4]),
        ("wal.write=EIO, wal.sync=EIO@1", [1]),
        ("wal.write=EIO", []),
        ("wal.sync=sleep:0", []),
    ],
)
def test_an_error_comes_at_the_times_asked_for(ask, text: str, at: list[int]) -> None:
    ask(text)

    assert failures("wal.sync", 4) == at


@pytest.mark.parametrize(
    "text", ["wal.nowhere=EIO", "wal.sync", "wal.sync=EVERYTHING", "wal.sync=crash:3", "wal.sync=EIO@x", "wal.sync="]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=failpoints.VARIABLE):
        failpoints.parse(text)


def test_a_crash_is_as_sudden_as_a_kill() -> None:
    program = "from airis.component import failpoints; failpoints.passed('wal.write'); print('here', flush=True)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {program}"],
        env={**os.environ, failpoints.VARIABLE: "wal.write=crash@2"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    assert done.stdout == b"here\n"


def test_every_point_is_somewhere_and_every_place_has_a_point() -> None:
    folders = ("component", "storage", "exporters", "extensions")
    text = "".join(path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert sorted(re.findall(r'failpoints\.passed\("([a-z.]+)"\)', text)) == sorted(failpoints.POINTS)
