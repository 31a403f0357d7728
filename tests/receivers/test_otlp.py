"""The otlp receiver as SDKs and operators meet it: unmodified exporters, held callers, options, shutdown."""

import asyncio
import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from pydantic import ValidationError

from airis.component import Kind, StartError
from airis.component.testing import FakeHost, Sink, build
from airis.data import Signal, kernels
from airis.receivers.otlp import OtlpConfig, admission

from .conftest import SERVICES, Client, GrpcClient, HttpClient, Otlp, StartOtlp, request_of


def span_exporter(otlp: Otlp, kind: str, **options: Any) -> SpanExporter:
    if kind == "grpc":
        return GrpcSpanExporter(otlp.grpc_address, insecure=True)
    return HttpSpanExporter(f"{otlp.url}/v1/traces", compression=Compression(kind))


def metric_exporter(otlp: Otlp, kind: str) -> MetricExporter:
    if kind == "grpc":
        return GrpcMetricExporter(otlp.grpc_address, insecure=True)
    return HttpMetricExporter(f"{otlp.url}/v1/metrics", compression=Compression(kind))


def log_exporter(otlp: Otlp, kind: str) -> LogRecordExporter:
    if kind == "grpc":
        return GrpcLogExporter(otlp.grpc_address, insecure=True)
    return HttpLogExporter(f"{otlp.url}/v1/logs", compression=Compression(kind))


each_exporter = pytest.mark.parametrize("kind", ["grpc", "none", "gzip", "deflate"])


@each_exporter
async def test_spans_of_the_python_sdk_arrive(otlp: Otlp, kind: str) -> None:
    def send() -> None:
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(span_exporter(otlp, kind)))
        with provider.get_tracer("shop").start_as_current_span("checkout", attributes={"items": 3}):
            pass
        assert provider.force_flush()
        provider.shutdown()

    await asyncio.to_thread(send)

    spans = ExportTraceServiceRequest.FromString(otlp.sink.batches[0].payload).resource_spans[0].scope_spans[0].spans
    assert [(span.name, span.attributes[0].value.int_value) for span in spans] == [("checkout", 3)]


@each_exporter
async def test_metrics_of_the_python_sdk_arrive(otlp: Otlp, kind: str) -> None:
    def send() -> None:
        provider = MeterProvider([PeriodicExportingMetricReader(metric_exporter(otlp, kind))])
        provider.get_meter("shop").create_counter("orders").add(7)
        assert provider.force_flush()
        provider.shutdown()

    await asyncio.to_thread(send)

    scope = ExportMetricsServiceRequest.FromString(otlp.sink.batches[0].payload).resource_metrics[0].scope_metrics[0]
    assert [(m.name, m.sum.data_points[0].as_int) for m in scope.metrics] == [("orders", 7)]


@each_exporter
async def test_log_records_of_the_python_sdk_arrive(otlp: Otlp, kind: str) -> None:
    def send() -> None:
        provider = LoggerProvider()
        provider.add_log_record_processor(BatchLogRecordProcessor(log_exporter(otlp, kind)))
        provider.get_logger("shop").emit(body="sold out", severity_text="WARN")
        assert provider.force_flush()
        provider.shutdown()

    await asyncio.to_thread(send)

    scope = ExportLogsServiceRequest.FromString(otlp.sink.batches[0].payload).resource_logs[0].scope_logs[0]
    assert [(r.body.string_value, r.severity_text) for r in scope.log_records] == [("sold out", "WARN")]


async def test_200_callers_are_held_at_once_and_answered_when_their_data_was_taken(
    otlp: Otlp, client: Client, signal: Signal
) -> None:
    otlp.sink.gate.clear()
    if isinstance(client, HttpClient):
        await client.session.close()
        client.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    calls = [asyncio.create_task(client.export(signal, request_of(signal))) for _ in range(200)]

    await otlp.sink.until_held(200)

    assert not any(call.done() for call in calls)
    otlp.sink.gate.set()
    assert {outcome.code for outcome in await asyncio.gather(*calls)} <= {"OK", "200"}
    assert otlp.sink.items == 200


async def test_a_batch_says_where_it_came_from_and_when(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(component_id="otlp/edge", clock=lambda: 1_700_000_000_000_000_001)

    await otlp.client(kind).export(Signal.LOGS, request_of(Signal.LOGS))

    batch = otlp.sink.batches[0]
    assert batch.origin.receiver == "otlp/edge"
    assert batch.origin.transport == ("grpc" if kind == "grpc" else "http")
    assert batch.origin.metadata == {}
    assert batch.arrived_unix_nano == 1_700_000_000_000_000_001


@pytest.mark.parametrize("transport", ["python"])
@pytest.mark.parametrize(("spans", "in_loop"), [(1, True), (30_000, False)], ids=["small", "large"])
async def test_json_that_takes_long_is_read_in_a_thread(
    otlp: Otlp, monkeypatch: pytest.MonkeyPatch, spans: int, in_loop: bool
) -> None:
    readers: list[threading.Thread] = []

    def from_json(signal: Signal, body: bytes) -> bytes:
        readers.append(threading.current_thread())
        return kernels.from_json(signal, body)

    monkeypatch.setattr(admission, "kernels", SimpleNamespace(**{**vars(kernels), "from_json": from_json}))
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b]}]}]}' % b",".join([b"{}"] * spans)

    async with (
        aiohttp.ClientSession(headers={"content-type": "application/json"}) as session,
        session.post(f"{otlp.url}/v1/traces", data=body) as reply,
    ):
        assert reply.status == 200

    assert [reader is threading.current_thread() for reader in readers] == [in_loop]
    assert otlp.sink.items == spans


HEADERS = {"x-team": "checkout", "authorization": "Bearer secret", "cookie": "secret"}


async def test_metadata_is_handed_on_without_credentials_where_it_is_asked_for(
    start_otlp: StartOtlp, kind: str
) -> None:
    otlp = await start_otlp(grpc={"include_metadata": True}, http={"include_metadata": True})
    client = otlp.client(kind)

    if isinstance(client, GrpcClient):
        await client.export(Signal.LOGS, request_of(Signal.LOGS), tuple(HEADERS.items()))
    else:
        await client.export(Signal.LOGS, request_of(Signal.LOGS), {"X-Team": "checkout", **HEADERS})

    metadata = otlp.sink.batches[0].origin.metadata
    assert metadata["x-team"] == ("checkout",)
    assert not metadata.keys() & {"authorization", "cookie", "content-length", "content-type", "te"}
    assert "secret" not in str(metadata)


async def test_grpc_health_and_reflection_name_the_services_that_are_used(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(downstream={Signal.TRACES: Sink(), Signal.LOGS: Sink()})
    used = {SERVICES[Signal.TRACES], SERVICES[Signal.LOGS]}
    async with grpc.aio.insecure_channel(otlp.grpc_address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", *used):
            reply = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError, match="NOT_FOUND"):
            await health.Check(health_pb2.HealthCheckRequest(service=SERVICES[Signal.METRICS]))

        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        symbol = SERVICES[Signal.TRACES]
        ask = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol),
        ]
        listed, described = [reply async for reply in reflection.ServerReflectionInfo(iter(ask))]

    assert {s.name for s in listed.list_services_response.service if s.name.startswith("opentelemetry")} == used
    assert described.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_taken_port_says_which_option_changes_it(otlp: Otlp, tmp_path: Any, protocol: str) -> None:
    taken = otlp.grpc_address if protocol == "grpc" else otlp.url.removeprefix("http://")
    options = {"grpc": {"endpoint": "localhost:0"}, "http": {"endpoint": "localhost:0"}}
    options[protocol]["endpoint"] = taken
    second = build("otlp", {"protocols": options}, Sink(), kind=Kind.RECEIVER)

    with pytest.raises(StartError, match="the port is taken") as error:
        await second.start(FakeHost(tmp_path))

    assert str(error.value) == f'protocols::{protocol}::endpoint: "{taken}": {error.value.reason.partition(": ")[2]}'
    first_protocol = second.endpoints().get("OTLP gRPC")
    assert protocol == "grpc" or first_protocol is not None
    if protocol == "http":  # what had started before is closed again
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", int(first_protocol.rpartition(":")[2]))


async def test_unix_sockets_serve_both_protocols(start_otlp: StartOtlp, tmp_path: Any, transport: str) -> None:
    otlp = await start_otlp(
        options={"transport": "auto" if transport == "native" else transport},
        grpc={"transport": "unix", "endpoint": str(tmp_path / "grpc")},
        http={"transport": "unix", "endpoint": str(tmp_path / "http")},
    )
    client = otlp.client("grpc")

    assert (await client.export(Signal.LOGS, request_of(Signal.LOGS))).code == "OK"
    connector = aiohttp.UnixConnector(str(tmp_path / "http"))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://x/v1/logs", json={}) as reply,
    ):
        assert reply.status == 200
    assert otlp.receiver.endpoints() == {
        "OTLP gRPC": f"unix:{tmp_path}/grpc",
        "OTLP HTTP": f"unix:{tmp_path}/http",
    }


async def test_paths_can_be_changed(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(http={"traces_url_path": "custom"})
    async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as session:
        async with session.post(f"{otlp.url}/custom", data=b"{}") as reply:
            assert reply.status == 200
        async with session.post(f"{otlp.url}/v1/traces", data=b"{}") as reply:
            assert reply.status == 404


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (None, "write at least one of grpc and http"),
        ({"protocols": {}}, "write at least one of grpc and http"),
        ({"protocols": {"http": {"enabled": False}}}, "write at least one of grpc and http"),
        ({"protocols": {"grpc": {"max_recv_msg_size_mb": 4}}}, "max_recv_msg_size_mb"),
        ({"protocols": {"http": {"logs_url_path": "/v1/traces"}}}, "must differ"),
        ({"protocols": {"http": {"traces_url_path": ""}}}, "must not be empty"),
        ({"protocols": {"grpc": {"tls": {"cert_pem": "x"}}}}, "needs either key_file or key_pem"),
        (
            {"protocols": {"grpc": {"tls": {"cert_pem": "x", "key_pem": "y", "min_version": "1.3"}}}},
            "tls::min_version: gRPC offers TLS 1.2 and 1.3",
        ),
        (
            {"protocols": {"http": {"tls": {"cert_pem": "x", "key_pem": "y", "cipher_suites": ["RC4"]}}}},
            'cipher suite "RC4" is not known',
        ),
    ],
)
def test_options_that_make_no_sense_are_errors(options: Mapping[str, Any] | None, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        OtlpConfig.model_validate(options)


def test_null_protocols_are_on_at_the_collectors_addresses() -> None:
    protocols = OtlpConfig.model_validate({"protocols": {"grpc": None, "http": None}}).protocols

    assert protocols.grpc is not None
    assert protocols.http is not None
    assert (protocols.grpc.endpoint, protocols.http.endpoint) == ("localhost:4317", "localhost:4318")


def test_grpc_options_reach_grpcio() -> None:
    grpc_options = {
        "max_recv_msg_size_mib": 64,
        "max_concurrent_streams": 7,
        "keepalive": {
            "server_parameters": {"max_connection_age": "1m", "time": "30s", "timeout": "1500ms"},
            "enforcement_policy": {"min_time": "10s", "permit_without_stream": True},
        },
    }
    config = OtlpConfig.model_validate({"protocols": {"grpc": grpc_options}}).protocols.grpc

    assert config is not None
    assert dict(config.channel_arguments()) == {
        "grpc.max_receive_message_length": 64 * 1024 * 1024,
        "grpc.so_reuseport": 0,
        "grpc.max_concurrent_streams": 7,
        "grpc.max_connection_age_ms": 60_000,
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 1500,
        "grpc.http2.min_ping_interval_without_data_ms": 10_000,
        "grpc.keepalive_permit_without_calls": 1,
    }


def test_grpc_times_that_grpcio_cannot_count_are_the_longest_it_can() -> None:
    keepalive = {"server_parameters": {"max_connection_age": "720h"}}
    config = OtlpConfig.model_validate({"protocols": {"grpc": {"keepalive": keepalive}}}).protocols.grpc

    assert config is not None
    assert dict(config.channel_arguments())["grpc.max_connection_age_ms"] == 2**31 - 2


async def test_a_shutdown_answers_those_held_when_their_data_is_taken(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(grace_s=30.0)
    client = otlp.client(kind)
    otlp.sink.gate.clear()
    call = asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS)))
    await otlp.sink.until(waiting=1)

    shutdown = asyncio.create_task(otlp.receiver.shutdown())
    late = await refused_connection(otlp, kind)
    otlp.sink.gate.set()
    await shutdown

    assert (await call).code in ("OK", "200")
    assert late
    assert otlp.sink.items == 1


async def refused_connection(otlp: Otlp, kind: str) -> bool:
    """Return once the port takes no new connection."""
    port = int((otlp.grpc_address if kind == "grpc" else otlp.url).rpartition(":")[2])
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # it was closed with the connection in its queue
            continue
        writer.close()
        await asyncio.sleep(0)


async def test_a_shutdown_tells_those_held_too_long_to_come_back(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(grace_s=0.0)
    client = otlp.client(kind)
    otlp.sink.gate.clear()
    call = asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS)))
    await otlp.sink.until(waiting=1)

    await otlp.receiver.shutdown()

    outcome = await call
    assert outcome.code in ("UNAVAILABLE", "503")
    assert outcome.status is not None
    assert outcome.status.message == "shutting down"
    assert not otlp.sink.batches


async def test_a_grpc_client_that_leaves_takes_its_batch_along(otlp: Otlp) -> None:
    otlp.sink.gate.clear()
    call = asyncio.create_task(otlp.client("grpc").export(Signal.LOGS, request_of(Signal.LOGS)))
    await otlp.sink.until(waiting=1)

    call.cancel()

    async with asyncio.timeout(10):
        while otlp.sink.waiting:  # noqa: ASYNC110  (the sink has no event for a caller that left)
            await asyncio.sleep(0)
    assert not otlp.sink.batches


async def test_shutdown_may_come_twice_and_before_start() -> None:
    receiver = build("otlp", {"protocols": {"grpc": {}, "http": {}}}, Sink(), kind=Kind.RECEIVER)

    await receiver.shutdown()
    await receiver.shutdown()
