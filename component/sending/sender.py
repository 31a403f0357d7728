"""The way of every exporter that sends: a queue or none, those who empty it, and an orderly end."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

from airis.component.errors import ConsumeError, Partial, Retryable, StartError
from airis.component.lifecycle import Host
from airis.component.occasional import Occasional
from airis.component.retry import Retry
from airis.component.sending.accounts import Accounts
from airis.component.sending.config import SendingConfig
from airis.component.sending.consumers import Consumers
from airis.component.sending.destination import Destination, Prepare
from airis.component.sending.grouping import Grouping, grouping_of
from airis.component.sending.outcomes import Outcomes
from airis.component.sending.queue import MemoryQueue, Queue
from airis.component.sending.snapshot import SendingSnapshot, SignalSnapshot
from airis.component.telemetry import Telemetry
from airis.component.words import quoted
from airis.data import Batch, Signal


class Sending:
    """Delivers batches for an exporter.

    Without a queue a sender is held until its data is delivered. With one in memory it is answered when there is
    room, and what cannot be delivered in time is dropped and counted. With one on disk it is answered when its data is
    on the disk; that is tried for as long as it takes. What the destination refuses for good is a dead letter, as is
    what it refuses again and again while it takes others: of a batch the part at fault alone.
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
        self._clock = clock
        self._grouping = grouping
        self.retry = Retry(self._retries(), telemetry, clock, sleep, rng)
        self._destination = Destination(config, telemetry, prepare, clock)
        self._warned = Occasional(clock)
        self._turns: defaultdict[Signal, AbstractAsyncContextManager[Any]] = defaultdict(
            (lambda: asyncio.Semaphore(queue.num_consumers)) if queue.enabled else nullcontext
        )
        self._consumers: dict[Signal, Consumers] = {}
        self._opening: dict[Signal, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._host: Host | None = None
        self._is_open = False
        self._is_closed = False
        self._is_emptied = False
        """What is left of the queues is for whoever opens them next."""
        self._held: Counter[Signal] = Counter()
        """Senders that are held; a signal stays in it once something of it was sent."""
        self._idle = asyncio.Event()
        self._outcomes: Outcomes | None = None
        self._accounts: Accounts | None = None
        if self.has_queue:
            self._outcomes = Outcomes(telemetry)
            self._accounts = Accounts(telemetry, self._outcomes)
            self._outcomes.declare_queues(
                telemetry,
                queue,
                lambda: sum(consumers.queue.size() for consumers in self._consumers.values()),
                lambda: sum(consumers.queue.capacity() for consumers in self._consumers.values()),
            )

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

    def snapshot(self) -> SendingSnapshot:
        """What is queued, under way and going wrong at this moment; cheap, and never waits."""
        return SendingSnapshot(
            tuple(self._signal_snapshot(signal) for signal in Signal if signal in self._held),
            self._destination.breaker_snapshot(),
            self._destination.bulkhead_snapshot(),
        )

    def _signal_snapshot(self, signal: Signal) -> SignalSnapshot:
        now, failing = self._clock(), self._destination.failing[signal]
        consumers = self._consumers.get(signal)
        queue = consumers.queue if consumers and not self._is_emptied else None
        return SignalSnapshot(
            signal,
            queue.snapshot() if queue else None,
            consumers.under_way if consumers else self._held[signal],
            failing.error,
            None if failing.last is None else now - failing.last,
            None if failing.since is None else now - failing.since,
            self._outcomes.of(signal) if self._outcomes else {},
            self._accounts.snapshot(signal, queue) if self._accounts else None,
        )

    # From start to shutdown

    async def open(self, host: Host) -> None:
        """Let senders in, and go on with what a queue on disk has; raises StartError where there is no such storage."""
        self._host = host
        if self.is_durable:
            from airis.storage.wal.service import LogService

            storage = self.config.sending_queue.storage
            service = host.extension(storage, object)
            if not isinstance(service, LogService):
                told = f'the extension "{storage}" keeps no queue; name a file_storage'
                raise StartError(told, "sending_queue::storage")
            used = {p.signal for p in host.overview().pipelines if self._telemetry.component_id in p.exporters}
            for signal in Signal:
                if signal in used or f"{self._name}:{signal}" in service.log.subscribers:
                    await self._open_queue(signal)
        self._is_open = True

    async def _open_queue(self, signal: Signal) -> None:
        try:
            await self._consumers_of(signal)
        except ValueError as error:
            raise StartError(f"the log cannot have a queue for {signal}: {error}", "sending_queue::storage") from error
        except OSError as error:  # a full disk; senders are told so until there is room
            self._telemetry.log.error("the log has no room for a queue", signal=str(signal), error=str(error))

    async def close(self) -> None:
        """Return when attempts under way have come to their end. A queue in memory is emptied, one try for each.

        A caller that does not wait for it ends the attempts; what is left in memory is counted as dropped.
        """
        self._is_open, self._is_closed = False, True
        self.retry.stop()
        try:
            await asyncio.gather(*(consumers.close() for consumers in self._consumers.values()))
            if self._held.total():
                await self._idle.wait()
        except asyncio.CancelledError:
            await asyncio.gather(*(consumers.abandon() for consumers in self._consumers.values()))
            raise
        finally:
            for signal, consumers in self._consumers.items() if not self._is_emptied else ():
                assert self._accounts is not None
                self._accounts.closed(signal, consumers.queue)
            self._is_emptied = True

    @property
    def _name(self) -> str:
        return f"{self._telemetry.kind}s/{self._telemetry.component_id}"

    async def _consumers_of(self, signal: Signal) -> Consumers:
        """Those who empty the queue of a signal, which is opened if it is not."""
        async with self._opening[signal]:
            known = self._consumers.get(signal)
            if known is not None:
                return known
            assert self._outcomes is not None
            assert self._accounts is not None
            queue: Queue = await self._durable(signal) if self.is_durable else self._in_memory(signal)
            if self._is_closed:  # meanwhile
                raise Retryable("the exporter is shut down")
            consumers = Consumers(
                queue,
                signal,
                self.config.sending_queue,
                self._destination,
                self.retry,
                self._outcomes,
                self._telemetry,
                self._clock,
            )
            self._consumers[signal] = consumers
            self._accounts.opened(signal, queue)
            self._held[signal] += 0
            consumers.start()
            return consumers

    def _in_memory(self, signal: Signal) -> Queue:
        return MemoryQueue(self.config.sending_queue, signal, self._clock)

    async def _durable(self, signal: Signal) -> Queue:
        from airis.component.sending.durable import SIGNALS, DurableQueue
        from airis.storage.wal.service import LogService

        assert self._host is not None
        assert self._outcomes is not None
        outcomes = self._outcomes
        config = self.config.sending_queue
        service = self._host.extension(config.storage, LogService)
        name = f"{self._name}:{signal}"
        subscriber = await service.run(lambda: service.log.subscriber(name, SIGNALS[signal]))
        grouping = grouping_of(config, self._grouping or Grouping())

        def lost(reason: str, items: int) -> None:
            outcomes.given_up(signal, items, reason, "given up by the log")

        return DurableQueue(service, subscriber, signal, config, grouping, lost=lost, monotonic=self._clock)

    # Senders

    async def consume(self, batch: Batch) -> None:
        """Take responsibility for the batch: see the class. Raises Retryable, Permanent or Partial."""
        outcomes, accounts = self._outcomes, self._accounts
        if outcomes is None or accounts is None:
            async with self.turn(batch.signal):
                await self.retry(self._destination.attempts(batch))
            return
        entry = accounts.entry(batch)
        try:
            self._check()
            consumers = self._consumers.get(batch.signal) or await self._consumers_of(batch.signal)
            await consumers.queue.put(batch, entry.enqueued)
        except ConsumeError as error:
            entry.left(error)
            if not entry.is_queued:  # else it is the outcome, and counted where it came about
                outcomes.refused(batch)
            raise
        except (OSError, ValueError) as error:
            outcomes.refused(batch)
            raise Retryable(f"the log cannot be used: {error}", 1.0) from error
        except asyncio.CancelledError as error:
            entry.left(error)
            raise

    @asynccontextmanager
    async def turn(self, signal: Signal) -> AsyncGenerator[None]:
        """A sender's turn; raises Retryable where nothing is sent any more, or not yet."""
        self._held[signal] += 1
        self._idle.clear()
        try:
            self._check()
            async with self._turns[signal]:
                self._check()
                yield
        finally:
            self._held[signal] -= 1
            if not self._held.total():
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
