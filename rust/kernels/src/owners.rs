//! The columns of resources and scopes: encoded once for each, and copied to the rows of their items.

use std::borrow::Cow;

use super::columns::{Attributes, Fixed, LowCardinality, Text};
use super::values::{Attribute, Value, messages, write_quoted};
use super::wire::{Content, Fields};

/// What is stored of a resource.
#[derive(Default)]
pub struct ResourceColumns {
    pub service: LowCardinality,
    pub attributes: Attributes,
    pub schema_url: LowCardinality,
    pub dropped: Fixed<u32>,
    pub entity_refs: Text,
}

impl ResourceColumns {
    /// Add a row with a resource.
    pub fn push(&mut self, resource: &[u8], schema_url: &[u8]) {
        let mut service: Option<Value> = None;
        let mut dropped = 0;
        let mut entity_refs = vec![];
        for field in Fields::new(resource) {
            match (field.number, field.content) {
                (1, Content::Length(data)) => {
                    let attribute = Attribute::read(data);
                    self.attributes.add_attribute(&attribute);
                    if service.is_none() && attribute.key == b"service.name" {
                        service = Some(attribute.value);
                    }
                }
                (2, Content::Varint(number)) => dropped = number as u32,
                (3, Content::Length(data)) => {
                    entity_refs.push(if entity_refs.is_empty() { b'[' } else { b',' });
                    write_entity_ref(data, &mut entity_refs);
                }
                _ => {}
            }
        }
        if !entity_refs.is_empty() {
            entity_refs.push(b']');
        }
        self.attributes.end_row();
        self.service.push(&service.unwrap_or_default().into_text());
        self.schema_url.push(schema_url);
        self.dropped.push(dropped);
        self.entity_refs.push(&entity_refs);
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        self.service.repeat(rows);
        self.attributes.repeat(rows);
        self.schema_url.repeat(rows);
        self.dropped.repeat(rows);
        self.entity_refs.repeat(rows);
    }

    /// Have a row for each of those that are named, in their order, which must be all.
    pub fn spread(&mut self, rows: &[u32]) {
        self.service.spread(rows);
        self.attributes.spread(rows);
        self.schema_url.spread(rows);
        self.dropped.spread(rows);
        self.entity_refs.spread(rows);
    }
}

/// The name of a resource's service; empty where it has none.
pub fn service(resource: &[u8]) -> Cow<'_, [u8]> {
    let mut attributes = messages(resource, 1).map(Attribute::read);
    let named = attributes.find(|attribute| attribute.key == b"service.name");
    named.map(|attribute| attribute.value).unwrap_or_default().into_text()
}

/// What is stored of a scope.
#[derive(Default)]
pub struct ScopeColumns {
    pub name: LowCardinality,
    pub version: LowCardinality,
    pub attributes: Attributes,
    pub schema_url: LowCardinality,
    pub dropped: Fixed<u32>,
}

impl ScopeColumns {
    /// Add a row with a scope.
    pub fn push(&mut self, scope: &[u8], schema_url: &[u8]) {
        let (mut name, mut version, mut dropped) = (&b""[..], &b""[..], 0);
        for field in Fields::new(scope) {
            match (field.number, field.content) {
                (1, Content::Length(text)) => name = text,
                (2, Content::Length(text)) => version = text,
                (3, Content::Length(data)) => self.attributes.add(data),
                (4, Content::Varint(number)) => dropped = number as u32,
                _ => {}
            }
        }
        self.attributes.end_row();
        self.name.push(name);
        self.version.push(version);
        self.schema_url.push(schema_url);
        self.dropped.push(dropped);
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        self.name.repeat(rows);
        self.version.repeat(rows);
        self.attributes.repeat(rows);
        self.schema_url.repeat(rows);
        self.dropped.repeat(rows);
    }

    /// Have a row for each of those that are named, in their order, which must be all.
    pub fn spread(&mut self, rows: &[u32]) {
        self.name.spread(rows);
        self.version.spread(rows);
        self.attributes.spread(rows);
        self.schema_url.spread(rows);
        self.dropped.spread(rows);
    }
}

/// Append an entity reference as OTLP/JSON.
fn write_entity_ref(data: &[u8], out: &mut Vec<u8>) {
    let (mut schema_url, mut type_name) = (&b""[..], &b""[..]);
    for field in Fields::new(data) {
        match (field.number, field.content) {
            (1, Content::Length(text)) => schema_url = text,
            (2, Content::Length(text)) => type_name = text,
            _ => {}
        }
    }
    let mut separator = b'{';
    let mut name = |name: &[u8], out: &mut Vec<u8>| {
        out.push(std::mem::replace(&mut separator, b','));
        write_quoted(name, out);
        out.push(b':');
    };
    for (key, text) in [(&b"schemaUrl"[..], schema_url), (b"type", type_name)] {
        if !text.is_empty() {
            name(key, out);
            write_quoted(text, out);
        }
    }
    for (key, number) in [(&b"idKeys"[..], 3), (b"descriptionKeys", 4)] {
        for (index, text) in messages(data, number).enumerate() {
            if index == 0 {
                name(key, out);
                out.push(b'[');
            } else {
                out.push(b',');
            }
            write_quoted(text, out);
        }
        if messages(data, number).next().is_some() {
            out.push(b']');
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}
