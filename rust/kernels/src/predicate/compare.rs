//! Values compared: exactly, and only where they are of one type.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::fields::Datum;
use super::super::values::{Attribute, Value, messages, write_hex};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Comparison {
    /// By its sign.
    pub fn from_sign(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::AtMost,
            ">" => Self::Greater,
            ">=" => Self::AtLeast,
            _ => return None,
        })
    }

    #[inline(always)]
    pub fn holds(self, left: Operand, right: Operand) -> bool {
        match self {
            Self::Equal => left.equals(&right),
            Self::Unequal => !left.equals(&right),
            Self::Less => left.order(&right) == Some(Ordering::Less),
            Self::AtMost => left.order(&right).is_some_and(Ordering::is_le),
            Self::Greater => left.order(&right) == Some(Ordering::Greater),
            Self::AtLeast => left.order(&right).is_some_and(Ordering::is_ge),
        }
    }
}

/// A value in an expression.
#[derive(Clone, Debug)]
pub enum Literal {
    Nothing,
    Bool(bool),
    /// At most 64 bits, with a sign or without.
    Whole(i128),
    Double(f64),
    Text(Box<[u8]>),
    Bytes(Box<[u8]>),
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'v> {
    Nothing,
    Bool(bool),
    Whole(i128),
    Double(f64),
    Text(&'v [u8]),
    /// The text of its hexadecimal digits.
    Id(&'v [u8]),
    Bytes(&'v [u8]),
    Array(&'v [u8]),
    Map(&'v [u8]),
}

impl<'v> From<Option<&'v Datum<'_>>> for Operand<'v> {
    #[inline(always)]
    fn from(datum: Option<&'v Datum<'_>>) -> Self {
        match datum {
            None => Self::Nothing,
            Some(Datum::Whole(number)) => Self::Whole(*number),
            Some(Datum::Id(bytes)) => Self::Id(bytes),
            Some(Datum::Printed(text)) => Self::Text(text),
            Some(Datum::Value(value)) => value.into(),
        }
    }
}

impl<'v> From<&'v Value<'_>> for Operand<'v> {
    #[inline(always)]
    fn from(value: &'v Value<'_>) -> Self {
        match value {
            Value::Empty => Self::Nothing,
            Value::Text(text) => Self::Text(text),
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(number) => Self::Whole((*number).into()),
            Value::Double(number) => Self::Double(*number),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Array(values) => Self::Array(values),
            Value::Map(entries) => Self::Map(entries),
        }
    }
}

impl<'v> From<&'v Literal> for Operand<'v> {
    #[inline(always)]
    fn from(literal: &'v Literal) -> Self {
        match literal {
            Literal::Nothing => Self::Nothing,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Whole(number) => Self::Whole(*number),
            Literal::Double(number) => Self::Double(*number),
            Literal::Text(text) => Self::Text(text),
            Literal::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

impl Operand<'_> {
    #[inline(always)]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Whole(a), Self::Whole(b)) => a == b,
            (Self::Nothing, Self::Nothing) => true,
            (Self::Array(a), Self::Array(b)) => {
                let (mut a, mut b) = (messages(a, 1).map(Value::read), messages(b, 1).map(Value::read));
                loop {
                    match (a.next(), b.next()) {
                        (None, None) => return true,
                        (Some(a), Some(b)) if Operand::from(&a).equals(&(&b).into()) => {}
                        _ => return false,
                    }
                }
            }
            (Self::Map(a), Self::Map(b)) => {
                let (a, b) = (by_key(a), by_key(b));
                let are_equal = |(a, b): (&Attribute, &Attribute)| {
                    a.key == b.key && Operand::from(&a.value).equals(&(&b.value).into())
                };
                a.len() == b.len() && a.iter().zip(&b).all(are_equal)
            }
            _ => self.order(other) == Some(Ordering::Equal),
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
fn by_key(entries: &[u8]) -> Vec<Attribute<'_>> {
    let mut entries: Vec<_> = messages(entries, 1).map(Attribute::read).collect();
    entries.sort_by_key(|entry| entry.key);
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

/// Literals among which a value is looked for.
pub struct Set {
    texts: Hashed,
    bytes: Hashed,
    wholes: HashSet<i128>,
    /// The bits of doubles that are no whole numbers.
    doubles: HashSet<u64>,
    bools: [bool; 2],
    has_nothing: bool,
}

type Hashed = HashSet<Box<[u8]>, BuildHasherDefault<Xxh3>>;

impl Set {
    /// Of literals; one that is not a number equals nothing, and is left out.
    pub fn new(literals: Vec<Literal>) -> Self {
        let (texts, bytes, wholes, doubles) = Default::default();
        let mut set = Self { texts, bytes, wholes, doubles, bools: [false; 2], has_nothing: false };
        for literal in literals {
            match literal {
                Literal::Nothing => set.has_nothing = true,
                Literal::Bool(value) => set.bools[usize::from(value)] = true,
                Literal::Whole(number) => _ = set.wholes.insert(number),
                Literal::Double(number) => match as_whole(number) {
                    Some(number) => _ = set.wholes.insert(number),
                    None if number.is_nan() => {}
                    None => _ = set.doubles.insert(number.to_bits()),
                },
                Literal::Text(text) => _ = set.texts.insert(text),
                Literal::Bytes(bytes) => _ = set.bytes.insert(bytes),
            }
        }
        set
    }

    /// Whether a value equals one of the literals.
    #[inline]
    pub fn contains(&self, value: &Operand) -> bool {
        match value {
            Operand::Text(text) => self.texts.contains(*text),
            Operand::Id(id) => {
                let mut text = Vec::with_capacity(32);
                write_hex(id, &mut text);
                self.texts.contains(text.as_slice())
            }
            Operand::Nothing => self.has_nothing,
            Operand::Bool(value) => self.bools[usize::from(*value)],
            Operand::Whole(number) => self.wholes.contains(number),
            Operand::Double(number) => match as_whole(*number) {
                Some(number) => self.wholes.contains(&number),
                None => self.doubles.contains(&number.to_bits()),
            },
            Operand::Bytes(bytes) => self.bytes.contains(*bytes),
            Operand::Array(_) | Operand::Map(_) => false,
        }
    }
}

/// The whole number that a double is, if it is one that can be kept.
fn as_whole(double: f64) -> Option<i128> {
    const BEYOND: f64 = (1_u128 << 127) as f64;
    (double.trunc() == double && double.abs() < BEYOND).then_some(double as i128)
}

/// What is looked for comes from senders, but what is in the set does not: nobody can fill it with collisions.
#[derive(Default)]
struct Xxh3(u64);

impl Hasher for Xxh3 {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    #[inline(always)]
    fn write_usize(&mut self, number: usize) {
        self.0 ^= number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
