//! The way through messages that are much alike: what the last one looked like says where to step in the next.
//!
//! Walking a message is a chain of loads, each for the length of one field. Expecting the lengths of the last message,
//! and only checking them, breaks the chain. Nothing is taken for granted: a step is made where the bytes prove it.

use super::super::values::Attribute;
use super::super::wire::{Content, Field, Fields, MAX_DEPTH, plain_attribute};

/// Messages of more fields are walked without a trail from here on.
const MAX_STEPS: usize = 64;
const LENGTH: u64 = 0x7f00;

/// The fields before what is looked for, as they were in the last message.
#[derive(Clone, Default)]
pub struct Trail {
    steps: Vec<Step>,
}

/// A field, by its first eight bytes.
#[derive(Clone, Copy)]
struct Step {
    /// The bits that say that it is the same kind of field, and not the one that is looked for.
    mask: u64,
    bits: u64,
    advance: Advance,
}

#[derive(Clone, Copy, PartialEq)]
enum Advance {
    /// By as many bytes.
    By(usize),
    /// By the length in the second byte.
    ByLength,
    /// By looking at the field.
    ByLook,
}

/// Where fields were found: how many, and where the last one begins.
#[derive(Clone, Copy)]
pub struct Hits {
    pub count: usize,
    pub at: usize,
}

/// What a field is to who looks for another one.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    Wanted,
    /// An attribute with another key.
    Attribute,
    Other,
}

impl Trail {
    /// The first attribute with a key.
    #[inline(always)]
    pub fn attribute(&mut self, message: &[u8], number: u32, key: &[u8]) -> Hits {
        self.walk(message, key, true, |field| match field.content {
            Content::Length(entry) if field.number == number => {
                let is_wanted = match plain_attribute(entry) {
                    Some((name, _)) => name == key,
                    None => Attribute::read(entry).key == key,
                };
                if is_wanted { Look::Wanted } else { Look::Attribute }
            }
            _ => Look::Other,
        })
    }

    /// The fields with a number.
    #[inline(always)]
    pub fn field(&mut self, message: &[u8], number: u32) -> Hits {
        let look = |field: &Field| if field.number == number { Look::Wanted } else { Look::Other };
        self.walk(message, &[], false, look)
    }

    #[inline(always)]
    fn walk(&mut self, message: &[u8], key: &[u8], is_first_enough: bool, look: impl Fn(&Field) -> Look) -> Hits {
        let mut hits = Hits { count: 0, at: 0 };
        let (mut at, mut count) = (0, 0);
        while let Some(step) = self.steps.get_mut(count)
            && let Some(bytes) = message.get(at..).and_then(<[u8]>::first_chunk)
        {
            let word = u64::from_le_bytes(*bytes);
            let difference = (word ^ step.bits) & step.mask;
            if difference != 0 && !step.admit(difference) {
                break;
            }
            at = match step.advance {
                Advance::By(length) => at + length,
                Advance::ByLength => at + 2 + (word >> 8 & 0x7f) as usize,
                Advance::ByLook => {
                    let Some(field) = read(message, at) else { return hits };
                    if look(&field) == Look::Wanted {
                        hits = Hits { count: hits.count + 1, at };
                        if is_first_enough {
                            return hits;
                        }
                    }
                    field.end
                }
            };
            count += 1;
        }
        // From here on it looks different, or it is what is looked for.
        while let Some(field) = read(message, at) {
            let looked = look(&field);
            if looked == Look::Wanted {
                hits = Hits { count: hits.count + 1, at };
                if is_first_enough {
                    return hits;
                }
            }
            if let Some(bytes) = message[at..].first_chunk()
                && count < MAX_STEPS
            {
                self.steps.truncate(count);
                self.steps.push(Step::past(&field, u64::from_le_bytes(*bytes), looked, key));
                count += 1;
            }
            at = field.end;
        }
        hits
    }
}

impl Step {
    /// The step past a field with these first bytes.
    fn past(field: &Field, word: u64, look: Look, key: &[u8]) -> Self {
        let by_look = Self { mask: 0, bits: 0, advance: Advance::ByLook };
        let size = field.end - field.start;
        // For what is not length-delimited the body is all behind the tag.
        let has_short_tag = field.body == field.start + 1;
        let mask = match (field.content, look) {
            (_, Look::Wanted) => return by_look,
            (Content::Varint(_), _) if has_short_tag && size == 2 => 0x80ff,
            (Content::Fixed64(_) | Content::Fixed32(_), _) if has_short_tag => 0xff,
            (Content::Length(content), look) if content.len() < 0x80 && size == 2 + content.len() => {
                let mask = if look == Look::Attribute { other_key(content, key) } else { Some(0xffff) };
                match mask {
                    Some(mask) => mask,
                    None => return by_look,
                }
            }
            _ => return by_look,
        };
        Self { mask, bits: word & mask, advance: Advance::By(size) }
    }

    /// Take a field that differs in its length alone, now and from now on.
    #[cold]
    fn admit(&mut self, difference: u64) -> bool {
        let is_delimited = self.bits & 7 == 2 && self.mask & LENGTH == LENGTH;
        if !is_delimited || difference & !LENGTH != 0 {
            return false;
        }
        self.mask &= !LENGTH;
        self.bits &= self.mask;
        self.advance = Advance::ByLength;
        true
    }
}

/// The mask of the bytes that tell an entry from one with the key; None where these do not.
fn other_key(entry: &[u8], key: &[u8]) -> Option<u64> {
    const TAG: u8 = 0x0a;
    let (&[tag, size], rest) = entry.split_first_chunk()?;
    if tag != TAG || size >= 0x80 {
        return None;
    }
    // Tag and length of the entry, tag and length of its key, and then the key.
    if usize::from(size) != key.len() {
        return Some(0xffff_ffff);
    }
    let differs = rest.iter().zip(key).take(4).any(|(a, b)| a != b);
    (differs && key.len() >= 4).then_some(u64::MAX)
}

/// The field that begins at a place.
#[inline(always)]
pub fn read(message: &[u8], at: usize) -> Option<Field<'_>> {
    Fields::within(message, at, message.len(), MAX_DEPTH).next()
}
