"""Components made, connected, started, exchanged and shut down, as a configuration asks."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast

from airis.component import (
    Component,
    Connector,
    Consumer,
    Exporter,
    Extension,
    Host,
    Kind,
    Member,
    Metrics,
    Overview,
    PipelineOverview,
    Processor,
    StartError,
    Status,
    Telemetry,
)
from airis.config import Configuration
from airis.data import Signal
from airis.service import observe
from airis.service.branches import Branches, Source
from airis.service.changes import Change, of_options, of_pipelines
from airis.service.fan_out import FanOut
from airis.service.node import HostOf, Node, count_before, make, outlet_of
from airis.service.plan import Entry, Outlet, Place, Plan, Stage
from airis.service.port import CLOSED, NOBODY, Port

Failures = list[tuple[Stage, Exception]]
"""What did not drain or shut down well."""

CLOSE_S = 5.0
"""What a component may take to close even where the time to drain is over, or a tenth of that time if it is less."""
START_S = 60.0
"""What a component may take to start in a reload, while callers are held."""

CANCEL_S = 1.0
"""What something that is cancelled may take to end."""

NOTHING = Configuration("nothing", {kind: {} for kind in Kind}, (), {})


class ReloadFailed(Exception):
    """A component of the new configuration could not start, and the old one runs again."""


class NothingStarts(Exception):
    """A component of the new configuration could not start, and neither could one of the old configuration then."""


class Graph:
    """The components of a configuration, and the way from one configuration to the next.

    A start is the way from nothing, a shutdown the way to nothing, a reload the way in between: what goes is
    shut down, producers first, then what comes is started, consumers first, and what is in both is not touched.
    Meanwhile whoever would hand on to a component that is being exchanged is held, at the port before it. Nothing is
    ever waited for that is held itself: when a component is shut down, only what lies before it is held by then, and
    what it hands on passes all that lies behind it.
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
        """Whose shutdown is under way; none between two of them, and before the first."""
        self.ports_changed: Callable[[bool], None] = lambda _final: None
        """Told of other ports before data passes through them, and with True when a change is complete."""
        self.branches = Branches(metrics)
        """What every exporter is owed."""
        self._clock = clock
        self._least_s = CLOSE_S
        self._ports: dict[Stage, Port] = {}
        self._targets: dict[Port, tuple[Stage, ...]] = {}
        self._made = self._make_all(self.plan.components, self.plan)

    async def start(self, host: Host) -> None:
        """Start all; if one fails, what was started is shut down again and its StartError goes on."""
        made, self._made = self._made, {}
        try:
            await self._become(Plan(NOTHING), self.plan, made, host, [])
        except BaseException:
            await self.shutdown(CLOSE_S)
            raise

    async def reload(self, configuration: Configuration, host: Host, drain_s: float) -> Failures:
        """Become what the configuration asks for; what goes has `drain_s` seconds to drain.

        Gives what did not shut down well. Raises StartError before anything was touched, ReloadFailed when the old
        configuration runs again, and NothingStarts when neither does. Cancelled, or after the latter, nobody is
        held any more, and what still runs is as before.
        """
        old, new = self.plan, Plan(configuration)
        made = self._make_all(self.differing(new), new)
        failures: Failures = []
        try:
            try:
                await self._become(old, new, made, host, failures, drain_s, START_S)
            except Exception as error:
                self._forget(made.keys() - self.nodes.keys() - old.components.keys())
                try:
                    again = self._make_all(self.differing(old), old)
                    await self._become(new, old, again, host, failures, drain_s, START_S)
                except Exception as second:
                    raise NothingStarts(
                        f"neither the new configuration ({error}) nor the old one ({second})"
                    ) from error
                raise ReloadFailed(str(error)) from error
        except (asyncio.CancelledError, NothingStarts):
            self._release()
            raise
        return failures

    async def shutdown(self, drain_s: float = CLOSE_S) -> Failures:
        """Shut down what was started, producers first, and give what did not drain or shut down well."""
        failures: Failures = []
        await self._become(self.plan, Plan(NOTHING), {}, None, failures, drain_s)
        return failures

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
                for p in self.plan.configuration.pipelines.values()
            ),
            tuple(Member(p.kind, p.component_id, p.pipeline, node.health) for node in nodes for p in [node.place]),
            self.plan.configuration.source,
        )

    def undrained(self) -> Mapping[str, int]:
        """Items that were handed over and not answered, by the component that has them."""
        return {
            str(stage): port.in_flight_items
            for stage, port in self._ports.items()
            if isinstance(stage, Place) and port.in_flight
        }

    def before(self, stage: Stage) -> Port | None:
        """The port before a consumer or a pipeline, if there is one."""
        return self._ports.get(stage)

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
        self,
        old: Plan,
        new: Plan,
        made: Mapping[Place, Node],
        host: Host | None,
        failures: Failures,
        drain_s: float = 0.0,
        start_s: float | None = None,
    ) -> None:
        """Without a host nothing is started, without `start_s` a start may take any time."""
        self._least_s = min(CLOSE_S, drain_s / 10) if drain_s else CLOSE_S
        leaving = {place for place in self.nodes if place in made or place not in new.components}
        await self._take_down(old, new, leaving, failures, self._clock() + drain_s)
        self.plan = new
        self.branches.become(new)
        if host is not None:
            await self._put_up(new, made, host, failures, start_s)
        self._forget(leaving - new.components.keys())
        for stage in self._ports.keys() - set(new.stages):
            port = self._ports.pop(stage)
            port.close()
            self._targets.pop(port, None)
            if isinstance(stage, Entry):
                self.branches.retire_pipeline(stage.pipeline)
                self.metrics.remove("pipeline", stage.pipeline)
        self.ports_changed(True)

    def _forget(self, places: Iterable[Place]) -> None:
        for place in places:
            self.branches.retire(place)
            self.metrics.remove(place.kind, place.component_id, place.pipeline)

    async def _take_down(self, old: Plan, new: Plan, leaving: set[Place], failures: Failures, deadline: float) -> None:
        """Shut down what leaves, producers first, and hold whoever hands on to something else from now on."""
        extensions = [node for node in self._extensions_in_order(old, {}) if node.place in leaving]
        await asyncio.gather(
            *(
                self._attempt(node.place, cast("Extension[Any]", node.component).draining(), failures, deadline)
                for node in extensions
            )
        )
        receivers = [self.nodes[place] for place in leaving if place.kind is Kind.RECEIVER]
        await asyncio.gather(*(self._stop(node, new, failures, deadline) for node in receivers))
        for stage in reversed(old.stages):
            if isinstance(stage, Place) and stage not in self.nodes:
                continue  # a receiver that is gone by now, or what never started
            if stage in leaving:
                await self._stop(self.nodes[stage], new, failures, deadline)
            elif stage in new.targets:
                for outlet, port in self._outlets(stage).items():
                    if self._targets.get(port) != new.targets[stage].get(outlet):
                        port.pause()
                        await self._drain(stage, port, failures, deadline)
        for node in reversed(extensions):
            await self._stop(node, new, failures, deadline)

    async def _put_up(
        self, new: Plan, made: Mapping[Place, Node], host: Host, failures: Failures, start_s: float | None
    ) -> None:
        """Start what comes, consumers first, and let go on whoever was held. Raises StartError."""
        extensions = [node for node in self._extensions_in_order(new, made) if node.place in made]
        for node in extensions:
            await self._start(node, host, failures, start_s)
        for stage in new.stages:
            coming = made.get(stage) if isinstance(stage, Place) else None
            if coming is not None:
                self.nodes[coming.place] = coming
            self._connect(stage, new)
            self.ports_changed(False)
            if coming is not None:
                await self._start(coming, host, failures, start_s)
        self._time_processors(new)
        for node in extensions:
            ready = cast("Extension[Any]", node.component).ready()
            if start_s is None:
                await ready
            else:
                await self._attempt(node.place, ready, failures, self._clock())

    async def _start(self, node: Node, host: Host, failures: Failures, start_s: float | None) -> None:
        self.nodes[node.place] = node
        node.health.report(Status.STARTING)
        self.metrics.adopt(node.metrics)
        node.component.telemetry.metrics = self.metrics
        try:
            await bounded(node.component.start(HostOf(host, node)), start_s)
        except Exception as error:
            if isinstance(error, TimeoutError) and start_s is not None:
                error = StartError(f"did not start in {start_s:g} s")
            node.health.report(Status.PERMANENT_ERROR, str(error))
            await self._attempt(node.place, node.component.shutdown(), failures, self._clock())
            del self.nodes[node.place]
            if not isinstance(error, StartError | OSError):
                raise
            failure = error if isinstance(error, StartError) else StartError(error.strerror or str(error))
            failure.component = failure.component or str(node.place)
            raise failure from (None if failure is error else error)
        if node.health.status is Status.STARTING:  # or it has said itself how it is
            node.health.report(Status.OK)
        if isinstance(node.component, Exporter | Processor | Connector):
            port = self._port(node.place)
            port.count = count_before(node, port)
            port.resume(node.component)

    async def _stop(self, node: Node, new: Plan, failures: Failures, deadline: float) -> None:
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
        await self._attempt(place, node.component.shutdown(), failures, deadline)
        if port is not None:
            port.abandon()  # nobody else is going to answer
            port.consumer = CLOSED
        for outlet in node.outlets.values():
            outlet.close()
            self._targets.pop(outlet, None)
        del self.nodes[place]
        self.stopping.remove(place)
        node.health.report(Status.STOPPED)

    async def _drain(self, stage: Stage, port: Port, failures: Failures, deadline: float) -> None:
        try:
            async with asyncio.timeout(self._share(deadline)):
                await port.idle()
        except TimeoutError:
            failures.append((stage, TimeoutError(f"{port.in_flight_items} items were not answered in time")))

    async def _attempt(
        self, place: Place, work: Coroutine[Any, Any, object], failures: Failures, deadline: float
    ) -> None:
        """One component's failure must not keep the others from draining."""
        try:
            await bounded(work, self._share(deadline))
        except TimeoutError:
            failures.append((place, TimeoutError("did not shut down in time")))
        except Exception as error:
            failures.append((place, error))

    def _share(self, deadline: float) -> float:
        """Half of the time that is left: one component that hangs leaves the others some."""
        return max((deadline - self._clock()) / 2, self._least_s)

    def _release(self) -> None:
        """Let go on whoever is held: to what runs, else with the word to come again."""
        for port in self._every_port():
            if port.is_paused:
                port.resume()

    # How components are made and connected.

    def _make_all(self, places: Iterable[Place], plan: Plan) -> dict[Place, Node]:
        made = {place: make(place, plan) for place in places}
        self._extensions_in_order(plan, made)
        return made

    def _extensions_in_order(self, plan: Plan, made: Mapping[Place, Node]) -> list[Node]:
        """Those of the plan that there are, each after those that it needs."""
        places = [Place(Kind.EXTENSION, name) for name in plan.extensions]
        nodes = {place.component_id: node for place in places if (node := made.get(place) or self.nodes.get(place))}
        order: TopologicalSorter[str] = TopologicalSorter()
        for name, node in nodes.items():
            order.add(name, *(other for other in node.needs if other in nodes))
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
                port = outlets[outlet] = outlet_of(stage, self.nodes[stage].component.telemetry)
            pipeline = plan.pipeline_behind.get(stage)
            telemetry = Telemetry("pipeline", pipeline, self.metrics) if pipeline else None
            port.count_at_end = observe.out_of_pipeline(telemetry) if telemetry else None
            if self._targets.get(port) != targets or port.is_paused:
                self._targets[port] = targets
                consumer = self._toward(port, targets, self._source(stage, outlet, plan))
                node = self.nodes.get(stage) if isinstance(stage, Place) else None
                port.resume(node.duration.behind(consumer) if node and node.duration and node.is_timed else consumer)
        for outlet in outlets.keys() - wanted.keys():
            gone = outlets.pop(outlet)
            self._targets.pop(gone, None)
            # What a connector still hands on there nobody asks for any more; a receiver's client can be told.
            gone.resume(NOBODY if isinstance(stage, Place) and stage.kind is Kind.CONNECTOR else CLOSED)
        if isinstance(stage, Place):
            self.nodes[stage].views.show(outlets)

    def _source(self, stage: Stage, outlet: Outlet, plan: Plan) -> Source | None:
        """For the ledger; None for a connector."""
        pipeline = plan.pipeline_behind.get(stage)
        if pipeline is not None:
            return Source(Entry(pipeline), plan.configuration.pipelines[pipeline].signal)
        is_receiver = isinstance(stage, Place) and stage.kind is Kind.RECEIVER and isinstance(outlet, Signal)
        return Source(stage, outlet) if is_receiver and isinstance(outlet, Signal) else None

    def _toward(self, port: Port, targets: Sequence[Stage], source: Source | None) -> Consumer:
        """A consumer for all the targets; a fan-out that is there already keeps what it remembers."""
        if len(targets) == 1:
            return self._port(targets[0])
        branches: dict[Hashable, Consumer] = {target: self._port(target) for target in targets}
        before = observe.untimed(port.consumer)
        if isinstance(before, FanOut):
            before.retarget(branches)
            return before
        torn = Telemetry("service", "pipelines", self.metrics).counter(
            "airis_fan_out_torn_items",
            "{item}",
            "Items that some branches took and others refused, so that their sender was told to send them again.",
        )
        return FanOut(branches, torn, copies=self.branches.copies(source) if source else None)

    def _time_processors(self, plan: Plan) -> None:
        """Measure how long batches are in processors, or do so no longer, as the level of the metrics asks."""
        wanted = plan.configuration.telemetry.metrics.level == "detailed"
        for place, node in self.nodes.items():
            if node.duration is None or node.is_timed == wanted:
                continue
            node.is_timed = wanted
            inward, outward = self._port(place), node.outlets[None]
            if wanted:
                inward.resume(node.duration.inside(inward.consumer))
                outward.resume(node.duration.behind(outward.consumer))
            else:
                inward.resume(observe.untimed(inward.consumer))
                outward.resume(observe.untimed(outward.consumer))

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


async def bounded(work: Coroutine[Any, Any, object], seconds: float | None) -> None:
    """Await the work for so long at the most, even if it does not let itself be cancelled.

    Raises what the work raises, TimeoutError, and StartError for work that somebody else has cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_S)
        raise
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_S)
        raise TimeoutError
    if task.cancelled():
        raise StartError("was cancelled")
    task.result()
