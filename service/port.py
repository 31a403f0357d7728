"""The places that data passes between components: there it can be held, counted and watched."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from airis.component import Consumer, Partial, Retryable
from airis.data import Batch

Count = Callable[[Batch, int, BaseException | None], None]
"""Told of every batch that passed: how many of its items were not taken, and why."""


class Watcher(Protocol):
    """Somebody who looks at what passes; see `airis tap`."""

    def see(self, batch: Batch) -> None:
        """Keep what is wanted of the batch, at once: the data waits for nobody who only looks."""
        ...


class Port:
    """Hands on to a consumer that can be exchanged while data is on its way.

    `pause` holds whoever comes, `resume` lets them go on to the consumer of that moment: so a component is
    exchanged without one refused request. `close` refuses them as Retryable.
    """

    def __init__(self, count: Count | None = None) -> None:
        self.consumer: Consumer = _Closed()
        self.watchers: tuple[Watcher, ...] = ()
        self.in_flight = 0
        """Batches that were handed to the consumer and are not answered."""
        self.in_flight_items = 0
        self.items = 0
        """Items that were taken."""
        self.size_bytes = 0
        """Bytes of the batches that were taken."""
        self.refused_items = 0
        """Items that were not taken."""
        self.count = count
        self.targets: object = None
        """What the consumer stands for, as who set it calls it."""
        self._paused: asyncio.Event | None = None
        self._idle: asyncio.Event | None = None

    async def consume(self, batch: Batch) -> None:
        """Hand on; an exception passes through, counted."""
        while self._paused is not None:
            await self._paused.wait()
        for watcher in self.watchers:
            watcher.see(batch)
        self.in_flight += 1
        self.in_flight_items += batch.items
        missed = batch.items
        error: BaseException | None = None
        try:
            await self.consumer.consume(batch)
            missed = 0
        except Partial as partial:
            missed, error = min(partial.rejected, batch.items), partial
            raise
        except BaseException as other:
            error = other
            raise
        finally:
            self.in_flight -= 1
            self.in_flight_items -= batch.items
            self.items += batch.items - missed
            self.refused_items += missed
            if missed < batch.items:
                self.size_bytes += batch.size_bytes
            if self.count is not None:
                self.count(batch, missed, error)
            if self._idle is not None and not self.in_flight:
                self._idle.set()

    @property
    def is_paused(self) -> bool:
        """Whether callers are held."""
        return self._paused is not None

    def pause(self) -> None:
        """Hold whoever comes from now on."""
        if self._paused is None:
            self._paused = asyncio.Event()

    def resume(self, consumer: Consumer) -> None:
        """Hand on to this consumer from now on, beginning with those who were held."""
        self.consumer = consumer
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    def close(self) -> None:
        """Refuse whoever comes from now on, and who was held."""
        self.resume(_Closed())

    async def idle(self) -> None:
        """Return when everybody who was let through is answered."""
        while self.in_flight:
            self._idle = asyncio.Event()
            try:
                await self._idle.wait()
            finally:
                self._idle = None


class _Closed:
    """Where nothing runs."""

    async def consume(self, batch: Batch) -> None:
        raise Retryable("shutting down")
