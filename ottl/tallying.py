"""Metrics of what telemetry adds up to: items, or values of theirs, by attributes and conditions."""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import Field, model_validator

from airis.component import Config, Consumer, Partial, Telemetry
from airis.component.occasional import Occasional
from airis.component.telemetry import made
from airis.data import Batch, Origin, Signal
from airis.ottl.contexts import Here
from airis.ottl.functions import CONVERTERS
from airis.ottl.options import ConditionsConfig, ConditionText, Group, compiled
from airis.ottl.payload import here_of, owners_of
from airis.ottl.running import Faults, parsed
from airis.ottl.values import Value, from_attributes, write_attributes

SECTIONS: Mapping[str, tuple[Signal, str]] = {
    "spans": (Signal.TRACES, "span"),
    "spanevents": (Signal.TRACES, "spanevent"),
    "metrics": (Signal.METRICS, "metric"),
    "datapoints": (Signal.METRICS, "datapoint"),
    "logs": (Signal.LOGS, "log"),
}
"""What there are metrics of: the signal and the context."""
_DELTA = 1
_TIMES = ("start_time_unix_nano", "end_time_unix_nano", "time_unix_nano")
_ON_METRICS = ("time_unix_nano",)
"""A data point's start is that of its series."""


class TalliedAttribute(Config):
    """An attribute that what is added up is parted by."""

    key: str = Field(min_length=1, description="Of the item; where it has none, of its scope, then of its resource.")
    default_value: str | int | float = Field(
        default="", description="For items that have no such attribute; without it they are not in the metric."
    )


class TallyConfig(Config):
    """A metric."""

    description: str = Field(default="", description="Of the metric.")
    conditions: list[ConditionText] = Field(
        default_factory=list[ConditionText],
        description="In the OpenTelemetry Transformation Language: what one of them holds for is in the metric, "
        "without any all is. What one cannot be carried out on is not, and is counted in airis_ottl_errors.",
    )
    attributes: list[TalliedAttribute] = Field(
        default_factory=list[TalliedAttribute], description="A point for each of the values that these have together."
    )

    @model_validator(mode="after")
    def _names_no_attribute_twice(self) -> "TallyConfig":
        keys = [each.key for each in self.attributes]
        if len(set(keys)) != len(keys):
            raise ValueError("attributes names a key twice")
        return self


Amount = Callable[[Mapping[str, Value]], float | None]
"""What an item adds, by its attributes; None where it is not in the metric."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A metric, compiled."""

    name: str
    description: str
    group: Group
    attributes: Sequence[tuple[str, Value]]
    """Keys, each with its default or None."""
    amount: Amount


def wanted(name: str, config: TallyConfig, section: str, amount: Amount) -> Wanted:
    """Compile; raises Unusable."""
    signal, context = SECTIONS[section]
    group = compiled(
        ConditionsConfig(context=context, conditions=list(config.conditions)), signal, "ignore", CONVERTERS
    )
    attributes = [(each.key, None if each.default_value == "" else each.default_value) for each in config.attributes]
    return Wanted(name, config.description, group, attributes, amount)


@dataclass(slots=True)
class _Sums:
    """Of one resource and metric."""

    by_key: dict[Hashable, tuple[Mapping[str, Value], float]] = field(
        default_factory=dict[Hashable, tuple[Mapping[str, Value], float]]
    )
    first: int = 0
    last: int = 0

    def add(self, attributes: Mapping[str, Value], amount: float) -> None:
        """Add to the point with these attributes."""
        key = tuple(v if isinstance(v, str) else (type(v).__name__, repr(v)) for v in attributes.values())
        _, before = self.by_key.get(key, (attributes, 0))
        self.by_key[key] = (attributes, before + amount)

    def reach(self, times: Iterable[int]) -> None:
        """Take these times in; 0 is none."""
        for each in times:
            if each:
                self.first = min(self.first, each) if self.first else each
                self.last = max(self.last, each)


_Named = dict[tuple[str, str], tuple[Wanted, _Sums]]
"""Of one resource, by context and name: what is counted of metrics and of data points may have one name."""


class Tally:
    """The metrics of one connector."""

    def __init__(
        self,
        metrics: Mapping[str, Sequence[Wanted]],
        scope: str,
        telemetry: Telemetry,
        *,
        is_monotonic: bool,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`metrics` by section; `scope` is the name of the instrumentation scope that they have."""
        self._metrics = metrics
        self._scope = scope
        self._is_monotonic = is_monotonic
        self._clock = clock
        self._telemetry = telemetry
        self._faults = Faults(telemetry)
        self._rejected_log = Occasional()
        self.made = made(telemetry)
        self.dropped = telemetry.counter("dropped_points", "{datapoint}", "Points that were rejected behind.")

    async def consume(self, batch: Batch, downstream: Consumer) -> None:
        """Hand on the points of a batch and return when they were taken; raises Retryable and Permanent.

        Points that are rejected (Partial) are counted: the items that they are of are not at fault.
        """
        points = self.points_of(batch)
        if points is None:
            return
        try:
            await downstream.consume(points)
        except Partial as error:
            rejected = min(error.rejected, points.items)
            self.dropped.add(rejected)
            self.made.add(points.items - rejected)
            if self._rejected_log.due():
                self._telemetry.log.warning("points were rejected", points=rejected, error=error.reason)
        else:
            self.made.add(points.items)

    def points_of(self, batch: Batch) -> Batch | None:
        """The points; None where there are none. Raises Permanent for what is no request."""
        own = [(SECTIONS[section][1], metrics) for section, metrics in self._metrics.items()]
        own = [(context, ms) for context, ms in own if ms and SECTIONS_OF[batch.signal].get(context)]
        if not own:
            return None
        request = parsed(batch)
        # Kept, so that an owner is the same object whenever it is come across.
        owners = list(owners_of(batch.signal, request))
        sums: dict[int, _Named] = {id(owner): {} for owner in owners}
        for context, metrics in own:
            for here in here_of(batch.signal, request, context, batch.origin.metadata):
                self._add(here, context, metrics, sums[id(here.owner)])
        return self._message(batch, [(owner, sums[id(owner)]) for owner in owners])

    def _add(self, here: Here, context: str, metrics: Sequence[Wanted], sums: _Named) -> None:
        subject = here.part if context == "spanevent" else here.metric if context == "metric" else here.item
        attributes = {} if context == "metric" else from_attributes(subject.attributes)
        names = _ON_METRICS if context == "datapoint" else _TIMES
        times = [getattr(subject, name, 0) for name in names]
        for metric in metrics:
            chosen = _chosen(metric, attributes, here)
            amount = None if chosen is None else metric.amount(attributes)
            if chosen is None or amount is None:
                continue
            if metric.group.conditions and not self._faults.any_holds(metric.group, here):
                continue
            _, own = sums.setdefault((context, metric.name), (metric, _Sums()))
            own.add(chosen, amount)
            own.reach(times)

    def _message(self, batch: Batch, owners: Iterable[tuple[Any, _Named]]) -> Batch | None:
        request: Any = ExportMetricsServiceRequest()
        items = 0
        for owner, sums in owners:
            if not sums:
                continue
            resource = request.resource_metrics.add()
            resource.resource.attributes.extend(owner.resource.attributes)
            scoped = resource.scope_metrics.add()
            scoped.scope.name = self._scope
            for metric, own in sums.values():
                data = scoped.metrics.add(name=metric.name, description=metric.description).sum
                data.aggregation_temporality = _DELTA
                data.is_monotonic = self._is_monotonic
                end = own.last or self._clock()
                for attributes, amount in own.by_key.values():
                    point = data.data_points.add(start_time_unix_nano=own.first, time_unix_nano=end)
                    write_attributes(point.attributes, attributes)
                    if isinstance(amount, int):
                        point.as_int = amount
                    else:
                        point.as_double = amount
                    items += 1
        if not items:
            return None
        origin = Origin(receiver=self._telemetry.component_id, tenant=batch.origin.tenant)
        return Batch(Signal.METRICS, request.SerializeToString(), items, origin, batch.arrived_unix_nano)


SECTIONS_OF: Mapping[Signal, Mapping[str, str]] = {
    signal: {context: section for section, (own, context) in SECTIONS.items() if own is signal} for signal in Signal
}
"""By signal and context."""


def _chosen(metric: Wanted, attributes: Mapping[str, Value], here: Here) -> Mapping[str, Value] | None:
    """The attributes of the point; None where one is missing."""
    chosen: dict[str, Value] = {}
    for key, default in metric.attributes:
        value = attributes.get(key)
        if value is None:
            value = _attribute(here.scoped.scope.attributes, key)
        if value is None:
            value = _attribute(here.owner.resource.attributes, key)
        if value is None:
            value = default
        if value is None:
            return None
        chosen[key] = value
    return chosen


def _attribute(attributes: Any, key: str) -> Value:
    return from_attributes([each for each in attributes if each.key == key]).get(key)


def number(value: Value) -> float | None:
    """As a double: numbers, and texts that are written like one; None for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
