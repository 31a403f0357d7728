"""The load generator's items: valid OTLP that looks like telemetrygen's."""

import random
from itertools import pairwise

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.demo.instruments import MetricType, Temporality
from airis.demo.payloads import (
    Common,
    LogRequests,
    Logs,
    MetricRequests,
    Metrics,
    StatusCode,
    TraceRequests,
    Traces,
    any_value,
    parse_attribute,
)

COMMON = Common("shop", {"host.name": "a", "cpus": 4}, {"on": True, "tags": ["x", "y"]})


class Clock:
    def __init__(self):
        self.now = 1_700_000_000_000_000_000

    def __call__(self):
        self.now += 1_000_000_000
        return self.now


def attributes(message):
    return {each.key: each.value for each in message.attributes}


def spans_of(traces, count, common=COMMON):
    requests = TraceRequests(common, traces, Clock(), random.Random(3))
    for _ in range(count):
        requests.add()
    [resource_spans] = ExportTraceServiceRequest.FromString(requests.take()).resource_spans
    return resource_spans.resource, resource_spans.scope_spans[0].spans


def test_traces_have_a_root_and_children_one_after_the_other():
    resource, spans = spans_of(Traces(child_spans=3, span_duration_ns=5_000, status_code=StatusCode.ERROR), 2)

    assert attributes(resource)["service.name"].string_value == "shop"
    assert attributes(resource)["cpus"].int_value == 4
    assert len(spans) == 8
    assert len({span.trace_id for span in spans}) == 2
    assert len({span.span_id for span in spans}) == 8
    root, *children = spans[:4]
    assert (root.name, root.kind, root.parent_span_id) == ("lets-go", Span.SPAN_KIND_CLIENT, b"")
    assert [child.name for child in children] == ["okey-dokey-0", "okey-dokey-1", "okey-dokey-2"]
    assert {child.parent_span_id for child in children} == {root.span_id}
    assert children[0].start_time_unix_nano == root.start_time_unix_nano
    assert children[-1].end_time_unix_nano == root.end_time_unix_nano
    assert all(child.end_time_unix_nano - child.start_time_unix_nano == 5_000 for child in children)
    assert all(span.status.code == Status.STATUS_CODE_ERROR for span in spans)
    assert all(attributes(span)["on"].bool_value for span in spans)


def test_marshalled_context_makes_the_parent_remote():
    _, spans = spans_of(Traces(propagate=True), 1)

    assert [span.flags for span in spans] == [0x1, 0x301]


def test_links_lead_to_earlier_spans():
    _, spans = spans_of(Traces(span_links=2), 3)

    known = {(span.trace_id, span.span_id) for span in spans}
    links = [(link.trace_id, link.span_id) for span in spans[2:] for link in span.links]
    assert len(links) == 8
    assert set(links) <= known


def test_size_is_the_number_of_mebibytes():
    requests = TraceRequests(Common(padding_mib=2), Traces(), Clock(), random.Random())
    requests.add()

    assert 2 * 1024 * 1024 < len(requests.take()) < 2 * 1024 * 1024 + 2000


def test_a_request_holds_only_what_was_made_since_the_last():
    requests = LogRequests(COMMON, Logs(), Clock())
    requests.add()
    requests.take()
    requests.add()
    requests.add()

    [resource_logs] = ExportLogsServiceRequest.FromString(requests.take()).resource_logs
    assert len(resource_logs.scope_logs[0].log_records) == 2


def test_logs_say_what_was_asked_for():
    requests = LogRequests(COMMON, Logs("hello", "Error", 17, b"t" * 16, b"s" * 8), Clock())
    requests.add()

    [record] = ExportLogsServiceRequest.FromString(requests.take()).resource_logs[0].scope_logs[0].log_records
    assert (record.body.string_value, record.severity_text, record.severity_number) == ("hello", "Error", 17)
    assert (record.trace_id, record.span_id) == (b"t" * 16, b"s" * 8)
    assert record.time_unix_nano == record.observed_time_unix_nano > 0
    assert attributes(record)["app"].string_value == "server"


@pytest.mark.parametrize("temporality", Temporality)
@pytest.mark.parametrize("kind", MetricType)
def test_metrics_of_every_kind_and_temporality(kind, temporality):
    requests = MetricRequests(
        COMMON, Metrics("load", kind, temporality, b"t" * 16, b"s" * 8), Clock(), random.Random(5)
    )
    for _ in range(4):
        requests.add()

    [resource_metrics] = ExportMetricsServiceRequest.FromString(requests.take()).resource_metrics
    [metric] = resource_metrics.scope_metrics[0].metrics
    data = getattr(metric, metric.WhichOneof("data"))
    points = data.data_points
    assert metric.name == "load"
    assert metric.WhichOneof("data").replace("_", "") == kind.lower()
    assert len(points) == 4
    assert all(before.time_unix_nano < after.time_unix_nano for before, after in pairwise(points))
    if kind is not MetricType.SUMMARY:
        assert all(point.exemplars[0].trace_id == b"t" * 16 for point in points)
    if kind in (MetricType.SUM, MetricType.HISTOGRAM, MetricType.EXPONENTIAL_HISTOGRAM):
        assert data.aggregation_temporality == (1 if temporality is Temporality.DELTA else 2)
        for before, after in pairwise(points):
            expected = before.time_unix_nano if temporality is Temporality.DELTA else before.start_time_unix_nano
            assert after.start_time_unix_nano == expected
    if kind is MetricType.HISTOGRAM:
        for point in points:
            assert sum(point.bucket_counts) == point.count
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert point.min <= point.sum / point.count <= point.max
    if kind is MetricType.EXPONENTIAL_HISTOGRAM:
        assert all(sum(point.positive.bucket_counts) + point.zero_count == point.count for point in points)
    if kind in (MetricType.HISTOGRAM, MetricType.EXPONENTIAL_HISTOGRAM, MetricType.SUMMARY):
        counts = [point.count for point in points]
        delta = temporality is Temporality.DELTA and kind is not MetricType.SUMMARY
        assert counts == ([12] * 4 if delta else [12, 24, 36, 48])


@pytest.mark.parametrize("value", [0.001, 0.5, 1.0, 1.5, 2.0, 1024.0, 1e6])
def test_exponential_buckets_hold_the_value_between_their_bounds(value):
    from airis.demo.instruments import ExponentialBuckets

    buckets = ExponentialBuckets(scale=3)
    buckets.record(value)
    point = buckets.point()

    base = 2 ** (2**-3)
    assert base**point.positive.offset < value * (1 + 1e-12)
    assert value <= base ** (point.positive.offset + 1) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('k="text"', "text"),
        ("k=text", "text"),
        ("k=a=b", "a=b"),
        ("k=true", True),
        ("k=false", False),
        ("k=7", 7),
        ("k=1.5", 1.5),
        ("k=NaN", "NaN"),
        ("k=123456789012345678901", "123456789012345678901"),
        ("k=[1,2]", [1, 2]),
        ('k=["a","b"]', ["a", "b"]),
        ('k="C:\\temp"', "C:\\temp"),
    ],
)
def test_attributes_are_written_as_for_telemetrygen(text, value):
    assert parse_attribute(text) == ("k", value)
    any_value(value)


@pytest.mark.parametrize("text", ["", "k", "=v", "k=[1,"])
def test_what_is_no_attribute_is_refused(text):
    with pytest.raises(ValueError, match=r"write key="):
        parse_attribute(text)
