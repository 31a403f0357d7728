"""SQL over HTTP: one statement that reads, its result streamed in the format asked for.

The query is the parameter ``query`` of the URL or of a form, the member ``query`` of a JSON object, or a body of any
other type. Values for its ``{name:Type}`` are ``param_name``, or the object's ``parameters``.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from airis.component import intake
from airis.component.http import HttpServerConfig, answer, header, read_body
from airis.query.failures import failure
from airis.storage import Answer, Store, StoreError

HELD_BYTES = 1024 * 1024
"""So much of a result is held back before its status is sent: a failure until then is answered as one."""


@dataclass(frozen=True, slots=True)
class ResultFormat:
    """How a result is written."""

    clickhouse: str
    content_type: str


FORMATS: Mapping[str, ResultFormat] = {
    "json": ResultFormat("JSON", "application/json"),
    "ndjson": ResultFormat("JSONEachRow", "application/x-ndjson"),
    "csv": ResultFormat("CSVWithNames", "text/csv; charset=utf-8; header=present"),
    "arrow": ResultFormat("ArrowStream", "application/vnd.apache.arrow.stream"),
    "table": ResultFormat("PrettyCompactMonoBlock", "text/plain; charset=utf-8"),
}

EXACT: Mapping[str, str] = {
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_denormals": "1",
    "output_format_json_quote_decimals": "0",
    "output_format_pretty_color": "0",
}
"""Settings of the results: integers in full, NaN and infinity as words."""

_BY_ACCEPT = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
    "text/plain": "table",
}
_NOT_ALLOWED = frozenset({164, 291, 497})
"""READONLY, DATABASE_ACCESS_DENIED, ACCESS_DENIED"""
_OVER_A_LIMIT = frozenset({158, 159, 160, 241, 307, 396})
"""TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES"""
_BUSY = frozenset({202, 203, 209, 210, 425})
"""TOO_MANY_SIMULTANEOUS_QUERIES, NO_FREE_CONNECTION, SOCKET_TIMEOUT, NETWORK_ERROR, SYSTEM_ERROR"""
_OURS = frozenset({49, 173, 1001, 1002})
"""LOGICAL_ERROR, CANNOT_ALLOCATE_MEMORY, STD_EXCEPTION, UNKNOWN_EXCEPTION"""


class BadRequest(Exception):
    """The request cannot be understood; the text says why."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """What a request asks."""

    query: str
    format: ResultFormat
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


class SqlApi:
    """The ASGI application behind ``/api/v1/sql``."""

    def __init__(
        self,
        store: Callable[[], Store],
        http: HttpServerConfig,
        settings: Mapping[str, str],
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        """`settings` are ClickHouse settings of every query: its limits."""
        self._store = store
        self._http = http
        self._settings = {**EXACT, **settings}
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a query whose client went away is given up."""
        try:
            request = read_request(scope, await read_body(scope, receive, self._http))
        except BadRequest as error:
            await refuse(send, error.status, "BAD_REQUEST", str(error))
            return
        except intake.TooLarge as error:
            await refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BAD_REQUEST", str(error))
            return
        except intake.IntakeError as error:
            await refuse(send, HTTPStatus.BAD_REQUEST, "BAD_REQUEST", str(error))
            return
        running = asyncio.ensure_future(self._respond(request, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
        finally:
            running.cancel()
            gone.cancel()
            await asyncio.wait({running, gone})

    async def _respond(self, request: SqlRequest, send: Send) -> None:
        started = False
        try:
            async with self._store().query(
                request.query,
                output_format=request.format.clickhouse,
                parameters=request.parameters,
                settings=self._settings,
            ) as result:
                headers = [(b"x-content-type-options", b"nosniff")]
                content_type = _content_type(result, request.format)
                chunks = result.chunks()
                held, ended = await _hold(chunks)
                if ended:
                    await answer(send, 200, held, content_type, headers)
                    return
                started = True
                headers.append((b"content-type", content_type.encode("latin-1")))
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": held, "more_body": True})
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except StoreError as error:
            failed = failure(error, request.query)
            if started:
                # Returning without the end of the body closes the connection: the client sees that it is cut off.
                self._log.warning("query failed after its answer began", type=failed.type, error=failed.brief)
                return
            await refuse(send, status_of(error), failed.type, failed.message, error.code)


def read_request(scope: Scope, body: bytes) -> SqlRequest:
    """The query, its parameters and the format of its result; raises BadRequest."""
    given = _pairs(scope["query_string"].decode("latin-1"))
    parameters: dict[str, str] = {}
    if scope["method"] == "POST":
        content_type = header(scope, b"content-type").partition(";")[0].strip().lower()
        if content_type == "application/json":
            document = _object(body)
            parameters = _parameters(document.pop("parameters", None) or {})
            given |= _texts(document)
        elif content_type == "application/x-www-form-urlencoded":
            given |= _pairs(_text(body))
        elif body.strip():
            given["query"] = _text(body)
    parameters |= {name.removeprefix("param_"): given.pop(name) for name in list(given) if name.startswith("param_")}
    query = given.pop("query", "").strip()
    named = given.pop("format", "")
    if given:
        raise BadRequest(f'unknown parameter "{next(iter(given))}"; known are query, format, param_<name>')
    if not query:
        raise BadRequest('no query; give it as ?query=…, as the body, or as {"query": "…"}')
    return SqlRequest(query, _format(named, header(scope, b"accept")), parameters)


def status_of(error: StoreError) -> HTTPStatus:
    """The HTTP status that fits why the store did not answer."""
    if error.code is None or error.code in _BUSY:
        return HTTPStatus.SERVICE_UNAVAILABLE
    if error.code in _NOT_ALLOWED:
        return HTTPStatus.FORBIDDEN
    if error.code in _OVER_A_LIMIT:
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.INTERNAL_SERVER_ERROR if error.code in _OURS else HTTPStatus.BAD_REQUEST


async def refuse(
    send: Send,
    status: HTTPStatus,
    kind: str,
    message: str,
    code: int | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
    **details: Any,
) -> None:
    """Send an error as JSON; `details` stand beside code, type and message."""
    body = orjson.dumps({"error": {"code": code, "type": kind, "message": message, **details}})
    nosniff = (b"x-content-type-options", b"nosniff")
    await answer(send, status, body + b"\n", "application/json", [nosniff, *headers])


async def _hold(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """The beginning of a result, and whether it is all of it."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > HELD_BYTES:
            return b"".join(held), False
    return b"".join(held), True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _content_type(result: Answer, asked: ResultFormat) -> str:
    """The type asked for, or the store's word where the query itself ends in FORMAT."""
    written = result.headers.get("x-clickhouse-format", asked.clickhouse)
    return asked.content_type if written == asked.clickhouse else result.headers.get("content-type", "text/plain")


def _format(named: str, accept: str) -> ResultFormat:
    if named:
        try:
            return FORMATS[named]
        except KeyError:
            raise BadRequest(f'unknown format "{named}"; known are {", ".join(FORMATS)}') from None
    for choice in accept.split(","):
        known = _BY_ACCEPT.get(choice.partition(";")[0].strip().lower())
        if known:
            return FORMATS[known]
    return FORMATS["json"]


def _pairs(encoded: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise BadRequest(f"the parameters cannot be read: {error}") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRequest("a parameter is given twice")
    return found


def _object(body: bytes) -> dict[str, Any]:
    document: Any = None
    with suppress(orjson.JSONDecodeError):
        document = orjson.loads(body)
    if not isinstance(document, dict):
        raise BadRequest('the body is no JSON object; write {"query": "…", "parameters": {…}}')
    return cast("dict[str, Any]", document)


def _texts(document: Mapping[str, Any]) -> dict[str, str]:
    for name, value in document.items():
        if not isinstance(value, str):
            raise BadRequest(f'"{name}" is no text')
    return dict(document)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadRequest("the body is no UTF-8 text") from None


def _parameters(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise BadRequest('"parameters" is no object; write {"name": value}')
    return {name: _parameter(name, value) for name, value in cast("dict[str, Any]", given).items()}


def _parameter(name: str, value: Any) -> str:
    """A JSON value as ClickHouse reads the text of a parameter."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ",".join(_literal(name, item) for item in cast("list[Any]", value)) + "]"
    return _literal(name, value)


def _literal(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"  # the client escapes backslashes, once for all levels
    if isinstance(value, list):
        return _parameter(name, value)
    raise BadRequest(f'the parameter "{name}" is neither a text, a number, true or false, nor a list of these')
