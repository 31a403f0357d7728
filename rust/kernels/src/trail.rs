//! The way through messages that are much alike: what those before looked like says where to step in the next.
//!
//! Walking a message is a chain of loads, each for the length of one field. Expecting the lengths of the last message,
//! and only checking them, breaks the chain. Nothing is taken for granted: a step is made where the bytes prove it.

use super::wire::{Content, Field, Fields, MAX_DEPTH, plain_attribute, same};

/// Messages of more fields are walked without a trail from here on.
const MAX_STEPS: usize = 64;
/// How far to look for where a message that lacks some fields goes on.
const LOOK_AHEAD: usize = 8;
/// The lower bits of the second byte, and of the second and the third.
const LENGTH: u64 = 0x7f00;
const LONG_LENGTH: u64 = 0x7f_7f00;
/// The tag of the value in a `KeyValue`.
const VALUE: u8 = 0x12;

/// What is looked for in messages of one kind.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The field number of the attributes, 0 for none.
    pub attributes: u32,
    keys: Vec<Box<[u8]>>,
    /// A bit for each number of a field below 64.
    fields: u64,
    /// Whether attributes with other keys are shown as well.
    pub shows_all: bool,
}

impl Wanted {
    /// Nothing yet, in messages whose attributes have this field number.
    pub fn among(attributes: u32) -> Self {
        Self { attributes, ..Self::default() }
    }

    /// Ask for the attributes with a key: the number by which they are shown.
    pub fn key(&mut self, key: &[u8]) -> usize {
        self.number(key).unwrap_or_else(|| {
            self.keys.push(key.into());
            self.keys.len() - 1
        })
    }

    /// Ask for the fields with a number below 64.
    pub fn field(&mut self, number: u32) {
        self.fields |= 1 << (number & 63);
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.fields == 0 && !self.shows_all
    }

    /// The keys by their numbers.
    pub fn keys(&self) -> &[Box<[u8]>] {
        &self.keys
    }

    /// The numbers of the fields.
    pub fn fields(&self) -> impl Iterator<Item = u32> + use<> {
        let fields = self.fields;
        (0..64).filter(move |number| fields >> number & 1 != 0)
    }

    /// The number of a key that was asked for.
    #[inline(always)]
    fn number(&self, key: &[u8]) -> Option<usize> {
        self.keys.iter().position(|known| same(known, key))
    }

    #[inline(always)]
    fn has_field(&self, number: u32) -> bool {
        number < 64 && self.fields >> number & 1 != 0
    }
}

/// What was found.
pub enum Hit<'m> {
    Attribute(Entry<'m>),
    Field(Field<'m>),
}

/// An attribute where it stands.
pub struct Entry<'m> {
    /// Of its key; None for one that was not asked for.
    pub number: Option<usize>,
    pub start: usize,
    pub end: usize,
    /// The `KeyValue`.
    pub message: &'m [u8],
    /// Key and value, if it has the form in which nearly all are written.
    pub plain: Option<(&'m [u8], &'m [u8])>,
}

/// The fields of the messages before, in order.
#[derive(Clone, Default)]
pub struct Trail {
    steps: Vec<Step>,
}

/// A field, by its first eight bytes.
#[derive(Clone, Copy)]
struct Step {
    /// The bits that say that it is the same kind of field.
    mask: u64,
    bits: u64,
    advance: Advance,
    /// How many bytes to advance by, or the number of the key.
    number: u32,
    /// Of an attribute with another key where its value begins, which has to be all the rest; else 0.
    value_at: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Advance {
    /// Past what is not looked for, by as many bytes.
    By,
    /// Past it by the length in the second byte, or in the second and the third.
    ByLength,
    ByLongLength,
    /// It is an attribute with the length and the first bytes of a key.
    Key,
    /// By looking at the field.
    ByLook,
}

/// A field that was looked at.
struct Looked<'m> {
    field: Field<'m>,
    what: What,
    plain: Option<(&'m [u8], &'m [u8])>,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    /// The attribute with the key of this number.
    Key(usize),
    OtherKey,
    Wanted,
    Other,
}

impl Trail {
    /// Show what is looked for in a message, in order, until `visit` says false.
    #[inline(always)]
    pub fn walk<'m>(&mut self, message: &'m [u8], wanted: &Wanted, mut visit: impl FnMut(Hit<'m>) -> bool) {
        let (mut at, mut count) = (0, 0);
        loop {
            if wanted.shows_all {
                // What is shown has to be read whatever is known of it: no steps are made of it.
                while let Some((entry, plain)) = attribute_at(message, at, wanted.attributes) {
                    let (start, end, number) = (at, at + 2 + entry.len(), wanted.number(plain.0));
                    if !visit(Hit::Attribute(Entry { number, start, end, message: entry, plain: Some(plain) })) {
                        return;
                    }
                    at = end;
                }
            }
            (at, count) = self.pass(message, at, count);
            if at >= message.len() {
                return;
            }
            let (start, word) = (at, word_at(message, at));
            let step = self.steps.get(count).filter(|step| (word ^ step.bits) & step.mask == 0);
            let is_known = step.is_some();
            if let Some(step) = step {
                count += 1;
                match step.advance {
                    Advance::Key => {
                        let (number, end) = (step.number as usize, start + 2 + short_length(word));
                        let entry = message.get(start + 2..end).unwrap_or_default();
                        let plain = plain_attribute(entry);
                        if plain.is_some_and(|plain| same(plain.0, &wanted.keys[number])) {
                            let number = Some(number);
                            if !visit(Hit::Attribute(Entry { number, start, end, message: entry, plain })) {
                                return;
                            }
                            at = end;
                            continue;
                        }
                    }
                    Advance::By | Advance::ByLength | Advance::ByLongLength => {
                        let end = start + step.length(word);
                        if step.value_at == 0 || is_value(message, start + step.value_at as usize, end) {
                            at = end;
                            continue;
                        }
                    }
                    Advance::ByLook => {}
                }
            } else if let Some(further) = self.rejoin(count, word) {
                count = further;
                continue;
            }
            if !is_known {
                count = self.learn(count, message, start, wanted);
            }
            let Some(looked) = look(message, start, wanted) else { return };
            if !looked.show(wanted, &mut visit) {
                return;
            }
            at = looked.field.end;
        }
    }

    /// Pass the fields that are as they were and not looked for: where the next one begins, and the number of its step.
    #[inline(always)]
    fn pass(&self, message: &[u8], mut at: usize, mut count: usize) -> (usize, usize) {
        for step in self.steps.get(count..).unwrap_or_default() {
            let Some(bytes) = message.get(at..).and_then(<[u8]>::first_chunk) else { break };
            let word = u64::from_le_bytes(*bytes);
            if (word ^ step.bits) & step.mask != 0 {
                break;
            }
            let length = match step.advance {
                Advance::By => step.number as usize,
                Advance::ByLength => 2 + short_length(word),
                _ => break,
            };
            if step.value_at > 0 {
                // In so short an attribute a value with a length of two bytes cannot end where it does.
                let value = message.get(at + step.value_at as usize..).and_then(<[u8]>::first_chunk);
                let head = usize::from(VALUE) | length.wrapping_sub(step.value_at as usize + 2) << 8;
                if value.is_none_or(|value| usize::from(u16::from_le_bytes(*value)) != head) {
                    break;
                }
            }
            at += length;
            count += 1;
        }
        (at, count)
    }

    /// Where a message goes on along the trail that is not as it was here; None where it nowhere does.
    #[inline(never)]
    fn rejoin(&mut self, count: usize, word: u64) -> Option<usize> {
        let step = self.steps.get_mut(count)?;
        if step.admits(word) {
            return Some(count);
        }
        let ahead = self.steps[count + 1..].iter().take(LOOK_AHEAD);
        let further = ahead.into_iter().position(|step| (word ^ step.bits) & step.mask == 0)?;
        Some(count + 1 + further)
    }

    /// Put a step into the trail for the messages that are to come; the number of steps so far.
    #[inline(never)]
    fn learn(&mut self, count: usize, message: &[u8], start: usize, wanted: &Wanted) -> usize {
        // Looked at here once more, for what is given by reference has to be written to memory, also where it is known.
        let Some(looked) = look(message, start, wanted) else { return count };
        if self.steps.len() == MAX_STEPS {
            self.steps.truncate(count);
        }
        if self.steps.len() == MAX_STEPS {
            return count;
        }
        self.steps.insert(count, Step::past(&looked, word_at(message, start), wanted));
        count + 1
    }
}

impl<'m> Looked<'m> {
    /// Show it if it is looked for, and tell whether to go on.
    #[inline(always)]
    fn show(&self, wanted: &Wanted, visit: &mut impl FnMut(Hit<'m>) -> bool) -> bool {
        let number = match (self.what, self.field.content) {
            (What::Other, _) => return true,
            (What::OtherKey, _) if !wanted.shows_all => return true,
            (What::Key(number), _) => Some(number),
            _ => None,
        };
        visit(match self.field.content {
            Content::Length(message) if self.what != What::Wanted => {
                let Field { start, end, .. } = self.field;
                Hit::Attribute(Entry { number, start, end, message, plain: self.plain })
            }
            _ => Hit::Field(self.field),
        })
    }
}

impl Step {
    /// The step past a field with these first bytes.
    fn past(looked: &Looked, word: u64, wanted: &Wanted) -> Self {
        const LAST_BITS: u64 = 0x8080_8080_8080_8080;
        let field = &looked.field;
        let tag = (!word & LAST_BITS).trailing_zeros() as usize / 8 + 1;
        let (head, size) = (field.body - field.start, field.end - field.start);
        let by_look = Self { mask: first(tag), bits: 0, advance: Advance::ByLook, number: 0, value_at: 0 };
        let by = |mask| Self { mask, advance: Advance::By, number: size as u32, ..by_look };
        let is_short = tag == 1 && head <= 3;
        let step = match (looked.what, field.content) {
            (What::Key(number), _) if head == 2 && looked.plain.is_some() => {
                let mask = first(4 + wanted.keys[number].len().min(4)) & !LENGTH;
                Self { mask, advance: Advance::Key, number: number as u32, ..by_look }
            }
            (What::Other, Content::Varint(_)) if size <= 8 => by(first(tag) | LAST_BITS & first(size)),
            (What::Other, Content::Fixed64(_) | Content::Fixed32(_)) => by(first(tag)),
            (What::Other, Content::Length(_)) if is_short => by(first(head)),
            (What::OtherKey, Content::Length(entry)) if is_short => {
                match (key_bytes_that_tell(entry, 8 - head - 2, wanted), looked.plain) {
                    (Some(told), Some((key, _))) if !wanted.shows_all => {
                        Self { value_at: (head + 2 + key.len()) as u32, ..by(first(head + 2 + told)) }
                    }
                    _ => by_look,
                }
            }
            _ => by_look,
        };
        Self { bits: word & step.mask, ..step }
    }

    /// How long the field with these first bytes is.
    fn length(&self, word: u64) -> usize {
        match self.advance {
            Advance::By => self.number as usize,
            Advance::ByLongLength => 3 + long_length(word),
            _ => 2 + short_length(word),
        }
    }

    /// Take a field that differs in its length alone, now and from now on.
    fn admits(&mut self, word: u64) -> bool {
        let is_long = self.bits & 0x8000 != 0;
        let (length, advance) =
            if is_long { (LONG_LENGTH, Advance::ByLongLength) } else { (LENGTH, Advance::ByLength) };
        let is_delimited = self.bits & 0x87 == 2 && self.mask & length == length;
        if self.advance != Advance::By || !is_delimited || (word ^ self.bits) & self.mask & !length != 0 {
            return false;
        }
        self.mask &= !length;
        self.bits &= self.mask;
        self.advance = advance;
        true
    }
}

/// How many of the first bytes of its key, of those that there is room for, tell an attribute from all that are
/// looked for; None where the length and these do not.
fn key_bytes_that_tell(entry: &[u8], room: usize, wanted: &Wanted) -> Option<usize> {
    const TAG: u8 = 0x0a;
    let (&[tag, size], rest) = entry.split_first_chunk()?;
    let size = usize::from(size);
    if tag != TAG || size >= 0x80 {
        return None;
    }
    let mut of_its_length = wanted.keys.iter().filter(|key| key.len() == size).peekable();
    if of_its_length.peek().is_none() {
        return Some(0);
    }
    let start = rest.get(..room.min(size))?;
    of_its_length.all(|key| !key.starts_with(start)).then_some(start.len())
}

/// The field that begins at a place; None where there is none.
#[inline(always)]
fn look<'m>(message: &'m [u8], at: usize, wanted: &Wanted) -> Option<Looked<'m>> {
    let field = Fields::within(message, at, message.len(), MAX_DEPTH).next()?;
    let mut plain = None;
    let what = match field.content {
        Content::Length(entry) if field.number == wanted.attributes => {
            plain = plain_attribute(entry);
            let key = plain.map_or_else(|| key_of(entry), |plain| plain.0);
            wanted.number(key).map_or(What::OtherKey, What::Key)
        }
        _ if wanted.has_field(field.number) => What::Wanted,
        _ => What::Other,
    };
    Some(Looked { field, what, plain })
}

/// An attribute as it is written, with its key and value.
type Attribute<'a> = (&'a [u8], (&'a [u8], &'a [u8]));

/// The attribute that begins at a place; None where there is none, or one of another form.
#[inline(always)]
fn attribute_at(message: &[u8], at: usize, number: u32) -> Option<Attribute<'_>> {
    let (&[tag, size], rest) = message.get(at..)?.split_first_chunk()?;
    if u32::from(tag) != number << 3 | 2 || size >= 0x80 {
        return None;
    }
    let entry = rest.get(..size.into())?;
    plain_attribute(entry).map(|plain| (entry, plain))
}

/// The bits of so many bytes at the beginning of a word.
fn first(bytes: usize) -> u64 {
    if bytes < 8 { (1 << (8 * bytes)) - 1 } else { u64::MAX }
}

/// The key of a `KeyValue` of any form.
#[inline(never)]
fn key_of(entry: &[u8]) -> &[u8] {
    super::values::messages(entry, 1).last().unwrap_or_default()
}

/// Whether a `KeyValue` that ends there has its value, and nothing else, from a place on.
#[inline(always)]
fn is_value(message: &[u8], at: usize, end: usize) -> bool {
    match message.get(at..).and_then(<[u8]>::first_chunk) {
        Some(&[VALUE, size @ ..0x80, _]) => at + 2 + usize::from(size) == end,
        Some(&[VALUE, size, more @ ..0x80]) => at + 3 + usize::from(size & 0x7f) + (usize::from(more) << 7) == end,
        _ => false,
    }
}

/// The next eight bytes; behind the end of the message there are zeros.
#[inline(always)]
fn word_at(message: &[u8], at: usize) -> u64 {
    match message.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => last_word(message, at),
    }
}

/// The same where fewer than eight bytes are left.
fn last_word(message: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    let left = message.get(at..).unwrap_or_default();
    bytes.iter_mut().zip(left).for_each(|(byte, left)| *byte = *left);
    u64::from_le_bytes(bytes)
}

#[inline(always)]
fn short_length(word: u64) -> usize {
    (word >> 8 & 0x7f) as usize
}

#[inline(always)]
fn long_length(word: u64) -> usize {
    (word >> 8 & 0x7f | (word >> 16 & 0x7f) << 7) as usize
}
