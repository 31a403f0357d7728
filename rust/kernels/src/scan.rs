//! A payload scanned once: where its resources, scopes, metrics and items are.

use std::ops::Range;
use std::sync::Arc;

use super::buffers::{Buffer, Fresh, MAX_BUFFER_BYTES, Slice};
use super::otlp::{METRIC_DATA, Signal};
use super::validate::{check, is_inside};
use super::view::{Metric, Owner, Scope, View};
use super::wire::{Content, Fields, MAX_DEPTH, Malformed, push_delimited};

/// Check a payload and find everything in it.
pub fn scan(signal: Signal, payload: Buffer) -> Result<View, Malformed> {
    if check((*payload).as_ref(), signal.request())? > 0 {
        return Err(Malformed::new("a string that is not UTF-8", 0));
    }
    outline(signal, payload)
}

/// Find everything in a payload without looking into its items, which passed `validate` if it is to be relied on.
pub fn outline(signal: Signal, payload: Buffer) -> Result<View, Malformed> {
    let held = Arc::clone(&payload);
    let data = (*held).as_ref();
    if data.len() > MAX_BUFFER_BYTES {
        return Err(Malformed::new("a payload of more than 1 GiB", 0));
    }
    let mut outline = Outline { data, view: View::new(signal, vec![payload]), joined: Fresh::behind(1) };
    outline.add_request()?;
    let mut view = outline.view;
    view.is_whole = true;
    view.buffers.extend(outline.joined.into_buffers());
    Ok(view)
}

/// Parts of a message that are one to protobuf: a message that came more than once, fields between others.
#[derive(Default)]
enum Gathered {
    #[default]
    Absent,
    Part(Range<usize>),
    Joined(Vec<u8>),
}

impl Gathered {
    #[inline(always)]
    fn add(&mut self, data: &[u8], more: Range<usize>) {
        match self {
            Self::Absent => *self = Self::Part(more),
            Self::Part(part) if part.end == more.start => part.end = more.end,
            Self::Part(part) => *self = Self::Joined([&data[part.clone()], &data[more]].concat()),
            Self::Joined(bytes) => bytes.extend_from_slice(&data[more]),
        }
    }

    fn bytes<'a>(&'a self, data: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Absent => &[],
            Self::Part(part) => &data[part.clone()],
            Self::Joined(bytes) => bytes,
        }
    }

    /// Where the bytes are: a part of the data, whose place is given, or where they are put joined.
    #[inline(always)]
    fn place(&self, data: Slice, joined: &mut Fresh) -> Result<Option<Slice>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::Part(part) => Ok(Some(data.part(part.clone()))),
            Self::Joined(bytes) => joined.add(bytes).map(Some),
        }
    }
}

struct Outline<'a> {
    data: &'a [u8],
    view: View,
    joined: Fresh,
}

impl Outline<'_> {
    /// Where all of the payload is.
    fn whole(&self) -> Slice {
        Slice::new(0, 0..self.data.len())
    }

    fn place(&mut self, gathered: &Gathered) -> Result<Option<Slice>, Malformed> {
        gathered.place(self.whole(), &mut self.joined)
    }

    fn add_request(&mut self) -> Result<(), Malformed> {
        let mut rest = Gathered::Absent;
        let mut fields = Fields::within(self.data, 0, self.data.len(), MAX_DEPTH);
        while let Some(field) = fields.read()? {
            match (field.number, field.content) {
                (1, Content::Length(_)) => self.add_owner(field.start, field.body, field.end)?,
                _ => rest.add(self.data, field.start..field.end),
            }
        }
        self.view.rest = self.place(&rest)?.into_iter().collect();
        Ok(())
    }

    fn add_owner(&mut self, start: usize, body: usize, end: usize) -> Result<(), Malformed> {
        let (first_scope, first_item) = (self.view.scopes.len(), self.view.items.len());
        let (mut resource, mut schema_url, mut rest) = (Gathered::Absent, Slice::default(), Gathered::Absent);
        let mut fields = Fields::within(self.data, body, end, MAX_DEPTH);
        while let Some(field) = fields.read()? {
            match (field.number, field.content) {
                (1, Content::Length(_)) => resource.add(self.data, field.body..field.end),
                (2, Content::Length(_)) => self.add_scope(field.start, field.body, field.end)?,
                (3, Content::Length(_)) => schema_url = Slice::new(0, field.body..field.end),
                _ => rest.add(self.data, field.start..field.end),
            }
        }
        let owner = Owner {
            whole: Some(Slice::new(0, start..end)),
            resource: self.place(&resource)?,
            schema_url,
            rest: self.place(&rest)?.unwrap_or_default(),
            scopes: first_scope..self.view.scopes.len(),
            items: first_item..self.view.items.len(),
        };
        self.view.owners.push(owner);
        Ok(())
    }

    fn add_scope(&mut self, start: usize, body: usize, end: usize) -> Result<(), Malformed> {
        let (first_metric, first_item) = (self.view.metrics.len(), self.view.items.len());
        let (mut message, mut schema_url, mut rest) = (Gathered::Absent, Slice::default(), Gathered::Absent);
        let has_metrics = self.view.signal == Signal::Metrics;
        let mut fields = Fields::within(self.data, body, end, MAX_DEPTH);
        while let Some(field) = fields.read()? {
            match (field.number, field.content) {
                (1, Content::Length(_)) => message.add(self.data, field.body..field.end),
                (2, Content::Length(_)) if has_metrics => {
                    let (whole, items) = (self.whole(), &mut self.view.items);
                    let metric = read_metric(self.data, field.body..field.end, whole, items, &mut self.joined)?;
                    let whole = Some(Slice::new(0, field.start..field.end));
                    self.view.metrics.push(Metric { whole, ..metric });
                }
                (2, Content::Length(_)) => self.view.items.push(Slice::new(0, field.body..field.end)),
                (3, Content::Length(_)) => schema_url = Slice::new(0, field.body..field.end),
                _ => rest.add(self.data, field.start..field.end),
            }
        }
        let scope = Scope {
            whole: Some(Slice::new(0, start..end)),
            scope: self.place(&message)?,
            schema_url,
            rest: self.place(&rest)?.unwrap_or_default(),
            metrics: first_metric..self.view.metrics.len(),
            items: first_item..self.view.items.len(),
        };
        self.view.scopes.push(scope);
        Ok(())
    }
}

/// Read the metric in a range of the data, whose place is given; its points are added to the items.
pub fn read_metric(
    data: &[u8],
    range: Range<usize>,
    place: Slice,
    items: &mut Vec<Slice>,
    joined: &mut Fresh,
) -> Result<Metric, Malformed> {
    let (mut kind, mut parts) = (0, 0);
    let (mut inside, mut rest) = (Gathered::Absent, Gathered::Absent);
    let mut fields = Fields::within(data, range.start, range.end, MAX_DEPTH);
    while let Some(field) = fields.read()? {
        if !is_inside(&field, &METRIC_DATA) {
            rest.add(data, field.start..field.end);
            continue;
        }
        if std::mem::replace(&mut kind, field.number) != field.number {
            // Of a oneof the last member counts, and begins anew.
            inside = Gathered::Absent;
        }
        inside.add(data, field.body..field.end);
        parts += 1;
    }
    let first_item = items.len();
    // Where data came more than once, its points are in the joined bytes.
    let (source, source_place, within) = match &inside {
        Gathered::Joined(bytes) => (&bytes[..], joined.add(bytes)?, 0..bytes.len()),
        Gathered::Part(part) => (data, place, part.clone()),
        Gathered::Absent => (data, place, 0..0),
    };
    let mut data_rest = Gathered::Absent;
    let mut fields = Fields::within(source, within.start, within.end, MAX_DEPTH);
    while let Some(field) = fields.read()? {
        if is_inside(&field, &[1]) {
            items.push(source_place.part(field.body..field.end));
        } else {
            data_rest.add(source, field.start..field.end);
        }
    }
    let mut message = place.part(range);
    if parts > 1 {
        // Who reads it must not have to know about merging.
        let mut head = rest.bytes(data).to_vec();
        push_delimited(&mut head, kind, data_rest.bytes(source));
        message = joined.add(&head)?;
    }
    Ok(Metric {
        whole: None,
        message,
        rest: rest.place(place, joined)?.unwrap_or_default(),
        kind,
        data_rest: data_rest.place(source_place, joined)?.unwrap_or_default(),
        items: first_item..items.len(),
    })
}
