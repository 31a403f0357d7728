"""The ledger: the equation holds whatever happens on the way, and says so when it does not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.component import Kind, Metrics, Partial, Permanent, Retryable
from airis.component.ledger import (
    Branch,
    BreakerState,
    HeldBack,
    Ledger,
    LeftOut,
    LogState,
    Passage,
    QueueState,
    unexplained,
)
from airis.data import Signal
from airis.service import fan_out
from airis.service.graph import Graph
from airis.service.ledger import REFUSED_WITHIN_S, STALLED_S, draw_up, metrics_of

from .fakes import configuration, settled
from .test_reload import Running, of


def look(graph: Graph, later_s: float = 0.0) -> Ledger:
    return draw_up(graph, asyncio.get_running_loop().time() + later_s)


def branch(told: Ledger, exporter: str, signal: Signal = Signal.TRACES) -> Branch:
    (found,) = (each for each in told.branches if (each.component_id, each.signal) == (exporter, signal))
    return found


def is_balanced(told: Ledger) -> None:
    assert told.imbalance == 0, [line for line in (*told.branches, *told.passages) if line.imbalance]


def is_still(told: Ledger) -> None:
    """Nothing moves, so that the sums are equal without any allowance."""
    assert [each for each in (*told.branches, *told.passages) if each.moving] == []
    is_balanced(told)


@pytest.mark.parametrize(
    ("difference", "moving", "settling", "left"),
    [
        (0, 0, 0, 0),
        (5, 0, 0, 5),
        (5, 9, 0, 5),
        (5, 9, 3, 2),
        (5, 9, 9, 0),
        (-5, 9, 0, 0),
        (-5, 5, 0, 0),
        (-5, 3, 3, -2),
        (-5, 0, 0, -5),
    ],
)
def test_what_moves_explains_that_there_is_more_than_came_and_never_that_there_is_less(
    difference: int, moving: int, settling: int, left: int
) -> None:
    assert unexplained(difference, moving, settling) == left


def test_the_equation_is_a_line() -> None:
    whole = Branch(
        Signal.TRACES,
        Kind.EXPORTER,
        "otlp",
        ("traces",),
        accepted=12_000,
        queued_at_start=50,
        delivered=9000,
        rejected={"refused": 50, "rejected": 100},
        left_out=(LeftOut("processors::probabilistic_sampler of traces", "sampled", 2900),),
    )

    assert whole.equation == (
        "12,000 accepted + 50 queued at start = "
        "9,000 delivered + 50 rejected (refused) + 100 rejected + 2,900 left out (sampled)"
    )
    assert whole.imbalance == 0
    assert replace(whole, queued_at_start=57).imbalance == 7
    assert replace(whole, queued_at_start=43).imbalance == -7
    assert replace(whole, queued_at_start=43, moving=7).imbalance == 0


def test_what_is_wrong_comes_in_the_order_of_its_weight() -> None:
    queue = QueueState("otlp", Signal.LOGS, "disk", 1, 5, 100, None, 3.0, 60.0, "refused")
    log = LogState("file_storage", "/data/wal", 90, 100, 10_000, 2, 10, {"exporters/gone:logs": 4})
    ledger = Ledger(
        branches=(Branch(Signal.LOGS, Kind.EXPORTER, "otlp", ("logs",), accepted=3),),
        queues=(queue, replace(queue, exporter="well", failing_for_s=None)),
        breakers=(BreakerState("otlp", "half_open", 3.0), BreakerState("well", "closed", 3.0)),
        held_back=(HeldBack("in", "exporters::otlp", "the sending queue is full", 9.0),),
        logs=(log,),
    )

    assert [(t.kind, t.where, t.what, t.for_s) for t in ledger.troubles()] == [
        ("imbalance", "exporters::otlp", "3 items of logs were accepted, and nobody knows where they are", None),
        ("disk", "extensions::file_storage", "the log has 90% of the disk space that it may have", None),
        ("dead_letters", "extensions::file_storage", "2 dead letters: batches that no destination takes", None),
        (
            "unclaimed",
            "extensions::file_storage",
            "4 items wait for exporters/gone:logs, which is not configured",
            None,
        ),
        ("failing", "exporters::otlp", "delivers no logs: refused", 60.0),
        ("breaker", "exporters::otlp", "its circuit is half-open", 3.0),
        ("held_back", "receivers::in", "is held back by exporters::otlp: the sending queue is full", 9.0),
    ]
    assert Ledger().troubles() == []


@pytest.mark.parametrize(
    ("used", "limit", "free", "share"), [(50, 100, 7, 0.5), (50, 0, 150, 0.25), (0, 0, 0, 0.0), (120, 100, 7, 1.0)]
)
def test_the_share_of_a_log_is_of_its_limit_or_of_the_disk(used: int, limit: int, free: int, share: float) -> None:
    assert LogState("x", "", used, limit, free, 0, 0, {}).used_share == share


async def test_every_branch_owes_its_own_copy(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "drop", "out/a out/b")), tmp_path).start()
    for _ in range(4):
        await running.send(items=10)

    told = look(running.graph)
    for exporter in ("out/a", "out/b"):
        line = branch(told, exporter)
        assert line.equation == "40 accepted = 36 delivered + 4 left out (by choice)"
        assert line.left_out == (LeftOut("processors::drop of traces", "by_choice", 4),)
    (passage,) = told.passages
    assert (passage.received, passage.accepted, passage.handed_on) == (40, 40, 36)
    is_still(told)


async def test_what_a_processor_loses_is_missing(tmp_path: Path) -> None:
    running = await Running(of({"drop": {"size": 1}}, traces=("in", "drop", "out/a out/b")), tmp_path).start()
    await running.send(items=10)

    told = look(running.graph)

    assert (branch(told, "out/a").imbalance, branch(told, "out/b").imbalance) == (1, 1)
    assert [(trouble.where, trouble.what) for trouble in told.troubles()] == [
        ("exporters::out/a", "1 items of traces were accepted, and nobody knows where they are"),
        ("exporters::out/b", "1 items of traces were accepted, and nobody knows where they are"),
        ("pipelines::traces", "1 items were accepted, and nobody knows where they are"),
    ]


async def test_a_fan_out_that_forgets_a_branch_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def to_the_first(self: fan_out.FanOut, batch: Any) -> None:
        await next(iter(self.branches.values())).consume(batch)

    monkeypatch.setattr(fan_out.FanOut, "consume", to_the_first)
    running = await Running(of(traces=("in", "", "out/a out/b")), tmp_path).start()
    await running.send(items=10)

    told = look(running.graph)

    assert sorted(each.imbalance for each in told.branches) == [0, 10]


async def test_what_is_held_and_what_is_queued_is_told(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "hold", "queue")), tmp_path).start()
    queue = running.component(Kind.EXPORTER, "queue")
    await running.send(items=7)
    assert branch(look(running.graph), "queue").equation == "7 accepted = 0 delivered + 7 held"

    queue.sink.gate.clear()
    holding = running.component(Kind.PROCESSOR, "hold", "traces")
    await holding.shutdown()
    assert branch(look(running.graph), "queue").equation == "7 accepted = 0 delivered + 7 queued"

    queue.sink.gate.set()
    await queue.sink.until(items=7)
    await settled()
    assert branch(look(running.graph), "queue").equation == "7 accepted = 7 delivered"
    is_still(look(running.graph))


async def test_a_branch_that_is_ahead_is_not_taken_for_a_gain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "RETRY_S", 0.0)
    running = await Running(of(traces=("in", "", "out/a out/b")), tmp_path).start()
    running.exporter("out/b").sink.error = Retryable("away")
    with pytest.raises(Retryable):
        await running.send(b"x", items=5)
    ahead = branch(look(running.graph), "out/a")
    assert ahead.equation == "0 accepted + 5 unacknowledged = 5 delivered"
    is_still(look(running.graph))

    running.exporter("out/b").sink.error = None
    await running.send(b"x", items=5)

    for exporter in ("out/a", "out/b"):
        assert branch(look(running.graph), exporter).equation == "5 accepted = 5 delivered"
    is_still(look(running.graph))


async def test_what_two_senders_say_alike_at_once_is_taken_from_both(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "", "out/a out/b")), tmp_path).start()
    sink = running.exporter("out/b").sink
    sink.gate.clear()
    twice = [asyncio.create_task(running.send(b"x", items=5)) for _ in range(2)]
    await sink.until(waiting=2)
    is_balanced(look(running.graph))
    sink.gate.set()
    await asyncio.gather(*twice)

    assert branch(look(running.graph), "out/b").equation == "10 accepted = 10 delivered"
    is_still(look(running.graph))


async def test_who_holds_back_whom(tmp_path: Path) -> None:
    plan = configuration({"traces": ("in in/b", "", "pass"), "logs": ("pass in/c", "through", "out/a out/b")})
    running = await Running(plan, tmp_path).start()
    running.exporter("out/a").sink.gate.clear()
    sending = asyncio.create_task(running.send())
    await running.exporter("out/a").sink.until(waiting=1)

    assert look(running.graph).held_back == ()
    found = look(running.graph, STALLED_S).held_back
    assert [(held.receiver, held.by, held.why) for held in found] == [
        (name, "exporters::out/a", "it has not answered yet") for name in ("in", "in/b", "in/c")
    ]
    assert all(held.for_s >= STALLED_S for held in found)

    running.exporter("out/a").sink.gate.set()
    await sending
    assert look(running.graph, STALLED_S).held_back == ()


async def test_a_full_queue_holds_back_until_it_takes_something_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "RETRY_S", 0.0)
    running = await Running(of(traces=("in", "through", "queue out")), tmp_path).start()
    queue = running.component(Kind.EXPORTER, "queue")
    queue.sink.gate.clear()
    for number in range(4):
        await running.send(b"%d" % number)
    with pytest.raises(Retryable):
        await running.send(b"5")

    (held,) = look(running.graph).held_back
    assert (held.receiver, held.by, held.why) == ("in", "exporters::queue", "the sending queue is full (4 requests)")
    assert look(running.graph, REFUSED_WITHIN_S + 1).held_back == (), "nobody has come since"

    queue.sink.gate.set()
    await queue.sink.until(items=12)
    await settled()
    await running.send(b"5")
    assert look(running.graph).held_back == ()
    await settled()
    is_still(look(running.graph))


async def test_the_metrics_are_the_ledger(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "drop", "out")), tmp_path).start()
    await running.send(items=10)

    told = {metric.name: metric.instrument.samples() for metric in metrics_of(look(running.graph))}  # type: ignore[union-attr]

    sides = {"in": 0.0, "out": 0.0}
    for labels, value in told["airis_ledger_items"].items():
        sides[dict(labels)["side"]] += value
    assert sides == {"in": 10, "out": 10}
    out = (("exporter", "out"), ("signal", "traces"))
    assert told["airis_ledger_imbalance_items"] == {out: 0, (("pipeline", "traces"),): 0}
    left_out = next(labels for labels in told["airis_ledger_items"] if ("term", "left_out") in labels)
    assert {("component", "processors::drop of traces"), ("reason", "by_choice")} <= set(left_out)


async def test_what_a_scrape_sees_has_the_ledger_in_it(tmp_path: Path) -> None:
    metrics = Metrics()
    running = await Running(of(), tmp_path).start()
    metrics.sources.append(lambda: metrics_of(look(running.graph)))

    assert "airis_ledger_imbalance_items" in {metric.name for metric in metrics}


# Whatever happens

MOODS: dict[str, Exception | None] = {
    "well": None,
    "away": Retryable("away"),
    "refuses": Permanent("no"),
    "partly": Partial(2, "too old"),
    "all of it": Partial(1_000, "too old"),
    "a bug": RuntimeError("a bug"),
}
PLANS = {
    "one": {"traces": ("in", "drop", "out/a queue")},
    "more": {"traces": ("in", "through drop", "out/a queue out/b"), "logs": ("in", "", "out/a")},
    "two pipelines": {"traces": ("in", "drop", "out/a"), "traces/2": ("in", "", "out/a queue")},
    "connected": {"traces": ("in", "", "out/a pass"), "traces/2": ("pass", "drop/2", "queue")},
    "held": {"traces": ("in", "hold drop", "queue")},
    "joined": {"traces": ("in", "batch drop", "queue out/a")},
    "waits": {"traces": ("in", "drop", "queue/2 out/a")},
}
OPTIONS = {"queue/2": {"size": 1}}
EXPORTERS = st.sampled_from(["out/a", "out/b", "queue", "queue/2"])
ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 9), st.sampled_from([b"", b"the same"])),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("mood"), EXPORTERS, st.sampled_from(sorted(MOODS))),
    st.tuples(st.just("gate"), EXPORTERS, st.booleans()),
    st.tuples(st.just("become"), st.sampled_from(sorted(PLANS))),
    st.tuples(st.just("wait"), st.integers(0, 4)),
)


class Player:
    """Does what it is told, and looks at the ledger every time."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clients: list[asyncio.Task[None]] = []
        self.does: dict[str, Callable[..., Awaitable[None]]] = {
            "send": self._send,
            "leave": self._leave,
            "mood": self._mood,
            "gate": self._gate,
            "become": self._become,
            "wait": self._wait,
        }

    async def _send(self, items: int, payload: bytes) -> None:
        async def client() -> None:
            with suppress(Retryable, Permanent, Partial, RuntimeError):
                await self.running.send(payload, items)

        self.clients.append(asyncio.create_task(client()))

    async def _leave(self, number: int) -> None:
        if number < len(self.clients):
            self.clients[number].cancel()

    async def _mood(self, exporter: str, mood: str) -> None:
        if found := self.running.graph.component(Kind.EXPORTER, exporter):
            found.sink.error = MOODS[mood]  # type: ignore[attr-defined]

    async def _gate(self, exporter: str, is_open: bool) -> None:
        if found := self.running.graph.component(Kind.EXPORTER, exporter):
            (found.sink.gate.set if is_open else found.sink.gate.clear)()  # type: ignore[attr-defined]

    async def _become(self, plan: str) -> None:
        await self.all_well()
        await self.running.reload(configuration(PLANS[plan], options=OPTIONS))

    async def _wait(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def all_well(self) -> None:
        for place in self.running.graph.nodes:
            if place.kind is Kind.EXPORTER:
                await self._mood(place.component_id, "well")
                await self._gate(place.component_id, True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(PLANS)), st.lists(ACTIONS, max_size=40))
def test_whatever_happens_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: str, actions: list[tuple[Any, ...]]
) -> None:
    monkeypatch.setattr(fan_out, "RETRY_S", 0.0)

    async def play() -> None:
        running = await Running(configuration(PLANS[plan], options=OPTIONS), tmp_path).start()
        player = Player(running)
        for name, *arguments in actions:
            await player.does[name](*arguments)
            is_balanced(look(running.graph))
            await asyncio.sleep(0)
            is_balanced(look(running.graph))
        await player.all_well()
        await asyncio.gather(*player.clients, return_exceptions=True)
        await settled()
        is_still(look(running.graph))
        await running.graph.shutdown(1)

    asyncio.run(play())


def test_a_pipeline_that_hands_on_more_than_it_took_is_seen() -> None:
    passage = Passage("pipelines::traces", Signal.TRACES, 5, 5, 0, 0, 6, (), 0, 0)

    assert passage.imbalance == -1
    assert replace(passage, made=1).imbalance == 0
    assert replace(passage, received=9, made=1).imbalance == 4
