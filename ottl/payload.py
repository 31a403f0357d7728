"""The items of a payload, each as a statement of some context is carried out on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from airis.data import Signal
from airis.ottl.contexts import Here
from airis.ottl.contexts.fields import data_of

CONTEXTS_OF: Mapping[Signal, tuple[str, ...]] = {
    Signal.TRACES: ("resource", "scope", "span", "spanevent", "spanlink"),
    Signal.METRICS: ("resource", "scope", "metric", "datapoint", "exemplar"),
    Signal.LOGS: ("resource", "scope", "log"),
}
"""The contexts that the telemetry of a signal has, from the outside in."""

_OWNERS = {Signal.TRACES: "resource_spans", Signal.METRICS: "resource_metrics", Signal.LOGS: "resource_logs"}
_SCOPED = {Signal.TRACES: "scope_spans", Signal.METRICS: "scope_metrics", Signal.LOGS: "scope_logs"}
_MEMBERS = {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "log_records"}
_PARTS = {"spanevent": "events", "spanlink": "links", "exemplar": "exemplars"}
_IN_METRICS = ("metric", "datapoint", "exemplar")


def owners_of(signal: Signal, request: Any) -> Any:
    """The ResourceSpans and the like of a request."""
    return getattr(request, _OWNERS[signal])


def here_of(
    signal: Signal, request: Any, context: str, metadata: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[Here]:
    """Every item of an Export…ServiceRequest that a context has, in order.

    What is yielded is part of the request: what is done to it changes the request. Items may be added or taken away
    behind the one that was yielded last.
    """
    for owner in owners_of(signal, request):
        if context == "resource":
            yield Here(owner, metadata=metadata)
            continue
        for scoped in getattr(owner, _SCOPED[signal]):
            if context == "scope":
                yield Here(owner, scoped, metadata=metadata)
                continue
            for member in getattr(scoped, _MEMBERS[signal]):
                yield from _inside(owner, scoped, member, context, metadata)


def _inside(
    owner: Any, scoped: Any, member: Any, context: str, metadata: Mapping[str, tuple[str, ...]] | None
) -> Iterator[Here]:
    if context == "metric":
        yield Here(owner, scoped, member, metadata=metadata)
        return
    if context in _IN_METRICS:
        data = data_of(member)
        found = [(member, point) for point in data.data_points] if data is not None else []
    else:
        found = [(None, member)]
    for metric, item in found:
        if context not in _PARTS:
            yield Here(owner, scoped, metric, item, metadata=metadata)
            continue
        for index, part in enumerate(getattr(item, _PARTS[context], ())):
            yield Here(owner, scoped, metric, item, part, index, metadata)
