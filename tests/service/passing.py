"""An instance that takes telemetry over HTTP, and somebody who sends it some."""

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.service.admin_client import AdminConnection

from ..running import PATIENCE_S, Airis

CONFIGURATION = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0", max_request_body_size: {size}}}}}}}
processors:
  batch:
exporters:
  nop:
  file: {{path: {folder}/out.json}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{encoding: json}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [nop, file]}}
    logs: {{receivers: [otlp], processors: [batch], exporters: [nop]}}
"""


def configuration(folder: Path, size: int = 1_000_000) -> str:
    return CONFIGURATION.format(folder=folder, size=size)


def spans(count: int, name: str = "GET /") -> bytes:
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for number in range(count):
        scoped.spans.add(name=name, trace_id=os.urandom(16), span_id=(number + 1).to_bytes(8, "big"))
    return request.SerializeToString()


def records(count: int) -> bytes:
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for number in range(count):
        scoped.log_records.add(severity_number=9).body.string_value = f"record {number}"
    return request.SerializeToString()


def send(airis: Airis, signal_name: str, payload: bytes) -> None:
    """Send an OTLP request, and have it acknowledged."""
    headers = {"Content-Type": "application/x-protobuf"}
    request = urllib.request.Request(f"{airis.http}/v1/{signal_name}", payload, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def until_tapped(airis: Airis, taps: int) -> None:
    """Wait until there are so many taps."""
    deadline = time.monotonic() + PATIENCE_S
    while len(ask(airis, "GET", "/api/v1/status")[2]["taps"]) != taps:
        assert time.monotonic() < deadline


def ask(airis: Airis, method: str, path: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of the answer."""
    connection = AdminConnection(airis.data_dir, PATIENCE_S)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    is_json = body and headers["content-type"] == "application/json"
    return answer.status, headers, json.loads(body) if is_json else body.decode()
