"""Dead letters: batches that could not be delivered and never will be as they are, each in a file of its own.

They are kept for people, who look at them, mend what was wrong and let them in again, or delete them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog

from airis.storage.wal import format as layout
from airis.storage.wal.files import Files
from airis.storage.wal.format import Head, NotOurs, SegmentHeader, WrongVersion
from airis.storage.wal.records import frame as frame_record
from airis.storage.wal.records import read as read_records
from airis.storage.wal.segment import Entry

log = structlog.get_logger("airis.wal")

SUFFIX = ".dead"
MAX_BYTES = 1024 * 1024 * 1024
"""Of all letters together: where it becomes more, the oldest go."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A batch that was given up, and why."""

    name: str
    """Of its file."""
    subscriber: str
    reason: str
    buried_unix_nano: int
    head: Head
    meta: bytes
    """As it was in the log."""
    payload: bytes


class DeadLetters:
    """The folder they are in."""

    def __init__(self, files: Files, log_id: bytes, clock: Callable[[], int], max_bytes: int = MAX_BYTES) -> None:
        self._files = files
        self._log_id = log_id
        self._clock = clock
        self._max_bytes = max_bytes
        self.evicted = 0
        """Letters that had to go for younger ones."""

    def bury(self, subscriber: str, reason: str, entry: Entry, payload: bytes) -> str:
        """Keep a batch, and give the name of its file; it survives a loss of power on return. Raises OSError."""
        now = self._clock()
        about = {"subscriber": subscriber, "reason": reason, "buried_unix_nano": now, "meta": entry.meta.hex()}
        meta = json.dumps(about, separators=(",", ":")).encode()
        names = set(self._files.names())
        while (name := f"{now:020d}-{entry.head.sequence:020d}-{entry.head.batch_id.hex()}{SUFFIX}") in names:
            now += 1  # another subscriber buried it in the same nanosecond
        file = self._files.create(name)
        try:
            head = SegmentHeader(self._log_id, entry.head.sequence, now).pack()
            file.append([head, frame_record(self._log_id, entry.head, meta, payload), payload])
            file.sync()
            self._files.sync()
        except OSError:
            self._files.remove(name)
            raise
        finally:
            file.close()
        self._make_room()
        return name

    def names(self) -> list[str]:
        """Of the files, oldest first."""
        return [name for name in self._files.names() if name.endswith(SUFFIX)]

    def read(self, name: str) -> DeadLetter:
        """Raises FileNotFoundError, NotOurs for one that is damaged, WrongVersion."""
        data = self._files.read(name)
        header = SegmentHeader.unpack(data)
        found = next(read_records(header.log_id, data, layout.SEGMENT_HEADER_BYTES), None)
        if found is None or not found.is_whole or found.head is None:
            raise NotOurs("it is damaged")
        about: dict[str, Any] = json.loads(found.meta)
        return DeadLetter(
            name,
            about["subscriber"],
            about["reason"],
            about["buried_unix_nano"],
            found.head,
            bytes.fromhex(about["meta"]),
            found.payload,
        )

    def letters(self) -> Iterator[DeadLetter]:
        """All that can be read, oldest first."""
        for name in self.names():
            try:
                yield self.read(name)
            except (NotOurs, WrongVersion, FileNotFoundError):
                continue

    def remove(self, name: str) -> None:
        """Delete one; raises FileNotFoundError."""
        self._files.remove(name)
        self._files.sync()

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(self._files.size(name) for name in self.names())

    def _make_room(self) -> None:
        names = self.names()
        size = sum(self._files.size(name) for name in names)
        for name in names[:-1]:
            if size <= self._max_bytes:
                return
            size -= self._files.size(name)
            self._files.remove(name)
            self.evicted += 1
            log.error("a dead letter had to go for younger ones", name=name)
