"""The way to a destination: a place among what is under way, the circuit, and what the failure of an attempt means."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from airis.component.errors import Partial, Retryable
from airis.component.health import Status
from airis.component.sending.breaker import CircuitBreaker, CircuitOpen
from airis.component.sending.bulkhead import Bulkhead, NoPlace
from airis.component.sending.config import SendingConfig
from airis.component.sending.progress import reason_of
from airis.component.sending.snapshot import BreakerSnapshot, BulkheadSnapshot
from airis.component.telemetry import Telemetry
from airis.data import Batch, Signal

Attempt = Callable[[], Awaitable[None]]
"""Returns when the destination has a batch, or raises as a consumer does. It is made as often as it takes."""
Prepare = Callable[[Batch], Awaitable[Attempt]]
"""What is done to a batch once, such as to compress it; gives the attempts to deliver it."""

NOT_SENT = (CircuitOpen, NoPlace)
"""Of attempts that were not made: they say nothing about the destination."""


@dataclass(slots=True)
class Failing:
    """Whether anything of a signal goes through, by the clock."""

    error: str = ""
    last: float | None = None
    since: float | None = None

    def note(self, error: Exception | None, now: float) -> None:
        """Something was delivered, or not."""
        if error is None:
            self.since = None
            return
        self.error, self.last = reason_of(error), now
        if self.since is None:
            self.since = now


class Destination:
    """Where an exporter delivers to."""

    def __init__(
        self,
        config: SendingConfig,
        telemetry: Telemetry,
        prepare: Prepare,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._telemetry = telemetry
        self._prepare = prepare
        self._clock = clock
        self._breaker = CircuitBreaker(config.circuit_breaker, telemetry, clock) if config.circuit_breaker else None
        self._bulkhead = Bulkhead(config.bulkhead, telemetry, clock) if config.bulkhead else None
        self.failing: defaultdict[Signal, Failing] = defaultdict(Failing)

    async def attempts(self, batch: Batch) -> Attempt:
        """What delivers a batch: it raises as a consumer does, one of `NOT_SENT` where it was not tried."""
        try:
            attempt = await self._prepare(batch)
        except OSError as error:
            raise _not_for_now(error) from error

        async def guarded() -> None:
            await self._guarded(batch.signal, attempt)

        return guarded

    async def _guarded(self, signal: Signal, attempt: Attempt) -> None:
        failing = self.failing[signal]
        try:
            async with AsyncExitStack() as guards:
                # Who waits for a place says nothing about the destination.
                if self._bulkhead is not None:
                    await guards.enter_async_context(self._bulkhead.place())
                if self._breaker is not None:
                    await guards.enter_async_context(self._breaker.watch())
                try:
                    await attempt()
                except OSError as error:
                    raise _not_for_now(error) from error
        except NOT_SENT:
            raise
        except Exception as error:
            failing.note(None if isinstance(error, Partial) else error, self._clock())
            raise
        failing.note(None, self._clock())
        if self._telemetry.health.status is Status.RECOVERABLE_ERROR:
            self._telemetry.health.report(Status.OK)

    def breaker_snapshot(self) -> BreakerSnapshot | None:
        """None where there is none."""
        breaker = self._breaker
        return BreakerSnapshot(breaker.state, self._clock() - breaker.since) if breaker else None

    def bulkhead_snapshot(self) -> BulkheadSnapshot | None:
        """None where there is none."""
        bulkhead = self._bulkhead
        return BulkheadSnapshot(int(bulkhead.limit), bulkhead.under_way, bulkhead.waiting) if bulkhead else None


def _not_for_now(error: OSError) -> Retryable:
    """A file, a socket, a deadline: of the destination, and it may be better the next time."""
    return Retryable(f"the destination cannot be used: {reason_of(error)}")
