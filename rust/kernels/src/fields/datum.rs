//! A value, as it is looked at: compared exactly, and only with values of its type.

use std::cmp::Ordering;

use super::super::values::{Attribute, Value, messages, write_hex, write_integer};
use super::super::wire::{plain_text, varint};
use super::Found;

/// A value.
#[derive(Clone, Copy, Debug)]
pub enum Datum<'v> {
    Empty,
    Bool(bool),
    /// A whole number of any size.
    Whole(i128),
    Double(f64),
    Text(&'v [u8]),
    /// The text of its hexadecimal digits.
    Id(&'v [u8]),
    Bytes(&'v [u8]),
    /// An `ArrayValue`'s bytes.
    Array(&'v [u8]),
    /// A `KeyValueList`'s bytes.
    Map(&'v [u8]),
}

impl<'v> Datum<'v> {
    /// An `AnyValue` that is a text, a bool or a number and nothing else; None for others.
    #[inline(always)]
    pub fn plain(value: &'v [u8]) -> Option<Self> {
        const TEXT: u8 = 0x0a;
        const BOOL: u8 = 0x10;
        const INT: u8 = 0x18;
        const DOUBLE: u8 = 0x21;
        let (tag, content) = value.split_first()?;
        match *tag {
            TEXT => plain_text(value).map(Self::Text),
            BOOL | INT => {
                let (number, end) = varint(value, 1).ok()?;
                let datum = if *tag == INT { Self::Whole((number as i64).into()) } else { Self::Bool(number != 0) };
                (end == value.len()).then_some(datum)
            }
            DOUBLE => content.try_into().ok().map(|bits| Self::Double(f64::from_le_bytes(bits))),
            _ => None,
        }
    }

    /// Append the text: of bytes themselves, of other values what `airis.data.reference.values` says.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Text(text) | Self::Bytes(text) => out.extend_from_slice(text),
            Self::Id(bytes) => write_hex(bytes, out),
            Self::Whole(number) => match i64::try_from(number) {
                Ok(number) => write_integer(number, out),
                Err(_) => out.extend_from_slice(number.to_string().as_bytes()),
            },
            Self::Empty => {}
            Self::Bool(value) => Value::Bool(value).write_text(out),
            Self::Double(number) => Value::Double(number).write_text(out),
            Self::Array(values) => Value::Array(values.into()).write_text(out),
            Self::Map(entries) => Value::Map(entries.into()).write_text(out),
        }
    }

    /// Whether it is the same value.
    #[inline(always)]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Whole(a), Self::Whole(b)) => a == b,
            (Self::Empty, Self::Empty) => true,
            (Self::Array(_), Self::Array(_)) | (Self::Map(_), Self::Map(_)) => self.holds_the_same(other),
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// Whether arrays have the same elements in order, or maps the same entries in any.
    #[inline(never)]
    fn holds_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => {
                let elements = |array| messages(array, 1).map(|value| Found::from(Value::read(value)));
                let (mut a, mut b) = (elements(a), elements(b));
                loop {
                    match (a.next(), b.next()) {
                        (None, None) => return true,
                        (Some(a), Some(b)) if a.datum().equals(&b.datum()) => {}
                        _ => return false,
                    }
                }
            }
            (Self::Map(a), Self::Map(b)) => {
                let (a, b) = (by_key(a), by_key(b));
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && a.1.datum().equals(&b.1.datum()))
            }
            _ => false,
        }
    }

    /// None where there is no order between the two.
    #[inline(always)]
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Text(a), Self::Text(b)) | (Self::Bytes(a), Self::Bytes(b)) | (Self::Id(a), Self::Id(b)) => a.cmp(b),
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Double(a), Self::Double(b)) => return a.partial_cmp(b),
            (Self::Whole(a), Self::Double(b)) => return order_exactly(*a, *b),
            (Self::Double(a), Self::Whole(b)) => return Some(order_exactly(*b, *a)?.reverse()),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Id(a), Self::Text(b)) => digits(a).cmp(b.iter().copied()),
            (Self::Text(a), Self::Id(b)) => a.iter().copied().cmp(digits(b)),
            _ => return None,
        })
    }
}

/// The entries of a map in an order that does not depend on theirs, but for those with the same key.
fn by_key(entries: &[u8]) -> Vec<(&[u8], Found<'_>)> {
    let read = |entry| {
        let Attribute { key, value } = Attribute::read(entry);
        (key, Found::from(value))
    };
    let mut entries: Vec<_> = messages(entries, 1).map(read).collect();
    entries.sort_by_key(|entry| entry.0);
    entries
}

/// The hexadecimal digits of an id.
fn digits(id: &[u8]) -> impl Iterator<Item = u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    id.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
}

/// A whole number and a double, without making a double of the one.
fn order_exactly(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Saturates, which lies beyond all whole numbers that there are.
    let truncated = double as i128;
    Some(whole.cmp(&truncated).then_with(|| 0.0.partial_cmp(&(double - double.trunc())).unwrap_or(Ordering::Equal)))
}
