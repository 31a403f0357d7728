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
from typing import Literal, NamedTuple

import structlog

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal import journal as journals
from airis.storage.wal import segment as segments
from airis.storage.wal.dead import DeadLetters
from airis.storage.wal.files import Files
from airis.storage.wal.format import Head, Kind, NotOurs, SegmentHeader, WrongVersion
from airis.storage.wal.journal import Journal, State
from airis.storage.wal.records import read as read_records
from airis.storage.wal.segment import Entry, Lane, Segment, Suspect, Writer
from airis.storage.wal.subscriber import Subscriber

log = structlog.get_logger("airis.wal")

MAX_SLOTS = 64
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_OVERHEAD_BYTES = 4096
"""More than the header of a segment and the record that ends one."""
QUARANTINE = "quarantine"
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


class Full(Exception):
    """There is no room for more; what was to be written is not."""


class Put(NamedTuple):
    """A batch for some subscribers."""

    lanes: frozenset[Lane]
    signal: int
    items: int
    requests: int
    wall_unix_nano: int
    batch_id: bytes
    meta: bytes
    payload: bytes


class Log:
    """See the module."""

    def __init__(
        self,
        files: Files,
        options: LogOptions = LogOptions(),
        clock: Callable[[], int] = time.time_ns,
        new_id: Callable[[], bytes] = lambda: os.urandom(16),
    ) -> None:
        """`clock` gives the wall time in nanoseconds. Nothing is read before `open`."""
        self.files = files
        self.options = options
        self.clock = clock
        self.log_id = b""
        self.segments: OrderedDict[str, Segment] = OrderedDict()
        self.subscribers: dict[str, Subscriber] = {}
        """By name; also those that nobody has asked for since the start."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        """Items by subscriber and reason: corrupt, disk_budget, age, crashes."""
        self.damaged_records = 0
        """Found since the start, and kept in quarantine."""
        self._new_id = new_id
        # A log of one segment could only be full or empty.
        self._segment_bytes = min(options.segment_bytes, options.max_bytes // 4 or options.segment_bytes)
        self._writer: Writer | None = None
        self._next = 0
        self._cached: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        """Payload, and the slots that have not read it."""
        self._cached_bytes = 0

    # Opening

    def open(self) -> None:
        """Find out what is there. Raises WrongVersion, and has changed nothing then; OSError."""
        failpoints.passed("wal.open")
        names = self.files.names()
        headers = self._headers(names)
        ids = Counter(header.log_id for header in headers.values() if header)
        self.log_id = ids.most_common(1)[0][0] if ids else self._new_id()
        self.dead = DeadLetters(self.files.inside(DEAD), self.log_id, self.clock)
        for name in names:
            if name.endswith(segments.SUFFIX):
                self._adopt(name, headers[name])
            elif name.endswith(".new"):
                self.files.remove(name)  # a file that was being written anew; the old one is there
        self._next = max([0, *(s.last + 1 for s in self.segments.values())])
        for name in names:
            if name.endswith(journals.SUFFIX):
                self._resume(name, headers[name])
        self._next = max([self._next, *(s.state.highest + 1 for s in self.subscribers.values())])
        self._tell_of_gaps()
        for subscriber in self.subscribers.values():
            subscriber.open()
        failpoints.passed("wal.opened")
        self.collect()

    def _headers(self, names: Sequence[str]) -> dict[str, SegmentHeader | None]:
        found: dict[str, SegmentHeader | None] = {}
        for name in names:
            if name.endswith((segments.SUFFIX, journals.SUFFIX)):
                try:
                    found[name] = SegmentHeader.unpack(self.files.read(name, 0, layout.SEGMENT_HEADER_BYTES))
                except WrongVersion as error:
                    raise WrongVersion(f"{name}: {error}") from error
                except NotOurs:
                    found[name] = None
        return found

    def _adopt(self, name: str, header: SegmentHeader | None) -> None:
        first = header.first_sequence if header else segments.first_of(name)
        size = self.files.size(name)
        if first is None or size <= layout.SEGMENT_HEADER_BYTES or (header and header.log_id != self.log_id):
            if size > layout.SEGMENT_HEADER_BYTES:
                self._quarantine_file(name)
            else:
                self.files.remove(name)  # begun, and nothing written
            return
        segment = Segment(name, first, first - 1, size=size)
        self.segments[name] = segment
        summary = segments.end_of(self.files, self.log_id, name) if header else None
        if summary is not None:
            with suppress(ValueError, KeyError, TypeError):
                segment.take_summary(summary)
                segment.is_complete = True
        if not segment.is_complete:
            self._complete_after_a_crash(segment)

    def _complete_after_a_crash(self, segment: Segment) -> None:
        failpoints.passed("wal.complete")
        scanned = self._scan(segment)
        if scanned.torn_from is not None:
            self._quarantine(segment.name, scanned.torn_from, segment.size, "torn")
        file = self.files.reopen(segment.name)
        try:
            if scanned.torn_from is not None:
                file.truncate(scanned.torn_from)
            Writer(self.files, self.log_id, segment, file).complete()
        except (OSError, Suspect) as error:  # a full disk: it is read again next time
            log.warning("a segment could not be completed", segment=segment.name, error=str(error))
            file.close()

    def _resume(self, name: str, header: SegmentHeader | None) -> None:
        try:
            if header is None or header.log_id != self.log_id:
                raise NotOurs("it is of another log" if header else "its header is damaged")
            journal = Journal.open(self.files, self.log_id, name)
        except NotOurs as error:
            self._quarantine_file(name)
            about = journals.parse_name(name)
            if about is None:
                return
            # Rather twice than never.
            log.error("a subscriber's file is damaged; it is given all there is again", file=name, error=str(error))
            signal, slot, subscriber = about
            journal = Journal.create(self.files, self.log_id, State(subscriber, signal, slot, 0))
        self.subscribers[journal.state.name] = Subscriber(self, journal)

    def _tell_of_gaps(self) -> None:
        expected: int | None = None
        for segment in self.segments.values():
            if expected is not None and segment.first > expected:
                log.error("records of the log are missing", first=expected, last=segment.first - 1)
            expected = max(segment.last + 1, segment.first)

    # Subscribers

    def subscriber(self, name: str, signal: int) -> Subscriber:
        """The subscriber with this name, which goes on where it was; a new one begins with what is put from now on.

        Raises ValueError where there are too many, OSError.
        """
        known = self.subscribers.get(name)
        if known is not None:
            return known
        used = {s.state.slot for s in self.subscribers.values() if s.state.signal == signal}
        # A slot of one that is gone is not used again while its records are there: they are not for this one.
        used |= {lane.slot for s in self.segments.values() for lane in s.amounts if lane.signal == signal}
        free = next((slot for slot in range(MAX_SLOTS) if slot not in used), None)
        if free is None:
            raise ValueError(f"a log has {MAX_SLOTS} subscribers of a signal at most")
        state = State(name, signal, free, self._next)
        subscriber = Subscriber(self, Journal.create(self.files, self.log_id, state))
        self.subscribers[name] = subscriber
        subscriber.open()
        return subscriber

    def forget(self, name: str) -> None:
        """Drop a subscriber and all that it has not delivered."""
        subscriber = self.subscribers.pop(name)
        subscriber.close()
        self.files.remove(subscriber.journal.file_name)
        self.files.sync()
        self.collect()

    # Writing

    def put(self, puts: Sequence[Put]) -> list[Exception | None]:
        """Write batches; those without an exception survive on return whatever `fsync` promises.

        Exceptions are Full, OSError, and ValueError for one that is too large for a record; they tell that a batch was
        not written.
        """
        outcomes: list[Exception | None] = [None] * len(puts)
        wanted: list[tuple[Put, int, list[int]]] = []
        latest: dict[tuple[int, bytes, bytes], int] = {}
        for place, put in enumerate(puts):
            key = (put.signal, put.batch_id, put.meta)
            slots = sum(1 << lane.slot for lane in put.lanes)
            same = latest.get(key)
            if same is not None and not wanted[same][1] & slots:
                wanted[same] = (put, slots | wanted[same][1], [*wanted[same][2], place])
            else:  # one who puts it twice is given it twice, as were two pipelines in the Collector
                latest[key] = len(wanted)
                wanted.append((put, slots, [place]))
        group: list[tuple[Put, int, list[int]]] = []
        size = 0
        for each in wanted:
            content_bytes = len(each[0].meta) + len(each[0].payload)
            size_bytes = layout.HEAD_BYTES + content_bytes
            if content_bytes > layout.MAX_CONTENT_BYTES:
                for place in each[2]:
                    outcomes[place] = ValueError(f"{content_bytes} bytes; {layout.MAX_CONTENT_BYTES} are the most")
                continue
            if not self._has_room(size + size_bytes):
                if self.options.policy == "drop_newest":
                    self._count_dropped(each[0].signal, each[1], each[0].items, "disk_budget")
                    continue
                for place in each[2]:
                    outcomes[place] = Full(f"the log has its {self.options.max_bytes} bytes")
                continue
            size += size_bytes
            group.append(each)
        if group:
            error = self._write(group)
            if isinstance(error, OSError) and error.errno in _NO_ROOM and self._let_go():
                error = self._write(group)
            for _, _, places in group if error else ():
                for place in places:
                    outcomes[place] = error
        return outcomes

    def _write(self, group: Sequence[tuple[Put, int, list[int]]]) -> Exception | None:
        now = self.clock()
        records = [
            (
                Head(
                    self._next + i,
                    Kind.BATCH,
                    0,
                    put.signal,
                    put.items,
                    put.requests,
                    put.wall_unix_nano or now,
                    put.batch_id,
                    slots,
                ),
                put.meta,
                put.payload,
            )
            for i, (put, slots, _) in enumerate(group)
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
        for (put, slots, _), entry in zip(group, entries, strict=True):
            self._cache(entry.head.sequence, put.payload, slots)
            for subscriber in self.subscribers.values():
                if subscriber.reads(entry.head):
                    subscriber.owed.add(entry.head.items, entry.size_bytes)
        return None

    def _writer_for(self, size: int, now: int) -> Writer:
        writer = self._writer
        if writer and writer.segment.size + size > self._segment_bytes and writer.segment.has_records:
            with suppress(OSError, Suspect):  # it is completed at the next start
                writer.complete()
            writer.close()
            writer = self._writer = None
        if writer is None:
            failpoints.passed("wal.rotate")
            writer = self._writer = Writer.create(self.files, self.log_id, self._next, now)
            self.segments[writer.segment.name] = writer.segment
        return writer

    def _abandon(self, error: Suspect) -> None:
        """Write to another file from now on. What was noted in this one is there: it was synced before."""
        assert self._writer is not None
        segment = self._writer.segment
        log.error("the disk did not keep what was written", segment=segment.name, error=str(error))
        self._writer.close()
        self._writer = None
        if not segment.has_records:
            del self.segments[segment.name]

    def _has_room(self, size: int) -> bool:
        if not self.options.max_bytes:
            return True
        while self.size_bytes + size + _OVERHEAD_BYTES > self.options.max_bytes:
            if self._let_go():
                continue
            fits = size + _OVERHEAD_BYTES <= self.options.max_bytes
            if self.options.policy != "drop_oldest" or not fits or not self.segments:
                return False
            self._drop(next(iter(self.segments.values())), "disk_budget")
        return True

    def _let_go(self) -> bool:
        """Delete what is delivered, also the segment that is written to; whether there is more room now."""
        before = self.size_bytes
        with suppress(OSError):
            for subscriber in self.subscribers.values():
                subscriber.fill()
            writer, floors = self._writer, [s.floor for s in self.subscribers.values()]
            if writer and writer.segment.has_records and all(floor > writer.segment.last for floor in floors):
                writer.close()
                self._writer = None
            self.collect()
        return self.size_bytes < before

    # Reading

    def entries(self, segment: Segment) -> list[Entry]:
        """All records of a segment in order of their sequence; raises OSError."""
        if segment.entries is None:
            last = segment.last
            scanned = self._scan(segment)
            if segment.last > last:  # of a write that failed: nobody was told that it is there
                segment.entries = [entry for entry in scanned.entries if entry.head.sequence <= last]
                segment.last = last
        assert segment.entries is not None
        return segment.entries

    def _scan(self, segment: Segment) -> segments.Scanned:
        scanned = segments.scan(self.files, self.log_id, segment.name)
        segment.entries = scanned.entries
        if not segment.is_complete:
            segment.amounts.clear()
            for entry in scanned.entries:
                segment.note(entry)
        damaged = [(found.offset, found.end) for found in scanned.damage]
        damaged += [(entry.offset, entry.end) for entry in scanned.entries if not entry.is_whole]
        for start, end in damaged:
            self._quarantine(segment.name, start, end, "damaged")
        return scanned

    def payload(self, entry: Entry, slot: int) -> bytes | None:
        """The payload of a record, None where it is damaged; raises OSError."""
        cached = self._cached.get(entry.head.sequence)
        if cached is not None:
            payload, slots = cached
            slots &= ~(1 << slot)
            if slots:
                self._cached[entry.head.sequence] = (payload, slots)
            else:
                del self._cached[entry.head.sequence]
                self._cached_bytes -= len(payload)
            return payload
        data = self.files.read(entry.segment, entry.offset, entry.size_bytes) if entry.is_whole else b""
        found = next(read_records(self.log_id, data), None)
        if found is not None and found.is_whole and found.head == entry.head:
            return found.payload
        if entry.is_whole:  # or that was done when it was found
            self._quarantine(entry.segment, entry.offset, entry.end, "damaged")
        return None

    def _cache(self, sequence: int, payload: bytes, slots: int) -> None:
        self._cached[sequence] = (payload, slots)
        self._cached_bytes += len(payload)
        while self._cached_bytes > self.options.cache_bytes:
            _, (gone, _) = self._cached.popitem(last=False)
            self._cached_bytes -= len(gone)

    # Room

    @property
    def size_bytes(self) -> int:
        """Of all segments."""
        return sum(segment.size for segment in self.segments.values())

    @property
    def next_sequence(self) -> int:
        """Of the record that is written next."""
        return self._next

    def collect(self) -> None:
        """Delete what nobody needs, and what is too old."""
        for subscriber in self.subscribers.values():
            subscriber.fill()
        floor = min([s.floor for s in self.subscribers.values()], default=self._next)
        spent: list[Segment] = []
        for segment in self.segments.values():
            if segment.last >= floor or segment is self._active:
                break
            spent.append(segment)
        if spent:
            # A subscriber whose file says less than this would look for what is gone.
            for subscriber in self.subscribers.values():
                subscriber.journal.sync()
            failpoints.passed("wal.collect")
            for segment in spent:
                self._remove(segment)
        if self.options.max_age_s:
            oldest = self.clock() - int(self.options.max_age_s * 1e9)
            while self.segments and (first := next(iter(self.segments.values()))).newest_unix_nano < oldest:
                if first is self._active:
                    break
                self._drop(first, "age")
        readers = {s.next_sequence for s in self.subscribers.values()}
        for segment in self.segments.values():
            if segment is not self._active and not any(segment.first <= n <= segment.last + 1 for n in readers):
                segment.entries = None

    @property
    def _active(self) -> Segment | None:
        return self._writer.segment if self._writer else None

    def _drop(self, segment: Segment, reason: str) -> None:
        """Delete a segment that somebody needs, and count what they lose."""
        entries = self.entries(segment)
        for subscriber in self.subscribers.values():
            lost = subscriber.lose(entries)
            if lost.items:
                self.dropped[subscriber.state.name, reason] += lost.items
                log.error("dropped from the log", subscriber=subscriber.state.name, items=lost.items, reason=reason)
            subscriber.journal.sync()
        if self._writer is not None and segment is self._active:
            self._writer.close()
            self._writer = None
        self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        del self.segments[segment.name]
        with suppress(FileNotFoundError):
            self.files.remove(segment.name)

    def _count_dropped(self, signal: int, slots: int, items: int, reason: str) -> None:
        for subscriber in self.subscribers.values():
            if subscriber.state.signal == signal and slots >> subscriber.state.slot & 1:
                self.dropped[subscriber.state.name, reason] += items

    # What cannot be read

    def _quarantine(self, name: str, start: int, end: int, why: str) -> None:
        """Keep a copy of bytes that are no record; where that cannot be done, they stay where they are."""
        data = self.files.read(name, start, end - start)
        copy = f"{name}.{start}.{why}"
        if not any(data):  # room that was only reserved, or that a file system lost
            if why != "torn":
                self.damaged_records += 1
                log.error("the log is damaged: nothing but zeros", segment=name, offset=start, size_bytes=end - start)
            return
        self.damaged_records += 1
        log.error(
            "the log is damaged; the bytes are kept", segment=name, offset=start, size_bytes=end - start, copy=copy
        )
        folder = self.files.inside(QUARANTINE)
        if copy in folder.names():
            return
        file = folder.create(copy)
        try:
            file.append([data])
            file.sync()
            folder.sync()
        finally:
            file.close()

    def _quarantine_file(self, name: str) -> None:
        self._quarantine(name, 0, self.files.size(name), "unreadable")
        self.files.remove(name)

    def close(self) -> None:
        """Complete the segment that is open, and let go of all files."""
        if self._writer is not None:
            with suppress(OSError, Suspect):
                if self._writer.segment.has_records:
                    self._writer.complete()
            self._writer.close()
            self._writer = None
        for subscriber in self.subscribers.values():
            with suppress(OSError):
                subscriber.journal.sync()
            subscriber.close()
