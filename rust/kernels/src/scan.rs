//! A payload scanned once: where its resources, scopes and items are.

use std::borrow::Cow;
use std::ops::Range;

use super::otlp::{METRIC_DATA, Signal};
use super::validate::check;
use super::values::{Attribute, messages};
use super::wire::{Content, Field, Fields, MAX_DEPTH, Malformed};

/// Every row has its resource and scope: a sender could make much of little.
const MAX_REPEATED_BYTES: usize = 1 << 30;

/// The bytes of a message: a part of the payload, or parts of it joined where a message came more than once.
#[derive(Default)]
pub enum Piece {
    #[default]
    Absent,
    Part(Range<usize>),
    Joined(Vec<u8>),
}

impl Piece {
    /// The bytes; none for what is absent.
    pub fn bytes<'a>(&'a self, payload: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Absent => &[],
            Self::Part(range) => &payload[range.clone()],
            Self::Joined(bytes) => bytes,
        }
    }

    fn join(&mut self, payload: &[u8], more: &Field) {
        match self {
            Self::Absent => *self = Self::Part(more.body..more.end),
            Self::Part(first) => {
                *self = Self::Joined([&payload[first.clone()], &payload[more.body..more.end]].concat())
            }
            Self::Joined(bytes) => bytes.extend_from_slice(&payload[more.body..more.end]),
        }
    }
}

/// What a resource owns.
#[derive(Default)]
pub struct Owner {
    pub resource: Piece,
    pub schema_url: Range<usize>,
    pub scopes: Range<usize>,
    pub items: Range<usize>,
}

/// What a scope owns.
#[derive(Default)]
pub struct Scope {
    pub scope: Piece,
    pub schema_url: Range<usize>,
    pub metrics: Range<usize>,
    pub items: Range<usize>,
}

/// A metric with points: its items stand in `data`, not in the payload.
pub struct Metric {
    pub message: Range<usize>,
    /// The field number of the kind of its data.
    pub kind: u32,
    pub data: Piece,
    pub items: Range<usize>,
}

/// Where everything is in a payload.
pub struct Index {
    pub signal: Signal,
    pub owners: Vec<Owner>,
    pub scopes: Vec<Scope>,
    pub metrics: Vec<Metric>,
    pub items: Vec<Range<usize>>,
}

/// An item with what it belongs to, each as the bytes of its message.
#[derive(Clone, Copy, Default)]
pub struct Item<'a> {
    pub resource: &'a [u8],
    pub resource_schema_url: &'a [u8],
    pub scope: &'a [u8],
    pub scope_schema_url: &'a [u8],
    /// Of a data point the metric, all its points with it; empty for other items.
    pub metric: &'a [u8],
    /// Of a data point the field number of the kind of the metric's data, 0 for other items.
    pub kind: u32,
    pub message: &'a [u8],
}

/// Whose attributes are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Resource,
    Scope,
    Item,
}

impl Level {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "resource" => Some(Self::Resource),
            "scope" => Some(Self::Scope),
            "item" => Some(Self::Item),
            _ => None,
        }
    }
}

/// Check a payload and find everything in it.
pub fn scan(signal: Signal, payload: &[u8]) -> Result<Index, Malformed> {
    if check(payload, signal.request())? > 0 {
        return Err(Malformed::new("a string that is not UTF-8", 0));
    }
    let mut index = Index { signal, owners: vec![], scopes: vec![], metrics: vec![], items: vec![] };
    for field in messages_within(payload, 0, payload.len(), 1) {
        index.add_owner(payload, &field);
    }
    Ok(index)
}

/// The repeated message fields of a number.
fn messages_within(data: &[u8], start: usize, end: usize, number: u32) -> impl Iterator<Item = Field<'_>> {
    Fields::within(data, start, end, MAX_DEPTH)
        .filter(move |field| field.number == number && matches!(field.content, Content::Length(_)))
}

impl Index {
    fn add_owner(&mut self, payload: &[u8], whole: &Field) {
        let (first_scope, first_item) = (self.scopes.len(), self.items.len());
        let mut owner = Owner::default();
        for field in Fields::within(payload, whole.body, whole.end, MAX_DEPTH) {
            match (field.number, field.content) {
                (1, Content::Length(_)) => owner.resource.join(payload, &field),
                (2, Content::Length(_)) => self.add_scope(payload, &field),
                (3, Content::Length(_)) => owner.schema_url = field.body..field.end,
                _ => {}
            }
        }
        owner.scopes = first_scope..self.scopes.len();
        owner.items = first_item..self.items.len();
        self.owners.push(owner);
    }

    fn add_scope(&mut self, payload: &[u8], whole: &Field) {
        let (first_metric, first_item) = (self.metrics.len(), self.items.len());
        let mut scope = Scope::default();
        for field in Fields::within(payload, whole.body, whole.end, MAX_DEPTH) {
            match (field.number, field.content) {
                (1, Content::Length(_)) => scope.scope.join(payload, &field),
                (2, Content::Length(_)) if self.signal == Signal::Metrics => self.add_metric(payload, &field),
                (2, Content::Length(_)) => self.items.push(field.body..field.end),
                (3, Content::Length(_)) => scope.schema_url = field.body..field.end,
                _ => {}
            }
        }
        scope.metrics = first_metric..self.metrics.len();
        scope.items = first_item..self.items.len();
        self.scopes.push(scope);
    }

    fn add_metric(&mut self, payload: &[u8], whole: &Field) {
        let (mut kind, mut data) = (0, Piece::Absent);
        for field in Fields::within(payload, whole.body, whole.end, MAX_DEPTH) {
            if !METRIC_DATA.contains(&field.number) || !matches!(field.content, Content::Length(_)) {
                continue;
            }
            if std::mem::replace(&mut kind, field.number) != field.number {
                // Of a oneof the last member counts, and begins anew.
                data = Piece::Absent;
            }
            data.join(payload, &field);
        }
        let first_item = self.items.len();
        let bytes = data.bytes(payload);
        self.items.extend(messages_within(bytes, 0, bytes.len(), 1).map(|field| field.body..field.end));
        if first_item < self.items.len() {
            let items = first_item..self.items.len();
            self.metrics.push(Metric { message: whole.body..whole.end, kind, data, items });
        }
    }

    /// Show every item in order.
    pub fn visit<'a>(&'a self, payload: &'a [u8], mut visit: impl FnMut(&Item<'a>)) {
        for owner in &self.owners {
            for scope in &self.scopes[owner.scopes.clone()] {
                let mut item = Item {
                    resource: owner.resource.bytes(payload),
                    resource_schema_url: &payload[owner.schema_url.clone()],
                    scope: scope.scope.bytes(payload),
                    scope_schema_url: &payload[scope.schema_url.clone()],
                    metric: &[],
                    kind: 0,
                    message: &[],
                };
                for metric in &self.metrics[scope.metrics.clone()] {
                    let data = metric.data.bytes(payload);
                    (item.metric, item.kind) = (&payload[metric.message.clone()], metric.kind);
                    for point in &self.items[metric.items.clone()] {
                        item.message = &data[point.clone()];
                        visit(&item);
                    }
                }
                if self.signal != Signal::Metrics {
                    for record in &self.items[scope.items.clone()] {
                        item.message = &payload[record.clone()];
                        visit(&item);
                    }
                }
            }
        }
    }

    /// For all items in order the text of the first attribute with this key, at a level, None where there is none;
    /// each with the number of items behind one another that have it.
    pub fn attribute<'a>(&'a self, payload: &'a [u8], key: &[u8], level: Level) -> Vec<(Option<Cow<'a, [u8]>>, usize)> {
        match level {
            Level::Resource => {
                let owners = self.owners.iter();
                owners.map(|owner| (find(owner.resource.bytes(payload), 1, key), owner.items.len())).collect()
            }
            Level::Scope => {
                let scopes = self.scopes.iter();
                scopes.map(|scope| (find(scope.scope.bytes(payload), 3, key), scope.items.len())).collect()
            }
            Level::Item if self.signal == Signal::Metrics => {
                let mut runs = Vec::with_capacity(self.items.len());
                for metric in &self.metrics {
                    let (data, number) = (metric.data.bytes(payload), point_attributes(metric.kind));
                    let points = self.items[metric.items.clone()].iter();
                    runs.extend(points.map(|point| (find(&data[point.clone()], number, key), 1)));
                }
                runs
            }
            Level::Item => {
                let number = if self.signal == Signal::Traces { 9 } else { 6 };
                self.items.iter().map(|item| (find(&payload[item.clone()], number, key), 1)).collect()
            }
        }
    }
}

/// Refuse a payload whose rows would repeat their resources and scopes to a size that nobody can want to store.
pub fn check_repetition(index: &Index, payload: &[u8]) -> Result<(), Malformed> {
    let repeated = |piece: &Piece, items: &Range<usize>| piece.bytes(payload).len().saturating_mul(items.len());
    let resources = index.owners.iter().map(|owner| repeated(&owner.resource, &owner.items));
    let scopes = index.scopes.iter().map(|scope| repeated(&scope.scope, &scope.items));
    if resources.chain(scopes).fold(0, usize::saturating_add) > MAX_REPEATED_BYTES {
        return Err(Malformed::new("resources and scopes that would be repeated to more than 1 GiB", 0));
    }
    Ok(())
}

/// The field number of the attributes in a point of a metric with this kind of data.
fn point_attributes(kind: u32) -> u32 {
    match kind {
        9 => 9,
        10 => 1,
        _ => 7,
    }
}

/// The text of the first attribute with a key among the attributes with this field number.
fn find<'a>(message: &'a [u8], number: u32, key: &[u8]) -> Option<Cow<'a, [u8]>> {
    let attribute = messages(message, number).map(Attribute::read).find(|attribute| attribute.key == key)?;
    Some(attribute.value.into_text())
}
