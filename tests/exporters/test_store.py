"""The store exporter: a caller is held until its data is in the store, and a token never changes for a batch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from airis.component import Kind, Permanent, Retryable, Throttled
from airis.component.testing import FakeHost, ManualClock, build
from airis.data import Batch, Signal
from airis.proto.clickhouse_native import read_blocks
from airis.storage import Address, Blocks, Store, StoreError


class FakeStore(Store):
    """Takes blocks, or fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(Address())
        self.errors: list[StoreError] = []
        self.refused: set[str] = set()
        """Tables that take nothing."""
        self.attempts: list[tuple[str, str]] = []
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def insert(self, table: str, blocks: Blocks, token: str) -> None:
        self.attempts.append((table, token))
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        if table in self.refused:
            raise StoreError("Too many partitions for single INSERT block", 252)
        self.stored[token] = (table, blocks.block(table))

    def bodies(self) -> list[str]:
        return [body for _, block in self.stored.values() for body in read_blocks(block)["Body"]]


def logs(*bodies: str) -> Batch:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        records.add(time_unix_nano=1).body.string_value = body
    return Batch(Signal.LOGS, request.SerializeToString(), len(bodies))


def gauge(value: int) -> Batch:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="temperature")
    metric.gauge.data_points.add(time_unix_nano=value, as_int=value)
    return Batch(Signal.METRICS, request.SerializeToString(), 1)


def histogram(count: int) -> Batch:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="latency")
    metric.histogram.data_points.add(time_unix_nano=count, count=count)
    return Batch(Signal.METRICS, request.SerializeToString(), 1)


Started = Callable[..., Any]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def exporter(store: FakeStore, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Any]:
    options = {"flush_interval": "1s", "timeout": "8s", "max_block_items": 3}
    made = build("store", options, kind=Kind.EXPORTER, clock=clock, sleep=clock.sleep)
    await made.start(FakeHost(tmp_path, {"store": store}))
    yield made
    store.gate.set()
    closing = asyncio.create_task(made.shutdown())
    while not closing.done():
        await clock.advance(1)
    await closing


async def until(clock: ManualClock, task: "asyncio.Task[Any] | asyncio.Future[Any]", step_s: float = 0.1) -> None:
    """Let time pass until the task is done, whatever its outcome; encoding is in a thread of its own."""
    async with asyncio.timeout(10):
        while not task.done():
            await clock.advance(step_s)
            await asyncio.sleep(0.001)


async def test_a_caller_is_held_until_its_insert_is_answered(exporter, store) -> None:
    store.gate.clear()
    call = asyncio.create_task(exporter.consume(logs("a")))
    async with asyncio.timeout(10):
        while not store.attempts:  # noqa: ASYNC110  (encoding is in a thread of its own)
            await asyncio.sleep(0)

    assert not call.done()

    store.gate.set()
    await call
    assert store.bodies() == ["a"]
    assert exporter.rows.value == 1


async def test_an_idle_store_is_given_a_batch_at_once(exporter, clock) -> None:
    await asyncio.wait_for(exporter.consume(logs("a")), 10)
    assert clock.now == 0


@pytest.mark.parametrize(
    ("bodies", "inserts", "distance_s"), [("abc", 2, 1), ("abcdefg", 3, 0)], ids=["few", "as many as fill an insert"]
)
async def test_those_that_wait_share_an_insert_and_a_full_one_does_not_wait(
    exporter, store, clock, bodies, inserts, distance_s
) -> None:
    store.gate.clear()
    first = asyncio.create_task(exporter.consume(logs(bodies[0])))
    async with asyncio.timeout(10):
        while not store.attempts:  # noqa: ASYNC110
            await asyncio.sleep(0)
    calls = [asyncio.create_task(exporter.consume(logs(body))) for body in bodies[1:]]
    await asyncio.sleep(0)
    store.gate.set()
    await first
    if distance_s:
        await until(clock, asyncio.gather(*calls))
    await asyncio.wait_for(asyncio.gather(*calls), 10)

    assert store.bodies() == list(bodies)
    assert len(store.stored) == inserts
    assert distance_s <= clock.now <= distance_s + 0.5


async def test_an_insert_without_an_answer_is_repeated_under_its_token(exporter, store, clock) -> None:
    store.errors = [StoreError("no answer in time"), StoreError("memory", 241)]
    await until(clock, asyncio.create_task(exporter.consume(logs("a"))))

    assert store.bodies() == ["a"]
    assert len(store.attempts) == 3
    assert len(set(store.attempts)) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StoreError("cannot be reached"), Retryable),
        (StoreError("Memory limit exceeded", 241), Retryable),
        (StoreError("Too many simultaneous queries", 202), Throttled),
        (StoreError("Too many parts", 252), Throttled),
    ],
    ids=lambda value: getattr(value, "reason", None),
)
async def test_who_is_held_too_long_is_told_to_come_back(exporter, store, clock, error, kind) -> None:
    store.errors = [error] * 100
    call = asyncio.create_task(exporter.consume(logs("a")))
    await until(clock, call, 1)

    with pytest.raises(Retryable, match=error.reason) as told:
        await call
    assert type(told.value) is kind
    assert told.value.retry_after is not None
    assert not store.stored


async def test_a_bad_batch_does_not_take_good_ones_along(exporter, store, clock) -> None:
    refused = StoreError("Too many partitions for single INSERT block", 252)
    store.gate.clear()
    first = asyncio.create_task(exporter.consume(logs("first")))
    async with asyncio.timeout(10):
        while not store.attempts:  # noqa: ASYNC110
            await asyncio.sleep(0)
    bad, good = asyncio.create_task(exporter.consume(logs("bad"))), asyncio.create_task(exporter.consume(logs("good")))
    await asyncio.sleep(0)
    store.gate.set()
    await first
    store.errors = [refused, refused]  # of the two together, then of the first of them by itself
    await until(clock, asyncio.gather(bad, good, return_exceptions=True))

    with pytest.raises(Permanent, match="Too many partitions"):
        await bad
    await good
    assert store.bodies() == ["first", "good"]


async def test_what_was_stored_of_a_refused_group_is_not_stored_again(exporter, store, clock) -> None:
    store.gate.clear()
    first = asyncio.create_task(exporter.consume(gauge(1)))
    async with asyncio.timeout(10):
        while not store.attempts:  # noqa: ASYNC110
            await asyncio.sleep(0)
    good, bad = (asyncio.create_task(exporter.consume(batch)) for batch in (gauge(2), histogram(3)))
    await asyncio.sleep(0)
    store.gate.set()
    await first
    store.refused = {"metric_histograms"}
    await until(clock, asyncio.gather(good, bad, return_exceptions=True))

    await good
    with pytest.raises(Permanent):
        await bad
    samples = [read_blocks(block)["value"] for table, block in store.stored.values() if table == "metric_samples"]
    assert samples == [[1.0], [2.0]]


async def test_bytes_that_are_no_request_are_permanently_refused(exporter, store) -> None:
    with pytest.raises(Permanent):
        await exporter.consume(Batch(Signal.LOGS, b"\x0a\x7f", 1))
    assert not store.attempts


async def test_a_series_is_registered_before_its_points_and_once(exporter, store, clock) -> None:
    await exporter.consume(gauge(1))
    await until(clock, asyncio.create_task(exporter.consume(gauge(2))))

    assert [table for table, _ in store.attempts] == ["metric_series", "metric_samples", "metric_samples"]


async def test_a_series_is_registered_again_when_its_points_were_not_stored(exporter, store, clock) -> None:
    store.errors = [StoreError("bad", 117)]
    with pytest.raises(Permanent):
        await exporter.consume(gauge(1))
    await until(clock, asyncio.create_task(exporter.consume(gauge(2))))

    assert [table for table, _ in store.attempts] == ["metric_series", "metric_series", "metric_samples"]
