"""What an item has at a source, and when two have the same."""

import struct
from collections.abc import Hashable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.data.fields import Attribute, Source
from airis.data.reference.places import Place, check_level

_FIELDS = {
    ("traces", "item", "trace_id"),
    ("logs", "item", "trace_id"),
    ("logs", "item", "severity_number"),
    ("metrics", "metric", "name"),
}


def check(signal: str, source: Source) -> None:
    """Refuse a source that the signal does not have, or that is not known here, with ValueError."""
    check_level(signal, source.level)
    is_known = isinstance(source, Attribute) or (signal, source.level, source.name) in _FIELDS
    if source.path or not is_known:
        raise ValueError(f"{signal} cannot be grouped by {source}")


def read(source: Source, place: Place) -> AnyValue:
    """What an item has, an empty value where it has nothing."""
    if not isinstance(source, Attribute):
        value = getattr(place.metric if source.level == "metric" else place.item, source.name)
        if isinstance(value, int):
            return AnyValue(int_value=value)
        return AnyValue(string_value=value.hex() if isinstance(value, bytes) else value)
    if source.level == "metric":
        attributes = place.metric.metadata
    else:
        owner = {"resource": place.owner, "scope": place.scoped}.get(source.level)
        attributes = (getattr(owner, source.level) if owner is not None else place.item).attributes
    return next((attribute.value for attribute in attributes if attribute.key == source.key), AnyValue())


def typed(value: AnyValue) -> Hashable:
    """What only the same value of the same type has; of a map the order does not matter."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return kind, tuple(map(typed, value.array_value.values))
    if kind == "kvlist_value":
        entries = sorted(value.kvlist_value.values, key=lambda entry: entry.key.encode())
        return kind, tuple((entry.key, typed(entry.value)) for entry in entries)
    if kind == "double_value":
        return kind, struct.pack("<d", value.double_value)
    if kind in ("string_value", "bool_value", "int_value", "bytes_value"):
        return kind, getattr(value, kind)
    return None


def python_value(value: AnyValue) -> Any:
    """As Python has it: an array is a list, a map a dict in which of a key that comes twice the first counts."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [python_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        entries: dict[str, Any] = {}
        for entry in value.kvlist_value.values:
            entries.setdefault(entry.key, python_value(entry.value))
        return entries
    return getattr(value, kind) if kind is not None and typed(value) is not None else None
