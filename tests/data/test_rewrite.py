"""Messages rewritten in a view: only what changed is new, and what they belong to stays one."""

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from airis.data.malformed import MalformedPayload


def traces() -> ExportTraceServiceRequest:
    """Three spans in two scopes of one resource, one in another."""
    request = ExportTraceServiceRequest()
    for resource, scopes in (("r1", {"s1": ["a", "b"], "s2": ["c"]}), ("r2", {"s3": ["d"]})):
        owner = request.resource_spans.add(schema_url="https://r")
        owner.resource.attributes.add(key="name").value.string_value = resource
        for scope, names in scopes.items():
            scoped = owner.scope_spans.add(schema_url="https://s")
            scoped.scope.name = scope
            scoped.spans.extend(Span(name=name) for name in names)
    return request


def metrics() -> ExportMetricsServiceRequest:
    """A gauge of two points, a histogram of one, a metric without data."""
    request = ExportMetricsServiceRequest()
    scoped = request.resource_metrics.add().scope_metrics.add()
    for number in (1, 2):
        (scoped.metrics or [scoped.metrics.add(name="gauge")])[0].gauge.data_points.add(as_int=number)
    histogram = scoped.metrics.add(name="histogram").histogram
    histogram.aggregation_temporality = 2  # type: ignore[assignment]
    histogram.data_points.add(count=5)
    scoped.metrics.add(name="none")
    return request


def test_all_messages_of_the_levels_are_shown_in_order(kernels):
    shown: list[Any] = []

    def note(level: str, message: bytes) -> None:
        shown.append((level, Span.FromString(message).name if level == "item" else len(message)))

    request = traces()
    sizes = [owner.resource.ByteSize() for owner in request.resource_spans]
    kernels.scan("traces", request.SerializeToString()).rewrite(note, ["resource", "scope", "item"])

    assert shown == [
        ("resource", sizes[0]),
        *[("scope", 4), ("item", "a"), ("item", "b"), ("scope", 4), ("item", "c")],
        ("resource", sizes[1]),
        *[("scope", 4), ("item", "d")],
    ]


@pytest.mark.parametrize("name", ["", "b", "longer by far " * 20], ids=["shorter", "as long", "longer"])
def test_items_are_replaced(kernels, name):
    new = Span(name=name).SerializeToString()
    view = kernels.scan("traces", traces().SerializeToString())

    edited = view.rewrite(lambda level, message: new if b"a" in message else None, ["item"])

    expected = traces()
    expected.resource_spans[0].scope_spans[0].spans[0].name = name
    assert ExportTraceServiceRequest.FromString(edited.payload) == expected
    assert (edited.items, edited.size_bytes) == (4, len(edited.payload))
    assert view.payload == traces().SerializeToString()


def test_a_resource_is_one_for_all_its_items(kernels):
    new = Resource(dropped_attributes_count=3).SerializeToString()
    calls: list[bytes] = []
    view = kernels.scan("traces", traces().SerializeToString())

    edited = view.rewrite(lambda level, message: calls.append(message) or new, ["resource"], b"\x00\x01\x01\x00")

    expected = traces()
    expected.resource_spans[0].resource.CopyFrom(Resource(dropped_attributes_count=3))
    assert len(calls) == 1
    assert ExportTraceServiceRequest.FromString(edited.payload) == expected
    assert edited.attribute("name", "resource") == [None, None, None, "r2"]


def test_only_items_of_the_mask_are_shown(kernels):
    shown: list[str] = []
    view = kernels.scan("traces", traces().SerializeToString())

    view.rewrite(lambda level, message: shown.append(Span.FromString(message).name), ["item"], b"\x00\x01\x01\x00")

    assert shown == ["b", "c"]


def test_what_was_not_there_may_be_written(kernels):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="a")
    new = Resource(dropped_attributes_count=3).SerializeToString()

    edited = kernels.scan("traces", request.SerializeToString()).rewrite(lambda level, message: new, ["resource"])

    request.resource_spans[0].resource.dropped_attributes_count = 3
    assert ExportTraceServiceRequest.FromString(edited.payload) == request


def test_owners_without_items_are_rewritten_but_not_under_a_mask(kernels):
    request = ExportTraceServiceRequest()
    request.resource_spans.add(schema_url="https://empty")
    view = kernels.scan("traces", request.SerializeToString())
    new = Resource(dropped_attributes_count=3).SerializeToString()

    assert view.rewrite(lambda level, message: new, ["resource"], b"") is view
    assert b"\x10\x03" in view.rewrite(lambda level, message: new, ["resource"]).payload


def test_a_metric_comes_without_its_points_and_keeps_them(kernels):
    shown: list[Metric] = []

    def rename(level: str, message: bytes) -> bytes:
        metric = Metric.FromString(message)
        shown.append(metric)
        return Metric(name="new").SerializeToString() + message.replace(metric.name.encode(), b"x" * len(metric.name))

    edited = kernels.scan("metrics", metrics().SerializeToString()).rewrite(rename, ["metric"])

    expected = metrics()
    for metric in expected.resource_metrics[0].scope_metrics[0].metrics:
        metric.name = "x" * len(metric.name)
    assert ExportMetricsServiceRequest.FromString(edited.payload) == expected
    assert [metric.name for metric in shown] == ["gauge", "histogram", "none"]
    assert not any(metric.gauge.data_points or metric.histogram.data_points for metric in shown)
    assert shown[1].histogram.aggregation_temporality == 2


def test_a_gauge_may_become_a_sum_with_the_same_points(kernels):
    def to_sum(level: str, message: bytes) -> bytes | None:
        metric = Metric.FromString(message)
        if metric.WhichOneof("data") != "gauge":
            return None
        metric.sum.aggregation_temporality = 2  # type: ignore[assignment]
        return metric.SerializeToString()

    edited = kernels.scan("metrics", metrics().SerializeToString()).rewrite(to_sum, ["metric"])

    gauge = ExportMetricsServiceRequest.FromString(edited.payload).resource_metrics[0].scope_metrics[0].metrics[0]
    assert [point.as_int for point in gauge.sum.data_points] == [1, 2]
    assert gauge.sum.aggregation_temporality == 2


@pytest.mark.parametrize("new", [b"", Metric(histogram={}).SerializeToString()], ids=["no data", "other points"])  # type: ignore[arg-type]
def test_points_do_not_go_under_other_data(kernels, new):
    view = kernels.scan("metrics", metrics().SerializeToString())

    with pytest.raises(MalformedPayload, match="a metric's points under another kind of data"):
        view.rewrite(lambda level, message: new, ["metric"])


def test_points_and_their_metric_change_together(kernels):
    request = metrics()

    def rewrite(level: str, message: bytes) -> bytes:
        return message + (b"\x0a\x01m" if level == "metric" else b"\x40\x09")

    edited = kernels.scan("metrics", request.SerializeToString()).rewrite(rewrite, ["metric", "item"])

    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        metric.name = "m"
    for point in request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points:
        point.flags = 9
    gauge, _, none = ExportMetricsServiceRequest.FromString(edited.payload).resource_metrics[0].scope_metrics[0].metrics
    assert [gauge, none] == [request.resource_metrics[0].scope_metrics[0].metrics[index] for index in (0, 2)]


def test_an_exception_of_the_function_is_raised(kernels):
    def fail(level: str, message: bytes) -> bytes:
        raise KeyError(level)

    with pytest.raises(KeyError, match="scope"):
        kernels.scan("traces", traces().SerializeToString()).rewrite(fail, ["scope", "item"])


@pytest.mark.parametrize("name", ["metric", "event", ""])
def test_a_message_that_is_not_there_is_refused(kernels, name):
    with pytest.raises(ValueError, match=f"traces have no message {name}"):
        kernels.scan("traces", b"").rewrite(lambda name, message: None, [name])


@pytest.mark.parametrize("url", ["", "https://new", "https://new/" * 20], ids=["none", "as long", "longer"])
def test_schema_urls_are_rewritten_as_texts(kernels, url):
    expected = traces()
    expected.resource_spans[0].schema_url = url
    for scoped in expected.resource_spans[0].scope_spans:
        scoped.schema_url = url
    shown: list[tuple[str, bytes]] = []

    def rewrite(name: str, message: bytes) -> bytes:
        shown.append((name, message))
        return url.encode()

    view = kernels.scan("traces", traces().SerializeToString())
    edited = view.rewrite(rewrite, ["resource_schema_url", "scope_schema_url"], b"\x01\x00\x01\x00")

    assert ExportTraceServiceRequest.FromString(edited.payload) == expected
    assert shown == [("resource_schema_url", b"https://r"), *[("scope_schema_url", b"https://s")] * 2]
