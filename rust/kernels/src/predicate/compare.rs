//! What values are compared with.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::fields::Datum;
use super::super::values::write_hex;

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
    pub fn holds(self, left: Datum, right: Datum) -> bool {
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

impl<'v> From<&'v Literal> for Datum<'v> {
    #[inline(always)]
    fn from(literal: &'v Literal) -> Self {
        match literal {
            Literal::Nothing => Self::Empty,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Whole(number) => Self::Whole(*number),
            Literal::Double(number) => Self::Double(*number),
            Literal::Text(text) => Self::Text(text),
            Literal::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
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
    pub fn contains(&self, value: Datum) -> bool {
        match value {
            Datum::Text(text) => self.texts.contains(text),
            Datum::Id(id) => {
                let mut text = Vec::with_capacity(32);
                write_hex(id, &mut text);
                self.texts.contains(text.as_slice())
            }
            Datum::Empty => self.has_nothing,
            Datum::Bool(value) => self.bools[usize::from(value)],
            Datum::Whole(number) => self.wholes.contains(&number),
            Datum::Double(number) => match as_whole(number) {
                Some(number) => self.wholes.contains(&number),
                None => self.doubles.contains(&number.to_bits()),
            },
            Datum::Bytes(bytes) => self.bytes.contains(bytes),
            Datum::Array(_) | Datum::Map(_) => false,
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
