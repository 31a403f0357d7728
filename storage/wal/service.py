"""The log for coroutines: one thread works on it, and writes what came meanwhile together (group commit)."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from airis.storage.wal.attempts import Attempts
from airis.storage.wal.log import Log, Put

log = structlog.get_logger("airis.wal")

T = TypeVar("T")

GROUP_BYTES = 4 * 1024 * 1024
"""Written together at most, but for a single batch that is larger."""
COLLECT_S = 1.0
"""How often is looked for segments to delete, also while nothing is delivered."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a log has, as it was seen last."""

    size_bytes: int = 0
    """Of all segments."""
    dead_letters: int = 0
    dead_bytes: int = 0
    owed: Mapping[str, int] = field(default_factory=dict[str, int])
    """Items by subscriber."""


class _Job:
    """Work for the thread, and who waits for it."""

    __slots__ = ("loop", "put", "waiter", "work")

    def __init__(self, work: Callable[[], object] | None, put: Put | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiter: asyncio.Future[object] = self.loop.create_future()
        self.work = work
        self.put = put


class LogService:
    """Runs a log in a thread of its own. A caller that leaves does not undo what it asked for."""

    def __init__(self, log: Log, collect_s: float = COLLECT_S) -> None:
        """`collect_s` is how often is looked for segments to delete."""
        self.log = log
        self._collect_s = collect_s
        self._collected = 0.0
        self.attempts = Attempts()
        """Of all who deliver what is in the log."""
        self.holdings = Holdings()
        """About a second old at the most; of any thread."""
        self._dead: list[str] = []
        self._is_open = False
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Open the log; raises WrongVersion, OSError."""
        self._thread = threading.Thread(target=self._work, name="wal", daemon=True)
        self._thread.start()
        await self.run(self._open)

    def _open(self) -> None:
        self.log.open()
        self._is_open = True  # what could not be opened is not tidied up either
        self._look()

    async def put(self, put: Put) -> None:
        """Return when the batch is in the log for good; raises Full, OSError, and then it is not."""
        await self.writing(put)

    def writing(self, put: Put) -> "asyncio.Future[object]":
        """The same for one who may leave, and is to know what became of it all the same."""
        return self._submit(_Job(None, put))

    async def run(self, work: Callable[[], T]) -> T:
        """Do something with the log, and give or raise what it does."""
        return await self._submit(_Job(work, None))  # type: ignore[return-value]

    async def close(self) -> None:
        """Finish what was asked for, and close the log."""
        if self._thread is None:
            return
        with self._changed:
            if not self._is_closing:
                self._is_closing = True  # nobody comes behind the last piece of work
                self._jobs.append(_Job(self.log.close, None))
                self._changed.notify()
        await asyncio.to_thread(self._thread.join)
        self._thread = None

    def _submit(self, job: _Job) -> "asyncio.Future[object]":
        with self._changed:
            if self._is_closing or self._thread is None:
                raise OSError("the log is closed")
            self._jobs.append(job)
            self._changed.notify()
        return job.waiter

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._jobs and not self._is_closing:
                    self._changed.wait(self._collect_s or COLLECT_S)
                if not self._jobs and self._is_closing:
                    return
                jobs = self._next_jobs() if self._jobs else []
            outcomes = self._do(jobs)
            loops = {job.loop for job in jobs}
            for loop in loops:
                answers = [(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True) if job.loop is loop]
                try:
                    loop.call_soon_threadsafe(_answer, answers)
                except RuntimeError:
                    continue  # the loop is closed, nobody waits
            self._collect()

    def _collect(self) -> None:
        now = time.monotonic()
        if not self._is_open or self._is_closing or now < self._collected + self._collect_s:
            return
        self._collected = now
        try:
            self.log.collect()
            self._look()
        except Exception as error:  # the thread must not end; it is tried again
            log.error("the log could not be tidied up", error=str(error))

    def _look(self) -> None:
        names = self.log.dead.names()
        dead_bytes = self.holdings.dead_bytes if names == self._dead else self.log.dead.size_bytes
        self._dead = names
        owed = {name: subscriber.owed.items for name, subscriber in self.log.subscribers.items()}
        self.holdings = Holdings(self.log.size_bytes, len(names), dead_bytes, owed)

    def _next_jobs(self) -> list[_Job]:
        """A single piece of work, or all puts that stand next, up to the size of a group."""
        jobs = [self._jobs.popleft()]
        if jobs[0].put is None:
            return jobs
        size = len(jobs[0].put.payload)
        while self._jobs and (put := self._jobs[0].put) is not None:
            size += len(put.payload)
            if size > GROUP_BYTES:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    def _do(self, jobs: list[_Job]) -> list[object]:
        if not jobs:
            return []
        try:
            work = jobs[0].work
            if work is not None:
                return [work()]
            return list(self.log.put([job.put for job in jobs if job.put is not None]))
        except BaseException as error:
            return [error] * len(jobs)


def _answer(answers: list[tuple[_Job, object]]) -> None:
    for job, outcome in answers:
        if job.waiter.done():
            continue
        if isinstance(outcome, BaseException):
            job.waiter.set_exception(outcome)
        else:
            job.waiter.set_result(outcome)
