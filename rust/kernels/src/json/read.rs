//! A document in one pass to protobuf's wire format.
//!
//! Protobuf writes fields in the order of their numbers, JSON has members in any order: fields are written as they
//! come, and put in order at the end of their message where they have to be.

use super::place;
use super::reader::{NotJson, Reader, Scalar};
use super::scalar::{self, Wire, Wrong};
use super::schema::{Field, Kind, Message, Presence, request};
use crate::otlp::Signal;
use crate::wire::{MAX_DEPTH, push_varint};

/// The payload of a request; says what is wrong with a text that is none, and where.
pub fn from_json(signal: Signal, text: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = Decoder {
        text: Reader::new(text),
        out: Vec::with_capacity(text.len() / 2),
        parts: Vec::new(),
        faults: Vec::new(),
        sorted: Vec::new(),
        sizes: [1; MAX_DEPTH as usize + 1],
    };
    let is_object = decoder.document(request(signal)).map_err(|NotJson { reason, at }| {
        format!("not JSON: {reason}, at byte {at}") // whatever else is wrong with it
    })?;
    if !is_object {
        return Err("the body is not a JSON object".to_owned());
    }
    match decoder.faults.iter().min_by_key(|fault| fault.at) {
        Some(fault) => Err(format!("{}: {}", place::path(text, fault.at), fault.reason)),
        None => Ok(decoder.out),
    }
}

/// A value that does not fit where it is. What comes behind it is read all the same: if that is no JSON, or if the
/// member comes once more, its value does not matter.
struct Fault {
    /// Where the value begins.
    at: usize,
    reason: Wrong,
}

/// A field of a message that is being written.
#[derive(Clone, Copy)]
struct Part {
    /// 0 for a member that is null.
    number: u32,
    /// Which field it is of the message, and in which spelling.
    slot: u32,
    is_one_of: bool,
    /// What was written for it.
    out: (usize, usize),
    /// Where its value stands in the text.
    text: (usize, usize),
}

struct Decoder<'a> {
    text: Reader<'a>,
    out: Vec<u8>,
    /// The fields of all messages that are being written, the innermost last.
    parts: Vec<Part>,
    faults: Vec<Fault>,
    sorted: Vec<u8>,
    /// How many bytes the size of a message took, by its depth: the next one's will most often take as many.
    sizes: [usize; MAX_DEPTH as usize + 1],
}

/// A field whose size is written when its content is known.
struct Open {
    start: usize,
    reserved: usize,
}

impl<'a> Decoder<'a> {
    /// Whether there is an object.
    fn document(&mut self, request: &'static Message) -> Result<bool, NotJson> {
        let is_object = self.text.peek() == b'{';
        if is_object {
            self.message(request, MAX_DEPTH)?;
        } else {
            self.text.skip()?;
        }
        self.text.end()?;
        Ok(is_object)
    }

    /// The message whose object begins here, in which so many more may be in one another.
    fn message(&mut self, message: &'static Message, depth: u32) -> Result<(), NotJson> {
        let (first_part, start) = (self.parts.len(), self.out.len());
        let (mut seen, mut last, mut has_one_of, mut is_sorted) = (0_u64, 0, false, true);
        let mut expected = 0;
        self.text.enter()?;
        let mut is_first = true;
        while self.text.more(is_first)? {
            is_first = false;
            let key = self.text.key()?;
            let Some((index, is_snake)) = find(message, &key.content(), expected) else {
                self.text.skip()?;
                continue;
            };
            expected = index + 1;
            let field = &message.0[index];
            let slot = 2 * index as u32 + u32::from(is_snake);
            if seen >> slot & 1 == 1 {
                self.again(first_part, slot, field, depth)?;
                is_sorted = false;
                continue;
            }
            seen |= 1 << slot;
            let part = self.field(slot, field, depth)?;
            is_sorted &= part.number > last && !(has_one_of && part.is_one_of);
            has_one_of |= part.is_one_of;
            last = part.number;
            self.parts.push(part);
        }
        if !is_sorted {
            self.sort(first_part, start);
        }
        self.parts.truncate(first_part);
        Ok(())
    }

    /// A member whose name came before in the same spelling: only this one counts, but in that one's place.
    #[cold]
    fn again(&mut self, first_part: usize, slot: u32, field: &'static Field, depth: u32) -> Result<(), NotJson> {
        let part = self.field(slot, field, depth)?;
        if let Some(before) = self.parts[first_part..].iter_mut().find(|before| before.slot == slot) {
            let (from, to) = before.text;
            self.faults.retain(|fault| !(from..to).contains(&fault.at));
            *before = part;
        }
        Ok(())
    }

    /// Put the fields of a message in order.
    fn sort(&mut self, first_part: usize, start: usize) {
        let parts = &mut self.parts[first_part..];
        for part in parts.iter().filter(|part| part.slot & 1 == 1 && part.number > 0) {
            if parts.iter().any(|other| other.slot == part.slot - 1 && other.number > 0) {
                self.faults.push(Fault { at: part.text.0, reason: "named in both spellings".into() });
            }
        }
        if let Some(last) = parts.iter().rposition(|part| part.is_one_of) {
            parts[..last].iter_mut().filter(|part| part.is_one_of).for_each(|part| part.number = 0);
        }
        parts.sort_unstable_by_key(|part| part.number);
        self.sorted.clear();
        for part in parts.iter().filter(|part| part.number > 0) {
            self.sorted.extend_from_slice(&self.out[part.out.0..part.out.1]);
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&self.sorted);
    }

    #[cold]
    fn fault(&mut self, at: usize, reason: impl Into<Wrong>) {
        self.faults.push(Fault { at, reason: reason.into() });
    }

    /// Note that the value which begins here is not what it should be, and step over it.
    #[cold]
    fn unfit(&mut self, reason: &'static str) -> Result<(), NotJson> {
        self.fault(self.text.at, reason);
        self.text.skip()
    }

    /// Write the field whose value begins here.
    #[inline(always)]
    fn field(&mut self, slot: u32, field: &'static Field, depth: u32) -> Result<Part, NotJson> {
        let (out, text) = (self.out.len(), self.text.at);
        let mut number = field.number;
        match self.text.peek() {
            b'n' => {
                self.text.scalar()?;
                number = 0;
            }
            b'[' if field.is_repeated() => self.array(field, depth)?,
            _ if field.is_repeated() => self.unfit("expected an array")?,
            _ => self.value(field, depth)?,
        }
        let is_one_of = number > 0 && field.presence == Presence::OneOf;
        Ok(Part { number, slot, is_one_of, out: (out, self.out.len()), text: (text, self.text.at) })
    }

    fn array(&mut self, field: &'static Field, depth: u32) -> Result<(), NotJson> {
        let start = self.out.len();
        let packed = field.is_packed().then(|| {
            self.tag(field.number, LENGTH);
            self.open(1)
        });
        let faults = self.faults.len();
        self.text.enter()?;
        let mut is_first = true;
        while self.text.more(is_first)? {
            self.text.peek();
            if packed.is_some() {
                self.number(field, true)?;
            } else {
                self.value(field, depth)?;
            }
            is_first = false;
            if self.faults.len() > faults {
                self.text.skip_rest()?;
                break;
            }
        }
        if let Some(open) = packed {
            self.close(open);
            if is_first {
                self.out.truncate(start);
            }
        }
        Ok(())
    }

    /// One value of a field, with its tag.
    #[inline(always)]
    fn value(&mut self, field: &'static Field, depth: u32) -> Result<(), NotJson> {
        match field.kind {
            Kind::Message(_) if self.text.peek() != b'{' => self.unfit("expected an object"),
            Kind::Message(_) if depth == 0 => self.unfit("more than 100 objects in one another"),
            Kind::Message(message) => {
                self.tag(field.number, LENGTH);
                let open = self.open(self.sizes[depth as usize]);
                self.message(message, depth - 1)?;
                self.sizes[depth as usize] = self.close(open);
                Ok(())
            }
            Kind::Text => self.string(field),
            Kind::Id => self.bytes(field, scalar::write_unhex),
            Kind::Bytes => self.bytes(field, scalar::write_unbase64),
            _ => self.number(field, false),
        }
    }

    fn string(&mut self, field: &Field) -> Result<(), NotJson> {
        if self.text.peek() != b'"' {
            return self.unfit("expected a string");
        }
        let text = self.text.text()?;
        if let Some(plain) = text.plain() {
            if !plain.is_empty() || field.presence != Presence::Implicit {
                self.tag(field.number, LENGTH);
                push_varint(&mut self.out, plain.len() as u64);
                self.out.extend_from_slice(plain);
            }
        } else {
            self.tag(field.number, LENGTH);
            let open = self.open(1);
            text.write(&mut self.out);
            self.close(open);
        }
        Ok(())
    }

    fn bytes(
        &mut self,
        field: &Field,
        write: impl FnOnce(&Scalar, &mut Vec<u8>) -> Result<(), Wrong>,
    ) -> Result<(), NotJson> {
        let (at, start) = (self.text.at, self.out.len());
        let value = self.scalar()?;
        self.tag(field.number, LENGTH);
        let open = self.open(1);
        let content = self.out.len();
        if let Err(reason) = write(&value, &mut self.out) {
            self.fault(at, reason);
        }
        let is_empty = self.out.len() == content;
        self.close(open);
        if is_empty && field.presence == Presence::Implicit {
            self.out.truncate(start);
        }
        Ok(())
    }

    fn number(&mut self, field: &Field, is_packed: bool) -> Result<(), NotJson> {
        let at = self.text.at;
        let value = self.scalar()?;
        match scalar::number(field.kind, &value) {
            Ok(wire) if wire.is_default() && field.presence == Presence::Implicit => {}
            Ok(wire) => {
                if !is_packed {
                    self.tag(field.number, wire.wire_type());
                }
                match wire {
                    Wire::Varint(value) => push_varint(&mut self.out, value),
                    Wire::Fixed32(value) => self.out.extend_from_slice(&value.to_le_bytes()),
                    Wire::Fixed64(value) => self.out.extend_from_slice(&value.to_le_bytes()),
                }
            }
            Err(reason) => self.fault(at, reason),
        }
        Ok(())
    }

    /// The scalar that begins here; of an array or an object nothing that a field could take.
    #[inline(always)]
    fn scalar(&mut self) -> Result<Scalar<'a>, NotJson> {
        match self.text.peek() {
            b'[' | b'{' => {
                self.text.skip()?;
                Ok(Scalar::Null)
            }
            _ => self.text.scalar(),
        }
    }

    #[inline(always)]
    fn tag(&mut self, number: u32, wire_type: u32) {
        push_varint(&mut self.out, (number << 3 | wire_type).into());
    }

    /// Leave room for the size of what comes.
    #[inline(always)]
    fn open(&mut self, reserved: usize) -> Open {
        self.out.resize(self.out.len() + reserved, 0);
        Open { start: self.out.len(), reserved }
    }

    /// Write the size of what came; gives how many bytes that took.
    #[inline(always)]
    fn close(&mut self, Open { start, reserved }: Open) -> usize {
        let end = self.out.len();
        let mut size = end - start;
        let needed = varint_size(size);
        if needed != reserved {
            self.out.resize(end.max(end + needed - reserved), 0);
            self.out.copy_within(start..end, start + needed - reserved);
            self.out.truncate(end + needed - reserved);
        }
        let mut at = start - reserved;
        while size > 0x7f {
            self.out[at] = size as u8 | 0x80;
            size >>= 7;
            at += 1;
        }
        self.out[at] = size as u8;
        needed
    }
}

const LENGTH: u32 = 2;

impl Wire {
    fn wire_type(self) -> u32 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Fixed32(_) => 5,
        }
    }
}

fn varint_size(value: usize) -> usize {
    let bits = usize::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// The field of a name, most likely the expected one, and whether the name is in a snake_case that has another spelling.
#[inline(always)]
fn find(message: &Message, name: &[u8], expected: usize) -> Option<(usize, bool)> {
    let (before, after) = message.0.split_at(expected);
    let is_named = |field: &Field| field.json_name.as_bytes() == name;
    if let Some(index) = after.iter().position(is_named) {
        return Some((expected + index, false));
    }
    if let Some(index) = before.iter().position(is_named) {
        return Some((index, false));
    }
    message.0.iter().position(|field| field.name.as_bytes() == name).map(|index| (index, true))
}
