"""chDB inside the store process: a connection for every request, one thread for each that runs.

A connection costs 0.2 ms, and a shared one would carry over what a request leaves behind: its database and settings,
and after an error even the rest of its result, which the next query then gets.
"""

import asyncio
import os
import re
import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from airis.storage.statement import Insert, quote

KILL_INTERVAL_S = 0.2
"""How often an abandoned query is told to end: one that is only starting is not found the first time."""

SERVER_SETTINGS: Mapping[str, str] = {
    # The receivers, the page and whatever the machine is for live beside the store.
    "max_server_memory_usage_to_ram_ratio": "0.5",
    "mark_cache_size": str(256 * 1024**2),
    "index_mark_cache_size": str(128 * 1024**2),
    "primary_index_cache_size": str(256 * 1024**2),
}
"""What is set for the engine as a whole. Its own log tables exist only where a configuration file asks for them."""

_SESSION_SETTINGS: Mapping[str, str] = {
    # Blocks come large and acknowledged; the engine's own queue would only add waiting.
    "async_insert": "0",
}
_PREFIX = re.compile(r"(?:Code: (\d+)\. DB::Exception: )+")
_VERSION = re.compile(r" \(version [^()]*\)")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)$")

P = ParamSpec("P")
T = TypeVar("T")


class EngineError(Exception):
    """An exception of the engine, or one in its terms: code, message and name."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message

    @classmethod
    def read(cls, text: str) -> "EngineError":
        """What chDB says, which nests its prefixes and drops the version."""
        match = _PREFIX.search(text)
        if match is None:
            return cls(1002, "UNKNOWN_EXCEPTION", text)
        code = int(match[1])
        message = _VERSION.sub("", text[match.end() :]).strip()
        name = ""
        while found := _NAME.search(message):
            name = found[1]
            message = message[: found.start()].rstrip(". ")
        return cls(code, name or "UNKNOWN_EXCEPTION", message)


@dataclass(slots=True)
class Account:
    """What a request read, wrote and gave, so far."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


class _Result(Protocol):
    def bytes(self) -> bytes: ...
    def rows_read(self) -> int: ...
    def bytes_read(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...


class _Stream(Protocol):
    def fetch(self) -> _Result | None: ...
    def cancel(self) -> None: ...


class _Connection(Protocol):
    def query(self, query: str, format: str = ..., params: Mapping[str, str] | None = ...) -> _Result: ...  # noqa: A002
    def send_query(self, query: str, format: str, params: Mapping[str, str] | None = ...) -> _Stream: ...  # noqa: A002
    def close(self) -> None: ...


class Session:
    """The connection of one request. Every method blocks; all are called in the same thread."""

    def __init__(self, connection: _Connection, token: str) -> None:
        self.account = Account()
        self._connection = connection
        self._token = token
        self._stream: _Stream | None = None

    def prepare(self, database: str, settings: Mapping[str, str], *, read_only: bool) -> None:
        """Set what holds for the request; read-only is last, because nothing can be set after it."""
        if database:
            self.run(f"USE {quote(database, '`')}")
        everything = {**_SESSION_SETTINGS, **settings, "log_comment": self._token}
        self.run("SET " + ", ".join(f"{quote(name, '`')} = {quote(value)}" for name, value in everything.items()))
        if read_only:
            self.run("SET readonly = 1")

    def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Give an insert its parameters; a query gets them with its statement."""
        self.run(
            "SET " + ", ".join(f"{quote(f'param_{name}', '`')} = {quote(text)}" for name, text in parameters.items())
        )

    def run(self, sql: str) -> None:
        """Run a statement that is not the request's."""
        with _engine_errors():
            self._connection.query(sql, "Null")

    def only_reads(self, sql: str) -> bool:
        """Whether the engine's own parser finds that it changes nothing, or cannot read it and will say why."""
        with _engine_errors():
            found = cast(Any, self._connection)._conn.classify_query(sql)  # not offered by chDB's Connection
        count = int(found["statement_count"])
        return count == 0 or (count == 1 and found["query_class"].name == "READ_ONLY")

    def whole(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> bytes:
        """Run a statement and hand back its whole result, which counts against the memory limit."""
        with _engine_errors():
            result = self._connection.query(sql, output_format, params=parameters)
        if not hasattr(result, "bytes"):  # "DataFrame" is chDB's own: it gives a pandas object
            raise EngineError(73, "UNKNOWN_FORMAT", f"Unknown format {output_format}")
        self._count(result)
        return result.bytes()

    def stream(self, sql: str, output_format: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        """The result of a SELECT in pieces, for formats in which joined pieces are the whole."""
        with _engine_errors():
            self._stream = stream = self._connection.send_query(sql, output_format, params=parameters)
        while True:
            with _engine_errors():
                result = stream.fetch()
            if result is None:
                return
            self._count(result)
            yield result.bytes()

    def insert(self, insert: Insert, data: bytes | memoryview | int) -> None:
        """Store the rows in the data, or in a file (its descriptor); they are in when this returns.

        None is when it raises before the end.

        Data of several blocks (1 048 449 rows) is stored block by block: an error leaves the blocks before it.
        """
        # Not send_insert: what goes wrong behind the parser (no space, too many partitions, a constraint) it keeps to
        # itself, and reports the rows as written.
        with _in_memory(data) as path:
            sql = f"{insert.head} FROM INFILE {quote(path)} {insert.settings} FORMAT {insert.format}"
            with _engine_errors():
                written = self._connection.query(sql, "Null")
        self.account.written_rows += written.rows_written()
        self.account.written_bytes += written.bytes_written()

    def close(self) -> None:
        """End what was not read to its end, which would take the process down if it outlived its connection."""
        if self._stream is not None:
            self._stream.cancel()
        self._connection.close()

    def _count(self, result: _Result) -> None:
        account = self.account
        account.read_rows += result.storage_rows_read()
        account.read_bytes += result.storage_bytes_read()
        account.written_rows += result.rows_written()
        account.written_bytes += result.bytes_written()
        account.result_rows += result.rows_read()
        account.result_bytes += result.bytes_read()


@contextmanager
def _in_memory(data: bytes | memoryview | int) -> Generator[str]:
    """A path at which this process, and no other, reads the data."""
    if isinstance(data, int):
        yield f"/dev/fd/{data}"
        return
    with os.fdopen(os.memfd_create("insert"), "wb") if sys.platform == "linux" else TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


class _engine_errors:  # noqa: N801
    """Turn chDB's exceptions into EngineError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, RuntimeError) and not isinstance(error, EngineError):
            raise EngineError.read(str(error)) from None


class Abandoned(Exception):
    """Nobody waits for the request any more; its query was ended."""


@dataclass(slots=True)
class Lease:
    """A thread for one request. `run` calls something in it, and ends the query when the request is abandoned."""

    engine: "Engine"
    thread: ThreadPoolExecutor
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    abandoned: asyncio.Future[Any] | None = None
    """Done when nobody waits for the answer any more."""

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the work; raises Abandoned."""
        loop = asyncio.get_running_loop()
        step = loop.run_in_executor(self.thread, lambda: work(*args, **kwargs))
        try:
            awaited: set[asyncio.Future[Any]] = {step} if self.abandoned is None else {step, self.abandoned}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
        finally:
            while not step.done():
                await self.engine.kill(self.token)
                await asyncio.wait({step}, timeout=KILL_INTERVAL_S)
            step.exception()  # of an abandoned query nobody asks
        raise Abandoned

    def session(self) -> Session:
        """A connection for this request; called in its thread."""
        return self.engine.session(self.token)


class Pool:
    """A bounded number of threads."""

    def __init__(self, engine: "Engine", name: str, size: int) -> None:
        self._engine = engine
        self._name = name
        self._size = size
        self._threads = [ThreadPoolExecutor(1, f"{name}-{number}") for number in range(size)]
        self._free: asyncio.LifoQueue[ThreadPoolExecutor] = asyncio.LifoQueue()
        for thread in self._threads:
            self._free.put_nowait(thread)

    @asynccontextmanager
    async def lease(self, wait_s: float) -> AsyncGenerator[Lease]:
        """A free thread; raises EngineError when none gets free in time."""
        try:
            thread = await asyncio.wait_for(self._free.get(), wait_s)
        except TimeoutError:
            raise EngineError(
                202,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                f"Too many simultaneous queries for all {self._name}: {self._size}",
            ) from None
        try:
            yield Lease(self._engine, thread)
        finally:
            self._free.put_nowait(thread)

    def close(self) -> None:
        """Let the threads end."""
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)


class Engine:
    """The one engine of the process, in a data directory."""

    def __init__(self, directory: Path, readers: int = 4, writers: int = 4) -> None:
        self.version = ""
        self.timezone = ""
        self.table_functions: tuple[str, ...] = ()
        self.text_settings: tuple[str, ...] = ()
        self.readers = Pool(self, "readers", readers)
        self.writers = Pool(self, "writers", writers)
        self._directory = directory
        self._connect: Callable[[str], _Connection] | None = None
        self._keeper: _Connection | None = None
        self._control = ThreadPoolExecutor(1, "control")

    def open(self) -> None:
        """Open the directory; raises EngineError. Signals stay the process's: chDB would take SIGTERM for itself."""
        import chdb  # takes 0.3 s and 200 MB
        from chdb import _chdb

        cast(Any, _chdb).set_signal_handlers_enabled(0)
        self._connect = cast(Any, chdb).connect
        options = "&".join(f"{name}={value}" for name, value in SERVER_SETTINGS.items())
        with _engine_errors():
            # The engine lives as long as it has a connection.
            self._keeper = self._new_connection(f"?{options}")
            facts = self._keeper.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
            names = self._keeper.query("SELECT name FROM system.table_functions", "TSV").bytes().decode().split()
            texts = "SELECT name FROM system.settings WHERE type IN ('String', 'Map', 'URI')"
            self.text_settings = tuple(self._keeper.query(texts, "TSV").bytes().decode().split())
        self.version, self.timezone = facts
        self.table_functions = tuple(names)

    def _new_connection(self, options: str = "") -> _Connection:
        assert self._connect is not None
        return self._connect(f"{self._directory}{options}")

    def session(self, token: str = "") -> Session:
        """A new connection, in the calling thread."""
        with _engine_errors():
            return Session(self._new_connection(), token)

    def kill(self, token: str) -> Awaitable[None]:
        """Tell the query of a lease to end; it does so between two blocks."""
        return asyncio.get_running_loop().run_in_executor(self._control, self._kill, token)

    def _kill(self, token: str) -> None:
        with closing(self.session()) as session:
            session.run(f"KILL QUERY WHERE Settings['log_comment'] = {quote(token)} ASYNC")

    def close(self) -> None:
        """Close the engine: what is in memory is written, merges are stopped."""
        self.readers.close()
        self.writers.close()
        self._control.shutdown(wait=True)
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
