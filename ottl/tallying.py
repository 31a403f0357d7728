"""Metrics of what telemetry adds up to: items, or values of theirs, by attributes and conditions."""

import math
import struct
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import Field, model_validator

from airis.component import Config, Consumer, Partial, Telemetry
from airis.component.occasional import Occasional
from airis.component.telemetry import made
from airis.data import Batch, Origin, Signal, kernels
from airis.data.expressions import Constant, Some
from airis.data.fields import Attribute, Source
from airis.data.fields import Field as ItemField
from airis.ottl.contexts import Here
from airis.ottl.functions import CONVERTERS
from airis.ottl.options import ConditionsConfig, ConditionText, Group, compiled
from airis.ottl.payload import here_of
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
_COLUMNS: Mapping[str, Sequence[str]] = {
    "span": ("start_time_unix_nano", "end_time_unix_nano"),
    "datapoint": ("time_unix_nano",),
    "log": ("time_unix_nano",),
}
"""The times by context, of those that the kernels have columns of."""
_LOOKED_AT: Sequence[Literal["item", "scope", "resource"]] = ("item", "scope", "resource")


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


def one(_attributes: Mapping[str, Value]) -> int:
    """Of a metric that counts."""
    return 1


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
        key = tuple(map(_key, attributes.values()))
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
_Resources = dict[Hashable, tuple[Mapping[str, Value], _Named]]
"""By what only the same attributes have."""


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
        self._have_events = kernels.Predicate(Signal.TRACES, Some("event", Constant(True)))
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
        resources: _Resources = {}
        for section, metrics in self._metrics.items():
            signal, context = SECTIONS[section]
            if signal is not batch.signal:
                continue
            by_column = [metric for metric in metrics if _is_by_column(metric, context)]
            for metric in by_column:
                self._add_columns(batch, metric, resources)
            if len(by_column) < len(metrics):
                self._add_items(batch, [metric for metric in metrics if metric not in by_column], resources)
        return self._message(batch, resources.values())

    def _add_columns(self, batch: Batch, metric: Wanted, resources: _Resources) -> None:
        """Add the items of a batch in groups, without looking at each."""
        keys = [key for key, _ in metric.attributes]
        sources: list[Source] = [ItemField("resource", "attributes")]
        sources += [Attribute(level, key) for key in keys for level in _LOOKED_AT]
        view = batch.view()
        limit = max(1, view.items)
        names = _COLUMNS[metric.group.context]
        for of_times in zip(*(view.collect(sources, ItemField("item", name), limit) for name in names), strict=True):
            values, _ = of_times[0]
            assert values is not None
            chosen: dict[str, Value] = {}
            for place, (key, default) in enumerate(metric.attributes):
                first = 1 + place * len(_LOOKED_AT)
                found = (each for each in values[first : first + len(_LOOKED_AT)] if each is not None)
                chosen[key] = next(found, default)
            if None in chosen.values():
                continue
            own = _sums_of(resources, values[0] or {}, metric)
            own.add(chosen, len(of_times[0][1]) // 8)
            for _, times in of_times:
                numbers: tuple[int, ...] = struct.unpack(f"<{len(times) // 8}q", times)
                own.reach((min(filter(None, numbers), default=0), max(numbers)))

    def _add_items(self, batch: Batch, metrics: Sequence[Wanted], resources: _Resources) -> None:
        """Add the items of a batch one by one."""
        context = metrics[0].group.context
        if context == "spanevent":  # most spans have none
            mask = self._have_events.mask(batch.view())
            if not any(mask):
                return
            batch = batch.with_view(batch.view().select(mask))
        resource: Mapping[str, Value] = {}
        owner = None
        for here in here_of(batch.signal, parsed(batch.signal, batch.payload), context, batch.origin.metadata):
            if here.owner is not owner:
                owner, resource = here.owner, from_attributes(here.owner.resource.attributes)
            self._add(here, context, metrics, resource, resources)

    def _add(
        self,
        here: Here,
        context: str,
        metrics: Sequence[Wanted],
        resource: Mapping[str, Value],
        resources: _Resources,
    ) -> None:
        subject = here.part if context == "spanevent" else here.metric if context == "metric" else here.item
        attributes = {} if context == "metric" else from_attributes(subject.attributes)
        names = _ON_METRICS if context == "datapoint" else _TIMES
        times = [getattr(subject, name, 0) for name in names]
        for metric in metrics:
            chosen = _chosen(metric, attributes, here, resource)
            amount = None if chosen is None else metric.amount(attributes)
            if chosen is None or amount is None:
                continue
            if metric.group.conditions and not self._faults.any_holds(metric.group, here):
                continue
            own = _sums_of(resources, resource, metric)
            own.add(chosen, amount)
            own.reach(times)

    def _message(self, batch: Batch, resources: Iterable[tuple[Mapping[str, Value], _Named]]) -> Batch | None:
        request: Any = ExportMetricsServiceRequest()
        items = 0
        for attributes_of_resource, sums in resources:
            resource = request.resource_metrics.add()
            write_attributes(resource.resource.attributes, attributes_of_resource)
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


def _is_by_column(metric: Wanted, context: str) -> bool:
    return metric.amount is one and not metric.group.conditions and context in _COLUMNS


def _sums_of(resources: _Resources, resource: Mapping[str, Value], metric: Wanted) -> _Sums:
    """Those of a resource and a metric."""
    key = tuple(sorted((name, _key(value)) for name, value in resource.items()))
    _, named = resources.setdefault(key, (resource, {}))
    _, own = named.setdefault((metric.group.context, metric.name), (metric, _Sums()))
    return own


def _key(value: Value) -> tuple[str, str]:
    """What only the same value of the same type has."""
    return type(value).__name__, repr(value)


def _chosen(
    metric: Wanted, attributes: Mapping[str, Value], here: Here, resource: Mapping[str, Value]
) -> Mapping[str, Value] | None:
    """The attributes of the point; None where one is missing."""
    chosen: dict[str, Value] = {}
    for key, default in metric.attributes:
        value = attributes.get(key)
        if value is None:
            value = from_attributes([each for each in here.scoped.scope.attributes if each.key == key]).get(key)
        if value is None:
            value = resource.get(key)
        if value is None:
            value = default
        if value is None:
            return None
        chosen[key] = value
    return chosen


def number(value: Value) -> float | None:
    """As a double: numbers, and texts that are written like one; None for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
