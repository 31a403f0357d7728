//! Values where they stand, and what is inside of them.

use super::super::values::{Attribute, Value, messages};
use super::super::wire::{Content, Fields, plain_attribute, plain_text};
use super::Step;
use super::walk::Walk;

/// An `AnyValue`: its message, or its messages where it came in parts.
pub struct Parts<'a> {
    first: &'a [u8],
    more: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn new(first: &'a [u8]) -> Self {
        Self { first, more: vec![] }
    }

    /// The message field with this number, None where there is none.
    #[inline(always)]
    pub fn of(message: &'a [u8], number: u32) -> Option<Self> {
        let mut parts = messages(message, number);
        Some(Self { first: parts.next()?, more: parts.collect() })
    }

    fn parts(&self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    #[inline(always)]
    pub fn value(&self) -> Value<'a> {
        if let Some(text) = plain_text(self.first)
            && self.more.is_empty()
        {
            return Value::Text(text);
        }
        let mut value = Value::read(self.first);
        self.more.iter().for_each(|part| value.merge(part));
        value
    }

    /// What is at a key or an index in it.
    pub fn step(&self, step: &Step) -> Option<Self> {
        const ARRAY: u32 = 5;
        const MAP: u32 = 6;
        let mut member = 0;
        let mut containers = vec![];
        for field in self.parts().flat_map(Fields::new) {
            let is_member = match field.content {
                Content::Length(_) => matches!(field.number, 1 | ARRAY | MAP | 7),
                Content::Varint(_) => matches!(field.number, 2 | 3 | 8),
                Content::Fixed64(_) => field.number == 4,
                _ => false,
            };
            if !is_member {
                continue;
            }
            if std::mem::replace(&mut member, field.number) != field.number {
                containers.clear();
            }
            if let Content::Length(content) = field.content {
                containers.push(content);
            }
        }
        let mut inside = containers.into_iter().flat_map(|content| messages(content, 1));
        match step {
            Step::Key(key) if member == MAP => inside.find_map(|entry| entry_with(entry, key)),
            Step::Index(index) if member == ARRAY => inside.nth(*index).map(Self::new),
            _ => None,
        }
    }
}

/// The value of the first attribute with a key among the attributes with this field number.
#[inline(always)]
pub fn find<'a>(message: &'a [u8], number: u32, key: &[u8]) -> Option<Parts<'a>> {
    let mut entries = Walk::new(message, number);
    loop {
        if let Some(found) = entry_with(entries.next_delimited()?, key) {
            return Some(found);
        }
    }
}

/// The value of a `KeyValue` if it has this key.
#[inline(always)]
fn entry_with<'a>(entry: &'a [u8], key: &[u8]) -> Option<Parts<'a>> {
    match plain_attribute(entry) {
        Some((name, value)) => (name == key).then(|| Parts::new(value)),
        None => unusual_entry_with(entry, key),
    }
}

/// The same for an entry of any form.
#[inline(never)]
fn unusual_entry_with<'a>(entry: &'a [u8], key: &[u8]) -> Option<Parts<'a>> {
    if Attribute::read(entry).key != key {
        return None;
    }
    Some(Parts::of(entry, 2).unwrap_or(Parts::new(&[])))
}
