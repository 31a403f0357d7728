"""What becomes of items: each is counted once, in one way, and only when that is certain."""

from collections.abc import Callable

from airis.component.sending.config import SendingQueueConfig
from airis.component.sending.progress import Progress, reason_of
from airis.component.telemetry import Telemetry, by_signal
from airis.data import Batch, Signal


class Outcomes:
    """Counts of an exporter with a queue.

    At any quiet moment, and across restarts, it holds of every signal: enqueued = sent + send failed + in the queue.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._log = telemetry.log
        self._enqueued = by_signal(telemetry, "airis_exporter_enqueued", "taken into the queue")
        self._refused = by_signal(telemetry, "otelcol_exporter_enqueue_failed", "that the queue did not take")
        self._sent = by_signal(telemetry, "otelcol_exporter_sent", "delivered")
        self._failed = by_signal(telemetry, "otelcol_exporter_send_failed", "not delivered")
        self._dropped = telemetry.counter(
            "airis_exporter_dropped_items", "{item}", "Items that were given up, by reason and signal."
        )
        self._buried = telemetry.counter(
            "airis_exporter_dead_letter_items", "{item}", "Items put among the dead letters."
        )
        self._resent = telemetry.counter(
            "airis_exporter_resent_items",
            "{item}",
            "Items that were under way before the process, or the exporter, was started again: the destination may "
            "have them twice, and after a loss of power they may be counted twice.",
        )
        self._late = telemetry.counter(
            "airis_exporter_late_items",
            "{item}",
            "Items that were delivered after the log had to give them up; they are counted as dropped alone.",
        )

    def declare_queues(
        self, telemetry: Telemetry, config: SendingQueueConfig, size: Callable[[], float], capacity: Callable[[], float]
    ) -> None:
        """Gauges of what is in the queues, and may be."""
        unit = "{" + config.sizer.rstrip("s") + "}"
        telemetry.gauge("otelcol_exporter_queue_size", unit, "What is in the queue, what is under way included.", size)
        telemetry.gauge(
            "otelcol_exporter_queue_capacity", unit, "Most that may be in the queue; 0 without a limit.", capacity
        )

    def enqueued(self, batch: Batch) -> None:
        """The queue answers for a batch."""
        self._enqueued[batch.signal].add(batch.items)

    def refused(self, batch: Batch) -> None:
        """The queue did not take a batch."""
        self._refused[batch.signal].add(batch.items)

    def settled(self, signal: Signal, progress: Progress, owed: int, *, is_resent: bool) -> None:
        """A group is settled, of which so many items were owed; the others are counted already, as dropped."""
        late = max(0, progress.items - owed)
        delivered = max(0, progress.delivered - late)
        self._late.add(progress.delivered - delivered, signal=str(signal))
        late -= progress.delivered - delivered
        self._sent[signal].add(delivered)
        if is_resent:
            self._resent.add(min(owed, progress.items), signal=str(signal))
        for reason, items in progress.given_up.items():
            if reason == "dead_letter":
                self._buried.add(items)
            counted = max(0, items - late)
            late -= items - counted
            self.given_up(signal, counted, reason, reason_of(progress.error) if progress.error else "")

    def given_up(self, signal: Signal, items: int, reason: str, error: str) -> None:
        """So many items will never be delivered."""
        if not items:
            return
        self._failed[signal].add(items)
        self._dropped.add(items, reason=reason, signal=str(signal))
        self._log.error("not delivered", items=items, signal=str(signal), why=reason, error=error)

    def of(self, signal: Signal) -> dict[str, int]:
        """Items of a signal by what became of them; see `SignalSnapshot`."""
        counts = {"delivered": self._sent[signal].value, "refused": self._refused[signal].value}
        for labels, value in list(self._dropped.values.items()):
            if ("signal", str(signal)) in labels:
                counts[dict(labels)["reason"]] = value
        return {outcome: int(count) for outcome, count in counts.items() if count}
