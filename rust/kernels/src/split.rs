//! Payloads and views cut into smaller ones without reading their items.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use super::buffers::{Buffer, Slice};
use super::otlp::Signal;
use super::partition::{Builder, Path};
use super::scan::outline;
use super::validate::{count, count_items};
use super::view::{Level, Metric, Owner, Scope, View};
use super::wire::{Malformed, field_size};

/// Owners may be repeated to so many bytes: a sender could make much of little.
const MAX_REPEATED_BYTES: usize = 256 * 1024 * 1024;

/// The most that a part may have; what is never cut, and has more by itself, is a part alone.
#[derive(Clone, Copy)]
pub struct Limits {
    pub items: usize,
    pub bytes: usize,
    /// What is never cut.
    pub level: Level,
}

/// The parts of a payload, in order; what owns the items is repeated in each. None where it stays as it is.
pub fn split(signal: Signal, payload: Buffer, limits: Limits) -> Result<Option<Vec<Vec<u8>>>, Malformed> {
    let held = Arc::clone(&payload);
    let data = (*held).as_ref();
    if data.len() <= limits.bytes && count_items(signal, data)? <= limits.items {
        return Ok(None);
    }
    let (mut parts, mut bytes) = (vec![], 0);
    outline(signal, payload)?.cut(limits, &mut |part| {
        let encoded = part.encode();
        bytes += encoded.size;
        if bytes.saturating_sub(data.len()) > MAX_REPEATED_BYTES {
            return Err(Malformed::new("what owns the items would be repeated to more than 256 MiB", 0));
        }
        parts.push(encoded.to_vec());
        Ok(())
    })?;
    Ok(Some(parts).filter(|parts| is_cut(data.len(), parts.iter().map(Vec::len), limits)))
}

/// Whether parts are of any use; a single one may still be smaller, written anew.
fn is_cut(before: usize, mut sizes: impl ExactSizeIterator<Item = usize>, limits: Limits) -> bool {
    sizes.len() > 1 || before > limits.bytes && sizes.any(|size| size <= limits.bytes)
}

impl View {
    /// The parts of a view, in order; what owns the items is repeated in each. None where it stays as it is.
    pub fn split(&self, limits: Limits) -> Option<Vec<Self>> {
        let mut parts = vec![];
        let Ok(()) = self.cut(limits, &mut |part| -> Result<(), Infallible> {
            parts.push(part);
            Ok(())
        });
        let sizes = parts.iter().map(|part| part.encode().size);
        is_cut(self.encode().size, sizes, limits).then_some(parts)
    }

    fn cut<E>(&self, limits: Limits, emit: &mut impl FnMut(Self) -> Result<(), E>) -> Result<(), E> {
        let (builder, sizes) = (Builder::new(self), Sizes::new(self));
        let mut splitter = Splitter { view: self, limits, emit, builder, sizes, items: 0, is_begun: false };
        for (index, owner) in self.owners.iter().enumerate() {
            if limits.level == Level::Resource || owner.scopes.is_empty() {
                splitter.take(Unit::Owner(index), Path::TOP)?;
                continue;
            }
            for scope in owner.scopes.clone() {
                let path = Path::owner(index);
                let inside = path.scope(scope);
                let Scope { metrics, items, .. } = &self.scopes[scope];
                if limits.level == Level::Scope || metrics.is_empty() && items.is_empty() {
                    splitter.take(Unit::Scope(scope), path)?;
                } else if metrics.is_empty() {
                    items.clone().try_for_each(|item| splitter.take(Unit::Item(item), inside))?;
                }
                for metric in metrics.clone().filter(|_| limits.level > Level::Scope) {
                    let points = &self.metrics[metric].items;
                    if limits.level == Level::Metric || points.is_empty() {
                        splitter.take(Unit::Metric(metric), inside)?;
                    } else {
                        points.clone().try_for_each(|item| splitter.take(Unit::Item(item), inside.metric(metric)))?;
                    }
                }
            }
        }
        splitter.end_part()
    }

    fn owner_size(&self, owner: &Owner) -> usize {
        let scopes = self.scopes[owner.scopes.clone()].iter().map(|scope| self.scope_size(scope));
        owner.whole.map_or_else(|| field_size(1, owner.own_size() + scopes.sum::<usize>()), Slice::size)
    }

    fn scope_size(&self, scope: &Scope) -> usize {
        let metrics = self.metrics[scope.metrics.clone()].iter().map(|metric| self.metric_size(metric));
        let items = self.items[scope.items.clone()].iter().map(|item| field_size(2, item.size()));
        let inside = || if scope.metrics.is_empty() { items.sum::<usize>() } else { metrics.sum() };
        scope.whole.map_or_else(|| field_size(2, scope.own_size() + inside()), Slice::size)
    }

    fn metric_size(&self, metric: &Metric) -> usize {
        let points = self.items[metric.items.clone()].iter().map(|point| field_size(1, point.size()));
        let data = || metric.data_size(metric.data_rest.size() + points.sum::<usize>());
        metric.whole.map_or_else(|| field_size(2, metric.rest.size() + data()), Slice::size)
    }
}

impl Owner {
    /// Without its scopes.
    fn own_size(&self) -> usize {
        own_size(self.resource, self.schema_url, self.rest)
    }
}

impl Scope {
    /// Without its items or metrics.
    fn own_size(&self) -> usize {
        own_size(self.scope, self.schema_url, self.rest)
    }
}

impl Metric {
    /// Of the field of its data, with so much in it.
    fn data_size(&self, inside: usize) -> usize {
        if self.kind > 0 { field_size(self.kind, inside) } else { 0 }
    }
}

fn own_size(message: Option<Slice>, schema_url: Slice, rest: Slice) -> usize {
    let schema_url = if schema_url.size() > 0 { field_size(3, schema_url.size()) } else { 0 };
    message.map_or(0, |message| field_size(1, message.size())) + schema_url + rest.size()
}

impl View {
    /// The number of items in a range of what is not cut: a profile has as many as it has samples.
    fn count(&self, range: Range<usize>) -> usize {
        if self.signal != Signal::Profiles {
            return range.len();
        }
        let (bytes, below) = (self.open(), &self.signal.levels()[self.signal.unit()..]);
        let samples = self.items[range].iter().map(|profile| {
            let message = bytes.at(*profile);
            count(message, 0, message.len(), below).unwrap_or_default()
        });
        samples.sum()
    }
}

/// What is not cut, by its index.
#[derive(Clone, Copy)]
enum Unit {
    Owner(usize),
    Scope(usize),
    Metric(usize),
    Item(usize),
}

impl Unit {
    fn items(self, view: &View) -> usize {
        match self {
            Self::Owner(index) => view.count(view.owners[index].items.clone()),
            Self::Scope(index) => view.count(view.scopes[index].items.clone()),
            Self::Metric(index) => view.metrics[index].items.len(),
            Self::Item(index) => view.count(index..index + 1),
        }
    }

    /// Of its field.
    fn size(self, view: &View, path: Path) -> usize {
        match self {
            Self::Owner(index) => view.owner_size(&view.owners[index]),
            Self::Scope(index) => view.scope_size(&view.scopes[index]),
            Self::Metric(index) => view.metric_size(&view.metrics[index]),
            Self::Item(index) => field_size(if path.depth() > 2 { 1 } else { 2 }, view.items[index].size()),
        }
    }
}

struct Splitter<'a, F> {
    view: &'a View,
    limits: Limits,
    emit: F,
    builder: Builder<'a>,
    sizes: Sizes,
    items: usize,
    /// Whether the part has anything in it.
    is_begun: bool,
}

impl<E, F: FnMut(View) -> Result<(), E>> Splitter<'_, F> {
    /// Put a unit, which is in what the path says, into the part, or into a new one where that is full.
    fn take(&mut self, unit: Unit, path: Path) -> Result<(), E> {
        let (view, limits) = (self.view, self.limits);
        let items = unit.items(view);
        let size = if limits.bytes < usize::MAX { unit.size(view, path) } else { 0 };
        let mut sizes = self.sizes;
        sizes.push(view, path, size);
        let is_full = items > 0 && self.items + items > limits.items || sizes.total(view) > limits.bytes;
        if self.is_begun && is_full {
            self.end_part()?;
            sizes = self.sizes;
            sizes.push(view, path, size);
        }
        (self.sizes, self.is_begun) = (sizes, true);
        self.items += items;
        match unit {
            Unit::Owner(index) => self.builder.push_owner(index),
            Unit::Scope(index) => self.builder.push_scope(path.scope(index)),
            Unit::Metric(index) => self.builder.push_metric(path.metric(index)),
            Unit::Item(index) => self.builder.push(path, index),
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), E> {
        let mut part = std::mem::replace(&mut self.builder, Builder::new(self.view)).finish();
        if self.limits.bytes < usize::MAX && part.encode().size > self.limits.bytes {
            // What came with numbers longer than they must be is whole, but smaller when it is written anew.
            part.forget_whole(self.limits.level);
        }
        (self.sizes, self.items, self.is_begun) = (Sizes::new(self.view), 0, false);
        (self.emit)(part)
    }
}

impl View {
    /// Write anew whatever is above a level.
    fn forget_whole(&mut self, level: Level) {
        self.owners.iter_mut().filter(|_| level > Level::Resource).for_each(|owner| owner.whole = None);
        self.scopes.iter_mut().filter(|_| level > Level::Scope).for_each(|scope| scope.whole = None);
        self.metrics.iter_mut().filter(|_| level > Level::Metric).for_each(|metric| metric.whole = None);
    }
}

/// The size of a part while it grows.
#[derive(Clone, Copy)]
struct Sizes {
    /// What is open.
    path: Path,
    /// What is in the request and, where they are open, in the resource, the scope, the metric and its data, without
    /// what is open in them.
    inside: [usize; 5],
}

impl Sizes {
    fn new(view: &View) -> Self {
        let rest: usize = view.rest.iter().map(|slice| slice.size()).sum();
        Self { path: Path::TOP, inside: [rest, 0, 0, 0, 0] }
    }

    /// Add a field of so many bytes to what the path says.
    fn push(&mut self, view: &View, path: Path, size: usize) {
        if path != self.path {
            let shared = path.shared(self.path);
            self.close(view, shared);
            let depth = path.depth();
            if shared < 1 && depth > 0 {
                self.inside[1] = view.owners[path.owner].own_size();
            }
            if shared < 2 && depth > 1 {
                self.inside[2] = view.scopes[path.scope].own_size();
            }
            if shared < 3 && depth > 2 {
                let metric = &view.metrics[path.metric];
                self.inside[3..].copy_from_slice(&[metric.rest.size(), metric.data_rest.size()]);
            }
            self.path = path;
        }
        // Points are in the data of their metric.
        let depth = path.depth();
        self.inside[if depth > 2 { 4 } else { depth }] += size;
    }

    /// Close what is open below a level.
    fn close(&mut self, view: &View, keep: usize) {
        let depth = self.path.depth();
        if depth > 2 && keep < 3 {
            let metric = &view.metrics[self.path.metric];
            self.inside[2] += field_size(2, self.inside[3] + metric.data_size(self.inside[4]));
        }
        if depth > 1 && keep < 2 {
            self.inside[1] += field_size(2, self.inside[2]);
        }
        if depth > 0 && keep < 1 {
            self.inside[0] += field_size(1, self.inside[1]);
        }
    }

    fn total(mut self, view: &View) -> usize {
        self.close(view, 0);
        self.inside[0]
    }
}
