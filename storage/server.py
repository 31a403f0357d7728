"""ClickHouse's HTTP interface over the embedded engine, so that ClickHouse's clients read and write airis's data.

As in ClickHouse: GET only reads; POST joins the parameter ``query`` and the body; ``param_x``, ``database``,
``default_format`` and settings come as parameters. What differs: there are no sessions, no external tables and none of
ClickHouse's own block compression (each is refused), and credentials are accepted and ignored.
"""

import asyncio
import json
import os
import secrets
import sys
import time
import uuid
import zlib
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

import lz4.frame
from starlette.types import Receive, Scope, Send

from airis.component.browsers import other_site
from airis.component.http import ClientGone, HttpServerConfig, answer, header, read_body
from airis.component.intake import IntakeError, TooLarge, UnknownEncoding
from airis.storage import handover
from airis.storage.engine import Abandoned, Account, Engine, EngineError, Lease, Session
from airis.storage.guard import MAX_QUERY_BYTES, READ_KEYWORDS, Guard, Limits, Refused
from airis.storage.statement import NoStatement, Statement, insert_with_data, parse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BUFFER_BYTES = 1024 * 1024
"""Result held back before the answer begins: an error until then has a status of its own."""
WAIT_BUFFER_BYTES = 32 * 1024 * 1024
"""The same with ``wait_end_of_query=1``; ClickHouse would go on in a file."""
PIECE_BYTES = 256 * 1024
"""Result taken from the engine at once, afterwards."""

_STREAMED = frozenset(
    {
        *("native", "rowbinary", "jsoneachrow", "jsonlines", "ndjson", "jsoncompacteachrow", "jsonstringseachrow"),
        *("tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "tskv"),
    }
)
"""Formats in which the engine's blocks, one behind the other, are the result. The others begin or end with something
once: they are made whole, within the query's memory limit."""

_CONTENT_TYPES = {
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "rowbinarywithnames": "application/octet-stream",
    "rowbinarywithnamesandtypes": "application/octet-stream",
    "arrow": "application/vnd.apache.arrow.file",
    "arrowstream": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
    "orc": "application/octet-stream",
    "xml": "application/xml; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "jsonlines": "application/x-ndjson; charset=UTF-8",
    "ndjson": "application/x-ndjson; charset=UTF-8",
}

_STATUS_NAMES = {
    400: """
        BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING
        CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
        CANNOT_PARSE_IPV4 CANNOT_PARSE_IPV6 CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN
        ILLEGAL_COLUMN UNKNOWN_ELEMENT_IN_AST UNKNOWN_TYPE_OF_AST_NODE THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST
        UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    """,
    403: "ACCESS_DENIED",
    404: """
        UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE UNKNOWN_SETTING
        UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT UNKNOWN_DATABASE_ENGINE
        UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE
    """,
    408: "TIMEOUT_EXCEEDED",
    413: "QUERY_IS_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK",
}
_STATUS = {name: status for status, names in _STATUS_NAMES.items() for name in names.split()}
"""HTTP status of an exception by its name, as in ClickHouse; all others are 500."""

_NOT_SETTINGS = frozenset(
    {
        *("query", "database", "default_format", "query_id", "user", "password", "quota_key", "role", "stacktrace"),
        *("session_id", "session_timeout", "session_check", "close_session", "client_protocol_version"),
        *("wait_end_of_query", "buffer_size", "compress", "decompress", "readonly", "log_comment"),
    }
)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Lz4:
    """An lz4 frame, which needs a beginning."""

    def __init__(self) -> None:
        self._frame = cast(Any, lz4.frame.LZ4FrameCompressor())
        self._begun = False

    def compress(self, data: bytes, /) -> bytes:
        return self._begin() + cast(bytes, self._frame.compress(data))

    def flush(self) -> bytes:
        return self._begin() + cast(bytes, self._frame.flush())

    def _begin(self) -> bytes:
        begin = b"" if self._begun else cast(bytes, self._frame.begin())
        self._begun = True
        return begin


class _Identity:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: Mapping[str, Callable[[], _Compressor]] = {
    "lz4": _Lz4,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(3, wbits=16 + zlib.MAX_WBITS),
    "deflate": lambda: zlib.compressobj(3),
}
"""By Content-Encoding, the cheapest first."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a request asks for, apart from the statement."""

    method: str
    parameters: Mapping[str, str]
    database: str
    default_format: str
    query_id: str
    encoding: str
    """Content-Encoding of the answer; empty for none."""

    @property
    def settings(self) -> dict[str, str]:
        """The engine's settings among the parameters."""
        return {
            name: value
            for name, value in self.parameters.items()
            if name and name not in _NOT_SETTINGS and not name.startswith("param_")
        }

    @property
    def values(self) -> dict[str, str]:
        """Values of the statement's ``{name:Type}``."""
        return {
            name.removeprefix("param_"): value for name, value in self.parameters.items() if name.startswith("param_")
        }

    @property
    def reads_only(self) -> bool:
        """Whether the client says that it only reads."""
        return self.method != "POST" or self.parameters.get("readonly", "0") not in ("", "0")

    def flag(self, name: str) -> bool:
        """A parameter that is yes or no."""
        return self.parameters.get(name, "0").lower() not in ("", "0", "false")


class ClickHouseHttp:
    """The ASGI application of one listener."""

    def __init__(
        self,
        engine: Engine,
        config: HttpServerConfig,
        limits: Limits,
        *,
        allow_writes: bool,
        browser_host: str | None = None,
    ) -> None:
        """`browser_host` is the host of a listener that browsers reach: other sites' pages are refused then."""
        self._engine = engine
        self._config = config
        self._limits = limits
        self._allow_writes = allow_writes
        self._browser_host = browser_host
        self._guard = Guard(engine.table_functions, engine.text_settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method, path = scope["method"], scope["path"]
        query_id = ""
        try:
            if self._browser_host is not None and (reason := other_site(scope, self._browser_host)):
                raise EngineError(497, "ACCESS_DENIED", reason.capitalize())
            if path in ("/ping", "/replicas_status") and method in ("GET", "HEAD"):
                return await answer(send, 200, b"Ok.\n", headers=self._headers(""))
            if path != "/" or method not in ("GET", "HEAD", "POST"):
                text = f"There is no handle {path}\n\nUse / or /ping for health checks.\n"
                return await answer(send, 404, text.encode(), headers=self._headers(""))
            request = _read_request(scope)
            query_id = request.query_id
            await self._respond(request, scope, receive, send)
        except EngineError as error:
            await self._fail(send, error, query_id)
        except Refused as refused:
            await self._fail(send, EngineError(refused.code, refused.name, refused.reason), query_id)
        except NoStatement as error:
            await self._fail(send, EngineError(62, "SYNTAX_ERROR", f"Syntax error: {error}"), query_id)
        except UnicodeDecodeError as error:
            await self._fail(send, EngineError(62, "SYNTAX_ERROR", f"The query is no UTF-8: {error.reason}"), query_id)
        except IntakeError as error:
            await self._fail(send, _intake_error(error), query_id)
        except Abandoned as abandoned:
            raise ClientGone from abandoned

    async def _respond(self, request: _Request, scope: Scope, receive: Receive, send: Send) -> None:
        for name in ("compress", "decompress"):
            if request.flag(name):
                reason = f"{name}=1, ClickHouse's own compression, is not supported; use HTTP's Content-Encoding"
                raise EngineError(48, "NOT_IMPLEMENTED", reason)
        body = await read_body(scope, receive, self._config) if request.method == "POST" else b""
        content_type = header(scope, b"content-type")
        if content_type.lower().startswith("multipart/form-data"):
            request, body = _read_form(request, content_type, body)
        query = request.parameters.get("query", "").encode()
        if not query.strip() and not body.strip():
            if request.method == "POST":
                raise NoStatement("Empty query")
            return await answer(send, 200, b"Ok.\n", headers=self._headers(request.query_id))
        writes = self._allow_writes and not request.reads_only
        # Only at the socket: who names a file of a process is of this machine and this user.
        place = header(scope, handover.HEADER.lower().encode()) if self._browser_host is None else ""
        if writes and await self._insert(request, query, body, send, place):
            return
        text = query + b"\n" + body if query and body else query or body
        if not writes and len(text) > MAX_QUERY_BYTES:
            raise EngineError(62, "SYNTAX_ERROR", f"Syntax error: the query is longer than {MAX_QUERY_BYTES} bytes")
        statement = parse(text)
        if not writes:
            self._guard.check(statement)
        await self._run(request, statement, receive, send, writes=writes)

    async def _insert(self, request: _Request, query: bytes, body: bytes, send: Send, place: str) -> bool:
        """Store the data that comes with the statement, or is at the place; false if this is no such statement."""
        text, data = query, memoryview(body)
        insert = insert_with_data(text)
        if insert is None or text[insert.data_start :].strip():
            text = query + b"\n" + body if query else body
            insert = insert_with_data(text)
            if insert is None:
                return False
            data = memoryview(text)[insert.data_start :]
        began = time.perf_counter_ns()
        async with (
            self._engine.writers.lease(self._limits.seconds) as lease,
            _session(lease, request, request.settings) as session,
        ):
            if request.values:
                await lease.run(session.set_parameters, request.values)
            with _handed_over(place) if place else nullcontext(data) as source:
                await lease.run(session.insert, insert, source)
            headers = self._headers(request.query_id, session.account, began)
        await answer(send, 200, b"", headers=headers)
        return True

    async def _run(
        self, request: _Request, statement: Statement, receive: Receive, send: Send, *, writes: bool
    ) -> None:
        reads = not writes or statement.keyword in READ_KEYWORDS
        if not reads:
            _refuse_what_needs_a_session(statement)
        began = time.perf_counter_ns()
        pool = self._engine.readers if reads else self._engine.writers
        sql, settings = statement.sql, request.settings
        if not writes:
            wanted = {**settings, **statement.settings}
            self._guard.check_settings(wanted)
            sql, settings = statement.bare_sql, self._limits.lowered(wanted)
        elif reads:
            settings = {**self._limits.settings, **settings}
        output_format = statement.format or request.default_format or "TabSeparated"
        async with pool.lease(self._limits.seconds) as lease:
            # A write goes on when its client has gone, as in ClickHouse.
            lease.abandoned = gone = asyncio.ensure_future(_gone(receive)) if reads else None
            try:
                async with _session(lease, request, settings, "" if writes else sql) as session:
                    # Only a SELECT can be streamed; SHOW and the like are small.
                    streamed = statement.keyword in ("SELECT", "WITH", "FROM")
                    result = _Result(session, sql, output_format, request, streamed=streamed)
                    await self._send(send, lease, session, result, request, output_format, began)
            finally:
                if gone is not None:
                    gone.cancel()

    async def _send(
        self,
        send: Send,
        lease: Lease,
        session: Session,
        result: "_Result",
        request: _Request,
        output_format: str,
        began: int,
    ) -> None:
        data = await lease.run(result.take, WAIT_BUFFER_BYTES if request.flag("wait_end_of_query") else BUFFER_BYTES)
        headers = self._headers(request.query_id, session.account, began)
        headers.append((b"x-clickhouse-format", output_format.encode()))
        if request.encoding:
            headers.append((b"content-encoding", request.encoding.encode()))
        if result.finished:
            return await answer(send, 200, data, _content_type(output_format), headers)
        tag = secrets.token_hex(8)
        headers += [
            (b"content-type", _content_type(output_format).encode()),
            (b"x-clickhouse-exception-tag", tag.encode()),
        ]

        async def send_piece(data: bytes) -> None:
            # A client that does not read would keep the reader for as long as it likes.
            async with asyncio.timeout(self._limits.seconds):
                await send({"type": "http.response.body", "body": data, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await send_piece(data)
            try:
                while not result.finished:
                    await send_piece(await lease.run(result.take, PIECE_BYTES))
            except EngineError as error:
                await send_piece(result.compressed(_exception_block(self._text(error), tag)))
                raise ClientGone from error  # the body has no end, so that nobody takes it for whole
        except TimeoutError as error:
            raise ClientGone from error
        await send({"type": "http.response.body", "body": b""})

    def _headers(
        self, query_id: str, account: Account | None = None, began: int | None = None
    ) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"x-clickhouse-server-display-name", b"airis"),
            (b"x-clickhouse-timezone", self._engine.timezone.encode()),
        ]
        if query_id:
            sendable = "".join(c if c.isprintable() else "?" for c in query_id)
            headers.append((b"x-clickhouse-query-id", sendable.encode("latin-1", errors="replace")))
        if account is not None and began is not None:
            summary = {
                "read_rows": account.read_rows,
                "read_bytes": account.read_bytes,
                "written_rows": account.written_rows,
                "written_bytes": account.written_bytes,
                "total_rows_to_read": account.read_rows,
                "result_rows": account.result_rows,
                "result_bytes": account.result_bytes,
                "elapsed_ns": time.perf_counter_ns() - began,
            }
            text = json.dumps({name: str(value) for name, value in summary.items()}, separators=(",", ":"))
            headers.append((b"x-clickhouse-summary", text.encode()))
        return headers

    def _text(self, error: EngineError) -> str:
        return f"Code: {error.code}. DB::Exception: {error.message}. ({error.name}) (version {self._engine.version})"

    async def _fail(self, send: Send, error: EngineError, query_id: str) -> None:
        headers = self._headers(query_id)
        headers.append((b"x-clickhouse-exception-code", str(error.code).encode()))
        body = self._text(error) + "\n"
        await answer(send, _STATUS.get(error.name, 500), body.encode(), "text/plain; charset=UTF-8", headers)


class _Result:
    """The bytes of an answer, made in the lease's thread as they are taken."""

    def __init__(self, session: Session, sql: str, output_format: str, request: _Request, *, streamed: bool) -> None:
        self.finished = False
        self._compressor = _COMPRESSORS[request.encoding]() if request.encoding else _Identity()
        arguments = (sql, output_format, request.values)
        if streamed and output_format.lower() in _STREAMED:
            self._pieces: Iterator[bytes] = session.stream(*arguments)
        else:
            self._pieces = _whole(session, *arguments)

    def take(self, at_least: int) -> bytes:
        """The next bytes, that many or more unless the result ends before."""
        taken: list[bytes] = []
        size = 0
        for piece in self._pieces:
            data = self._compressor.compress(piece)
            taken.append(data)
            size += len(data)
            if size >= at_least:
                return b"".join(taken)
        self.finished = True
        taken.append(self._compressor.flush())
        return b"".join(taken)

    def compressed(self, data: bytes) -> bytes:
        """Some last bytes in place of what has not been taken."""
        self.finished = True
        return self._compressor.compress(data) + self._compressor.flush()


def _whole(session: Session, sql: str, output_format: str, values: Mapping[str, str]) -> Iterator[bytes]:
    data = session.whole(sql, output_format, values)
    for start in range(0, len(data), BUFFER_BYTES):
        yield data[start : start + BUFFER_BYTES]


@contextmanager
def _handed_over(place: str) -> Generator[int]:
    """A descriptor of the file with the data."""
    try:
        file = handover.take(place)
    except OSError as error:
        raise EngineError(76, "CANNOT_OPEN_FILE", f"{handover.UNREADABLE}: {error.strerror or error}") from error
    try:
        yield file
    finally:
        os.close(file)


@asynccontextmanager
async def _session(
    lease: Lease, request: _Request, settings: Mapping[str, str], reads_only: str = ""
) -> AsyncGenerator[Session]:
    """A connection as the request wants it; read-only for a statement `reads_only`, which is checked."""

    def begin() -> Session:
        session = lease.session()
        try:
            session.prepare(request.database, settings, read_only=bool(reads_only))
            if reads_only and not session.only_reads(reads_only):
                raise Refused(164, "READONLY", "Cannot execute this query in readonly mode")
        except BaseException:
            session.close()
            raise
        return session

    session = await lease.run(begin)
    try:
        yield session
    finally:
        lease.abandoned = None
        await lease.run(session.close)


async def _gone(receive: Receive) -> None:
    """Return when the client has closed the connection; the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _read_request(scope: Scope) -> _Request:
    parameters = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    encoding = ""
    if parameters.get("enable_http_compression", "0") not in ("", "0", "false"):
        offered = {part.partition(";")[0].strip().lower() for part in header(scope, b"accept-encoding").split(",")}
        encoding = next((name for name in _COMPRESSORS if name in offered), "")
    return _Request(
        method=scope["method"],
        parameters=parameters,
        database=header(scope, b"x-clickhouse-database") or parameters.get("database", ""),
        default_format=header(scope, b"x-clickhouse-format") or parameters.get("default_format", ""),
        query_id=parameters.get("query_id") or header(scope, b"x-clickhouse-query-id") or str(uuid.uuid4()),
        encoding=encoding,
    )


def _read_form(request: _Request, content_type: str, body: bytes) -> tuple[_Request, bytes]:
    """The request with the fields of its form among the parameters; files would be external tables."""
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None or not isinstance(name, str):
            raise EngineError(48, "NOT_IMPLEMENTED", "External tables are not supported")
        value = part.get_payload(decode=True)
        fields[name] = value.decode() if isinstance(value, bytes) else ""
    return replace(request, parameters={**request.parameters, **fields}), b""


def _refuse_what_needs_a_session(statement: Statement) -> None:
    words = [token.keyword for token in statement.tokens[:4]]
    if "TEMPORARY" in words and words[0] == "CREATE":
        raise EngineError(
            48, "NOT_IMPLEMENTED", "Sessions are not supported, so a temporary table would be gone at once"
        )
    if statement.keyword in ("SET", "USE"):
        raise EngineError(
            48, "NOT_IMPLEMENTED", "Sessions are not supported; send settings and database with every request"
        )


def _intake_error(error: IntakeError) -> EngineError:
    if isinstance(error, TooLarge):
        return EngineError(229, "QUERY_IS_TOO_LARGE", str(error))
    if isinstance(error, UnknownEncoding):
        return EngineError(89, "UNKNOWN_COMPRESSION_METHOD", str(error))
    return EngineError(271, "CANNOT_DECOMPRESS", str(error))


def _content_type(output_format: str) -> str:
    name = output_format.lower()
    if name in _CONTENT_TYPES:
        return _CONTENT_TYPES[name]
    if name.startswith("json"):
        return "application/json; charset=UTF-8"
    if name.startswith("csv"):
        return "text/csv; charset=UTF-8"
    if name.startswith(("tabseparated", "tsv")):
        return "text/tab-separated-values; charset=UTF-8"
    return "text/plain; charset=UTF-8"


def _exception_block(text: str, tag: str) -> bytes:
    """How ClickHouse ends a body after an error, so that a client can tell it from data."""
    message = text.encode() + b"\n"
    mark = tag.encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (mark, message, len(message), mark)
