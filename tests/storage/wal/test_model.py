"""The log against a model: whatever fails and whenever power goes, what was accepted is delivered, as it was."""

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from hashlib import sha256

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airis.storage.wal.log import Full, Log, LogOptions, Put
from airis.storage.wal.subscriber import Group, Limits, Subscriber
from tests.storage.wal.simulated import SimulatedFiles

NAMES = ("exporters/store", "exporters/otlp/ü", "exporters/kafka")
SIGNAL = 1


def payload_of(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest() * (1 + number % 5)


def numbers_of(group: Group) -> tuple[int, ...]:
    return tuple(int.from_bytes(entry.head.batch_id, "big") for entry in group.entries)


class TheLog(RuleBasedStateMachine):
    """Puts, deliveries, crashes and losses of power in any order."""

    @initialize(seed=st.integers(0, 1 << 32), segment_bytes=st.sampled_from([600, 2000, 100_000]))
    def begin(self, seed: int, segment_bytes: int) -> None:
        self.files = SimulatedFiles(seed)
        self.options = LogOptions(segment_bytes=segment_bytes, cache_bytes=segment_bytes // 2, reserve_bytes=4000)
        self.now = 1_000
        self.number = 0
        self.accepted: defaultdict[str, set[int]] = defaultdict(set)
        self.issued: defaultdict[str, set[int]] = defaultdict(set)
        self.delivered: defaultdict[str, set[int]] = defaultdict(set)
        self.tokens: dict[tuple[str, bytes], tuple[int, ...]] = {}
        self.settled_under: defaultdict[tuple[str, int], set[bytes]] = defaultdict(set)
        self.regrouped: set[int] = set()
        """Batches of groups that were split, or were under way at many ends of the process."""
        self.out: list[tuple[str, Group]] = []
        self.start()

    def clock(self) -> int:
        self.now += 1
        return self.now

    def monotonic(self) -> int:
        return self.clock() * 1_000_000_000

    def start(self) -> None:
        self.files.failing.clear()
        new_id = b"id of log %6d" % (self.now % 1000)
        self.log = Log(self.files, self.options, self.clock, lambda: new_id, self.monotonic)
        self.log.open()
        self.out.clear()
        self.subscribers: dict[str, Subscriber] = {}
        for name in NAMES:
            if name in self.accepted or name in self.log.subscribers:
                self.subscribe(name)
        if not self.subscribers:
            with self.an_empty_disk():
                self.subscribe(NAMES[0])

    @contextmanager
    def an_empty_disk(self) -> Generator[None]:
        self.files.capacity, capacity = None, self.files.capacity
        yield
        self.files.capacity = capacity

    @rule(name=st.sampled_from(NAMES))
    def subscribe(self, name: str) -> None:
        try:
            self.subscribers[name] = self.log.subscriber(name, SIGNAL)
        except OSError:
            return
        self.accepted[name] |= set()

    @rule(counts=st.lists(st.integers(1, 3), min_size=1, max_size=4), which=st.integers(1, 7))
    def put(self, counts: list[int], which: int) -> None:
        names = [name for i, name in enumerate(self.subscribers) if which >> i & 1] or [next(iter(self.subscribers))]
        numbers = range(self.number, self.number + len(counts))
        self.number += len(counts)
        lanes = frozenset(self.subscribers[name].lane for name in names)
        puts = [
            Put(lanes, SIGNAL, count, 1, 0, number.to_bytes(16, "big"), b"tenant%d" % (number % 2), payload_of(number))
            for number, count in zip(numbers, counts, strict=True)
        ]
        for name in names:
            self.issued[name] |= set(numbers)
        for number, outcome in zip(numbers, self.log.put(puts), strict=True):
            assert outcome is None or isinstance(outcome, Full | OSError)
            if outcome is None:
                for name in names:
                    self.accepted[name].add(number)

    @rule(name=st.sampled_from(NAMES), max_items=st.integers(1, 9))
    def take(self, name: str, max_items: int) -> None:
        if name not in self.subscribers:
            return
        subscriber = self.subscribers[name]
        try:
            group = subscriber.take(Limits(max_items=max_items))
        except OSError:  # a segment that cannot be read, or a dead letter for which there is no room
            return
        if group is None:
            return
        try:
            subscriber.journal.sync()
        except OSError:
            subscriber.give_back(group)
            return
        numbers = numbers_of(group)
        if group.starts >= 2:
            self.regrouped |= set(numbers)
        assert self.tokens.setdefault((name, group.token), numbers) == numbers
        assert len({entry.meta for entry in group.entries}) == 1
        try:
            found = subscriber.payloads(group)
        except OSError:
            subscriber.set_aside(group)
            return
        subscriber.tried(group)
        self.out.append((name, group))
        assert [payload for _, payload in found] == [payload_of(number) for number in numbers]
        assert set(numbers) <= self.issued[name]

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        name, group = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.subscribers[name].settle(group)
        for entry in group.entries:
            number = int.from_bytes(entry.head.batch_id, "big")
            self.delivered[name].add(number)
            self.settled_under[name, number].add(group.token)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        name, group = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.subscribers[name].came_back(group, is_cleared=data.draw(st.booleans()))
        self.subscribers[name].give_back(group)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        name, group = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.regrouped |= set(numbers_of(group))
        self.subscribers[name].split(group)

    @rule()
    def collect(self) -> None:
        with suppress(OSError):
            self.log.collect()

    @rule(what=st.sampled_from(["append", "sync", "truncate", "create", "remove", "read"]))
    def fail(self, what: str) -> None:
        self.files.failing.append(what)

    @rule(room=st.integers(0, 6000))
    def fill_the_disk(self, room: int) -> None:
        self.files.capacity = self.files.used() + room

    @rule()
    def empty_the_disk(self) -> None:
        self.files.capacity = None

    @rule(data=st.data())
    def break_a_segment(self, data: st.DataObject) -> None:
        self.files.unreadable.add(data.draw(st.sampled_from(sorted(self.log.segments) or [""])))

    @rule()
    def mend_the_segments(self) -> None:
        self.files.unreadable.clear()

    @rule()
    def lose_power(self) -> None:
        self.forget_what_could_not_be_noted()
        self.files.lose_power()
        self.start()

    @rule()
    def be_killed(self) -> None:
        self.forget_what_could_not_be_noted()
        self.start()

    def forget_what_could_not_be_noted(self) -> None:
        for name, subscriber in self.subscribers.items():
            if subscriber.journal.is_behind:
                self.regrouped |= self.issued[name]

    @rule()
    def end_and_start(self) -> None:
        self.files.failing.clear()
        self.forget_what_could_not_be_noted()
        self.log.close()
        self.start()

    @rule(name=st.sampled_from(NAMES))
    def delete_a_journal(self, name: str) -> None:
        self.forget_what_could_not_be_noted()
        if name in self.subscribers:
            self.files.current.pop(self.subscribers[name].journal.file_name, None)
            self.regrouped |= self.issued[name]
        self.start()

    def teardown(self) -> None:
        if not hasattr(self, "files"):
            return
        self.files.failing.clear()
        self.files.unreadable.clear()
        self.now += 1000  # what could not be read is not tried again at once
        for name, group in self.out:
            self.subscribers[name].give_back(group)
        for name, subscriber in self.subscribers.items():
            self.drain(name, subscriber)  # also when the disk is full
            buried = {
                int.from_bytes(letter.head.batch_id, "big")
                for letter in self.log.dead.letters()
                if letter.subscriber == name
            }
            for number in self.delivered[name] - self.regrouped:
                assert len(self.settled_under[name, number]) == 1, "the same batch under two tokens"
            assert self.accepted[name] <= self.delivered[name] | buried
            assert self.delivered[name] <= self.issued[name]
            assert (subscriber.owed.batches, subscriber.owed.items, subscriber.owed.size_bytes) == (0, 0, 0)
        self.log.collect()
        assert len(self.log.segments) <= 1, "all is delivered: only the one that is written to may be left"

    def drain(self, name: str, subscriber: Subscriber) -> None:
        for _ in range(1000):
            try:
                group = subscriber.take()
            except OSError as error:
                if error.errno == ENOSPC:  # a dead letter has no room where it is not made
                    self.files.capacity = None
                continue
            if group is None:
                return
            if group.starts >= 2:
                self.regrouped |= set(numbers_of(group))
            for entry, payload in subscriber.payloads(group):
                number = int.from_bytes(entry.head.batch_id, "big")
                assert payload == payload_of(number)
                self.delivered[name].add(number)
                self.settled_under[name, number].add(group.token)
            subscriber.settle(group)
        raise AssertionError("it comes to no end")


TestTheLog = TheLog.TestCase
TestTheLog.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
