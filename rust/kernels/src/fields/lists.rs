//! Fields that hold several numbers, as arrays.

use super::super::values::messages;
use super::super::wire::{Content, Fields, push_delimited, push_varint, varint};
use super::scalars::wholes;
use super::{Datum, Found, Step};

/// What is in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    Fixed64,
    Varint,
    Double,
    /// Messages with a quantile and a value, as maps.
    Quantile,
}

/// All of it as an array, or what is at a path in it.
pub fn read<'a>(list: List, message: &'a [u8], within: u32, number: u32, path: &[Step]) -> Option<Found<'a>> {
    let mut numbers = vec![];
    if within == 0 {
        collect(list, message, number, &mut numbers);
    } else {
        messages(message, within).for_each(|inner| collect(list, inner, number, &mut numbers));
    }
    let Some((step, inside)) = path.split_first() else {
        let mut values = vec![];
        for number in numbers {
            push_delimited(&mut values, 1, &number.value());
        }
        return Some(Found::Array(values.into()));
    };
    let Step::Index(index) = step else { return None };
    Some(Found::Datum(match (numbers.into_iter().nth(*index)?, inside) {
        (Element::Whole(number), []) => Datum::Whole(number.into()),
        (Element::Double(bits), []) => Datum::Double(f64::from_bits(bits)),
        (Element::Quantile(quantile, value), []) => return Some(Found::Map(quantile_map(quantile, value).into())),
        (Element::Quantile(quantile, value), [Step::Key(key)]) => match key.as_ref() {
            b"quantile" => Datum::Double(f64::from_bits(quantile)),
            b"value" => Datum::Double(f64::from_bits(value)),
            _ => return None,
        },
        _ => return None,
    }))
}

enum Element {
    Whole(u64),
    Double(u64),
    Quantile(u64, u64),
}

impl Element {
    /// As an `AnyValue`; a number of more than 63 bits wraps, as it does in the Collector.
    fn value(&self) -> Vec<u8> {
        let mut value = vec![];
        match self {
            Self::Whole(number) => {
                value.push(3 << 3);
                push_varint(&mut value, *number);
            }
            Self::Double(bits) => push_double(&mut value, *bits),
            Self::Quantile(quantile, number) => push_delimited(&mut value, 6, &quantile_map(*quantile, *number)),
        }
        value
    }
}

fn push_double(value: &mut Vec<u8>, bits: u64) {
    value.push(4 << 3 | 1);
    value.extend_from_slice(&bits.to_le_bytes());
}

/// A `KeyValueList`.
fn quantile_map(quantile: u64, value: u64) -> Vec<u8> {
    let mut entries = vec![];
    for (key, bits) in [("quantile", quantile), ("value", value)] {
        let (mut entry, mut number) = (vec![], vec![]);
        push_double(&mut number, bits);
        push_delimited(&mut entry, 1, key.as_bytes());
        push_delimited(&mut entry, 2, &number);
        push_delimited(&mut entries, 1, &entry);
    }
    entries
}

/// Numbers may come packed or one by one.
fn collect(list: List, message: &[u8], number: u32, out: &mut Vec<Element>) {
    for field in Fields::new(message).filter(|field| field.number == number) {
        match (list, field.content) {
            (List::Quantile, Content::Length(data)) => {
                let [quantile, value] = wholes(data, [1, 2]);
                out.push(Element::Quantile(quantile, value));
            }
            (List::Fixed64, Content::Length(data)) => {
                out.extend(data.as_chunks().0.iter().map(|bytes| Element::Whole(u64::from_le_bytes(*bytes))));
            }
            (List::Double, Content::Length(data)) => {
                out.extend(data.as_chunks().0.iter().map(|bytes| Element::Double(u64::from_le_bytes(*bytes))));
            }
            (List::Varint, Content::Length(data)) => {
                let mut at = 0;
                while at < data.len()
                    && let Ok((number, end)) = varint(data, at)
                {
                    out.push(Element::Whole(number));
                    at = end;
                }
            }
            (List::Fixed64, Content::Fixed64(number)) | (List::Varint, Content::Varint(number)) => {
                out.push(Element::Whole(number));
            }
            (List::Double, Content::Fixed64(bits)) => out.push(Element::Double(bits)),
            _ => {}
        }
    }
}
