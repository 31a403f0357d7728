"""What the native client alone has, and how it is chosen: balancing, encodings, TLS, proxies, HTTP/2."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from airis.component import Kind, Retryable, StartError
from airis.component.grpcio_client import GrpcioClient
from airis.component.proxies import parse_proxy, proxy_of_the_system
from airis.component.testing import FakeHost, Sink, build

from ..certificates import Authority
from .otlp_servers import GrpcServer, HttpServer, batch_of, free_port

pytest.importorskip("airis._core")

from airis.component.native_grpc import NativeGrpcClient

ONCE = {"enabled": False}


class House:
    """Exporters, servers and receivers that are shut down with the test."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder

    async def exporter(self, kind: str, endpoint: str, **options: Any) -> Any:
        plain = {"tls": {"insecure": True}} if kind == "otlp_grpc" else {}
        all_options = {"endpoint": endpoint, "transport": "native", "retry_on_failure": ONCE, "timeout": "60s"}
        made = build(kind, {**all_options, **plain, **options}, kind=Kind.EXPORTER)
        await made.start(FakeHost(self._folder))
        self._stack.push_async_callback(made.shutdown)
        return made

    async def server(self, *where: Any) -> GrpcServer:
        server = GrpcServer()
        await server.start(*where)
        self._stack.push_async_callback(server.stop)
        return server

    async def http_server(self, *where: Any) -> HttpServer:
        server = HttpServer()
        await server.start(*where)
        self._stack.push_async_callback(server.stop)
        return server

    async def receiver(self, **protocols: Any) -> tuple[Any, Sink]:
        sink = Sink()
        made = build("otlp", {"transport": "native", "protocols": protocols}, sink, kind=Kind.RECEIVER, grace_s=0.0)
        await made.start(FakeHost(self._folder))
        self._stack.push_async_callback(made.shutdown)
        return made, sink

    async def listen(self, serve: Any, **more: Any) -> int:
        listening = await asyncio.start_server(serve, "127.0.0.1", 0, **more)
        self._stack.callback(listening.close)
        return int(listening.sockets[0].getsockname()[1])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(stack, tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def port_of(server: GrpcServer) -> int:
    return int(server.address.rpartition(":")[2])


# Which transport sends.


@pytest.mark.parametrize(
    ("options", "client"),
    [
        ({}, NativeGrpcClient),
        ({"transport": "auto"}, NativeGrpcClient),
        ({"transport": "python"}, GrpcioClient),
        ({"transport": "auto", "endpoint": "dns://127.0.0.1/localhost:1"}, GrpcioClient),
    ],
)
async def test_the_native_client_is_taken_where_it_can(house, options, client) -> None:
    made = await house.exporter("otlp_grpc", options.pop("endpoint", "localhost:1"), **options)

    assert type(made.client) is client


async def test_what_falls_back_says_why(house, capsys) -> None:
    await house.exporter("otlp_http", "http://localhost:1", transport="auto", cookies={})
    assert "the native transport keeps no cookies" in capsys.readouterr().out


async def test_what_the_native_client_has_not_stops_the_start_where_it_is_asked_for(house) -> None:
    with pytest.raises(StartError, match="keeps no cookies; write transport: python") as stopped:
        await house.exporter("otlp_http", "http://localhost:1", cookies={})
    assert stopped.value.option == "cookies"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transport": "native"}, "without its native part; write python"),
        ({"transport": "auto", "compression": "zstd"}, "grpcio has no zstd"),
        ({"transport": "auto", "tls": {"min_version": "1.3"}}, "cannot be told otherwise"),
    ],
)
async def test_without_rust_what_only_it_has_stops_the_start(house, monkeypatch, options, message) -> None:
    monkeypatch.setitem(sys.modules, "airis._core", None)

    with pytest.raises(StartError, match=message):
        await house.exporter("otlp_grpc", "localhost:1", **options)


async def test_without_rust_the_python_transport_sends(house, monkeypatch) -> None:
    server = await house.server()
    monkeypatch.setitem(sys.modules, "airis._core", None)
    made = await house.exporter("otlp_grpc", server.address, transport="auto")
    await made.consume(batch_of())

    assert len(server.calls) == 1


# Encodings.


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "snappy"])
@pytest.mark.parametrize("items", [1, 5000])
async def test_every_encoding_of_grpc_arrives(house, compression, items) -> None:
    receiver, sink = await house.receiver(grpc={"endpoint": "127.0.0.1:0"})
    made = await house.exporter("otlp_grpc", receiver.endpoints()["OTLP gRPC"], compression=compression)
    batch = batch_of(items=items, name="name" * 20)
    await made.consume(batch)

    assert [taken.payload for taken in sink.batches] == [batch.payload]


# Balancing.


@pytest.mark.parametrize(("balancer", "shares"), [("round_robin", [5, 5]), ("pick_first", [10, 0])])
async def test_calls_are_shared_out_among_addresses(house, balancer, shares) -> None:
    one, two = await house.server(), await house.server()
    endpoint = f"ipv4:127.0.0.1:{port_of(one)},127.0.0.1:{port_of(two)}"
    made = await house.exporter("otlp_grpc", endpoint, balancer_name=balancer)
    # Both connections are there once calls were held by both.
    one.gate.clear()
    two.gate.clear()
    first = [asyncio.create_task(made.consume(batch_of())) for _ in range(2)]
    await asyncio.wait_for(one.until_held(1), 10)
    if balancer == "round_robin":
        await asyncio.wait_for(two.until_held(1), 10)
    one.gate.set()
    two.gate.set()
    await asyncio.gather(*first)
    for _ in range(8):
        await made.consume(batch_of())

    assert [len(one.calls), len(two.calls)] == shares


@pytest.mark.parametrize("balancer", ["round_robin", "pick_first"])
async def test_an_address_that_is_dead_takes_no_call(house, balancer) -> None:
    alive = await house.server()
    endpoint = f"ipv4:127.0.0.1:{free_port()},127.0.0.1:{port_of(alive)}"
    made = await house.exporter("otlp_grpc", endpoint, balancer_name=balancer)
    for _ in range(4):
        await made.consume(batch_of())

    assert len(alive.calls) == 4


async def test_a_server_that_comes_back_is_found_again(house) -> None:
    one, two = await house.server(), await house.server()
    endpoint = f"ipv4:127.0.0.1:{port_of(one)},127.0.0.1:{port_of(two)}"
    made = await house.exporter("otlp_grpc", endpoint, wait_for_ready=True)
    await made.consume(batch_of())
    await one.stop()
    await two.stop()
    call = asyncio.create_task(made.consume(batch_of()))
    back = await house.server(f"127.0.0.1:{port_of(two)}")
    await asyncio.wait_for(call, 20)

    assert len(back.calls) == 1


async def test_a_name_without_addresses_is_named(house) -> None:
    made = await house.exporter("otlp_grpc", "nowhere.invalid:4317")

    with pytest.raises(Retryable, match=r'UNAVAILABLE: nowhere\.invalid:4317: no address for "nowhere\.invalid": '):
        await made.consume(batch_of())


# TLS.


async def secure(house: House, authority: Authority, name: str = "server") -> GrpcServer:
    certificate, key = authority.sign(name)
    return await house.server(
        "127.0.0.1:0", grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    )


async def test_why_a_server_is_not_trusted_is_said(house, authority, tmp_path) -> None:
    server = await secure(house, authority)
    other = Authority(tmp_path / "other", "other")
    ca = {"ca_file": str(authority.file)}
    causes = {
        "an authority that is not trusted": {"ca_file": str(other.file)},
        "is for another name": {**ca, "server_name_override": "wrong.example"},
    }
    for cause, tls in causes.items():
        made = await house.exporter("otlp_grpc", server.address, tls=tls)
        with pytest.raises(Retryable, match=rf"UNAVAILABLE: localhost:\d+: the server's certificate .*{cause}"):
            await made.consume(batch_of())
    assert server.calls == []


@pytest.mark.parametrize(
    ("days", "cause"), [((-20, -10), "has expired"), ((10, 20), "is not valid yet")], ids=["expired", "not yet"]
)
async def test_a_certificate_out_of_time_is_said_to_be(house, authority, days, cause) -> None:
    certificate, key = authority.sign("old", days=days)
    pair = (key.read_bytes(), certificate.read_bytes())
    server = await house.server("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    made = await house.exporter("otlp_grpc", server.address, tls={"ca_file": str(authority.file)})

    with pytest.raises(Retryable, match=f"the server's certificate {cause}"):
        await made.consume(batch_of())


async def test_any_certificate_will_do_where_it_is_told_so(house, authority) -> None:
    server = await secure(house, authority)
    made = await house.exporter("otlp_grpc", server.address, tls={"insecure_skip_verify": True})
    await made.consume(batch_of())

    assert len(server.calls) == 1


@pytest.mark.parametrize(("override", "is_taken"), [("localhost", True), ("wrong.example", False)])
async def test_a_certificate_that_is_its_own_authority_may_be_named(house, tmp_path, override, is_taken) -> None:
    certificate, key = Authority(tmp_path / "own", "own").sign_itself()
    pair = (key.read_bytes(), certificate.read_bytes())
    server = await house.server("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    tls = {"ca_file": str(certificate), "server_name_override": override}
    made = await house.exporter("otlp_grpc", server.address, tls=tls)

    if is_taken:
        await made.consume(batch_of())
    else:
        with pytest.raises(Retryable, match="is for another name"):
            await made.consume(batch_of())


async def test_a_server_without_tls_is_said_to_be(house, authority) -> None:
    server = await house.server()
    made = await house.exporter("otlp_grpc", server.address, tls={"ca_file": str(authority.file)})

    with pytest.raises(Retryable, match="the server does not speak TLS"):
        await made.consume(batch_of())


@pytest.mark.parametrize(("spoken", "is_taken"), [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)])
async def test_versions_of_tls_are_kept_to(house, authority, spoken, is_taken) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("server"))
    context.maximum_version = spoken
    server = await house.http_server(0, context)
    tls = {"ca_file": str(authority.file), "min_version": "1.3"}
    made = await house.exporter("otlp_http", server.url, tls=tls)

    if is_taken:
        await made.consume(batch_of())
    else:
        with pytest.raises(Retryable, match=r"none of the TLS versions|ended the TLS handshake"):
            await made.consume(batch_of())


@pytest.mark.parametrize(
    ("kind", "transport"), [("otlp_grpc", "native"), ("otlp_http", "native"), ("otlp_http", "python")]
)
async def test_a_certificate_is_read_again(house, authority, tmp_path, kind, transport, capsys) -> None:
    clients = Authority(tmp_path / "clients", "clients")
    certificate, key = authority.sign("server")
    tls = {"cert_file": str(certificate), "key_file": str(key), "client_ca_file": str(clients.file)}
    which = "grpc" if kind == "otlp_grpc" else "http"
    receiver, sink = await house.receiver(**{which: {"endpoint": "localhost:0", "tls": tls}})
    endpoint = next(iter(receiver.endpoints().values())).replace("127.0.0.1", "localhost")
    wrong, wrong_key = Authority(tmp_path / "wrong", "wrong").sign("client")
    own = {"cert_file": str(wrong), "key_file": str(wrong_key), "reload_interval": "1ms"}
    tls = {"ca_file": str(authority.file), **own}
    made = await house.exporter(kind, endpoint, transport=transport, tls=tls)
    with pytest.raises(Retryable):
        await made.consume(batch_of())
    wrong.write_text("half written")
    with pytest.raises(Retryable):
        await made.consume(batch_of())
    assert "certificate not reloaded" in capsys.readouterr().out

    right, right_key = clients.sign("client")
    wrong.write_bytes(right.read_bytes())
    wrong_key.write_bytes(right_key.read_bytes())
    async with asyncio.timeout(20):
        while not sink.batches:
            try:
                await made.consume(batch_of())
            except Retryable:
                await asyncio.sleep(0.05)  # gRPC waits between two tries to connect


# HTTP/2, where a server chooses it.


@pytest.mark.parametrize(
    ("options", "offered", "begin"),
    [
        ({}, ["h2", "http/1.1"], b"PRI "),
        ({}, ["http/1.1"], b"POST"),
        ({}, None, b"POST"),
        ({"force_attempt_http2": False}, ["h2", "http/1.1"], b"POST"),
    ],
    ids=["both", "HTTP/1", "nothing", "not wanted"],
)
async def test_a_server_chooses_what_is_spoken(house, authority, options, offered, begin) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("server"))
    if offered:
        context.set_alpn_protocols(offered)
    begins: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begins.append(await reader.readexactly(4))
        writer.close()

    port = await house.listen(serve, ssl=context)
    made = await house.exporter(
        "otlp_http", f"https://localhost:{port}", tls={"ca_file": str(authority.file)}, **options
    )
    with pytest.raises(Retryable):
        await made.consume(batch_of())

    assert begins == [begin]


async def test_requests_share_a_connection_of_http2(house, authority) -> None:
    certificate, key = authority.sign("server")
    tls = {"cert_file": str(certificate), "key_file": str(key)}
    receiver, sink = await house.receiver(http={"endpoint": "localhost:0", "tls": tls})
    port = int(receiver.endpoints()["OTLP HTTP"].rpartition(":")[2])
    opened = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))

    through = await house.listen(relay)
    made = await house.exporter("otlp_http", f"https://localhost:{through}", tls={"ca_file": str(authority.file)})
    sink.gate.clear()
    calls = [asyncio.create_task(made.consume(batch_of(items=2000, name=str(n)))) for n in range(10)]
    await asyncio.wait_for(sink.until(waiting=1), 10)
    sink.gate.set()
    await asyncio.gather(*calls)

    assert (sink.items, opened) == (20_000, 1)
    sink.error = Retryable("full", retry_after=2)
    with pytest.raises(Retryable, match="503 Service Unavailable: full") as told:
        await made.consume(batch_of())
    assert told.value.retry_after == 2


async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read(65536):
            to.write(piece)
            await to.drain()
    except ConnectionError:
        pass
    finally:
        to.close()


# Connections of HTTP/1.


async def test_most_connections_are_kept_to(house) -> None:
    server = await house.http_server()
    made = await house.exporter("otlp_http", server.url, max_conns_per_host=2)
    server.gate.clear()
    calls = [asyncio.create_task(made.consume(batch_of())) for _ in range(9)]
    await asyncio.wait_for(server.until_held(2), 10)
    server.gate.set()
    await asyncio.gather(*calls)

    assert (server.most_held, len(server.requests)) == (2, 9)
    assert len({request.peer for request in server.requests}) == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(house) -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    made = await house.exporter("otlp_http", f"http://127.0.0.1:{await house.listen(serve)}")
    for _ in range(5):
        await made.consume(batch_of())
        await asyncio.sleep(0.02)

    assert served == 5


async def test_a_connection_that_is_not_used_is_closed(house) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        while await reader.read(65536):
            pass
        gone.set()
        writer.close()

    port = await house.listen(serve)
    made = await house.exporter("otlp_http", f"http://127.0.0.1:{port}", idle_conn_timeout="50ms")
    await made.consume(batch_of())
    await asyncio.wait_for(gone.wait(), 10)


HOSTILE = {
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000, "head of an answer is larger than"),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5_000 + b"\r\n", "larger than|does not speak HTTP/1"),
    "nonsense": (b"SSH-2.0-OpenSSH_9\r\n", "it does not speak HTTP/1"),
    "half a head": (b"HTTP/1.1 200 OK\r\nconte", "no answer"),
    "a chunk that never ends": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "no answer|does not speak HTTP/1",
    ),
}


@pytest.mark.parametrize(("said", "told"), HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_answer_is_told_and_tried_again(house, said, told) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            writer.write(said)
            await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    made = await house.exporter("otlp_http", f"http://127.0.0.1:{await house.listen(serve)}", timeout="10s")
    with pytest.raises(Retryable, match=told):
        await made.consume(batch_of())


# Proxies.


class TunnelProxy:
    """Connects to a port, whatever it is asked for."""

    def __init__(self, port: int, status: bytes = b"200 OK") -> None:
        self._port = port
        self._status = status
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\nvia: test\r\n\r\n")
        if self._status.startswith(b"2"):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
        writer.close()


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "grpc", "no", "all"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    return monkeypatch


async def test_grpc_goes_through_a_proxy(house, no_environment) -> None:
    server = await house.server()
    proxy = TunnelProxy(port_of(server))
    no_environment.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{await house.listen(proxy.serve)}")
    made = await house.exporter("otlp_grpc", "collector.example:4317")
    await made.consume(batch_of())

    (asked,) = proxy.asked
    assert asked.startswith(b"CONNECT collector.example:4317 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in asked
    assert len(server.calls) == 1


async def test_https_goes_through_a_proxy_and_meets_the_server_itself(house, authority, no_environment) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("server"))
    server = await house.http_server(0, context)
    proxy = TunnelProxy(server.port)
    options = {
        "proxy_url": f"http://127.0.0.1:{await house.listen(proxy.serve)}",
        "tls": {"ca_file": str(authority.file), "server_name_override": "localhost"},
    }
    made = await house.exporter("otlp_http", "https://collector.example", **options)
    await made.consume(batch_of())

    assert proxy.asked[0].startswith(b"CONNECT collector.example:443 HTTP/1.1\r\n")
    assert server.requests[0].headers["Host"] == "collector.example"


async def test_a_proxy_that_refuses_is_named(house, no_environment) -> None:
    port = await house.listen(TunnelProxy(0, b"407 Proxy Authentication Required").serve)
    no_environment.setenv("https_proxy", f"http://127.0.0.1:{port}")
    made = await house.exporter("otlp_grpc", "collector.example:4317")

    told = rf"UNAVAILABLE: collector.example:4317: the proxy 127.0.0.1:{port}: .*407 Proxy Authentication Required"
    with pytest.raises(Retryable, match=told):
        await made.consume(batch_of())


@pytest.mark.parametrize(
    ("host", "no_proxy", "found"),
    [
        ("a.example", "", "http://p:1"),
        ("a.example", "example", None),
        ("a.example", ".example", None),
        ("a.example", "b.example", "http://p:1"),
        ("a.example", "*", None),
        ("10.1.2.3", "10.0.0.0/8", None),
        ("11.1.2.3", "10.0.0.0/8, nonsense/9", "http://p:1"),
        ("localhost", "", None),
        ("127.0.0.1", "", None),
        ("::1", "", None),
    ],
)
def test_who_is_not_reached_through_a_proxy(no_environment, host, no_proxy, found) -> None:
    no_environment.setenv("https_proxy", "http://p:1")
    no_environment.setenv("no_proxy", no_proxy)

    assert proxy_of_the_system(("grpc", "https"), host, 4317) == found


def test_a_proxy_keeps_its_password_to_itself() -> None:
    proxy = parse_proxy("https://user:hush@proxy")

    assert (proxy.host, proxy.port, proxy.is_tls) == ("proxy", 443, True)
    assert "Basic" not in repr(proxy)


# The end.


async def test_who_waits_when_it_is_closed_is_told_to_try_again(house) -> None:
    server = await house.server()
    server.gate.clear()
    made = await house.exporter("otlp_grpc", server.address, timeout="0s")
    call = asyncio.create_task(made.consume(batch_of()))
    await asyncio.wait_for(server.until_held(1), 10)
    await made.client.close()

    with pytest.raises(Retryable, match="the client is closed"):
        await asyncio.wait_for(call, 10)
    server.gate.set()
    made.client = None


async def test_it_ends_though_a_call_was_given_up(house) -> None:
    server = await house.server()
    server.gate.clear()
    made = await house.exporter("otlp_grpc", server.address, timeout="0s")
    call = asyncio.create_task(made.consume(batch_of()))
    await asyncio.wait_for(server.until_held(1), 10)
    call.cancel()
    await asyncio.wait({call})
    await asyncio.wait_for(made.shutdown(), 10)
    server.gate.set()

    with pytest.raises(Retryable, match="shut down"):
        await made.consume(batch_of())
