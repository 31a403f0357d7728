//! Where attributes and fields are in the messages that can be edited.
//!
//! The names are those of `airis.data.edits.FIELDS`; the numbers are opentelemetry-proto's.

use super::super::otlp::Signal;
use super::super::wire::{Content, Field};

/// A message that can be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The owner of a resource: its schema URL.
    ResourceOwner,
    Resource,
    /// The owner of a scope: its schema URL.
    ScopeOwner,
    Scope,
    Metric,
    Item,
    Event,
    Link,
    Exemplar,
}

impl Level {
    /// By the name of a level; that of a field tells an owner from what it owns.
    pub fn from_name(name: &str, field: Option<&str>) -> Option<Self> {
        let is_owner = field == Some("schema_url");
        match name {
            "resource" if is_owner => Some(Self::ResourceOwner),
            "resource" => Some(Self::Resource),
            "scope" if is_owner => Some(Self::ScopeOwner),
            "scope" => Some(Self::Scope),
            "metric" => Some(Self::Metric),
            "item" => Some(Self::Item),
            "event" => Some(Self::Event),
            "link" => Some(Self::Link),
            "exemplar" => Some(Self::Exemplar),
            _ => None,
        }
    }

    /// The name, which an owner shares with what it owns.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResourceOwner | Self::Resource => "resource",
            Self::ScopeOwner | Self::Scope => "scope",
            Self::Metric => "metric",
            Self::Item => "item",
            Self::Event => "event",
            Self::Link => "link",
            Self::Exemplar => "exemplar",
        }
    }

    /// Whether it is a message inside an item, of which there can be several.
    pub fn is_inside_item(self) -> bool {
        matches!(self, Self::Event | Self::Link | Self::Exemplar)
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int32,
    Uint32,
    Fixed32,
    Time,
    /// An `AnyValue`.
    Value,
    /// Bytes, as a text in hexadecimal; for reading only.
    Id,
}

impl Kind {
    /// Whether a field has the wire type of the kind; another one is a field that is not known.
    pub fn is_in(self, content: Content) -> bool {
        match self {
            Self::Text | Self::Value | Self::Id => matches!(content, Content::Length(_)),
            Self::Int32 | Self::Uint32 => matches!(content, Content::Varint(_)),
            Self::Fixed32 => matches!(content, Content::Fixed32(_)),
            Self::Time => matches!(content, Content::Fixed64(_)),
        }
    }
}

/// A field of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub name: &'static str,
    pub number: u32,
    /// The number in the message of field `number`, 0 where that is the field itself.
    pub inside: u32,
    pub kind: Kind,
}

impl Place {
    /// Whether this field of the message is the place, or the message around it.
    pub fn is_in(&self, field: &Field) -> bool {
        let kind = if self.inside == 0 { self.kind } else { Kind::Value };
        field.number == self.number && kind.is_in(field.content)
    }
}

/// A message: where its attributes are, its fields, and what inside it can be edited.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// The field number of the attributes; 0 for none.
    pub attributes: u32,
    /// Messages from the request down to this one, which counts.
    pub depth: u32,
    pub fields: &'static [Place],
    pub inside: &'static [(Level, u32, &'static Layout)],
}

impl Layout {
    /// A field by its name.
    pub fn field(&self, name: &str) -> Option<&'static Place> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field number and the layout of messages inside this one.
    pub fn messages(&self, level: Level) -> Option<(u32, &'static Layout)> {
        self.inside.iter().find(|inside| inside.0 == level).map(|inside| (inside.1, inside.2))
    }
}

/// The kinds of data that a metric's points can be of, by the field number that `Item` has; a span or a record has 0.
pub fn kinds(signal: Signal) -> &'static [u32] {
    match signal {
        Signal::Metrics => &[5, 9, 10, 11],
        Signal::Traces | Signal::Logs => &[0],
        Signal::Profiles => &[],
    }
}

/// The layout of a message that is not inside an item; None where a signal has no such one.
pub fn layout(signal: Signal, level: Level, kind: u32) -> Option<&'static Layout> {
    match (level, signal) {
        (Level::ResourceOwner, _) => Some(&RESOURCE_OWNER),
        (Level::Resource, _) => Some(&RESOURCE),
        (Level::ScopeOwner, _) => Some(&SCOPE_OWNER),
        (Level::Scope, _) => Some(&SCOPE),
        (Level::Metric, Signal::Metrics) => Some(&METRIC),
        (Level::Item, Signal::Traces) => Some(&SPAN),
        (Level::Item, Signal::Logs) => Some(&RECORD),
        (Level::Item, Signal::Metrics) => Some(match kind {
            9 => &HISTOGRAM_POINT,
            10 => &EXPONENTIAL_POINT,
            11 => &SUMMARY_POINT,
            _ => &NUMBER_POINT,
        }),
        _ => None,
    }
}

const fn place(name: &'static str, number: u32, kind: Kind) -> Place {
    Place { name, number, inside: 0, kind }
}

const SCHEMA_URL: &[Place] = &[place("schema_url", 3, Kind::Text)];

static RESOURCE_OWNER: Layout = Layout { attributes: 0, depth: 1, fields: SCHEMA_URL, inside: &[] };
static RESOURCE: Layout = Layout { attributes: 1, depth: 2, fields: &[], inside: &[] };
static SCOPE_OWNER: Layout = Layout { attributes: 0, depth: 2, fields: SCHEMA_URL, inside: &[] };
static SCOPE: Layout = Layout {
    attributes: 3,
    depth: 3,
    fields: &[place("name", 1, Kind::Text), place("version", 2, Kind::Text)],
    inside: &[],
};
static METRIC: Layout = Layout {
    attributes: 12,
    depth: 3,
    fields: &[place("name", 1, Kind::Text), place("description", 2, Kind::Text), place("unit", 3, Kind::Text)],
    inside: &[],
};
static SPAN: Layout = Layout {
    attributes: 9,
    depth: 3,
    fields: &[
        place("trace_id", 1, Kind::Id),
        place("span_id", 2, Kind::Id),
        place("trace_state", 3, Kind::Text),
        place("parent_span_id", 4, Kind::Id),
        place("name", 5, Kind::Text),
        place("kind", 6, Kind::Int32),
        place("start_time_unix_nano", 7, Kind::Time),
        place("end_time_unix_nano", 8, Kind::Time),
        Place { name: "status.message", number: 15, inside: 2, kind: Kind::Text },
        Place { name: "status.code", number: 15, inside: 3, kind: Kind::Int32 },
        place("flags", 16, Kind::Fixed32),
    ],
    inside: &[(Level::Event, 11, &EVENT), (Level::Link, 13, &LINK)],
};
static EVENT: Layout = Layout {
    attributes: 3,
    depth: 4,
    fields: &[place("time_unix_nano", 1, Kind::Time), place("name", 2, Kind::Text)],
    inside: &[],
};
static LINK: Layout = Layout {
    attributes: 4,
    depth: 4,
    fields: &[
        place("trace_id", 1, Kind::Id),
        place("span_id", 2, Kind::Id),
        place("trace_state", 3, Kind::Text),
        place("flags", 6, Kind::Fixed32),
    ],
    inside: &[],
};
static RECORD: Layout = Layout {
    attributes: 6,
    depth: 3,
    fields: &[
        place("time_unix_nano", 1, Kind::Time),
        place("severity_number", 2, Kind::Int32),
        place("severity_text", 3, Kind::Text),
        place("body", 5, Kind::Value),
        place("flags", 8, Kind::Fixed32),
        place("trace_id", 9, Kind::Id),
        place("span_id", 10, Kind::Id),
        place("observed_time_unix_nano", 11, Kind::Time),
        place("event_name", 12, Kind::Text),
    ],
    inside: &[],
};
static NUMBER_POINT: Layout = Layout {
    attributes: 7,
    depth: 5,
    fields: &[START, TIME, place("flags", 8, Kind::Uint32)],
    inside: &[(Level::Exemplar, 5, &EXEMPLAR)],
};
static HISTOGRAM_POINT: Layout = Layout {
    attributes: 9,
    depth: 5,
    fields: &[START, TIME, place("flags", 10, Kind::Uint32)],
    inside: &[(Level::Exemplar, 8, &EXEMPLAR)],
};
static EXPONENTIAL_POINT: Layout = Layout {
    attributes: 1,
    depth: 5,
    fields: &[START, TIME, place("flags", 10, Kind::Uint32)],
    inside: &[(Level::Exemplar, 11, &EXEMPLAR)],
};
static SUMMARY_POINT: Layout =
    Layout { attributes: 7, depth: 5, fields: &[START, TIME, place("flags", 8, Kind::Uint32)], inside: &[] };
static EXEMPLAR: Layout = Layout {
    attributes: 7,
    depth: 6,
    fields: &[place("time_unix_nano", 2, Kind::Time), place("span_id", 4, Kind::Id), place("trace_id", 5, Kind::Id)],
    inside: &[],
};
const START: Place = place("start_time_unix_nano", 2, Kind::Time);
const TIME: Place = place("time_unix_nano", 3, Kind::Time);
