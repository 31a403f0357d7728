"""What a subscriber has in segments that the disk does not give: kept, passed over, and tried again."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import structlog

from airis.storage.wal.journal import runs
from airis.storage.wal.segment import Amount, Entry, Segment

if TYPE_CHECKING:
    from airis.storage.wal.subscriber import Subscriber

log = structlog.get_logger("airis.wal")


class Unread:
    """The segments of one subscriber that are set aside."""

    def __init__(self, of: "Subscriber") -> None:
        """There are none before `open`."""
        self._subscriber = of
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        """By the name of the segment: first and last sequences of what is not known."""
        self._estimates: dict[str, Amount] = {}
        """What was counted as owed without having been seen."""

    def __contains__(self, segment_name: str) -> bool:
        return segment_name in self._ranges

    def open(self) -> None:
        """Go on with what the journal says."""
        for unread in list(self._subscriber.state.unread):
            first, last = unread
            segments = self._subscriber.log.segments.values()
            if first >= self._subscriber.state.next:  # it is come to by itself
                self._subscriber.journal.read_at_last(unread, [])
                continue
            segment = max((s for s in segments if s.first <= first), key=lambda s: s.first, default=None)
            if segment is not None and first <= segment.last:
                self._ranges.setdefault(segment.name, []).append(unread)
            else:
                log.error("what could not be read is gone", first=first, last=last)
                self._subscriber.journal.read_at_last(unread, [])

    def covers(self, segment: Segment, sequence: int) -> bool:
        """Whether a sequence is among those that are not known yet."""
        return any(first <= sequence <= last for first, last in self._ranges.get(segment.name, ()))

    def seen(self, segment: Segment, entries: Iterable[Entry]) -> None:
        """A segment that was only counted is read, as all others are."""
        if segment.name in self._estimates and segment.name not in self._ranges:
            self._correct(segment.name, [entry for entry in entries if self._subscriber.is_owed(entry)])

    def _correct(self, name: str, owed: Sequence[Entry]) -> None:
        estimate = self._estimates.pop(name, None)
        if estimate is not None:
            self._subscriber.owed.add(
                sum(entry.head.items for entry in owed) - estimate.items,
                sum(entry.size_bytes for entry in owed) - estimate.size_bytes,
                len(owed) - estimate.batches,
            )

    def estimate(self, segment: Segment) -> None:
        """Count as owed what a segment is said to hold."""
        whole = segment.amounts.get(self._subscriber.lane, Amount())
        self._estimates[segment.name] = whole
        self._subscriber.owed.add(whole.items, whole.size_bytes, whole.batches)

    def set_aside(self, segment: Segment) -> None:
        """Pass over a segment, from where the subscriber is."""
        subscriber, state = self._subscriber, self._subscriber.state
        known = self._ranges.setdefault(segment.name, [])
        start = max(subscriber.next_sequence, segment.first)
        owed = sorted(s for s in state.outstanding if start <= s <= segment.last and not self.covers(segment, s))
        ranges = [(first, last) for first, last in runs(owed)]
        if state.next <= segment.last:
            ranges.append((max(start, state.next), segment.last))
        for unread in ranges:
            known.append(unread)
            subscriber.journal.set_aside(unread)
        subscriber.next_sequence = segment.last + 1

    def try_again(self) -> bool:
        """Let the subscriber know what can be read by now; whether that is anything."""
        subscriber = self._subscriber
        is_anything = False
        for name in list(self._ranges):
            segment = subscriber.log.segments.get(name)
            try:
                entries = subscriber.log.entries(segment) if segment else []
            except OSError:
                continue
            # Until it is known what is there nothing of it is settled, but by a loss of the whole.
            ranges = self._ranges.pop(name)
            owed = [
                entry
                for entry in entries
                if subscriber.is_owed(entry) and any(first <= entry.head.sequence <= last for first, last in ranges)
            ]
            self._correct(name, owed)
            for first, last in ranges:
                sequences = [e.head.sequence for e in owed if first <= e.head.sequence <= last]
                subscriber.journal.read_at_last((first, last), sequences)
            subscriber.read_at_last(owed)
            is_anything = is_anything or bool(owed)
        return is_anything

    def lose(self, segment: Segment) -> Amount | None:
        """A segment is about to be deleted: what was counted of it unseen, None where nothing was."""
        for unread in self._ranges.pop(segment.name, []):
            self._subscriber.journal.read_at_last(unread, [])
        return self._estimates.pop(segment.name, None)
