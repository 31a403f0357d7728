"""The demo shop on a stage: its past is sent at once, its present as it happens."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from airis.data import Batch, Signal
from airis.demo.load import STOP_GRACE_S, Account, Sending, pause
from airis.demo.sender import Outcome
from airis.demo.shop import Shop
from airis.demo.visits import SECONDS

HISTORY_STEP_S = 10
LIVE_STEP_S = 1.0
REQUESTS_UNDER_WAY = 6


class Play:
    """Sends what a shop reports; `account` says what became of it, for each signal."""

    def __init__(
        self,
        shop: Shop,
        sender: Sending,
        *,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._shop = shop
        self._sender = sender
        self._clock = clock
        self._sleep = sleep
        self._stopping = asyncio.Event()
        self._sends: set[asyncio.Task[Outcome]] = set()
        self._began = clock()
        self.account = {signal: Account() for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)}

    @property
    def seconds(self) -> float:
        """How long it has been playing."""
        return (self._clock() - self._began) / SECONDS

    def stop(self) -> None:
        """Report no more; what runs returns soon."""
        self._stopping.set()

    async def back_fill(self, start_unix_nano: int, progress: Callable[[float], None] = lambda _: None) -> int:
        """Send everything from the shop's start to the present, and give how far that went.

        ``progress`` is told the share that is done.
        """
        reached = start_unix_nano
        async with asyncio.TaskGroup() as group:
            # Up to a moment ago: while the last of it is sent, the present moves on.
            while (now := self._clock()) - reached > LIVE_STEP_S * SECONDS and not self._stopping.is_set():
                reached = min(now, reached + HISTORY_STEP_S * SECONDS)
                await self._send(self._shop.advance(reached), group)
                progress((reached - start_unix_nano) / (now - start_unix_nano))
            await self._settle()
        return reached

    async def run(self, duration_s: float = math.inf, tick: Callable[[int], None] = lambda _: None) -> None:
        """Send what happens, once a second, for so long or until `stop`; ``tick`` is told the time after each step."""
        if self._stopping.is_set():
            return
        ends_at = self._clock() + duration_s * SECONDS
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set() and self._clock() < ends_at:
                await pause(LIVE_STEP_S, self._stopping, self._sleep)
                now = self._clock()
                await self._send(self._shop.advance(now), group)
                tick(now)
            await self._send(self._shop.advance(self._clock(), last=True), group, last=True)
            await self._settle()

    async def _send(self, batches: list[Batch], group: asyncio.TaskGroup, *, last: bool = False) -> None:
        """Begin to send; waits only while too many requests are under way. A stop keeps back all but the last."""
        for batch in batches:
            while len(self._sends) >= REQUESTS_UNDER_WAY and not self._stopping.is_set():
                await self._any_answer()
            if self._stopping.is_set() and not last:
                return
            account = self.account[batch.signal]
            task = group.create_task(account.send(self._sender, batch.signal, batch.payload, batch.items))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)
        # A step of simulated history takes no time in which the requests would get going.
        await asyncio.sleep(0)

    async def _any_answer(self) -> None:
        """Return with the next answer, or with a stop."""
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stopped, *self._sends}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _settle(self) -> None:
        """Wait for all answers; once stopped, no longer than the grace."""
        while self._sends and not self._stopping.is_set():
            await self._any_answer()
        if self._sends:
            _, late = await asyncio.wait(self._sends, timeout=STOP_GRACE_S)
            for task in late:
                task.cancel()
