//! Spans as rows of `otel_traces`.

use super::blocks::{ARRIVAL, Block, END, LC, LCS, MAP, MAPS, SENT, SOURCE, TIME, TIMES, Tables, array, column};
use super::buffers::Bytes;
use super::columns::{Attributes, Ends, Fixed, LowCardinality, Text};
use super::order::Order;
use super::owners::{ResourceColumns, ScopeColumns};
use super::values::write_integer;
use super::view::View;
use super::wire::{Content, Fields};

const KINDS: [&[u8]; 6] = [b"Unspecified", b"Internal", b"Server", b"Client", b"Producer", b"Consumer"];
const STATUSES: [&[u8]; 3] = [b"Unset", b"Ok", b"Error"];
const SECOND_NANO: u64 = 1_000_000_000;

/// The columns of `otel_traces`.
#[derive(Default)]
pub struct Traces {
    rows: usize,
    resource: ResourceColumns,
    scope: ScopeColumns,
    timestamp: Fixed<u64>,
    timestamp_source: Fixed<u8>,
    duration: Fixed<u64>,
    negative_duration: Fixed<u64>,
    trace_id: Text,
    span_id: Text,
    parent_span_id: Text,
    trace_state: Text,
    flags: Fixed<u32>,
    name: LowCardinality,
    kind: LowCardinality,
    status_code: LowCardinality,
    status_message: Text,
    attributes: Attributes,
    dropped_attributes: Fixed<u32>,
    dropped_events: Fixed<u32>,
    dropped_links: Fixed<u32>,
    events: Events,
    links: Links,
}

#[derive(Default)]
struct Events {
    ends: Ends,
    time: Fixed<u64>,
    name: LowCardinality,
    attributes: Attributes,
    dropped: Fixed<u32>,
}

#[derive(Default)]
struct Links {
    ends: Ends,
    trace_id: Text,
    span_id: Text,
    trace_state: Text,
    flags: Fixed<u32>,
    attributes: Attributes,
    dropped: Fixed<u32>,
}

impl Traces {
    /// The rows of all spans in a view, in the order of the table.
    pub fn encode(view: &View, arrived: u64) -> Self {
        let mut traces = Self { rows: view.items.len(), ..Self::default() };
        let bytes = view.open();
        let order = Order::new(view, &bytes, |services| keys(view, &bytes, arrived, services));
        order.fill(view, &bytes, &mut traces.resource, &mut traces.scope);
        for span in order.messages(view, &bytes) {
            traces.push(span, arrived);
        }
        traces
    }

    fn push(&mut self, span: &[u8], arrived: u64) {
        const NONE: &[u8] = b"";
        let (mut trace_id, mut span_id, mut parent_span_id, mut trace_state) = (NONE, NONE, NONE, NONE);
        let (mut name, mut message) = (NONE, NONE);
        let (mut kind, mut code, mut flags) = (0, 0, 0);
        let (mut start, mut end) = (0, 0);
        let (mut dropped_attributes, mut dropped_events, mut dropped_links) = (0, 0, 0);
        let (mut events, mut links) = (0, 0);
        for field in Fields::new(span) {
            match (field.number, field.content) {
                (1, Content::Length(id)) => trace_id = id,
                (2, Content::Length(id)) => span_id = id,
                (3, Content::Length(text)) => trace_state = text,
                (4, Content::Length(id)) => parent_span_id = id,
                (5, Content::Length(text)) => name = text,
                (6, Content::Varint(number)) => kind = number as i32,
                (7, Content::Fixed64(time)) => start = time,
                (8, Content::Fixed64(time)) => end = time,
                (9, Content::Length(data)) => self.attributes.add(data),
                (10, Content::Varint(number)) => dropped_attributes = number as u32,
                (11, Content::Length(data)) => {
                    self.events.push(data);
                    events += 1;
                }
                (12, Content::Varint(number)) => dropped_events = number as u32,
                (13, Content::Length(data)) => {
                    self.links.push(data);
                    links += 1;
                }
                (14, Content::Varint(number)) => dropped_links = number as u32,
                (15, Content::Length(status)) => {
                    for field in Fields::new(status) {
                        match (field.number, field.content) {
                            (2, Content::Length(text)) => message = text,
                            (3, Content::Varint(number)) => code = number as i32,
                            _ => {}
                        }
                    }
                }
                (16, Content::Fixed32(number)) => flags = number,
                _ => {}
            }
        }
        let (timestamp, source) = stored_time(start, end, arrived);
        self.timestamp.push(timestamp);
        self.timestamp_source.push(source);
        self.duration.push(if start > 0 { end.saturating_sub(start) } else { 0 });
        self.negative_duration.push(if start > 0 { start.saturating_sub(end) } else { 0 });
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.parent_span_id.push_hex(parent_span_id);
        self.trace_state.push(trace_state);
        self.flags.push(flags);
        self.name.push(name);
        push_name(&mut self.kind, &KINDS, kind);
        push_name(&mut self.status_code, &STATUSES, code);
        self.status_message.push(message);
        self.attributes.end_row();
        self.dropped_attributes.push(dropped_attributes);
        self.dropped_events.push(dropped_events);
        self.dropped_links.push(dropped_links);
        self.events.ends.push(events);
        self.links.ends.push(links);
    }
}

impl Events {
    fn push(&mut self, event: &[u8]) {
        let (mut time, mut name, mut dropped) = (0, &b""[..], 0);
        for field in Fields::new(event) {
            match (field.number, field.content) {
                (1, Content::Fixed64(number)) => time = number,
                (2, Content::Length(text)) => name = text,
                (3, Content::Length(data)) => self.attributes.add(data),
                (4, Content::Varint(number)) => dropped = number as u32,
                _ => {}
            }
        }
        self.time.push(time);
        self.name.push(name);
        self.attributes.end_row();
        self.dropped.push(dropped);
    }
}

impl Links {
    fn push(&mut self, link: &[u8]) {
        let (mut trace_id, mut span_id, mut trace_state) = (&b""[..], &b""[..], &b""[..]);
        let (mut dropped, mut flags) = (0, 0);
        for field in Fields::new(link) {
            match (field.number, field.content) {
                (1, Content::Length(id)) => trace_id = id,
                (2, Content::Length(id)) => span_id = id,
                (3, Content::Length(text)) => trace_state = text,
                (4, Content::Length(data)) => self.attributes.add(data),
                (5, Content::Varint(number)) => dropped = number as u32,
                (6, Content::Fixed32(number)) => flags = number,
                _ => {}
            }
        }
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.trace_state.push(trace_state);
        self.flags.push(flags);
        self.attributes.end_row();
        self.dropped.push(dropped);
    }
}

/// The key of the table: service, name and second.
fn keys(view: &View, bytes: &Bytes, arrived: u64, services: &[u32]) -> Vec<(u32, u32, u32)> {
    let mut names = LowCardinality::default();
    let mut seconds = Vec::with_capacity(view.items.len());
    for item in &view.items {
        let (mut name, mut start, mut end) = (&b""[..], 0, 0);
        for field in Fields::new(bytes.at(*item)) {
            match (field.number, field.content) {
                (5, Content::Length(text)) => name = text,
                (7, Content::Fixed64(time)) => start = time,
                (8, Content::Fixed64(time)) => end = time,
                _ => {}
            }
        }
        names.push(name);
        seconds.push((stored_time(start, end, arrived).0 / SECOND_NANO) as u32);
    }
    let keys = services.iter().zip(names.ranks()).zip(seconds);
    keys.map(|((&service, name), second)| (service, name, second)).collect()
}

/// The time that is stored for a span, and where it comes from.
fn stored_time(start: u64, end: u64, arrived: u64) -> (u64, u8) {
    match (start, end) {
        (0, 0) => (arrived, ARRIVAL),
        (0, end) => (end, END),
        (start, _) => (start, SENT),
    }
}

/// Add the name of an enum's number, or its digits where it has none.
pub fn push_name(to: &mut LowCardinality, names: &[&[u8]], number: i32) {
    match usize::try_from(number).ok().and_then(|index| names.get(index)) {
        Some(name) => to.push(name),
        None => {
            let mut digits = vec![];
            write_integer(number.into(), &mut digits);
            to.push(&digits);
        }
    }
}

impl Tables for Traces {
    fn blocks(&self) -> Vec<Block<'_>> {
        if self.rows == 0 {
            return vec![];
        }
        let Self { resource, scope, events, links, .. } = self;
        let columns = vec![
            column("Timestamp", TIME, &self.timestamp),
            column("TraceId", "String", &self.trace_id),
            column("SpanId", "String", &self.span_id),
            column("ParentSpanId", "String", &self.parent_span_id),
            column("TraceState", "String", &self.trace_state),
            column("SpanName", LC, &self.name),
            column("SpanKind", LC, &self.kind),
            column("ServiceName", LC, &resource.service),
            column("ResourceAttributes", MAP, &resource.attributes.map),
            column("ScopeName", LC, &scope.name),
            column("ScopeVersion", LC, &scope.version),
            column("SpanAttributes", MAP, &self.attributes.map),
            column("Duration", "UInt64", &self.duration),
            column("StatusCode", LC, &self.status_code),
            column("StatusMessage", "String", &self.status_message),
            array("Events.Timestamp", TIMES, &events.ends, &events.time),
            array("Events.Name", LCS, &events.ends, &events.name),
            array("Events.Attributes", MAPS, &events.ends, &events.attributes.map),
            array("Links.TraceId", "Array(String)", &links.ends, &links.trace_id),
            array("Links.SpanId", "Array(String)", &links.ends, &links.span_id),
            array("Links.TraceState", "Array(String)", &links.ends, &links.trace_state),
            array("Links.Attributes", MAPS, &links.ends, &links.attributes.map),
            column("TimestampSource", SOURCE, &self.timestamp_source),
            column("NegativeDuration", "UInt64", &self.negative_duration),
            column("TraceFlags", "UInt32", &self.flags),
            column("SpanAttributesTypes", LC, &self.attributes.types),
            column("ResourceAttributesTypes", LC, &resource.attributes.types),
            column("ScopeAttributes", MAP, &scope.attributes.map),
            column("ScopeAttributesTypes", LC, &scope.attributes.types),
            column("ResourceSchemaUrl", LC, &resource.schema_url),
            column("ScopeSchemaUrl", LC, &scope.schema_url),
            column("ResourceDroppedAttributesCount", "UInt32", &resource.dropped),
            column("ScopeDroppedAttributesCount", "UInt32", &scope.dropped),
            column("DroppedAttributesCount", "UInt32", &self.dropped_attributes),
            column("DroppedEventsCount", "UInt32", &self.dropped_events),
            column("DroppedLinksCount", "UInt32", &self.dropped_links),
            column("ResourceEntityRefs", "String", &resource.entity_refs),
            array("Events.AttributesTypes", LCS, &events.ends, &events.attributes.types),
            array("Events.DroppedAttributesCount", "Array(UInt32)", &events.ends, &events.dropped),
            array("Links.AttributesTypes", LCS, &links.ends, &links.attributes.types),
            array("Links.TraceFlags", "Array(UInt32)", &links.ends, &links.flags),
            array("Links.DroppedAttributesCount", "Array(UInt32)", &links.ends, &links.dropped),
        ];
        vec![Block { table: "otel_traces", rows: self.rows, columns }]
    }
}
