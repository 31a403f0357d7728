"""A whole configuration, as the service is assembled from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from airis.component import Config, Factory, Kind
from airis.component.config import Scalar
from airis.config.document import Node
from airis.config.errors import Mark, Problem
from airis.config.telemetry import LogsTelemetryConfig, MetricsTelemetryConfig, TelemetryConfig
from airis.data import Signal

__all__ = [
    "ComponentConfig",
    "Configuration",
    "LogsTelemetryConfig",
    "MetricsTelemetryConfig",
    "PipelineConfig",
    "Sources",
    "TelemetryConfig",
]

NOWHERE = Mark("", 1, 1)
"""The place of what was not read from a file."""

_NOTHING = Node(NOWHERE, Scalar(None, ""))


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a configuration is read from; with nothing in it, the built-in one."""

    configs: tuple[str, ...] = ()
    """As after --config, in their order: a path, or ``scheme:text``."""
    sets: tuple[str, ...] = ()
    """As after --set, ``a.b.c=value``; they come after all of `configs`."""


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """A configured component: its id, what it is, its options and where it is written."""

    component_id: str
    factory: Factory
    options: Config
    mark: Mark


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """A pipeline of one signal: the ids of its components, processors in their order.

    Connectors stand among the receivers and exporters.
    """

    pipeline_id: str
    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything a service is made of; every reference in it is known to resolve."""

    source: str
    """In words, for messages: the path, or what else it came from."""
    components: Mapping[Kind, Mapping[str, ComponentConfig]]
    extensions: tuple[str, ...]
    pipelines: Mapping[str, PipelineConfig]
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    warnings: tuple[Problem, ...] = ()
    """What may not be meant."""
    sources: Sources = Sources()
    """What to read again for a reload."""
    root: Node = _NOTHING
    """All of it before its options were decoded: merged, with the references put in."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What was read, by the sources that marks name."""
    files: tuple[Path, ...] = ()
    """What was read from a disk, to be watched."""

    def mark_at(self, *path: str) -> Mark:
        """Where the value at a path stands, or the key above a mapping; else where the nearest thing above it does."""
        return self._at(path)[0]

    def node_at(self, *path: str) -> Node | None:
        """What is written at a path; None if nothing is."""
        return self._at(path)[1]

    def _at(self, path: Sequence[str]) -> tuple[Mark, Node | None]:
        node, mark = self.root, self.root.mark
        for step in path:
            if isinstance(node.value, dict):
                entry = next((e for key, e in node.value.items() if _without_blanks(key) == step), None)
                if entry is None:
                    return mark, None
                node = entry.node
                mark = entry.key_mark if isinstance(node.value, dict) else node.mark
            elif isinstance(node.value, list) and step.isdecimal() and int(step) < len(node.value):
                node = node.value[int(step)]
                mark = node.mark
            else:
                return mark, None
        return mark, node


def _without_blanks(key: str) -> str:
    """A key as an id has it; blanks may stand around the slash."""
    return "/".join(part.strip() for part in key.split("/", 1))
