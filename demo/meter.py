"""The metrics of one service instance, summed up between two exports as an SDK does it."""

from dataclasses import dataclass

from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Metric, SummaryDataPoint

from airis.demo.instruments import Instrument, MetricType, Point
from airis.demo.payloads import Value, key_values

Labels = tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One recorded value, with the span in which it was recorded."""

    instrument: Instrument
    value: float
    labels: Labels = ()
    trace_id: bytes = b""
    span_id: bytes = b""


class Meter:
    """All series of one instance; an export gives the highest and the latest measurement as exemplars."""

    def __init__(self, start_unix_nano: int) -> None:
        self._start = start_unix_nano
        self._last_export = start_unix_nano
        self._series: dict[Instrument, dict[Labels, _Series]] = {}

    def record(self, measurement: Measurement, at_unix_nano: int) -> None:
        """Take one measurement into its series."""
        by_labels = self._series.setdefault(measurement.instrument, {})
        series = by_labels.get(measurement.labels)
        if series is None:
            series = by_labels[measurement.labels] = _Series(measurement.instrument)
        series.record(measurement, at_unix_nano)

    def export(self, now_unix_nano: int) -> list[Metric]:
        """All metrics with a point per series; of delta ones only those with something new."""
        metrics: list[Metric] = []
        for instrument, by_labels in self._series.items():
            points: list[Point] = []
            for labels, series in by_labels.items():
                if instrument.starts_anew and not series.recorded:
                    continue
                point = series.export()
                point.time_unix_nano = now_unix_nano
                if instrument.type is not MetricType.GAUGE:
                    point.start_time_unix_nano = self._last_export if instrument.starts_anew else self._start
                point.attributes.extend(key_values(dict(labels)))
                points.append(point)
            if points:
                metrics.append(instrument.metric(points))
        self._last_export = now_unix_nano
        return metrics


class _Series:
    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._accumulator = instrument.accumulator()
        self._latest: Exemplar | None = None
        self._highest: Exemplar | None = None
        self.recorded = False

    def record(self, measurement: Measurement, at_unix_nano: int) -> None:
        self._accumulator.record(measurement.value)
        self.recorded = True
        if measurement.trace_id:
            exemplar = Exemplar(
                time_unix_nano=at_unix_nano,
                as_double=measurement.value,
                trace_id=measurement.trace_id,
                span_id=measurement.span_id,
            )
            self._latest = exemplar
            if self._highest is None or measurement.value > self._highest.as_double:
                self._highest = exemplar

    def export(self) -> Point:
        point = self._accumulator.point()
        if not isinstance(point, SummaryDataPoint):
            if self._highest is not None:
                point.exemplars.append(self._highest)
            if self._latest is not None and self._latest is not self._highest:
                point.exemplars.append(self._latest)
        self._latest = self._highest = None
        self.recorded = False
        if self._instrument.starts_anew:
            self._accumulator = self._instrument.accumulator()
        return point
