"""The columns of the store's tables, in the order in which the kernels write them.

Meaning of the columns: docs/storage.md. The migrations of `airis.storage` create these tables; a test
keeps both the same.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Column(NamedTuple):
    """A column and its ClickHouse type."""

    name: str
    type: str


_LC = "LowCardinality(String)"
_MAP = "Map(LowCardinality(String), String)"
_TIME = "DateTime64(9)"
_SOURCE = "Enum8('sent' = 0, 'observed' = 1, 'end' = 2, 'arrival' = 3)"
_POINT_SOURCE = "Enum8('sent' = 0, 'arrival' = 3)"
_KIND = "Enum8('unknown' = 0, 'gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5)"


def _columns(text: str) -> tuple[Column, ...]:
    """Columns written as ``name type`` lines, with the short names of the types above."""
    short = {"LC": _LC, "MAP": _MAP, "TIME": _TIME, "SOURCE": _SOURCE, "POINT_SOURCE": _POINT_SOURCE, "KIND": _KIND}
    columns: list[Column] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, type_name = line.split(" ", 1)
        inner = type_name.removeprefix("Array(").removesuffix(")") if type_name.startswith("Array(") else ""
        columns.append(Column(name, f"Array({short.get(inner, inner)})" if inner else short.get(type_name, type_name)))
    return tuple(columns)


TABLES: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "otel_traces": _columns("""
            Timestamp TIME
            TraceId String
            SpanId String
            ParentSpanId String
            TraceState String
            SpanName LC
            SpanKind LC
            ServiceName LC
            ResourceAttributes MAP
            ScopeName LC
            ScopeVersion LC
            SpanAttributes MAP
            Duration UInt64
            StatusCode LC
            StatusMessage String
            Events.Timestamp Array(TIME)
            Events.Name Array(LC)
            Events.Attributes Array(MAP)
            Links.TraceId Array(String)
            Links.SpanId Array(String)
            Links.TraceState Array(String)
            Links.Attributes Array(MAP)
            TimestampSource SOURCE
            NegativeDuration UInt64
            TraceFlags UInt32
            SpanAttributesTypes LC
            ResourceAttributesTypes LC
            ScopeAttributes MAP
            ScopeAttributesTypes LC
            ResourceSchemaUrl LC
            ScopeSchemaUrl LC
            ResourceDroppedAttributesCount UInt32
            ScopeDroppedAttributesCount UInt32
            DroppedAttributesCount UInt32
            DroppedEventsCount UInt32
            DroppedLinksCount UInt32
            ResourceEntityRefs String
            Events.AttributesTypes Array(LC)
            Events.DroppedAttributesCount Array(UInt32)
            Links.AttributesTypes Array(LC)
            Links.TraceFlags Array(UInt32)
            Links.DroppedAttributesCount Array(UInt32)
        """),
        "otel_logs": _columns("""
            Timestamp TIME
            TraceId String
            SpanId String
            TraceFlags UInt32
            SeverityText LC
            SeverityNumber Int32
            ServiceName LC
            Body String
            ResourceSchemaUrl LC
            ResourceAttributes MAP
            ScopeSchemaUrl LC
            ScopeName LC
            ScopeVersion LC
            ScopeAttributes MAP
            LogAttributes MAP
            EventName LC
            ObservedTimestamp TIME
            TimestampSource SOURCE
            BodyType LC
            LogAttributesTypes LC
            ResourceAttributesTypes LC
            ScopeAttributesTypes LC
            ResourceDroppedAttributesCount UInt32
            ScopeDroppedAttributesCount UInt32
            DroppedAttributesCount UInt32
            ResourceEntityRefs String
        """),
        # Before the tables of the points: a series is known before its first point can be read.
        "metric_series": _columns("""
            id UInt64
            metric LC
            otel_name LC
            kind KIND
            unit LC
            temporality LC
            monotonic Bool
            integer Bool
            service LC
            labels MAP
            attributes MAP
            attributes_types LC
            resource MAP
            resource_types LC
            resource_schema_url LC
            resource_dropped_attributes_count UInt32
            resource_entity_refs String
            scope_name LC
            scope_version LC
            scope_attributes MAP
            scope_attributes_types LC
            scope_schema_url LC
            scope_dropped_attributes_count UInt32
            metadata MAP
            metadata_types LC
            bounds Array(Float64)
            help String
            resource_id UInt64
            min_time DateTime
            max_time DateTime
        """),
        "metric_samples": _columns("""
            metric LC
            id UInt64
            ts TIME
            value Float64
            start TIME
            flags UInt32
            value_residue Int16
            ts_source POINT_SOURCE
        """),
        "metric_histograms": _columns("""
            metric LC
            id UInt64
            ts TIME
            start TIME
            count UInt64
            sum Nullable(Float64)
            schema Int32
            zero_threshold Float64
            zero_count UInt64
            pos_offset Int32
            pos Array(UInt64)
            neg_offset Int32
            neg Array(UInt64)
            min Nullable(Float64)
            max Nullable(Float64)
            flags UInt32
            ts_source POINT_SOURCE
        """),
        "metric_summaries": _columns("""
            metric LC
            id UInt64
            ts TIME
            start TIME
            count UInt64
            sum Float64
            quantiles Array(Float64)
            values Array(Float64)
            flags UInt32
            ts_source POINT_SOURCE
        """),
        "metric_exemplars": _columns("""
            metric LC
            id UInt64
            ts TIME
            point_ts TIME
            value Float64
            value_residue Int16
            integer Bool
            trace_id String
            span_id String
            attributes MAP
            attributes_types LC
        """),
    }
)
