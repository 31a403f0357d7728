"""What a page is told of an exporter's queue, breaker and bulkhead."""

from typing import Any

import pytest

from airis.component import Partial, Permanent, Retryable
from airis.component.sending.breaker import State
from airis.data import Signal
from tests.component.test_sending import QUEUES, Exporters, exporters, names_of, spans

__all__ = ["exporters"]


@QUEUES
async def test_what_is_queued_and_under_way_is_told(exporters: Exporters, queue: dict[str, Any]):
    sending = await exporters.start(
        sending_queue=queue["sending_queue"] | {"num_consumers": 1, "queue_size": 4}, bulkhead={"max_concurrency": 3}
    )
    assert sending.snapshot().signals == ()
    exporters.destination.gate.clear()
    for name in "ab":
        await sending.consume(spans(name, name))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)

    (traces,) = sending.snapshot().signals
    assert traces.signal is Signal.TRACES
    assert traces.queue
    assert (traces.queue.items, traces.queue.batches, traces.queue.fill) == (4, 2, 0.5)
    assert traces.queue.size_bytes >= 2 * spans("a", "a").size_bytes
    assert traces.queue.oldest_age_s is not None
    assert traces.queue.is_durable is ("storage" in queue["sending_queue"])
    assert (traces.under_way, traces.outcomes) == (1, {})
    bulkhead = sending.snapshot().bulkhead
    assert bulkhead
    assert (bulkhead.limit, bulkhead.under_way, bulkhead.waiting) == (3, 1, 0)

    exporters.destination.gate.set()
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 2)
    await sending.close()
    (traces,) = sending.snapshot().signals
    assert (traces.queue, traces.under_way, traces.outcomes) == (None, 0, {"delivered": 4})


async def test_since_when_it_fails_and_why_is_told(exporters: Exporters):
    sending = await exporters.start(retry_on_failure={"enabled": False}, circuit_breaker={"failure_threshold": 2})
    exporters.destination.refuses = lambda _batch: Retryable("away")
    for _ in range(2):
        with pytest.raises(Retryable):
            await sending.consume(spans("a"))
    (traces,) = sending.snapshot().signals
    breaker = sending.snapshot().breaker
    assert breaker
    assert (traces.queue, traces.last_error, breaker.state) == (None, "away", State.OPEN)
    assert traces.failing_for_s is not None
    assert traces.last_error_age_s is not None
    assert breaker.for_s <= traces.failing_for_s


async def test_outcomes_are_told_by_their_reason(exporters: Exporters):
    outcomes = {"bad": Permanent("no"), "cut": Partial(1, "too old")}
    exporters.destination.refuses = lambda batch: outcomes.get(names_of(batch)[0])
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 1})
    for names in (["bad"], ["cut", "cut"], ["good"]):
        await sending.consume(spans(*names))
    await exporters.destination.until(lambda: "good" in exporters.destination.all_names)
    await sending.close()
    (traces,) = sending.snapshot().signals
    assert traces.outcomes == {"delivered": 2, "dead_letter": 1, "rejected": 1}
    assert (traces.last_error, traces.failing_for_s) == ("no", None)
