"""The query API answers SQL within limits, and says honestly whether the instance is well."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from airis import __version__
from airis.component import Kind, StartError
from airis.component.http import HttpServer
from airis.component.testing import FakeHost, build
from airis.extensions.query import Query, QueryConfig
from airis.query.sql import HELD_BYTES
from airis.storage import Address, Store, StoreError

from ..authenticators import Known, named

ROUTES = ["/", "/api/v1/sql", "/healthz", "/readyz", "/version"]


@dataclass
class FakeAnswer:
    """A result that arrives in pieces; an exception among them is raised."""

    pieces: list[bytes | StoreError]
    headers: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, StoreError):
                raise piece
            yield piece
        if self.gate is not None:
            await self.gate.wait()


class FakeStore(Store):
    """Notes what it is asked, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(Address())
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self.settings: Mapping[str, str] = {}
        self.answer = FakeAnswer([b'{"x":1}\n'])
        self.error: StoreError | None = None
        self.alive: bool | None = True
        """None: no answer at all."""

    @asynccontextmanager
    async def query(self, sql: str, *, output_format: str, parameters=None, settings=None) -> Any:
        self.asked.append((sql, output_format, dict(parameters or {})))
        self.settings = dict(settings or {})
        if self.error is not None:
            raise self.error
        try:
            yield self.answer
        finally:
            self.answer.ended.set()

    async def ping(self) -> bool:
        if self.alive is None:
            await asyncio.Event().wait()
        return bool(self.alive)


class Running:
    """A started extension with its store, and a client."""

    def __init__(self, session: aiohttp.ClientSession, data_dir: Path) -> None:
        self.session = session
        self.store = FakeStore()
        self.host = FakeHost(data_dir, {"store": self.store})

    async def start(self, **options: Any) -> None:
        self.query: Query = build(
            "query", {"endpoint": "127.0.0.1:0", **options}, kind=Kind.EXTENSION, ping_timeout_s=0.01
        )
        await self.query.start(self.host)
        self.url = self.query.endpoints()["query API"]

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON."""
        async with self.session.get(self.url + path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def sql(self, query: str = "SELECT 1", **parameters: str) -> tuple[int, Any]:
        return await self.get("/api/v1/sql", params={"query": query, **parameters})


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with aiohttp.ClientSession() as session:
        running = Running(session, tmp_path)
        await running.start()
        yield running
        await running.query.shutdown()


async def test_a_query_in_the_url_is_answered(running):
    async with running.session.get(
        running.url + "/api/v1/sql", params={"query": "SELECT {n:Int8}", "param_n": "5"}
    ) as r:
        assert (r.status, r.headers["content-type"], await r.text()) == (200, "application/json", '{"x":1}\n')
        assert r.headers["x-content-type-options"] == "nosniff"
    assert running.store.asked == [("SELECT {n:Int8}", "JSON", {"n": "5"})]


@pytest.mark.parametrize(
    "request_options",
    [
        {"json": {"query": "SELECT 1", "parameters": {"n": 5, "t": "it's", "l": [1, "a'b"], "b": True}}},
        {"data": {"query": "SELECT 1", "param_n": "5", "param_t": "it's", "param_l": "[1,'a''b']", "param_b": "true"}},
        {
            "data": "SELECT 1",
            "headers": {"content-type": "text/plain"},
            "params": {"param_n": "5", "param_t": "it's", "param_l": "[1,'a''b']", "param_b": "true"},
        },
    ],
    ids=["json", "form", "text"],
)
async def test_a_query_can_be_posted(running, request_options):
    async with running.session.post(running.url + "/api/v1/sql", **request_options) as response:
        assert response.status == 200
    assert running.store.asked == [("SELECT 1", "JSON", {"n": "5", "t": "it's", "l": "[1,'a''b']", "b": "true"})]


@pytest.mark.parametrize(
    ("named", "accept", "clickhouse", "content_type"),
    [
        ("json", "", "JSON", "application/json"),
        ("ndjson", "", "JSONEachRow", "application/x-ndjson"),
        ("csv", "", "CSVWithNames", "text/csv; charset=utf-8; header=present"),
        ("arrow", "", "ArrowStream", "application/vnd.apache.arrow.stream"),
        ("table", "", "PrettyCompactMonoBlock", "text/plain; charset=utf-8"),
        ("", "*/*", "JSON", "application/json"),
        ("", "text/html, application/x-ndjson;q=0.9", "JSONEachRow", "application/x-ndjson"),
        ("", "text/csv", "CSVWithNames", "text/csv; charset=utf-8; header=present"),
        ("json", "text/csv", "JSON", "application/json"),
    ],
)
async def test_the_format_is_the_parameter_or_what_is_accepted(running, named, accept, clickhouse, content_type):
    params = {"query": "SELECT 1"} | ({"format": named} if named else {})
    async with running.session.get(
        running.url + "/api/v1/sql", params=params, headers={"accept": accept} if accept else {}
    ) as response:
        assert response.headers["content-type"] == content_type
    assert running.store.asked[0][1] == clickhouse


async def test_a_query_that_names_its_own_format_is_labelled_as_that(running):
    running.store.answer.headers = {"x-clickhouse-format": "XML", "content-type": "application/xml"}
    async with running.session.get(running.url + "/api/v1/sql", params={"query": "SELECT 1 FORMAT XML"}) as response:
        assert response.headers["content-type"] == "application/xml"


async def test_the_limits_go_with_every_query(running):
    await running.query.shutdown()
    await running.start(sql={"max_execution_time": "1500ms", "max_result_rows": 10})
    await running.sql()

    limits = {name: running.store.settings[name] for name in ("max_execution_time", "max_result_rows")}
    assert limits == {"max_execution_time": "1.5", "max_result_rows": "10"}
    assert running.store.settings["result_overflow_mode"] == "throw"


@pytest.mark.parametrize(
    ("reason", "code", "status", "kind"),
    [
        ("Unknown expression identifier `x`. (UNKNOWN_IDENTIFIER)", 47, 400, "UNKNOWN_IDENTIFIER"),
        ("Cannot execute query in readonly mode. (READONLY)", 164, 403, "READONLY"),
        ("Limit for result exceeded. (TOO_MANY_ROWS_OR_BYTES)", 396, 422, "TOO_MANY_ROWS_OR_BYTES"),
        ("Timeout exceeded. (TIMEOUT_EXCEEDED)", 159, 422, "TIMEOUT_EXCEEDED"),
        ("Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)", 202, 503, "TOO_MANY_SIMULTANEOUS_QUERIES"),
        ("Bad cast. (LOGICAL_ERROR)", 49, 500, "LOGICAL_ERROR"),
        ("cannot be reached: refused", None, 503, "STORE_UNAVAILABLE"),
    ],
)
async def test_a_failed_query_says_why(running, reason, code, status, kind):
    running.store.error = StoreError(reason, code)

    answered, body = await running.sql()

    message = reason.partition(". (")[0]
    assert (answered, body) == (status, {"error": {"code": code, "type": kind, "message": message}})


async def test_a_failure_before_much_of_the_result_came_is_still_an_error_status(running):
    running.store.answer = FakeAnswer([b"1\n" * 100, StoreError("Limit exceeded. (TOO_MANY_ROWS)", 158)])

    status, body = await running.sql()

    assert (status, body["error"]["type"]) == (422, "TOO_MANY_ROWS")


async def test_a_failure_in_the_middle_of_a_result_cuts_it_off(running):
    running.store.answer = FakeAnswer([b"x" * (HELD_BYTES + 1), b"y", StoreError("Timeout. (TIMEOUT_EXCEEDED)", 159)])

    async with running.session.get(running.url + "/api/v1/sql", params={"query": "SELECT 1"}) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_large_result_arrives_whole(running):
    running.store.answer = FakeAnswer([b"x" * HELD_BYTES, b"y" * HELD_BYTES, b"z"])

    async with running.session.get(running.url + "/api/v1/sql", params={"query": "SELECT 1"}) as response:
        assert await response.read() == b"x" * HELD_BYTES + b"y" * HELD_BYTES + b"z"


async def test_a_query_whose_client_went_away_is_given_up(running):
    answer = running.store.answer = FakeAnswer([b"x" * (HELD_BYTES + 1)], gate=asyncio.Event())

    async with running.session.get(running.url + "/api/v1/sql", params={"query": "SELECT 1"}) as response:
        await response.content.readexactly(HELD_BYTES + 1)
        assert not answer.ended.is_set()
        response.close()
    await answer.ended.wait()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"params": {}}, "no query"),
        ({"params": {"query": " "}}, "no query"),
        ({"params": {"query": "SELECT 1", "database": "x"}}, 'unknown parameter "database"'),
        ({"params": {"query": "SELECT 1", "format": "xml"}}, 'unknown format "xml"; known are json, ndjson'),
        ({"params": [("query", "SELECT 1"), ("query", "SELECT 2")]}, "given twice"),
        ({"json": ["SELECT 1"]}, "no JSON object"),
        ({"json": {"query": 1}}, '"query" is no text'),
        ({"json": {"query": "SELECT 1", "parameters": [1]}}, '"parameters" is no object'),
        ({"json": {"query": "SELECT 1", "parameters": {"a": None}}}, '"a" is neither'),
        ({"data": b"\xff", "headers": {"content-type": "text/plain"}}, "no UTF-8"),
        ({"data": b"x", "headers": {"content-encoding": "gzip"}}, ""),
    ],
    ids=str,
)
async def test_a_request_that_makes_no_sense_is_refused(running, options, message):
    method = "POST" if "json" in options or "data" in options else "GET"
    async with running.session.request(method, running.url + "/api/v1/sql", **options) as response:
        body = await response.json()
        assert (response.status, body["error"]["type"]) == (400, "BAD_REQUEST")
        assert message in body["error"]["message"]
    assert running.store.asked == []


async def test_a_query_that_is_too_long_is_refused(running):
    await running.query.shutdown()
    await running.start(max_request_body_size=10)
    async with running.session.post(running.url + "/api/v1/sql", data="SELECT 'too long'") as response:
        assert response.status == 413


async def test_is_ready_from_ready_to_the_shutdown_while_the_store_answers(running):
    status, body = await running.get("/readyz")
    assert (status, len(body["reasons"])) == (503, 1)

    await running.query.ready()
    assert await running.get("/readyz") == (200, {"status": "ready"})

    running.store.alive = False
    assert await running.get("/readyz") == (
        503,
        {"status": "not ready", "reasons": ['the store "store" does not answer']},
    )
    running.store.alive = None
    assert (await running.get("/readyz"))[0] == 503

    running.store.alive = True
    await running.query.draining()
    assert (await running.get("/readyz"))[0] == 503


async def test_is_alive_whatever_the_store_does(running):
    running.store.alive = None
    assert await running.get("/healthz") == (200, {"status": "ok"})


async def test_says_what_runs(running):
    status, body = await running.get("/version")

    assert (status, body["version"]) == (200, __version__)
    assert body["kernels"] in ("native", "reference")
    assert body["python"].startswith("3.")


async def test_lists_what_there_is(running):
    async with running.session.get(running.url + "/") as response:
        text = await response.text()
    assert [line.split()[0] for line in text.splitlines()[2:]] == ROUTES

    status, body = await running.get("/api/v2/sql")
    assert (status, body["error"]["paths"]) == (404, ROUTES)


async def test_a_method_that_a_path_does_not_take_is_refused(running):
    async with running.session.delete(running.url + "/api/v1/sql") as response:
        assert (response.status, response.headers["allow"]) == (405, "GET, POST")
        assert (await response.json())["error"]["type"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "rebound.example:8000"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}, 200),
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(running, headers, status):
    assert (await running.get("/api/v1/sql", params={"query": "SELECT 1"}, headers=headers))[0] == status
    assert len(running.store.asked) == (status == 200)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://a.page.example"}, 200),
        ({"Origin": "https://page.other"}, 403),
        ({"Host": "airis.example"}, 200),
    ],
    ids=str,
)
async def test_pages_may_send_that_cors_allows(tmp_path, headers, status):
    async with aiohttp.ClientSession() as session:
        running = Running(session, tmp_path)
        await running.start(cors={"allowed_origins": ["https://*.page.example", "https://airis.example"]})
        assert (await running.get("/version", headers=headers))[0] == status
        await running.query.shutdown()


async def test_what_is_reached_from_elsewhere_has_names_of_its_own(tmp_path):
    async with aiohttp.ClientSession() as session:
        running = Running(session, tmp_path)
        await running.start(endpoint="0.0.0.0:0")
        assert (await running.get("/version", headers={"Host": "airis.example"}))[0] == 200
        assert (await running.get("/version", headers={"Origin": "https://page.example"}))[0] == 403
        await running.query.shutdown()


async def test_depends_on_the_store_it_names():
    query: Query = build("query", {"store": "store/cluster"}, kind=Kind.EXTENSION)

    assert list(query.dependencies()) == ["store/cluster"]
    await query.shutdown()


def test_listens_on_loopback_unless_told_otherwise():
    assert QueryConfig.model_validate({}).endpoint == "127.0.0.1:8000"


def test_every_route_but_the_health_checks_needs_a_permission():
    query: Query = build("query", kind=Kind.EXTENSION)

    assert {path for path, route in query.routes.items() if not route.permission} == {"/", *ROUTES[2:]}


async def test_without_the_right_credentials_only_the_open_paths_answer(running):
    await running.query.shutdown()
    running.host.extensions["known"] = Known(secret=named("alice"))
    await running.start(auth={"authenticator": "known"})

    status, body = await running.sql()
    assert (status, body["error"]["type"], body["error"]["message"]) == (401, "UNAUTHORIZED", "missing")
    assert (await running.get("/nowhere"))[0] == 401
    for path in ("/healthz", "/version"):
        assert (await running.get(path))[0] == 200
    headers = {"authorization": "secret"}
    assert (await running.get("/api/v1/sql", params={"query": "SELECT 1"}, headers=headers))[0] == 200
    assert (await running.get("/nowhere", headers=headers))[0] == 404


async def test_a_server_without_a_host_does_not_leave_its_authenticator_out(running):
    config = QueryConfig.model_validate({"endpoint": "127.0.0.1:0", "auth": {"authenticator": "known"}})
    server = HttpServer(running.query._serve, config, running.query.telemetry)
    with pytest.raises(StartError, match="nobody can be authenticated here"):
        await server.start()
