"""``airis status`` says what runs, what is stored and what was counted."""

import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from airis.component import Kind
from airis.component.ledger import Branch, BreakerState, Ledger, LogState, QueueState, Received
from airis.config import Sources
from airis.data import Signal
from airis.service import access, instance
from airis.service.access import StoreUnavailable
from airis.service.commands import status
from airis.service.commands.status import counted

EXPOSITION = """\
# TYPE otelcol_receiver_accepted_spans counter
otelcol_receiver_accepted_spans_total{receiver="otlp",transport="grpc"} 7
otelcol_receiver_accepted_spans_total{receiver="otlp",transport="http"} 5
# TYPE otelcol_receiver_refused_log_records counter
otelcol_receiver_refused_log_records_total{receiver="otlp"} 1
# TYPE otelcol_exporter_sent_metric_points counter
otelcol_exporter_sent_metric_points_total{exporter="store"} 3
# TYPE otelcol_exporter_send_failed_spans counter
otelcol_exporter_send_failed_spans_total{exporter="store"} 2
"""
COUNTS = {
    "traces": {"accepted": 12, "refused": 0, "sent": 0, "failed": 2},
    "metrics": {"accepted": 0, "refused": 0, "sent": 3, "failed": 0},
    "logs": {"accepted": 0, "refused": 1, "sent": 0, "failed": 0},
}


@pytest.fixture
def metrics_address() -> Iterator[str]:
    """A server of own metrics."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(EXPOSITION.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def running(data_dir: Path, metrics_address: str = "") -> Iterator[None]:
    """This process is the airis that runs on the directory."""
    claim = instance.Claim(data_dir)
    claim.announce(1_700_000_000, Sources(("airis.yaml",)), {"OTLP gRPC": "127.0.0.1:4317"}, metrics_address)
    yield
    claim.release()


def test_a_running_instance_with_its_store_and_counts(airis, metrics_address):
    with running(airis.data_dir, metrics_address):
        result = airis("status", "--format", "json")
        page = airis("status", "--format", "table").stdout

    found = orjson.loads(result.stdout)
    assert (result.exit_code, found["running"], found["counts"]) == (0, True, COUNTS)
    assert found["instance"]["pid"] == os.getpid()
    assert found["instance"]["started"] == "2023-11-14T22:13:20.000000000Z"
    assert {row["table"]: row["rows"] for row in found["tables"]}["otel_traces"] == 3

    for part in (f"pid {os.getpid()}", "127.0.0.1:4317", "airis.yaml", "otel_traces", "accepted", " 12"):
        assert part in page


def told(**more: Any) -> Ledger:
    branch = Branch(Signal.TRACES, Kind.EXPORTER, "otlp", ("traces",), accepted=1500, delivered=1493, queued=7)
    queue = QueueState("otlp", Signal.TRACES, "disk", 2, 7, 3072, 0.25, 61.0, None, "")
    log = LogState("file_storage", "/data/wal", 2048, 4096, 10_000, 0, 0, {})
    received = (Received(Signal.TRACES, 1500, 5, 0),)
    return replace(Ledger(received=received, branches=(branch,), queues=(queue,), logs=(log,)), **more)


def test_where_every_item_is(airis, monkeypatch):
    monkeypatch.setattr(status, "_ledger", lambda _directory: told().document())
    with running(airis.data_dir):
        page = airis("status", "--format", "table").stdout
        document = orjson.loads(airis("status", "--format", "json").stdout)

    assert "1,500 accepted = 1,493 delivered + 7 queued" in page
    assert "✗" not in page, "what is well is not shouted"
    rows = [" ".join(line.split()) for line in page.splitlines()]
    assert "traces 1,500 5 0" in rows
    assert "otlp traces on disk 2 7 3.0 KiB 25% 1 min 1 s yes" in rows
    assert "file_storage 2.0 KiB 4.0 KiB 9.8 KiB 0" in rows
    assert document["ledger"] == orjson.loads(orjson.dumps(told().document()))


def test_what_is_wrong_comes_first_and_obeys_nobody(airis, monkeypatch):
    hostile = QueueState("otlp", Signal.TRACES, "disk", 2, 7, 3072, None, 61.0, 61.0, "no\x1b[2J\nairis is fine")
    missing = Branch(Signal.TRACES, Kind.EXPORTER, "otlp", ("traces",), accepted=9)
    ledger = told(queues=(hostile,), branches=(missing,), breakers=(BreakerState("otlp", "half_open", 3.0),))
    monkeypatch.setattr(status, "_ledger", lambda _directory: ledger.document())
    with running(airis.data_dir):
        page = airis("status", "--format", "table").stdout

    assert page.splitlines()[1:4] == [
        "  ✗ exporters::otlp 9 items of traces were accepted, and nobody knows where they are",
        "  ✗ exporters::otlp delivers no traces: no\\x1b[2J\\nairis is fine, for 1 min 1 s",
        "  ✗ exporters::otlp its circuit is half-open, for 3 s",
    ]
    assert "9 MISSING" in page
    assert "\x1b" not in page


def test_nothing_runs_but_something_is_stored(airis):
    result = airis("status", "--format", "table")

    assert result.exit_code == 3
    assert result.stdout.startswith("airis is not running here; ")
    assert "otel_traces" in result.stdout
    assert orjson.loads(airis("status").stdout)["instance"] is None


def test_a_store_that_cannot_be_read_is_said(airis, monkeypatch):
    @asynccontextmanager
    async def unavailable(_config, _data_dir):
        raise StoreUnavailable("nothing is stored yet")
        yield

    monkeypatch.setattr(access, "open_store", unavailable)
    assert airis("status").exit_code == 3
    with running(airis.data_dir):
        result = airis("status", "--format", "table")

    assert result.exit_code == 1
    assert "The store: nothing is stored yet" in result.stdout


def test_an_instance_without_its_metrics_is_still_described(airis):
    with running(airis.data_dir, "127.0.0.1:1"):
        result = airis("status")

    assert (result.exit_code, orjson.loads(result.stdout)["counts"]) == (0, None)


def test_the_tables_as_csv(airis):
    lines = airis("status", "--format", "csv").stdout.splitlines()

    assert lines[0] == "table,rows,size_bytes,oldest,newest"
    assert lines[1].startswith("otel_traces,3,")


def test_counters_are_summed_over_components():
    assert counted(EXPOSITION) == COUNTS


def test_profiles_are_counted_where_there_are_some():
    exposition = "# TYPE otelcol_receiver_accepted_profile_samples counter\n"
    exposition += 'otelcol_receiver_accepted_profile_samples_total{receiver="otlp"} 4\n'

    assert counted(exposition)["profiles"] == {"accepted": 4, "refused": 0, "sent": 0, "failed": 0}
