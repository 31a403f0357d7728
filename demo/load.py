"""Load of a given rate and length, with an account of what became of every item."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airis.data import Signal
from airis.demo.payloads import Requests
from airis.demo.sender import Outcome

LONGEST_BATCHING_S = 1.0
"""A request that is not full goes out when the next item would make its first one wait longer than this."""
CATCH_UP_S = 0.1
"""After being held up, a worker makes up for so much time at most."""
STOP_GRACE_S = 2.0
"""A stopped run waits so long for answers."""


class Sending(Protocol):
    """What takes requests; `airis.demo.sender.Sender` is one."""

    async def send(self, signal: Signal, payload: bytes) -> Outcome:
        """Send until there is a final outcome."""
        ...


@dataclass(slots=True)
class Account:
    """What became of the items: sent = accepted + rejected + failed + unanswered once a run has ended."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    """Taken out by the server, which took the rest of their request."""
    failed: int = 0
    """In requests that were refused for good or given up."""
    requests: int = 0
    refusals: int = 0
    """Attempts that were refused or got no answer."""
    warnings: int = 0
    """Requests that were taken whole, with a message."""
    messages: Counter[str] = field(default_factory=Counter[str])
    """What the servers said of rejected and failed items, and how often."""

    @property
    def unanswered(self) -> int:
        """Items that a stop left without an answer: the server may have them or not."""
        return self.sent - self.accepted - self.rejected - self.failed

    @property
    def complete(self) -> bool:
        """Whether every item was accepted."""
        return self.accepted == self.sent

    def settle(self, items: int, outcome: Outcome) -> None:
        """Enter the outcome of a request with so many items."""
        self.refusals += outcome.refusals
        if outcome.message:
            self.messages[outcome.message] += 1
        if outcome.failed:
            self.failed += items
            return
        rejected = min(outcome.rejected, items)
        self.rejected += rejected
        self.accepted += items - rejected
        self.warnings += bool(outcome.message and not rejected)

    async def send(self, sender: Sending, signal: Signal, payload: bytes, items: int) -> Outcome:
        """Send a request and enter it; a cancelled one stays unanswered."""
        self.sent += items
        self.requests += 1
        outcome = await sender.send(signal, payload)
        self.settle(items, outcome)
        return outcome


class Pace:
    """When the next items are due, at so many per second; 0 is as fast as possible."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._interval_s = 1 / rate if rate else 0.0
        self._clock = clock
        self._due = clock()

    def reserve(self, items: int) -> float:
        """Seconds until so many items may go; the ones after them wait for their share of time."""
        now = self._clock()
        due = max(self._due, now - CATCH_UP_S)
        self._due = due + items * self._interval_s
        return max(0.0, due - now) if self._interval_s else 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much one worker sends."""

    units: int = 1
    """Traces, metrics or log records; without meaning when there is a duration."""
    duration_s: float = 0.0
    """How long it goes on instead of counting; ``math.inf`` until stopped."""
    rate: float = 0.0
    """Items per second; 0 is as fast as the server takes them."""
    batch_items: int = 100
    """Items in a request, at least one unit."""
    stop_on_failure: bool = True
    """Whether the first request that fails for good ends the run."""


async def pause(seconds: float, stopping: asyncio.Event, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Sleep, but not beyond a stop."""
    if seconds <= 0:
        return
    sleeping = asyncio.ensure_future(sleep(seconds))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({sleeping, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sleeping.cancel()
        stopped.cancel()


class Load:
    """Workers that make requests and send them, each with one request under way."""

    def __init__(
        self,
        plan: Plan,
        workers: Sequence[Requests],
        sender: Sending,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._sender = sender
        self._clock = clock
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self.account = Account()

    def stop(self) -> None:
        """Let no worker make more; `run` returns when the answers under way are there, or after two seconds."""
        self._stopping.set()

    async def run(self) -> Account:
        """Send what the plan says, or what is sent until `stop`."""
        tasks = [asyncio.create_task(self._work(worker)) for worker in self._workers]
        all_done = asyncio.ensure_future(asyncio.wait(tasks))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({all_done, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({all_done}, timeout=STOP_GRACE_S)
        finally:
            for task in (all_done, stopped, *tasks):
                task.cancel()
            finished = await asyncio.gather(*tasks, return_exceptions=True)
        for result in finished:
            if isinstance(result, Exception):
                raise result
        return self.account

    async def _work(self, requests: Requests) -> None:
        plan = self._plan
        pace = Pace(plan.rate, self._clock)
        ends_at = self._clock() + plan.duration_s if plan.duration_s else math.inf
        units_left = math.inf if plan.duration_s else plan.units
        pending, pending_since = 0, 0.0
        while units_left > 0 and not self._stopping.is_set():
            wait_s = pace.reserve(requests.unit_items)
            due = self._clock() + wait_s
            if pending and due > min(pending_since + LONGEST_BATCHING_S, ends_at):
                await self._flush(requests, pending)
                pending = 0
            if due >= ends_at:
                return
            if wait_s:
                await pause(due - self._clock(), self._stopping, self._sleep)
                if self._stopping.is_set():
                    break
            requests.add()
            pending_since = pending_since if pending else self._clock()
            pending += requests.unit_items
            units_left -= 1
            if pending >= plan.batch_items:
                await self._flush(requests, pending)
                pending = 0
        if pending:
            await self._flush(requests, pending)

    async def _flush(self, requests: Requests, items: int) -> None:
        outcome = await self.account.send(self._sender, requests.signal, requests.take(), items)
        if outcome.failed and self._plan.stop_on_failure:
            self._stopping.set()


def summary(account: Account, signal: Signal, seconds: float) -> str:
    """The account as lines of text."""
    rate = account.sent / seconds if seconds else 0.0
    items = _count(account.sent, "data points" if signal is Signal.METRICS else signal.item.replace("_", " "))
    lines = [f"{signal}: {items} in {_count(account.requests, 'requests')}, {seconds:.1f} s, {rate:.0f} per second"]
    rows = [("accepted", account.accepted), ("rejected", account.rejected), ("failed", account.failed)]
    if account.unanswered:
        rows.append(("unanswered", account.unanswered))
    width = len(str(account.sent))
    lines += [f"  {name:<11}{count:>{width}}" for name, count in rows]
    if account.refusals:
        lines.append(f"  refused and sent again or given up: {account.refusals} attempts")
    lines += [f"  {count} x {message}" for message, count in account.messages.most_common(5)]
    return "\n".join(lines)


def _count(number: int, things: str) -> str:
    return f"{number} {things.removesuffix('s') if number == 1 else things}"
