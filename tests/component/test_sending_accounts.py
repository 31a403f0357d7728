"""What a queue answers for is counted on both sides, also where a sender or the queue is not told how it ended."""

import asyncio
import threading

import pytest

from airis.component import Partial, Permanent, Retryable
from airis.component.sending.snapshot import AccountsSnapshot
from airis.data import Signal
from airis.storage.wal.log import Put
from tests.component.test_sending import DURABLE, SOON_S, Exporters, exporters, spans

__all__ = ["exporters"]


def accounts(exporters: Exporters) -> AccountsSnapshot:
    assert exporters.sending
    (traces,) = (each for each in exporters.sending.snapshot().signals if each.signal is Signal.TRACES)
    assert traces.accounts
    return traces.accounts


async def test_what_is_on_the_disk_is_handed_from_one_exporter_to_the_next(exporters: Exporters):
    exporters.destination.refuses = lambda _batch: Retryable("away")
    sending = await exporters.start(**DURABLE)
    for name in "abc":
        await sending.consume(spans(name))
    await asyncio.wait_for(sending.close(), SOON_S)
    assert (exporters.count("airis_exporter_kept_spans"), exporters.count("airis_exporter_recovered_spans")) == (3, 0)

    exporters.destination.refuses = lambda _batch: None
    await exporters.start(**DURABLE)
    assert accounts(exporters).recovered == 3
    await exporters.destination.until(lambda: len(exporters.destination.all_names) == 3)


async def test_what_people_put_back_is_told_apart(exporters: Exporters):
    await exporters.start(**DURABLE)
    assert exporters.sending
    await exporters.sending.consume(spans("a"))
    assert exporters.log
    log = exporters.log.log
    subscriber = log.subscribers["exporters/otlp/x:traces"]
    again = spans("b", "c")
    put = Put(frozenset([subscriber.lane]), 1, again.items, 1, 0, again.id, b"{}", again.payload)

    def put_back() -> None:
        assert log.put([put]) == [None]
        subscriber.put_back_items += again.items

    await exporters.log.run(put_back)
    await exporters.destination.until(lambda: len(exporters.destination.all_names) == 3)
    assert accounts(exporters).put_back == 2


@pytest.mark.parametrize(
    ("outcome", "unacknowledged"),
    [(None, 0), (Partial(1, "too old"), 1), (Permanent("no"), 3), (Retryable("away"), 3)],
    ids=["taken", "partial", "permanent", "retryable"],
)
async def test_a_sender_that_is_told_the_outcome_is_not_told_that_its_data_is_queued(
    exporters: Exporters, outcome: Exception | None, unacknowledged: int
):
    exporters.destination.refuses = lambda _batch: outcome
    sending = await exporters.start(retry_on_failure={"enabled": False}, sending_queue={"wait_for_result": True})
    told: BaseException | None = None
    try:
        await sending.consume(spans("a", "b", "c"))
    except (Partial, Permanent, Retryable) as error:
        told = error

    assert type(told) is type(outcome)
    assert (exporters.count("airis_exporter_enqueued_spans"), accounts(exporters).unacknowledged) == (3, unacknowledged)


async def test_a_sender_that_left_while_its_data_was_written_does_not_know_of_it(exporters: Exporters):
    exporters.destination.gate.clear()
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("a"))
    assert exporters.log
    go_on = threading.Event()
    busy = asyncio.create_task(exporters.log.run(go_on.wait))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(sending.consume(spans("b", "c")))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert exporters.count("airis_exporter_enqueued_spans") == 1
    go_on.set()
    await busy
    await exporters.log.run(lambda: None)  # behind what was to be written

    assert (exporters.count("airis_exporter_enqueued_spans"), accounts(exporters).unacknowledged) == (3, 2)
