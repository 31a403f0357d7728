"""One who takes what is in the log: in groups that stay the same until they are settled, also over a crash."""

import heapq
from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from airis.data import combined_id
from airis.storage.wal.format import Head
from airis.storage.wal.journal import Grouped, Journal
from airis.storage.wal.segment import Amount, Entry, Lane

if TYPE_CHECKING:
    from airis.storage.wal.log import Log

log = structlog.get_logger("airis.wal")

WINDOW = 8192
"""Batches known to be next, at most."""
CRASHES = 3
"""A batch that was under way alone at so many ends of the process is at fault for them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a group may be."""

    max_items: int = 1 << 62
    max_bytes: int = 1 << 62
    min_items: int = 0
    """Fewer are waited for, unless the oldest came before `due_unix_nano`."""
    min_bytes: int = 0
    due_unix_nano: int = 1 << 62
    now_unix_nano: int = 1 << 63
    """What came later than this came before the clock was put back, and is not waited for."""


@dataclass(slots=True)
class Group:
    """Batches that are delivered together, all with the same `meta`."""

    token: bytes
    """16 bytes; the same for the same batches."""
    entries: list[Entry]
    starts: int = 0
    """How often the process ended while it was under way. From two on it goes alone."""

    @property
    def items(self) -> int:
        """In all batches."""
        return sum(entry.head.items for entry in self.entries)


class Subscriber:
    """Takes groups of batches of one signal, oldest first."""

    def __init__(self, log: "Log", journal: Journal) -> None:
        self.log = log
        self.journal = journal
        self.state = journal.state
        self.lane = Lane(self.state.signal, self.state.slot)
        self.owed = Amount()
        """All that is not settled."""
        self.put_back_items = 0
        """Items that people put back into the queue since the start."""
        self.corrupt_items = 0
        self.next_sequence = 0
        """All of its own before it are known here, or settled."""
        self._ready: OrderedDict[bytes, deque[Entry]] = OrderedDict()
        self._again: deque[Group] = deque()
        """Recorded, and to be delivered again."""
        self._aside: deque[Group] = deque()
        """What could not be read, and is tried again when there is nothing else."""
        self._out: dict[bytes, Group] = {}
        self._open: set[int] = set()
        """Sequences before `next_sequence` that are not settled."""
        self._lowest: list[int] = []
        """The same as a heap, with some that are settled."""
        self._known = 0
        self._told: Counter[str] = Counter()
        self._damaged: set[int] = set()
        """Sequences that are counted as damaged, and not settled."""

    def reads(self, head: Head) -> bool:
        """Whether a record is for this one."""
        return head.signal == self.lane.signal and bool(head.slots >> self.lane.slot & 1)

    def open(self) -> None:
        """Count what is owed, and find the groups that were under way; raises OSError."""
        state = self.state
        self.next_sequence = min([state.next, *state.outstanding])
        for segment in self.log.segments.values():
            if segment.first > state.highest:  # nothing is known of it but that it is there
                whole = segment.amounts.get(self.lane, Amount())
                self.owed.add(whole.items, whole.size_bytes, whole.batches)
            elif segment.last >= self.next_sequence:
                for entry in self.log.entries(segment):
                    if self.reads(entry.head) and state.owes(entry.head.sequence):
                        self.owed.add(entry.head.items, entry.size_bytes)
        for token, grouped in list(state.groups.items()):
            entries = self._find(grouped.sequences)
            if entries:
                self._again.append(Group(token, entries, grouped.starts))
            else:
                self.journal.settled(token)

    def _find(self, sequences: Iterable[int]) -> list[Entry]:
        found: list[Entry] = []
        for sequence in sequences:
            for segment in reversed(self.log.segments.values()):
                if segment.first <= sequence <= segment.last:
                    entries = self.log.entries(segment)
                    at = bisect_left(entries, sequence, key=lambda e: e.head.sequence)
                    if at < len(entries) and entries[at].head.sequence == sequence and self.reads(entries[at].head):
                        found.append(entries[at])
                    break
        return found

    # Taking

    def take(self, limits: Limits = Limits()) -> Group | None:
        """The next group, noted in the journal: `sync` it before it is delivered where repetitions must be known.

        None where there is nothing, or not enough. Raises OSError.
        """
        while self._again:
            group = self._again.popleft()
            if group.starts >= CRASHES:
                self._suspect(group)
                continue
            self._out[group.token] = group
            return group
        self.fill()
        key = min(self._ready, key=lambda k: self._ready[k][0].head.sequence, default=None)
        waiting = self._ready[key] if key is not None else None
        if waiting is None or key is None or not self._is_enough(waiting, limits):
            aside = self._aside.popleft() if self._aside else None
            if aside is not None:
                self._out[aside.token] = aside
            return aside
        entries: list[Entry] = []
        items = size = 0
        while waiting:
            entry = waiting[0]
            if entries and (items + entry.head.items > limits.max_items or size + entry.size_bytes > limits.max_bytes):
                break
            entries.append(waiting.popleft())
            items += entry.head.items
            size += entry.size_bytes
        if not waiting:
            del self._ready[key]
        return self._record(entries)

    def _is_enough(self, waiting: Sequence[Entry] | deque[Entry], limits: Limits) -> bool:
        if not limits.due_unix_nano < waiting[0].head.wall_unix_nano <= limits.now_unix_nano:
            return True
        items = size = 0
        for entry in waiting:
            items += entry.head.items
            size += entry.size_bytes
            if (limits.min_items and items >= limits.min_items) or (limits.min_bytes and size >= limits.min_bytes):
                return True
        return not (limits.min_items or limits.min_bytes)

    def _record(self, entries: list[Entry], starts: int = 0) -> Group:
        ids = [entry.head.batch_id for entry in entries]
        token = combined_id(ids)
        if token in self.state.groups:  # the same batches were put twice
            token = combined_id([*ids, entries[0].head.sequence.to_bytes(8, "little")])
        group = Group(token, entries, starts)
        self.journal.took(token, [entry.head.sequence for entry in entries])
        self.state.groups[token] = Grouped([entry.head.sequence for entry in entries], starts)
        self._out[token] = group
        return group

    def fill(self) -> None:
        """Get to know what comes next; raises OSError."""
        if self._known >= WINDOW:
            return
        grouped = {sequence for group in self.state.groups.values() for sequence in group.sequences}
        while self._known < WINDOW:
            segment = next((s for s in self.log.segments.values() if s.last >= self.next_sequence), None)
            if segment is None:
                return
            entries = self.log.entries(segment)
            at = bisect_left(entries, self.next_sequence, key=lambda e: e.head.sequence)
            looked_at = entries[at : at + WINDOW - self._known]
            for entry in looked_at:
                sequence = entry.head.sequence
                self.next_sequence = sequence + 1
                if not self.reads(entry.head) or not self.state.owes(sequence):
                    continue
                if not entry.is_whole and sequence not in grouped:
                    self._settle_corrupt(entry)
                    continue
                self._open.add(sequence)
                heapq.heappush(self._lowest, sequence)
                self._known += 1
                if sequence not in grouped:
                    self._ready.setdefault(entry.meta, deque()).append(entry)
            if at + len(looked_at) >= len(entries):
                self.next_sequence = max(self.next_sequence, segment.last + 1)

    def payloads(self, group: Group) -> list[tuple[Entry, bytes]]:
        """What is in a group, without what is damaged, which is counted; raises OSError."""
        found: list[tuple[Entry, bytes]] = []
        for entry in group.entries:
            payload = self.log.payload(entry, self.lane.slot)
            if payload is None:
                self._count_corrupt(entry)
            else:
                found.append((entry, payload))
        return found

    # Settling

    def settle(self, group: Group) -> None:
        """All of a group is delivered, or counted as what it is. What is settled stays so, whatever is done to it."""
        self._out.pop(group.token, None)
        if group.token not in self.state.groups:
            return
        self.journal.settled(group.token)
        self._settled(group.entries)

    def give_back(self, group: Group) -> None:
        """A group was not delivered: it is the next one again."""
        self._out.pop(group.token, None)
        if group.token in self.state.groups:
            self._again.appendleft(group)

    def set_aside(self, group: Group) -> None:
        """A group could not be read: the others go first."""
        self._out.pop(group.token, None)
        self._aside.append(group)

    def split(self, group: Group) -> None:
        """Deliver the halves of a group each for itself, before anything else."""
        self._out.pop(group.token, None)
        if group.token not in self.state.groups:
            return
        self.journal.dissolved(group.token)
        half = max(1, len(group.entries) // 2)
        for entries in (group.entries[half:], group.entries[:half]):
            if entries:
                again = self._record(entries)
                del self._out[again.token]
                self._again.appendleft(again)

    def bury(self, group: Group, reason: str) -> None:
        """Put all of a group among the dead letters, and settle it; raises OSError, and then it is as it was."""
        for entry, payload in self.payloads(group):
            self.log.dead.bury(self.state.name, reason, entry, payload)
        self.settle(group)

    def _suspect(self, group: Group) -> None:
        if len(group.entries) > 1:
            log.error("a group was under way at several crashes; its batches go one by one", batches=len(group.entries))
            self.journal.dissolved(group.token)
            for entry in reversed(group.entries):
                alone = self._record([entry], starts=CRASHES - 1)
                del self._out[alone.token]
                self._again.appendleft(alone)
            return
        log.error("a batch was under way at several crashes; it is a dead letter now", items=group.items)
        try:
            self.bury(group, f"under way at {group.starts} crashes")
        except OSError:
            self._again.appendleft(group)
            raise
        self.log.dropped[self.state.name, "crashes"] += group.items

    def _settle_corrupt(self, entry: Entry) -> None:
        self._count_corrupt(entry)
        self._damaged.discard(entry.head.sequence)
        self.journal.dropped([entry.head.sequence])
        self.owed.add(-entry.head.items, -entry.size_bytes, -1)

    def _count_corrupt(self, entry: Entry) -> None:
        if entry.head.sequence in self._damaged:
            return
        self._damaged.add(entry.head.sequence)
        self.corrupt_items += entry.head.items
        self.log.dropped[self.state.name, "corrupt"] += entry.head.items

    def _settled(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.owed.add(-entry.head.items, -entry.size_bytes, -1)
            self._damaged.discard(entry.head.sequence)
            if entry.head.sequence in self._open:
                self._open.discard(entry.head.sequence)
                self._known -= 1
        self.journal.advance(self.next_sequence, self._open)

    def lose(self, entries: Sequence[Entry]) -> Amount:
        """Settle records that are about to be deleted, and give how much of them was owed."""
        lost = Amount()
        gone: list[int] = []
        for entry in entries:
            sequence = entry.head.sequence
            if self.reads(entry.head) and self.state.owes(sequence):
                lost.add(entry.head.items, entry.size_bytes)
                gone.append(sequence)
        if not gone:
            return lost
        dead = set(gone)
        for group in [*self._again, *self._aside, *self._out.values()]:
            group.entries = [entry for entry in group.entries if entry.head.sequence not in dead]
        self._again = deque(group for group in self._again if group.entries or self._end(group))
        self._aside = deque(group for group in self._aside if group.entries or self._end(group))
        for key, waiting in list(self._ready.items()):
            kept = deque(entry for entry in waiting if entry.head.sequence not in dead)
            if kept:
                self._ready[key] = kept
            else:
                del self._ready[key]
        self._known -= len(self._open & dead)
        self._open -= dead
        self.journal.dropped(gone)
        self.owed.add(-lost.items, -lost.size_bytes, -lost.batches)
        return lost

    def _end(self, group: Group) -> bool:
        self.journal.settled(group.token)
        return False

    # Looking

    def losses(self) -> Counter[str]:
        """Items that the log gave up since this was last asked, by reason."""
        new = self.untold
        self._told += new
        return new

    @property
    def untold(self) -> Counter[str]:
        """The same, which is to be asked for again."""
        dropped = list(self.log.dropped.items())
        lost = Counter({why: items for (name, why), items in dropped if name == self.state.name})
        return lost - self._told

    @property
    def floor(self) -> int:
        """All of its own before it are settled."""
        while self._lowest and self._lowest[0] not in self._open:
            heapq.heappop(self._lowest)
        return min(self._lowest[0], self.next_sequence) if self._lowest else self.next_sequence

    @property
    def oldest_unix_nano(self) -> int:
        """When the oldest arrived that is known and not settled; 0 for nothing."""
        groups = (group.entries for group in (*self._again, *self._aside, *self._out.values()))
        first = [entries[0].head for entries in (*groups, *self._ready.values()) if entries]
        return min(first, key=lambda head: head.sequence).wall_unix_nano if first else 0

    def close(self) -> None:
        """Let go of the journal."""
        self.journal.close()
