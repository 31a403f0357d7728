"""What only the native transport does: joining, limits, and clients that no library is."""

import asyncio
import gzip
import resource
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import cramjam
import grpc
import pytest
import zstandard
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis.component import Partial, Permanent, Retryable, StartError
from airis.data import Batch, Signal
from airis.receivers.otlp import listeners
from airis.receivers.otlp.native import NativeTransport

from ..certificates import Authority
from .conftest import SERVICES, GrpcClient, HttpClient, Otlp, Outcome, Sink, StartOtlp, request_of
from .wire import DATA, END_STREAM, GOAWAY, RST_STREAM, Http2, data, export_head, frame, head, message, post

OVERHEAD_BYTES = 4096
"""What the core counts for a request besides its bytes."""


@pytest.fixture
def transport() -> str:
    pytest.importorskip("airis._core")
    return "native"


def native_of(otlp: Otlp) -> NativeTransport:
    assert otlp.receiver.native is not None
    return otlp.receiver.native


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds; for what the core's thread does, of which there is no event."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def joining(otlp: Otlp, requests: int) -> AsyncIterator[None]:
    """Python looks away until so many requests wait in the core."""
    native, loop = native_of(otlp), asyncio.get_running_loop()
    assert native.intake is not None
    loop.remove_reader(native.intake.fd)
    yield
    await until(lambda: native.intake and native.intake.used_bytes >= requests * (OVERHEAD_BYTES + 1))
    loop.add_reader(native.intake.fd, native.take)


async def sent_together(otlp: Otlp, *sending: Awaitable[Outcome]) -> list[Outcome]:
    async with joining(otlp, len(sending)):
        calls = [asyncio.ensure_future(each) for each in sending]
    return await asyncio.gather(*calls)


@pytest.fixture(params=["grpc", "protobuf", "json"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def codes(outcomes: list[Outcome]) -> list[str]:
    return [{"200": "OK", "400": "INVALID_ARGUMENT", "503": "UNAVAILABLE"}.get(o.code, o.code) for o in outcomes]


class Choosy(Sink):
    """Takes no batch with a part that is bad."""

    async def consume(self, batch: Batch) -> None:
        self.error = Permanent("bad") if b"bad" in batch.payload else None
        await super().consume(batch)


async def test_requests_that_wait_are_one_batch_and_all_answered(otlp: Otlp, kind: str) -> None:
    client = otlp.client(kind)
    requests = [request_of(Signal.LOGS, 1 + n, f"log {n}") for n in range(5)]

    outcomes = await sent_together(otlp, *(client.export(Signal.LOGS, request) for request in requests))

    assert codes(outcomes) == ["OK"] * 5
    (batch,) = otlp.sink.batches
    assert batch.items == 1 + 2 + 3 + 4 + 5
    assert len(batch.payload) == sum(map(len, requests))
    assert all(request in batch.payload for request in requests)


async def test_requests_of_profiles_are_answered_together_but_not_joined(otlp: Otlp, kind: str) -> None:
    client = otlp.client(kind)
    requests = [request_of(Signal.PROFILES, 1 + n, f"profile {n}") for n in range(3)]

    outcomes = await sent_together(otlp, *(client.export(Signal.PROFILES, request) for request in requests))

    assert codes(outcomes) == ["OK"] * 3
    assert sorted((batch.items, batch.payload) for batch in otlp.sink.batches) == list(enumerate(requests, start=1))


async def test_requests_in_json_and_protobuf_are_answered_each_in_its_own(otlp: Otlp) -> None:
    in_json, in_protobuf = otlp.client("json"), otlp.client("protobuf")  # they check what they are answered
    otlp.sink.error = Partial(1, "one is bad")
    sent = [in_json, in_protobuf, in_json]

    outcomes = await sent_together(otlp, *(c.export(Signal.LOGS, request_of(Signal.LOGS, 2)) for c in sent))

    told: list[Any] = [outcome.response and getattr(outcome.response, "partial_success") for outcome in outcomes]  # noqa: B009
    assert sum(partial.rejected_log_records for partial in told) == 2
    otlp.sink.error = None
    await sent_together(otlp, *(c.export(Signal.LOGS, request_of(Signal.LOGS, 2)) for c in sent))
    assert sorted(batch.items for batch in otlp.sink.batches) == [2, 4]


@pytest.mark.parametrize("spans", [1, 20_000], ids=["small", "large"])
async def test_json_that_cannot_be_read_is_counted_and_answered_with_its_place(otlp: Otlp, spans: int) -> None:
    client = otlp.client("json")
    assert isinstance(client, HttpClient)
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[%b{"kind":true}]}]}]}' % (b'{"name":"a"},' * (spans - 1))

    outcome = await client.post(Signal.TRACES, body)

    assert outcome.code == "400"
    assert outcome.status
    place = f"resourceSpans[0].scopeSpans[0].spans[{spans - 1}].kind"
    assert outcome.status.message == f"{place}: expected an integer"
    assert otlp.receiver.admission.unreadable.value == 1
    assert native_of(otlp).intake.used_bytes == 0  # type: ignore[union-attr]
    assert not otlp.sink.batches


async def test_a_fault_of_ours_is_answered_in_the_encoding_of_the_request(
    otlp: Otlp, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(*_: Any) -> Batch:
        raise RuntimeError("secret")

    monkeypatch.setattr(otlp.receiver.admission, "batch", batch)

    outcome = await otlp.client(kind).export(Signal.LOGS, request_of(Signal.LOGS))

    assert outcome.code in ("UNAVAILABLE", "503")
    assert outcome.status
    assert outcome.status.message == "internal error; the server's log has the details"


async def test_json_takes_the_place_of_its_payload_in_the_budget(otlp: Otlp) -> None:
    client = otlp.client("json")
    assert isinstance(client, HttpClient)
    otlp.sink.gate.clear()
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]%b}' % (b" " * 50_000)

    call = asyncio.create_task(client.post(Signal.TRACES, body))
    await otlp.sink.until_held(1)

    assert native_of(otlp).intake.used_bytes < OVERHEAD_BYTES + 100  # type: ignore[union-attr]
    otlp.sink.gate.set()
    assert (await call).code == "200"


async def test_signals_and_protocols_are_not_joined(otlp: Otlp) -> None:
    over_grpc, over_http = otlp.client("grpc"), otlp.client("protobuf")

    await sent_together(
        otlp,
        over_grpc.export(Signal.LOGS, request_of(Signal.LOGS)),
        over_grpc.export(Signal.TRACES, request_of(Signal.TRACES)),
        over_http.export(Signal.LOGS, request_of(Signal.LOGS)),
    )

    assert sorted((b.signal, b.origin.transport, b.items) for b in otlp.sink.batches) == [
        ("logs", "grpc", 1),
        ("logs", "http", 1),
        ("traces", "grpc", 1),
    ]


async def test_requests_with_different_metadata_are_not_joined(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(grpc={"include_metadata": True}, http={"include_metadata": True})
    client = otlp.client(kind)

    def of(team: str) -> Awaitable[Outcome]:
        request = request_of(Signal.LOGS)
        if isinstance(client, GrpcClient):
            return client.export(Signal.LOGS, request, (("x-team", team),))
        return client.export(Signal.LOGS, request, {"x-team": team})

    await sent_together(otlp, of("a"), of("b"), of("a"))

    assert sorted((b.origin.metadata["x-team"], b.items) for b in otlp.sink.batches) == [(("a",), 2), (("b",), 1)]


async def test_a_bad_request_does_not_refuse_those_it_was_joined_with(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(downstream=dict.fromkeys(SERVICES, sink := Choosy()))
    client = otlp.client(kind)

    outcomes = await sent_together(
        otlp, *(client.export(Signal.LOGS, request_of(Signal.LOGS, 2, name)) for name in ("good", "bad", "fine"))
    )

    assert codes(outcomes) == ["OK", "INVALID_ARGUMENT", "OK"]
    assert outcomes[1].status
    assert outcomes[1].status.message == "bad"
    assert sorted(batch.items for batch in sink.batches) == [2, 2]


async def test_when_nothing_is_taken_now_all_are_told_to_come_again(otlp: Otlp, kind: str) -> None:
    otlp.sink.error = Retryable("full", 1.5)
    client = otlp.client(kind)

    outcomes = await sent_together(
        otlp, *(client.export(Signal.LOGS, request_of(Signal.LOGS, 2, str(n))) for n in range(3))
    )

    assert codes(outcomes) == ["UNAVAILABLE"] * 3
    assert not otlp.sink.batches


async def test_of_what_was_rejected_each_is_told_a_share(otlp: Otlp, kind: str) -> None:
    otlp.sink.error = Partial(5, "too long")
    client = otlp.client(kind)

    outcomes = await sent_together(
        otlp, *(client.export(Signal.LOGS, request_of(Signal.LOGS, items)) for items in (2, 3, 5))
    )

    assert codes(outcomes) == ["OK"] * 3
    told: list[Any] = [outcome.response and getattr(outcome.response, "partial_success") for outcome in outcomes]  # noqa: B009
    assert sum(partial.rejected_log_records for partial in told) == 5
    assert {partial.error_message for partial in told} == {"5 of 10 items in 3 joined requests were rejected: too long"}


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(0, 60_000))
def test_shares_add_up_to_what_was_rejected(items: list[int], rejected: int) -> None:
    told = [share.rejected for share in Partial(rejected, "").shares(items)]

    assert sum(told) == min(rejected, sum(items))
    assert all(0 <= share <= of for share, of in zip(told, items, strict=True))


async def test_an_empty_request_among_others_is_a_success_that_goes_no_further(otlp: Otlp, kind: str) -> None:
    client = otlp.client(kind)
    without_items = request_of(Signal.LOGS, 0) + b"\x0a\x02\x0a\x00"

    outcomes = await sent_together(
        otlp,
        client.export(Signal.LOGS, without_items),
        client.export(Signal.LOGS, request_of(Signal.LOGS, 2)),
    )

    assert codes(outcomes) == ["OK", "OK"]
    assert [(b.items, b.payload) for b in otlp.sink.batches] == [(2, request_of(Signal.LOGS, 2))]


async def test_2000_callers_are_held_at_once(otlp: Otlp) -> None:
    otlp.sink.gate.clear()
    client = otlp.client("grpc")
    calls = [asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS))) for _ in range(2000)]

    await otlp.sink.until_held(2000)

    assert not any(call.done() for call in calls)
    otlp.sink.gate.set()
    assert {outcome.code for outcome in await asyncio.gather(*calls)} == {"OK"}
    assert otlp.sink.items == 2000
    native = native_of(otlp)
    await until(lambda: native.intake and native.intake.used_bytes == 0)


MIB_OF_LOGS = request_of(Signal.LOGS, 1, "x" * 1024 * 1024)


async def test_who_finds_no_space_waits_for_it(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(options={"admission": {"request_limit_mib": 1, "max_wait": "1m"}})
    native, client = native_of(otlp), otlp.client(kind)
    otlp.sink.gate.clear()
    held = asyncio.create_task(client.export(Signal.LOGS, MIB_OF_LOGS))
    await otlp.sink.until_held(1)
    late = [asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS))) for _ in range(3)]
    await until(lambda: native.intake and native.intake.waiting == 3)

    otlp.sink.gate.set()

    assert codes([await held, *(await asyncio.gather(*late))]) == ["OK"] * 4
    assert otlp.sink.items == 4


async def test_who_waits_for_space_too_long_is_told_when_to_come_again(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(options={"admission": {"request_limit_mib": 1, "max_wait": "10ms"}})
    client = otlp.client(kind)
    otlp.sink.gate.clear()
    held = asyncio.create_task(client.export(Signal.LOGS, MIB_OF_LOGS))
    await otlp.sink.until_held(1)

    outcome = await client.export(Signal.LOGS, request_of(Signal.LOGS))

    assert codes([outcome]) == ["UNAVAILABLE"]
    assert outcome.status
    info = RetryInfo()
    assert outcome.status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 1
    assert isinstance(client, GrpcClient) or outcome.headers["retry-after"] == "1"
    assert otlp.receiver.admission.unreadable.value == 1
    otlp.sink.gate.set()
    assert codes([await held]) == ["OK"]
    assert otlp.sink.items == 1


async def test_a_client_that_leaves_before_it_is_looked_at_takes_its_request_along(otlp: Otlp) -> None:
    client = otlp.client("grpc")
    connection = await Http2.connect(otlp.grpc_address)
    async with joining(otlp, 2):
        connection.send(export_head(1), data(1, [message(request_of(Signal.LOGS, 7))]))
        stays = asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS, 2)))
        native = native_of(otlp)
        await until(lambda: native.intake and native.intake.used_bytes > 2 * OVERHEAD_BYTES)
        connection.send(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
        connection.send(frame(6, 0, 0, b"are you?"))
        while (answer := await connection.frame()) and answer.kind != 6:  # the reset was seen before the ping
            pass

    assert (await stays).code == "OK"
    assert [batch.items for batch in otlp.sink.batches] == [2]
    await connection.close()


@pytest.mark.parametrize("leave", ["reset", "closed"])
async def test_clients_that_leave_while_they_are_held_take_their_batch_along(otlp: Otlp, leave: str) -> None:
    otlp.sink.gate.clear()
    connection = await Http2.connect(otlp.grpc_address)
    connection.send(export_head(1), data(1, [message(request_of(Signal.LOGS))]))
    await otlp.sink.until(waiting=1)

    if leave == "reset":
        connection.send(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
    else:
        await connection.close()

    await until(lambda: not otlp.sink.waiting)
    assert not otlp.sink.batches
    await connection.close()


async def test_an_http_client_that_leaves_while_it_is_held_takes_its_batch_along(otlp: Otlp) -> None:
    otlp.sink.gate.clear()
    host, _, port = otlp.url.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(post("/v1/logs", request_of(Signal.LOGS)))
    await otlp.sink.until(waiting=1)

    writer.close()

    await until(lambda: not otlp.sink.waiting)
    assert not otlp.sink.batches


async def raw(otlp: Otlp, *pieces: bytes) -> bytes:
    """What the HTTP listener says to these bytes until it closes."""
    host, _, port = otlp.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


WHOLE = post("/v1/logs", request_of(Signal.LOGS))


@pytest.mark.parametrize(
    ("options", "sent", "unreadable"),
    [
        ({"read_header_timeout": "20ms"}, b"", 0),
        ({"read_header_timeout": "20ms"}, WHOLE[:20], 0),
        ({"read_header_timeout": "20ms"}, b"PRI * HTTP/2.0\r\n", 0),
        ({"read_timeout": "20ms"}, WHOLE[:-1], 1),
        ({"idle_timeout": "20ms"}, WHOLE, 0),
        ({"idle_timeout": "20ms"}, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0), 0),
        ({"keep_alives_enabled": False}, WHOLE, 0),
    ],
    ids=["silent", "head", "preface", "body", "idle", "idle http2", "no keep-alive"],
)
async def test_a_client_that_takes_too_long_is_let_go(
    start_otlp: StartOtlp, options: dict[str, Any], sent: bytes, unreadable: int
) -> None:
    otlp = await start_otlp(http=options)

    told = await raw(otlp, sent)

    assert told.startswith(b"HTTP/1.1 200") == sent.startswith(WHOLE)
    await until(lambda: otlp.receiver.admission.unreadable.value == unreadable)


async def test_the_head_of_a_later_request_has_to_come_in_time_too(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(http={"read_header_timeout": "20ms"})
    host, _, port = otlp.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(WHOLE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    writer.write(WHOLE[:20])

    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_held_callers_are_not_let_go_by_the_times_of_heads_and_idleness(start_otlp: StartOtlp) -> None:
    times = {"read_header_timeout": "20ms", "read_timeout": "20ms", "idle_timeout": "20ms"}
    otlp = await start_otlp(http=times)
    otlp.sink.gate.clear()
    call = asyncio.create_task(raw(otlp, post("/v1/logs", request_of(Signal.LOGS), {"connection": "close"})))
    await otlp.sink.until(waiting=1)

    await asyncio.sleep(0.1)

    assert not call.done()
    otlp.sink.gate.set()
    assert (await call).startswith(b"HTTP/1.1 200")


async def test_an_answer_that_takes_too_long_ends_the_connection(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(http={"write_timeout": "20ms"})
    otlp.sink.gate.clear()

    assert await raw(otlp, WHOLE) == b""
    await until(lambda: not otlp.sink.waiting)
    assert not otlp.sink.batches


async def test_a_body_that_is_cut_off_is_counted(otlp: Otlp) -> None:
    host, _, port = otlp.url.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(WHOLE[:-1])
    await writer.drain()
    writer.close()

    await until(lambda: otlp.receiver.admission.unreadable.value == 1)
    assert not otlp.sink.batches


async def test_half_a_grpc_message_is_not_waited_for_for_ever(
    start_otlp: StartOtlp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "GRPC_BODY_S", 0.02)
    otlp = await start_otlp()
    connection = await Http2.connect(otlp.grpc_address)
    connection.send(export_head(1), frame(DATA, 0, 1, message(request_of(Signal.LOGS))[:-1]))

    assert await connection.end_of(1)
    assert otlp.receiver.admission.unreadable.value == 1
    await connection.close()


async def test_grpc_options_of_age_and_idleness_end_connections(start_otlp: StartOtlp) -> None:
    for option in ("max_connection_age", "max_connection_idle"):
        otlp = await start_otlp(grpc={"keepalive": {"server_parameters": {option: "20ms"}}})
        connection = await Http2.connect(otlp.grpc_address)
        kinds = set[int]()
        async with asyncio.timeout(10):
            while received := await connection.frame():
                kinds.add(received.kind)
                if received.kind == 6 and not received.flags:
                    connection.send(frame(6, 1, 0, received.payload))
        assert GOAWAY in kinds


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_a_message_may_come_in_frames_of_any_size(otlp: Otlp, size: int) -> None:
    request = request_of(Signal.LOGS, 3)
    sent = message(request)
    connection = await Http2.connect(otlp.grpc_address)

    connection.send(export_head(1), data(1, [sent[i : i + size] for i in range(0, len(sent), size)]))

    assert await connection.end_of(1)
    assert [batch.payload for batch in otlp.sink.batches] == [request]
    await connection.close()


async def test_many_calls_on_one_connection_have_their_own_outcomes(otlp: Otlp) -> None:
    connection = await Http2.connect(otlp.grpc_address)
    streams = range(1, 401, 2)

    for stream in streams:
        connection.send(export_head(stream), data(stream, [message(request_of(Signal.LOGS))]))

    ended = set[int]()
    while len(ended) < len(streams):
        received = await connection.frame()
        assert received
        if received.kind == 1 and received.flags & END_STREAM:
            ended.add(received.stream)
    assert ended == set(streams)
    assert otlp.sink.items == len(streams)
    await connection.close()


GRPC_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "snappy": lambda content: bytes(cramjam.snappy.compress(content)),  # framed, as the Collector sends it
}


@pytest.mark.parametrize("encoding", GRPC_ENCODERS)
async def test_every_grpc_encoding_is_taken(otlp: Otlp, encoding: str) -> None:
    request = request_of(Signal.LOGS, 300)
    connection = await Http2.connect(otlp.grpc_address)

    compressed = message(GRPC_ENCODERS[encoding](request), flag=1)
    connection.send(export_head(1, grpc_encoding=encoding), data(1, [compressed]))

    assert await connection.end_of(1)
    assert [batch.payload for batch in otlp.sink.batches] == [request]
    await connection.close()


@pytest.mark.parametrize(
    ("encoding", "sent", "reason"),
    [
        ("br", message(b"x", flag=1), "encoding"),
        ("identity", message(b"x", flag=1), "corrupt"),
        ("gzip", message(b"x", flag=1), "corrupt"),
        ("gzip", message(b"x", flag=2), "corrupt"),
        ("gzip", message(gzip.compress(bytes(5 * 1024 * 1024)), flag=1), "too_large"),
        ("gzip", b"\0\xff\xff\xff\xff", "too_large"),
        ("gzip", message(b"") + message(b""), "corrupt"),
        ("gzip", b"", "corrupt"),
        ("gzip", message(b"\x0a\xff"), "malformed"),
    ],
)
async def test_a_grpc_message_that_cannot_be_read_is_counted_and_answered(
    otlp: Otlp, encoding: str, sent: bytes, reason: str
) -> None:
    connection = await Http2.connect(otlp.grpc_address)

    connection.send(export_head(1, grpc_encoding=encoding), data(1, [sent]))

    ending = await connection.end_of(1)
    assert ending
    assert ending.kind == 1
    assert otlp.receiver.admission.unreadable.values == {(("reason", reason), ("transport", "grpc")): 1}
    connection.send(export_head(3), data(3, [message(request_of(Signal.LOGS))]))
    assert await connection.end_of(3)
    assert otlp.sink.items == 1
    await connection.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy"])
async def test_a_bomb_is_refused_without_being_inflated(otlp: Otlp, encoding: str) -> None:
    zeros = bytes(300 * 1024 * 1024)
    bomb = GRPC_ENCODERS[encoding](zeros)
    del zeros
    client = otlp.client("protobuf")
    assert isinstance(client, HttpClient)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    if encoding == "snappy":  # 14 MiB itself
        before += len(bomb) * 3 // 1024
    outcome = await client.post(Signal.LOGS, bomb, {"content-encoding": encoding})

    assert outcome.code == "413"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


async def test_http2_is_spoken_without_asking(otlp: Otlp) -> None:
    connection = await Http2.connect(otlp.url)
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "airis"),
        (":path", "/v1/logs"),
        ("content-type", "application/x-protobuf"),
    )

    connection.send(head(1, fields), data(1, [request_of(Signal.LOGS)]))

    assert await connection.end_of(1)
    assert otlp.sink.items == 1
    await connection.close()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (
            {"connection": "Upgrade, HTTP2-Settings, close", "upgrade": "h2c", "http2-settings": "AAMAAABk"},
            None,
            b"200",
        ),
        ({"expect": "100-continue", "connection": "close"}, None, b"100"),
        ({"expect": "100-continue", "content-length": "99999999"}, b"", b"413"),
        ({"content-length": "99999999"}, b"x" * 100, b"413"),
        ({"x": "y" * 70_000}, None, b"431"),
        ({"content-length": "abc"}, b"", b"400"),
        ({"transfer-encoding": "chunked", "connection": "close"}, b"1\r\nz\r\n0\r\n\r\n", b"400"),
    ],
    ids=["upgrade", "expect", "expect too much", "too much", "head", "length", "chunked garbage"],
)
async def test_unusual_requests_are_answered(
    start_otlp: StartOtlp, headers: dict[str, str], body: bytes | None, status: bytes
) -> None:
    otlp = await start_otlp(http={"read_timeout": "100ms"})

    content = request_of(Signal.LOGS)
    sent = post("/v1/logs", content if body is None else body, headers)
    if "transfer-encoding" in headers:
        sent = sent.replace(b"content-length: 11\r\n", b"")
    told = await raw(otlp, sent)

    assert told.startswith(b"HTTP/1.1 " + status)
    if status == b"100":
        assert b"HTTP/1.1 200" in told
    assert otlp.sink.items == (1 if status in (b"100", b"200") else 0)


async def test_health_is_watched_until_the_end(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(downstream={Signal.TRACES: Sink()}, grace_s=30.0)
    serving, unknown = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    async with grpc.aio.insecure_channel(otlp.grpc_address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        other = health.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert (await watching.read()).status == serving
        assert (await other.read()).status == unknown
        listed = await health.List(health_pb2.HealthListRequest())
        assert {name: reply.status for name, reply in listed.statuses.items()} == {
            "": serving,
            SERVICES[Signal.TRACES]: serving,
        }

        await otlp.receiver.shutdown()

        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await watching.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_answers_both_versions(otlp: Otlp, version: str) -> None:
    async with grpc.aio.insecure_channel(otlp.grpc_address) as channel:
        call = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")(
            message.SerializeToString()
            for message in (
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICES[Signal.LOGS]),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="not.there"),
            )
        )
        replies = [reflection_pb2.ServerReflectionResponse.FromString(reply) async for reply in call]

    names = {service.name for service in replies[0].list_services_response.service}
    assert names == {
        *SERVICES.values(),
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert replies[1].file_descriptor_response.file_descriptor_proto
    assert replies[2].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize(
    ("path", "sent", "code"),
    [
        ("/not.there/Method", b"", "UNIMPLEMENTED"),
        ("/grpc.health.v1.Health/Check", b"\x0a\xff", "INTERNAL"),
        ("/grpc.health.v1.Health/Check", bytes(70_000), "RESOURCE_EXHAUSTED"),
    ],
    ids=["unknown", "garbage", "too large"],
)
async def test_other_calls_end_with_a_code(otlp: Otlp, path: str, sent: bytes, code: str) -> None:
    async with grpc.aio.insecure_channel(otlp.grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary(path)(sent)
    assert error.value.code().name == code


async def test_a_signal_that_comes_and_goes_is_taken_while_it_is_there(start_otlp: StartOtlp, kind: str) -> None:
    downstream = {Signal.TRACES: Sink()}
    otlp = await start_otlp(downstream=downstream)
    client = otlp.client("grpc")
    gone = (await client.export(Signal.LOGS, request_of(Signal.LOGS))).code

    downstream[Signal.LOGS] = sink = Sink()
    there = (await client.export(Signal.LOGS, request_of(Signal.LOGS))).code
    del downstream[Signal.LOGS]
    again = (await client.export(Signal.LOGS, request_of(Signal.LOGS))).code

    assert (gone, there, again) == ("UNIMPLEMENTED", "OK", "UNIMPLEMENTED")
    assert sink.items == 1
    assert otlp.receiver.admission.unreadable.value == 0


async def test_browsers_are_served_by_the_python_transport(start_otlp: StartOtlp) -> None:
    cors = {"cors": {"allowed_origins": ["https://shop.example"]}}
    otlp = await start_otlp(options={"transport": "auto"}, http=cors)
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}

    async with aiohttp.ClientSession() as session, session.options(f"{otlp.url}/v1/logs", headers=headers) as reply:
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert (await otlp.client("grpc").export(Signal.LOGS, request_of(Signal.LOGS))).code == "OK"
    assert otlp.receiver.grpc is None
    with pytest.raises(StartError, match="does not answer browsers; write transport: python") as error:
        await start_otlp(http=cors)
    assert error.value.option == "protocols::http::cors"


@pytest.mark.parametrize(
    ("protocol", "option", "section"),
    [
        ("grpc", "keepalive::enforcement_policy", {"keepalive": {"enforcement_policy": {"min_time": "1s"}}}),
        ("http", "tls", {"curve_preferences": ["P521"]}),
        ("http", "tls", {"cipher_suites": ["TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"]}),
    ],
    ids=["pings", "curve", "cipher suite"],
)
async def test_what_only_python_has_is_served_by_it_unless_native_is_asked_for(
    start_otlp: StartOtlp, tmp_path: Path, protocol: str, option: str, section: dict[str, Any]
) -> None:
    if option == "tls":
        certificate, key = Authority(tmp_path / "authority").sign("server")
        section = {"tls": {"cert_file": str(certificate), "key_file": str(key), **section}}

    otlp = await start_otlp(options={"transport": "auto"}, **{protocol: section})

    assert getattr(otlp.receiver, protocol) is not None
    with pytest.raises(StartError, match="write transport: python") as error:
        await start_otlp(**{protocol: section})
    assert error.value.option == f"protocols::{protocol}::{option}"


async def test_without_the_core_auto_is_python_and_native_an_error(
    start_otlp: StartOtlp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "airis._core", None)

    otlp = await start_otlp(options={"transport": "auto"})

    assert (await otlp.client("grpc").export(Signal.LOGS, request_of(Signal.LOGS))).code == "OK"
    with pytest.raises(StartError, match="without its native part") as error:
        await start_otlp()
    assert error.value.option == "transport"


async def test_a_shutdown_does_not_wait_for_clients_that_hang(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(grace_s=0.0)
    host, _, port = otlp.url.removeprefix("http://").rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(WHOLE[:-1])
    connection = await Http2.connect(otlp.grpc_address)
    connection.send(export_head(1), frame(DATA, 0, 1, message(request_of(Signal.LOGS))[:-1]))
    native = native_of(otlp)
    await until(lambda: native.intake and native.intake.used_bytes > 2 * OVERHEAD_BYTES)

    async with asyncio.timeout(10):
        await otlp.receiver.shutdown()

    writer.close()
    await connection.close()


async def test_a_shutdown_answers_those_who_wait_for_space(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await start_otlp(grace_s=0.0, options={"admission": {"request_limit_mib": 1, "max_wait": "1m"}})
    client = otlp.client(kind)
    otlp.sink.gate.clear()
    held = asyncio.create_task(client.export(Signal.LOGS, MIB_OF_LOGS))
    await otlp.sink.until_held(1)
    waits = asyncio.create_task(client.export(Signal.LOGS, request_of(Signal.LOGS)))
    native = native_of(otlp)
    await until(lambda: native.intake and native.intake.waiting == 1)

    await otlp.receiver.shutdown()

    assert codes([await held, await waits]) == ["UNAVAILABLE"] * 2
    assert not otlp.sink.batches


MUTATED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def test_nothing_that_a_client_sends_ends_the_thread(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(http={"read_header_timeout": "1s", "read_timeout": "1s"})
    http = WHOLE + post("/v1/traces", gzip.compress(request_of(Signal.TRACES, 3)), {"content-encoding": "gzip"})
    h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(
        (
            frame(4, 0, 0),
            export_head(1),
            data(1, [message(request_of(Signal.LOGS))]),
            export_head(3, Signal.TRACES, grpc_encoding="zstd"),
            data(3, [message(GRPC_ENCODERS["zstd"](request_of(Signal.TRACES, 5)), flag=1)]),
            frame(RST_STREAM, 0, 3, b"\0\0\0\x08"),
            frame(6, 0, 0, b"01234567"),
            frame(8, 0, 0, b"\0\1\0\0"),
        )
    )
    ports = {b: int(a.rpartition(":")[2]) for a, b in ((otlp.url, False), (otlp.grpc_address, True))}

    async def hurl(is_grpc: bool, sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[is_grpc])
        try:
            writer.write(sent)
            writer.write_eof()
            async with asyncio.timeout(10):
                await reader.read()
        except (ConnectionError, OSError):
            pass
        finally:
            writer.close()

    def mutants() -> list[tuple[bool, bytes]]:
        found: list[tuple[bool, bytes]] = []

        @MUTATED
        @given(st.booleans(), st.booleans(), st.data())
        def collect(is_grpc: bool, speaks_h2: bool, draw: st.DataObject) -> None:
            sent = bytearray(h2 if speaks_h2 else http)
            for _ in range(draw.draw(st.integers(0, 4))):
                at = draw.draw(st.integers(0, len(sent) - 1))
                sent[at] = draw.draw(st.integers(0, 255))
            cut = draw.draw(st.integers(1, len(sent)))
            found.append((is_grpc, bytes(sent[:cut])))

        collect()
        return found

    for batch_start in range(0, len(all_mutants := mutants()), 50):
        await asyncio.gather(*(hurl(*each) for each in all_mutants[batch_start : batch_start + 50]))

    for kind in ("grpc", "protobuf"):
        assert codes([await otlp.client(kind).export(Signal.LOGS, request_of(Signal.LOGS))]) == ["OK"]
    native = native_of(otlp)
    await until(lambda: native.intake and native.intake.used_bytes == 0)
