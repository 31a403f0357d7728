"""The places that data passes between components: there it can be held, counted and watched."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airis.component import Consumer, Partial, Retryable
from airis.data import Batch, Signal

Count = Callable[[Batch, int, BaseException | None], None]
"""Told of every batch that came: how many of its items were not taken, and why (also because its caller left)."""


class Watcher(Protocol):
    """Somebody who looks at what passes; see `airis tap`."""

    def see(self, batch: Batch) -> None:
        """Keep what is wanted of the batch, at once: the data waits for nobody who only looks."""
        ...


@dataclass(slots=True)
class Refusing:
    """A consumer tells whoever comes to come again later. Times are the loop's."""

    since: float
    """The first time behind the last batch that it took."""
    last: float
    reason: str


class Port:
    """Hands on to a consumer that can be exchanged while data is on its way.

    `pause` holds whoever comes, `resume` lets them go on to the consumer of that moment: so a component is
    exchanged without one refused request. `close` refuses them as Retryable.
    """

    def __init__(self, count: Count | None = None) -> None:
        self.consumer: Consumer = CLOSED
        self.count = count
        self.count_at_end: Count | None = None
        """Of a port that is the end of a pipeline as well."""
        self.watchers: tuple[Watcher, ...] = ()
        self.items = 0
        """Items that were taken."""
        self.taken: dict[Signal, int] = {}
        """The same by signal."""
        self.size_bytes = 0
        """Bytes of the batches that were taken."""
        self.refused_items = 0
        """Items that were not taken."""
        self.refusing: Refusing | None = None
        """Since it took nothing more; None while it does."""
        self._flight = _Flight()
        self._paused: asyncio.Event | None = None

    async def consume(self, batch: Batch) -> None:
        """Hand on; an exception passes through, counted."""
        if self._paused is not None:
            await self._until_resumed(batch)
        for watcher in self.watchers:
            watcher.see(batch)
        # What is exchanged meanwhile is not what this batch was handed to.
        consumer, count, count_at_end, flight = self.consumer, self.count, self.count_at_end, self._flight
        if flight.loop is None:
            flight.loop = asyncio.get_running_loop()
        # Asked for the loop, Python 3.11 asks the system for its process id, which costs more than all else here.
        task = asyncio.current_task(flight.loop)
        flight.tasks[task] = flight.loop.time()
        items = missed = batch.items
        flight.items += items
        error: BaseException | None = None
        try:
            await consumer.consume(batch)
            missed = 0
        except Partial as partial:
            missed, error = min(partial.rejected, items), partial
            if missed < partial.rejected:  # whoever is before may have more items than these
                raise Partial(missed, partial.reason) from partial
            raise
        except asyncio.CancelledError as cancelled:
            error = cancelled
            if flight.is_over and task is not None:
                task.uncancel()
                error = Retryable("its component was shut down before it answered")
                raise error from None
            raise
        except BaseException as other:
            error = other
            raise
        finally:
            flight.tasks.pop(task, None)
            flight.items -= items
            if flight.landed is not None and not flight.tasks:
                flight.landed.set()
            self.items += items - missed
            self.refused_items += missed
            if missed < items:
                self.taken[batch.signal] = self.taken.get(batch.signal, 0) + items - missed
                self.size_bytes += len(batch.payload)
            if error is None:
                self.refusing = None
            elif isinstance(error, Retryable):
                self._note_refusal(error, flight.loop.time())
            if count is not None:
                count(batch, missed, error)
            if count_at_end is not None:
                count_at_end(batch, missed, error)

    async def _until_resumed(self, batch: Batch) -> None:
        try:
            while self._paused is not None:
                await self._paused.wait()
        except BaseException as error:
            self.refused_items += batch.items
            if self.count is not None:
                self.count(batch, batch.items, error)
            raise

    def _note_refusal(self, error: Retryable, now: float) -> None:
        since = self.refusing.since if self.refusing is not None else now
        self.refusing = Refusing(since, now, error.reason)

    @property
    def oldest_in_flight(self) -> float | None:
        """When the oldest was handed over of what is not answered, by the loop's clock."""
        return next(iter(self._flight.tasks.values()), None)

    @property
    def in_flight(self) -> int:
        """Batches that were handed to the consumer and are not answered."""
        return len(self._flight.tasks)

    @property
    def in_flight_items(self) -> int:
        """Their items."""
        return self._flight.items

    @property
    def is_paused(self) -> bool:
        """Whether callers are held."""
        return self._paused is not None

    def pause(self) -> None:
        """Hold whoever comes from now on."""
        if self._paused is None:
            self._paused = asyncio.Event()

    def resume(self, consumer: Consumer | None = None) -> None:
        """Hand on to this consumer from now on, else to the one there is, beginning with those who were held."""
        self.consumer = consumer or self.consumer
        if self._paused is not None:
            self._paused.set()
            self._paused = None

    def close(self) -> None:
        """Refuse whoever comes from now on, and who was held."""
        self.resume(CLOSED)

    async def idle(self) -> None:
        """Return when everybody who was let through is answered."""
        while self._flight.tasks:
            self._flight.landed = self._flight.landed or asyncio.Event()
            await self._flight.landed.wait()
            self._flight.landed = None

    def abandon(self) -> int:
        """Tell everybody who was let through and is not answered to come again; gives the number of their items.

        For a consumer that will not answer any more.
        """
        flight, self._flight = self._flight, _Flight()
        flight.is_over = True
        for task in flight.tasks:
            if task is not None:
                task.cancel()
        return flight.items


class _Flight:
    """What was handed to a consumer and is not answered."""

    __slots__ = ("is_over", "items", "landed", "loop", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[object] | None, float] = {}
        """Of the callers, with the loop's time of their coming; each hands over one batch at a time."""
        self.items = 0
        self.is_over = False
        """Nobody waits for the consumer any more."""
        self.landed: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None


class _Closed:
    """Where nothing runs."""

    async def consume(self, batch: Batch) -> None:
        raise Retryable("shutting down")


class _Nobody:
    """Where nothing is wanted any more."""

    async def consume(self, batch: Batch) -> None:
        pass


CLOSED: Consumer = _Closed()
NOBODY: Consumer = _Nobody()
