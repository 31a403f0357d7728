"""Exporters that say who they are, to receivers that ask: both over both transports, and over TLS."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from structlog.testing import capture_logs

from airis.component import Kind, Permanent, StartError
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.data import Batch, Origin, Signal

from ..certificates import Authority
from .otlp_servers import batch_of

ONCE = {"enabled": False}


class House:
    """Receivers, exporters and extensions that are shut down with the test."""

    def __init__(self, stack: AsyncExitStack, folder: Path, transport: str) -> None:
        self.folder = folder
        self.transport = transport
        self.authority = Authority(folder / "authority")
        self.sink = Sink()
        self._stack = stack
        self._extensions: dict[str, object] = {}

    @property
    def host(self) -> FakeHost:
        return FakeHost(self.folder, self._extensions)

    async def extension(self, component_id: str, options: Mapping[str, Any], **replaced: Any) -> None:
        made = build(component_id, options, kind=Kind.EXTENSION, **replaced)
        await made.start(self.host)
        self._stack.push_async_callback(made.shutdown)
        self._extensions[component_id] = made.provides()

    async def receiver(self, authenticator: str, *, tls: bool = True) -> Mapping[str, str]:
        certificate, key = self.authority.sign("server")
        common: dict[str, Any] = {"endpoint": "localhost:0", "auth": {"authenticator": authenticator}}
        if tls:
            common["tls"] = {"cert_file": str(certificate), "key_file": str(key)}
        metadata = {"include_metadata": True}
        options = {"transport": self.transport, "protocols": {"grpc": common | metadata, "http": common | metadata}}
        made = build("otlp", options, self.sink, kind=Kind.RECEIVER, grace_s=0.0)
        await made.start(self.host)
        self._stack.push_async_callback(made.shutdown)
        found: Mapping[str, str] = made.endpoints()
        return found

    async def exporter(
        self, kind: str, endpoints: Mapping[str, str], authenticator: str, *, tls: bool = True, **options: Any
    ) -> Any:
        endpoint = endpoints["OTLP gRPC" if kind == "otlp_grpc" else "OTLP HTTP"]
        section = {"ca_file": str(self.authority.file)} if tls else {"insecure": True}
        made = build(
            kind,
            {
                "endpoint": endpoint,
                "transport": self.transport,
                "tls": section,
                "retry_on_failure": ONCE,
                "auth": {"authenticator": authenticator},
                **options,
            },
            kind=Kind.EXPORTER,
        )
        await made.start(self.host)
        self._stack.push_async_callback(made.shutdown)
        return made


@pytest.fixture(params=["native", "python"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    if request.param == "native":
        pytest.importorskip("airis._core")
    async with AsyncExitStack() as stack:
        yield House(stack, tmp_path, request.param)


each_kind = pytest.mark.parametrize("kind", ["otlp_grpc", "otlp_http"])


def from_(origin: Origin) -> Batch:
    return batch_of(Signal.TRACES).with_origin(origin)


@each_kind
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "loopback"])
async def test_a_user_and_its_password_arrive(house: House, kind: str, tls: bool) -> None:
    await house.extension("basicauth/in", {"htpasswd": {"inline": "alice:hush\nbob:other"}})
    await house.extension("basicauth/out", {"client_auth": {"username": "alice", "password": "hush"}})
    endpoints = await house.receiver("basicauth/in", tls=tls)
    exporter = await house.exporter(kind, endpoints, "basicauth/out", tls=tls, headers={"Authorization": "not this"})
    for _ in range(3):
        await exporter.consume(from_(Origin()))
    assert [dict(batch.origin.auth) for batch in house.sink.batches] == [{"subject": "alice", "username": "alice"}] * 3
    assert "authorization" not in house.sink.batches[0].origin.metadata


@each_kind
async def test_a_wrong_password_is_refused_for_good_and_repeated_nowhere(house: House, kind: str) -> None:
    await house.extension("basicauth/in", {"htpasswd": {"inline": "alice:hush"}})
    await house.extension("basicauth/out", {"client_auth": {"username": "alice", "password": "hushhush"}})
    with capture_logs() as logged:
        exporter = await house.exporter(kind, await house.receiver("basicauth/in"), "basicauth/out")
        with pytest.raises(Permanent) as told:
            await exporter.consume(from_(Origin()))
    assert "invalid credentials" in told.value.reason
    assert ("UNAUTHENTICATED" if kind == "otlp_grpc" else "401") in told.value.reason
    assert "hush" not in told.value.reason + repr(logged)
    assert not house.sink.batches


@each_kind
async def test_a_token_that_is_exchanged_on_both_sides_goes_on(house: House, kind: str) -> None:
    clock, ours, theirs = ManualClock(), house.folder / "ours", house.folder / "theirs"
    ours.write_text("one")
    theirs.write_text("one")
    await house.extension("bearertokenauth/in", {"filename": str(theirs)}, sleep=clock.sleep)
    await house.extension("bearertokenauth/out", {"filename": str(ours)}, sleep=clock.sleep)
    exporter = await house.exporter(kind, await house.receiver("bearertokenauth/in"), "bearertokenauth/out")
    await exporter.consume(from_(Origin()))
    theirs.write_text("two")
    assert await outcome_until(clock, exporter, Permanent)
    ours.write_text("two")
    assert await outcome_until(clock, exporter, None)


async def outcome_until(clock: ManualClock, exporter: Any, wanted: type[Exception] | None) -> bool:
    """Send until that comes of it; what was remembered of a credential must not hold any more by then."""
    async with asyncio.timeout(30):
        while True:
            await clock.advance(1.0)
            await asyncio.sleep(0.001)
            try:
                await exporter.consume(from_(Origin()))
            except Permanent:
                if wanted is Permanent:
                    return True
            else:
                if wanted is None:
                    return True


@each_kind
async def test_what_a_client_sent_and_who_it_is_go_on_as_headers(house: House, kind: str) -> None:
    await house.extension("bearertokenauth", {"token": "t"})
    await house.extension(
        "headers_setter",
        {
            "headers": [
                {"key": "X-Scope-OrgID", "from_context": "tenant", "default_value": "none"},
                {"key": "User", "from_attribute": "subject"},
                {"key": "Fixed", "action": "delete"},
            ],
            "additional_auth": "bearertokenauth",
        },
    )
    endpoints = await house.receiver("bearertokenauth")
    exporter = await house.exporter(kind, endpoints, "headers_setter", headers={"Fixed": "gone", "Kept": "k"})
    clients = [
        Origin(metadata={"tenant": ("blue",)}, auth={"subject": "alice"}),
        Origin(metadata={"tenant": ("red",)}),
        Origin(),
    ]
    for origin in [*clients, clients[0]]:
        await exporter.consume(from_(origin))
    sent = [batch.origin.metadata for batch in house.sink.batches]
    assert [headers["x-scope-orgid"] for headers in sent] == [("blue",), ("red",), ("none",), ("blue",)]
    assert [headers.get("user") for headers in sent] == [("alice",), None, None, ("alice",)]
    assert all("fixed" not in headers and headers["kept"] == ("k",) for headers in sent)
    with pytest.raises(Permanent, match="not printable ASCII"):
        await exporter.consume(from_(Origin(metadata={"tenant": ("a\r\nb: c",)})))


async def test_many_clients_do_not_make_the_memory_of_heads_grow(house: House) -> None:
    await house.extension("bearertokenauth", {"token": "t"})
    header = {"key": "tenant", "from_context": "tenant"}
    await house.extension("headers_setter", {"headers": [header], "additional_auth": "bearertokenauth"})
    endpoints = await house.receiver("bearertokenauth")
    for kind in ("otlp_grpc", "otlp_http"):
        exporter = await house.exporter(kind, endpoints, "headers_setter", compression="none")
        for number in range(600):
            await exporter.consume(from_(Origin(metadata={"tenant": (str(number),)})))
        if house.transport == "native":
            assert len(exporter.client._heads._known) <= 256
    assert {batch.origin.metadata["tenant"] for batch in house.sink.batches} == {(str(n),) for n in range(600)}


@each_kind
async def test_an_extension_that_is_no_clients_is_an_error_at_its_option(house: House, kind: str) -> None:
    await house.extension("basicauth", {"htpasswd": {"inline": "alice:hush"}})
    with pytest.raises(StartError, match="does not authenticate a client") as told:
        await house.exporter(kind, {"OTLP gRPC": "localhost:1", "OTLP HTTP": "http://localhost:1"}, "basicauth")
    assert told.value.option == "auth::authenticator"


@pytest.mark.parametrize(
    ("endpoint", "is_refused"),
    [
        ("collector.example:4317", True),
        ("http://192.0.2.1:4317", True),
        ("ipv4:127.0.0.1:1,192.0.2.1:2", True),
        ("dns:///collector.example:4317", True),
        ("127.0.0.1:4317", False),
        ("[::1]:4317", False),
        ("unix:///nowhere", False),
    ],
)
async def test_grpc_sends_no_credentials_to_another_machine_without_tls(
    house: House, endpoint: str, is_refused: bool
) -> None:
    await house.extension("bearertokenauth", {"token": "hush"})
    starting = house.exporter("otlp_grpc", {"OTLP gRPC": endpoint}, "bearertokenauth", tls=False)
    if not is_refused:
        await starting
        return
    with pytest.raises(StartError, match="without TLS") as told:
        await starting
    assert told.value.option == "tls::insecure"


async def test_remote_write_has_both_sides_as_well(house: House) -> None:
    await house.extension("basicauth/in", {"htpasswd": {"inline": "alice:hush"}})
    await house.extension("basicauth/out", {"client_auth": {"username": "alice", "password": "hush"}})
    await house.extension("basicauth/wrong", {"client_auth": {"username": "alice", "password": "wrong"}})
    options: dict[str, Any] = {"endpoint": "localhost:0", "auth": {"authenticator": "basicauth/in"}}
    receiver = build("prometheus_remote_write", options, house.sink, kind=Kind.RECEIVER)
    await receiver.start(house.host)
    url = receiver.endpoints()["Prometheus remote write"]
    metrics = ExportMetricsServiceRequest()
    point = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="x").gauge.data_points.add(as_int=1)
    point.time_unix_nano = 1_700_000_000_000_000_000
    outcomes: list[Exception | None] = []
    for authenticator in ("basicauth/wrong", "basicauth/out"):
        sending = {
            "endpoint": url,
            "transport": house.transport,
            "retry_on_failure": ONCE,
            "remote_write_queue": ONCE,
            "auth": {"authenticator": authenticator},
        }
        exporter = build("prometheus_remote_write", sending, kind=Kind.EXPORTER)
        await exporter.start(house.host)
        try:
            await exporter.consume(Batch(Signal.METRICS, metrics.SerializeToString(), 1))
        except Permanent as error:
            outcomes.append(error)
        else:
            outcomes.append(None)
        await exporter.shutdown()
    async with aiohttp.ClientSession() as session, session.post(url, data=b"") as reply:
        assert (reply.status, await reply.text()) == (401, "no basic auth provided\n")
        assert reply.headers["www-authenticate"].startswith("Basic ")
    await receiver.shutdown()
    assert "401" in str(outcomes[0])
    assert outcomes[1] is None
    assert [batch.origin.auth["subject"] for batch in house.sink.batches] == ["alice"]
