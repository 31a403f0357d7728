"""The otlp_http exporter: bytes go out as they came, a sender is told what the server said, and only then."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from pydantic import ValidationError

from airis.component import Kind, Partial, Permanent, Retryable, StartError, Throttled
from airis.component.http_client import retry_after_s
from airis.component.intake import decompress
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.component.tls import TlsServerConfig
from airis.data import Batch, Signal, kernels
from airis.exporters.otlp_http import OtlpHttpConfig, OtlpHttpExporter

from ..certificates import Authority
from .otlp_servers import HttpAnswer, HttpServer, batch_of, free_port, status_of

ONCE = {"enabled": False}
NOW_UNIX_S = 1_700_000_000.0


class Sending:
    """Exporters and servers that are shut down with the test."""

    def __init__(self, stack: AsyncExitStack, folder: Path, transport: str) -> None:
        self._stack = stack
        self._folder = folder
        self.transport = transport

    async def exporter(self, endpoint: str, options: dict[str, Any] | None = None, **replaced: Any) -> OtlpHttpExporter:
        all_options = {"endpoint": endpoint, "transport": self.transport, "retry_on_failure": ONCE, **(options or {})}
        made: OtlpHttpExporter = build(
            "otlp_http", all_options, kind=Kind.EXPORTER, **{"wall_clock": lambda: NOW_UNIX_S, **replaced}
        )
        await made.start(FakeHost(self._folder))
        self._stack.push_async_callback(made.shutdown)
        return made

    async def server(self, *where: Any) -> HttpServer:
        server = HttpServer()
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
async def server(sending: Sending) -> HttpServer:
    return await sending.server()


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("signal", list(Signal))
async def test_one_exporter_hands_the_bytes_of_every_signal_to_its_path(sending, server, signal, slash) -> None:
    exporter = await sending.exporter(f"{server.url}/otlp{slash}", {"compression": "none"})
    batch = batch_of(signal, 3)

    await exporter.consume(batch)

    (request,) = server.requests
    assert request.path == ("/otlp/v1development/profiles" if signal is Signal.PROFILES else f"/otlp/v1/{signal}")
    assert request.body == batch.payload
    assert request.headers["Content-Type"] == "application/x-protobuf"
    assert "Content-Encoding" not in request.headers
    assert request.headers["User-Agent"].startswith("airis/")


async def test_profiles_may_be_the_only_signal_that_has_an_endpoint(sending, server) -> None:
    exporter = await sending.exporter("", {"profiles_endpoint": f"{server.url}/pyroscope"})

    await exporter.consume(batch_of(Signal.PROFILES))

    assert server.requests[0].path == "/pyroscope"


async def test_a_signal_may_have_an_endpoint_of_its_own(sending, server) -> None:
    exporter = await sending.exporter("", {"logs_endpoint": f"{server.url}/loki/push?a=b"})

    await exporter.consume(batch_of(Signal.LOGS))
    assert server.requests[0].path == "/loki/push"
    with pytest.raises(Permanent, match="there is nowhere to send traces; write traces_endpoint, or endpoint"):
        await exporter.consume(batch_of(Signal.TRACES))


ENCODINGS = ["gzip", "zlib", "deflate", "snappy", "x-snappy-framed", "zstd", "lz4"]


@pytest.mark.parametrize("items", [50, 5000], ids=["small", "large, in a thread"])
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_the_server_sees_the_encoding_and_the_same_bytes(sending, server, encoding, items) -> None:
    exporter = await sending.exporter(server.url, {"compression": encoding})
    batch = batch_of(items=items, name="name" * 10)

    await exporter.consume(batch)

    (request,) = server.requests
    assert request.headers["Content-Encoding"] == encoding
    assert int(request.headers["Content-Length"]) == len(request.body) < batch.size_bytes
    assert decompress(encoding, request.body, batch.size_bytes) == batch.payload


async def test_gzip_is_the_default(sending, server) -> None:
    exporter = await sending.exporter(server.url)
    await exporter.consume(batch_of())

    assert server.requests[0].headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(("encoding", "level"), [("gzip", 9), ("zlib", 9), ("zstd", 19), ("zstd", 22), ("gzip", -1)])
async def test_a_level_is_smaller_and_reads_the_same(sending, server, encoding, level) -> None:
    batch = batch_of(items=2000, name="name" * 10)
    for params in ({}, {"level": level}):
        exporter = await sending.exporter(server.url, {"compression": encoding, "compression_params": params})
        await exporter.consume(batch)

    fast, small = (request.body for request in server.requests)
    assert len(small) < len(fast) if level > 0 else small == fast
    assert decompress(encoding, small, batch.size_bytes) == batch.payload


async def test_a_large_body_goes_out_in_pieces_and_whole(sending, server) -> None:
    exporter = await sending.exporter(server.url, {"compression": "none"})
    batch = batch_of(items=20_000, name="name" * 10)
    assert batch.size_bytes > 1024 * 1024

    await exporter.consume(batch)
    assert server.requests[0].body == batch.payload
    assert server.requests[0].headers["Content-Length"] == str(batch.size_bytes)


@pytest.mark.parametrize("signal", list(Signal))
async def test_json_is_otlp_json(sending, server, signal) -> None:
    exporter = await sending.exporter(server.url, {"encoding": "json", "compression": "none"})
    batch = batch_of(signal, 3)

    await exporter.consume(batch)

    (request,) = server.requests
    assert request.headers["Content-Type"] == "application/json"
    assert kernels.from_json(signal, request.body) == batch.payload


async def test_bytes_that_are_no_request_cannot_be_json(sending, server) -> None:
    exporter = await sending.exporter(server.url, {"encoding": "json"})

    with pytest.raises(Permanent):
        await exporter.consume(Batch(Signal.TRACES, b"\xff\xff", 1))
    assert server.requests == []


# What the server says, and what the sender is told: the specification's table.
RETRYABLE = (429, 502, 503, 504)
THROTTLING = (429, 503)
PERMANENT = (300, 304, 400, 401, 403, 404, 405, 408, 413, 415, 422, 500, 501, 505, 507, 599)
IN_A_MINUTE = formatdate(NOW_UNIX_S + 60, usegmt=True)
OUTCOMES = [
    *((status, {}, Throttled if status == 429 else Retryable, None) for status in RETRYABLE),
    *((status, {"Retry-After": "7"}, Throttled if status in THROTTLING else Retryable, 7) for status in RETRYABLE),
    *((s, {"Retry-After": IN_A_MINUTE}, Throttled if s in THROTTLING else Retryable, 60) for s in RETRYABLE),
    (503, {"Retry-After": "soon"}, Retryable, None),
    *((status, {}, Permanent, None) for status in PERMANENT),
    *((status, {"Retry-After": "7"}, Permanent, None) for status in (400, 500)),
]


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "retry_after"), OUTCOMES, ids=[f"{o[0]}-{o[1] or ''}" for o in OUTCOMES]
)
@pytest.mark.parametrize("encoding", ["proto", "json"])
async def test_every_status_is_told_by_the_table(
    sending, server, encoding, status, headers, outcome, retry_after
) -> None:
    exporter = await sending.exporter(server.url, {"encoding": encoding})
    body = status_of(13, "no") if encoding == "proto" else b'{"code": 13, "message": "no"}'
    content_type = "application/x-protobuf" if encoding == "proto" else "application/json"
    server.answers = [HttpAnswer(status, b"" if status == 304 else body, content_type, headers)]

    with pytest.raises(outcome, match=f"^{status}.*{'no' if status >= 400 else ''}") as told:
        await exporter.consume(batch_of())
    assert type(told.value) is outcome
    if isinstance(told.value, Retryable):
        assert told.value.retry_after == (None if retry_after is None else pytest.approx(retry_after))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("0", 0),
        (" 7 ", 7),
        ("9" * 500, 3600),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        (formatdate(NOW_UNIX_S - 60, usegmt=True), 0),
        (formatdate(NOW_UNIX_S + 10**6, usegmt=True), 3600),
        ("Fri, 99 Foo 99999999 00:00:00 GMT", None),
    ],
)
def test_a_delay_is_read_in_both_forms_and_believed_within_reason(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, NOW_UNIX_S) == seconds


async def test_a_redirect_is_not_followed(sending, server) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [HttpAnswer(307, headers={"Location": "http://elsewhere.example/v1/traces"})]

    with pytest.raises(Permanent, match=r"redirects are not followed; .* http://elsewhere.example/v1/traces"):
        await exporter.consume(batch_of())


def partial(rejected: int, message: str) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = rejected, message
    return response.SerializeToString()


PROTO, JSON = "application/x-protobuf", "application/json"


@pytest.mark.parametrize(
    ("signal", "content_type", "body"),
    [
        (Signal.TRACES, PROTO, partial(2, "too old")),
        (Signal.METRICS, PROTO, partial(2, "too old")),
        (Signal.TRACES, JSON, b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}'),
        (Signal.METRICS, JSON, b'{"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too old"}}'),
        (Signal.LOGS, JSON, b'{"partialSuccess": {"rejectedLogRecords": 2, "errorMessage": "too old"}}'),
        (Signal.PROFILES, JSON, b'{"partialSuccess": {"rejectedProfiles": 2, "errorMessage": "too old"}}'),
        (
            Signal.LOGS,
            f"{JSON}; charset=utf-8",
            b'{"partialSuccess": {"rejectedLogRecords": 2,"errorMessage":"too old"}}',
        ),
    ],
)
async def test_a_partial_success_is_told_with_its_count(sending, server, signal, content_type, body) -> None:
    exporter = await sending.exporter(server.url, {"retry_on_failure": {}})
    server.answers = [HttpAnswer(200, body, content_type)]

    with pytest.raises(Partial, match="too old") as told:
        await exporter.consume(batch_of(signal, 5))
    assert told.value.rejected == 2
    assert len(server.requests) == 1


SUCCESSES = {
    "empty": HttpAnswer(200, b""),
    "JSON": HttpAnswer(200, b"{}", JSON),
    "JSON with null": HttpAnswer(200, b'{"partialSuccess": null}', JSON),
    "nothing to say": HttpAnswer(204),
    "accepted": HttpAnswer(202, b"queued", "text/plain"),
    "of another type": HttpAnswer(200, b"<ok/>", "text/xml"),
}


@pytest.mark.parametrize("answer", SUCCESSES.values(), ids=SUCCESSES)
async def test_what_is_a_success(sending, server, answer) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [answer]

    await exporter.consume(batch_of())


UNREADABLE = {
    "not protobuf": HttpAnswer(200, b"\xff\xff\xff"),
    "not JSON": HttpAnswer(200, b"{", JSON),
    "not an object": HttpAnswer(200, b"[1]", JSON),
    "deep": HttpAnswer(200, b"[" * 60_000, JSON),
    "not a number": HttpAnswer(200, b'{"partialSuccess": {"rejectedSpans": [1]}}', JSON),
    "no number that there is": HttpAnswer(200, b'{"partialSuccess": {"rejectedSpans": 1e999}}', JSON),
    "endless": HttpAnswer(200, b"\x0a" * 10_000_000),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_success_that_cannot_be_read_is_no_acknowledgement(sending, server, answer) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [answer]

    with pytest.raises(Permanent, match="cannot be read"):
        await exporter.consume(batch_of())


async def test_a_warning_is_logged_now_and_then_and_is_a_success(sending, server, capsys) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [HttpAnswer(200, partial(0, "please\nupdate"))] * 2

    await exporter.consume(batch_of())
    await exporter.consume(batch_of())

    assert capsys.readouterr().out.count("please\\nupdate") == 1


@pytest.mark.parametrize(
    "body", [b"bad\n\x1b[31m" + b"x" * 10_000_000, status_of(3, "bad\n\x1b[31m" + "x" * 5000)], ids=["text", "status"]
)
async def test_the_servers_words_are_kept_to_a_line(sending, server, body) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [HttpAnswer(400, body, "text/plain" if body.startswith(b"bad") else PROTO)]

    with pytest.raises(Permanent) as told:
        await exporter.consume(batch_of())
    assert str(told.value).startswith("400 Bad Request: bad\\n\\x1b[31mxxx")
    assert len(str(told.value)) < 400
    assert str(told.value).isprintable()


async def test_a_compressed_answer_is_not_asked_for_and_not_inflated(sending, server) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [HttpAnswer(400, b"\x1f\x8bnonsense", "text/plain", {"Content-Encoding": "gzip"})]

    with pytest.raises(Permanent, match="400 Bad Request"):
        await exporter.consume(batch_of())
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_a_server_that_is_not_there_is_no_end(sending) -> None:
    exporter = await sending.exporter(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Retryable, match=r"no answer: .*127\.0\.0\.1:\d+.*([Cc]onnection refused|Connect call failed)"):
        await exporter.consume(batch_of())


async def test_a_server_that_hangs_is_given_up_after_the_timeout(sending, server) -> None:
    exporter = await sending.exporter(server.url, {"timeout": "200ms"})
    server.gate.clear()

    with pytest.raises(Retryable, match="no answer in time"):
        await exporter.consume(batch_of())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "no answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: application/json\r\n\r\n{", "no answer"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64", "does not speak HTTP/1"),
    ],
    ids=["nothing", "half an answer", "HTTP/2"],
)
async def test_a_connection_that_breaks_is_tried_again(sending, said, told) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(speak, "127.0.0.1", 0)
    exporter = await sending.exporter(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    with pytest.raises(Retryable, match=told):
        await exporter.consume(batch_of())
    listening.close()


async def test_what_a_server_refused_for_now_is_sent_again_in_the_same_bytes(sending, server) -> None:
    clock = ManualClock()
    exporter = await sending.exporter(
        server.url, {"retry_on_failure": {}}, clock=clock, sleep=clock.sleep, rng=lambda: 0.5
    )
    server.answers = [HttpAnswer(503), HttpAnswer(429, headers={"Retry-After": "20"})]
    call = asyncio.create_task(exporter.consume(batch_of()))
    async with asyncio.timeout(20):
        while not call.done():
            await clock.advance(1)
            await asyncio.sleep(0.01)

    await call
    assert len({request.body for request in server.requests}) == 1
    assert len(server.requests) == 3
    assert clock.now >= 25


async def test_a_server_that_goes_away_and_comes_back_gets_everything_once_acknowledged(sending, server) -> None:
    retry = {"initial_interval": "50ms", "max_interval": "200ms"}
    exporter = await sending.exporter(server.url, {"retry_on_failure": retry, "compression": "none"})
    await exporter.consume(batch_of(name="before"))
    port = server.port
    await server.stop()

    calls = [asyncio.create_task(exporter.consume(batch_of(name=f"away {n}"))) for n in range(20)]
    await asyncio.sleep(0.3)
    assert not any(call.done() for call in calls)

    back = await sending.server(port)
    await asyncio.wait_for(asyncio.gather(*calls), 20)
    names = {
        ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans[0].name
        for request in back.requests
    }
    assert names == {f"away {n}" for n in range(20)}


async def test_a_sender_that_leaves_ends_its_request(sending) -> None:
    gone = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await reader.read()
        gone.set()
        writer.close()

    came = asyncio.Event()
    listening = await asyncio.start_server(hold, "127.0.0.1", 0)
    exporter = await sending.exporter(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    call = asyncio.create_task(exporter.consume(batch_of()))
    await asyncio.wait_for(came.wait(), 10)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(gone.wait(), 10)
    listening.close()


async def test_a_thousand_senders_share_ten_connections(sending, server) -> None:
    exporter = await sending.exporter(server.url, {"compression": "none"})
    server.gate.clear()
    calls = [asyncio.create_task(exporter.consume(batch_of(name=str(n)))) for n in range(1000)]
    await asyncio.wait_for(server.until_held(10), 10)
    assert not any(call.done() for call in calls)
    server.gate.set()
    await asyncio.wait_for(asyncio.gather(*calls), 60)

    assert server.most_held == 10
    assert len({request.body for request in server.requests}) == len(server.requests) == 1000
    assert len({request.peer for request in server.requests}) == 10


@pytest.mark.parametrize(("options", "connections"), [({}, 1), ({"disable_keep_alives": True}, 3)])
async def test_a_connection_is_kept_for_the_next_request(sending, server, options, connections) -> None:
    exporter = await sending.exporter(server.url, options)
    for _ in range(3):
        await exporter.consume(batch_of())

    assert len({request.peer for request in server.requests}) == connections


async def test_a_connection_whose_answer_was_not_read_to_its_end_is_not_used_again(sending, server) -> None:
    exporter = await sending.exporter(server.url)
    server.answers = [HttpAnswer(400, b"x" * 10_000_000, "text/plain")]
    with pytest.raises(Permanent):
        await exporter.consume(batch_of())
    await exporter.consume(batch_of())

    assert len({request.peer for request in server.requests}) == 2


async def test_shutdown_waits_for_requests_under_way_and_takes_no_more(sending, server) -> None:
    exporter = await sending.exporter(server.url, {"sending_queue": {"num_consumers": 1, "wait_for_result": True}})
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


async def test_headers_are_sent_and_may_replace_ours(sending, server) -> None:
    headers = {"Authorization": "Bearer hush", "content-type": "application/protobuf"}
    exporter = await sending.exporter(server.url, {"headers": headers})

    await exporter.consume(batch_of())

    assert server.requests[0].headers["Authorization"] == "Bearer hush"
    assert server.requests[0].headers["Content-Type"] == "application/protobuf"
    assert "hush" not in repr(exporter.config)
    assert "hush" not in exporter.config.model_dump_json()


async def test_cookies_are_kept_only_where_it_is_told_to(sending, server) -> None:
    sending.transport = "auto"
    for options, kept in (({}, False), ({"cookies": {}}, True)):
        # Not an address: cookies of those are never kept.
        exporter = await sending.exporter(server.url, options)
        server.answers = [HttpAnswer(headers={"Set-Cookie": "backend=3"})]
        await exporter.consume(batch_of())
        await exporter.consume(batch_of())
        assert ("Cookie" in server.requests[-1].headers) is kept


@pytest.mark.parametrize(
    ("where", "is_used"),
    [
        ({"option": True}, True),
        ({"http_proxy": True}, True),
        ({"http_proxy": True, "no_proxy": "collector.example"}, False),
    ],
    ids=["option", "environment", "environment, but not for this host"],
)
async def test_a_proxy_is_asked(sending, server, monkeypatch, where, is_used) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    options = {"proxy_url": server.url} if "option" in where else {}
    for name, value in where.items():
        if name != "option":
            monkeypatch.setenv(name, server.url if value is True else value)
    exporter = await sending.exporter("http://collector.example:1", {**options, "timeout": "5s"})

    if is_used:
        await exporter.consume(batch_of())
        assert server.requests[0].headers["Host"] == "collector.example:1"
    else:
        with pytest.raises(Retryable):
            await exporter.consume(batch_of())
        assert server.requests == []


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(sending, server, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    exporter = await sending.exporter(server.url)

    await exporter.consume(batch_of())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


SecureServer = Callable[..., Awaitable[HttpServer]]


@pytest.fixture
def secure_server(sending: Sending, authority: Authority) -> SecureServer:
    async def start(*, mutual: bool = False) -> HttpServer:
        certificate, key = authority.sign("server")
        section = {"cert_file": str(certificate), "key_file": str(key)}
        if mutual:
            section["client_ca_file"] = str(authority.file)
        return await sending.server(0, TlsServerConfig.model_validate(section).context())

    return start


async def test_tls_with_the_servers_authority(sending, secure_server, authority) -> None:
    server = await secure_server()
    exporter = await sending.exporter(server.url, {"tls": {"ca_file": str(authority.file)}})

    await exporter.consume(batch_of())
    assert len(server.requests) == 1


async def test_a_server_of_another_authority_gets_nothing_unless_any_will_do(sending, secure_server) -> None:
    server = await secure_server()
    with pytest.raises(Retryable, match=r"certificate verify failed|an authority that is not trusted"):
        await (await sending.exporter(server.url)).consume(batch_of())
    assert server.requests == []

    careless = await sending.exporter(server.url, {"tls": {"insecure_skip_verify": True}})
    await careless.consume(batch_of())


async def test_a_certificate_may_have_another_name(sending, secure_server, authority) -> None:
    server = await secure_server()
    tls = {"ca_file": str(authority.file)}
    wrong = await sending.exporter(server.url, {"tls": {**tls, "server_name_override": "wrong.example"}})
    with pytest.raises(Retryable):
        await wrong.consume(batch_of())

    right = await sending.exporter(server.url, {"tls": {**tls, "server_name_override": "localhost"}})
    await right.consume(batch_of())


async def test_mutual_tls_needs_a_certificate(sending, secure_server, authority) -> None:
    server = await secure_server(mutual=True)
    certificate, key = authority.sign("client")
    tls = {"ca_file": str(authority.file)}
    with pytest.raises(Retryable):
        await (await sending.exporter(server.url, {"tls": tls})).consume(batch_of())

    own = {"cert_file": str(certificate), "key_file": str(key)}
    await (await sending.exporter(server.url, {"tls": {**tls, **own}})).consume(batch_of())
    assert len(server.requests) == 1


async def test_a_certificate_that_cannot_be_read_stops_the_start(sending, tmp_path) -> None:
    with pytest.raises(StartError) as stopped:
        await sending.exporter("https://localhost:1", {"tls": {"ca_file": str(tmp_path / "missing.pem")}})
    assert stopped.value.option == "tls::ca_file"


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("encoding", ["proto", "json"])
@pytest.mark.parametrize("served_by", ["python", "native"])
async def test_the_otlp_receiver_takes_it(sending, tmp_path, signal, encoding, served_by) -> None:
    if served_by == "native":
        pytest.importorskip("airis._core")
    sink = Sink()
    options = {"transport": served_by, "protocols": {"http": {"endpoint": "127.0.0.1:0"}}}
    receiver = build("otlp", options, sink, kind=Kind.RECEIVER, grace_s=0.0)
    await receiver.start(FakeHost(tmp_path))
    exporter = await sending.exporter(receiver.endpoints()["OTLP HTTP"], {"encoding": encoding})
    batch = batch_of(signal, 500)
    try:
        await exporter.consume(batch)
        sink.error = Retryable("full", retry_after=1.5)
        with pytest.raises(Retryable, match=r"503 .*: full") as told:
            await exporter.consume(batch)
        sink.error = Partial(3, "three were bad")
        with pytest.raises(Partial, match="three were bad"):
            await exporter.consume(batch)
        sink.error = Permanent("bad")
        with pytest.raises(Permanent, match=r"400 .*: bad"):
            await exporter.consume(batch)
    finally:
        await receiver.shutdown()

    assert told.value.retry_after == 2
    assert [b.payload for b in sink.batches] == [batch.payload]


URL = "http://a:1"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no endpoint": ({}, "needs an endpoint"),
    "no scheme": ({"endpoint": "a:4318"}, 'has no scheme; write "http://a:4318"'),
    "another scheme": ({"endpoint": "unix:///a"}, "not an http:// or https:// URL"),
    "no host": ({"endpoint": "http://"}, "not an http:// or https:// URL"),
    "no port": ({"endpoint": "http://a:99999"}, "out of range"),
    "a level of snappy": (
        {"endpoint": URL, "compression": "snappy", "compression_params": {"level": 1}},
        "snappy has no levels",
    ),
    "a level over the highest": (
        {"endpoint": URL, "compression_params": {"level": 10}},
        "gzip has levels up to 9",
    ),
    "an encoding": ({"endpoint": URL, "compression": "br"}, "gzip"),
    "a header of the body": ({"endpoint": URL, "headers": {"Content-Length": "1"}}, "follows from the body"),
    "a proxy": ({"endpoint": URL, "proxy_url": "socks5://user:hush@a:1"}, "not the URL of an HTTP proxy"),
    "auth": ({"endpoint": URL, "auth": {}}, "Field required"),
    "middlewares": ({"endpoint": URL, "middlewares": [{"id": "x"}]}, "middlewares are not supported yet"),
    "a queue that waits for the disk": (
        {"endpoint": URL, "sending_queue": {"storage": "x", "wait_for_result": True}},
        "wait_for_result has no use with storage",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_and_says_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        OtlpHttpConfig.model_validate(options)
    assert message in str(refused.value)
    assert "hush" not in "".join(error["msg"] for error in refused.value.errors())


def test_the_collectors_options_are_taken() -> None:
    OtlpHttpConfig.model_validate(
        {
            "endpoint": "https://otel.example",
            "proxy_url": "http://user:hush@proxy:3128",
            "compression": "zstd",
            "compression_params": {"level": 11},
            "max_idle_conns": 10,
            "max_idle_conns_per_host": 10,
            "max_conns_per_host": 10,
            "idle_conn_timeout": "30s",
            "http2_read_idle_timeout": "10s",
            "http2_ping_timeout": "10s",
            "force_attempt_http2": False,
            "headers": [{"name": "x", "value": "1"}],
            "timeout": "10s",
            "cookies": {"enabled": True},
        }
    )


def test_a_configuration_with_them_is_read_without_their_libraries(tmp_path: Path) -> None:
    file = tmp_path / "airis.yaml"
    file.write_text(
        """
receivers: {otlp: {protocols: {grpc: , http: }}}
exporters: {otlp: {endpoint: "a:4317"}, otlphttp: {endpoint: "http://a:4318"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp, otlphttp]}}}
"""
    )
    program = f"""
import json, sys
from airis.service import cli
try:
    cli.app(["validate", "--config", {str(file)!r}])
except SystemExit as end:
    print(json.dumps([end.code, [name for name in ("grpc", "aiohttp") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
