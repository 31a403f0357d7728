"""Where items are in a request, and what they belong to."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

Level = Literal["resource", "scope", "metric", "item"]

LEVELS: tuple[Level, ...] = ("resource", "scope", "metric", "item")

_NAMES = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


class Place(NamedTuple):
    """An item with what it belongs to; the metric is None for what is no data point."""

    owner: Any
    scoped: Any
    metric: Any
    item: Any


def check_level(signal: str, level: str) -> None:
    """Refuse a level that the signal does not have with ValueError."""
    if level not in LEVELS or (level == "metric" and signal != "metrics"):
        raise ValueError(f"{signal} have no level {level}")


def owners(signal: str, message: Any) -> Any:
    """The ResourceSpans, ResourceMetrics or ResourceLogs of a request."""
    return getattr(message, _NAMES[signal][0])


def scopes(signal: str, owner: Any) -> Any:
    """The ScopeSpans, ScopeMetrics or ScopeLogs of one of them."""
    return getattr(owner, _NAMES[signal][1])


def members(signal: str, scoped: Any) -> Any:
    """The spans, metrics or log records of one of those."""
    return getattr(scoped, _NAMES[signal][2])


def points(metric: Any) -> Any:
    """The data points of a metric."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def places(signal: str, message: Any) -> Iterator[Place]:
    """Every item, in order."""
    for owner in owners(signal, message):
        for scoped in scopes(signal, owner):
            for member in members(signal, scoped):
                if signal == "metrics":
                    yield from (Place(owner, scoped, member, point) for point in points(member))
                else:
                    yield Place(owner, scoped, None, member)


def copied(message: Any) -> Any:
    """Another message like it."""
    made = type(message)()
    made.CopyFrom(message)
    return made


def kept(signal: str, message: Any, wanted: Sequence[object]) -> Any:
    """A copy with the items that are wanted, of one truth for each; what then is without any goes."""
    made = copied(message)
    each = iter(wanted)
    for owner in owners(signal, made):
        for scoped in scopes(signal, owner):
            if signal == "metrics":
                for metric in scoped.metrics:
                    _retain(points(metric), lambda _: bool(next(each)))
                _retain(scoped.metrics, lambda metric: len(points(metric)) > 0)
            else:
                _retain(members(signal, scoped), lambda _: bool(next(each)))
        _retain(scopes(signal, owner), lambda scoped: len(members(signal, scoped)) > 0)
    _retain(owners(signal, made), lambda owner: len(scopes(signal, owner)) > 0)
    return made


def _retain(repeated: Any, keep: Callable[[Any], bool]) -> None:
    """Delete what is not to be kept of a repeated field."""
    for index in reversed([index for index, each in enumerate(repeated) if not keep(each)]):
        del repeated[index]
