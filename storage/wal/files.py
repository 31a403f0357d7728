"""The files of a directory, as the log uses them; tests put a directory there that loses power."""

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_MOST_PARTS = 512
"""Fewer than any system takes in one call (IOV_MAX)."""


class File(Protocol):
    """A file that is only ever appended to."""

    @property
    def size(self) -> int:
        """Bytes in it."""
        ...

    def append(self, parts: Sequence[bytes]) -> None:
        """Write at the end; raises OSError, and then nothing or a part of it was written."""
        ...

    def sync(self) -> None:
        """Return when what was appended survives a loss of power; after an OSError nobody knows what does."""
        ...

    def truncate(self, size: int) -> None:
        """Cut off what is behind."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Files(Protocol):
    """A directory without folders in it."""

    def names(self) -> list[str]:
        """Of all files."""
        ...

    def size(self, name: str) -> int:
        """In bytes."""
        ...

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """So many bytes, or all that follow; fewer where the file ends."""
        ...

    def create(self, name: str) -> File:
        """A new file; FileExistsError where there is one."""
        ...

    def reopen(self, name: str) -> File:
        """A file that is there, to append to."""
        ...

    def replace(self, old: str, new: str) -> None:
        """Rename, over what may be there."""
        ...

    def remove(self, name: str) -> None:
        """Delete."""
        ...

    def sync(self) -> None:
        """Return when names that came and went survive a loss of power."""
        ...

    def inside(self, folder: str) -> "Files":
        """A folder in it, made where it is missing."""
        ...


class OsFile:
    """A file of the system."""

    def __init__(self, path: Path, flags: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
        self.size = os.fstat(self._fd).st_size

    def append(self, parts: Sequence[bytes]) -> None:
        """Write at the end, in as many calls as the system wants."""
        if self._fd < 0:
            raise OSError(errno.EBADF, "the file is closed")
        for first in range(0, len(parts), _MOST_PARTS):
            some = parts[first : first + _MOST_PARTS]
            wanted = sum(map(len, some))
            written = os.writev(self._fd, some)
            self.size += written
            if written < wanted:  # a disk that is nearly full, or a file of more than 2 GiB at once
                self._finish(memoryview(b"".join(some))[written:])

    def _finish(self, rest: memoryview) -> None:
        while rest:
            written = os.write(self._fd, rest)
            self.size += written
            rest = rest[written:]

    def sync(self) -> None:
        """Flush the file's data, and its length."""
        os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)

    def truncate(self, size: int) -> None:
        """Cut off what is behind."""
        os.ftruncate(self._fd, size)
        self.size = size

    def close(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, -1  # the number may be another file's from now on
        if fd >= 0:
            with suppress(OSError):  # what matters was synced
                os.close(fd)


class OsFiles:
    """A directory of the system, for its owner alone."""

    def __init__(self, directory: Path, *, make: bool = True) -> None:
        """`make` it where it is missing; else its names are asked for with a FileNotFoundError."""
        if make:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._make = make

    def names(self) -> list[str]:
        """Of all files."""
        return sorted(entry.name for entry in os.scandir(self.directory) if entry.is_file())

    def size(self, name: str) -> int:
        """In bytes."""
        return os.stat(self.directory / name).st_size

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """So many bytes, or all that follow."""
        with open(self.directory / name, "rb", buffering=0) as file:
            left = (os.fstat(file.fileno()).st_size - offset) if size < 0 else size
            parts: list[bytes] = []
            while left > 0 and (part := os.pread(file.fileno(), left, offset)):
                parts.append(part)
                offset += len(part)
                left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def create(self, name: str) -> OsFile:
        """A new file."""
        return OsFile(self.directory / name, os.O_CREAT | os.O_EXCL)

    def reopen(self, name: str) -> OsFile:
        """A file that is there."""
        return OsFile(self.directory / name, 0)

    def replace(self, old: str, new: str) -> None:
        """Rename, over what may be there."""
        os.replace(self.directory / old, self.directory / new)

    def remove(self, name: str) -> None:
        """Delete."""
        os.unlink(self.directory / name)

    def sync(self) -> None:
        """Flush the directory; a file system that cannot has nothing to flush."""
        fd = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(fd)

    def inside(self, folder: str) -> "OsFiles":
        """A folder in it."""
        return OsFiles(self.directory / folder, make=self._make)
