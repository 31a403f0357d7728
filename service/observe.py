"""What the engine counts around every component, under the Collector's names, without the component's help."""

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from airis.component import (
    ConsumeError,
    Consumer,
    Counter,
    Histogram,
    Kind,
    Partial,
    Permanent,
    Retryable,
    Status,
    Telemetry,
)
from airis.component.telemetry import by_signal
from airis.data import Batch, Signal
from airis.service.port import Count

Add = Callable[[float], None]

PIPELINE_ACCEPTED = "airis_pipeline_accepted_items"
PIPELINE_HANDED_ON = "airis_pipeline_handed_on_items"


def behind_receiver(telemetry: Telemetry) -> Count:
    """Counts what a receiver's clients were told."""
    accepted = by_signal(telemetry, "otelcol_receiver_accepted", "acknowledged to the sender")
    refused = by_signal(telemetry, "otelcol_receiver_refused", "refused, and the sender told so")
    failed = by_signal(telemetry, "otelcol_receiver_failed", "refused for a fault of airis itself")
    requests = telemetry.counter("otelcol_receiver_requests", "{request}", "Requests with data, by their outcome.")

    @cache
    def taken(signal: Signal, transport: str) -> tuple[Add, Add]:
        return accepted[signal].adder(transport=transport), requests.adder(transport=transport, outcome="success")

    def count(batch: Batch, missed: int, error: BaseException | None) -> None:
        transport = batch.origin.transport
        count_items, count_request = taken(batch.signal, transport)
        count_items(batch.items - missed)
        if error is None:
            count_request(batch.requests)
        elif isinstance(error, Partial):
            refused[batch.signal].add(missed, transport=transport)
            count_request(batch.requests)
        elif isinstance(error, Permanent) and batch.requests > 1:
            pass  # a receiver that joins hands on each request by itself now
        elif isinstance(error, Exception) and not isinstance(error, ConsumeError):
            failed[batch.signal].add(missed, transport=transport)
            requests.add(batch.requests, transport=transport, outcome="failed")
        else:
            refused[batch.signal].add(missed, transport=transport)
            requests.add(batch.requests, transport=transport, outcome="refused")

    return count


def before_exporter(telemetry: Telemetry) -> Count:
    """Counts what an exporter delivered, and says that it is ill while it takes nothing."""
    sent = {s: counter.adder() for s, counter in by_signal(telemetry, "otelcol_exporter_sent", "delivered").items()}
    failed = by_signal(telemetry, "otelcol_exporter_send_failed", "not delivered")
    health = telemetry.health

    def count(batch: Batch, missed: int, error: BaseException | None) -> None:
        sent[batch.signal](batch.items - missed)
        if error is not None:
            failed[batch.signal].add(missed)
            if isinstance(error, Retryable) and health.status is Status.OK:
                health.report(Status.RECOVERABLE_ERROR, error.reason)
        elif health.status is Status.RECOVERABLE_ERROR:
            health.report(Status.OK)

    return count


def nothing(_batch: Batch, _missed: int, _error: BaseException | None) -> None:
    """Of an exporter that counts by itself."""


def into(telemetry: Telemetry) -> Count:
    """Counts the items that a processor or a connector took."""
    name = "connector_consumed" if telemetry.kind == Kind.CONNECTOR else "processor_incoming"
    return _items(telemetry.counter(f"otelcol_{name}_items", "{item}", f"Items taken by the {telemetry.kind}."))


def out_of(telemetry: Telemetry) -> Count:
    """Counts the items that a processor or a connector handed on."""
    name = "connector_produced" if telemetry.kind == Kind.CONNECTOR else "processor_outgoing"
    return _items(telemetry.counter(f"otelcol_{name}_items", "{item}", f"Items handed on by the {telemetry.kind}."))


def into_pipeline(telemetry: Telemetry) -> Count:
    """Counts the items that a pipeline answers for."""
    return _items(telemetry.counter(PIPELINE_ACCEPTED, "{item}", "Items acknowledged by the pipeline."))


def out_of_pipeline(telemetry: Telemetry) -> Count:
    """Counts the items that all ends of a pipeline have taken."""
    return _items(telemetry.counter(PIPELINE_HANDED_ON, "{item}", "Items acknowledged by all ends of the pipeline."))


class InternalDuration:
    """How long batches are in a processor, without the time in what comes behind it."""

    def __init__(self, telemetry: Telemetry, clock: Callable[[], float] = time.perf_counter) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._behind: ContextVar[_Elsewhere | None] = ContextVar("behind", default=None)

    @property
    def histogram(self) -> Histogram:
        """What is measured; there is none before somebody wants it."""
        return self._telemetry.histogram(
            "otelcol_processor_internal_duration",
            "s",
            "Time in the processor itself, holding included; what is handed on from a task of its own, as by batch, "
            "counts as held.",
        )

    def inside(self, processor: Consumer) -> Consumer:
        """The processor, timed."""
        return _Inside(processor, self._clock, self._behind, self.histogram)

    def behind(self, downstream: Consumer) -> Consumer:
        """What comes behind it, whose time is not the processor's."""
        return _Behind(downstream, self._clock, self._behind)


def untimed(consumer: Consumer) -> Consumer:
    """The consumer that `InternalDuration` has wrapped."""
    return consumer.consumer if isinstance(consumer, _Inside | _Behind) else consumer


@dataclass(slots=True)
class _Elsewhere:
    """Time that a batch was behind the processor, as far as its caller's own task went there."""

    task: "asyncio.Task[object] | None"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Inside:
    consumer: Consumer
    clock: Callable[[], float]
    behind: ContextVar[_Elsewhere | None]
    histogram: Histogram

    async def consume(self, batch: Batch) -> None:
        started, elsewhere = self.clock(), _Elsewhere(asyncio.current_task())
        before = self.behind.set(elsewhere)
        try:
            await self.consumer.consume(batch)
        finally:
            self.behind.reset(before)
            self.histogram.record(max(0.0, self.clock() - started - elsewhere.seconds))


@dataclass(frozen=True, slots=True)
class _Behind:
    consumer: Consumer
    clock: Callable[[], float]
    behind: ContextVar[_Elsewhere | None]

    async def consume(self, batch: Batch) -> None:
        elsewhere = self.behind.get()
        if elsewhere is None or elsewhere.task is not asyncio.current_task():
            await self.consumer.consume(batch)
            return
        started = self.clock()
        try:
            await self.consumer.consume(batch)
        finally:
            elsewhere.seconds += self.clock() - started


def _items(counter: Counter) -> Count:
    add = counter.adder()

    def count(batch: Batch, missed: int, _error: BaseException | None) -> None:
        add(batch.items - missed)

    return count
