"""The native client against servers that misbehave: bounded memory, one line that says why, nothing lost or doubled."""

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from airis.component import Kind, Partial, Permanent, Retryable
from airis.component.testing import FakeHost, build

from . import h2_server
from .h2_server import END_HEADERS, END_STREAM, Connection, H2Server, block, frame, message
from .otlp_servers import batch_of
from .test_otlp_grpc import partial

pytest.importorskip("airis._core")

from airis.data import Signal

BROKEN = "the server (closed the connection|broke the connection off)"
Exporter = Callable[..., Awaitable[Any]]


@pytest.fixture
async def exporter(tmp_path: Path) -> AsyncIterator[Exporter]:
    async with AsyncExitStack() as stack:

        async def make(server: H2Server, **options: Any) -> Any:
            all_options = {
                "endpoint": await server.start(),
                "transport": "native",
                "tls": {"insecure": True},
                "retry_on_failure": {"enabled": False},
                "compression": "none",
                "timeout": "60s",
                **options,
            }
            stack.callback(server.stop)
            made = build("otlp_grpc", all_options, kind=Kind.EXPORTER)
            await made.start(FakeHost(tmp_path))
            stack.push_async_callback(made.shutdown)
            return made

        yield make


async def well(connection: Connection) -> None:
    while True:
        stream, _ = await connection.request()
        await connection.answer(stream)


def goes_away(last: int) -> h2_server.Serve:
    """Says that it looked at no stream behind this one, and closes."""

    async def serve(connection: Connection) -> None:
        await connection.request()
        away = last.to_bytes(4, "big") + (0).to_bytes(4, "big")
        await connection.send(frame(h2_server.GOAWAY, 0, 0, away))

    return serve


def resets(reason: int, times: int = 1) -> h2_server.Serve:
    async def serve(connection: Connection) -> None:
        for _ in range(times):
            stream, _ = await connection.request()
            resets.seen += 1  # type: ignore[attr-defined]
            await connection.send(frame(h2_server.RST_STREAM, 0, stream, reason.to_bytes(4, "big")))
        await well(connection)

    resets.seen = 0  # type: ignore[attr-defined]
    return serve


async def test_what_a_server_that_goes_away_did_not_look_at_is_sent_again(exporter) -> None:
    server = H2Server(goes_away(0), well)
    made = await exporter(server)

    await made.consume(batch_of())
    assert len(server.connections) == 2


async def test_what_it_may_have_looked_at_is_not_sent_again_but_told_as_retryable(exporter) -> None:
    server = H2Server(goes_away(1), well)
    made = await exporter(server)

    with pytest.raises(Retryable, match=rf"UNAVAILABLE: 127\.0\.0\.1:\d+: {BROKEN}"):
        await made.consume(batch_of())
    assert len(server.connections) == 1
    await made.consume(batch_of())


async def test_a_refused_stream_is_sent_again_on_the_same_connection(exporter) -> None:
    server = H2Server(resets(h2_server.REFUSED_STREAM))
    made = await exporter(server)

    await made.consume(batch_of())
    assert len(server.connections) == 1


async def test_one_that_is_refused_for_ever_is_given_up(exporter) -> None:
    server = H2Server(resets(h2_server.REFUSED_STREAM, 1000))
    made = await exporter(server)

    with pytest.raises(Retryable, match="the server reset the stream: REFUSED_STREAM"):
        await made.consume(batch_of())
    assert resets.seen == 5  # type: ignore[attr-defined]


async def test_a_stream_reset_for_another_reason_is_not_sent_again(exporter) -> None:
    server = H2Server(resets(h2_server.INTERNAL_ERROR))
    made = await exporter(server)

    with pytest.raises(Retryable, match="the server reset the stream: INTERNAL_ERROR"):
        await made.consume(batch_of())
    assert resets.seen == 1  # type: ignore[attr-defined]
    await made.consume(batch_of())


async def breaks_off(connection: Connection) -> None:
    """In the middle of an answer."""
    stream, _ = await connection.request()
    head = block((":status", "200"), ("content-type", "application/grpc"))
    body = message(partial(Signal.TRACES, 1, "x" * 100))[:50]
    await connection.send(frame(1, END_HEADERS, stream, head), frame(0, 0, stream, body))


async def test_an_answer_that_breaks_off_is_none(exporter) -> None:
    made = await exporter(H2Server(breaks_off, well))

    with pytest.raises(Retryable, match=BROKEN):
        await made.consume(batch_of())
    await made.consume(batch_of())


async def endless_headers(connection: Connection) -> None:
    stream, _ = await connection.request()
    await connection.send(frame(1, 0, stream, block((":status", "200"))))
    while True:
        await connection.send(frame(h2_server.CONTINUATION, 0, stream, block(("x-more", "y" * 8000))))


async def large_headers(connection: Connection) -> None:
    stream, _ = await connection.request()
    more = frame(h2_server.CONTINUATION, END_HEADERS, stream, block(("x-more", "y" * 10_000)))
    await connection.send(frame(1, 0, stream, block((":status", "200"), ("x", "y" * 10_000))), more)
    await hold(connection)


@pytest.mark.parametrize("serve", [endless_headers, large_headers])
async def test_endless_headers_end_the_call(exporter, serve) -> None:
    made = await exporter(H2Server(serve), timeout="5s")

    with pytest.raises(Retryable, match=r"UNAVAILABLE: .*HTTP/2"):
        await made.consume(batch_of())


async def endless_body(connection: Connection) -> None:
    stream, _ = await connection.request()
    head = block((":status", "200"), ("content-type", "application/grpc"))
    start = b"\0" + (2**30).to_bytes(4, "big")
    await connection.send(frame(1, END_HEADERS, stream, head), frame(0, 0, stream, start))
    got = await connection.frame()
    while got.kind != h2_server.RST_STREAM:
        got = await connection.frame()
    await well(connection)


def answering(body: bytes, *headers: tuple[str, str]) -> h2_server.Serve:
    async def serve(connection: Connection) -> None:
        stream, _ = await connection.request()
        await connection.answer(stream, body, headers=headers)
        await well(connection)

    return serve


BOMB = gzip.compress(bytes(100 * 1024 * 1024))
GZIP = ("grpc-encoding", "gzip")
UNREADABLE: dict[str, tuple[h2_server.Serve, str]] = {
    "a message that is announced as 1 GiB": (endless_body, "RESOURCE_EXHAUSTED: .*more than 4194304 bytes"),
    "a bomb": (answering(message(BOMB, compressed=True), GZIP), "RESOURCE_EXHAUSTED: .*more than 4194304 bytes"),
    "not what its encoding says": (answering(message(b"no", compressed=True), GZIP), "INTERNAL: .*not gzip"),
    "an unknown encoding": (answering(message(b"no", compressed=True), ("grpc-encoding", "br")), 'INTERNAL: .*"br"'),
    "compressed without an encoding": (answering(message(b"no", compressed=True)), "INTERNAL: .*identity"),
    "two messages": (answering(message(b"") * 2), "INTERNAL: .*more than one message"),
    "half a message": (answering(message(b"abc")[:-1]), "INTERNAL: .*cut off"),
    "flags that there are not": (answering(b"\x07" + message(b"")[1:]), "INTERNAL: .*flags 7"),
}


@pytest.mark.parametrize(("serve", "told"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_answer_that_cannot_be_read_is_no_acknowledgement(exporter, serve, told) -> None:
    made = await exporter(H2Server(serve, well))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(Permanent, match=told):
        await made.consume(batch_of())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    await made.consume(batch_of())


async def test_an_answer_is_inflated(exporter) -> None:
    body = gzip.compress(partial(Signal.TRACES, 2, "too old"))
    made = await exporter(H2Server(answering(message(body, compressed=True), GZIP)))

    with pytest.raises(Partial, match="too old"):
        await made.consume(batch_of(items=3))


def foreign(status: str, content_type: str, body: bytes = b"<h1>no\x1b</h1>") -> h2_server.Serve:
    async def serve(connection: Connection) -> None:
        stream, _ = await connection.request()
        head = block((":status", status), ("content-type", content_type))
        await connection.send(frame(1, END_HEADERS, stream, head), frame(0, END_STREAM, stream, body))
        await well(connection)

    return serve


FOREIGN = {
    "another type": (foreign("200", "text/html"), Permanent, r"UNKNOWN: .*HTTP 200, text/html.*: <h1>no\\x1b</h1>"),
    "a gateway": (foreign("502", "text/html"), Retryable, "UNAVAILABLE: .*HTTP 502"),
    "busy": (foreign("429", "text/html"), Retryable, "UNAVAILABLE: .*HTTP 429"),
    "not known": (foreign("404", "text/plain"), Permanent, "UNIMPLEMENTED: .*HTTP 404"),
    "who are you": (foreign("401", "text/plain"), Permanent, "UNAUTHENTICATED: .*HTTP 401"),
    "no status": (foreign("200", "application/grpc", message(b"")), Permanent, "UNKNOWN: .*no status of gRPC"),
}


@pytest.mark.parametrize(("serve", "outcome", "told"), FOREIGN.values(), ids=FOREIGN)
async def test_what_is_no_grpc_is_told_by_its_status(exporter, serve, outcome, told) -> None:
    made = await exporter(H2Server(serve))

    with pytest.raises(outcome, match=told) as raised:
        await made.consume(batch_of())
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("status", "outcome"), [("nonsense", Permanent), ("99", Permanent), ("-1", Permanent), ("14", Retryable)]
)
async def test_any_status_is_one(exporter, status, outcome) -> None:
    async def serve(connection: Connection) -> None:
        stream, _ = await connection.request()
        trailers = (("grpc-status", status), ("grpc-message", "50%25 %zz %"), ("grpc-status-details-bin", "!?"))
        await connection.answer(stream, trailers=trailers)

    made = await exporter(H2Server(serve))
    with pytest.raises(outcome, match="50% %zz %"):
        await made.consume(batch_of())


async def test_a_sender_that_leaves_resets_its_stream_and_the_connection_stays(exporter) -> None:
    came, reset = asyncio.Event(), asyncio.Event()

    async def hold(connection: Connection) -> None:
        held, _ = await connection.request()
        came.set()
        got = await connection.frame()
        while got.kind != h2_server.RST_STREAM:
            got = await connection.frame()
        assert (got.stream, int.from_bytes(got.content, "big")) == (held, h2_server.CANCEL)
        reset.set()
        await well(connection)

    server = H2Server(hold)
    made = await exporter(server)
    call = asyncio.create_task(made.consume(batch_of()))
    await asyncio.wait_for(came.wait(), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(reset.wait(), 10)

    await made.consume(batch_of())
    assert len(server.connections) == 1
    assert server.faults == []


async def test_one_that_leaves_while_the_server_takes_nothing_resets_it_too(exporter) -> None:
    reset = asyncio.Event()
    came = asyncio.Event()

    async def stuck(connection: Connection) -> None:
        # Frames are read past the window updates that this server would send.
        size = 0
        while size < 65_535:
            head = await connection._reader.readexactly(9)
            content = await connection._reader.readexactly(int.from_bytes(head[:3], "big"))
            size += len(content) if head[3] == h2_server.DATA else 0
        came.set()
        while (await connection.frame()).kind != h2_server.RST_STREAM:
            pass
        reset.set()

    made = await exporter(H2Server(stuck))
    call = asyncio.create_task(made.consume(batch_of(items=20_000)))
    await asyncio.wait_for(came.wait(), 10)
    call.cancel()
    await asyncio.wait_for(reset.wait(), 10)


async def hold(connection: Connection) -> None:
    while True:
        await connection.frame()


async def test_a_server_that_answers_no_ping_is_given_up(exporter) -> None:
    server = H2Server(hold, pongs=False)
    made = await exporter(server, keepalive={"time": "50ms", "timeout": "100ms"}, timeout="20s")

    with pytest.raises(Retryable, match=r"no answer to a ping within 0.1 s"):
        await made.consume(batch_of())
    assert server.connections[0].pings == 1


async def test_pings_keep_a_call_that_takes_long(exporter) -> None:
    pinged = asyncio.Event()

    async def slow(connection: Connection) -> None:
        stream, _ = await connection.request()
        while connection.pings < 3:
            reading = asyncio.ensure_future(connection.frame())
            await asyncio.wait({reading}, timeout=0.05)
            reading.cancel()
        pinged.set()
        await connection.answer(stream)

    made = await exporter(H2Server(slow), keepalive={"time": "50ms", "timeout": "5s"}, timeout="20s")
    await made.consume(batch_of())
    assert pinged.is_set()


@pytest.mark.parametrize(("permitted", "pinged"), [(True, True), (False, False)])
async def test_an_idle_connection_is_pinged_only_where_it_is_permitted(exporter, permitted, pinged) -> None:
    server = H2Server(well)
    keepalive = {"time": "50ms", "timeout": "5s", "permit_without_stream": permitted}
    made = await exporter(server, keepalive=keepalive)
    await made.consume(batch_of())
    await asyncio.sleep(0.3)

    assert (server.connections[0].pings > 0) is pinged


async def test_a_connection_says_good_bye(exporter) -> None:
    away = asyncio.Event()

    async def serve(connection: Connection) -> None:
        stream, _ = await connection.request()
        await connection.answer(stream)
        while True:
            if (await connection.frame()).kind == h2_server.GOAWAY:
                away.set()

    server = H2Server(serve)
    made = await exporter(server)
    await made.consume(batch_of())
    await made.shutdown()
    await asyncio.wait_for(away.wait(), 10)
    await asyncio.wait_for(server.gone.wait(), 10)
