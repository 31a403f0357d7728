//! Fields of fixed types.

use super::super::wire::{Content, Field, Fields};
use super::lists::{self, List};
use super::walk::Walk;
use super::{Datum, Found, Step};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text,
    Id,
    Int32,
    Uint32,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
    List(List),
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub scalar: Scalar,
    pub number: u32,
    /// The number of the message that it is in, 0 where there is none between.
    pub within: u32,
    /// The number of the other member of its oneof, 0 where there is none.
    pub rival: u32,
    /// Whether it can be absent, rather than 0 or empty.
    pub is_optional: bool,
}

impl At {
    pub fn is_list(&self) -> bool {
        matches!(self.scalar, Scalar::List(_))
    }

    /// Whether it is one field, or in one.
    pub fn is_single(&self) -> bool {
        self.rival == 0 && !self.is_list()
    }

    /// What a message has there that has this field once, or not at all.
    #[inline(always)]
    pub fn read_field<'a>(&self, field: Option<&Field<'a>>) -> Option<Datum<'a>> {
        let mut found = None;
        if let Some(field) = field {
            match field.content {
                _ if self.within == 0 => self.take(field, &mut found),
                Content::Length(inner) => Fields::new(inner).for_each(|field| self.take(&field, &mut found)),
                _ => {}
            }
        }
        self.or_default(found)
    }

    /// The number of the field in the message.
    pub fn outer(&self) -> u32 {
        if self.within == 0 { self.number } else { self.within }
    }

    /// What a message has there.
    #[inline(always)]
    pub fn read<'a>(&self, message: &'a [u8], path: &[Step]) -> Option<Found<'a>> {
        if let Scalar::List(list) = self.scalar {
            return lists::read(list, message, self.within, self.number, path);
        }
        let mut found = None;
        if self.rival != 0 {
            Fields::new(message).for_each(|field| self.take(&field, &mut found));
        } else if self.within == 0 {
            Walk::new(message, self.number).for_each(|field| self.take(&field, &mut found));
        } else {
            let mut inside = Walk::new(message, self.within);
            while let Some(inner) = inside.next_delimited() {
                Fields::new(inner).for_each(|field| self.take(&field, &mut found));
            }
        }
        self.or_default(found).map(Found::Datum)
    }

    /// What is not set has protobuf's value of its type, unless it can be absent.
    #[inline(always)]
    fn or_default<'a>(&self, found: Option<Datum<'a>>) -> Option<Datum<'a>> {
        if found.is_some() || self.is_optional {
            return found;
        }
        Some(match self.scalar {
            Scalar::Text => Datum::Text(&[]),
            Scalar::Id => Datum::Id(&[]),
            Scalar::Double => Datum::Double(0.0),
            _ => Datum::Whole(0),
        })
    }

    /// Of a field that comes more than once the last counts.
    #[inline(always)]
    fn take<'a>(&self, field: &Field<'a>, found: &mut Option<Datum<'a>>) {
        if field.number != self.number {
            // Both members of the oneofs that there are have eight bytes.
            if self.rival != 0 && field.number == self.rival && matches!(field.content, Content::Fixed64(_)) {
                *found = None;
            }
            return;
        }
        let datum = match (self.scalar, field.content) {
            (Scalar::Text, Content::Length(text)) => Datum::Text(text),
            (Scalar::Id, Content::Length(bytes)) => Datum::Id(bytes),
            (Scalar::Int32, Content::Varint(number)) => Datum::Whole((number as i32).into()),
            (Scalar::Uint32, Content::Varint(number)) => Datum::Whole((number as u32).into()),
            (Scalar::Sint32, Content::Varint(number)) => Datum::Whole(from_zigzag(number as u32).into()),
            (Scalar::Fixed32, Content::Fixed32(number)) => Datum::Whole(number.into()),
            (Scalar::Fixed64, Content::Fixed64(number)) => Datum::Whole(number.into()),
            (Scalar::Sfixed64, Content::Fixed64(number)) => Datum::Whole((number as i64).into()),
            (Scalar::Double, Content::Fixed64(bits)) => Datum::Double(f64::from_bits(bits)),
            // Of another wire type it is a field that is not known.
            _ => return,
        };
        *found = Some(datum);
    }
}

fn from_zigzag(number: u32) -> i32 {
    (number >> 1) as i32 ^ -((number & 1) as i32)
}

/// The fields of eight bytes with these numbers, 0 where they are not set.
pub fn wholes<const N: usize>(message: &[u8], numbers: [u32; N]) -> [u64; N] {
    let mut found = [0; N];
    for field in Fields::new(message) {
        if let Content::Fixed64(value) = field.content {
            for (number, found) in numbers.iter().zip(&mut found) {
                if *number == field.number {
                    *found = value;
                }
            }
        }
    }
    found
}
