"""Series of points, by resource and metric, and the messages that they become."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from airis.connectors.span_metrics.histograms import Distribution
from airis.ottl.values import Value, write_attributes

SCOPE = "spanmetricsconnector"
OVERFLOW: Hashable = "otel.metric.overflow"
POINTS_PER_BATCH = 2048
"""So that the loop is not kept from its other work for longer than some milliseconds."""
_DELTA, _CUMULATIVE = 1, 2

MetricKind = Literal["sum", "histogram", "exponential_histogram"]


class Tally:
    """How many durations there were."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, durations: Sequence[int]) -> None:
        """Count some more."""
        self.count += len(durations)

    def absorb(self, other: "Tally") -> None:
        """Add all that another one has."""
        self.count += other.count

    def write(self, point: Any) -> None:
        """Into a NumberDataPoint."""
        point.as_int = self.count


@dataclass(frozen=True, slots=True)
class Metric:
    """What is made of spans."""

    name: str
    unit: str
    kind: MetricKind
    begin: Callable[[], Any]
    """An empty Distribution for a series."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A span as an example."""

    trace_id: str
    span_id: str
    value: float


@dataclass(slots=True)
class Series:
    """What was counted under some attributes."""

    attributes: Mapping[str, Value]
    counted: Distribution
    start: float
    """Unix time in seconds."""
    seen: float
    exemplars: list[Exemplar] = field(default_factory=list[Exemplar])


@dataclass(slots=True)
class Resource:
    """The series of all metrics of one resource."""

    tenant: str
    attributes: Mapping[str, Value]
    series: tuple[dict[Hashable, Series], ...]
    """By metric, by what is the same in all that is counted together."""
    seen: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a series is."""

    resource: Hashable
    metric: int
    key: Hashable


class State:
    """All series."""

    def __init__(self, metrics: Sequence[Metric], most_series: int, most_resources: int) -> None:
        self.metrics = metrics
        self.most_series = most_series
        self.most_resources = most_resources
        self.resources: OrderedDict[Hashable, Resource] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(series) for resource in self.resources.values() for series in resource.series)

    def resource(self, key: Hashable, tenant: str, attributes: Mapping[str, Value], now: float) -> Resource:
        """The resource with this key, a new one where there is none.

        Twice as many as are kept may come until the next points are handed on; those beyond are one without attributes.
        """
        if key not in self.resources and len(self.resources) >= 2 * self.most_resources:
            key, attributes = (OVERFLOW, tenant), {}
        resource = self.resources.get(key)
        if resource is None:
            resource = Resource(tenant, attributes, tuple({} for _ in self.metrics))
            self.resources[key] = resource
        self.resources.move_to_end(key)
        resource.seen = now
        return resource

    def series(
        self, resource: Resource, metric: int, key: Hashable, attributes: Mapping[str, Value], now: float
    ) -> tuple[Series, bool]:
        """The series with this key, and whether it is of its own: beyond the limit it is that of all that overflows."""
        known = resource.series[metric]
        series = known.get(key)
        if series is not None:
            series.seen = now
            return series, True
        is_own = not self.most_series or len(known) - (OVERFLOW in known) < self.most_series
        if not is_own:
            key, attributes = OVERFLOW, {"otel.metric.overflow": True}
        if key not in known:
            known[key] = Series(attributes, self.metrics[metric].begin(), now, now)
        known[key].seen = now
        return known[key], is_own

    def all(self) -> Iterator[tuple[Place, Resource, Series]]:
        """Every series, those of a tenant, a resource and a metric behind one another."""
        for key, resource in sorted(self.resources.items(), key=lambda item: item[1].tenant):
            for metric, known in enumerate(resource.series):
                for name, series in known.items():
                    yield Place(key, metric, name), resource, series

    def expire(self, now: float, series_s: float, resources_s: float) -> bool:
        """End what was not seen for so long (0: for ever), and resources that are too many; gives whether any was."""
        before = len(self.resources), len(self)
        for key, resource in list(self.resources.items()):
            if resources_s and now - resource.seen >= resources_s:
                del self.resources[key]
            elif series_s:
                for known in resource.series:
                    for name in [name for name, series in known.items() if now - series.seen >= series_s]:
                        del known[name]
                if not any(resource.series):
                    del self.resources[key]
        while len(self.resources) > self.most_resources:
            self.resources.popitem(last=False)
        return before != (len(self.resources), len(self))


Entry = tuple[Place, Resource, Series]


def chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """In parts that make one batch: of one tenant, and not too many."""
    for _, of_tenant in groupby(entries, key=lambda entry: entry[1].tenant):
        while part := list(islice(of_tenant, POINTS_PER_BATCH)):
            yield part


def message(
    entries: Iterable[Entry], metrics: Sequence[Metric], now: float, *, is_delta: bool, start: Callable[[Entry], float]
) -> ExportMetricsServiceRequest:
    """One point for every series."""
    request = ExportMetricsServiceRequest()
    time = nanoseconds(now)
    for _, of_resource in groupby(entries, key=lambda entry: entry[0].resource):
        owner, scoped = None, None
        for number, of_metric in groupby(of_resource, key=lambda entry: entry[0].metric):
            points = None
            for entry in of_metric:
                _, resource, series = entry
                if owner is None:
                    owner = request.resource_metrics.add()
                    write_attributes(owner.resource.attributes, resource.attributes)
                    scoped = owner.scope_metrics.add()
                    scoped.scope.name = SCOPE
                if points is None:
                    points = _data(scoped, metrics[number], is_delta=is_delta).data_points
                point = points.add(start_time_unix_nano=nanoseconds(start(entry)), time_unix_nano=time)
                write_attributes(point.attributes, series.attributes)
                series.counted.write(point)
                for each in series.exemplars:
                    exemplar = point.exemplars.add(time_unix_nano=time, as_double=each.value)
                    exemplar.trace_id = bytes.fromhex(each.trace_id)
                    exemplar.span_id = bytes.fromhex(each.span_id)
    return request


def _data(scoped: Any, metric: Metric, *, is_delta: bool) -> Any:
    added = scoped.metrics.add(name=metric.name, unit=metric.unit)
    data = getattr(added, metric.kind)
    data.aggregation_temporality = _DELTA if is_delta else _CUMULATIVE
    if metric.kind == "sum":
        data.is_monotonic = True
    return data


def nanoseconds(seconds: float) -> int:
    """Unix time in nanoseconds."""
    return round(seconds * 1_000_000) * 1000
