"""The queue of one signal in memory, and what any queue is."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from airis.component.errors import Partial
from airis.component.sending.config import SendingQueueConfig
from airis.component.sending.progress import Progress
from airis.component.sending.room import Room
from airis.component.sending.snapshot import QueueSnapshot
from airis.data import Batch, Signal, combined_id, join


@dataclass(slots=True)
class Taken:
    """What is delivered together."""

    batch: Batch
    """All of it as one; its id is the same whenever the same is taken again."""
    ticket: object
    """What the queue knows it by."""
    is_alone: bool = True
    """Whether it is a single batch, and not several joined."""
    is_resent: bool = False
    """Whether it was under way before the queue was opened: the destination may have it, or parts of it."""
    progress: Progress = field(default_factory=Progress)
    is_done: bool = False
    """Whether the queue was told that it is settled."""


class Queue(Protocol):
    """What waits to be sent."""

    is_durable: bool
    """Whether what is given up goes to the dead letters, and what is left at the end stays."""
    recovered: int
    """Items that were in it when it was opened."""

    @property
    def put_back(self) -> int:
        """Items that people put back into it since then."""
        ...

    async def put(self, batch: Batch, enqueued: Callable[[Batch], None]) -> None:
        """Return when the queue answers for the batch; raises Retryable, or the outcome where it is waited for.

        `enqueued` is called once it does, also for a caller that has left.
        """
        ...

    async def take(self, within_s: float | None = None) -> Taken | None:
        """The next to deliver, waited for, no longer than so many seconds; None when there is none."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether there will be no more to take."""
        ...

    def attempt(self, taken: Taken, part: Batch) -> AbstractAsyncContextManager[None]:
        """Around an attempt to deliver a part of it, which may be all, and which may have to wait for its turn."""
        ...

    async def settle(self, taken: Taken, error: Exception | None, settled: Callable[[int], None]) -> None:
        """It was delivered, or will never be for this reason.

        `settled` is called once that is noted, also for a caller that has left, from whatever thread, with the items
        that were owed: fewer than were taken where the queue has given some up meanwhile, and has told so.
        """
        ...

    async def give_back(self, taken: Taken) -> None:
        """It could not be delivered now, and is the next to be taken; only where it is durable."""
        ...

    async def let_go(self, taken: Taken) -> None:
        """Keep its content on the disk alone, until it is read; only where it is durable."""
        ...

    async def read(self, taken: Taken) -> bool:
        """Get its content back; False where it changed meanwhile, and then what is left comes as something new."""
        ...

    async def split(self, taken: Taken) -> None:
        """Take what was joined in two parts from now on."""
        ...

    async def bury(self, taken: Taken, reason: str, part: Batch) -> None:
        """Put a part of it, which may be all, among the dead letters, where there are some; that settles nothing."""
        ...

    def size(self) -> float:
        """How much is in it, what is under way included, in the unit of its capacity."""
        ...

    def capacity(self) -> float:
        """Most that may be in it, 0 for no limit."""
        ...

    def snapshot(self) -> QueueSnapshot:
        """What is in it."""
        ...

    def lost(self) -> Mapping[str, int]:
        """Items by reason that are not in it any more, and of which nobody was told yet."""
        ...

    async def close(self) -> None:
        """Take nothing new; who takes gets what is left (in memory), or None."""
        ...


def size_in(sizer: str, batch: Batch) -> int:
    """How much a batch is."""
    return max(1, {"items": batch.items, "bytes": batch.size_bytes}.get(sizer, 1))


@dataclass(slots=True)
class _Held:
    batch: Batch
    size: int
    since: float
    done: "asyncio.Future[None] | None"


@dataclass(slots=True)
class _Partition:
    """What may be joined."""

    waiting: deque[_Held] = field(default_factory=deque[_Held])
    size: int = 0
    """In the unit of the batches that are made of it."""


class MemoryQueue:
    """Batches of one signal in memory: a crash loses them, unless senders wait for the outcome."""

    is_durable = False
    recovered = 0
    put_back = 0

    def __init__(self, config: SendingQueueConfig, signal: Signal, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._joins = config.batch if signal is not Signal.PROFILES else None
        self._clock = clock
        self._partitions: OrderedDict[Hashable, _Partition] = OrderedDict()
        self._size = 0
        self._room = Room(config, config.queue_size, self.size)
        self._unsettled: dict[int, _Held] = {}
        """What is counted in the size, oldest first."""

    def size(self) -> float:
        """How much is in it."""
        return self._size

    def capacity(self) -> float:
        """Most that may be in it."""
        return self._config.queue_size

    def snapshot(self) -> QueueSnapshot:
        """What is in it."""
        held = self._unsettled.values()
        oldest = next((self._clock() - each.since for each in held), None)
        return QueueSnapshot(
            is_durable=False,
            items=sum(each.batch.items for each in held),
            size_bytes=sum(each.batch.size_bytes for each in held),
            batches=len(held),
            oldest_age_s=oldest,
            fill=self.size() / self.capacity(),
            consumers=self._config.num_consumers,
        )

    def lost(self) -> Mapping[str, int]:
        """Nothing is lost behind anybody's back."""
        return {}

    async def put(self, batch: Batch, enqueued: Callable[[Batch], None]) -> None:
        """Return when it is in the queue or, with wait_for_result, delivered."""
        size = size_in(self._config.sizer, batch)
        await self._room.for_(size)
        done = asyncio.get_running_loop().create_future() if self._config.wait_for_result else None
        held = _Held(batch, size, self._clock(), done)
        self._size += size
        self._unsettled[id(held)] = held
        partition = self._partitions.setdefault(self._key(batch), _Partition())
        partition.waiting.append(held)
        partition.size += self._measure(batch)
        enqueued(batch)
        await self._room.change()
        if done is not None:
            await done

    def _key(self, batch: Batch) -> Hashable:
        joins = self._joins
        if joins is None:
            return None
        return batch.origin.tenant, *(batch.origin.sent(key.lower()) for key in joins.partition.metadata_keys)

    def _measure(self, batch: Batch) -> int:
        return size_in(self._joins.sizer, batch) if self._joins else 1

    async def take(self, within_s: float | None = None) -> Taken | None:
        """The next to deliver: one batch, or joined ones as soon as they are enough, or waited long enough."""
        until = None if within_s is None else self._clock() + within_s
        while not self.is_over:
            waits = [] if until is None else [until - self._clock()]
            for key, partition in self._partitions.items():
                due = self._due_in(partition)
                if due <= 0:
                    return self._take(key, partition)
                waits.append(due)
            if until is not None and waits[0] <= 0:
                return None
            await self._room.changed(min(waits, default=None))
        return None

    @property
    def is_over(self) -> bool:
        """Whether it is closed, and empty."""
        return self._room.is_closed and not self._partitions

    def _due_in(self, partition: _Partition) -> float:
        joins = self._joins
        if joins is None or self._room.is_closed or partition.size >= joins.min_size:
            return 0.0
        return partition.waiting[0].since + joins.flush_timeout - self._clock()

    def _take(self, key: Hashable, partition: _Partition) -> Taken:
        limit = (self._joins.max_size if self._joins else 1) or (1 << 62)
        held: list[_Held] = []
        size = 0
        while partition.waiting:
            measure = self._measure(partition.waiting[0].batch)
            if held and size + measure > limit:
                break
            held.append(partition.waiting.popleft())
            size += measure
            partition.size -= measure
        if not partition.waiting:
            del self._partitions[key]
        else:
            self._partitions.move_to_end(key)  # the others have their turn
        return Taken(joined([each.batch for each in held]), held, is_alone=len(held) == 1)

    def attempt(self, taken: Taken, part: Batch) -> AbstractAsyncContextManager[None]:
        """Nothing is left of it after a crash that could be to blame."""
        return nullcontext()

    async def settle(self, taken: Taken, error: Exception | None, settled: Callable[[int], None]) -> None:
        """Make room, and tell who waits for the outcome."""
        held: list[_Held] = taken.ticket  # type: ignore[assignment]
        shares = outcomes_for([each.batch for each in held], error)
        for each, outcome in zip(held, shares, strict=True):
            if each.done is not None and not each.done.done():
                if outcome is None:
                    each.done.set_result(None)
                else:
                    each.done.set_exception(outcome)
        for each in held:
            del self._unsettled[id(each)]
            self._size -= each.size
        settled(taken.batch.items)
        await self._room.change()

    async def give_back(self, taken: Taken) -> None:
        """There is no other time: whoever takes from memory settles."""
        raise NotImplementedError

    async def let_go(self, taken: Taken) -> None:
        """There is nowhere else."""
        raise NotImplementedError

    async def read(self, taken: Taken) -> bool:
        """It was never let go."""
        return True

    async def split(self, taken: Taken) -> None:
        """Put what was joined back, each batch for itself."""
        held: list[_Held] = taken.ticket  # type: ignore[assignment]
        for each in reversed(held):
            key = (object(),)
            self._partitions[key] = _Partition(deque([each]), 1 << 62)
            self._partitions.move_to_end(key, last=False)
        await self._room.change()

    async def bury(self, taken: Taken, reason: str, part: Batch) -> None:
        """There are no dead letters in memory."""

    async def close(self) -> None:
        """Let those who wait to put go, and those who take have what is left."""
        await self._room.close()


def joined(batches: list[Batch]) -> Batch:
    """Batches as one, with an id that follows from theirs."""
    if len(batches) == 1:
        return batches[0]
    whole = join(batches)
    return replace(whole, id=combined_id(batch.id for batch in batches))


def outcomes_for(batches: list[Batch], error: Exception | None) -> list[Exception | None]:
    """What the sender of each of joined batches is told."""
    if isinstance(error, Partial) and len(batches) > 1:
        return list(error.shares([batch.items for batch in batches]))
    return [error] * len(batches)
