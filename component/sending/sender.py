"""The way of every exporter that sends: queue, turns, breaker, retries, and what cannot be delivered."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from typing import Any

from airis.component import failpoints
from airis.component.errors import ConsumeError, Partial, Permanent, Retryable
from airis.component.lifecycle import Host
from airis.component.occasional import Occasional
from airis.component.retry import Retry
from airis.component.sending.breaker import CircuitBreaker, CircuitOpen
from airis.component.sending.bulkhead import Bulkhead, NoPlace
from airis.component.sending.config import SendingConfig
from airis.component.sending.grouping import Grouping, grouping_of
from airis.component.sending.queue import MemoryQueue, Queue, Taken
from airis.component.telemetry import Telemetry, by_signal
from airis.component.words import quoted
from airis.data import Batch, Signal, kernels, parts_of

Attempt = Callable[[], Awaitable[None]]
"""Returns when the destination has a batch, or raises as a consumer does. It is made as often as it takes."""
Prepare = Callable[[Batch], Awaitable[Attempt]]
"""What is done to a batch once, such as to compress it; gives the attempts to deliver it."""

SUSPICIOUS_FAILURES = 10
"""A batch that failed so often while others went through is at fault itself, whatever the destination says."""
PAUSE_S = 1.0
"""After what must not happen, such as a log that cannot be read."""
HOPELESS_PARTS = 16
"""When so many parts of a batch are refused behind one another, the rest is not tried part by part."""


class Sending:
    """Delivers batches for an exporter.

    Without a queue a sender is held until its data is delivered. With one in memory it is answered when there is
    room, and what cannot be delivered in time is dropped and counted. With one on disk it is answered when its data is
    on the disk; that is tried for as long as it takes, and what the destination refuses for good is a dead letter:
    of a batch the part at fault alone.
    """

    def __init__(
        self,
        config: SendingConfig,
        telemetry: Telemetry,
        prepare: Prepare,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        grouping: Grouping | None = None,
    ) -> None:
        """`grouping` is what suits the exporter where the options have no ``batch``; `rng` gives 0 to 1."""
        self.config = config
        queue = config.sending_queue
        self._telemetry = telemetry
        self._prepare = prepare
        self._clock = clock
        self._grouping = grouping
        self.retry = Retry(self._retries(), telemetry, clock, sleep, rng)
        self._warned = Occasional(clock)
        self._turns: defaultdict[Signal, AbstractAsyncContextManager[Any]] = defaultdict(
            (lambda: asyncio.Semaphore(queue.num_consumers)) if queue.enabled else nullcontext
        )
        self._breaker = CircuitBreaker(config.circuit_breaker, telemetry, clock) if config.circuit_breaker else None
        self._bulkhead = Bulkhead(config.bulkhead, telemetry, clock) if config.bulkhead else None
        self._queues: dict[Signal, Queue] = {}
        self._opening: dict[Signal, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._consumers: set[asyncio.Task[None]] = set()
        self._host: Host | None = None
        self._is_open = False
        self._is_closed = False
        self._held = 0
        self._idle = asyncio.Event()
        self._successes: Counter[Signal] = Counter()
        """Each signal may have an endpoint of its own, which is away by itself."""
        if self.has_queue:
            self._declare()

    @property
    def has_queue(self) -> bool:
        """Whether senders are answered before their data is delivered, so that outcomes are counted here."""
        queue = self.config.sending_queue
        return queue.enabled and "sending_queue" in self.config.model_fields_set

    @property
    def is_durable(self) -> bool:
        """Whether the queue is on disk."""
        return self.has_queue and bool(self.config.sending_queue.storage)

    def _retries(self) -> Any:
        retries = self.config.retry_on_failure
        if self.is_durable and "max_elapsed_time" not in retries.model_fields_set:
            # What is on the disk is there for the long outage.
            return retries.model_copy(update={"max_elapsed_time": 0.0})
        return retries

    def _declare(self) -> None:
        telemetry = self._telemetry
        self._sent = by_signal(telemetry, "otelcol_exporter_sent", "delivered")
        self._failed = by_signal(telemetry, "otelcol_exporter_send_failed", "not delivered")
        self._refused = by_signal(telemetry, "otelcol_exporter_enqueue_failed", "that the queue did not take")
        self._queued = by_signal(telemetry, "airis_exporter_enqueued", "taken into the queue")
        self._dropped = telemetry.counter(
            "airis_exporter_dropped_items", "{item}", "Items that were given up, by the reason."
        )
        self._buried = telemetry.counter(
            "airis_exporter_dead_letter_items", "{item}", "Items put among the dead letters."
        )
        unit = "{" + self.config.sending_queue.sizer.rstrip("s") + "}"
        telemetry.gauge(
            "otelcol_exporter_queue_size",
            unit,
            "What is in the queue, what is under way included.",
            lambda: sum(queue.size() for queue in self._queues.values()),
        )
        telemetry.gauge(
            "otelcol_exporter_queue_capacity",
            unit,
            "Most that may be in the queue; 0 without a limit.",
            lambda: sum(queue.capacity() for queue in self._queues.values()),
        )

    # From start to shutdown

    async def open(self, host: Host) -> None:
        """Let senders in, and go on with what a queue on disk has; raises StartError where there is no such storage."""
        self._host = host
        if self.is_durable:
            from airis.storage.wal.service import LogService

            service = host.extension(self.config.sending_queue.storage, LogService)
            prefix = f"{self._name}:"
            for signal in Signal:
                if f"{prefix}{signal}" in service.log.subscribers:
                    await self._queue(signal)
        self._is_open = True

    async def close(self) -> None:
        """Return when attempts under way have come to their end. A queue in memory is emptied, one try for each.

        A caller that does not wait for it ends the attempts; what is left in memory is counted as dropped.
        """
        self._is_open, self._is_closed = False, True
        self.retry.stop()
        try:
            for queue in self._queues.values():
                await queue.close()
            if self._consumers:
                await asyncio.wait(self._consumers)
            if self._held:
                await self._idle.wait()
        except asyncio.CancelledError:
            await self._abandon()
            raise
        finally:
            self._queues.clear()

    async def _abandon(self) -> None:
        """There is no more time."""
        for consumer in self._consumers:
            consumer.cancel()
        if self._consumers:
            await asyncio.wait(self._consumers)
        for queue in self._queues.values():
            await queue.close()
            while (taken := await queue.take()) is not None:  # of a queue in memory
                await self._leave(queue, taken)

    @property
    def _name(self) -> str:
        return f"{self._telemetry.kind}s/{self._telemetry.component_id}"

    async def _queue(self, signal: Signal) -> Queue:
        """The queue of a signal, with those who empty it."""
        async with self._opening[signal]:
            known = self._queues.get(signal)
            if known is not None:
                return known
            queue: Queue = await self._durable(signal) if self.is_durable else self._in_memory(signal)
            if self._is_closed:  # meanwhile
                raise Retryable("the exporter is shut down")
            self._queues[signal] = queue
            for _ in range(self.config.sending_queue.num_consumers):
                consumer = asyncio.create_task(self._work(queue))
                self._consumers.add(consumer)
                consumer.add_done_callback(self._consumers.discard)
            return queue

    def _in_memory(self, signal: Signal) -> Queue:
        return MemoryQueue(self.config.sending_queue, signal, self._clock)

    async def _durable(self, signal: Signal) -> Queue:
        from airis.component.sending.durable import SIGNALS, DurableQueue
        from airis.storage.wal.service import LogService

        assert self._host is not None
        config = self.config.sending_queue
        service = self._host.extension(config.storage, LogService)
        name = f"{self._name}:{signal}"
        subscriber = await service.run(lambda: service.log.subscriber(name, SIGNALS[signal]))
        grouping = grouping_of(config, self._grouping or Grouping())

        def lost(reason: str, items: int) -> None:
            self._give_up(signal, items, reason, OSError("given up by the log"))

        return DurableQueue(service, subscriber, signal, config, grouping, lost=lost)

    # Senders

    async def consume(self, batch: Batch) -> None:
        """Take responsibility for the batch: see the class. Raises Retryable, Permanent or Partial."""
        if not self.has_queue:
            async with self.turn(batch.signal):
                attempt = await self._prepare(batch)
                await self.retry(lambda: self._guarded(batch.signal, attempt))
            return
        self._check()
        is_queued = False

        def enqueued(batch: Batch) -> None:
            nonlocal is_queued
            is_queued = True
            self._queued[batch.signal].add(batch.items)

        try:
            queue = self._queues.get(batch.signal) or await self._queue(batch.signal)
            await queue.put(batch, enqueued)
        except ConsumeError:
            if not is_queued:  # else it is the outcome, and counted where it came about
                self._refused[batch.signal].add(batch.items)
            raise
        except (OSError, ValueError) as error:
            self._refused[batch.signal].add(batch.items)
            raise Retryable(f"the log cannot be used: {error}", 1.0) from error

    @asynccontextmanager
    async def turn(self, signal: Signal) -> AsyncGenerator[None]:
        """A sender's turn; raises Retryable where nothing is sent any more, or not yet."""
        self._held += 1
        self._idle.clear()
        try:
            self._check()
            async with self._turns[signal]:
                self._check()
                yield
        finally:
            self._held -= 1
            if not self._held:
                self._idle.set()

    def accept(self, batch: Batch, rejected: int, message: str) -> None:
        """Take a server's partial success, the message of which is hostile; raises Partial for what it rejects."""
        if rejected:
            raise Partial(min(rejected, batch.items), f"the server rejected {rejected} items: {quoted(message)}")
        if message and self._warned.due():
            self._telemetry.log.warning("the server took it with a warning", message=quoted(message))

    def _check(self) -> None:
        if not self._is_open:
            raise Retryable("the exporter is shut down")

    async def _guarded(self, signal: Signal, attempt: Attempt) -> None:
        async with AsyncExitStack() as guards:
            # Who waits for a place says nothing about the destination.
            if self._bulkhead is not None:
                await guards.enter_async_context(self._bulkhead.place())
            if self._breaker is not None:
                await guards.enter_async_context(self._breaker.watch())
            await attempt()
        self._successes[signal] += 1

    # Those who empty a queue

    async def _work(self, queue: Queue) -> None:
        while True:
            taken: Taken | None = None
            try:
                taken = await queue.take()
                if taken is None:
                    return
                await self._send(queue, taken)
            except asyncio.CancelledError:
                if taken is not None:
                    await self._leave(queue, taken)
                raise
            except Exception as error:  # whatever it is, a queue must not stand still
                if not isinstance(error, Retryable) and self._warned.due():
                    known = isinstance(error, OSError)
                    words = "the log cannot be used" if known else "the queue stumbled"
                    self._telemetry.log.error(words, error=str(error), exc_info=None if known else error)
                if taken is not None:
                    await self._leave(queue, taken)
                await self.retry.pause(Retryable("the queue cannot be used", PAUSE_S))

    async def _leave(self, queue: Queue, taken: Taken) -> None:
        """What did not come to its end stays on disk, and is lost in memory; what did is left as it is."""
        error = Retryable("the exporter is shut down")
        if not queue.is_durable and not taken.is_done:
            self._give_up(taken.batch.signal, taken.batch.items, "refused" if self._is_open else "shutdown", error)
        with suppress(OSError):  # the log is closed: it comes again at the next start
            await queue.give_back(taken, error)

    async def _send(self, queue: Queue, taken: Taken) -> None:
        batch = taken.batch
        try:
            parts = self._parts(batch)
            if len(parts) > 1:
                await self._send_large(queue, taken, parts)
                return
            await self._persist(batch, queue.is_durable)
        except Partial as error:
            self._count_delivered(batch, error)
            await self._settle(queue, taken, error)
        except Retryable as error:
            await self._postpone(queue, taken, batch.items, error)
        except Exception as error:
            if not isinstance(error, ConsumeError):
                self._telemetry.log.error("export failed", exc_info=error)
            if not taken.is_alone:
                await queue.split(taken)  # so that a bad batch does not take the good ones with it
            elif queue.is_durable:
                await self._send_parts(queue, taken, batch, error)
                await self._settle(queue, taken, error)
            else:
                self._give_up(batch.signal, batch.items, "refused", error)
                await self._settle(queue, taken, error)
        else:
            self._count_delivered(batch)
            await self._settle(queue, taken)

    def _parts(self, batch: Batch) -> list[Batch]:
        """What is larger than batch::max_size by itself in parts, the same ones every time."""
        joins = self.config.sending_queue.batch
        if joins is None or not joins.max_size or batch.signal is Signal.PROFILES:
            return [batch]
        is_items = joins.sizer == "items"
        if (batch.items if is_items else batch.size_bytes) <= joins.max_size:
            return [batch]
        return _cut(batch, joins.max_size, None) if is_items else _cut(batch, None, joins.max_size)

    async def _send_large(self, queue: Queue, taken: Taken, parts: list[Batch]) -> None:
        left = sum(part.items for part in parts)
        rejected = 0
        outcome: Exception | None = None
        for part in parts:
            try:
                await self._persist(part, queue.is_durable)
            except Partial as error:
                self._count_delivered(part, error)
                rejected, outcome = rejected + error.rejected, error
            except Retryable as error:
                await self._postpone(queue, taken, left, error)
                return
            except Exception as error:
                if queue.is_durable:
                    await self._send_parts(queue, taken, part, error)
                else:
                    self._give_up(part.signal, part.items, "refused", error)
                    rejected, outcome = rejected + part.items, error
            else:
                self._count_delivered(part)
            left -= part.items
        if outcome is not None and rejected < taken.batch.items:
            outcome = Partial(rejected, _reason(outcome))
        await self._settle(queue, taken, outcome)

    async def _postpone(self, queue: Queue, taken: Taken, items: int, error: Retryable) -> None:
        """It could not be delivered for now, and so many of its items are not: memory gives them up."""
        if queue.is_durable:
            if self._is_open:
                await self.retry.pause(error)  # it would be the next one again at once
        else:
            self._give_up(taken.batch.signal, items, "retries" if self._is_open else "shutdown", error)
            taken.is_done = True
        await queue.give_back(taken, error)

    async def _settle(self, queue: Queue, taken: Taken, error: Exception | None = None) -> None:
        failpoints.passed("sending.sent")
        taken.is_done = True  # it is counted
        await queue.settle(taken, error)
        failpoints.passed("sending.settled")

    async def _persist(self, batch: Batch, is_durable: bool) -> None:
        """Attempt until it comes to an end; one that fails while others succeed is at fault itself."""
        failures = 0
        succeeded_before = self._successes[batch.signal]
        attempt = await self._prepare(batch)

        async def watched() -> None:
            nonlocal failures
            try:
                await self._guarded(batch.signal, attempt)
            except (CircuitOpen, NoPlace):
                raise
            except Retryable as error:
                failures += 1
                others = self._successes[batch.signal] - succeeded_before
                if is_durable and failures >= SUSPICIOUS_FAILURES and others >= SUSPICIOUS_FAILURES:
                    raise Permanent(f"it failed {failures} times while others went through: {error.reason}") from error
                raise

        await self.retry(watched)

    async def _send_parts(self, queue: Queue, taken: Taken, whole: Batch, error: Exception) -> None:
        """Deliver the parts of a batch that can be, and put the others among the dead letters."""
        waiting = [(whole, error)]
        refused = 0
        while waiting:
            batch, error = waiting.pop()
            parts = _cut(batch, -(-batch.items // 2), None) if batch.items > 1 and refused < HOPELESS_PARTS else [batch]
            if len(parts) == 1:
                await queue.bury(taken, _reason(error), batch)
                self._buried.add(batch.items)
                self._give_up(batch.signal, batch.items, "dead_letter", error)
                continue
            for part in reversed(parts):
                try:
                    await self._persist(part, is_durable=True)
                except Partial as partial:
                    self._count_delivered(part, partial)
                except Retryable:
                    raise  # all of it comes again
                except Exception as again:
                    refused += 1
                    waiting.append((part, again))
                else:
                    refused = 0
                    self._count_delivered(part)

    def _count_delivered(self, batch: Batch, but: Partial | None = None) -> None:
        rejected = but.rejected if but else 0
        self._sent[batch.signal].add(batch.items - rejected)
        if but is not None:
            self._give_up(batch.signal, rejected, "rejected", but)

    def _give_up(self, signal: Signal, items: int, reason: str, error: Exception) -> None:
        if not items:
            return
        self._failed[signal].add(items)
        self._dropped.add(items, reason=reason)
        self._telemetry.log.error("not delivered", items=items, signal=str(signal), why=reason, error=_reason(error))


def _cut(batch: Batch, max_items: int | None, max_bytes: int | None) -> list[Batch]:
    """A batch in parts; one that cannot be read, or cut, is its only part."""
    try:
        return parts_of(batch, max_items, max_bytes)
    except kernels.MalformedPayload:
        return [batch]


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, ConsumeError) else f"{type(error).__name__}: {error}"
