"""From one configuration to the next while data is on its way: nothing is refused, lost or touched without need."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.component import Kind, Metrics, StartError
from airis.component.testing import FakeHost, ManualClock
from airis.config import Configuration
from airis.data import Signal
from airis.service.graph import Graph, NothingStarts, ReloadFailed
from airis.service.plan import Place

from .fakes import DELIVERED, EVENTS, Keep, Options, Out, batch, configuration, counted, settled

RECEIVER = Place(Kind.RECEIVER, "in")


class Running:
    """A graph on its host, and somebody who sends to its receiver."""

    def __init__(self, started_with: Configuration, folder: Path) -> None:
        EVENTS.clear()
        DELIVERED.clear()
        self.metrics = Metrics()
        self.clock = ManualClock()
        self.graph = Graph(started_with, self.metrics, self.clock)
        self.host = FakeHost(folder)

    async def start(self) -> "Running":
        await self.graph.start(self)
        EVENTS.clear()
        return self

    # What a host is asked for.
    @property
    def data_dir(self) -> Path:
        return self.host.data_dir

    @property
    def admin(self) -> Any:
        return None

    def overview(self) -> Any:
        return self.graph.overview(0)

    def extension(self, component_id: str, kind: type[Any]) -> Any:
        extension: Any = self.graph.component(Kind.EXTENSION, component_id)
        if extension is None:
            raise StartError(f'there is no extension "{component_id}"')
        return extension

    def fail(self, component: str, error: BaseException) -> None:
        raise AssertionError(f"{component} failed: {error}")

    async def reload(self, changed: Configuration) -> list[Any]:
        return await self.graph.reload(changed, self, drain_s=30)

    async def send(self, payload: bytes = b"", items: int = 3, signal: Signal = Signal.TRACES) -> None:
        await self.graph.nodes[RECEIVER].outlets[signal].consume(batch(items, signal, payload))

    def component(self, kind: Kind, name: str, pipeline: str = "") -> Any:
        found = self.graph.component(kind, name, pipeline)
        assert found is not None
        return found

    def exporter(self, name: str = "out") -> Out:
        found: Out = self.component(Kind.EXPORTER, name)
        return found

    def delivered(self, name: str = "out") -> list[bytes]:
        return [taken.payload for taken in DELIVERED.get(name, ())]


def of(options: Mapping[str, Mapping[str, Any]] | None = None, **pipelines: tuple[str, str, str]) -> Configuration:
    return configuration(pipelines or {"traces": ("in", "through", "out")}, options=options or {})


async def test_what_did_not_change_is_not_touched(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    before = dict(running.graph.nodes)

    await running.reload(of())

    assert EVENTS == []
    assert running.graph.nodes == before
    await running.send()
    assert len(running.delivered()) == 1


async def test_only_what_changed_is_exchanged(tmp_path: Path) -> None:
    three = {"traces": ("in", "through/a through/b through/c", "out")}
    running = await Running(of(**three), tmp_path).start()
    await running.send(b"1")

    await running.reload(of({"through/b": {"size": 1}}, **three))

    assert EVENTS == ["shutdown through/b", "start through/b"]
    await running.send(b"2")
    assert running.delivered() == [b"1", b"2"]
    assert counted(running.metrics, "otelcol_processor_outgoing_items") == 3 * 6


async def test_who_comes_while_a_component_is_exchanged_waits_and_is_not_refused(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    running.exporter().sink.gate.clear()
    on_its_way = asyncio.create_task(running.send(b"first"))
    await running.exporter().sink.until(waiting=1)
    old = running.exporter()

    reload = asyncio.create_task(running.reload(of({"out": {"size": 1}})))
    await settled()
    held = asyncio.create_task(running.send(b"second"))
    await settled()
    assert not reload.done(), "what was handed over before is not answered yet"
    assert EVENTS == []
    assert not held.done()

    old.sink.gate.set()
    await asyncio.gather(reload, on_its_way, held)
    assert EVENTS == ["shutdown out", "start out"]
    assert running.exporter() is not old
    assert running.delivered() == [b"first", b"second"]


async def test_what_a_processor_holds_is_handed_on_before_what_it_hands_to_is_exchanged(tmp_path: Path) -> None:
    pipelines = {"traces": ("in", "keep through", "out")}
    running = await Running(of(**pipelines), tmp_path).start()
    await running.send(b"held")

    await running.reload(of({"keep": {"size": 1}, "through": {"size": 1}, "out": {"size": 1}}, **pipelines))

    assert [
        *("shutdown keep", "shutdown through", "shutdown out"),
        *("start out", "start through", "start keep"),
    ] == EVENTS
    assert running.delivered() == [b"held"]


async def test_what_a_kept_processor_holds_stays_with_it(tmp_path: Path) -> None:
    pipelines = {"traces": ("in", "keep", "out")}
    running = await Running(of(**pipelines), tmp_path).start()
    await running.send(b"held")
    keeper: Keep = running.component(Kind.PROCESSOR, "keep", "traces")

    await running.reload(of({"out": {"size": 1}, "in": {"size": 1}}, **pipelines))

    assert running.component(Kind.PROCESSOR, "keep", "traces") is keeper
    assert [b.payload for b in keeper.held] == [b"held"]
    await running.graph.shutdown(1)
    assert running.delivered() == [b"held"]


async def test_pipelines_and_signals_come_and_go_on_the_same_listener(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "through", "out")), tmp_path).start()
    listener = running.component(Kind.RECEIVER, "in")

    await running.reload(
        of(traces=("in", "through", "out"), logs=("in", "through", "out/2"), metrics=("in", "", "out"))
    )
    assert EVENTS == ["start out/2", "start through"]
    assert set(listener.downstream) == {Signal.TRACES, Signal.LOGS, Signal.METRICS}
    await running.send(b"log", signal=Signal.LOGS)
    EVENTS.clear()

    await running.reload(of(metrics=("in", "", "out")))
    assert EVENTS == ["shutdown through", "shutdown through", "shutdown out/2"]
    assert set(listener.downstream) == {Signal.METRICS}
    assert running.component(Kind.RECEIVER, "in") is listener
    assert running.delivered("out/2") == [b"log"]


async def test_an_exporter_takes_the_place_of_another_without_a_gap(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "through", "out/old")), tmp_path).start()
    old = running.exporter("out/old")
    old.sink.gate.clear()
    first = asyncio.create_task(running.send(b"1"))
    await old.sink.until(waiting=1)

    reload = asyncio.create_task(running.reload(of(traces=("in", "through", "out/new"))))
    await settled()
    second = asyncio.create_task(running.send(b"2"))
    await settled()
    old.sink.gate.set()
    await asyncio.gather(first, second, reload)

    assert (running.delivered("out/old"), running.delivered("out/new")) == ([b"1"], [b"2"])
    assert EVENTS == ["shutdown out/old", "start out/new"]


async def test_a_processor_is_put_in_and_taken_out(tmp_path: Path) -> None:
    running = await Running(of(traces=("in", "", "out")), tmp_path).start()

    await running.reload(of(traces=("in", "through", "out")))
    await running.send(b"1")
    await running.reload(of(traces=("in", "", "out")))
    await running.send(b"2")

    assert EVENTS == ["start through", "shutdown through"]
    assert running.delivered() == [b"1", b"2"]
    assert not [m for m in running.metrics if ("processor", "through") in m.attributes]


async def test_who_uses_an_extension_is_exchanged_with_it(tmp_path: Path) -> None:
    def using(size: int) -> Configuration:
        options = {"out": {"uses": ["aid"]}, "aid": {"size": size}, "aid/user": {"uses": ["aid"]}}
        extensions = {"aid/user": ["aid"], "aid": [], "aid/alone": []}
        return configuration({"traces": ("in", "through", "out")}, extensions, options)

    running = await Running(using(1), tmp_path).start()

    await running.reload(using(2))

    assert [
        *("draining aid", "draining aid/user", "shutdown out", "shutdown aid/user", "shutdown aid"),
        *("start aid", "start aid/user", "start out", "ready aid", "ready aid/user"),
    ] == EVENTS


async def test_receivers_that_go_do_so_before_those_that_come(tmp_path: Path) -> None:
    """They may want the same port."""
    running = await Running(of(traces=("in", "", "out")), tmp_path).start()

    await running.reload(of(traces=("in/new", "", "out")))

    assert EVENTS == ["shutdown in", "start in/new"]


@pytest.mark.parametrize("fails", ["start", "os", "bug"])
@pytest.mark.parametrize("name", ["in", "through", "out", "in/new", "out/new", "aid"])
async def test_after_a_failed_start_the_old_configuration_runs(tmp_path: Path, name: str, fails: str) -> None:
    old = configuration({"traces": ("in", "through", "out")}, {"aid": []}, {"out": {"uses": ["aid"]}})
    running = await Running(old, tmp_path).start()
    await running.send(b"before")

    new = configuration(
        {"traces": ("in in/new", "through through/new", "out out/new")},
        {"aid": []},
        {"through": {"size": 1}, "aid": {"size": 1}, "out": {"uses": ["aid"]}, name: {"fails": fails}},
    )
    with pytest.raises(ReloadFailed):
        await running.reload(new)

    assert {node.config.component_id: node.config.options for node in running.graph.nodes.values()} == {
        "in": Options(),
        "through": Options(),
        "out": Options(uses=["aid"]),
        "aid": Options(),
    }
    await running.send(b"after")
    assert running.delivered() == [b"before", b"after"]
    started, ended = (sum(e.startswith(word) for e in EVENTS) for word in ("start ", "shutdown "))
    assert started == ended, "whatever was started for the new configuration is closed again"


async def test_extensions_that_need_each_other_are_refused_before_anything_is_touched(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    cycle = configuration({"traces": ("in", "through", "out")}, {"aid/a": ["aid/b"], "aid/b": ["aid/a"]})

    with pytest.raises(StartError, match="need each other"):
        await running.reload(cycle)

    assert EVENTS == []
    await running.send()


async def test_neither_configuration_starts(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    Out.start, start = failing, Out.start  # type: ignore[method-assign]
    try:
        with pytest.raises(NothingStarts):
            await running.reload(of({"out": {"size": 1}}))
    finally:
        Out.start = start  # type: ignore[method-assign]


async def failing(*_arguments: object) -> None:
    raise StartError("the disk is gone")


async def test_what_does_not_drain_is_cut_off_after_the_deadline(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    running.exporter().sink.gate.clear()
    stuck = asyncio.create_task(running.send(b"stuck"))
    await running.exporter().sink.until(waiting=1)

    failures = await running.graph.reload(of({"out": {"size": 1}}), running, drain_s=0.01)

    assert [(str(place), str(error)) for place, error in failures] == [
        ("exporters::out", "3 items were not answered in time")
    ]
    await running.send(b"next")
    assert running.delivered() == [b"next"]
    stuck.cancel()


async def test_a_reload_that_is_cut_short_lets_go_on_whom_it_held(tmp_path: Path) -> None:
    running = await Running(of(), tmp_path).start()
    running.exporter().sink.gate.clear()
    slow = asyncio.create_task(running.send(b"slow"))
    await running.exporter().sink.until(waiting=1)
    reload = asyncio.create_task(running.reload(of({"out": {"size": 1}})))
    await settled()
    held = asyncio.create_task(running.send(b"held"))
    await settled()

    reload.cancel()
    await asyncio.wait({reload})
    running.exporter().sink.gate.set()

    await asyncio.gather(slow, held)
    assert running.delivered() == [b"slow", b"held"], "the exporter that was to be exchanged still runs"
    assert await running.graph.shutdown(1) == []


async def test_a_connector_is_exchanged_and_fed_anew(tmp_path: Path) -> None:
    joined = {"traces": ("in", "", "pass"), "logs": ("pass", "", "out")}
    running = await Running(of(**joined), tmp_path).start()
    await running.send(b"1")

    await running.reload(of({"pass": {"size": 1}}, **joined, metrics=("pass", "", "out/2")))
    await running.send(b"2")
    await running.reload(of(traces=("in", "", "out"), logs=("in", "", "out")))
    await running.send(b"3")

    assert running.delivered() == [b"1", b"2", b"3"]
    assert running.delivered("out/2") == [b"2"]


def test_the_difference_is_told_in_words_without_secrets(tmp_path: Path) -> None:
    async def changes() -> list[str]:
        options = {"out": {"password": "hunter2", "size": 1}}
        running = await Running(of(options, traces=("in", "through", "out")), tmp_path).start()
        new = of(
            {"out": {"password": "hunter3", "needs": ["a", "b"]}}, traces=("in", "", "out"), logs=("in", "", "out")
        )
        return [line for change in running.graph.changes(new) for line in str(change).splitlines()]

    assert asyncio.run(changes()) == [
        "- processors::through of traces",
        "~ exporters::out",
        "    needs: [] -> [a, b]",
        "    size: 1 -> 0",
        "    password: changed",
        "~ pipelines::traces",
        "    processors: [through] -> []",
        "+ pipelines::logs",
    ]


PROCESSORS = st.lists(st.sampled_from(["through/a", "through/b", "keep"]), max_size=3, unique=True).map(" ".join)
EXPORTERS = st.lists(st.sampled_from(["out", "out/b", "pass"]), min_size=1, max_size=2, unique=True).map(" ".join)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Some pipeline from `in`, one behind the connector where it is used, and options that change."""
    pipelines = {"traces": ("in", draw(PROCESSORS), draw(EXPORTERS))}
    if "pass" in pipelines["traces"][2]:
        pipelines["logs"] = ("pass", draw(PROCESSORS), "out/c")
    names = [name for lists in pipelines.values() for part in lists for name in part.split() if name != "in"]
    return configuration(pipelines, options={name: {"size": draw(st.integers(0, 1))} for name in names})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(configurations(), min_size=2, max_size=6))
def test_whatever_is_changed_into_whatever_nothing_is_refused_and_all_arrives(
    tmp_path: Path, plans: list[Configuration]
) -> None:
    async def play() -> None:
        running = await Running(plans[0], tmp_path).start()
        stop = asyncio.Event()
        sent: list[bytes] = []

        async def client(number: int) -> None:
            count = 0
            while not stop.is_set():
                payload = b"%d-%d" % (number, count)
                await running.send(payload)
                sent.append(payload)
                count += 1
                await asyncio.sleep(0)

        clients = [asyncio.create_task(client(number)) for number in range(3)]
        for plan in plans[1:]:
            await settled()
            await running.reload(plan)
        await settled()
        stop.set()
        await asyncio.gather(*clients)
        await running.graph.shutdown(1)
        # Whatever exporters a batch went to, each has it once, and one at least has it.
        everything = [payload for name in DELIVERED for payload in running.delivered(name)]
        assert set(everything) == set(sent)
        for name in DELIVERED:
            assert len(running.delivered(name)) == len(set(running.delivered(name))), name

    asyncio.run(play())
