"""Files of the configuration are looked at again and again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airis.service.watch import Watch


class Looking:
    """A watch that looks when it is told to, and how often it told of a change."""

    def __init__(self, *files: Path) -> None:
        self.told = 0
        self._asked = asyncio.Semaphore(0)
        self._sleeps = asyncio.Semaphore(0)
        self.task = asyncio.create_task(Watch(lambda: files, self._sleep).run(self._tell))

    def _tell(self) -> None:
        self.told += 1

    async def _sleep(self, _seconds: float) -> None:
        self._sleeps.release()
        await self._asked.acquire()

    async def look(self, times: int = 2) -> int:
        """How often a change was told after so many more looks."""
        for _ in range(times):
            await self._sleeps.acquire()
            self._asked.release()
        await self._sleeps.acquire()  # the last look is over
        self._sleeps.release()
        return self.told


@pytest.fixture
async def looking(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("one")
    (tmp_path / "parts").mkdir()
    looking = Looking(tmp_path / "a.yaml", tmp_path / "parts")
    yield looking
    looking.task.cancel()


async def test_what_stays_the_same_is_not_told(looking: Looking) -> None:
    assert await looking.look(5) == 0


async def test_a_change_is_told_once(looking: Looking, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("two")

    assert await looking.look(5) == 1


async def test_a_file_that_is_being_written_is_waited_for(looking: Looking, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("t")
    assert await looking.look(1) == 0
    (tmp_path / "a.yaml").write_text("two")
    assert await looking.look(1) == 0

    assert await looking.look(1) == 1


async def test_files_that_come_and_go_are_changes(looking: Looking, tmp_path: Path) -> None:
    (tmp_path / "parts/b.yaml").write_text("")
    assert await looking.look() == 1
    (tmp_path / "a.yaml").unlink()
    assert await looking.look() == 2


async def test_a_link_that_is_exchanged_is_a_change(tmp_path: Path) -> None:
    """As in a ConfigMap volume."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text(name)
    (tmp_path / "data").symlink_to("old")
    with watched(tmp_path / "data/a.yaml") as looking:
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").rename(tmp_path / "data")

        assert await looking.look() == 1


@contextmanager
def watched(path: Path) -> Iterator[Looking]:
    looking = Looking(path)
    try:
        yield looking
    finally:
        looking.task.cancel()
