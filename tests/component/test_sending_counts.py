"""Every item has one outcome: whatever is under way when the log is full, or the process ends."""

import asyncio
from typing import Any

import pytest

from airis.component import Permanent, Retryable
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log, LogOptions
from airis.storage.wal.service import LogService
from tests.component.test_sending import SOON_S, Destination, Exporters, exporters, names_of, spans
from tests.component.test_sending_blocking import QUICK, letters
from tests.component.test_sending_faults import balance, cut_short

__all__ = ["exporters"]

PARTS: dict[str, Any] = {
    "sending_queue": {"storage": "file_storage", "num_consumers": 1, "batch": {"min_size": 0, "max_size": 2}}
}


def small_log(exporters: Exporters) -> None:
    """The oldest goes as soon as there are some ten kilobytes."""
    options = LogOptions(segment_bytes=2_000, max_bytes=12_000, policy="drop_oldest")
    exporters.log = LogService(Log(OsFiles(exporters.folder / "wal"), options))


async def overflow(exporters: Exporters) -> int:
    """Send until the log has dropped something that was under way; gives the items sent."""
    assert exporters.sending
    assert exporters.log
    sent = 0
    while not exporters.log.log.dropped:
        await exporters.sending.consume(spans(*(f"{sent + i}" for i in range(10))))
        sent += 10
    return sent


async def test_what_the_log_drops_while_it_is_under_way_is_dropped_and_not_sent_as_well(exporters: Exporters):
    small_log(exporters)
    exporters.destination.gate.clear()
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 1})
    await sending.consume(spans("first"))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    sent = 1 + await overflow(exporters)
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: f"{sent - 2}" in exporters.destination.all_names)
    await sending.close()

    assert "first" in exporters.destination.all_names
    assert exporters.count("airis_exporter_late_items") == 1
    assert balance(exporters) == (sent, sent)
    arrived = len(exporters.destination.all_names)
    assert exporters.count("otelcol_exporter_sent_spans") == arrived - 1
    assert exporters.count("airis_exporter_dropped_items") == sent - (arrived - 1)


async def test_nor_is_it_a_dead_letter_as_well(exporters: Exporters):
    small_log(exporters)
    exporters.destination.gate.clear()
    exporters.destination.refuses = lambda batch: Permanent("no") if names_of(batch) == ["first"] else None
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 1})
    await sending.consume(spans("first"))
    await exporters.destination.until(lambda: exporters.destination.under_way == 1)
    sent = 1 + await overflow(exporters)
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: f"{sent - 2}" in exporters.destination.all_names)
    await sending.close()
    assert balance(exporters) == (sent, sent)


async def test_what_is_dropped_while_others_go_first_is_dropped_once(exporters: Exporters):
    small_log(exporters)
    exporters.destination.refuses = lambda batch: Retryable("later") if "first" in names_of(batch) else None
    sending = await exporters.start(sending_queue={"storage": "file_storage", "num_consumers": 1})
    await sending.consume(spans("first"))
    await exporters.destination.until(lambda: exporters.destination.attempts >= 3)
    exporters.destination.gate.clear()
    sent = 1 + await overflow(exporters)
    exporters.destination.gate.set()
    await exporters.destination.until(lambda: f"{sent - 2}" in exporters.destination.all_names)
    await sending.close()
    assert balance(exporters) == (sent, sent)


@pytest.mark.parametrize("end", ["shutdown", "crash"])
async def test_parts_that_were_sent_before_an_end_are_counted_once(exporters: Exporters, end: str):
    exporters.destination.refuses = lambda batch: Retryable("later") if "c" in names_of(batch) else None
    sending = await exporters.start(**PARTS)
    await sending.consume(spans(*"abcdef"))
    await exporters.destination.until(lambda: exporters.destination.attempts >= 3)
    if end == "shutdown":
        await asyncio.wait_for(sending.close(), SOON_S)
    else:
        await exporters.crash()
    assert exporters.destination.names == [["a", "b"]]

    exporters.destination = Destination()
    sending = await exporters.start(**PARTS)
    await exporters.destination.until(lambda: len(exporters.destination.taken) == 3)
    await sending.close()
    assert exporters.destination.all_names == [*"abcdef"]
    assert balance(exporters) == (6, 6)
    assert exporters.count("airis_exporter_resent_items") == 6


async def test_parts_that_were_sent_are_not_sent_again_while_the_others_wait(exporters: Exporters):
    exporters.destination.refuses = lambda batch: Retryable("later") if "c" in names_of(batch) else None
    sending = await exporters.start(**PARTS, **QUICK)
    await sending.consume(spans(*"abcdef"))
    await exporters.destination.until(lambda: exporters.destination.attempts >= 6)
    exporters.destination.refuses = lambda _batch: None
    await exporters.destination.until(lambda: "f" in exporters.destination.all_names)
    await sending.close()
    assert exporters.destination.all_names == [*"abcdef"]
    assert balance(exporters) == (6, 6)


async def test_who_is_refused_when_the_exporter_is_shut_down_is_counted(exporters: Exporters):
    sending = await exporters.start(**PARTS)
    await sending.close()
    with pytest.raises(Retryable, match="shut down"):
        await sending.consume(spans("a"))
    assert exporters.count("otelcol_exporter_enqueue_failed_spans") == 1


@pytest.mark.parametrize("has_time", [True, False], ids=["in time", "cut short"])
async def test_restarts_during_an_outage_make_no_dead_letters(exporters: Exporters, has_time: bool):
    exporters.destination.refuses = lambda _batch: Retryable("away")
    for _ in range(6):
        sending = await exporters.start(**PARTS, **QUICK)
        if not exporters.destination.attempts:
            await sending.consume(spans("a", "b"))
        before = exporters.destination.attempts
        await exporters.destination.until(lambda before=before: exporters.destination.attempts > before)
        await (asyncio.wait_for(sending.close(), SOON_S) if has_time else cut_short(sending))
        assert exporters.log
        await exporters.log.close()
        exporters.log = None
    exporters.destination.refuses = lambda _batch: None
    sending = await exporters.start(**PARTS)
    await exporters.destination.until(lambda: exporters.destination.all_names == ["a", "b"])
    await sending.close()
    assert not letters(exporters)
    assert balance(exporters) == (2, 2)
