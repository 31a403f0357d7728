"""A bulkhead: how many requests are under way at once, fixed or found out from how long they take."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Self

from pydantic import Field, model_validator

from airis.component.config import Config, Duration
from airis.component.errors import Retryable
from airis.component.sending.breaker import CircuitOpen
from airis.component.telemetry import Telemetry

SMOOTHING = 0.4
"""Weight of the newest request in the mean time of requests, and in how far they stray from it."""
DEVIATIONS = 2.5
"""A request that takes so many deviations longer than the mean says that there is too much under way."""
DECREASE = 0.9


class BulkheadConfig(Config):
    """How many requests are under way at once."""

    max_concurrency: int = Field(default=10, ge=1, description="Most requests at once.")
    min_concurrency: int = Field(
        default=0,
        ge=0,
        description="Least requests at once where their number is found out: it grows by one while requests take their "
        "usual time, and shrinks by a tenth when they take longer or fail. 0: always max_concurrency.",
    )
    acquire_timeout: Duration = Field(
        default=5.0, ge=0, description="Longest wait for a place before the sender is told to try again; 0: for ever."
    )
    max_waiting: int = Field(
        default=0, ge=0, description="Most who wait for a place; who comes then is told so at once. 0: without a limit."
    )

    @model_validator(mode="after")
    def _room_between(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise ValueError(
                f"min_concurrency ({self.min_concurrency}) is over max_concurrency ({self.max_concurrency})"
            )
        return self


class NoPlace(Retryable):
    """Too much is under way; nothing was sent."""


class Bulkhead:
    """Places for requests; who waits for one gets it in order."""

    def __init__(
        self, config: BulkheadConfig, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._clock = clock
        self._is_adaptive = bool(config.min_concurrency)
        self.limit = float(config.min_concurrency or config.max_concurrency)
        """Places, of which the whole ones count."""
        self._taken = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._mean: float | None = None
        self._deviation = 0.0
        self._last_decrease = float("-inf")
        telemetry.gauge(
            "airis_concurrency_limit", "{request}", "Most requests at once, now.", lambda: float(int(self.limit))
        )
        telemetry.gauge(
            "airis_concurrency_waiting", "{request}", "Those that wait for a place.", lambda: float(len(self._waiting))
        )

    @property
    def under_way(self) -> int:
        """Requests that have a place."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """Around a request; raises NoPlace where none becomes free in time."""
        await self._acquire()
        started, was_full = self._clock(), self._taken >= int(self.limit)
        try:
            yield
        except CircuitOpen:
            raise  # nothing was sent, and nothing is learned
        except Retryable:
            self._learn(started, was_full, failed=True)
            raise
        else:
            self._learn(started, was_full, failed=False)
        finally:
            self._release()

    async def _acquire(self) -> None:
        if self._taken < int(self.limit) and not self._waiting:
            self._taken += 1
            return
        if self._config.max_waiting and len(self._waiting) >= self._config.max_waiting:
            raise NoPlace(f"{len(self._waiting)} requests wait already", 1.0)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        try:
            async with asyncio.timeout(self._config.acquire_timeout or None):
                await waiter
        except BaseException as error:
            self._waiting.pop(waiter, None)
            if waiter.done() and not waiter.cancelled():
                self._release()  # it was given a place at the same moment
            if isinstance(error, TimeoutError):
                raise NoPlace(f"no place became free within {self._config.acquire_timeout:g}s", 1.0) from error
            raise

    def _release(self) -> None:
        self._taken -= 1
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._taken < int(self.limit):
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                self._taken += 1
                waiter.set_result(None)

    def _learn(self, started: float, was_full: bool, *, failed: bool) -> None:
        if not self._is_adaptive:
            return
        now = self._clock()
        took = now - started
        mean = self._mean
        is_slow = mean is not None and took > mean + DEVIATIONS * self._deviation and took > 1.05 * mean
        if failed or is_slow:
            # Once for all that were under way together: they tell of the same moment.
            if started >= self._last_decrease:
                self.limit = max(float(self._config.min_concurrency), self.limit * DECREASE)
                self._last_decrease = now
        elif was_full:
            self.limit = min(float(self._config.max_concurrency), self.limit + 1 / int(self.limit))
            self._let_in()
        if failed:
            return
        if mean is None:
            self._mean = took
        else:
            self._deviation += SMOOTHING * (abs(took - mean) - self._deviation)
            self._mean = mean + SMOOTHING * (took - mean)
