"""What a queue answers for, counted on both sides: what came into it, and what became of that."""

from collections import Counter
from collections.abc import Mapping

from airis.component.errors import Partial
from airis.component.sending.queue import Taken
from airis.component.sending.snapshot import AccountsSnapshot
from airis.component.telemetry import Telemetry, by_signal
from airis.data import Batch, Signal


class Accounts:
    """Counts for the ledger; see docs/ledger.md."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.enqueued = by_signal(telemetry, "airis_exporter_enqueued", "taken into the queue")
        self.recovered = by_signal(telemetry, "airis_exporter_recovered", "in the queue when it was opened")
        self.kept = by_signal(telemetry, "airis_exporter_kept", "in the queue when it was closed")
        self.unacknowledged = by_signal(
            telemetry, "airis_exporter_unacknowledged", "taken into the queue whose sender was not told so"
        )
        self.repeated = by_signal(
            telemetry, "airis_exporter_repeated", "counted as delivered or given up, and then delivered again"
        )
        self._settling: Counter[Signal] = Counter()

    def entry(self, batch: Batch) -> "Entry":
        """Follows one batch on its way into the queue."""
        return Entry(self, batch)

    def count(self, taken: Taken, items: int) -> None:
        """So many items of what was taken have come to an end."""
        taken.counted += items
        self._settling[taken.batch.signal] += items

    def end(self, taken: Taken, *, comes_again: bool) -> None:
        """All of what was taken is done with, or all of it comes again."""
        signal, taken.counted, items = taken.batch.signal, 0, taken.counted
        self._settling[signal] -= items
        if comes_again:
            self.repeated[signal].add(items)

    def snapshot(self, signal: Signal, lost: Mapping[str, int]) -> AccountsSnapshot:
        """The sums so far."""
        return AccountsSnapshot(
            int(self.enqueued[signal].value),
            int(self.recovered[signal].value),
            int(self.kept[signal].value),
            int(self.unacknowledged[signal].value),
            int(self.repeated[signal].value),
            self._settling[signal],
            lost,
        )


class Entry:
    """A batch that may come into the queue after its sender has left."""

    __slots__ = ("_accounts", "_batch", "_has_left", "is_queued")

    def __init__(self, accounts: Accounts, batch: Batch) -> None:
        self._accounts = accounts
        self._batch = batch
        self._has_left = False
        self.is_queued = False

    def enqueued(self, batch: Batch) -> None:
        """The queue answers for it."""
        self.is_queued = True
        self._accounts.enqueued[batch.signal].add(batch.items)
        if self._has_left:
            self._accounts.unacknowledged[batch.signal].add(batch.items)

    def left(self, error: BaseException) -> None:
        """The sender is not told that all of it is taken."""
        items = self._batch.items
        missed = min(error.rejected, items) if isinstance(error, Partial) else items
        if self.is_queued:
            self._accounts.unacknowledged[self._batch.signal].add(missed)
        self._has_left = True
