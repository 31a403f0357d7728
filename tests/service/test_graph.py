"""How components are connected, started and shut down."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import Field

from airis.component import (
    Component,
    Config,
    Exporter,
    Extension,
    Host,
    Kind,
    Metrics,
    Partial,
    Permanent,
    Processor,
    Receiver,
    Retryable,
    StartError,
    exporter,
    extension,
    factory_of,
    processor,
    receiver,
)
from airis.component.testing import FakeHost, Sink
from airis.config import ComponentConfig, Configuration, Mark, PipelineConfig
from airis.data import Batch, Origin, Signal
from airis.service.graph import FanOut, Graph


class Options(Config):
    fails: str = ""
    needs: list[str] = Field(default_factory=list[str])


class Recorded(Component[Options]):
    """Notes in `EVENTS` when it is started and shut down."""

    async def start(self, host: Host) -> None:
        EVENTS.append(f"start {self.telemetry.component_id}")
        if self.config.fails == "start":
            raise StartError("the port is taken", "endpoint")
        if self.config.fails == "os":
            raise PermissionError(13, "Permission denied")

    async def shutdown(self) -> None:
        EVENTS.append(f"shutdown {self.telemetry.component_id}")
        if self.config.fails == "shutdown":
            raise RuntimeError("stuck")


EVENTS: list[str] = []


@receiver("in", traces="stable", metrics="stable", logs="stable")
class In(Receiver[Options], Recorded):
    """A receiver."""


@processor("through", traces="stable", metrics="stable", logs="stable")
class Through(Processor[Options], Recorded):
    """A processor that hands everything on."""

    async def consume(self, batch: Batch) -> None:
        await self.downstream.consume(batch)


@exporter("out", traces="stable", metrics="stable", logs="stable")
class Out(Exporter[Options], Recorded):
    """An exporter that keeps what it gets."""

    def __init__(self, config: Options, telemetry: Any) -> None:
        super().__init__(config, telemetry)
        self.sink = Sink()

    async def consume(self, batch: Batch) -> None:
        await self.sink.consume(batch)


@extension("aid")
class Aid(Extension[Options], Recorded):
    """An extension."""

    def dependencies(self) -> list[str]:
        return list(self.config.needs)

    async def ready(self) -> None:
        EVENTS.append(f"ready {self.telemetry.component_id}")


def configuration(
    pipelines: Mapping[str, tuple[str, str, str]],
    extensions: Mapping[str, list[str]] = MappingProxyType({}),
    fails: Mapping[str, str] = MappingProxyType({}),
) -> Configuration:
    """Pipelines as three strings of ids each: receivers, processors, exporters."""
    made: dict[Kind, dict[str, ComponentConfig]] = {kind: {} for kind in Kind}

    def add(kind: Kind, component: type[Component[Any]], name: str, **options: Any) -> None:
        config = Options(fails=fails.get(name, ""), **options)
        made[kind][name] = ComponentConfig(name, factory_of(component), config, Mark("", 1, 1))

    built: dict[str, PipelineConfig] = {}
    for pipeline, lists in pipelines.items():
        receivers, processors, exporters = (tuple(names.split()) for names in lists)
        for name in receivers:
            add(Kind.RECEIVER, In, name)
        for name in processors:
            add(Kind.PROCESSOR, Through, name)
        for name in exporters:
            add(Kind.EXPORTER, Out, name)
        built[pipeline] = PipelineConfig(pipeline, Signal(pipeline.partition("/")[0]), receivers, processors, exporters)
    for name, needs in extensions.items():
        add(Kind.EXTENSION, Aid, name, needs=needs)
    return Configuration("test", made, tuple(extensions), built)


@pytest.fixture(autouse=True)
def events() -> list[str]:
    EVENTS.clear()
    return EVENTS


def batch(items: int = 3, signal: Signal = Signal.TRACES) -> Batch:
    return Batch(signal, b"x" * items, items, Origin(receiver="in", transport="grpc"))


def counted(metrics: Metrics, name: str) -> float:
    found = [m.instrument for m in metrics if m.name == name]
    return sum(getattr(i, "value", 0) for i in found)


async def test_starts_consumers_before_producers_and_shuts_down_the_other_way(
    events: list[str], tmp_path: Path
) -> None:
    graph = Graph(configuration({"traces": ("in", "through/a through/b", "out")}, {"aid": []}), Metrics())

    await graph.start(FakeHost(tmp_path))
    await graph.shutdown()

    assert events == [
        *("start aid", "start out", "start through/b", "start through/a", "start in", "ready aid"),
        *("shutdown in", "shutdown through/a", "shutdown through/b", "shutdown out", "shutdown aid"),
    ]


async def test_extensions_start_after_those_they_need(events: list[str], tmp_path: Path) -> None:
    extensions = {"aid/query": ["aid/store"], "aid/store": []}
    graph = Graph(configuration({"logs": ("in", "", "out")}, extensions), Metrics())

    await graph.start(FakeHost(tmp_path))

    assert events[:2] == ["start aid/store", "start aid/query"]


def test_extensions_that_need_each_other_are_refused() -> None:
    extensions = {"aid/a": ["aid/b"], "aid/b": ["aid/a"]}

    with pytest.raises(StartError, match="extensions need each other: aid/"):
        Graph(configuration({"logs": ("in", "", "out")}, extensions), Metrics())


@pytest.mark.parametrize(
    ("fails", "message"),
    [("start", "receivers::in::endpoint: the port is taken"), ("os", "receivers::in: Permission denied")],
)
async def test_a_failed_start_names_the_component_and_closes_what_was_open(
    events: list[str], tmp_path: Path, fails: str, message: str
) -> None:
    graph = Graph(configuration({"traces": ("in", "", "out")}, fails={"in": fails}), Metrics())

    with pytest.raises(StartError) as caught:
        await graph.start(FakeHost(tmp_path))

    assert str(caught.value) == message
    assert events == ["start out", "start in", "shutdown in", "shutdown out"]


async def test_one_component_that_cannot_shut_down_does_not_keep_the_others(events: list[str], tmp_path: Path) -> None:
    graph = Graph(configuration({"traces": ("in", "", "out")}, fails={"in": "shutdown"}), Metrics())
    await graph.start(FakeHost(tmp_path))

    errors = await graph.shutdown()

    assert [component for component, _ in errors] == ["receivers::in"]
    assert events[-1] == "shutdown out"


def test_receivers_and_exporters_are_shared_and_processors_are_not() -> None:
    graph = Graph(configuration({"traces": ("in", "through", "out"), "traces/2": ("in", "through", "out")}), Metrics())

    labels = [placed.label for placed in graph.in_start_order()]

    assert labels == [
        "exporters::out",
        "processors::through of traces",
        "processors::through of traces/2",
        "receivers::in",
    ]


async def test_every_item_is_counted_where_it_went() -> None:
    metrics = Metrics()
    graph = Graph(configuration({"traces": ("in", "through", "out")}), metrics)
    entry, sink = graph.receivers["in"].downstream[Signal.TRACES], graph.exporters["out"].sink

    await entry.consume(batch(3))
    sink.error = Retryable("busy")
    with pytest.raises(Retryable):
        await entry.consume(batch(5))
    sink.error = Partial(2, "too old")
    with pytest.raises(Partial):
        await entry.consume(batch(7))

    assert counted(metrics, "otelcol_receiver_accepted_spans") == 3 + 5
    assert counted(metrics, "otelcol_receiver_refused_spans") == 5 + 2
    assert counted(metrics, "otelcol_exporter_sent_spans") == 3 + 5
    assert counted(metrics, "otelcol_exporter_send_failed_spans") == 5 + 2
    assert counted(metrics, "otelcol_processor_incoming_items") == 3 + 5
    assert counted(metrics, "otelcol_processor_outgoing_items") == 3 + 5


async def test_a_slow_branch_does_not_hold_up_another() -> None:
    slow, quick = Sink(), Sink()
    slow.gate.clear()
    handed_over = asyncio.create_task(FanOut([slow, quick]).consume(batch()))

    await quick.until(items=3)

    assert not handed_over.done()
    slow.gate.set()
    await handed_over
    assert slow.items == 3


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([None, Retryable("r")], Retryable),
        ([Permanent("p"), Retryable("r")], Retryable),
        ([Permanent("p"), None], Permanent),
        ([Partial(1, "x"), Permanent("p")], Permanent),
        ([Partial(1, "x"), None], Partial),
        ([RuntimeError("bug"), Permanent("p")], RuntimeError),
    ],
)
async def test_the_sender_is_told_the_worst(errors: list[Exception | None], expected: type[Exception]) -> None:
    sinks = [Sink() for _ in errors]
    for sink, error in zip(sinks, errors, strict=True):
        sink.error = error

    with pytest.raises(expected):
        await FanOut(sinks).consume(batch())
