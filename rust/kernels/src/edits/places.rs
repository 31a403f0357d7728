//! Fields of a message as values, and values as fields.

use std::borrow::Cow;

use super::super::values::{Value, write_hex};
use super::super::wire::{Content, Field, Fields, push_delimited, push_varint};
use super::conversion::encode;
use super::inside::Bytes;
use super::layout::{Kind, Place};

/// A text as a value, None for an empty one.
pub fn text<'a>(text: &[u8]) -> Option<Bytes<'a>> {
    (!text.is_empty()).then(|| text_or_empty(text))
}

/// A text as a value.
pub fn text_or_empty<'a>(text: &[u8]) -> Bytes<'a> {
    let mut value = Vec::with_capacity(text.len() + 6);
    push_delimited(&mut value, 1, text);
    Cow::Owned(value)
}

/// The value of a place among the fields of its message, None where it has its default.
pub fn read<'a>(place: &Place, fields: impl Iterator<Item = Field<'a>>) -> Option<Bytes<'a>> {
    let fields = fields.filter(|field| place.is_in(field));
    if place.inside > 0 {
        let inside = fields.filter_map(|field| match field.content {
            Content::Length(message) => Some(Fields::new(message)),
            _ => None,
        });
        let is_meant = |field: &Field| field.number == place.inside && place.kind.is_in(field.content);
        return scalar(place.kind, inside.flatten().filter(is_meant).last()?.content);
    }
    if place.kind != Kind::Value {
        return scalar(place.kind, fields.last()?.content);
    }
    let mut value: Option<Bytes> = None;
    for field in fields {
        let Content::Length(more) = field.content else { continue };
        match &mut value {
            None => value = Some(Cow::Borrowed(more)),
            Some(value) => value.to_mut().extend_from_slice(more),
        }
    }
    value
}

fn scalar<'a>(kind: Kind, content: Content) -> Option<Bytes<'a>> {
    let number = match content {
        Content::Length(bytes) if kind == Kind::Id => {
            let mut digits = Vec::with_capacity(2 * bytes.len());
            write_hex(bytes, &mut digits);
            return text(&digits);
        }
        Content::Length(bytes) => return text(bytes),
        Content::Varint(number) if kind == Kind::Int32 => (number as i32).into(),
        Content::Varint(number) => (number as u32).into(),
        Content::Fixed32(number) => number.into(),
        // The one that protobuf has for such a time in an attribute.
        Content::Fixed64(number) => number as i64,
        Content::Group => return None,
    };
    (number != 0).then(|| Cow::Owned(encode(&Value::Int(number))))
}

/// A value as a field of this kind can hold it, None for the default; an error for one that it cannot hold.
pub fn fitting(kind: Kind, value: Bytes<'_>) -> Result<Option<Bytes<'_>>, ()> {
    let held = Value::read(&value);
    let fitting = match (kind, &held) {
        (Kind::Text, Value::Text(held)) => text(held),
        (Kind::Int32, Value::Int(number)) if i32::try_from(*number).is_ok() => whole(*number),
        (Kind::Uint32 | Kind::Fixed32, Value::Int(number)) if u32::try_from(*number).is_ok() => whole(*number),
        (Kind::Time, Value::Int(number)) if *number >= 0 => whole(*number),
        _ => return Err(()),
    };
    Ok(fitting)
}

fn whole<'a>(number: i64) -> Option<Bytes<'a>> {
    (number != 0).then(|| Cow::Owned(encode(&Value::Int(number))))
}

/// Append the field with a value that fits, nothing for the default.
pub fn write(kind: Kind, number: u32, value: Option<&[u8]>, out: &mut Vec<u8>) {
    const VARINT: u32 = 0;
    const FIXED64: u32 = 1;
    const FIXED32: u32 = 5;
    let tag = |wire_type: u32| u64::from(number << 3 | wire_type);
    let Some(value) = value else { return };
    if kind == Kind::Value {
        return push_delimited(out, number, value);
    }
    match (kind, Value::read(value)) {
        (_, Value::Text(text)) => push_delimited(out, number, text),
        (Kind::Fixed32, Value::Int(value)) => {
            push_varint(out, tag(FIXED32));
            out.extend_from_slice(&(value as u32).to_le_bytes());
        }
        (Kind::Time, Value::Int(value)) => {
            push_varint(out, tag(FIXED64));
            out.extend_from_slice(&value.to_le_bytes());
        }
        (_, Value::Int(value)) => {
            push_varint(out, tag(VARINT));
            push_varint(out, value as u64);
        }
        _ => {}
    }
}
