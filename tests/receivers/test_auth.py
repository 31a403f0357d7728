"""Who may send to the otlp receiver: the same over both transports, whoever serves them."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from structlog.testing import capture_logs

from airis.component import Retryable, StartError
from airis.component.authentication import ANYBODY, Denied, Forbidden, Undecided
from airis.data import Signal
from airis.extensions.bearertokenauth import BearerTokens

from ..authenticators import Known, named
from .conftest import Client, GrpcClient, HttpClient, Otlp, Outcome, StartOtlp, request_of

AUTH = {"auth": {"authenticator": "known"}}


async def guarded(start_otlp: StartOtlp, known: Known, **options: Any) -> Otlp:
    """A receiver at whose door that authenticator stands."""
    return await start_otlp(grpc=AUTH, http={**AUTH, **options}, extensions={"known": known})


async def send(client: Client, credential: str | None, items: int = 1) -> Outcome:
    request = request_of(Signal.TRACES, items)
    if isinstance(client, GrpcClient):
        metadata = (("authorization", credential),) if credential is not None else ()
        return await client.export(Signal.TRACES, request, metadata)
    return await client.export(Signal.TRACES, request, {"authorization": credential} if credential is not None else {})


def is_taken(outcome: Outcome) -> bool:
    return outcome.code in ("OK", "200")


DENIED: dict[str, tuple[str, int, str]] = {
    "wrong": ("UNAUTHENTICATED", 401, "nobody"),
    "": ("UNAUTHENTICATED", 401, "missing"),
    "forbidden": ("PERMISSION_DENIED", 403, "not here"),
    "undecided": ("UNAVAILABLE", 503, "nobody knows"),
}
KNOWN: Mapping[str, Any] = {"forbidden": Forbidden("not here"), "undecided": Undecided("nobody knows")}
CODES = {"UNAUTHENTICATED": 16, "PERMISSION_DENIED": 7, "UNAVAILABLE": 14}


@pytest.mark.parametrize("credential", list(DENIED), ids=["wrong", "missing", "forbidden", "undecided"])
async def test_who_may_not_send_is_told_so_as_by_the_collector(
    start_otlp: StartOtlp, kind: str, credential: str
) -> None:
    otlp = await guarded(start_otlp, Known(**KNOWN))
    code, http_status, words = DENIED[credential]
    for _ in range(2):  # decided, and remembered
        outcome = await send(otlp.client(kind), credential or None)
        if kind == "grpc":
            assert (outcome.code, outcome.message) == (code, words)
            assert outcome.status == Status()  # the Collector has no details either
        else:
            assert outcome.code == str(http_status)
            assert outcome.status == Status(code=CODES[code], message=words)
            assert outcome.headers.get("www-authenticate") == ('Known realm="test"' if http_status == 401 else None)
            assert outcome.headers.get("retry-after") == ("1" if http_status == 503 else None)
    assert not otlp.sink.batches


async def test_who_may_send_is_known_behind_and_was_asked_about_once(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"))
    otlp = await guarded(start_otlp, known)
    client = otlp.client(kind)
    for _ in range(5):
        assert is_taken(await send(client, "a"))
    assert is_taken(await send(otlp.client(kind), "a"))
    assert known.asked == ["a"]
    assert [dict(batch.origin.auth) for batch in otlp.sink.batches] == [{"subject": "alice"}] * 6
    assert not any(batch.origin.metadata for batch in otlp.sink.batches)


async def test_a_client_without_a_name_has_none(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await guarded(start_otlp, Known(a=ANYBODY))
    assert is_taken(await send(otlp.client(kind), "a"))
    assert dict(otlp.sink.batches[0].origin.auth) == {}


async def test_a_header_cannot_pass_for_what_the_authenticator_says(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known(a=ANYBODY), include_metadata=True)
    client = otlp.client("protobuf")
    assert isinstance(client, HttpClient)
    headers = {"authorization": "a", "auth.subject": "root", "subject": "root"}
    assert is_taken(await client.export(Signal.TRACES, request_of(Signal.TRACES), headers))
    origin = otlp.sink.batches[0].origin
    assert origin.sent("auth.subject") == ()
    assert "authorization" not in origin.metadata


async def test_a_credential_does_not_go_on_whatever_its_header_is(start_otlp: StartOtlp, kind: str) -> None:
    """With the data it would get into queues on disk."""
    tokens = BearerTokens("X-Api-Key", "")
    tokens.use(["s3cret"])
    options = {**AUTH, "include_metadata": True}
    otlp = await start_otlp(grpc=options, http=options, extensions={"known": tokens})
    client = otlp.client(kind)
    headers = {"x-api-key": "s3cret", "x-shop": "books"}
    request = request_of(Signal.TRACES, 1)
    if isinstance(client, GrpcClient):
        assert is_taken(await client.export(Signal.TRACES, request, tuple(headers.items())))
    else:
        assert is_taken(await client.export(Signal.TRACES, request, headers))
    origin = otlp.sink.batches[0].origin
    assert origin.sent("x-shop") == ("books",)
    assert "x-api-key" not in origin.metadata


async def test_one_connection_may_bring_different_credentials(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await guarded(start_otlp, Known(a=named("alice"), b=named("bob")))
    client = otlp.client(kind)
    for credential, taken in [("a", True), ("x", False), ("b", True), (None, False), ("a", True)]:
        assert is_taken(await send(client, credential)) is taken
    assert [batch.origin.auth["subject"] for batch in otlp.sink.batches] == ["alice", "bob", "alice"]


async def test_many_with_the_same_new_credential_are_one_question(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"))
    known.gate.clear()
    otlp = await guarded(start_otlp, known)
    client = otlp.client(kind)
    sending = [asyncio.create_task(send(client, "a")) for _ in range(20)]
    await known.until_asked(1)
    sending.append(asyncio.create_task(send(client, "a")))
    known.gate.set()
    assert all(map(is_taken, await asyncio.gather(*sending)))
    assert known.asked == ["a"]
    assert otlp.sink.items == 21


async def test_those_of_different_clients_are_never_one_batch(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known(a=named("alice"), b=named("bob")))
    client = otlp.client("grpc")
    assert is_taken(await send(client, "a"))
    assert is_taken(await send(client, "b"))
    otlp.sink.gate.clear()
    sending = [asyncio.create_task(send(client, "ab"[number % 2], 1)) for number in range(40)]
    await otlp.sink.until_held(40)
    otlp.sink.gate.set()
    assert all(map(is_taken, await asyncio.gather(*sending)))
    items = {"alice": 0, "bob": 0}
    for batch in otlp.sink.batches:
        items[batch.origin.auth["subject"]] += batch.items
    assert items == {"alice": 21, "bob": 21}


async def test_after_a_change_everybody_is_asked_about_again(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"))
    otlp = await guarded(start_otlp, known)
    client = otlp.client(kind)
    assert is_taken(await send(client, "a"))
    assert not is_taken(await send(client, "b"))
    known.known = {"b": named("bob")}
    known.changed()
    assert not is_taken(await send(client, "a"))
    assert is_taken(await send(client, "b"))


async def test_a_decision_holds_for_its_time(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(now=named("alice", valid_s=0.0), later=named("bob", valid_s=3600.0))
    otlp = await guarded(start_otlp, known)
    client = otlp.client(kind)
    for _ in range(3):
        assert is_taken(await send(client, "now"))
        assert is_taken(await send(client, "later"))
    assert known.asked.count("now") == 3
    assert known.asked.count("later") == 1


async def test_nothing_of_a_body_is_asked_for_before_the_decision(start_otlp: StartOtlp) -> None:
    known = Known()
    known.gate.clear()
    otlp = await guarded(start_otlp, known)
    at = urlsplit(otlp.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 100\r\n"
    writer.write(f"{head}expect: 100-continue\r\nauthorization: x\r\n\r\n".encode())
    await known.until_asked(1)
    known.gate.set()
    async with asyncio.timeout(10):
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_a_large_body_of_a_stranger_is_not_kept(start_otlp: StartOtlp, kind: str, transport: str) -> None:
    known = Known()
    known.gate.clear()
    otlp = await guarded(start_otlp, known)
    request = request_of(Signal.TRACES, 20_000)
    client = otlp.client(kind)
    headers = {"authorization": "x"}
    work = (
        client.export(Signal.TRACES, request, tuple(headers.items()))
        if isinstance(client, GrpcClient)
        else client.export(Signal.TRACES, request, headers)
    )
    sending = asyncio.create_task(work)
    await known.until_asked(1)
    if transport == "native":
        assert otlp.receiver.native is not None
        assert otlp.receiver.native.intake is not None
        assert otlp.receiver.native.intake.used_bytes == 0
    known.gate.set()
    assert (await sending).code in ("UNAUTHENTICATED", "401")


async def test_who_is_known_gets_in_while_others_flood_the_door(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"), late=named("carol"))
    otlp = await guarded(start_otlp, known)
    clients = [otlp.client(kind) for _ in range(4)]
    assert is_taken(await send(clients[0], "a"))
    for first in range(0, 2000, 200):
        flood = [send(clients[number % 4], f"wrong {number}") for number in range(first, first + 200)]
        outcomes = await asyncio.gather(*flood, send(clients[0], "a"))
        assert is_taken(outcomes.pop())
        assert not any(map(is_taken, outcomes))
    assert is_taken(await send(clients[0], "late"))
    assert known.asked.count("a") == 1


async def test_every_request_that_is_not_let_in_is_counted(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await guarded(start_otlp, Known(**KNOWN, a=named("alice")))
    client = otlp.client(kind)
    for credential, times in [("x", 5), ("forbidden", 3), ("undecided", 2), ("a", 1)]:
        await asyncio.gather(*(send(client, credential) for _ in range(times)))
    counted = otlp.receiver.telemetry.counter("airis_server_denied_requests", "{request}", "").values
    told = {(("reason", "unauthenticated"),): 5.0, (("reason", "forbidden"),): 3.0, (("reason", "undecided"),): 2.0}
    async with asyncio.timeout(10):
        while counted != told:  # noqa: ASYNC110  (the core tells of many at once)
            await asyncio.sleep(0)


async def test_what_is_no_export_needs_credentials_as_well(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known(a=named("alice")))
    async with grpc.aio.insecure_channel(otlp.grpc_address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await health.Check(health_pb2.HealthCheckRequest())
        assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
        reply = await health.Check(health_pb2.HealthCheckRequest(), metadata=(("authorization", "a"),))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await channel.unary_unary("/no.Such/Method")(b"")
        assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
    async with aiohttp.ClientSession() as session, session.post(f"{otlp.url}/nowhere", data=b"x") as reply:
        assert (reply.status, await reply.text()) == (401, "missing\n")
        assert reply.headers["www-authenticate"] == 'Known realm="test"'


async def test_an_answer_is_in_the_requests_encoding_whatever_was_remembered(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known())
    async with aiohttp.ClientSession() as session:
        for content_type in ["application/json", "application/x-protobuf", "text/plain", "application/json"]:
            headers = {"content-type": content_type, "authorization": "x"}
            async with session.post(f"{otlp.url}/v1/traces", data=b"x", headers=headers) as reply:
                content = await reply.read()
                assert (reply.status, reply.content_type) == (401, content_type)
            if content_type == "application/json":
                assert json_format.Parse(content, Status()) == Status(code=16, message="nobody")
            elif content_type == "application/x-protobuf":
                assert Status.FromString(content) == Status(code=16, message="nobody")
            else:
                assert content == b"nobody\n"


async def test_each_protocol_has_a_door_of_its_own(start_otlp: StartOtlp) -> None:
    otlp = await start_otlp(http=AUTH, extensions={"known": Known()})
    assert is_taken(await send(otlp.client("grpc"), None))
    assert not is_taken(await send(otlp.client("protobuf"), None))


async def test_a_parameter_of_the_query_may_stand_for_a_header(start_otlp: StartOtlp, transport: str) -> None:
    options = {"auth": {"authenticator": "known", "request_params": ["Authorization"]}}
    starting = start_otlp(
        http=options,
        options={"transport": "auto" if transport == "native" else transport},
        extensions={"known": Known(**{"a b": named("alice")})},
    )
    otlp = await starting
    headers = {"content-type": "application/x-protobuf", "authorization": "not looked at"}
    url = f"{otlp.url}/v1/traces?Authorization=a+b"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=request_of(Signal.TRACES), headers=headers) as reply:
            assert reply.status == 200
        async with session.post(url.lower(), data=request_of(Signal.TRACES), headers=headers) as reply:
            assert reply.status == 401


async def test_a_preflight_of_a_browser_needs_no_credentials(start_otlp: StartOtlp) -> None:
    known = Known(a=named("alice"))
    origin = "https://shop.example"
    cors = {"allowed_origins": [origin], "allowed_headers": ["authorization"]}
    otlp = await start_otlp(http={**AUTH, "cors": cors}, options={"transport": "auto"}, extensions={"known": known})
    asks = {"origin": origin, "access-control-request-method": "POST"}
    async with aiohttp.ClientSession() as session:
        async with session.options(f"{otlp.url}/v1/traces", headers=asks) as reply:
            assert reply.status == 200
        async with session.post(f"{otlp.url}/v1/traces", data=b"", headers={"origin": origin}) as reply:
            assert reply.status == 401
            assert reply.headers["access-control-allow-origin"] == origin


async def test_a_client_that_leaves_while_it_is_decided_harms_nobody(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"))
    known.gate.clear()
    otlp = await guarded(start_otlp, known)
    leaving = asyncio.create_task(send(otlp.client(kind), "a"))
    await known.until_asked(1)
    leaving.cancel()
    await asyncio.wait([leaving])
    staying = asyncio.create_task(send(otlp.client(kind), "a"))
    known.gate.set()
    assert is_taken(await staying)
    assert known.asked == ["a"]


async def test_at_a_shutdown_those_who_wait_for_a_decision_are_sent_away(start_otlp: StartOtlp, kind: str) -> None:
    known = Known(a=named("alice"))
    known.gate.clear()
    otlp = await guarded(start_otlp, known)
    waiting = asyncio.create_task(send(otlp.client(kind), "a"))
    await known.until_asked(1)
    async with asyncio.timeout(10):
        await otlp.receiver.shutdown()
        await asyncio.wait([waiting])
    assert not otlp.sink.batches
    assert waiting.exception() is not None or waiting.result().code in ("UNAVAILABLE", "503")
    assert not known.has_listeners


async def test_a_denial_of_a_kind_that_the_core_does_not_know_leaves_nobody_waiting(
    start_otlp: StartOtlp, kind: str, transport: str
) -> None:
    class Odd(Denied):
        kind = "odd"

    otlp = await guarded(start_otlp, Known(a=Odd("odd"), b=named("bob")))
    with capture_logs() as logged:
        async with asyncio.timeout(10):
            outcome = await send(otlp.client(kind), "a")
    if transport == "native":
        assert outcome.code in ("UNAVAILABLE", "503")
        assert [entry["fault"] for entry in logged if entry["log_level"] == "error"] == ["ValueError"]
    else:
        assert outcome.code in ("UNAUTHENTICATED", "401")
    assert is_taken(await send(otlp.client(kind), "b"))


async def test_data_of_a_client_that_was_let_in_is_refused_as_ever(start_otlp: StartOtlp, kind: str) -> None:
    otlp = await guarded(start_otlp, Known(a=named("alice")))
    otlp.sink.error = Retryable("the store is away")
    assert (await send(otlp.client(kind), "a")).code in ("UNAVAILABLE", "503")


@pytest.mark.parametrize("section", ["grpc", "http"])
async def test_an_extension_that_is_no_authenticator_is_an_error_at_its_option(
    start_otlp: StartOtlp, section: str
) -> None:
    with pytest.raises(StartError, match="does not authenticate the clients of a server") as told:
        await start_otlp(**{section: AUTH}, extensions={"known": object()})
    assert told.value.option == f"protocols::{section}::auth::authenticator"


@pytest.mark.parametrize("section", ["grpc", "http"])
async def test_where_it_cannot_listen_nothing_is_left_with_the_authenticator(
    start_otlp: StartOtlp, section: str
) -> None:
    known = Known()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = {**AUTH, "endpoint": f"127.0.0.1:{taken.getsockname()[1]}"}
        with pytest.raises(StartError, match="the port is taken"):
            await start_otlp(**{section: options}, extensions={"known": known})
    assert not known.has_listeners


async def test_the_python_sdk_sends_with_headers(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known(**{"Bearer secret": named("alice")}))
    headers = {"authorization": "Bearer secret"}

    def export() -> None:
        for exporter in (
            GrpcSpanExporter(otlp.grpc_address, insecure=True, headers=headers),
            HttpSpanExporter(f"{otlp.url}/v1/traces", headers=headers),
        ):
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            with provider.get_tracer("shop").start_as_current_span("checkout"):
                pass
            provider.shutdown()

    await asyncio.to_thread(export)
    assert [batch.origin.auth["subject"] for batch in otlp.sink.batches] == ["alice", "alice"]


async def test_credentials_are_in_no_log(start_otlp: StartOtlp, kind: str) -> None:
    with capture_logs() as logged:
        otlp = await guarded(start_otlp, Known(hush=Forbidden("not here")))
        assert not is_taken(await send(otlp.client(kind), "hush"))
        assert not is_taken(await send(otlp.client(kind), "hush hush"))
        await otlp.receiver.shutdown()
    assert "hush" not in repr(logged)


async def test_raw_bytes_in_a_credential_are_no_fault(start_otlp: StartOtlp) -> None:
    otlp = await guarded(start_otlp, Known(**{"\xff\xe9": named("alice")}))
    at = urlsplit(otlp.url)
    for value, status in [(b"\xff\xe9", b"200"), (b"\xff\xea", b"401")]:
        with socket.create_connection((at.hostname, at.port)) as sock:
            head = (
                b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n"
            )
            sock.sendall(head + b"authorization: " + value + b"\r\n\r\n")
            answer = await asyncio.to_thread(sock.recv, 100)
        assert answer.split()[1] == status
