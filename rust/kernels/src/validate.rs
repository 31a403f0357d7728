//! Check a payload once at the door, repair its strings, count its items.

use super::otlp::{ANY_VALUE, KEY_VALUE, Kind, Message, Signal};
use super::wire::{self, Content, Field, Fields, MAX_DEPTH, Malformed};

/// A repaired payload, if anything had to be repaired, with the number of items and of repaired strings.
pub struct Validated {
    pub repaired: Option<Vec<u8>>,
    pub items: usize,
    pub repairs: usize,
}

/// Check a payload and put U+FFFD for what is not UTF-8 in its string fields.
pub fn validate(signal: Signal, payload: &[u8]) -> Result<Validated, Malformed> {
    let mut checked = Validated { repaired: None, items: 0, repairs: 0 };
    if check(payload, signal.request())? > 0 {
        checked.repaired = repair(payload, 0, payload.len(), signal.request(), MAX_DEPTH, &mut checked.repairs)?;
    }
    checked.items = count_items(signal, payload)?;
    Ok(checked)
}

/// Check a whole request, and count the strings that are not UTF-8.
pub fn check(payload: &[u8], request: &Message) -> Result<usize, Malformed> {
    let mut invalid = 0;
    check_message(payload, 0, request, MAX_DEPTH, &mut invalid)?;
    Ok(invalid)
}

/// Whether an `AnyValue` has no more messages in one another below it than this.
pub fn is_value_within(value: &[u8], depth: u32) -> bool {
    check_message(value, 0, &ANY_VALUE, depth, &mut 0).is_ok()
}

/// Check the message that begins at `start` and ends with `data`.
fn check_message(
    data: &[u8],
    start: usize,
    message: &Message,
    depth: u32,
    invalid: &mut usize,
) -> Result<(), Malformed> {
    let mut fields = Fields::within(data, start, data.len(), depth);
    while let Some(field) = fields.read()? {
        let Content::Length(content) = field.content else { continue };
        match message.kind(field.number) {
            Kind::Other => {}
            Kind::Text => *invalid += usize::from(!is_utf8(content)),
            Kind::Message(_) | Kind::Attribute | Kind::Value if depth == 0 => {
                return Err(Malformed::new("more than 100 messages in one another", field.start));
            }
            Kind::Attribute => {
                if !is_plain_attribute(content, depth - 1) {
                    check_message(&data[..field.end], field.body, &KEY_VALUE, depth - 1, invalid)?;
                }
                // They come in a row, and nearly always in the same form.
                fields.pass(field.number, |content| is_plain_attribute(content, depth - 1));
            }
            // Tags and sizes are ASCII, too.
            Kind::Value if content.is_ascii() && is_plain(content) => {}
            Kind::Value => check_message(&data[..field.end], field.body, &ANY_VALUE, depth - 1, invalid)?,
            Kind::Message(inner) => check_message(&data[..field.end], field.body, inner, depth - 1, invalid)?,
            Kind::Varints => {
                let mut at = 0;
                while at < content.len() {
                    at = wire::varint(content, at).map_err(|_| packed_fault(&field))?.1;
                }
            }
            Kind::Fixed64s if content.len() % 8 != 0 => return Err(packed_fault(&field)),
            Kind::Fixed64s => {}
        }
    }
    Ok(())
}

/// Whether an attribute is one in which nothing can be wrong.
#[inline(always)]
fn is_plain_attribute(content: &[u8], depth: u32) -> bool {
    wire::plain_attribute(content).is_some_and(|(key, value)| {
        // Tags and sizes are ASCII, too.
        depth > 0 && (content.is_ascii() && is_plain(value) || is_number(value) && key.is_ascii())
    })
}

/// Whether a value is an integer or a double alone.
#[inline(always)]
fn is_number(value: &[u8]) -> bool {
    const INTEGER: u8 = 0x18;
    const DOUBLE: u8 = 0x21;
    match value {
        [INTEGER, more @ .., last] => *last < 0x80 && more.len() < 10 && more.iter().all(|byte| *byte >= 0x80),
        [DOUBLE, bits @ ..] => bits.len() == 8,
        _ => false,
    }
}

/// Whether a value is a text, a bool or an integer alone.
#[inline(always)]
fn is_plain(value: &[u8]) -> bool {
    const BOOL: u8 = 0x10;
    const INTEGER: u8 = 0x18;
    match value {
        // All are ASCII here, so that each is a varint of its own.
        [BOOL | INTEGER, _] => true,
        _ => wire::plain_text(value).is_some(),
    }
}

fn packed_fault(field: &Field) -> Malformed {
    Malformed::new("packed numbers that end inside a number", field.start)
}

#[inline(always)]
fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || std::str::from_utf8(text).is_ok()
}

/// The message in `data[start..end]` with its strings repaired; None where there is nothing to repair.
pub(crate) fn repair(
    data: &[u8],
    start: usize,
    end: usize,
    message: &Message,
    depth: u32,
    repairs: &mut usize,
) -> Result<Option<Vec<u8>>, Malformed> {
    let mut out: Option<Vec<u8>> = None;
    let mut fields = Fields::within(data, start, end, depth);
    while let Some(field) = fields.read()? {
        let kind = message.kind(field.number);
        let mended = match (kind.message(), field.content) {
            (Some(inner), Content::Length(_)) => {
                repair(data, field.body, field.end, inner, depth.saturating_sub(1), repairs)?
            }
            (None, Content::Length(text)) if matches!(kind, Kind::Text) && !is_utf8(text) => {
                *repairs += 1;
                Some(String::from_utf8_lossy(text).into_owned().into_bytes())
            }
            _ => None,
        };
        match (mended, &mut out) {
            (Some(content), out) => {
                let out = out.get_or_insert_with(|| data[start..field.start].to_vec());
                wire::push_delimited(out, field.number, &content);
            }
            (None, Some(out)) => out.extend_from_slice(&data[field.start..field.end]),
            (None, None) => {}
        }
    }
    Ok(out)
}

/// The number of items, from lengths alone, without reading the items.
pub fn count_items(signal: Signal, payload: &[u8]) -> Result<usize, Malformed> {
    count(payload, 0, payload.len(), signal.levels())
}

/// The number of items in `data[start..end]`, which lie so many levels below.
pub fn count(data: &[u8], start: usize, end: usize, levels: &[&[u32]]) -> Result<usize, Malformed> {
    let Some((numbers, below)) = levels.split_first() else { return Ok(1) };
    let mut items = 0;
    let mut chosen = 0;
    let mut fields = Fields::within(data, start, end, MAX_DEPTH);
    while let Some(field) = fields.read()? {
        if !is_inside(&field, numbers) {
            continue;
        }
        if std::mem::replace(&mut chosen, field.number) != field.number {
            // Of a oneof the last member counts, and begins anew.
            items = 0;
        }
        items += count(data, field.body, field.end, below)?;
    }
    Ok(items)
}

/// Whether a field leads to items.
pub fn is_inside(field: &Field, numbers: &[u32]) -> bool {
    matches!(field.content, Content::Length(_)) && numbers.contains(&field.number)
}
