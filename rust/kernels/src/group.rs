//! A view in groups of items that have the same values.

use std::collections::HashMap;

use super::otlp::Signal;
use super::values::{Attribute, Value, messages, write_hex};
use super::view::{Item, Level, View};
use super::wire::{Content, Fields};

/// What is asked of an item and what it belongs to.
pub enum Source {
    Attribute { level: Level, key: Vec<u8> },
    Field { level: Level, field: Field },
}

/// A field of a message.
#[derive(Clone, Copy)]
pub enum Field {
    TraceId,
    MetricName,
    SeverityNumber,
}

/// The answer; None where there is none.
#[derive(Clone)]
pub enum Found<'a> {
    Value(Value<'a>),
    /// Bytes that are shown in hexadecimal.
    Id(&'a [u8]),
}

impl Source {
    /// A field by its level and name; None for one that is not known, or not there for the signal.
    pub fn field(signal: Signal, level: Level, name: &str) -> Option<Self> {
        let field = match (signal, level, name) {
            (Signal::Traces | Signal::Logs, Level::Item, "trace_id") => Field::TraceId,
            (Signal::Metrics, Level::Metric, "name") => Field::MetricName,
            (Signal::Logs, Level::Item, "severity_number") => Field::SeverityNumber,
            _ => return None,
        };
        Some(Self::Field { level, field })
    }

    fn level(&self) -> Level {
        match self {
            Self::Attribute { level, .. } | Self::Field { level, .. } => *level,
        }
    }

    /// What an item has.
    pub fn read<'a>(&self, signal: Signal, item: &Item<'a>) -> Option<Found<'a>> {
        match self {
            Self::Attribute { level, key } => match item.attribute(signal, key, *level)?.value {
                Value::Empty => None,
                value => Some(Found::Value(value)),
            },
            Self::Field { field, .. } => Some(field.read(signal, item)),
        }
    }
}

impl Field {
    fn read<'a>(self, signal: Signal, item: &Item<'a>) -> Found<'a> {
        let bytes = |message: &'a [u8], number| messages(message, number).last().unwrap_or_default();
        match self {
            Self::TraceId => Found::Id(bytes(item.message, if signal == Signal::Traces { 1 } else { 9 })),
            Self::MetricName => Found::Value(Value::Text(bytes(item.metric, 1))),
            Self::SeverityNumber => {
                let numbers = Fields::new(item.message).filter_map(|field| match (field.number, field.content) {
                    (2, Content::Varint(number)) => Some(i64::from(number as i32)),
                    _ => None,
                });
                Found::Value(Value::Int(numbers.last().unwrap_or_default()))
            }
        }
    }
}

/// The items that have the same values.
pub struct Group {
    /// The first of them in the view that was grouped; None for the rest, whose values differ.
    pub first: Option<usize>,
    /// None where it is all of that view.
    pub view: Option<View>,
}

impl View {
    /// The items by what they have, in groups of the order in which the first of each comes.
    ///
    /// There are at most `limit` groups; items of more of them are one more group behind these, of what is left.
    pub fn group(&self, sources: &[Source], limit: usize) -> Vec<Group> {
        let mut numbers = Numbers { sources, values: vec![vec![]; sources.len()], key: vec![], by_key: HashMap::new() };
        let lowest = sources.iter().map(Source::level).max().unwrap_or(Level::Resource);
        let mut of_items = vec![0; self.items.len()];
        let mut firsts: Vec<Option<usize>> = vec![];
        let mut has_rest = false;
        self.walk(|level, item, items| {
            if level > lowest || items.is_empty() {
                return;
            }
            numbers.read(self.signal, level, item);
            if level < lowest {
                return;
            }
            let number = numbers.number(limit);
            has_rest |= number == limit;
            if number < limit && number == firsts.len() {
                firsts.push(Some(items.start));
            }
            of_items[items.clone()].fill(number as u32);
        });
        firsts.extend(has_rest.then_some(None));
        if firsts.len() == 1 {
            return vec![Group { first: firsts[0], view: None }];
        }
        let views = self.partition(&of_items, firsts.len());
        firsts.into_iter().zip(views).map(|(first, view)| Group { first, view: Some(view) }).collect()
    }
}

/// The groups by their values, as bytes that only the same ones have.
struct Numbers<'a> {
    sources: &'a [Source],
    /// Of each source what the item that is looked at has.
    values: Vec<Vec<u8>>,
    key: Vec<u8>,
    by_key: HashMap<Vec<u8>, usize>,
}

impl Numbers<'_> {
    /// Read what is asked at a level.
    fn read(&mut self, signal: Signal, level: Level, item: &Item) {
        for (source, value) in self.sources.iter().zip(&mut self.values) {
            if source.level() == level {
                value.clear();
                write_found(source.read(signal, item), value);
            }
        }
    }

    /// The number of the group with the values that were read, new ones from 0 on; the limit where there are too many.
    fn number(&mut self, limit: usize) -> usize {
        self.key.clear();
        self.values.iter().for_each(|value| self.key.extend_from_slice(value));
        if let Some(number) = self.by_key.get(&self.key) {
            return *number;
        }
        let number = self.by_key.len();
        if number < limit {
            self.by_key.insert(self.key.clone(), number);
        }
        number
    }
}

fn write_found(found: Option<Found>, out: &mut Vec<u8>) {
    match found {
        None => write_typed(&Value::Empty, out),
        Some(Found::Value(value)) => write_typed(&value, out),
        Some(Found::Id(id)) => {
            let mut digits = vec![];
            write_hex(id, &mut digits);
            write_typed(&Value::Text(&digits), out);
        }
    }
}

/// Append a value as bytes that only the same value of the same type has; of a map the order does not matter.
fn write_typed(value: &Value, out: &mut Vec<u8>) {
    let sized = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(&bytes.len().to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Empty => out.push(b'n'),
        Value::Text(text) => {
            out.push(b's');
            sized(text, out);
        }
        Value::Bool(yes) => out.extend_from_slice(&[b'b', u8::from(*yes)]),
        Value::Int(number) => {
            out.push(b'i');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Double(number) => {
            out.push(b'd');
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Bytes(bytes) => {
            out.push(b'x');
            sized(bytes, out);
        }
        Value::Array(values) => {
            out.push(b'[');
            messages(values, 1).for_each(|value| write_typed(&Value::read(value), out));
            out.push(b']');
        }
        Value::Map(entries) => {
            out.push(b'{');
            let mut entries: Vec<_> = messages(entries, 1).map(Attribute::read).collect();
            entries.sort_by(|one, other| one.key.cmp(other.key));
            for entry in &entries {
                out.push(b'k');
                sized(entry.key, out);
                write_typed(&entry.value, out);
            }
            out.push(b'}');
        }
    }
}
