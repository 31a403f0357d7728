"""Writes to the store: blocks in ClickHouse's Native format, acknowledged when the store has them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated

from pydantic import Field

from airis.component import (
    Config,
    Duration,
    Exporter,
    Host,
    Permanent,
    Retryable,
    Telemetry,
    Throttled,
    exporter,
    failpoints,
)
from airis.component.config import NamesExtension
from airis.component.group_commit import GroupCommit, Limits
from airis.component.retry import RetryConfig
from airis.component.sending import Attempt, Sending, SendingConfig, SendingQueueConfig, SendingSnapshot
from airis.component.sending.grouping import Grouping
from airis.data import Batch, Signal, combined_id, join, kernels
from airis.storage import Blocks, Store, StoreError

FIRST_RETRY_S = 0.1
LAST_RETRY_S = 1.0
QUEUE_INTERVAL_S = 1.0
"""Least time between two inserts of less than a full block from the queue, whose senders do not wait for it."""
INSERT_SHARE = 0.8
"""Of the time; the fixed cost of an insert would make a slow store slower still."""
SERIES = "metric_series"
IN_FLIGHT = 2
"""Inserts of a signal: the engine uses one core for most of an insert, and meanwhile the next block is encoded."""


class StoreQueueConfig(SendingQueueConfig):
    """What waits to be stored, and how much of it is stored at once.

    Left out, senders are held until their data is stored. Written, they are answered when their data is in the queue:
    in memory, where a crash loses it, or on disk with `storage`.
    """

    num_consumers: int = Field(
        default=IN_FLIGHT,
        ge=1,
        description="Most inserts of a signal that are under way at once, also without a queue. Without a `batch` "
        "section a further one begins only where as much waits as fills it.",
    )


class StoreExporterConfig(Config):
    """Where and in what portions telemetry is stored."""

    store: Annotated[str, NamesExtension()] = Field(
        default="store", description="Id of the store extension to write to."
    )
    flush_interval: Duration = Field(
        default=0.1,
        ge=0,
        description="Least time between two inserts into a table, but for a full one; only requests in between wait.",
    )
    max_block_items: int = Field(default=65_536, ge=1, description="Most items of requests that share an insert.")
    timeout: Duration = Field(
        default=8.0,
        gt=0,
        description="How long an insert that failed is tried again, before its senders are told to try again. One that "
        "is under way is waited for, up to a minute: nobody could say whether it will be stored.",
    )
    sending_queue: StoreQueueConfig = Field(
        default=StoreQueueConfig(),
        description="What waits to be stored. Left out, senders are held until their data is stored. With "
        "`storage: file_storage` they are answered when their data is on the disk, and it is stored in blocks as large "
        "as max_block_items and a second allow.",
    )


@exporter("store", traces="alpha", metrics="alpha", logs="alpha")
class StoreExporter(Exporter[StoreExporterConfig]):
    """Store telemetry in the embedded or a remote ClickHouse.

    A sender is held until its data is inserted, unless there is a `sending_queue`. Requests that come while an insert
    runs share the next one, which begins at once where they fill it: it is encoded, and inserted, beside the one
    before. A series that is new in both is registered by both, so that neither's points wait for the other. An insert
    that got no answer is repeated under the same deduplication token, so that it counts once; with a queue on disk also
    after a crash.
    """

    def __init__(
        self,
        config: StoreExporterConfig,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, telemetry)
        self.clock = clock
        self.sleep = sleep
        self.series = kernels.SeriesIndex()
        self.inserts = telemetry.counter("inserts", "{insert}", "Inserts that the store took.")
        self.rows = telemetry.counter("rows", "{row}", "Rows in the inserts that the store took.")
        self.insert_duration = telemetry.histogram("insert_duration", "s", "Time from a block to the store's answer.")
        limits = Limits(
            items=config.max_block_items,
            interval_s=config.flush_interval,
            share=INSERT_SHARE,
            in_flight=config.sending_queue.num_consumers,
        )
        self.groups = {
            signal: GroupCommit(self._deliver, limits, clock, sleep)
            for signal in (Signal.TRACES, Signal.METRICS, Signal.LOGS)
        }
        sending = SendingConfig.of(
            config.sending_queue,
            RetryConfig.model_validate({"initial_interval": "1s"}),
            is_written="sending_queue" in config.model_fields_set,
        )
        grouping = Grouping(max_items=config.max_block_items, interval_s=QUEUE_INTERVAL_S)
        self.sending = Sending(sending, telemetry, self._prepare, clock, sleep, grouping=grouping)
        self._store: Store | None = None
        self._encoder: ThreadPoolExecutor | None = None
        self._stored_tables: dict[bytes, frozenset[str]] = {}
        """By batch id: what was stored of a refused group, whose batches come again one by one."""

    @property
    def counts_itself(self) -> bool:
        """Whether there is a queue."""
        return self.sending.has_queue

    def sending_state(self) -> SendingSnapshot | None:
        """What is queued; None without a queue."""
        return self.sending.snapshot() if self.sending.has_queue else None

    async def start(self, host: Host) -> None:
        """Find the store; it is running, since extensions start first."""
        self._store = host.extension(self.config.store, Store)
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="store-encoder")
        await self.sending.open(host)

    async def shutdown(self) -> None:
        """Answer everyone who is still held."""
        await self.sending.close()
        for group in self.groups.values():
            await group.close()
        if self._encoder is not None:
            self._encoder.shutdown()
            self._encoder = None

    async def consume(self, batch: Batch) -> None:
        """Return when the batch is in the store, or in the queue."""
        if self.sending.has_queue:
            await self.sending.consume(batch)
        else:
            await self.groups[batch.signal].submit(batch)

    async def _prepare(self, batch: Batch) -> Attempt:
        return partial(self._deliver, [batch])

    async def _deliver(self, batches: Sequence[Batch]) -> None:
        assert self._encoder is not None
        joined = join(batches)
        token = combined_id(batch.id for batch in batches).hex()
        loop = asyncio.get_running_loop()
        try:
            blocks = await loop.run_in_executor(
                self._encoder, lambda: joined.view().native(joined.arrived_unix_nano, self.series)
            )
        except kernels.MalformedPayload as error:
            raise Permanent(str(error)) from error
        give_up = self.clock() + self.config.timeout
        stored: frozenset[str] = self._stored_tables.pop(joined.id, frozenset())
        # The order of the tables matters: a series is known before its first sample can be read.
        for table, rows in blocks.rows.items():
            if table in stored:
                continue
            try:
                await self._insert(table, blocks, f"{token}-{table}", give_up)
            except Permanent:
                if len(batches) > 1 and stored:
                    self._stored_tables.update((batch.id, stored) for batch in batches)
                raise
            stored |= {table}
            self.rows.add(rows, table=table)
        if SERIES in blocks.rows:
            # In the encoder's thread: it would wait there for the encoding of the next block, and the loop with it.
            self._encoder.submit(self.series.add, blocks)

    async def _insert(self, table: str, blocks: Blocks, token: str, give_up: float) -> None:
        assert self._store is not None
        started = self.clock()
        delay = FIRST_RETRY_S
        while True:
            try:
                failpoints.passed("store.insert")
                await self._store.insert(table, blocks, token)
                failpoints.passed("store.inserted")
                break
            except StoreError as error:
                if not error.retryable:
                    raise Permanent(f"the store refuses it: {error}") from error
                if self.clock() + delay > give_up:
                    kind = Throttled if error.is_throttling else Retryable
                    raise kind(f"the store does not take it: {error}", retry_after=LAST_RETRY_S) from error
            await self.sleep(delay)
            delay = min(2 * delay, LAST_RETRY_S)
        self.inserts.add(1, table=table)
        self.insert_duration.record(self.clock() - started)
