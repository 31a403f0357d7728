"""Which segments go: those that nobody needs, and where there are limits the oldest."""

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from airis.component import failpoints
from airis.storage.wal.ages import Ages
from airis.storage.wal.put import Joined
from airis.storage.wal.segment import Segment

if TYPE_CHECKING:
    from airis.storage.wal.log import Log

log = structlog.get_logger("airis.wal")

_OVERHEAD_BYTES = 4096
"""More than the header of a segment and the record that ends one."""


class Room:
    """Makes room in a log."""

    def __init__(self, of: "Log") -> None:
        """Nothing is looked at before the log is open."""
        self._log = of
        self.ages = Ages(of.options.max_age_s, of.clock, of.monotonic)

    def is_there(self, size: int) -> bool:
        """Whether so many bytes more are within the limit, for which the oldest may have to go."""
        options = self._log.options
        if not options.max_bytes:
            return True
        while self._log.size_bytes + size + _OVERHEAD_BYTES > options.max_bytes:
            if self.let_go():
                continue
            fits = size + _OVERHEAD_BYTES <= options.max_bytes
            if options.policy != "drop_oldest" or not fits or not self._log.segments:
                return False
            if not self._drop(next(iter(self._log.segments.values())), "disk_budget"):
                return False
        return True

    def let_go(self) -> bool:
        """Delete what is delivered, also the segment that is written to; whether there is more room now."""
        before = self._log.size_bytes
        with suppress(OSError):
            active = self._log.active
            self._fill()
            if active and active.has_records and not self._is_needed(active):
                self._log.leave_active()
            self.collect()
        return self._log.size_bytes < before

    def collect(self) -> None:
        """Delete what nobody needs, and what is too old; raises OSError."""
        self._fill()
        segments, active = self._log.segments, self._log.active
        spent = [segment for segment in segments.values() if segment is not active and not self._is_needed(segment)]
        if spent:
            self._note_all(spent[-1].last)
            failpoints.passed("wal.collect")
            for segment in spent:
                self._remove(segment)
            for subscriber in self._log.subscribers.values():
                if subscriber.journal.is_behind:  # there may be room for it now
                    with suppress(OSError):
                        subscriber.journal.sync()
        while segments and self.ages.is_too_old(first := next(iter(segments.values()))):
            if first is active or not self._drop(first, "age"):
                break
        readers = {s.next_sequence for s in self._log.subscribers.values()}
        for segment in segments.values():
            if segment is not active and not any(segment.first <= n <= segment.last + 1 for n in readers):
                segment.entries = None

    def count_dropped(self, record: Joined, reason: str) -> None:
        """Count for all who were to have it what is not written."""
        for subscriber in self._log.subscribers.values():
            if subscriber.state.signal == record.put.signal and record.slots >> subscriber.state.slot & 1:
                self._log.dropped[subscriber.state.name, reason] += record.put.items

    def _fill(self) -> None:
        for subscriber in self._log.subscribers.values():
            with suppress(OSError):  # who takes from there is told
                subscriber.fill()

    def _is_needed(self, segment: Segment) -> bool:
        return any(subscriber.needs(segment) for subscriber in self._log.subscribers.values())

    def _note_all(self, last: int) -> None:
        """Let the files of the subscribers say that all to `last` may go.

        One that cannot be written does not hold anything up: it would look for what is gone, and find nothing.
        """
        # What is deleted out of turn would be missed at the next start.
        is_out_of_turn = any(segment.is_aside and segment.last < last for segment in self._log.segments.values())
        for subscriber in self._log.subscribers.values():
            try:
                if is_out_of_turn:
                    subscriber.note_position()
                subscriber.journal.sync()
            except OSError as error:
                log.error("what was delivered could not be noted", subscriber=subscriber.state.name, error=str(error))

    def _drop(self, segment: Segment, reason: str) -> bool:
        """Delete a segment that somebody needs, and count what they lose; whether that was possible."""
        entries = None
        with suppress(OSError):
            entries = self._log.entries(segment)
        if not self._is_kept_elsewhere(segment):
            return False
        for subscriber in self._log.subscribers.values():
            if entries is None:
                log.error("what cannot be read is dropped", segment=segment.name, reason=reason)
            lost = subscriber.lose(entries) if entries is not None else subscriber.lose_unread(segment)
            if lost.items:
                self._log.dropped[subscriber.state.name, reason] += lost.items
                log.error("dropped from the log", subscriber=subscriber.state.name, items=lost.items, reason=reason)
        self._note_all(segment.last)
        if segment is self._log.active:
            self._log.leave_active()
        self._remove(segment)
        return True

    def _remove(self, segment: Segment) -> None:
        if not self._is_kept_elsewhere(segment):
            return
        with suppress(FileNotFoundError):
            self._log.files.remove(segment.name)
        del self._log.segments[segment.name]
        self._log.reserve.retry_soon()

    def _is_kept_elsewhere(self, segment: Segment) -> bool:
        """Whether what is damaged in a segment was copied, in the reserve if need be."""
        keep = self._log.quarantine.keep_damage
        return keep(segment) or (self._log.reserve.give_up() and keep(segment))
