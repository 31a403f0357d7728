"""Events of spans, counted one by one: the kernels have no columns of them."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from airis.connectors.span_metrics.dimensions import Layout, key_of
from airis.connectors.span_metrics.options import SpanMetricsConfig
from airis.data import Signal, kernels
from airis.data.expressions import Constant, Some
from airis.data.kernels import View
from airis.ottl.values import Value, from_attributes
from airis.proto.otlp import parse

Counted = tuple[tuple[Any, ...], tuple[Hashable, Mapping[str, Value]], int]


class Events:
    """What events are counted by."""

    def __init__(self, config: SpanMetricsConfig) -> None:
        self._dimensions = [*config.dimensions, *config.events.dimensions]
        self._have_events = kernels.Predicate(Signal.TRACES, Some("event", Constant(True)))
        self._layout = Layout(config)
        self._fixed = self._layout.projection([])

    def counted(self, view: View, layout: Layout) -> Iterator[Counted]:
        """How many events there are by what spans have at the layout's sources and by what events are counted by."""
        with_events = view.select(self._have_events.mask(view))
        if not with_events.items:
            return
        # The layout of the calls finds the resource, that of the events the attributes that are always there.
        sources = [*layout.sources, *self._layout.sources]
        for values, group in with_events.group(sources, with_events.items):
            assert values is not None
            own = values[len(layout.sources) :]
            if own[0] is None:
                continue
            _, fixed = self._fixed.of(own)
            sums: dict[Hashable, tuple[Mapping[str, Value], int]] = {}
            for attributes in self._of_events(group, fixed):
                key = key_of(attributes)
                sums[key] = (attributes, sums.get(key, (attributes, 0))[1] + 1)
            for key, (attributes, count) in sums.items():
                yield values[: len(layout.sources)], (key, attributes), count

    def _of_events(self, group: View, fixed: Mapping[str, Value]) -> Iterator[Mapping[str, Value]]:
        """The attributes of every event's series: the span's own count first, then the event's, then the resource's."""
        request: Any = parse(Signal.TRACES, group.payload)
        for owner in request.resource_spans:
            resource = from_attributes(owner.resource.attributes)
            for scoped in owner.scope_spans:
                for span in scoped.spans:
                    spans_own = from_attributes(span.attributes)
                    for event in span.events:
                        found = {**resource, **from_attributes(event.attributes), **spans_own}
                        chosen = {
                            each.name: value
                            for each in self._dimensions
                            if (value := found.get(each.name, each.default)) is not None
                        }
                        yield {**fixed, **chosen}
