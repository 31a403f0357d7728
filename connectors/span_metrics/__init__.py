"""Calls, errors and durations of services, counted from their spans."""

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

from airis.component import Connector, Host, Outputs, Partial, Permanent, Retryable, Telemetry, connector
from airis.component.occasional import Occasional
from airis.component.telemetry import left_out, made
from airis.connectors.span_metrics.dimensions import SERVICE_INDEX, Layout
from airis.connectors.span_metrics.events import Events
from airis.connectors.span_metrics.histograms import Distribution, Explicit, Exponential
from airis.connectors.span_metrics.options import DEFAULT_BUCKETS_S, NANOSECONDS, SpanMetricsConfig
from airis.connectors.span_metrics.series import (
    Entry,
    Exemplar,
    Metric,
    MetricKind,
    Resource,
    Series,
    State,
    Tally,
    chunks,
    message,
    nanoseconds,
)
from airis.data import Batch, Origin, Signal, kernels
from airis.data.fields import Field
from airis.data.kernels import View

JOINED_ITEMS = 8192
"""Spans that are worked on together, at the latest when points are handed on: work is per series, not per span."""
DURATION = Field("item", "duration")
_IDS = [Field("item", "trace_id"), Field("item", "span_id")]
_DEFAULT_SIZE = 160


@connector("span_metrics", {(Signal.TRACES, Signal.METRICS): "beta"})
class SpanMetricsConnector(Connector[SpanMetricsConfig]):
    """Count calls and errors, and measure durations, by service, span name, kind, status and chosen attributes.

    The metrics are `traces.span.metrics.calls` and `traces.span.metrics.duration`, and of events
    `traces.span.metrics.events`. Spans are acknowledged when they are counted: after a crash cumulative series begin
    anew, and what came since the last points were handed on is missing. At a shutdown the last points are handed on.
    Deltas that are refused go on with the next ones. Spans whose resource has no service.name are left out and
    counted. The Collector's dimension collector.instance.id is not added: where several instances count the same
    series, let a resource processor tell them apart. What sampling before the connector left out is not extrapolated.
    """

    def __init__(
        self,
        config: SpanMetricsConfig,
        downstream: Outputs,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config, downstream, telemetry)
        self._clock = clock
        self._sleep = sleep
        self._layout = Layout(config)
        self._projections = [self._layout.projection([*config.dimensions, *config.calls_dimensions])]
        if not config.histogram.disable:
            self._projections.append(self._layout.projection([*config.dimensions, *config.histogram.dimensions]))
        self._events = Events(config) if config.events.enabled else None
        self._state = State(
            _metrics_of(config), config.aggregation_cardinality_limit, config.resource_metrics_cache_size
        )
        self._known: dict[Hashable, tuple[Resource, Sequence[Series]]] = {}
        """By what the kernels found, the series that have room of their own."""
        self._pending: list[View] = []
        self._pending_items = 0
        self._pending_of = ("", 0.0)
        """The tenant, and when the first came."""
        self._handed_on: OrderedDict[Hashable, float] = OrderedDict()
        """When the last delta of a series was."""
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._refused_log = Occasional()
        self.made = made(telemetry)
        self.left_out = left_out(telemetry)
        self.dropped = telemetry.counter(
            "dropped_points", "{datapoint}", "Points that the pipelines behind refused for good."
        )
        telemetry.gauge("series", "{series}", "Series that are kept.", lambda: len(self._state))

    async def start(self, host: Host) -> None:
        """Hand on points from now on."""
        self._task = asyncio.create_task(self._run())

    async def consume(self, batch: Batch) -> None:
        """Count the spans. Retryable at a shutdown."""
        if self._closed:
            raise Retryable("span_metrics is shutting down")
        view = batch.view()
        if self._pending and self._pending_of[0] != batch.origin.tenant:
            self._settle()
        if not self._pending:
            self._pending_of = (batch.origin.tenant, self._clock())
        self._pending.append(view)
        self._pending_items += view.items
        if self._pending_items >= JOINED_ITEMS:
            self._settle()

    async def shutdown(self) -> None:
        """Hand on the last points."""
        if self._closed:
            return
        self._closed = True
        if self._task is None:
            return
        async with self._flushing:
            self._task.cancel()
        await self.flush()

    async def flush(self) -> None:
        """Hand on a point of every series now; of deltas, of those that have any."""
        async with self._flushing:
            self._settle()
            now = self._clock()
            entries = list(self._state.all())
            if self.config.is_delta:
                self._state.resources = OrderedDict()
                self._known.clear()
            delivered: list[Entry] = []
            for part in chunks(entries):
                if await self._hand_on(part, now):
                    delivered += part
            if self.config.is_delta:
                self._remember(delivered, now)
            elif self._state.expire(now, self.config.series_expiration, self.config.metrics_expiration):
                self._known.clear()

    async def _run(self) -> None:
        while True:
            await self._sleep(self.config.metrics_flush_interval)
            await self.flush()

    async def _hand_on(self, part: list[Entry], now: float) -> bool:
        """Whether the points are out of our hands."""
        config = self.config
        request = message(part, self._state.metrics, now, is_delta=config.is_delta, start=self._start)
        origin = Origin(receiver=self.telemetry.component_id, tenant=part[0][1].tenant)
        batch = Batch(Signal.METRICS, request.SerializeToString(), len(part), origin, nanoseconds(now))
        try:
            await self.downstream.by_signal[Signal.METRICS].consume(batch)
        except Partial as error:
            self._tell("some points were rejected", error)
            self.dropped.add(error.rejected)
        except Permanent as error:
            self._tell("points were refused for good", error)
            self.dropped.add(len(part))
            return True
        except Exception as error:
            # Retryable, or a fault of ours, which must not end the counting.
            self._tell("points were refused; they come again with the next ones", error)
            if config.is_delta:
                self._put_back(part)
            return False
        self.made.add(len(part))
        for _, _, series in part:
            series.exemplars = []
        return True

    def _tell(self, event: str, error: Exception) -> None:
        if self._refused_log.due():
            self.telemetry.log.warning(event, error=str(error))

    # Deltas

    def _start(self, entry: Entry) -> float:
        place, _, series = entry
        if not self.config.is_delta:
            return series.start
        return min(series.start, self._handed_on.get((place.resource, place.key), series.start))

    def _put_back(self, part: Sequence[Entry]) -> None:
        """What was not handed on goes on in the series that have begun since."""
        for place, resource, series in part:
            into = self._state.resource(place.resource, resource.tenant, resource.attributes, series.seen)
            now, _ = self._state.series(into, place.metric, place.key, series.attributes, series.seen)
            now.counted.absorb(series.counted)
            now.start = min(now.start, series.start)
            now.exemplars = [*series.exemplars, *now.exemplars][: self.config.exemplars.max_per_data_point]

    def _remember(self, delivered: Sequence[Entry], now: float) -> None:
        for place, _, _ in delivered:
            self._handed_on[place.resource, place.key] = now
            self._handed_on.move_to_end((place.resource, place.key))
        while len(self._handed_on) > self.config.metric_timestamp_cache_size:
            self._handed_on.popitem(last=False)

    # Counting

    def _settle(self) -> None:
        """Count the spans that wait for it."""
        if not self._pending:
            return
        view = kernels.concat(self._pending)
        tenant, now = self._pending_of
        self._pending, self._pending_items = [], 0
        groups = view.collect(self._layout.sources, DURATION, max(1, view.items))
        examples = self._examples(view) if self.config.exemplars.enabled else None
        for number, (values, numbers) in enumerate(groups):
            assert values is not None
            durations = sorted(struct.unpack(f"<{len(numbers) // 8}q", numbers))
            if values[SERVICE_INDEX] is None:
                self.left_out.add(len(durations), reason="no_service_name")
                continue
            if durations[0] < 0:
                durations = [max(0, duration) for duration in durations]
            resource, all_series = self._series(values, tenant, now)
            resource.seen = now
            for series in all_series:
                series.seen = now
                series.counted.add(durations)
            if examples is not None:
                self._add_examples(all_series, examples[number])
        if self._events is not None:
            self._count_events(view, tenant, now)

    def _series(self, values: tuple[Any, ...], tenant: str, now: float) -> tuple[Resource, Sequence[Series]]:
        """The series, one of each metric, that spans with these values belong to."""
        raw = self._layout.raw_key(values, tenant)
        if raw is not None and (known := self._known.get(raw)) is not None:
            return known
        resource = self._resource(values, tenant, now)
        found = [
            self._state.series(resource, metric, *projection.of(values), now)
            for metric, projection in enumerate(self._projections)
        ]
        made = resource, [series for series, _ in found]
        if raw is not None and all(is_own for _, is_own in found):
            self._known[raw] = made
        return made

    def _resource(self, values: tuple[Any, ...], tenant: str, now: float) -> Resource:
        key, attributes = self._layout.resource(values)
        return self._state.resource((tenant, key), tenant, attributes, now)

    def _count_events(self, view: View, tenant: str, now: float) -> None:
        assert self._events is not None
        metric = len(self._projections)
        for values, event_values, count in self._events.counted(view, self._layout):
            resource = self._resource(values, tenant, now)
            key, attributes = event_values
            series, _ = self._state.series(resource, metric, key, attributes, now)
            series.counted.add(range(count))

    # Exemplars

    def _examples(self, view: View) -> Sequence[View]:
        """By group."""
        return [group for _, group in view.group(self._layout.sources, max(1, view.items))]

    def _add_examples(self, all_series: Sequence[Series], group: View) -> None:
        most = self.config.exemplars.max_per_data_point
        wanting = [series for series in all_series if len(series.exemplars) < most]
        if not wanting:
            return
        unit = NANOSECONDS[self.config.histogram.unit]
        found: list[Exemplar] = []
        for ids, numbers in group.collect(_IDS, DURATION, most + 1):  # one may be of no trace
            if ids is not None and ids[0]:
                (duration,) = struct.unpack_from("<q", numbers)
                found.append(Exemplar(ids[0], ids[1] or "", max(0, duration) / unit))
        for series in wanting:
            series.exemplars += found[: most - len(series.exemplars)]


def _metrics_of(config: SpanMetricsConfig) -> list[Metric]:
    histogram = config.histogram
    unit = NANOSECONDS[histogram.unit]
    bounds = [round(bound * 1e9) for bound in (histogram.explicit.buckets if histogram.explicit else DEFAULT_BUCKETS_S)]
    size = histogram.exponential.max_size or _DEFAULT_SIZE if histogram.exponential else _DEFAULT_SIZE

    def begin() -> Distribution:
        return Exponential(max(2, size), unit) if histogram.exponential else Explicit(bounds, unit)

    metrics = [Metric(config.name_of("calls"), "", "sum", Tally)]
    if not histogram.disable:
        kind: MetricKind = "exponential_histogram" if histogram.exponential else "histogram"
        metrics.append(Metric(config.name_of("duration"), histogram.unit, kind, begin))
    if config.events.enabled:
        metrics.append(Metric(config.name_of("events"), "", "sum", Tally))
    return metrics
