"""The otlp_grpc exporter: bytes go out as they came, a sender is told what the server said, and only then."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.profiles.v1development.profiles_service_pb2 import ExportProfilesServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from pydantic import ValidationError
from typer.testing import CliRunner

from airis.component import Kind, Partial, Permanent, Retryable, StartError, Throttled, grpcio_client
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Signal
from airis.exporters.otlp_grpc import OtlpGrpcConfig, OtlpGrpcExporter
from airis.service import cli

from ..certificates import Authority
from ..running import Airis
from .otlp_servers import GrpcAnswer, GrpcServer, batch_of, free_port, status_of

Code = grpc.StatusCode
PLAIN = {"insecure": True}
ONCE = {"enabled": False}


class Sending:
    """Exporters and servers that are shut down with the test."""

    def __init__(self, stack: AsyncExitStack, folder: Path, transport: str) -> None:
        self._stack = stack
        self._folder = folder
        self.transport = transport

    async def exporter(self, endpoint: str, options: dict[str, Any] | None = None, **replaced: Any) -> OtlpGrpcExporter:
        all_options = {
            "endpoint": endpoint,
            "transport": self.transport,
            "tls": PLAIN,
            "retry_on_failure": ONCE,
            **(options or {}),
        }
        made: OtlpGrpcExporter = build("otlp_grpc", all_options, kind=Kind.EXPORTER, **replaced)
        await made.start(FakeHost(self._folder))
        self._stack.push_async_callback(made.shutdown)
        return made

    async def server(self, *where: Any) -> GrpcServer:
        server = GrpcServer()
        await server.start(*where)
        self._stack.push_async_callback(server.stop)
        return server


@pytest.fixture(params=["native", "python"])
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "native":
        pytest.importorskip("airis._core")
    return str(request.param)


@pytest.fixture
async def sending(tmp_path: Path, transport: str) -> AsyncIterator[Sending]:
    async with AsyncExitStack() as stack:
        yield Sending(stack, tmp_path, transport)


@pytest.fixture
async def server(sending: Sending) -> GrpcServer:
    return await sending.server()


@pytest.mark.parametrize("signal", list(Signal))
async def test_one_exporter_hands_the_bytes_of_every_signal_to_its_service(sending, server, signal) -> None:
    exporter = await sending.exporter(server.address)
    batch = batch_of(signal, 3)

    await exporter.consume(batch)

    (call,) = server.calls
    service = {
        "traces": "trace.v1.Trace",
        "metrics": "metrics.v1.Metrics",
        "logs": "logs.v1.Logs",
        "profiles": "profiles.v1development.Profiles",
    }[signal]
    assert call.method == f"/opentelemetry.proto.collector.{service}Service/Export"
    assert call.body == batch.payload


class Relay:
    """Hands a connection on to a server and counts what the client sent."""

    def __init__(self, server: GrpcServer) -> None:
        self._port = int(server.address.rpartition(":")[2])
        self.sent_bytes = 0
        self.address = ""

    async def start(self) -> asyncio.Server:
        listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return listening

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)

        async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter, *, count: bool) -> None:
            while piece := await source.read(65536):
                self.sent_bytes += len(piece) if count else 0
                to.write(piece)
            to.close()

        await asyncio.gather(copy(reader, up_writer, count=True), copy(up_reader, writer, count=False))


@pytest.mark.parametrize("items", [100, 5000], ids=["small", "large, from a thread"])
@pytest.mark.parametrize(
    ("options", "is_compressed"),
    [({}, True), ({"compression": "gzip"}, True), ({"compression": "none"}, False), ({"compression": ""}, False)],
    ids=["by default", "gzip", "none", "empty"],
)
async def test_the_same_bytes_arrive_and_fewer_travel_where_they_are_compressed(
    sending, server, items, options, is_compressed
) -> None:
    relay = Relay(server)
    async with await relay.start():
        exporter = await sending.exporter(relay.address, options)
        batch = batch_of(items=items, name="name" * 20)
        await exporter.consume(batch)
        await exporter.shutdown()

    assert server.calls[0].body == batch.payload
    assert (relay.sent_bytes < batch.size_bytes / 2) is is_compressed


@pytest.mark.parametrize(
    ("items", "options", "is_aside"),
    [(1, {}, False), (5000, {}, True), (5000, {"compression": "none"}, False)],
    ids=["small", "large", "large, but not compressed"],
)
async def test_what_takes_long_to_compress_does_not_hold_the_loop(
    tmp_path, server, monkeypatch, items, options, is_aside
) -> None:
    """With grpcio, which compresses where a call is started."""
    threads: list[int] = []
    channel = grpcio_client.open_channel

    class Noting:
        def __init__(self, channel: Any) -> None:
            self._channel = channel

        def unary_unary(self, *words: Any) -> Any:
            method = self._channel.unary_unary(*words)

            class Method:
                def future(self, *words: Any, **named: Any) -> Any:
                    threads.append(threading.get_ident())
                    return method.future(*words, **named)

            return Method()

        def close(self) -> None:
            self._channel.close()

    monkeypatch.setattr(grpcio_client, "open_channel", lambda config: Noting(channel(config)))
    async with AsyncExitStack() as stack:
        exporter = await Sending(stack, tmp_path, "python").exporter(server.address, options)
        await exporter.consume(batch_of(items=items))

    assert [thread != threading.get_ident() for thread in threads] == [is_aside]


async def test_joined_requests_go_out_as_one(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    one, two = batch_of(name="one"), batch_of(name="two")

    await exporter.consume(Batch(Signal.TRACES, one.payload + two.payload, 2))

    request = ExportTraceServiceRequest.FromString(server.calls[0].body)
    assert [r.scope_spans[0].spans[0].name for r in request.resource_spans] == ["one", "two"]


# What the server says, and what the sender is told: the specification's table.
RETRYABLE = [
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.ABORTED,
    Code.OUT_OF_RANGE,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
]
PERMANENT = [
    code for code in Code if code is not Code.OK and code is not Code.RESOURCE_EXHAUSTED and code not in RETRYABLE
]
OUTCOMES = [
    *((code, None, Retryable) for code in RETRYABLE),
    *((code, 2.5, Retryable) for code in RETRYABLE if code is not Code.UNAVAILABLE),
    *((code, None, Permanent) for code in PERMANENT),
    *((code, 2.5, Permanent) for code in PERMANENT),
    (Code.RESOURCE_EXHAUSTED, None, Permanent),
    (Code.RESOURCE_EXHAUSTED, 2.5, Throttled),
    (Code.RESOURCE_EXHAUSTED, 0.0, Throttled),
    (Code.UNAVAILABLE, 2.5, Throttled),
    (Code.UNAVAILABLE, 10.0**9, Throttled),
]


@pytest.mark.parametrize(
    ("code", "delay_s", "outcome"), OUTCOMES, ids=[f"{code.name}-{delay}" for code, delay, _ in OUTCOMES]
)
async def test_every_code_is_told_by_the_table(sending, server, code, delay_s, outcome) -> None:
    exporter = await sending.exporter(server.address)
    details = None if delay_s is None else status_of(code.value[0], "no", delay_s)
    server.answers = [GrpcAnswer(code, "no", details)]

    with pytest.raises(outcome, match=f"{code.name}: no") as told:
        await exporter.consume(batch_of())

    assert type(told.value) is outcome
    if isinstance(told.value, Retryable):
        assert told.value.retry_after == (None if delay_s is None else min(delay_s, 3600))
    assert len(server.calls) == 1


async def test_details_that_cannot_be_read_are_no_details(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    server.answers = [GrpcAnswer(Code.RESOURCE_EXHAUSTED, "no", b"\xff\xff")]

    with pytest.raises(Permanent):
        await exporter.consume(batch_of())


def partial(signal: Signal, rejected: int, message: str) -> bytes:
    if signal is Signal.TRACES:
        traces = ExportTraceServiceResponse()
        traces.partial_success.rejected_spans, traces.partial_success.error_message = rejected, message
        return traces.SerializeToString()
    if signal is Signal.METRICS:
        metrics = ExportMetricsServiceResponse()
        metrics.partial_success.rejected_data_points, metrics.partial_success.error_message = rejected, message
        return metrics.SerializeToString()
    if signal is Signal.PROFILES:
        profiles = ExportProfilesServiceResponse()
        profiles.partial_success.rejected_profiles, profiles.partial_success.error_message = rejected, message
        return profiles.SerializeToString()
    logs = ExportLogsServiceResponse()
    logs.partial_success.rejected_log_records, logs.partial_success.error_message = rejected, message
    return logs.SerializeToString()


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize(("said", "told"), [(2, 2), (7, 5)], ids=["some", "more than there were"])
async def test_a_partial_success_is_told_with_its_count(sending, server, signal, said, told) -> None:
    exporter = await sending.exporter(server.address, {"retry_on_failure": {}})
    server.answers = [GrpcAnswer(body=partial(signal, said, "too old"))]

    with pytest.raises(Partial, match="too old") as raised:
        await exporter.consume(batch_of(signal, 5))
    assert raised.value.rejected == told
    assert len(server.calls) == 1


@pytest.mark.parametrize("rejected", [0, -3])
async def test_a_warning_is_logged_now_and_then_and_is_a_success(sending, server, rejected, capsys) -> None:
    exporter = await sending.exporter(server.address)
    server.answers = [GrpcAnswer(body=partial(Signal.TRACES, rejected, "please\nupdate"))] * 2

    await exporter.consume(batch_of())
    await exporter.consume(batch_of())

    assert capsys.readouterr().out.count("please\\nupdate") == 1


async def test_an_answer_that_cannot_be_read_is_no_acknowledgement(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    server.answers = [GrpcAnswer(body=b"\xff\xff\xff")]

    with pytest.raises(Permanent, match="cannot be read"):
        await exporter.consume(batch_of())


async def test_the_servers_words_are_kept_to_a_line(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    server.answers = [GrpcAnswer(Code.INVALID_ARGUMENT, "bad\n\x1b[31m" + "x" * 5000)]

    with pytest.raises(Permanent) as told:
        await exporter.consume(batch_of())
    assert str(told.value).startswith("INVALID_ARGUMENT: bad\\n\\x1b[31mxxx")
    assert len(str(told.value)) < 400
    assert str(told.value).isprintable()


async def test_a_server_that_is_not_there_is_no_end(sending) -> None:
    exporter = await sending.exporter(f"127.0.0.1:{free_port()}")

    with pytest.raises(Retryable, match=r"UNAVAILABLE: .*[Rr]efused"):
        await exporter.consume(batch_of())


async def test_a_server_that_hangs_is_given_up_after_the_timeout(sending, server) -> None:
    exporter = await sending.exporter(server.address, {"timeout": "200ms"})
    server.gate.clear()

    with pytest.raises(Retryable, match="DEADLINE_EXCEEDED"):
        await exporter.consume(batch_of())


async def test_a_server_of_another_protocol_is_named(sending) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(speak, "127.0.0.1", 0)
    exporter = await sending.exporter(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    with pytest.raises(Retryable, match="it speaks HTTP and not gRPC"):
        await exporter.consume(batch_of())
    listening.close()


async def test_what_a_server_refused_for_now_is_sent_again_and_acknowledged_then(sending, server) -> None:
    clock = ManualClock()
    exporter = await sending.exporter(
        server.address, {"retry_on_failure": {}}, clock=clock, sleep=clock.sleep, rng=lambda: 0.5
    )
    server.answers = [GrpcAnswer(Code.UNAVAILABLE, "busy"), GrpcAnswer(Code.UNAVAILABLE, "busy")]
    call = asyncio.create_task(exporter.consume(batch_of()))
    await until(clock, lambda: len(server.calls) == 1)
    assert not call.done()
    await until(clock, call.done, 1)

    await call
    assert len(server.calls) == 3
    assert clock.now >= 12.5
    assert exporter.sending.retry.failures.value == 2


async def until(clock: ManualClock, true: Callable[[], bool], step_s: float = 0) -> None:
    """Let time pass until it is so; calls are made by threads of gRPC's own."""
    async with asyncio.timeout(20):
        while not true():
            await clock.advance(step_s)
            await asyncio.sleep(0.01)


async def test_a_server_that_goes_away_and_comes_back_gets_everything_once_acknowledged(sending, server) -> None:
    retry = {"initial_interval": "50ms", "max_interval": "200ms"}
    exporter = await sending.exporter(server.address, {"retry_on_failure": retry})
    await exporter.consume(batch_of(name="before"))
    port = server.address.rpartition(":")[2]
    await server.stop()

    calls = [asyncio.create_task(exporter.consume(batch_of(name=f"away {n}"))) for n in range(20)]
    await asyncio.sleep(0.3)
    assert not any(call.done() for call in calls)

    back = await sending.server(f"127.0.0.1:{port}")
    await asyncio.wait_for(asyncio.gather(*calls), 20)
    names = {
        ExportTraceServiceRequest.FromString(call.body).resource_spans[0].scope_spans[0].spans[0].name
        for call in back.calls
    }
    assert names == {f"away {n}" for n in range(20)}


@pytest.mark.parametrize("batch", [batch_of(), batch_of(items=20_000)], ids=["small", "large, from a thread"])
async def test_a_sender_that_leaves_ends_its_call(sending, server, batch) -> None:
    exporter = await sending.exporter(server.address)
    server.gate.clear()
    call = asyncio.create_task(exporter.consume(batch))
    await asyncio.wait_for(server.until_held(1), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await until(ManualClock(), lambda: server.left == 1)
    server.gate.set()
    assert server.calls == []


async def test_a_sender_that_leaves_while_it_is_compressed_sends_nothing(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    call = asyncio.create_task(exporter.consume(batch_of(items=20_000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    server.gate.clear()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0.5)
    server.gate.set()

    await exporter.consume(batch_of(name="after"))
    assert len(server.calls) == 1


async def test_a_thousand_senders_have_ten_calls_under_way(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    server.gate.clear()
    calls = [asyncio.create_task(exporter.consume(batch_of(name=str(n)))) for n in range(1000)]
    await asyncio.wait_for(server.until_held(10), 10)
    await asyncio.sleep(0.1)
    assert not any(call.done() for call in calls)
    server.gate.set()
    await asyncio.wait_for(asyncio.gather(*calls), 60)

    assert server.most_held == 10
    assert len({call.body for call in server.calls}) == len(server.calls) == 1000


async def test_shutdown_waits_for_calls_under_way_and_takes_no_more(sending, server) -> None:
    exporter = await sending.exporter(server.address, {"sending_queue": {"num_consumers": 1, "wait_for_result": True}})
    server.gate.clear()
    first, second = (asyncio.create_task(exporter.consume(batch_of())) for _ in range(2))
    await asyncio.wait_for(server.until_held(1), 10)
    closing = asyncio.create_task(exporter.shutdown())
    await asyncio.sleep(0.1)
    assert not closing.done()

    server.gate.set()
    await asyncio.wait_for(closing, 10)
    await first
    await second  # it was in the queue
    with pytest.raises(Retryable):
        await exporter.consume(batch_of())
    await exporter.shutdown()


async def test_it_can_be_shut_down_before_its_start() -> None:
    made = build("otlp_grpc", {"endpoint": "localhost:1"}, kind=Kind.EXPORTER)
    await made.shutdown()
    with pytest.raises(Retryable):
        await made.consume(batch_of())


async def test_headers_and_the_user_agent_are_sent(sending, server) -> None:
    headers = {"Authorization": "Bearer secret", "x-tenant-bin": "blå"}
    exporter = await sending.exporter(server.address, {"headers": headers, "user_agent": "shop/1"})

    await exporter.consume(batch_of())

    metadata = server.calls[0].metadata
    assert metadata["authorization"] == "Bearer secret"
    assert metadata["x-tenant-bin"] == "blå".encode()
    assert metadata["user-agent"].startswith("shop/1 ")


async def test_it_calls_itself_airis(sending, server) -> None:
    exporter = await sending.exporter(server.address)
    await exporter.consume(batch_of())

    assert server.calls[0].metadata["user-agent"].startswith("airis/")


def test_values_of_headers_are_never_shown() -> None:
    config = OtlpGrpcConfig.model_validate({"endpoint": "a:1", "headers": {"authorization": "Bearer secret"}})

    assert "secret" not in repr(config)
    assert "secret" not in str(config.model_dump())
    assert "secret" not in config.model_dump_json()


@pytest.mark.parametrize("form", ["unix://{}", "unix:{}"])
async def test_a_unix_socket_is_a_server_too(sending, tmp_path, form) -> None:
    path = tmp_path / "otlp.sock"
    server = await sending.server(f"unix:{path}")
    exporter = await sending.exporter(form.format(path))

    await exporter.consume(batch_of())
    assert len(server.calls) == 1


@pytest.mark.parametrize("form", ["{}", "dns:///{}", "http://{}", "http://{}/"])
@pytest.mark.parametrize("balancer", ["round_robin", "pick_first"])
async def test_an_endpoint_has_several_forms(sending, server, form, balancer) -> None:
    exporter = await sending.exporter(form.format(server.address), {"balancer_name": balancer})
    await exporter.consume(batch_of())

    assert len(server.calls) == 1


ENCRYPTED: dict[str, tuple[dict[str, Any], bool]] = {
    "by default": ({"endpoint": "a:1"}, True),
    "insecure": ({"endpoint": "a:1", "tls": {"insecure": True}}, False),
    "insecure, but an authority of its own": (
        {"endpoint": "a:1", "tls": {"insecure": True, "ca_file": "/ca.pem"}},
        True,
    ),
    "https, whatever insecure says": ({"endpoint": "https://a:1", "tls": {"insecure": True}}, True),
    "http": ({"endpoint": "http://a:1"}, False),
}


@pytest.mark.parametrize(("options", "encrypted"), ENCRYPTED.values(), ids=ENCRYPTED)
def test_what_is_encrypted(options: dict[str, Any], encrypted: bool) -> None:
    assert OtlpGrpcConfig.model_validate(options).is_encrypted is encrypted


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no endpoint": ({}, "Field required"),
    "an empty endpoint": ({"endpoint": ""}, 'such as "localhost:4317"'),
    "no port": ({"endpoint": "localhost"}, '"localhost" has no port; write "localhost:4317"'),
    "no number": ({"endpoint": "localhost:http"}, '"http" is no port'),
    "IPv6 as it is": ({"endpoint": "::1:4317"}, "in brackets"),
    "a path": ({"endpoint": "https://a:1/v1/traces"}, "gRPC has no paths"),
    "another scheme": ({"endpoint": "ftp://a:1"}, '"ftp" is not supported'),
    "http with TLS": ({"endpoint": "http://a:1", "tls": {"ca_file": "/ca"}}, "write https://"),
    "no check of the certificate, by grpcio": (
        {"endpoint": "a:1", "transport": "python", "tls": {"insecure_skip_verify": True}},
        "name its authority in ca_file",
    ),
    "a TLS version, by grpcio": (
        {"endpoint": "a:1", "transport": "python", "tls": {"min_version": "1.3"}},
        "tls::min_version",
    ),
    "another certificate, by grpcio": (
        {"endpoint": "a:1", "transport": "python", "tls": {"reload_interval": "1h"}},
        "tls::reload_interval: grpcio reads certificates once",
    ),
    "zstd, by grpcio": (
        {"endpoint": "a:1", "transport": "python", "compression": "zstd"},
        "grpcio has no zstd; write gzip or none, transport: native, or use otlp_http",
    ),
    "a transport": ({"endpoint": "a:1", "transport": "rust"}, "native"),
    "a name in a list of addresses": ({"endpoint": "ipv4:127.0.0.1:1,a:2"}, '"a:2" is no address of ipv4'),
    "an address of the other family": ({"endpoint": "ipv6:127.0.0.1:1"}, "is no address of ipv6"),
    "auth": ({"endpoint": "a:1", "auth": {}}, "Field required"),
    "middlewares": ({"endpoint": "a:1", "middlewares": [{"id": "x"}]}, "middlewares are not supported yet"),
    "a queue that waits for the disk": (
        {"endpoint": "a:1", "sending_queue": {"storage": "x", "wait_for_result": True}},
        "wait_for_result has no use with storage",
    ),
    "a balancer": ({"endpoint": "a:1", "balancer_name": "magic"}, "round_robin"),
    "gRPC's headers": ({"endpoint": "a:1", "headers": {"grpc-timeout": "1"}}, "gRPC's own"),
    "not a header": ({"endpoint": "a:1", "headers": {"a b": "1"}}, "not the name of a header"),
    "two lines": ({"endpoint": "a:1", "headers": {"a": "1\n2"}}, "line end"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_says_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OtlpGrpcConfig.model_validate(options)
    assert message in str(refused.value)


def test_a_secret_that_cannot_be_a_header_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        OtlpGrpcConfig.model_validate({"endpoint": "a:1", "headers": {"authorization": "hush\n"}})
    assert "hush" not in "".join(error["msg"] for error in refused.value.errors())


def test_the_collectors_options_are_taken() -> None:
    config = OtlpGrpcConfig.model_validate(
        {
            "endpoint": "dns:///otel:4317",
            "compression": "gzip",
            "keepalive": {"time": "20s", "timeout": "5s", "permit_without_stream": True},
            "read_buffer_size": 1,
            "write_buffer_size": 1,
            "wait_for_ready": True,
            "headers": [{"name": "x", "value": "1"}],
            "authority": "otel",
            "timeout": "10s",
            "retry_on_failure": {"enabled": True},
            "sending_queue": {"queue_size": 5000, "batch": {"flush_timeout": "1s"}},
        }
    )
    arguments = dict(grpcio_client.channel_arguments(config))
    assert arguments["grpc.keepalive_time_ms"] == 20_000
    assert arguments["grpc.default_authority"] == "otel"


async def test_it_waits_for_a_connection_where_it_is_told_to(sending) -> None:
    port = free_port()
    exporter = await sending.exporter(f"127.0.0.1:{port}", {"wait_for_ready": True, "timeout": "20s"})
    call = asyncio.create_task(exporter.consume(batch_of()))
    await asyncio.sleep(0.3)
    assert not call.done()
    server = await sending.server(f"127.0.0.1:{port}")
    await call

    assert len(server.calls) == 1


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


SecureServer = Callable[..., Awaitable[GrpcServer]]


@pytest.fixture
def secure_server(sending: Sending, authority: Authority) -> SecureServer:
    async def start(*, mutual: bool = False) -> GrpcServer:
        certificate, key = authority.sign("server")
        pair = (key.read_bytes(), certificate.read_bytes())
        clients = authority.file.read_bytes() if mutual else None
        return await sending.server("127.0.0.1:0", grpc.ssl_server_credentials([pair], clients, mutual))

    return start


@pytest.mark.parametrize("scheme", ["", "https://"])
async def test_tls_with_the_servers_authority(sending, secure_server, authority, scheme) -> None:
    server = await secure_server()
    exporter = await sending.exporter(f"{scheme}{server.address}", {"tls": {"ca_file": str(authority.file)}})

    await exporter.consume(batch_of())
    assert len(server.calls) == 1


async def test_the_authorities_of_the_system_are_trusted(sending, secure_server, authority, monkeypatch) -> None:
    server = await secure_server()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    exporter = await sending.exporter(server.address, {"tls": {}})

    await exporter.consume(batch_of())
    assert len(server.calls) == 1


async def test_a_server_of_another_authority_gets_nothing(sending, secure_server, tmp_path) -> None:
    server = await secure_server()
    other = Authority(tmp_path / "other", "other")
    exporter = await sending.exporter(server.address, {"tls": {"ca_file": str(other.file)}})

    with pytest.raises(Retryable, match="UNAVAILABLE"):
        await exporter.consume(batch_of())
    assert server.calls == []


async def test_a_certificate_may_have_another_name(sending, secure_server, authority) -> None:
    server = await secure_server()
    tls = {"ca_file": str(authority.file)}

    wrong = await sending.exporter(server.address, {"tls": {**tls, "server_name_override": "wrong.example"}})
    with pytest.raises(Retryable):
        await wrong.consume(batch_of())
    right = await sending.exporter(server.address, {"tls": {**tls, "server_name_override": "localhost"}})
    await right.consume(batch_of())


async def test_mutual_tls_needs_a_certificate(sending, secure_server, authority) -> None:
    server = await secure_server(mutual=True)
    certificate, key = authority.sign("client")
    tls = {"ca_file": str(authority.file)}
    without = await sending.exporter(server.address, {"tls": tls})
    with pytest.raises(Retryable):
        await without.consume(batch_of())

    own = {"cert_file": str(certificate), "key_file": str(key)}
    exporter = await sending.exporter(server.address, {"tls": {**tls, **own}})
    await exporter.consume(batch_of())
    assert len(server.calls) == 1


async def test_a_certificate_that_cannot_be_read_stops_the_start(sending, tmp_path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("nonsense")
    for file, option in ((tmp_path / "missing.pem", "tls::ca_file"), (broken, "tls::ca_file")):
        with pytest.raises(StartError) as stopped:
            await sending.exporter("localhost:1", {"tls": {"ca_file": str(file)}})
        assert stopped.value.option == option


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("served_by", ["python", "native"])
async def test_the_otlp_receiver_takes_it(sending, tmp_path, signal, served_by) -> None:
    if served_by == "native":
        pytest.importorskip("airis._core")
    sink = Sink()
    options = {"transport": served_by, "protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}
    receiver = build("otlp", options, sink, kind=Kind.RECEIVER, grace_s=0.0)
    await receiver.start(FakeHost(tmp_path))
    exporter = await sending.exporter(receiver.endpoints()["OTLP gRPC"])
    batch = batch_of(signal, 500)
    try:
        await exporter.consume(batch)
        sink.error = Retryable("full", retry_after=1.5)
        with pytest.raises(Retryable, match="UNAVAILABLE: full") as told:
            await exporter.consume(batch)
        sink.error = Partial(3, "three were bad")
        with pytest.raises(Partial, match="three were bad"):
            await exporter.consume(batch)
    finally:
        await receiver.shutdown()

    assert told.value.retry_after == 1.5
    assert [b.payload for b in sink.batches] == [batch.payload]


@pytest.mark.parametrize("spelling", ["otlp", "otlp_grpc"])
def test_both_spellings_are_taken_and_a_header_is_printed_masked(tmp_path: Path, spelling: str) -> None:
    file = tmp_path / "airis.yaml"
    file.write_text(
        f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{{spelling}/gateway: {{endpoint: "gateway:4317", headers: {{authorization: "Bearer hush"}}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [{spelling}/gateway]}}}}}}
"""
    )

    printed = [
        CliRunner().invoke(cli.app, ["print-config", *more, "--config", str(file)]) for more in ((), ("--defaults",))
    ]

    for result in printed:
        assert result.exit_code == 0
        assert "[REDACTED]" in result.stdout
        assert "hush" not in result.output


FROM = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters:
  otlp_grpc:
    endpoint: 127.0.0.1:{port}
    tls: {{insecure: true}}
    retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms}}
service:
  telemetry: {{metrics: {{address: "127.0.0.1:0"}}, logs: {{encoding: json}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_grpc]}}}}
"""
TO = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: {path}, append: true}}}}
service:
  telemetry: {{metrics: {{address: "127.0.0.1:0"}}, logs: {{encoding: json}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""


async def test_every_span_arrives_once_through_two_instances_though_the_second_restarts(tmp_path) -> None:
    port, written = free_port(), tmp_path / "spans.json"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    b = Airis(tmp_path / "b", TO.format(port=port, path=written))
    a = Airis(tmp_path / "a", FROM.format(port=port))
    names = [f"span {n}" for n in range(120)]
    try:
        await asyncio.to_thread(b.start)
        await asyncio.to_thread(a.start)
        async with grpc.aio.insecure_channel(a.grpc) as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            for name in names[:40]:
                await export(batch_of(name=name).payload, timeout=60)
            assert await asyncio.to_thread(b.stop) == 0
            away = [asyncio.ensure_future(export(batch_of(name=n).payload, timeout=60)) for n in names[40:80]]
            await asyncio.sleep(1)
            assert not any(call.done() for call in away)
            await asyncio.to_thread(b.start)
            await asyncio.gather(*away)
            await asyncio.gather(*(export(batch_of(name=n).payload, timeout=60) for n in names[80:]))
        assert a.counted("otelcol_exporter_sent_spans") == a.counted("otelcol_receiver_accepted_spans") == 120
        assert await asyncio.to_thread(a.stop) == 0
        assert await asyncio.to_thread(b.stop) == 0
    finally:
        a.end()
        b.end()

    text = written.read_text()
    assert [text.count(f'"{name}"') for name in names] == [1] * len(names)
