"""How a service begins and ends, with components that do not go along."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from airis.component import (
    Config,
    Exporter,
    Host,
    Kind,
    Receiver,
    StartError,
    exporter,
    factory_of,
    receiver,
)
from airis.config import ComponentConfig, Configuration, Mark, PipelineConfig, TelemetryConfig
from airis.data import Signal
from airis.service.instance import Claim
from airis.service.service import Service


class Options(Config):
    pass


@receiver("in", traces="stable")
class In(Receiver[Options]):
    """A receiver."""


@exporter("slow", traces="stable")
class Slow(Exporter[Options]):
    """An exporter whose start is a matter of time."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.starting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closing = asyncio.Event()
        self.may_close = asyncio.Event()
        self.may_close.set()

    async def start(self, host: Host) -> None:
        self.starting.set()
        await self.go_on.wait()

    async def shutdown(self) -> None:
        self.closing.set()
        await self.may_close.wait()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    components: dict[Kind, dict[str, ComponentConfig]] = {kind: {} for kind in Kind}
    for kind, name, made_by in ((Kind.RECEIVER, "in", In), (Kind.EXPORTER, "slow", Slow)):
        components[kind][name] = ComponentConfig(name, factory_of(made_by), Options(), Mark("", 1, 1))
    pipelines = {"traces": PipelineConfig("traces", Signal.TRACES, ("in",), (), ("slow",))}
    telemetry = TelemetryConfig.model_validate({"metrics": {"level": "none"}})
    return Service(Configuration("test", components, (), pipelines, telemetry), tmp_path)


@pytest.fixture
def slow(service: Service) -> Slow:
    found = service.graph.component(Kind.EXPORTER, "slow")
    assert isinstance(found, Slow)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_a_signal_ends_a_start_too(service: Service, slow: Slow, tmp_path: Path, number: int) -> None:
    running = asyncio.create_task(service.run(lambda: pytest.fail("it was never ready")))
    await slow.starting.wait()

    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        assert await running

    assert slow.closing.is_set()
    Claim(tmp_path).release()


async def test_a_second_signal_ends_the_end_of_a_start(service: Service, slow: Slow) -> None:
    slow.may_close.clear()
    running = asyncio.create_task(service.run())
    await slow.starting.wait()

    os.kill(os.getpid(), signal.SIGTERM)
    await slow.closing.wait()
    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(10):
        assert not await running


async def test_a_component_that_fails_ends_a_start_badly(service: Service, slow: Slow) -> None:
    running = asyncio.create_task(service.run(lambda: pytest.fail("it was never ready")))
    await slow.starting.wait()

    service.fail("exporters::slow", RuntimeError("gone"))

    async with asyncio.timeout(10):
        assert not await running


async def test_a_failed_start_leaves_the_directory_to_others(service: Service, slow: Slow, tmp_path: Path) -> None:
    async def fail(host: Host) -> None:
        raise StartError("no luck")

    slow.start = fail  # type: ignore[method-assign]

    with pytest.raises(StartError, match="no luck"):
        await service.run()

    await service.shutdown()
    Claim(tmp_path).release()
