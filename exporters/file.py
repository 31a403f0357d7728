"""Write batches to a file, as OTLP/JSON lines or protobuf frames, with rotation and compression."""

import asyncio
import glob
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import zstandard
from pydantic import Field

from airis.component import (
    Config,
    Duration,
    Exporter,
    Host,
    Permanent,
    Retryable,
    StartError,
    Telemetry,
    exporter,
)
from airis.data import Batch, kernels

FRAME_HEADER_BYTES = 4


class RotationConfig(Config):
    """When the file is put aside, and how long such files are kept."""

    max_megabytes: int = Field(default=100, ge=1, description="Size in MiB that the file does not exceed.")
    max_days: int = Field(
        default=0, ge=0, le=36_500, description="Days after which a file put aside is deleted, 0 for never."
    )
    max_backups: int = Field(default=100, ge=0, description="Largest number of files put aside, 0 for all.")
    localtime: bool = Field(default=False, description="Name files put aside by local time, not UTC.")


class FileConfig(Config):
    """Where batches are written, and how."""

    path: str = Field(min_length=1, description="File to write to.")
    format: Literal["json", "proto"] = Field(
        default="json",
        description="json: one OTLP/JSON object a line; proto: OTLP messages, each after its length in 4 bytes "
        "(big-endian).",
    )
    compression: Literal["", "zstd"] = Field(
        default="", description="zstd compresses every batch by itself; JSON then is framed by length as proto is."
    )
    append: bool = Field(
        default=False, description="Keep what is in the file at the start. With rotation it is kept anyway."
    )
    rotation: RotationConfig | None = Field(
        default=None, description="Put the file aside at a size. Off unless present."
    )
    create_directory: bool = Field(default=False, description="Create the folder of the file where it is missing.")
    flush_interval: Duration = Field(
        default=1.0, ge=0, description="Accepted and without effect: a batch is acknowledged when the system has it."
    )


@exporter("file", traces="beta", metrics="beta", logs="beta", profiles="alpha")
class FileExporter(Exporter[FileConfig]):
    """Append to a file, as JSON lines or protobuf.

    Acknowledged when the bytes were handed to the operating system (not: were synced to the disk). A batch is
    there whole or not at all: what a full disk cut off is taken back, and the batch is Retryable.
    """

    def __init__(
        self, config: FileConfig, telemetry: Telemetry, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(config, telemetry)
        self._compressor = zstandard.ZstdCompressor() if config.compression else None
        self._framed = config.format == "proto" or self._compressor is not None
        self._file = RecordFile(Path(config.path), self._framed, config.rotation, now)
        self._writer: ThreadPoolExecutor | None = None

    async def start(self, host: Host) -> None:
        """Open the file."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            raise StartError(f"cannot write to {self.config.path}: {error.strerror}", "path") from error
        # One thread: batches are written one after the other, also when a caller leaves meanwhile.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"exporter-{self.telemetry.component_id}")

    async def shutdown(self) -> None:
        """Write what was handed over, and close."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.shutdown)
            self._file.close()

    async def consume(self, batch: Batch) -> None:
        """Return when the system has the bytes; Retryable when it does not take them."""
        if self._writer is None:
            raise Retryable("the file is not open")
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, batch)
        except kernels.MalformedPayload as error:
            raise Permanent(str(error)) from error
        except OSError as error:
            raise Retryable(f"{self.config.path}: {error.strerror}") from error

    def _open(self) -> None:
        if self.config.create_directory:
            self._file.path.parent.mkdir(parents=True, exist_ok=True)
        self._file.open(keep=self.config.append or self.config.rotation is not None)

    def _write(self, batch: Batch) -> None:
        record = batch.payload if self.config.format == "proto" else kernels.to_json(batch.signal, batch.payload)
        if self._compressor is not None:
            record = self._compressor.compress(record)
        if self._framed:
            self._file.append(len(record).to_bytes(FRAME_HEADER_BYTES, "big") + record)
        else:
            self._file.append(record + b"\n")


class RecordFile:
    """A file that only grows by whole records, and is put aside before it becomes too large."""

    def __init__(self, path: Path, framed: bool, rotation: RotationConfig | None, now: Callable[[], datetime]) -> None:
        self.path = path
        self._framed = framed
        self._rotation = rotation
        self._now = now
        self._descriptor = -1
        self._size = 0
        self._torn = False

    def open(self, *, keep: bool) -> None:
        """Open for writing. With `keep` a file that a crash left with a torn record is put aside first."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        if keep and self.path.is_file() and not self._ends_whole():
            self._put_aside()
        self._descriptor = os.open(self.path, flags if keep else flags | os.O_TRUNC, 0o644)
        self._size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close."""
        os.close(self._descriptor)

    def append(self, record: bytes) -> None:
        """Add a record, whole; after an OSError the file is as it was before."""
        self._cut_torn()
        if self._rotation and self._size and self._size + len(record) > self._rotation.max_megabytes * 1024 * 1024:
            self._rotate(self._rotation)
        rest = memoryview(record)
        self._torn = True
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):  # the next append tries again, and fails if it has to
                self._cut_torn()
            raise
        self._torn = False
        self._size += len(record)

    def _cut_torn(self) -> None:
        if self._torn:
            os.ftruncate(self._descriptor, self._size)
            self._torn = False

    def _ends_whole(self) -> bool:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            if not self._framed:
                file.seek(max(0, size - 1))
                return file.read(1) in (b"", b"\n")
            position = 0
            while header := file.read(FRAME_HEADER_BYTES):
                position += FRAME_HEADER_BYTES + int.from_bytes(header, "big")
                if len(header) < FRAME_HEADER_BYTES or position > size:
                    return False
                file.seek(position)
            return True

    def _rotate(self, rotation: RotationConfig) -> None:
        if self.path.exists():  # not if the last rotation came no further than here
            self._put_aside()
        old = self._descriptor
        self.open(keep=True)
        os.close(old)
        self._delete_old(rotation)

    def _put_aside(self) -> None:
        """Rename to ``name-2022-09-14T05-02-14.173.json``, never onto another file."""
        time = self._now()
        while (backup := self.path.with_name(f"{self.path.stem}-{self._stamp(time)}{self.path.suffix}")).exists():
            time += timedelta(milliseconds=1)
        self.path.rename(backup)

    def _stamp(self, time: datetime) -> str:
        local = time.astimezone() if self._rotation and self._rotation.localtime else time
        return f"{local:%Y-%m-%dT%H-%M-%S}.{local.microsecond // 1000:03d}"

    def _delete_old(self, rotation: RotationConfig) -> None:
        backups: list[tuple[datetime, Path]] = []
        for backup in self.path.parent.glob(f"{glob.escape(self.path.stem)}-*{glob.escape(self.path.suffix)}"):
            stamp = backup.name.removeprefix(f"{self.path.stem}-").removesuffix(self.path.suffix)
            with suppress(ValueError):  # a file of somebody else's
                time = datetime.strptime(stamp, "%Y-%m-%dT%H-%M-%S.%f")
                backups.append((time.astimezone() if rotation.localtime else time.replace(tzinfo=UTC), backup))
        backups.sort(reverse=True)
        oldest = self._now() - timedelta(days=rotation.max_days)
        for rank, (time, backup) in enumerate(backups):
            if (rotation.max_backups and rank >= rotation.max_backups) or (rotation.max_days and time < oldest):
                backup.unlink(missing_ok=True)
