"""Of every item that a whole airis accepts, its ledger says where it is: over failures, a restart and a kill -9.

The sender and the destinations of this test keep their own count; `/metrics`, `airis status` and the page must agree
with them and with each other.
"""

import http.server
import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from prometheus_client.parser import text_string_to_metric_families

from ..running import AIRIS, PATIENCE_S, Airis, get
from .passing import ask, records, spans

CONFIGURATION = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}
processors:
  attributes: {{actions: [{{key: seen, value: 1, action: upsert}}]}}
  probabilistic_sampler: {{sampling_percentage: 50}}
  memory_limiter: {{check_interval: 1s, limit_mib: 1}}
exporters:
  otlp_http/held: {{endpoint: "{held}", compression: none}}
  otlp_http/partly: {{endpoint: "{partly}", compression: none, sending_queue: {{num_consumers: 1}}}}
  otlp_http/away:
    endpoint: "{away}"
    compression: none
    retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}
    sending_queue: {{storage: file_storage, num_consumers: 1}}
    circuit_breaker: {{failure_threshold: 2, timeout: 200ms}}
    bulkhead: {{max_concurrency: 3}}
  nop:
extensions:
  file_storage: {{max_size_mib: 64}}
  zpages: {{endpoint: "127.0.0.1:0"}}
service:
  extensions: [file_storage, zpages]
  telemetry: {{metrics: {{address: "127.0.0.1:0"}}, logs: {{encoding: json}}}}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [attributes, probabilistic_sampler]
      exporters: [otlp_http/held, otlp_http/partly, otlp_http/away]
    traces/whole: {{receivers: [otlp], exporters: [otlp_http/away, nop]}}
    logs: {{receivers: [otlp], processors: [memory_limiter], exporters: [nop]}}
"""
BATCHES, SPANS = 20, 25
REJECTED = 3
"""Of every request that the destination `partly` is sent."""


class Destination:
    """Takes OTLP over HTTP, and counts the spans that it has."""

    def __init__(self, rejects: int = 0) -> None:
        self.spans = 0
        self.rejected = 0
        self._rejects = rejects
        self._changed = threading.Condition()
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0

    def open(self) -> "Destination":
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def until(self, spans: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.spans >= spans, PATIENCE_S), self.spans

    def take(self, body: bytes) -> bytes:
        request = ExportTraceServiceRequest.FromString(body)
        count = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        rejected = min(self._rejects, count)
        with self._changed:
            self.spans += count - rejected
            self.rejected += rejected
            self._changed.notify_all()
        answer = ExportTraceServiceResponse()
        if rejected:
            answer.partial_success.rejected_spans = rejected
            answer.partial_success.error_message = "<b>too old</b>"
        return answer.SerializeToString()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        destination = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer = destination.take(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def three() -> Iterator[tuple[Destination, Destination, Destination]]:
    """One that takes all, one that rejects some of every request, and one that is away but has a port."""
    held, partly, away = Destination().open(), Destination(REJECTED).open(), Destination().open()
    away.close()
    yield held, partly, away
    for each in (held, partly, away):
        each.close()


def send(airis: Airis, signal: str, payload: bytes) -> int:
    """Send a request; the status of the answer."""
    headers = {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{airis.http}/v1/{signal}", payload, headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def quiet(airis: Airis, is_so: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> Mapping[str, Any]:
    """The ledger once nothing moves and it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        told = ask(airis, "GET", "/api/v1/ledger")[2]
        if not any(line["moving"] for line in (*told["branches"], *told["pipelines"])) and is_so(told):
            return told
        assert time.monotonic() < deadline, told


def branch(told: Mapping[str, Any], exporter: str, signal: str = "traces") -> Mapping[str, Any]:
    (found,) = (each for each in told["branches"] if (each["id"], each["signal"]) == (exporter, signal))
    return found


def sides(line: Mapping[str, Any]) -> tuple[int, int]:
    """The sums of both sides, from the terms."""
    left = sum(line[name] for name in ("accepted", "queued_at_start", "put_back", "made", "unacknowledged"))
    right = sum(line[name] for name in ("delivered", "held", "queued", "kept"))
    right += sum(line["rejected"].values()) + sum(line["dropped"].values())
    return left, right + sum(each["items"] for each in line["left_out"])


def scraped(airis: Airis) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples of /metrics by name (the parser adds a suffix to counters) and labels, without those of the scope."""
    _, text = get(f"http://{airis.instance['metrics_address']}/metrics")
    return {
        (
            sample.name.removesuffix("_total"),
            frozenset((k, v) for k, v in sample.labels.items() if not k.startswith("otel_scope")),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def agree(airis: Airis) -> Mapping[str, Any]:
    """The ledger, which the metrics, the command and the page all tell alike, and in which nothing is missing."""
    told = quiet(airis, lambda told: branch(told, "otlp_http/partly")["queued"] == 0)
    by_command = json.loads(status(airis, "json"))["ledger"]
    url = airis.instance["endpoints"]["zpages"].replace("servicez", "ledgerz")
    by_page = json.loads(get(f"{url}?format=json")[1])
    page = get(url)[1]
    for line in told["branches"]:
        assert sides(line)[0] == sides(line)[1], line
    for name in ("branches", "pipelines", "received"):
        assert by_command[name] == by_page[name] == told[name]
    for line in told["branches"]:
        assert line["equation"].replace("<", "&lt;") in page
    assert (told["imbalance"], by_command["imbalance"], by_page["imbalance"]) == (0, 0, 0)
    in_metrics(airis, told)
    return told


def in_metrics(airis: Airis, told: Mapping[str, Any]) -> None:
    """The terms, and the counters that they come from."""
    samples = scraped(airis)
    for line in told["branches"]:
        to = {(line["kind"], line["id"]), ("signal", line["signal"])}
        terms = {
            name: value for (family, name), value in samples.items() if family == "airis_ledger_items" and to <= name
        }
        for side, expected in zip(("in", "out"), sides(line), strict=True):
            assert sum(value for labels, value in terms.items() if ("side", side) in labels) == expected
        assert samples["airis_ledger_imbalance_items", frozenset(to)] == 0
    for line in (each for each in told["branches"] if (each["kind"], each["signal"]) == ("exporter", "traces")):
        exporter = ("exporter", line["id"])
        assert samples["otelcol_exporter_sent_spans", frozenset({exporter})] == line["delivered"]
        given_up = sum(
            value
            for (name, labels), value in samples.items()
            if name == "airis_exporter_dropped_items" and {exporter, ("signal", "traces")} <= labels
        )
        assert given_up == sum(line["rejected"].values()) + sum(line["dropped"].values())
    accepted = sum(value for (name, _), value in samples.items() if name == "otelcol_receiver_accepted_spans")
    assert accepted == next(each["accepted"] for each in told["received"] if each["signal"] == "traces")


def status(airis: Airis, form: str) -> str:
    """What the command prints; its exit code says that there is no store here."""
    command = [AIRIS, "status", "--format", form, "--data-dir", airis.data_dir]
    done = subprocess.run(
        command, env=airis.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def documented() -> set[str]:
    """The metrics that docs/ledger.md has in its table, and in the rules for alerts."""
    _, _, text = (Path(__file__).parents[2] / "docs/ledger.md").read_text().partition("## Metrics and alerts")
    table, _, rules = text.partition("| metric |")[2].partition("```yaml")
    found: set[str] = set()
    for row in table.splitlines():
        names = re.findall(r"`([a-z_]+)`", row.split("|")[1]) if row.startswith("| `") else []
        # The first is whole, others may begin where it ends but for its last word.
        found |= {f"{names[0].rpartition('_')[0]}{name}" if name.startswith("_") else name for name in names}
    return found | set(re.findall(r"\b(?:airis|otelcol)_[a-z_]+", rules))


def ended(airis: Airis, number: int) -> None:
    airis.stop(number)
    airis.start()


@pytest.fixture
def destinations() -> Iterator[tuple[Destination, Destination, Destination]]:
    with three() as found:
        yield found


def test_nothing_is_lost_as_everybody_can_see(
    tmp_path: Path, start_airis: Callable[..., Airis], destinations: tuple[Destination, Destination, Destination]
) -> None:
    held, partly, away = destinations
    airis = start_airis(CONFIGURATION.format(held=held.url, partly=partly.url, away=away.url))
    for _ in range(BATCHES):
        assert send(airis, "traces", spans(SPANS)) == 200
    assert send(airis, "logs", records(4)) == 503

    total = BATCHES * SPANS
    told = agree(airis)

    # What the sender and the destinations counted themselves is what the ledger says.
    assert told["received"] == [
        {"signal": "traces", "accepted": total, "refused": 0, "failed": 0},
        {"signal": "logs", "accepted": 0, "refused": 4, "failed": 0},
    ]
    first, second, third = (branch(told, f"otlp_http/{name}") for name in ("held", "partly", "away"))
    (sampled,) = first["left_out"]
    assert (sampled["component"], sampled["reason"]) == ("processors::probabilistic_sampler of traces", "sampled")
    assert 0 < sampled["items"] < total
    assert (first["accepted"], first["delivered"]) == (total, held.spans)
    assert (second["accepted"], second["delivered"]) == (total, partly.spans)
    assert second["rejected"] == {"rejected": partly.rejected}
    assert (third["pipelines"], third["accepted"]) == (["traces", "traces/whole"], 2 * total)
    assert third["queued"] == 2 * total - sampled["items"] > 0
    assert branch(told, "nop")["delivered"] == total
    assert branch(told, "nop", "logs")["accepted"] == 0

    _what_is_wrong_comes_first(airis, third["queued"])

    for number in (9, 15):
        ended(airis, number)
        told = agree(airis)
        assert branch(told, "otlp_http/away")["queued_at_start"] == third["queued"]
        assert branch(told, "otlp_http/away")["queued"] == third["queued"]
        assert send(airis, "traces", spans(SPANS)) == 200
        third = branch(agree(airis), "otlp_http/away")
        assert third["accepted"] == 2 * SPANS

    away.open()
    away.until(third["queued"])
    quiet(airis, lambda told: branch(told, "otlp_http/away")["queued"] == 0)
    third = branch(agree(airis), "otlp_http/away")
    assert third["delivered"] == away.spans
    assert ask(airis, "GET", "/api/v1/ledger")[2]["troubles"] == []


def _what_is_wrong_comes_first(airis: Airis, queued: int) -> None:
    """The destination that is away, in the command's words and as metrics; nothing that is well is a trouble."""

    def is_told(told: Mapping[str, Any]) -> bool:  # what the log takes is looked at once a second
        kinds = {trouble["kind"] for trouble in told["troubles"]}
        return {"failing", "breaker"} <= kinds and told["logs"][0]["used_bytes"] > 0

    told = quiet(airis, is_told)
    assert {trouble["where"] for trouble in told["troubles"] if trouble["kind"] != "held_back"} == {
        "exporters::otlp_http/away"
    }
    assert [(each["receiver"], each["by"]) for each in told["held_back"]] == [
        ("otlp", "processors::memory_limiter of logs")
    ]
    (queue,) = (each for each in told["queues"] if each["exporter"] == "otlp_http/away")
    assert (queue["items"], queue["kind"], queue["batches"]) == (queued, "disk", 2 * BATCHES)
    assert queue["oldest_age_s"] > 0
    (log,) = told["logs"]
    assert (log["limit_bytes"], log["dead_letters"], log["unclaimed"]) == (64 * 1024 * 1024, 0, {})
    assert 0 < log["used_bytes"] < log["limit_bytes"]
    samples = scraped(airis)
    assert documented() - {name for name, _ in samples} == {"otelcol_extension_store_restarts"}, (
        "there is no store here"
    )
    to = frozenset({("exporter", "otlp_http/away"), ("signal", "traces")})
    assert samples["airis_exporter_queue_items", to] == queued
    assert samples["airis_exporter_queue_oldest_age", to] > 0
    assert samples["airis_exporter_failing_duration", to] > 0
    page = status(airis, "table").splitlines()
    assert page[1].startswith("  ✗ exporters::otlp_http/away delivers no traces: ")


HOLDING = """
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:0"}}}
processors:
  tail_sampling:
    decision_wait: 1h
    num_traces: 100
    policies: [{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}]
exporters:
  nop:
service:
  telemetry: {metrics: {level: none}, logs: {encoding: json}}
  pipelines:
    traces: {receivers: [otlp], processors: [tail_sampling], exporters: [nop]}
"""


def test_what_is_held_until_it_is_decided_on_is_in_the_ledger(start_airis: Callable[..., Airis]) -> None:
    airis = start_airis(HOLDING)

    for _ in range(BATCHES):
        assert send(airis, "traces", spans(SPANS)) == 200

    told = quiet(airis, lambda told: branch(told, "nop")["held"] <= 100)
    line = branch(told, "nop")
    assert line["accepted"] == BATCHES * SPANS
    assert line["held"] > 90
    assert line["delivered"] > 0
    assert [each["reason"] for each in line["left_out"]] == ["sampled"]
    assert sides(line)[0] == sides(line)[1]
    assert told["imbalance"] == 0
