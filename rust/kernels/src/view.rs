//! What is in a payload, as places in bytes that several views may share.
//!
//! A view never changes. What is made of one keeps its buffers, and points to new bytes only where something changed.

use std::borrow::Cow;
use std::ops::Range;

use super::buffers::{Buffer, Bytes, Slice};
use super::otlp::Signal;
use super::values::{Attribute, messages};
use super::wire::Malformed;

/// Every row has its resource and scope: a sender could make much of little.
const MAX_REPEATED_BYTES: usize = 1 << 30;

/// What is known of a resource: a `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
#[derive(Clone, Debug)]
pub struct Owner {
    /// All of its field with tag and length, as long as nothing in it has changed.
    pub whole: Option<Slice>,
    pub resource: Option<Slice>,
    pub schema_url: Slice,
    /// Fields that are none of these.
    pub rest: Slice,
    pub scopes: Range<usize>,
    pub items: Range<usize>,
}

/// What is known of a scope: a `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
#[derive(Clone, Debug)]
pub struct Scope {
    /// As of an owner; whatever is in it is whole as well.
    pub whole: Option<Slice>,
    pub scope: Option<Slice>,
    pub schema_url: Slice,
    /// Fields that are none of these.
    pub rest: Slice,
    pub metrics: Range<usize>,
    pub items: Range<usize>,
}

/// What is known of a metric.
#[derive(Clone, Debug)]
pub struct Metric {
    /// As of an owner.
    pub whole: Option<Slice>,
    /// The message with at most one field of data. The points in it do not count: those of `items` do.
    pub message: Slice,
    /// Fields that are not its data: the name, the unit, …
    pub rest: Slice,
    /// The field number of its data, which says of what kind it is; 0 where it has none.
    pub kind: u32,
    /// Fields of the data that are not points: the temporality, …
    pub data_rest: Slice,
    pub items: Range<usize>,
}

/// Where everything is in a payload, or in what was made of one.
#[derive(Clone)]
pub struct View {
    pub signal: Signal,
    pub buffers: Vec<Buffer>,
    /// The first buffer as it is encodes the view.
    pub is_whole: bool,
    /// Fields of the request that are not resources.
    pub rest: Vec<Slice>,
    pub owners: Vec<Owner>,
    pub scopes: Vec<Scope>,
    pub metrics: Vec<Metric>,
    /// The messages of spans, data points or log records.
    pub items: Vec<Slice>,
}

/// An item with what it belongs to, each as the bytes of its message.
#[derive(Clone, Copy, Default)]
pub struct Item<'a> {
    pub resource: &'a [u8],
    pub resource_schema_url: &'a [u8],
    pub scope: &'a [u8],
    pub scope_schema_url: &'a [u8],
    /// Of a data point the metric, with any points; empty for other items.
    pub metric: &'a [u8],
    /// Of a data point the field number of the metric's data, 0 for other items.
    pub kind: u32,
    pub message: &'a [u8],
}

/// What is meant of an item and what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Resource,
    Scope,
    /// For metrics only.
    Metric,
    Item,
}

impl Level {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "resource" => Some(Self::Resource),
            "scope" => Some(Self::Scope),
            "metric" => Some(Self::Metric),
            "item" => Some(Self::Item),
            _ => None,
        }
    }
}

impl View {
    /// A view without anything in it.
    pub fn new(signal: Signal, buffers: Vec<Buffer>) -> Self {
        let (rest, owners, scopes, metrics, items) = (vec![], vec![], vec![], vec![], vec![]);
        Self { signal, buffers, is_whole: false, rest, owners, scopes, metrics, items }
    }

    /// The bytes that all places are in.
    pub fn open(&self) -> Bytes<'_> {
        Bytes::new(&self.buffers)
    }

    /// Show every resource, scope, metric and item in order, each before what belongs to it and with the items that do.
    ///
    /// Of an `Item` only what is above the level is there, and the level itself.
    #[inline(always)]
    pub fn walk<'a>(&'a self, mut visit: impl FnMut(Level, &Item<'a>, &Range<usize>)) {
        let bytes = self.open();
        for owner in &self.owners {
            let resource = bytes.message(owner.resource);
            let mut item = Item { resource, resource_schema_url: bytes.at(owner.schema_url), ..Item::default() };
            visit(Level::Resource, &item, &owner.items);
            for scope in &self.scopes[owner.scopes.clone()] {
                item.scope = bytes.message(scope.scope);
                item.scope_schema_url = bytes.at(scope.schema_url);
                (item.metric, item.kind, item.message) = (&[], 0, &[]);
                visit(Level::Scope, &item, &scope.items);
                for metric in &self.metrics[scope.metrics.clone()] {
                    (item.metric, item.kind, item.message) = (bytes.at(metric.message), metric.kind, &[]);
                    visit(Level::Metric, &item, &metric.items);
                    for index in metric.items.clone() {
                        item.message = bytes.at(self.items[index]);
                        visit(Level::Item, &item, &(index..index + 1));
                    }
                }
                if self.signal != Signal::Metrics {
                    for index in scope.items.clone() {
                        item.message = bytes.at(self.items[index]);
                        visit(Level::Item, &item, &(index..index + 1));
                    }
                }
            }
        }
    }

    /// Show every item in order.
    pub fn visit<'a>(&'a self, mut visit: impl FnMut(&Item<'a>)) {
        self.walk(|level, item, _| {
            if level == Level::Item {
                visit(item);
            }
        });
    }

    /// For all items in order the text of the first attribute with this key, at a level, None where there is none;
    /// each with the number of items behind one another that have it.
    pub fn attribute<'a>(&'a self, key: &[u8], at: Level) -> Vec<(Option<Cow<'a, [u8]>>, usize)> {
        let mut runs = vec![];
        self.walk(|level, item, items| {
            if level == at {
                runs.push((item.attribute(self.signal, key, level).map(|value| value.value.into_text()), items.len()));
            }
        });
        runs
    }

    /// Refuse what as rows would repeat its resources and scopes to a size that nobody can want to store.
    pub fn check_repetition(&self) -> Result<(), Malformed> {
        let repeated =
            |message: Option<Slice>, items: &Range<usize>| message.map_or(0, Slice::size).saturating_mul(items.len());
        let resources = self.owners.iter().map(|owner| repeated(owner.resource, &owner.items));
        let scopes = self.scopes.iter().map(|scope| repeated(scope.scope, &scope.items));
        if resources.chain(scopes).fold(0, usize::saturating_add) > MAX_REPEATED_BYTES {
            return Err(Malformed::new("resources and scopes that would be repeated to more than 1 GiB", 0));
        }
        Ok(())
    }

    /// The items of all views, in order; they must have one signal.
    pub fn concat<'a>(signal: Signal, views: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut made = Self::new(signal, vec![]);
        for view in views {
            let buffers = made.buffers.len();
            let (scopes, metrics, items) = (made.scopes.len(), made.metrics.len(), made.items.len());
            let moved = |range: &Range<usize>, by: usize| range.start + by..range.end + by;
            made.buffers.extend_from_slice(&view.buffers);
            made.rest.extend(view.rest.iter().map(|slice| slice.moved(buffers)));
            made.owners.extend(view.owners.iter().map(|owner| Owner {
                whole: owner.whole.map(|slice| slice.moved(buffers)),
                resource: owner.resource.map(|slice| slice.moved(buffers)),
                schema_url: owner.schema_url.moved(buffers),
                rest: owner.rest.moved(buffers),
                scopes: moved(&owner.scopes, scopes),
                items: moved(&owner.items, items),
            }));
            made.scopes.extend(view.scopes.iter().map(|scope| Scope {
                whole: scope.whole.map(|slice| slice.moved(buffers)),
                scope: scope.scope.map(|slice| slice.moved(buffers)),
                schema_url: scope.schema_url.moved(buffers),
                rest: scope.rest.moved(buffers),
                metrics: moved(&scope.metrics, metrics),
                items: moved(&scope.items, items),
            }));
            made.metrics.extend(view.metrics.iter().map(|metric| Metric {
                whole: metric.whole.map(|slice| slice.moved(buffers)),
                message: metric.message.moved(buffers),
                rest: metric.rest.moved(buffers),
                kind: metric.kind,
                data_rest: metric.data_rest.moved(buffers),
                items: moved(&metric.items, items),
            }));
            made.items.extend(view.items.iter().map(|slice| slice.moved(buffers)));
        }
        made
    }
}

impl<'a> Item<'a> {
    /// The first attribute with a key, at a level; of a metric one of its metadata.
    pub fn attribute(&self, signal: Signal, key: &[u8], level: Level) -> Option<Attribute<'a>> {
        let (message, number) = match level {
            Level::Resource => (self.resource, 1),
            Level::Scope => (self.scope, 3),
            Level::Metric => (self.metric, 12),
            Level::Item => (self.message, item_attributes(signal, self.kind)),
        };
        messages(message, number).map(Attribute::read).find(|attribute| attribute.key == key)
    }
}

/// The field number of the attributes of an item, which for a point depends on the kind of its metric's data.
#[inline]
pub fn item_attributes(signal: Signal, kind: u32) -> u32 {
    match (signal, kind) {
        (Signal::Traces, _) => 9,
        (Signal::Logs, _) => 6,
        (Signal::Metrics, 9) => 9,
        (Signal::Metrics, 10) => 1,
        (Signal::Metrics, _) => 7,
        // They refer to a table of the request.
        (Signal::Profiles, _) => 0,
    }
}
