"""Sending as the OTLP specification asks: what is repeated, when, and what is counted."""

import asyncio
import random
from datetime import UTC, datetime
from email.utils import format_datetime

import grpc
import pytest
from aiohttp import web
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from airis.data import Signal
from airis.demo.sender import Outcome, Sender
from airis.demo.transports import Target, WireProtocol, connect, retry_after_s

PAYLOAD = b"\x0a\x00"  # one resource with nothing in it


class Sleeps:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 0.0
        self.taken = []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        self.taken.append(seconds)


def sender_to(target, sleeps, **options):
    transport = connect(target, lambda _, payload: b'{"resourceLogs":[{}]}')
    return Sender(transport, clock=sleeps.clock, sleep=sleeps.sleep, rng=random.Random(7), **options)


def refusal(code, retry_delay_s=None):
    if retry_delay_s is None:
        return code, "not now", ()
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(retry_delay_s * 1000))
    detail = Any()
    detail.Pack(info)
    status = Status(code=code.value[0], message="not now", details=[detail])
    return code, "not now", (("grpc-status-details-bin", status.SerializeToString()),)


@pytest.mark.parametrize("protocol", WireProtocol)
async def test_no_answer_in_time_counts_as_refused(protocol):
    silent = await asyncio.start_server(lambda reader, writer: asyncio.Event().wait(), "127.0.0.1", 0)
    endpoint = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    sleeps = Sleeps()

    async with sender_to(Target(protocol, endpoint, timeout_s=0.05), sleeps, give_up_after_s=0.6) as sender:
        outcome = await sender.send(Signal.LOGS, PAYLOAD)
    silent.close()

    assert outcome.failed
    assert outcome.refusals >= 1
    assert len(sleeps.taken) == outcome.refusals - 1


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(5.0, 5.0), (0.0, None), (float("inf"), None)])
def test_a_timeout_of_nothing_is_for_ever(timeout_s, patience_s):
    assert Target(timeout_s=timeout_s).patience_s == patience_s


async def test_the_port_of_the_other_protocol_is_told_at_once(grpc_server, http_server):
    sleeps = Sleeps()
    async with http_server() as server, sender_to(Target(endpoint=server.address), sleeps) as sender:
        to_http = await sender.send(Signal.LOGS, PAYLOAD)
    async with grpc_server() as server, sender_to(Target(WireProtocol.HTTP, server.address), sleeps) as sender:
        to_grpc = await sender.send(Signal.LOGS, PAYLOAD)

    assert (to_http.failed, to_grpc.failed, sleeps.taken) == (True, True, [])
    assert "choose --protocol http" in to_http.message
    assert "choose --protocol grpc" in to_grpc.message


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.METRICS, Signal.LOGS])
async def test_grpc_sends_the_payload_as_it_is_with_the_headers(grpc_server, signal):
    async with grpc_server() as server:
        target = Target(endpoint=server.address, headers={"X-Tenant": "blue"})
        async with sender_to(target, Sleeps()) as sender:
            outcome = await sender.send(signal, PAYLOAD)

    assert outcome == Outcome()
    [(service, body)] = server.requests
    assert service.startswith(signal.value.rstrip("s") + ("s." if signal is not Signal.TRACES else "."))
    assert body == PAYLOAD
    assert server.headers[0]["x-tenant"] == "blue"


async def test_grpc_waits_as_long_as_retry_info_says(grpc_server):
    answers = refusal(grpc.StatusCode.UNAVAILABLE, 2.5), refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.25), b""
    async with grpc_server(*answers) as server:
        sleeps = Sleeps()
        async with sender_to(Target(endpoint=server.address), sleeps) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(refusals=2)
    assert sleeps.taken == [2.5, 0.25]
    assert len(server.requests) == 3


async def test_without_a_hint_the_waits_double_with_jitter(grpc_server):
    async with grpc_server(*[refusal(grpc.StatusCode.UNAVAILABLE)] * 4, b"") as server:
        sleeps = Sleeps()
        async with sender_to(Target(endpoint=server.address), sleeps) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(refusals=4)
    for wait_s, middle_s in zip(sleeps.taken, (0.5, 1, 2, 4), strict=True):
        assert 0.5 * middle_s <= wait_s <= 1.5 * middle_s
    assert sleeps.taken != [0.5, 1, 2, 4]


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_grpc_does_not_repeat_what_would_fail_again(grpc_server, code):
    async with grpc_server(refusal(code)) as server, sender_to(Target(endpoint=server.address), Sleeps()) as sender:
        outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(failed=True, message=f"{code.name}: not now")
    assert len(server.requests) == 1


async def test_gives_up_when_the_request_is_too_old(grpc_server):
    async with grpc_server(refusal(grpc.StatusCode.UNAVAILABLE, 20)) as server:
        sleeps = Sleeps()
        async with sender_to(Target(endpoint=server.address), sleeps, give_up_after_s=60) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(refusals=4, failed=True, message="given up: UNAVAILABLE: not now")
    assert sleeps.taken == [20, 20, 20]


async def test_a_partial_success_is_not_repeated_and_its_items_are_counted(grpc_server):
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    answer.partial_success.error_message = "too long ago"
    async with (
        grpc_server(answer.SerializeToString()) as server,
        sender_to(Target(endpoint=server.address), Sleeps()) as sender,
    ):
        outcome = await sender.send(Signal.TRACES, PAYLOAD)

    assert outcome == Outcome(rejected=3, message="too long ago")
    assert len(server.requests) == 1


async def test_nobody_there_is_a_refusal_and_no_crash(unused_port):
    for protocol in (WireProtocol.GRPC, WireProtocol.HTTP):
        target = Target(protocol, f"127.0.0.1:{unused_port}")
        async with sender_to(target, Sleeps(), give_up_after_s=1) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

        assert outcome.failed
        assert outcome.refusals >= 1


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("protocol", "content_type", "body"),
    [
        (WireProtocol.HTTP, "application/x-protobuf", PAYLOAD),
        (WireProtocol.JSON, "application/json", b'{"resourceLogs":[{}]}'),
    ],
)
async def test_http_sends_protobuf_or_json(http_server, protocol, content_type, body):
    async with http_server() as server:
        target = Target(protocol, f"http://{server.address}/base", headers={"x-tenant": "blue"})
        async with sender_to(target, Sleeps()) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome()
    assert server.requests == [("/base/v1/logs", body)]
    assert server.headers[0]["content-type"] == content_type
    assert server.headers[0]["x-tenant"] == "blue"


async def test_the_kernels_encode_json(http_server):
    async with http_server() as server:
        target = Target(WireProtocol.JSON, server.address)
        async with Sender(connect(target)) as sender:
            await sender.send(Signal.LOGS, PAYLOAD)

    assert b'"resourceLogs"' in server.requests[0][1]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_http_waits_as_long_as_retry_after_says(http_server, status):
    def busy():
        return web.Response(status=status, headers={"Retry-After": "3"})

    async with http_server(busy, web.Response) as server:
        sleeps = Sleeps()
        async with sender_to(Target(WireProtocol.HTTP, server.address), sleeps) as sender:
            outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(refusals=1)
    assert sleeps.taken == [3]


@pytest.mark.parametrize("status", [400, 401, 413, 500, 302])
async def test_http_does_not_repeat_what_would_fail_again(http_server, status):
    def refuse():
        return web.Response(status=status, body=Status(message="no").SerializeToString())

    async with http_server(refuse) as server, sender_to(Target(WireProtocol.HTTP, server.address), Sleeps()) as sender:
        outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome.failed
    assert outcome.message.startswith(f"{status} ")
    assert outcome.message.endswith(": no")
    assert len(server.requests) == 1


@pytest.mark.parametrize("as_json", [False, True], ids=["protobuf", "json"])
async def test_http_counts_a_partial_success(http_server, as_json):
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 2

    def partial():
        if as_json:
            return web.json_response({"partialSuccess": {"rejectedLogRecords": "2"}, "later": 1})
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")

    async with http_server(partial) as server, sender_to(Target(WireProtocol.HTTP, server.address), Sleeps()) as sender:
        outcome = await sender.send(Signal.LOGS, PAYLOAD)

    assert outcome == Outcome(rejected=2)


def test_retry_after_is_seconds_or_a_date():
    at = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)

    def clock():
        return at.timestamp() - 30

    assert retry_after_s("7", clock) == 7
    assert retry_after_s(format_datetime(at, usegmt=True), clock) == 30
    assert retry_after_s("soon", clock) is None
    assert retry_after_s(None, clock) is None


@pytest.mark.parametrize(
    ("target", "authority", "plaintext"),
    [
        (Target(), "localhost:4317", True),
        (Target(WireProtocol.HTTP), "localhost:4318", True),
        (Target(endpoint="127.0.0.2"), "127.0.0.2:4317", True),
        (Target(endpoint="[::1]:9"), "[::1]:9", True),
        (Target(endpoint="collector.example:4317"), "collector.example:4317", False),
        (Target(endpoint="collector.example:4317", insecure=True), "collector.example:4317", True),
        (Target(endpoint="localhost:4317", insecure=False), "localhost:4317", False),
        (Target(endpoint="http://collector.example:4317"), "collector.example:4317", True),
        (Target(endpoint="https://localhost:4317"), "localhost:4317", False),
    ],
)
def test_plaintext_only_to_this_machine_unless_told(target, authority, plaintext):
    assert target.authority == authority
    assert target.plaintext is plaintext
