//! The messages that carry a signal, as far as bytes must be known to be checked, and where items are.
//!
//! Numbers of fields are those of opentelemetry-proto. Only length-delimited fields are listed: others have
//! nothing that can be wrong beyond the wire format.

/// What a length-delimited field holds.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Bytes, or a field that is not known.
    Other,
    Text,
    Message(&'static Message),
    /// A `KeyValue`: a message, but by far the most frequent one.
    Attribute,
    /// An `AnyValue`: a message, but mostly a plain text.
    Value,
    /// Packed varints.
    Varints,
    /// Packed numbers of eight bytes.
    Fixed64s,
}

impl Kind {
    /// The message that it is.
    pub fn message(self) -> Option<&'static Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Attribute => Some(&KEY_VALUE),
            Self::Value => Some(&ANY_VALUE),
            Self::Other | Self::Text | Self::Varints | Self::Fixed64s => None,
        }
    }
}

/// A message: the kinds of its fields by number.
pub struct Message(pub(crate) &'static [Kind]);

impl Message {
    /// The kind of a field.
    #[inline(always)]
    pub fn kind(&self, number: u32) -> Kind {
        self.0.get(number as usize).copied().unwrap_or(Kind::Other)
    }
}

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
    Profiles,
}

impl Signal {
    /// By name; None for one that is not supported.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "traces" => Some(Self::Traces),
            "metrics" => Some(Self::Metrics),
            "logs" => Some(Self::Logs),
            "profiles" => Some(Self::Profiles),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Profiles => "profiles",
        }
    }

    /// The message of a request.
    pub fn request(self) -> &'static Message {
        match self {
            Self::Traces => &TRACES,
            Self::Metrics => &METRICS,
            Self::Logs => &LOGS,
            Self::Profiles => &PROFILES,
        }
    }

    /// Numbers of fields to follow from the request down to an item; several where a oneof lies on the way.
    pub fn levels(self) -> &'static [&'static [u32]] {
        match self {
            Self::Traces | Self::Logs => &[&[1], &[2], &[2]],
            Self::Metrics => &[&[1], &[2], &[2], &METRIC_DATA, &[1]],
            // Its items are the samples of a profile.
            Self::Profiles => &[&[1], &[2], &[2], &[2]],
        }
    }

    /// How many of the levels lead to what is never cut: an item, or a profile with its samples.
    pub fn unit(self) -> usize {
        match self {
            Self::Traces | Self::Logs | Self::Profiles => 3,
            Self::Metrics => 5,
        }
    }

    /// Whether payloads can be joined; what a profile refers to are places in tables of its own request.
    pub fn is_joinable(self) -> bool {
        self != Self::Profiles
    }
}

/// Gauge, sum, histogram, exponential histogram, summary: the oneof of a metric.
pub const METRIC_DATA: [u32; 5] = [5, 7, 9, 10, 11];

const O: Kind = Kind::Other;
const T: Kind = Kind::Text;
const KV: Kind = Kind::Attribute;

pub static KEY_VALUE: Message = Message(&[O, T, Kind::Value]);
pub static ANY_VALUE: Message = Message(&[O, T, O, O, O, Kind::Message(&ARRAY_VALUE), Kind::Message(&KEY_VALUE_LIST)]);
static ARRAY_VALUE: Message = Message(&[O, Kind::Value]);
static KEY_VALUE_LIST: Message = Message(&[O, KV]);

static ENTITY_REF: Message = Message(&[O, T, T, T, T]);
static RESOURCE: Message = Message(&[O, KV, O, Kind::Message(&ENTITY_REF)]);
static SCOPE: Message = Message(&[O, T, T, KV]);

static TRACES: Message = Message(&[O, Kind::Message(&RESOURCE_SPANS)]);
static RESOURCE_SPANS: Message = Message(&[O, Kind::Message(&RESOURCE), Kind::Message(&SCOPE_SPANS), T]);
static SCOPE_SPANS: Message = Message(&[O, Kind::Message(&SCOPE), Kind::Message(&SPAN), T]);
static SPAN: Message = Message(&[
    O,
    O,
    O,
    T,
    O,
    T,
    O,
    O,
    O,
    KV,
    O,
    Kind::Message(&EVENT),
    O,
    Kind::Message(&LINK),
    O,
    Kind::Message(&STATUS),
]);
static EVENT: Message = Message(&[O, O, T, KV]);
static LINK: Message = Message(&[O, O, O, T, KV]);
static STATUS: Message = Message(&[O, O, T]);

static LOGS: Message = Message(&[O, Kind::Message(&RESOURCE_LOGS)]);
static RESOURCE_LOGS: Message = Message(&[O, Kind::Message(&RESOURCE), Kind::Message(&SCOPE_LOGS), T]);
static SCOPE_LOGS: Message = Message(&[O, Kind::Message(&SCOPE), Kind::Message(&LOG_RECORD), T]);
static LOG_RECORD: Message = Message(&[O, O, O, T, O, Kind::Value, KV, O, O, O, O, O, T]);

static METRICS: Message = Message(&[O, Kind::Message(&RESOURCE_METRICS)]);
static RESOURCE_METRICS: Message = Message(&[O, Kind::Message(&RESOURCE), Kind::Message(&SCOPE_METRICS), T]);
static SCOPE_METRICS: Message = Message(&[O, Kind::Message(&SCOPE), Kind::Message(&METRIC), T]);
static METRIC: Message = Message(&[
    O,
    T,
    T,
    T,
    O,
    Kind::Message(&NUMBERS),
    O,
    Kind::Message(&NUMBERS),
    O,
    Kind::Message(&HISTOGRAM),
    Kind::Message(&EXPONENTIAL_HISTOGRAM),
    Kind::Message(&SUMMARY),
    KV,
]);
static NUMBERS: Message = Message(&[O, Kind::Message(&NUMBER_POINT)]);
static NUMBER_POINT: Message = Message(&[O, O, O, O, O, Kind::Message(&EXEMPLAR), O, KV]);
static EXEMPLAR: Message = Message(&[O, O, O, O, O, O, O, KV]);
static HISTOGRAM: Message = Message(&[O, Kind::Message(&HISTOGRAM_POINT)]);
static HISTOGRAM_POINT: Message =
    Message(&[O, O, O, O, O, O, Kind::Fixed64s, Kind::Fixed64s, Kind::Message(&EXEMPLAR), KV]);
static EXPONENTIAL_HISTOGRAM: Message = Message(&[O, Kind::Message(&EXPONENTIAL_POINT)]);
static EXPONENTIAL_POINT: Message =
    Message(&[O, KV, O, O, O, O, O, O, Kind::Message(&BUCKETS), Kind::Message(&BUCKETS), O, Kind::Message(&EXEMPLAR)]);
static BUCKETS: Message = Message(&[O, O, Kind::Varints]);
static SUMMARY: Message = Message(&[O, Kind::Message(&SUMMARY_POINT)]);
static SUMMARY_POINT: Message = Message(&[O, O, O, O, O, O, Kind::Message(&NUMBERS_ONLY), KV]);
/// A message without texts and messages: a quantile, a line, a link.
static NUMBERS_ONLY: Message = Message(&[]);

static PROFILES: Message = Message(&[O, Kind::Message(&RESOURCE_PROFILES), Kind::Message(&DICTIONARY)]);
static RESOURCE_PROFILES: Message = Message(&[O, Kind::Message(&RESOURCE), Kind::Message(&SCOPE_PROFILES), T]);
static SCOPE_PROFILES: Message = Message(&[O, Kind::Message(&SCOPE), Kind::Message(&PROFILE), T]);
static PROFILE: Message = Message(&[
    O,
    Kind::Message(&NUMBERS_ONLY),
    Kind::Message(&SAMPLE),
    O,
    O,
    Kind::Message(&NUMBERS_ONLY),
    O,
    O,
    O,
    T,
    O,
    Kind::Varints,
]);
static SAMPLE: Message = Message(&[O, O, Kind::Varints, O, Kind::Varints, Kind::Fixed64s]);
static DICTIONARY: Message = Message(&[
    O,
    Kind::Message(&MAPPING),
    Kind::Message(&LOCATION),
    Kind::Message(&NUMBERS_ONLY),
    Kind::Message(&NUMBERS_ONLY),
    T,
    Kind::Message(&UNIT_VALUE),
    Kind::Message(&STACK),
]);
static MAPPING: Message = Message(&[O, O, O, O, O, Kind::Varints]);
static LOCATION: Message = Message(&[O, O, O, Kind::Message(&NUMBERS_ONLY), Kind::Varints]);
static UNIT_VALUE: Message = Message(&[O, O, Kind::Value]);
static STACK: Message = Message(&[O, Kind::Varints]);
