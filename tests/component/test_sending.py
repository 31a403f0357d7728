"""Queues of exporters: who is answered when, what is joined, what becomes of that which cannot be delivered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airis.component import Partial, Permanent, Retryable, Telemetry
from airis.component.sending import Sending, SendingConfig, durable
from airis.component.sending.grouping import Grouping
from airis.component.testing import FakeHost
from airis.data import Batch, Origin, Signal, kernels
from airis.proto import otlp
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log, LogOptions
from airis.storage.wal.service import LogService

SOON_S = 20


def spans(*names: str, tenant: str = "", metadata: dict[str, tuple[str, ...]] | None = None) -> Batch:
    request = otlp.layout("traces").request()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(name=name, trace_id=bytes(16), span_id=bytes(8))
    return Batch(Signal.TRACES, request.SerializeToString(), len(names), Origin(tenant=tenant, metadata=metadata or {}))


def names_of(batch: Batch) -> list[str]:
    request = otlp.parse("traces", batch.payload)
    return [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]


class Destination:
    """Takes batches, or does not."""

    def __init__(self) -> None:
        self.taken: list[Batch] = []
        self.refuses: Callable[[Batch], Exception | None] = lambda _batch: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.attempts = 0
        self.under_way = 0
        self._changed = asyncio.Condition()

    async def prepare(self, batch: Batch) -> Callable[[], Awaitable[None]]:
        async def attempt() -> None:
            async with self._changed:
                self.attempts += 1
                self.under_way += 1
                self._changed.notify_all()
            try:
                await self.gate.wait()
            finally:
                self.under_way -= 1
            error = self.refuses(batch)
            if error is None or isinstance(error, Partial):
                self.taken.append(batch)
            async with self._changed:
                self._changed.notify_all()
            if error is not None:
                raise error

        return attempt

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(SOON_S):
            await self._changed.wait_for(condition)

    @property
    def names(self) -> list[list[str]]:
        return [names_of(batch) for batch in self.taken]

    @property
    def all_names(self) -> list[str]:
        return [name for names in self.names for name in names]


class Exporters:
    """Exporters one after another, with the same log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.destination = Destination()
        self.telemetry = Telemetry("exporter", "otlp/x")
        self.log: LogService | None = None
        self.sending: Sending | None = None
        self.has_all_counts = True
        """Not after a crash, which forgets those of before."""

    async def start(self, grouping: Grouping | None = None, **options: Any) -> Sending:
        self.log = self.log or LogService(Log(OsFiles(self.folder / "wal"), LogOptions()))
        if self.log.log.log_id == b"":
            await self.log.open()
        options = {"retry_on_failure": {"initial_interval": "10ms", "max_interval": "10ms"}} | options
        host = FakeHost(self.folder, {"file_storage": self.log})
        config = SendingConfig.model_validate(options)
        self.sending = Sending(config, self.telemetry, self.destination.prepare, grouping=grouping)
        await self.sending.open(host)
        return self.sending

    async def crash(self) -> None:
        """The process is killed: nothing is finished, nothing is closed."""
        assert self.sending
        for consumers in self.sending._consumers.values():  # pyright: ignore[reportPrivateUsage]
            for task in consumers._tasks:  # pyright: ignore[reportPrivateUsage]
                task.cancel()
        self.log = None
        self.has_all_counts = False

    def is_balanced(self) -> None:
        """After all: what came into the queues has come to an end, or is kept."""
        for signal in Signal if self.has_all_counts else ():
            ways = ("airis_exporter_enqueued", "airis_exporter_recovered", "airis_exporter_put_back")
            ends = ("airis_exporter_kept", "otelcol_exporter_sent", "otelcol_exporter_send_failed")
            came, went = (sum(self.count(f"{name}_{signal.item}") for name in names) for names in (ways, ends))
            assert came == went

    def count(self, name: str) -> float:
        return sum(m.instrument.value for m in self.telemetry.metrics if m.name == name)


@pytest.fixture
async def exporters(tmp_path: Path) -> AsyncIterator[Exporters]:
    made = Exporters(tmp_path)
    yield made
    made.destination.gate.set()
    if made.sending is not None:
        await asyncio.wait_for(made.sending.close(), SOON_S)
    made.is_balanced()
    if made.log is not None:
        await made.log.close()


DURABLE = {"sending_queue": {"storage": "file_storage"}}
MEMORY: dict[str, Any] = {"sending_queue": {}}
QUEUES = pytest.mark.parametrize("queue", [MEMORY, DURABLE], ids=["memory", "disk"])


async def test_without_a_queue_a_sender_is_held_until_its_data_is_delivered(exporters: Exporters):
    sending = await exporters.start()
    exporters.destination.gate.clear()
    call = asyncio.create_task(sending.consume(spans("a")))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    assert not call.done()
    exporters.destination.gate.set()
    await call
    assert exporters.destination.names == [["a"]]


@QUEUES
async def test_with_a_queue_a_sender_is_answered_when_it_has_the_data(exporters: Exporters, queue: dict[str, Any]):
    sending = await exporters.start(**queue)
    exporters.destination.gate.clear()
    await asyncio.wait_for(sending.consume(spans("a")), SOON_S)
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: exporters.destination.names == [["a"]])
    await sending.close()
    assert exporters.count("otelcol_exporter_sent_spans") == 1
    assert exporters.count("airis_exporter_enqueued_spans") == 1


async def test_what_is_on_disk_is_delivered_after_a_crash(exporters: Exporters):
    sending = await exporters.start(**DURABLE)
    exporters.destination.gate.clear()
    for name in "abc":
        await sending.consume(spans(name))
    await exporters.crash()

    exporters.destination = Destination()
    await exporters.start(**DURABLE)
    await exporters.destination.until(lambda: sorted(exporters.destination.all_names) == ["a", "b", "c"])


@QUEUES
async def test_what_was_not_checked_is_not_trusted_later(exporters: Exporters, queue: dict[str, Any]):
    sending = await exporters.start(**queue)
    for name, is_validated in [("a", True), ("b", False)]:
        await sending.consume(replace(spans(name), is_validated=is_validated))
    await exporters.destination.until(lambda: sorted(exporters.destination.all_names) == ["a", "b"])
    assert {names_of(batch)[0]: batch.is_validated for batch in exporters.destination.taken} == {"a": True, "b": False}


async def test_a_group_that_was_under_way_comes_again_with_the_same_id(exporters: Exporters):
    batching = {"sending_queue": {"storage": "file_storage", "num_consumers": 1, "batch": {"flush_timeout": "10ms"}}}
    seen: list[tuple[bytes, list[str]]] = []
    exporters.destination.refuses = lambda batch: seen.append((batch.id, names_of(batch))) or Retryable("later")
    sending = await exporters.start(**batching)
    await asyncio.gather(*(sending.consume(spans(name)) for name in "abc"))
    await exporters.destination.until(lambda: len(seen) > 2)
    await exporters.crash()

    exporters.destination = Destination()
    await exporters.start(**batching)
    first_id, first_names = seen[0]
    await exporters.destination.until(lambda: bool(exporters.destination.taken))
    assert (exporters.destination.taken[0].id, exporters.destination.names[0]) == (first_id, first_names)


@QUEUES
async def test_what_waits_is_joined_up_to_the_sizes(exporters: Exporters, queue: dict[str, Any]):
    batch = {"min_size": 3, "max_size": 4, "flush_timeout": "30s"}
    options = {"sending_queue": queue["sending_queue"] | {"num_consumers": 1, "batch": batch}}
    sending = await exporters.start(**options)
    for name in "abcdefg":
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: sum(map(len, exporters.destination.names)) >= 6)
    assert all(3 <= len(names) <= 4 for names in exporters.destination.names)
    assert "".join(exporters.destination.all_names) == "abcdefg"[: sum(map(len, exporters.destination.names))]


@QUEUES
async def test_tenants_are_never_joined(exporters: Exporters, queue: dict[str, Any]):
    batch = {"min_size": 4, "flush_timeout": "30s"}
    sending = await exporters.start(sending_queue=queue["sending_queue"] | {"batch": batch})
    for i, name in enumerate("abcdefgh"):
        await sending.consume(spans(name, tenant=f"tenant {i % 2}"))
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 2)
    assert sorted(exporters.destination.names) == [["a", "c", "e", "g"], ["b", "d", "f", "h"]]
    assert sorted(batch.origin.tenant for batch in exporters.destination.taken) == ["tenant 0", "tenant 1"]


@QUEUES
@pytest.mark.parametrize("sizer", ["requests", "items", "bytes"])
async def test_a_full_queue_refuses_for_now(exporters: Exporters, queue: dict[str, Any], sizer: str):
    # On disk the heads of the records count as well.
    each = spans("a", "b").size_bytes + (82 if "storage" in queue["sending_queue"] else 0)
    size = {"requests": 2, "items": 4, "bytes": 2 * each}
    sending = await exporters.start(sending_queue=queue["sending_queue"] | {"queue_size": size[sizer], "sizer": sizer})
    exporters.destination.gate.clear()
    await sending.consume(spans("a", "b"))
    await sending.consume(spans("c", "d"))
    with pytest.raises(Retryable, match=f"the sending queue is full .* {sizer}"):
        await sending.consume(spans("e", "f"))
    assert exporters.count("otelcol_exporter_enqueue_failed_spans") == 2
    assert exporters.count("otelcol_exporter_queue_capacity") == size[sizer]
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 2)


@QUEUES
async def test_or_it_holds_senders_until_there_is_room(exporters: Exporters, queue: dict[str, Any]):
    options = {"queue_size": 1, "block_on_overflow": True}
    sending = await exporters.start(sending_queue=queue["sending_queue"] | options)
    exporters.destination.gate.clear()
    await sending.consume(spans("a"))
    second = asyncio.create_task(sending.consume(spans("b")))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    assert not second.done()
    exporters.destination.gate.set()
    await asyncio.wait_for(second, SOON_S)


async def test_a_queue_in_memory_may_wait_for_the_result(exporters: Exporters):
    sending = await exporters.start(sending_queue={"wait_for_result": True})
    exporters.destination.refuses = lambda _batch: Permanent("no")
    with pytest.raises(Permanent, match="no"):
        await sending.consume(spans("a"))
    exporters.destination.refuses = lambda _batch: Partial(1, "one of them")
    with pytest.raises(Partial) as told:
        await sending.consume(spans("a", "b"))
    assert told.value.rejected == 1


async def test_in_memory_what_is_not_delivered_in_time_is_dropped_and_counted(exporters: Exporters):
    retries = {"initial_interval": "1ms", "max_interval": "1ms", "max_elapsed_time": "10ms"}
    exporters.destination.refuses = lambda _batch: Retryable("away")
    sending = await exporters.start(**MEMORY, retry_on_failure=retries)
    await sending.consume(spans("a", "b"))
    await sending.close()
    assert exporters.count("otelcol_exporter_send_failed_spans") == 2
    assert exporters.count("airis_exporter_dropped_items") == 2


async def test_on_disk_it_is_tried_for_as_long_as_it_takes(exporters: Exporters):
    exporters.destination.refuses = lambda _batch: Retryable("away") if exporters.destination.attempts < 20 else None
    sending = await exporters.start(**DURABLE)
    assert sending.retry._config.max_elapsed_time == 0  # pyright: ignore[reportPrivateUsage]
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.names == [["a"]])


async def test_at_the_end_memory_is_emptied_and_the_disk_keeps(exporters: Exporters):
    sending = await exporters.start(sending_queue={"num_consumers": 1})
    for name in "abc":
        await sending.consume(spans(name))
    await sending.close()
    assert exporters.destination.names == [["a"], ["b"], ["c"]]

    exporters.destination.refuses = lambda _batch: Retryable("away")
    sending = await exporters.start(**DURABLE)
    for name in "def":
        await sending.consume(spans(name))
    await asyncio.wait_for(sending.close(), SOON_S)
    exporters.destination.refuses = lambda _batch: None
    await exporters.start(**DURABLE)
    await exporters.destination.until(lambda: len(exporters.destination.all_names) == 6)


async def test_a_bad_item_takes_no_good_one_with_it(exporters: Exporters):
    bad = {"c", "f"}
    exporters.destination.refuses = lambda batch: Permanent("400") if bad & {*names_of(batch)} else None
    batch = {"min_size": 8, "flush_timeout": "20ms"}
    sending = await exporters.start(sending_queue={"storage": "file_storage", "batch": batch})
    await sending.consume(spans("a", "b", "c", "d"))
    await sending.consume(spans("e", "f", "g", "h"))
    await exporters.destination.until(lambda: len(exporters.destination.all_names) == 6)
    await sending.close()

    assert sorted(exporters.destination.all_names) == ["a", "b", "d", "e", "g", "h"]
    assert exporters.log
    letters = list(exporters.log.log.dead.letters())
    payloads = [otlp.parse("traces", letter.payload) for letter in letters]
    assert sorted(p.resource_spans[0].scope_spans[0].spans[0].name for p in payloads) == ["c", "f"]
    assert [(letter.reason, letter.head.items) for letter in letters] == [("400", 1)] * 2
    assert exporters.count("otelcol_exporter_sent_spans") == 6
    assert exporters.count("airis_exporter_dead_letter_items") == 2


async def test_a_batch_that_fails_while_others_go_through_does_not_block(exporters: Exporters):
    exporters.destination.refuses = lambda batch: Retryable("503") if "bad" in names_of(batch) else None
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 2})
    await sending.consume(spans("bad"))
    for number in range(200):
        await sending.consume(spans(f"good {number}"))
        await asyncio.sleep(0.001)
        if exporters.count("airis_exporter_dead_letter_items"):
            break
    assert exporters.count("airis_exporter_dead_letter_items") == 1
    assert exporters.log
    assert next(letter.reason for letter in exporters.log.log.dead.letters()).endswith("while others went through: 503")


SPACED = Grouping(max_items=3, interval_s=1e-9)
"""Groups that are as large as possible, each one due by now."""
TWO: dict[str, Any] = {"sending_queue": {"storage": "file_storage", "num_consumers": 2}}


async def test_where_groups_are_to_be_large_only_a_full_one_goes_beside_another(exporters: Exporters):
    sending = await exporters.start(SPACED, **TWO)
    exporters.destination.gate.clear()
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    for name in "bcd":
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: exporters.destination.under_way == 2)
    await sending.consume(spans("e"))
    assert exporters.destination.attempts == 2

    exporters.destination.gate.set()
    await exporters.destination.until(lambda: len(exporters.destination.all_names) == 5)
    assert sorted(exporters.destination.names) == [["a"], ["b", "c", "d"], ["e"]]


@pytest.mark.parametrize("outcome", ["delivered", "given back", "split"])
async def test_what_has_come_to_an_end_is_under_way_no_more(exporters: Exporters, outcome: str):
    errors: list[Exception | None] = [None, Retryable("busy"), Permanent("bad")]
    error = errors[["delivered", "given back", "split"].index(outcome)]
    exporters.destination.refuses = lambda _batch: error if exporters.destination.attempts == 1 else None
    sending = await exporters.start(SPACED, **TWO, retry_on_failure={"enabled": False})
    exporters.destination.gate.clear()
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    await sending.consume(spans("b"))
    exporters.destination.gate.set()

    await exporters.destination.until(lambda: "b" in exporters.destination.all_names)
    await sending.close()
    assert exporters.log
    assert len(list(exporters.log.log.dead.letters())) == (outcome == "split")


async def test_several_that_were_under_way_at_a_crash_come_again_as_they_were_and_once(exporters: Exporters):
    seen: dict[bytes, list[str]] = {}

    def refuse(batch: Batch) -> Exception:
        seen[batch.id] = names_of(batch)
        return Retryable("later")

    exporters.destination.refuses = refuse
    sending = await exporters.start(SPACED, **TWO)
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: len(seen) == 1)
    for name in "bcd":
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: len(seen) == 2)
    await exporters.crash()

    exporters.destination = Destination()
    sending = await exporters.start(SPACED, **TWO)
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 2)
    await sending.close()
    assert {batch.id: names_of(batch) for batch in exporters.destination.taken} == seen
    assert sorted(seen.values()) == [["a"], ["b", "c", "d"]]


async def test_a_bug_is_no_reason_to_stand_still(exporters: Exporters):
    def stumble(batch: Batch) -> Exception | None:
        return ZeroDivisionError("a bug") if "bad" in names_of(batch) else None

    exporters.destination.refuses = stumble
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("bad"))
    await sending.consume(spans("good"))
    await exporters.destination.until(lambda: exporters.destination.names == [["good"]])
    await sending.close()
    assert exporters.log
    assert [letter.reason for letter in exporters.log.log.dead.letters()] == ["ZeroDivisionError: a bug"]


async def test_what_the_server_rejected_of_a_batch_is_counted_and_not_sent_again(exporters: Exporters):
    exporters.destination.refuses = lambda _batch: Partial(1, "too old")
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("a", "b", "c"))
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 1)
    await sending.close()
    assert exporters.destination.attempts == 1
    assert exporters.count("otelcol_exporter_sent_spans") == 2
    assert exporters.count("otelcol_exporter_send_failed_spans") == 1


@QUEUES
async def test_the_books_balance(exporters: Exporters, queue: dict[str, Any]):
    outcomes = [None, Permanent("p"), Partial(1, "q"), None, Retryable("r")]
    exporters.destination.refuses = lambda batch: outcomes[int(names_of(batch)[0])]
    retries = {"initial_interval": "1ms", "max_interval": "1ms", "max_elapsed_time": "5ms"}
    alone = queue["sending_queue"] | {"batch": {"min_size": 0, "max_size": 2}}
    sending = await exporters.start(sending_queue=alone, retry_on_failure=retries)
    for number in range(5):
        await sending.consume(spans(str(number), str(number)))
    await sending.close()

    queued = 0.0
    if exporters.log and (subscriber := exporters.log.log.subscribers.get("exporters/otlp/x:traces")):
        queued = subscriber.owed.items
    assert exporters.count("airis_exporter_enqueued_spans") == 10
    sent, failed = exporters.count("otelcol_exporter_sent_spans"), exporters.count("otelcol_exporter_send_failed_spans")
    assert sent == 5
    assert sent + failed + queued == 10
    assert kernels.backend


@pytest.mark.parametrize("keys", [(), ("auth.subject", "team")])
def test_what_is_kept_on_disk_of_a_client_is_what_the_keys_name(keys: tuple[str, ...]) -> None:
    origin = Origin(tenant="t", metadata={"team": ("a",), "x": ("y",)}, auth={"subject": "alice", "group": "g"})

    kept = durable._decode_meta(durable.encode_meta(origin, keys, is_validated=True))

    assert kept == (replace(origin.only(keys), tenant="t") if keys else origin, True)
