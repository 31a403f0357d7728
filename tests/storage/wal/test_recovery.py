"""Disks that are full or do not give back what they have, clocks that jump, files that somebody deleted."""

from dataclasses import replace
from pathlib import Path

import pytest

from airis.storage.wal import subscriber as subscribers
from airis.storage.wal.files import OsFiles
from airis.storage.wal.log import Log, LogOptions, Put
from airis.storage.wal.subscriber import CRASHES, Limits, Subscriber
from tests.storage.wal.simulated import SimulatedFiles

STORE, KAFKA = "exporters/store:traces", "exporters/kafka:traces"
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
SMALL = LogOptions(segment_bytes=3000, cache_bytes=0, reserve_bytes=4000)


class Time:
    """Both clocks, in nanoseconds."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.monotonic = 5 * SECOND

    def pass_by(self, nano: int) -> None:
        self.wall += nano
        self.monotonic += nano


def opened(files: SimulatedFiles | OsFiles, options: LogOptions = SMALL, time: Time | None = None) -> Log:
    clock = time or Time()
    log = Log(files, options, lambda: clock.wall, monotonic=lambda: clock.monotonic)
    log.open()
    return log


def a_put(number: int, *subscribers: Subscriber, size: int = 200) -> Put:
    lanes = frozenset(subscriber.lane for subscriber in subscribers)
    return Put(lanes, 1, 1, 1, 0, number.to_bytes(16, "big"), b"", bytes([1 + number % 255]) * size)


def numbers(subscriber: Subscriber, at_most: int = 1 << 30) -> list[int]:
    """Takes one by one, as a queue does, and settles."""
    found: list[int] = []
    while len(found) < at_most and (group := subscriber.take(Limits(max_items=1))) is not None:
        subscriber.journal.sync()
        found += [int.from_bytes(entry.head.batch_id, "big") for entry, _ in subscriber.payloads(group)]
        subscriber.settle(group)
    return found


def fill(files: SimulatedFiles, log: Log, *subscribers: Subscriber) -> int:
    """Puts until the disk is full to the last byte; gives how many were taken."""
    files.capacity = files.used() + 20_000
    taken = 0
    while log.put([a_put(taken, *subscribers)]) == [None]:
        taken += 1
    files.capacity = files.used()
    return taken


# A full disk


def test_a_full_disk_recovers_by_itself_as_deliveries_settle():
    files = SimulatedFiles(1)
    log = opened(files, replace(SMALL, reserve_bytes=16_000))
    store = log.subscriber(STORE, 1)
    taken = fill(files, log, store)
    assert taken > 5

    assert numbers(store) == list(range(taken))
    log.collect()
    assert log.put([a_put(1000, store)]) == [None]
    assert not store.journal.is_behind
    assert numbers(opened(files).subscriber(STORE, 1)) == [1000]


def test_what_is_kept_for_deliveries_is_not_for_new_data():
    files = SimulatedFiles(1)
    log = opened(files)
    store = log.subscriber(STORE, 1)
    taken = fill(files, log, store)
    numbers(store, 2)
    assert "reserve" not in files.names()
    (outcome,) = log.put([a_put(1000, store)])
    assert isinstance(outcome, OSError)
    assert "for what is delivered" in str(outcome)
    assert numbers(store) == list(range(2, taken))


def test_a_disk_without_even_a_reserve_delivers_and_makes_room():
    """Who starts on a disk that is full to the last byte has nothing to give up."""
    files = SimulatedFiles(1)
    log = opened(files)
    taken = fill(files, log, log.subscriber(STORE, 1))
    files.current.pop("reserve", None)
    files.capacity = files.used()

    log = opened(files)
    store = log.subscriber(STORE, 1)
    assert numbers(store, 3) == [0, 1, 2]
    assert store.journal.is_behind
    assert numbers(store) == list(range(3, taken))
    log.collect()
    assert log.put([a_put(1000, store)]) == [None]
    assert not store.journal.is_behind


def test_a_crash_on_a_full_disk_loses_nothing():
    files = SimulatedFiles(1)
    log = opened(files)
    taken = fill(files, log, log.subscriber(STORE, 1))
    numbers(log.subscriber(STORE, 1), 5)
    files.lose_power()
    files.capacity = files.used()
    again = numbers(opened(files).subscriber(STORE, 1))
    assert {*range(5, taken)} <= {*again}


def test_a_suspect_without_room_among_the_dead_letters_holds_nobody_up():
    files = SimulatedFiles(1)
    log = opened(files)
    assert log.put([a_put(0, log.subscriber(STORE, 1))]) == [None]
    for _ in range(CRASHES):
        store = log.subscriber(STORE, 1)
        group = store.take()
        assert group is not None
        store.tried(group)
        store.journal.sync()
        log = opened(files)
    store = log.subscriber(STORE, 1)
    fill(files, log, store)
    with pytest.raises(OSError, match="no space"):
        store.take()
    assert numbers(store, 1) == [1 - 1]  # the next one, which has the number 0 as well
    files.capacity = None
    numbers(store)
    assert len(log.dead.names()) == 1


# A segment that cannot be read


Broken = tuple[SimulatedFiles, Log, Subscriber, str, Time]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Thirty batches in several segments, and the name of one to which the subscriber did not come yet."""
    monkeypatch.setattr(subscribers, "WINDOW", 4)
    files, time = SimulatedFiles(1), Time()
    log = opened(files, time=time)
    store = log.subscriber(STORE, 1)
    for number in range(30):
        assert log.put([a_put(number, store)]) == [None]
    log.close()
    log = opened(files, replace(SMALL, max_age_s=3600), time)
    name = list(log.segments)[1]
    files.unreadable.add(name)
    return files, log, log.subscriber(STORE, 1), name, time


def those_of(log: Log, name: str) -> list[int]:
    segment = log.segments[name]
    return list(range(segment.first, segment.last + 1))


def patient(subscriber: Subscriber, time: Time) -> list[int]:
    """As a queue takes that waits a second after each error."""
    found: list[int] = []
    errors = 0
    while errors < 10:
        try:
            taken = numbers(subscriber, 1)
        except OSError:
            taken = []
        found += taken
        if not taken:
            errors += 1
            time.pass_by(SECOND)
    return found


def test_a_segment_that_cannot_be_read_is_set_aside_kept_and_reported(broken: Broken):
    files, log, store, name, time = broken
    there = those_of(log, name)

    assert patient(store, time) == [n for n in range(30) if n not in there]
    log.collect()
    assert [segment.name for segment in log.unreadable] == [name]
    assert list(log.segments) == [name]
    assert store.owed.items == len(there)

    log.close()
    time.pass_by(HOUR)
    log = opened(files, time=time)
    store = log.subscriber(STORE, 1)
    assert patient(store, time) == []
    assert list(log.segments) == [name]

    files.unreadable.clear()
    time.pass_by(HOUR)
    assert numbers(store) == there
    assert store.owed.items == 0
    assert not log.unreadable
    log.collect()
    assert not log.segments


def test_one_that_cannot_be_read_at_the_start_does_not_stand_in_the_way_either(broken: Broken):
    files, log, _, name, time = broken
    there = those_of(log, name)
    log = opened(files, time=time)
    store = log.subscriber(STORE, 1)
    assert log.put([a_put(99, store)]) == [None]
    assert patient(store, time) == [*(n for n in range(30) if n not in there), 99]
    files.unreadable.clear()
    time.pass_by(HOUR)
    assert numbers(store) == there
    assert store.owed.items == 0


def test_an_error_that_passes_keeps_the_order(broken: Broken):
    files, log, store, name, time = broken
    there = those_of(log, name)
    assert numbers(store, there[0]) == list(range(there[0]))
    with pytest.raises(OSError, match="Errno 5"):
        store.take()
    files.unreadable.clear()
    assert patient(store, time) == list(range(there[0], 30))
    assert not log.unreadable


def test_groups_under_way_outlive_an_unreadable_segment(broken: Broken, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(subscribers, "WINDOW", 100)
    files, log, store, name, time = broken
    there = those_of(log, name)
    files.unreadable.clear()
    under_way = [group for _ in range(30) if (group := store.take(Limits(max_items=1))) is not None]
    store.journal.sync()
    tokens = {group.token for group in under_way if group.entries[0].head.sequence in there}
    files.unreadable.add(name)

    log = opened(files, time=time)
    store = log.subscriber(STORE, 1)
    assert patient(store, time) == [n for n in range(30) if n not in there]

    files.unreadable.clear()
    time.pass_by(HOUR)
    again = [group for _ in there if (group := store.take(Limits(max_items=1))) is not None]
    assert {group.token for group in again} == tokens
    for group in again:
        store.settle(group)
    assert store.take() is None
    assert store.owed.batches == 0


def test_an_unreadable_segment_that_has_to_go_is_counted(broken: Broken):
    files, log, store, name, time = broken
    there = those_of(log, name)
    patient(store, time)
    time.pass_by(2 * HOUR)
    log.collect()
    assert log.dropped == {(STORE, "age"): len(there)}
    assert store.owed.items == 0
    assert name not in files.names()


# A journal that somebody deleted


def test_a_subscriber_whose_file_is_gone_is_told_and_given_all_again(tmp_path: Path):
    log = opened(OsFiles(tmp_path))
    store, kafka = log.subscriber(STORE, 1), log.subscriber(KAFKA, 1)
    for number in range(3):
        log.put([a_put(number, store, kafka)])
    assert numbers(kafka, 1) == [0]
    log.close()
    (tmp_path / kafka.journal.file_name).unlink()

    log = opened(OsFiles(tmp_path))
    assert log.subscribers[KAFKA].owed.items == 3
    assert numbers(log.subscriber(KAFKA, 1)) == [0, 1, 2]
    assert numbers(log.subscriber(STORE, 1)) == [0, 1, 2]


def test_what_was_forgotten_by_hand_is_not_missed(tmp_path: Path):
    log = opened(OsFiles(tmp_path))
    store, kafka = log.subscriber(STORE, 1), log.subscriber(KAFKA, 1)
    for number in range(3):
        log.put([a_put(number, store, kafka)])
    assert log.forget(KAFKA) == 3
    assert log.dropped == {(KAFKA, "forgotten"): 3}
    log.close()

    log = opened(OsFiles(tmp_path))
    assert list(log.subscribers) == [STORE]
    assert not log.dropped
    assert log.subscriber(KAFKA, 1).lane != kafka.lane
    assert numbers(log.subscriber(KAFKA, 1)) == []


def test_data_for_nobody_that_is_known_is_counted(tmp_path: Path):
    log = opened(OsFiles(tmp_path))
    store, kafka = log.subscriber(STORE, 1), log.subscriber(KAFKA, 1)
    log.put([a_put(1, store, kafka)])
    log.close()
    (tmp_path / kafka.journal.file_name).unlink()
    (tmp_path / "subscribers.roster").unlink()

    log = opened(OsFiles(tmp_path))
    assert log.dropped == {("signal 1, slot 1", "unknown"): 1}
    assert numbers(log.subscriber(STORE, 1)) == [1]


# Clocks that jump


@pytest.mark.parametrize("jump", [HOUR, 24 * 365 * 10 * HOUR, -HOUR, -24 * 365 * 10 * HOUR])
@pytest.mark.parametrize("when", ["running", "between", "before the end"])
def test_a_clock_that_jumps_drops_nothing(tmp_path: Path, jump: int, when: str):
    time = Time()
    options = LogOptions(segment_bytes=300, max_age_s=1800)
    log = opened(OsFiles(tmp_path), options, time)
    store = log.subscriber(STORE, 1)
    for number in range(3):
        log.put([a_put(number, store)])
    if when != "between":
        time.wall += jump
        log.put([a_put(3, store)])
        log.collect()
    if when != "running":
        log.close()
        time.wall += jump if when == "between" else 0
        log = opened(OsFiles(tmp_path), options, time)
        store = log.subscriber(STORE, 1)
        time.pass_by(600 * SECOND)
        log.collect()
    assert numbers(store) == list(range(3 if when == "between" else 4))
    assert not log.dropped


def test_what_is_from_an_earlier_run_goes_when_it_is_too_old(tmp_path: Path):
    time = Time()
    options = LogOptions(segment_bytes=300, max_age_s=1800)
    log = opened(OsFiles(tmp_path), options, time)
    log.put([a_put(1, log.subscriber(STORE, 1))])
    time.pass_by(600 * SECOND)
    log.close()
    log = opened(OsFiles(tmp_path), options, time)
    time.pass_by(1100 * SECOND)
    log.collect()
    assert not log.dropped
    time.pass_by(200 * SECOND)
    log.collect()
    assert log.dropped == {(STORE, "age"): 1}


# What fails while it is tidied up


@pytest.mark.parametrize("what", ["append", "sync"])
def test_a_segment_that_was_begun_in_vain_does_not_stand_in_the_way(what: str):
    files = SimulatedFiles(1)
    log = opened(files)
    store = log.subscriber(STORE, 1)
    files.failing += [what, "remove"]
    assert isinstance(log.put([a_put(1, store)])[0], OSError)
    assert any(name.endswith(".wal") for name in files.names())
    assert log.put([a_put(2, store)]) == [None]
    assert numbers(opened(files).subscriber(STORE, 1)) == [2]


def test_an_end_as_it_should_be_blames_nobody(tmp_path: Path):
    """A destination that is away over several restarts must not make dead letters."""
    log = opened(OsFiles(tmp_path))
    log.put([a_put(1, log.subscriber(STORE, 1))])
    for _ in range(2 * CRASHES):
        group = log.subscriber(STORE, 1).take()
        assert group is not None
        assert group.starts == 0
        log.subscriber(STORE, 1).journal.sync()
        log.close()
        log = opened(OsFiles(tmp_path))
    assert not log.dead.names()


def test_what_is_damaged_is_not_deleted_before_there_is_room_for_its_copy():
    files = SimulatedFiles(1)
    log = opened(files, LogOptions(segment_bytes=300, cache_bytes=0, reserve_bytes=0))
    store = log.subscriber(STORE, 1)
    for number in range(3):
        log.put([a_put(number, store)])
    first = next(iter(log.segments))
    node = files.current[first]
    node.data = node.durable = node.data[:-500] + b"\xff" * 20 + node.data[-480:]
    files.capacity = files.used()
    assert numbers(store) == [1, 2]
    log.collect()
    assert first in files.names()
    files.capacity = None
    log.collect()
    assert first not in files.names()
    assert [name.split(".")[0] for name in files.inside("quarantine").names()] == [first.split(".")[0]]
