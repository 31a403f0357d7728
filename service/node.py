"""One component in its place, with what connects it to others."""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from starlette.types import ASGIApp

from airis.component import (
    Component,
    Consumer,
    Exporter,
    Extension,
    Health,
    Host,
    Kind,
    Metrics,
    Outputs,
    Overview,
    StartError,
    Telemetry,
)
from airis.component.ledger import Ledger
from airis.config import ComponentConfig
from airis.data import Signal
from airis.service import observe
from airis.service.plan import Entry, Outlet, Place, Plan
from airis.service.port import Count, Port

T = TypeVar("T")
K = TypeVar("K")


@dataclass(slots=True)
class Node:
    """A component in its place, with the ports that it hands on through."""

    place: Place
    config: ComponentConfig
    component: Component[Any]
    outlets: dict[Outlet, Port]
    views: "Views"
    metrics: Metrics
    """Its instruments until it is started: one that never is leaves nothing behind."""
    duration: observe.InternalDuration | None = None
    """Of a processor."""
    is_timed: bool = False
    needs: tuple[str, ...] = ()
    """Ids of the extensions that an extension starts after."""
    uses: set[str] = field(default_factory=set[str])
    """Ids of the extensions that it was given: when one of them is exchanged, it is too."""

    @property
    def health(self) -> Health:
        """What is known of how it is."""
        return self.component.telemetry.health


def make(place: Place, plan: Plan) -> Node:
    """The component of the place, with its ports, which lead nowhere yet. Raises StartError."""
    config, metrics = plan.components[place], Metrics()
    telemetry = Telemetry(place.kind, place.component_id, metrics, place.pipeline)
    outlets = {outlet: outlet_of(place, telemetry) for outlet in plan.targets.get(place, {})}
    views = Views(outlets)
    connections: tuple[object, ...] = ()
    if place.kind is Kind.RECEIVER:
        connections = (views.by_signal,)
    elif place.kind is Kind.CONNECTOR:
        connections = (Outputs(views.by_signal, views.by_pipeline),)
    elif place.kind is Kind.PROCESSOR:
        connections = (outlets[None],)
    construct: Any = config.factory.component
    try:
        component: Component[Any] = construct(config.options, *connections, telemetry)
        needs = tuple(component.dependencies()) if isinstance(component, Extension) else ()
    except Exception as error:
        failure = error if isinstance(error, StartError) else StartError(f"cannot be made: {error}")
        failure.component = failure.component or str(place)
        raise failure from error
    duration = observe.InternalDuration(telemetry) if place.kind is Kind.PROCESSOR else None
    return Node(place, config, component, outlets, views, metrics, duration, needs=needs)


def outlet_of(place: Place, telemetry: Telemetry) -> Port:
    """A port behind the component in this place."""
    return Port(observe.behind_receiver(telemetry) if place.kind is Kind.RECEIVER else observe.out_of(telemetry))


def count_before(node: Node, port: Port) -> Count:
    """What is counted at the port before a consumer."""
    telemetry = node.component.telemetry
    if node.place.kind is not Kind.EXPORTER:
        return observe.into(telemetry)
    name = "otelcol_exporter_in_flight_requests"
    telemetry.gauge(name, "{request}", "Batches handed over and not yet answered.", lambda: port.in_flight)
    if isinstance(node.component, Exporter) and node.component.counts_itself:
        return observe.nothing
    return observe.before_exporter(telemetry)


class Views:
    """A component's outlets as it sees them. A change shows a new mapping: who goes through the old one goes on."""

    def __init__(self, outlets: Mapping[Outlet, Port]) -> None:
        self.by_signal: Live[Signal] = Live()
        self.by_pipeline: Live[str] = Live()
        self.show(outlets)

    def show(self, outlets: Mapping[Outlet, Port]) -> None:
        """Show these from now on."""
        self.by_signal.current = {outlet: port for outlet, port in outlets.items() if isinstance(outlet, Signal)}
        self.by_pipeline.current = {
            outlet.pipeline: port for outlet, port in outlets.items() if isinstance(outlet, Entry)
        }


class Live(Mapping[K, Consumer]):
    """A mapping that is exchanged as a whole, so that it can be gone through at any time."""

    def __init__(self) -> None:
        self.current: Mapping[K, Consumer] = {}

    def __getitem__(self, key: K) -> Consumer:
        return self.current[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)

    def __contains__(self, key: object) -> bool:
        return key in self.current

    def items(self) -> ItemsView[K, Consumer]:
        """Of this moment."""
        return self.current.items()

    def values(self) -> ValuesView[Consumer]:
        """Of this moment."""
        return self.current.values()


@dataclass(frozen=True, slots=True)
class HostOf:
    """The host as one component sees it; notes which extensions it uses."""

    host: Host
    node: Node

    @property
    def data_dir(self) -> Path:
        """The host's."""
        return self.host.data_dir

    @property
    def admin(self) -> ASGIApp:
        """The host's."""
        return self.host.admin

    def extension(self, component_id: str, kind: type[T]) -> T:
        """The host's, and noted."""
        self.node.uses.add(component_id)
        return self.host.extension(component_id, kind)

    def overview(self) -> Overview:
        """The host's."""
        return self.host.overview()

    def ledger(self) -> Ledger:
        """The host's."""
        return self.host.ledger()

    def fail(self, component: str, error: BaseException) -> None:
        """Tell the host."""
        self.host.fail(component, error)
