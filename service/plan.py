"""What a configuration asks for: which components there are, and who hands on to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from airis.component import Kind
from airis.config import ComponentConfig, Configuration
from airis.data import Signal


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a component stands: there is one in each place, which a reload may exchange."""

    kind: Kind
    component_id: str
    pipeline: str = ""
    """Of a processor, which pipelines do not share."""

    def __str__(self) -> str:
        """As messages call it: ``processors::batch of traces``."""
        return f"{self.kind.section}::{self.component_id}" + (f" of {self.pipeline}" if self.pipeline else "")


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """The beginning of a pipeline, whatever component comes first in it."""

    pipeline: str


Stage = Place | Entry

Outlet = Signal | Entry | None
"""Which of its outlets a component hands on through: a receiver and a connector have one for each signal, a connector
one more for each pipeline, all others have one."""

Targets = Mapping[Outlet, tuple[Stage, ...]]


class Plan:
    """Components by place, the targets of every stage, and the order of the start. Unused components are left out."""

    def __init__(self, configuration: Configuration) -> None:
        """The configuration's references are known to resolve, and to make no cycle."""
        self.configuration = configuration
        self.extensions = configuration.extensions
        self.components: dict[Place, ComponentConfig] = {}
        self.targets: dict[Stage, dict[Outlet, tuple[Stage, ...]]] = {}
        self.ends: dict[str, tuple[Place, ...]] = {}
        """The exporters and connectors of every pipeline."""
        self.pipeline_behind: dict[Stage, str] = {}
        """The pipeline of every stage that is the last before the ends."""
        for extension_id in configuration.extensions:
            self._add(Place(Kind.EXTENSION, extension_id))
        for pipeline in configuration.pipelines.values():
            self._add_pipeline(pipeline.pipeline_id, pipeline.processors, pipeline.exporters)
        for pipeline in configuration.pipelines.values():
            entry = Entry(pipeline.pipeline_id)
            for receiver_id in pipeline.receivers:
                self._feed(receiver_id, pipeline.signal, entry)
        self.stages = self._in_start_order()

    def _add(self, place: Place) -> Place:
        self.components[place] = self.configuration.components[place.kind][place.component_id]
        return place

    def _add_pipeline(self, pipeline: str, processors: tuple[str, ...], exporters: tuple[str, ...]) -> None:
        stage: Stage = Entry(pipeline)
        for processor_id in processors:
            place = self._add(Place(Kind.PROCESSOR, processor_id, pipeline))
            self.targets[stage] = {None: (place,)}
            stage = place
        ends = tuple(self._add(Place(self._kind(name, Kind.EXPORTER), name)) for name in dict.fromkeys(exporters))
        self.targets[stage] = {None: ends}
        self.ends[pipeline] = ends
        self.pipeline_behind[stage] = pipeline
        for end in ends:
            self.targets.setdefault(end, {})

    def _feed(self, receiver_id: str, signal: Signal, entry: Entry) -> None:
        place = self._add(Place(self._kind(receiver_id, Kind.RECEIVER), receiver_id))
        targets = self.targets.setdefault(place, {})
        if entry not in targets.get(signal, ()):
            targets[signal] = (*targets.get(signal, ()), entry)
        if place.kind is Kind.CONNECTOR:
            targets[entry] = (entry,)

    def _kind(self, component_id: str, otherwise: Kind) -> Kind:
        return Kind.CONNECTOR if component_id in self.configuration.components[Kind.CONNECTOR] else otherwise

    def _in_start_order(self) -> tuple[Stage, ...]:
        """All stages but extensions, consumers before producers and the receivers last."""
        sorter: TopologicalSorter[Stage] = TopologicalSorter()
        for stage, outlets in self.targets.items():
            sorter.add(stage, *(target for targets in outlets.values() for target in targets))
        order = list(sorter.static_order())
        return tuple(sorted(order, key=lambda stage: isinstance(stage, Place) and stage.kind is Kind.RECEIVER))
