"""What must not happen to a queue: callers that leave, ends that come too early, logs and destinations that stumble."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from airis.component import Overview, Permanent, PipelineOverview, Retryable, StartError, Telemetry
from airis.component.sending import Sending, SendingConfig
from airis.component.sending.breaker import CircuitBreaker, CircuitBreakerConfig, CircuitOpen, State
from airis.component.sending.consumers import Consumers
from airis.component.sending.durable import DurableQueue
from airis.component.sending.grouping import Grouping
from airis.component.testing import FakeHost, ManualClock
from airis.data import Batch, Signal
from airis.storage.wal.dead import DeadLetters
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log
from tests.component.test_sending import DURABLE, QUEUES, SOON_S, Destination, Exporters, names_of, spans

DURABLE_BY_THREES = Grouping(max_items=3, interval_s=1e-9)


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


async def cut_short(sending: Sending) -> None:
    """Shut down without the time for it."""
    closing = asyncio.create_task(sending.close())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(closing, SOON_S)


def owed(exporters: Exporters) -> int:
    assert exporters.log
    return exporters.log.log.subscribers["exporters/otlp/x:traces"].owed.items


def balance(exporters: Exporters) -> tuple[float, float]:
    """What was taken in, and what became of it."""
    queued = owed(exporters) if exporters.log and exporters.log.log.subscribers else 0
    sent, failed = exporters.count("otelcol_exporter_sent_spans"), exporters.count("otelcol_exporter_send_failed_spans")
    return exporters.count("airis_exporter_enqueued_spans"), sent + failed + queued


async def test_a_disk_that_stumbles_while_it_tidies_up_delivers_nothing_twice(
    exporters: Exporters, monkeypatch: pytest.MonkeyPatch
):
    def collect(_self: Log) -> None:
        raise OSError(5, "input/output error")

    sending = await exporters.start(**DURABLE)
    monkeypatch.setattr(Log, "collect", collect)
    for name in "abc":
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: len(exporters.destination.all_names) >= 3)
    await sending.close()
    assert sorted(exporters.destination.all_names) == ["a", "b", "c"]
    assert owed(exporters) == 0


@QUEUES
async def test_no_surprise_ends_those_who_empty_a_queue(
    exporters: Exporters, queue: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    sending = await exporters.start(sending_queue=queue["sending_queue"] | {"num_consumers": 1})
    send = Consumers._send  # pyright: ignore[reportPrivateUsage]

    async def stumble(*_args: Any) -> None:
        monkeypatch.setattr(Consumers, "_send", send)
        raise KeyError("a bug")

    monkeypatch.setattr(Consumers, "_send", stumble)
    await sending.consume(spans("a"))
    await sending.consume(spans("b"))
    await exporters.destination.until(lambda: "b" in exporters.destination.all_names)
    await sending.close()
    assert balance(exporters) == (2, 2)


@QUEUES
async def test_what_cannot_be_read_does_not_stand_in_the_way(exporters: Exporters, queue: dict[str, Any]):
    """Neither when it is to be bisected, nor when it is larger than a batch may be."""
    sending = await exporters.start(
        sending_queue=queue["sending_queue"] | {"num_consumers": 1, "batch": {"min_size": 0, "max_size": 1}}
    )
    exporters.destination.refuses = lambda batch: Permanent("400") if batch.payload == b"\xff" else None
    await sending.consume(Batch(Signal.TRACES, b"\xff", 2))
    await sending.consume(spans("good"))
    await exporters.destination.until(lambda: exporters.destination.names == [["good"]])
    await sending.close()
    assert balance(exporters) == (3, 3)


@QUEUES
@pytest.mark.parametrize("sizer", ["items", "bytes"])
async def test_what_is_larger_by_itself_is_split(exporters: Exporters, queue: dict[str, Any], sizer: str):
    batch = {"min_size": 0, "max_size": 3 if sizer == "items" else spans("a", "b", "c").size_bytes, "sizer": sizer}
    sending = await exporters.start(sending_queue=queue["sending_queue"] | {"num_consumers": 1, "batch": batch})
    exporters.destination.refuses = lambda batch: Permanent("no") if "e" in names_of(batch) else None
    large = spans(*"abcdefgh")
    await sending.consume(large)
    await exporters.destination.until(lambda: "h" in exporters.destination.all_names)
    await sending.close()
    assert all(len(names) <= 3 for names in exporters.destination.names)
    lost = "" if queue is DURABLE else "def"
    assert set(exporters.destination.all_names) == set("abcdfgh") - set(lost)
    assert len({batch.id for batch in exporters.destination.taken}) == len(exporters.destination.taken)
    assert balance(exporters) == (8, 8)


async def test_the_parts_of_what_is_split_are_the_same_after_a_crash(exporters: Exporters):
    options = {"sending_queue": {"storage": "file_storage", "batch": {"min_size": 0, "max_size": 2}}}
    seen: list[tuple[bytes, list[str]]] = []
    exporters.destination.refuses = lambda batch: (
        seen.append((batch.id, names_of(batch))) or (Retryable("later") if "c" in names_of(batch) else None)
    )
    sending = await exporters.start(**options)
    await sending.consume(spans(*"abcd"))
    await exporters.destination.until(lambda: len(seen) >= 2)
    await exporters.crash()
    exporters.destination = Destination()
    await exporters.start(**options)
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 2)
    assert [(batch.id, names_of(batch)) for batch in exporters.destination.taken] == seen[:2]


@pytest.mark.parametrize("retries", [{"enabled": False}, {"initial_interval": "1h", "max_elapsed_time": "2h"}])
async def test_a_destination_that_is_away_is_not_asked_without_a_pause(exporters: Exporters, retries: dict[str, Any]):
    exporters.destination.refuses = lambda _batch: Retryable("away", 3600.0)
    sending = await exporters.start(**DURABLE, retry_on_failure=retries)
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.attempts >= 1)
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert exporters.destination.attempts == 1
    await asyncio.wait_for(sending.close(), SOON_S)
    assert balance(exporters) == (1, 1)


@QUEUES
async def test_who_leaves_while_data_is_taken_in_is_counted_right(exporters: Exporters, queue: dict[str, Any]):
    sending = await exporters.start(**queue)
    await sending.consume(spans("a"))
    for number in range(20):
        call = asyncio.create_task(sending.consume(spans(str(number))))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
    await sending.consume(spans("z"))
    await exporters.destination.until(lambda: "z" in exporters.destination.all_names)
    await sending.close()
    taken_in, became = balance(exporters)
    assert taken_in == became == len(exporters.destination.all_names)
    assert exporters.count("otelcol_exporter_queue_size") == 0


async def test_who_waits_for_the_result_is_counted_once(exporters: Exporters):
    retries = {"enabled": False}
    sending = await exporters.start(sending_queue={"wait_for_result": True}, retry_on_failure=retries)
    for error in (Permanent("no"), Retryable("away")):
        exporters.destination.refuses = lambda _batch, error=error: error
        with pytest.raises(type(error)):
            await sending.consume(spans("a"))
    assert balance(exporters) == (2, 2)
    assert exporters.count("otelcol_exporter_enqueue_failed_spans") == 0


async def test_an_end_that_is_cut_short_keeps_what_is_on_disk(exporters: Exporters):
    """What is under way goes back into the log, so that an exporter that comes for this one has it."""
    exporters.destination.gate.clear()
    sending = await exporters.start(**DURABLE)
    for name in "abc":
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: exporters.destination.under_way >= 1)
    await cut_short(sending)
    assert exporters.destination.under_way == 0

    exporters.destination.gate.set()
    await exporters.start(**DURABLE)
    await exporters.destination.until(lambda: sorted(exporters.destination.all_names) == ["a", "b", "c"])
    assert exporters.log
    assert not exporters.log.log.dead.names()


async def test_and_counts_what_is_lost_in_memory(exporters: Exporters):
    exporters.destination.gate.clear()
    sending = await exporters.start(sending_queue={"num_consumers": 1})
    for name in "abc":
        await sending.consume(spans(name, name))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    await cut_short(sending)
    assert balance(exporters) == (6, 6)
    assert exporters.count("airis_exporter_dropped_items") == 6


async def test_who_is_cancelled_while_it_takes_gives_it_back(exporters: Exporters):
    exporters.destination.gate.clear()
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 1})
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    queue = sending._consumers[Signal.TRACES].queue  # pyright: ignore[reportPrivateUsage]
    await sending.consume(spans("b"))
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait({taking})
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: exporters.destination.all_names == ["a", "b"])


async def test_a_queue_that_opens_while_it_is_closed_stays_closed(exporters: Exporters):
    sending = await exporters.start(**DURABLE)
    call = asyncio.create_task(sending.consume(spans("a")))
    await asyncio.sleep(0)
    await sending.close()
    with pytest.raises(Retryable):
        await call
    assert not sending._consumers  # pyright: ignore[reportPrivateUsage]


async def test_what_the_log_gives_up_is_counted(exporters: Exporters):
    exporters.destination.gate.clear()
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("a", "b"))
    assert exporters.log
    exporters.log.log.dropped["exporters/otlp/x:traces", "age"] += 2
    exporters.has_all_counts = False  # the loss is made up
    exporters.destination.gate.set()
    await sending.consume(spans("c"))
    async with asyncio.timeout(SOON_S):
        while exporters.count("airis_exporter_dropped_items") < 2:  # noqa: ASYNC110 - a counter tells nobody
            await asyncio.sleep(0.01)
    assert exporters.count("otelcol_exporter_send_failed_spans") == 2


def attempt_that(error: BaseException | None) -> Callable[[], Awaitable[None]]:
    async def attempt() -> None:
        if error is not None:
            raise error

    return attempt


async def tried(breaker: CircuitBreaker, error: BaseException | None) -> None:
    async with breaker.watch():
        await attempt_that(error)()


async def test_a_trial_of_an_earlier_round_says_nothing_about_this_one():
    clock = ManualClock()
    config = CircuitBreakerConfig.model_validate({"failure_threshold": 1, "timeout": "10s", "half_open_requests": 2})
    breaker = CircuitBreaker(config, Telemetry("exporter", "x"), clock)
    with pytest.raises(Retryable):
        await tried(breaker, Retryable("away"))
    clock.now = 10
    old = breaker.watch()
    await old.__aenter__()
    with pytest.raises(Retryable):
        await tried(breaker, Retryable("away"))
    clock.now = 20
    await tried(breaker, None)
    left = asyncio.CancelledError()
    await old.__aexit__(type(left), left, None)
    assert breaker.state is State.HALF_OPEN
    async with breaker.watch():
        with pytest.raises(CircuitOpen):
            await tried(breaker, None)
    assert breaker.state is State.CLOSED


async def test_who_waits_for_a_place_says_nothing_about_the_destination(exporters: Exporters):
    sending = await exporters.start(
        sending_queue={"enabled": False},
        bulkhead={"max_concurrency": 1, "max_waiting": 1, "acquire_timeout": "0s"},
        circuit_breaker={"failure_threshold": 1},
        retry_on_failure={"enabled": False},
    )
    exporters.destination.gate.clear()
    first = asyncio.create_task(sending.consume(spans("a")))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    second = asyncio.create_task(sending.consume(spans("b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Retryable, match="wait already"):
        await sending.consume(spans("c"))
    exporters.destination.gate.set()
    await asyncio.gather(first, second)
    await sending.consume(spans("d"))
    assert exporters.destination.all_names == ["a", "b", "d"]


async def test_one_signal_that_is_refused_while_another_goes_through_is_an_outage(exporters: Exporters):
    """Each may have an endpoint of its own: its batches are no dead letters."""
    exporters.destination.refuses = lambda batch: Retryable("503") if batch.signal is Signal.TRACES else None
    retries = {"initial_interval": "1ms", "max_interval": "1ms"}
    sending = await exporters.start(**DURABLE, retry_on_failure=retries)
    await sending.consume(spans("a"))
    for _ in range(30):
        await sending.consume(Batch(Signal.LOGS, b"", 1))
    before = exporters.destination.attempts
    await exporters.destination.until(lambda: exporters.destination.attempts > before + 20)
    assert exporters.count("airis_exporter_dead_letter_items") == 0


@pytest.mark.parametrize("case", ["a long id", "too many"])
async def test_a_queue_that_the_log_cannot_have_is_told_at_the_start(exporters: Exporters, case: str):
    """Else its senders would be told to try again, for ever."""
    sending = await exporters.start(**DURABLE)
    assert exporters.log
    if case == "too many":
        log = exporters.log.log
        await exporters.log.run(lambda: [log.subscriber(f"exporters/{number}", 1) for number in range(64)])
    component_id = "otlp/" + "x" * (300 if case == "a long id" else 1) + "y"
    host = FakeHost(exporters.folder, {"file_storage": exporters.log})
    host.running = Overview(0.0, (PipelineOverview("traces", Signal.TRACES, (), (), (component_id,)),), ())
    other = Sending(sending.config, Telemetry("exporter", component_id), exporters.destination.prepare)

    with pytest.raises(StartError, match="choose a shorter one" if case == "a long id" else "airis wal forget"):
        await other.open(host)
    await other.close()


async def test_a_full_disk_at_the_start_is_not_the_end(exporters: Exporters, monkeypatch: pytest.MonkeyPatch):
    sending = await exporters.start(**DURABLE)
    host = FakeHost(exporters.folder, {"file_storage": exporters.log})
    host.running = Overview(0.0, (PipelineOverview("traces", Signal.TRACES, (), (), ("otlp/z",)),), ())
    other = Sending(sending.config, Telemetry("exporter", "otlp/z"), exporters.destination.prepare)

    def full(*_args: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(OsFiles, "create", full)
        await other.open(host)
        with pytest.raises(Retryable, match="no space left"):
            await other.consume(spans("a"))
    await other.consume(spans("b"))
    await exporters.destination.until(lambda: exporters.destination.all_names == ["b"])
    await other.close()


async def test_what_changed_while_it_was_aside_is_under_way_no_more(exporters: Exporters):
    """Else it would count as under way for ever, and nothing that waits be taken for a full group."""
    exporters.has_all_counts = False  # the loss is made up
    sending = await exporters.start(DURABLE_BY_THREES, **DURABLE)
    await sending.close()
    assert exporters.log
    log = exporters.log.log
    subscriber = await exporters.log.run(lambda: log.subscriber("exporters/other:traces", 1))
    config = sending.config.sending_queue
    queue = DurableQueue(exporters.log, subscriber, Signal.TRACES, config, DURABLE_BY_THREES)

    def enqueued(_batch: Batch) -> None:
        pass

    for name in "ab":
        await queue.put(spans(name), enqueued)
    taken = await queue.take(SOON_S)
    assert taken is not None
    await queue.let_go(taken)
    lost = subscriber.state.groups[taken.batch.id].sequences[:1]
    await exporters.log.run(lambda: subscriber.lose(subscriber.find(lost)))
    assert not await queue.read(taken)

    rest = await queue.take(SOON_S)
    for name in "cde":
        await queue.put(spans(name), enqueued)
    full = await queue.take(SOON_S)
    assert rest is not None
    assert full is not None
    assert (names_of(rest.batch), names_of(full.batch)) == (["b"], ["c", "d", "e"])
    await queue.close()


async def test_a_storage_that_keeps_no_queue_is_told_at_the_start(tmp_path: Path):
    config = SendingConfig.model_validate({"sending_queue": {"storage": "zpages"}})
    sending = Sending(config, Telemetry("exporter", "x"), Destination().prepare)
    with pytest.raises(StartError, match='"zpages" keeps no queue; name a file_storage') as told:
        await sending.open(FakeHost(tmp_path, {"zpages": object()}))
    assert told.value.option == "sending_queue::storage"


async def test_a_dead_letter_that_the_disk_does_not_take_repeats_nothing(
    exporters: Exporters, monkeypatch: pytest.MonkeyPatch
):
    bury, refused = DeadLetters.bury, 0

    def full(letters: DeadLetters, *args: Any) -> str:
        nonlocal refused
        refused += 1
        if refused < 4:
            raise OSError(28, "no space left on device")
        return bury(letters, *args)

    monkeypatch.setattr(DeadLetters, "bury", full)
    exporters.destination.refuses = lambda batch: Permanent("bad") if "bad" in names_of(batch) else None
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("a", "bad", "b"))
    async with asyncio.timeout(SOON_S):
        while not exporters.count("airis_exporter_dead_letter_items"):  # noqa: ASYNC110 - a counter tells nobody
            await asyncio.sleep(0.01)
    assert sorted(exporters.destination.all_names) == ["a", "b"]
