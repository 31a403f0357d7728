"""The ledger: of every item that was accepted, where it is. See docs/ledger.md.

For each signal and each exporter that is to have it, at any moment at which nothing moves:

    accepted + queued at start + put back + made + unacknowledged
        = delivered + rejected + dropped + left out + held + queued + kept
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from airis.component.kind import Kind
from airis.data import Signal

REJECTED = frozenset({"rejected", "refused", "dead_letter"})
"""The reasons that are the destination's; all others are airis's own."""
_ALWAYS_SHOWN = frozenset({"accepted", "delivered"})
BUDGET_SHARE = 0.8
"""Of a log's limit; what is more is told as a trouble."""


def unexplained(difference: int, moving: int, settling: int = 0) -> int:
    """What is left of a difference of the left and the right side while so many items are on their way.

    An item is counted where it goes before it is counted where it came from, so that what moves can only make
    the right side the larger one. Whatever the left side has more is missing, but for what is being settled: the log
    may have let it go a moment before it is counted.
    """
    return max(0, difference - settling) if difference > 0 else min(0, difference + moving)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Items that a processor or a connector left out by choice."""

    component: str
    """``processors::probabilistic_sampler of traces``."""
    reason: str
    items: int


class Term(NamedTuple):
    """A number of the equation."""

    side: Literal["in", "out"]
    name: str
    items: int
    reason: str = ""
    component: str = ""
    """That left them out."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What one exporter, or connector, is owed of one signal, and what became of it, in items since the start."""

    signal: Signal
    kind: Kind
    component_id: str
    pipelines: tuple[str, ...]
    """That lead to it."""

    accepted: int = 0
    """Acknowledged by these pipelines, once for each of them."""
    queued_at_start: int = 0
    """In the queue on disk when it was opened."""
    put_back: int = 0
    """Into the queue, by hand."""
    made: int = 0
    """By processors."""
    unacknowledged: int = 0
    """Taken, but for want of another branch, or because it had left, the sender was told otherwise."""

    delivered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])
    """By the destination, by reason."""
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    """By airis, by reason."""
    left_out: tuple[LeftOut, ...] = ()
    held: int = 0
    """Acknowledged by processors that have not handed them on yet."""
    queued: int = 0
    kept: int = 0
    """In the queue on disk when it was closed, as by a reload; queued at start again since."""
    moving: int = 0
    """On their way at this moment: counted on one side only, perhaps."""
    settling: int = 0
    """Of these, what is leaving the queue on disk."""

    @property
    def name(self) -> str:
        """``exporters::otlp``."""
        return f"{self.kind.section}::{self.component_id}"

    def terms(self) -> Iterator[Term]:
        """All terms of the equation, also those that are 0."""
        yield Term("in", "accepted", self.accepted)
        yield Term("in", "queued_at_start", self.queued_at_start)
        yield Term("in", "put_back", self.put_back)
        yield Term("in", "made", self.made)
        yield Term("in", "unacknowledged", self.unacknowledged)
        yield Term("out", "delivered", self.delivered)
        for reason, items in self.rejected.items():
            yield Term("out", "rejected", items, reason)
        for reason, items in self.dropped.items():
            yield Term("out", "dropped", items, reason)
        for each in self.left_out:
            yield Term("out", "left_out", each.items, each.reason, each.component)
        yield Term("out", "held", self.held)
        yield Term("out", "queued", self.queued)
        yield Term("out", "kept", self.kept)

    @property
    def imbalance(self) -> int:
        """Items that are missing; less than 0: that came from nowhere. 0 if all is well."""
        difference = sum(term.items if term.side == "in" else -term.items for term in self.terms())
        return unexplained(difference, self.moving, self.settling)

    @property
    def equation(self) -> str:
        """For people: ``1,200 accepted = 900 delivered + 300 left out (sampled)``, without most terms that are 0."""
        shown: dict[str, list[str]] = {"in": [], "out": []}
        for term in self.terms():
            if term.items or term.name in _ALWAYS_SHOWN:
                why = f" ({term.reason.replace('_', ' ')})" if term.reason not in ("", term.name) else ""
                shown[term.side].append(f"{term.items:,} {term.name.replace('_', ' ')}{why}")
        return f"{' + '.join(shown['in'])} = {' + '.join(shown['out'])}"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "signal": self.signal.value,
            "kind": self.kind.value,
            "id": self.component_id,
            "pipelines": list(self.pipelines),
            "accepted": self.accepted,
            "queued_at_start": self.queued_at_start,
            "put_back": self.put_back,
            "made": self.made,
            "unacknowledged": self.unacknowledged,
            "delivered": self.delivered,
            "rejected": dict(self.rejected),
            "dropped": dict(self.dropped),
            "left_out": [asdict(each) for each in self.left_out],
            "held": self.held,
            "queued": self.queued,
            "kept": self.kept,
            "moving": self.moving,
            "imbalance": self.imbalance,
            "equation": self.equation,
        }


@dataclass(frozen=True, slots=True)
class Passage:
    """What went into a pipeline, or a connector that keeps what it takes, and what came out of it."""

    name: str
    """``pipelines::traces``."""
    signal: Signal | None
    """None for a connector."""
    received: int | None
    """What its receivers acknowledged for it; None where that is not counted, as behind connectors."""
    accepted: int
    made: int
    unacknowledged: int
    """Handed on, but the sender was told to send them again, or had left."""
    handed_on: int
    left_out: tuple[LeftOut, ...]
    held: int
    moving: int

    @property
    def imbalance(self) -> int:
        """As that of a branch."""
        came = self.accepted + self.made + self.unacknowledged
        through = came - self.handed_on - self.held - sum(each.items for each in self.left_out)
        before = 0 if self.received is None else self.received - self.accepted
        return unexplained(before, self.moving) + unexplained(through, self.moving)

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "signal": self.signal and self.signal.value,
            "received": self.received,
            "accepted": self.accepted,
            "made": self.made,
            "unacknowledged": self.unacknowledged,
            "handed_on": self.handed_on,
            "left_out": [asdict(each) for each in self.left_out],
            "held": self.held,
            "moving": self.moving,
            "imbalance": self.imbalance,
        }


@dataclass(frozen=True, slots=True)
class Received:
    """What the senders of one signal were told, in items since the start."""

    signal: Signal
    accepted: int
    refused: int
    failed: int


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue of one exporter for one signal."""

    exporter: str
    """Its id."""
    signal: Signal
    kind: Literal["disk", "memory", "none"]
    """``none``: senders are held until their data is delivered."""
    batches: int
    items: int
    size_bytes: int
    fill: float | None
    """Share of its limit, 0 to 1; None without one."""
    oldest_age_s: float | None
    failing_for_s: float | None
    """Since when nothing is delivered; None while something is."""
    last_error: str


@dataclass(frozen=True, slots=True)
class BreakerState:
    """The circuit breaker of one exporter."""

    exporter: str
    state: str
    """``closed``, ``half_open``, ``open``."""
    for_s: float


@dataclass(frozen=True, slots=True)
class BulkheadState:
    """How many requests of one exporter are under way at once."""

    exporter: str
    limit: int
    under_way: int
    waiting: int


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A receiver whose senders wait, or are told to come again, because of a component behind it."""

    receiver: str
    """Its id."""
    by: str
    """``exporters::otlp``, ``processors::memory_limiter of traces``."""
    why: str
    for_s: float


@dataclass(frozen=True, slots=True)
class LogState:
    """A write-ahead log and its dead letters."""

    extension: str
    """Its id."""
    directory: str
    used_bytes: int
    limit_bytes: int
    """0: what the disk has."""
    free_bytes: int
    """Of the disk."""
    dead_letters: int
    dead_bytes: int
    unclaimed: Mapping[str, int]
    """Items by exporter and signal that no exporter of the configuration takes."""

    @property
    def used_share(self) -> float:
        """Of the limit, or of what the disk would have without it."""
        most = self.limit_bytes or self.used_bytes + self.free_bytes
        return min(1.0, self.used_bytes / most) if most else 0.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """All of it at one moment."""

    received: tuple[Received, ...] = ()
    passages: tuple[Passage, ...] = ()
    branches: tuple[Branch, ...] = ()
    queues: tuple[QueueState, ...] = ()
    breakers: tuple[BreakerState, ...] = ()
    bulkheads: tuple[BulkheadState, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    logs: tuple[LogState, ...] = ()

    @property
    def imbalance(self) -> int:
        """Items that are missing or came from nowhere, whichever branch has most of them; 0 if all is well."""
        return max(
            [0, *(abs(each.imbalance) for each in self.branches), *(abs(each.imbalance) for each in self.passages)]
        )

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "imbalance": self.imbalance,
            "troubles": [asdict(trouble) for trouble in self.troubles()],
            "received": [{**asdict(each), "signal": each.signal.value} for each in self.received],
            "pipelines": [passage.document() for passage in self.passages],
            "branches": [branch.document() for branch in self.branches],
            "queues": [{**asdict(queue), "signal": queue.signal.value} for queue in self.queues],
            "breakers": [asdict(each) for each in self.breakers],
            "bulkheads": [asdict(each) for each in self.bulkheads],
            "held_back": [asdict(each) for each in self.held_back],
            "logs": [
                {**asdict(each), "unclaimed": dict(each.unclaimed), "used_share": each.used_share} for each in self.logs
            ],
        }

    def troubles(self) -> Sequence["Trouble"]:
        """What is wrong, the worst first."""
        return [
            *_imbalances(self.branches, self.passages),
            *_of_logs(self.logs),
            *_of_exporters(self.queues, self.breakers),
            *(
                Trouble("held_back", f"receivers::{h.receiver}", f"is held back by {h.by}: {h.why}", h.for_s)
                for h in self.held_back
            ),
        ]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong."""

    kind: Literal["imbalance", "disk", "dead_letters", "unclaimed", "failing", "breaker", "held_back"]
    where: str
    """``exporters::otlp``."""
    what: str
    for_s: float | None = None


def _missing(imbalance: int, signal: str = "") -> str:
    of = f" of {signal}" if signal else ""
    if imbalance > 0:
        return f"{imbalance:,} items{of} were accepted, and nobody knows where they are"
    return f"{-imbalance:,} items{of} came from nowhere"


def _of_logs(logs: Sequence[LogState]) -> Iterator[Trouble]:
    for each in logs:
        where = f"extensions::{each.extension}"
        if each.used_share > BUDGET_SHARE:
            yield Trouble("disk", where, f"the log has {each.used_share:.0%} of the disk space that it may have")
        if each.dead_letters:
            noun = "dead letter" if each.dead_letters == 1 else "dead letters"
            yield Trouble("dead_letters", where, f"{each.dead_letters:,} {noun}: batches that no destination takes")
        for name, items in each.unclaimed.items():
            if items:
                yield Trouble("unclaimed", where, f"{items:,} items wait for {name}, which is not configured")


def _imbalances(branches: Sequence[Branch], passages: Sequence[Passage]) -> Iterator[Trouble]:
    for branch in branches:
        if branch.imbalance:
            yield Trouble("imbalance", branch.name, _missing(branch.imbalance, branch.signal.value))
    for passage in passages:
        if passage.imbalance:
            yield Trouble("imbalance", passage.name, _missing(passage.imbalance))


def _of_exporters(queues: Sequence[QueueState], breakers: Sequence[BreakerState]) -> Iterator[Trouble]:
    for queue in queues:
        if queue.failing_for_s is not None:
            what = f"delivers no {queue.signal.value}: {queue.last_error}"
            yield Trouble("failing", f"exporters::{queue.exporter}", what, queue.failing_for_s)
    for breaker in breakers:
        if breaker.state != "closed":
            what = f"its circuit is {breaker.state.replace('_', '-')}"
            yield Trouble("breaker", f"exporters::{breaker.exporter}", what, breaker.for_s)
