"""The ledger of a running graph, drawn up from what its components, ports and queues have counted."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from airis.component import Connector, Exporter, Extension, Kind, Metrics
from airis.component.ledger import (
    REJECTED,
    Branch,
    BreakerState,
    BulkheadState,
    HeldBack,
    Ledger,
    LogState,
    Passage,
    QueueState,
    Received,
)
from airis.component.sending import SendingSnapshot
from airis.component.sending.snapshot import AccountsSnapshot, SignalSnapshot
from airis.component.telemetry import Gauge, Metric
from airis.data import Signal
from airis.service.branches import Source, total
from airis.service.graph import Graph
from airis.service.plan import Entry, Place, Stage
from airis.service.port import Port

STALLED_S = 2.0
"""Who has not answered for so long holds its senders back."""
REFUSED_WITHIN_S = 30.0
"""A refusal tells of the present for so long: senders that are told to come again do so within it."""

_NO_ACCOUNTS = AccountsSnapshot()


def draw_up(graph: Graph, now: float) -> Ledger:
    """Of this moment, which `now` is by the loop's clock; cheap, and never waits."""
    sending = {
        place: state
        for place, node in graph.nodes.items()
        if isinstance(node.component, Exporter) and (state := node.component.sending_state()) is not None
    }
    queues = tuple(_queues(sending))
    return Ledger(
        received=tuple(_received(graph)),
        passages=tuple(_passages(graph)),
        branches=tuple(_branches(graph, sending)),
        queues=queues,
        breakers=tuple(
            BreakerState(place.component_id, state.breaker.state.name.lower(), state.breaker.for_s)
            for place, state in sending.items()
            if state.breaker is not None
        ),
        bulkheads=tuple(
            BulkheadState(place.component_id, state.bulkhead.limit, state.bulkhead.under_way, state.bulkhead.waiting)
            for place, state in sending.items()
            if state.bulkhead is not None
        ),
        held_back=tuple(_held_back(graph, now)),
        logs=tuple(_logs(graph, queues)),
    )


# The equation


def _received(graph: Graph) -> Iterator[Received]:
    receivers = [place.component_id for place in graph.nodes if place.kind is Kind.RECEIVER]
    signals = dict.fromkeys(p.signal for p in graph.plan.configuration.pipelines.values())
    for signal in (s for s in Signal if s in signals):
        names = [f"otelcol_receiver_{what}_{signal.item}" for what in ("accepted", "refused", "failed")]
        accepted, refused, failed = (
            sum(_count(graph.metrics, name, Kind.RECEIVER, each) for each in receivers) for name in names
        )
        yield Received(signal, accepted, refused, failed)


def _passages(graph: Graph) -> Iterator[Passage]:
    for pipeline in graph.plan.configuration.pipelines.values():
        entry = Entry(pipeline.pipeline_id)
        amounts = graph.branches.through(pipeline.pipeline_id)
        yield Passage(
            f"pipelines::{pipeline.pipeline_id}",
            pipeline.signal,
            graph.branches.received(entry, pipeline.signal),
            amounts.accepted,
            amounts.made,
            amounts.unacknowledged,
            graph.branches.handed_on(pipeline.pipeline_id),
            amounts.lines(),
            amounts.held,
            _moving_in(graph, entry),
        )
    for place, node in graph.nodes.items():
        if isinstance(node.component, Connector) and node.component.keeps_items:
            amounts = graph.branches.own(place)
            taken = _count(graph.metrics, "otelcol_connector_consumed_items", place.kind, place.component_id)
            given = _count(graph.metrics, "otelcol_connector_produced_items", place.kind, place.component_id)
            moving = sum(port.in_flight_items for port in (*node.outlets.values(), *_ports_before(graph, place)))
            yield Passage(
                str(place),
                None,
                None,
                taken,
                amounts.made,
                amounts.unacknowledged,
                given,
                amounts.lines(),
                amounts.held,
                moving,
            )


def _branches(graph: Graph, sending: Mapping[Place, SendingSnapshot]) -> Iterator[Branch]:
    ends: dict[tuple[Signal, Place], list[str]] = {}
    for pipeline in graph.plan.configuration.pipelines.values():
        for end in graph.plan.ends[pipeline.pipeline_id]:
            ends.setdefault((pipeline.signal, end), []).append(pipeline.pipeline_id)
    for place, state in sending.items():  # a queue may outlive the pipelines that filled it
        for each in state.signals:
            if each.accounts is not None:
                ends.setdefault((each.signal, place), [])
    order = {signal: number for number, signal in enumerate(Signal)}
    for (signal, end), pipelines in sorted(ends.items(), key=lambda item: order[item[0][0]]):
        if end in graph.nodes:
            yield _branch(graph, signal, end, pipelines, sending.get(end))


def _branch(graph: Graph, signal: Signal, end: Place, pipelines: list[str], state: SendingSnapshot | None) -> Branch:
    sources = [Source(Entry(pipeline), signal) for pipeline in pipelines]
    owed = total(graph.branches.owed(source, end) for source in sources)
    copies = [graph.branches.copies(source) for source in sources]
    own = next((each for each in state.signals if each.signal is signal), None) if state else None
    accounts = own.accounts if own and own.accounts else _NO_ACCOUNTS
    given_up = _given_up(graph.metrics, end, signal, accounts)
    settling = own.queue.settling if own and own.queue else 0
    return Branch(
        signal,
        end.kind,
        end.component_id,
        tuple(pipelines),
        accepted=owed.accepted + graph.branches.before(end, signal),
        queued_at_start=accounts.recovered,
        put_back=accounts.put_back,
        made=owed.made,
        unacknowledged=accounts.unacknowledged + owed.unacknowledged + sum(each.ahead[end] for each in copies),
        delivered=_delivered(graph, end, signal),
        rejected={reason: items for reason, items in given_up.items() if reason in REJECTED},
        dropped={reason: items for reason, items in given_up.items() if reason not in REJECTED},
        left_out=owed.lines(),
        held=owed.held,
        queued=_queued(own),
        kept=accounts.kept,
        settling=settling,
        moving=settling
        + sum(port.in_flight_items for port in _ports_before(graph, end))
        + sum(_moving_in(graph, Entry(pipeline)) for pipeline in pipelines),
    )


def _queued(own: SignalSnapshot | None) -> int:
    return own.queue.items if own and own.queue else 0


def _delivered(graph: Graph, end: Place, signal: Signal) -> int:
    if end.kind is Kind.CONNECTOR:
        return sum(port.taken.get(signal, 0) for port in _ports_before(graph, end))
    return _count(graph.metrics, f"otelcol_exporter_sent_{signal.item}", end.kind, end.component_id)


def _given_up(metrics: Metrics, end: Place, signal: Signal, accounts: AccountsSnapshot) -> dict[str, int]:
    """Items by reason, also those that nobody has counted yet."""
    found = dict(accounts.lost)
    for labels, items in metrics.of("airis_exporter_dropped_items", end.kind, end.component_id).items():
        named = dict(labels)
        if named.get("signal") == signal.value:
            found[named["reason"]] = found.get(named["reason"], 0) + int(items)
    return {reason: items for reason, items in sorted(found.items()) if items}


def _moving_in(graph: Graph, entry: Entry) -> int:
    """Items that are on their way through a pipeline, or into it."""
    ports = _ports_before(graph, entry)
    for place, node in graph.nodes.items():
        if place.pipeline == entry.pipeline:
            ports += node.outlets.values()
        elif place.kind is Kind.RECEIVER:
            targets = graph.plan.targets.get(place, {})
            ports += [port for outlet, port in node.outlets.items() if entry in targets.get(outlet, ())]
    return sum(port.in_flight_items for port in ports)


def _ports_before(graph: Graph, stage: Stage) -> list[Port]:
    port = graph.before(stage)
    return [] if port is None else [port]


def _count(metrics: Metrics, name: str, kind: Kind, component_id: str) -> int:
    return int(sum(metrics.of(name, kind, component_id).values()))


# What is in the way


def _queues(sending: Mapping[Place, SendingSnapshot]) -> Iterator[QueueState]:
    for place, state in sending.items():
        for each in state.signals:
            queue = each.queue
            yield QueueState(
                place.component_id,
                each.signal,
                kind="none" if queue is None else "disk" if queue.is_durable else "memory",
                batches=queue.batches if queue else 0,
                items=queue.items if queue else 0,
                size_bytes=queue.size_bytes if queue else 0,
                fill=queue.fill if queue else None,
                oldest_age_s=queue.oldest_age_s if queue else None,
                failing_for_s=each.failing_for_s,
                last_error=each.last_error,
            )


def _held_back(graph: Graph, now: float) -> Iterator[HeldBack]:
    """The receivers before every component that is in the way itself, and not by what is behind it."""
    for place, node in graph.nodes.items():
        port = graph.before(place)
        found = _in_the_way(port, now) if port is not None else None
        if found is None or any(_in_the_way(outlet, now) for outlet in node.outlets.values()):
            continue
        why, since = found
        for receiver in _receivers_before(graph, place):
            yield HeldBack(receiver, str(place), why, max(0.0, now - since))


def _in_the_way(port: Port, now: float) -> tuple[str, float] | None:
    """Why, and since when, whoever comes to a port waits or is refused; None where nobody does."""
    refusing, oldest = port.refusing, port.oldest_in_flight
    if refusing is not None and now - refusing.last <= REFUSED_WITHIN_S:
        return refusing.reason, refusing.since
    if oldest is not None and now - oldest >= STALLED_S:
        return "it has not answered yet", oldest
    return None


def _receivers_before(graph: Graph, stage: Stage) -> list[str]:
    sources: dict[Stage, set[Stage]] = {}
    for source, outlets in graph.plan.targets.items():
        for targets in outlets.values():
            for target in targets:
                sources.setdefault(target, set()).add(source)
    seen: set[Stage] = set()
    waiting = [stage]
    while waiting:
        new = sources.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return sorted(s.component_id for s in seen if isinstance(s, Place) and s.kind is Kind.RECEIVER)


def _logs(graph: Graph, queues: Iterable[QueueState]) -> Iterator[LogState]:
    claimed = {f"{Kind.EXPORTER.section}/{queue.exporter}:{queue.signal}" for queue in queues if queue.kind == "disk"}
    for node in graph.nodes.values():
        state = node.component.log_state() if isinstance(node.component, Extension) else None
        if state is not None:
            unclaimed = {name: items for name, items in state.unclaimed.items() if items and name not in claimed}
            yield replace(state, unclaimed=unclaimed)


# Metrics


def metrics_of(ledger: Ledger) -> Iterator[Metric]:
    """The same as gauges; the table of docs/ledger.md says what they are for."""
    gauges: dict[str, tuple[str, str, Gauge]] = {}

    def tell(name: str, unit: str, what: str, value: float, **labels: str) -> None:
        _, _, gauge = gauges.setdefault(name, (unit, what, Gauge()))
        gauge.set(value, **labels)

    for branch in ledger.branches:
        to = {branch.kind.value: branch.component_id, "signal": branch.signal.value}
        for term in branch.terms():
            labels = {"side": term.side, "term": term.name, "reason": term.reason, "component": term.component}
            told = {name: text for name, text in labels.items() if text}
            tell("airis_ledger_items", "{item}", _TERMS, term.items, **to, **told)
        tell("airis_ledger_imbalance_items", "{item}", _IMBALANCE, branch.imbalance, **to)
        tell("airis_ledger_moving_items", "{item}", _MOVING, branch.moving, **to)
    for passage in ledger.passages:
        kind, _, name = passage.name.partition("s::")
        tell("airis_ledger_imbalance_items", "{item}", _IMBALANCE, passage.imbalance, **{kind: name})
    for queue in ledger.queues:
        to = {"exporter": queue.exporter, "signal": queue.signal.value}
        tell("airis_exporter_queue_items", "{item}", "Items in the queue.", queue.items, **to)
        tell("airis_exporter_queue_batches", "{batch}", "Batches in the queue.", queue.batches, **to)
        tell("airis_exporter_queue_content", "By", "Bytes in the queue.", queue.size_bytes, **to)
        tell("airis_exporter_queue_oldest_age", "s", _OLDEST, queue.oldest_age_s or 0.0, **to)
        tell("airis_exporter_failing_duration", "s", _FAILING, queue.failing_for_s or 0.0, **to)
    for breaker in ledger.breakers:
        what = "How long the circuit has been in its state."
        tell("airis_circuit_breaker_state_duration", "s", what, breaker.for_s, exporter=breaker.exporter)
    for bulkhead in ledger.bulkheads:
        what = "Requests that have a place."
        tell("airis_concurrency_under_way", "{request}", what, bulkhead.under_way, exporter=bulkhead.exporter)
    for held in ledger.held_back:
        what = "How long the senders of a receiver have been held back, and by what; only while they are."
        tell("airis_receiver_held_back_duration", "s", what, held.for_s, receiver=held.receiver, by=held.by)
    for log in ledger.logs:
        to = {"extension": log.extension}
        tell("airis_log_used", "By", "What the write-ahead log has.", log.used_bytes, **to)
        tell("airis_log_limit", "By", "What it may have; 0: what the disk has.", log.limit_bytes, **to)
        tell("airis_log_free", "By", "What its disk has left.", log.free_bytes, **to)
        tell("airis_log_used_share", "1", "Share of its limit, or of its disk, that it has.", log.used_share, **to)
        tell("airis_log_dead_letters", "{letter}", "Batches that no destination takes.", log.dead_letters, **to)
        tell("airis_log_dead_content", "By", "What they have.", log.dead_bytes, **to)
        unclaimed = sum(log.unclaimed.values())
        tell("airis_log_unclaimed_items", "{item}", "Items for exporters that are not configured.", unclaimed, **to)
    for name, (unit, what, gauge) in gauges.items():
        yield Metric(name, unit, what, (), gauge)


_TERMS = "The terms of the equation: those of the side in are together as much as those of the side out."
_IMBALANCE = "Items that are missing (more than 0) or came from nowhere (less); 0 if all is well."
_MOVING = "Items that may be counted on one side only, because they are on their way."
_OLDEST = "How long the oldest of the queue has been there; 0 where it is empty."
_FAILING = "How long nothing has been delivered though it was tried; 0 while something is."
