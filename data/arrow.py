"""Items as Arrow tables: which columns there are, and of which types.

``view.arrow(columns)`` gives an object of the Arrow PyCapsule interface, which ``pyarrow.table``, ``polars.DataFrame``,
``duckdb.sql`` and others read as it lies in memory. A column is a source (`airis.data.fields`), of the type that fits
it, or of one that is asked for:

    view.arrow({
        "service": Attribute("resource", "service.name"),
        "name": Field("item", "name"),
        "start": Field("item", "start_time"),
        "status": Column(Attribute("item", "http.response.status_code"), "int64"),
    })

There is a row for every item, in order. It is null where the source is absent, and where what is there is not of the
column's type: an attribute may be a number in one item and a text in the next. Without a type an attribute is a text,
whatever it is, as ``View.attribute`` has it. Of events, links and exemplars an item has several: their columns are
lists, with an element for each.

| type | in Arrow | holds |
|---|---|---|
| ``text`` | Utf8 | any value as its text (`airis.data.reference.values`), ids as hexadecimal digits |
| ``dictionary`` | Dictionary(Int32, Utf8) | the same, each text once: what many items have in common |
| ``bool`` | Bool | bools |
| ``int32``, ``uint32``, ``int64``, ``uint64`` | the same | whole numbers that fit |
| ``float64`` | Float64 | doubles, and whole numbers as the nearest one |
| ``binary`` | Binary | bytes, and ids |
| ``timestamp`` | Timestamp(ns, UTC) | nanoseconds since 1970 that fit 63 bits; 0, which is no time, is null |
| ``map`` | Map(Utf8, Utf8) | maps with the texts of their values, of those with the same key the first |
| ``uint64_list``, ``float64_list`` | List(UInt64), List(Float64) | counts and bounds of buckets |
| ``quantile_list`` | List(Struct(quantile, value: Float64)) | quantiles |

Of the two names of a time, ``start_time`` is a timestamp and ``start_time_unix_nano`` a ``uint64``, which no time is
too large for; of those of an id, ``trace_id`` is ``binary`` and ``trace_id.string`` its digits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from airis.data.expressions import InvalidExpression
from airis.data.fields import Attribute, Field, Level, Source

ArrowType = Literal[
    "text",
    "dictionary",
    "bool",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float64",
    "binary",
    "timestamp",
    "map",
    "uint64_list",
    "float64_list",
    "quantile_list",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A source as a column."""

    source: Source
    type: ArrowType | None = None
    """None is for the type that fits the source."""
    words: Sequence[str] = ()
    """What whole numbers from 0 on are called in a text; others are printed."""


ResolvedColumn = tuple[str, Source, ArrowType, Sequence[str]]
"""Name, source, type, words."""


def resolved(signal: str, columns: Mapping[str, Source | Column] | None) -> list[ResolvedColumn]:
    """Every column with its type; those of the signal's table where none are given.

    Raises InvalidExpression for no columns, and for a type in which nothing of a source could ever be.
    """
    asked = TABLES[signal] if columns is None else columns
    if not asked:
        raise InvalidExpression("a table without columns")
    return [_resolved(name, column) for name, column in asked.items()]


def _resolved(name: str, column: Source | Column) -> ResolvedColumn:
    if "\0" in name:
        raise InvalidExpression("a column's name has a NUL in it, which Arrow's names end with")
    if not isinstance(column, Column):
        column = Column(column)
    source, fitting = column.source, _fitting(column.source)
    if column.type is None:
        return name, source, fitting[0], column.words
    if column.type not in fitting:
        known = fitting if column.type in get_args(ArrowType) else get_args(ArrowType)
        raise InvalidExpression(f'column "{name}" cannot be of type {column.type!r}, but of {", ".join(known)}')
    return name, source, column.type, column.words


_MAPS = ("attributes", "metadata", "filtered_attributes")
_TEXTS: tuple[ArrowType, ...] = ("text", "dictionary")
_ANY: tuple[ArrowType, ...] = (
    *_TEXTS,
    *("bool", "int32", "uint32", "int64", "uint64", "float64", "binary", "timestamp", "map"),
)
_NUMBERS: tuple[ArrowType, ...] = ("int64", "int32", "uint32", "uint64", "float64", "timestamp", *_TEXTS)
_DOUBLES: tuple[ArrowType, ...] = ("float64", *_TEXTS)
_FIELDS: Mapping[str, tuple[ArrowType, ...]] = {
    **dict.fromkeys(("time", "start_time", "end_time", "observed_time"), ("timestamp", *_NUMBERS)),
    **dict.fromkeys(("trace_id", "span_id", "parent_span_id"), ("binary", *_TEXTS)),
    **dict.fromkeys(("trace_id.string", "span_id.string", "parent_span_id.string"), (*_TEXTS, "binary")),
    **dict.fromkeys(_MAPS, ("map", *_TEXTS)),
    **dict.fromkeys(("duration", "value_int", "int_value"), _NUMBERS),
    **dict.fromkeys(("sum", "min", "max", "value_double", "double_value", "zero_threshold"), _DOUBLES),
    "is_monotonic": ("bool", *_TEXTS),
    "body": _ANY,
}
_WHOLES: Mapping[ArrowType, Sequence[str]] = {
    "int32": (
        *("kind", "status.code", "severity_number", "aggregation_temporality", "type"),
        *("scale", "positive.offset", "negative.offset"),
    ),
    "uint32": ("flags", "dropped_attributes_count", "dropped_events_count", "dropped_links_count"),
    "uint64": (
        *("count", "zero_count"),
        *("time_unix_nano", "start_time_unix_nano", "end_time_unix_nano", "observed_time_unix_nano"),
    ),
}
_LISTS: Mapping[str, ArrowType] = {
    **dict.fromkeys(("bucket_counts", "positive.bucket_counts", "negative.bucket_counts"), "uint64_list"),
    "explicit_bounds": "float64_list",
    "quantile_values": "quantile_list",
}


def _fitting(source: Source) -> tuple[ArrowType, ...]:
    """The types that a source may have, the one that fits best first."""
    if isinstance(source, Attribute) or (source.path and source.name in _MAPS):
        return _shared(source.level, _ANY)
    if source.name in _LISTS:
        return _of_list(source)
    for type_name, names in _WHOLES.items():
        if source.name in names:
            return (type_name, *_NUMBERS)
    return _FIELDS.get(source.name) or _shared(source.level, _TEXTS)


def _of_list(source: Field) -> tuple[ArrowType, ...]:
    of = _LISTS[source.name]
    if not source.path:
        return (of, *_TEXTS)
    if of == "uint64_list":
        return ("uint64", *_NUMBERS)
    if of == "quantile_list" and len(source.path) == 1:
        return ("map", *_TEXTS)
    return _DOUBLES


def _shared(level: Level, types: tuple[ArrowType, ...]) -> tuple[ArrowType, ...]:
    """The same, but with a dictionary first for texts that items have in common."""
    return ("dictionary", *types) if level in ("resource", "scope", "metric") else types


def _words(level: Level, name: str, words: str) -> Column:
    return Column(Field(level, name), "dictionary", tuple(words.split()))


def _names(level: Level, name: str) -> Column:
    return Column(Field(level, name), "dictionary")


_RESOURCE: Mapping[str, Source | Column] = {
    "ServiceName": Attribute("resource", "service.name"),
    "ResourceAttributes": Field("resource", "attributes"),
    "ResourceSchemaUrl": Field("resource", "schema_url"),
    "ResourceDroppedAttributesCount": Field("resource", "dropped_attributes_count"),
    "ScopeName": Field("scope", "name"),
    "ScopeVersion": Field("scope", "version"),
    "ScopeAttributes": Field("scope", "attributes"),
    "ScopeSchemaUrl": Field("scope", "schema_url"),
    "ScopeDroppedAttributesCount": Field("scope", "dropped_attributes_count"),
}
TABLES: Mapping[str, Mapping[str, Source | Column]] = MappingProxyType(
    {
        "traces": {
            "Timestamp": Field("item", "start_time"),
            "TraceId": Field("item", "trace_id.string"),
            "SpanId": Field("item", "span_id.string"),
            "ParentSpanId": Field("item", "parent_span_id.string"),
            "TraceState": Field("item", "trace_state"),
            "TraceFlags": Field("item", "flags"),
            "SpanName": _names("item", "name"),
            "SpanKind": _words("item", "kind", "Unspecified Internal Server Client Producer Consumer"),
            "Duration": Field("item", "duration"),
            "StatusCode": _words("item", "status.code", "Unset Ok Error"),
            "StatusMessage": Field("item", "status.message"),
            "SpanAttributes": Field("item", "attributes"),
            **_RESOURCE,
            "Events.Timestamp": Field("event", "time"),
            "Events.Name": Field("event", "name"),
            "Events.Attributes": Field("event", "attributes"),
            "Events.DroppedAttributesCount": Field("event", "dropped_attributes_count"),
            "Links.TraceId": Field("link", "trace_id.string"),
            "Links.SpanId": Field("link", "span_id.string"),
            "Links.TraceState": Field("link", "trace_state"),
            "Links.TraceFlags": Field("link", "flags"),
            "Links.Attributes": Field("link", "attributes"),
            "Links.DroppedAttributesCount": Field("link", "dropped_attributes_count"),
            "DroppedAttributesCount": Field("item", "dropped_attributes_count"),
            "DroppedEventsCount": Field("item", "dropped_events_count"),
            "DroppedLinksCount": Field("item", "dropped_links_count"),
        },
        "logs": {
            "Timestamp": Field("item", "time"),
            "ObservedTimestamp": Field("item", "observed_time"),
            "TraceId": Field("item", "trace_id.string"),
            "SpanId": Field("item", "span_id.string"),
            "TraceFlags": Field("item", "flags"),
            "SeverityText": _names("item", "severity_text"),
            "SeverityNumber": Field("item", "severity_number"),
            "EventName": _names("item", "event_name"),
            "Body": Field("item", "body"),
            "LogAttributes": Field("item", "attributes"),
            **_RESOURCE,
            "DroppedAttributesCount": Field("item", "dropped_attributes_count"),
        },
        "metrics": {
            "MetricName": Field("metric", "name"),
            "MetricDescription": Field("metric", "description"),
            "MetricUnit": Field("metric", "unit"),
            "MetricType": _words("metric", "type", "unknown gauge sum histogram exponential_histogram summary"),
            "MetricMetadata": Field("metric", "metadata"),
            "AggregationTemporality": Field("metric", "aggregation_temporality"),
            "IsMonotonic": Field("metric", "is_monotonic"),
            "Attributes": Field("item", "attributes"),
            "StartTimeUnix": Field("item", "start_time"),
            "TimeUnix": Field("item", "time"),
            "Flags": Field("item", "flags"),
            "ValueDouble": Field("item", "value_double"),
            "ValueInt": Field("item", "value_int"),
            "Count": Field("item", "count"),
            "Sum": Field("item", "sum"),
            "Min": Field("item", "min"),
            "Max": Field("item", "max"),
            "BucketCounts": Field("item", "bucket_counts"),
            "ExplicitBounds": Field("item", "explicit_bounds"),
            "Scale": Field("item", "scale"),
            "ZeroCount": Field("item", "zero_count"),
            "ZeroThreshold": Field("item", "zero_threshold"),
            "PositiveOffset": Field("item", "positive.offset"),
            "PositiveBucketCounts": Field("item", "positive.bucket_counts"),
            "NegativeOffset": Field("item", "negative.offset"),
            "NegativeBucketCounts": Field("item", "negative.bucket_counts"),
            "ValueAtQuantiles": Field("item", "quantile_values"),
            "Exemplars.TimeUnix": Field("exemplar", "time"),
            "Exemplars.ValueDouble": Field("exemplar", "double_value"),
            "Exemplars.ValueInt": Field("exemplar", "int_value"),
            "Exemplars.TraceId": Field("exemplar", "trace_id.string"),
            "Exemplars.SpanId": Field("exemplar", "span_id.string"),
            "Exemplars.FilteredAttributes": Field("exemplar", "filtered_attributes"),
            **_RESOURCE,
        },
    }
)
"""What there is of every signal: the columns of the store's tables (docs/storage.md), as far as they are in a payload.

What the store makes up is not here: a time that was not sent is null, and so is a service without a name. Points of all
kinds of metrics are in one table, with the names of the Collector's tables; what a kind does not have is null.
"""
