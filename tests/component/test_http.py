"""The shared HTTP server over real sockets: addresses, time limits, cross-origin requests, shutdown."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs
from yarl import URL

from airis.component import Host, StartError, Telemetry, http_listener
from airis.component.http import HttpServer, HttpServerConfig, answer, read_body
from airis.component.intake import IntakeError
from tests.authenticators import Known


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path and the body's size, or with 413 and the like."""
    try:
        body = await read_body(scope, receive, HttpServerConfig(endpoint=":0", max_request_body_size=100_000))
    except IntakeError as error:
        await answer(send, 413, str(error).encode())
        return
    await answer(send, 200, f"{scope['path']} {len(body)}".encode())


def telemetry() -> Telemetry:
    return Telemetry("extension", "test")


@asynccontextmanager
async def serving(app: ASGIApp = echo, **options: Any) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, HttpServerConfig.model_validate({"endpoint": "localhost:0", **options}), telemetry())
    await server.start()
    try:
        yield server
    finally:
        await server.shutdown(grace_s=0)


@asynccontextmanager
async def requesting(method: str, url: str | URL, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as client, client.request(method, url, **options) as response:
        yield response


async def connect(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def closed_by_server(reader: asyncio.StreamReader) -> bytes:
    """What still came before the connection ended; the test's time-out is the only clock."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Status, headers and body of one response."""
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split()[1]), head, await reader.readexactly(length)


async def test_serves_at_a_free_port_and_says_which() -> None:
    async with serving() as server, requesting("POST", f"{server.url}/a?b", data=b"123") as response:
        assert (response.status, await response.read()) == (200, b"/a 3")
        assert "Date" in response.headers
        assert server.address == f"127.0.0.1:{server.port}"


async def test_serves_on_a_unix_socket_and_takes_the_place_of_a_dead_one(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    async with serving(endpoint=path, transport="unix") as server:
        assert server.url == f"unix:{path}"
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read_answer(reader))[2] == b"/x 0"
        writer.close()
        with pytest.raises(StartError, match="the path is taken"):
            await HttpServer(echo, HttpServerConfig(endpoint=path, transport="unix"), telemetry()).start()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("127.0.0.1:{taken}", "the port is taken"),
        ("203.0.113.1:0", "this machine has no such address"),
        ("no.such.host.invalid:0", "the host is not known"),
        ("a..b:0", "the host is not known"),
    ],
)
async def test_an_endpoint_it_cannot_listen_on_is_a_start_error(endpoint: str, reason: str) -> None:
    async with serving() as other:
        config = HttpServerConfig(endpoint=endpoint.format(taken=other.port))

        with pytest.raises(StartError, match=reason) as error:
            await HttpServer(echo, config, telemetry(), "protocols::http").start()

    assert error.value.option == "protocols::http::endpoint"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"endpoint": "localhost"}, r'"localhost" has no port; write "localhost:4318"'),
        ({"endpoint": "4318"}, 'has no host; write "localhost:4318"'),
        ({"endpoint": "[::1]"}, "has no port"),
        ({"endpoint": "::1:4318"}, "write an IPv6 address in brackets"),
        ({"endpoint": "http://localhost:4318/v1/traces"}, 'is a URL; write "localhost:4318"'),
        ({"endpoint": "localhost:http"}, '"http" is no port'),
        ({"endpoint": "localhost:65536"}, '"65536" is no port'),
        ({"response_headers": {"x": "nosniff\n"}}, 'the value of "x" has a line end'),
        ({"response_headers": {"x y": "z"}}, '"x y" is not the name of a header'),
        ({"compression_algorithms": ["br"]}, 'encoding "br" is not supported; use one of gzip'),
        ({"write_timeout": "-1s"}, "greater than or equal to 0"),
        ({"auth": {}}, "Field required"),
        ({"auth": {"authenticator": "x", "request_params": ["a b"]}}, '"a b" is not the name of a header'),
        ({"middlewares": [{"id": "x"}]}, "middlewares are not supported yet"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_an_error(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        HttpServerConfig.model_validate({"endpoint": ":0", **options})


async def test_every_answer_has_the_configured_headers() -> None:
    async with (
        serving(response_headers={"X-Frame-Options": "deny"}) as server,
        requesting("GET", server.url) as response,
    ):
        assert response.headers["x-frame-options"] == "deny"


@pytest.mark.parametrize("framing", ["declared", "chunked"])
async def test_a_client_that_sends_too_much_first_gets_its_answer_and_keeps_its_connection(framing: str) -> None:
    body = bytes(3_000_000)
    if framing == "declared":
        head, frame = f"content-length: {len(body)}", body
    else:
        head, frame = "transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(f"POST / HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n".encode() + frame)
        await writer.drain()
        status, _, text = await read_answer(reader)
        writer.write(b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n")

        assert (status, text) == (413, b"the request is larger than 100000 bytes after decompression")
        assert (await read_answer(reader))[2] == b"/next 0"
        writer.close()


async def test_a_client_that_asks_first_is_not_told_to_go_on_with_too_much() -> None:
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3000000\r\n\r\n")

        assert (await read_answer(reader))[0] == 413
        assert await closed_by_server(reader) == b""
        writer.close()


@pytest.mark.parametrize(
    ("options", "request_bytes"),
    [
        ({"read_header_timeout": "50ms"}, b""),
        ({"read_header_timeout": "50ms"}, b"GET / HTTP/1.1\r\nhost: x\r\n"),
        ({"read_timeout": "50ms"}, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx"),
    ],
    ids=["nothing sent", "headers not ended", "body not ended"],
)
async def test_a_connection_that_does_not_get_on_is_closed(options: dict[str, Any], request_bytes: bytes) -> None:
    async with serving(**options) as server:
        reader, writer = await connect(server)

        writer.write(request_bytes)

        assert await closed_by_server(reader) == b""
        writer.close()


async def test_the_body_of_a_pipelined_request_has_its_time_too() -> None:
    async with serving(read_timeout="50ms") as server:
        reader, writer = await connect(server)

        writer.write(b"GET /first HTTP/1.1\r\nhost: x\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx")

        assert (await closed_by_server(reader)).endswith(b"/first 0")
        writer.close()


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
        (b"GET / HTTP/1.1\r\nx: ", b"y"),
        (b"GET /", b"y"),
        (b"", b"\r\n"),
    ],
    ids=["headers", "one header", "path", "empty lines"],
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(start: bytes, more: bytes) -> None:
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(start + more * (70_000 // len(more)))

        assert (await closed_by_server(reader)).startswith(b"HTTP/1.1 431 ")
        writer.close()


async def test_trailers_without_end_are_cut_off() -> None:
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
        writer.write(b"x: y\r\n" * 200_000)

        assert await closed_by_server(reader) == b""
        writer.close()


async def test_a_request_that_offers_another_protocol_keeps_its_body() -> None:
    head = "\r\n".join(
        [
            "POST /jdk HTTP/1.1",
            "connection: Upgrade, HTTP2-Settings",
            "host: x",
            "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
            "upgrade: h2c",
            "content-length: 5",
        ]
    )
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(f"{head}\r\n\r\n01234".encode() * 2)
        writer.write(f"{head}\r\n\r\n012".encode())
        answers = [await read_answer(reader) for _ in range(2)]
        writer.write(b"34")
        answers.append(await read_answer(reader))

        assert [(status, body) for status, _, body in answers] == [(200, b"/jdk 5")] * 3
        writer.close()


async def test_it_is_no_proxy() -> None:
    async with serving() as server:
        reader, writer = await connect(server)

        writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n")

        assert (await closed_by_server(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()


@pytest.mark.parametrize(
    "options", [{"idle_timeout": "50ms"}, {"keep_alives_enabled": False}], ids=["idle", "keep-alive off"]
)
async def test_a_connection_ends_after_its_answer(options: dict[str, Any]) -> None:
    async with serving(**options) as server:
        reader, writer = await connect(server)

        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")

        assert (await closed_by_server(reader)).endswith(b"/x 0")
        writer.close()


class Answering:
    """An application that answers with its path at once, slowly or never, or with more than a client reads."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] == "/never":
                await asyncio.Event().wait()
            if scope["path"] == "/slow":
                await asyncio.sleep(0.25)
            if scope["path"] == "/much":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                for _ in range(50):
                    await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
            await answer(send, 200, scope["path"].encode())
        finally:
            self.ended.set()


async def test_an_answer_that_does_not_come_ends_the_connection() -> None:
    async with serving(Answering(), write_timeout="50ms") as server:
        reader, writer = await connect(server)

        writer.write(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")

        assert await closed_by_server(reader) == b""
        writer.close()


async def test_an_answer_that_is_not_read_ends_the_connection() -> None:
    app = Answering()
    async with serving(app, write_timeout="50ms") as server:
        reader, writer = await connect(server)

        writer.write(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        await app.ended.wait()

        assert len(await closed_by_server(reader)) < 50_000_000
        writer.close()


async def test_the_time_for_an_answer_begins_with_its_request() -> None:
    async with serving(Answering(), write_timeout="200ms") as server:
        reader, writer = await connect(server)

        for _ in range(3):
            writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await read_answer(reader))[2] == b"/x"
            await asyncio.sleep(0.1)
        writer.write(b"GET /y HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read_answer(reader))[2] == b"/y"
        writer.close()


async def test_a_pipelined_request_has_its_own_time_for_an_answer() -> None:
    async with serving(Answering(), write_timeout="400ms") as server:
        reader, writer = await connect(server)

        writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
        answers = [(await read_answer(reader))[2] for _ in range(2)]
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\nGET /never HTTP/1.1\r\nhost: x\r\n\r\n")

        assert answers == [b"/slow", b"/slow"]
        assert (await closed_by_server(reader)).endswith(b"/x")
        writer.close()


async def test_a_fault_of_the_application_is_a_plain_500_without_its_text() -> None:
    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret")

    async with serving(faulty) as server, requesting("GET", server.url) as response:
        assert response.status == 500
        assert b"secret" not in await response.read()


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-team"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://shop.example", True),
        ("https://a.shop.example", True),
        ("https://shop.example.evil", False),
        ("https://aXshopYexample", False),
    ],
)
async def test_pages_of_allowed_origins_may_send(origin: str, allowed: bool) -> None:
    cors = {
        "allowed_origins": ["https://shop.example", "https://*.shop.example"],
        "allowed_headers": ["X-Team"],
        "exposed_headers": ["Retry-After"],
        "max_age": 7200,
    }
    async with serving(cors=cors) as server:
        async with requesting("OPTIONS", server.url, headers={"origin": origin, **PREFLIGHT}) as preflight:
            assert preflight.ok is allowed
            assert preflight.headers.get("access-control-allow-origin") == (origin if allowed else None)
            assert preflight.headers["access-control-max-age"] == "7200"
        async with requesting("POST", server.url, headers={"origin": origin}) as response:
            assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)
            assert response.headers["access-control-expose-headers"] == "Retry-After"


async def test_without_cors_no_origin_is_allowed() -> None:
    headers = {"origin": "https://x.example", **PREFLIGHT}
    async with serving() as server, requesting("OPTIONS", server.url, headers=headers) as preflight:
        assert "access-control-allow-origin" not in preflight.headers


class Held:
    """An application that holds its callers until it is told."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await answer(send, 200, b"done")


async def test_a_shutdown_lets_requests_in_progress_end_and_takes_nothing_new() -> None:
    app = Held()
    async with serving(app) as server:
        idle_reader, idle_writer = await connect(server)
        reader, writer = await connect(server)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await app.entered.wait()

        shutdown = asyncio.create_task(server.shutdown())

        assert await closed_by_server(idle_reader) == b""
        with pytest.raises(ConnectionRefusedError):
            await connect(server)
        app.release.set()
        assert (await closed_by_server(reader)).endswith(b"done")
        await shutdown
        idle_writer.close()
        writer.close()


async def test_a_shutdown_cancels_what_does_not_end_within_the_grace() -> None:
    app = Held()
    async with serving(app) as server:
        reader, writer = await connect(server)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await app.entered.wait()

        await server.shutdown(grace_s=0)

        assert app.cancelled
        assert b" 500 " in await closed_by_server(reader)
        writer.close()


async def test_shutdown_may_come_twice_and_before_start() -> None:
    server = HttpServer(echo, HttpServerConfig(endpoint="localhost:0"), telemetry())

    await server.shutdown()
    await server.start()
    await server.shutdown()
    await server.shutdown()


def named(text: bytes) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, 200, text)

    return app


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def sharing(port: int, name: str, paths: tuple[str, ...] = (), **options: Any) -> HttpServer:
    config = HttpServerConfig.model_validate({"endpoint": f"127.0.0.1:{port}", **options})
    return HttpServer(named(name.encode()), config, Telemetry("extension", name), paths=paths)


async def get(port: int, path: str) -> tuple[int, str]:
    async with requesting("GET", f"http://localhost:{port}{path}") as response:
        return response.status, await response.text()


async def test_servers_that_name_one_endpoint_share_its_port() -> None:
    port = free_port()
    all_paths, one_path = sharing(port, "query"), sharing(port, "writer", ("/write",), response_headers={"x-of": "w"})
    await all_paths.start()
    await one_path.start()
    assert await get(port, "/write") == (200, "writer")
    assert await get(port, "/write/") == (200, "query")
    async with requesting("GET", f"{one_path.url}/write?a=b") as response:
        assert response.headers["x-of"] == "w"
    async with requesting("GET", f"{one_path.url}/read") as response:
        assert "x-of" not in response.headers
    async with requesting("GET", URL(f"{one_path.url}/%77rite", encoded=True)) as response:
        assert (response.headers["x-of"], await response.text()) == ("w", "writer")

    await one_path.shutdown()

    assert await get(port, "/write") == (503, "not served at the moment\n")
    assert await get(port, "/other") == (200, "query")
    again = sharing(port, "again", ("/write",))
    await again.start()
    await all_paths.shutdown()
    assert await get(port, "/write") == (200, "again")
    assert await get(port, "/other") == (503, "not served at the moment\n")
    await again.shutdown()
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(port, "/write")


async def test_a_server_that_left_for_good_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_listener, "EXCHANGE_S", 0.0)
    port = free_port()
    all_paths, one_path, other = (
        sharing(port, "query"),
        sharing(port, "writer", ("/write",)),
        sharing(port, "o", ("/o",)),
    )
    for server in (all_paths, one_path, other):
        await server.start()

    await one_path.shutdown()
    assert await get(port, "/write") == (200, "query")
    await all_paths.shutdown()
    assert await get(port, "/write") == (404, "not found\n")
    await other.shutdown()


class OfKnown:
    """A host with one authenticator."""

    def __init__(self) -> None:
        self.known = Known()

    def extension(self, component_id: str, kind: type[object]) -> object:
        return self.known


@pytest.mark.parametrize("first", ["query", "writer"])
async def test_a_port_of_which_a_part_alone_asks_who_sends_says_so(first: str) -> None:
    port, host = free_port(), cast("Host", OfKnown())
    servers = {
        "query": sharing(port, "query", auth={"authenticator": "known"}),
        "writer": sharing(port, "writer", ("/write",)),
        "other": sharing(port, "other", ("/other",), auth={"authenticator": "known"}),
    }
    with capture_logs() as logs:
        for name in sorted(servers, key=lambda name: (name != first, name == "other")):
            await servers[name].start(host)
    for server in servers.values():
        await server.shutdown()
    told = [(entry["guarded"], entry["open"]) for entry in logs]
    assert told == [("extension query", "extension writer"), ("extension other", "extension writer")]


async def test_each_server_of_a_port_waits_for_its_own_requests() -> None:
    port = free_port()
    arrived, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await release.wait()
        await answer(send, 200, b"slow")

    config = HttpServerConfig(endpoint=f"localhost:{port}")
    server, other = HttpServer(slow, config, telemetry(), paths=["/slow"]), sharing(port, "other")
    await server.start()
    await other.start()
    held = asyncio.create_task(get(port, "/slow"))
    await arrived.wait()

    await other.shutdown()
    closing = asyncio.create_task(server.shutdown())
    release.set()

    assert await held == (200, "slow")
    await closing


@pytest.mark.parametrize(
    ("paths", "options", "reason", "option"),
    [
        ((), {}, "the port is taken by extension first, which answers every path too", "endpoint"),
        (("/a",), {}, "the port is taken by extension second, which answers /a too", "endpoint"),
        (
            ("/b",),
            {"idle_timeout": "1s"},
            "is shared with extension first: idle_timeout must be the same",
            "idle_timeout",
        ),
        (("/b",), {"tls": {"cert_file": "c", "key_file": "k"}}, "shared with extension first: tls must be", "tls"),
    ],
)
async def test_what_cannot_share_a_port_is_told(
    paths: tuple[str, ...], options: dict[str, Any], reason: str, option: str
) -> None:
    port = free_port()
    first, second = sharing(port, "first"), sharing(port, "second", ("/a",))
    await first.start()
    await second.start()

    with pytest.raises(StartError, match=reason) as error:
        await sharing(port, "third", paths, **options).start()

    assert error.value.option == option
    await second.shutdown()
    await first.shutdown()
