"""Telemetry that goes into connectors, and what comes out of them as lines."""

from collections.abc import Iterable, Mapping
from typing import Any

from airis.data import Batch, Origin, Signal
from airis.ottl.values import from_attributes, write_attributes
from airis.proto import otlp

MS = 1_000_000
START = 1_000_000_000 * 10**9

Attributes = Mapping[str, Any]


def batch_of(signal: Signal, request: Any, **origin: Any) -> Batch:
    """A request as a batch."""
    payload = request.SerializeToString()
    items = sum(1 for _ in otlp_items(signal, request))
    return Batch(signal, payload, items, Origin(**origin))


def otlp_items(signal: Signal, request: Any) -> Iterable[Any]:
    """Spans, data points or log records."""
    match signal:
        case Signal.TRACES:
            yield from (s for r in request.resource_spans for c in r.scope_spans for s in c.spans)
        case Signal.LOGS:
            yield from (s for r in request.resource_logs for c in r.scope_logs for s in c.log_records)
        case _:
            metrics = (m for r in request.resource_metrics for c in r.scope_metrics for m in c.metrics)
            yield from (p for m in metrics for p in getattr(m, m.WhichOneof("data")).data_points)


def span(
    name: str = "GET /",
    *,
    ms: float = 5,
    kind: int = 2,
    status: int = 0,
    trace: str = "",
    events: Iterable[tuple[str, Attributes]] = (),
    **attributes: Any,
) -> Attributes:
    """A span; double underscores in the names of attributes are points."""
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    return {
        "name": name,
        "ms": ms,
        "kind": kind,
        "status": status,
        "trace": trace,
        "events": events,
        "attributes": named,
    }


def spans(*resources: tuple[Attributes, list[Attributes]], scope: str = "", **origin: Any) -> Batch:
    """Resources by their attributes, each with its spans."""
    request: Any = otlp.LAYOUTS["traces"].request()
    for attributes, own in resources:
        owner = request.resource_spans.add()
        write_attributes(owner.resource.attributes, attributes)
        scoped = owner.scope_spans.add()
        scoped.scope.name, scoped.scope.version = scope, "1.0" if scope else ""
        for each in own:
            made = scoped.spans.add(name=each["name"], kind=each["kind"], start_time_unix_nano=START)
            made.end_time_unix_nano = START + round(each["ms"] * MS)
            made.status.code = each["status"]
            made.trace_id = bytes.fromhex(each["trace"])
            made.span_id = bytes.fromhex(each["trace"])[-8:]
            write_attributes(made.attributes, each["attributes"])
            for name, own_attributes in each["events"]:
                event = made.events.add(name=name)
                write_attributes(event.attributes, own_attributes)
    return batch_of(Signal.TRACES, request, **origin)


def lines(*batches: Batch) -> str:
    """Metrics as text, a line for every point, sorted within a batch."""
    return "\n".join("\n".join(_lines(batch)) for batch in batches) + "\n"


def _lines(batch: Batch) -> Iterable[str]:
    request: Any = otlp.parse(batch.signal, batch.payload)
    for owner in request.resource_metrics:
        yield f"resource {_attributes(owner.resource.attributes)}"
        for scoped in owner.scope_metrics:
            yield f"  scope {scoped.scope.name}"
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                temporality = {0: "", 1: " delta", 2: " cumulative"}[getattr(data, "aggregation_temporality", 0)]
                monotonic = " monotonic" if getattr(data, "is_monotonic", False) else ""
                unit = f" [{metric.unit}]" if metric.unit else ""
                yield f"    {metric.name}{unit} {kind}{temporality}{monotonic}"
                for point in data.data_points:
                    yield f"      {_times(point)} {_attributes(point.attributes)} = {_value(kind, point)}"
                    for exemplar in point.exemplars:
                        yield f"        {exemplar.as_double:g} of {exemplar.trace_id.hex()}/{exemplar.span_id.hex()}"


def _times(point: Any) -> str:
    start, end = point.start_time_unix_nano / 1e9, point.time_unix_nano / 1e9
    return f"{start:g}..{end:g}"


def _attributes(attributes: Any) -> str:
    return "{" + ", ".join(f"{key}={value!r}" for key, value in from_attributes(attributes).items()) + "}"


def _value(kind: str, point: Any) -> str:
    if kind == "histogram":
        counts = [f"<={bound:g}:{n}" for bound, n in zip(point.explicit_bounds, point.bucket_counts, strict=False) if n]
        above = [f">:{point.bucket_counts[-1]}"] if point.bucket_counts[-1] else []
        return f"{point.count} sum {point.sum:g} {' '.join(counts + above)}"
    if kind == "exponential_histogram":
        positive = f"{point.positive.offset}:{list(point.positive.bucket_counts)}"
        return (
            f"{point.count} sum {point.sum:g} min {point.min:g} max {point.max:g} "
            f"scale {point.scale} zero {point.zero_count} {positive}"
        )
    return f"{point.as_int}" if point.WhichOneof("value") == "as_int" else f"{point.as_double:g}"
