"""How components are connected, started and shut down."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airis.component import Kind, Metrics, Partial, Permanent, Retryable, StartError, Status
from airis.component.testing import FakeHost
from airis.data import Signal
from airis.service.graph import Graph

from .fakes import DELIVERED, EVENTS, batch, configuration, counted


@pytest.fixture(autouse=True)
def events() -> list[str]:
    EVENTS.clear()
    DELIVERED.clear()
    return EVENTS


def component(graph: Graph, name: str) -> Any:
    """The receiver or the exporter of this id."""
    return graph.component(Kind.RECEIVER, name) or graph.component(Kind.EXPORTER, name)


async def test_starts_consumers_before_producers_and_shuts_down_the_other_way(
    events: list[str], tmp_path: Path
) -> None:
    graph = Graph(configuration({"traces": ("in", "through/a through/b", "out")}, {"aid": []}), Metrics())

    await graph.start(FakeHost(tmp_path))
    await graph.shutdown(1)

    assert events == [
        *("start aid", "start out", "start through/b", "start through/a", "start in", "ready aid"),
        "draining aid",
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
    graph = Graph(configuration({"traces": ("in", "", "out")}, options={"in": {"fails": fails}}), Metrics())

    with pytest.raises(StartError) as caught:
        await graph.start(FakeHost(tmp_path))

    assert str(caught.value) == message
    assert events == ["start out", "start in", "shutdown in", "shutdown out"]


async def test_one_component_that_cannot_shut_down_does_not_keep_the_others(events: list[str], tmp_path: Path) -> None:
    graph = Graph(configuration({"traces": ("in", "", "out")}, options={"in": {"fails": "shutdown"}}), Metrics())
    await graph.start(FakeHost(tmp_path))

    errors = await graph.shutdown(1)

    assert [str(place) for place, _ in errors] == ["receivers::in"]
    assert events[-1] == "shutdown out"


def test_receivers_and_exporters_are_shared_and_processors_are_not() -> None:
    graph = Graph(configuration({"traces": ("in", "through", "out"), "traces/2": ("in", "through", "out")}), Metrics())

    labels = [str(node.place) for node in graph.in_start_order()]

    assert labels == [
        "exporters::out",
        "processors::through of traces",
        "processors::through of traces/2",
        "receivers::in",
    ]


async def test_every_item_is_counted_where_it_went(tmp_path: Path) -> None:
    metrics = Metrics()
    graph = Graph(configuration({"traces": ("in", "through", "out")}), metrics)
    await graph.start(FakeHost(tmp_path))
    entry, sink = component(graph, "in").downstream[Signal.TRACES], component(graph, "out").sink

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


async def test_a_connector_hands_on_between_pipelines(tmp_path: Path) -> None:
    metrics = Metrics()
    pipelines = {
        "traces": ("in", "through", "pass out/traces"),
        "metrics": ("pass", "", "out/metrics"),
        "metrics/2": ("pass in", "", "out/metrics"),
        "logs": ("pass", "through", "out/logs"),
    }
    graph = Graph(configuration(pipelines), metrics)
    await graph.start(FakeHost(tmp_path))

    await component(graph, "in").downstream[Signal.TRACES].consume(batch(4))

    items = {name: [b.items for b in batches] for name, batches in DELIVERED.items()}
    assert items == {"out/traces": [4], "out/metrics": [4, 4], "out/logs": [4]}
    assert counted(metrics, "otelcol_connector_consumed_items") == 4
    assert counted(metrics, "otelcol_connector_produced_items") == 4 + 4  # once for each signal
    assert counted(metrics, "airis_pipeline_accepted_items") == 4 + 4 + 4 + 4


async def test_a_connector_starts_before_what_feeds_it_and_after_what_it_feeds(
    events: list[str], tmp_path: Path
) -> None:
    pipelines = {"traces": ("in", "through/a", "pass"), "logs": ("pass", "through/b", "out")}
    graph = Graph(configuration(pipelines), Metrics())

    await graph.start(FakeHost(tmp_path))
    await graph.shutdown(1)

    assert events == [
        *("start out", "start through/b", "start pass", "start through/a", "start in"),
        *("shutdown in", "shutdown through/a", "shutdown pass", "shutdown through/b", "shutdown out"),
    ]


async def test_every_pipeline_balances(tmp_path: Path) -> None:
    metrics = Metrics()
    graph = Graph(configuration({"traces": ("in", "through", "out"), "traces/2": ("in", "", "out out/2")}), metrics)
    await graph.start(FakeHost(tmp_path))
    entry = component(graph, "in").downstream[Signal.TRACES]

    for items in (3, 4):
        await entry.consume(batch(items))

    assert counted(metrics, "airis_pipeline_accepted_items") == 7 + 7
    assert sum(b.items for b in DELIVERED["out"]) == 14
    assert sum(b.items for b in DELIVERED["out/2"]) == 7


async def test_an_exporter_that_refuses_is_ill_until_it_takes_something(tmp_path: Path) -> None:
    graph = Graph(configuration({"traces": ("in", "", "out")}), Metrics())
    await graph.start(FakeHost(tmp_path))
    entry, out = component(graph, "in").downstream[Signal.TRACES], component(graph, "out")
    health = out.telemetry.health
    assert health.status is Status.OK

    out.sink.error = Retryable("no answer")
    with pytest.raises(Retryable):
        await entry.consume(batch())
    assert (health.status, health.error) == (Status.RECOVERABLE_ERROR, "no answer")

    out.sink.error = None
    await entry.consume(batch())
    assert (health.status, health.error) == (Status.OK, "")


async def test_a_fault_of_ours_is_counted_as_one(tmp_path: Path) -> None:
    metrics = Metrics()
    graph = Graph(configuration({"traces": ("in", "", "out")}), metrics)
    await graph.start(FakeHost(tmp_path))
    component(graph, "out").sink.error = RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await component(graph, "in").downstream[Signal.TRACES].consume(batch())

    assert counted(metrics, "otelcol_receiver_failed_spans") == 3
    assert counted(metrics, "otelcol_receiver_refused_spans") == 0
    assert counted(metrics, "otelcol_receiver_requests") == 1


async def test_requests_that_were_joined_count_as_many_and_a_bad_one_among_them_counts_once(tmp_path: Path) -> None:
    metrics = Metrics()
    graph = Graph(configuration({"traces": ("in", "", "out")}), metrics)
    await graph.start(FakeHost(tmp_path))
    entry, sink = component(graph, "in").downstream[Signal.TRACES], component(graph, "out").sink

    await entry.consume(replace(batch(6), requests=3))
    sink.error = Permanent("one of them is bad")
    with pytest.raises(Permanent):
        await entry.consume(replace(batch(4), requests=2))
    for items, error in ((1, Permanent("this one")), (3, None)):
        sink.error = error
        with suppress(Permanent):
            await entry.consume(batch(items))

    assert counted(metrics, "otelcol_receiver_requests") == 3 + 2
    assert counted(metrics, "otelcol_receiver_accepted_spans") == 6 + 3
    assert counted(metrics, "otelcol_receiver_refused_spans") == 1
