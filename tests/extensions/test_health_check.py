"""The health check says 200 exactly while data is taken."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from airis.component import Kind, StartError
from airis.component.testing import FakeHost, build
from airis.extensions.health_check import HealthCheck, HealthCheckConfig


class Running:
    """A started health check, a client for it, and its time."""

    def __init__(self, session: aiohttp.ClientSession, options: dict[str, Any]) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.session = session
        self.health: HealthCheck = build(
            "health_check", {"endpoint": "localhost:0", **options}, kind=Kind.EXTENSION, now=lambda: self.now
        )

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
    running = Running(session, {})
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
    running = Running(session, {"response_body": {"healthy": "fine", "unhealthy": "wait"}})

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
    running = Running(session, {"path": path})
    await running.health.start(FakeHost(tmp_path))
    await running.health.ready()

    assert (await running.get(below))[0] == status

    await running.health.shutdown()


async def test_a_taken_port_stops_the_start(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    health = build("health_check", {"endpoint": f"127.0.0.1:{port}"}, kind=Kind.EXTENSION)

    with pytest.raises(StartError, match="endpoint"):
        await health.start(FakeHost(tmp_path))

    await health.shutdown()
    server.close()
    await server.wait_closed()


def test_listens_on_loopback_unless_told_otherwise() -> None:
    assert HealthCheckConfig.model_validate({}).endpoint == "localhost:13133"


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(ValidationError):
        HealthCheckConfig.model_validate({"path": "health"})
