"""Metric series: what makes one another one, and how often it is registered."""

import struct
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.proto.clickhouse_native import read_blocks

HOUR = 3600 * 10**9
ARRIVED = 1_700_000_000 * 10**9


def text(**values: str) -> list[KeyValue]:
    return [KeyValue(key=key.replace("_", "."), value=AnyValue(string_value=value)) for key, value in values.items()]


INSTANCE = {"service_name": "shop", "service_instance_id": "1"}


def request(
    *points: dict[str, Any],
    resource: dict[str, str] = INSTANCE,
    scope: dict[str, Any] | None = None,
    kind: str = "sum",
    data: dict[str, Any] | None = None,
    **metric: Any,
) -> bytes:
    """A request with the points of one metric."""
    message = ExportMetricsServiceRequest()
    owner = message.resource_metrics.add(resource={"attributes": text(**resource)})
    data = {"data_points": points or [{"as_int": 1}], **(data or {})}
    owner.scope_metrics.add(scope=scope or {}).metrics.add(**{"name": "m", kind: data, **metric})
    return message.SerializeToString()


def native(kernels: Any, payload: bytes, index: Any = None, arrived: int = ARRIVED) -> Any:
    return kernels.scan("metrics", payload).native(arrived, index or kernels.SeriesIndex())


def ids(kernels: Any, payload: bytes) -> list[tuple[int, int]]:
    columns = read_blocks(native(kernels, payload).tables["metric_series"])
    return list(zip(columns["id"], columns["resource_id"], strict=True))


def test_a_series_is_registered_once_in_a_payload(kernels):
    points = [{"attributes": text(path=path), "as_int": number} for number in range(5) for path in "ab"]

    blocks = native(kernels, request(*points))

    assert blocks.rows == {"metric_series": 2, "metric_samples": 10}
    assert dict(blocks.series) == dict.fromkeys(ids(kernels, request(*points)), ARRIVED // HOUR)


def test_a_series_is_registered_once_in_an_hour(kernels):
    index = kernels.SeriesIndex()
    blocks = native(kernels, request(), index)
    again = native(kernels, request(), index)
    assert "metric_series" in again.tables, "blocks that were not stored count for nothing"

    index.add(blocks)

    assert len(index) == 1
    rest = ARRIVED - ARRIVED % HOUR
    assert "metric_series" not in native(kernels, request(), index, rest + HOUR - 1).tables
    assert "metric_series" not in native(kernels, request(), index, rest - HOUR).tables
    later = native(kernels, request(), index, rest + HOUR)
    assert later.rows == {"metric_series": 1, "metric_samples": 1}
    index.add(later)
    assert len(index) == 1
    assert "metric_series" not in native(kernels, request(), index, rest + HOUR).tables


def test_what_is_oldest_is_forgotten_first(kernels):
    index = kernels.SeriesIndex(capacity=3)
    old, new = ([{"attributes": text(path=f"{kind}{i}"), "as_int": i} for i in range(2)] for kind in ("old", "new"))
    index.add(native(kernels, request(*old), index))
    index.add(native(kernels, request(*new), index, ARRIVED + HOUR))

    assert len(index) == 2
    assert "metric_series" not in native(kernels, request(*new), index, ARRIVED + HOUR).tables
    assert native(kernels, request(*old), index, ARRIVED + HOUR).rows["metric_series"] == 2


def test_more_series_than_there_is_room_for_are_registered_again(kernels):
    index = kernels.SeriesIndex(capacity=3)
    for number in range(4):
        index.add(native(kernels, request({"attributes": text(path=str(number)), "as_int": 1}), index))
        assert len(index) <= 3

    assert len(index) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"name": "n"},
        {"unit": "s"},
        {"kind": "gauge"},
        {"data": {"is_monotonic": True}},
        {"data": {"aggregation_temporality": 1}},
        {"resource": {**INSTANCE, "service_instance_id": "2"}},
        {"resource": {**INSTANCE, "service_namespace": "eu"}},
        {"scope": {"name": "lib"}},
        {"scope": {"version": "1"}},
        {"scope": {"attributes": text(a="b")}},
    ],
    ids=str,
)
def test_what_makes_a_series_another_one(kernels, other):
    assert ids(kernels, request())[0][0] != ids(kernels, request(**other))[0][0]


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ({"as_int": 1}, {"as_double": 1.0}),
        ({"attributes": text(a="1")}, {"attributes": text(a="2")}),
        ({"attributes": text(a="1")}, {"attributes": text(b="1")}),
        ({"attributes": text(a="1")}, {"attributes": [KeyValue(key="a", value=AnyValue(int_value=1))]}),
        ({"attributes": text(a="1", b="")}, {"attributes": text(a="1")}),
        ({"attributes": text(a="b", c="")}, {"attributes": text(a="", bc="")}),
    ],
    ids=str,
)
def test_what_makes_a_series_of_one_metric_another_one(kernels, one, another):
    assert len(set(ids(kernels, request(one, another)))) == 2


@pytest.mark.parametrize(
    "same",
    [
        {"resource": {**INSTANCE, "service_version": "2"}},
        {"description": "d"},
        {"metadata": text(a="b")},
    ],
    ids=str,
)
def test_what_a_series_survives(kernels, same):
    assert ids(kernels, request())[0][0] == ids(kernels, request(**same))[0][0]


def test_the_order_of_attributes_does_not_count(kernels):
    assert ids(kernels, request({"attributes": text(a="1", b="2")})) == ids(
        kernels, request({"attributes": text(b="2", a="1")})
    )


def sample_ids(blocks: Any) -> list[int]:
    return list(read_blocks(blocks.tables["metric_samples"])["id"])


KNOWN = request({"attributes": text(a="1", b="2"), "as_int": 1})


@pytest.mark.parametrize(
    "payload",
    [
        KNOWN,
        request({"attributes": text(b="2", a="1"), "as_int": 1}),
        request({"attributes": text(a="1", b="2"), "as_double": 1.0}),
        request({"attributes": text(a="1", b="3"), "as_int": 1}),
        request({"attributes": text(a="1"), "as_int": 1}),
        request({"attributes": text(a="1", b="2", c="3"), "as_int": 1}),
        request({"as_int": 1}),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, name="n"),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, unit="s"),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, kind="gauge"),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, data={"is_monotonic": True}),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, scope={"name": "lib"}),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, resource={**INSTANCE, "service_instance_id": "2"}),
        request({"attributes": text(a="1", b="2"), "as_int": 1}, resource={**INSTANCE, "service_version": "2"}),
        request({"attributes": text(a="1", b="2"), "as_int": 7, "start_time_unix_nano": 3, "flags": 1}),
    ],
    ids=range(15),
)
def test_what_is_known_changes_nothing_but_what_is_registered(kernels, payload):
    index = kernels.SeriesIndex()
    for known in (KNOWN, request(), request({"attributes": text(b="2", a="1"), "as_double": 1.0})):
        index.add(native(kernels, known, index))
    unknowing = native(kernels, payload)

    blocks = native(kernels, payload, index)
    assert blocks.tables["metric_samples"] == unknowing.tables["metric_samples"]
    expected = {key: hour for key, hour in unknowing.series.items() if key not in known_keys(kernels)}
    assert dict(blocks.series) == expected

    index.add(blocks)
    assert native(kernels, payload, index).tables == {"metric_samples": unknowing.tables["metric_samples"]}
    assert native(kernels, payload, index, ARRIVED + HOUR).rows["metric_series"] == 1


def known_keys(kernels: Any) -> set[tuple[int, int]]:
    known = (KNOWN, request(), request({"attributes": text(b="2", a="1"), "as_double": 1.0}))
    return {key for payload in known for key in native(kernels, payload).series}


def test_attributes_that_do_not_stand_together_are_of_the_same_series(kernels):
    """Fields of a message may come in any order, and protobuf joins those of messages that are sent in parts."""
    index = kernels.SeriesIndex()
    index.add(native(kernels, KNOWN, index))
    whole = ExportMetricsServiceRequest.FromString(KNOWN)
    point = whole.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0]
    first, second = (b"\x3a" + bytes([each.ByteSize()]) + each.SerializeToString() for each in point.attributes)
    time = b"\x19" + (5).to_bytes(8, "little")
    value = b"\x31" + (1).to_bytes(8, "little")
    for parts in ([first, time, second, value], [time, first, second, value], [first, second, time, value]):
        data = b"".join(parts)
        message = b"\x0a" + bytes([len(data)]) + data  # Sum.data_points
        metric = b"\x0a\x01m" + b"\x3a" + bytes([len(message)]) + message
        scope = b"\x12" + bytes([len(metric)]) + metric
        resource = whole.resource_metrics[0].resource.SerializeToString()
        owner = b"\x0a" + bytes([len(resource)]) + resource + b"\x12" + bytes([len(scope)]) + scope
        payload = b"\x0a" + bytes([len(owner)]) + owner

        assert native(kernels, payload, index).rows == {"metric_samples": 1}
        assert sample_ids(native(kernels, payload, index)) == sample_ids(native(kernels, KNOWN))


@pytest.mark.parametrize(
    ("kind", "table", "points"),
    [
        ("histogram", "metric_histograms", [{"explicit_bounds": [0.5]}, {"explicit_bounds": [1.0]}, {}]),
        ("histogram", "metric_histograms", [{"explicit_bounds": [0.5, 1.0]}, {"explicit_bounds": [0.5]}]),
        ("exponential_histogram", "metric_histograms", [{"scale": 1}, {"attributes": text(a="1")}]),
        ("summary", "metric_summaries", [{"attributes": text(a="1")}, {"attributes": text(a="2")}]),
    ],
    ids=["bounds", "fewer bounds", "exponential", "summary"],
)
def test_points_of_every_kind_are_of_the_same_series_once_it_is_known(kernels, kind, table, points):
    payload = request(*points, kind=kind)
    index = kernels.SeriesIndex()
    unknowing = native(kernels, payload, index)
    assert unknowing.rows == {"metric_series": len(points), table: len(points)}
    index.add(unknowing)

    assert native(kernels, payload, index).tables == {table: unknowing.tables[table]}


def test_bounds_are_not_taken_for_attributes(kernels):
    """The bytes of a bound may be those of an attribute."""
    one, other = KeyValue(key="one"), KeyValue(key="four")
    sent = b"\x4a" + bytes([other.ByteSize()]) + other.SerializeToString()
    assert len(sent) == 8
    index = kernels.SeriesIndex()
    bounded = {"attributes": [one], "explicit_bounds": struct.unpack("<d", sent)}
    index.add(native(kernels, request(bounded, kind="histogram"), index))

    for attributes in ([one, other], [other, one]):
        rows = native(kernels, request({"attributes": attributes}, kind="histogram"), index).rows
        assert rows == {"metric_series": 1, "metric_histograms": 1}


def test_without_an_instance_the_whole_resource_counts(kernels):
    one, another = ({"service_name": "shop", "host_name": host} for host in "ab")

    assert ids(kernels, request(resource=one))[0][0] != ids(kernels, request(resource=another))[0][0]


def test_another_variant_of_a_resource_is_another_row_of_the_series(kernels):
    index = kernels.SeriesIndex()
    index.add(native(kernels, request(), index))

    [(known, first)] = ids(kernels, request())
    blocks = native(kernels, request(resource={**INSTANCE, "service_version": "2"}), index)

    [(series, resource)] = blocks.series
    assert series == known
    assert resource != first
    index.add(blocks)
    assert len(index) == 2


def test_bounds_of_a_histogram_belong_to_its_series(kernels):
    one, another = ({"explicit_bounds": [bound], "bucket_counts": [1, 2]} for bound in (0.5, 1.0))

    assert len(set(ids(kernels, request(one, another, one, kind="histogram")))) == 2


def test_labels_are_the_attributes_in_prometheus_spelling(kernels):
    point = {
        "attributes": [
            *text(**{"http_route": "/", "http/route": "x"}),
            KeyValue(key="1st", value=AnyValue(bool_value=True)),
            KeyValue(key="_p", value=AnyValue(double_value=0.5)),
            KeyValue(key="job", value=AnyValue(string_value="mine")),
            KeyValue(key="ü", value=AnyValue()),
        ],
        "as_int": 1,
    }

    columns = read_blocks(native(kernels, request(point)).tables["metric_series"])

    assert columns["labels"] == [
        [
            ("http_route", "/;x"),
            ("instance", "1"),
            ("job", "shop"),
            ("key_", ""),
            ("key_1st", "true"),
            ("key_p", "0.5"),
        ]
    ]
