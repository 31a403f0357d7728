"""What stands in the files of a log: where each item is, and which are dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airis.storage.wal import format as layout
from airis.storage.wal.dead import DeadLetters
from airis.storage.wal.files import OsFiles
from airis.storage.wal.format import Kind, SegmentHeader
from airis.storage.wal.records import read

from .items import REQUESTS, stamps_of

_SIGNALS = {1: "traces", 2: "metrics", 3: "logs"}


@dataclass(frozen=True, slots=True)
class Record:
    """A batch in a segment."""

    path: Path
    offset: int
    end: int
    keys: tuple[str, ...]

    @property
    def body(self) -> int:
        """Where its content begins."""
        return self.offset + layout.HEAD_BYTES


def records(wal: Path) -> list[Record]:
    """All batches of all segments, in order."""
    found: list[Record] = []
    for path in sorted(wal.glob("*.wal")):
        data = path.read_bytes()
        log_id = SegmentHeader.unpack(data).log_id
        for each in read(log_id, data, layout.SEGMENT_HEADER_BYTES):
            if each.head is not None and each.is_whole and each.head.kind == Kind.BATCH:
                keys = tuple(_keys(each.head.signal, each.payload))
                found.append(Record(path, each.offset, each.end, keys))
    return found


def dead_letters(wal: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Why each was buried, and the keys of its items."""
    letters = DeadLetters(OsFiles(wal / "dead"), b"", lambda: 0)
    for letter in letters.letters():
        yield letter.reason, tuple(_keys(letter.head.signal, letter.payload))


def _keys(signal: int, payload: bytes) -> Iterator[str]:
    name = _SIGNALS[signal]
    for stamp in stamps_of(name, REQUESTS[name].FromString(payload)):
        yield stamp.key
