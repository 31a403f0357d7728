"""A payload scanned once: attributes of all items, and the rows that the store gets."""

import math
import struct
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data import Batch, Signal
from airis.data.layout import TABLES
from airis.data.malformed import MalformedPayload
from airis.proto.clickhouse_native import read_blocks
from airis.proto.wire import length_delimited

ARRIVED = 1_700_000_000_123_456_789
START = ARRIVED - 10**9
TRACE, SPAN = bytes(range(16)), bytes(range(0xF0, 0xF8))


def attributes(**values: Any) -> list[KeyValue]:
    """Attributes by name, where ``_`` stands for a dot."""
    return [KeyValue(key=key.replace("_", "."), value=any_value(value)) for key, value in values.items()]


def any_value(value: Any) -> AnyValue:
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            made = AnyValue()
            made.array_value.SetInParent()
            made.array_value.values.extend(any_value(item) for item in value)
            return made
        case dict():
            made = AnyValue()
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(KeyValue(key=k, value=any_value(v)) for k, v in value.items())
            return made
        case _:
            return AnyValue(string_value=value)


RESOURCE = Resource(
    attributes=attributes(service_name="shop", service_namespace="eu", service_instance_id="i1", cores=4),
    dropped_attributes_count=1,
    entity_refs=[EntityRef(schema_url="https://e", type="service", id_keys=["a", "b\n"], description_keys=["c"])],
)
ENTITY_REFS = '[{"schemaUrl":"https://e","type":"service","idKeys":["a","b\\n"],"descriptionKeys":["c"]}]'
SCOPE = InstrumentationScope(name="lib", version="1.2", attributes=attributes(on=True), dropped_attributes_count=2)
OWNERS = {
    "ServiceName": "shop",
    "ResourceAttributes": [
        ("service.name", "shop"),
        ("service.namespace", "eu"),
        ("service.instance.id", "i1"),
        ("cores", "4"),
    ],
    "ResourceAttributesTypes": "sssi",
    "ResourceSchemaUrl": "https://resource",
    "ResourceDroppedAttributesCount": 1,
    "ResourceEntityRefs": ENTITY_REFS,
    "ScopeName": "lib",
    "ScopeVersion": "1.2",
    "ScopeAttributes": [("on", "true")],
    "ScopeAttributesTypes": "b",
    "ScopeSchemaUrl": "https://scope",
    "ScopeDroppedAttributesCount": 2,
}


def traces(*spans: Span) -> bytes:
    request = ExportTraceServiceRequest()
    owner = request.resource_spans.add(resource=RESOURCE, schema_url="https://resource")
    owner.scope_spans.add(scope=SCOPE, schema_url="https://scope", spans=spans)
    return request.SerializeToString()


def logs(*records: LogRecord) -> bytes:
    request = ExportLogsServiceRequest()
    owner = request.resource_logs.add(resource=RESOURCE, schema_url="https://resource")
    owner.scope_logs.add(scope=SCOPE, schema_url="https://scope", log_records=records)
    return request.SerializeToString()


def metrics(*listed: Metric) -> bytes:
    request = ExportMetricsServiceRequest()
    owner = request.resource_metrics.add(resource=RESOURCE, schema_url="https://resource")
    owner.scope_metrics.add(scope=SCOPE, schema_url="https://scope", metrics=listed)
    return request.SerializeToString()


def rows(kernels: Any, signal: str, payload: bytes) -> dict[str, list[dict[str, Any]]]:
    """The rows of each table."""
    blocks = kernels.scan(signal, payload).native(ARRIVED, kernels.SeriesIndex())
    read = {table: read_blocks(block) for table, block in blocks.tables.items()}
    assert {table: list(columns) for table, columns in read.items()} == {
        table: [column.name for column in TABLES[table]] for table in read
    }
    found = {
        table: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for table, columns in read.items()
    }
    assert {table: len(listed) for table, listed in found.items()} == blocks.rows
    assert list(found) == [table for table in TABLES if table in found]
    return found


def bits(number: float) -> int:
    return int.from_bytes(struct.pack("<d", number), "little")


SPANS = {
    "a full span": (
        Span(
            trace_id=TRACE,
            span_id=SPAN,
            parent_span_id=SPAN[::-1],
            trace_state="a=1",
            flags=0x301,
            name="GET /",
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=START,
            end_time_unix_nano=START + 1500,
            attributes=attributes(a="x", n=1, l=[1, 2], m={"k": None, "j": [True, "s"]}, e="end"),
            dropped_attributes_count=3,
            events=[
                Span.Event(
                    time_unix_nano=START + 1, name="e1", attributes=attributes(d=0.5), dropped_attributes_count=4
                ),
                Span.Event(time_unix_nano=START + 2, name="e2"),
            ],
            dropped_events_count=5,
            links=[
                Span.Link(
                    trace_id=TRACE[::-1],
                    span_id=SPAN,
                    trace_state="b=2",
                    attributes=attributes(x=b"\x00\xff"),
                    dropped_attributes_count=6,
                    flags=1,
                )
            ],
            dropped_links_count=7,
            status=Status(code=Status.STATUS_CODE_ERROR, message="bad"),
        ),
        {
            "Timestamp": START,
            "TimestampSource": "sent",
            "Duration": 1500,
            "NegativeDuration": 0,
            "TraceId": TRACE.hex(),
            "SpanId": SPAN.hex(),
            "ParentSpanId": SPAN[::-1].hex(),
            "TraceState": "a=1",
            "TraceFlags": 0x301,
            "SpanName": "GET /",
            "SpanKind": "Server",
            "StatusCode": "Error",
            "StatusMessage": "bad",
            "SpanAttributes": [
                ("a", "x"),
                ("n", "1"),
                ("l", "[1,2]"),
                ("m", '{"k":null,"j":[true,"s"]}'),
                ("e", "end"),
            ],
            "SpanAttributesTypes": "si[i]{n[bs]}",
            "DroppedAttributesCount": 3,
            "DroppedEventsCount": 5,
            "DroppedLinksCount": 7,
            "Events.Timestamp": [START + 1, START + 2],
            "Events.Name": ["e1", "e2"],
            "Events.Attributes": [[("d", "0.5")], []],
            "Events.AttributesTypes": ["d", ""],
            "Events.DroppedAttributesCount": [4, 0],
            "Links.TraceId": [TRACE[::-1].hex()],
            "Links.SpanId": [SPAN.hex()],
            "Links.TraceState": ["b=2"],
            "Links.TraceFlags": [1],
            "Links.Attributes": [[("x", "AP8=")]],
            "Links.AttributesTypes": ["x"],
            "Links.DroppedAttributesCount": [6],
        },
    ),
    "nothing": (
        Span(),
        {
            "Timestamp": ARRIVED,
            "TimestampSource": "arrival",
            "Duration": 0,
            "NegativeDuration": 0,
            "TraceId": "",
            "SpanId": "",
            "ParentSpanId": "",
            "TraceState": "",
            "TraceFlags": 0,
            "SpanName": "",
            "SpanKind": "Unspecified",
            "StatusCode": "Unset",
            "StatusMessage": "",
            "SpanAttributes": [],
            "SpanAttributesTypes": "",
            "DroppedAttributesCount": 0,
            "DroppedEventsCount": 0,
            "DroppedLinksCount": 0,
            **{name: [] for name, _ in TABLES["otel_traces"] if "." in name},
        },
    ),
}


@pytest.mark.parametrize(("span", "row"), SPANS.values(), ids=SPANS)
def test_a_span_is_a_row(kernels, span, row):
    assert rows(kernels, "traces", traces(span)) == {"otel_traces": [OWNERS | row]}


@pytest.mark.parametrize(
    ("start", "end", "time", "source", "duration", "negative"),
    [
        (0, 0, ARRIVED, "arrival", 0, 0),
        (0, 9, 9, "end", 0, 0),
        (9, 0, 9, "sent", 0, 9),
        (9, 4, 9, "sent", 0, 5),
        (4, 9, 4, "sent", 5, 0),
        (1, (1 << 64) - 1, 1, "sent", (1 << 64) - 2, 0),
    ],
)
def test_times_of_a_span(kernels, start, end, time, source, duration, negative):
    span = Span(start_time_unix_nano=start, end_time_unix_nano=end)

    [row] = rows(kernels, "traces", traces(span))["otel_traces"]

    assert (row["Timestamp"], row["TimestampSource"]) == (time, source)
    assert (row["Duration"], row["NegativeDuration"]) == (duration, negative)


@pytest.mark.parametrize(
    ("number", "kind", "status"), [(1, "Internal", "Ok"), (5, "Consumer", "5"), (6, "6", "6"), (-1, "-1", "-1")]
)
def test_kinds_and_statuses_have_names_or_numbers(kernels, number, kind, status):
    span = Span(kind=number, status=Status(code=number))

    [row] = rows(kernels, "traces", traces(span))["otel_traces"]

    assert (row["SpanKind"], row["StatusCode"]) == (kind, status)


RECORDS = {
    "a full record": (
        LogRecord(
            time_unix_nano=START,
            observed_time_unix_nano=START + 1,
            severity_number=17,  # type: ignore[arg-type]
            severity_text="ERROR",
            body=any_value("it broke"),
            attributes=attributes(a="x", b=True),
            dropped_attributes_count=3,
            flags=1,
            trace_id=TRACE,
            span_id=SPAN,
            event_name="broken",
        ),
        {
            "Timestamp": START,
            "ObservedTimestamp": START + 1,
            "TimestampSource": "sent",
            "TraceId": TRACE.hex(),
            "SpanId": SPAN.hex(),
            "TraceFlags": 1,
            "SeverityText": "ERROR",
            "SeverityNumber": 17,
            "Body": "it broke",
            "BodyType": "",
            "EventName": "broken",
            "LogAttributes": [("a", "x"), ("b", "true")],
            "LogAttributesTypes": "sb",
            "DroppedAttributesCount": 3,
        },
    ),
    "nothing": (
        LogRecord(),
        {
            "Timestamp": ARRIVED,
            "ObservedTimestamp": 0,
            "TimestampSource": "arrival",
            "TraceId": "",
            "SpanId": "",
            "TraceFlags": 0,
            "SeverityText": "",
            "SeverityNumber": 0,
            "Body": "",
            "BodyType": "-",
            "EventName": "",
            "LogAttributes": [],
            "LogAttributesTypes": "",
            "DroppedAttributesCount": 0,
        },
    ),
}


@pytest.mark.parametrize(("record", "row"), RECORDS.values(), ids=RECORDS)
def test_a_log_record_is_a_row(kernels, record, row):
    assert rows(kernels, "logs", logs(record)) == {"otel_logs": [OWNERS | row]}


def test_a_record_without_a_time_has_the_one_at_which_it_was_observed(kernels):
    [row] = rows(kernels, "logs", logs(LogRecord(observed_time_unix_nano=7)))["otel_logs"]

    assert (row["Timestamp"], row["TimestampSource"]) == (7, "observed")


VALUES = [
    ("häß \U0001f600 \n\0", "häß \U0001f600 \n\0", "s"),
    ("", "", "s"),
    (None, "", "n"),
    (True, "true", "b"),
    (False, "false", "b"),
    (-(1 << 63), "-9223372036854775808", "i"),
    (0, "0", "i"),
    (0.1, "0.1", "d"),
    (3.0, "3", "d"),
    (-0.0, "-0", "d"),
    (1e21, "1e+21", "d"),
    (123456789012345680000.0, "123456789012345680000", "d"),
    (1e-7, "1e-7", "d"),
    (0.000001, "0.000001", "d"),
    (5e-324, "5e-324", "d"),
    (1.7976931348623157e308, "1.7976931348623157e+308", "d"),
    (150236946769308.625, "150236946769308.62", "d"),  # of two shortest ones the even one
    (math.nan, "NaN", "d"),
    (-math.inf, "-Infinity", "d"),
    (b"", "", "x"),
    (b"\xff\xfe\xfd", "//79", "x"),
    ([], "[]", "[]"),
    ([1, 2, 3], "[1,2,3]", "[i]"),
    ([1, "1", None, b"a", 0.5, math.inf], '[1,"1",null,"YQ==",0.5,"Infinity"]', "[isnxdd]"),
    ([[1], [2, 3]], "[[1],[2,3]]", "[[i]]"),
    ({}, "{}", "{}"),
    ({"a": {"b": [False]}}, '{"a":{"b":[false]}}', "{{[b]}}"),
    ({'"\\\n\x01': "\x7f\u2028"}, '{"\\"\\\\\\n\\u0001":"\x7f\u2028"}', "{s}"),
]


@pytest.mark.parametrize(("value", "text", "sign"), VALUES, ids=repr)
def test_a_value_is_text_with_a_signature(kernels, value, text, sign):
    span = Span(attributes=attributes(v=value))
    view = kernels.scan("traces", traces(span))

    [row] = rows(kernels, "traces", traces(span))["otel_traces"]
    [log] = rows(kernels, "logs", logs(LogRecord(body=any_value(value))))["otel_logs"]

    assert (row["SpanAttributes"], row["SpanAttributesTypes"]) == ([("v", text)], sign.rstrip("s"))
    assert (log["Body"], log["BodyType"]) == (text, "" if sign == "s" else sign)
    assert view.attribute("v") == [text]


def test_a_reference_into_a_profile_reads_as_no_value(kernels):
    span = Span(attributes=[KeyValue(key="v", value=AnyValue(string_value_strindex=3))])

    assert rows(kernels, "traces", traces(span))["otel_traces"][0]["SpanAttributesTypes"] == "n"


def test_messages_that_come_twice_are_merged(kernels):
    def value(content: bytes) -> bytes:
        return length_delimited(2, content)

    one, two = (length_delimited(1, b"\x18" + bytes([n])) for n in (1, 2))
    array = value(length_delimited(5, one)) + value(length_delimited(5, two))
    replaced = value(length_delimited(5, one)) + value(length_delimited(1, b"s")) + value(length_delimited(5, two))
    span = Span(status=Status(message="m")).SerializeToString() + Span(status=Status(code=2)).SerializeToString()  # type: ignore[arg-type]
    span += length_delimited(9, length_delimited(1, b"a") + array)
    span += length_delimited(9, length_delimited(1, b"r") + replaced)
    resource = [Resource(attributes=attributes(service_name="s")), Resource(dropped_attributes_count=2)]
    owner = b"".join(length_delimited(1, part.SerializeToString()) for part in resource)
    payload = length_delimited(1, owner + length_delimited(2, length_delimited(2, span)))

    [row] = rows(kernels, "traces", payload)["otel_traces"]

    assert (row["StatusCode"], row["StatusMessage"]) == ("Error", "m")
    assert row["SpanAttributes"] == [("a", "[1,2]"), ("r", "[2]")]
    assert (row["ServiceName"], row["ResourceDroppedAttributesCount"]) == ("s", 2)
    assert kernels.scan("traces", payload).attribute("service.name", "resource") == ["s"]


POINT = {
    "attributes": attributes(path="/", n=1),
    "start_time_unix_nano": START - 5,
    "time_unix_nano": START,
    "flags": 2,
}
EXEMPLARS = [
    Exemplar(time_unix_nano=3, as_int=(1 << 53) + 1, trace_id=TRACE, span_id=SPAN, filtered_attributes=attributes(u=7)),
    Exemplar(time_unix_nano=4, as_double=0.5),
    Exemplar(),
]
SHARED = {
    "otel_name": "m.time",
    "unit": "ms",
    "service": "shop",
    "labels": [("instance", "i1"), ("job", "eu/shop"), ("n", "1"), ("path", "/")],
    "attributes": [("path", "/"), ("n", "1")],
    "attributes_types": "si",
    "resource": OWNERS["ResourceAttributes"],
    "resource_types": "sssi",
    "resource_schema_url": "https://resource",
    "resource_dropped_attributes_count": 1,
    "resource_entity_refs": ENTITY_REFS,
    "scope_name": "lib",
    "scope_version": "1.2",
    "scope_attributes": [("on", "true")],
    "scope_attributes_types": "b",
    "scope_schema_url": "https://scope",
    "scope_dropped_attributes_count": 2,
    "metadata": [("k", "0.5")],
    "metadata_types": "d",
    "help": "How long",
    "min_time": ARRIVED // 10**9,
    "max_time": ARRIVED // 10**9,
    "bounds": [],
    "monotonic": False,
    "integer": False,
    "temporality": "unspecified",
}
COMMON = {"ts": START, "start": START - 5, "flags": 2, "ts_source": "sent"}
NO_HISTOGRAM = {"zero_threshold": 0.0, "zero_count": 0, "pos_offset": 0, "neg_offset": 0, "neg": []}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = {
    "gauge": (
        {"gauge": {"data_points": [{**POINT, "as_double": 0.5, "exemplars": EXEMPLARS}]}},
        {"metric": "m_time_milliseconds", "kind": "gauge"},
        "metric_samples",
        {"value": 0.5, "value_residue": 0},
    ),
    "sum": (
        {
            "sum": {
                "aggregation_temporality": 2,
                "is_monotonic": True,
                "data_points": [{**POINT, "as_int": (1 << 63) - 1, "exemplars": EXEMPLARS}],
            }
        },
        {
            "metric": "m_time_milliseconds_total",
            "kind": "sum",
            "temporality": "cumulative",
            "monotonic": True,
            "integer": True,
        },
        "metric_samples",
        {"value": 2.0**63, "value_residue": -1},
    ),
    "histogram": (
        {
            "histogram": {
                "aggregation_temporality": 1,
                "data_points": [
                    {
                        **POINT,
                        "count": 3,
                        "sum": 1.5,
                        "max": 2.0,
                        "bucket_counts": [1, 2],
                        "explicit_bounds": [0.5],
                        "exemplars": EXEMPLARS,
                    }
                ],
            }
        },
        {"metric": "m_time_milliseconds", "kind": "histogram", "temporality": "delta", "bounds": [0.5]},
        "metric_histograms",
        {"count": 3, "sum": 1.5, "min": None, "max": 2.0, "schema": -53, "pos": [1, 2], **NO_HISTOGRAM},
    ),
    "exponential histogram": (
        {
            "exponential_histogram": {
                "aggregation_temporality": 9,
                "data_points": [
                    {
                        **POINT,
                        "count": 6,
                        "min": -1.0,
                        "scale": -3,
                        "zero_count": 1,
                        "zero_threshold": 0.25,
                        "positive": {"offset": -2, "bucket_counts": [300, 0]},
                        "negative": {"offset": 4, "bucket_counts": [5]},
                        "exemplars": EXEMPLARS,
                    }
                ],
            }
        },
        {"metric": "m_time_milliseconds", "kind": "exponential_histogram", "temporality": "9"},
        "metric_histograms",
        {
            "count": 6,
            "sum": None,
            "min": -1.0,
            "max": None,
            "schema": -3,
            "zero_threshold": 0.25,
            "zero_count": 1,
            "pos_offset": -2,
            "pos": [300, 0],
            "neg_offset": 4,
            "neg": [5],
        },
    ),
    "summary": (
        {
            "summary": {
                "data_points": [{**POINT, "count": 2, "sum": 3.5, "quantile_values": [{"quantile": 0.5, "value": 9.0}]}]
            }
        },
        {"metric": "m_time_milliseconds", "kind": "summary"},
        "metric_summaries",
        {"count": 2, "sum": 3.5, "quantiles": [0.5], "values": [9.0]},
    ),
}


@pytest.mark.parametrize(("data", "series", "table", "point"), KINDS.values(), ids=KINDS)
def test_a_data_point_is_a_series_and_a_row(kernels, data, series, table, point):
    metric = Metric(name="m.time", description="How long", unit="ms", metadata=attributes(k=0.5), **data)

    found = rows(kernels, "metrics", metrics(metric))

    [registered] = found.pop("metric_series")
    key = {"metric": registered["metric"], "id": registered.pop("id")}
    assert registered.pop("resource_id") > 0
    assert registered == SHARED | series
    assert found.pop(table) == [key | COMMON | point]
    if table == "metric_summaries":
        assert not found
        return
    exemplars = found.pop("metric_exemplars")
    assert not found
    assert math.isnan(exemplars[2]["value"])
    exemplars[2]["value"] = None
    nothing = {"trace_id": "", "span_id": "", "attributes": [], "attributes_types": "", "value_residue": 0}
    assert exemplars == [
        key | exemplar | {"point_ts": START}
        for exemplar in (
            {
                "ts": 3,
                "value": 2.0**53,
                "value_residue": 1,
                "integer": True,
                "trace_id": TRACE.hex(),
                "span_id": SPAN.hex(),
                "attributes": [("u", "7")],
                "attributes_types": "i",
            },
            {"ts": 4, "value": 0.5, "integer": False, **nothing},
            {"ts": 0, "value": None, "integer": False, **nothing},
        )
    ]


@pytest.mark.parametrize(
    ("point", "stored"),
    [
        (NumberDataPoint(), 0x7FF0000000000003),
        (NumberDataPoint(flags=1), 0x7FF0000000000002),
        (NumberDataPoint(flags=3, as_int=5), 0x7FF0000000000002),
        (NumberDataPoint(as_double=math.nan), 0x7FF8000000000000),
        (NumberDataPoint(as_double=-0.0), 1 << 63),
    ],
    ids=["no value", "nothing recorded", "nothing recorded in spite of a value", "not a number", "minus zero"],
)
def test_a_point_without_a_value_is_told_apart(kernels, point, stored):
    found = rows(kernels, "metrics", metrics(Metric(name="m", gauge={"data_points": [point]})))

    [row] = found["metric_samples"]
    assert bits(row["value"]) == stored
    assert (row["ts"], row["ts_source"], row["start"]) == (ARRIVED, "arrival", 0)


def test_attributes_are_given_for_every_item_at_every_level(kernels):
    request = ExportTraceServiceRequest.FromString(
        traces(Span(attributes=attributes(a=1)), Span(), Span(attributes=attributes(b="x", a="2") + attributes(a="3")))
    )
    other = request.resource_spans.add()
    other.scope_spans.add().spans.add(attributes=attributes(a=None))
    request.resource_spans.add(resource=RESOURCE)  # without items
    view = kernels.scan("traces", request.SerializeToString())

    assert view.items == 4
    assert view.attribute("a") == ["1", None, "2", ""]
    assert view.attribute("on", "scope") == ["true", "true", "true", None]
    assert view.attribute("cores", level="resource") == ["4", "4", "4", None]
    assert view.attribute("") == [None] * 4


def test_items_of_metrics_are_data_points(kernels):
    listed = [
        Metric(gauge={"data_points": [{"attributes": attributes(a="g")}, {}]}),
        Metric(name="without data"),
        Metric(sum={"data_points": [{"attributes": attributes(a="s")}]}),
        Metric(histogram={"data_points": [{"attributes": attributes(a="h")}]}),
        Metric(exponential_histogram={"data_points": [{"attributes": attributes(a="e")}]}),
        Metric(summary={"data_points": [{"attributes": attributes(a="q")}]}),
    ]
    view = kernels.scan("metrics", metrics(*listed))

    assert view.items == 6
    assert view.attribute("a") == ["g", None, "s", "h", "e", "q"]
    assert view.attribute("on", "scope") == ["true"] * 6


def test_a_log_record_has_its_attributes(kernels):
    view = kernels.scan("logs", logs(LogRecord(attributes=attributes(a="x")), LogRecord(body=any_value("a"))))

    assert view.attribute("a") == ["x", None]


def test_a_level_that_there_is_not_is_refused(kernels):
    with pytest.raises(ValueError, match="event is not resource, scope or item"):
        kernels.scan("traces", b"").attribute("a", "event")


def test_a_little_payload_does_not_become_a_large_block(kernels):
    resource = length_delimited(1, Resource(attributes=attributes(a="x" * 20_000_000)).SerializeToString())
    spans = length_delimited(2, length_delimited(2, b"") * 60)

    with pytest.raises(MalformedPayload, match="repeated to more than 1 GiB"):
        kernels.scan("traces", length_delimited(1, resource + spans)).native(ARRIVED, kernels.SeriesIndex())


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_payload_without_items_gives_no_blocks(kernels, signal):
    payload = length_delimited(1, length_delimited(1, RESOURCE.SerializeToString()))
    blocks = kernels.scan(signal, payload).native(ARRIVED, kernels.SeriesIndex())

    assert (blocks.tables, blocks.rows, len(blocks.series)) == ({}, {}, 0)


def by_service(signal: str, *owners: tuple[str, list[Any]]) -> bytes:
    """A request with a resource for each service, with its items."""
    request = ExportTraceServiceRequest() if signal == "traces" else ExportLogsServiceRequest()
    for service, items in owners:
        owner = (request.resource_spans if signal == "traces" else request.resource_logs).add(schema_url=f"{service}/s")
        owner.resource.attributes.extend([*attributes(service_name=service), *attributes(host=service * 2)])
        scope = (owner.scope_spans if signal == "traces" else owner.scope_logs).add(schema_url=f"{service}/t")
        scope.scope.CopyFrom(InstrumentationScope(name=f"of {service}", version="1"))
        (scope.spans if signal == "traces" else scope.log_records).extend(items)
    return request.SerializeToString()


def test_spans_come_in_the_order_of_their_table_and_keep_their_owners(kernels):
    second = 10**9
    payload = by_service(
        "traces",
        ("web", [span(name, at) for name, at in [("b", 3), ("a", 9 * second + 2), ("a", 9 * second + 1), ("a", 1)]]),
        ("", [span("z", 1)]),
        ("db", [span("b", 5 * second)]),
        ("web", [span("a", 2), span("ab", 0)]),
    )

    found = rows(kernels, "traces", payload)["otel_traces"]

    names = [(row["ServiceName"], row["SpanName"], row["Timestamp"]) for row in found]
    assert names == [
        ("", "z", 1),
        ("db", "b", 5 * second),
        ("web", "a", 1),
        ("web", "a", 2),
        ("web", "a", 9 * second + 2),
        ("web", "a", 9 * second + 1),
        ("web", "ab", ARRIVED),
        ("web", "b", 3),
    ]
    owned(found)


def test_log_records_come_in_the_order_of_their_table_and_keep_their_owners(kernels):
    late = 300 * 10**9
    payload = by_service(
        "logs",
        ("web", [LogRecord(time_unix_nano=late + 2), LogRecord(time_unix_nano=2), LogRecord(time_unix_nano=1)]),
        ("db", [LogRecord(observed_time_unix_nano=3), LogRecord(time_unix_nano=late)]),
    )

    found = rows(kernels, "logs", payload)["otel_logs"]

    names = [(row["ServiceName"], row["Timestamp"]) for row in found]
    assert names == [("db", 3), ("web", 1), ("web", 2), ("db", late), ("web", late + 2)]
    owned(found)


def span(name: str, start: int) -> Span:
    return Span(name=name, start_time_unix_nano=start)


def owned(found: list[dict[str, Any]]) -> None:
    """Every row has the resource and the scope that it came with."""
    for row in found:
        service = row["ServiceName"]
        assert dict(row["ResourceAttributes"]) == {"service.name": service, "host": service * 2}
        urls = row["ResourceSchemaUrl"], row["ScopeSchemaUrl"], row["ScopeName"]
        assert urls == (f"{service}/s", f"{service}/t", f"of {service}")


def test_a_block_is_given_by_itself_and_written_over_a_file(kernels, tmp_path):
    blocks = kernels.scan("traces", traces(Span(name="a"))).native(ARRIVED, kernels.SeriesIndex())
    file = tmp_path / "block"
    file.write_bytes(b"x" * 100_000)

    blocks.write("otel_traces", str(file))

    assert file.read_bytes() == blocks.block("otel_traces") == blocks.tables["otel_traces"]
    with pytest.raises(KeyError):
        blocks.block("otel_logs")
    with pytest.raises(KeyError):
        blocks.write("otel_logs", str(file))
    with pytest.raises(FileNotFoundError):
        blocks.write("otel_traces", str(tmp_path / "nowhere"))


def test_a_view_keeps_what_it_was_made_of(kernels):
    payload = traces(Span())
    view = kernels.scan("traces", payload)

    assert view.payload is payload
    assert (view.signal, view.items) == ("traces", 1)


def test_a_batch_has_a_view():
    batch = Batch(Signal.TRACES, traces(Span(), Span()), 2)

    view = batch.view()

    assert (view.signal, view.items, view.payload) == ("traces", 2, batch.payload)
    with pytest.raises(MalformedPayload):
        Batch(Signal.TRACES, b"\x0a\x05", 0).view()


@pytest.mark.parametrize("count", [255, 256, 65_535, 65_536])
def test_many_different_texts_widen_the_indexes(kernels, count):
    texts = [f"n{number}" for number in range(count)]
    payload = logs(*(LogRecord(severity_text=text) for text in texts))

    block = kernels.scan("logs", payload).native(ARRIVED, kernels.SeriesIndex()).tables["otel_logs"]

    assert read_blocks(block)["SeverityText"] == texts
