"""Sends one trace, five metrics and two log records with an unmodified SDK.

python send.py PROTOCOL ENDPOINT SERVICE TRACE_ID START_S, PROTOCOL being grpc or http/protobuf.
"""

import sys
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as LogsGrpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as MetricsGrpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as TracesGrpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as LogsHttp
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as MetricsHttp
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as TracesHttp
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

SCHEMA_URL = "https://opentelemetry.io/schemas/1.30.0"
SAMPLED = TraceFlags(TraceFlags.SAMPLED)

protocol, endpoint, service, trace_id, start_s = sys.argv[1:]
traces: Any
metrics: Any
logs: Any
if protocol == "grpc":
    traces, metrics, logs = (e(endpoint=endpoint, insecure=True) for e in (TracesGrpc, MetricsGrpc, LogsGrpc))
else:
    traces = TracesHttp(endpoint=f"{endpoint}/v1/traces", compression=Compression.Gzip)
    metrics = MetricsHttp(endpoint=f"{endpoint}/v1/metrics")
    logs = LogsHttp(endpoint=f"{endpoint}/v1/logs", compression=Compression.Deflate)


def at(nanoseconds: int) -> int:
    return int(start_s) * 1_000_000_000 + nanoseconds


resource = Resource({"service.name": service, "host.cpus": 4}, SCHEMA_URL)
tracing = TracerProvider(
    resource=resource,
    span_limits=SpanLimits(
        max_span_attributes=8, max_events=1, max_links=1, max_event_attributes=2, max_link_attributes=1
    ),
)
tracing.add_span_processor(SimpleSpanProcessor(traces))
tracer = tracing.get_tracer("tracer", "1.2.3", SCHEMA_URL, {"stable": True})
remote = SpanContext(int(trace_id, 16), 0xA1B2C3D4E5F60718, True, SAMPLED, TraceState([("vendor", "1")]))
linked = SpanContext(
    0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, SAMPLED, TraceState([("other", "2")])
)
parent = tracer.start_span(
    "GET /cart",
    trace.set_span_in_context(NonRecordingSpan(remote)),
    SpanKind.SERVER,
    {
        "one too many": 1,
        "text": "für élise",
        "whole": -(2**63),
        "fraction": 0.1,
        "yes": True,
        "texts": ["a", "b"],
        "wholes": [1, 2, 3],
        "fractions": [1.0, 2.5],
        "none": [],
    },
    [Link(linked), Link(linked, {"one too many": 1, "why": "cause"})],
    at(123_456_789),
)
parent.add_event("one too many", {}, at(200_000_000))
parent.add_event("cache miss", {"one too many": 1, "key": "cart:7", "tries": 2}, at(223_456_789))
in_parent = trace.set_span_in_context(parent)
child = tracer.start_span("SELECT cart", in_parent, SpanKind.CLIENT, start_time=at(123_456_789))
child.set_status(Status(StatusCode.ERROR, "no such table"))
child.end(at(323_456_789))
parent.set_status(StatusCode.OK)
parent.end(at(1_123_456_790))

metering = MeterProvider(
    [PeriodicExportingMetricReader(metrics, export_interval_millis=1_000_000)],
    resource,
    views=[
        View(instrument_name="orders", attribute_keys={"region"}),
        View(
            instrument_type=Histogram,
            instrument_name="size",
            aggregation=ExponentialBucketHistogramAggregation(max_size=4),
        ),
    ],
)
meter = metering.get_meter("meter", "4.5", SCHEMA_URL, {"stable": True})
meter.create_counter("orders", "{order}", "Orders placed.").add(3, {"region": "eu", "customer": "ann"}, in_parent)
meter.create_up_down_counter("carts").add(-2)


def temperature(options: CallbackOptions) -> list[Observation]:
    return [Observation(21.5, {"room": "kitchen"})]


meter.create_observable_gauge("temperature", [temperature], "Cel")
explicit = meter.create_histogram("latency", "s", explicit_bucket_boundaries_advisory=[0.1, 1])
exponential = meter.create_histogram("size", "By")
for value in (0.0625, 0.5, 4.0):
    explicit.record(value, context=in_parent)
    exponential.record(value)

logging = LoggerProvider(resource)
logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
logger = logging.get_logger("logger", "0.1", SCHEMA_URL, {"stable": True})
logger.emit(
    LogRecord(
        timestamp=at(423_456_789),
        observed_timestamp=at(423_456_790),
        context=in_parent,
        severity_text="ERROR",
        severity_number=SeverityNumber.ERROR,
        body="payment declined",
        attributes={"amount": 12.5, "items": ["book"], "raw": b"\x00\xff", "nested": {"depth": 1}},
    )
)
logger.emit(
    LogRecord(
        timestamp=at(523_456_789),
        severity_number=SeverityNumber.INFO,
        event_name="cart.emptied",
        body={"cart": 7, "ids": [1, 2], "nested": {"ok": True, "ratio": 0.5, "raw": b"\x00\xff"}},
    )
)
for provider in (tracing, metering, logging):
    provider.shutdown()
