"""``airis generate`` and ``airis demo`` from the command line, against servers on loopback."""

import asyncio
import math
import signal
import subprocess
import sys
import threading

import grpc
import pytest
import typer
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from typer.testing import CliRunner

from airis.service.commands import demo, generate

app = typer.Typer()
app.add_typer(generate.app, name="generate")
app.command()(demo.demo)


@pytest.fixture
def run(grpc_server, http_server):
    """Runs a command against a server in another thread, since the command has an event loop of its own."""

    def run_command(*arguments, answers=(), http=False):
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        serving = (http_server if http else grpc_server)(*answers)
        try:
            received = asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
            arguments = [part.replace("SERVER", received.address) for part in arguments]
            result = CliRunner().invoke(app, arguments)
        finally:
            asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        return result, received

    return run_command


def spans_of(received):
    [(_, body)] = received.requests
    [resource] = ExportTraceServiceRequest.FromString(body).resource_spans
    return resource.resource, resource.scope_spans[0].spans


def text_of(message):
    return {each.key: each.value.string_value for each in message.attributes}


def test_traces_as_with_telemetrygen(run):
    result, received = run(
        *("generate", "traces", "--otlp-endpoint", "SERVER", "--otlp-insecure=true", "--traces", "3", "--rate=0"),
        *("--workers", "1", "--child-spans", "2", "--span-duration", "5ms", "--status-code", "1", "--marshal"),
        *("--service", "shop", "--otlp-attributes", 'zone="a"', "--telemetry-attributes", "team=blue"),
        *("--otlp-header", 'x-tenant="t1"'),
    )

    assert result.exit_code == 0, result.output
    resource, spans = spans_of(received)
    assert text_of(resource) == {"service.name": "shop", "zone": "a"}
    assert len(spans) == 9
    assert {span.status.code for span in spans} == {Status.STATUS_CODE_ERROR}
    assert {text_of(span)["team"] for span in spans} == {"blue"}
    assert spans[1].end_time_unix_nano - spans[1].start_time_unix_nano == 5_000_000
    assert spans[1].flags == 0x301
    assert received.headers[0]["x-tenant"] == "t1"
    assert "traces: 9 spans in 1 request," in result.stdout
    assert "accepted   9" in result.stdout


def test_metrics_over_http(run):
    result, received = run(
        *("generate", "metrics", "--otlp-endpoint", "SERVER", "--otlp-http", "--metrics=5", "--rate=0"),
        *("--metric-type", "ExponentialHistogram", "--aggregation-temporality", "delta", "--otlp-metric-name", "x"),
        *("--trace-id", "ab" * 16, "--span-id", "cd" * 8, "--otlp-http-url-path", "/in/metrics"),
        http=True,
    )

    assert result.exit_code == 0, result.output
    [(path, body)] = received.requests
    assert path == "/in/metrics"
    [metric] = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "x"
    assert len(metric.exponential_histogram.data_points) == 5
    assert metric.exponential_histogram.data_points[0].exemplars[0].trace_id == b"\xab" * 16


def test_logs_one_a_request(run):
    result, received = run(
        *("generate", "logs", "--otlp-endpoint", "SERVER", "--logs", "3", "--rate", "0", "--batch=false"),
        *("--body", "hi", "--severity-text", "Warn", "--severity-number", "13"),
    )

    assert result.exit_code == 0, result.output
    assert len(received.requests) == 3
    record = ExportLogsServiceRequest.FromString(received.requests[0][1]).resource_logs[0].scope_logs[0].log_records[0]
    assert (record.body.string_value, record.severity_text, record.severity_number) == ("hi", "Warn", 13)


def test_a_partial_success_is_said_and_fails_the_command(run):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "one too many"

    result, _ = run("generate", "traces", "--otlp-endpoint", "SERVER", "--rate=0", answers=[answer.SerializeToString()])

    assert result.exit_code == 1
    assert "rejected   1" in result.stdout
    assert "1 x one too many" in result.stdout


def test_a_refusal_for_good_fails_the_command(run):
    refusal = (grpc.StatusCode.INVALID_ARGUMENT, "broken", ())

    result, received = run("generate", "logs", "--otlp-endpoint", "SERVER", "--logs=500", "--rate=0", answers=[refusal])

    assert result.exit_code == 1
    assert "failed     100" in result.stdout
    assert len(received.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["traces", "--traces=0"], "--duration must be greater than 0"),
        (["traces", "--duration", "soon"], "is not a duration"),
        (["traces", "--status-code", "7"], "not one of Unset, Error, Ok"),
        (["traces", "--otlp-http", "--protocol", "grpc"], "exclude each other"),
        (["traces", "--otlp-attributes", "zone"], "is not an attribute"),
        (["traces", "--otlp-header", "zone"], "is not a header"),
        (["traces", "--otlp-insecure-skip-verify"], "use --ca-cert"),
        (["traces", "--mtls"], "--client-cert and --client-key"),
        (["logs", "--trace-id", "abc"], "32 hexadecimal digits"),
        (["metrics", "--metric-type", "Timer"], "not one of Gauge"),
    ],
)
def test_a_wrong_option_is_explained(arguments, complaint):
    result = CliRunner().invoke(app, ["generate", *arguments], env={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert complaint in result.output


def test_the_demo_plays_for_a_while_and_gives_an_account(run):
    result, received = run(
        *("demo", "--endpoint", "SERVER", "--no-history", "--duration", "1.5s", "--rate", "30", "--seed", "5"),
        *("--incident-after", "1s"),
    )

    assert result.exit_code == 0, result.output
    assert {service for service, _ in received.requests} >= {"trace.v1.TraceService", "logs.v1.LogsService"}
    assert "airis services" in result.stdout
    assert "The incident begins" in result.stdout
    assert "traces: " in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_during_the_start_ends_the_airis_that_was_started(monkeypatch, number):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def nobody_listens(port):
        return False

    async def start():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(demo, "accepts", nobody_listens)
    monkeypatch.setattr(demo, "start_airis", start)
    playing = asyncio.create_task(demo._play(None, 1, 60, 1, 0, math.inf))
    await begun.wait()
    signal.raise_signal(number)

    with pytest.raises(asyncio.CancelledError):
        await playing
    assert ended.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_play_with_an_account(monkeypatch, grpc_server, number):
    def stop_at_once(shop, tell):
        return lambda now: signal.raise_signal(number)

    monkeypatch.setattr(demo, "Announcer", stop_at_once)
    async with grpc_server() as server:
        play = await demo._play(server.address, 20, 60, 1, 0, math.inf)

    assert all(account.complete and account.sent for account in play.account.values())


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from airis.service.commands import demo, generate; "
        "print([m for m in ('grpc', 'aiohttp', 'google.protobuf', 'pydantic', 'rich.console') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() in ("[]", "['rich.console']")
