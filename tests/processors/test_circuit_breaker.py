"""What follows is left alone while it fails, and senders are told when to come back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable
from airis.component.sending.breaker import CircuitOpen, State
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Signal
from airis.processors.circuit_breaker import CircuitBreakerProcessor, CircuitBreakerProcessorConfig

AWAY = Retryable("away")


class Pipeline:
    """A breaker before a sink."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.sink = Sink()
        self.breaker: CircuitBreakerProcessor = build(
            "circuit_breaker", options, self.sink, kind=Kind.PROCESSOR, clock=self.clock
        )

    async def send(self, error: Exception | None = None, signal: Signal = Signal.TRACES) -> Exception | None:
        """What the sender is told, what follows being in this state."""
        self.sink.error = error
        try:
            await self.breaker.consume(Batch(signal, b"", 3))
        except Exception as told:
            return told
        return None

    def metric(self, name: str) -> float:
        return sum(m.instrument.value for m in self.breaker.telemetry.metrics if m.name == name)  # type: ignore[union-attr,misc]


@pytest.mark.parametrize("signal", list(Signal))
async def test_what_goes_through_is_left_as_it_is(signal: Signal, tmp_path: Path):
    pipeline = Pipeline()
    await pipeline.breaker.start(FakeHost(tmp_path))
    assert await pipeline.send(signal=signal) is None
    assert [batch.signal for batch in pipeline.sink.batches] == [signal]
    await pipeline.breaker.shutdown()


async def test_failures_behind_one_another_open_it_and_senders_are_told_when_to_come_back():
    pipeline = Pipeline(failure_threshold=3, timeout="10s")
    assert [await pipeline.send(AWAY) for _ in range(3)] == [AWAY] * 3
    await pipeline.clock.advance(4)

    told = await pipeline.send()

    assert isinstance(told, CircuitOpen)
    assert told.retry_after == 6
    assert pipeline.sink.items == 0
    assert pipeline.metric("airis_circuit_breaker_refused_spans") == 3
    assert pipeline.metric("airis_circuit_breaker_rejected") == 1
    assert pipeline.metric("airis_circuit_breaker_state") == State.OPEN


async def test_a_share_of_failures_opens_it_too():
    pipeline = Pipeline(failure_threshold=0, failure_rate=0.5, min_requests=4, window="60s")
    assert [await pipeline.send(error) for error in (None, AWAY, None)] == [None, AWAY, None]
    assert pipeline.breaker.breaker.state is State.CLOSED
    await pipeline.send(AWAY)
    assert pipeline.breaker.breaker.state is State.OPEN


async def test_failures_that_are_long_ago_do_not_count():
    pipeline = Pipeline(failure_threshold=0, failure_rate=0.5, min_requests=4, window="60s")
    for error in (AWAY, AWAY, None):
        await pipeline.send(error)
    await pipeline.clock.advance(61)
    for error in (None, None, None, AWAY):
        await pipeline.send(error)
    assert pipeline.breaker.breaker.state is State.CLOSED


async def test_slow_ones_open_it():
    pipeline = Pipeline(slow_call_threshold="2s", slow_call_rate=1.0, min_requests=2)
    pipeline.sink.gate.clear()
    calls = [asyncio.create_task(pipeline.send()) for _ in range(2)]
    await pipeline.sink.until(waiting=2)
    await pipeline.clock.advance(3)
    pipeline.sink.gate.set()
    assert await asyncio.gather(*calls) == [None, None]
    assert pipeline.breaker.breaker.state is State.OPEN


@pytest.mark.parametrize("answer", [Permanent("400"), Partial(1, "one of them")], ids=["refused", "in part"])
async def test_an_answer_is_no_failure(answer: Exception):
    pipeline = Pipeline(failure_threshold=2)
    assert [await pipeline.send(answer) for _ in range(10)] == [answer] * 10
    assert pipeline.breaker.breaker.state is State.CLOSED


async def test_after_a_while_some_are_let_through_and_close_it_when_all_are_taken():
    pipeline = Pipeline(failure_threshold=1, timeout="10s", half_open_requests=2)
    await pipeline.send(AWAY)
    await pipeline.clock.advance(10)
    pipeline.sink.gate.clear()
    trials = [asyncio.create_task(pipeline.send()) for _ in range(2)]
    await pipeline.sink.until(waiting=2)
    assert pipeline.metric("airis_circuit_breaker_state") == State.HALF_OPEN
    assert isinstance(await pipeline.send(), CircuitOpen)
    pipeline.sink.gate.set()
    assert await asyncio.gather(*trials) == [None, None]
    assert pipeline.breaker.breaker.state is State.CLOSED


async def test_a_trial_that_fails_opens_it_again():
    pipeline = Pipeline(failure_threshold=1, timeout="10s")
    await pipeline.send(AWAY)
    await pipeline.clock.advance(10)
    assert await pipeline.send(AWAY) is AWAY
    assert isinstance(await pipeline.send(), CircuitOpen)


async def test_a_sender_that_leaves_during_its_trial_makes_room_for_another():
    pipeline = Pipeline(failure_threshold=1, timeout="10s")
    await pipeline.send(AWAY)
    await pipeline.clock.advance(10)
    pipeline.sink.gate.clear()
    trial = asyncio.create_task(pipeline.breaker.consume(Batch(Signal.TRACES, b"", 1)))
    await pipeline.sink.until(waiting=1)
    trial.cancel()
    await asyncio.wait({trial})
    pipeline.sink.gate.set()
    assert await pipeline.send() is None
    assert pipeline.breaker.breaker.state is State.CLOSED


async def test_what_a_breaker_behind_it_refuses_is_not_counted_here():
    pipeline = Pipeline(failure_threshold=5)
    assert isinstance(await pipeline.send(CircuitOpen("of the exporter", 7.0)), CircuitOpen)
    assert pipeline.metric("airis_circuit_breaker_refused_spans") == 0


async def test_it_can_be_switched_off():
    pipeline = Pipeline(enabled=False, failure_threshold=1)
    assert [await pipeline.send(AWAY) for _ in range(5)] == [AWAY] * 5


def test_something_must_open_it():
    with pytest.raises(ValidationError, match="nothing opens it"):
        CircuitBreakerProcessorConfig.model_validate({"failure_threshold": 0, "failure_rate": 0})
