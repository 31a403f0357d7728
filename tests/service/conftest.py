"""What tests of the commands share: a store with a little of everything in it, and the command line over it."""

import asyncio
import importlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from airis.data.kernels import from_json
from airis.service import access, cli
from airis.storage import Address, Store
from airis.storage.schema import Retention, Schema, migrate

from ..engine import Engine

DATABASE = "airis_commands"
SECOND = 1_000_000_000
NOW = time.time_ns()
TRACE = "5b8efff798038103d269b633813fc60c"
OTHER_TRACE = "5b8efff000000000000000000000000a"


@dataclass
class CommandLine:
    """The command line over the store."""

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
    engine.use(database)
    for table, block in blocks.tables.items():
        engine.insert(table, block)
    engine.use("default")
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
        record(2400, "Added 3 items", severityNumber=9, severityText="INFO", attributes=attributes(user_id=7)),
        record(1800, "Out of stock", severityNumber=17, traceId=TRACE, spanId="00000000000000b1"),
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
def sent(engine: Engine) -> tuple[Engine, Mapping[str, bytes]]:
    """The engine with the sample in it, and the sample in protobuf."""
    engine.use("default")
    asyncio.run(migrate(engine, Schema(DATABASE, Retention(0, 0, 0))))
    return engine, {signal: insert(engine, signal, body) for signal, body in SENT.items()}


@pytest.fixture
def airis(sent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line over the sample, 120 columns wide and without colours."""
    address = Address(socket=str(sent[0].process.socket))

    @asynccontextmanager
    async def open_store(_config: Path | None, _data_dir: Path) -> AsyncGenerator[Store]:
        store = Store(address, DATABASE)
        yield store
        await store.close()

    monkeypatch.setattr(access, "open_store", open_store)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("AIRIS_CONFIG", raising=False)
    return CommandLine(tmp_path)


@pytest.fixture
async def empty_store(engine: Engine) -> AsyncIterator[Store]:
    """A store with the tables and nothing in them."""
    database = f"{DATABASE}_empty"
    engine.use("default")
    engine.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    await migrate(engine, Schema(database, Retention(0, 0, 0)))
    store = Store(Address(socket=str(engine.process.socket)), database)
    yield store
    await store.close()


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
