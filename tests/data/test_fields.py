"""What can be asked of an item by a name: every field, attributes at every level, and what is inside of values."""

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data.expressions import Compare, Exists, HasType, InvalidExpression
from airis.data.fields import Attribute, Field, Source

from .test_view import attributes, logs, metrics, traces

TRACE, SPAN, PARENT = bytes(range(16)), bytes(range(0xF0, 0xF8)), bytes(range(8))
NESTED = {"user": {"id": 7, "tags": ["x", b"y", [True]]}, "empty": None, "one.two": 1.5}

SPANS = traces(
    Span(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=PARENT,
        trace_state="a=1, b@c=x=y,,\tlast=z",
        flags=0x101,
        name="GET /",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=1 << 63,
        end_time_unix_nano=(1 << 63) + 250,
        attributes=attributes(http_status=500, nested=NESTED, http_status_again="no"),
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
        status=Status(code=Status.STATUS_CODE_ERROR, message="broken"),
        events=[Span.Event(name="tick", time_unix_nano=5, dropped_attributes_count=6, attributes=attributes(n=1))],
        links=[
            Span.Link(
                trace_id=TRACE,
                span_id=SPAN,
                trace_state="k=v",
                flags=7,
                dropped_attributes_count=8,
                attributes=attributes(n=2),
            )
        ],
    )
)
LOGS = logs(
    LogRecord(
        time_unix_nano=1,
        observed_time_unix_nano=2,
        severity_number=17,
        severity_text="ERROR",
        body=attributes(body=NESTED)[0].value,
        attributes=attributes(a="b"),
        dropped_attributes_count=3,
        flags=4,
        trace_id=TRACE,
        span_id=SPAN,
        event_name="login",
    )
)


def points(**data: Any) -> bytes:
    """One metric with this data."""
    return metrics(Metric(name="load", description="of it", unit="1", metadata=attributes(origin="m"), **data))


POINT = {"start_time_unix_nano": 1, "time_unix_nano": 2, "attributes": attributes(a="b"), "flags": 1}
EXEMPLARS = [
    Exemplar(time_unix_nano=3, as_int=-4, trace_id=TRACE, span_id=SPAN, filtered_attributes=attributes(n=1)),
    Exemplar(as_double=0.5),
]
GAUGE = points(gauge={"data_points": [{**POINT, "as_double": 1.5, "exemplars": EXEMPLARS}]})
SUM = points(sum={"data_points": [{**POINT, "as_int": -3}], "aggregation_temporality": 2, "is_monotonic": True})
HISTOGRAM = points(
    histogram={
        "data_points": [
            {
                **POINT,
                "count": 3,
                "sum": 4.5,
                "bucket_counts": [1, (1 << 64) - 1],
                "explicit_bounds": [0.5],
                "min": 1,
                "max": 2,
                "exemplars": EXEMPLARS,
            }
        ],
        "aggregation_temporality": 1,
    }
)
BARE_HISTOGRAM = points(histogram={"data_points": [{"count": 3}]})
EXPONENTIAL = points(
    exponential_histogram={
        "data_points": [
            {
                **POINT,
                "count": 9,
                "sum": 1,
                "scale": -2,
                "zero_count": 1,
                "zero_threshold": 0.25,
                "positive": {"offset": -7, "bucket_counts": [1, 300]},
                "negative": {"offset": 7, "bucket_counts": [2]},
                "min": -1,
                "max": 8,
                "exemplars": EXEMPLARS,
            }
        ],
        "aggregation_temporality": 2,
    }
)
SUMMARY = points(
    summary={"data_points": [{**POINT, "count": 5, "sum": 2.5, "quantile_values": [{"quantile": 0.5, "value": 7}]}]}
)


def item(name: str, *path: str | int) -> Field:
    return Field("item", name, path)


CASES: list[tuple[str, bytes, Source, Any]] = [
    *[
        ("traces", SPANS, item(name, *path), expected)
        for name, path, expected in [
            ("trace_id", (), TRACE.hex()),
            ("trace_id.string", (), TRACE.hex()),
            ("span_id", (), SPAN.hex()),
            ("span_id.string", (), SPAN.hex()),
            ("parent_span_id", (), PARENT.hex()),
            ("parent_span_id.string", (), PARENT.hex()),
            ("trace_state", (), "a=1, b@c=x=y,,\tlast=z"),
            ("trace_state", ("b@c",), "x=y"),
            ("trace_state", ("last",), "z"),
            ("trace_state", ("b",), None),
            ("flags", (), 0x101),
            ("name", (), "GET /"),
            ("kind", (), 2),
            ("kind.string", (), "Server"),
            ("kind.deprecated_string", (), "SPAN_KIND_SERVER"),
            ("start_time", (), 1 << 63),
            ("start_time_unix_nano", (), 1 << 63),
            ("end_time", (), (1 << 63) + 250),
            ("end_time_unix_nano", (), (1 << 63) + 250),
            ("duration", (), 250),
            ("attributes", ("http.status",), 500),
            ("attributes", ("nested", "user", "id"), 7),
            ("dropped_attributes_count", (), 1),
            ("dropped_events_count", (), 2),
            ("dropped_links_count", (), 3),
            ("status.code", (), 2),
            ("status.message", (), "broken"),
        ]
    ],
    *[
        ("traces", SPANS, source, expected)
        for source, expected in [
            (Attribute("resource", "service.name"), "shop"),
            (Field("resource", "schema_url"), "https://resource"),
            (Field("resource", "dropped_attributes_count"), 1),
            (Field("resource", "attributes", ("cores",)), 4),
            (Attribute("scope", "on"), True),
            (Field("scope", "name"), "lib"),
            (Field("scope", "version"), "1.2"),
            (Field("scope", "schema_url"), "https://scope"),
            (Field("scope", "dropped_attributes_count"), 2),
            (Attribute("event", "n"), 1),
            (Field("event", "name"), "tick"),
            (Field("event", "time"), 5),
            (Field("event", "time_unix_nano"), 5),
            (Field("event", "dropped_attributes_count"), 6),
            (Attribute("link", "n"), 2),
            (Field("link", "trace_id"), TRACE.hex()),
            (Field("link", "trace_id.string"), TRACE.hex()),
            (Field("link", "span_id"), SPAN.hex()),
            (Field("link", "span_id.string"), SPAN.hex()),
            (Field("link", "trace_state", ("k",)), "v"),
            (Field("link", "flags"), 7),
            (Field("link", "dropped_attributes_count"), 8),
            (Attribute("item", "http.status"), 500),
            (Attribute("item", "nested", ("user", "tags", 1)), b"y"),
            (Attribute("item", "nested", ("user", "tags", 2, 0)), True),
            (Attribute("item", "nested", ("user", "tags", 3)), None),
            (Attribute("item", "nested", ("user", 0)), None),
            (Attribute("item", "nested", ("one.two",)), 1.5),
            (Attribute("item", "absent"), None),
        ]
    ],
    *[
        ("logs", LOGS, item(name, *path), expected)
        for name, path, expected in [
            ("time", (), 1),
            ("time_unix_nano", (), 1),
            ("observed_time", (), 2),
            ("observed_time_unix_nano", (), 2),
            ("severity_number", (), 17),
            ("severity_text", (), "ERROR"),
            ("body", ("user", "id"), 7),
            ("body", ("user", "tags", 0), "x"),
            ("body.string", (), '{"user":{"id":7,"tags":["x","eQ==",[true]]},"empty":null,"one.two":1.5}'),
            ("attributes", ("a",), "b"),
            ("dropped_attributes_count", (), 3),
            ("flags", (), 4),
            ("trace_id", (), TRACE.hex()),
            ("trace_id.string", (), TRACE.hex()),
            ("span_id", (), SPAN.hex()),
            ("span_id.string", (), SPAN.hex()),
            ("event_name", (), "login"),
        ]
    ],
    *[
        ("metrics", SUM, Field("metric", name), expected)
        for name, expected in [
            ("name", "load"),
            ("description", "of it"),
            ("unit", "1"),
            ("type", 2),
            ("aggregation_temporality", 2),
            ("is_monotonic", True),
        ]
    ],
    *[
        ("metrics", payload, Field("metric", name), expected)
        for payload, *values in [
            (GAUGE, 1, None, None),
            (HISTOGRAM, 3, 1, None),
            (EXPONENTIAL, 4, 2, None),
            (SUMMARY, 5, None, None),
        ]
        for name, expected in zip(("type", "aggregation_temporality", "is_monotonic"), values, strict=True)
    ],
    ("metrics", SUM, Attribute("metric", "origin"), "m"),
    ("metrics", SUM, Field("metric", "metadata", ("origin",)), "m"),
    *[
        ("metrics", payload, source, expected)
        for payload in (GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY)
        for source, expected in [
            (item("start_time"), 1),
            (item("start_time_unix_nano"), 1),
            (item("time"), 2),
            (item("time_unix_nano"), 2),
            (item("flags"), 1),
            (Attribute("item", "a"), "b"),
        ]
    ],
    *[
        ("metrics", payload, item(name, *path), expected)
        for payload, name, path, expected in [
            (GAUGE, "value_double", (), 1.5),
            (GAUGE, "value_int", (), None),
            (GAUGE, "count", (), None),
            (SUM, "value_int", (), -3),
            (SUM, "value_double", (), None),
            (HISTOGRAM, "count", (), 3),
            (HISTOGRAM, "sum", (), 4.5),
            (HISTOGRAM, "min", (), 1.0),
            (HISTOGRAM, "max", (), 2.0),
            (HISTOGRAM, "bucket_counts", (1,), (1 << 64) - 1),
            (HISTOGRAM, "bucket_counts", (2,), None),
            (HISTOGRAM, "explicit_bounds", (0,), 0.5),
            (HISTOGRAM, "scale", (), None),
            (BARE_HISTOGRAM, "sum", (), None),
            (BARE_HISTOGRAM, "min", (), None),
            (EXPONENTIAL, "count", (), 9),
            (EXPONENTIAL, "sum", (), 1.0),
            (EXPONENTIAL, "scale", (), -2),
            (EXPONENTIAL, "zero_count", (), 1),
            (EXPONENTIAL, "zero_threshold", (), 0.25),
            (EXPONENTIAL, "positive.offset", (), -7),
            (EXPONENTIAL, "positive.bucket_counts", (1,), 300),
            (EXPONENTIAL, "negative.offset", (), 7),
            (EXPONENTIAL, "negative.bucket_counts", (0,), 2),
            (EXPONENTIAL, "min", (), -1.0),
            (EXPONENTIAL, "max", (), 8.0),
            (SUMMARY, "count", (), 5),
            (SUMMARY, "sum", (), 2.5),
            (SUMMARY, "quantile_values", (0, "quantile"), 0.5),
            (SUMMARY, "quantile_values", (0, "value"), 7.0),
            (SUMMARY, "quantile_values", (0, "other"), None),
        ]
    ],
    *[
        ("metrics", payload, source, expected)
        for payload in (GAUGE, HISTOGRAM, EXPONENTIAL)
        for source, expected in [
            (Attribute("exemplar", "n"), 1),
            (Field("exemplar", "filtered_attributes", ("n",)), 1),
            (Field("exemplar", "time"), 3),
            (Field("exemplar", "time_unix_nano"), 3),
            (Field("exemplar", "int_value"), -4),
            (Field("exemplar", "double_value"), 0.5),
            (Field("exemplar", "trace_id"), TRACE.hex()),
            (Field("exemplar", "trace_id.string"), TRACE.hex()),
            (Field("exemplar", "span_id"), SPAN.hex()),
            (Field("exemplar", "span_id.string"), SPAN.hex()),
        ]
    ],
]


@pytest.mark.parametrize(("signal", "payload", "source", "expected"), CASES)
def test_a_source_gives_what_the_item_has(kernels, signal, payload, source, expected):
    def holds(condition: Any) -> bool:
        return kernels.Predicate(signal, condition).mask(kernels.scan(signal, payload)) == b"\1"

    assert holds(Compare(source, "==", expected))
    assert holds(Exists(source)) or expected is None
    if expected is not None:
        kind = {str: "text", bytes: "bytes", bool: "bool", int: "int", float: "double"}[type(expected)]
        assert holds(HasType(source, (kind,)))


@pytest.mark.parametrize(
    ("signal", "payload", "source", "type_name"),
    [
        ("traces", SPANS, item("attributes"), "map"),
        ("traces", SPANS, Attribute("item", "nested", ("user", "tags")), "array"),
        ("traces", SPANS, Attribute("item", "nested", ("empty",)), "empty"),
        ("traces", SPANS, Field("event", "attributes"), "map"),
        ("logs", LOGS, item("body"), "map"),
        ("metrics", HISTOGRAM, item("bucket_counts"), "array"),
        ("metrics", EXPONENTIAL, item("positive.bucket_counts"), "array"),
        ("metrics", SUMMARY, item("quantile_values"), "array"),
        ("metrics", SUMMARY, item("quantile_values", 0), "map"),
        ("metrics", SUM, Field("metric", "metadata"), "map"),
    ],
)
def test_a_source_may_hold_several_values(kernels, signal, payload, source, type_name):
    predicate = kernels.Predicate(signal, HasType(source, (type_name,)))

    assert predicate.mask(kernels.scan(signal, payload)) == b"\1"


def test_fields_that_are_not_set_have_the_value_that_protobuf_gives_them(kernels):
    view = kernels.scan("traces", traces(Span()))

    for name, expected in [("name", ""), ("status.code", 0), ("trace_id", ""), ("flags", 0), ("duration", 0)]:
        assert kernels.Predicate("traces", Compare(item(name), "==", expected)).mask(view) == b"\1", name
    assert kernels.Predicate("logs", Exists(item("body"))).mask(kernels.scan("logs", logs(LogRecord()))) == b"\0"


def test_a_message_that_comes_in_parts_is_read_as_one(kernels):
    def span(*parts: Span) -> bytes:
        request = b"".join(part.SerializeToString() for part in parts)
        # Fields 1 (resource_spans), 2 (scope_spans) and 2 (spans) around it.
        for number in (2, 2, 1):
            request = bytes([number << 3 | 2, len(request)]) + request
        assert ExportTraceServiceRequest.FromString(request)
        return request

    view = kernels.scan(
        "traces",
        span(Span(name="a", status=Status(code=2)), Span(name="b", status=Status(message="m")), Span(status=Status())),
    )

    for name, expected in [("name", "b"), ("status.code", 2), ("status.message", "m")]:
        assert kernels.Predicate("traces", Compare(item(name), "==", expected)).mask(view) == b"\1", name


def test_of_the_two_values_of_a_point_the_last_counts(kernels):
    point = NumberDataPoint(as_int=1).SerializeToString() + NumberDataPoint(as_double=2).SerializeToString()
    metric = b"\x2a" + bytes([len(point) + 2]) + b"\x0a" + bytes([len(point)]) + point
    request = metric
    for number in (2, 2, 1):
        request = bytes([number << 3 | 2, len(request)]) + request
    assert ExportMetricsServiceRequest.FromString(request)
    view = kernels.scan("metrics", request)

    assert kernels.Predicate("metrics", Compare(item("value_double"), "==", 2)).mask(view) == b"\1"
    assert kernels.Predicate("metrics", Exists(item("value_int"))).mask(view) == b"\0"


@pytest.mark.parametrize(
    ("signal", "source", "message"),
    [
        ("traces", Field("scope", "nam"), 'no field of scope is called "nam"; there are attributes, '
         "dropped_attributes_count, name, schema_url, version"),
        ("metrics", Field("metric", "data_points"), 'no field of metric is called "data_points"; there are '
         "aggregation_temporality, description, is_monotonic, metadata, name, type, unit"),
        ("logs", Field("event", "name"), "items of logs have no event"),
        ("traces", Attribute("metric", "a"), "items of traces have no metric"),
        ("traces", Field("item", "name", ("a",)), 'nothing in "name" can be found by this path'),
        ("traces", Field("item", "attributes", (0,)), 'nothing in "attributes" can be found by this path'),
        ("traces", Field("item", "trace_state", ("a", "b")), 'nothing in "trace_state" can be found by this path'),
        ("metrics", Field("item", "bucket_counts", ("a",)), 'nothing in "bucket_counts" can be found by this path'),
        ("metrics", Field("item", "count", (0,)), 'nothing in "count" can be found by this path'),
    ],
)  # fmt: skip
def test_a_source_that_there_is_not_is_refused_with_what_there_is(kernels, signal, source, message):
    with pytest.raises(InvalidExpression) as caught:
        kernels.Predicate(signal, Exists(source))

    assert str(caught.value) == f"source: {message}"


LEVELS = {
    "traces": ("resource", "scope", "item", "event", "link"),
    "logs": ("resource", "scope", "item"),
    "metrics": ("resource", "scope", "metric", "item", "exemplar"),
}


@pytest.mark.parametrize(("signal", "level"), [(signal, level) for signal in LEVELS for level in LEVELS[signal]])
def test_every_name_that_an_error_lists_can_be_asked_for(kernels, signal, level):
    with pytest.raises(InvalidExpression) as caught:
        kernels.Predicate(signal, Exists(Field(level, "?")))
    names = str(caught.value).partition("there are ")[2].split(", ")

    assert names == sorted(names)
    for name in names:
        kernels.Predicate(signal, Exists(Field(level, name)))
        if level not in ("resource", "scope") and signal == "traces":
            assert any(source.level == level and source.name == name for _, _, source, _ in CASES
                       if isinstance(source, Field)) or "attributes" in name, name  # fmt: skip
