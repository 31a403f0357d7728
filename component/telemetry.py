"""A component's own metrics and log, under the names that Collector dashboards know."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import structlog

Labels = tuple[tuple[str, str], ...]
"""Attributes of a measurement, sorted by name."""

LATENCY_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Counter:
    """A sum that only grows. Safe to add to from any thread."""

    def __init__(self) -> None:
        self.values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, amount: float, **attributes: str) -> None:
        """Count `amount` more under these attributes; nothing is kept for an amount of 0."""
        if amount:
            labels = tuple(sorted(attributes.items()))
            with self._lock:
                self.values[labels] = self.values.get(labels, 0) + amount

    @property
    def value(self) -> float:
        """The sum over all attributes."""
        with self._lock:
            return sum(self.values.values())


class Gauge:
    """A value that goes up and down: set by the component, or read by a function when somebody looks."""

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        self.values: dict[Labels, float] = {}
        self._read = read

    def set(self, value: float, **attributes: str) -> None:
        """Replace the value under these attributes."""
        self.values[tuple(sorted(attributes.items()))] = value

    @property
    def value(self) -> float:
        """The value without attributes; 0 before the first."""
        return self._read() if self._read else self.values.get((), 0)

    def samples(self) -> dict[Labels, float]:
        """All values by their attributes."""
        return {(): self._read()} if self._read else dict(self.values)


class Histogram:
    """A distribution in explicit buckets. Safe to record to from any thread."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0
        self._lock = threading.Lock()

    def record(self, value: float) -> None:
        """Add one value."""
        bucket = next((i for i, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        with self._lock:
            self.counts[bucket] += 1
            self.sum += value


Instrument = Counter | Gauge | Histogram


@dataclass(frozen=True, slots=True)
class Metric:
    """An instrument with its name, UCUM unit, description and the attributes of the component it belongs to."""

    name: str
    unit: str
    description: str
    attributes: Labels
    instrument: Instrument


@dataclass(slots=True)
class Metrics:
    """All instruments of one service, for whoever exposes them."""

    registered: dict[tuple[str, Labels], Metric] = field(default_factory=dict[tuple[str, Labels], Metric])

    def register(self, metric: Metric) -> Instrument:
        """Keep the metric; one with its name and attributes that is there already is handed back instead."""
        return self.registered.setdefault((metric.name, metric.attributes), metric).instrument

    def __iter__(self) -> Iterator[Metric]:
        return iter(list(self.registered.values()))


class Telemetry:
    """What a component reports of itself: counters, gauges and histograms, and a log that says who speaks."""

    def __init__(self, kind: str, component_id: str, metrics: Metrics | None = None, pipeline: str = "") -> None:
        self.kind = kind
        self.component_id = component_id
        self.metrics = Metrics() if metrics is None else metrics
        self._prefix = f"otelcol_{kind}_{component_id.partition('/')[0]}_"
        self.attributes: Labels = ((kind, component_id),)
        names = {kind: component_id}
        if pipeline:
            self.attributes = (*self.attributes, ("pipeline", pipeline))
            names["pipeline"] = pipeline
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(**names)

    def counter(self, name: str, unit: str, description: str) -> Counter:
        """A counter ``otelcol_<kind>_<type>_<name>``; a name that begins with ``otelcol_`` or ``airis_`` is kept."""
        return cast(Counter, self._register(name, unit, description, Counter()))

    def gauge(self, name: str, unit: str, description: str, read: Callable[[], float] | None = None) -> Gauge:
        """A gauge, set by hand or, with `read`, asked for its value at every look."""
        return cast(Gauge, self._register(name, unit, description, Gauge(read)))

    def histogram(
        self, name: str, unit: str, description: str, bounds: Iterable[float] = LATENCY_BOUNDS_S
    ) -> Histogram:
        """A histogram with these upper bounds, in its unit."""
        return cast(Histogram, self._register(name, unit, description, Histogram(tuple(bounds))))

    def _register(self, name: str, unit: str, description: str, instrument: Instrument) -> Instrument:
        full_name = name if name.startswith(("otelcol_", "airis_")) else self._prefix + name
        return self.metrics.register(Metric(full_name, unit, description, self.attributes, instrument))
