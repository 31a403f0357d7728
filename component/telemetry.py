"""A component's own metrics and log, under the names that Collector dashboards know."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, cast

import structlog

from airis.component.health import Health
from airis.data import Signal

Labels = tuple[tuple[str, str], ...]
"""Attributes of a measurement, sorted by name."""

Level = Literal["basic", "normal", "detailed"]
"""How much of airis's own metrics is told: each level tells what the one before it does, and more."""

LEVELS: tuple[tuple[str, Level], ...] = (
    ("otelcol_processor_batch_batch_send_size_bytes", "detailed"),
    ("otelcol_processor_batch_*", "normal"),
    ("otelcol_processor_internal_duration", "detailed"),
    ("otelcol_exporter_queue_batch_send_size*", "detailed"),
    ("otelcol_exporter_enqueue_size*", "detailed"),
    ("otelcol.*.size", "detailed"),
    ("http.*", "detailed"),
    ("rpc.*", "detailed"),
)
"""The levels of the Collector's names, the first pattern that fits; every other name is basic."""

LATENCY_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Counter:
    """A sum that only grows. Safe to add to from any thread."""

    def __init__(self) -> None:
        self.values: dict[Labels, float] = {}
        self._lock = threading.Lock()

    def add(self, amount: float, **attributes: str) -> None:
        """Count `amount` more under these attributes; nothing is kept for an amount of 0."""
        self.adder(**attributes)(amount)

    def adder(self, **attributes: str) -> Callable[[float], None]:
        """What `add` does under these attributes, for whoever counts with every batch."""
        labels = tuple(sorted(attributes.items()))
        values, lock = self.values, self._lock

        def add(amount: float) -> None:
            if amount:
                with lock:
                    values[labels] = values.get(labels, 0) + amount

        return add

    def follow(self, before: object) -> None:
        """Go on where another one ended."""
        if isinstance(before, Counter):
            with self._lock:
                for labels, value in before.values.items():
                    self.values[labels] = self.values.get(labels, 0) + value

    @property
    def value(self) -> float:
        """The sum over all attributes."""
        with self._lock:
            return sum(self.values.values())

    def samples(self) -> dict[Labels, float]:
        """All sums by their attributes."""
        with self._lock:
            return dict(self.values)


class Gauge:
    """A value that goes up and down: set by the component, or read by a function when somebody looks."""

    def __init__(self, read: Callable[[], float] | None = None) -> None:
        self.values: dict[Labels, float] = {}
        self._read = read

    def set(self, value: float, **attributes: str) -> None:
        """Replace the value under these attributes."""
        self.values[tuple(sorted(attributes.items()))] = value

    def follow(self, before: object) -> None:
        """Nothing: a gauge is of the present."""

    @property
    def is_read(self) -> bool:
        """Whether a function gives the value."""
        return self._read is not None

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

    def follow(self, before: object) -> None:
        """Go on where another one ended, if it has the same bounds."""
        if isinstance(before, Histogram) and before.bounds == self.bounds:
            with self._lock:
                self.counts = [own + its for own, its in zip(self.counts, before.counts, strict=True)]
                self.sum += before.sum

    def record(self, value: float, times: int = 1) -> None:
        """Add one value, so many times."""
        bucket = next((i for i, bound in enumerate(self.bounds) if value <= bound), len(self.bounds))
        with self._lock:
            self.counts[bucket] += times
            self.sum += value * times


Instrument = Counter | Gauge | Histogram


@dataclass(frozen=True, slots=True)
class Metric:
    """An instrument with its name, UCUM unit, description and the attributes of the component it belongs to."""

    name: str
    unit: str
    description: str
    attributes: Labels
    instrument: Instrument
    level: Level = "basic"
    """The least level that tells it."""


@dataclass(slots=True)
class Metrics:
    """All instruments of one service, for whoever exposes them."""

    registered: dict[tuple[str, Labels], Metric] = field(default_factory=dict[tuple[str, Labels], Metric])
    sources: list[Callable[[], Iterable[Metric]]] = field(default_factory=list[Callable[[], Iterable[Metric]]])
    """What is worked out of several components when somebody looks, such as the ledger."""

    def register(self, metric: Metric) -> Instrument:
        """Keep the metric; one with its name and attributes that is there already is handed back instead."""
        key = (metric.name, metric.attributes)
        if isinstance(metric.instrument, Gauge) and metric.instrument.is_read:
            self.registered[key] = metric  # the one that is there reads a component that was exchanged
        return self.registered.setdefault(key, metric).instrument

    def adopt(self, others: "Metrics") -> None:
        """Take in the instruments of a component that is started; counts of one that it follows go on in them."""
        for key, metric in others.registered.items():
            before = self.registered.get(key)
            if before is not None:
                metric.instrument.follow(before.instrument)
            self.registered[key] = metric

    def remove(self, kind: str, component_id: str, pipeline: str = "") -> None:
        """Forget the instruments of a component that is gone."""
        gone = component_attributes(kind, component_id, pipeline)
        for key in [key for key in self.registered if key[1] == gone]:
            del self.registered[key]

    def __iter__(self) -> Iterator[Metric]:
        return iter([*self.registered.values(), *(metric for source in self.sources for metric in source())])

    def of(self, name: str, kind: str, component_id: str, pipeline: str = "") -> Mapping[Labels, float]:
        """All values of a counter or a gauge of one component; none where it has no such metric."""
        metric = self.registered.get((name, component_attributes(kind, component_id, pipeline)))
        if metric is None or isinstance(metric.instrument, Histogram):
            return {}
        return metric.instrument.samples()


def component_attributes(kind: str, component_id: str, pipeline: str = "") -> Labels:
    """What every measurement of a component has."""
    return ((kind, component_id), *((("pipeline", pipeline),) if pipeline else ()))


class Telemetry:
    """What a component reports of itself: counters, gauges and histograms, and a log that says who speaks."""

    def __init__(self, kind: str, component_id: str, metrics: Metrics | None = None, pipeline: str = "") -> None:
        self.kind = kind
        self.component_id = component_id
        self.metrics = Metrics() if metrics is None else metrics
        self.health = Health()
        """What the service makes known of the component; the component says RECOVERABLE_ERROR and OK itself."""
        self._prefix = f"otelcol_{kind}_{component_id.partition('/')[0]}_"
        self.attributes = component_attributes(kind, component_id, pipeline)
        # Not bound, so that a reload can change the level.
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger(**dict(self.attributes))

    def counter(self, name: str, unit: str, description: str, level: Level | None = None) -> Counter:
        """A counter ``otelcol_<kind>_<type>_<name>``; a name that begins with ``otelcol_`` or ``airis_`` is kept.

        `level` is the least level of ``service::telemetry::metrics`` that tells it; by default what `LEVELS` says.
        """
        return cast(Counter, self._register(name, unit, description, Counter(), level))

    def gauge(
        self,
        name: str,
        unit: str,
        description: str,
        read: Callable[[], float] | None = None,
        level: Level | None = None,
    ) -> Gauge:
        """A gauge, set by hand or, with `read`, asked for its value at every look."""
        return cast(Gauge, self._register(name, unit, description, Gauge(read), level))

    def histogram(
        self,
        name: str,
        unit: str,
        description: str,
        bounds: Iterable[float] = LATENCY_BOUNDS_S,
        level: Level | None = None,
    ) -> Histogram:
        """A histogram with these upper bounds, in its unit."""
        return cast(Histogram, self._register(name, unit, description, Histogram(tuple(bounds)), level))

    def _register(
        self, name: str, unit: str, description: str, instrument: Instrument, level: Level | None
    ) -> Instrument:
        full_name = name if name.startswith(("otelcol_", "otelcol.", "airis_")) else self._prefix + name
        metric = Metric(full_name, unit, description, self.attributes, instrument, level or level_of(full_name))
        return self.metrics.register(metric)


_UNITS = {Signal.TRACES: "{span}", Signal.METRICS: "{datapoint}", Signal.LOGS: "{record}"}


def by_signal(telemetry: Telemetry, name: str, what: str) -> Mapping[Signal, Counter]:
    """Counters of items, one for each signal, as the Collector names them."""
    return {
        signal: telemetry.counter(
            f"{name}_{signal.item}",
            _UNITS.get(signal, "{sample}"),
            f"{signal.item.replace('_', ' ').capitalize()} {what}.",
        )
        for signal in Signal
    }


LEFT_OUT = "airis_{kind}_left_out_items"
MADE = "airis_{kind}_made_items"
HELD = "airis_{kind}_held_items"
UNACKNOWLEDGED = "airis_{kind}_unacknowledged_items"


def left_out(telemetry: Telemetry) -> Counter:
    """Counts the items that a processor or a connector leaves out by choice, each under its `reason`.

    They are counted behind the hand-over of what is kept, and also where that was Partial; see docs/ledger.md.
    """
    return telemetry.counter(LEFT_OUT.format(kind=telemetry.kind), "{item}", "Items left out by choice, by the reason.")


def made(telemetry: Telemetry) -> Counter:
    """Counts the items that a processor or a connector adds to what it was given."""
    return telemetry.counter(MADE.format(kind=telemetry.kind), "{item}", "Items that came from no sender.")


def unacknowledged(telemetry: Telemetry) -> Counter:
    """Counts the items that were handed on, and taken, although whoever gave them was told otherwise, or has left."""
    what = "Items handed on whose sender was told to send them again, or had left."
    return telemetry.counter(UNACKNOWLEDGED.format(kind=telemetry.kind), "{item}", what)


def holds(telemetry: Telemetry, read: Callable[[], float]) -> Gauge:
    """Tells how many items a processor or a connector has acknowledged and not handed on yet."""
    what = "Items acknowledged and not handed on yet."
    return telemetry.gauge(HELD.format(kind=telemetry.kind), "{item}", what, read)


def level_of(name: str) -> Level:
    """The level of a metric by its whole name."""
    for pattern, level in LEVELS:
        if fnmatchcase(name, pattern):
            return level
    return "basic"
