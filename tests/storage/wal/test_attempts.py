"""Who is tried alone, and who waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from airis.storage.wal.attempts import Attempts

SOON_S = 20


class Course:
    """Attempts that last until they are told to end."""

    def __init__(self, longest_s: float = SOON_S) -> None:
        self.attempts = Attempts(longest_s)
        self.under_way: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Condition()

    def begin(self, name: str) -> None:
        """Suspected are those whose names begin so."""
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._one(name))

    async def _one(self, name: str) -> None:
        async with self.attempts.one(is_suspected=name.startswith("suspect")):
            await self._tell(lambda: self.under_way.append(name))
            await self._ends[name].wait()
        await self._tell(lambda: self.under_way.remove(name))

    async def _tell(self, change: Callable[[], None]) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]

    async def until(self, *names: str) -> None:
        async with self._changed, asyncio.timeout(SOON_S):
            await self._changed.wait_for(lambda: self.under_way == list(names))

    async def stays(self, *names: str) -> None:
        """Nothing that could go on does."""
        for _ in range(10):
            await asyncio.sleep(0)
        assert self.under_way == list(names)


@asynccontextmanager
async def course(longest_s: float = SOON_S) -> AsyncIterator[Course]:
    course = Course(longest_s)
    yield course
    for name in course.tasks:
        course._ends[name].set()  # pyright: ignore[reportPrivateUsage]
    await asyncio.gather(*course.tasks.values())


async def test_others_go_beside_one_another():
    async with course() as run:
        run.begin("a")
        run.begin("b")
        await run.until("a", "b")


async def test_a_suspect_waits_for_others_and_others_wait_for_all_suspects():
    async with course() as run:
        run.begin("a")
        await run.until("a")
        run.begin("suspect 1")
        run.begin("suspect 2")
        await run.stays("a")
        run.begin("b")
        await run.stays("a")
        await run.end("a")
        await run.until("suspect 1")
        await run.end("suspect 1")
        await run.until("suspect 2")
        await run.stays("suspect 2")
        await run.end("suspect 2")
        await run.until("b")


async def test_a_suspect_that_leaves_holds_nobody_up():
    async with course() as run:
        run.begin("a")
        await run.until("a")
        run.begin("suspect")
        await run.stays("a")
        run.tasks.pop("suspect").cancel()
        await run.stays("a")
        run.begin("b")
        await run.until("a", "b")


async def test_nobody_waits_for_ever():
    async with course(longest_s=0.01) as run:
        run.begin("a")
        await run.until("a")
        run.begin("suspect")
        await run.until("a", "suspect")
        run.begin("b")
        await run.until("a", "suspect", "b")
