//! A payload as a document: fields in the order of their numbers, those with a default value left out.

use super::schema::{Field, Kind, Message, Presence, request};
use crate::otlp::Signal;
use crate::validate::check;
use crate::values::{write_base64, write_hex, write_integer, write_quoted, write_unsigned};
use crate::wire::{self, Content, Fields};

/// The document of a payload; one that did not pass `validate` is malformed.
pub fn to_json(signal: Signal, payload: &[u8]) -> Result<Vec<u8>, String> {
    let invalid = check(payload, signal.request()).map_err(|fault| fault.to_string())?;
    if invalid > 0 {
        return Err(format!("{invalid} strings that are not UTF-8"));
    }
    let mut out = Vec::with_capacity(payload.len() * 3);
    write_object(request(signal), &[payload], &mut out);
    Ok(out)
}

/// Append a message as an object. Its content is in several parts where it came several times: protobuf merges them.
fn write_object(message: &Message, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(b'{');
    let start = out.len();
    match parts {
        [content] if is_plain(message, content) => write_plain(message, content, start, out),
        _ => write_merged(message, parts, start, out),
    }
    out.push(b'}');
}

/// The field of a number, most likely one of those behind `from`; None where its content is not what it should be, which
/// makes it one that is not known.
#[inline(always)]
fn find(message: &Message, from: usize, field: &wire::Field) -> Option<usize> {
    let numbers = |known: &Field| known.number == field.number;
    let index = message.0.get(from..).and_then(|rest| rest.iter().position(numbers)).map(|index| from + index);
    let index = index.or_else(|| message.0.iter().position(numbers))?;
    fits(&message.0[index], &field.content).then_some(index)
}

#[inline(always)]
fn fits(field: &Field, content: &Content) -> bool {
    match content {
        Content::Length(_) => {
            field.is_packed() || matches!(field.kind, Kind::Text | Kind::Id | Kind::Bytes | Kind::Message(_))
        }
        Content::Varint(_) => matches!(
            field.kind,
            Kind::Bool | Kind::Enum(_) | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Sint32
        ),
        Content::Fixed64(_) => matches!(field.kind, Kind::Double | Kind::Fixed64 | Kind::Sfixed64),
        Content::Fixed32(_) => matches!(field.kind, Kind::Fixed32),
        Content::Group => false,
    }
}

/// Whether fields come in the order of their numbers, and none twice that is not repeated: as all senders do it.
fn is_plain(message: &Message, content: &[u8]) -> bool {
    let (mut next, mut has_one_of) = (0, false);
    for field in Fields::new(content) {
        let Some(index) = find(message, next, &field) else { continue };
        let presence = message.0[index].presence;
        let is_one_of = presence == Presence::OneOf;
        if index < next || (has_one_of && is_one_of) {
            return false;
        }
        has_one_of |= is_one_of;
        next = index + usize::from(presence != Presence::Repeated);
    }
    true
}

fn write_plain(message: &Message, content: &[u8], start: usize, out: &mut Vec<u8>) {
    let mut next = 0;
    let mut fields = Fields::new(content).peekable();
    while let Some(wire_field) = fields.next() {
        let Some(index) = find(message, next, &wire_field) else { continue };
        let field = &message.0[index];
        next = index;
        if !field.is_repeated() {
            write_one(field, &wire_field.content, start, out);
            continue;
        }
        let array = begin_array(field, start, out);
        write_elements(field, &wire_field.content, array, out);
        loop {
            match fields.peek() {
                Some(more) if more.number == field.number => {
                    if fits(field, &more.content) {
                        write_elements(field, &more.content, array, out);
                    }
                }
                // One that is not known does not end the array.
                Some(more) if find(message, next, more).is_none() => {}
                _ => break,
            }
            fields.next();
        }
        end_array(array, out);
    }
}

/// Where an array begins: its key, and its first element.
#[derive(Clone, Copy)]
struct Array {
    key: usize,
    first: usize,
}

fn begin_array(field: &Field, start: usize, out: &mut Vec<u8>) -> Array {
    let key = out.len();
    write_key(field, start, out);
    out.push(b'[');
    Array { key, first: out.len() }
}

fn end_array(array: Array, out: &mut Vec<u8>) {
    if out.len() == array.first {
        // Packed numbers of which there is none.
        out.truncate(array.key);
    } else {
        out.push(b']');
    }
}

/// Append a field that is not repeated, unless its value is as good as none.
#[inline(always)]
fn write_one(field: &Field, content: &Content, start: usize, out: &mut Vec<u8>) {
    let is_default = match *content {
        Content::Varint(value) => number(field.kind, value) == 0,
        Content::Fixed64(value) => value == 0,
        Content::Fixed32(value) => value == 0,
        Content::Length(value) => value.is_empty(),
        Content::Group => true,
    };
    if is_default && field.presence == Presence::Implicit {
        return;
    }
    write_key(field, start, out);
    write_value(field, content, out);
}

#[inline(always)]
fn write_key(field: &Field, start: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(if out.len() == start { b"\"" } else { b",\"" });
    out.extend_from_slice(field.json_name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Append what one field on the wire has for an array.
fn write_elements(field: &Field, content: &Content, array: Array, out: &mut Vec<u8>) {
    let comma = |out: &mut Vec<u8>| {
        if out.len() > array.first {
            out.push(b',');
        }
    };
    let Content::Length(packed) = content else {
        comma(out);
        return write_value(field, content, out);
    };
    if !field.is_packed() {
        comma(out);
        return write_value(field, content, out);
    }
    if fits(field, &Content::Fixed64(0)) {
        for value in packed.as_chunks::<8>().0 {
            comma(out);
            write_value(field, &Content::Fixed64(u64::from_le_bytes(*value)), out);
        }
    } else {
        let mut at = 0;
        while let Ok((value, end)) = wire::varint(packed, at) {
            comma(out);
            write_value(field, &Content::Varint(value), out);
            at = end;
        }
    }
}

/// A varint as the number that a field makes of it.
#[inline(always)]
fn number(kind: Kind, value: u64) -> i64 {
    match kind {
        Kind::Bool => i64::from(value != 0),
        Kind::Enum(_) | Kind::Int32 => (value as i32).into(),
        Kind::Uint32 => (value as u32).into(),
        Kind::Sint32 => {
            let value = value as u32;
            ((value >> 1) as i32 ^ -((value & 1) as i32)).into()
        }
        _ => value as i64,
    }
}

#[inline(always)]
fn write_value(field: &Field, content: &Content, out: &mut Vec<u8>) {
    match (field.kind, *content) {
        (Kind::Text, Content::Length(text)) => write_quoted(text, out),
        (Kind::Id, Content::Length(bytes)) => quoted(out, |out| write_hex(bytes, out)),
        (Kind::Bytes, Content::Length(bytes)) => quoted(out, |out| write_base64(bytes, out)),
        (Kind::Message(message), Content::Length(content)) => write_object(message, &[content], out),
        (Kind::Bool, Content::Varint(value)) => out.extend_from_slice(if value != 0 { b"true" } else { b"false" }),
        (Kind::Int64, Content::Varint(value)) => quoted(out, |out| write_integer(value as i64, out)),
        (Kind::Uint64, Content::Varint(value)) => quoted(out, |out| write_unsigned(value, out)),
        (_, Content::Varint(value)) => write_integer(number(field.kind, value), out),
        (Kind::Double, Content::Fixed64(bits)) => write_double(f64::from_bits(bits), out),
        (Kind::Sfixed64, Content::Fixed64(bits)) => quoted(out, |out| write_integer(bits as i64, out)),
        (_, Content::Fixed64(value)) => quoted(out, |out| write_unsigned(value, out)),
        (_, Content::Fixed32(value)) => write_unsigned(value.into(), out),
        (_, Content::Length(_) | Content::Group) => {}
    }
}

#[inline(always)]
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn write_double(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        return out.extend_from_slice(match number {
            number if number.is_nan() => b"\"NaN\"",
            number if number > 0.0 => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        });
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(number);
    match shortest.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => {
            [mantissa, "e+", exponent].iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        }
        _ => out.extend_from_slice(shortest.as_bytes()),
    }
}

/// Append the fields of a message whatever their order is: read once for each that there may be, so that a hostile
/// sender gains nothing by it.
#[cold]
fn write_merged(message: &Message, parts: &[&[u8]], start: usize, out: &mut Vec<u8>) {
    let all = || parts.iter().flat_map(|part| Fields::new(part)).enumerate();
    // Of a oneof the last member counts, from where it came behind another one.
    let mut chosen = (0, 0);
    for (place, wire_field) in all() {
        let Some(index) = find(message, 0, &wire_field) else { continue };
        if message.0[index].presence == Presence::OneOf && wire_field.number != chosen.0 {
            chosen = (wire_field.number, place);
        }
    }
    for field in message.0 {
        let from = match field.presence {
            Presence::OneOf if field.number != chosen.0 => continue,
            Presence::OneOf => chosen.1,
            _ => 0,
        };
        let mut found = all()
            .filter(|(place, wire_field)| {
                *place >= from && wire_field.number == field.number && fits(field, &wire_field.content)
            })
            .map(|(_, wire_field)| wire_field.content)
            .peekable();
        if found.peek().is_none() {
            continue;
        }
        match field.kind {
            _ if field.is_repeated() => {
                let array = begin_array(field, start, out);
                found.for_each(|content| write_elements(field, &content, array, out));
                end_array(array, out);
            }
            Kind::Message(inner) => {
                let contents = found.filter_map(|content| match content {
                    Content::Length(content) => Some(content).filter(|content| !content.is_empty()),
                    _ => None,
                });
                write_key(field, start, out);
                write_object(inner, &contents.collect::<Vec<_>>(), out);
            }
            _ => {
                if let Some(content) = found.last() {
                    write_one(field, &content, start, out);
                }
            }
        }
    }
}
