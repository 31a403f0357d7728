"""Telemetry without what conditions hold for."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from airis.component import Permanent
from airis.data import Batch, Signal, kernels
from airis.ottl.contexts import Here
from airis.ottl.contexts.fields import data_of
from airis.ottl.lowering.plans import plan_filter
from airis.ottl.options import Group
from airis.ottl.running import Faults, parsed

Metadata = Mapping[str, tuple[str, ...]]

_OWNERS = {Signal.TRACES: "resource_spans", Signal.METRICS: "resource_metrics", Signal.LOGS: "resource_logs"}
_SCOPED = {Signal.TRACES: "scope_spans", Signal.METRICS: "scope_metrics", Signal.LOGS: "scope_logs"}


class Filter:
    """The conditions on one signal."""

    def __init__(self, signal: Signal, groups: Sequence[Group], faults: Faults, *, lower: bool = True) -> None:
        """`lower` says whether the kernels may ask what they can."""
        self._plan = plan_filter(signal, groups) if lower else None
        self._whole = _ByItem(signal, groups, faults)
        self._rest = _ByItem(signal, self._plan.rest, faults) if self._plan else self._whole

    def left_of(self, batch: Batch) -> Batch:
        """What no condition holds for, the very same batch where that is all; raises Permanent."""
        if self._plan is None:
            return self._whole.left_of(batch)
        try:
            view = batch.view()
            if self._plan.is_doubtful(view):
                return self._whole.left_of(batch)
            kept = view.select(self._plan.keeps.mask(view))
        except kernels.MalformedPayload as error:
            raise Permanent(f"it cannot be read: {error}") from error
        return self._rest.left_of(batch if kept is view else batch.with_view(kept))


class _ByItem:
    """Conditions, asked item by item."""

    def __init__(self, signal: Signal, groups: Sequence[Group], faults: Faults) -> None:
        self._signal = signal
        self._faults = faults
        self._by_context: dict[str, list[Group]] = {}
        for group in groups:
            self._by_context.setdefault(group.context, []).append(group)

    def left_of(self, batch: Batch) -> Batch:
        """What no condition holds for, the very same batch where that is all; raises Permanent."""
        if not self._by_context:
            return batch
        request = parsed(batch.signal, batch.payload)
        before = request.ByteSize()
        metadata = batch.origin.metadata
        _thin(getattr(request, _OWNERS[self._signal]), lambda owner: self._drops_owner(owner, metadata))
        if request.ByteSize() == before:
            return batch
        payload = request.SerializeToString()
        return batch.with_payload(payload, kernels.count_items(batch.signal, payload))

    def _drops(self, context: str, here: Here) -> bool:
        return any(self._faults.any_holds(group, here) for group in self._by_context.get(context, ()))

    def _drops_owner(self, owner: Any, metadata: Metadata) -> bool:
        if self._drops("resource", Here(owner, metadata=metadata)):
            return True
        scopes = getattr(owner, _SCOPED[self._signal])
        return _thin(scopes, lambda scoped: self._drops_scope(owner, scoped, metadata))

    def _drops_scope(self, owner: Any, scoped: Any, metadata: Metadata) -> bool:
        if self._drops("scope", Here(owner, scoped, metadata=metadata)):
            return True
        if self._signal is Signal.METRICS:
            return _thin(
                scoped.metrics, lambda metric: self._drops_metric(Here(owner, scoped, metric, metadata=metadata))
            )
        if self._signal is Signal.TRACES:
            return _thin(
                scoped.spans, lambda span: self._drops_span(Here(owner, scoped, None, span, metadata=metadata))
            )
        return _thin(
            scoped.log_records, lambda log: self._drops("log", Here(owner, scoped, None, log, metadata=metadata))
        )

    def _drops_span(self, here: Here) -> bool:
        if self._drops("span", here):
            return True
        self._thin_parts("spanevent", here, here.item.events)
        self._thin_parts("spanlink", here, here.item.links)
        return False

    def _thin_parts(self, context: str, here: Here, parts: Any) -> None:
        if context not in self._by_context:
            return
        index = count()

        def drops(part: Any) -> bool:
            within = Here(here.owner, here.scoped, None, here.item, part, next(index), here.metadata)
            return self._drops(context, within)

        _thin(parts, drops)

    def _drops_metric(self, here: Here) -> bool:
        if self._drops("metric", here):
            return True
        data = data_of(here.metric)
        if data is None or "datapoint" not in self._by_context:
            return False

        def drops(point: Any) -> bool:
            within = Here(here.owner, here.scoped, here.metric, point, metadata=here.metadata)
            return self._drops("datapoint", within)

        return _thin(data.data_points, drops)


def _thin(messages: Any, drops: Callable[[Any], bool]) -> bool:
    """Take away what is to go; gives whether nothing is left where there was something."""
    gone = [index for index, message in enumerate(messages) if drops(message)]
    had = len(messages)
    for index in reversed(gone):
        del messages[index]
    return bool(had) and len(gone) == had
