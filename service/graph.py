"""Components made and connected as the configuration says, and started and shut down in order."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from airis.component import (
    Component,
    ConsumeError,
    Consumer,
    Exporter,
    Extension,
    Host,
    Kind,
    Metrics,
    Partial,
    Permanent,
    Processor,
    Receiver,
    Retryable,
    StartError,
    Telemetry,
)
from airis.config import ComponentConfig, Configuration, PipelineConfig
from airis.data import Batch, Signal
from airis.service.observe import CountedItems, ObservedExporter, ObservedReceiver, incoming, outgoing


class FanOut:
    """Hands every batch to all branches at once and answers when the last one has.

    What a sender is told is the worst that happened: that it should try again, if any branch says so;
    that the batch is at fault, if any says that; else the largest number of rejected items.
    """

    def __init__(self, branches: Iterable[Consumer]) -> None:
        self.branches = tuple(branches)

    async def consume(self, batch: Batch) -> None:
        """Hand over to all; no branch is cut short because another one failed."""
        outcomes = await asyncio.gather(*(b.consume(batch) for b in self.branches), return_exceptions=True)
        errors = [outcome for outcome in outcomes if outcome is not None]
        if not errors:
            return
        for error in errors:
            if not isinstance(error, ConsumeError):
                raise error
        retryable = [e for e in errors if isinstance(e, Retryable)]
        if retryable:
            raise max(retryable, key=lambda e: e.retry_after or 0)
        for error in errors:
            if isinstance(error, Permanent):
                raise error
        raise max((e for e in errors if isinstance(e, Partial)), key=lambda e: e.rejected)


def fan_out(branches: list[Consumer]) -> Consumer:
    """One consumer for all branches; a single branch is itself."""
    return branches[0] if len(branches) == 1 else FanOut(branches)


@dataclass(frozen=True, slots=True)
class Placed:
    """A component and how it is called in messages: ``receivers::otlp``."""

    label: str
    component: Component[Any]


class Graph:
    """All components of a configuration. Those that no pipeline names are not made."""

    def __init__(self, configuration: Configuration, metrics: Metrics) -> None:
        self.configuration = configuration
        self.metrics = metrics
        self.extensions: dict[str, Extension[Any]] = {}
        self.exporters: dict[str, Exporter[Any]] = {}
        self.receivers: dict[str, Receiver[Any]] = {}
        self._observed: dict[str, ObservedExporter] = {}
        self._processors: list[Placed] = []
        self._started: list[Placed] = []
        self._make_extensions()
        self._make_pipelines()

    def in_start_order(self) -> list[Placed]:
        """Extensions, exporters, processors from the back of each pipeline, receivers."""
        return [
            *(Placed(f"extensions::{name}", extension) for name, extension in self.extensions.items()),
            *(Placed(f"exporters::{name}", exporter) for name, exporter in self.exporters.items()),
            *self._processors,
            *(Placed(f"receivers::{name}", receiver) for name, receiver in self.receivers.items()),
        ]

    async def start(self, host: Host) -> None:
        """Start all; if one fails, what was started is shut down again and its StartError goes on."""
        try:
            for placed in self.in_start_order():
                self._started.append(placed)
                await _start(placed, host)
            for extension in self.extensions.values():
                await extension.ready()
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> list[tuple[str, Exception]]:
        """Shut down what was started, producers first, and give the errors of those that could not."""
        errors: list[tuple[str, Exception]] = []
        for name, extension in self.extensions.items():
            try:
                await extension.draining()
            except Exception as error:  # as below
                errors.append((f"extensions::{name}", error))
        while self._started:
            placed = self._started[-1]
            try:
                await placed.component.shutdown()
            except Exception as error:  # one component's failure must not keep the others from draining
                errors.append((placed.label, error))
            self._started.pop()
        return errors

    @property
    def draining(self) -> str:
        """The component whose shutdown is not done, for a report when the deadline passes; else empty."""
        return self._started[-1].label if self._started else ""

    def _make_extensions(self) -> None:
        wanted = [self.configuration.components[Kind.EXTENSION][name] for name in self.configuration.extensions]
        made = {c.component_id: self._make(c) for c in wanted}
        order = TopologicalSorter(dict.fromkeys(made, ()))
        for name, extension in made.items():
            order.add(name, *(needed for needed in extension.dependencies() if needed in made))
        try:
            self.extensions = {name: made[name] for name in order.static_order()}
        except CycleError as error:
            raise StartError(f"extensions need each other: {' -> '.join(error.args[1])}", "extensions") from None

    def _make_pipelines(self) -> None:
        entries: dict[str, dict[Signal, list[Consumer]]] = {}
        for pipeline in self.configuration.pipelines.values():
            entry = self._make_pipeline(pipeline)
            for name in pipeline.receivers:
                entries.setdefault(name, {}).setdefault(pipeline.signal, []).append(entry)
        for name, by_signal in entries.items():
            config = self.configuration.components[Kind.RECEIVER][name]
            telemetry = self._telemetry(config)
            downstream = {
                signal: ObservedReceiver(fan_out(branches), signal, telemetry) for signal, branches in by_signal.items()
            }
            self.receivers[name] = self._make(config, downstream)

    def _make_pipeline(self, pipeline: PipelineConfig) -> Consumer:
        """Build from the exporters forwards; gives the pipeline's first consumer."""
        consumer = fan_out([self._exporter(name) for name in pipeline.exporters])
        for name in reversed(pipeline.processors):
            config = self.configuration.components[Kind.PROCESSOR][name]
            telemetry = self._telemetry(config, pipeline.pipeline_id)
            make: Any = config.factory.component
            processor: Processor[Any] = make(config.options, CountedItems(consumer, outgoing(telemetry)), telemetry)
            self._processors.append(Placed(f"processors::{name} of {pipeline.pipeline_id}", processor))
            consumer = CountedItems(processor, incoming(telemetry))
        return consumer

    def _exporter(self, name: str) -> Consumer:
        if name not in self._observed:
            config = self.configuration.components[Kind.EXPORTER][name]
            self.exporters[name] = self._make(config)
            self._observed[name] = ObservedExporter(self.exporters[name], self._telemetry(config))
        return self._observed[name]

    def _make(self, config: ComponentConfig, *connections: object) -> Any:
        make: Any = config.factory.component
        return make(config.options, *connections, self._telemetry(config))

    def _telemetry(self, config: ComponentConfig, pipeline: str = "") -> Telemetry:
        return Telemetry(config.factory.kind, config.component_id, self.metrics, pipeline)


async def _start(placed: Placed, host: Host) -> None:
    try:
        await placed.component.start(host)
    except StartError as error:
        error.component = error.component or placed.label
        raise
    except OSError as error:
        failure = StartError(error.strerror or str(error))
        failure.component = placed.label
        raise failure from error
