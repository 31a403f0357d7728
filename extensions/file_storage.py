"""Keeps on disk what exporters have accepted and not delivered: the write-ahead log of sending queues."""

import asyncio
import fcntl
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from airis.component import Config, Duration, Extension, Host, StartError, Status, Telemetry, extension
from airis.component.ledger import LogState
from airis.storage.wal import operations
from airis.storage.wal.files import OsFiles
from airis.storage.wal.format import WrongVersion
from airis.storage.wal.log import Log, LogOptions
from airis.storage.wal.operations import Done
from airis.storage.wal.put import Put
from airis.storage.wal.service import LogService

DIRECTORY_NAME = "wal"
MIB = 1024 * 1024
_NO_DATABASE = "Has no effect: the log deletes whole files, and has nothing to compact"


class CompactionConfig(Config):
    """What the Collector does with its database file."""

    on_start: bool = Field(default=False, description=f"{_NO_DATABASE}.")
    on_rebound: bool = Field(default=False, description=f"{_NO_DATABASE}.")
    directory: str = Field(default="", description=f"{_NO_DATABASE}.")
    rebound_needed_threshold_mib: int = Field(default=100, ge=0, description=f"{_NO_DATABASE}.")
    rebound_trigger_threshold_mib: int = Field(default=10, ge=0, description=f"{_NO_DATABASE}.")
    max_transaction_size: int = Field(default=65_536, ge=0, description=f"{_NO_DATABASE}.")
    check_interval: Duration = Field(default=5.0, ge=0, description=f"{_NO_DATABASE}.")
    cleanup_on_start: bool = Field(default=False, description=f"{_NO_DATABASE}.")


class FileStorageConfig(Config):
    """Where the log is, how careful it is, and how large it may become."""

    directory: str = Field(
        default="", description=f'Where the log is kept; empty: "{DIRECTORY_NAME}" in the data directory.'
    )
    create_directory: bool = Field(default=True, description="Make the directory if it is not there.")
    directory_permissions: str = Field(
        default="0750", description="Permissions of a directory that is made, in octal digits."
    )
    fsync: bool = Field(
        default=True,
        description="Accept data only when it survives a loss of power. Writers that come at the same time share one "
        "fsync. Off: it survives the end of the process, not that of the machine. (The Collector's default is off.)",
    )
    max_size_mib: int = Field(
        default=0, ge=0, description="Most that the log takes, in MiB; 0: as much as there is room for on the disk."
    )
    max_age: Duration = Field(
        default=0.0, ge=0, description="Data older than this is dropped, and counted; 0: none ever is."
    )
    on_full: Literal["block", "drop_oldest", "drop_newest"] = Field(
        default="block",
        description="What happens at max_size_mib: senders are told to try again later, or the oldest or the newest "
        "data is dropped, and counted.",
    )
    segment_mib: int = Field(default=64, ge=1, le=1024, description="Size of a file of the log, in MiB.")
    timeout: Duration = Field(default=1.0, ge=0, description="Has no effect: nobody else can hold the log's files.")
    recreate: bool = Field(
        default=False,
        description="Has no effect: files that are damaged are kept in quarantine, and what is whole in them is used.",
    )
    compaction: CompactionConfig = Field(default=CompactionConfig(), description="Compaction of a database.")

    def path(self, data_dir: Path) -> Path:
        """Where the log is."""
        return Path(self.directory).expanduser() if self.directory else data_dir / DIRECTORY_NAME

    @field_validator("directory_permissions")
    @classmethod
    def _octal(cls, permissions: str) -> str:
        try:
            if 0 <= int(permissions, 8) <= 0o777:
                return permissions
        except ValueError:
            pass
        raise ValueError('must be octal digits such as "0750"')


@extension("file_storage")
class FileStorage(Extension[FileStorageConfig]):
    """Hold a write-ahead log for the sending queues that name this extension as their storage.

    What a queue has accepted survives kill -9, and a loss of power with `fsync`. The backlog of an exporter that is not
    configured any more is kept, and named at each start.
    """

    def __init__(
        self, config: FileStorageConfig, telemetry: Telemetry, clock: Callable[[], int] = time.time_ns
    ) -> None:
        """`clock` gives the wall time in nanoseconds."""
        super().__init__(config, telemetry)
        self._clock = clock
        self._lock: int | None = None
        self._host: Host | None = None
        self._directory: Path | None = None
        self.service: LogService | None = None
        """The log, once started."""
        telemetry.gauge(
            "airis_file_storage_size",
            "By",
            "What the segments of the log take.",
            lambda: self.service.log.size_bytes if self.service else 0,
        )
        telemetry.gauge(
            "airis_file_storage_damaged_places",
            "{place}",
            "Damaged places of the log that were found since the start, and are kept in quarantine.",
            lambda: self.service.log.damaged_records if self.service else 0,
        )
        telemetry.gauge(
            "airis_file_storage_unreadable_segments",
            "{segment}",
            "Files of the log that the disk does not give, which are kept and tried again.",
            lambda: len(self.service.log.unreadable) if self.service else 0,
        )
        self._forgotten = telemetry.counter(
            "airis_file_storage_forgotten_items",
            "{item}",
            "Items that were given up by hand, with the exporter that was to have them.",
        )
        self._requeued = telemetry.counter(
            "airis_file_storage_requeued_items", "{item}", "Items that were put back into a queue by hand."
        )

    async def start(self, host: Host) -> None:
        """Open the log; raises StartError where it cannot be read, or another process has it."""
        config = self.config
        self._host = host
        directory = self._directory = await asyncio.to_thread(self._claim, host.data_dir)
        options = LogOptions(
            segment_bytes=config.segment_mib * MIB,
            max_bytes=config.max_size_mib * MIB,
            max_age_s=config.max_age,
            policy=config.on_full,
            fsync=config.fsync,
        )
        service = LogService(Log(OsFiles(directory), options, self._clock))
        try:
            await self._open(service)
        except WrongVersion as error:
            raise StartError(
                f"{directory} was written by another version of airis and is left as it is: {error}", "directory"
            ) from error
        except OSError as error:
            raise StartError(f"the log in {directory} cannot be opened: {error}", "directory") from error
        self.service = service
        troubles = [
            (service.log.damaged_records, "damaged places", "are kept in quarantine"),
            (len(service.log.unreadable), "segments", "cannot be read; they are kept, and tried again"),
        ]
        words = [f"{count} {what} in {directory} {fate}" for count, what, fate in troubles if count]
        if words:
            self.telemetry.health.report(Status.RECOVERABLE_ERROR, "; ".join(words))

    async def ready(self) -> None:
        """Name the backlogs that nobody takes any more: they are kept, and with them the files that they stand in."""
        assert self._host is not None
        here, logs = self.telemetry.component_id, self._host.ledger().logs
        storage = ("--storage", here) if len(logs) > 1 else ()
        for log in logs:
            for subscriber, items in log.unclaimed.items() if log.extension == here else ():
                self.telemetry.log.warning(
                    "a backlog is kept for an exporter that is not configured",
                    subscriber=subscriber,
                    items=items,
                    to_deliver_it="configure the exporter again",
                    to_give_it_up=shlex.join(["airis", "wal", "forget", *storage, subscriber]),
                )

    async def _open(self, service: LogService) -> None:
        try:
            await service.open()
        except BaseException:
            self.service = service  # for the shutdown
            await self.shutdown()
            raise

    def provides(self) -> LogService:
        """The log."""
        assert self.service is not None
        return self.service

    async def forget(self, name: str) -> Done:
        """Give up a subscriber with all that it is owed; raises NotPossible, OSError."""
        done = await self._operate(lambda log: operations.forget(log, name))
        self._forgotten.add(done.items)
        return done

    async def requeue(self, letter: str, to: str = "") -> Done:
        """Let a dead letter in again; raises NotPossible, OSError."""
        done = await self._operate(lambda log: operations.requeue_letter(log, letter, to))
        self._requeued.add(done.items)
        return done

    async def put_back(self, to: str, put: Put) -> Done:
        """Put a batch into the queue of a subscriber; raises NotPossible, OSError."""
        done = await self._operate(lambda log: operations.put_back(log, to, put))
        self._requeued.add(done.items)
        return done

    async def drop(self, letter: str) -> Done:
        """Delete a dead letter; raises NotPossible, OSError."""
        return await self._operate(lambda log: operations.drop_letter(log, letter))

    async def _operate(self, work: Callable[[Log], Done]) -> Done:
        service = self.service
        if service is None:
            raise OSError("the log is closed")
        return await service.run(lambda: work(service.log))

    def log_state(self) -> LogState | None:
        """How much room the log has, and its dead letters."""
        if self.service is None or self._directory is None:
            return None
        holdings = self.service.holdings
        try:
            disk = os.statvfs(self._directory)
            free_bytes = disk.f_bavail * disk.f_frsize
        except OSError:  # it is gone, and the log will say so
            free_bytes = 0
        return LogState(
            extension=self.telemetry.component_id,
            directory=str(self._directory),
            used_bytes=holdings.size_bytes,
            limit_bytes=self.config.max_size_mib * MIB,
            free_bytes=free_bytes,
            dead_letters=holdings.dead_letters,
            dead_bytes=holdings.dead_bytes,
            unclaimed=holdings.owed,
        )

    async def shutdown(self) -> None:
        """Close the log; what it holds is there at the next start."""
        service, self.service = self.service, None
        if service is not None:
            await service.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self, data_dir: Path) -> Path:
        directory = self.config.path(data_dir)
        try:
            if not directory.is_dir():
                if not self.config.create_directory:
                    raise StartError(f"{directory} is not there; make it, or set create_directory", "directory")
                directory.mkdir(int(self.config.directory_permissions, 8), parents=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            told = f"another process uses the log in {directory}, or another file_storage here; give each its directory"
            raise StartError(told, "directory") from error
        except OSError as error:
            raise StartError(f"{directory}: {error.strerror}", "directory") from error
        return directory
