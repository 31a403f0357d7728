"""What becomes of a remote-write request, from the specifications; on both back ends."""

from types import ModuleType
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from airis.data.malformed import MalformedPayload
from airis.proto.remote_write import METRIC_TYPES

from .remote_write_requests import NOW, STALE, Labels, Request, custom, histogram, sample

VERSIONS = pytest.mark.parametrize("version", [1, 2])
ROOM = 1 << 20
NANO = NOW * 10**6
UP = {"__name__": "up", "instance": "a:1", "job": "shop"}
TARGET = {"__name__": "target_info", "instance": "a:1", "job": "shop", "k8s_pod_name": "p", "service.name": "other"}


def convert(kernels: ModuleType, request: Request, announced: Any = None) -> tuple[Any, Any]:
    """What became of it, and the message."""
    written = kernels.from_remote_write(request.version, request.body(), announced or kernels.Announced(), ROOM)
    return written, ExportMetricsServiceRequest.FromString(written.payload)


def metrics_of(message: Any) -> list[Any]:
    return [m for owner in message.resource_metrics for scope in owner.scope_metrics for m in scope.metrics]


def texts(attributes: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in attributes}


def only_point(kernels: ModuleType, request: Request) -> Any:
    (metric,) = metrics_of(convert(kernels, request)[1])
    (point,) = getattr(metric, metric.WhichOneof("data")).data_points
    return point


@VERSIONS
@pytest.mark.parametrize(
    ("type_name", "name", "data", "is_monotonic"),
    [
        ("unknown", "x", "gauge", None),
        ("gauge", "x", "gauge", None),
        ("counter", "x_total", "sum", True),
        ("info", "x_info", "sum", False),
        ("stateset", "x", "sum", False),
        ("histogram", "x_bucket", "sum", True),
        ("histogram", "x_sum", "sum", True),
        ("histogram", "x_count", "sum", True),
        ("histogram", "x", "gauge", None),
        ("gaugehistogram", "x_bucket", "gauge", None),
        ("summary", "x", "gauge", None),
        ("summary", "x_count", "sum", True),
        ("summary", "x_bucket", "gauge", None),
    ],
)
def test_the_type_decides_what_a_series_is(kernels, version, type_name, name, data, is_monotonic):
    request = Request(version).series(
        {"__name__": name, "le": "1"}, sample(2.5), type_name=type_name, unit="s", about="h"
    )

    (metric,) = metrics_of(convert(kernels, request)[1])

    assert (metric.name, metric.unit, metric.description, metric.WhichOneof("data")) == (name, "s", "h", data)
    assert texts(metric.metadata) == {"prometheus.type": type_name}
    if data == "sum":
        assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (is_monotonic, 2)
    (point,) = getattr(metric, data).data_points
    assert (point.as_double, point.time_unix_nano, texts(point.attributes)) == (2.5, NANO, {"le": "1"})


@pytest.mark.parametrize(
    ("family", "type_name", "series", "data"),
    [
        ("x", "counter", "x_total", "sum"),
        ("x", "counter", "x_count", "gauge"),
        ("x", "histogram", "x_bucket", "sum"),
        ("x", "histogram", "x_gsum", "gauge"),
        ("x", "gaugehistogram", "x_gcount", "gauge"),
        ("x", "info", "x_info", "sum"),
        ("", "counter", "_total", "gauge"),
    ],
)
def test_a_family_of_1_0_is_that_of_the_series_its_type_has(kernels, family, type_name, series, data):
    request = Request(1).series({"__name__": series}, sample()).family(family, type_name, "h")

    (metric,) = metrics_of(convert(kernels, request)[1])

    assert metric.WhichOneof("data") == data
    is_of_family = (data == "sum" or series == "x_gcount") and texts(metric.metadata)["prometheus.type"] == type_name
    assert metric.description == ("h" if is_of_family else "")


@VERSIONS
@pytest.mark.parametrize(
    ("job", "identity"),
    [
        ("shop", {"service.name": "shop"}),
        ("eu/shop", {"service.namespace": "eu", "service.name": "shop"}),
        ("a/b/c", {"service.name": "a/b/c"}),
        ("/b", {"service.name": "b"}),
        ("", {}),
    ],
)
def test_job_and_instance_are_the_resource(kernels, version, job, identity):
    request = Request(version).series({**UP, "job": job}, sample())

    _, message = convert(kernels, request)

    assert texts(message.resource_metrics[0].resource.attributes) == {**identity, "service.instance.id": "a:1"}


@VERSIONS
def test_series_of_one_target_share_a_resource_and_of_one_name_a_metric(kernels, version):
    request = Request(version)
    for instance in ("a", "b", "a"):
        for name in ("x", "y"):
            request.series({"__name__": name, "instance": instance}, sample())

    _, message = convert(kernels, request)

    shape = [[(m.name, len(m.gauge.data_points)) for m in o.scope_metrics[0].metrics] for o in message.resource_metrics]
    assert shape == [[("x", 2), ("y", 2)], [("x", 1), ("y", 1)]]


@VERSIONS
@pytest.mark.parametrize("place", ["before", "behind", "earlier request"])
def test_target_info_describes_the_resource_and_is_no_metric(kernels, version, place):
    announced = kernels.Announced()
    request = Request(version)
    if place == "earlier request":
        written, message = convert(kernels, Request(version).series(TARGET, sample()), announced)
        assert (written.samples, written.items, metrics_of(message)) == (1, 0, [])
        announced.add(written)
        assert len(announced) == 1
    if place == "before":
        request.series(TARGET, sample())
    request.series(UP, sample())
    if place == "behind":
        request.series(TARGET, sample())

    _, message = convert(kernels, request, announced)

    assert texts(message.resource_metrics[0].resource.attributes) == {
        "service.name": "shop",
        "service.instance.id": "a:1",
        "k8s_pod_name": "p",
    }
    assert [metric.name for metric in metrics_of(message)] == ["up"]


@VERSIONS
def test_a_target_that_went_away_is_forgotten(kernels, version):
    announced = kernels.Announced()
    for value in (1.0, STALE):
        announced.add(convert(kernels, Request(version).series(TARGET, sample(value)), announced)[0])

    _, message = convert(kernels, Request(version).series(UP, sample()), announced)

    assert "k8s_pod_name" not in texts(message.resource_metrics[0].resource.attributes)


@VERSIONS
def test_target_info_of_no_target_stays_a_metric(kernels, version):
    (metric,) = metrics_of(
        convert(kernels, Request(version).series({"__name__": "target_info", "a": "b"}, sample()))[1]
    )

    assert metric.name == "target_info"


def test_what_is_announced_takes_no_more_than_its_room(kernels):
    announced = kernels.Announced(2000)
    for index in range(100):
        request = Request(2).series({**TARGET, "instance": f"{index:03}"}, sample())
        announced.add(convert(kernels, request, announced)[0])

    assert 5 <= len(announced) <= 13
    _, message = convert(kernels, Request(2).series({**UP, "instance": "099"}, sample()), announced)
    assert "k8s_pod_name" in texts(message.resource_metrics[0].resource.attributes)


@VERSIONS
@pytest.mark.parametrize(
    ("labels", "scope"),
    [
        ({}, ("airis.receivers.prometheus_remote_write", "", "", {})),
        ({"otel_scope_name": "n", "otel_scope_version": "1"}, ("n", "1", "", {})),
        ({"otel_scope_version": "1"}, ("", "1", "", {})),
        ({"otel_scope_name": "n", "otel_scope_schema_url": "u", "otel_scope_k": "v"}, ("n", "", "u", {"k": "v"})),
    ],
)
def test_labels_of_the_scope_are_the_scope(kernels, version, labels, scope):
    _, message = convert(kernels, Request(version).series({**UP, **labels}, sample()))

    (scoped,) = message.resource_metrics[0].scope_metrics
    assert (scoped.scope.name, scoped.scope.version, scoped.schema_url, texts(scoped.scope.attributes)) == scope
    assert not scoped.metrics[0].gauge.data_points[0].attributes


@VERSIONS
def test_a_stale_marker_is_a_point_without_a_recorded_value(kernels, version):
    point = only_point(kernels, Request(version).series(UP, sample(STALE)))

    assert (point.WhichOneof("value"), point.flags) == (None, 1)


@VERSIONS
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0])
def test_other_values_that_are_no_numbers_stay(kernels, version, value):
    point = only_point(kernels, Request(version).series(UP, sample(value)))

    assert (repr(point.as_double), point.flags) == (repr(value), 0)


@pytest.mark.parametrize(
    ("own", "of_series", "start"),
    [(NOW - 7, 0, NANO - 7 * 10**6), (0, NOW - 9, NANO - 9 * 10**6), (NOW - 7, NOW - 9, NANO - 7 * 10**6), (-1, 0, 0)],
)
def test_a_point_starts_when_it_says_else_when_its_series_does(kernels, own, of_series, start):
    numbers = Request(2).series(UP, sample(start_timestamp=own), created=of_series)
    histograms = Request(2).series(UP, histograms=[histogram(start_timestamp=own)], created=of_series)

    assert only_point(kernels, numbers).start_time_unix_nano == start
    assert only_point(kernels, histograms).start_time_unix_nano == start


@VERSIONS
def test_a_native_histogram_is_an_exponential_one(kernels, version):
    sides = {
        "negative_spans": [{"offset": -1, "length": 2}],
        "negative_deltas": [3, -1],
        "count_int": 9,
    }
    request = Request(version).series(UP, histograms=[histogram(**sides)], type_name="histogram")

    (metric,) = metrics_of(convert(kernels, request)[1])

    assert metric.exponential_histogram.aggregation_temporality == 2
    (point,) = metric.exponential_histogram.data_points
    assert (point.count, point.sum, point.scale) == (9, 6.5, 3)
    assert (point.zero_count, point.zero_threshold) == (1, 1e-9)
    assert (point.positive.offset, list(point.positive.bucket_counts)) == (1, [1, 0, 2])
    assert (point.negative.offset, list(point.negative.bucket_counts)) == (-2, [3, 2])


@VERSIONS
def test_a_histogram_of_whole_floats_is_one_of_integers(kernels, version):
    floats = histogram(
        count_int=None, count_float=4.0, zero_count_int=None, zero_count_float=1.0, positive_deltas=None,
        positive_counts=[1.0, 2.0],
    )  # fmt: skip
    point = only_point(kernels, Request(version).series(UP, histograms=[floats]))

    assert (point.count, point.zero_count, list(point.positive.bucket_counts)) == (4, 1, [1, 0, 2])


@VERSIONS
def test_custom_buckets_are_explicit_ones(kernels, version):
    (metric,) = metrics_of(convert(kernels, Request(version).series(UP, histograms=[custom()]))[1])

    (point,) = metric.histogram.data_points
    assert (point.count, point.sum) == (3, 6.5)
    assert (list(point.explicit_bounds), list(point.bucket_counts)) == ([0.5, 1.0], [1, 0, 2])


@VERSIONS
@pytest.mark.parametrize("make", [histogram, custom])
def test_a_stale_histogram_is_a_point_without_a_recorded_value(kernels, version, make):
    point = only_point(kernels, Request(version).series(UP, histograms=[make(sum=STALE)]))

    assert (point.flags, point.count, point.HasField("sum")) == (1, 0, False)


@VERSIONS
@pytest.mark.parametrize(
    ("reason", "made"),
    [
        ("histogram_schema", histogram(schema=-5)),
        ("histogram_schema", histogram(schema=53)),
        ("time", histogram(timestamp=0)),
        ("histogram_gauge", histogram(reset_hint=3)),
        ("histogram_buckets", histogram(positive_deltas=[1])),
        ("histogram_buckets", histogram(positive_deltas=[1, -2])),
        ("histogram_buckets", histogram(positive_spans=[{"offset": 0, "length": 1}, {"offset": -1, "length": 1}])),
        ("histogram_buckets", histogram(custom_values=[1.0])),
        ("histogram_count", histogram(count_int=5)),
        ("histogram_count", histogram(count_int=3, sum=float("nan"))),
        ("histogram_width", histogram(positive_spans=[{"offset": 0, "length": 1}, {"offset": 20_000, "length": 1}])),
        ("histogram_fraction", histogram(count_int=None, count_float=4.5, positive_counts=[1.0, 2.0])),
        ("histogram_fraction", histogram(count_int=None, count_float=4.0, positive_counts=[1.5, 2.0])),
        ("histogram_buckets", histogram(count_int=None, count_float=4.0, positive_counts=[-1.0, 2.0])),
        ("histogram_buckets", custom(custom_values=[1.0, 1.0])),
        ("histogram_buckets", custom(custom_values=[1.0, float("inf")])),
        ("histogram_buckets", custom(custom_values=[1.0])),
        ("histogram_buckets", custom(zero_threshold=0.5)),
    ],
)
def test_a_histogram_that_makes_no_sense_is_left_out_alone(kernels, version, reason, made):
    written, message = convert(kernels, Request(version).series({"__name__": "h"}, histograms=[made, histogram()]))

    assert (written.histograms, written.items, written.left_out) == (1, 1, {reason: (1, "h")})
    assert len(metrics_of(message)) == 1


@VERSIONS
def test_as_many_buckets_as_are_allowed_are_taken(kernels, version):
    spans = [{"offset": 0, "length": 1}, {"offset": 16_382, "length": 1}]
    point = only_point(kernels, Request(version).series(UP, histograms=[histogram(positive_spans=spans)]))

    assert len(point.positive.bucket_counts) == 16_384


@VERSIONS
def test_observations_that_are_no_numbers_are_in_no_bucket(kernels, version):
    point = only_point(kernels, Request(version).series(UP, histograms=[histogram(count_int=9, sum=float("nan"))]))

    assert point.count == 9


TRACE, SPAN = "0AF7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@VERSIONS
@pytest.mark.parametrize(
    ("labels", "trace_id", "span_id", "attributes"),
    [
        ({"trace_id": TRACE, "span_id": SPAN, "a": "b"}, TRACE.lower(), SPAN, {"a": "b"}),
        ({"trace_id": "0" * 32, "span_id": "12"}, "", "", {"trace_id": "0" * 32, "span_id": "12"}),
        ({"a": ""}, "", "", {}),
    ],
)
def test_an_exemplar_has_the_ids_that_are_some(kernels, version, labels: Labels, trace_id, span_id, attributes):
    written, message = convert(kernels, Request(version).series(UP, sample(), exemplars=[(labels, 0.5, NOW)]))

    (exemplar,) = metrics_of(message)[0].gauge.data_points[0].exemplars
    assert (exemplar.as_double, exemplar.time_unix_nano, written.exemplars) == (0.5, NANO, 1)
    assert (exemplar.trace_id.hex(), exemplar.span_id.hex()) == (trace_id, span_id)
    assert texts(exemplar.filtered_attributes) == attributes


@VERSIONS
def test_exemplars_belong_to_the_first_point_at_their_time_or_later(kernels, version):
    points = [sample(timestamp=NOW), sample(timestamp=NOW + 1000)]
    times = (NOW - 1, NOW, NOW + 1, NOW + 1000, NOW + 5000)
    request = Request(version).series(UP, *points, exemplars=[({}, float(time - NOW), time) for time in times])

    (metric,) = metrics_of(convert(kernels, request)[1])

    found = [[exemplar.as_double for exemplar in point.exemplars] for point in metric.gauge.data_points]
    assert found == [[-1.0, 0.0], [1.0, 1000.0, 5000.0]]


@VERSIONS
@pytest.mark.parametrize("place", ["before", "behind"])
def test_exemplars_in_a_series_of_their_own_find_their_point(kernels, version, place):
    request = Request(version)
    for is_point in (True, False) if place == "behind" else (False, True):
        points = [sample()] if is_point else []
        request.series(UP, *points, exemplars=[] if is_point else [({"a": "b"}, 1.0, NOW)])

    written, message = convert(kernels, request)

    assert len(metrics_of(message)[0].gauge.data_points[0].exemplars) == written.exemplars == 1
    assert written.left_out == {}


@VERSIONS
def test_exemplars_without_a_point_are_counted(kernels, version):
    written, message = convert(kernels, Request(version).series(UP, exemplars=[({}, 1.0, NOW)] * 2))

    assert (written.exemplars, written.left_out) == (0, {"exemplar_alone": (2, "up")})
    assert metrics_of(message) == []


@VERSIONS
@pytest.mark.parametrize(
    ("reason", "labels", "name"),
    [
        ("no_name", {"a": "b"}, ""),
        ("no_name", {"__name__": "", "a": "b"}, ""),
        ("label_name", {"__name__": "x", "": "b"}, "x"),
        ("duplicate_label", [("__name__", "x"), ("a", "1"), ("a", "2")], "x"),
        ("duplicate_label", [("a", "1"), ("__name__", "x"), ("a", "1")], "x"),
        ("labels", {"__name__": "x", "a": "b" * (1 << 20)}, "x"),
        ("labels", {"__name__": "x", **{f"l{index}": "v" for index in range(4096)}}, "x"),
    ],
)
def test_a_series_with_bad_labels_is_left_out_alone(kernels, version, reason, labels: Labels, name):
    written, message = convert(kernels, Request(version).series(labels, sample(), sample()).series(UP, sample()))

    assert (written.samples, written.items, written.left_out) == (1, 1, {reason: (2, name)})
    assert [metric.name for metric in metrics_of(message)] == ["up"]


@VERSIONS
def test_labels_need_not_be_sorted_and_those_without_a_value_are_not_there(kernels, version):
    labels = [("z", "1"), ("a", ""), ("__name__", "up"), ("b", "2")]

    point = only_point(kernels, Request(version).series(labels, sample()))

    assert [(attribute.key, attribute.value.string_value) for attribute in point.attributes] == [("b", "2"), ("z", "1")]


@VERSIONS
@pytest.mark.parametrize("timestamp", [0, -1, -(1 << 62), 9_223_372_036_855, (1 << 63) - 1])
def test_a_time_that_otlp_cannot_have_is_left_out_alone(kernels, version, timestamp):
    written, _ = convert(kernels, Request(version).series(UP, sample(timestamp=timestamp), sample()))

    assert (written.samples, written.left_out) == (1, {"time": (1, "up")})


@VERSIONS
def test_a_series_with_nothing_in_it_is_a_fault(kernels, version):
    written, _ = convert(kernels, Request(version).series(UP))

    assert written.left_out == {"empty": (1, "up")}


@pytest.mark.parametrize("change", ["label", "odd", "help", "unit", "exemplar"])
def test_a_symbol_that_there_is_not_is_a_fault(kernels, change):
    request = Request(2).series(UP, sample(), exemplars=[({"a": "b"}, 1.0, NOW)])
    series = request.message.timeseries[0]
    match change:
        case "label":
            series.labels_refs[1] = 99
        case "odd":
            series.labels_refs.append(1)
        case "help":
            series.metadata.help_ref = 99
        case "unit":
            series.metadata.unit_ref = 99
        case _:
            series.exemplars[0].labels_refs[0] = 99

    written, _ = convert(kernels, request)

    if change == "exemplar":
        assert (written.samples, written.left_out) == (1, {"exemplar_labels": (1, "up")})
    else:
        assert written.samples == 0
        assert written.left_out["symbol"][0] == written.left_out["exemplar_alone"][0] == 1


def test_strings_are_mended(kernels):
    body = Request(1).series({"__name__": "up", "a": "bad?"}, sample()).body().replace(b"bad?", b"bad\xff")

    written = kernels.from_remote_write(1, body, kernels.Announced(), ROOM)

    assert written.repaired == 1
    assert "bad\N{REPLACEMENT CHARACTER}".encode() in written.payload


def test_the_longest_help_describes_a_metric(kernels):
    request = Request(2)
    for text in ("of all", "of all requests", "x"):
        request.series({"__name__": "x", "a": text}, sample(), about=text)

    (metric,) = metrics_of(convert(kernels, request)[1])

    assert metric.description == "of all requests"


def test_a_text_that_is_referred_to_often_does_not_fill_the_memory(kernels):
    request = Request(2)
    for _ in range(20):
        request.series({"__name__": "x", "a": "v" * 100_000}, sample())

    with pytest.raises(MalformedPayload, match="larger as OTLP than is allowed"):
        kernels.from_remote_write(2, request.body(), kernels.Announced(), ROOM)


@pytest.mark.parametrize("version", [0, 3])
def test_there_are_two_versions(kernels, version):
    with pytest.raises(ValueError, match=f"no remote write {version}.0"):
        kernels.from_remote_write(version, b"", kernels.Announced(), ROOM)


def series_rows(kernels: ModuleType, request: Request) -> list[tuple[int, int]]:
    """The ids that its points get in the store."""
    written, _ = convert(kernels, request)
    return list(kernels.scan("metrics", written.payload).native(1, kernels.SeriesIndex()).series)


def test_a_series_is_its_labels_whatever_is_known_of_it(kernels):
    (expected,) = series_rows(kernels, Request(1).series(UP, sample()))

    for type_name in METRIC_TYPES:
        request = Request(2).series(UP, sample(), type_name=type_name, about="h", unit="s")
        assert series_rows(kernels, request) == [expected]
    assert series_rows(kernels, Request(2).series({**UP, "a": "b"}, sample())) != [expected]


def test_the_store_has_the_names_and_labels_that_were_sent(kernels):
    labels = {"__name__": "a__b", "job": "j", "_x": "1", "a.b": "2", "otel_scope_name": "n", "otel_scope_k": "v"}
    written, _ = convert(kernels, Request(2).series(labels, sample(), type_name="counter", unit="s"))

    block = kernels.scan("metrics", written.payload).native(1, kernels.SeriesIndex()).tables["metric_series"]

    for text in ("a__b", "_x", "a.b", "otel_scope_name", "otel_scope_k", "job"):
        assert b"%c%b" % (len(text), text.encode()) in block
    for text in ("a_b", "key_x", "a_b_seconds_total"):
        assert b"%c%b" % (len(text), text.encode()) not in block


def test_the_scope_that_was_made_up_is_no_label(kernels):
    written, _ = convert(kernels, Request(2).series(UP, sample()))

    block = kernels.scan("metrics", written.payload).native(1, kernels.SeriesIndex()).tables["metric_series"]

    assert b"otel_scope" not in block
