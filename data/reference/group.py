"""What an item has at a source, and when two have the same."""

import struct
from collections.abc import Callable, Hashable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.data.expressions import InvalidExpression
from airis.data.fields import Source
from airis.data.reference.fields import REPEATED, Found, Item
from airis.data.reference.fields import reader as reader_of
from airis.data.reference.places import Place


def reader(signal: str, source: Source) -> Callable[[Place], Found]:
    """What gives what an item has; InvalidExpression for what the signal does not have, or an item has several of."""
    read = reader_of(signal, source)
    if source.level in REPEATED:
        raise InvalidExpression(f"of {source.level}s an item may have several")
    return lambda place: read(_item(place))


def _item(place: Place) -> Item:
    owner, scoped, metric, item = place
    return Item(owner.resource, owner.schema_url, scoped.scope, scoped.schema_url, metric, item)


def typed(value: Found) -> Hashable:
    """What only the same value of the same type has; of a map the order does not matter."""
    if not isinstance(value, AnyValue):
        return None if value is None else ("int_value", value)
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


def python_value(value: Found) -> Any:
    """As Python has it: an array is a list, a map a dict in which of a key that comes twice the first counts."""
    if not isinstance(value, AnyValue):
        return value
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [python_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        entries: dict[str, Any] = {}
        for entry in value.kvlist_value.values:
            entries.setdefault(entry.key, python_value(entry.value))
        return entries
    return getattr(value, kind) if kind is not None and typed(value) is not None else None


def whole(value: Found) -> int:
    """As a whole number of 64 bits: the nearest, and 0 for what is none."""
    number = python_value(value)
    is_whole = isinstance(number, int) and not isinstance(number, bool)
    return min(max(number, -(1 << 63)), (1 << 63) - 1) if is_whole else 0
