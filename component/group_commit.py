"""Group commit: what arrives while the stage behind is busy goes on together, as soon as that stage is idle.

Nobody waits on an idle stage, and everybody is answered with the outcome of their own batch; but when the stage
says that it takes nothing now, whoever waits is told so too, rather than held for another try.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from airis.component.errors import ConsumeError, Permanent, Retryable
from airis.data import Batch

MOST_REST_S = 1.0
"""A delivery that hung says nothing about what the next one costs."""
RETURN_SHARE = 0.25
"""Of what a delivery took: how long the next one waits at most for the callers of that one to come back."""
QUIET_SHARE = 0.05
"""Of what a delivery took: when nobody came for so long, nobody is waited for any more."""

Deliver = Callable[[Sequence[Batch]], Awaitable[None]]
"""Takes one group and returns when it is stored, or raises as a consumer does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a group may become, and how often one may go."""

    items: int = 65_536
    size_bytes: int = 32 * 1024 * 1024
    interval_s: float = 0.0
    """Least time between the starts of two deliveries, unless a full group waits; only callers that come in between
    wait for it."""
    share: float = 1.0
    """Most of the time that deliveries of less than full groups may take: after one that took long, the next one
    waits for as long as keeps them under it. One that came to nothing leaves the way free."""
    in_flight: int = 1
    """Most deliveries under way at once. A further one begins only where a full group waits: with less, the more were
    under way, the smaller they would be."""


class GroupCommit:
    """Callers of `submit` are held until their batch is delivered; one delivery is in flight at a time.

    While full groups wait there may be some more (`Limits.in_flight`), which end in any order; who hands over one batch
    after the other has them delivered in that order all the same, being held.

    A batch of a signal that cannot be joined is a group by itself.

    A group that turns out to be at fault (Permanent) is delivered again one batch after the other, so
    that a bad batch does not refuse the good ones it was joined with.
    """

    def __init__(
        self,
        deliver: Deliver,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        unheard: Callable[[Batch, BaseException | None], None] = lambda _batch, _outcome: None,
    ) -> None:
        """`unheard` is told the outcome of a batch that was delivered, or not, when its caller had left."""
        self._deliver = deliver
        self._unheard = unheard
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._pending: OrderedDict[asyncio.Future[None], Batch] = OrderedDict()
        self._pending_items = self._pending_bytes = 0
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._lanes: set[asyncio.Task[None]] = set()
        """Deliver full groups beside the worker, while there are some."""
        self._under_way = 0
        """Deliveries, and lanes that are about to make one."""
        self._next_start = 0.0
        self._ended = 0.0
        self._took = 0.0
        """How long the last delivery took, until when."""
        self._came = 0

    @property
    def pending(self) -> int:
        """Batches that wait for the next delivery."""
        return len(self._pending)

    async def submit(self, batch: Batch) -> None:
        """Return when the batch is delivered, or raise Retryable, Permanent or Partial."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[done] = batch
        self._pend(batch, 1)
        self._came += 1
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        self._spread()
        try:
            await done
        except asyncio.CancelledError:
            if done.done() and not done.cancelled():  # it was answered, but left before it could hear that
                self._unheard(batch, done.exception())
            raise
        finally:
            if done in self._pending:  # the caller left; clients that try again and again must not fill the memory
                self._pend(self._pending.pop(done), -1)

    async def close(self) -> None:
        """Return when everything that was submitted is answered."""
        while busy := [*self._lanes, *([self._worker] if self._worker is not None else [])]:
            await asyncio.wait(busy)

    async def _work(self) -> None:
        try:
            while self._pending:
                await self._until_due()
                await self._until_back()
                await self._until_alone()
                started = self._clock()
                took = self._clock() - started if await self._deliver_next() else 0.0
                self._took, self._ended = took, started + took
                rest = min(took / self._limits.share - took, MOST_REST_S)
                self._next_start = started + max(self._limits.interval_s, took + rest)
        finally:
            self._worker = None

    async def _deliver_next(self) -> bool:
        """Whether the next group came to an end; where nothing is taken now, all who wait are told so."""
        self._under_way += 1
        try:
            await self._settle(self._take())
        except Retryable as error:
            self._refuse_pending(error)
            return False
        finally:
            self._under_way -= 1
        return True

    def _spread(self) -> None:
        """Begin a further delivery where a full group waits behind those under way."""
        if self._full.is_set() and 0 < self._under_way < self._limits.in_flight:
            self._under_way += 1
            lane = asyncio.create_task(self._deliver_full())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)

    async def _deliver_full(self) -> None:
        self._under_way -= 1
        while self._full.is_set() and await self._deliver_next():
            pass

    async def _until_alone(self) -> None:
        """Return when the lanes have ended: until then what is full is theirs, and what is not would be small."""
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def _until_due(self) -> None:
        """Return at the next start, or as soon as a full group waits."""
        await self._pause(self._next_start - self._clock())

    async def _until_back(self) -> None:
        """Return when the callers of the last delivery, who were answered together, had the time to come back together.

        Otherwise the first of them would go alone, or two halves by turns, at the cost of a delivery each.
        """
        quiet = min(self._took, MOST_REST_S) * QUIET_SHARE
        end = self._ended + min(self._took, MOST_REST_S) * RETURN_SHARE
        came = -1
        while came != self._came and quiet > 0 and self._clock() + quiet <= end and not self._full.is_set():
            came = self._came
            await self._pause(quiet)

    async def _pause(self, wait: float) -> None:
        """Let so much time pass, unless a full group waits."""
        if wait <= 0 or self._full.is_set():
            return
        waiting = {asyncio.ensure_future(self._sleep(wait)), asyncio.create_task(self._full.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    def _pend(self, batch: Batch, sign: int) -> None:
        """Count a batch that begins or ceases to wait."""
        self._pending_items += sign * batch.items
        self._pending_bytes += sign * batch.size_bytes
        full = self._pending_items >= self._limits.items or self._pending_bytes >= self._limits.size_bytes
        (self._full.set if full else self._full.clear)()

    def _refuse_pending(self, error: Retryable) -> None:
        self._answer([(batch, done) for done, batch in self._pending.items()], error)
        self._pending.clear()
        self._pending_items = self._pending_bytes = 0
        self._full.clear()

    def _take(self) -> list[tuple[Batch, asyncio.Future[None]]]:
        """The oldest batches that fit in one group; those of callers that are about to leave are dropped."""
        group: list[tuple[Batch, asyncio.Future[None]]] = []
        items = size = 0
        while self._pending:
            done = next(iter(self._pending))
            batch = self._pending[done]
            if group and (
                not batch.signal.is_joinable
                or items + batch.items > self._limits.items
                or size + batch.size_bytes > self._limits.size_bytes
            ):
                break
            del self._pending[done]
            self._pend(batch, -1)
            if not done.cancelled():
                group.append((batch, done))
                items += batch.items
                size += batch.size_bytes
        self._spread()
        return group

    async def _settle(self, group: list[tuple[Batch, asyncio.Future[None]]]) -> None:
        """Deliver the group and answer its callers; raises Retryable, after the answer, if nothing is taken now."""
        if not group:
            return
        try:
            await self._deliver([batch for batch, _ in group])
        except Permanent as error:
            if len(group) == 1:
                self._answer(group, error)
            for place, single in enumerate(group if len(group) > 1 else ()):
                try:
                    await self._settle([single])
                except Retryable as retryable:
                    self._answer(group[place:], retryable)
                    raise
        except Retryable as error:
            self._answer(group, error)
            raise
        except ConsumeError as error:
            self._answer(group, error)
        except asyncio.CancelledError:
            self._answer(group, Retryable("shutting down"))
            raise
        except Exception as error:  # a fault of ours must reach the callers, who would wait for ever
            self._answer(group, error)
        else:
            self._answer(group, None)

    def _answer(self, group: list[tuple[Batch, asyncio.Future[None]]], error: Exception | None) -> None:
        for batch, done in group:
            if done.done():
                self._unheard(batch, error)
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
