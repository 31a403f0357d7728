//! Log records as rows of `otel_logs`.

use super::blocks::{ARRIVAL, Block, LC, MAP, OBSERVED, SENT, SOURCE, TIME, Tables, column};
use super::buffers::Bytes;
use super::columns::{Attributes, Fixed, LowCardinality, Text};
use super::order::Order;
use super::owners::{ResourceColumns, ScopeColumns};
use super::values::Value;
use super::view::View;
use super::wire::{Content, Fields};

/// The signature of a body that is not there.
const ABSENT: &[u8] = b"-";
const FIVE_MINUTES_NANO: u64 = 300 * 1_000_000_000;

/// The columns of `otel_logs`.
#[derive(Default)]
pub struct Logs {
    rows: usize,
    resource: ResourceColumns,
    scope: ScopeColumns,
    timestamp: Fixed<u64>,
    observed_timestamp: Fixed<u64>,
    timestamp_source: Fixed<u8>,
    trace_id: Text,
    span_id: Text,
    flags: Fixed<u32>,
    severity_text: LowCardinality,
    severity_number: Fixed<i32>,
    body: Text,
    body_type: LowCardinality,
    event_name: LowCardinality,
    attributes: Attributes,
    dropped_attributes: Fixed<u32>,
    scratch: Vec<u8>,
}

impl Logs {
    /// The rows of all log records in a view, in the order of the table.
    pub fn encode(view: &View, arrived: u64) -> Self {
        let mut logs = Self { rows: view.items.len(), ..Self::default() };
        let bytes = view.open();
        let order = Order::new(view, &bytes, |services| keys(view, &bytes, arrived, services));
        order.fill(view, &bytes, &mut logs.resource, &mut logs.scope);
        for record in order.messages(view, &bytes) {
            logs.push(record, arrived);
        }
        logs
    }

    fn push(&mut self, record: &[u8], arrived: u64) {
        const NONE: &[u8] = b"";
        let (mut trace_id, mut span_id, mut severity_text, mut event_name) = (NONE, NONE, NONE, NONE);
        let (mut time, mut observed) = (0, 0);
        let (mut severity_number, mut flags, mut dropped) = (0, 0, 0);
        let mut body: Option<Value> = None;
        for field in Fields::new(record) {
            match (field.number, field.content) {
                (1, Content::Fixed64(number)) => time = number,
                (2, Content::Varint(number)) => severity_number = number as i32,
                (3, Content::Length(text)) => severity_text = text,
                (5, Content::Length(data)) => body.get_or_insert_default().merge(data),
                (6, Content::Length(data)) => self.attributes.add(data),
                (7, Content::Varint(number)) => dropped = number as u32,
                (8, Content::Fixed32(number)) => flags = number,
                (9, Content::Length(id)) => trace_id = id,
                (10, Content::Length(id)) => span_id = id,
                (11, Content::Fixed64(number)) => observed = number,
                (12, Content::Length(text)) => event_name = text,
                _ => {}
            }
        }
        let (timestamp, source) = stored_time(time, observed, arrived);
        self.timestamp.push(timestamp);
        self.observed_timestamp.push(observed);
        self.timestamp_source.push(source);
        self.trace_id.push_hex(trace_id);
        self.span_id.push_hex(span_id);
        self.flags.push(flags);
        self.severity_text.push(severity_text);
        self.severity_number.push(severity_number);
        self.event_name.push(event_name);
        self.attributes.end_row();
        self.dropped_attributes.push(dropped);
        match body {
            Some(Value::Text(text)) => {
                self.body.push(text);
                self.body_type.push(NONE);
            }
            Some(value) => {
                self.body.push_value(&value, &mut self.scratch);
                self.scratch.clear();
                value.write_sign(&mut self.scratch);
                self.body_type.push(&self.scratch);
            }
            None => {
                self.body.push(NONE);
                self.body_type.push(ABSENT);
            }
        }
    }
}

/// The key of the table: five minutes, service and time.
fn keys(view: &View, bytes: &Bytes, arrived: u64, services: &[u32]) -> Vec<(u64, u32, u64)> {
    let items = view.items.iter().zip(services);
    let keys = items.map(|(item, &service)| {
        let (mut time, mut observed) = (0, 0);
        for field in Fields::new(bytes.at(*item)) {
            match (field.number, field.content) {
                (1, Content::Fixed64(number)) => time = number,
                (11, Content::Fixed64(number)) => observed = number,
                _ => {}
            }
        }
        let time = stored_time(time, observed, arrived).0;
        (time / FIVE_MINUTES_NANO, service, time)
    });
    keys.collect()
}

/// The time that is stored for a record, and where it comes from.
fn stored_time(time: u64, observed: u64, arrived: u64) -> (u64, u8) {
    match (time, observed) {
        (0, 0) => (arrived, ARRIVAL),
        (0, observed) => (observed, OBSERVED),
        (time, _) => (time, SENT),
    }
}

impl Tables for Logs {
    fn blocks(&self) -> Vec<Block<'_>> {
        if self.rows == 0 {
            return vec![];
        }
        let Self { resource, scope, .. } = self;
        let columns = vec![
            column("Timestamp", TIME, &self.timestamp),
            column("TraceId", "String", &self.trace_id),
            column("SpanId", "String", &self.span_id),
            column("TraceFlags", "UInt32", &self.flags),
            column("SeverityText", LC, &self.severity_text),
            column("SeverityNumber", "Int32", &self.severity_number),
            column("ServiceName", LC, &resource.service),
            column("Body", "String", &self.body),
            column("ResourceSchemaUrl", LC, &resource.schema_url),
            column("ResourceAttributes", MAP, &resource.attributes.map),
            column("ScopeSchemaUrl", LC, &scope.schema_url),
            column("ScopeName", LC, &scope.name),
            column("ScopeVersion", LC, &scope.version),
            column("ScopeAttributes", MAP, &scope.attributes.map),
            column("LogAttributes", MAP, &self.attributes.map),
            column("EventName", LC, &self.event_name),
            column("ObservedTimestamp", TIME, &self.observed_timestamp),
            column("TimestampSource", SOURCE, &self.timestamp_source),
            column("BodyType", LC, &self.body_type),
            column("LogAttributesTypes", LC, &self.attributes.types),
            column("ResourceAttributesTypes", LC, &resource.attributes.types),
            column("ScopeAttributesTypes", LC, &scope.attributes.types),
            column("ResourceDroppedAttributesCount", "UInt32", &resource.dropped),
            column("ScopeDroppedAttributesCount", "UInt32", &scope.dropped),
            column("DroppedAttributesCount", "UInt32", &self.dropped_attributes),
            column("ResourceEntityRefs", "String", &resource.entity_refs),
        ];
        vec![Block { table: "otel_logs", rows: self.rows, columns }]
    }
}
