//! The messages that carry a signal, whole: what every field is called and how its value is written.
//!
//! Numbers and names are those of opentelemetry-proto. Fields are in the order of their numbers, which is the order in
//! which protobuf writes them.

use super::names::{AGGREGATION_TEMPORALITY, Names, SEVERITY_NUMBER, SPAN_KIND, STATUS_CODE};
use crate::otlp::Signal;

/// What a field holds.
#[derive(Clone, Copy)]
pub enum Kind {
    Text,
    /// Bytes that JSON has in hexadecimal.
    Id,
    /// Bytes that JSON has in base64.
    Bytes,
    Bool,
    Double,
    Enum(&'static Names),
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Message(&'static Message),
}

/// A message: its fields in the order of their numbers.
pub struct Message(pub &'static [Field]);

/// How a field comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A default value is as good as none.
    Implicit,
    /// A default value is a value; messages are like this.
    Explicit,
    /// The same, and of all such fields of the message only the last one counts.
    OneOf,
    /// Any number of times.
    Repeated,
}

/// A field of a message.
pub struct Field {
    pub number: u32,
    /// As in the .proto file.
    pub name: &'static str,
    /// In lowerCamelCase.
    pub json_name: &'static str,
    pub kind: Kind,
    pub presence: Presence,
}

impl Kind {
    const fn at(self, number: u32, name: &'static str, json_name: &'static str) -> Field {
        let presence = if matches!(self, Self::Message(_)) { Presence::Explicit } else { Presence::Implicit };
        Field { number, name, json_name, kind: self, presence }
    }
}

impl Field {
    const fn many(self) -> Self {
        Self { presence: Presence::Repeated, ..self }
    }

    const fn optional(self) -> Self {
        Self { presence: Presence::Explicit, ..self }
    }

    const fn one_of(self) -> Self {
        Self { presence: Presence::OneOf, ..self }
    }

    pub fn is_repeated(&self) -> bool {
        self.presence == Presence::Repeated
    }

    /// Whether several values are written as one field.
    pub fn is_packed(&self) -> bool {
        self.is_repeated() && !matches!(self.kind, Kind::Text | Kind::Id | Kind::Bytes | Kind::Message(_))
    }
}

/// The message of a request.
pub fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
        Signal::Profiles => &PROFILES,
    }
}

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int32, Int64, Sfixed64, Sint32, Text, Uint32, Uint64};

static TRACES: Message = Message(&[Kind::Message(&RESOURCE_SPANS).at(1, "resource_spans", "resourceSpans").many()]);

static RESOURCE_SPANS: Message = Message(&[
    Kind::Message(&RESOURCE).at(1, "resource", "resource"),
    Kind::Message(&SCOPE_SPANS).at(2, "scope_spans", "scopeSpans").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static RESOURCE: Message = Message(&[
    Kind::Message(&KEY_VALUE).at(1, "attributes", "attributes").many(),
    Uint32.at(2, "dropped_attributes_count", "droppedAttributesCount"),
    Kind::Message(&ENTITY_REF).at(3, "entity_refs", "entityRefs").many(),
]);

static KEY_VALUE: Message = Message(&[
    Text.at(1, "key", "key"),
    Kind::Message(&ANY_VALUE).at(2, "value", "value"),
    Int32.at(3, "key_strindex", "keyStrindex"),
]);

static ANY_VALUE: Message = Message(&[
    Text.at(1, "string_value", "stringValue").one_of(),
    Bool.at(2, "bool_value", "boolValue").one_of(),
    Int64.at(3, "int_value", "intValue").one_of(),
    Double.at(4, "double_value", "doubleValue").one_of(),
    Kind::Message(&ARRAY_VALUE).at(5, "array_value", "arrayValue").one_of(),
    Kind::Message(&KEY_VALUE_LIST).at(6, "kvlist_value", "kvlistValue").one_of(),
    Bytes.at(7, "bytes_value", "bytesValue").one_of(),
    Int32.at(8, "string_value_strindex", "stringValueStrindex").one_of(),
]);

static ARRAY_VALUE: Message = Message(&[Kind::Message(&ANY_VALUE).at(1, "values", "values").many()]);

static KEY_VALUE_LIST: Message = Message(&[Kind::Message(&KEY_VALUE).at(1, "values", "values").many()]);

static ENTITY_REF: Message = Message(&[
    Text.at(1, "schema_url", "schemaUrl"),
    Text.at(2, "type", "type"),
    Text.at(3, "id_keys", "idKeys").many(),
    Text.at(4, "description_keys", "descriptionKeys").many(),
]);

static SCOPE_SPANS: Message = Message(&[
    Kind::Message(&INSTRUMENTATION_SCOPE).at(1, "scope", "scope"),
    Kind::Message(&SPAN).at(2, "spans", "spans").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static INSTRUMENTATION_SCOPE: Message = Message(&[
    Text.at(1, "name", "name"),
    Text.at(2, "version", "version"),
    Kind::Message(&KEY_VALUE).at(3, "attributes", "attributes").many(),
    Uint32.at(4, "dropped_attributes_count", "droppedAttributesCount"),
]);

static SPAN: Message = Message(&[
    Id.at(1, "trace_id", "traceId"),
    Id.at(2, "span_id", "spanId"),
    Text.at(3, "trace_state", "traceState"),
    Id.at(4, "parent_span_id", "parentSpanId"),
    Text.at(5, "name", "name"),
    Enum(&SPAN_KIND).at(6, "kind", "kind"),
    Fixed64.at(7, "start_time_unix_nano", "startTimeUnixNano"),
    Fixed64.at(8, "end_time_unix_nano", "endTimeUnixNano"),
    Kind::Message(&KEY_VALUE).at(9, "attributes", "attributes").many(),
    Uint32.at(10, "dropped_attributes_count", "droppedAttributesCount"),
    Kind::Message(&EVENT).at(11, "events", "events").many(),
    Uint32.at(12, "dropped_events_count", "droppedEventsCount"),
    Kind::Message(&SPAN_LINK).at(13, "links", "links").many(),
    Uint32.at(14, "dropped_links_count", "droppedLinksCount"),
    Kind::Message(&STATUS).at(15, "status", "status"),
    Fixed32.at(16, "flags", "flags"),
]);

static EVENT: Message = Message(&[
    Fixed64.at(1, "time_unix_nano", "timeUnixNano"),
    Text.at(2, "name", "name"),
    Kind::Message(&KEY_VALUE).at(3, "attributes", "attributes").many(),
    Uint32.at(4, "dropped_attributes_count", "droppedAttributesCount"),
]);

static SPAN_LINK: Message = Message(&[
    Id.at(1, "trace_id", "traceId"),
    Id.at(2, "span_id", "spanId"),
    Text.at(3, "trace_state", "traceState"),
    Kind::Message(&KEY_VALUE).at(4, "attributes", "attributes").many(),
    Uint32.at(5, "dropped_attributes_count", "droppedAttributesCount"),
    Fixed32.at(6, "flags", "flags"),
]);

static STATUS: Message = Message(&[Text.at(2, "message", "message"), Enum(&STATUS_CODE).at(3, "code", "code")]);

static LOGS: Message = Message(&[Kind::Message(&RESOURCE_LOGS).at(1, "resource_logs", "resourceLogs").many()]);

static RESOURCE_LOGS: Message = Message(&[
    Kind::Message(&RESOURCE).at(1, "resource", "resource"),
    Kind::Message(&SCOPE_LOGS).at(2, "scope_logs", "scopeLogs").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static SCOPE_LOGS: Message = Message(&[
    Kind::Message(&INSTRUMENTATION_SCOPE).at(1, "scope", "scope"),
    Kind::Message(&LOG_RECORD).at(2, "log_records", "logRecords").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static LOG_RECORD: Message = Message(&[
    Fixed64.at(1, "time_unix_nano", "timeUnixNano"),
    Enum(&SEVERITY_NUMBER).at(2, "severity_number", "severityNumber"),
    Text.at(3, "severity_text", "severityText"),
    Kind::Message(&ANY_VALUE).at(5, "body", "body"),
    Kind::Message(&KEY_VALUE).at(6, "attributes", "attributes").many(),
    Uint32.at(7, "dropped_attributes_count", "droppedAttributesCount"),
    Fixed32.at(8, "flags", "flags"),
    Id.at(9, "trace_id", "traceId"),
    Id.at(10, "span_id", "spanId"),
    Fixed64.at(11, "observed_time_unix_nano", "observedTimeUnixNano"),
    Text.at(12, "event_name", "eventName"),
]);

static METRICS: Message =
    Message(&[Kind::Message(&RESOURCE_METRICS).at(1, "resource_metrics", "resourceMetrics").many()]);

static RESOURCE_METRICS: Message = Message(&[
    Kind::Message(&RESOURCE).at(1, "resource", "resource"),
    Kind::Message(&SCOPE_METRICS).at(2, "scope_metrics", "scopeMetrics").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static SCOPE_METRICS: Message = Message(&[
    Kind::Message(&INSTRUMENTATION_SCOPE).at(1, "scope", "scope"),
    Kind::Message(&METRIC).at(2, "metrics", "metrics").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static METRIC: Message = Message(&[
    Text.at(1, "name", "name"),
    Text.at(2, "description", "description"),
    Text.at(3, "unit", "unit"),
    Kind::Message(&GAUGE).at(5, "gauge", "gauge").one_of(),
    Kind::Message(&SUM).at(7, "sum", "sum").one_of(),
    Kind::Message(&HISTOGRAM).at(9, "histogram", "histogram").one_of(),
    Kind::Message(&EXPONENTIAL_HISTOGRAM).at(10, "exponential_histogram", "exponentialHistogram").one_of(),
    Kind::Message(&SUMMARY).at(11, "summary", "summary").one_of(),
    Kind::Message(&KEY_VALUE).at(12, "metadata", "metadata").many(),
]);

static GAUGE: Message = Message(&[Kind::Message(&NUMBER_DATA_POINT).at(1, "data_points", "dataPoints").many()]);

static NUMBER_DATA_POINT: Message = Message(&[
    Fixed64.at(2, "start_time_unix_nano", "startTimeUnixNano"),
    Fixed64.at(3, "time_unix_nano", "timeUnixNano"),
    Double.at(4, "as_double", "asDouble").one_of(),
    Kind::Message(&EXEMPLAR).at(5, "exemplars", "exemplars").many(),
    Sfixed64.at(6, "as_int", "asInt").one_of(),
    Kind::Message(&KEY_VALUE).at(7, "attributes", "attributes").many(),
    Uint32.at(8, "flags", "flags"),
]);

static EXEMPLAR: Message = Message(&[
    Fixed64.at(2, "time_unix_nano", "timeUnixNano"),
    Double.at(3, "as_double", "asDouble").one_of(),
    Id.at(4, "span_id", "spanId"),
    Id.at(5, "trace_id", "traceId"),
    Sfixed64.at(6, "as_int", "asInt").one_of(),
    Kind::Message(&KEY_VALUE).at(7, "filtered_attributes", "filteredAttributes").many(),
]);

static SUM: Message = Message(&[
    Kind::Message(&NUMBER_DATA_POINT).at(1, "data_points", "dataPoints").many(),
    Enum(&AGGREGATION_TEMPORALITY).at(2, "aggregation_temporality", "aggregationTemporality"),
    Bool.at(3, "is_monotonic", "isMonotonic"),
]);

static HISTOGRAM: Message = Message(&[
    Kind::Message(&HISTOGRAM_DATA_POINT).at(1, "data_points", "dataPoints").many(),
    Enum(&AGGREGATION_TEMPORALITY).at(2, "aggregation_temporality", "aggregationTemporality"),
]);

static HISTOGRAM_DATA_POINT: Message = Message(&[
    Fixed64.at(2, "start_time_unix_nano", "startTimeUnixNano"),
    Fixed64.at(3, "time_unix_nano", "timeUnixNano"),
    Fixed64.at(4, "count", "count"),
    Double.at(5, "sum", "sum").optional(),
    Fixed64.at(6, "bucket_counts", "bucketCounts").many(),
    Double.at(7, "explicit_bounds", "explicitBounds").many(),
    Kind::Message(&EXEMPLAR).at(8, "exemplars", "exemplars").many(),
    Kind::Message(&KEY_VALUE).at(9, "attributes", "attributes").many(),
    Uint32.at(10, "flags", "flags"),
    Double.at(11, "min", "min").optional(),
    Double.at(12, "max", "max").optional(),
]);

static EXPONENTIAL_HISTOGRAM: Message = Message(&[
    Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT).at(1, "data_points", "dataPoints").many(),
    Enum(&AGGREGATION_TEMPORALITY).at(2, "aggregation_temporality", "aggregationTemporality"),
]);

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message(&[
    Kind::Message(&KEY_VALUE).at(1, "attributes", "attributes").many(),
    Fixed64.at(2, "start_time_unix_nano", "startTimeUnixNano"),
    Fixed64.at(3, "time_unix_nano", "timeUnixNano"),
    Fixed64.at(4, "count", "count"),
    Double.at(5, "sum", "sum").optional(),
    Sint32.at(6, "scale", "scale"),
    Fixed64.at(7, "zero_count", "zeroCount"),
    Kind::Message(&BUCKETS).at(8, "positive", "positive"),
    Kind::Message(&BUCKETS).at(9, "negative", "negative"),
    Uint32.at(10, "flags", "flags"),
    Kind::Message(&EXEMPLAR).at(11, "exemplars", "exemplars").many(),
    Double.at(12, "min", "min").optional(),
    Double.at(13, "max", "max").optional(),
    Double.at(14, "zero_threshold", "zeroThreshold"),
]);

static BUCKETS: Message =
    Message(&[Sint32.at(1, "offset", "offset"), Uint64.at(2, "bucket_counts", "bucketCounts").many()]);

static SUMMARY: Message = Message(&[Kind::Message(&SUMMARY_DATA_POINT).at(1, "data_points", "dataPoints").many()]);

static SUMMARY_DATA_POINT: Message = Message(&[
    Fixed64.at(2, "start_time_unix_nano", "startTimeUnixNano"),
    Fixed64.at(3, "time_unix_nano", "timeUnixNano"),
    Fixed64.at(4, "count", "count"),
    Double.at(5, "sum", "sum"),
    Kind::Message(&VALUE_AT_QUANTILE).at(6, "quantile_values", "quantileValues").many(),
    Kind::Message(&KEY_VALUE).at(7, "attributes", "attributes").many(),
    Uint32.at(8, "flags", "flags"),
]);

static VALUE_AT_QUANTILE: Message = Message(&[Double.at(1, "quantile", "quantile"), Double.at(2, "value", "value")]);

static PROFILES: Message = Message(&[
    Kind::Message(&RESOURCE_PROFILES).at(1, "resource_profiles", "resourceProfiles").many(),
    Kind::Message(&PROFILES_DICTIONARY).at(2, "dictionary", "dictionary"),
]);

static RESOURCE_PROFILES: Message = Message(&[
    Kind::Message(&RESOURCE).at(1, "resource", "resource"),
    Kind::Message(&SCOPE_PROFILES).at(2, "scope_profiles", "scopeProfiles").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static SCOPE_PROFILES: Message = Message(&[
    Kind::Message(&INSTRUMENTATION_SCOPE).at(1, "scope", "scope"),
    Kind::Message(&PROFILE).at(2, "profiles", "profiles").many(),
    Text.at(3, "schema_url", "schemaUrl"),
]);

static PROFILE: Message = Message(&[
    Kind::Message(&VALUE_TYPE).at(1, "sample_type", "sampleType"),
    Kind::Message(&SAMPLE).at(2, "samples", "samples").many(),
    Fixed64.at(3, "time_unix_nano", "timeUnixNano"),
    Uint64.at(4, "duration_nano", "durationNano"),
    Kind::Message(&VALUE_TYPE).at(5, "period_type", "periodType"),
    Int64.at(6, "period", "period"),
    Id.at(7, "profile_id", "profileId"),
    Uint32.at(8, "dropped_attributes_count", "droppedAttributesCount"),
    Text.at(9, "original_payload_format", "originalPayloadFormat"),
    Bytes.at(10, "original_payload", "originalPayload"),
    Int32.at(11, "attribute_indices", "attributeIndices").many(),
]);

static VALUE_TYPE: Message =
    Message(&[Int32.at(1, "type_strindex", "typeStrindex"), Int32.at(2, "unit_strindex", "unitStrindex")]);

static SAMPLE: Message = Message(&[
    Int32.at(1, "stack_index", "stackIndex"),
    Int32.at(2, "attribute_indices", "attributeIndices").many(),
    Int32.at(3, "link_index", "linkIndex"),
    Int64.at(4, "values", "values").many(),
    Fixed64.at(5, "timestamps_unix_nano", "timestampsUnixNano").many(),
]);

static PROFILES_DICTIONARY: Message = Message(&[
    Kind::Message(&MAPPING).at(1, "mapping_table", "mappingTable").many(),
    Kind::Message(&LOCATION).at(2, "location_table", "locationTable").many(),
    Kind::Message(&FUNCTION).at(3, "function_table", "functionTable").many(),
    Kind::Message(&LINK).at(4, "link_table", "linkTable").many(),
    Text.at(5, "string_table", "stringTable").many(),
    Kind::Message(&KEY_VALUE_AND_UNIT).at(6, "attribute_table", "attributeTable").many(),
    Kind::Message(&STACK).at(7, "stack_table", "stackTable").many(),
]);

static MAPPING: Message = Message(&[
    Uint64.at(1, "memory_start", "memoryStart"),
    Uint64.at(2, "memory_limit", "memoryLimit"),
    Uint64.at(3, "file_offset", "fileOffset"),
    Int32.at(4, "filename_strindex", "filenameStrindex"),
    Int32.at(5, "attribute_indices", "attributeIndices").many(),
]);

static LOCATION: Message = Message(&[
    Int32.at(1, "mapping_index", "mappingIndex"),
    Uint64.at(2, "address", "address"),
    Kind::Message(&LINE).at(3, "lines", "lines").many(),
    Int32.at(4, "attribute_indices", "attributeIndices").many(),
]);

static LINE: Message = Message(&[
    Int32.at(1, "function_index", "functionIndex"),
    Int64.at(2, "line", "line"),
    Int64.at(3, "column", "column"),
]);

static FUNCTION: Message = Message(&[
    Int32.at(1, "name_strindex", "nameStrindex"),
    Int32.at(2, "system_name_strindex", "systemNameStrindex"),
    Int32.at(3, "filename_strindex", "filenameStrindex"),
    Int64.at(4, "start_line", "startLine"),
]);

static LINK: Message = Message(&[Id.at(1, "trace_id", "traceId"), Id.at(2, "span_id", "spanId")]);

static KEY_VALUE_AND_UNIT: Message = Message(&[
    Int32.at(1, "key_strindex", "keyStrindex"),
    Kind::Message(&ANY_VALUE).at(2, "value", "value"),
    Int32.at(3, "unit_strindex", "unitStrindex"),
]);

static STACK: Message = Message(&[Int32.at(1, "location_indices", "locationIndices").many()]);
