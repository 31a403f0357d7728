"""Where the write-ahead log is that a command is about, and how it is changed: by the airis that has it, or here."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

import structlog

from airis.component import Kind, StartError, Telemetry
from airis.extensions.file_storage import DIRECTORY_NAME, FileStorage, FileStorageConfig
from airis.service import instance
from airis.service.admin_client import AdminConnection, NotRunning, Refused
from airis.service.admin_log import packed
from airis.service.commands.options import sources
from airis.service.commands.run import load_or_exit
from airis.storage.wal.catalog import Catalog
from airis.storage.wal.files import OsFiles
from airis.storage.wal.format import NotOurs, WrongVersion
from airis.storage.wal.operations import Done, NotPossible
from airis.storage.wal.put import Put

if TYPE_CHECKING:
    from airis.component import Host
    from airis.config import Configuration


class LogUnavailable(Exception):
    """There is no log to look at; the text says what to do."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A log, and who has it."""

    directory: Path
    data_dir: Path
    storage: str
    """The id of the extension; empty for a directory that was named."""
    options: FileStorageConfig
    is_running: bool
    subscribers: frozenset[str] | None
    """Of the exporters that are configured; None where that is not known."""

    def catalog(self) -> Catalog:
        """What is in it; raises LogUnavailable."""
        try:
            return Catalog(OsFiles(self.directory, make=False), is_written_to=self.is_running)
        except FileNotFoundError:
            raise LogUnavailable(
                f"{self.directory} is not there: nothing was ever queued on this disk, or the data directory is "
                "another one; name it with --data-dir, or the log itself with --directory"
            ) from None
        except WrongVersion as error:
            raise LogUnavailable(f"{self.directory} was written by another version of airis: {error}") from error
        except NotOurs as error:
            raise LogUnavailable(f"{self.directory}: {error}") from error
        except OSError as error:
            raise LogUnavailable(f"{self.directory} cannot be read: {error.strerror}") from error

    # What changes it; all raise NotPossible and LogUnavailable.

    def forget(self, subscriber: str) -> Done:
        """Give up a subscriber with all that it is owed."""
        return self._do("forget", lambda storage: storage.forget(subscriber), subscriber=subscriber)

    def requeue(self, letter: str, to: str = "") -> Done:
        """Let a dead letter in again."""
        return self._do("requeue", lambda storage: storage.requeue(letter, to), letter=letter, to=to)

    def drop(self, letter: str) -> Done:
        """Delete a dead letter."""
        return self._do("drop", lambda storage: storage.drop(letter), letter=letter)

    def put_back(self, to: str, put: Put) -> Done:
        """Put a batch into the queue of a subscriber."""
        return self._do("put", lambda storage: storage.put_back(to, put), put, to=to)

    def _do(
        self, name: str, here: Callable[[FileStorage], Awaitable[Done]], put: Put | None = None, **given: str
    ) -> Done:
        if not self.is_running:
            return asyncio.run(self._here(here))
        path = f"/api/v1/wal/{name}?{urlencode({'storage': self.storage, **given})}"
        try:
            told = AdminConnection(self.data_dir).post(path, packed(put) if put else b"")
        except Refused as error:
            if error.status == 409:
                raise NotPossible(str(error), error.choices) from None
            raise LogUnavailable(str(error)) from None
        except (NotRunning, OSError, HTTPException) as error:
            raise LogUnavailable(f"airis does not answer: {error}") from error
        return Done(told["subscriber"], told["items"])

    async def _here(self, work: Callable[[FileStorage], Awaitable[Done]]) -> Done:
        if not self.directory.is_dir():
            self.catalog()
        options = self.options.model_copy(update={"directory": str(self.directory), "create_directory": False})
        storage = FileStorage(options, Telemetry(Kind.EXTENSION, self.storage or "file_storage"))
        logging = structlog.get_config()
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for what is asked for
        try:
            await storage.start(cast("Host", self))  # which asks for the data directory alone
            return await work(storage)
        except StartError as error:
            raise LogUnavailable(error.reason) from error
        except OSError as error:
            raise LogUnavailable(f"{self.directory}: {error}") from error
        finally:
            await storage.shutdown()
            structlog.configure(**logging)


def find_log(
    config: Sequence[str] | None, data_dir: Path, storage: str = "", directory: Path | None = None
) -> LogPlace:
    """The log of a `file_storage` extension, or the one in a directory.

    The configuration says where it is: the one given, else that of the running instance, else the default. Raises
    LogUnavailable.
    """
    if directory is not None:
        return LogPlace(directory.expanduser().absolute(), data_dir, "", FileStorageConfig(), False, None)
    running = instance.running(data_dir)
    named = sources(config)
    if not named.configs and running is not None:
        named = running.sources()
    configuration = load_or_exit(named, quiet=True)
    all_of_them = configuration.components[Kind.EXTENSION]
    storages = {
        name: options
        for name in configuration.extensions
        if isinstance(options := all_of_them[name].options, FileStorageConfig)
    }
    if storage and storage not in storages:
        known = ", ".join(storages) or "none"
        raise LogUnavailable(f'{configuration.source} uses no file_storage extension "{storage}"; there are: {known}')
    if not storages:
        # Data may be there from a configuration that had one.
        default = FileStorageConfig()
        if not default.path(data_dir).is_dir():
            raise LogUnavailable(f"{configuration.source} uses no file_storage extension, so there is no log")
        return LogPlace(data_dir / DIRECTORY_NAME, data_dir, "", default, False, frozenset())
    if not storage and len(storages) > 1:
        raise LogUnavailable(f"there are several logs; choose one with --storage: {', '.join(storages)}")
    name = storage or next(iter(storages))
    options = storages[name]
    subscribers = _subscribers(configuration, name)
    return LogPlace(options.path(data_dir), data_dir, name, options, running is not None, subscribers)


def _subscribers(configuration: "Configuration", storage: str) -> frozenset[str]:
    exporters = configuration.components[Kind.EXPORTER]
    return frozenset(
        f"exporters/{name}:{pipeline.signal}"
        for pipeline in configuration.pipelines.values()
        for name in pipeline.exporters
        if name in exporters and _storage_of(exporters[name].options) == storage
    )


def _storage_of(options: object) -> str:
    return str(getattr(getattr(options, "sending_queue", None), "storage", "") or "")
