"""One who takes what is in the log: in groups that stay the same until they are settled, also over a crash."""

from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import structlog

from airis.data import combined_id
from airis.storage.wal.format import Head
from airis.storage.wal.group import NO_LIMITS, Group, Limits
from airis.storage.wal.journal import Journal
from airis.storage.wal.segment import Amount, Entry, Lane, Segment
from airis.storage.wal.unread import Unread

if TYPE_CHECKING:
    from airis.storage.wal.log import Log

__all__ = ["CRASHES", "WINDOW", "Group", "Limits", "Subscriber"]

log = structlog.get_logger("airis.wal")

WINDOW = 8192
"""Batches known to be next, at most."""
CRASHES = 3
"""A batch that was being delivered at so many crashes, at the last one alone, is at fault for them."""


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
        self._in_order: list[int] | None = None
        """The same in order, where it was asked for since it changed."""
        self._known = 0
        self._told: Counter[str] = Counter()
        self._damaged: set[int] = set()
        """Sequences that are counted as damaged, and not settled."""
        self._unfound: list[bytes] = []
        """Tokens of groups that could not be read at the start."""
        self.unread = Unread(self)

    def reads(self, head: Head) -> bool:
        """Whether a record is for this one."""
        return head.signal == self.lane.signal and bool(head.slots >> self.lane.slot & 1)

    def is_owed(self, entry: Entry) -> bool:
        """Whether a record is for this one, and not settled."""
        return self.reads(entry.head) and self.state.owes(entry.head.sequence)

    def open(self) -> None:
        """Count what is owed, and find the groups that were under way."""
        state = self.state
        self.next_sequence = min([state.next, *state.outstanding])
        self.unread.open()
        for segment in self.log.segments.values():
            if segment.first > state.highest and not segment.is_aside:  # nothing is known of it but that it is there
                whole = segment.amounts.get(self.lane, Amount())
                self.owed.add(whole.items, whole.size_bytes, whole.batches)
            elif segment.last >= self.next_sequence or segment.name in self.unread:
                try:
                    entries = self.log.entries(segment)
                except OSError:
                    self.unread.estimate(segment)
                else:
                    for entry in filter(self.is_owed, entries):
                        self.owed.add(entry.head.items, entry.size_bytes)
        for token in list(state.groups):
            self._take_up(token)

    def _take_up(self, token: bytes) -> bool:
        """Deliver a group again that was under way; False where it cannot be read, and then it is tried again."""
        grouped = self.state.groups[token]
        try:
            entries = self.find(grouped.sequences)
        except OSError:
            self._unfound.append(token)
            return False
        if entries:
            self._again.append(Group(token, entries, grouped.starts, grouped.is_tried))
        else:
            self.journal.settled(token)
        return True

    def find(self, sequences: Iterable[int]) -> list[Entry]:
        """The records with these sequences that are there; raises OSError."""
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

    def take(self, limits: Limits = NO_LIMITS) -> Group | None:
        """The next group, noted in the journal: `sync` it before it is delivered where repetitions must be known.

        None where there is nothing, or not enough. Raises OSError.
        """
        group = self._next_of(self._again)
        if group is not None:
            return group
        trouble: OSError | None = None
        try:
            self.fill()
        except OSError as error:
            trouble = error
        key = min(self._ready, key=lambda k: self._ready[k][0].head.sequence, default=None)
        waiting = self._ready[key] if key is not None else None
        if waiting is None or key is None or not self._is_enough(waiting, limits):
            if trouble is not None:
                raise trouble
            return self.take(limits) if self._look_aside() else self._next_of(self._aside)
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

    def _next_of(self, groups: deque[Group]) -> Group | None:
        """The first one that is not to blame for crashes; raises OSError where such a one cannot be buried."""
        while groups:
            group = groups.popleft()
            if group.starts < CRASHES:
                self._out[group.token] = group
                return group
            self._suspect(group)
        return None

    def _look_aside(self) -> bool:
        """Try again to read what could not be read; whether there is more to take now."""
        tokens, self._unfound = self._unfound, []
        found = [self._take_up(token) for token in tokens if token in self.state.groups]
        return self.unread.try_again() or any(found)

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
        group = Group(token, entries, starts, is_tried=not starts)
        self.journal.took(token, [entry.head.sequence for entry in entries], starts)
        self._out[token] = group
        return group

    def fill(self) -> None:
        """Get to know what comes next; raises OSError."""
        if self._known >= WINDOW:
            return
        grouped = self.grouped()
        while self._known < WINDOW:
            segment = next((s for s in self.log.segments.values() if s.last >= self.next_sequence), None)
            if segment is None:
                return
            try:
                entries = self.log.entries(segment)
            except OSError:
                if not segment.is_aside:
                    raise  # it may be for a moment
                self.unread.set_aside(segment)
                continue
            self.unread.seen(segment, entries)
            at = bisect_left(entries, self.next_sequence, key=lambda e: e.head.sequence)
            looked_at = entries[at : at + WINDOW - self._known]
            for entry in looked_at:
                sequence = entry.head.sequence
                self.next_sequence = sequence + 1
                if not self.is_owed(entry) or self.unread.covers(segment, sequence):
                    continue
                if not entry.is_whole and sequence not in grouped:
                    self._settle_corrupt(entry)
                    continue
                self._know(entry, grouped)
            if at + len(looked_at) >= len(entries):
                self.next_sequence = max(self.next_sequence, segment.last + 1)

    def grouped(self) -> set[int]:
        """Sequences that are in groups, and not settled."""
        return {sequence for group in self.state.groups.values() for sequence in group.sequences}

    def _know(self, entry: Entry, grouped: set[int]) -> None:
        self._open.add(entry.head.sequence)
        self._in_order = None
        self._known += 1
        if entry.head.sequence not in grouped:
            self._ready.setdefault(entry.meta, deque()).append(entry)

    def read_at_last(self, entries: Iterable[Entry]) -> None:
        """Get to know records that stand before others that are known."""
        grouped = self.grouped()
        for entry in entries:
            if entry.is_whole or entry.head.sequence in grouped:
                self._know(entry, grouped)
            else:
                self._settle_corrupt(entry)
        for key, waiting in self._ready.items():
            self._ready[key] = deque(sorted(waiting, key=lambda e: e.head.sequence))

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

    # Attempts

    def is_suspected(self, group: Group) -> bool:
        """Whether one crash more would put the blame on a group, so that it is to be tried alone."""
        return group.starts >= CRASHES - 1

    def tried(self, group: Group) -> None:
        """An attempt to deliver a group is about to be made."""
        if group.token in self.state.groups and not group.is_tried:
            group.is_tried = True
            self.journal.tried(group.token)

    def came_back(self, group: Group, *, is_cleared: bool) -> None:
        """It came to its end, and did not end the process; `is_cleared` if that says as much of the whole group."""
        if group.token in self.state.groups and group.is_tried:
            group.is_tried, group.starts = False, 0 if is_cleared else group.starts
            self.journal.came_back(group.token, group.starts)

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
                again = self._record(entries, group.starts)
                del self._out[again.token]
                self._again.appendleft(again)

    def bury(self, group: Group, reason: str) -> None:
        """Put all of a group among the dead letters, and settle it; raises OSError, and then it is as it was."""
        for entry, payload in self.payloads(group):
            self.log.dead.bury(self.state.name, reason, entry, payload)
        self.settle(group)

    def _suspect(self, group: Group) -> None:
        if len(group.entries) > 1:
            log.error(
                "a group was being delivered at several crashes; its batches go one by one", batches=len(group.entries)
            )
            self.journal.dissolved(group.token)
            for entry in reversed(group.entries):
                alone = self._record([entry], starts=CRASHES - 1)
                del self._out[alone.token]
                self._again.appendleft(alone)
            return
        log.error("a batch was being delivered at several crashes; it is a dead letter now", items=group.items)
        try:
            self.bury(group, f"being delivered at {group.starts} crashes")
        except OSError:
            self._aside.append(group)  # a full disk; what stands behind it makes room
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
                self._in_order = None
                self._known -= 1
        self.journal.advance(self.next_sequence, self._open)

    def note_position(self) -> None:
        """Let the journal say where this one is, whatever it says by itself."""
        self.journal.advance(self.next_sequence, self._open, at_once=True)

    def lose(self, entries: Sequence[Entry]) -> Amount:
        """Settle records that are about to be deleted, and give how much of them was owed."""
        lost = Amount()
        gone: list[int] = []
        for entry in entries:
            if self.is_owed(entry):
                lost.add(entry.head.items, entry.size_bytes)
                gone.append(entry.head.sequence)
        self._lose(gone)
        self.owed.add(-lost.items, -lost.size_bytes, -lost.batches)
        return lost

    def lose_unread(self, segment: Segment) -> Amount:
        """The same for a segment that cannot be read: what it is said to hold for this one, as far as it is owed."""
        known = [sequence for sequence in self._open if segment.first <= sequence <= segment.last]
        lost = self.unread.lose(segment) or segment.amounts.get(self.lane, Amount())
        owed = self.owed
        lost = Amount(
            min(lost.batches, owed.batches), min(lost.items, owed.items), min(lost.size_bytes, owed.size_bytes)
        )
        self._lose(known)
        owed.add(-lost.items, -lost.size_bytes, -lost.batches)
        return lost

    def _lose(self, gone: list[int]) -> None:
        if not gone:
            return
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
        self._in_order = None
        self.journal.dropped(gone)

    def _end(self, group: Group) -> bool:
        self.journal.settled(group.token)
        return False

    # Looking

    def losses(self) -> Counter[str]:
        """Items that the log gave up since this was last asked, by reason."""
        new = self.untold
        self._told += new
        return new

    def needs(self, segment: Segment) -> bool:
        """Whether there may be anything in a segment that is not settled."""
        if self.next_sequence <= segment.last or segment.name in self.unread:
            return True
        if self._in_order is None:
            self._in_order = sorted(self._open)
        at = bisect_left(self._in_order, segment.first)
        return at < len(self._in_order) and self._in_order[at] <= segment.last

    @property
    def untold(self) -> Counter[str]:
        """The same, which is to be asked for again."""
        dropped = list(self.log.dropped.items())
        lost = Counter({why: items for (name, why), items in dropped if name == self.state.name})
        return lost - self._told

    @property
    def oldest_unix_nano(self) -> int:
        """When the oldest arrived that is known and not settled; 0 for nothing."""
        groups = (group.entries for group in (*self._again, *self._aside, *self._out.values()))
        first = [entries[0].head for entries in (*groups, *self._ready.values()) if entries]
        return min(first, key=lambda head: head.sequence).wall_unix_nano if first else 0

    def close(self) -> None:
        """Let go of the journal."""
        self.journal.close()
