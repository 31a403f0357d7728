"""Batches are shared out among pipelines, those of every signal for themselves."""

import pytest

from airis.component import Kind, Outputs, Retryable
from airis.component.testing import Sink, build
from airis.data import Batch, Signal


def batch(signal: Signal) -> Batch:
    return Batch(signal, b"", 1)


async def test_each_pipeline_has_its_turn() -> None:
    sinks = {name: Sink() for name in ("traces", "traces/2", "logs", "traces/3")}
    connector = build("round_robin", {}, Outputs({}, sinks), kind=Kind.CONNECTOR)

    for _ in range(4):
        await connector.consume(batch(Signal.TRACES))
        await connector.consume(batch(Signal.LOGS))

    assert {name: sink.items for name, sink in sinks.items()} == {"traces": 2, "traces/2": 1, "traces/3": 1, "logs": 4}


async def test_what_one_refuses_is_the_next_ones_when_it_comes_again() -> None:
    sinks = {"logs/1": Sink(), "logs/2": Sink()}
    sinks["logs/1"].error = Retryable("full")
    connector = build("round_robin", {}, Outputs({}, sinks), kind=Kind.CONNECTOR)

    with pytest.raises(Retryable, match="full"):
        await connector.consume(batch(Signal.LOGS))
    await connector.consume(batch(Signal.LOGS))

    assert sinks["logs/2"].items == 1


async def test_without_pipelines_the_sender_comes_again() -> None:
    connector = build("round_robin", {}, Outputs({}, {"logs": Sink()}), kind=Kind.CONNECTOR)

    with pytest.raises(Retryable, match="no pipeline of traces"):
        await connector.consume(batch(Signal.TRACES))
