"""The write-ahead log: what was accepted and is not delivered everywhere, in files that survive a loss of power.

One log has many subscribers. A batch is written once for all who are to have it; each of them takes batches in
groups, says when a group is settled, and segments that nobody needs any more are deleted whole. All of this is meant
for one thread at a time; `airis.storage.wal.service` gives coroutines a thread for it.
"""

import errno
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal import segment as segments
from airis.storage.wal.cache import PayloadCache
from airis.storage.wal.dead import DeadLetters
from airis.storage.wal.files import Files
from airis.storage.wal.opening import Opening, headers_of, log_id_of
from airis.storage.wal.put import Full, Joined, Put, joined
from airis.storage.wal.quarantine import QUARANTINE, Quarantine
from airis.storage.wal.records import read as read_records
from airis.storage.wal.reserve import Reserve, is_no_room
from airis.storage.wal.room import Room
from airis.storage.wal.segment import Entry, Scanned, Segment, Suspect, Writer
from airis.storage.wal.subscriber import Subscriber
from airis.storage.wal.subscribers import MAX_SLOTS, Subscribers

__all__ = ["DEAD", "MAX_SLOTS", "QUARANTINE", "Full", "Log", "LogOptions", "Put"]

log = structlog.get_logger("airis.wal")

_MOST_PAUSE_S = 60
"""At most so long is waited until a segment that could not be read is read again."""
DEAD = "dead"

Policy = Literal["block", "drop_oldest", "drop_newest"]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How large the log may become, and how careful it is."""

    segment_bytes: int = 64 * 1024 * 1024
    max_bytes: int = 0
    """Of all segments together, 0 for no limit but the disk's."""
    max_age_s: float = 0.0
    """How old what is kept may be, 0 for no limit."""
    policy: Policy = "block"
    """What is done at a limit of bytes: refuse, drop the oldest segment, or drop what comes."""
    fsync: bool = True
    """Off: what was accepted survives the end of the process, not a loss of power."""
    cache_bytes: int = 64 * 1024 * 1024
    """Payloads kept in memory for subscribers that keep up."""
    reserve_bytes: int = 1024 * 1024
    """Of the disk, kept for noting deliveries when there is no other room."""


class Log:
    """See the module."""

    def __init__(
        self,
        files: Files,
        options: LogOptions = LogOptions(),
        clock: Callable[[], int] = time.time_ns,
        new_id: Callable[[], bytes] = lambda: os.urandom(16),
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """`clock` gives the wall time, `monotonic` the other, in nanoseconds. Nothing is read before `open`."""
        self.files = files
        self.options = options
        self.clock = clock
        self.log_id = b""
        self.segments: OrderedDict[str, Segment] = OrderedDict()
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Items by subscriber and reason: corrupt, disk_budget, age, crashes, forgotten."""
        self.quarantine = Quarantine(files)
        self.reserve = Reserve(files, options.reserve_bytes)
        self.monotonic = monotonic
        self._new_id = new_id
        # A log of one segment could only be full or empty.
        self._segment_bytes = min(options.segment_bytes, options.max_bytes // 4 or options.segment_bytes)
        self._writer: Writer | None = None
        self._next = 0
        self._cache = PayloadCache(options.cache_bytes)
        self._all = Subscribers(self)
        self._room = Room(self)

    # Opening and closing

    def open(self) -> None:
        """Find out what is there. Raises WrongVersion, and has changed nothing then; OSError."""
        failpoints.passed("wal.open")
        headers = headers_of(self.files)
        self.log_id = log_id_of(headers) or self._new_id()
        self.dead = DeadLetters(self.files.inside(DEAD), self.log_id, self.clock)
        for name in self.files.names():
            if name.endswith(".new"):
                self.files.remove(name)  # a file that was being written anew; the old one is there
        for segment in Opening(self.files, self.log_id, self.quarantine, self._scan).segments(headers):
            self._room.ages.found(segment)
            self.segments[segment.name] = segment
        self._next = max([0, *(s.last + 1 for s in self.segments.values())])
        self._all.resume(headers)
        self._next = max([self._next, *(s.state.highest + 1 for s in self.subscribers.values())])
        self._tell_of_gaps()
        self._all.open()
        failpoints.passed("wal.opened")
        self.collect()
        self.reserve.hold(self.monotonic())

    def _tell_of_gaps(self) -> None:
        expected: int | None = None
        for segment in self.segments.values():
            if expected is not None and segment.first > expected:
                last = segment.first - 1
                # One that was delivered may be deleted before one that cannot be read.
                if any(
                    s.state.next <= last or s.state.outstanding & {expected, last} for s in self.subscribers.values()
                ):
                    log.error("records of the log are missing", first=expected, last=last)
            expected = max(segment.last + 1, segment.first)

    def close(self) -> None:
        """Complete the segment that is open, and let go of all files."""
        if self._writer is not None:
            with suppress(OSError, Suspect):
                if self._writer.segment.has_records:
                    self._writer.complete()
            self.leave_active()
        for subscriber in self.subscribers.values():
            with suppress(OSError):
                subscriber.journal.end()
            subscriber.close()

    # Subscribers

    @property
    def subscribers(self) -> dict[str, Subscriber]:
        """By name; also those that nobody has asked for since the start."""
        return self._all.by_name

    def subscriber(self, name: str, signal: int) -> Subscriber:
        """The subscriber with this name, which goes on where it was; a new one begins with what is put from now on.

        Raises ValueError where there are too many or the name is too long, OSError.
        """
        return self._all.get(name, signal)

    def forget(self, name: str) -> int:
        """Drop a subscriber and all that it has not delivered, and give the items of that; raises KeyError, OSError."""
        items = self._all.forget(name)
        self.collect()
        return items

    def collect(self) -> None:
        """Delete what nobody needs, and what is too old; raises OSError."""
        self._room.collect()

    # Writing

    def put(self, puts: Sequence[Put]) -> list[Exception | None]:
        """Write batches; those without an exception survive on return whatever `fsync` promises.

        Exceptions are Full, OSError, and ValueError for one that is too large for a record; they tell that a batch was
        not written.
        """
        outcomes: list[Exception | None] = [None] * len(puts)

        def refuse(records: Sequence[Joined], error: Exception) -> None:
            for record in records:
                for place in record.places:
                    outcomes[place] = error

        group: list[Joined] = []
        size = 0
        for record in joined(puts):
            content_bytes = record.put.content_bytes
            if content_bytes > layout.MAX_CONTENT_BYTES:
                refuse([record], ValueError(f"{content_bytes} bytes; {layout.MAX_CONTENT_BYTES} are the most"))
            elif self._room.is_there(size + record.size_bytes):
                size += record.size_bytes
                group.append(record)
            elif self.options.policy == "drop_newest":
                self._room.count_dropped(record, "disk_budget")
            else:
                refuse([record], Full(f"the log has its {self.options.max_bytes} bytes"))
        if group:
            error = self._write(group)
            if is_no_room(error) and self._room.let_go():
                error = self._write(group)
            if error:
                refuse(group, error)
        return outcomes

    def _write(self, group: Sequence[Joined]) -> Exception | None:
        if not self.reserve.hold(self.monotonic()):
            return OSError(errno.ENOSPC, "the disk is full, and what is left of it is for what is delivered")
        now = self.clock()
        records = [
            (record.head(self._next + i, now), record.put.meta, record.put.payload) for i, record in enumerate(group)
        ]
        try:
            writer = self._writer_for(sum(len(payload) for _, _, payload in records), now)
            entries = writer.append(records, sync=self.options.fsync)
        except OSError as error:
            return error
        except Suspect as error:
            self._abandon(error)
            self._next += len(records)  # they may be there all the same
            return OSError(str(error))
        except ValueError as error:
            return error
        self._next += len(records)
        writer.note(entries)
        self._room.ages.grew(writer.segment)
        for record, entry in zip(group, entries, strict=True):
            self._cache.add(entry.head.sequence, record.put.payload, record.slots)
            for subscriber in self.subscribers.values():
                if subscriber.reads(entry.head):
                    subscriber.owed.add(entry.head.items, entry.size_bytes)
        return None

    def _writer_for(self, size: int, now: int) -> Writer:
        writer = self._writer
        if writer and writer.segment.size + size > self._segment_bytes and writer.segment.has_records:
            with suppress(OSError, Suspect):  # it is completed at the next start
                writer.complete()
            self.leave_active()
        writer = self._writer
        if writer is None:
            failpoints.passed("wal.rotate")
            writer = self._writer = Writer.create(self.files, self.log_id, self._next, now)
            self.segments[writer.segment.name] = writer.segment
        return writer

    @property
    def active(self) -> Segment | None:
        """The segment that is written to."""
        return self._writer.segment if self._writer else None

    def leave_active(self) -> None:
        """Write to another segment from now on."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _abandon(self, error: Suspect) -> None:
        """Write to another file from now on. What was noted in this one is there: it was synced before."""
        assert self._writer is not None
        segment = self._writer.segment
        log.error("the disk did not keep what was written", segment=segment.name, error=str(error))
        self.leave_active()
        if not segment.has_records:
            del self.segments[segment.name]

    # Reading

    def entries(self, segment: Segment) -> list[Entry]:
        """All records of a segment in order of their sequence; raises OSError.

        One that could not be read is left alone for a while before it is tried again.
        """
        if segment.entries is not None:
            return segment.entries
        now = self.monotonic()
        if segment.failures and now < segment.next_try_nano:
            raise OSError(errno.EIO, f"{segment.name} cannot be read")
        last = segment.last
        try:
            scanned = self._scan(segment)
        except OSError as error:
            segment.failures += 1
            segment.next_try_nano = now + min(_MOST_PAUSE_S, 2 ** min(segment.failures, 8) // 2) * 1_000_000_000
            if segment.failures == segments.READ_TRIES:
                log.error("a segment cannot be read and is set aside", segment=segment.name, error=str(error))
            raise
        if segment.failures >= segments.READ_TRIES:
            log.warning("a segment that was set aside can be read again", segment=segment.name)
        segment.failures = 0
        if segment.last > last:  # of a write that failed: nobody was told that it is there
            segment.entries = [entry for entry in scanned.entries if entry.head.sequence <= last]
            segment.last = last
        assert segment.entries is not None
        return segment.entries

    def _scan(self, segment: Segment) -> Scanned:
        scanned = segments.scan(self.files, self.log_id, segment.name)
        segment.entries = scanned.entries
        if not segment.is_complete:
            segment.count_anew(scanned.entries)
        damaged = [(found.offset, found.end) for found in scanned.damage]
        damaged += [(entry.offset, entry.end) for entry in scanned.entries if not entry.is_whole]
        segment.damage.update(dict.fromkeys(damaged, "damaged"))
        self.quarantine.keep_damage(segment)
        return scanned

    def payload(self, entry: Entry, slot: int) -> bytes | None:
        """The payload of a record, None where it is damaged; raises OSError."""
        cached = self._cache.read(entry.head.sequence, slot)
        if cached is not None:
            return cached
        data = self.files.read(entry.segment, entry.offset, entry.size_bytes) if entry.is_whole else b""
        found = next(read_records(self.log_id, data), None)
        if found is not None and found.is_whole and found.head == entry.head:
            return found.payload
        if entry.is_whole:  # or that was done when it was found
            segment = self.segments[entry.segment]
            segment.damage[entry.offset, entry.end] = "damaged"
            self.quarantine.keep_damage(segment)
        return None

    # What it is like

    @property
    def size_bytes(self) -> int:
        """Of all segments."""
        return sum(segment.size for segment in list(self.segments.values()))

    @property
    def next_sequence(self) -> int:
        """Of the record that is written next."""
        return self._next

    @property
    def damaged_records(self) -> int:
        """Found since the start, and kept in quarantine."""
        return self.quarantine.found

    @property
    def unreadable(self) -> list[Segment]:
        """Segments that the disk does not give, which are set aside."""
        return [segment for segment in list(self.segments.values()) if segment.is_aside]
