"""What OTLP metrics are as Prometheus' samples, from the specifications; on both back ends."""

import struct
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from airis.proto.prometheus_names import STRATEGIES
from airis.proto.remote_write import METRIC_TYPES, request_class

from .remote_write_requests import NOW, STALE, Request, custom, histogram, sample

NANO = NOW * 10**6
ROOM = 1 << 20
DELTA, CUMULATIVE = 1, 2


class Metrics:
    """A request in the making, of one resource and one scope."""

    def __init__(self, **resource: str) -> None:
        self.message = ExportMetricsServiceRequest()
        owner = self.message.resource_metrics.add()
        for key, value in resource.items():
            owner.resource.attributes.add(key=key.replace("__", ".")).value.string_value = value
        self.scope = owner.scope_metrics.add()

    def add(self, kind: str, name: str = "m", unit: str = "", *, temporality: int = CUMULATIVE, **point: Any) -> Any:
        """Add a metric with one point; gives the point."""
        metric = self.scope.metrics.add(name=name, unit=unit, description="h")
        data = getattr(metric, "sum" if kind == "counter" else kind)
        if kind not in ("gauge", "summary"):
            data.aggregation_temporality = temporality
        if kind == "counter":
            data.is_monotonic = True
        attributes = point.pop("attributes", {})
        made = data.data_points.add(time_unix_nano=NANO, **point)
        for key, value in attributes.items():
            made.attributes.add(key=key).value.string_value = value
        return made


def samples_of(kernels: ModuleType, metrics: Metrics, **options: Any) -> Any:
    return kernels.samples(kernels.scan("metrics", metrics.message.SerializeToString()), 1, **options)


def read(made: Any) -> dict[str, float]:
    """Values by series, as Prometheus writes them; a stale marker is "stale"."""
    series, values = memoryview(made.series).cast("I"), memoryview(made.values).cast("d")
    return {text(made.labels(number)): value for number, value in zip(series, values, strict=True)}


def text(labels: list[tuple[str, str]]) -> str:
    named = dict(labels)
    name = named.pop("__name__")
    return name + ("{" + ",".join(f'{key}="{value}"' for key, value in named.items()) + "}" if named else "")


@pytest.mark.parametrize(
    ("kind", "name", "unit", "names"),
    [
        ("gauge", "a.b", "s", ("a_b_seconds", "a_b", "a.b_seconds", "a.b")),
        ("gauge", "cpu", "1", ("cpu_ratio", "cpu", "cpu_ratio", "cpu")),
        ("counter", "req", "1", ("req_total", "req", "req_total", "req")),
        ("counter", "a.total", "By/s", ("a_bytes_per_second_total", "a_total", "a_bytes_per_second_total", "a.total")),
        ("counter", "a_total", "", ("a_total", "a_total", "a_total", "a_total")),
        ("counter", "_total", "", ("total", "total", "_total_total", "_total")),
        ("sum", "q", "{x}", ("q", "q", "q", "q")),
        ("gauge", "1a", "", ("_1a", "_1a", "1a", "1a")),
        ("gauge", "ü", "ms", ("milliseconds", "", "ü_milliseconds", "ü")),
    ],
)
def test_a_strategy_names_metrics(kernels, kind, name, unit, names):
    for strategy, expected in zip(STRATEGIES, names, strict=True):
        metrics = Metrics()
        metrics.add(kind, name, unit, as_double=1.0)
        labels = samples_of(kernels, metrics, strategy=strategy).labels(0)
        assert labels == ([("__name__", expected)] if expected else [])


def test_a_number_is_a_sample_at_its_time(kernels):
    metrics = Metrics(service__name="api", service__namespace="shop", service__instance__id="i")
    metrics.add("counter", as_int=3, attributes={"http.route": "/", "empty": ""})

    made = samples_of(kernels, metrics)

    assert read(made) == {'m_total{http_route="/",instance="i",job="shop/api"}': 3.0}
    assert memoryview(made.times).cast("q").tolist() == [NOW]
    assert len(made.hashes) == 8 * len(made) == 8


def test_points_of_one_series_share_it(kernels):
    metrics = Metrics()
    metrics.add("gauge", as_double=1.0)
    metrics.add("gauge", as_double=2.0)

    made = samples_of(kernels, metrics)

    assert (len(made), memoryview(made.series).cast("I").tolist()) == (1, [0, 0])


def test_a_histogram_is_its_cumulative_buckets(kernels):
    metrics = Metrics()
    metrics.add("histogram", unit="s", count=6, sum=2.5, explicit_bounds=[0.1, 1, 1e22], bucket_counts=[1, 2, 0, 3])

    assert read(samples_of(kernels, metrics)) == {
        "m_seconds_sum": 2.5,
        "m_seconds_count": 6.0,
        'm_seconds_bucket{le="0.1"}': 1.0,
        'm_seconds_bucket{le="1"}': 3.0,
        'm_seconds_bucket{le="10000000000000000000000"}': 3.0,
        'm_seconds_bucket{le="+Inf"}': 6.0,
    }


def test_an_exemplar_belongs_to_the_bucket_of_its_value(kernels):
    metrics = Metrics()
    point = metrics.add("histogram", explicit_bounds=[1.0, 2.0], bucket_counts=[1, 1, 1], count=3)
    for value in (1.0, 1.5, 9.0):
        point.exemplars.add(as_double=value, time_unix_nano=NANO, trace_id=b"\x01" * 16)

    (body,) = samples_of(kernels, metrics).remote_write(1, ROOM)

    sent = {
        {label.name: label.value for label in series.labels}.get("le"): [
            (exemplar.value, exemplar.labels[0].value) for exemplar in series.exemplars
        ]
        for series in request_class(1).FromString(body).timeseries
    }
    assert sent == {None: [], "1": [(1.0, "01" * 16)], "2": [(1.5, "01" * 16)], "+Inf": [(9.0, "01" * 16)]}


def test_a_histogram_without_a_sum_has_none(kernels):
    metrics = Metrics()
    metrics.add("histogram", count=1)

    assert read(samples_of(kernels, metrics)) == {"m_count": 1.0, 'm_bucket{le="+Inf"}': 1.0}


def test_a_summary_is_its_quantiles(kernels):
    metrics = Metrics()
    metrics.add("summary", count=2, sum=3.0).quantile_values.add(quantile=0.99, value=1.5)

    assert read(samples_of(kernels, metrics)) == {"m_sum": 3.0, "m_count": 2.0, 'm{quantile="0.99"}': 1.5}


@pytest.mark.parametrize("kind", ["gauge", "histogram", "summary"])
def test_what_has_no_recorded_value_is_stale(kernels, kind):
    metrics = Metrics()
    metrics.add(kind, flags=1)

    values = samples_of(kernels, metrics).values

    assert set(struct.iter_unpack("<8s", values)) == {(struct.pack("<d", STALE),)}


def test_what_cannot_be_a_sample_is_counted(kernels):
    metrics = Metrics()
    metrics.add("counter", as_double=1.0, temporality=DELTA)
    metrics.add("histogram", count=1, temporality=DELTA)
    metrics.add("gauge")
    metrics.add("exponential_histogram", scale=-5)

    made = samples_of(kernels, metrics)

    assert (len(made), made.left_out) == (0, {"temporality": 2, "value": 1, "scale": 1})


def test_a_point_without_a_time_has_that_of_its_arrival(kernels):
    metrics = Metrics()
    metrics.add("gauge", as_double=1.0).time_unix_nano = 0

    made = kernels.samples(kernels.scan("metrics", metrics.message.SerializeToString()), NANO)

    assert memoryview(made.times).cast("q").tolist() == [NOW]


def test_the_resource_is_target_info(kernels):
    metrics = Metrics(service__name="api", k8s__pod="p")
    metrics.add("gauge", as_double=1.0)

    assert read(samples_of(kernels, metrics)) == {'m{job="api"}': 1.0, 'target_info{job="api",k8s_pod="p"}': 1.0}
    assert read(samples_of(kernels, metrics, target_info=False)) == {'m{job="api"}': 1.0}


@pytest.mark.parametrize("resource", [{"service__name": "api"}, {"k8s__pod": "p"}, {}], ids=["alone", "nobody", "none"])
def test_there_is_no_target_info_where_it_would_say_nothing(kernels, resource):
    metrics = Metrics(**resource)
    metrics.add("gauge", as_double=1.0)

    assert not any("target_info" in series for series in read(samples_of(kernels, metrics)))


def test_attributes_of_the_resource_are_labels_where_wanted(kernels):
    metrics = Metrics(service__name="api", a="resource")
    metrics.add("gauge", as_double=1.0, attributes={"a": "point"})
    wanted = {"resource_labels": True, "target_info": False}

    assert list(read(samples_of(kernels, metrics, **wanted))) == ['m{a="resource",job="api",service_name="api"}']
    assert list(read(samples_of(kernels, metrics, **wanted, except_service=True))) == ['m{a="resource",job="api"}']


def test_other_labels_are_added_where_wanted(kernels):
    metrics = Metrics()
    metrics.add("gauge", as_double=1.0, attributes={"a": "own"})
    metrics.scope.scope.name, metrics.scope.schema_url = "n", "u"
    options: Any = {"namespace": "ns", "external_labels": [("a", "x"), ("b", "y")], "scope_labels": True}

    (series,) = read(samples_of(kernels, metrics, **options))

    assert series == 'ns_m{a="own",b="y",otel_scope_name="n",otel_scope_schema_url="u"}'


def test_attributes_that_become_one_name_are_joined(kernels):
    metrics = Metrics()
    metrics.add("gauge", as_double=1.0, attributes={"a_b": "2", "a.b": "1", "__name__": "own", "": "none"})

    assert list(read(samples_of(kernels, metrics))) == ['m{a_b="1;2"}']


@pytest.mark.parametrize("version", [1, 2])
def test_what_came_by_remote_write_goes_as_it_came(kernels, version):
    labels = {"__name__": "a__b", "_x": "1", "instance": "i", "job": "ns/j", "otel_scope_name": "n"}
    request = Request(version).series(labels, sample(), type_name="counter", about="h", unit="u")
    exemplar = ({"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 0.5, NOW)
    request.series({"__name__": "hist"}, histograms=[histogram()], exemplars=[exemplar], type_name="histogram")
    payload = kernels.from_remote_write(version, request.body(), kernels.Announced(), ROOM).payload
    made = kernels.samples(kernels.scan("metrics", payload), 1, scope_labels=True)

    bodies = made.remote_write(version, ROOM, metadata=True)

    sent = b"".join(bodies) if version == 1 else bodies[0]
    assert kernels.from_remote_write(version, sent, kernels.Announced(), ROOM).payload == payload


def test_an_exponential_histogram_is_a_native_one(kernels):
    metrics = Metrics()
    point = metrics.add("exponential_histogram", count=18, sum=1.0, scale=9, zero_count=1, zero_threshold=0.5)
    point.positive.offset = -3
    point.positive.bucket_counts.extend([1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 1])

    (body,) = samples_of(kernels, metrics).remote_write(2, ROOM)

    (made,) = request_class(2).FromString(body).timeseries[0].histograms
    # One of -3 and five of -2 and -1; ten of 8, three further on; one of 14, two further on, in the same span.
    assert (made.schema, made.count_int, made.zero_count_int, made.zero_threshold) == (8, 18, 1, 0.5)
    assert [(span.offset, span.length) for span in made.positive_spans] == [(-1, 2), (4, 4)]
    assert list(made.positive_deltas) == [1, 4, 5, -10, 0, 1]


def test_bodies_are_no_larger_than_asked_and_have_everything(kernels):
    metrics = Metrics()
    for index in range(50):
        metrics.add("gauge", f"m{index}", as_double=float(index), attributes={"a": "x" * index})
    made = samples_of(kernels, metrics)

    for version in (1, 2):
        bodies = made.remote_write(version, 300)
        assert len(bodies) > 5
        assert max(map(len, bodies)) <= 300
        messages = [request_class(version).FromString(body) for body in bodies]
        found = [sent.value for message in messages for series in message.timeseries for sent in series.samples]
        assert found == [float(index) for index in range(50)]
        assert len(made.remote_write(version, 1)) == 50


@pytest.mark.parametrize(
    ("kind", "type_name"),
    [
        ("gauge", "gauge"),
        ("sum", "gauge"),
        ("counter", "counter"),
        ("histogram", "histogram"),
        ("exponential_histogram", "histogram"),
        ("summary", "summary"),
    ],
)
def test_the_metadata_say_what_a_metric_is(kernels, kind, type_name):
    metrics = Metrics()
    metrics.add(kind, "m", "ms/s", **({"as_double": 1.0} if kind in ("gauge", "sum", "counter") else {}))
    made = samples_of(kernels, metrics)

    v2 = request_class(2).FromString(made.remote_write(2, ROOM)[0])
    v1 = request_class(1).FromString(made.remote_write(1, ROOM, metadata=True)[0])

    family, metadata = v1.metadata[0], v2.timeseries[0].metadata
    assert METRIC_TYPES[family.type] == METRIC_TYPES[metadata.type] == type_name
    assert (family.help, family.unit) == ("h", "milliseconds_per_second")
    assert (v2.symbols[metadata.help_ref], v2.symbols[metadata.unit_ref]) == ("h", "milliseconds_per_second")
    assert v2.symbols[0] == ""


def test_other_signals_and_strategies_are_refused(kernels):
    with pytest.raises(ValueError, match="only metrics"):
        kernels.samples(kernels.scan("logs", b""), 1)
    with pytest.raises(ValueError, match="no translation strategy"):
        kernels.samples(kernels.scan("metrics", b""), 1, strategy="Other")
    with pytest.raises(ValueError, match="no remote write 3"):
        kernels.samples(kernels.scan("metrics", b""), 1).remote_write(3, 1)
    with pytest.raises(IndexError):
        kernels.samples(kernels.scan("metrics", b""), 1).labels(0)


def test_custom_buckets_go_as_classic_ones(kernels):
    body = Request(2).series({"__name__": "x"}, histograms=[custom()]).body()
    payload = kernels.from_remote_write(2, body, kernels.Announced(), ROOM).payload

    assert read(kernels.samples(kernels.scan("metrics", payload), 1)) == {
        "x_sum": 6.5,
        "x_count": 3.0,
        'x_bucket{le="0.5"}': 1.0,
        'x_bucket{le="1"}': 1.0,
        'x_bucket{le="+Inf"}': 3.0,
    }
