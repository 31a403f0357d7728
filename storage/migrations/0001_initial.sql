-- The tables of docs/storage.md. Columns stand in the order of the Native blocks (data/layout.py).
-- min_parts_to_merge_at_once: inserts are small and many while callers wait for them, and a merge costs as much as an
-- insert; merging fewer parts at a time nearly doubles the CPU of a small insert.

CREATE TABLE IF NOT EXISTS $database.otel_traces$local $on_cluster
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String,
    SpanId String,
    ParentSpanId String,
    TraceState String,
    SpanName LowCardinality(String),
    SpanKind LowCardinality(String),
    ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeName LowCardinality(String),
    ScopeVersion LowCardinality(String),
    SpanAttributes Map(LowCardinality(String), String),
    Duration UInt64,
    StatusCode LowCardinality(String),
    StatusMessage String,
    `Events.Timestamp` Array(DateTime64(9)) CODEC(Delta(8), ZSTD(1)),
    `Events.Name` Array(LowCardinality(String)),
    `Events.Attributes` Array(Map(LowCardinality(String), String)),
    `Links.TraceId` Array(String),
    `Links.SpanId` Array(String),
    `Links.TraceState` Array(String),
    `Links.Attributes` Array(Map(LowCardinality(String), String)),

    TimestampSource Enum8('sent' = 0, 'observed' = 1, 'end' = 2, 'arrival' = 3),
    NegativeDuration UInt64,
    TraceFlags UInt32,
    SpanAttributesTypes LowCardinality(String),
    ResourceAttributesTypes LowCardinality(String),
    ScopeAttributes Map(LowCardinality(String), String),
    ScopeAttributesTypes LowCardinality(String),
    ResourceSchemaUrl LowCardinality(String),
    ScopeSchemaUrl LowCardinality(String),
    ResourceDroppedAttributesCount UInt32,
    ScopeDroppedAttributesCount UInt32,
    DroppedAttributesCount UInt32,
    DroppedEventsCount UInt32,
    DroppedLinksCount UInt32,
    ResourceEntityRefs String,
    `Events.AttributesTypes` Array(LowCardinality(String)),
    `Events.DroppedAttributesCount` Array(UInt32),
    `Links.AttributesTypes` Array(LowCardinality(String)),
    `Links.TraceFlags` Array(UInt32),
    `Links.DroppedAttributesCount` Array(UInt32),

    ResourceAttributeItems Array(String)
        ALIAS arrayMap((k, v) -> concat(k, '=', v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes)),
    SpanAttributeItems Array(String)
        ALIAS arrayMap((k, v) -> concat(k, '=', v), mapKeys(SpanAttributes), mapValues(SpanAttributes)),

    INDEX resource_attribute_items ResourceAttributeItems TYPE text(tokenizer = 'array'),
    INDEX span_attribute_items SpanAttributeItems TYPE text(tokenizer = 'array'),
    INDEX duration Duration TYPE minmax,
    PROJECTION by_trace_id (SELECT _part_offset ORDER BY TraceId)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

CREATE TABLE IF NOT EXISTS $database.otel_logs$local $on_cluster
(
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String,
    SpanId String,
    TraceFlags UInt32,
    SeverityText LowCardinality(String),
    SeverityNumber Int32,
    ServiceName LowCardinality(String),
    Body String,
    ResourceSchemaUrl LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String),
    ScopeSchemaUrl LowCardinality(String),
    ScopeName LowCardinality(String),
    ScopeVersion LowCardinality(String),
    ScopeAttributes Map(LowCardinality(String), String),
    LogAttributes Map(LowCardinality(String), String),
    EventName LowCardinality(String),

    ObservedTimestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimestampSource Enum8('sent' = 0, 'observed' = 1, 'end' = 2, 'arrival' = 3),
    BodyType LowCardinality(String),
    LogAttributesTypes LowCardinality(String),
    ResourceAttributesTypes LowCardinality(String),
    ScopeAttributesTypes LowCardinality(String),
    ResourceDroppedAttributesCount UInt32,
    ScopeDroppedAttributesCount UInt32,
    DroppedAttributesCount UInt32,
    ResourceEntityRefs String,

    ResourceAttributeItems Array(String)
        ALIAS arrayMap((k, v) -> concat(k, '=', v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes)),
    LogAttributeItems Array(String)
        ALIAS arrayMap((k, v) -> concat(k, '=', v), mapKeys(LogAttributes), mapValues(LogAttributes)),

    INDEX body lower(Body) TYPE text(tokenizer = 'splitByNonAlpha'),
    INDEX trace_id TraceId TYPE bloom_filter(0.001),
    INDEX resource_attribute_items ResourceAttributeItems TYPE text(tokenizer = 'array'),
    INDEX log_attribute_items LogAttributeItems TYPE text(tokenizer = 'array')
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

CREATE TABLE IF NOT EXISTS $database.metric_series$local $on_cluster
(
    id UInt64,
    metric LowCardinality(String),
    otel_name SimpleAggregateFunction(anyLast, LowCardinality(String)),
    kind SimpleAggregateFunction(anyLast, Enum8(
        'unknown' = 0, 'gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential_histogram' = 4, 'summary' = 5)),
    unit SimpleAggregateFunction(anyLast, LowCardinality(String)),
    temporality SimpleAggregateFunction(anyLast, LowCardinality(String)),
    monotonic SimpleAggregateFunction(anyLast, Bool),
    integer SimpleAggregateFunction(anyLast, Bool),
    service SimpleAggregateFunction(anyLast, LowCardinality(String)),
    labels SimpleAggregateFunction(anyLast, Map(String, String)),
    attributes SimpleAggregateFunction(anyLast, Map(String, String)),
    attributes_types SimpleAggregateFunction(anyLast, LowCardinality(String)),
    resource SimpleAggregateFunction(anyLast, Map(String, String)),
    resource_types SimpleAggregateFunction(anyLast, LowCardinality(String)),
    resource_schema_url SimpleAggregateFunction(anyLast, LowCardinality(String)),
    resource_dropped_attributes_count SimpleAggregateFunction(anyLast, UInt32),
    resource_entity_refs SimpleAggregateFunction(anyLast, String),
    scope_name SimpleAggregateFunction(anyLast, LowCardinality(String)),
    scope_version SimpleAggregateFunction(anyLast, LowCardinality(String)),
    scope_attributes SimpleAggregateFunction(anyLast, Map(String, String)),
    scope_attributes_types SimpleAggregateFunction(anyLast, LowCardinality(String)),
    scope_schema_url SimpleAggregateFunction(anyLast, LowCardinality(String)),
    scope_dropped_attributes_count SimpleAggregateFunction(anyLast, UInt32),
    metadata SimpleAggregateFunction(anyLast, Map(String, String)),
    metadata_types SimpleAggregateFunction(anyLast, LowCardinality(String)),
    bounds SimpleAggregateFunction(anyLast, Array(Float64)),
    help SimpleAggregateFunction(anyLast, String),
    resource_id UInt64,
    min_time SimpleAggregateFunction(min, DateTime),
    max_time SimpleAggregateFunction(max, DateTime)
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (metric, id, resource_id)
SETTINGS
    default_compression_codec = 'ZSTD(1)', materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

CREATE TABLE IF NOT EXISTS $database.metric_samples$local $on_cluster
(
    metric LowCardinality(String),
    id UInt64,
    ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    value Float64 CODEC(Delta(8), ZSTD(1)),
    start DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    flags UInt32,
    value_residue Int16,
    ts_source Enum8('sent' = 0, 'arrival' = 3)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, toStartOfHour(ts), id, ts)
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

CREATE TABLE IF NOT EXISTS $database.metric_histograms$local $on_cluster
(
    metric LowCardinality(String),
    id UInt64,
    ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    start DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    count UInt64 CODEC(Delta(8), ZSTD(1)),
    sum Nullable(Float64) CODEC(Delta(8), ZSTD(1)),
    schema Int32,
    zero_threshold Float64,
    zero_count UInt64 CODEC(Delta(8), ZSTD(1)),
    pos_offset Int32,
    pos Array(UInt64) CODEC(Delta(8), ZSTD(1)),
    neg_offset Int32,
    neg Array(UInt64) CODEC(Delta(8), ZSTD(1)),
    min Nullable(Float64),
    max Nullable(Float64),
    flags UInt32,
    ts_source Enum8('sent' = 0, 'arrival' = 3)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, toStartOfHour(ts), id, ts)
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

CREATE TABLE IF NOT EXISTS $database.metric_summaries$local $on_cluster
(
    metric LowCardinality(String),
    id UInt64,
    ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    start DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    count UInt64 CODEC(Delta(8), ZSTD(1)),
    sum Float64 CODEC(Delta(8), ZSTD(1)),
    quantiles Array(Float64),
    values Array(Float64) CODEC(Delta(8), ZSTD(1)),
    flags UInt32,
    ts_source Enum8('sent' = 0, 'arrival' = 3)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(ts)
ORDER BY (metric, toStartOfHour(ts), id, ts)
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

-- By the time of their data point: an exemplar lives and is found with it, whatever its own time says.
CREATE TABLE IF NOT EXISTS $database.metric_exemplars$local $on_cluster
(
    metric LowCardinality(String),
    id UInt64,
    ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    point_ts DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    value Float64,
    value_residue Int16,
    integer Bool,
    trace_id String,
    span_id String,
    attributes Map(LowCardinality(String), String),
    attributes_types LowCardinality(String)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(point_ts)
ORDER BY (metric, toStartOfHour(point_ts), id, point_ts)
SETTINGS
    default_compression_codec = 'ZSTD(1)', ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
    min_parts_to_merge_at_once = 10;

-- One row per series, for the views below. A series whose resource changed (a new service.version) has variants of it.
CREATE VIEW IF NOT EXISTS $database.metric_identities$local $on_cluster AS
SELECT
    metric, id, otel_name::LowCardinality(String) AS otel_name, kind, service::LowCardinality(String) AS service,
    any(unit) AS unit,
    any(help)::String AS help,
    toInt32OrZero(transform(any(temporality), ['delta', 'cumulative'], ['1', '2'])) AS temporality_number,
    any(monotonic)::Bool AS monotonic,
    any(attributes)::Map(String, String) AS attributes,
    any(scope_name) AS scope_name,
    any(scope_version) AS scope_version,
    any(scope_attributes)::Map(String, String) AS scope_attributes,
    any(scope_dropped_attributes_count)::UInt32 AS scope_dropped_attributes_count,
    any(scope_schema_url) AS scope_schema_url,
    any(bounds)::Array(Float64) AS bounds,
    arraySort(v -> v.1, groupArray(
        (min_time::DateTime, resource::Map(String, String), resource_schema_url::LowCardinality(String)))) AS variants
FROM $database.metric_series$local
GROUP BY metric, id, otel_name, kind, service;

CREATE VIEW IF NOT EXISTS $database.metric_point_exemplars$local $on_cluster AS
SELECT
    metric, id, point_ts,
    groupArray(attributes) AS attributes,
    groupArray(ts) AS ts,
    groupArray(value) AS value,
    groupArray(span_id) AS span_id,
    groupArray(trace_id) AS trace_id
FROM $database.metric_exemplars$local
GROUP BY metric, id, point_ts;

-- The views have the names and columns of the Collector's clickhouse exporter. The resource is the variant that was
-- active at the time of the point: the last one registered before it, else the first one.
CREATE VIEW IF NOT EXISTS $database.otel_metrics_gauge$local $on_cluster AS
WITH s.variants[greatest(1, arrayCount(v -> v.1 <= m.ts, s.variants))] AS variant
SELECT
    variant.2 AS ResourceAttributes,
    variant.3 AS ResourceSchemaUrl,
    s.scope_name AS ScopeName,
    s.scope_version AS ScopeVersion,
    s.scope_attributes AS ScopeAttributes,
    s.scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    s.scope_schema_url AS ScopeSchemaUrl,
    s.service AS ServiceName,
    s.otel_name AS MetricName,
    s.help AS MetricDescription,
    s.unit AS MetricUnit,
    s.attributes AS Attributes,
    m.start AS StartTimeUnix,
    m.ts AS TimeUnix,
    m.value AS Value,
    m.flags AS Flags,
    e.attributes AS `Exemplars.FilteredAttributes`,
    e.ts AS `Exemplars.TimeUnix`,
    e.value AS `Exemplars.Value`,
    e.span_id AS `Exemplars.SpanId`,
    e.trace_id AS `Exemplars.TraceId`
FROM $database.metric_samples$local AS m
INNER JOIN $database.metric_identities$local AS s ON m.metric = s.metric AND m.id = s.id
LEFT JOIN $database.metric_point_exemplars$local AS e ON m.metric = e.metric AND m.id = e.id AND m.ts = e.point_ts
WHERE s.kind = 'gauge';

CREATE VIEW IF NOT EXISTS $database.otel_metrics_sum$local $on_cluster AS
WITH s.variants[greatest(1, arrayCount(v -> v.1 <= m.ts, s.variants))] AS variant
SELECT
    variant.2 AS ResourceAttributes,
    variant.3 AS ResourceSchemaUrl,
    s.scope_name AS ScopeName,
    s.scope_version AS ScopeVersion,
    s.scope_attributes AS ScopeAttributes,
    s.scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    s.scope_schema_url AS ScopeSchemaUrl,
    s.service AS ServiceName,
    s.otel_name AS MetricName,
    s.help AS MetricDescription,
    s.unit AS MetricUnit,
    s.attributes AS Attributes,
    m.start AS StartTimeUnix,
    m.ts AS TimeUnix,
    m.value AS Value,
    m.flags AS Flags,
    e.attributes AS `Exemplars.FilteredAttributes`,
    e.ts AS `Exemplars.TimeUnix`,
    e.value AS `Exemplars.Value`,
    e.span_id AS `Exemplars.SpanId`,
    e.trace_id AS `Exemplars.TraceId`,
    s.temporality_number AS AggregationTemporality,
    s.monotonic AS IsMonotonic
FROM $database.metric_samples$local AS m
INNER JOIN $database.metric_identities$local AS s ON m.metric = s.metric AND m.id = s.id
LEFT JOIN $database.metric_point_exemplars$local AS e ON m.metric = e.metric AND m.id = e.id AND m.ts = e.point_ts
WHERE s.kind = 'sum';

CREATE VIEW IF NOT EXISTS $database.otel_metrics_histogram$local $on_cluster AS
WITH s.variants[greatest(1, arrayCount(v -> v.1 <= m.ts, s.variants))] AS variant
SELECT
    variant.2 AS ResourceAttributes,
    variant.3 AS ResourceSchemaUrl,
    s.scope_name AS ScopeName,
    s.scope_version AS ScopeVersion,
    s.scope_attributes AS ScopeAttributes,
    s.scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    s.scope_schema_url AS ScopeSchemaUrl,
    s.service AS ServiceName,
    s.otel_name AS MetricName,
    s.help AS MetricDescription,
    s.unit AS MetricUnit,
    s.attributes AS Attributes,
    m.start AS StartTimeUnix,
    m.ts AS TimeUnix,
    m.count AS Count,
    m.sum AS Sum,
    m.pos AS BucketCounts,
    s.bounds AS ExplicitBounds,
    e.attributes AS `Exemplars.FilteredAttributes`,
    e.ts AS `Exemplars.TimeUnix`,
    e.value AS `Exemplars.Value`,
    e.span_id AS `Exemplars.SpanId`,
    e.trace_id AS `Exemplars.TraceId`,
    m.flags AS Flags,
    m.min AS Min,
    m.max AS Max,
    s.temporality_number AS AggregationTemporality
FROM $database.metric_histograms$local AS m
INNER JOIN $database.metric_identities$local AS s ON m.metric = s.metric AND m.id = s.id
LEFT JOIN $database.metric_point_exemplars$local AS e ON m.metric = e.metric AND m.id = e.id AND m.ts = e.point_ts
WHERE s.kind = 'histogram';

CREATE VIEW IF NOT EXISTS $database.otel_metrics_exponential_histogram$local $on_cluster AS
WITH s.variants[greatest(1, arrayCount(v -> v.1 <= m.ts, s.variants))] AS variant
SELECT
    variant.2 AS ResourceAttributes,
    variant.3 AS ResourceSchemaUrl,
    s.scope_name AS ScopeName,
    s.scope_version AS ScopeVersion,
    s.scope_attributes AS ScopeAttributes,
    s.scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    s.scope_schema_url AS ScopeSchemaUrl,
    s.service AS ServiceName,
    s.otel_name AS MetricName,
    s.help AS MetricDescription,
    s.unit AS MetricUnit,
    s.attributes AS Attributes,
    m.start AS StartTimeUnix,
    m.ts AS TimeUnix,
    m.count AS Count,
    m.sum AS Sum,
    m.schema AS Scale,
    m.zero_count AS ZeroCount,
    m.pos_offset AS PositiveOffset,
    m.pos AS PositiveBucketCounts,
    m.neg_offset AS NegativeOffset,
    m.neg AS NegativeBucketCounts,
    e.attributes AS `Exemplars.FilteredAttributes`,
    e.ts AS `Exemplars.TimeUnix`,
    e.value AS `Exemplars.Value`,
    e.span_id AS `Exemplars.SpanId`,
    e.trace_id AS `Exemplars.TraceId`,
    m.flags AS Flags,
    m.min AS Min,
    m.max AS Max,
    s.temporality_number AS AggregationTemporality
FROM $database.metric_histograms$local AS m
INNER JOIN $database.metric_identities$local AS s ON m.metric = s.metric AND m.id = s.id
LEFT JOIN $database.metric_point_exemplars$local AS e ON m.metric = e.metric AND m.id = e.id AND m.ts = e.point_ts
WHERE s.kind = 'exponential_histogram';

CREATE VIEW IF NOT EXISTS $database.otel_metrics_summary$local $on_cluster AS
WITH s.variants[greatest(1, arrayCount(v -> v.1 <= m.ts, s.variants))] AS variant
SELECT
    variant.2 AS ResourceAttributes,
    variant.3 AS ResourceSchemaUrl,
    s.scope_name AS ScopeName,
    s.scope_version AS ScopeVersion,
    s.scope_attributes AS ScopeAttributes,
    s.scope_dropped_attributes_count AS ScopeDroppedAttrCount,
    s.scope_schema_url AS ScopeSchemaUrl,
    s.service AS ServiceName,
    s.otel_name AS MetricName,
    s.help AS MetricDescription,
    s.unit AS MetricUnit,
    s.attributes AS Attributes,
    m.start AS StartTimeUnix,
    m.ts AS TimeUnix,
    m.count AS Count,
    m.sum AS Sum,
    m.quantiles AS `ValueAtQuantiles.Quantile`,
    m.values AS `ValueAtQuantiles.Value`,
    m.flags AS Flags
FROM $database.metric_summaries$local AS m
INNER JOIN $database.metric_identities$local AS s ON m.metric = s.metric AND m.id = s.id
WHERE s.kind = 'summary';

-- With a cluster: the public names, over the tables and views of the shards. The keys are functions of the row alone,
-- so that a repeated block is split as before and every shard recognises its part by the token.

CREATE TABLE IF NOT EXISTS $database.otel_traces $on_cluster AS $database.otel_traces_local
    ENGINE = Distributed($cluster, $database, otel_traces_local, cityHash64(TraceId));

CREATE TABLE IF NOT EXISTS $database.otel_logs $on_cluster AS $database.otel_logs_local
    ENGINE = Distributed($cluster, $database, otel_logs_local, cityHash64(Timestamp));

CREATE TABLE IF NOT EXISTS $database.metric_series $on_cluster AS $database.metric_series_local
    ENGINE = Distributed($cluster, $database, metric_series_local, id);

CREATE TABLE IF NOT EXISTS $database.metric_samples $on_cluster AS $database.metric_samples_local
    ENGINE = Distributed($cluster, $database, metric_samples_local, id);

CREATE TABLE IF NOT EXISTS $database.metric_histograms $on_cluster AS $database.metric_histograms_local
    ENGINE = Distributed($cluster, $database, metric_histograms_local, id);

CREATE TABLE IF NOT EXISTS $database.metric_summaries $on_cluster AS $database.metric_summaries_local
    ENGINE = Distributed($cluster, $database, metric_summaries_local, id);

CREATE TABLE IF NOT EXISTS $database.metric_exemplars $on_cluster AS $database.metric_exemplars_local
    ENGINE = Distributed($cluster, $database, metric_exemplars_local, id);

CREATE TABLE IF NOT EXISTS $database.otel_metrics_gauge $on_cluster AS $database.otel_metrics_gauge_local
    ENGINE = Distributed($cluster, $database, otel_metrics_gauge_local);

CREATE TABLE IF NOT EXISTS $database.otel_metrics_sum $on_cluster AS $database.otel_metrics_sum_local
    ENGINE = Distributed($cluster, $database, otel_metrics_sum_local);

CREATE TABLE IF NOT EXISTS $database.otel_metrics_histogram $on_cluster AS $database.otel_metrics_histogram_local
    ENGINE = Distributed($cluster, $database, otel_metrics_histogram_local);

CREATE TABLE IF NOT EXISTS $database.otel_metrics_exponential_histogram $on_cluster
    AS $database.otel_metrics_exponential_histogram_local
    ENGINE = Distributed($cluster, $database, otel_metrics_exponential_histogram_local);

CREATE TABLE IF NOT EXISTS $database.otel_metrics_summary $on_cluster AS $database.otel_metrics_summary_local
    ENGINE = Distributed($cluster, $database, otel_metrics_summary_local);
