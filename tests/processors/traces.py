"""Traces as a few words, and what of them a sampler keeps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.component import Kind
from airis.component.testing import ManualClock, Sink, build
from airis.data import Batch, Origin, Signal
from airis.processors.tail_sampling import TailSampling

from .requests import items, pairs

T0_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Span:
    """A span of the trace with a number; times are in milliseconds."""

    trace: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resource: Mapping[str, Any] = field(default_factory=dict[str, Any])
    start_ms: float = 0
    end_ms: float = 0
    status: int = 0
    state: str = ""
    flags: int = 0
    name: str = ""
    is_root: bool = False
    events: tuple[str, ...] = ()


def id_of(trace: int) -> bytes:
    """The id of the trace with a number."""
    return trace.to_bytes(16, "big")


def batch_of(spans: Iterable[Span], origin: Origin | None = None) -> Batch:
    """One request, with a resource for each span."""
    request = ExportTraceServiceRequest()
    count = 0
    for given in spans:
        owner = request.resource_spans.add()
        owner.resource.attributes.extend(pairs(dict(given.resource)))
        span = owner.scope_spans.add().spans.add(
            trace_id=id_of(given.trace),
            span_id=count.to_bytes(8, "big"),
            parent_span_id=b"" if given.is_root else b"\1" * 8,
            name=given.name,
            trace_state=given.state,
            flags=given.flags,
            start_time_unix_nano=T0_NS + int(given.start_ms * 1e6),
            end_time_unix_nano=T0_NS + int(given.end_ms * 1e6),
        )
        span.attributes.extend(pairs(dict(given.attributes)))
        span.status.code = given.status
        for name in given.events:
            span.events.add(name=name)
        count += 1
    return Batch(Signal.TRACES, request.SerializeToString(), count, origin or Origin("otlp", "grpc"), 1)


def sampler(sink: Any, clock: ManualClock | None = None, **options: Any) -> TailSampling:
    """A sampler with a clock that stands still; without policies it keeps everything."""
    options.setdefault("policies", [{"name": "all", "type": "always_sample"}])
    clock = clock or ManualClock()
    made = build("tail_sampling", options, sink, kind=Kind.PROCESSOR, clock=clock, sleep=clock.sleep)
    assert isinstance(made, TailSampling)
    return made


async def kept_of(policies: list[dict[str, Any]], batches: Iterable[Batch], **options: Any) -> list[int]:
    """The number of spans of each trace that is kept, by the policies, of all that came."""
    sink = Sink()
    made = sampler(sink, policies=policies, **options)
    given = list(batches)
    for batch in given:
        await made.consume(batch)
    await made.shutdown()
    assert sink.items + made.left_out.value == sum(batch.items for batch in given)
    return numbers(sink.batches)


def numbers(batches: Iterable[Batch]) -> list[int]:
    """The numbers of the traces of all spans, sorted."""
    return sorted(int.from_bytes(span.trace_id, "big") for batch in batches for span in items(batch))
