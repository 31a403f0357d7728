"""Reload, shutdown and failed starts, with real OTLP clients that send throughout."""

import json
import os
import pty
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from ..running import Airis

CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0"}}
      http: {{endpoint: "127.0.0.1:0"}}
processors:
  memory_limiter: {{check_interval: 1s, limit_percentage: 80}}
  batch: {{send_batch_size: {size}}}
exporters:
  file/traces: {{path: {folder}/traces.json}}
  file/{name}: {{path: {folder}/{name}.json}}
service:
  telemetry: {{metrics: {{address: "127.0.0.1:0"}}, logs: {{encoding: json, sampling: {{enabled: false}}}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [{processors}], exporters: [{exporters}]}}
"""
RELOADS = 50
CLIENTS = 4


def configuration(folder: Path, number: int) -> str:
    """The configurations of the reloads: each differs from the last in another way."""
    processors = ["memory_limiter, batch", "batch", "", "memory_limiter"][number % 4]
    exporters = "file/traces" if number % 3 else "file/traces, file/other"
    return CONFIGURATION.format(
        folder=folder, size=1000 + number % 5, name="other", processors=processors, exporters=exporters
    )


class Sender(threading.Thread):
    """An OTLP client that sends spans one request after the other on one connection."""

    def __init__(self, address: str, number: int) -> None:
        super().__init__()
        self.address = address
        self.number = number
        self.sent: list[str] = []
        self.errors: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)
            while not self.stopping.is_set():
                name = f"{self.number}-{len(self.sent)}"
                try:
                    stub.Export(request(name), timeout=30)
                    self.sent.append(name)
                except grpc.RpcError as error:
                    self.errors.append(str(error))


def request(name: str) -> trace_service_pb2.ExportTraceServiceRequest:
    span = Span(trace_id=os.urandom(16), span_id=os.urandom(8), name=name)
    return trace_service_pb2.ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]
    )


@contextmanager
def sending(airis: Airis) -> Iterator[list[Sender]]:
    senders = [Sender(airis.grpc, number) for number in range(CLIENTS)]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join()


def written(path: Path) -> list[str]:
    """The names of the spans in a file of the file exporter."""
    requests: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        span["name"]
        for told in requests
        for resource in told["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


@pytest.fixture
def airis(tmp_path: Path) -> Iterator[Airis]:
    running = Airis(tmp_path, configuration(tmp_path, 1)).start()
    yield running
    running.end()


def test_fifty_reloads_under_load_refuse_nothing_and_lose_nothing(airis: Airis, tmp_path: Path) -> None:
    address = airis.grpc
    with sending(airis) as senders:
        for number in range(RELOADS):
            airis.config.write_text(configuration(tmp_path, number))
            os.kill(airis.pid, signal.SIGHUP)
            airis.until("reloaded", times=number + 1)
        until_sent = sum(len(sender.sent) for sender in senders)

    assert airis.grpc == address
    assert [error for sender in senders for error in sender.errors] == []
    assert until_sent > RELOADS
    assert airis.stop() == 0
    sent = sorted(name for sender in senders for name in sender.sent)
    assert sorted(written(tmp_path / "traces.json")) == sent


def test_a_wrong_configuration_is_told_and_the_old_one_goes_on(airis: Airis, tmp_path: Path) -> None:
    airis.config.write_text(configuration(tmp_path, 1).replace("send_batch_size", "send_batch_sise"))

    with sending(airis) as senders:
        told = airis.run("reload", expect=2)

    assert 'unknown option "send_batch_sise"; did you mean "send_batch_size"?' in told
    assert "1 error; nothing was changed, the old configuration goes on" in told
    assert [error for sender in senders for error in sender.errors] == []
    assert airis.stop() == 0


def test_a_configuration_that_does_not_start_is_told_and_the_old_one_goes_on(airis: Airis, tmp_path: Path) -> None:
    nowhere = configuration(tmp_path, 0).replace(f"{tmp_path}/other.json", f"{tmp_path}/nowhere/other.json")
    airis.config.write_text(nowhere)

    with sending(airis) as senders:
        told = airis.run("reload", expect=1)

    assert "exporters::file/other" in told
    assert [error for sender in senders for error in sender.errors] == []
    assert airis.stop() == 0
    assert sorted(written(tmp_path / "traces.json")) == sorted(name for sender in senders for name in sender.sent)


def test_the_difference_can_be_seen_first(airis: Airis, tmp_path: Path) -> None:
    airis.config.write_text(configuration(tmp_path, 3))

    told = airis.run("reload", "--dry-run")
    assert (
        told.splitlines()
        == [
            "+ processors::memory_limiter of traces",
            "- processors::batch of traces",
        ]
        or "nothing was done" in told
    )
    assert airis.run("reload", "--dry-run") == told, "it did nothing the first time"
    assert "reloaded" in airis.run("reload")
    assert airis.run("reload") == "nothing is different\n"


def test_files_can_be_watched(tmp_path: Path) -> None:
    airis = Airis(tmp_path, configuration(tmp_path, 1))
    airis.command.append("--watch")
    airis.start()
    try:
        airis.config.write_text(configuration(tmp_path, 2))
        told = airis.until("reloaded")
        assert told["changes"]
    finally:
        airis.end()


def test_without_an_instance_there_is_nothing_to_reload(tmp_path: Path) -> None:
    airis = Airis(tmp_path)

    assert "airis is not running" in airis.run("reload", expect=3)


def test_a_shutdown_answers_whom_it_took_data_from_and_nobody_else(airis: Airis, tmp_path: Path) -> None:
    with sending(airis) as senders:
        while min(len(sender.sent) for sender in senders) < 10:
            senders[0].join(0.01)
        assert airis.stop() == 0
        for sender in senders:
            sender.stopping.set()

    sent = {name for sender in senders for name in sender.sent}
    stored = written(tmp_path / "traces.json")
    assert sent <= set(stored)
    # A client may have been cut off while its answer was on the way, once each.
    assert len(set(stored) - sent) <= CLIENTS
    assert len(stored) == len(set(stored))


def test_a_start_that_fails_takes_nothing_that_it_does_not_deliver(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, taken_port = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        text = configuration(tmp_path, 1).replace(
            'grpc: {endpoint: "127.0.0.1:0"}', f'grpc: {{endpoint: "127.0.0.1:{port}"}}'
        )
        second = f'  otlp/second: {{protocols: {{http: {{endpoint: "127.0.0.1:{taken_port}"}}}}}}'
        text = text.replace("processors:\n", f"{second}\nprocessors:\n", 1).replace("[otlp]", "[otlp, otlp/second]")
        sender = Sender(f"127.0.0.1:{port}", 0)
        sender.start()
        try:
            code, told = Airis(tmp_path, text).fail_to_start()
        finally:
            sender.stopping.set()
            sender.join()

    assert code == 1
    assert f'receivers::otlp/second::protocols::http::endpoint: "127.0.0.1:{taken_port}": the port is taken' in told
    path = tmp_path / "traces.json"
    assert set(sender.sent) <= set(written(path) if path.exists() else [])


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    airis = Airis(tmp_path, configuration(tmp_path, 1))
    child, terminal = pty.fork()
    if child == 0:
        os.execve(airis.command[0], list(map(str, airis.command)), airis.environment)
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 4096)

    os.close(terminal)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
