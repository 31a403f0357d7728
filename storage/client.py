"""Speaks the ClickHouse HTTP interface, to the embedded store's socket and to a server alike."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from airis.data.layout import TABLES
from airis.storage import handover
from airis.storage.schema import INSERT_SETTINGS

if TYPE_CHECKING:
    import ssl

    import aiohttp

CONNECT_TIMEOUT_S = 5.0
INSERT_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 30.0
"""Longest silence of a server, beyond the time that a query may wait for its turn and then run."""

_MOST_IN_URL = 16 * 1024
"""Characters of parameters; servers take some 64 KiB of a request's head, ClickHouse 1 MiB."""
_EXCEPTION_BYTES = 16 * 1024
_CODE = re.compile(r"Code: (\d+)\. (DB::\w*Exception: )?")
_VERSION = re.compile(r" \(version [^()]*(?:\([^()]*\))?[^()]*\)\s*$")
_TSV_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_AT_FAULT = frozenset(
    {6, 26, 27, 33, 38, 41, 53, 62, 69, 70, 72, 108, 117, 131, 246, 321, 349, 432, 441, 467, 636, 691}
)
"""ClickHouse's codes for data that would be refused again: it cannot be parsed, or its values do not fit."""
_OVERLOADED = frozenset({202, 252})
"""Too many queries at once; too many parts, so that merges are behind."""
_TOO_MANY_PARTITIONS = "Too many partitions"
"""With code 252, which otherwise says that merges are behind: a block whose times spread over too many days."""


class StoreError(Exception):
    """The store refused, or did not answer."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        """ClickHouse's exception code; None when there was no answer."""

    @property
    def retryable(self) -> bool:
        """Whether the same insert may succeed later: true but where the data itself is at fault."""
        return self.code not in _AT_FAULT and not (self.code == 252 and _TOO_MANY_PARTITIONS in self.reason)

    @property
    def is_throttling(self) -> bool:
        """Whether the store says that it is asked for too much, which is no fault of the data."""
        return self.retryable and self.code in _OVERLOADED


class Blocks(Protocol):
    """What a payload becomes, by table, as the kernels make it."""

    def block(self, table: str) -> bytes:
        """The bytes of one table's block."""
        ...

    def write(self, table: str, path: str) -> None:
        """Make a table's block the content of a file that is there."""
        ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is, and who asks."""

    url: str = "http://store"
    """Scheme, host and port; with a socket only the scheme counts."""
    socket: str = ""
    """Path of a unix socket, instead of the host."""
    username: str = ""
    password: str = field(default="", repr=False)
    ssl: "ssl.SSLContext | None" = None
    server_name: str = ""
    """Name that the server's certificate must have, where it is not the host of the URL."""

    def __str__(self) -> str:
        return self.socket or self.url


class Answer:
    """The result of a query, while it arrives."""

    def __init__(self, response: "aiohttp.ClientResponse") -> None:
        self._response = response

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case names."""
        return {name.lower(): value for name, value in self._response.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body; raises StoreError if the query fails on the way."""
        # A server that fails after its first byte writes the exception behind the rows, between two marks with a tag.
        mark = f"__exception__\r\n{self._response.headers.get('X-ClickHouse-Exception-Tag', '')}".encode()
        last = b""
        with _failures():
            async for chunk in self._response.content.iter_any():
                last = (last + chunk)[-_EXCEPTION_BYTES:]
                yield chunk
        if not mark.endswith(b"\n") and mark in last:
            raise _error(last.partition(mark)[2].decode(errors="replace"))

    async def body(self) -> bytes:
        """All of the body."""
        return b"".join([chunk async for chunk in self.chunks()])


class Store:
    """A store with airis's tables. Connections are opened when they are needed and kept."""

    def __init__(self, address: Address, database: str = "airis", longest_query_s: float = 30.0) -> None:
        """`longest_query_s` is how long the store lets a query run, as far as we know."""
        self.address = address
        self.database = database
        self._longest_query_s = longest_query_s
        self._session: aiohttp.ClientSession | None = None
        self._hands_over = handover.AVAILABLE and bool(address.socket)
        self._rooms = handover.Rooms()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._rooms.close()
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def ping(self) -> bool:
        """Whether it answers."""
        import aiohttp

        try:
            with _failures():
                async with self._opened().get(
                    f"{self.address.url}/ping", timeout=aiohttp.ClientTimeout(total=2), **self._tls()
                ) as response:
                    return response.status == 200
        except StoreError:
            return False

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result's rows, by column name; the statement must not change anything."""
        async with self.query(sql, output_format="JSONEachRow", parameters=parameters) as answer:
            return [orjson.loads(line) for line in (await answer.body()).splitlines()]

    @asynccontextmanager
    async def query(
        self,
        sql: str,
        *,
        output_format: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[Answer]:
        """The result of a statement that may only read, in a ClickHouse format; raises StoreError."""
        parts = {f"param_{name}": str(value).translate(_TSV_ESCAPES) for name, value in (parameters or {}).items()}
        options = {"default_format": output_format, "readonly": "1", **(settings or {})}
        body: bytes | aiohttp.FormData = sql.encode()
        if sum(map(len, parts.values())) > _MOST_IN_URL:
            parts, body = {}, _form({"query": sql, **parts})
        async with self._post(body, {**options, **parts}) as response:
            yield Answer(response)

    async def command(self, sql: str) -> None:
        """Run a statement that changes something and has no result; raises StoreError."""
        async with self._post(
            sql.encode(), {}, database=not sql.lstrip().upper().startswith("CREATE DATABASE")
        ) as answer:
            await Answer(answer).body()

    async def insert(self, table: str, blocks: Blocks, token: str) -> None:
        """Insert the block of one of airis's tables; returns when it is stored, raises StoreError.

        A block that was stored before under the same token is not stored again.
        """
        columns = ", ".join(f"`{column.name}`" for column in TABLES[table])
        statement = f"INSERT INTO {self.database}.{table} ({columns}) FORMAT Native"
        options = {"query": statement, "insert_deduplication_token": token, "async_insert": "0", **INSERT_SETTINGS}
        if self._hands_over:
            try:
                return await self._hand_over(table, blocks, options)
            except StoreError as error:
                if handover.UNREADABLE not in error.reason:
                    raise
                self._hands_over = False  # a system that does not let the store read memory of ours
        block = await asyncio.to_thread(blocks.block, table)
        async with self._post(block, options, timeout_s=INSERT_TIMEOUT_S) as response:
            await Answer(response).body()

    async def _hand_over(self, table: str, blocks: Blocks, options: Mapping[str, str]) -> None:
        """Insert a block that the store reads from memory of ours."""
        with self._rooms.room() as room:
            try:
                await asyncio.to_thread(blocks.write, table, room.path)
            except OSError as error:
                raise StoreError(f"no room for a block in memory: {error.strerror}") from error
            try:
                headers = {handover.HEADER: room.place}
                async with self._post(b"", options, timeout_s=INSERT_TIMEOUT_S, headers=headers) as response:
                    await Answer(response).body()
                room.read = True
            except StoreError as error:
                room.read = error.code is not None
                raise

    @asynccontextmanager
    async def _post(
        self,
        body: "bytes | aiohttp.FormData",
        options: Mapping[str, str],
        *,
        database: bool = True,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator["aiohttp.ClientResponse"]:
        import aiohttp

        longest_s = max(self._longest_query_s, float(options.get("max_execution_time", 0)))
        silence_s = READ_TIMEOUT_S + 2 * longest_s
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s)
        named = {"database": self.database, **options} if database else options
        with _failures():
            async with self._opened().post(
                f"{self.address.url}/", params=named, data=body, timeout=timeout, headers=headers, **self._tls()
            ) as response:
                if response.status != 200:
                    raise _error((await response.read()).decode(errors="replace"), response.status)
                yield response

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            address = self.address
            connector = aiohttp.UnixConnector(address.socket) if address.socket else aiohttp.TCPConnector()
            headers = {"X-ClickHouse-User": address.username, "X-ClickHouse-Key": address.password}
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers if address.username else None, auto_decompress=True
            )
        return self._session

    def _tls(self) -> dict[str, Any]:
        context = {"ssl": self.address.ssl} if self.address.ssl is not None else {}
        return context | ({"server_hostname": self.address.server_name} if self.address.server_name else {})


def _form(fields: Mapping[str, str]) -> "aiohttp.FormData":
    """The fields as multipart/form-data, the one kind of form that ClickHouse reads."""
    import aiohttp

    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


@contextmanager
def _failures() -> Generator[None]:
    """Turns the HTTP client's exceptions into StoreError."""
    import aiohttp

    try:
        yield
    except TimeoutError as error:
        raise StoreError("no answer in time") from error
    except aiohttp.ClientConnectorError as error:
        raise StoreError(f"cannot be reached: {error.os_error.strerror or error}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise StoreError(f"the connection broke: {error or type(error).__name__}") from error


def _error(body: str, status: int = 0) -> StoreError:
    """What an answer other than 200 says, without the server's version."""
    found = _CODE.search(body)
    if found is None:
        return StoreError(body.strip()[:500] or f"answered with HTTP status {status}")
    return StoreError(_VERSION.sub("", body[found.end() :]).strip(), int(found[1]))
