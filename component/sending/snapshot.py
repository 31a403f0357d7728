"""What an exporter's sending is at one moment, for those who look at it: `airis status`, a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airis.component.sending.breaker import State
from airis.data import Signal


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """What is in the queue of one signal, what is under way included."""

    is_durable: bool
    """On disk, so that it survives the end of the process."""
    items: int
    size_bytes: int
    batches: int
    oldest_age_s: float | None
    """Since the oldest of it came in; None for an empty queue, or while nobody has taken of it since the start."""
    fill: float | None
    """Share of what it may hold, 0 to 1, by whichever of the three its limit is a number of; None without a limit."""
    consumers: int
    """Most groups that are under way at once."""
    settling: int = 0
    """Items whose outcome is being noted: perhaps they are not among `items` any more, and not counted yet."""


@dataclass(frozen=True, slots=True)
class AccountsSnapshot:
    """Items of one signal, beside those that were delivered, given up or are queued."""

    recovered: int = 0
    """They were in the queue when it was opened."""
    kept: int = 0
    """They were in the queue when it was closed, as by a reload."""
    put_back: int = 0
    """People put them back into the queue."""
    unacknowledged: int = 0
    """They were taken into the queue, but their sender had left, or was told the outcome instead."""
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    """By reason: the log has given them up, and nobody has counted them yet."""


@dataclass(frozen=True, slots=True)
class SignalSnapshot:
    """How one signal fares."""

    signal: Signal
    queue: QueueSnapshot | None
    """None without a queue, whose senders are held."""
    under_way: int
    """Groups of batches (without a queue: senders) whose turn it is, those included that wait to be tried again."""
    last_error: str
    """Why something was not delivered, the last time; empty where that never happened."""
    last_error_age_s: float | None
    failing_for_s: float | None
    """Since the first failure behind the last success; None while data is delivered."""
    outcomes: Mapping[str, int]
    """Items since the start: ``delivered``, ``refused`` (the queue did not take them; their senders know), and by its
    reason what was given up, such as ``rejected``, ``dead_letter``, ``retries``, ``age``. Empty without a queue, where
    the service counts."""
    accounts: AccountsSnapshot | None = None
    """What the queue answers for; None without one."""


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """The circuit breaker."""

    state: State
    for_s: float
    """How long it has been in this state."""


@dataclass(frozen=True, slots=True)
class BulkheadSnapshot:
    """How much is under way at once."""

    limit: int
    """Most requests, now; it changes where the number is found out."""
    under_way: int
    waiting: int
    """Requests that wait for a place."""


@dataclass(frozen=True, slots=True)
class SendingSnapshot:
    """All of it."""

    signals: tuple[SignalSnapshot, ...]
    """Of those that something was sent of, or is queued of."""
    breaker: BreakerSnapshot | None
    bulkhead: BulkheadSnapshot | None
