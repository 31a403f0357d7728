"""Nothing that cannot be delivered stands in the way of the rest, and nothing good is given up for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airis.component import Permanent, Retryable, Throttled
from airis.component.health import Status
from airis.component.sending.suspects import FAILURES_TO_CONDEMN
from airis.data import Batch, Signal
from airis.proto import otlp
from tests.component.test_sending import DURABLE, MEMORY, SOON_S, Exporters, exporters, names_of, spans

__all__ = ["exporters"]

ALONE: dict[str, Any] = {"sending_queue": {"storage": "file_storage", "num_consumers": 1}}
ONE_BY_ONE: dict[str, Any] = {"sending_queue": ALONE["sending_queue"] | {"batch": {"min_size": 0, "max_size": 1}}}
QUICK: dict[str, Any] = {"retry_on_failure": {"initial_interval": "1ms", "max_interval": "1ms"}}


def refusing(name: str, error: Exception) -> Callable[[Batch], Exception | None]:
    return lambda batch: error if name in names_of(batch) else None


def letters(exporters: Exporters) -> list[str]:
    assert exporters.log
    payloads = [otlp.parse("traces", letter.payload) for letter in exporters.log.log.dead.letters()]
    return [s.name for p in payloads for r in p.resource_spans for scope in r.scope_spans for s in scope.spans]


async def keep_sending(exporters: Exporters, until: Callable[[], bool]) -> None:
    """Good batches, each of which is delivered before the next one is sent."""
    assert exporters.sending
    async with asyncio.timeout(SOON_S):
        while not until():
            name = f"good {exporters.destination.attempts}"
            await exporters.sending.consume(spans(name))
            await exporters.destination.until(lambda name=name: name in exporters.destination.all_names)


async def test_one_that_is_refused_for_ever_blocks_no_other(exporters: Exporters):
    """Also where there is one consumer, and they are taken together."""
    exporters.destination.refuses = refusing("bad", Retryable("503"))
    sending = await exporters.start(**ALONE, **QUICK)
    await sending.consume(spans("fine", "bad", "fine"))
    await keep_sending(exporters, lambda: exporters.count("airis_exporter_dead_letter_items") == 1)
    assert letters(exporters) == ["bad"]
    assert exporters.destination.all_names.count("fine") == 2


async def test_nor_do_many_of_them(exporters: Exporters):
    exporters.destination.refuses = lambda batch: Retryable("503") if "bad" in names_of(batch)[0] else None
    sending = await exporters.start(**ONE_BY_ONE, **QUICK)
    for number in range(20):
        await sending.consume(spans(f"bad {number}"))
    await keep_sending(exporters, lambda: exporters.count("airis_exporter_dead_letter_items") == 20)
    assert sorted(letters(exporters)) == sorted(f"bad {number}" for number in range(20))


async def test_a_destination_that_is_away_makes_no_dead_letters_and_keeps_the_order(exporters: Exporters):
    exporters.destination.refuses = lambda _batch: Retryable("away")
    sending = await exporters.start(**ONE_BY_ONE, **QUICK)
    names = [str(number) for number in range(100)]
    for name in names:
        await sending.consume(spans(name))
    await exporters.destination.until(lambda: exporters.destination.attempts > 150)
    exporters.destination.refuses = lambda _batch: None
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 100)
    assert not letters(exporters)
    # The one that found out that it is back is ahead of its place, at most.
    arrived = exporters.destination.all_names
    assert arrived[1:] == [name for name in names if name != arrived[0]]


async def test_throttling_is_no_fault_of_a_batch(exporters: Exporters):
    refused = 0

    def throttle(batch: Batch) -> Exception | None:
        nonlocal refused
        if "unlucky" not in names_of(batch) or refused >= 40:
            return None
        refused += 1
        return Throttled("429", 0.001)

    exporters.destination.refuses = throttle
    sending = await exporters.start(sending_queue=ALONE["sending_queue"] | {"num_consumers": 2}, **QUICK)
    await sending.consume(spans("unlucky"))
    await keep_sending(exporters, lambda: "unlucky" in exporters.destination.all_names)
    assert refused == 40
    assert not letters(exporters)


async def test_what_is_throttled_again_and_again_comes_in_smaller_parts(exporters: Exporters):
    exporters.destination.refuses = lambda batch: Throttled("429: too large", 0.001) if batch.items > 2 else None
    sending = await exporters.start(**ALONE, **QUICK)
    await sending.consume(spans(*"abcdefgh"))
    await keep_sending(exporters, lambda: {*"abcdefgh"} <= {*exporters.destination.all_names})
    await sending.close()
    assert sum(len(name) == 1 for name in exporters.destination.all_names) == 8


async def test_what_a_flaky_destination_refuses_now_and_then_is_delivered(exporters: Exporters):
    """Two of three attempts fail, whatever is sent."""
    exporters.destination.refuses = lambda _batch: Retryable("500") if exporters.destination.attempts % 3 else None
    sending = await exporters.start(**ONE_BY_ONE, **QUICK)
    for number in range(60):
        await sending.consume(spans(str(number)))
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 60)
    assert not letters(exporters)


@pytest.mark.parametrize("error", [OSError(28, "no space left on device"), ConnectionResetError(), TimeoutError()])
@pytest.mark.parametrize("queue", [{}, MEMORY, DURABLE], ids=["none", "memory", "disk"])
async def test_an_exporter_that_stumbles_over_its_file_or_socket_tries_again(
    exporters: Exporters, queue: dict[str, Any], error: OSError, capfd: pytest.CaptureFixture[str]
):
    exporters.destination.refuses = lambda _batch: error if exporters.destination.attempts < 3 else None
    sending = await exporters.start(**queue)
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.names == [["a"]])
    await sending.close()
    assert "log cannot be used" not in capfd.readouterr().out
    assert sending.snapshot().signals[0].last_error.startswith("the destination cannot be used: ")


async def test_an_exporter_with_a_queue_is_well_again_once_something_went_through(exporters: Exporters):
    exporters.telemetry.health.report(Status.OK)
    exporters.destination.refuses = lambda _batch: Retryable("away")
    sending = await exporters.start(**DURABLE)
    await sending.consume(spans("a"))
    await exporters.destination.until(lambda: exporters.destination.attempts >= 2)
    assert exporters.telemetry.health.status is Status.RECOVERABLE_ERROR
    exporters.destination.refuses = lambda _batch: None
    await exporters.destination.until(lambda: exporters.destination.names == [["a"]])
    await sending.close()
    assert exporters.telemetry.health.status is Status.OK


async def test_what_cannot_be_cut_is_given_more_time_than_what_can(exporters: Exporters):
    attempts = 0

    def refuse(batch: Batch) -> Exception | None:
        nonlocal attempts
        attempts += batch.payload == b"\xff"
        return Retryable("503") if batch.payload == b"\xff" else None

    exporters.destination.refuses = refuse
    sending = await exporters.start(**ALONE, **QUICK)
    await sending.consume(Batch(Signal.TRACES, b"\xff", 2))
    await keep_sending(exporters, lambda: exporters.count("airis_exporter_dead_letter_items") == 2)
    assert attempts >= FAILURES_TO_CONDEMN


async def test_a_refusal_for_good_is_one_though_others_are_refused_for_now(exporters: Exporters):
    errors = {"bad": Permanent("400"), "later": Retryable("503")}
    exporters.destination.refuses = lambda batch: errors.get(names_of(batch)[0])
    sending = await exporters.start(**ONE_BY_ONE, **QUICK)
    await sending.consume(spans("later"))
    await sending.consume(spans("bad"))
    await sending.consume(spans("good"))
    await exporters.destination.until(lambda: "good" in exporters.destination.all_names)
    errors.pop("later")
    await exporters.destination.until(lambda: "later" in exporters.destination.all_names)
    assert letters(exporters) == ["bad"]
