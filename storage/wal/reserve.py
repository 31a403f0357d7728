"""Room that is kept for noting what was delivered, so that a disk that is full becomes empty again."""

import errno
import os
from contextlib import suppress

import structlog

from airis.storage.wal.files import Files

log = structlog.get_logger("airis.wal")

NAME = "reserve"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
AGAIN_NANO = 1_000_000_000
"""How soon a disk that was full is asked again."""


def is_no_room(error: BaseException | None) -> bool:
    """Whether an error says that a disk, or what one may have of it, is full."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


class Reserve:
    """A file that is given up when a journal finds no room, and made again before more data is taken."""

    def __init__(self, files: Files, size_bytes: int) -> None:
        self._files = files
        self._size_bytes = size_bytes
        self._is_held = False
        self._next_try = 0

    def hold(self, now: int) -> bool:
        """Make the file if it is not there; False where the disk has no room for it. `now` is monotonic, in ns."""
        if self._is_held or not self._size_bytes:
            return True
        if now < self._next_try:
            return False
        self._next_try = now + AGAIN_NANO
        try:
            self._make()
        except OSError as error:
            with suppress(OSError):
                self._files.remove(NAME)
            if is_no_room(error):
                return False
            log.warning("no room can be kept for a full disk", error=str(error))
        self._is_held = True
        return True

    def _make(self) -> None:
        with suppress(FileNotFoundError):
            if self._files.size(NAME) == self._size_bytes:
                return
            self._files.remove(NAME)
        file = self._files.create(NAME)
        try:
            # Zeros would take no room on a file system that compresses.
            file.append([os.urandom(self._size_bytes)])
        finally:
            file.close()

    def give_up(self) -> bool:
        """Delete the file; whether that made room."""
        was_held, self._is_held = self._is_held, False
        try:
            self._files.remove(NAME)
        except OSError:
            return False
        if was_held:
            log.error("the disk is full; what is delivered is noted in the room that was kept for that")
        return True

    def retry_soon(self) -> None:
        """Something was deleted: there may be room now."""
        self._next_try = 0
