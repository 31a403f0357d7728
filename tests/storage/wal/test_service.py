"""The log for coroutines, on a real directory."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Full, Log, LogOptions, Put
from airis.storage.wal.segment import Lane
from airis.storage.wal.service import LogService


def put(lane: Lane, number: int, payload: bytes = b"payload") -> Put:
    return Put(frozenset([lane]), lane.signal, 1, 1, 0, number.to_bytes(16, "big"), b"", payload)


async def opened(directory: Path, options: LogOptions | None = None) -> LogService:
    service = LogService(Log(OsFiles(directory), options or LogOptions()))
    await service.open()
    return service


async def test_what_was_put_is_there_at_the_next_start(tmp_path: Path):
    service = await opened(tmp_path)
    subscriber = await service.run(lambda: service.log.subscriber("exporters/store", 1))
    await asyncio.gather(*(service.put(put(subscriber.lane, number)) for number in range(100)))
    # No close: the process is killed.

    again = await opened(tmp_path)
    taken = await again.run(lambda: again.log.subscriber("exporters/store", 1).take())
    assert taken is not None
    assert [int.from_bytes(entry.head.batch_id, "big") for entry in taken.entries] == list(range(100))
    await again.close()


async def test_those_who_come_while_the_disk_is_busy_share_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    service = await opened(tmp_path)
    subscriber = await service.run(lambda: service.log.subscriber("exporters/store", 1))
    sizes: list[int] = []
    write = service.log.put

    def counted(puts: Sequence[Put]) -> list[Exception | None]:
        sizes.append(len(puts))
        return write(puts)

    monkeypatch.setattr(service.log, "put", counted)

    await asyncio.gather(*(service.put(put(subscriber.lane, number)) for number in range(500)))

    assert sum(sizes) == 500
    assert len(sizes) < 100
    await service.close()


async def test_each_is_told_its_own_outcome(tmp_path: Path):
    service = await opened(tmp_path, LogOptions(max_bytes=5000))
    subscriber = await service.run(lambda: service.log.subscriber("exporters/store", 1))
    outcomes = await asyncio.gather(
        service.put(put(subscriber.lane, 1)),
        service.put(put(subscriber.lane, 2, bytes(6000))),
        service.put(put(subscriber.lane, 3)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), Full, type(None)]
    await service.close()
    with pytest.raises(OSError, match="closed"):
        await service.put(put(subscriber.lane, 4))
