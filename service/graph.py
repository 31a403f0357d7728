"""Components made, connected, started, exchanged and shut down, as a configuration asks."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, TypeVar, cast

from starlette.types import ASGIApp

from airis.component import (
    Component,
    Connector,
    Consumer,
    Exporter,
    Extension,
    Health,
    Host,
    Kind,
    Member,
    Metrics,
    Outputs,
    Overview,
    PipelineOverview,
    Processor,
    StartError,
    Status,
    Telemetry,
)
from airis.config import ComponentConfig, Configuration
from airis.data import Signal
from airis.service import observe
from airis.service.changes import Change, of_options, of_pipelines
from airis.service.fan_out import FanOut
from airis.service.plan import Entry, Outlet, Place, Plan, Stage
from airis.service.port import Count, Port

T = TypeVar("T")

Failures = list[tuple[Stage, Exception]]
"""What did not drain or shut down well."""

CLOSE_S = 5.0
"""What a component may take to close even where the time to drain is over."""

NOTHING = Configuration("nothing", {kind: {} for kind in Kind}, (), {})


class ReloadFailed(Exception):
    """A component of the new configuration could not start, and the old one runs again."""


@dataclass(slots=True)
class Node:
    """A component in its place, with the ports that it hands on through."""

    place: Place
    config: ComponentConfig
    component: Component[Any]
    outlets: dict[Outlet, Port]
    duration: observe.InternalDuration | None = None
    uses: set[str] = field(default_factory=set[str])
    """Ids of the extensions that it was given: when one of them is exchanged, it is too."""

    @property
    def health(self) -> Health:
        """What is known of how it is."""
        return self.component.telemetry.health


class Graph:
    """The components of a configuration, and the way from one configuration to the next.

    A start is the way from nothing, a shutdown the way to nothing, a reload the way in between: what goes is
    shut down, producers first, then what comes is started, consumers first, and what is in both is not touched.
    Meanwhile whoever would hand on to a component that is being exchanged is held, at the port before it.
    """

    def __init__(
        self, configuration: Configuration, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Makes all components and starts none. Raises StartError for extensions that need each other."""
        self.metrics = metrics
        self.plan = Plan(configuration)
        self.nodes: dict[Place, Node] = {}
        """What runs."""
        self.stopping: list[Place] = []
        """Whose shutdown is under way."""
        self.ports_changed: Callable[[bool], None] = lambda _final: None
        """Told of other ports before data passes through them, and with True when a change is complete."""
        self._clock = clock
        self._running = Plan(NOTHING)
        self._ports: dict[Stage, Port] = {}
        self._made = self._make_all(self.plan.components, self.plan)

    async def start(self, host: Host) -> None:
        """Start all; if one fails, what was started is shut down again and its StartError goes on."""
        try:
            await self._become(self.plan, self._made, host)
        except BaseException:
            await self.shutdown()
            raise
        finally:
            self._made = {}

    async def reload(self, configuration: Configuration, host: Host, drain_s: float) -> Failures:
        """Become what the configuration asks for; what goes has `drain_s` seconds to drain.

        Gives what did not shut down well. Raises StartError before anything was touched, ReloadFailed when the
        old configuration runs again, and an ExceptionGroup when neither does.
        """
        old, new = self._running, Plan(configuration)
        made = self._make_all(self.differing(new), new)
        try:
            failures = await self._become(new, made, host, self._clock() + drain_s)
        except asyncio.CancelledError:
            for port in self._every_port():
                if port.is_paused:
                    port.close()  # who is held is told to come again
            raise
        except Exception as error:
            try:
                again = self._make_all(self.differing(old), old)
                await self._become(old, again, host, self._clock() + drain_s)
            except Exception as second:
                raise ExceptionGroup("neither the new nor the old configuration starts", [error, second]) from None
            raise ReloadFailed(str(error)) from error
        self.plan = new
        return failures

    async def shutdown(self) -> Failures:
        """Shut down what was started, producers first, and give the errors of those that could not."""
        return await self._become(Plan(NOTHING), {})

    def component(self, kind: Kind, component_id: str, pipeline: str = "") -> Component[Any] | None:
        """A component that was made or runs."""
        place = Place(kind, component_id, pipeline)
        node = self.nodes.get(place) or self._made.get(place)
        return node.component if node else None

    def in_start_order(self) -> list[Node]:
        """What runs, or was made: extensions, then consumers before producers, receivers last."""
        nodes = {**self._made, **self.nodes}
        consumers = [nodes[stage] for stage in self.plan.stages if isinstance(stage, Place) and stage in nodes]
        return [*self._extensions_in_order(self.plan, self._made), *consumers]

    def differing(self, new: Plan) -> dict[Place, str]:
        """The places of the new plan whose component is made anew, each with the reason."""
        found: dict[Place, str] = {}
        for place, config in new.components.items():
            node = self.nodes.get(place)
            if node is None:
                found[place] = "added"
            elif (node.config.factory.component, node.config.options) != (config.factory.component, config.options):
                found[place] = "changed"
        while True:
            exchanged = {place.component_id for place in found if place.kind is Kind.EXTENSION}
            exchanged |= {p.component_id for p in self.nodes if p.kind is Kind.EXTENSION and p not in new.components}
            more = {
                place: f"uses extension {', '.join(sorted(node.uses & exchanged))}"
                for place, node in self.nodes.items()
                if place in new.components and place not in found and node.uses & exchanged
            }
            if not more:
                return found
            found |= more

    def changes(self, configuration: Configuration) -> list[Change]:
        """What `reload` would do."""
        new = Plan(configuration)
        gone = [Change("-", str(place)) for place in self.nodes if place not in new.components]
        other: list[Change] = []
        for place, why in self.differing(new).items():
            node = self.nodes.get(place)
            if node is None:
                other.append(Change("+", str(place)))
            else:
                details = of_options(node.config.options, new.components[place].options)
                other.append(Change("~", str(place), details or (why,)))
        pipelines = of_pipelines(self.plan.configuration, configuration)
        telemetry = of_options(self.plan.configuration.telemetry, configuration.telemetry)
        return [*gone, *other, *pipelines, *([Change("~", "service::telemetry", telemetry)] if telemetry else ())]

    def overview(self, started_unix_s: float) -> Overview:
        """What runs, extensions first, then in the order of the start."""
        nodes = self.in_start_order()
        return Overview(
            started_unix_s,
            tuple(
                PipelineOverview(p.pipeline_id, p.signal, p.receivers, p.processors, p.exporters)
                for p in self._running.configuration.pipelines.values()
            ),
            tuple(Member(p.kind, p.component_id, p.pipeline, node.health) for node in nodes for p in [node.place]),
            self._running.configuration.source,
        )

    def undrained(self) -> Mapping[str, int]:
        """Items that were handed over and not answered, by the component that has them."""
        return {
            str(stage): port.in_flight_items
            for stage, port in self._ports.items()
            if isinstance(stage, Place) and port.in_flight
        }

    def ports(self) -> Mapping[str, tuple[Port, ...]]:
        """Where data can be watched: before pipelines, consumers, and behind receivers, by what a person calls them."""
        found: dict[str, tuple[Port, ...]] = {}
        for stage, port in self._ports.items():
            found[f"pipelines::{stage.pipeline}" if isinstance(stage, Entry) else str(stage)] = (port,)
        for place, node in self.nodes.items():
            if place.kind is Kind.RECEIVER:
                found[str(place)] = tuple(node.outlets.values())
        return found

    # The way from what runs to another plan.

    async def _become(
        self, new: Plan, made: Mapping[Place, Node], host: Host | None = None, deadline: float | None = None
    ) -> Failures:
        leaving = {place for place in self.nodes if place in made or place not in new.components}
        failures: Failures = []
        await self._take_down(new, leaving, failures, deadline)
        self._running = new
        if host is not None:
            await self._put_up(new, made, host)
        for stage in self._ports.keys() - set(new.stages):
            self._ports.pop(stage).close()
        self.ports_changed(True)
        for place in leaving - new.components.keys():
            self.metrics.remove(place.kind, place.component_id, place.pipeline)
        return failures

    async def _take_down(self, new: Plan, leaving: set[Place], failures: Failures, deadline: float | None) -> None:
        """Shut down what leaves, producers first, and hold whoever hands on to something else from now on."""
        extensions = [node for node in self._extensions_in_order(self._running, {}) if node.place in leaving]
        for node in extensions:
            await _attempt(node.place, cast("Extension[Any]", node.component).draining(), failures)
        receivers = [self.nodes[place] for place in leaving if place.kind is Kind.RECEIVER]
        await asyncio.gather(*(self._stop(node, new, failures, deadline) for node in receivers))
        for stage in reversed(self._running.stages):
            if isinstance(stage, Place) and stage in leaving:
                if stage in self.nodes:
                    await self._stop(self.nodes[stage], new, failures, deadline)
            elif stage in new.targets and (isinstance(stage, Entry) or stage in self.nodes):
                for outlet, port in self._outlets(stage).items():
                    if port.targets != new.targets[stage].get(outlet):
                        port.pause()
                        await self._drain(stage, port, failures, deadline)
        for node in reversed(extensions):
            await self._stop(node, new, failures, deadline)

    async def _put_up(self, new: Plan, made: Mapping[Place, Node], host: Host) -> None:
        """Start what comes, consumers first, and let go on whoever was held. Raises StartError."""
        extensions = [node for node in self._extensions_in_order(new, made) if node.place in made]
        for node in extensions:
            await self._start(node, host)
        for stage in new.stages:
            coming = made.get(stage) if isinstance(stage, Place) else None
            if coming is not None:
                self.nodes[coming.place] = coming
            self._connect(stage, new)
            self.ports_changed(False)
            if coming is not None:
                await self._start(coming, host)
        for node in extensions:
            await cast("Extension[Any]", node.component).ready()

    async def _start(self, node: Node, host: Host) -> None:
        self.nodes[node.place] = node
        node.health.report(Status.STARTING)
        try:
            await node.component.start(_HostOf(host, node))
        except Exception as error:
            node.health.report(Status.PERMANENT_ERROR, str(error))
            await _attempt(node.place, node.component.shutdown(), [])
            del self.nodes[node.place]
            if not isinstance(error, StartError | OSError):
                raise
            failure = error if isinstance(error, StartError) else StartError(error.strerror or str(error))
            failure.component = failure.component or str(node.place)
            raise failure from (None if failure is error else error)
        node.health.report(Status.OK)
        if isinstance(node.component, Exporter | Processor | Connector):
            port = self._port(node.place)
            port.count = _before(node, port)
            port.resume(node.duration.inside(node.component) if node.duration else node.component)

    async def _stop(self, node: Node, new: Plan, failures: Failures, deadline: float | None) -> None:
        """Let what was handed over be answered, then shut down."""
        place = node.place
        if place not in self.stopping:
            self.stopping.append(place)
        node.health.report(Status.STOPPING)
        port = self._ports.get(place)
        if port is not None:
            if place in new.components:
                port.pause()
            await self._drain(place, port, failures, deadline)
        left = self._left(deadline)
        await _attempt(place, node.component.shutdown(), failures, left and max(left, CLOSE_S))
        for outlet in node.outlets.values():
            outlet.close()
        del self.nodes[place]
        self.stopping.remove(place)
        node.health.report(Status.STOPPED)

    async def _drain(self, stage: Stage, port: Port, failures: Failures, deadline: float | None) -> None:
        try:
            async with asyncio.timeout(self._left(deadline)):
                await port.idle()
        except TimeoutError:
            failures.append((stage, TimeoutError(f"{port.in_flight_items} items were not answered in time")))

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.001, deadline - self._clock())

    # How components are made and connected.

    def _make_all(self, places: Iterable[Place], plan: Plan) -> dict[Place, Node]:
        made = {place: self._make(place, plan) for place in places}
        self._extensions_in_order(plan, made)
        return made

    def _make(self, place: Place, plan: Plan) -> Node:
        config = plan.components[place]
        telemetry = Telemetry(place.kind, place.component_id, self.metrics, place.pipeline)
        outlets = {outlet: _outlet(place, telemetry) for outlet in plan.targets.get(place, {})}
        duration = None
        connections: tuple[object, ...] = ()
        if place.kind is Kind.RECEIVER:
            connections = (outlets,)
        elif place.kind is Kind.CONNECTOR:
            connections = (Outputs(_BySignal(outlets), _ByPipeline(outlets)),)
        elif place.kind is Kind.PROCESSOR:
            if plan.configuration.telemetry.metrics.level == "detailed":
                duration = observe.InternalDuration(telemetry)
            connections = (duration.behind(outlets[None]) if duration else outlets[None],)
        make: Any = config.factory.component
        return Node(place, config, make(config.options, *connections, telemetry), outlets, duration)

    def _extensions_in_order(self, plan: Plan, made: Mapping[Place, Node]) -> list[Node]:
        """Those of the plan that there are, each after those that it needs."""
        places = [Place(Kind.EXTENSION, name) for name in plan.extensions]
        nodes = {place.component_id: node for place in places if (node := made.get(place) or self.nodes.get(place))}
        order: TopologicalSorter[str] = TopologicalSorter()
        for name, node in nodes.items():
            needed = cast("Extension[Any]", node.component).dependencies()
            order.add(name, *(other for other in needed if other in nodes))
        try:
            return [nodes[name] for name in order.static_order()]
        except CycleError as error:
            raise StartError(f"extensions need each other: {' -> '.join(error.args[1])}", "extensions") from None

    def _connect(self, stage: Stage, plan: Plan) -> None:
        """Let the stage hand on to its targets, and whoever was held at it."""
        outlets, wanted = self._outlets(stage), plan.targets[stage]
        for outlet, targets in wanted.items():
            port = outlets.get(outlet)
            if port is None:
                assert isinstance(stage, Place)
                port = outlets[outlet] = _outlet(stage, self.nodes[stage].component.telemetry)
            if port.targets != targets or port.is_paused:
                consumers = [self._port(target) for target in targets]
                port.targets = targets
                port.resume(consumers[0] if len(consumers) == 1 else self._fan_out(consumers))
        for outlet in outlets.keys() - wanted.keys():
            outlets.pop(outlet).close()

    def _every_port(self) -> Iterator[Port]:
        yield from self._ports.values()
        for node in self.nodes.values():
            yield from node.outlets.values()

    def _outlets(self, stage: Stage) -> dict[Outlet, Port]:
        if isinstance(stage, Entry):
            return {None: self._port(stage)}
        return self.nodes[stage].outlets

    def _port(self, stage: Stage) -> Port:
        """The port before a consumer or a pipeline."""
        if stage not in self._ports:
            count = None
            if isinstance(stage, Entry):
                count = observe.into_pipeline(Telemetry("pipeline", stage.pipeline, self.metrics))
            self._ports[stage] = Port(count)
        return self._ports[stage]

    def _fan_out(self, consumers: Sequence[Consumer]) -> FanOut:
        torn = Telemetry("service", "pipelines", self.metrics).counter(
            "airis_fan_out_torn_items",
            "{item}",
            "Items that some branches took and others refused, so that their sender was told to send them again.",
        )
        return FanOut(consumers, torn)


async def _attempt(
    place: Place, work: Coroutine[Any, Any, object], failures: Failures, seconds: float | None = None
) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        failures.append((place, TimeoutError("did not shut down in time")))
    except Exception as error:  # one component's failure must not keep the others from draining
        failures.append((place, error))


def _outlet(place: Place, telemetry: Telemetry) -> Port:
    return Port(observe.behind_receiver(telemetry) if place.kind is Kind.RECEIVER else observe.out_of(telemetry))


def _before(node: Node, port: Port) -> Count:
    telemetry = node.component.telemetry
    if node.place.kind is not Kind.EXPORTER:
        return observe.into(telemetry)
    name = "otelcol_exporter_in_flight_requests"
    telemetry.gauge(name, "{request}", "Batches handed over and not yet answered.", lambda: port.in_flight)
    return observe.before_exporter(telemetry)


class _BySignal(Mapping[Signal, Consumer]):
    """A connector's outlets to all pipelines of a signal."""

    def __init__(self, outlets: Mapping[Outlet, Port]) -> None:
        self._outlets = outlets

    def __getitem__(self, signal: Signal) -> Consumer:
        return self._outlets[signal]

    def __iter__(self) -> Iterator[Signal]:
        return (outlet for outlet in self._outlets if isinstance(outlet, Signal))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _ByPipeline(Mapping[str, Consumer]):
    """A connector's outlets to single pipelines."""

    def __init__(self, outlets: Mapping[Outlet, Port]) -> None:
        self._outlets = outlets

    def __getitem__(self, pipeline: str) -> Consumer:
        return self._outlets[Entry(pipeline)]

    def __iter__(self) -> Iterator[str]:
        return (outlet.pipeline for outlet in self._outlets if isinstance(outlet, Entry))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True)
class _HostOf:
    """The host as one component sees it; notes which extensions it uses."""

    host: Host
    node: Node

    @property
    def data_dir(self) -> Path:
        return self.host.data_dir

    @property
    def admin(self) -> ASGIApp:
        return self.host.admin

    def extension(self, component_id: str, kind: type[T]) -> T:
        self.node.uses.add(component_id)
        return self.host.extension(component_id, kind)

    def overview(self) -> Overview:
        return self.host.overview()

    def fail(self, component: str, error: BaseException) -> None:
        self.host.fail(component, error)
