"""What tests of the commands share: a store with a little of everything in it, and the command line over it."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chdb
import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from airis.data.kernels import from_json
from airis.service import access, cli
from airis.storage import Address, Store
from airis.storage.client import _error
from airis.storage.schema import Retention, Schema, migrate
from airis.storage.statement import parse

from ..engine import Engine, the_engine

DATABASE = "airis_commands"
SECOND = 1_000_000_000
NOW = time.time_ns()
TRACE = "5b8efff798038103d269b633813fc60c"
OTHER_TRACE = "5b8efff000000000000000000000000a"


class EngineAnswer:
    """A result that is there."""

    def __init__(self, body: bytes, output_format: str) -> None:
        self.headers = {"x-clickhouse-format": output_format}
        self._body = body

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), 1000):
            yield self._body[start : start + 1000]


class EngineStore(Store):
    """The store client on an engine in the process; a connection for each query, as the store process does it."""

    def __init__(self, engine: Engine, database: str = DATABASE) -> None:
        super().__init__(Address(), database)
        self.engine = engine

    @asynccontextmanager
    async def query(
        self,
        sql: str,
        *,
        output_format: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Any:
        connection = chdb.connect(self.engine.directory)
        try:
            connection.query(f"USE {self.database}")
            for name, value in {**(settings or {}), "readonly": "1"}.items():
                connection.query(f"SET {name} = '{value}'")
            escaped = {name: self.engine.escaped(value) for name, value in (parameters or {}).items()}
            body = bytes(connection.query(sql, output_format, params=escaped).bytes())
        except RuntimeError as error:
            raise _error(str(error)) from error
        finally:
            connection.close()
        yield EngineAnswer(body, parse(sql.encode()).format or output_format)

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        async with self.query(sql, output_format="JSONEachRow", parameters=parameters) as answer:
            body = b"".join([chunk async for chunk in answer.chunks()])
        return [orjson.loads(line) for line in body.splitlines()]


@dataclass
class CommandLine:
    """The command line over a store."""

    store: EngineStore
    data_dir: Path

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli.app, [*words, "--data-dir", str(self.data_dir)], input=stdin)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """The rows that a successful command writes into a pipe."""
        result = self(*words)
        assert result.exit_code == 0, result.output
        return [orjson.loads(line) for line in result.stdout.splitlines()]


def insert(engine: Engine, signal: str, body: object, database: str = DATABASE) -> bytes:
    """Store an OTLP/JSON request; gives it in protobuf."""
    payload = from_json(signal, orjson.dumps(body))
    reference = importlib.import_module("airis.data.reference")
    blocks = reference.scan(signal, payload).native(NOW, reference.SeriesIndex())
    engine.query(f"USE {database}")
    for table, block in blocks.tables.items():
        engine.insert(table, block)
    engine.query("USE default")
    return payload


def attributes(**values: str | int) -> list[dict[str, Any]]:
    return [
        {"key": key.replace("_", "."), "value": {"stringValue": v} if isinstance(v, str) else {"intValue": str(v)}}
        for key, v in values.items()
    ]


def spans(service: str, *given: dict[str, Any]) -> dict[str, Any]:
    scope = {"scope": {"name": "lib"}, "spans": list(given)}
    return {"resource": {"attributes": attributes(service_name=service)}, "scopeSpans": [scope]}


def span(trace_id: str, span_id: str, name: str, start_ms: int, duration_ms: int, **more: Any) -> dict[str, Any]:
    """A span that starts so many milliseconds after ten minutes ago."""
    start = NOW - 600 * SECOND + start_ms * 1_000_000
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + duration_ms * 1_000_000)}
    return {"traceId": trace_id, "spanId": span_id, "name": name, **times, **more}


def record(seconds_ago: float, body: str, **more: Any) -> dict[str, Any]:
    at = NOW - int(seconds_ago * SECOND)
    return {"timeUnixNano": str(at), "observedTimeUnixNano": str(at), "body": {"stringValue": body}, **more}


def records(service: str, *given: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": attributes(service_name=service)}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": list(given)}]}]}


SENT: Mapping[str, dict[str, Any]] = {
    "traces": {
        "resourceSpans": [
            spans(
                "shop",
                span(TRACE, "00000000000000a1", "GET /", 0, 250, kind=2, attributes=attributes(user_id=7)),
                span(OTHER_TRACE, "00000000000000a2", "GET /slow", 5000, 1500, status={"code": 1}),
            ),
            spans(
                "cart",
                span(
                    TRACE,
                    "00000000000000b1",
                    "add\x1b[31m",
                    50,
                    100,
                    parentSpanId="00000000000000a1",
                    status={"code": 2, "message": "no stock"},
                ),
            ),
        ]
    },
    "logs": records(
        "cart",
        record(300, "Added 3 items", severityNumber=9, severityText="INFO", attributes=attributes(user_id=7)),
        record(200, "Out of stock", severityNumber=17, traceId=TRACE, spanId="00000000000000b1"),
        record(100, "two\nlines \x1b]0;evil\x07", severityNumber=13),
    ),
    "metrics": {
        "resourceMetrics": [
            {
                "resource": {"attributes": attributes(service_name="shop")},
                "scopeMetrics": [
                    {
                        "scope": {},
                        "metrics": [
                            {
                                "name": "http.requests",
                                "description": "Requests",
                                "unit": "{request}",
                                "sum": {
                                    "aggregationTemporality": 2,
                                    "isMonotonic": True,
                                    "dataPoints": [
                                        {
                                            "attributes": attributes(path=path),
                                            "startTimeUnixNano": str(NOW - 600 * SECOND),
                                            "timeUnixNano": str(NOW - (60 - 10 * step) * SECOND),
                                            "asInt": str(step * factor),
                                        }
                                        for step in range(6)
                                        for path, factor in (("/a", 10), ("/b", 20))
                                    ],
                                },
                            },
                            {
                                "name": "queue.length",
                                "gauge": {"dataPoints": [{"timeUnixNano": str(NOW - 30 * SECOND), "asDouble": 2.5}]},
                            },
                        ],
                    }
                ],
            }
        ]
    },
}
"""Two traces, three log records, two metrics."""


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Mapping[str, bytes]]:
    """The engine with the sample in it, and the sample in protobuf."""
    engine = the_engine(tmp_path_factory)
    asyncio.run(migrate(engine, Schema(DATABASE, Retention(0, 0, 0))))
    return engine, {signal: insert(engine, signal, body) for signal, body in SENT.items()}


@pytest.fixture
def airis(sent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line over the sample, 120 columns wide and without colours."""
    store = EngineStore(sent[0])

    @asynccontextmanager
    async def open_store(_config: Path | None, _data_dir: Path) -> AsyncIterator[Store]:
        yield store

    monkeypatch.setattr(access, "open_store", open_store)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("AIRIS_CONFIG", raising=False)
    return CommandLine(store, tmp_path)


@pytest.fixture
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> EngineStore:
    """A store with the tables and nothing in them."""
    engine = the_engine(tmp_path_factory)
    database = f"{DATABASE}_empty"
    engine.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    asyncio.run(migrate(engine, Schema(database, Retention(0, 0, 0))))
    return EngineStore(engine, database)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
