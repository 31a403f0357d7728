//! Values of one type made values of another one, as the Collector's attributes processor does it.

use std::collections::BTreeMap;

use super::super::values::{Attribute, Value, messages, write_integer, write_number, write_quoted};
use super::super::wire::{push_delimited, push_varint};

/// What a value is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Int,
    Double,
    Text,
    Bool,
}

impl Type {
    /// By the name that the Collector has for it; None for one that there is not.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "int" => Some(Self::Int),
            "double" => Some(Self::Double),
            "string" => Some(Self::Text),
            "bool" => Some(Self::Bool),
            _ => None,
        }
    }

    /// The `AnyValue` that takes the place of a value, None where it stays as it is.
    pub fn convert(self, value: &Value) -> Option<Vec<u8>> {
        let converted = match (self, value) {
            (Self::Text, Value::Text(_)) => return None,
            (Self::Text, value) => {
                let (mut text, mut out) = (vec![], vec![]);
                write_text(value, &mut text);
                push_delimited(&mut out, 1, &text);
                return Some(out);
            }
            (Self::Int, Value::Double(number)) => Value::Int(*number as i64),
            (Self::Int, Value::Bool(truth)) => Value::Int((*truth).into()),
            (Self::Int, Value::Text(text)) => Value::Int(read_integer(text)?),
            (Self::Double, Value::Int(number)) => Value::Double(*number as f64),
            (Self::Double, Value::Bool(truth)) => Value::Double(f64::from(u8::from(*truth))),
            (Self::Double, Value::Text(text)) => Value::Double(read_double(text)?),
            (Self::Bool, Value::Int(number)) => Value::Bool(*number != 0),
            (Self::Bool, Value::Double(number)) => Value::Bool(*number != 0.0),
            (Self::Bool, Value::Text(text)) => Value::Bool(read_bool(text)?),
            _ => return None,
        };
        Some(encode(&converted))
    }
}

/// A bool, an integer or a double as an `AnyValue`.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(11);
    match value {
        Value::Bool(truth) => out.extend_from_slice(&[0x10, u8::from(*truth)]),
        Value::Int(number) => {
            out.push(0x18);
            push_varint(&mut out, *number as u64);
        }
        Value::Double(number) => {
            out.push(0x21);
            out.extend_from_slice(&number.to_le_bytes());
        }
        _ => {}
    }
    out
}

/// A whole number in decimal digits, as Go's ParseInt reads it.
fn read_integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A double as Go's ParseFloat reads it, but none in hexadecimal; what is too large for one is none.
fn read_double(text: &[u8]) -> Option<f64> {
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(if text.starts_with(b"-") { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Some(f64::NAN);
    }
    let is_digit = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
    let is_sound = text.iter().enumerate().all(|(at, byte)| match byte {
        b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' => true,
        b'_' => is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)),
        _ => false,
    });
    if !is_sound {
        return None;
    }
    let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'_').collect();
    let number: f64 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// A bool as Go's ParseBool reads it.
fn read_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(true),
        b"0" | b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// Append what pdata's AsString gives.
fn write_text(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Double(number) if !number.is_finite() => {
            out.extend_from_slice(b"json: unsupported value: ");
            out.extend_from_slice(match number {
                _ if number.is_nan() => b"NaN",
                _ if *number > 0.0 => b"+Inf",
                _ => b"-Inf",
            });
        }
        Value::Array(_) | Value::Map(_) => {
            if write_json(value, out).is_none() {
                out.clear();
            }
        }
        _ => value.write_text(out),
    }
}

/// Append JSON as Go's encoder writes it; None where there is a double that JSON has not.
fn write_json(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Empty => out.extend_from_slice(b"null"),
        Value::Text(text) => write_text_quoted(text, out),
        Value::Bytes(_) => {
            out.push(b'"');
            value.write_text(out);
            out.push(b'"');
        }
        Value::Bool(_) => value.write_text(out),
        Value::Int(number) => write_integer(*number, out),
        Value::Double(number) if number.is_finite() => write_number(*number, out),
        Value::Double(_) => return None,
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in messages(values, 1).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(&Value::read(value), out)?;
            }
            out.push(b']');
        }
        Value::Map(entries) => {
            // A Go map: the last of a key counts, and the keys are sorted.
            let entries: BTreeMap<_, _> =
                messages(entries, 1).map(Attribute::read).map(|entry| (entry.key, entry.value)).collect();
            out.push(b'{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text_quoted(key, out);
                out.push(b':');
                write_json(value, out)?;
            }
            out.push(b'}');
        }
    }
    Some(())
}

/// Append a JSON string in which two line ends of Unicode's are escaped, too.
fn write_text_quoted(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    write_quoted(text, out);
    if !text.windows(3).any(|bytes| matches!(bytes, [0xe2, 0x80, 0xa8 | 0xa9])) {
        return;
    }
    let quoted = out.split_off(start);
    let mut rest = &quoted[..];
    while let Some((byte, after)) = rest.split_first() {
        match rest {
            [0xe2, 0x80, last @ (0xa8 | 0xa9), after @ ..] => {
                out.extend_from_slice(if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                rest = after;
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}
