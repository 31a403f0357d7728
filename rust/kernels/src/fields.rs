//! What can be asked of an item: its attributes and fields, and those of what it belongs to.
//!
//! A source (`airis.data.fields`) is compiled once, and then read out of the bytes of messages that passed `validate`.

mod datum;
mod lists;
mod names;
mod parts;
mod quick;
mod scalars;
mod walk;

use std::borrow::Cow;

use super::otlp::{METRIC_DATA, Signal};
use super::values::{Value, messages};
use super::view::{self, Item, item_attributes};
use super::wire::{Content, Fields, push_delimited};
use parts::{Parts, find};
use scalars::{At, wholes};
use walk::Walk;

pub use datum::Datum;
pub use quick::{Quick, Spotted, Spotter};

/// Whose attribute or field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Resource,
    Scope,
    Metric,
    Item,
    /// From here on an item may have several.
    Event,
    Link,
    Exemplar,
}

impl Level {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "resource" => Self::Resource,
            "scope" => Self::Scope,
            "metric" => Self::Metric,
            "item" => Self::Item,
            "event" => Self::Event,
            "link" => Self::Link,
            "exemplar" => Self::Exemplar,
            _ => return None,
        })
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Scope => "scope",
            Self::Metric => "metric",
            Self::Item => "item",
            Self::Event => "event",
            Self::Link => "link",
            Self::Exemplar => "exemplar",
        }
    }

    /// An error where items of a signal have no such level.
    pub fn check(self, signal: Signal) -> Result<(), String> {
        let is_there = match self {
            Self::Resource | Self::Scope | Self::Item => true,
            Self::Event | Self::Link => signal == Signal::Traces,
            Self::Metric | Self::Exemplar => signal == Signal::Metrics,
        };
        if is_there { Ok(()) } else { Err(format!("items of {} have no {}", signal.name(), self.name())) }
    }

    /// Whether an item may have several.
    pub fn is_repeated(self) -> bool {
        self > Self::Item
    }

    /// The messages of a repeated level in an item.
    pub fn elements<'a>(self, item: &Item<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let number = match (self, item.kind) {
            (Self::Event, _) => 11,
            (Self::Link, _) => 13,
            (Self::Exemplar, 5 | 7) => 5,
            (Self::Exemplar, 9) => 8,
            (Self::Exemplar, 10) => 11,
            // There is no field with this number.
            _ => 0,
        };
        messages(item.message, number)
    }

    /// The field number of the attributes in the message of this level.
    fn attributes(self, signal: Signal, kind: u32) -> u32 {
        match self {
            Self::Resource => 1,
            Self::Scope | Self::Event => 3,
            Self::Metric => 12,
            Self::Link => 4,
            Self::Exemplar => 7,
            Self::Item => item_attributes(signal, kind),
        }
    }
}

impl From<view::Level> for Level {
    fn from(level: view::Level) -> Self {
        match level {
            view::Level::Resource => Self::Resource,
            view::Level::Scope => Self::Scope,
            view::Level::Metric => Self::Metric,
            view::Level::Item => Self::Item,
        }
    }
}

/// A step inside a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Key(Box<[u8]>),
    Index(usize),
}

/// What is found in a source.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    Datum(Datum<'a>),
    /// A text, an array or a map that does not stand in the payload.
    Printed(Vec<u8>),
    Array(Cow<'a, [u8]>),
    Map(Cow<'a, [u8]>),
}

impl Found<'_> {
    /// To look at.
    #[inline(always)]
    pub fn datum(&self) -> Datum<'_> {
        match self {
            Self::Datum(datum) => *datum,
            Self::Printed(text) => Datum::Text(text),
            Self::Array(values) => Datum::Array(values),
            Self::Map(entries) => Datum::Map(entries),
        }
    }
}

impl<'a> From<Value<'a>> for Found<'a> {
    #[inline(always)]
    fn from(value: Value<'a>) -> Self {
        Self::Datum(match value {
            Value::Empty => Datum::Empty,
            Value::Text(text) => Datum::Text(text),
            Value::Bool(value) => Datum::Bool(value),
            Value::Int(number) => Datum::Whole(number.into()),
            Value::Double(number) => Datum::Double(number),
            Value::Bytes(bytes) => Datum::Bytes(bytes),
            Value::Array(values) => return Self::Array(values),
            Value::Map(entries) => return Self::Map(entries),
        })
    }
}

/// What is rare, or rarely asked for, and is read by another way.
pub struct Unusual;

/// How a field is found.
#[derive(Clone, Debug, PartialEq)]
enum Read {
    Attribute(Box<[u8]>),
    /// All attributes, as a map.
    Attributes,
    At(At),
    /// By the kind of the metric's data, in the order of `METRIC_DATA`; None where points of it have no such field.
    Point([Option<At>; 5]),
    SchemaUrl,
    Duration,
    Kind(&'static [&'static str; 6]),
    TraceState,
    Body,
    BodyText,
    MetricType,
    /// A number, or with true a bool, of the metric's data.
    MetricData(u32, bool),
}

/// A source, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    pub level: Level,
    signal: Signal,
    read: Read,
    path: Box<[Step]>,
}

impl Source {
    /// An attribute, and what is inside of its value; an error says what is wrong.
    pub fn attribute(signal: Signal, level: Level, key: &str, path: Vec<Step>) -> Result<Self, String> {
        level.check(signal)?;
        let read = Read::Attribute(key.as_bytes().into());
        Ok(Self { level, signal, read, path: path.into() })
    }

    /// A field by its name, and what is inside of its value; an error says what is wrong.
    pub fn field(signal: Signal, level: Level, name: &str, path: Vec<Step>) -> Result<Self, String> {
        level.check(signal)?;
        let known = names::fields(signal, level);
        let Some((_, read)) = known.iter().find(|(known, _)| *known == name) else {
            let mut names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            let whose = level.name();
            return Err(format!("no field of {whose} is called \"{name}\"; there are {}", names.join(", ")));
        };
        let (mut read, mut path) = (read.clone(), path);
        match (&read, path.first()) {
            (_, None) | (Read::Body, _) => {}
            (Read::Attributes, Some(Step::Key(key))) => {
                read = Read::Attribute(key.clone());
                path.remove(0);
            }
            (Read::TraceState, Some(Step::Key(_))) if path.len() == 1 => {}
            (Read::At(at), Some(Step::Index(_))) if at.is_list() => {}
            (Read::Point(kinds), Some(Step::Index(_))) if kinds.iter().flatten().any(At::is_list) => {}
            _ => return Err(format!("nothing in \"{name}\" can be found by this path")),
        }
        Ok(Self { level, signal, read, path: path.into() })
    }

    /// What an item has there; None where it is absent. `element` is the message of a repeated level.
    #[inline]
    pub fn read<'a>(&self, item: &Item<'a>, element: &'a [u8]) -> Option<Found<'a>> {
        let message = self.message(item, element);
        match &self.read {
            Read::Attribute(key) => {
                let entry = find(message, self.level.attributes(self.signal, item.kind), key)?;
                self.inside(entry)
            }
            Read::At(at) => at.read(message, &self.path),
            Read::Point(kinds) => {
                let kind = METRIC_DATA.iter().position(|&number| number == item.kind)?;
                kinds[kind].as_ref()?.read(message, &self.path)
            }
            Read::Body => self.inside(Parts::of(message, 5)?),
            Read::BodyText => {
                let value = Parts::of(message, 5)?.value();
                Some(match value {
                    Value::Text(text) => Found::Datum(Datum::Text(text)),
                    _ => Found::Printed(value.into_text().into_owned()),
                })
            }
            Read::Attributes => {
                let mut entries = vec![];
                for entry in self.attributes(item, element)? {
                    push_delimited(&mut entries, 1, entry);
                }
                Some(Found::Map(entries.into()))
            }
            Read::SchemaUrl => {
                let is_resource = self.level == Level::Resource;
                let text = if is_resource { item.resource_schema_url } else { item.scope_schema_url };
                Some(Found::Datum(Datum::Text(text)))
            }
            Read::Duration => {
                let [start, end] = wholes(message, [7, 8]);
                Some(Found::Datum(Datum::Whole(i128::from(end) - i128::from(start))))
            }
            Read::Kind(texts) => {
                let mut kind = 0;
                for field in Walk::new(message, 6) {
                    if let Content::Varint(number) = field.content {
                        kind = number as i32;
                    }
                }
                let text = usize::try_from(kind).ok().and_then(|kind| texts.get(kind)).copied().unwrap_or_default();
                Some(Found::Datum(Datum::Text(text.as_bytes())))
            }
            Read::TraceState => {
                let text = last_text(message, 3);
                match self.path.first() {
                    Some(Step::Key(key)) => trace_state(text, key).map(|text| Found::Datum(Datum::Text(text))),
                    _ => Some(Found::Datum(Datum::Text(text))),
                }
            }
            Read::MetricType => {
                let kind = METRIC_DATA.iter().position(|&number| number == item.kind)?;
                Some(Found::Datum(Datum::Whole(kind as i128 + 1)))
            }
            Read::MetricData(number, is_bool) => {
                let found = metric_data(message, item.kind, *number)?;
                Some(Found::Datum(if *is_bool { Datum::Bool(found != 0) } else { Datum::Whole((found as i32).into()) }))
            }
        }
    }

    /// The message of its level.
    #[inline(always)]
    fn message<'a>(&self, item: &Item<'a>, element: &'a [u8]) -> &'a [u8] {
        match self.level {
            Level::Resource => item.resource,
            Level::Scope => item.scope,
            Level::Metric => item.metric,
            Level::Item => item.message,
            Level::Event | Level::Link | Level::Exemplar => element,
        }
    }

    /// Each `KeyValue` message of an item, for a source that is all attributes; None for another one.
    #[inline(always)]
    pub fn attributes<'a>(
        &self,
        item: &Item<'a>,
        element: &'a [u8],
    ) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let number = self.level.attributes(self.signal, item.kind);
        matches!(self.read, Read::Attributes).then(|| messages(self.message(item, element), number))
    }

    /// Follow the path.
    #[inline(always)]
    fn inside<'a>(&self, mut found: Parts<'a>) -> Option<Found<'a>> {
        for step in &self.path {
            found = found.step(step)?;
        }
        Some(found.value().into())
    }
}

/// The last text with a field number.
fn last_text(message: &[u8], number: u32) -> &[u8] {
    messages(message, number).last().unwrap_or_default()
}

/// The value of a key in a W3C trace state.
fn trace_state<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut members = text.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members.find_map(|member| member.strip_prefix(key)?.strip_prefix(b"="))
}

/// A number of the data of a metric, 0 where it is not set; None where its kind has none.
fn metric_data(metric: &[u8], kind: u32, number: u32) -> Option<u64> {
    const SUM: u32 = 7;
    let has = if number == 3 { kind == SUM } else { matches!(kind, SUM | 9 | 10) };
    if !has {
        return None;
    }
    let (mut member, mut found) = (0, 0);
    for field in Fields::new(metric) {
        let Content::Length(data) = field.content else { continue };
        if !METRIC_DATA.contains(&field.number) {
            continue;
        }
        if std::mem::replace(&mut member, field.number) != field.number {
            // Of a oneof the last member counts, and begins anew.
            found = 0;
        }
        for field in Fields::new(data) {
            if let Content::Varint(value) = field.content
                && field.number == number
            {
                found = value;
            }
        }
    }
    Some(found)
}
