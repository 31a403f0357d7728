"""The health check says 200 exactly while data is taken; its second version says how each pipeline is."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import ValidationError
from structlog.testing import capture_logs

from airis.component import Health, Kind, Member, Overview, PipelineOverview, StartError, Status
from airis.component.authentication import ANYBODY
from airis.component.testing import FakeHost, build
from airis.data import Signal
from airis.extensions.health_check import HealthCheck, HealthCheckConfig

from ..authenticators import Known

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Running:
    """A started health check, a client for it, and its time."""

    def __init__(self, session: aiohttp.ClientSession, options: dict[str, Any]) -> None:
        self.now = START
        self.session = session
        self.health: HealthCheck = build("health_check", options, kind=Kind.EXTENSION, now=lambda: self.now)

    async def get(self, path: str = "") -> tuple[int, str]:
        """Status and body of the answer."""
        url = self.health.endpoints()["health"]
        async with self.session.get(url + path) as response:
            return response.status, await response.text()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_is_healthy_from_ready_to_the_beginning_of_the_shutdown(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    running = Running(session, {"endpoint": "localhost:0"})
    unavailable = {"status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": ""}

    await running.health.start(FakeHost(tmp_path))
    status, body = await running.get()
    assert (status, json.loads(body)) == (503, unavailable)

    await running.health.ready()
    running.now += timedelta(seconds=90.4)
    status, body = await running.get()
    assert (status, json.loads(body)) == (
        200,
        {"status": "Server available", "upSince": "2026-01-02T03:04:05Z", "uptime": "90s"},
    )

    await running.health.draining()
    status, body = await running.get()
    assert (status, json.loads(body)) == (503, unavailable)

    await running.health.shutdown()
    with pytest.raises(aiohttp.ClientConnectionError):
        await running.get()
    await running.health.shutdown()


async def test_answers_with_the_configured_bodies(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    running = Running(session, {"endpoint": "localhost:0", "response_body": {"healthy": "fine", "unhealthy": "wait"}})

    await running.health.start(FakeHost(tmp_path))
    assert await running.get() == (503, "wait")
    await running.health.ready()
    assert await running.get() == (200, "fine")

    await running.health.shutdown()


@pytest.mark.parametrize(
    ("path", "below", "status"),
    [("/", "", 200), ("/", "anything", 200), ("/health", "", 200), ("/health", "/status", 404), ("/health/", "a", 200)],
)
async def test_answers_at_its_path(
    session: aiohttp.ClientSession, tmp_path: Path, path: str, below: str, status: int
) -> None:
    running = Running(session, {"endpoint": "localhost:0", "path": path})
    await running.health.start(FakeHost(tmp_path))
    await running.health.ready()

    assert (await running.get(below))[0] == status

    await running.health.shutdown()


@pytest.mark.parametrize("version", [{}, {"use_v2": True}], ids=["1", "2"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_a_taken_port_stops_the_start_and_nothing_is_left_open(
    tmp_path: Path, version: dict[str, Any], protocol: str
) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    options = {**version, protocol: {"endpoint": endpoint}} if version else {"endpoint": endpoint}
    if version and protocol == "grpc":
        options["http"] = {"endpoint": "127.0.0.1:0"}
    health: HealthCheck = build("health_check", options, kind=Kind.EXTENSION)

    with pytest.raises(StartError, match="the port is taken") as told:
        await health.start(FakeHost(tmp_path))

    assert told.value.option == (f"{protocol}::endpoint" if version else "endpoint")
    if "http" in options and protocol == "grpc":
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", int(health.endpoints()["health"].split(":")[2].split("/")[0]))
    await health.shutdown()
    server.close()
    await server.wait_closed()


def test_listens_on_loopback_unless_told_otherwise() -> None:
    config = HealthCheckConfig.model_validate({"use_v2": True, "http": None, "grpc": None})

    assert config.http is not None
    assert config.grpc is not None
    endpoints = (config.endpoint, config.http.endpoint, config.grpc.endpoint)
    assert endpoints == ("localhost:13133", "localhost:13133", "localhost:13132")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"path": "health"}, "String should match pattern"),
        ({"use_v2": True}, "use_v2 names no protocol"),
        ({"use_v2": True, "http": {"status": {"path": "x"}}}, "String should match pattern"),
        (
            {"use_v2": True, "http": {"config": {"enabled": True, "path": "/status"}}},
            "paths of status and config differ",
        ),
    ],
)
def test_what_cannot_be_is_an_error(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        HealthCheckConfig.model_validate(options)


def test_the_check_that_the_collector_no_longer_makes_may_be_configured() -> None:
    pipeline = {"enabled": True, "interval": "5m", "exporter_failure_threshold": 5}

    HealthCheckConfig.model_validate({"check_collector_pipeline": pipeline})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"endpoint": "localhost:0", "http": None, "component_health": None}, "component_health, http"),
        ({"use_v2": True, "http": {"endpoint": "localhost:0"}, "path": "/health", "endpoint": "x:1"}, "endpoint, path"),
    ],
    ids=["first version", "second version"],
)
async def test_options_of_the_other_version_are_spoken_of(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with capture_logs() as logged:
        health = build("health_check", options, kind=Kind.EXTENSION)
        await health.start(FakeHost(tmp_path))

    assert [line["options"] for line in logged] == [named]
    await health.shutdown()


class Service:
    """A service with two pipelines that share a connector, and what it says of itself."""

    def __init__(self) -> None:
        self.at = START.timestamp()
        self.members = {
            "otlp": Member(Kind.RECEIVER, "otlp", "", Health()),
            "batch": Member(Kind.PROCESSOR, "batch", "traces", Health()),
            "batch of metrics": Member(Kind.PROCESSOR, "batch", "metrics/red", Health()),
            "nop": Member(Kind.EXPORTER, "nop", "", Health()),
            "spans": Member(Kind.CONNECTOR, "spans", "", Health()),
            "health_check": Member(Kind.EXTENSION, "health_check", "", Health()),
        }
        for member in self.members.values():
            member.health.report(Status.OK, clock=lambda: self.at)

    def report(self, name: str, status: Status, error: str = "", seconds: float = 0) -> None:
        """Let a component say so, so many seconds after the start."""
        self.members[name].health.report(status, error, lambda: self.at + seconds)

    @property
    def overview(self) -> Overview:
        pipelines = (
            PipelineOverview("traces", Signal.TRACES, ("otlp",), ("batch",), ("spans",)),
            PipelineOverview("metrics/red", Signal.METRICS, ("spans",), ("batch",), ("nop",)),
        )
        return Overview(self.at, pipelines, tuple(self.members.values()))


@pytest.fixture
def service() -> Service:
    return Service()


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(session: aiohttp.ClientSession, tmp_path: Path, service: Service) -> AsyncIterator[Start]:
    """Start the second version with these options, and say that the service is ready."""
    async with AsyncExitStack() as stack:

        async def start(ready: bool = True, http: Any = None, grpc: Any = None, **options: Any) -> Running:
            both = {
                "http": {"endpoint": "localhost:0", **(http or {})},
                "grpc": {"endpoint": "localhost:0", **(grpc or {})},
            }
            running = Running(session, {"use_v2": True, **both, **options})
            host = FakeHost(tmp_path)
            host.running = service.overview
            await running.health.start(host)
            stack.push_async_callback(running.health.shutdown)
            if ready:
                await running.health.ready()
            return running

        yield start


OK = {"healthy": True, "status": "StatusOK", "status_time": "2026-01-02T03:04:05Z"}


async def test_the_overall_status_is_short(start: Start) -> None:
    status, body = await (await start()).get()

    assert (status, json.loads(body)) == (200, {"start_time": "2026-01-02T03:04:05Z", **OK})


@pytest.mark.parametrize("asked", ["?verbose", "?verbose=true", ""], ids=["parameter", "with value", "option"])
async def test_a_verbose_status_has_every_component_in_its_pipelines(start: Start, asked: str) -> None:
    running = await start(http={"status": {"verbose": not asked}})

    _, body = await running.get(asked)

    assert json.loads(body) == {
        "start_time": "2026-01-02T03:04:05Z",
        **OK,
        "components": {
            "extensions": {**OK, "components": {"extension:health_check": OK}},
            "pipeline:traces": {
                **OK,
                "components": {"receiver:otlp": OK, "processor:batch": OK, "connector:spans": OK},
            },
            "pipeline:metrics/red": {
                **OK,
                "components": {"connector:spans": OK, "processor:batch": OK, "exporter:nop": OK},
            },
        },
    }


async def test_a_pipeline_can_be_asked_for(start: Start, service: Service) -> None:
    running = await start()
    service.report("nop", Status.FATAL_ERROR, "disk full", 7)

    status, body = await running.get("?pipeline=metrics/red&verbose")
    assert (status, json.loads(body)["status"]) == (500, "StatusFatalError")
    assert list(json.loads(body)["components"]) == ["connector:spans", "exporter:nop", "processor:batch"]
    assert (await running.get("?pipeline=traces"))[0] == 200
    assert (await running.get("?pipeline=extensions"))[0] == 200
    assert (await running.get("?pipeline=logs"))[0] == 404
    assert (await running.get(""))[0] == 500


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.NONE, 503),
        (Status.STARTING, 503),
        (Status.OK, 200),
        (Status.RECOVERABLE_ERROR, 200),
        (Status.PERMANENT_ERROR, 200),
        (Status.FATAL_ERROR, 500),
        (Status.STOPPING, 503),
        (Status.STOPPED, 503),
    ],
)
async def test_every_status_has_its_code(start: Start, service: Service, status: Status, code: int) -> None:
    running = await start()
    for name in service.members:
        service.report(name, status)

    told, body = await running.get()

    assert (told, json.loads(body)["status"]) == (code, status)


@pytest.mark.parametrize(
    ("reported", "aggregate"),
    [
        ({"otlp": Status.FATAL_ERROR, "nop": Status.STARTING}, Status.FATAL_ERROR),
        ({"otlp": Status.STARTING, "nop": Status.PERMANENT_ERROR}, Status.STARTING),
        ({"otlp": Status.STOPPING, "nop": Status.STOPPED}, Status.STOPPING),
        ({"otlp": Status.STOPPED}, Status.STOPPING),
        ({"otlp": Status.PERMANENT_ERROR, "nop": Status.RECOVERABLE_ERROR}, Status.PERMANENT_ERROR),
        ({"otlp": Status.RECOVERABLE_ERROR}, Status.RECOVERABLE_ERROR),
        ({"otlp": Status.NONE}, Status.NONE),
    ],
)
async def test_of_different_statuses_the_one_that_matters_most_is_told(
    start: Start, service: Service, reported: dict[str, Status], aggregate: Status
) -> None:
    running = await start()
    for name, status in reported.items():
        service.report(name, status)

    _, body = await running.get()

    assert json.loads(body)["status"] == aggregate


async def test_an_error_is_told_with_its_reason_and_first_time(start: Start, service: Service) -> None:
    running = await start()
    service.report("nop", Status.RECOVERABLE_ERROR, "second", 20)
    service.report("otlp", Status.RECOVERABLE_ERROR, "first", 10)

    told = json.loads((await running.get())[1])

    assert (told["error"], told["status_time"]) == ("first", "2026-01-02T03:04:15Z")


@pytest.mark.parametrize(
    ("options", "status", "after_s", "code"),
    [
        ({}, Status.PERMANENT_ERROR, 0, 200),
        ({"include_permanent_errors": True}, Status.PERMANENT_ERROR, 0, 500),
        ({}, Status.RECOVERABLE_ERROR, 10_000, 200),
        ({"include_recoverable_errors": True}, Status.RECOVERABLE_ERROR, 299, 200),
        ({"include_recoverable_errors": True}, Status.RECOVERABLE_ERROR, 300, 500),
        ({"include_recoverable_errors": True, "recovery_duration": "1s"}, Status.RECOVERABLE_ERROR, 1, 500),
    ],
)
async def test_errors_of_components_count_where_that_is_asked_for(
    start: Start, service: Service, options: dict[str, Any], status: Status, after_s: float, code: int
) -> None:
    running = await start(component_health=options)
    service.report("nop", status, "refused")
    running.now += timedelta(seconds=after_s)

    told, body = await running.get()

    assert (told, json.loads(body)["healthy"]) == (code, code == 200)


async def test_recoverable_errors_come_first_where_only_they_count(start: Start, service: Service) -> None:
    running = await start(component_health={"include_recoverable_errors": True})
    service.report("nop", Status.PERMANENT_ERROR)
    service.report("otlp", Status.RECOVERABLE_ERROR)

    assert json.loads((await running.get())[1])["status"] == "StatusRecoverableError"


async def test_is_not_healthy_before_ready_and_from_the_beginning_of_the_shutdown(start: Start) -> None:
    running = await start(ready=False)
    codes = []
    for then in (running.health.ready, running.health.draining):
        codes.append(((await running.get())[0], json.loads((await running.get("?pipeline=traces"))[1])["status"]))
        await then()
    codes.append(((await running.get())[0], json.loads((await running.get("?pipeline=traces"))[1])["status"]))

    assert codes == [(503, "StatusStarting"), (200, "StatusOK"), (503, "StatusStopping")]


async def test_paths_can_be_chosen_and_turned_off(start: Start, session: aiohttp.ClientSession) -> None:
    running = await start(http={"status": {"path": "/health/status"}})
    base = running.health.endpoints()["health"].removesuffix("/health/status")

    assert (await running.get())[0] == 200
    async with session.get(f"{base}/status") as response:
        assert response.status == 404
    off = await start(http={"status": {"enabled": False}})
    assert (await off.get("/status"))[0] == 404


async def test_the_configuration_is_not_shown_and_that_is_said(start: Start, session: aiohttp.ClientSession) -> None:
    running = await start(http={"config": {"enabled": True}})

    async with session.get(running.health.endpoints()["health"].replace("/status", "/config")) as response:
        assert response.status == 404
        assert "airis print-config" in await response.text()


class TestGrpc:
    """grpc.health.v1, overall and for each pipeline."""

    @pytest.fixture
    async def stub(self, start: Start) -> AsyncIterator[Callable[[Running], Any]]:
        async with AsyncExitStack() as stack:
            channels: list[grpc.aio.Channel] = []

            def stub(running: Running) -> Any:
                channel = grpc.aio.insecure_channel(running.health.endpoints()["health gRPC"])
                channels.append(channel)
                stack.push_async_callback(channel.close)
                return health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]

            yield stub

    @pytest.mark.parametrize("scope", ["", "traces", "metrics/red", "extensions"])
    async def test_serves_what_is_well(self, start: Start, stub: Any, scope: str) -> None:
        answer = await stub(await start()).Check(health_pb2.HealthCheckRequest(service=scope))

        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_says_which_pipeline_is_not(self, start: Start, stub: Any, service: Service) -> None:
        client = stub(await start(component_health={"include_permanent_errors": True}))
        service.report("nop", Status.PERMANENT_ERROR)

        async def serving(scope: str) -> bool:
            answer = await client.Check(health_pb2.HealthCheckRequest(service=scope))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        assert [await serving(scope) for scope in ("", "metrics/red", "traces")] == [False, False, True]

    async def test_a_pipeline_that_is_not_there_is_not_found(self, start: Start, stub: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await stub(await start()).Check(health_pb2.HealthCheckRequest(service="logs"))

        assert told.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_a_watcher_is_told_of_every_change_until_the_shutdown(
        self, start: Start, stub: Any, service: Service
    ) -> None:
        running = await start(component_health={"include_permanent_errors": True})
        watch = stub(running).Watch(health_pb2.HealthCheckRequest(service="metrics/red"))

        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        service.report("nop", Status.PERMANENT_ERROR)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        service.report("nop", Status.OK)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        await running.health.shutdown()
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await watch.read()

        assert told.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)

    async def test_a_watcher_of_an_unknown_pipeline_is_told_so(self, start: Start, stub: Any) -> None:
        watch = stub(await start()).Watch(health_pb2.HealthCheckRequest(service="logs"))

        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()

    async def test_all_can_be_listed(self, start: Start, stub: Any) -> None:
        listed = await stub(await start()).List(health_pb2.HealthListRequest())

        assert set(listed.statuses) == {"", "extensions", "traces", "metrics/red"}


async def test_a_reloaded_service_is_seen(start: Start, service: Service, tmp_path: Path) -> None:
    running = await start()
    host = running.health.host
    assert isinstance(host, FakeHost)
    host.running = replace(service.overview, pipelines=service.overview.pipelines[:1])

    assert (await running.get("?pipeline=metrics/red"))[0] == 404


async def test_health_is_told_to_those_who_may_know(tmp_path: Path) -> None:
    section = {"endpoint": "localhost:0", "auth": {"authenticator": "known"}}
    made: HealthCheck = build("health_check", {"use_v2": True, "http": section, "grpc": section}, kind=Kind.EXTENSION)
    host = FakeHost(tmp_path, {"known": Known(secret=ANYBODY)})
    await made.start(host)
    await made.ready()
    http, grpc_address = made.endpoints().values()
    async with aiohttp.ClientSession() as session:
        for headers, status in (({}, 401), ({"authorization": "secret"}, 503)):
            async with session.get(http, headers=headers) as reply:
                assert reply.status == status
    async with grpc.aio.insecure_channel(grpc_address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await check(health_pb2.HealthCheckRequest())
        assert told.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await check(health_pb2.HealthCheckRequest(), metadata=(("authorization", "secret"),))
    await made.shutdown()
