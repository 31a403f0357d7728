"""What the `debug` exporter writes of profiles and of the tables that they refer to.

Anything may refer to anything there, as often as it likes: a small request must not become a large text. So only names
and attributes of a profile are looked up, and cut; samples say numbers, and the tables come once, at the end.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.profiles.v1development.profiles_pb2 import (
    KeyValueAndUnit,
    Location,
    Profile,
    ProfilesDictionary,
    Sample,
    ValueType,
)

from airis.exporters.debug.values import columns, dropped_line, text_of, timestamp, typed

MOST_TEXT = 100
MOST_ATTRIBUTES = 32


def brief_profile(tables: ProfilesDictionary, profile: Profile) -> Iterator[str]:
    """One line: what was measured, for how long, with how many samples."""
    found = (f"{key}={text}" for key, text in _attributes(tables, profile.attribute_indices, text_of))
    known = (_type(tables, profile.sample_type), profile.profile_id.hex())
    numbers = (f"samples={len(profile.samples)}", f"duration={profile.duration_nano}ns")
    yield " ".join([*filter(None, known), *numbers, *found])


def full_profile(tables: ProfilesDictionary, index: int, profile: Profile) -> Iterator[str]:
    """Every field that is set, a line for each."""
    yield f"Profile #{index}"
    yield from columns(
        ("Profile ID", profile.profile_id.hex()),
        ("Sample type", _type(tables, profile.sample_type)),
        ("Start time", timestamp(profile.time_unix_nano)),
        ("Duration", f"{profile.duration_nano} ns"),
        ("Period type", _type(tables, profile.period_type)),
        ("Period", str(profile.period)),
    )
    if profile.original_payload:
        size, form = len(profile.original_payload), profile.original_payload_format
        yield from columns(("Original", f"{size} bytes of {form or 'an unknown format'}"))
    yield from dropped_line("    DroppedAttributesCount", profile.dropped_attributes_count)
    found = list(_attributes(tables, profile.attribute_indices, typed))
    if found:
        yield "Attributes:"
    yield from (f"     -> {key}: {text}" for key, text in found)
    for number, sample in enumerate(profile.samples):
        yield from _sample(tables, number, sample)


def full_tables(tables: ProfilesDictionary) -> Iterator[str]:
    """What samples refer to, the first place of every table being for what is not set."""
    for index, mapping in enumerate(tables.mapping_table):
        file = _string(tables, mapping.filename_strindex)
        yield f"Mapping #{index}: {mapping.memory_start:#x} to {mapping.memory_limit:#x} of {file}"
    for index, location in enumerate(tables.location_table):
        yield f"Location #{index}: {_location(location)}"
    for index, function in enumerate(tables.function_table):
        name, file = _string(tables, function.name_strindex), _string(tables, function.filename_strindex)
        yield f"Function #{index}: {name} ({file}:{function.start_line})"
    for index, stack in enumerate(tables.stack_table):
        yield f"Stack #{index}: locations {list(stack.location_indices)}"
    for index, attribute in enumerate(tables.attribute_table):
        yield f"Attribute #{index}: {_string(tables, attribute.key_strindex)}: {_whole(tables, attribute)}"


def _location(location: Location) -> str:
    lines = ", ".join(f"function {line.function_index} line {line.line}" for line in location.lines)
    return f"{location.address:#x} in mapping {location.mapping_index}" + (f", {lines}" if lines else "")


def _whole(tables: ProfilesDictionary, attribute: KeyValueAndUnit) -> str:
    unit = _string(tables, attribute.unit_strindex)
    return typed(_value(tables, attribute.value)) + (f" {unit}" if unit else "")


def _sample(tables: ProfilesDictionary, index: int, sample: Sample) -> Iterator[str]:
    yield f"Sample #{index}"
    yield f"     -> Stack: {sample.stack_index}"
    yield f"     -> Values: {list(sample.values)}"
    if sample.timestamps_unix_nano:
        yield f"     -> Timestamps: {', '.join(map(timestamp, sample.timestamps_unix_nano))}"
    if sample.attribute_indices:
        yield f"     -> Attributes: {list(sample.attribute_indices)}"
    if link := _at(tables.link_table, sample.link_index):
        yield f"     -> Trace ID: {_cut(link.trace_id.hex())}"
        yield f"     -> Span ID: {_cut(link.span_id.hex())}"


def _attributes(
    tables: ProfilesDictionary, indexes: Iterable[int], write: Callable[[AnyValue], str]
) -> Iterator[tuple[str, str]]:
    for index in islice(indexes, MOST_ATTRIBUTES):
        attribute = _at(tables.attribute_table, index)
        if attribute is None:
            yield f"attribute {index}", "unknown"
            continue
        value = _value(tables, attribute.value)
        is_large = value.WhichOneof("value") in ("array_value", "kvlist_value", "bytes_value")
        unit = _string(tables, attribute.unit_strindex)
        text = f"attribute {index}" if is_large else _cut(write(value))
        yield _string(tables, attribute.key_strindex), text + (f" {unit}" if unit else "")


def _value(tables: ProfilesDictionary, value: AnyValue) -> AnyValue:
    """The value with its text, where that is in the table of strings."""
    if value.WhichOneof("value") == "string_value_strindex":
        return AnyValue(string_value=_string(tables, value.string_value_strindex))
    return value


def _type(tables: ProfilesDictionary, value_type: ValueType) -> str:
    """``cpu (nanoseconds)``."""
    unit = _string(tables, value_type.unit_strindex)
    return _string(tables, value_type.type_strindex) + (f" ({unit})" if unit else "")


def _string(tables: ProfilesDictionary, index: int) -> str:
    """The text at a place of the table, or, where it has no such place, which that would be."""
    if index == 0:
        return ""
    text = _at(tables.string_table, index)
    return f"string {index}" if text is None else _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}…"


def _at(table: Any, index: int) -> Any:
    """What is in a table at a place; None where nothing can be: 0 is for what is not set."""
    return table[index] if 0 < index < len(table) else None
