"""Metric instruments: what they are called, and how their measurements become OTLP data points."""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

DEFAULT_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""The SDK specification's default histogram bounds."""
QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
QUANTILE_WINDOW = 512
"""The quantiles of a summary are those of so many latest measurements; its count and sum are of all."""


class Total:
    """The sum of all measurements: a counter, or with negative ones an up-down counter."""

    def __init__(self, *, integer: bool) -> None:
        self._integer = integer
        self._value = 0.0

    def record(self, value: float) -> None:
        """Add one measurement."""
        self._value += value

    def point(self) -> NumberDataPoint:
        """The sum so far."""
        return _number(self._value, integer=self._integer)


class Latest:
    """The last measurement: a gauge."""

    def __init__(self, *, integer: bool) -> None:
        self._integer = integer
        self._value = 0.0

    def record(self, value: float) -> None:
        """Replace the measurement."""
        self._value = value

    def point(self) -> NumberDataPoint:
        """The measurement."""
        return _number(self._value, integer=self._integer)


def _number(value: float, *, integer: bool) -> NumberDataPoint:
    return NumberDataPoint(as_int=round(value)) if integer else NumberDataPoint(as_double=value)


class ExplicitBuckets:
    """A histogram whose bucket bounds were chosen beforehand."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf

    def record(self, value: float) -> None:
        """Count one measurement; a bound belongs to the bucket below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value
        self._min, self._max = min(self._min, value), max(self._max, value)

    def point(self) -> HistogramDataPoint:
        """Count, sum, extremes and buckets so far; at least one measurement is expected."""
        return HistogramDataPoint(
            count=sum(self._counts),
            sum=self._sum,
            min=self._min,
            max=self._max,
            explicit_bounds=self._bounds,
            bucket_counts=self._counts,
        )


class ExponentialBuckets:
    """A histogram whose bucket bounds are the powers of 2 ** (2 ** -scale)."""

    def __init__(self, scale: int) -> None:
        self._scale = scale
        self._counts: dict[int, int] = {}
        self._zeros = 0
        self._sum, self._min, self._max = 0.0, math.inf, -math.inf

    def record(self, value: float) -> None:
        """Count one measurement that is not negative."""
        if value == 0:
            self._zeros += 1
        else:
            index = math.ceil(math.log2(value) * 2**self._scale) - 1
            self._counts[index] = self._counts.get(index, 0) + 1
        self._sum += value
        self._min, self._max = min(self._min, value), max(self._max, value)

    def point(self) -> ExponentialHistogramDataPoint:
        """Count, sum, extremes and buckets so far; at least one measurement is expected."""
        point = ExponentialHistogramDataPoint(
            count=self._zeros + sum(self._counts.values()),
            sum=self._sum,
            min=self._min,
            max=self._max,
            scale=self._scale,
            zero_count=self._zeros,
        )
        if self._counts:
            first, last = min(self._counts), max(self._counts)
            point.positive.offset = first
            point.positive.bucket_counts.extend(self._counts.get(index, 0) for index in range(first, last + 1))
        return point


class Quantiles:
    """A summary, as older client libraries make it."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._latest: deque[float] = deque(maxlen=QUANTILE_WINDOW)

    def record(self, value: float) -> None:
        """Count one measurement."""
        self._count += 1
        self._sum += value
        self._latest.append(value)

    def point(self) -> SummaryDataPoint:
        """Count and sum so far, quantiles of late; at least one measurement is expected."""
        ranked = sorted(self._latest)
        return SummaryDataPoint(
            count=self._count,
            sum=self._sum,
            quantile_values=[
                SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=ranked[round(quantile * (len(ranked) - 1))])
                for quantile in QUANTILES
            ],
        )


Accumulator = Total | Latest | ExplicitBuckets | ExponentialBuckets | Quantiles
Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class MetricType(StrEnum):
    """The kinds of metric in OTLP."""

    GAUGE = "Gauge"
    SUM = "Sum"
    HISTOGRAM = "Histogram"
    EXPONENTIAL_HISTOGRAM = "ExponentialHistogram"
    SUMMARY = "Summary"


class Temporality(StrEnum):
    """What the point of a sum or histogram covers: the time since the last one, or since the start."""

    DELTA = "delta"
    CUMULATIVE = "cumulative"


_TEMPORALITIES = {
    Temporality.DELTA: AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA,
    Temporality.CUMULATIVE: AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric as its points do not say it again."""

    name: str
    type: MetricType
    unit: str = "1"
    description: str = ""
    temporality: Temporality = Temporality.CUMULATIVE
    """Of sums and histograms; gauges and summaries have none."""
    monotonic: bool = True
    """Of sums; an up-down counter is a sum that is not."""
    integer: bool = False
    """Of gauges and sums."""
    observed: bool = False
    """Of sums: whether a measurement is the total itself and not what is added to it."""
    bounds: Sequence[float] = DEFAULT_BOUNDS
    scale: int = 2

    @property
    def starts_anew(self) -> bool:
        """Whether the next point forgets what the last one covered."""
        return self.temporality is Temporality.DELTA and self.type not in (MetricType.GAUGE, MetricType.SUMMARY)

    def accumulator(self) -> Accumulator:
        """Where the measurements of one series go."""
        match self.type:
            case MetricType.GAUGE:
                return Latest(integer=self.integer)
            case MetricType.SUM:
                return Latest(integer=self.integer) if self.observed else Total(integer=self.integer)
            case MetricType.HISTOGRAM:
                return ExplicitBuckets(self.bounds)
            case MetricType.EXPONENTIAL_HISTOGRAM:
                return ExponentialBuckets(self.scale)
            case MetricType.SUMMARY:
                return Quantiles()

    def metric(self, points: Iterable[Point]) -> Metric:
        """The OTLP metric with these points, which must come from accumulators of this instrument."""
        metric = Metric(name=self.name, unit=self.unit, description=self.description)
        match self.type:
            case MetricType.GAUGE:
                metric.gauge.data_points.extend(p for p in points if isinstance(p, NumberDataPoint))
            case MetricType.SUM:
                metric.sum.data_points.extend(p for p in points if isinstance(p, NumberDataPoint))
                metric.sum.aggregation_temporality = _TEMPORALITIES[self.temporality]
                metric.sum.is_monotonic = self.monotonic
            case MetricType.HISTOGRAM:
                metric.histogram.data_points.extend(p for p in points if isinstance(p, HistogramDataPoint))
                metric.histogram.aggregation_temporality = _TEMPORALITIES[self.temporality]
            case MetricType.EXPONENTIAL_HISTOGRAM:
                metric.exponential_histogram.data_points.extend(
                    p for p in points if isinstance(p, ExponentialHistogramDataPoint)
                )
                metric.exponential_histogram.aggregation_temporality = _TEMPORALITIES[self.temporality]
            case MetricType.SUMMARY:
                metric.summary.data_points.extend(p for p in points if isinstance(p, SummaryDataPoint))
        return metric
