"""What the engine counts around every component, under the Collector's names, without the component's help."""

from airis.component import Consumer, Kind, Partial, Telemetry
from airis.component.telemetry import Counter
from airis.data import Batch, Signal


class ObservedReceiver:
    """Stands behind a receiver and counts what its clients were told."""

    def __init__(self, downstream: Consumer, signal: Signal, telemetry: Telemetry) -> None:
        self.downstream = downstream
        self.accepted = _items(telemetry, "otelcol_receiver_accepted", signal, "acknowledged to the sender")
        self.refused = _items(telemetry, "otelcol_receiver_refused", signal, "refused, and the sender told so")

    async def consume(self, batch: Batch) -> None:
        """Hand on; an exception passes through, counted."""
        transport = batch.origin.transport
        refused = batch.items
        try:
            await self.downstream.consume(batch)
            refused = 0
        except Partial as partial:
            refused = min(partial.rejected, batch.items)
            raise
        finally:
            self.accepted.add(batch.items - refused, transport=transport)
            self.refused.add(refused, transport=transport)


class ObservedExporter:
    """Stands before an exporter and counts what it delivered."""

    def __init__(self, exporter: Consumer, telemetry: Telemetry) -> None:
        self.exporter = exporter
        self.sent = {s: _items(telemetry, "otelcol_exporter_sent", s, "delivered") for s in Signal}
        self.failed = {s: _items(telemetry, "otelcol_exporter_send_failed", s, "not delivered") for s in Signal}
        self.in_flight = telemetry.gauge(
            "otelcol_exporter_in_flight_requests", "{request}", "Batches handed over and not yet answered."
        )
        self.waiting = 0

    async def consume(self, batch: Batch) -> None:
        """Hand over; an exception passes through, counted."""
        failed = batch.items
        self.waiting += 1
        self.in_flight.set(self.waiting)
        try:
            await self.exporter.consume(batch)
            failed = 0
        except Partial as partial:
            failed = min(partial.rejected, batch.items)
            raise
        finally:
            self.waiting -= 1
            self.in_flight.set(self.waiting)
            self.sent[batch.signal].add(batch.items - failed)
            self.failed[batch.signal].add(failed)


class CountedItems:
    """Counts the items that were handed over and taken at one end of a processor."""

    def __init__(self, downstream: Consumer, counter: Counter) -> None:
        self.downstream = downstream
        self.counter = counter

    async def consume(self, batch: Batch) -> None:
        """Hand on, then count: a batch that was refused and comes again counts once."""
        taken = 0
        try:
            await self.downstream.consume(batch)
            taken = batch.items
        except Partial as partial:
            taken = batch.items - min(partial.rejected, batch.items)
            raise
        finally:
            self.counter.add(taken)


def incoming(telemetry: Telemetry) -> Counter:
    """Items a processor took."""
    return telemetry.counter("otelcol_processor_incoming_items", "{item}", "Items taken by the processor.")


def outgoing(telemetry: Telemetry) -> Counter:
    """Items a processor handed on."""
    return telemetry.counter("otelcol_processor_outgoing_items", "{item}", "Items handed on by the processor.")


def _items(telemetry: Telemetry, name: str, signal: Signal, what: str) -> Counter:
    assert telemetry.kind in (Kind.RECEIVER, Kind.EXPORTER)
    unit = {Signal.TRACES: "{span}", Signal.METRICS: "{datapoint}", Signal.LOGS: "{record}"}.get(signal, "{sample}")
    return telemetry.counter(f"{name}_{signal.item}", unit, f"{signal.item.replace('_', ' ').capitalize()} {what}.")
