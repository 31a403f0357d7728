//! Single values of a document as what protobuf writes for them.

use std::borrow::Cow;

use super::number::{Number, integer, parse_double};
use super::reader::Scalar;
use super::schema::Kind;

/// What is wrong with a value.
pub type Wrong = Cow<'static, str>;

/// A value on the wire, without its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

impl Wire {
    /// Whether it is left out where a default value is as good as none.
    #[inline(always)]
    pub fn is_default(self) -> bool {
        matches!(self, Self::Varint(0) | Self::Fixed32(0) | Self::Fixed64(0))
    }
}

const INT32: (i128, i128) = (i32::MIN as i128, i32::MAX as i128);
const INT64: (i128, i128) = (i64::MIN as i128, i64::MAX as i128);
const UINT32: (i128, i128) = (0, u32::MAX as i128);
const UINT64: (i128, i128) = (0, u64::MAX as i128);

/// The value of a field that is a number.
#[inline(always)]
pub fn number(kind: Kind, value: &Scalar) -> Result<Wire, Wrong> {
    Ok(match kind {
        Kind::Bool => match value {
            Scalar::Bool(value) => Wire::Varint(u64::from(*value)),
            _ => return Err("expected true or false".into()),
        },
        Kind::Double => Wire::Fixed64(double(value)?.to_bits()),
        Kind::Enum(names) => {
            let named = match value {
                Scalar::Text(text) => names.number(&text.content()),
                _ => None,
            };
            match named {
                Some(number) => Wire::Varint(number as u64),
                None => Wire::Varint(ranged(value, INT32)? as u64),
            }
        }
        Kind::Int32 => Wire::Varint(ranged(value, INT32)? as u64),
        Kind::Int64 => Wire::Varint(ranged(value, INT64)? as u64),
        Kind::Uint32 => Wire::Varint(ranged(value, UINT32)? as u64),
        Kind::Uint64 => Wire::Varint(ranged(value, UINT64)? as u64),
        Kind::Sint32 => {
            let number = ranged(value, INT32)? as i32;
            Wire::Varint(((number << 1 ^ number >> 31) as u32).into())
        }
        Kind::Fixed32 => Wire::Fixed32(ranged(value, UINT32)? as u32),
        Kind::Fixed64 => Wire::Fixed64(ranged(value, UINT64)? as u64),
        Kind::Sfixed64 => Wire::Fixed64(ranged(value, INT64)? as u64),
        Kind::Text | Kind::Id | Kind::Bytes | Kind::Message(_) => return Err("expected a number".into()),
    })
}

/// A double: a number, or a text that is one or names one that is not finite.
fn double(value: &Scalar) -> Result<f64, Wrong> {
    match value {
        Scalar::Number(Number::Integer(number)) => Ok(*number as f64),
        Scalar::Number(Number::Double(number)) if number.is_finite() => Ok(*number),
        Scalar::Number(_) => Err("the number is too large".into()),
        Scalar::Text(text) => match &*text.content() {
            b"NaN" => Ok(f64::NAN),
            b"Infinity" => Ok(f64::INFINITY),
            b"-Infinity" => Ok(f64::NEG_INFINITY),
            text => parse_double(text).filter(|number| number.is_finite()).ok_or("expected a number".into()),
        },
        _ => Err("expected a number".into()),
    }
}

/// An integer, however it is written: as a number, as text, as 1.0 or as 1e3.
#[inline(always)]
fn ranged(value: &Scalar, (low, high): (i128, i128)) -> Result<i128, Wrong> {
    let number = match value {
        Scalar::Number(Number::Integer(number)) => *number,
        Scalar::Number(Number::Double(number)) => return whole(*number, (low, high)),
        Scalar::Text(text) => {
            let text = text.content();
            let (is_negative, digits) = match text.split_first() {
                Some((b'-', digits)) => (true, digits),
                _ => (false, &*text),
            };
            if text.len() > MAX_DIGITS {
                return Err(NO_INTEGER.into());
            }
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return whole(parse_double(&text).ok_or(NO_INTEGER)?, (low, high));
            }
            integer(digits, is_negative)
        }
        _ => return Err(NO_INTEGER.into()),
    };
    if (low..=high).contains(&number) { Ok(number) } else { Err(out_of_range(number, (low, high))) }
}

/// Longer texts are no integers, whatever is in them.
const MAX_DIGITS: usize = 38;
const NO_INTEGER: &str = "expected an integer";

fn whole(number: f64, (low, high): (i128, i128)) -> Result<i128, Wrong> {
    if !number.is_finite() || number.fract() != 0.0 {
        return Err(NO_INTEGER.into());
    }
    // What is too large becomes the largest number there is, which no range has.
    let integer = number as i128;
    if (low..=high).contains(&integer) { Ok(integer) } else { Err(out_of_range(format!("{number:.0}"), (low, high))) }
}

#[cold]
fn out_of_range(number: impl std::fmt::Display, (low, high): (i128, i128)) -> Wrong {
    format!("{number} is not between {low} and {high}").into()
}

/// Append the bytes that a text has in hexadecimal.
pub fn write_unhex(value: &Scalar, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let Scalar::Text(text) = value else { return Err(NO_ID.into()) };
    let text = text.content();
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(NO_ID.into());
    }
    for &[high, low] in pairs {
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        if (high | low) == NO_DIGIT {
            return Err(NO_ID.into());
        }
        out.push(high << 4 | low);
    }
    Ok(())
}

const NO_ID: &str = "expected an id in hexadecimal";
const NO_DIGIT: u8 = 0xff;

/// What a digit of this table's kind stands for.
const fn table(digits: &[u8]) -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < digits.len() {
        table[digits[value] as usize] = value as u8;
        value += 1;
    }
    table
}

static HEX: [u8; 256] = {
    let mut table = table(b"0123456789abcdef");
    let mut letter = b'a';
    while letter <= b'f' {
        table[letter.to_ascii_uppercase() as usize] = table[letter as usize];
        letter += 1;
    }
    table
};

static BASE64: [u8; 256] = {
    let mut table = table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    // The other alphabet, for URLs.
    (table[b'-' as usize], table[b'_' as usize]) = (62, 63);
    table
};

/// Append the bytes that a text has in base64, of either alphabet, with or without padding.
pub fn write_unbase64(value: &Scalar, out: &mut Vec<u8>) -> Result<(), Wrong> {
    let Scalar::Text(text) = value else { return Err("expected a string".into()) };
    let text = text.content();
    let digits = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    for group in text[..digits].chunks(4) {
        let mut bits = 0;
        for &digit in group {
            let value = BASE64[usize::from(digit)];
            if value == NO_DIGIT {
                return Err("expected base64".into());
            }
            bits = bits << 6 | u32::from(value);
        }
        let [_, first, second, third] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => out.extend_from_slice(&[first, second, third]),
            3 => out.extend_from_slice(&[first, second]),
            2 => out.push(first),
            _ => return Err("expected base64".into()),
        }
    }
    Ok(())
}
