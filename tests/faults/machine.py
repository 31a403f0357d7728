"""Faults of the machine that airis runs on, done inside its process: power, disks, clocks, and code that dies."""

import errno
import json
import mmap
import os
import signal
import struct
from pathlib import Path
from random import Random
from typing import Any

from .injections import injection

POWER_FILE = "AIRIS_FAULTS_POWER"
"""Names the file in which `power` notes what the disk was told to keep."""
EIO_AT = "AIRIS_FAULTS_EIO_AT"
"""At which fsync of a segment the disk throws away what it was to keep, and says so once."""
CLOCK_FILE = "AIRIS_FAULTS_CLOCK"
"""Names a file with the seconds, a double, by which the wall clock of `clock` is wrong."""
STORE_SOCKET = "AIRIS_FAULTS_STORE_SOCKET"
"""The socket at which `store_elsewhere` finds the store."""


@injection
def power() -> None:
    """Note what survives a loss of power; `lose_power` then takes the rest."""
    from airis.storage.wal.files import OsFile, OsFiles

    notes = os.open(os.environ[POWER_FILE], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    fails_at = int(os.environ.get(EIO_AT, "0"))
    syncs = 0

    def note(*words: object) -> None:
        os.write(notes, json.dumps(words).encode() + b"\n")

    def path_of(file: OsFile) -> str:
        """As it is called now: files are renamed while they are open."""
        return os.readlink(f"/proc/self/fd/{file._fd}")

    begin, sync, replace, sync_names = OsFile.__init__, OsFile.sync, OsFiles.replace, OsFiles.sync

    def init(self: OsFile, path: Path, flags: int) -> None:
        begin(self, path, flags)
        note("sync", path_of(self), self.size)

    def synced(self: OsFile) -> None:
        nonlocal syncs
        path = path_of(self)
        syncs += path.endswith(".wal")
        if syncs == fails_at and path.endswith(".wal"):
            note("gone", path, self.size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        size = self.size
        sync(self)
        note("sync", path, size)

    def replaced(self: OsFiles, old: str, new: str) -> None:
        replace(self, old, new)
        note("name", str(self.directory / old), str(self.directory / new))

    def synced_names(self: OsFiles) -> None:
        names = self.names()
        sync_names(self)
        note("names", str(self.directory), names)

    OsFile.__init__, OsFile.sync = init, synced  # type: ignore[method-assign]
    OsFiles.replace, OsFiles.sync = replaced, synced_names  # type: ignore[method-assign]


def lose_power(folder: Path, notes: Path, random: Random) -> None:
    """Take from the files of a log what was not synced: names, ends in part or garbled, and what a bad disk lost."""
    kept: dict[str, int] = {}
    gone: dict[str, list[tuple[int, int]]] = {}
    names: set[str] = set()
    for line in notes.read_text().splitlines():
        what, path, *rest = json.loads(line)
        if what == "sync":
            kept[path] = rest[0]
        elif what == "gone":
            gone.setdefault(path, []).append((kept.get(path, 0), rest[0]))
        elif what == "name":
            kept[rest[0]] = kept.pop(path, 0)
            gone[rest[0]] = gone.pop(path, [])
        else:
            names = {name for name in names if Path(name).parent != Path(path)} | {f"{path}/{name}" for name in rest[0]}
    for path in folder.glob("*.*"):
        if str(path) not in names and random.random() < 0.5:
            path.unlink()
            continue
        data = bytearray(path.read_bytes())
        durable = min(kept.get(str(path), len(data)), len(data))  # or it was not opened since the last loss
        del data[random.randint(durable, len(data)) :]
        if len(data) > durable and random.random() < 0.3:
            data[random.randrange(durable, len(data))] ^= 1 << random.randrange(8)
        for start, end in gone.get(str(path), []):
            data[start:end] = bytes(len(data[start:end]))
        path.write_bytes(data)
    notes.unlink()


@injection
def clock() -> None:
    """A wall clock that somebody sets."""
    import time

    with open(os.environ[CLOCK_FILE], "r+b") as file:
        wrong = mmap.mmap(file.fileno(), 8)
    now, now_ns = time.time, time.time_ns

    def offset() -> float:
        seconds: float = struct.unpack("<d", wrong[:8])[0]
        return seconds

    time.time = lambda: now() + offset()
    time.time_ns = lambda: now_ns() + int(offset() * 1e9)


def set_clock(file: Path, seconds: float) -> None:
    """Make it wrong by so much, at once."""
    if not file.exists():
        file.write_bytes(bytes(8))
    with open(file, "r+b") as opened:
        opened.write(struct.pack("<d", seconds))


@injection
def store_elsewhere() -> None:
    """What airis says to its store goes through another socket."""
    from dataclasses import replace

    from airis.storage import Store

    begin = Store.__init__

    def init(self: Store, address: Any, *more: Any) -> None:
        begin(self, replace(address, socket=os.environ[STORE_SOCKET]), *more)

    Store.__init__ = init  # type: ignore[method-assign]


@injection
def die_of_poison() -> None:
    """An exporter ends the process when it is to send a batch with poison in it, as a fault in native code would."""
    from airis.exporters.otlp_grpc import OtlpGrpcExporter

    prepare = OtlpGrpcExporter._prepare

    async def die(self: OtlpGrpcExporter, batch: Any) -> Any:
        if b"poison" in batch.payload:
            os.kill(os.getpid(), signal.SIGKILL)
        return await prepare(self, batch)

    OtlpGrpcExporter._prepare = die  # type: ignore[method-assign]
