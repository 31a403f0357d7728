"""How a component is: what the service and the component itself say of it, for health checks and pages."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from airis.component.kind import Kind
from airis.data import Signal


class Status(StrEnum):
    """The Collector's names for the states of a component."""

    NONE = "StatusNone"
    STARTING = "StatusStarting"
    OK = "StatusOK"
    RECOVERABLE_ERROR = "StatusRecoverableError"
    PERMANENT_ERROR = "StatusPermanentError"
    FATAL_ERROR = "StatusFatalError"
    STOPPING = "StatusStopping"
    STOPPED = "StatusStopped"


@dataclass(slots=True)
class Health:
    """The present status of one component, and since when."""

    status: Status = Status.NONE
    error: str = ""
    """Why, for the errors."""
    since_unix_s: float = 0.0

    def report(self, status: Status, error: str = "", clock: Callable[[], float] = time.time) -> None:
        """Change the status; one that stays what it was keeps its time."""
        if (status, error) != (self.status, self.error):
            self.status, self.error, self.since_unix_s = status, error, clock()


@dataclass(frozen=True, slots=True)
class Member:
    """One running component."""

    kind: Kind
    component_id: str
    pipeline: str
    """The pipeline of a processor; empty for all others, which pipelines share."""
    health: Health


@dataclass(frozen=True, slots=True)
class PipelineOverview:
    """The ids of what a pipeline is made of, in the order of the data."""

    pipeline_id: str
    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What a service is made of at this moment."""

    started_unix_s: float
    pipelines: tuple[PipelineOverview, ...]
    members: tuple[Member, ...]
    """In the order of their start."""
    configuration: str = ""
    """What the configuration was read from, in words."""
