"""Reading the store: typed answers for the terminal and the HTTP APIs, and OTLP exactly as it was sent.

Times are Unix nanoseconds. ``until`` is exclusive, None means without end. Values of attributes are their stored texts.
Everything that a caller gives reaches ClickHouse as a parameter; tables are those of the client's database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from airis.data.layout import TABLES
from airis.storage import otlp_rows

_MOST_IDS = 500
"""Trace ids in one query."""


class ReaderClient(Protocol):
    """What reading needs of a store client."""

    async def rows(self, sql: str, *, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result's rows, by column name."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """What one service sent."""

    name: str
    spans: int
    errors: int
    """Spans with status Error."""
    log_records: int
    series: int
    last_unix_nano: int


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in a list."""

    trace_id: str
    service: str
    """Of the root span, or of the earliest one while the root is missing; the same for name."""
    name: str
    start_unix_nano: int
    duration_nano: int
    """From the first start to the last end of its spans."""
    spans: int
    errors: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    time_unix_nano: int
    name: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span of one trace."""

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    name: str
    kind: str
    start_unix_nano: int
    duration_nano: int
    status: str
    status_message: str
    attributes: Mapping[str, str]
    resource: Mapping[str, str]
    events: tuple[SpanEvent, ...]


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log record."""

    time_unix_nano: int
    service: str
    severity: str
    """The sender's text, or the name of the severity number's range."""
    severity_number: int
    event_name: str
    body: str
    trace_id: str
    span_id: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric in a list."""

    name: str
    """In Prometheus spelling."""
    otel_name: str
    kind: str
    unit: str
    temporality: str
    monotonic: bool
    help: str
    series: int
    last_unix_s: int


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """The numbers of one series over time."""

    labels: Mapping[str, str]
    kind: str
    unit: str
    temporality: str
    monotonic: bool
    points: tuple[tuple[int, float], ...]
    """(Unix nanoseconds, value), oldest first; of histograms and summaries the value is the count."""


@dataclass(frozen=True, slots=True)
class TableTotals:
    """What a table holds."""

    table: str
    rows: int
    size_bytes: int
    oldest_unix_s: int | None
    """None in an empty table, and for series, which have no time of their own."""
    newest_unix_s: int | None


def _sent_since(parameter: str) -> str:
    """The condition that a row of metric_series has points since the time.

    Series are registered once in every hour: of those that were before the time, in its hour, the points tell.
    """
    since = f"{{{parameter}:Int64}}"
    hour = f"intDiv({since}, 3600000000000) * 3600"
    points = " UNION ALL ".join(
        f"SELECT metric, id FROM {table}"
        f" WHERE ts >= fromUnixTimestamp64Nano({since}) AND ts < toDateTime64({hour} + 3600, 9)"
        for table in ("metric_samples", "metric_histograms", "metric_summaries")
    )
    return (
        f"(max_time >= toDateTime(intDiv({since}, 1000000000))"
        f" OR (max_time >= toDateTime({hour}) AND (metric, id) GLOBAL IN ({points})))"
    )


async def services(client: ReaderClient, *, since: int = 0) -> list[Service]:
    """Every service that sent something since then, by name."""
    rows = await client.rows(
        f"""
        SELECT service, sum(spans) AS spans, sum(errors) AS errors, sum(log_records) AS log_records,
            sum(series) AS series, toUnixTimestamp64Nano(max(last)) AS last_time
        FROM
        (
            SELECT ServiceName AS service, count() AS spans, countIf(StatusCode = 'Error') AS errors,
                0 AS log_records, 0 AS series, max(Timestamp) AS last
            FROM otel_traces WHERE Timestamp >= fromUnixTimestamp64Nano({{since:Int64}}) GROUP BY service
            UNION ALL
            SELECT ServiceName, 0, 0, count(), 0, max(Timestamp)
            FROM otel_logs WHERE Timestamp >= fromUnixTimestamp64Nano({{since:Int64}}) GROUP BY ServiceName
            UNION ALL
            SELECT service, 0, 0, 0, uniqExact(id), toDateTime64(max(max_time), 9)
            FROM metric_series WHERE {_sent_since("since")} GROUP BY service
        )
        GROUP BY service ORDER BY service
        """,
        parameters={"since": since},
    )
    return [
        Service(
            name=row["service"],
            spans=int(row["spans"]),
            errors=int(row["errors"]),
            log_records=int(row["log_records"]),
            series=int(row["series"]),
            last_unix_nano=int(row["last_time"]),
        )
        for row in rows
    ]


async def find_traces(
    client: ReaderClient,
    *,
    service: str = "",
    operation: str = "",
    min_duration_nano: int = 0,
    status: str = "",
    attributes: Mapping[str, str] | None = None,
    since: int = 0,
    until: int | None = None,
    limit: int = 20,
) -> list[TraceSummary]:
    """The newest traces that have one span which meets all conditions; newest first.

    ``status`` is Unset, Ok or Error. An attribute may be the span's or its resource's.
    """
    where = _Where()
    where.within("Timestamp", since, until)
    where.equals("ServiceName", service)
    where.equals("SpanName", operation)
    where.equals("StatusCode", status)
    if min_duration_nano:
        where.add("Duration >= {%s:UInt64}", min_duration_nano)
    where.attributes("SpanAttributeItems", attributes)
    found = await client.rows(
        f"SELECT TraceId AS trace_id FROM otel_traces WHERE {where.sql}"
        " GROUP BY TraceId ORDER BY max(Timestamp) DESC, TraceId LIMIT {limit:UInt64}",
        parameters={**where.parameters, "limit": limit},
    )
    if not found:
        return []
    # Two queries: only a constant list of ids is looked up in the projection by trace id.
    rows = await _rows_of(
        client,
        [row["trace_id"] for row in found],
        """
        SELECT TraceId AS trace_id,
            argMin((ServiceName, SpanName), (ParentSpanId != '', Timestamp)) AS root,
            toUnixTimestamp64Nano(min(Timestamp)) AS start,
            max(toUnixTimestamp64Nano(Timestamp) + Duration) - start AS duration,
            count() AS spans, countIf(StatusCode = 'Error') AS errors,
            arraySort(groupUniqArray(ServiceName)) AS services
        FROM otel_traces WHERE TraceId IN {ids:Array(String)}
        GROUP BY TraceId
        """,
    )
    rows.sort(key=lambda row: (-int(row["start"]), row["trace_id"]))
    return [
        TraceSummary(
            trace_id=row["trace_id"],
            service=row["root"][0],
            name=row["root"][1],
            start_unix_nano=int(row["start"]),
            duration_nano=int(row["duration"]),
            spans=int(row["spans"]),
            errors=int(row["errors"]),
            services=tuple(row["services"]),
        )
        for row in rows
    ]


async def trace_ids(client: ReaderClient, prefix: str, *, limit: int = 10) -> list[str]:
    """The ids that begin so, in order, at most ``limit``; the prefix is hex in any case."""
    rows = await client.rows(
        "SELECT DISTINCT TraceId AS trace_id FROM otel_traces"
        # "g" comes after every hex digit; a range is looked up, a pattern is not.
        " WHERE TraceId >= {first:String} AND TraceId < {end:String} ORDER BY trace_id LIMIT {limit:UInt64}",
        parameters={"first": prefix.lower(), "end": f"{prefix.lower()}g", "limit": limit},
    )
    return [row["trace_id"] for row in rows]


async def trace_spans(client: ReaderClient, trace_id: str) -> list[StoredSpan]:
    """The spans of a trace, by start; none when the trace is not there. The id is hex in any case."""
    return [
        StoredSpan(
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            parent_span_id=row["parent_span_id"],
            service=row["service"],
            name=row["name"],
            kind=row["kind"],
            start_unix_nano=int(row["time"]),
            duration_nano=int(row["duration"]),
            status=row["status"],
            status_message=row["status_message"],
            attributes=dict(row["attributes"]),
            resource=dict(row["resource_attributes"]),
            events=tuple(
                SpanEvent(int(time), name, dict(attributes))
                for time, name, attributes in zip(
                    row["event_times"], row["event_names"], row["event_attributes"], strict=True
                )
            ),
        )
        for row in await _span_rows(client, [trace_id])
    ]


async def trace_request(client: ReaderClient, trace_id: str) -> bytes:
    """A trace as an ExportTraceServiceRequest, spans by start; empty when the trace is not there."""
    return await traces_request(client, [trace_id])


async def traces_request(client: ReaderClient, ids: Sequence[str]) -> bytes:
    """Several traces as one ExportTraceServiceRequest, spans by start; empty when none of them is there."""
    return otlp_rows.traces(await _span_rows(client, ids)).SerializeToString()


async def _span_rows(client: ReaderClient, ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = await _rows_of(
        client,
        [trace_id.lower() for trace_id in ids],
        f"SELECT {otlp_rows.SPAN_COLUMNS}, ServiceName AS service FROM otel_traces"
        " WHERE TraceId IN {ids:Array(String)} ORDER BY Timestamp, _part, _part_offset",
    )
    return sorted(rows, key=lambda row: int(row["time"]))


async def _rows_of(client: ReaderClient, ids: Sequence[str], sql: str) -> list[dict[str, Any]]:
    """The rows of all the ids, asked for in parts: parameters stand in the URL, which may not be long."""
    parts = [ids[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS)]
    return [row for part in parts for row in await client.rows(sql, parameters={"ids": _texts(part)})]


async def find_logs(
    client: ReaderClient,
    *,
    grep: str = "",
    severity: int = 0,
    trace_id: str = "",
    service: str = "",
    attributes: Mapping[str, str] | None = None,
    since: int = 0,
    until: int | None = None,
    limit: int = 100,
) -> list[StoredLog]:
    """The newest log records that meet all conditions, oldest first.

    ``grep`` is a part of the body in any case, ``severity`` the lowest severity number. An attribute may be the
    record's or its resource's.
    """
    where = _log_conditions(grep, severity, trace_id, service, attributes, since, until)
    return [
        StoredLog(
            time_unix_nano=int(row["time"]),
            service=row["service"],
            severity=row["severity_text"] or _severity_name(row["severity_number"]),
            severity_number=row["severity_number"],
            event_name=row["event_name"],
            body=row["body"],
            trace_id=row["trace_id"],
            span_id=row["span_id"],
            attributes=dict(row["attributes"]),
        )
        for row in await _log_rows(client, where, limit)
    ]


async def logs_request(
    client: ReaderClient,
    *,
    grep: str = "",
    severity: int = 0,
    trace_id: str = "",
    service: str = "",
    attributes: Mapping[str, str] | None = None,
    since: int = 0,
    until: int | None = None,
    limit: int = 100,
) -> bytes:
    """The log records of find_logs as an ExportLogsServiceRequest."""
    where = _log_conditions(grep, severity, trace_id, service, attributes, since, until)
    return otlp_rows.logs(await _log_rows(client, where, limit)).SerializeToString()


async def _log_rows(client: ReaderClient, where: "_Where", limit: int) -> list[dict[str, Any]]:
    rows = await client.rows(
        f"SELECT {otlp_rows.LOG_COLUMNS}, ServiceName AS service FROM otel_logs WHERE {where.sql}"
        " ORDER BY toStartOfFiveMinutes(Timestamp) DESC, Timestamp DESC, _part DESC, _part_offset DESC"
        " LIMIT {limit:UInt64}",
        parameters={**where.parameters, "limit": limit},
    )
    return rows[::-1]


def _log_conditions(
    grep: str,
    severity: int,
    trace_id: str,
    service: str,
    attributes: Mapping[str, str] | None,
    since: int,
    until: int | None,
) -> "_Where":
    where = _Where()
    where.within("Timestamp", since, until)
    where.equals("ServiceName", service)
    where.equals("TraceId", trace_id.lower())
    if severity:
        where.add("SeverityNumber >= {%s:Int32}", severity)
    if grep:
        where.add("lower(Body) LIKE concat('%%', lower({%s:String}), '%%')", _like_literal(grep))
    where.attributes("LogAttributeItems", attributes)
    return where


async def metric_names(
    client: ReaderClient, *, search: str = "", service: str = "", since: int = 0
) -> list[MetricName]:
    """The metrics whose name has the text ``search`` in it, in any case, by name."""
    where = _Where()
    where.equals("service", service)
    if since:
        sent = _sent_since("%s")
        where.add(sent, *[since] * sent.count("%s"))
    if search:
        where.add(
            "concat(lower(metric), ' ', lower(otel_name)) LIKE concat('%%', lower({%s:String}), '%%')",
            _like_literal(search),
        )
    rows = await client.rows(
        f"""
        SELECT metric AS name, otel_name, kind, unit, temporality, monotonic, any(help) AS help_text,
            uniqExact(id) AS series, toUnixTimestamp(max(max_time)) AS last_time
        FROM metric_series WHERE {where.sql}
        GROUP BY metric, otel_name, kind, unit, temporality, monotonic ORDER BY name, otel_name, kind, unit
        """,
        parameters=where.parameters,
    )
    return [
        MetricName(
            name=row["name"],
            otel_name=row["otel_name"],
            kind=row["kind"],
            unit=row["unit"],
            temporality=row["temporality"],
            monotonic=bool(row["monotonic"]),
            help=row["help_text"],
            series=int(row["series"]),
            last_unix_s=int(row["last_time"]),
        )
        for row in rows
    ]


async def metric_points(
    client: ReaderClient,
    name: str,
    *,
    service: str = "",
    labels: Mapping[str, str] | None = None,
    since: int = 0,
    until: int | None = None,
    step_nano: int = 1,
    limit: int = 100,
) -> list[MetricSeries]:
    """The series of a metric in Prometheus or OpenTelemetry spelling, at most ``limit``, each with its points.

    Of the points within a step the last is given, of a series with delta temporality their sum. Points without a
    value (stale markers) are left out.
    """
    where = _Where()
    where.add("(metric = {%s:String} OR otel_name = {%s:String})", name, name)
    where.equals("service", service)
    where.labels(labels)
    found = await client.rows(
        f"""
        SELECT id, metric, kind, unit, temporality, monotonic, labels FROM metric_series
        WHERE {where.sql} ORDER BY metric, id, max_time DESC LIMIT 1 BY metric, id LIMIT {{limit:UInt64}}
        """,
        parameters={**where.parameters, "limit": limit},
    )
    if not found:
        return []
    times = _Where()
    times.one_of("metric", sorted({row["metric"] for row in found}))
    times.within("ts", since, until)

    def in_step(number: str, table: str) -> str:
        present = f"NOT isNaN({number})"
        return f"""
            SELECT id, toUnixTimestamp64Nano(max(ts)) AS time,
                if(id IN {{deltas:Array(UInt64)}} AND countIf({present}) > 0,
                    sumIf({number}, {present}), argMax({number}, ts)) AS value
            FROM {table} WHERE {times.sql} AND id IN {{ids:Array(UInt64)}}
            GROUP BY id, intDiv(toUnixTimestamp64Nano(ts), {{step:Int64}})"""

    rows = await client.rows(
        f"""
        SELECT id, arraySort(groupArray((time, toString(value)))) AS points FROM
        (
            {in_step("value", "metric_samples")}
            UNION ALL {in_step("toFloat64(count)", "metric_histograms")}
            UNION ALL {in_step("toFloat64(count)", "metric_summaries")}
        )
        WHERE reinterpretAsUInt64(value) NOT IN (0x7ff0000000000002, 0x7ff0000000000003) GROUP BY id
        """,
        parameters={
            **times.parameters,
            "ids": _ids(found),
            "deltas": _ids([row for row in found if row["temporality"] == "delta"]),
            "step": step_nano,
        },
    )
    # As text: JSON has no number for NaN and the infinities.
    points = {int(row["id"]): tuple((int(time), float(value)) for time, value in row["points"]) for row in rows}
    return [
        MetricSeries(
            labels=row["labels"],
            kind=row["kind"],
            unit=row["unit"],
            temporality=row["temporality"],
            monotonic=bool(row["monotonic"]),
            points=points[int(row["id"])],
        )
        for row in found
        if int(row["id"]) in points
    ]


async def metrics_request(
    client: ReaderClient,
    *,
    name: str = "",
    service: str = "",
    labels: Mapping[str, str] | None = None,
    since: int = 0,
    until: int | None = None,
    limit: int = 100_000,
) -> bytes:
    """Data points as an ExportMetricsServiceRequest, by time.

    At most ``limit`` each of numbers, histograms, summaries and exemplars. ``name`` is in Prometheus or OpenTelemetry
    spelling; without it all metrics are read.
    """
    of_series = _Where()
    if name:
        of_series.add("(metric = {%s:String} OR otel_name = {%s:String})", name, name)
    of_series.equals("service", service)
    of_series.labels(labels)

    async def points(columns: str, table: str, time: str = "ts") -> list[dict[str, Any]]:
        where = _Where(prefix="t")
        where.within(time, since, until)
        return await client.rows(
            f"SELECT {columns} FROM {table}"
            # On a cluster both are Distributed tables, and ClickHouse refuses such a subquery that is not GLOBAL.
            f" WHERE (metric, id) GLOBAL IN (SELECT metric, id FROM metric_series WHERE {of_series.sql})"
            f" AND {where.sql}"
            f" ORDER BY {time}, metric, id, _part, _part_offset LIMIT {{limit:UInt64}}",
            parameters={**of_series.parameters, **where.parameters, "limit": limit},
        )

    samples = await points(otlp_rows.SAMPLE_COLUMNS, "metric_samples")
    histograms = await points(otlp_rows.HISTOGRAM_COLUMNS, "metric_histograms")
    summaries = await points(otlp_rows.SUMMARY_COLUMNS, "metric_summaries")
    exemplars = await points(otlp_rows.EXEMPLAR_COLUMNS, "metric_exemplars", "point_ts")
    # Series are written before their points, so read after them they are all there.
    series = await client.rows(
        f"SELECT {otlp_rows.SERIES_COLUMNS} FROM metric_series WHERE {of_series.sql}", parameters=of_series.parameters
    )
    return otlp_rows.metrics(series, samples, histograms, summaries, exemplars).SerializeToString()


async def totals(client: ReaderClient) -> list[TableTotals]:
    """Rows, bytes on disk and time span of every table of the client's database; of a cluster, those of one node."""
    rows = await client.rows(
        f"""
        SELECT replaceRegexpOne(table, '_local$', '') AS public_name,
            sum(rows) AS row_count, sum(bytes_on_disk) AS size,
            toUnixTimestamp(min(min_time)) AS oldest, toUnixTimestamp(max(max_time)) AS newest
        FROM system.parts WHERE active AND database = currentDatabase() AND public_name IN {tuple(TABLES)}
        GROUP BY public_name
        """
    )
    held = {row["public_name"]: row for row in rows}
    return [
        TableTotals(
            table=table,
            rows=int(held[table]["row_count"]) if table in held else 0,
            size_bytes=int(held[table]["size"]) if table in held else 0,
            oldest_unix_s=int(held[table]["oldest"]) or None if table in held else None,
            newest_unix_s=int(held[table]["newest"]) or None if table in held else None,
        )
        for table in TABLES
    ]


@dataclass(slots=True)
class _Where:
    """Conditions of fixed text whose values are parameters."""

    prefix: str = "p"
    """Keeps the parameters of two conditions in one statement apart."""
    parameters: dict[str, str | int] = field(default_factory=dict[str, str | int])
    _terms: list[str] = field(default_factory=list[str])

    @property
    def sql(self) -> str:
        """The conditions, all of which must hold."""
        return " AND ".join(self._terms) or "true"

    def add(self, term: str, *values: str | int) -> None:
        """A condition; each ``%s`` of it becomes the name of the parameter for one of the values."""
        names = [f"{self.prefix}{len(self.parameters) + index}" for index in range(len(values))]
        self._terms.append(term % tuple(names))
        self.parameters.update(zip(names, values, strict=True))

    def equals(self, column: str, value: str) -> None:
        """The column has this value; an empty one asks for nothing."""
        if value:
            self.add(f"{column} = {{%s:String}}", value)

    def one_of(self, column: str, values: Sequence[str]) -> None:
        """The column has one of the values."""
        self.add(f"{column} IN ({', '.join(['{%s:String}'] * len(values))})", *values)

    def within(self, column: str, since: int, until: int | None) -> None:
        """The time is in the half-open window."""
        if since:
            self.add(f"{column} >= fromUnixTimestamp64Nano({{%s:Int64}})", since)
        if until is not None:
            self.add(f"{column} < fromUnixTimestamp64Nano({{%s:Int64}})", until)

    def attributes(self, items: str, attributes: Mapping[str, str] | None) -> None:
        """Each attribute is among the items or the resource's."""
        for key, value in (attributes or {}).items():
            item = f"{key}={value}"
            self.add(f"(has({items}, {{%s:String}}) OR has(ResourceAttributeItems, {{%s:String}}))", item, item)

    def labels(self, labels: Mapping[str, str] | None) -> None:
        """A series has each of the labels."""
        for key, value in (labels or {}).items():
            self.add("labels[{%s:String}] = {%s:String}", key, value)


def _texts(values: Sequence[str]) -> str:
    """The value of a parameter of type Array(String); the client escapes backslashes, once for all levels."""
    return "[" + ",".join("'" + value.replace("'", "''") + "'" for value in values) + "]"


def _ids(rows: Sequence[Mapping[str, Any]]) -> str:
    """Their ids as the value of a parameter of type Array(UInt64)."""
    return "[" + ",".join(str(int(row["id"])) for row in rows) + "]"


def _like_literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _severity_name(number: int) -> str:
    """The name of a severity number's range, empty outside of all (OpenTelemetry logs data model, SeverityNumber)."""
    names = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    return names[(number - 1) // 4] if 1 <= number <= 24 else ""
