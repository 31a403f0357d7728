"""Copies of what is damaged: nothing that cannot be read is deleted before its bytes are kept elsewhere."""

from contextlib import suppress

import structlog

from airis.storage.wal.files import Files
from airis.storage.wal.segment import Segment

log = structlog.get_logger("airis.wal")

QUARANTINE = "quarantine"
SUFFIXES = ("torn", "damaged", "unreadable")
"""What the names of copies end with: an end that was not wholly written, bytes that are no record, a whole file."""


class Quarantine:
    """The folder of the copies."""

    def __init__(self, files: Files) -> None:
        """`files` is the directory of the log."""
        self._files = files
        self._kept: set[tuple[str, int]] = set()

    @property
    def found(self) -> int:
        """Damaged places since the start that are kept."""
        return len(self._kept)

    def keep(self, name: str, start: int, end: int, why: str) -> None:
        """Copy bytes of a file that are no record; raises OSError, and then they must stay where they are."""
        if (name, start) in self._kept:
            return
        data = self._files.read(name, start, end - start)
        place = f"{name}:{start}"
        if not any(data):  # room that was only reserved, or that a file system lost
            if why != "torn":
                self._kept.add((name, start))
                log.error("the log is damaged: nothing but zeros", at=place, size_bytes=end - start)
            return
        copy = f"{name}.{start}.{why}"
        self._copy(copy, data)
        self._kept.add((name, start))
        log.error("the log is damaged; the bytes are kept", at=place, size_bytes=end - start, copy=copy)

    def _copy(self, copy: str, data: bytes) -> None:
        folder = self._files.inside(QUARANTINE)
        if copy in folder.names():
            if folder.read(copy) == data:
                return
            folder.remove(copy)  # a part, of a copy that was cut short
        file = folder.create(copy)
        try:
            file.append([data])
            file.sync()
            folder.sync()
        except OSError:
            with suppress(OSError):
                folder.remove(copy)
            raise
        finally:
            file.close()

    def keep_damage(self, segment: Segment) -> bool:
        """Copy what is damaged in a segment and was not copied yet; whether nothing of it is left."""
        for (start, end), why in list(segment.damage.items()):
            try:
                self.keep(segment.name, start, end, why)
            except OSError as error:  # a full disk: it is tried again before the segment is deleted
                log.warning("damaged bytes could not be copied yet", segment=segment.name, error=str(error))
                return False
            del segment.damage[start, end]
        return True

    def keep_file(self, name: str) -> None:
        """Move a whole file here; raises OSError."""
        self.keep(name, 0, self._files.size(name), "unreadable")
        self._files.remove(name)
