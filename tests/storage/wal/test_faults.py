"""What must not happen to a log: limits that never let go, readers that skip, disks that fail at a bad moment."""

import os
from pathlib import Path

import pytest

from airis.storage.wal import subscriber as subscribers
from airis.storage.wal.files import OsFile, OsFiles
from airis.storage.wal.log import Full, Log, LogOptions, Put
from airis.storage.wal.service import LogService
from airis.storage.wal.subscriber import CRASHES, Limits, Subscriber

STORE = "exporters/store"
NOW = 1_700_000_000_000_000_000
DEFAULTS, NO_LIMITS = LogOptions(), Limits()


def a_put(number: int, subscriber: Subscriber, size: int = 20, wall: int = 0) -> Put:
    lane = subscriber.lane
    return Put(frozenset([lane]), lane.signal, 1, 1, wall, number.to_bytes(16, "big"), b"", bytes([1]) * size)


def opened(directory: Path, options: LogOptions = DEFAULTS) -> Log:
    log = Log(OsFiles(directory), options, lambda: NOW)
    log.open()
    return log


def numbers(subscriber: Subscriber, limits: Limits = NO_LIMITS) -> list[int]:
    found: list[int] = []
    while (group := subscriber.take(limits)) is not None:
        found += [int.from_bytes(entry.head.batch_id, "big") for entry in group.entries]
        subscriber.settle(group)
    return found


def test_a_backlog_of_several_signals_is_read_without_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """More than is looked ahead, with what is for others in between."""
    monkeypatch.setattr(subscribers, "WINDOW", 8)
    log = opened(tmp_path)
    traces, logs = log.subscriber(STORE, 1), log.subscriber("exporters/other", 3)
    for number in range(100):
        log.put([a_put(number, traces if number % 2 else logs)])
    assert numbers(traces, Limits(max_items=3)) == list(range(1, 100, 2))
    assert numbers(logs, Limits(max_items=5)) == list(range(0, 100, 2))


@pytest.mark.parametrize("policy", ["block", "drop_oldest"])
def test_a_log_that_was_full_takes_more_when_all_is_delivered(tmp_path: Path, policy: str):
    """Also where a segment alone may become as large as the log."""
    options = LogOptions(max_bytes=20_000, segment_bytes=64_000, policy=policy)  # type: ignore[arg-type]
    log = opened(tmp_path, options)
    subscriber = log.subscriber(STORE, 1)
    for round_ in range(5):
        outcomes = [log.put([a_put(100 * round_ + number, subscriber, 1000)])[0] for number in range(30)]
        assert outcomes[0] is None
        assert log.size_bytes <= 20_000
        if policy == "drop_oldest":
            assert outcomes == [None] * 30
        else:
            assert any(isinstance(outcome, Full) for outcome in outcomes)
        left = len(numbers(subscriber))
        log.collect()
        assert left == sum(outcome is None for outcome in outcomes) - log.dropped.pop((STORE, "disk_budget"), 0)


def test_a_disk_that_was_full_takes_more_when_all_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    append = OsFile.append

    def on_a_small_disk(self: OsFile, parts: list[bytes]) -> None:
        if sum(file.stat().st_size for file in tmp_path.glob("*.wal")) + sum(map(len, parts)) > 20_000:
            raise OSError(28, "no space left on device")
        append(self, parts)

    monkeypatch.setattr(OsFile, "append", on_a_small_disk)
    outcomes = [log.put([a_put(number, subscriber, 1000)])[0] for number in range(30)]
    assert isinstance(outcomes[-1], OSError)
    assert len(numbers(subscriber)) == sum(outcome is None for outcome in outcomes)
    log.collect()
    assert log.put([a_put(100, subscriber, 1000)]) == [None]
    assert numbers(subscriber) == [100]


def test_a_file_is_closed_once(tmp_path: Path):
    """Its number may belong to a socket by then."""
    file = OsFiles(tmp_path).create("a")
    file.close()
    other = os.open(tmp_path / "b", os.O_WRONLY | os.O_CREAT)
    file.close()
    with pytest.raises(OSError, match="closed"):
        file.append([b"into another's file"])
    assert os.write(other, b"mine") == 4
    os.close(other)
    assert (tmp_path / "b").read_bytes() == b"mine"


def test_a_wall_clock_that_went_back_holds_nothing(tmp_path: Path):
    """What arrived in what is now the future is due at once, not in an hour."""
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    log.put([a_put(1, subscriber, wall=NOW + 3600 * 10**9)])
    due = Limits(min_items=100, due_unix_nano=NOW - 10**9, now_unix_nano=NOW)
    assert numbers(subscriber, due) == [1]
    log.put([a_put(2, subscriber, wall=NOW)])
    assert numbers(subscriber, due) == []


def test_a_group_is_settled_once(tmp_path: Path):
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    log.put([a_put(1, subscriber)])
    group = subscriber.take()
    assert group is not None
    subscriber.settle(group)
    subscriber.give_back(group)
    subscriber.settle(group)
    assert subscriber.take() is None
    assert subscriber.owed.batches == 0


def test_a_suspect_that_cannot_be_buried_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = opened(tmp_path)
    log.put([a_put(1, log.subscriber(STORE, 1))])
    for _ in range(CRASHES):
        subscriber = log.subscriber(STORE, 1)
        group = subscriber.take()
        assert group is not None
        subscriber.tried(group)
        log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)

    def refuse(*_args: object) -> str:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log.dead, "bury", refuse)
        with pytest.raises(OSError, match="no space"):
            subscriber.take()
    assert subscriber.take() is None
    assert len(log.dead.names()) == 1
    assert log.dropped[STORE, "crashes"] == 1


def test_damage_is_counted_once(tmp_path: Path):
    log = opened(tmp_path, LogOptions(cache_bytes=0))
    subscriber = log.subscriber(STORE, 1)
    log.put([a_put(1, subscriber), a_put(2, subscriber)])
    (path,) = tmp_path.glob("*.wal")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for _ in range(3):
        group = subscriber.take()
        assert group is not None
        assert len(subscriber.payloads(group)) == 1
        subscriber.give_back(group)
    assert log.dropped[STORE, "corrupt"] == 1


def test_a_batch_that_is_too_large_for_a_record_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("airis.storage.wal.format.MAX_CONTENT_BYTES", 1000)
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    outcomes = log.put([a_put(1, subscriber), a_put(2, subscriber, 2000), a_put(3, subscriber)])
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert numbers(subscriber) == [1, 3]


def test_what_the_disk_may_have_kept_of_a_failed_write_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    log.put([a_put(1, subscriber)])

    def fail(_self: OsFile) -> None:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(OsFile, "sync", fail)
        assert isinstance(log.put([a_put(2, subscriber)])[0], OSError)
    log.put([a_put(3, subscriber)])
    for segment in log.segments.values():
        segment.entries = None
    assert numbers(subscriber) == [1, 3]
    assert (subscriber.owed.batches, subscriber.owed.items) == (0, 0)


def test_what_the_disk_does_not_give_back_does_not_stand_in_the_way(tmp_path: Path):
    log = opened(tmp_path)
    subscriber = log.subscriber(STORE, 1)
    log.put([a_put(1, subscriber), a_put(2, subscriber)])
    unreadable = subscriber.take(Limits(max_items=1))
    assert unreadable is not None
    subscriber.set_aside(unreadable)
    second = subscriber.take(Limits(max_items=1))
    assert second is not None
    assert second.entries[0].head.batch_id == (2).to_bytes(16, "big")
    assert numbers(subscriber) == [1]
    subscriber.settle(second)
    assert subscriber.owed.batches == 0


async def test_what_is_too_old_goes_though_nothing_is_delivered(tmp_path: Path):
    now = [NOW]
    options = LogOptions(segment_bytes=5000, max_age_s=60)
    log = Log(OsFiles(tmp_path), options, lambda: NOW, monotonic=lambda: now[0])
    service = LogService(log, collect_s=0.0)
    await service.open()
    subscriber = await service.run(lambda: service.log.subscriber(STORE, 1))
    for number in range(20):
        await service.put(a_put(number, subscriber, 1000))
    now[0] += 3600 * 10**9
    await service.put(a_put(20, subscriber, 1000))
    await service.put(a_put(21, subscriber, 1000))
    await service.run(lambda: None)
    assert service.log.dropped[STORE, "age"] >= 15
    await service.close()


async def test_a_backlog_that_nobody_reads_is_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscribers, "WINDOW", 2)
    service = LogService(Log(OsFiles(tmp_path), LogOptions(segment_bytes=5000), lambda: NOW), collect_s=0.0)
    await service.open()
    subscriber = await service.run(lambda: service.log.subscriber(STORE, 1))
    for number in range(50):
        await service.put(a_put(number, subscriber, 1000))
    await service.run(lambda: None)
    assert len(service.log.segments) > 10
    assert sum(segment.entries is not None for segment in service.log.segments.values()) <= 3
    await service.close()


async def test_after_the_close_nothing_is_written(tmp_path: Path):
    service = LogService(Log(OsFiles(tmp_path), LogOptions(), lambda: NOW))
    await service.open()
    subscriber = await service.run(lambda: service.log.subscriber(STORE, 1))
    closing = service.close()
    closing.send(None)
    with pytest.raises(OSError, match="closed"):
        await service.put(a_put(1, subscriber))
    closing.close()
