"""The admin API over TCP: as on the socket, but not for pages of other sites, and not unnoticed."""

import http.client
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from airis.component import Kind
from airis.component.http import answer
from airis.component.testing import FakeHost, build
from airis.extensions.admin import AdminConfig, AdminExtension

from ..running import PATIENCE_S, Airis, get

CONFIGURATION = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:0"}}}}}}
exporters:
  nop:
extensions:
  admin: {{endpoint: "127.0.0.1:0", idle_timeout: {idle}s}}
service:
  extensions: [admin]
  telemetry: {{metrics: {{level: none}}, logs: {{encoding: json}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [nop]}}
"""


class Host(FakeHost):
    """A host whose admin API notes what it is asked."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.asked: list[str] = []

    @property
    def admin(self) -> ASGIApp:
        return self._answer

    async def _answer(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        await answer(send, 200, b"{}", "application/json")


class Running:
    """A started extension, and a client."""

    def __init__(self, session: aiohttp.ClientSession, data_dir: Path) -> None:
        self.session = session
        self.host = Host(data_dir)

    async def start(self, **options: Any) -> None:
        self.admin: AdminExtension = build("admin", {"endpoint": "127.0.0.1:0", **options}, kind=Kind.EXTENSION)
        await self.admin.start(self.host)

    async def status(self, **headers: str) -> tuple[int, Any]:
        """Status and document of the answer to a request with these headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.admin.endpoints()["admin API"] + "/api/v1/status", headers=named) as response:
            return response.status, await response.json()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with aiohttp.ClientSession() as session:
        running = Running(session, tmp_path)
        yield running
        await running.admin.shutdown()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:13200"}, 200),
        ({"Host": "rebound.example:13200"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(running: Running, headers: dict[str, str], status: int) -> None:
    await running.start()

    answered, body = await running.status(**headers)

    assert (answered, len(running.host.asked)) == (status, status == 200)
    assert status == 200 or "cors::allowed_origins of admin" in body["error"]["message"]


async def test_pages_may_send_that_cors_allows(running: Running) -> None:
    await running.start(cors={"allowed_origins": ["https://page.example"]})

    assert (await running.status(Origin="https://page.example"))[0] == 200
    assert (await running.status(Origin="https://other.example"))[0] == 403


@pytest.mark.parametrize(
    ("endpoint", "warned"), [("127.0.0.1:0", False), ("localhost:0", False), ("0.0.0.0:0", True), (":0", True)]
)
async def test_who_lets_everybody_in_is_told(running: Running, endpoint: str, warned: bool) -> None:
    with structlog.testing.capture_logs() as logs:
        await running.start(endpoint=endpoint)

    assert any("no authentication" in line["event"] for line in logs) == warned


async def test_what_is_reached_from_elsewhere_has_names_of_its_own(running: Running) -> None:
    await running.start(endpoint="0.0.0.0:0")

    assert (await running.status(Host="airis.example"))[0] == 200
    assert (await running.status(Origin="https://page.example"))[0] == 403


async def test_a_unix_socket_is_nothing_that_a_page_reaches(tmp_path: Path) -> None:
    path = str(tmp_path / "api.sock")
    admin: AdminExtension = build("admin", {"transport": "unix", "endpoint": path}, kind=Kind.EXTENSION)
    await admin.start(Host(tmp_path))

    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        session.get("http://anything.example/", headers={"Origin": "https://page.example"}) as response,
    ):
        assert response.status == 200
    await admin.shutdown()


async def test_nothing_is_left_after_the_shutdown(running: Running) -> None:
    await running.start()
    await running.admin.shutdown()

    with pytest.raises(aiohttp.ClientConnectionError):
        await running.status()


def test_listens_on_loopback_unless_told_otherwise() -> None:
    assert AdminConfig.model_validate({}).endpoint == "127.0.0.1:13200"


@pytest.fixture
def airis(start_airis: Callable[..., Airis]) -> Airis:
    return start_airis(CONFIGURATION.format(idle=60))


def connect(airis: Airis) -> http.client.HTTPConnection:
    address: str = airis.instance["endpoints"]["admin API"]
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=PATIENCE_S)


def test_the_api_of_a_running_instance_is_there(airis: Airis) -> None:
    status, body = get(f"{airis.instance['endpoints']['admin API']}/api/v1/status")

    assert status == 200
    assert {member["name"] for member in json.loads(body)["components"]} == {
        "receivers::otlp",
        "exporters::nop",
        "extensions::admin",
    }


def test_queues_are_not_changed_from_elsewhere(airis: Airis) -> None:
    connection = connect(airis)
    for name in ("forget", "requeue", "drop", "put"):
        connection.request("POST", f"/api/v1/wal/{name}?storage=file_storage&letter=x&to=x&subscriber=x")
        answered = connection.getresponse()
        assert (answered.status, json.loads(answered.read())["error"]["type"]) == (404, "NOT_FOUND")


def test_a_reload_that_exchanges_its_own_endpoint_goes_on(airis: Airis) -> None:
    connection = connect(airis)
    tapping = connect(airis)
    tapping.request("GET", "/api/v1/tap?of=traces")
    tapped = tapping.getresponse()
    assert json.loads(tapped.readline()) == {"watching": "pipelines::traces"}
    airis.config.write_text(CONFIGURATION.format(idle=30))

    connection.request("POST", "/-/reload")
    answered = connection.getresponse()

    assert (answered.status, json.loads(answered.read())["report"]) == (202, "the reload goes on\n")
    assert json.loads(tapped.readline()) == {"ended": "the admin endpoint was closed"}
    assert airis.until("reloaded")["changes"] == ["~ extensions::admin"]
    assert get(f"{airis.instance['endpoints']['admin API']}/")[0] == 200
