"""The reader: what was sent comes back exactly, and the questions of the terminal get the right answers."""

import asyncio
import importlib
import math
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.storage import reader
from airis.storage.schema import Retention, Schema, migrate

NOW = time.time_ns()
SECOND = 1_000_000_000
ARRIVED = NOW + 5 * SECOND
TRACE = bytes(range(16))
STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]

REQUESTS = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}

VALUES: dict[str, AnyValue] = {
    "string": AnyValue(string_value="häß \U0001f600 \n\t\\\" '\u0000\u2028"),
    "empty string": AnyValue(string_value=""),
    "bool": AnyValue(bool_value=True),
    "int": AnyValue(int_value=-(1 << 63)),
    "double": AnyValue(double_value=0.1),
    "whole double": AnyValue(double_value=3.0),
    "negative zero": AnyValue(double_value=-0.0),
    "infinity": AnyValue(double_value=-math.inf),
    "bytes": AnyValue(bytes_value=b"\x00\xff"),
    "empty": AnyValue(),
    "array": AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="1"), AnyValue()])),
    "empty array": AnyValue(array_value=ArrayValue()),
    "map": AnyValue(
        kvlist_value=KeyValueList(
            values=[
                KeyValue(key="b", value=AnyValue(bytes_value=b"b")),
                KeyValue(key="a", value=AnyValue(kvlist_value=KeyValueList())),
                KeyValue(key="a", value=AnyValue(double_value=1e300)),
            ]
        )
    ),
}
ATTRIBUTES = [KeyValue(key=key, value=value) for key, value in VALUES.items()]
ATTRIBUTES += [KeyValue(key="string", value=AnyValue(int_value=2))]  # a key may come twice


def text(**values: str) -> list[KeyValue]:
    return [KeyValue(key=key.replace("_", "."), value=AnyValue(string_value=value)) for key, value in values.items()]


RESOURCE = Resource(
    attributes=[*text(service_name="shop", service_instance_id="7"), *ATTRIBUTES],
    dropped_attributes_count=3,
    entity_refs=[
        EntityRef(schema_url="https://e", type="service", id_keys=["service.name"], description_keys=["os", "arch"]),
        EntityRef(type="host"),
    ],
)
SCOPE = InstrumentationScope(name="lib", version="1.2", attributes=ATTRIBUTES, dropped_attributes_count=4)


def request(signal: str, *items: Message, resource: Resource = RESOURCE, scope: InstrumentationScope = SCOPE) -> Any:
    """A request with these items in one scope of one resource, both with a schema URL."""
    kind, resources, scopes, field = REQUESTS[signal]
    message = kind()
    owner = getattr(message, resources).add(resource=resource, schema_url="https://resource")
    getattr(getattr(owner, scopes).add(scope=scope, schema_url="https://scope"), field).extend(items)
    return message


def items(signal: str, payload: bytes) -> list[tuple[bytes, str, bytes, str, bytes]]:
    """Every item with its resource, scope and (of a data point) metric, in an order of their own."""
    kind, resources, scopes, field = REQUESTS[signal]
    return sorted(
        (dump(owner.resource), owner.schema_url, dump(scoped.scope), scoped.schema_url, dump(item))
        for owner in getattr(kind.FromString(payload), resources)
        for scoped in getattr(owner, scopes)
        for whole in getattr(scoped, field)
        for item in (single_points(whole) if signal == "metrics" else [whole])
    )


def single_points(metric: Metric) -> list[Metric]:
    kind = metric.WhichOneof("data") or ""
    singles = []
    for point in getattr(metric, kind).data_points:
        single = Metric()
        single.CopyFrom(metric)
        del getattr(single, kind).data_points[:]
        getattr(single, kind).data_points.append(point)
        singles.append(single)
    return singles


def dump(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def store(engine: Any, kernels: Any, signal: str, message: Message, arrived: int = ARRIVED) -> None:
    blocks = kernels.scan(signal, message.SerializeToString()).native(arrived, kernels.SeriesIndex())
    for table, block in blocks.tables.items():
        engine.insert(table, block)


async def read(engine: Any, signal: str) -> bytes:
    if signal == "traces":
        return await reader.trace_request(engine, TRACE.hex().upper())
    return await {"logs": reader.logs_request, "metrics": reader.metrics_request}[signal](engine)


def open_database(engine: Any, name: str) -> None:
    """Make a database with the store's tables, which keep everything, and use it."""
    asyncio.run(migrate(engine, Schema(name, Retention(0, 0, 0))))
    engine.use(name)


@pytest.fixture
def tables(engine: Any) -> Iterator[Any]:
    """The engine with the store's tables, all empty."""
    open_database(engine, "airis_reader")
    for row in engine.query("SELECT DISTINCT table FROM system.parts WHERE database = 'airis_reader' AND rows > 0"):
        if row["table"] != "schema_migrations":
            engine.query(f"TRUNCATE TABLE {row['table']} SYNC")
    yield engine
    engine.use("default")


@pytest.fixture
def reference() -> Any:
    """The encoder for tests that are about reading alone."""
    return importlib.import_module("airis.data.reference")


FULL_SPAN = Span(
    trace_id=TRACE,
    span_id=bytes(range(8)),
    parent_span_id=bytes(range(1, 9)),
    trace_state="a=1,b=2",
    flags=0x80000301,
    name="GET /cart",
    kind=Span.SPAN_KIND_SERVER,
    start_time_unix_nano=NOW + 1,
    end_time_unix_nano=NOW + 1_000_000_123,
    attributes=ATTRIBUTES,
    dropped_attributes_count=1,
    events=[
        Span.Event(time_unix_nano=NOW + 2, name="e", attributes=ATTRIBUTES, dropped_attributes_count=5),
        Span.Event(),
    ],
    dropped_events_count=2,
    links=[
        Span.Link(
            trace_id=TRACE[::-1],
            span_id=b"12345678",
            trace_state="c=3",
            attributes=ATTRIBUTES,
            dropped_attributes_count=6,
            flags=0x100,
        ),
        Span.Link(),
    ],
    dropped_links_count=3,
    status=Status(message="no stock", code=Status.STATUS_CODE_ERROR),
)
FULL_LOG = LogRecord(
    time_unix_nano=NOW + 3,
    observed_time_unix_nano=NOW + 4,
    severity_number=17,  # type: ignore[arg-type]
    severity_text="Error",
    body=AnyValue(string_value="out of stock"),
    attributes=ATTRIBUTES,
    dropped_attributes_count=1,
    flags=0x201,
    trace_id=TRACE,
    span_id=bytes(range(8)),
    event_name="stock.empty",
)
POINT = {"attributes": ATTRIBUTES, "start_time_unix_nano": NOW - SECOND, "time_unix_nano": NOW + 7, "flags": 2}
EXEMPLARS = [
    Exemplar(
        filtered_attributes=ATTRIBUTES,
        time_unix_nano=NOW + 5,
        as_int=(1 << 62) + 1,
        span_id=bytes(range(8)),
        trace_id=TRACE,
    ),
    Exemplar(time_unix_nano=NOW + 4, as_double=0.25),
]
METRIC = {"name": "http.server.duration", "description": "How long", "unit": "ms", "metadata": ATTRIBUTES}


def gauge(*points: NumberDataPoint, **fields: Any) -> Metric:
    return Metric(**{**METRIC, **fields}, gauge={"data_points": points})


def counter(*points: NumberDataPoint) -> Metric:
    return Metric(**METRIC, sum={"data_points": points, "aggregation_temporality": 2, "is_monotonic": True})


FULL_METRICS = {
    "gauge": gauge(NumberDataPoint(**POINT, as_double=0.1, exemplars=EXEMPLARS)),
    "sum": counter(NumberDataPoint(**POINT, as_int=(1 << 53) + 1, exemplars=EXEMPLARS)),
    "histogram": Metric(
        **METRIC,
        histogram={
            "aggregation_temporality": 1,
            "data_points": [
                HistogramDataPoint(
                    **POINT,
                    count=(1 << 64) - 1,
                    sum=-0.0,
                    bucket_counts=[1, 0, (1 << 64) - 1],
                    explicit_bounds=[0.1, 5],
                    exemplars=EXEMPLARS,
                    min=0.0,
                    max=7.5,
                )
            ],
        },
    ),
    "exponential histogram": Metric(
        **METRIC,
        exponential_histogram={
            "aggregation_temporality": 2,
            "data_points": [
                ExponentialHistogramDataPoint(
                    **POINT,
                    count=9,
                    sum=4.5,
                    scale=-3,
                    zero_count=2,
                    positive={"offset": -5, "bucket_counts": [1, 0, 3]},
                    negative={"offset": 6, "bucket_counts": [3]},
                    exemplars=EXEMPLARS,
                    min=-1.0,
                    max=2.0,
                    zero_threshold=1e-9,
                )
            ],
        },
    ),
    "summary": Metric(
        **METRIC,
        summary={
            "data_points": [
                SummaryDataPoint(
                    **POINT,
                    count=3,
                    sum=1.5,
                    quantile_values=[{"quantile": 0.5, "value": 0.1}, {"quantile": 1, "value": math.inf}],
                )
            ]
        },
    ),
}


def fields_of(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


@pytest.mark.parametrize(
    "message",
    [
        FULL_SPAN,
        FULL_SPAN.events[0],
        FULL_SPAN.links[0],
        FULL_LOG,
        RESOURCE,
        RESOURCE.entity_refs[0],
        SCOPE,
        EXEMPLARS[0],
        *(FULL_METRICS[kind] for kind in FULL_METRICS),
        *(getattr(m, m.WhichOneof("data") or "").data_points[0] for m in FULL_METRICS.values()),
    ],
    ids=lambda message: message.DESCRIPTOR.name,
)
def test_the_full_examples_have_every_field(message):
    choices = {field.name for oneof in message.DESCRIPTOR.oneofs for field in oneof.fields if len(oneof.fields) > 1}
    references_into_profiles = {name for name in message.DESCRIPTOR.fields_by_name if name.endswith("_strindex")}
    wanted = set(message.DESCRIPTOR.fields_by_name) - choices - references_into_profiles
    assert wanted <= fields_of(message)


@pytest.mark.parametrize(
    ("signal", "item"),
    [("traces", FULL_SPAN), ("logs", FULL_LOG), *(("metrics", metric) for metric in FULL_METRICS.values())],
    ids=["span", "log record", *FULL_METRICS],
)
async def test_every_field_comes_back(tables, kernels, signal, item):
    sent = request(signal, item)
    store(tables, kernels, signal, sent)

    assert items(signal, await read(tables, signal)) == items(signal, sent.SerializeToString())


@pytest.mark.parametrize(
    ("signal", "item"),
    [
        ("traces", Span(trace_id=TRACE)),
        ("logs", LogRecord()),
        ("metrics", gauge(NumberDataPoint(), unit="", description="", metadata=[])),
    ],
    ids=["span", "log record", "data point"],
)
async def test_an_item_with_nothing_in_it_comes_back_empty(tables, kernels, signal, item):
    sent = request(signal, item, resource=Resource(), scope=InstrumentationScope())
    store(tables, kernels, signal, sent)

    assert items(signal, await read(tables, signal)) == items(signal, sent.SerializeToString())


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (0, 9), (9, 0), (9, 9), (9, 4), (NOW, NOW + (1 << 62)), (1, (1 << 64) - 1), ((1 << 64) - 1, 1)],
    ids=str,
)
async def test_any_start_and_end_come_back(tables, kernels, start, end):
    sent = request("traces", Span(trace_id=TRACE, start_time_unix_nano=start, end_time_unix_nano=end))
    store(tables, kernels, "traces", sent)

    assert items("traces", await read(tables, "traces")) == items("traces", sent.SerializeToString())


@pytest.mark.parametrize("number", [0, 1, 5, 6, 77])
async def test_any_kind_and_status_come_back(tables, kernels, number):
    span = Span(trace_id=TRACE, kind=number, status=Status(code=number, message="m"))
    sent = request("traces", span)
    store(tables, kernels, "traces", sent)

    assert items("traces", await read(tables, "traces")) == items("traces", sent.SerializeToString())


@pytest.mark.parametrize(("time", "observed"), [(0, 0), (0, NOW), (NOW, 0), ((1 << 64) - 1, (1 << 64) - 2)], ids=str)
async def test_any_times_of_a_log_record_come_back(tables, kernels, time, observed):
    sent = request("logs", LogRecord(time_unix_nano=time, observed_time_unix_nano=observed, severity_number=99))  # type: ignore[arg-type]
    store(tables, kernels, "logs", sent)

    assert items("logs", await read(tables, "logs")) == items("logs", sent.SerializeToString())


@pytest.mark.parametrize("body", [None, *VALUES.values()], ids=["absent", *VALUES])
async def test_any_body_comes_back(tables, kernels, body):
    sent = request("logs", LogRecord(time_unix_nano=NOW, body=body))
    store(tables, kernels, "logs", sent)

    assert items("logs", await read(tables, "logs")) == items("logs", sent.SerializeToString())


@pytest.mark.parametrize(
    "point",
    [
        {"as_int": 0},
        {"as_int": (1 << 63) - 1},
        {"as_int": -(1 << 63)},
        {"as_int": 9007199254740993},
        {"as_double": 0.0},
        {"as_double": -0.0},
        {"as_double": 5e-324},
        {"as_double": math.inf},
        {"as_double": math.nan},
        {"as_double": STALE},
        {},
        {"flags": 1},
        {"as_double": 1.0, "flags": 2},
        {"time_unix_nano": 0, "as_double": 1.0},
        {"time_unix_nano": (1 << 64) - 1, "start_time_unix_nano": (1 << 63), "as_int": 1},
    ],
    ids=str,
)
async def test_any_number_comes_back(tables, kernels, point):
    sent = request("metrics", gauge(NumberDataPoint(**{"time_unix_nano": NOW, **point})))
    store(tables, kernels, "metrics", sent)

    assert items("metrics", await read(tables, "metrics")) == items("metrics", sent.SerializeToString())


@pytest.mark.parametrize("optional", [{}, {"sum": 0.0}, {"min": math.nan, "max": math.inf}], ids=str)
async def test_absent_statistics_of_a_histogram_stay_absent(tables, kernels, optional):
    explicit = HistogramDataPoint(time_unix_nano=NOW, **optional)
    exponential = ExponentialHistogramDataPoint(time_unix_nano=NOW, **optional)
    sent = request(
        "metrics",
        Metric(name="a", histogram={"data_points": [explicit]}),
        Metric(name="b", exponential_histogram={"data_points": [exponential]}),
    )
    store(tables, kernels, "metrics", sent)

    assert items("metrics", await read(tables, "metrics")) == items("metrics", sent.SerializeToString())


async def test_items_are_grouped_by_equal_resource_and_scope(tables, kernels):
    other = Resource(attributes=text(service_name="shop", service_instance_id="8"))
    sent = ExportTraceServiceRequest()
    for number, (resource, scope) in enumerate(
        [(RESOURCE, SCOPE), (other, SCOPE), (RESOURCE, SCOPE), (RESOURCE, InstrumentationScope())]
    ):
        span = Span(trace_id=TRACE, span_id=bytes([number]), start_time_unix_nano=NOW + number)
        sent.MergeFrom(request("traces", span, resource=resource, scope=scope))
    store(tables, kernels, "traces", sent)

    back = ExportTraceServiceRequest.FromString(await read(tables, "traces"))

    assert items("traces", back.SerializeToString()) == items("traces", sent.SerializeToString())
    assert sorted(len(scoped.spans) for owner in back.resource_spans for scoped in owner.scope_spans) == [1, 1, 2]
    assert len(back.resource_spans) == 2


async def test_points_of_one_metric_come_back_in_one_metric(tables, kernels):
    points = [
        NumberDataPoint(attributes=text(path=path), time_unix_nano=NOW + second * SECOND, as_int=second)
        for path in "ab"
        for second in range(3)
    ]
    sent = request("metrics", counter(*points))
    store(tables, kernels, "metrics", sent)

    back = ExportMetricsServiceRequest.FromString(await read(tables, "metrics"))

    [metric] = back.resource_metrics[0].scope_metrics[0].metrics
    assert [point.time_unix_nano for point in metric.sum.data_points] == sorted(
        point.time_unix_nano for point in points
    )
    assert items("metrics", back.SerializeToString()) == items("metrics", sent.SerializeToString())


async def test_a_point_has_the_resource_of_its_time(tables, reference):
    for hour, version in enumerate("1122"):
        resource = Resource(attributes=text(service_instance_id="7", service_version=version))
        point = NumberDataPoint(time_unix_nano=NOW + hour * 3600 * SECOND, as_int=hour)
        sent = request("metrics", gauge(point), resource=resource)
        store(tables, reference, "metrics", sent, arrived=NOW + (hour * 3600 - 1) * SECOND)

    back = ExportMetricsServiceRequest.FromString(await read(tables, "metrics"))

    values = {
        owner.resource.attributes[1].value.string_value: [
            p.as_int for p in owner.scope_metrics[0].metrics[0].gauge.data_points
        ]
        for owner in back.resource_metrics
    }
    assert values == {"1": [0, 1], "2": [2, 3]}


async def test_exemplars_of_points_at_the_same_time_come_back_once(tables, reference):
    points = [NumberDataPoint(time_unix_nano=NOW, as_int=n, exemplars=[Exemplar(as_int=n)]) for n in (1, 2)]
    store(tables, reference, "metrics", request("metrics", gauge(*points)))

    back = ExportMetricsServiceRequest.FromString(await reader.metrics_request(tables))

    found = back.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    assert sorted(exemplar.as_int for point in found for exemplar in point.exemplars) == [1, 2]


async def test_a_trace_that_is_not_there_reads_as_nothing(tables):
    assert await reader.trace_request(tables, "00") == b""
    assert await reader.trace_spans(tables, "00") == []


def shop_trace(number: int, *, duration_ms: int = 100, failed: bool = False) -> ExportTraceServiceRequest:
    """A request to the front end that calls the cart, a minute after the one before."""
    trace_id = number.to_bytes(16, "big")
    start = NOW + number * 60 * SECOND
    root = Span(
        trace_id=trace_id,
        span_id=b"rootroot",
        name="GET /",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration_ms * 1_000_000,
        attributes=text(http_route="/", user=f"u{number}"),
    )
    child = Span(
        trace_id=trace_id,
        span_id=b"childchi",
        parent_span_id=b"rootroot",
        name="add",
        start_time_unix_nano=start + 1_000_000,
        end_time_unix_nano=start + 2_000_000,
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
        events=[Span.Event(time_unix_nano=start + 1_500_000, name="retry", attributes=text(n="1"))],
    )
    sent = request("traces", root, resource=Resource(attributes=text(service_name="front")))
    sent.MergeFrom(request("traces", child, resource=Resource(attributes=text(service_name="cart", host_name="h1"))))
    return sent


@pytest.fixture(scope="module")
def stored_shop(engine: Any) -> Any:
    """Four traces of which the second failed and the third was slow, with a log record and a metric each."""
    reference = importlib.import_module("airis.data.reference")
    open_database(engine, "airis_shop")
    spans, logs, metrics = ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    resource = Resource(attributes=text(service_name="cart", host_name="h1"))
    for number in range(1, 5):
        spans.MergeFrom(shop_trace(number, duration_ms=900 if number == 3 else 100, failed=number == 2))
        log = LogRecord(
            time_unix_nano=minute(number),
            severity_number=17 if number == 2 else 9,  # type: ignore[arg-type]
            body=AnyValue(string_value=f"Added 100% of item_{number}"),
            trace_id=number.to_bytes(16, "big"),
            attributes=text(user=f"u{number}"),
        )
        logs.MergeFrom(request("logs", log, resource=resource))
        points = [
            NumberDataPoint(attributes=text(path=path), time_unix_nano=minute(number), as_int=number * 10)
            for path in "ab"
        ]
        metrics.MergeFrom(request("metrics", counter(*points), resource=resource))
    store(engine, reference, "traces", spans)
    store(engine, reference, "logs", logs)
    store(engine, reference, "metrics", metrics)
    return engine


@pytest.fixture
def shop(stored_shop: Any) -> Iterator[Any]:
    """The engine with the shop's database in use; tests only read it."""
    stored_shop.use("airis_shop")
    yield stored_shop
    stored_shop.use("default")


def minute(number: int) -> int:
    return NOW + number * 60 * SECOND


async def test_services_with_their_counts(shop):
    found = {service.name: service for service in await reader.services(shop)}

    assert sorted(found) == ["cart", "front"]
    assert (found["cart"].spans, found["cart"].errors, found["cart"].log_records, found["cart"].series) == (4, 1, 4, 2)
    assert (found["front"].spans, found["front"].errors, found["front"].log_records) == (4, 0, 0)
    assert found["front"].last_unix_nano == minute(4)
    assert await reader.services(shop, since=minute(5)) == []


@pytest.mark.parametrize(
    ("conditions", "traces"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 2}, [4, 3]),
        ({"service": "cart"}, [4, 3, 2, 1]),
        ({"service": "cart", "operation": "GET /"}, []),
        ({"operation": "add", "status": "Error"}, [2]),
        ({"min_duration_nano": 500_000_000}, [3]),
        ({"attributes": {"user": "u1"}}, [1]),
        ({"attributes": {"user": "u1", "http.route": "/x"}}, []),
        ({"attributes": {"host.name": "h1"}, "status": "Error"}, [2]),
        ({"since": minute(3)}, [4, 3]),
        ({"until": minute(3)}, [2, 1]),
        ({"service": "it's \\ {x:String} %"}, []),
    ],
    ids=str,
)
async def test_traces_are_found(shop, conditions, traces):
    found = await reader.find_traces(shop, **conditions)

    assert [int(summary.trace_id, 16) for summary in found] == traces


async def test_a_trace_in_a_list_is_summed_up(shop):
    [summary] = await reader.find_traces(shop, status="Error")

    assert summary == reader.TraceSummary(
        trace_id=(2).to_bytes(16, "big").hex(),
        service="front",
        name="GET /",
        start_unix_nano=minute(2),
        duration_nano=100_000_000,
        spans=2,
        errors=1,
        services=("cart", "front"),
    )


async def test_the_spans_of_a_trace(shop):
    root, child = await reader.trace_spans(shop, (2).to_bytes(16, "big").hex())

    assert (root.service, root.name, root.kind, root.parent_span_id) == ("front", "GET /", "Server", "")
    assert root.attributes == {"http.route": "/", "user": "u2"}
    assert (child.parent_span_id, child.duration_nano, child.status) == (root.span_id, 1_000_000, "Error")
    assert child.resource == {"service.name": "cart", "host.name": "h1"}
    assert child.events == (reader.SpanEvent(minute(2) + 1_500_000, "retry", {"n": "1"}),)


@pytest.mark.parametrize(
    ("conditions", "records"),
    [
        ({}, [1, 2, 3, 4]),
        ({"limit": 2}, [3, 4]),
        ({"grep": "ITEM_3"}, [3]),
        ({"grep": "100%"}, [1, 2, 3, 4]),
        ({"grep": "item%3"}, []),
        ({"grep": "itemX3"}, []),
        ({"severity": 13}, [2]),
        ({"trace_id": (3).to_bytes(16, "big").hex().upper()}, [3]),
        ({"service": "front"}, []),
        ({"attributes": {"user": "u1", "host.name": "h1"}}, [1]),
        ({"since": minute(2), "until": minute(4)}, [2, 3]),
    ],
    ids=str,
)
async def test_log_records_are_found_oldest_first(shop, conditions, records):
    found = await reader.find_logs(shop, **conditions)

    assert [record.body for record in found] == [f"Added 100% of item_{number}" for number in records]
    back = ExportLogsServiceRequest.FromString(await reader.logs_request(shop, **conditions))
    assert sum(len(scoped.log_records) for owner in back.resource_logs for scoped in owner.scope_logs) == len(records)


async def test_a_log_record_without_severity_text_has_the_name_of_its_number(shop):
    [record] = await reader.find_logs(shop, severity=17)

    assert (record.severity, record.severity_number, record.service) == ("ERROR", 17, "cart")


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({}, 1),
        ({"search": "SERVER"}, 1),
        ({"search": "nothing"}, 0),
        ({"service": "front"}, 0),
        ({"since": ARRIVED + 3600 * SECOND}, 0),
    ],
    ids=str,
)
async def test_metric_names(shop, conditions, count):
    found = await reader.metric_names(shop, **conditions)

    assert len(found) == count
    for metric in found:
        assert (metric.otel_name, metric.kind, metric.unit, metric.temporality) == (
            METRIC["name"],
            "sum",
            "ms",
            "cumulative",
        )
        assert (metric.monotonic, metric.help, metric.series) == (True, "How long", 2)
        assert metric.last_unix_s == ARRIVED // SECOND


async def test_a_series_that_was_registered_before_in_the_hour_counts(tables, reference):
    hour = NOW // (3600 * SECOND) * 3600 * SECOND
    points = [NumberDataPoint(time_unix_nano=hour + m * 60 * SECOND, as_int=m) for m in (1, 59)]
    store(tables, reference, "metrics", request("metrics", gauge(*points)), arrived=hour + 60 * SECOND)

    async def seen(since: int) -> tuple[int, int]:
        return len(await reader.metric_names(tables, since=since)), len(await reader.services(tables, since=since))

    assert await seen(hour + 50 * 60 * SECOND) == (1, 1)
    assert await seen(hour + 59 * 60 * SECOND + 1) == (0, 0)


async def test_the_points_of_a_metric_by_series(shop):
    [metric] = await reader.metric_names(shop)
    found = await reader.metric_points(shop, metric.name)

    assert found == await reader.metric_points(shop, metric.otel_name)
    assert sorted(series.labels["path"] for series in found) == ["a", "b"]
    assert {series.points for series in found} == {tuple((minute(n), n * 10.0) for n in range(1, 5))}

    [narrowed] = await reader.metric_points(shop, metric.name, labels={"path": "b"}, since=minute(2), until=minute(4))
    assert narrowed.points == ((minute(2), 20.0), (minute(3), 30.0))
    assert await reader.metric_points(shop, "no.such.metric") == []


async def test_of_the_points_within_a_step_the_last_is_given(shop):
    [series] = await reader.metric_points(shop, METRIC["name"], labels={"path": "a"}, step_nano=1 << 62)

    assert series.points == ((minute(4), 40.0),)


async def test_a_point_that_is_no_finite_number_is_given_as_it_is(tables, reference):
    values = (math.inf, -math.inf, math.nan, 1e-300)
    points = [NumberDataPoint(time_unix_nano=NOW + i * SECOND, as_double=value) for i, value in enumerate(values)]
    store(tables, reference, "metrics", request("metrics", Metric(name="g", gauge={"data_points": points})))

    [series] = await reader.metric_points(tables, "g")

    assert str([value for _, value in series.points]) == "[inf, -inf, nan, 1e-300]"


async def test_the_deltas_within_a_step_are_summed(tables, reference):
    values: list[dict[str, Any]] = [{"as_double": 1.0}, {"as_double": 2.0}, {"flags": 1}, {"as_double": 4.0}]
    points = [NumberDataPoint(time_unix_nano=NOW + i * SECOND, **value) for i, value in enumerate(values)]
    delta = Metric(name="d", sum={"data_points": points, "aggregation_temporality": 1, "is_monotonic": True})
    store(tables, reference, "metrics", request("metrics", delta))

    [whole] = await reader.metric_points(tables, "d", step_nano=1 << 62)
    [single] = await reader.metric_points(tables, "d")

    assert [value for _, value in whole.points] == [7.0]
    assert [value for _, value in single.points] == [1.0, 2.0, 4.0]


async def test_no_query_joins_distributed_tables_in_a_way_that_a_cluster_refuses(shop, monkeypatch):
    asked: list[str] = []

    async def rows(sql: str, *, parameters: Any = None) -> list[dict[str, Any]]:
        asked.append(sql)
        return shop.query(sql, parameters)

    monkeypatch.setattr(shop, "rows", rows)
    await reader.metrics_request(shop, name=METRIC["name"])

    subqueries = [sql for sql in asked if "IN (SELECT" in sql]
    assert len(subqueries) == 4
    assert all("GLOBAL IN (SELECT" in sql for sql in subqueries)


async def test_metrics_come_back_of_the_series_that_have_the_labels(shop):
    back = ExportMetricsServiceRequest.FromString(await reader.metrics_request(shop, labels={"path": "b"}))

    [metric] = back.resource_metrics[0].scope_metrics[0].metrics
    assert [point.as_int for point in metric.sum.data_points] == [10, 20, 30, 40]
    assert {attribute.value.string_value for point in metric.sum.data_points for attribute in point.attributes} == {"b"}


@pytest.mark.parametrize(
    ("prefix", "limit", "found"),
    [("", 10, [1, 2, 3, 4]), ("0" * 31, 2, [1, 2]), ("0" * 31 + "3", 10, [3]), ("F", 10, []), ("'", 10, [])],
)
async def test_trace_ids_by_their_beginning(shop, prefix, limit, found):
    assert [int(one, 16) for one in await reader.trace_ids(shop, prefix, limit=limit)] == found


async def test_several_traces_come_back_in_one_request(shop):
    ids = [number.to_bytes(16, "big").hex().upper() for number in (1, 3)]
    back = await reader.traces_request(shop, [*ids, "it's \\ none"])

    spans = [Span.FromString(item[4]) for item in items("traces", back)]
    assert sorted((int.from_bytes(one.trace_id, "big"), one.name) for one in spans) == [
        (1, "GET /"),
        (1, "add"),
        (3, "GET /"),
        (3, "add"),
    ]
    assert await reader.traces_request(shop, []) == b""


async def test_many_traces_are_asked_for_in_parts(shop, monkeypatch):
    monkeypatch.setattr(reader, "_MOST_IDS", 3)
    ids = [summary.trace_id for summary in await reader.find_traces(shop)]

    assert [int(one, 16) for one in ids] == [4, 3, 2, 1]
    starts = [Span.FromString(item[4]) for item in items("traces", await reader.traces_request(shop, ids))]
    assert len(starts) == 8


async def test_a_histogram_is_read_as_its_count_and_stale_points_are_left_out(tables, reference):
    gone = NumberDataPoint(time_unix_nano=NOW + SECOND, flags=1)
    store(
        tables,
        reference,
        "metrics",
        request(
            "metrics", FULL_METRICS["summary"], gauge(NumberDataPoint(time_unix_nano=NOW, as_double=2), gone, name="g")
        ),
    )
    [summary] = await reader.metric_points(tables, METRIC["name"])
    [numbers] = await reader.metric_points(tables, "g")

    assert (summary.kind, summary.points) == ("summary", ((NOW + 7, 3.0),))
    assert numbers.points == ((NOW, 2.0),)


async def test_totals_of_every_table(shop):
    found = {total.table: total for total in await reader.totals(shop)}

    assert {table: total.rows for table, total in found.items()} == {
        "otel_traces": 8,
        "otel_logs": 4,
        "metric_series": 2,
        "metric_samples": 8,
        "metric_histograms": 0,
        "metric_summaries": 0,
        "metric_exemplars": 0,
    }
    traces = found["otel_traces"]
    assert (traces.oldest_unix_s, traces.newest_unix_s) == (minute(1) // SECOND, minute(4) // SECOND)
    assert traces.size_bytes > 0
    assert found["metric_summaries"] == reader.TableTotals("metric_summaries", 0, 0, None, None)
