"""Segments: files of records that are appended to, completed, read, and deleted as a whole."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from airis.component import failpoints
from airis.storage.wal import format as layout
from airis.storage.wal.files import File, Files
from airis.storage.wal.format import Found, Head, Kind, SegmentHeader
from airis.storage.wal.records import frame as frame_record
from airis.storage.wal.records import read as read_records

SUFFIX = ".wal"
_END_WITHIN_BYTES = 64 * 1024
"""The record that ends a segment is no longer than this."""
READ_TRIES = 3
"""A segment that could not be read so often is set aside: what stands behind it goes first."""


class Lane(NamedTuple):
    """What a subscriber reads: records of one signal with one bit set."""

    signal: int
    slot: int


@dataclass(slots=True)
class Amount:
    """How much of something there is."""

    batches: int = 0
    items: int = 0
    size_bytes: int = 0

    def add(self, items: int, size_bytes: int, batches: int = 1) -> None:
        """Count more; negative numbers count less."""
        self.batches += batches
        self.items += items
        self.size_bytes += size_bytes


class Entry(NamedTuple):
    """Where a record stands and what it is."""

    segment: str
    offset: int
    end: int
    head: Head
    meta: bytes
    is_whole: bool

    @property
    def size_bytes(self) -> int:
        """Of the record with its head."""
        return self.end - self.offset


def lanes_of(head: Head) -> list[Lane]:
    """Who is to read a record."""
    slots = head.slots
    return [Lane(head.signal, slot) for slot in range(slots.bit_length()) if slots >> slot & 1]


@dataclass(slots=True)
class Segment:
    """What is known of one file; `entries` only while somebody reads there."""

    name: str
    first: int
    last: int = -1
    """Sequence of the last record, before `first` while there is none."""
    size: int = layout.SEGMENT_HEADER_BYTES
    oldest_unix_nano: int = 0
    newest_unix_nano: int = 0
    newest_nano: int = 0
    """When the newest came, as the monotonic clock has it: see `Ages`."""
    amounts: dict[Lane, Amount] = field(default_factory=dict[Lane, Amount])
    totals: dict[int, Amount] = field(default_factory=dict[int, Amount])
    """By signal, each record once."""
    entries: list[Entry] | None = None
    is_complete: bool = False
    damage: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    """What is no record, from and to, and why it is none: it was not possible to keep a copy of it yet."""
    failures: int = 0
    """How often it could not be read, one time after the other."""
    next_try_nano: int = 0
    """On the monotonic clock: when that is tried again."""

    @property
    def is_aside(self) -> bool:
        """Whether it could not be read so often that nothing waits for it any more."""
        return self.failures >= READ_TRIES

    @property
    def has_records(self) -> bool:
        """Whether there is anything in it."""
        return self.last >= self.first

    def note(self, entry: Entry) -> None:
        """Count a record."""
        head = entry.head
        self.last = max(self.last, head.sequence)
        self.oldest_unix_nano = min(self.oldest_unix_nano or head.wall_unix_nano, head.wall_unix_nano)
        self.newest_unix_nano = max(self.newest_unix_nano, head.wall_unix_nano)
        self.totals.setdefault(head.signal, Amount()).add(head.items, entry.size_bytes)
        for lane in lanes_of(head):
            self.amounts.setdefault(lane, Amount()).add(head.items, entry.size_bytes)

    def count_anew(self, entries: Iterable[Entry]) -> None:
        """Forget what was counted, and count these."""
        self.amounts.clear()
        self.totals.clear()
        for entry in entries:
            self.note(entry)

    def summary(self) -> bytes:
        """What the record that ends the segment says."""
        amounts = [[*lane, a.batches, a.items, a.size_bytes] for lane, a in self.amounts.items()]
        totals = [[signal, a.batches, a.items, a.size_bytes] for signal, a in self.totals.items()]
        content = {
            "last": self.last,
            "oldest_unix_nano": self.oldest_unix_nano,
            "newest_unix_nano": self.newest_unix_nano,
            "amounts": amounts,
            "totals": totals,
        }
        return json.dumps(content, separators=(",", ":")).encode()

    def take_summary(self, meta: bytes) -> None:
        """The opposite; raises ValueError or the like for something else."""
        content = json.loads(meta)
        self.last, self.newest_unix_nano = int(content["last"]), int(content["newest_unix_nano"])
        self.amounts = {
            Lane(signal, slot): Amount(batches, items, size)
            for signal, slot, batches, items, size in content["amounts"]
        }
        self.oldest_unix_nano = int(content.get("oldest_unix_nano", 0))
        self.totals = {signal: Amount(*amounts) for signal, *amounts in content.get("totals", ())}


def name_of(first_sequence: int) -> str:
    """The name of the segment that begins with this sequence."""
    return f"{first_sequence:020d}{SUFFIX}"


def first_of(name: str) -> int | None:
    """The opposite; None for a name that is none of ours."""
    stem = name.removesuffix(SUFFIX)
    return int(stem) if name.endswith(SUFFIX) and len(stem) == 20 and stem.isdecimal() else None


class Writer:
    """Appends to one segment."""

    def __init__(self, files: Files, log_id: bytes, segment: Segment, file: File) -> None:
        self.segment = segment
        self._log_id = log_id
        self._files = files
        self._file = file

    @classmethod
    def create(cls, files: Files, log_id: bytes, first_sequence: int, now_unix_nano: int) -> "Writer":
        """Begin a new file; its name survives a loss of power on return. Raises OSError, and nothing is in it then."""
        segment = Segment(name_of(first_sequence), first_sequence, first_sequence - 1, entries=[])
        try:
            file = files.create(segment.name)
        except FileExistsError:
            if files.size(segment.name) > layout.SEGMENT_HEADER_BYTES:
                raise
            files.remove(segment.name)  # begun, and neither used nor deleted: the disk did not let us
            file = files.create(segment.name)
        try:
            file.append([SegmentHeader(log_id, first_sequence, now_unix_nano).pack()])
            file.sync()
            files.sync()
        except OSError:
            file.close()
            with suppress(OSError):
                files.remove(segment.name)
            raise
        return cls(files, log_id, segment, file)

    def append(self, records: Sequence[tuple[Head, bytes, bytes]], *, sync: bool) -> list[Entry]:
        """Write heads with meta and payload; all are there on return, or none and OSError is raised.

        After Suspect nobody knows what is there: the file must not be written to any more.
        """
        before = at = self._file.size
        parts: list[bytes] = []
        entries: list[Entry] = []
        for head, meta, payload in records:
            framed = frame_record(self._log_id, head, meta, payload)
            parts += (framed, payload)
            end = at + len(framed) + len(payload)
            entries.append(Entry(self.segment.name, at, end, head, meta, is_whole=True))
            at = end
        try:
            failpoints.passed("wal.write")
            self._file.append(parts)
        except OSError as error:
            try:
                self._file.truncate(before)
            except OSError as again:
                raise Suspect(str(again)) from again
            raise error
        failpoints.passed("wal.written")
        if sync:
            self.sync()
        failpoints.passed("wal.synced")
        return entries

    def sync(self) -> None:
        """Return when what was appended survives a loss of power; raises Suspect."""
        try:
            failpoints.passed("wal.sync")
            self._file.sync()
        except OSError as error:
            # The system may have thrown away what it could not write, and would say that all is well next time.
            raise Suspect(str(error)) from error

    def note(self, entries: Iterable[Entry]) -> None:
        """What was appended is from now on a part of the segment."""
        for entry in entries:
            self.segment.note(entry)
            if self.segment.entries is not None:
                self.segment.entries.append(entry)
        self.segment.size = self._file.size

    def complete(self) -> None:
        """End the segment, so that it can be counted without being read; raises OSError, which loses nothing."""
        segment = self.segment
        end = (Head(max(segment.last, 0), Kind.END), segment.summary(), b"")
        self.append([end], sync=True)
        segment.size = self._file.size
        segment.is_complete = True
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Suspect(Exception):
    """Nobody knows what a file holds."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a file holds."""

    entries: list[Entry]
    damage: list[Found]
    """What is no record; of those with a head the sequence was meant to be there."""
    torn_from: int | None
    """Where an end begins that was not wholly written, None for none."""


def scan(files: Files, log_id: bytes, name: str) -> Scanned:
    """Read a whole segment, its payloads checked and left out."""
    data = files.read(name)
    found = list(read_records(log_id, data, layout.SEGMENT_HEADER_BYTES, payloads=False))
    torn_from: int | None = None
    if found and not found[-1].is_whole:
        torn_from = found.pop().offset
    entries: dict[int, Entry] = {}
    damage: list[Found] = []
    for each in found:
        if each.head is None:
            damage.append(each)
        elif each.head.kind == Kind.BATCH:
            entry = Entry(name, each.offset, each.end, each.head, each.meta, each.is_whole)
            entries.setdefault(each.head.sequence, entry)
    return Scanned([entries[sequence] for sequence in sorted(entries)], damage, torn_from)


def end_of(files: Files, log_id: bytes, name: str) -> bytes | None:
    """What the record says that ends the segment; None for a segment that was not completed."""
    size = files.size(name)
    data = files.read(name, max(0, size - _END_WITHIN_BYTES))
    at = data.rfind(layout.MARKER)
    while at >= 0:
        last = next(read_records(log_id, data, at))
        if last.is_whole and last.end == len(data) and last.head and last.head.kind == Kind.END:
            return last.meta
        at = data.rfind(layout.MARKER, 0, at)
    return None
