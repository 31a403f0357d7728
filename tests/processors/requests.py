"""Batches of Python values: what attributes are before a processor, and after it."""

from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from airis.data import Batch, Origin, Signal
from airis.proto import otlp

METRIC_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_STEPS = {
    Signal.TRACES: ("resource_spans", "scope_spans", "spans"),
    Signal.METRICS: ("resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: ("resource_logs", "scope_logs", "log_records"),
}


def any_value(literal: Any) -> AnyValue:
    """A literal as a message."""
    made = AnyValue()
    match literal:
        case None:
            pass
        case bool():
            made.bool_value = literal
        case int():
            made.int_value = literal
        case float():
            made.double_value = literal
        case str():
            made.string_value = literal
        case bytes():
            made.bytes_value = literal
        case dict():
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(pairs(literal))
        case _:
            made.array_value.SetInParent()
            made.array_value.values.extend(map(any_value, literal))
    return made


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    """Attributes as messages."""
    return [KeyValue(key=key, value=any_value(literal)) for key, literal in attributes.items()]


def literal(value: AnyValue) -> Any:
    """The message as a literal."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [literal(inner) for inner in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: literal(entry.value) for entry in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def attributes(messages: Any) -> list[dict[str, Any]]:
    """The attributes of each message, with their types: 1 is not True, and not 1.0."""
    return [{entry.key: literal(entry.value) for entry in message.attributes} for message in messages]


def typed(found: Any) -> Any:
    """Values that are equal only if their types are."""
    if isinstance(found, dict):
        return {key: typed(value) for key, value in found.items()}
    return [typed(value) for value in found] if isinstance(found, list) else (type(found), found)


def batch(
    signal: Signal,
    *items: dict[str, Any],
    resource: dict[str, Any] | None = None,
    scope: tuple[str, str] = ("", ""),
    metadata: dict[str, tuple[str, ...]] | None = None,
    **fields: Any,
) -> Batch:
    """One resource and scope with an item for each set of attributes; each metric has two points of its kind.

    `fields` are set in every span, log record or metric.
    """
    owners, scopes, members = _STEPS[signal]
    request = otlp.layout(signal).request()
    owner = getattr(request, owners).add()
    owner.resource.attributes.extend(pairs(resource or {}))
    scoped = getattr(owner, scopes).add()
    scoped.scope.name, scoped.scope.version = scope
    count = 0
    for number, given in enumerate(items):
        member = getattr(scoped, members).add()
        for name, value in fields.items():
            if name == "body":
                member.body.CopyFrom(any_value(value))
            else:
                setattr(member, name, value)
        owns: list[Any] = [member]
        if signal is Signal.METRICS:
            kind = getattr(member, METRIC_KINDS[number % len(METRIC_KINDS)])
            owns = [kind.data_points.add() for _ in range(2)]
        for one in owns:
            one.attributes.extend(pairs(given))
        count += len(owns)
    return Batch(signal, request.SerializeToString(), count, Origin(metadata=metadata or {}))


def items(of: Batch) -> list[Any]:
    """The spans, log records or data points."""
    owners, scopes, members = _STEPS[of.signal]
    request = otlp.parse(of.signal, of.payload)
    found = [
        member
        for owner in getattr(request, owners)
        for scoped in getattr(owner, scopes)
        for member in getattr(scoped, members)
    ]
    if of.signal is not Signal.METRICS:
        return found
    return [point for metric in found for point in getattr(metric, str(metric.WhichOneof("data"))).data_points]


def resources(of: Batch) -> list[Any]:
    """The resources."""
    request = otlp.parse(of.signal, of.payload)
    return [owner.resource for owner in getattr(request, _STEPS[of.signal][0])]
