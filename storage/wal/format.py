"""What stands in the files of the log, byte for byte; docs/wal.md has the same for people.

A segment is a header and records behind one another; all numbers are little-endian. Two checksums (CRC-32C) say of
every record whether its head and its content are whole. They begin with the log's id, which no sender of telemetry
knows, so that nothing in a payload can pass for a record. What is damaged costs itself alone: the next record is
found by its marker.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import google_crc32c

SEGMENT_MAGIC = b"airiswal"
VERSION = 1
MARKER = b"\xa1riR"
MAX_CONTENT_BYTES = 1 << 30
"""Longest meta and payload of a record."""

_SEGMENT = struct.Struct("<8sHHI16sQq16x")
"""Magic, version, size of the header, checksum of what follows it, log id, first sequence, wall clock."""
_HEAD = struct.Struct("<IIIQBBBxIIq16sQ8x")
"""Checksum of the content, its size, size of the meta in it, sequence, kind, codec, signal, items, requests, wall
clock, batch id, slots."""
_CHECKED_FROM = 8
"""Marker and checksum of the head stand before."""
SEGMENT_HEADER_BYTES = _SEGMENT.size
HEAD_BYTES = _CHECKED_FROM + _HEAD.size


class Kind(IntEnum):
    """What a record is."""

    BATCH = 1
    """A batch, for the subscribers in `slots`."""
    END = 2
    """The last one of a segment that was completed; its `meta` sums the segment up."""
    ENTRY = 3
    """In a journal: what a subscriber did."""


class WrongVersion(Exception):
    """A file of another version of the format, which must not be touched."""


class NotOurs(Exception):
    """A file that does not begin as one of ours."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The beginning of a file."""

    log_id: bytes
    """16 bytes, the same for all files of a log."""
    first_sequence: int
    created_unix_nano: int

    def pack(self) -> bytes:
        """As bytes."""
        rest = _SEGMENT.pack(b"", 0, 0, 0, self.log_id, self.first_sequence, self.created_unix_nano)[16:]
        return struct.pack("<8sHHI", SEGMENT_MAGIC, VERSION, SEGMENT_HEADER_BYTES, _checksum(rest)) + rest

    @classmethod
    def unpack(cls, data: bytes) -> "SegmentHeader":
        """From the beginning of a file; raises WrongVersion or NotOurs."""
        if len(data) < SEGMENT_HEADER_BYTES or not data.startswith(SEGMENT_MAGIC):
            raise NotOurs("it does not begin as a file of the log")
        _, version, size, checksum, log_id, first, created = _SEGMENT.unpack_from(data)
        if version != VERSION:
            raise WrongVersion(f"version {version} of the format; this airis knows version {VERSION}")
        if size != SEGMENT_HEADER_BYTES or checksum != _checksum(data[16:SEGMENT_HEADER_BYTES]):
            raise NotOurs("its header is damaged")
        return cls(log_id, first, created)


class Head(NamedTuple):
    """All of a record but its content."""

    sequence: int
    kind: int
    codec: int = 0
    signal: int = 0
    items: int = 0
    requests: int = 0
    wall_unix_nano: int = 0
    batch_id: bytes = bytes(16)
    slots: int = 0
    """A bit for each subscriber."""


class Found(NamedTuple):
    """What stands at a place: a record, or what is left of one."""

    offset: int
    end: int
    head: Head | None
    """None where nothing can be read."""
    meta: bytes
    payload: bytes
    is_whole: bool


def _checksum(data: bytes, before: int = 0) -> int:
    return google_crc32c.extend(before, data)  # type: ignore[no-any-return]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def frame(log_id: bytes, head: Head, meta: bytes, payload: bytes) -> bytes:
    """What stands before the payload; ValueError for more content than a record has room for."""
    size = len(meta) + len(payload)
    if size > MAX_CONTENT_BYTES:
        raise ValueError(f"a record of {size} bytes; {MAX_CONTENT_BYTES} are the most")
    seed = _checksum(log_id)
    content = _checksum(payload, _checksum(meta, seed))
    packed = _HEAD.pack(content, size, len(meta), *head)
    return MARKER + struct.pack("<I", _checksum(packed, seed)) + packed + meta


def read(log_id: bytes, data: bytes, start: int = 0, *, payloads: bool = True) -> Iterator[Found]:
    """What stands in `data` from an offset on, without a gap; without `payloads` they are checked and left out.

    The last one may be a record whose end is not there, as one without a head or one that is not whole.
    """
    seed = _checksum(log_id)
    at = start
    while at < len(data):
        found = _record_at(seed, data, at)
        if found is None:
            end = at
            while found is None and end >= 0:
                end = data.find(MARKER, end + 1)
                found = _record_at(seed, data, end) if end >= 0 else None
            yield Found(at, end if end >= 0 else len(data), None, b"", b"", is_whole=False)
        if found is None:
            return
        yield found if payloads else found._replace(payload=b"")
        at = found.end


def _record_at(seed: int, data: bytes, at: int) -> Found | None:
    body = at + HEAD_BYTES
    if not _has_head(seed, data, at):
        return None
    checksum, size, meta_size, *fields = _HEAD.unpack_from(data, at + _CHECKED_FROM)
    end = min(body + size, len(data))
    content = data[body:end]
    is_whole = len(content) == size and _checksum(content, seed) == checksum
    if not is_whole and (again := data.find(MARKER, body, end)) >= 0:
        # A file that lost bytes in the middle: the rest is not this record's.
        while again >= 0 and not _has_head(seed, data, again):
            again = data.find(MARKER, again + 1, end)
        end = again if again >= 0 else end
    meta, payload = (content[:meta_size], content[meta_size:]) if is_whole else (b"", b"")
    return Found(at, end, Head(*fields), meta, payload, is_whole)


def _has_head(seed: int, data: bytes, at: int) -> bool:
    body = at + HEAD_BYTES
    if body > len(data) or data[at : at + len(MARKER)] != MARKER:
        return False
    checksum = int.from_bytes(data[at + len(MARKER) : at + _CHECKED_FROM], "little")
    return _checksum(data[at + _CHECKED_FROM : body], seed) == checksum
