"""Made-up items in the shape that telemetrygen gives them, gathered into export requests."""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics, ScopeMetrics, SummaryDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from airis.data import Signal
from airis.demo.instruments import Instrument, MetricType, Point, Temporality

Value = str | bool | int | float | bytes | None | Sequence["Value"] | Mapping[str, "Value"]
Attributes = Mapping[str, Value]

PADDING_BYTES = 1024 * 1024
"""Length of one ``load-<n>`` attribute, of which ``--size`` says how many."""

SAMPLED = 1


def any_value(value: Value) -> AnyValue:
    """The OTLP form of a Python value; None becomes the empty value."""
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case str():
            return AnyValue(string_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case Mapping():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
        case _:
            return AnyValue(array_value=ArrayValue(values=[any_value(element) for element in value]))


def key_values(attributes: Attributes) -> list[KeyValue]:
    """The OTLP form of an attribute set."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def parse_attribute(text: str) -> tuple[str, Value]:
    """Key and value of ``key="text"``, ``key=true``, ``key=7``, ``key=1.5`` or ``key=["a","b"]``.

    Text may stand without its quotes where it is none of the others. Raises ValueError.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f'"{text}" is not an attribute; write key="text", key=true, key=7 or key=["a","b"]')
    # telemetrygen reads no escapes between the quotes, so that "C:\\temp" means what it looks like.
    if len(value) > 1 and value[0] == value[-1] == '"':
        return key, value[1:-1]
    if value.startswith("["):
        try:
            return key, json.loads(value)
        except ValueError:
            raise ValueError(f'the value of "{key}" is not a list; write key=["a","b"] or key=[1,2]') from None
    if value in ("true", "false"):
        return key, value == "true"
    if re.fullmatch(r"-?\d{1,18}", value):
        return key, int(value)
    return key, float(value) if re.fullmatch(r"-?\d+\.\d+", value) else value


class StatusCode(StrEnum):
    """How the made-up spans ended; telemetrygen's numbers for them are 0, 1 and 2."""

    UNSET = "Unset"
    ERROR = "Error"
    OK = "Ok"


_STATUS = {
    StatusCode.UNSET: Status.STATUS_CODE_UNSET,
    StatusCode.ERROR: Status.STATUS_CODE_ERROR,
    StatusCode.OK: Status.STATUS_CODE_OK,
}


@dataclass(frozen=True, slots=True)
class Common:
    """What items of every signal have."""

    service: str = "telemetrygen"
    resource_attributes: Attributes = field(default_factory=dict[str, Value])
    """A service.name among them replaces ``service``."""
    attributes: Attributes = field(default_factory=dict[str, Value])
    padding_mib: int = 0
    """Number of ``load-<n>`` attributes of 1 MiB each."""

    def resource(self) -> Resource:
        """The resource of all items."""
        return Resource(attributes=key_values({"service.name": self.service, **self.resource_attributes}))

    def item_attributes(self) -> list[KeyValue]:
        """The attributes of one item with its padding."""
        return key_values(self.attributes) + self.padding()

    def padding(self) -> list[KeyValue]:
        """The ``load-<n>`` attributes."""
        return key_values({f"load-{n}": "\0" * PADDING_BYTES for n in range(self.padding_mib)})


class Requests(Protocol):
    """A request in the making: items go in, the bytes of the request come out."""

    signal: Signal
    unit_items: int
    """Items in one unit: one log record, one data point, all spans of a trace."""

    def add(self) -> None:
        """Make one unit more."""
        ...

    def take(self) -> bytes:
        """The bytes of the request with all units since the last call."""
        ...


@dataclass(frozen=True, slots=True)
class Traces:
    """What a made-up trace looks like."""

    child_spans: int = 1
    span_duration_ns: int = 123_000
    status_code: StatusCode = StatusCode.UNSET
    propagate: bool = False
    """Whether the children are of a process that got the trace context in a header."""
    span_links: int = 0


class TraceRequests:
    """Traces of one client span and its children, one after the other."""

    signal = Signal.TRACES

    def __init__(self, common: Common, traces: Traces, clock: Callable[[], int], rng: random.Random) -> None:
        self._common = common
        self._traces = traces
        self._clock = clock
        self._rng = rng
        self._resource = common.resource()
        self._attributes = key_values(common.attributes)
        self._padding = common.padding()
        self._status = Status(code=_STATUS[traces.status_code])
        self._spans: list[Span] = []
        self._previous: list[Span] = []
        # telemetrygen has no trace without a child, so that each has a client and a server side.
        self._children = max(1, traces.child_spans)
        self.unit_items = 1 + self._children

    def add(self) -> None:
        """Make one trace."""
        trace_id, root_id = self._rng.randbytes(16), self._rng.randbytes(8)
        start, step = self._clock(), self._traces.span_duration_ns
        root = self._span(trace_id, root_id, "lets-go", Span.SPAN_KIND_CLIENT, "telemetrygen-server")
        root.start_time_unix_nano = start
        root.end_time_unix_nano = start + self._children * step
        root.attributes.extend(self._padding)
        children: list[Span] = []
        for n in range(self._children):
            child = self._span(
                trace_id, self._rng.randbytes(8), f"okey-dokey-{n}", Span.SPAN_KIND_SERVER, "telemetrygen-client"
            )
            child.parent_span_id = root_id
            if self._traces.propagate:
                child.flags |= 0x300  # SpanFlags: it is known whether the parent is remote, and it is.
            child.start_time_unix_nano = start + n * step
            child.end_time_unix_nano = start + (n + 1) * step
            children.append(child)
        self._previous = [root, *children]
        self._spans += self._previous

    def _span(self, trace_id: bytes, span_id: bytes, name: str, kind: Span.SpanKind.ValueType, peer: str) -> Span:
        attributes = key_values({"network.peer.address": "1.2.3.4", "peer.service": peer}) + self._attributes
        targets = [self._rng.choice(self._previous) for _ in range(self._traces.span_links)] if self._previous else []
        links = [Span.Link(trace_id=span.trace_id, span_id=span.span_id) for span in targets]
        return Span(
            trace_id=trace_id,
            span_id=span_id,
            name=name,
            kind=kind,
            flags=SAMPLED,
            attributes=attributes,
            links=links,
            status=self._status,
        )

    def take(self) -> bytes:
        """One request with the spans of all traces since the last call."""
        scope = ScopeSpans(scope=InstrumentationScope(name="telemetrygen"), spans=self._spans)
        self._spans = []
        resource = ResourceSpans(resource=self._resource, scope_spans=[scope])
        return ExportTraceServiceRequest(resource_spans=[resource]).SerializeToString()


@dataclass(frozen=True, slots=True)
class Logs:
    """What a made-up log record looks like."""

    body: str = "the message"
    severity_text: str = "Info"
    severity_number: int = 9
    trace_id: bytes = b""
    span_id: bytes = b""


class LogRequests:
    """Log records that differ in nothing but their time."""

    signal = Signal.LOGS
    unit_items = 1

    def __init__(self, common: Common, logs: Logs, clock: Callable[[], int]) -> None:
        self._resource = common.resource()
        self._clock = clock
        self._record = LogRecord(
            body=any_value(logs.body),
            severity_text=logs.severity_text,
            severity_number=SeverityNumber.ValueType(logs.severity_number),
            trace_id=logs.trace_id,
            span_id=logs.span_id,
            attributes=[*key_values({"app": "server"}), *common.item_attributes()],
        )
        self._records: list[LogRecord] = []

    def add(self) -> None:
        """Make one record."""
        record = LogRecord()
        record.CopyFrom(self._record)
        record.time_unix_nano = record.observed_time_unix_nano = self._clock()
        self._records.append(record)

    def take(self) -> bytes:
        """One request with the records since the last call."""
        scope = ScopeLogs(scope=InstrumentationScope(name="telemetrygen"), log_records=self._records)
        self._records = []
        resource = ResourceLogs(resource=self._resource, scope_logs=[scope])
        return ExportLogsServiceRequest(resource_logs=[resource]).SerializeToString()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a made-up metric looks like; with a trace or span id its points have an exemplar."""

    name: str = "gen"
    type: MetricType = MetricType.GAUGE
    temporality: Temporality = Temporality.CUMULATIVE
    trace_id: bytes = b""
    span_id: bytes = b""


MEASUREMENTS = 12
"""Made up between two points of a histogram or summary; a gauge and a sum count their points."""


class MetricRequests:
    """Points of one series, of which each counts on from the one before."""

    signal = Signal.METRICS
    unit_items = 1

    def __init__(self, common: Common, metrics: Metrics, clock: Callable[[], int], rng: random.Random) -> None:
        self._resource = common.resource()
        self._attributes = common.item_attributes()
        self._trace_id, self._span_id = metrics.trace_id, metrics.span_id
        self._instrument = Instrument(metrics.name, metrics.type, temporality=metrics.temporality, integer=True)
        self._accumulator = self._instrument.accumulator()
        self._clock = clock
        self._rng = rng
        self._start = clock()
        self._made = 0
        self._points: list[Point] = []

    def add(self) -> None:
        """Make one point."""
        self._measure()
        now = self._clock()
        point = self._accumulator.point()
        point.time_unix_nano = now
        point.attributes.extend(self._attributes)
        if self._instrument.type is not MetricType.GAUGE:
            point.start_time_unix_nano = self._start
        if not isinstance(point, SummaryDataPoint) and (self._trace_id or self._span_id):
            point.exemplars.add(time_unix_nano=now, as_int=1, trace_id=self._trace_id, span_id=self._span_id)
        self._points.append(point)
        self._made += 1
        if self._instrument.starts_anew:
            self._start = now
            self._accumulator = self._instrument.accumulator()

    def _measure(self) -> None:
        match self._instrument.type:
            case MetricType.GAUGE:
                self._accumulator.record(self._made)
            case MetricType.SUM:
                self._accumulator.record(1)
            case _:
                for _ in range(MEASUREMENTS):
                    self._accumulator.record(self._rng.randrange(1000))

    def take(self) -> bytes:
        """One request with the points since the last call."""
        scope = ScopeMetrics(
            scope=InstrumentationScope(name="telemetrygen"), metrics=[self._instrument.metric(self._points)]
        )
        self._points = []
        resource = ResourceMetrics(resource=self._resource, scope_metrics=[scope])
        return ExportMetricsServiceRequest(resource_metrics=[resource]).SerializeToString()
