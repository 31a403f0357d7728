"""The log's promises one by one: damage, limits, subscribers, dead letters."""

from collections.abc import Callable
from pathlib import Path

import pytest

from airis.storage.wal.files import OsFiles
from airis.storage.wal.format import HEAD_BYTES, SEGMENT_HEADER_BYTES, WrongVersion
from airis.storage.wal.log import MAX_SLOTS, Full, Log, LogOptions, Put
from airis.storage.wal.subscriber import CRASHES, Limits, Subscriber

SIGNAL = 1
STORE, KAFKA = "exporters/store", "exporters/kafka"


class Clock:
    """Wall time in nanoseconds that stands still."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


def a_put(number: int, *subscribers: Subscriber, items: int = 1, meta: bytes = b"", size: int = 20) -> Put:
    payload = b"payload %d " % number
    return Put(
        frozenset(subscriber.lane for subscriber in subscribers),
        SIGNAL,
        items,
        1,
        0,
        number.to_bytes(16, "big"),
        meta,
        payload + b"." * (size - len(payload)),
    )


def opened(directory: Path, **options: int | str | bool) -> Log:
    log = Log(OsFiles(directory), LogOptions(**options), Clock())  # type: ignore[arg-type]
    log.open()
    return log


def put(log: Log, puts: list[Put]) -> None:
    assert log.put(puts) == [None] * len(puts)


def rest_of(subscriber: Subscriber) -> list[int]:
    """Takes and settles all, and gives the numbers."""
    found: list[int] = []
    while (group := subscriber.take()) is not None:
        found += [int.from_bytes(entry.head.batch_id, "big") for entry, _ in subscriber.payloads(group)]
        subscriber.settle(group)
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three batches for two subscribers, the second of which has a group under way."""
    log = opened(tmp_path)
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    put(log, [a_put(number, store, kafka) for number in (1, 2, 3)])
    kafka.take(Limits(max_items=2))
    kafka.journal.sync()
    return tmp_path


def only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


RECORD_BYTES = HEAD_BYTES + 20
SECOND = SEGMENT_HEADER_BYTES + RECORD_BYTES


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda data: data[:SECOND] + b"\xff" + data[SECOND + 1 :], [1, 3]),  # the marker
        (lambda data: data[: SECOND + 12] + b"\xff" * 4 + data[SECOND + 16 :], [1, 3]),  # the length
        (lambda data: data[: SECOND + 4] + b"\xff" * 4 + data[SECOND + 8 :], [1, 3]),  # a checksum
        (lambda data: data[: SECOND + HEAD_BYTES] + b"\xff" + data[SECOND + HEAD_BYTES + 1 :], [1, 3]),  # the payload
        (lambda data: data[:SECOND] + bytes(RECORD_BYTES) + data[SECOND + RECORD_BYTES :], [1, 3]),  # zeros
        (lambda data: data[: SECOND + 50] + data[SECOND + RECORD_BYTES :], [1, 3]),  # bytes missing inside
        (lambda data: data[: SECOND + RECORD_BYTES - 1], [1]),  # cut off
        (lambda data: data[:SECOND] + data[SECOND + RECORD_BYTES :] + data[SECOND : SECOND + RECORD_BYTES], [1, 2, 3]),
        (lambda data: data[:10] + b"\xff" * 40 + data[50:], [1, 2, 3]),  # the header of the file
        (lambda data: data + data[SECOND:], [1, 2, 3]),  # a part twice
        (lambda data: data + b"\xff" * 100, [1, 2, 3]),  # garbage behind
    ],
)  # fmt: skip
def test_damage_costs_what_is_damaged_and_is_kept(directory: Path, damage: Callable[[bytes], bytes], left: list[int]):
    segment = only(directory, "*.wal")
    segment.write_bytes(damage(segment.read_bytes()))

    log = opened(directory)
    store = log.subscriber(STORE, SIGNAL)
    assert sorted(rest_of(store)) == left
    assert store.owed.batches == 0
    if left != [1, 2, 3]:
        assert log.damaged_records
        assert list(directory.glob("quarantine/*")) or b"\0" * RECORD_BYTES in segment.read_bytes()
    opened(directory)  # and again: no loop


def test_what_was_lost_is_counted_where_its_head_can_be_read(directory: Path):
    segment = only(directory, "*.wal")
    data = segment.read_bytes()
    segment.write_bytes(data[: SECOND + HEAD_BYTES] + b"\xff" + data[SECOND + HEAD_BYTES + 1 :])

    log = opened(directory)
    rest_of(log.subscriber(STORE, SIGNAL))
    assert log.dropped == {(STORE, "corrupt"): 1}
    kafka = log.subscriber(KAFKA, SIGNAL)
    assert rest_of(kafka) == [1, 3]
    assert log.dropped == {(STORE, "corrupt"): 1, (KAFKA, "corrupt"): 1}
    assert (kafka.owed.batches, kafka.owed.items) == (0, 0)


def test_a_damaged_journal_gives_its_subscriber_all_there_is(directory: Path):
    cursor = only(directory, "*kafka.cursor")
    cursor.write_bytes(b"\xff" * 200)

    log = opened(directory)
    assert rest_of(log.subscriber(KAFKA, SIGNAL)) == [1, 2, 3]
    assert rest_of(log.subscriber(STORE, SIGNAL)) == [1, 2, 3]
    assert [path.name for path in (directory / "quarantine").iterdir()] == [f"{cursor.name}.0.unreadable"]


@pytest.mark.parametrize("pattern", ["*.wal", "*store.cursor"])
def test_a_file_of_another_version_is_left_alone(directory: Path, pattern: str):
    file = only(directory, pattern)
    data = file.read_bytes()
    file.write_bytes(data[:8] + b"\x02\x00" + data[10:])
    before = {path: path.read_bytes() for path in directory.iterdir() if path.is_file()}

    with pytest.raises(WrongVersion, match="version 2"):
        opened(directory)
    assert {path: path.read_bytes() for path in directory.iterdir() if path.is_file()} == before


def test_a_group_is_the_same_after_a_crash(directory: Path):
    log = opened(directory)
    group = log.subscriber(KAFKA, SIGNAL).take(Limits(max_items=100))
    assert group is not None
    assert [int.from_bytes(entry.head.batch_id, "big") for entry in group.entries] == [1, 2]
    assert group.starts == 1


def test_what_crashes_the_process_again_and_again_is_a_dead_letter(directory: Path):
    for _ in range(2 * CRASHES):
        log = opened(directory)
        kafka = log.subscriber(KAFKA, SIGNAL)
        group = kafka.take()
        if group is None:
            break
        kafka.tried(group)
    # Two batches were under way together, so that each was tried alone; the third was taken when they were gone.
    assert [letter.payload[:9] for letter in log.dead.letters()] == [b"payload 1", b"payload 2"]
    assert {letter.reason for letter in log.dead.letters()} == {"being delivered at 3 crashes"}


@pytest.mark.parametrize("is_cleared", [False, True])
def test_what_came_back_is_not_to_blame(directory: Path, is_cleared: bool):
    """An attempt was made in each run, and was over when the process ended."""
    for _ in range(2 * CRASHES):
        kafka = opened(directory).subscriber(KAFKA, SIGNAL)
        group = kafka.take()
        assert group is not None
        assert group.starts <= 1, "that of the first crash alone"
        kafka.tried(group)
        kafka.came_back(group, is_cleared=is_cleared)
        assert group.starts == (0 if is_cleared else 1)


def test_what_was_not_tried_is_not_to_blame(directory: Path):
    for _ in range(2 * CRASHES):
        group = opened(directory).subscriber(KAFKA, SIGNAL).take()
        assert group is not None
        assert group.starts == 1


def test_blame_counts_from_the_last_attempt_that_came_back(directory: Path):
    """Whoever ends the process only when a destination is there is found when it is."""
    starts: list[int] = []
    for comes_back in (True, False, True, False, False):
        log = opened(directory)
        kafka = log.subscriber(KAFKA, SIGNAL)
        group = kafka.take()
        assert group is not None
        starts.append(group.starts)
        kafka.tried(group)
        if comes_back:
            kafka.came_back(group, is_cleared=True)
            kafka.tried(group)
    assert starts == [1, 1, 2, 1, 2]


def test_halves_of_a_suspect_are_suspected(directory: Path):
    first = opened(directory).subscriber(KAFKA, SIGNAL)
    group = first.take()
    assert group is not None
    first.tried(group)
    kafka = opened(directory).subscriber(KAFKA, SIGNAL)
    group = kafka.take()
    assert group is not None
    assert kafka.is_suspected(group)
    kafka.split(group)

    again = opened(directory).subscriber(KAFKA, SIGNAL)
    halves = [again.take(), again.take()]
    assert [half and (half.items, half.starts) for half in halves] == [(1, CRASHES - 1)] * 2


def test_an_orderly_end_is_no_crash(directory: Path):
    starts: list[int] = []
    for _ in range(2 * CRASHES):
        log = opened(directory)
        group = log.subscriber(KAFKA, SIGNAL).take()
        assert group
        starts.append(group.starts)
        log.close()
    assert set(starts) == {1}, "that of the crash before"
    assert not log.dead.names()


def test_segments_go_when_all_have_them(tmp_path: Path):
    log = opened(tmp_path, segment_bytes=300)
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    for number in range(20):
        put(log, [a_put(number, store, kafka)])
    files = len(list(tmp_path.glob("*.wal")))
    assert files > 5

    assert rest_of(store) == list(range(20))
    log.collect()
    assert len(list(tmp_path.glob("*.wal"))) == files
    assert rest_of(kafka) == list(range(20))
    log.collect()
    assert len(list(tmp_path.glob("*.wal"))) == 1


def test_one_who_is_gone_keeps_what_is_owed_until_it_is_forgotten(tmp_path: Path):
    log = opened(tmp_path, segment_bytes=300)
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    for number in range(20):
        put(log, [a_put(number, store, kafka)])
    rest_of(store)
    log.close()

    log = opened(tmp_path, segment_bytes=300)
    log.subscriber(STORE, SIGNAL)
    assert log.subscribers[KAFKA].owed.batches == 20
    log.forget(KAFKA)
    assert list(tmp_path.glob("*.wal")) == []


def test_a_new_subscriber_is_given_nothing_that_was_there_before(directory: Path):
    log = opened(directory)
    late = log.subscriber("exporters/late", SIGNAL)
    assert late.take() is None
    put(log, [a_put(9, late)])
    assert rest_of(late) == [9]


def test_a_batch_is_written_once_for_all_who_want_it(tmp_path: Path):
    log = opened(tmp_path)
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    put(log, [a_put(1, store), a_put(1, kafka)])
    assert log.next_sequence == 1
    assert rest_of(store) == rest_of(kafka) == [1]


def test_what_is_put_twice_for_one_is_given_twice(tmp_path: Path):
    # Two pipelines lead to one exporter: what it has enqueued is what it sends.
    log = opened(tmp_path)
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    put(log, [a_put(1, store), a_put(1, store, kafka), a_put(1, store, meta=b"another tenant")])
    put(log, [a_put(1, kafka)])
    assert rest_of(store) == [1, 1, 1]
    assert rest_of(kafka) == [1, 1]


def test_batches_of_different_origin_are_in_different_groups(tmp_path: Path):
    log = opened(tmp_path)
    store = log.subscriber(STORE, SIGNAL)
    put(log, [a_put(number, store, meta=b"tenant %d" % (number % 2)) for number in range(6)])
    groups = [store.take(), store.take()]
    assert [[int.from_bytes(e.head.batch_id, "big") for e in group.entries] for group in groups if group] == [
        [0, 2, 4],
        [1, 3, 5],
    ]


def test_a_group_waits_until_there_is_enough_or_its_oldest_is_due(tmp_path: Path):
    log = opened(tmp_path)
    store = log.subscriber(STORE, SIGNAL)
    now = Clock().now
    put(log, [a_put(1, store, items=3)])
    assert store.take(Limits(min_items=4, due_unix_nano=now - 1)) is None
    put(log, [a_put(2, store, items=1)])
    group = store.take(Limits(min_items=4, due_unix_nano=now - 1))
    assert group is not None
    assert group.items == 4
    put(log, [a_put(3, store)])
    assert store.take(Limits(min_items=4, due_unix_nano=now)) is not None


def test_a_full_log_refuses_and_goes_on_when_there_is_room(tmp_path: Path):
    log = opened(tmp_path, segment_bytes=300, max_bytes=6000)
    store = log.subscriber(STORE, SIGNAL)
    taken = 0
    while log.put([a_put(taken, store)]) == [None]:
        taken += 1
    (outcome,) = log.put([a_put(taken, store)])
    assert isinstance(outcome, Full)
    assert 1000 < log.size_bytes <= 6000

    assert rest_of(store) == list(range(taken))
    log.collect()
    put(log, [a_put(99, store)])


def test_the_oldest_goes_where_that_is_wanted_and_is_counted(tmp_path: Path):
    log = opened(tmp_path, segment_bytes=300, max_bytes=6000, policy="drop_oldest")
    store, kafka = log.subscriber(STORE, SIGNAL), log.subscriber(KAFKA, SIGNAL)
    under_way = None
    for number in range(20):
        put(log, [a_put(number, store, kafka)])
        under_way = under_way or store.take()
    assert under_way is not None
    store.settle(under_way)

    left = rest_of(kafka)
    assert left == list(range(20))[-len(left) :]
    assert log.dropped[KAFKA, "disk_budget"] == 20 - len(left)
    assert rest_of(store) == left
    assert log.dropped[STORE, "disk_budget"] + len(left) + (0 if not under_way.entries else 1) in {19, 20}
    assert (store.owed.batches, store.owed.items) == (0, 0)


def test_the_newest_goes_where_that_is_wanted_and_is_counted(tmp_path: Path):
    log = opened(tmp_path, segment_bytes=300, max_bytes=6000, policy="drop_newest")
    store = log.subscriber(STORE, SIGNAL)
    for number in range(20):
        put(log, [a_put(number, store)])
    left = rest_of(store)
    assert left == list(range(len(left)))
    assert log.dropped == {(STORE, "disk_budget"): 20 - len(left)}


def test_what_is_too_old_goes_and_is_counted(tmp_path: Path):
    clock = Clock()
    log = Log(OsFiles(tmp_path), LogOptions(segment_bytes=300, max_age_s=60), clock, monotonic=clock)
    log.open()
    store = log.subscriber(STORE, SIGNAL)
    for number in range(6):
        put(log, [a_put(number, store)])
        clock.now += 20_000_000_000
    log.collect()
    left = rest_of(store)
    assert left == list(range(6))[-len(left) :]
    assert log.dropped == {(STORE, "age"): 6 - len(left)}
    assert 3 <= len(left) < 6


def test_a_log_has_room_for_so_many_subscribers_of_a_signal(tmp_path: Path):
    log = opened(tmp_path)
    for number in range(MAX_SLOTS):
        log.subscriber(f"exporters/{number}", SIGNAL)
    log.subscriber("exporters/other", 2)
    with pytest.raises(ValueError, match=r"64 subscribers.*airis wal forget"):
        log.subscriber("exporters/more", SIGNAL)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path):
    log = opened(tmp_path)
    log.subscriber("exporters/" + "x" * 220, SIGNAL)
    with pytest.raises(ValueError, match="choose a shorter one"):
        log.subscriber("exporters/" + "ü" * 60, SIGNAL)
    with pytest.raises(ValueError, match="the id is too long"):
        log.subscriber("exporters/" + "x" * 300, SIGNAL)
    opened(tmp_path)


def test_what_nobody_can_take_is_buried_and_can_be_read(tmp_path: Path):
    log = opened(tmp_path)
    store = log.subscriber(STORE, SIGNAL)
    put(log, [a_put(1, store, meta=b"about it"), a_put(2, store, meta=b"about it")])
    group = store.take()
    assert group is not None
    store.bury(group, "the server says 400")

    assert store.owed.batches == 0
    letters = list(opened(tmp_path).dead.letters())
    assert [(letter.subscriber, letter.reason, letter.meta, letter.head.items) for letter in letters] == [
        (STORE, "the server says 400", b"about it", 1)
    ] * 2
    log.dead.remove(letters[0].name)
    assert [letter.name for letter in log.dead.letters()] == [letters[1].name]


def test_two_who_bury_the_same_in_the_same_nanosecond_have_a_letter_each(tmp_path: Path):
    store = Log(OsFiles(tmp_path), LogOptions(), clock=lambda: 7)
    store.open()
    subscribers = [store.subscriber(name, 1) for name in ("a", "b")]
    put(store, [a_put(1, *subscribers)])
    for subscriber in subscribers:
        group = subscriber.take()
        assert group
        subscriber.bury(group, "400")
    assert sorted(letter.subscriber for letter in store.dead.letters()) == ["a", "b"]


def test_names_of_subscribers_may_be_anything(tmp_path: Path):
    names = ["a/b", "..", "ü%2f;", "a b\n", "x" * 100]
    log = opened(tmp_path)
    for name in names:
        log.subscriber(name, SIGNAL)
    assert {*opened(tmp_path).subscribers} == {*names}
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*.cursor"))
