//! Attribute values as text that people can read, with a signature that makes typed values of it again.
//!
//! What text and signature look like is told in `airis.data.reference.values`.

use std::borrow::Cow;
use std::io::Write;
use std::mem;

use super::json::plain_run;
use super::wire::{Content, Fields, plain_text};

/// An `AnyValue`.
#[derive(Clone, Debug, Default)]
pub enum Value<'a> {
    #[default]
    Empty,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// An `ArrayValue`'s bytes.
    Array(Cow<'a, [u8]>),
    /// A `KeyValueList`'s bytes.
    Map(Cow<'a, [u8]>),
}

/// A `KeyValue`.
#[derive(Clone, Debug, Default)]
pub struct Attribute<'a> {
    pub key: &'a [u8],
    pub value: Value<'a>,
}

impl<'a> Attribute<'a> {
    /// From a message that passed `validate`.
    #[inline(always)]
    pub fn read(data: &'a [u8]) -> Self {
        let mut attribute = Self::default();
        for field in Fields::new(data) {
            match (field.number, field.content) {
                (1, Content::Length(key)) => attribute.key = key,
                (2, Content::Length(value)) => attribute.value.merge(value),
                _ => {}
            }
        }
        attribute
    }
}

impl<'a> Value<'a> {
    /// From a message that passed `validate`.
    pub fn read(data: &'a [u8]) -> Self {
        if let Some(text) = plain_text(data) {
            return Self::Text(text);
        }
        let mut value = Self::Empty;
        value.merge(data);
        value
    }

    /// Take the fields of one more message for the same value: of the oneof the last member counts.
    #[inline(always)]
    pub fn merge(&mut self, data: &'a [u8]) {
        for field in Fields::new(data) {
            *self = match (field.number, field.content) {
                (1, Content::Length(text)) => Self::Text(text),
                (2, Content::Varint(number)) => Self::Bool(number != 0),
                (3, Content::Varint(number)) => Self::Int(number as i64),
                (4, Content::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Content::Length(more)) => match mem::take(self) {
                    Self::Array(before) => Self::Array(joined(before, more)),
                    _ => Self::Array(Cow::Borrowed(more)),
                },
                (6, Content::Length(more)) => match mem::take(self) {
                    Self::Map(before) => Self::Map(joined(before, more)),
                    _ => Self::Map(Cow::Borrowed(more)),
                },
                (7, Content::Length(bytes)) => Self::Bytes(bytes),
                // A reference into the table of a profile: nothing that could be looked up here.
                (8, Content::Varint(_)) => Self::Empty,
                _ => continue,
            };
        }
    }

    /// Append the text.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => {}
            Self::Text(text) => out.extend_from_slice(text),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(number) => write_integer(*number, out),
            Self::Double(number) => write_number(*number, out),
            Self::Bytes(bytes) => write_base64(bytes, out),
            Self::Array(_) | Self::Map(_) => self.write_json(out),
        }
    }

    /// The text, borrowed where it stands in the payload.
    pub fn into_text(self) -> Cow<'a, [u8]> {
        if let Self::Text(text) = self {
            return Cow::Borrowed(text);
        }
        let mut text = vec![];
        self.write_text(&mut text);
        Cow::Owned(text)
    }

    /// Append the signature.
    pub fn write_sign(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.push(b'n'),
            Self::Text(_) => out.push(b's'),
            Self::Bool(_) => out.push(b'b'),
            Self::Int(_) => out.push(b'i'),
            Self::Double(_) => out.push(b'd'),
            Self::Bytes(_) => out.push(b'x'),
            Self::Array(values) => {
                out.push(b'[');
                write_signs(messages(values, 1).map(Value::read), out);
                out.push(b']');
            }
            Self::Map(entries) => {
                out.push(b'{');
                write_signs(messages(entries, 1).map(|entry| Attribute::read(entry).value), out);
                out.push(b'}');
            }
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.extend_from_slice(b"null"),
            Self::Text(text) => write_quoted(text, out),
            Self::Bytes(bytes) => {
                out.push(b'"');
                write_base64(bytes, out);
                out.push(b'"');
            }
            Self::Double(number) if !number.is_finite() => {
                out.push(b'"');
                write_number(*number, out);
                out.push(b'"');
            }
            Self::Array(values) => {
                out.push(b'[');
                for (index, value) in messages(values, 1).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    Value::read(value).write_json(out);
                }
                out.push(b']');
            }
            Self::Map(entries) => {
                out.push(b'{');
                for (index, entry) in messages(entries, 1).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let entry = Attribute::read(entry);
                    write_quoted(entry.key, out);
                    out.push(b':');
                    entry.value.write_json(out);
                }
                out.push(b'}');
            }
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => self.write_text(out),
        }
    }
}

/// The contents of a repeated message field.
pub fn messages(data: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(data).filter_map(move |field| match field.content {
        Content::Length(content) if field.number == number => Some(content),
        _ => None,
    })
}

/// Protobuf merges a message that comes twice; joining their bytes does the same.
fn joined<'a>(before: Cow<'a, [u8]>, more: &'a [u8]) -> Cow<'a, [u8]> {
    let mut whole = before.into_owned();
    whole.extend_from_slice(more);
    Cow::Owned(whole)
}

/// Signs in a row, written once where all are the same.
fn write_signs<'a>(values: impl Iterator<Item = Value<'a>>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut first_end = start;
    let mut alike = true;
    for (index, value) in values.enumerate() {
        let before = out.len();
        value.write_sign(out);
        if index == 0 {
            first_end = out.len();
        } else {
            alike = alike && out[before..] == out[start..first_end];
        }
    }
    if alike {
        out.truncate(first_end);
    }
}

/// Append an integer in decimal digits.
pub fn write_integer(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    write_unsigned(number.unsigned_abs(), out);
}

/// Append an integer in decimal digits.
pub fn write_unsigned(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Append a double as ECMAScript's Number::toString prints it, but with the sign of -0.
pub fn write_number(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    if number == 0.0 {
        return out.push(b'0');
    }
    let (digits, point) = shortest_digits(number);
    let digits = digits.as_slice();
    let count = digits.len() as i32;
    if count <= point && point <= 21 {
        out.extend_from_slice(digits);
        out.resize(out.len() + (point - count) as usize, b'0');
    } else if 0 < point && point <= 21 {
        out.extend_from_slice(&digits[..point as usize]);
        out.push(b'.');
        out.extend_from_slice(&digits[point as usize..]);
    } else if -6 < point && point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        // Writing to a vector cannot fail.
        let _ = write!(out, "e{:+}", point - 1);
    }
}

/// The fewest digits of a finite number that is not 0, and how many of them stand before the point.
fn shortest_digits(number: f64) -> (Vec<u8>, i32) {
    // The fewest digits that are this number alone, of two equally near ones the even one; Rust's own are not.
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(number.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let whole = mantissa.find('.').unwrap_or(mantissa.len()) as i32;
    let mut digits = [0; 32];
    let mut count = 0;
    for digit in mantissa.bytes().filter(u8::is_ascii_digit).take(digits.len()) {
        digits[count] = digit;
        count += 1;
    }
    let leading = digits[..count].iter().take_while(|digit| **digit == b'0').count();
    let point = whole - leading as i32 + exponent.parse::<i32>().unwrap_or(0);
    let last = digits[..count].iter().rposition(|digit| *digit != b'0').unwrap_or(leading);
    (digits[leading..=last].to_vec(), point)
}

/// Append a double in decimal digits without an exponent, as Go's `FormatFloat` with `f` and -1 does.
pub fn write_plain(number: f64, out: &mut Vec<u8>) {
    if number.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if number.is_infinite() {
        return out.extend_from_slice(if number > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number == 0.0 {
        return out.push(b'0');
    }
    let (digits, point) = shortest_digits(number);
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + point.unsigned_abs() as usize, b'0');
        return out.extend_from_slice(&digits);
    }
    let whole = digits.len().min(point as usize);
    out.extend_from_slice(&digits[..whole]);
    out.resize(out.len() + point as usize - whole, b'0');
    if whole < digits.len() {
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

/// Append text as a JSON string.
pub fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (size, _) = plain_run(rest);
        out.extend_from_slice(&rest[..size]);
        let Some((&byte, behind)) = rest[size..].split_first() else { break };
        rest = behind;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                write_hex(&[byte], out);
            }
        }
    }
    out.push(b'"');
}

/// Append bytes in lower-case hexadecimal.
#[inline(always)]
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    // Ids have 8 or 16 bytes: whole chunks become whole stores.
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let mut digits = [0; 16];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(chunk) {
            *pair = hex_digits(*byte);
        }
        out.extend_from_slice(&digits);
    }
    rest.iter().for_each(|byte| out.extend_from_slice(&hex_digits(*byte)));
}

#[inline(always)]
fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// Append bytes in base64, with padding.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut bits = 0;
        for index in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= chunk.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_ecmascript_does() {
        for (number, text) in [
            (0.1, "0.1"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (123456.75, "123456.75"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-1.5e300, "-1.5e+300"),
            (5e-324, "5e-324"),
            (150_236_946_769_308.62, "150236946769308.62"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = vec![];
            write_number(number, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }
}
