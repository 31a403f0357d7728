"""How the whole service and each pipeline is, from how their components are, as the Collector puts it together."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airis.component import Kind, Member, Overview, PipelineOverview, Status

EXTENSIONS = "extensions"
"""All extensions together, asked for as if they were a pipeline."""

HTTP_CODES: Mapping[Status, int] = {
    Status.OK: 200,
    Status.RECOVERABLE_ERROR: 200,
    Status.PERMANENT_ERROR: 200,
    Status.FATAL_ERROR: 500,
}
"""Every other status is 503."""

_ERRORS = (Status.PERMANENT_ERROR, Status.RECOVERABLE_ERROR, Status.FATAL_ERROR)


@dataclass(frozen=True, slots=True)
class Event:
    """A status, why, and since when."""

    status: Status
    error: str = ""
    since_unix_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The status of a part of the service, and of what it is made of."""

    event: Event
    parts: "Mapping[str, Aggregate]" = field(default_factory=dict[str, "Aggregate"])
    """By ``kind:id``, ``pipeline:id`` or ``extensions``."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which errors of components make a part of the service unwell."""

    permanent: bool = False
    recoverable: bool = False
    recovery_s: float = 300.0

    def is_well(self, event: Event, now_unix_s: float) -> bool:
        """Whether it counts as healthy; what is starting or stopping does, and has its code all the same."""
        if event.status is Status.PERMANENT_ERROR:
            return not self.permanent
        if event.status is Status.RECOVERABLE_ERROR and self.recoverable:
            return now_unix_s < event.since_unix_s + self.recovery_s
        return event.status is not Status.FATAL_ERROR

    def aggregate(self, overview: Overview) -> Aggregate:
        """The whole service: its pipelines, and its extensions together."""
        parts: dict[str, Aggregate] = {}
        extensions = [member for member in overview.members if member.kind is Kind.EXTENSION]
        if extensions:
            parts[EXTENSIONS] = self._of(_by_name(extensions))
        for pipeline in overview.pipelines:
            parts[f"pipeline:{pipeline.pipeline_id}"] = self._of(_by_name(_members(overview, pipeline)))
        return self._of(parts)

    def _of(self, parts: Mapping[str, Aggregate]) -> Aggregate:
        return Aggregate(self._most_relevant([part.event for part in parts.values()]), parts)

    def _most_relevant(self, events: list[Event]) -> Event:
        """An error is told since its first time, which is near its cause; all else since the last change."""
        if not events:
            return Event(Status.NONE)
        status = self._combined({event.status for event in events})
        latest = max(events, key=lambda event: event.since_unix_s)
        if status in _ERRORS:
            return min((e for e in events if e.status is status), key=lambda event: event.since_unix_s)
        return latest if latest.status is status else Event(status, since_unix_s=latest.since_unix_s)

    def _combined(self, seen: set[Status]) -> Status:
        if len(seen) == 1:
            return next(iter(seen))
        errors = [Status.PERMANENT_ERROR, Status.RECOVERABLE_ERROR]
        if self.recoverable and not self.permanent:
            errors.reverse()
        for status in (Status.FATAL_ERROR, Status.STARTING, Status.STOPPING, Status.STOPPED, *errors):
            if status in seen:
                return Status.STOPPING if status is Status.STOPPED else status
        return Status.NONE


def _members(overview: Overview, pipeline: PipelineOverview) -> Iterator[Member]:
    """The components of a pipeline; a connector stands among its receivers and exporters."""
    for member in overview.members:
        if member.kind is Kind.PROCESSOR:
            belongs = member.pipeline == pipeline.pipeline_id
        else:
            belongs = (
                member.kind in (Kind.RECEIVER, Kind.CONNECTOR) and member.component_id in pipeline.receivers
            ) or (member.kind in (Kind.EXPORTER, Kind.CONNECTOR) and member.component_id in pipeline.exporters)
        if belongs:
            yield member


def _by_name(members: Iterable[Member]) -> dict[str, Aggregate]:
    return {
        f"{m.kind}:{m.component_id}": Aggregate(Event(m.health.status, m.health.error, m.health.since_unix_s))
        for m in members
    }


def document(part: Aggregate, judgement: Judgement, now_unix_s: float, *, verbose: bool) -> dict[str, Any]:
    """The status in the Collector's JSON; with its parts if `verbose`."""
    event = part.event
    told: dict[str, Any] = {"healthy": judgement.is_well(event, now_unix_s), "status": str(event.status)}
    if event.error:
        told["error"] = event.error
    told["status_time"] = timestamp(event.since_unix_s)
    if verbose and part.parts:
        told["components"] = {
            name: document(part.parts[name], judgement, now_unix_s, verbose=True) for name in sorted(part.parts)
        }
    return told


def timestamp(unix_s: float) -> str:
    """As the Collector writes a time: ``2026-01-02T03:04:05Z``."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")
