"""What is found in a source: attributes and fields of items, and of what they belong to."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field, Level, Source
from airis.data.reference.values import encode_value

Found = AnyValue | int | None
"""A value, a field that is a whole number of any size, or None where it is absent."""

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_METRIC_TYPES = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_LEVELS: dict[str, tuple[Level, ...]] = {
    "traces": ("resource", "scope", "item", "event", "link"),
    "logs": ("resource", "scope", "item"),
    "metrics": ("resource", "scope", "metric", "item", "exemplar"),
}
REPEATED: dict[Level, str] = {"event": "events", "link": "links", "exemplar": "exemplars"}
"""The levels that an item may have several of, and the fields that they are in."""

_TIMES = "time time_unix_nano"
_IDS = "trace_id trace_id.string span_id span_id.string"
NAMES: dict[tuple[str, Level], str] = {
    (
        "traces",
        "item",
    ): f"attributes dropped_attributes_count dropped_events_count dropped_links_count duration end_time "
    f"end_time_unix_nano flags kind kind.deprecated_string kind.string name parent_span_id parent_span_id.string "
    f"start_time start_time_unix_nano status.code status.message trace_state {_IDS}",
    ("logs", "item"): f"attributes body body.string dropped_attributes_count event_name flags observed_time "
    f"observed_time_unix_nano severity_number severity_text {_IDS} {_TIMES}",
    ("metrics", "item"): f"attributes bucket_counts count explicit_bounds flags max min negative.bucket_counts "
    f"negative.offset positive.bucket_counts positive.offset quantile_values scale start_time start_time_unix_nano sum "
    f"value_double value_int zero_count zero_threshold {_TIMES}",
    ("metrics", "metric"): "aggregation_temporality description is_monotonic metadata name type unit",
    ("traces", "event"): f"attributes dropped_attributes_count name {_TIMES}",
    ("traces", "link"): f"attributes dropped_attributes_count flags trace_state {_IDS}",
    ("metrics", "exemplar"): f"double_value filtered_attributes int_value {_IDS} {_TIMES}",
}
"""The fields of every level of a signal's items."""
for _signal in _LEVELS:
    NAMES[_signal, "resource"] = "attributes dropped_attributes_count schema_url"
    NAMES[_signal, "scope"] = "attributes dropped_attributes_count name schema_url version"

_PROTOBUF_NAMES = {
    **{name: f"{name}_unix_nano" for name in ("time", "start_time", "end_time", "observed_time")},
    **{f"{name}.string": name for name in ("trace_id", "span_id", "parent_span_id")},
    "value_double": "as_double",
    "value_int": "as_int",
    "double_value": "as_double",
    "int_value": "as_int",
}
_MAPS = ("attributes", "metadata", "filtered_attributes")
_LISTS = ("bucket_counts", "explicit_bounds", "quantile_values", "positive.bucket_counts", "negative.bucket_counts")


@dataclass(frozen=True, slots=True)
class Item:
    """An item with what it belongs to, each as its message."""

    resource: Any
    resource_schema_url: str
    scope: Any
    scope_schema_url: str
    metric: Any
    item: Any
    event: Any = None
    link: Any = None
    exemplar: Any = None

    def elements(self, level: Level) -> "Iterator[Item]":
        """The item once for each of its elements of a repeated level."""
        for element in getattr(self.item, REPEATED[level], ()):
            yield replace(self, **{level: element})


def items(signal: str, message: Any) -> Iterator[Item]:
    """Every item of a request."""
    owners, scopes, records = {
        "traces": ("resource_spans", "scope_spans", "spans"),
        "metrics": ("resource_metrics", "scope_metrics", "metrics"),
        "logs": ("resource_logs", "scope_logs", "log_records"),
    }[signal]
    for owner in getattr(message, owners):
        for scoped in getattr(owner, scopes):
            for record in getattr(scoped, records):
                above = (owner.resource, owner.schema_url, scoped.scope, scoped.schema_url)
                if signal != "metrics":
                    yield Item(*above, metric=None, item=record)
                elif kind := record.WhichOneof("data"):
                    for point in getattr(record, kind).data_points:
                        yield Item(*above, metric=record, item=point)


def check_level(signal: str, level: Level) -> None:
    """Raise InvalidExpression where items of the signal have no such level."""
    if level not in _LEVELS[signal]:
        raise InvalidExpression(f"items of {signal} have no {level}")


def reader(signal: str, source: Source) -> Callable[[Item], Found]:
    """What gives what an item has in a source; raises InvalidExpression for one that there is not."""
    check_level(signal, source.level)
    for step in source.path:
        if isinstance(step, int) and step < 0:
            raise InvalidExpression(f"{step} is no index of an array")
    if isinstance(source, Attribute):
        return _attribute_reader(source)
    names = sorted(NAMES[signal, source.level].split())
    if source.name not in names:
        raise InvalidExpression(f'no field of {source.level} is called "{source.name}"; there are {", ".join(names)}')
    first = source.path[0] if source.path else None
    if isinstance(first, str) and source.name in _MAPS:
        return _attribute_reader(Attribute(source.level, first, source.path[1:]))
    can_follow = (
        source.name == "body"
        or (source.name == "trace_state" and isinstance(first, str) and len(source.path) == 1)
        or (source.name in _LISTS and isinstance(first, int))
    )
    if source.path and not can_follow:
        raise InvalidExpression(f'nothing in "{source.name}" can be found by this path')
    return lambda item: _field(item, source)


def _attribute_reader(attribute: Attribute) -> Callable[[Item], Found]:
    def read(item: Item) -> Found:
        for entry in _attributes(getattr(item, attribute.level)):
            if entry.key == attribute.key:
                return _follow(entry.value, attribute.path)
        return None

    return read


def _attributes(message: Any) -> Sequence[KeyValue]:
    name = next(name for name in _MAPS if name in message.DESCRIPTOR.fields_by_name)
    attributes: Sequence[KeyValue] = getattr(message, name)
    return attributes


def _follow(value: AnyValue, path: Sequence[str | int]) -> AnyValue | None:
    """What is at a path inside a value."""
    for step in path:
        inside: AnyValue | None = None
        if isinstance(step, str):
            inside = next((entry.value for entry in value.kvlist_value.values if entry.key == step), None)
        elif step < len(value.array_value.values):
            inside = value.array_value.values[step]
        if inside is None:
            return None
        value = inside
    return value


def _field(item: Item, source: Field) -> Found:
    message = getattr(item, source.level)
    match source.name:
        case "attributes" | "metadata" | "filtered_attributes":
            return _map(_attributes(message))
        case "schema_url":
            return AnyValue(string_value=getattr(item, f"{source.level}_schema_url"))
        case "duration":
            return int(message.end_time_unix_nano) - int(message.start_time_unix_nano)
        case "kind.string":
            return AnyValue(string_value=_kind(message.kind))
        case "kind.deprecated_string":
            return AnyValue(string_value=f"SPAN_KIND_{_kind(message.kind).upper()}" if _kind(message.kind) else "")
        case "trace_state" if source.path:
            return _trace_state(message.trace_state, str(source.path[0]))
        case "body":
            return _follow(message.body, source.path) if message.HasField("body") else None
        case "body.string":
            return AnyValue(string_value=encode_value(message.body)[0]) if message.HasField("body") else None
        case "type":
            return 1 + _METRIC_TYPES.index(message.WhichOneof("data"))
        case "aggregation_temporality" | "is_monotonic":
            return _number_field(getattr(message, message.WhichOneof("data")), source.name)
        case "quantile_values" if isinstance(message, SummaryDataPoint):
            quantiles = [_map_of(quantile=q.quantile, value=q.value) for q in message.quantile_values]
            return _follow(_array(quantiles), source.path)
        case name if name in _LISTS:
            return _list_field(message, source)
        case name:
            return _number_field(message, _PROTOBUF_NAMES.get(name, name))


def _kind(number: int) -> str:
    return _KINDS[number] if 0 <= number < len(_KINDS) else ""


def _trace_state(text: str, key: str) -> AnyValue | None:
    """The value of a key in a W3C trace state."""
    for member in text.split(","):
        name, equals, value = member.strip(" \t\n\f\r").partition("=")
        if equals and name == key:
            return AnyValue(string_value=value)
    return None


def _protobuf_field(message: Any, name: str) -> Any:
    """A field by its name, with points between messages; None where it is not set or there is none."""
    for part in name.split("."):
        descriptor = message.DESCRIPTOR.fields_by_name.get(part)
        if descriptor is None:
            return None
        if descriptor.has_presence and descriptor.message_type is None and not message.HasField(part):
            return None
        message = getattr(message, part)
    return message


def _number_field(message: Any, name: str) -> Found:
    match _protobuf_field(message, name):
        case None:
            return None
        case bool() as value:
            return AnyValue(bool_value=value)
        case int() as number:
            return number
        case float() as number:
            return AnyValue(double_value=number)
        case bytes() as identifier:
            return AnyValue(string_value=identifier.hex())
        case text:
            return AnyValue(string_value=text)


def _list_field(message: Any, source: Field) -> Found:
    numbers = _protobuf_field(message, source.name)
    if numbers is None:
        return None
    if not source.path:
        return _array([_value(number) for number in numbers])
    index, *inside = source.path
    if inside or not isinstance(index, int) or index >= len(numbers):
        return None
    number: int | float = numbers[index]
    return number if isinstance(number, int) else _value(number)


def _value(number: float) -> AnyValue:
    """An integer of more than 63 bits wraps, as it does in the Collector."""
    if isinstance(number, float):
        return AnyValue(double_value=number)
    return AnyValue(int_value=struct.unpack("<q", struct.pack("<Q", number))[0])


def _array(values: Sequence[AnyValue]) -> AnyValue:
    made = AnyValue()
    made.array_value.SetInParent()
    made.array_value.values.extend(values)
    return made


def _map(entries: Sequence[KeyValue]) -> AnyValue:
    return AnyValue(kvlist_value=KeyValueList(values=entries))


def _map_of(**numbers: float) -> AnyValue:
    return _map([KeyValue(key=key, value=AnyValue(double_value=number)) for key, number in numbers.items()])
