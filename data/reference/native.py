"""Payloads as blocks in ClickHouse's Native format for the store's tables (`airis.data.layout`)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from airis.data.layout import TABLES
from airis.data.reference.series import SeriesIndex, SeriesKey, entity_refs, metric_rows
from airis.data.reference.values import ABSENT, encode_attributes, encode_value
from airis.proto.clickhouse_native import write_block

Row = dict[str, Any]

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUSES = ("Unset", "Ok", "Error")


class Blocks:
    """What one payload becomes: a block for each table that gets rows."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], series: Mapping[SeriesKey, int]) -> None:
        self.tables = {table: _block(table, rows[table]) for table in TABLES if rows.get(table)}
        self.rows = {table: len(rows[table]) for table in self.tables}
        self.series = series
        """The metric series that are registered here, for `SeriesIndex.add`."""

    def block(self, table: str) -> bytes:
        """The bytes of one table's block; KeyError for a table that gets no rows."""
        return self.tables[table]

    def write(self, table: str, path: str) -> None:
        """Make a table's block the content of a file that is there; KeyError for a table that gets no rows."""
        block = self.tables[table]
        with open(path, "r+b") as file:
            file.write(block)
            file.truncate()


def encode(signal: str, message: Any, arrived_unix_nano: int, series: SeriesIndex) -> Blocks:
    """The blocks of a request; metric series are registered unless `series` knows them."""
    rows: dict[str, list[Row]] = defaultdict(list)
    registered: dict[SeriesKey, int] = {}
    if signal == "traces":
        rows["otel_traces"] = sorted(_span_rows(message, arrived_unix_nano), key=_span_key)
    elif signal == "logs":
        rows["otel_logs"] = sorted(_log_rows(message, arrived_unix_nano), key=_log_key)
    else:
        for table, row in metric_rows(message, arrived_unix_nano, series, registered):
            rows[table].append(row)
    return Blocks(rows, registered)


def _block(table: str, rows: Sequence[Row]) -> bytes:
    return write_block((name, type_name, [row[name] for row in rows]) for name, type_name in TABLES[table])


def _span_rows(message: Any, arrived: int) -> Iterator[Row]:
    for owner in message.resource_spans:
        resource = _resource(owner.resource, owner.schema_url)
        for scoped in owner.scope_spans:
            scope = _scope(scoped.scope, scoped.schema_url)
            for span in scoped.spans:
                yield resource | scope | _span(span, arrived)


# The keys of the tables: the store keeps what comes in order as it is, and has to copy what does not.
def _span_key(row: Row) -> tuple[bytes, bytes, int]:
    return row["ServiceName"].encode(), row["SpanName"].encode(), row["Timestamp"] // 10**9 % 2**32


def _log_key(row: Row) -> tuple[int, bytes, int]:
    return row["Timestamp"] // (300 * 10**9), row["ServiceName"].encode(), row["Timestamp"]


def _span(span: Any, arrived: int) -> Row:
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    attributes, types = encode_attributes(span.attributes)
    events = [(event, *encode_attributes(event.attributes)) for event in span.events]
    links = [(link, *encode_attributes(link.attributes)) for link in span.links]
    return {
        "Timestamp": start or end or arrived,
        "TimestampSource": "sent" if start else "end" if end else "arrival",
        "Duration": max(0, end - start) if start else 0,
        "NegativeDuration": max(0, start - end) if start else 0,
        "TraceId": span.trace_id.hex(),
        "SpanId": span.span_id.hex(),
        "ParentSpanId": span.parent_span_id.hex(),
        "TraceState": span.trace_state,
        "TraceFlags": span.flags,
        "SpanName": span.name,
        "SpanKind": _name(_KINDS, span.kind),
        "StatusCode": _name(_STATUSES, span.status.code),
        "StatusMessage": span.status.message,
        "SpanAttributes": attributes,
        "SpanAttributesTypes": types,
        "DroppedAttributesCount": span.dropped_attributes_count,
        "DroppedEventsCount": span.dropped_events_count,
        "DroppedLinksCount": span.dropped_links_count,
        "Events.Timestamp": [event.time_unix_nano for event, _, _ in events],
        "Events.Name": [event.name for event, _, _ in events],
        "Events.Attributes": [pairs for _, pairs, _ in events],
        "Events.AttributesTypes": [signature for _, _, signature in events],
        "Events.DroppedAttributesCount": [event.dropped_attributes_count for event, _, _ in events],
        "Links.TraceId": [link.trace_id.hex() for link, _, _ in links],
        "Links.SpanId": [link.span_id.hex() for link, _, _ in links],
        "Links.TraceState": [link.trace_state for link, _, _ in links],
        "Links.TraceFlags": [link.flags for link, _, _ in links],
        "Links.Attributes": [pairs for _, pairs, _ in links],
        "Links.AttributesTypes": [signature for _, _, signature in links],
        "Links.DroppedAttributesCount": [link.dropped_attributes_count for link, _, _ in links],
    }


def _log_rows(message: Any, arrived: int) -> Iterator[Row]:
    for owner in message.resource_logs:
        resource = _resource(owner.resource, owner.schema_url)
        for scoped in owner.scope_logs:
            scope = _scope(scoped.scope, scoped.schema_url)
            for record in scoped.log_records:
                yield resource | scope | _log(record, arrived)


def _log(record: Any, arrived: int) -> Row:
    time, observed = record.time_unix_nano, record.observed_time_unix_nano
    attributes, types = encode_attributes(record.attributes)
    body, body_type = encode_value(record.body) if record.HasField("body") else ("", ABSENT)
    return {
        "Timestamp": time or observed or arrived,
        "TimestampSource": "sent" if time else "observed" if observed else "arrival",
        "ObservedTimestamp": observed,
        "TraceId": record.trace_id.hex(),
        "SpanId": record.span_id.hex(),
        "TraceFlags": record.flags,
        "SeverityText": record.severity_text,
        "SeverityNumber": record.severity_number,
        "Body": body,
        "BodyType": "" if body_type == "s" else body_type,
        "EventName": record.event_name,
        "LogAttributes": attributes,
        "LogAttributesTypes": types,
        "DroppedAttributesCount": record.dropped_attributes_count,
    }


def _resource(resource: Resource, schema_url: str) -> Row:
    attributes, types = encode_attributes(resource.attributes)
    return {
        "ServiceName": dict(reversed(attributes)).get("service.name", ""),
        "ResourceAttributes": attributes,
        "ResourceAttributesTypes": types,
        "ResourceSchemaUrl": schema_url,
        "ResourceDroppedAttributesCount": resource.dropped_attributes_count,
        "ResourceEntityRefs": entity_refs(resource),
    }


def _scope(scope: InstrumentationScope, schema_url: str) -> Row:
    attributes, types = encode_attributes(scope.attributes)
    return {
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "ScopeAttributes": attributes,
        "ScopeAttributesTypes": types,
        "ScopeSchemaUrl": schema_url,
        "ScopeDroppedAttributesCount": scope.dropped_attributes_count,
    }


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)
