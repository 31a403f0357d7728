"""What the pages say, as plain values: of the service, its pipelines and extensions, and of the process."""

import asyncio
import gc
import os
import platform
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airis import __version__
from airis.component import (
    Counter,
    Health,
    Histogram,
    Kind,
    Member,
    Metrics,
    Overview,
    PipelineOverview,
    format_duration,
)
from airis.component.memory import read_resident_bytes
from airis.component.telemetry import Gauge, Metric, component_attributes

_COUNTS: Mapping[Kind, Mapping[str, str]] = {
    Kind.RECEIVER: {
        "accepted": "otelcol_receiver_accepted_{items}",
        "refused": "otelcol_receiver_refused_{items}",
        "failed": "otelcol_receiver_failed_{items}",
    },
    Kind.PROCESSOR: {"in": "otelcol_processor_incoming_items", "out": "otelcol_processor_outgoing_items"},
    Kind.CONNECTOR: {"in": "otelcol_connector_consumed_items", "out": "otelcol_connector_produced_items"},
    Kind.EXPORTER: {
        "sent": "otelcol_exporter_sent_{items}",
        "failed": "otelcol_exporter_send_failed_{items}",
        "not queued": "otelcol_exporter_enqueue_failed_{items}",
        "queued": "otelcol_exporter_queue_size",
    },
}
"""What is said of a component of a kind, and the metric it is; ``{items}`` are those of the pipeline's signal."""

_NO_SPANS = (
    "airis makes no spans of itself, so there are none to show. What each component counts, and the durations that it "
    "measures, are in pipelinez; what the process does at this moment is in the pprof extension."
)


def service(overview: Overview, data_dir: Path, now_unix_s: float) -> dict[str, Any]:
    """What runs, since when, and how its components are."""
    from airis.data import kernels

    statuses: dict[str, int] = {}
    for member in overview.members:
        statuses[str(member.health.status)] = statuses.get(str(member.health.status), 0) + 1
    return {
        "version": __version__,
        "kernels": kernels.backend,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "pid": os.getpid(),
        "configuration": overview.configuration,
        "data_dir": str(data_dir),
        "started": _time(overview.started_unix_s),
        "uptime": format_duration(round(now_unix_s - overview.started_unix_s)),
        "pipelines": len(overview.pipelines),
        "components": len(overview.members),
        "statuses": dict(sorted(statuses.items())),
    }


def pipelines(overview: Overview, metrics: Metrics) -> dict[str, Any]:
    """Every pipeline with its components in the order of the data."""
    by_component: dict[object, list[Metric]] = {}
    for metric in metrics:
        by_component.setdefault(metric.attributes, []).append(metric)
    members = {(m.kind, m.component_id, m.pipeline): m for m in overview.members}
    return {
        "pipelines": [
            {
                "pipeline": pipeline.pipeline_id,
                "signal": str(pipeline.signal),
                "components": [
                    {"role": str(role), **_component(member, pipeline, by_component)}
                    for role, member in _stages(pipeline, members)
                ],
            }
            for pipeline in overview.pipelines
        ]
    }


def extensions(overview: Overview) -> dict[str, Any]:
    """The extensions in the order of their start."""
    running = [member for member in overview.members if member.kind is Kind.EXTENSION]
    return {"extensions": [{"id": member.component_id, **_health(member.health)} for member in running]}


def features(_overview: Overview) -> dict[str, Any]:
    """Feature gates: none."""
    return {"gates": []}


def traces(_overview: Overview) -> dict[str, Any]:
    """Spans of airis itself: none, and why."""
    return {"spans": [], "reason": _NO_SPANS}


def process() -> dict[str, Any]:
    """What the process holds and uses, from Python's point of view."""
    cpu = os.times()
    return {
        "pid": os.getpid(),
        "cpu": {"user_s": cpu.user, "system_s": cpu.system},
        "memory": {"resident_bytes": read_resident_bytes(), "allocated_blocks": sys.getallocatedblocks()},
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "gc": gc.get_stats(),
        "modules": len(sys.modules),
    }


def _stages(
    pipeline: PipelineOverview, members: Mapping[tuple[Kind, str, str], Member]
) -> Iterator[tuple[Kind, Member]]:
    """The components with their places; one that is gone, as during a reload, has no status."""
    for role, ids in (
        (Kind.RECEIVER, pipeline.receivers),
        (Kind.PROCESSOR, pipeline.processors),
        (Kind.EXPORTER, pipeline.exporters),
    ):
        own = pipeline.pipeline_id if role is Kind.PROCESSOR else ""
        for component_id in ids:
            found = members.get((role, component_id, own)) or members.get((Kind.CONNECTOR, component_id, ""))
            yield role, found or Member(role, component_id, own, Health())


def _component(
    member: Member, pipeline: PipelineOverview, by_component: Mapping[object, list[Metric]]
) -> dict[str, Any]:
    attributes = component_attributes(member.kind, member.component_id, member.pipeline)
    own = by_component.get(attributes, [])
    sums = {metric.name: metric.instrument.value for metric in own if isinstance(metric.instrument, Counter | Gauge)}
    named = {word: name.format(items=pipeline.signal.item) for word, name in _COUNTS.get(member.kind, {}).items()}
    return {
        "kind": str(member.kind),
        "id": member.component_id,
        **_health(member.health),
        "counts": {word: sums[name] for word, name in named.items() if name in sums},
        "metrics": [sample for metric in sorted(own, key=lambda m: m.name) for sample in _samples(metric)],
    }


def _samples(metric: Metric) -> Iterator[dict[str, Any]]:
    instrument = metric.instrument
    if isinstance(instrument, Histogram):
        count = sum(list(instrument.counts))
        yield {"name": metric.name, "attributes": {}, "count": count, "sum": instrument.sum}
        return
    values = instrument.samples() if isinstance(instrument, Gauge) else dict(instrument.values)
    for labels, value in values.items():
        yield {"name": metric.name, "attributes": dict(labels), "value": value}


def _health(health: Health) -> dict[str, Any]:
    told: dict[str, Any] = {"status": str(health.status)}
    if health.error:
        told["error"] = health.error
    if health.since_unix_s:
        told["since"] = _time(health.since_unix_s)
    return told


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
