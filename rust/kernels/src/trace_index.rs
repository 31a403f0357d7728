//! Which spans belong to one trace, and what can be said of a trace without looking into attributes.

use std::collections::HashMap;

use super::view::View;
use super::wire::{Content, Fields};

/// Of a trace: one of its spans has the W3C flag "sampled".
pub const SAMPLED: u8 = 1;
/// Of a trace: one of its spans has no parent.
pub const ROOT: u8 = 2;

type TraceId = [u8; 16];

/// The traces of a view of spans, in the order in which the first span of each comes.
#[derive(Default)]
pub struct TraceIndex {
    /// Zeros where an id does not have 16 bytes.
    pub ids: Vec<TraceId>,
    /// For every span the number of its trace.
    pub numbers: Vec<u32>,
    /// For every trace the number of its spans.
    pub spans: Vec<u32>,
    /// The bytes of its spans, with tags and lengths, but without what they belong to.
    pub sizes: Vec<u64>,
    /// When the first one started, in nanoseconds; 0 where none says that.
    pub starts: Vec<u64>,
    /// When the last one ended.
    pub ends: Vec<u64>,
    /// `SAMPLED` and `ROOT`.
    pub marks: Vec<u8>,
}

/// What is needed of a span.
#[derive(Default)]
struct Span {
    id: TraceId,
    start: u64,
    end: u64,
    is_sampled: bool,
    has_parent: bool,
}

impl Span {
    fn read(message: &[u8]) -> Self {
        let mut span = Self::default();
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, Content::Length(id)) => span.id = id.try_into().unwrap_or_default(),
                (4, Content::Length(id)) => span.has_parent = id.iter().any(|byte| *byte != 0),
                (7, Content::Fixed64(time)) => span.start = time,
                (8, Content::Fixed64(time)) => span.end = time,
                (16, Content::Fixed32(flags)) => span.is_sampled = flags & 1 != 0,
                _ => {}
            }
        }
        span
    }

    fn marks(&self) -> u8 {
        u8::from(self.is_sampled) * SAMPLED + u8::from(!self.has_parent) * ROOT
    }
}

impl TraceIndex {
    /// The traces of a view.
    pub fn new(view: &View) -> Self {
        let mut made = Self { numbers: Vec::with_capacity(view.items.len()), ..Self::default() };
        let mut by_id: HashMap<TraceId, usize> = HashMap::new();
        view.visit(|item| {
            let span = Span::read(item.message);
            // Neighbours often belong together.
            let last = made.numbers.last().map(|number| *number as usize);
            let number = last.filter(|last| made.ids[*last] == span.id);
            let number = number.unwrap_or_else(|| *by_id.entry(span.id).or_insert_with(|| made.open(span.id)));
            made.add(number, &span, sized(item.message.len()));
        });
        made
    }

    /// The number of a new trace.
    fn open(&mut self, id: TraceId) -> usize {
        self.ids.push(id);
        self.spans.push(0);
        self.sizes.push(0);
        self.starts.push(0);
        self.ends.push(0);
        self.marks.push(0);
        self.ids.len() - 1
    }

    fn add(&mut self, number: usize, span: &Span, size: usize) {
        self.numbers.push(number as u32);
        self.spans[number] += 1;
        self.sizes[number] += size as u64;
        let start = &mut self.starts[number];
        if span.start != 0 && (*start == 0 || span.start < *start) {
            *start = span.start;
        }
        self.ends[number] = self.ends[number].max(span.end);
        self.marks[number] |= span.marks();
    }

    /// For every trace 1 where the byte of one of its spans is not 0, of one byte for each span, else 0.
    pub fn any(&self, mask: &[u8]) -> Vec<u8> {
        let mut found = vec![0; self.ids.len()];
        for (number, byte) in self.numbers.iter().zip(mask) {
            if *byte != 0 {
                found[*number as usize] = 1;
            }
        }
        found
    }

    /// So many views, each with the spans of the traces that have its number, of one number for each trace.
    ///
    /// None instead of a view that would have all spans.
    pub fn split(&self, view: &View, parts: &[u32], count: usize) -> Vec<Option<View>> {
        let Some(first) = parts.first() else { return vec![] };
        if count == 1 && parts.iter().all(|part| part == first) && *first == 0 {
            return vec![None];
        }
        let numbers: Vec<_> = self.numbers.iter().map(|number| parts[*number as usize]).collect();
        view.partition(&numbers, count).into_iter().map(Some).collect()
    }

    /// For every trace the FNV-1a hash with 64 bits of a salt with the id behind it.
    pub fn hashes(&self, salt: &[u8]) -> Vec<u64> {
        let seed = fnv1a(0xcbf2_9ce4_8422_2325, salt);
        self.ids.iter().map(|id| fnv1a(seed, id)).collect()
    }
}

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The bytes of a message of a size in its field, whose tag has one byte.
fn sized(size: usize) -> usize {
    let bits = usize::BITS - (size | 1).leading_zeros();
    1 + bits.div_ceil(7) as usize + size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_tag_and_a_length() {
        assert_eq!([0, 127, 128, 16383, 16384].map(sized), [2, 129, 131, 16386, 16388]);
    }

    #[test]
    fn hashes_are_those_of_the_definition() {
        assert_eq!(fnv1a(0xcbf2_9ce4_8422_2325, b"foobar"), 0x8594_4171_f739_67e8);
    }
}
