//! Values on the wire: what is at the end of a path in them, and what they become when that changes.
//!
//! Of what is not known everything is kept, in a value as in an entry of a map.

use std::borrow::Cow;

use super::super::values::Value;
use super::super::wire::{Content, Field, Fields, plain_attribute, push_delimited, push_varint};

const ARRAY: u32 = 5;
const MAP: u32 = 6;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Key(Box<[u8]>),
    Index(usize),
}

/// The bytes of an `AnyValue`, borrowed where they stand in a message.
pub type Bytes<'a> = Cow<'a, [u8]>;

/// A `KeyValue` with the bytes of its value.
#[inline(always)]
pub fn read_entry(data: &[u8]) -> (&[u8], Bytes<'_>) {
    if let Some((key, value)) = plain_attribute(data) {
        return (key, Cow::Borrowed(value));
    }
    let (mut key, mut value) = (&b""[..], Bytes::default());
    let mut is_there = false;
    for field in Fields::new(data) {
        match (field.number, field.content) {
            (1, Content::Length(text)) => key = text,
            // What comes twice is merged, and joining the bytes does that.
            (2, Content::Length(more)) if is_there => value.to_mut().extend_from_slice(more),
            (2, Content::Length(bytes)) => (value, is_there) = (Cow::Borrowed(bytes), true),
            _ => {}
        }
    }
    (key, value)
}

/// What a `KeyValue` has that is neither key nor value.
fn unknown(entry: &[u8]) -> Vec<u8> {
    let mut unknown = vec![];
    if plain_attribute(entry).is_none() {
        for field in Fields::new(entry) {
            if !matches!((field.number, field.content), (1 | 2, Content::Length(_))) {
                unknown.extend_from_slice(&entry[field.start..field.end]);
            }
        }
    }
    unknown
}

/// Append a field with the `KeyValue` of a key and a value; what was not known in the one `before` is kept.
pub fn push_entry(out: &mut Vec<u8>, number: u32, before: &[u8], key: &[u8], value: &[u8]) {
    let unknown = unknown(before);
    if unknown.is_empty() && key.len() + value.len() + 4 < 0x80 {
        // Tags and sizes of one byte each: that of attributes is below 16 in all messages.
        out.extend_from_slice(&[(number << 3 | 2) as u8, (key.len() + value.len() + 4) as u8, 0x0a, key.len() as u8]);
        out.extend_from_slice(key);
        out.extend_from_slice(&[0x12, value.len() as u8]);
        out.extend_from_slice(value);
        return;
    }
    let size = unknown.len() + delimited_size(key.len()) + delimited_size(value.len());
    push_varint(out, u64::from(number << 3 | 2));
    push_varint(out, size as u64);
    out.extend_from_slice(&unknown);
    push_delimited(out, 1, key);
    push_delimited(out, 2, value);
}

/// The size of a field of a number below 16 with content of a size.
fn delimited_size(content: usize) -> usize {
    let bits = usize::BITS - content.leading_zeros();
    1 + (bits.max(1) as usize).div_ceil(7) + content
}

/// What is at the end of a path, None where there is nothing.
pub fn get<'a>(value: Bytes<'a>, path: &[Step]) -> Option<Bytes<'a>> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    match value {
        Cow::Borrowed(bytes) => get(within(bytes, step)?, rest),
        Cow::Owned(bytes) => {
            let inside = within(&bytes, step)?;
            get(inside, rest).map(|found| Cow::Owned(found.into_owned()))
        }
    }
}

fn within<'a>(value: &'a [u8], step: &Step) -> Option<Bytes<'a>> {
    match (Value::read(value), step) {
        (Value::Map(entries), Step::Key(key)) => {
            let find = |entries: &'a [u8]| {
                let found = members(entries).map(read_entry).find(|entry| entry.0 == &**key);
                found.map(|entry| entry.1)
            };
            match entries {
                Cow::Borrowed(entries) => find(entries),
                Cow::Owned(entries) => {
                    let found = members(&entries).map(read_entry).find(|entry| entry.0 == &**key);
                    found.map(|entry| Cow::Owned(entry.1.into_owned()))
                }
            }
        }
        (Value::Array(values), Step::Index(index)) => match values {
            Cow::Borrowed(values) => members(values).nth(*index).map(Cow::Borrowed),
            Cow::Owned(values) => members(&values).nth(*index).map(|value| Cow::Owned(value.to_vec())),
        },
        _ => None,
    }
}

/// The messages of an `ArrayValue` or a `KeyValueList`.
fn members(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    Fields::new(data).filter(is_member).filter_map(|field| match field.content {
        Content::Length(content) => Some(content),
        _ => None,
    })
}

fn is_member(field: &Field) -> bool {
    field.number == 1 && matches!(field.content, Content::Length(_))
}

/// The value with a new one at the end of a path, None where the path does not lead there.
pub fn with(value: &[u8], path: &[Step], new: &[u8]) -> Option<Vec<u8>> {
    let Some((step, rest)) = path.split_first() else { return Some(new.to_vec()) };
    match (Value::read(value), step) {
        (Value::Empty, Step::Key(key)) => with_key(value, b"", key, rest, new),
        (Value::Map(entries), Step::Key(key)) => with_key(value, &entries, key, rest, new),
        (Value::Array(values), Step::Index(index)) => {
            let changed = with(members(&values).nth(*index)?, rest, new)?;
            Some(rewrapped(value, ARRAY, &with_member(&values, *index, Some(&changed))))
        }
        _ => None,
    }
}

fn with_key(value: &[u8], entries: &[u8], key: &[u8], rest: &[Step], new: &[u8]) -> Option<Vec<u8>> {
    let first = members(entries).map(read_entry).find(|entry| entry.0 == key);
    let changed = with(first.as_ref().map_or(b"", |entry| &*entry.1), rest, new)?;
    let mut out = Vec::with_capacity(entries.len() + changed.len() + key.len() + 8);
    copy_entries(&mut out, entries, key, Some(&changed));
    if first.is_none() {
        push_entry(&mut out, 1, b"", key, &changed);
    }
    Some(rewrapped(value, MAP, &out))
}

/// The value without what is at the end of a path, None where there is nothing.
pub fn without(value: &[u8], path: &[Step]) -> Option<Vec<u8>> {
    let (step, rest) = path.split_first()?;
    match (Value::read(value), step) {
        (Value::Map(entries), Step::Key(key)) => {
            let first = members(&entries).map(read_entry).find(|entry| entry.0 == &**key)?;
            let changed = if rest.is_empty() { None } else { Some(without(&first.1, rest)?) };
            let mut out = Vec::with_capacity(entries.len());
            copy_entries(&mut out, &entries, key, changed.as_deref());
            Some(rewrapped(value, MAP, &out))
        }
        (Value::Array(values), Step::Index(index)) => {
            let member = members(&values).nth(*index)?;
            let changed = if rest.is_empty() { None } else { Some(without(member, rest)?) };
            Some(rewrapped(value, ARRAY, &with_member(&values, *index, changed.as_deref())))
        }
        _ => None,
    }
}

/// Append all entries of a map, but of a key at most one, with another value.
fn copy_entries(out: &mut Vec<u8>, entries: &[u8], key: &[u8], mut value: Option<&[u8]>) {
    for field in Fields::new(entries) {
        match field.content {
            Content::Length(entry) if field.number == 1 && read_entry(entry).0 == key => {
                if let Some(value) = value.take() {
                    push_entry(out, 1, entry, key, value);
                }
            }
            _ => out.extend_from_slice(&entries[field.start..field.end]),
        }
    }
}

/// The members of an array with one of them changed or taken away.
fn with_member(values: &[u8], index: usize, changed: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() + changed.map_or(0, <[u8]>::len) + 8);
    let mut at = 0;
    for field in Fields::new(values) {
        let is_meant = is_member(&field) && at == index;
        at += usize::from(is_member(&field));
        match changed {
            Some(changed) if is_meant => push_delimited(&mut out, 1, changed),
            None if is_meant => {}
            _ => out.extend_from_slice(&values[field.start..field.end]),
        }
    }
    out
}

/// A value of other content that keeps what was not known in it.
fn rewrapped(value: &[u8], number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 8);
    for field in Fields::new(value) {
        let is_known = matches!(
            (field.number, field.content),
            (1 | 5 | 6 | 7, Content::Length(_)) | (2 | 3 | 8, Content::Varint(_)) | (4, Content::Fixed64(_))
        );
        if !is_known {
            out.extend_from_slice(&value[field.start..field.end]);
        }
    }
    push_delimited(&mut out, number, content);
    out
}
