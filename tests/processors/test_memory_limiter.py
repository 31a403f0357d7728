"""The memory limiter refuses before memory is gone, and says so in a way that loses nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Partial, Retryable, StartError
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Signal
from airis.processors.memory_limiter import (
    MIB,
    MemoryLimiter,
    MemoryLimiterConfig,
)

LIMIT_100 = {"check_interval": "1s", "limit_mib": 100}  # the spike share makes the soft limit 80 MiB


class Machine:
    """Memory as a test wants it."""

    def __init__(self) -> None:
        self.resident_mib = 10.0
        self.total_mib = 1000
        self.freed_by_collecting_mib = 0.0
        self.collections: list[float] = []
        self.clock = ManualClock()

    def resident_bytes(self) -> int:
        return int(self.resident_mib * MIB)

    def collect(self) -> None:
        self.collections.append(self.clock())
        self.resident_mib -= self.freed_by_collecting_mib

    async def limiter(self, options: dict[str, Any], downstream: Sink, host: FakeHost) -> MemoryLimiter:
        made = build(
            "memory_limiter",
            options,
            downstream,
            kind=Kind.PROCESSOR,
            resident_bytes=self.resident_bytes,
            total_bytes=lambda: self.total_mib * MIB,
            collect=self.collect,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        assert isinstance(made, MemoryLimiter)
        await made.start(host)
        await asyncio.sleep(0)
        return made

    async def seconds(self, count: int) -> None:
        """Let time pass, one look after the other."""
        for _ in range(count):
            await self.clock.advance(1)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Memory and time in the test's hands; collections run at once, not in a thread."""

    async def to_thread(work: Any) -> None:
        work()

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    return Machine()


def batch(size_mib: float = 0.0, items: int = 3, signal: Signal = Signal.TRACES) -> Batch:
    return Batch(signal, bytes(int(size_mib * MIB)), items)


async def accepts(limiter: MemoryLimiter) -> bool:
    try:
        await limiter.consume(batch())
    except Retryable:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "soft_mib"),
    [
        ({"limit_mib": 100}, 80),
        ({"limit_mib": 100, "spike_limit_mib": 30}, 70),
        ({"limit_percentage": 50}, 400),
        ({"limit_percentage": 50, "spike_limit_percentage": 20}, 300),
        ({"limit_mib": 100, "limit_percentage": 50}, 80),
    ],
    ids=["spike 20 %", "spike given", "percentage", "spike of the total", "mib comes first"],
)
async def test_refuses_above_limit_less_spike(
    machine: Machine, host: FakeHost, options: dict[str, Any], soft_mib: int
) -> None:
    limiter = await machine.limiter({"check_interval": "1s", **options}, Sink(), host)

    machine.resident_mib = soft_mib
    await machine.seconds(1)
    assert await accepts(limiter)
    machine.resident_mib = soft_mib + 1
    await machine.seconds(1)
    assert not await accepts(limiter)
    machine.resident_mib = soft_mib
    await machine.seconds(1)
    assert await accepts(limiter)

    await limiter.shutdown()


async def test_a_refusal_is_retryable_and_counted(machine: Machine, host: FakeHost) -> None:
    machine.resident_mib = 90
    sink = Sink()
    limiter = await machine.limiter({"check_interval": "2s", "limit_mib": 100}, sink, host)

    with pytest.raises(Retryable, match="90 MiB of 100 MiB") as raised:
        await limiter.consume(batch(items=3, signal=Signal.LOGS))

    assert raised.value.retry_after == 2
    assert sink.items == 0
    assert limiter.refused[Signal.LOGS].value == 3
    assert limiter.accepted[Signal.LOGS].value == 0
    names = {metric.name for metric in limiter.telemetry.metrics}
    assert {
        f"otelcol_processor_memory_limiter_{what}_{item}"
        for what in ("accepted", "refused")
        for item in ("spans", "metric_points", "log_records")
    } <= names
    await limiter.shutdown()


async def test_a_burst_is_refused_before_the_next_look(machine: Machine, host: FakeHost) -> None:
    sink = Sink()
    limiter = await machine.limiter(LIMIT_100, sink, host)
    sink.gate.clear()

    held = [asyncio.create_task(limiter.consume(batch(30))) for _ in range(2)]
    await sink.until(waiting=2)
    with pytest.raises(Retryable):  # 10 resident, 60 held: 30 more would pass 80
        await limiter.consume(batch(30))

    sink.gate.set()
    await asyncio.gather(*held)
    await limiter.consume(batch(30))
    assert limiter.accepted[Signal.TRACES].value == 9
    assert limiter.refused[Signal.TRACES].value == 3
    await limiter.shutdown()


async def test_what_a_look_has_seen_is_not_counted_twice(machine: Machine, host: FakeHost) -> None:
    sink = Sink()
    limiter = await machine.limiter(LIMIT_100, sink, host)
    sink.gate.clear()
    held = asyncio.create_task(limiter.consume(batch(40)))
    await sink.until(waiting=1)

    machine.resident_mib = 50
    await machine.seconds(1)

    second = asyncio.create_task(limiter.consume(batch(25)))
    await sink.until(waiting=2)
    sink.gate.set()
    await asyncio.gather(held, second)
    await limiter.shutdown()


async def test_a_refused_hand_over_is_not_counted_as_accepted_and_not_held(machine: Machine, host: FakeHost) -> None:
    sink = Sink()
    limiter = await machine.limiter(LIMIT_100, sink, host)

    sink.error = Retryable("later")
    for _ in range(5):
        with pytest.raises(Retryable, match="later"):
            await limiter.consume(batch(60))
    sink.error = Partial(1, "too old")
    with pytest.raises(Partial):
        await limiter.consume(batch(60, items=3))

    assert limiter.accepted[Signal.TRACES].value == 2
    await limiter.shutdown()


@pytest.mark.parametrize(
    ("resident_mib", "freed_mib", "expected"),
    [
        (79, 0, []),
        (90, 50, [1]),
        (90, 0, [1, 21, 51]),
        (120, 0, [1, 3, 7, 15, 31, 61]),
    ],
    ids=["enough", "soft, it helps", "soft, to no avail", "hard, to no avail"],
)
async def test_collects_less_often_when_it_does_not_help(
    machine: Machine, host: FakeHost, resident_mib: float, freed_mib: float, expected: list[int]
) -> None:
    limiter = await machine.limiter(LIMIT_100, Sink(), host)

    machine.resident_mib, machine.freed_by_collecting_mib = resident_mib, freed_mib
    await machine.seconds(70)

    assert machine.collections == expected
    await limiter.shutdown()


async def test_a_collection_that_helps_ends_the_refusal_at_once(machine: Machine, host: FakeHost) -> None:
    limiter = await machine.limiter(LIMIT_100, Sink(), host)

    machine.resident_mib, machine.freed_by_collecting_mib = 120, 60
    await machine.seconds(1)

    assert await accepts(limiter)
    await limiter.shutdown()


async def test_a_look_that_fails_stops_the_service(machine: Machine, host: FakeHost) -> None:
    limiter = await machine.limiter(LIMIT_100, Sink(), host)

    machine.resident_mib = float("nan")
    await machine.seconds(1)

    assert [component for component, _ in host.failures] == ["processors::memory_limiter"]
    await limiter.shutdown()


async def test_memory_that_cannot_be_read_stops_the_start(machine: Machine, host: FakeHost, tmp_path: Path) -> None:
    def unreadable() -> int:
        raise OSError("no")

    limiter = build("memory_limiter", LIMIT_100, Sink(), kind=Kind.PROCESSOR, resident_bytes=unreadable)

    with pytest.raises(StartError):
        await limiter.start(host)
    await limiter.shutdown()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_mib": 100}, "check_interval"),
        ({"check_interval": "0s", "limit_mib": 100}, "greater than 0"),
        ({"check_interval": "1s"}, "needs limit_mib or limit_percentage"),
        ({"check_interval": "1s", "limit_mib": 100, "spike_limit_mib": 100}, "spike_limit_mib (100) must be smaller"),
        ({"check_interval": "1s", "limit_percentage": 101}, "less than or equal to 100"),
        (
            {"check_interval": "1s", "limit_mib": 1, "min_gc_interval_when_soft_limited": "1m"},
            "max_gc_interval_when_soft_limited",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        MemoryLimiterConfig.model_validate(options)
    assert message in str(raised.value)
