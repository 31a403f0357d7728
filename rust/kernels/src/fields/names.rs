//! The names of the fields, as OTTL has them, and where they are.

use super::super::otlp::Signal;
use super::lists::List;
use super::scalars::{At, Scalar};
use super::{Level, Read};

/// The kinds of a span, in words.
pub const KINDS: [&str; 6] = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
/// As they were written before.
pub const OLD_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

type Fields = &'static [(&'static str, Read)];

/// What there is at a level.
pub fn fields(signal: Signal, level: Level) -> Fields {
    match (level, signal) {
        (Level::Resource, _) => &RESOURCE,
        (Level::Scope, _) => &SCOPE,
        (Level::Metric, _) => &METRIC,
        (Level::Item, Signal::Traces) => &SPAN,
        (Level::Item, Signal::Logs) => &LOG_RECORD,
        (Level::Item, Signal::Metrics) => &POINT,
        (Level::Item, Signal::Profiles) => &[],
        (Level::Event, _) => &EVENT,
        (Level::Link, _) => &LINK,
        (Level::Exemplar, _) => &EXEMPLAR,
    }
}

const fn at(scalar: Scalar, number: u32) -> At {
    At { scalar, number, within: 0, rival: 0, is_optional: false }
}

const fn within(within: u32, scalar: Scalar, number: u32) -> At {
    At { within, ..at(scalar, number) }
}

const fn optional(number: u32) -> At {
    At { is_optional: true, ..at(Scalar::Double, number) }
}

const fn member(scalar: Scalar, number: u32, rival: u32) -> At {
    At { rival, is_optional: true, ..at(scalar, number) }
}

const fn text(number: u32) -> Read {
    Read::At(at(Scalar::Text, number))
}

const fn id(number: u32) -> Read {
    Read::At(at(Scalar::Id, number))
}

const fn uint32(number: u32) -> Read {
    Read::At(at(Scalar::Uint32, number))
}

const fn fixed32(number: u32) -> Read {
    Read::At(at(Scalar::Fixed32, number))
}

const fn fixed64(number: u32) -> Read {
    Read::At(at(Scalar::Fixed64, number))
}

/// Where it is in the points of gauges and sums, histograms, exponential histograms and summaries.
const fn point(number: Option<At>, histogram: Option<At>, exponential: Option<At>, summary: Option<At>) -> Read {
    Read::Point([number, number, histogram, exponential, summary])
}

const fn everywhere(number: At) -> Read {
    point(Some(number), Some(number), Some(number), Some(number))
}

const fn exponential(at: At) -> Read {
    point(None, None, Some(at), None)
}

static RESOURCE: [(&str, Read); 3] =
    [("attributes", Read::Attributes), ("dropped_attributes_count", uint32(2)), ("schema_url", Read::SchemaUrl)];

static SCOPE: [(&str, Read); 5] = [
    ("attributes", Read::Attributes),
    ("dropped_attributes_count", uint32(4)),
    ("name", text(1)),
    ("schema_url", Read::SchemaUrl),
    ("version", text(2)),
];

static METRIC: [(&str, Read); 7] = [
    ("aggregation_temporality", Read::MetricData(2, false)),
    ("description", text(2)),
    ("is_monotonic", Read::MetricData(3, true)),
    ("metadata", Read::Attributes),
    ("name", text(1)),
    ("type", Read::MetricType),
    ("unit", text(3)),
];

static SPAN: [(&str, Read); 23] = [
    ("attributes", Read::Attributes),
    ("dropped_attributes_count", uint32(10)),
    ("dropped_events_count", uint32(12)),
    ("dropped_links_count", uint32(14)),
    ("duration", Read::Duration),
    ("end_time", fixed64(8)),
    ("end_time_unix_nano", fixed64(8)),
    ("flags", fixed32(16)),
    ("kind", Read::At(at(Scalar::Int32, 6))),
    ("kind.deprecated_string", Read::Kind(&OLD_KINDS)),
    ("kind.string", Read::Kind(&KINDS)),
    ("name", text(5)),
    ("parent_span_id", id(4)),
    ("parent_span_id.string", id(4)),
    ("span_id", id(2)),
    ("span_id.string", id(2)),
    ("start_time", fixed64(7)),
    ("start_time_unix_nano", fixed64(7)),
    ("status.code", Read::At(within(15, Scalar::Int32, 3))),
    ("status.message", Read::At(within(15, Scalar::Text, 2))),
    ("trace_id", id(1)),
    ("trace_id.string", id(1)),
    ("trace_state", Read::TraceState),
];

static LOG_RECORD: [(&str, Read); 16] = [
    ("attributes", Read::Attributes),
    ("body", Read::Body),
    ("body.string", Read::BodyText),
    ("dropped_attributes_count", uint32(7)),
    ("event_name", text(12)),
    ("flags", fixed32(8)),
    ("observed_time", fixed64(11)),
    ("observed_time_unix_nano", fixed64(11)),
    ("severity_number", Read::At(at(Scalar::Int32, 2))),
    ("severity_text", text(3)),
    ("span_id", id(10)),
    ("span_id.string", id(10)),
    ("time", fixed64(1)),
    ("time_unix_nano", fixed64(1)),
    ("trace_id", id(9)),
    ("trace_id.string", id(9)),
];

static POINT: [(&str, Read); 22] = [
    ("attributes", Read::Attributes),
    ("bucket_counts", point(None, Some(at(Scalar::List(List::Fixed64), 6)), None, None)),
    ("count", point(None, Some(at(Scalar::Fixed64, 4)), Some(at(Scalar::Fixed64, 4)), Some(at(Scalar::Fixed64, 4)))),
    ("explicit_bounds", point(None, Some(at(Scalar::List(List::Double), 7)), None, None)),
    (
        "flags",
        point(
            Some(at(Scalar::Uint32, 8)),
            Some(at(Scalar::Uint32, 10)),
            Some(at(Scalar::Uint32, 10)),
            Some(at(Scalar::Uint32, 8)),
        ),
    ),
    ("max", point(None, Some(optional(12)), Some(optional(13)), None)),
    ("min", point(None, Some(optional(11)), Some(optional(12)), None)),
    ("negative.bucket_counts", exponential(within(9, Scalar::List(List::Varint), 2))),
    ("negative.offset", exponential(within(9, Scalar::Sint32, 1))),
    ("positive.bucket_counts", exponential(within(8, Scalar::List(List::Varint), 2))),
    ("positive.offset", exponential(within(8, Scalar::Sint32, 1))),
    ("quantile_values", point(None, None, None, Some(at(Scalar::List(List::Quantile), 6)))),
    ("scale", exponential(at(Scalar::Sint32, 6))),
    ("start_time", everywhere(at(Scalar::Fixed64, 2))),
    ("start_time_unix_nano", everywhere(at(Scalar::Fixed64, 2))),
    ("sum", point(None, Some(optional(5)), Some(optional(5)), Some(at(Scalar::Double, 5)))),
    ("time", everywhere(at(Scalar::Fixed64, 3))),
    ("time_unix_nano", everywhere(at(Scalar::Fixed64, 3))),
    ("value_double", point(Some(member(Scalar::Double, 4, 6)), None, None, None)),
    ("value_int", point(Some(member(Scalar::Sfixed64, 6, 4)), None, None, None)),
    ("zero_count", exponential(at(Scalar::Fixed64, 7))),
    ("zero_threshold", exponential(at(Scalar::Double, 14))),
];

static EVENT: [(&str, Read); 5] = [
    ("attributes", Read::Attributes),
    ("dropped_attributes_count", uint32(4)),
    ("name", text(2)),
    ("time", fixed64(1)),
    ("time_unix_nano", fixed64(1)),
];

static LINK: [(&str, Read); 8] = [
    ("attributes", Read::Attributes),
    ("dropped_attributes_count", uint32(5)),
    ("flags", fixed32(6)),
    ("span_id", id(2)),
    ("span_id.string", id(2)),
    ("trace_id", id(1)),
    ("trace_id.string", id(1)),
    ("trace_state", Read::TraceState),
];

static EXEMPLAR: [(&str, Read); 9] = [
    ("double_value", Read::At(member(Scalar::Double, 3, 6))),
    ("filtered_attributes", Read::Attributes),
    ("int_value", Read::At(member(Scalar::Sfixed64, 6, 3))),
    ("span_id", id(4)),
    ("span_id.string", id(4)),
    ("time", fixed64(2)),
    ("time_unix_nano", fixed64(2)),
    ("trace_id", id(5)),
    ("trace_id.string", id(5)),
];
