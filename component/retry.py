"""Send again what was refused for now: the ``retry_on_failure`` section of every exporter."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

from pydantic import Field, model_validator

from airis.component.config import Config, Duration, format_duration
from airis.component.errors import Retryable
from airis.component.health import Status
from airis.component.occasional import Occasional
from airis.component.telemetry import Telemetry

LEAST_WAIT_S = 0.01
"""Intervals of 0 can be written; they must not become a loop that only burns time."""


class RetryConfig(Config):
    """Send again what was refused for now."""

    enabled: bool = Field(
        default=True,
        description="Off: a failed attempt is told to the sender at once. "
        "Without effect on a queue with `storage`, which keeps its data until it is delivered.",
    )
    initial_interval: Duration = Field(default=5.0, ge=0, description="Wait after the first failure.")
    randomization_factor: float = Field(
        default=0.5, ge=0, le=1, description="Share of a wait by which it is made longer or shorter at random."
    )
    multiplier: float = Field(default=1.5, ge=0, description="What a wait is multiplied with for the next one.")
    max_interval: Duration = Field(
        default=30.0, ge=0, description="Longest wait, but for one that the server asks for."
    )
    max_elapsed_time: Duration = Field(
        default=300.0,
        ge=0,
        description="How long a batch is tried before its sender is told to try again later; 0: for ever. Without "
        "effect on a queue with `storage`, which keeps its data until it is delivered.",
    )

    @model_validator(mode="after")
    def _time_for_a_wait(self) -> Self:
        if self.enabled and self.max_elapsed_time:
            for name, wait in (("initial_interval", self.initial_interval), ("max_interval", self.max_interval)):
                if self.max_elapsed_time < wait:
                    raise ValueError(f"max_elapsed_time ({format_duration(self.max_elapsed_time)}) is under {name}")
        return self

    def waits(self, rng: Callable[[], float]) -> Iterator[float]:
        """Seconds to wait after each failure in turn, without end; `rng` gives numbers from 0 to 1."""
        interval = self.initial_interval
        while True:
            spread = self.randomization_factor * interval
            yield max(LEAST_WAIT_S, interval - spread + 2 * spread * rng())
            interval = min(interval * self.multiplier, self.max_interval)


class Retry:
    """Makes an attempt, and again while it raises Retryable; the caller is held meanwhile.

    Nothing is acknowledged before an attempt came to its end, and a caller that leaves ends its attempt or wait.
    """

    def __init__(
        self,
        config: RetryConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._telemetry = telemetry
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._stopping = asyncio.Event()
        self._log = Occasional(clock)
        self.failures = telemetry.counter(
            "airis_exporter_failed_attempts", "{attempt}", "Attempts to deliver that failed and may be made again."
        )

    async def __call__(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Return when an attempt did; raises what it raised, but Retryable only once the time for it has passed."""
        give_up = self._clock() + (self._config.max_elapsed_time or float("inf"))
        waits = self.waits()
        while True:
            try:
                return await attempt()
            except Retryable as error:
                self.failures.add(1)
                if not self._config.enabled:
                    raise
                wait = max(next(waits), error.retry_after or 0.0)
                if self._clock() + wait > give_up:
                    limit = format_duration(self._config.max_elapsed_time)
                    raise Retryable(f"not delivered within {limit}: {error.reason}", error.retry_after) from error
                self.tell(error, wait)
                if not await self.wait(wait):
                    raise Retryable(f"shutting down; it was not delivered: {error.reason}") from error

    async def pause(self, error: Retryable) -> None:
        """Wait as after a first failure; no longer than until the stop."""
        await self.wait(max(next(self.waits()), error.retry_after or 0.0))

    def waits(self) -> Iterator[float]:
        """Seconds to wait after each failure in turn, without end."""
        return self._config.waits(self._rng)

    def stop(self) -> None:
        """Make no attempt again: who waits for one is told Retryable, attempts under way are left alone."""
        self._stopping.set()

    @property
    def is_stopped(self) -> bool:
        """Whether no attempt is to be made again."""
        return self._stopping.is_set()

    async def wait(self, seconds: float) -> bool:
        """Wait; False as soon as there is nothing to wait for."""
        waiting = {asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        return not self._stopping.is_set()

    def tell(self, error: Retryable, wait: float) -> None:
        """Make a failed attempt known that is made again after so many seconds."""
        if self._telemetry.health.status is Status.OK:
            self._telemetry.health.report(Status.RECOVERABLE_ERROR, error.reason)
        if self._log.due():
            self._telemetry.log.warning(
                "export failed, to be tried again",
                reason=error.reason,
                retry_in_s=round(wait, 3),
                failed_attempts=int(self.failures.value),
            )
