"""Attributes by their keys, and values by paths that lead into them."""

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue


def keep(messages: Any, kept: Iterable[bool]) -> None:
    """Take away what is not to be kept of a repeated field."""
    gone = [at for at, is_kept in enumerate(kept) if not is_kept]
    for at in reversed(gone):
        del messages[at]


def find(attributes: Any, key: str) -> int | None:
    """Where the first attribute with a key is."""
    return next((at for at, attribute in enumerate(attributes) if attribute.key == key), None)


def first_alone(attributes: Any, key: str) -> KeyValue:
    """The first attribute with a key, without the further ones, or a new one."""
    first = find(attributes, key)
    if first is None:
        added: KeyValue = attributes.add(key=key, value=AnyValue())
        return added
    keep(attributes, [at == first or attribute.key != key for at, attribute in enumerate(attributes)])
    found: KeyValue = attributes[first]
    return found


def value_at(value: AnyValue, path: Sequence[str | int]) -> AnyValue | None:
    """A copy of what is at the end of a path, None where there is nothing."""
    for step in path:
        if isinstance(step, str):
            entries = value.kvlist_value.values
            at = find(entries, step)
            if at is None:
                return None
            value = entries[at].value
        elif step < len(value.array_value.values):
            value = value.array_value.values[step]
        else:
            return None
    return copy(value)


def with_value(value: AnyValue, path: Sequence[str | int], new: AnyValue) -> AnyValue | None:
    """A copy with a new value at the end of a path, None where the path does not lead there."""
    whole = inside = copy(value)
    for step in path:
        kind = inside.WhichOneof("value")
        if isinstance(step, str) and kind in ("kvlist_value", "string_value_strindex", None):
            inside.kvlist_value.SetInParent()
            inside = first_alone(inside.kvlist_value.values, step).value
        elif isinstance(step, int) and step < len(inside.array_value.values):
            inside = inside.array_value.values[step]
        else:
            return None
    inside.CopyFrom(new)
    inside.SetInParent()
    return whole


def without(value: AnyValue, path: Sequence[str | int]) -> AnyValue | None:
    """A copy without what is at the end of a path, None where there is nothing."""
    if value_at(value, path) is None:
        return None
    whole = inside = copy(value)
    for step in path[:-1]:
        if isinstance(step, str):
            inside = first_alone(inside.kvlist_value.values, step).value
        else:
            inside = inside.array_value.values[step]
    last = path[-1]
    if isinstance(last, str):
        entries = inside.kvlist_value.values
        keep(entries, [entry.key != last for entry in entries])
    else:
        del inside.array_value.values[last]
    return whole


def copy(value: AnyValue) -> AnyValue:
    """A value of its own."""
    copy = AnyValue()
    copy.CopyFrom(value)
    return copy


def depth_of(value: AnyValue) -> int:
    """Messages inside one another, from the value itself down."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return 2 + max((depth_of(inside) for inside in value.array_value.values), default=0)
    if kind == "kvlist_value":
        entries = value.kvlist_value.values
        return 2 + max((1 + (depth_of(e.value) if e.HasField("value") else 0) for e in entries), default=0)
    return 1
