"""What a queue answers for beside its outcomes: what it had when it was opened and closed, and who was told of it."""

from airis.component.errors import Partial
from airis.component.sending.outcomes import Outcomes
from airis.component.sending.queue import Queue
from airis.component.sending.snapshot import AccountsSnapshot
from airis.component.telemetry import Telemetry, by_signal
from airis.data import Batch, Signal


class Accounts:
    """Counts for the ledger; see docs/ledger.md."""

    def __init__(self, telemetry: Telemetry, outcomes: Outcomes) -> None:
        self._outcomes = outcomes
        self._recovered = by_signal(telemetry, "airis_exporter_recovered", "in the queue when it was opened")
        self._kept = by_signal(telemetry, "airis_exporter_kept", "in the queue when it was closed")
        self._put_back = by_signal(
            telemetry, "airis_exporter_put_back", "put back by hand into a queue that is closed now"
        )
        self._unacknowledged = by_signal(
            telemetry, "airis_exporter_unacknowledged", "taken into the queue whose sender was not told so"
        )

    def entry(self, batch: Batch) -> "Entry":
        """Follows one batch on its way into the queue."""
        return Entry(self, batch)

    def opened(self, signal: Signal, queue: Queue) -> None:
        """A queue is there, with what is in it."""
        self._recovered[signal].add(queue.recovered)

    def closed(self, signal: Signal, queue: Queue) -> None:
        """A queue is there no more, and what is in it is for the next one."""
        self._put_back[signal].add(queue.put_back)
        if queue.is_durable:
            self._kept[signal].add(queue.snapshot().items + sum(queue.lost().values()))

    def enqueued(self, batch: Batch, *, is_acknowledged: bool) -> None:
        """The queue answers for a batch."""
        self._outcomes.enqueued(batch)
        if not is_acknowledged:
            self.unacknowledged(batch, batch.items)

    def unacknowledged(self, batch: Batch, items: int) -> None:
        """Of a batch that is in the queue the sender was not told so of so many items."""
        self._unacknowledged[batch.signal].add(items)

    def snapshot(self, signal: Signal, queue: Queue | None) -> AccountsSnapshot:
        """The sums so far; `queue` is the one that is open."""
        return AccountsSnapshot(
            recovered=int(self._recovered[signal].value),
            kept=int(self._kept[signal].value),
            put_back=int(self._put_back[signal].value) + (queue.put_back if queue else 0),
            unacknowledged=int(self._unacknowledged[signal].value),
            lost=queue.lost() if queue else {},
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
        self._accounts.enqueued(batch, is_acknowledged=not self._has_left)

    def left(self, error: BaseException) -> None:
        """The sender is not told that all of it is taken."""
        items = self._batch.items
        if self.is_queued:
            self._accounts.unacknowledged(
                self._batch, min(error.rejected, items) if isinstance(error, Partial) else items
            )
        self._has_left = True
