"""The store is killed while several inserts are under way: nothing is lost, nothing is there twice."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from airis.component import Kind
from airis.component.testing import FakeHost, build
from airis.data import Batch, Signal
from airis.storage import Address, Blocks, Store
from airis.storage.options import StoreOptions
from airis.storage.process import StoreProcess
from airis.storage.schema import Retention, Schema, migrate
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log, LogOptions
from airis.storage.wal.service import LogService

ROWS = 2000
BATCHES = 40
SOON_S = 60


class Watched(Store):
    """Tells how many inserts are under way."""

    def __init__(self, socket: str) -> None:
        super().__init__(Address(socket=socket))
        self.under_way = 0
        self.changed = asyncio.Condition()

    async def insert(self, table: str, blocks: Blocks, token: str) -> None:
        await self._count(1)
        try:
            await super().insert(table, blocks, token)
        finally:
            await self._count(-1)

    async def _count(self, number: int) -> None:
        async with self.changed:
            self.under_way += number
            self.changed.notify_all()

    async def until_under_way(self, count: int) -> None:
        async with self.changed, asyncio.timeout(SOON_S):
            await self.changed.wait_for(lambda: self.under_way >= count)


def logs(number: int) -> Batch:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for row in range(ROWS):
        records.add(time_unix_nano=1_700_000_000_000_000_000).body.string_value = f"{number}/{row}"
    return Batch(Signal.LOGS, request.SerializeToString(), ROWS)


def gauges(number: int) -> Batch:
    """Points of as many series, the same ones in every batch."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="temperature")
    for row in range(ROWS):
        point = metric.gauge.data_points.add(time_unix_nano=1_700_000_000_000_000_000 + number, as_int=number)
        point.attributes.add(key="room").value.int_value = row
    return Batch(Signal.METRICS, request.SerializeToString(), ROWS)


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[StoreProcess]:
    """It is started again when it was killed."""
    process = StoreProcess(StoreOptions(tmp_path / "data", tmp_path / "store.sock"))
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
async def store(process: StoreProcess) -> AsyncIterator[Watched]:
    store = Watched(str(process.options.socket))
    await migrate(store, Schema("airis", Retention(0, 0, 0)))
    yield store
    await store.close()


@pytest.fixture
async def exporter(tmp_path: Path, store: Watched) -> AsyncIterator[Any]:
    log = LogService(Log(OsFiles(tmp_path / "wal"), LogOptions()))
    await log.open()
    queue = {"storage": "file_storage", "num_consumers": 3}
    made = build("store", {"max_block_items": 2 * ROWS, "sending_queue": queue}, kind=Kind.EXPORTER)
    await made.start(FakeHost(tmp_path, {"store": store, "file_storage": log}))
    yield made
    await made.shutdown()
    await log.close()


async def until_delivered(exporter: Any, items: int) -> None:
    """Wait until so many are counted as delivered."""
    sent = [each.instrument for each in exporter.telemetry.metrics if each.name.startswith("otelcol_exporter_sent_")]
    async with asyncio.timeout(SOON_S):
        while sum(counter.value for counter in sent) < items:  # noqa: ASYNC110  (a counter tells nobody)
            await asyncio.sleep(0.01)


async def until_serving(store: Store) -> None:
    """Wait until a store that was killed is there again."""
    async with asyncio.timeout(SOON_S):
        while not await store.ping():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kills", [1, 3])
async def test_after_kills_of_the_store_everything_is_there_once(
    exporter: Any, store: Watched, process: StoreProcess, kills: int
) -> None:
    between = BATCHES // kills
    for number in range(BATCHES):
        await exporter.consume(logs(number))
        await exporter.consume(gauges(number))
        if number % between == between // 2:
            await until_serving(store)
            await store.until_under_way(2)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
    await until_delivered(exporter, 2 * BATCHES * ROWS)

    found = await store.rows("SELECT count() AS rows, uniqExact(Body) AS bodies FROM otel_logs")
    assert found == [{"rows": BATCHES * ROWS, "bodies": BATCHES * ROWS}]
    found = await store.rows("SELECT count() AS rows, uniqExact(id, ts) AS points FROM metric_samples")
    assert found == [{"rows": BATCHES * ROWS, "points": BATCHES * ROWS}]
    unknown = "SELECT count() AS rows FROM metric_samples WHERE id NOT IN (SELECT id FROM metric_series)"
    assert await store.rows(unknown) == [{"rows": 0}]
