"""Components that note what is done to them, and configurations made of them."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from pydantic import Field

from airis.component import (
    Component,
    Config,
    Connector,
    Exporter,
    Extension,
    Host,
    Kind,
    Metrics,
    Partial,
    Processor,
    Receiver,
    Retryable,
    Secret,
    StartError,
    connector,
    exporter,
    extension,
    factory_of,
    processor,
    receiver,
)
from airis.component.sending import Sending, SendingConfig, SendingSnapshot
from airis.component.telemetry import holds, left_out
from airis.component.testing import Sink
from airis.config import ComponentConfig, Configuration, Mark, PipelineConfig
from airis.data import Batch, Origin, Signal
from airis.processors.batch import BatchProcessor

EVENTS: list[str] = []


class Options(Config):
    fails: str = ""
    """``start``, ``os``, ``shutdown``."""
    needs: list[str] = Field(default_factory=list[str])
    uses: list[str] = Field(default_factory=list[str])
    size: int = 0
    password: Secret = Secret("")


class Recorded(Component[Options]):
    """Notes in `EVENTS` when it is started and shut down."""

    async def start(self, host: Host) -> None:
        EVENTS.append(f"start {self.telemetry.component_id}")
        for name in self.config.uses:
            host.extension(name, Aid)
        if self.config.fails == "start":
            raise StartError("the port is taken", "endpoint")
        if self.config.fails == "os":
            raise PermissionError(13, "Permission denied")
        if self.config.fails == "bug":
            raise RuntimeError("a bug")

    async def shutdown(self) -> None:
        EVENTS.append(f"shutdown {self.telemetry.component_id}")
        if self.config.fails == "shutdown":
            raise RuntimeError("stuck")


@receiver("in", traces="stable", metrics="stable", logs="stable")
class In(Receiver[Options], Recorded):
    """A receiver."""


@processor("through", traces="stable", metrics="stable", logs="stable")
class Through(Processor[Options], Recorded):
    """A processor that hands everything on."""

    async def consume(self, batch: Batch) -> None:
        await self.downstream.consume(batch)


@processor("keep", traces="stable", metrics="stable", logs="stable")
class Keep(Processor[Options], Recorded):
    """A processor that acknowledges and holds until it is shut down."""

    def __init__(self, config: Options, downstream: Any, telemetry: Any) -> None:
        super().__init__(config, downstream, telemetry)
        self.held: list[Batch] = []

    async def consume(self, batch: Batch) -> None:
        self.held.append(batch)

    async def shutdown(self) -> None:
        while self.held:
            await self.downstream.consume(self.held.pop(0))
        await super().shutdown()


@exporter("out", traces="stable", metrics="stable", logs="stable")
class Out(Exporter[Options], Recorded):
    """An exporter that keeps what it gets while it runs, and refuses to take anything before and after."""

    def __init__(self, config: Options, telemetry: Any) -> None:
        super().__init__(config, telemetry)
        self.sink = Sink()
        self.runs = False

    async def start(self, host: Host) -> None:
        await super().start(host)
        self.runs = True

    async def consume(self, batch: Batch) -> None:
        assert self.runs, "an exporter that does not run was given data"
        await self.sink.consume(batch)
        DELIVERED.setdefault(self.telemetry.component_id, []).append(batch)

    async def shutdown(self) -> None:
        await super().shutdown()
        self.runs = False


@processor("drop", traces="stable", metrics="stable", logs="stable")
class Drop(Processor[Options], Recorded):
    """A processor that leaves out one item of every batch, and counts it unless its `size` is 1."""

    def __init__(self, config: Options, downstream: Any, telemetry: Any) -> None:
        super().__init__(config, downstream, telemetry)
        self.left_out = left_out(telemetry)

    async def consume(self, batch: Batch) -> None:
        try:
            if batch.items > 1:
                await self.downstream.consume(replace(batch, items=batch.items - 1))
        except Partial:
            self._count()
            raise
        self._count()

    def _count(self) -> None:
        self.left_out.add(1 - self.config.size, reason="by_choice")


@processor("hold", traces="stable", metrics="stable", logs="stable")
class Hold(Keep):
    """The same as `keep`, but it tells how much it holds."""

    def __init__(self, config: Options, downstream: Any, telemetry: Any) -> None:
        super().__init__(config, downstream, telemetry)
        holds(telemetry, lambda: sum(batch.items for batch in self.held))

    async def shutdown(self) -> None:
        while self.held:
            batch = self.held[0]
            try:
                with suppress(Partial):
                    await self.downstream.consume(batch)
            except Retryable:
                await asyncio.sleep(0)
            else:
                self.held.remove(batch)
        await Recorded.shutdown(self)


@exporter("queue", traces="stable", metrics="stable", logs="stable")
class Queued(Exporter[Options], Recorded):
    """An exporter with a queue in memory, whose destination has moods; with `size` 1 senders wait for the result."""

    counts_itself = True

    def __init__(self, config: Options, telemetry: Any) -> None:
        super().__init__(config, telemetry)
        self.sink = Sink()
        queue = {"num_consumers": 2, "queue_size": 4, "wait_for_result": bool(config.size)}
        options = {"retry_on_failure": {"enabled": False}, "sending_queue": queue}
        self.sending = Sending(SendingConfig.model_validate(options), telemetry, self._prepare)

    async def start(self, host: Host) -> None:
        await super().start(host)
        await self.sending.open(host)

    def sending_state(self) -> SendingSnapshot:
        return self.sending.snapshot()

    async def consume(self, batch: Batch) -> None:
        await self.sending.consume(batch)

    async def shutdown(self) -> None:
        await super().shutdown()
        await self.sending.close()

    async def _prepare(self, batch: Batch) -> Any:
        return partial(self.sink.consume, batch)


@connector("pass", {(a, b): "stable" for a in Signal for b in Signal})
class Pass(Connector[Options], Recorded):
    """A connector that hands on to all its pipelines, as their signal."""

    async def consume(self, batch: Batch) -> None:
        for signal, downstream in self.downstream.by_signal.items():
            await downstream.consume(Batch(signal, batch.payload, batch.items, batch.origin))


@extension("aid")
class Aid(Extension[Options], Recorded):
    """An extension."""

    def dependencies(self) -> list[str]:
        return list(self.config.needs)

    async def ready(self) -> None:
        EVENTS.append(f"ready {self.telemetry.component_id}")

    async def draining(self) -> None:
        EVENTS.append(f"draining {self.telemetry.component_id}")


DELIVERED: dict[str, list[Batch]] = {}
"""What the exporters took, by id, whichever instance of them it was."""

_TYPES = {
    "in": In,
    "through": Through,
    "keep": Keep,
    "out": Out,
    "pass": Pass,
    "aid": Aid,
    "drop": Drop,
    "hold": Hold,
    "queue": Queued,
    "batch": BatchProcessor,
}


def configuration(
    pipelines: Mapping[str, tuple[str, str, str]],
    extensions: Mapping[str, Sequence[str]] = MappingProxyType({}),
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Configuration:
    """Pipelines as three strings of ids each: receivers, processors, exporters. Extensions with those they need."""
    made: dict[Kind, dict[str, ComponentConfig]] = {kind: {} for kind in Kind}

    def add(name: str, **more: Any) -> None:
        component: type[Component[Any]] = _TYPES[name.partition("/")[0]]
        factory = factory_of(component)
        config = factory.config.model_validate({**options.get(name, {}), **more})
        made[factory.kind][name] = ComponentConfig(name, factory, config, Mark("", 1, 1))

    built: dict[str, PipelineConfig] = {}
    for pipeline, lists in pipelines.items():
        receivers, processors, exporters = (tuple(names.split()) for names in lists)
        for name in (*receivers, *processors, *exporters):
            add(name)
        built[pipeline] = PipelineConfig(pipeline, Signal(pipeline.partition("/")[0]), receivers, processors, exporters)
    for name, needs in extensions.items():
        add(name, needs=list(needs))
    return Configuration("test", made, tuple(extensions), built)


def batch(items: int = 3, signal: Signal = Signal.TRACES, payload: bytes = b"") -> Batch:
    return Batch(signal, payload or b"x" * items, items, Origin(receiver="in", transport="grpc"))


def counted(metrics: Metrics, name: str) -> float:
    found = [m.instrument for m in metrics if m.name == name]
    return sum(getattr(i, "value", 0) for i in found)


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def named(*branches: Any) -> Mapping[Hashable, Any]:
    """The branches of a fan-out, by number."""
    return dict(enumerate(branches))
