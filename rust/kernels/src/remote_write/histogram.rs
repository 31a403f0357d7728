//! Native histograms: Prometheus' spans of buckets as OTLP's.

use super::tree::{nano, push_bytes, push_fixed};
use super::{Reason, STALE_MARKER, Version};
use crate::wire::{Content, Fields, push_varint, varint};

/// The schema of custom buckets.
const CUSTOM: i32 = -53;
/// Prometheus knows those up to 8 and would merge the buckets of finer ones; OTLP has them all.
const EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=52;
const GAUGE: u64 = 3;
/// More buckets than these, empty ones between spans included, no histogram has.
const MAX_BUCKETS: u64 = 16_384;
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// A histogram that OTLP can have.
pub struct Histogram {
    pub start: u64,
    pub time: u64,
    count: u64,
    sum: u64,
    schema: i32,
    zero_threshold: u64,
    zero_count: u64,
    positive: Buckets,
    negative: Buckets,
    bounds: Vec<f64>,
}

/// Counts, the first of the bucket with this number in Prometheus' way of numbering.
#[derive(Default)]
struct Buckets {
    offset: i32,
    counts: Vec<u64>,
}

/// A count: of integers, or of floats that need not be whole.
#[derive(Clone, Copy)]
enum Count {
    Int(u64),
    Float(f64),
}

impl Default for Count {
    fn default() -> Self {
        Self::Int(0)
    }
}

#[derive(Default)]
struct Side {
    /// Offsets and lengths.
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

impl Histogram {
    /// Read a message.
    pub fn read(version: Version, message: &[u8]) -> Result<Self, Reason> {
        let (mut count, mut zero_count) = (Count::default(), Count::default());
        let (mut sum, mut zero_threshold, mut hint, mut time, mut start, mut schema) = (0, 0, 0, 0, 0, 0);
        let (mut positive, mut negative, mut bounds) = (Side::default(), Side::default(), vec![]);
        for field in Fields::new(message) {
            match (field.number, field.content) {
                (1, Content::Varint(number)) => count = Count::Int(number),
                (2, Content::Fixed64(bits)) => count = Count::Float(f64::from_bits(bits)),
                (3, Content::Fixed64(bits)) => sum = bits,
                (4, Content::Varint(number)) => schema = unzigzag(number as u32 as u64) as i32,
                (5, Content::Fixed64(bits)) => zero_threshold = bits,
                (6, Content::Varint(number)) => zero_count = Count::Int(number),
                (7, Content::Fixed64(bits)) => zero_count = Count::Float(f64::from_bits(bits)),
                (8..=10, content) => negative.read(field.number - 8, content),
                (11..=13, content) => positive.read(field.number - 11, content),
                (14, Content::Varint(number)) => hint = number as u32 as u64,
                (15, Content::Varint(milli)) => time = milli as i64,
                (16, content) => read_doubles(content, &mut bounds),
                (17, Content::Varint(milli)) if version == Version::V2 => start = milli as i64,
                _ => {}
            }
        }
        if schema != CUSTOM && !EXPONENTIAL.contains(&schema) {
            return Err(Reason::HistogramSchema);
        }
        let mut histogram = Self {
            start: nano(start).unwrap_or(0),
            time: nano(time).ok_or(Reason::Time)?,
            count: 0,
            sum,
            schema,
            zero_threshold,
            zero_count: 0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            bounds,
        };
        if sum == STALE_MARKER {
            return Ok(histogram);
        }
        if hint == GAUGE {
            return Err(Reason::HistogramGauge);
        }
        let is_float = matches!(count, Count::Float(_));
        histogram.positive = positive.buckets(is_float)?;
        histogram.negative = negative.buckets(is_float)?;
        histogram.count = whole(count)?;
        histogram.zero_count = whole(zero_count)?;
        histogram.check_bounds(&negative)?;
        if !is_float {
            histogram.check_count()?;
        }
        Ok(histogram)
    }

    /// Whether the buckets have bounds of their own.
    pub fn is_explicit(&self) -> bool {
        self.schema == CUSTOM
    }

    fn is_stale(&self) -> bool {
        self.sum == STALE_MARKER
    }

    fn check_bounds(&self, negative: &Side) -> Result<(), Reason> {
        if !self.is_explicit() {
            return if self.bounds.is_empty() { Ok(()) } else { Err(Reason::HistogramBuckets) };
        }
        let is_rising = self.bounds.is_sorted_by(|one, other| one < other);
        let is_number = self.bounds.iter().all(|bound| !bound.is_nan());
        let is_open = self.bounds.last().is_none_or(|bound| *bound < f64::INFINITY);
        let others = self.zero_count > 0 || f64::from_bits(self.zero_threshold) != 0.0 || !negative.spans.is_empty();
        let buckets = i64::from(self.positive.offset) + self.positive.counts.len() as i64;
        let fits = self.positive.offset >= 0 && buckets <= self.bounds.len() as i64 + 1;
        if !is_rising || !is_number || !is_open || others || !fits {
            return Err(Reason::HistogramBuckets);
        }
        if self.bounds.len() as u64 > MAX_BUCKETS { Err(Reason::HistogramWidth) } else { Ok(()) }
    }

    /// The buckets have all observations but those that are not numbers, which the sum tells of.
    fn check_count(&self) -> Result<(), Reason> {
        let counts = self.positive.counts.iter().chain(&self.negative.counts).chain([&self.zero_count]);
        let observed: u128 = counts.map(|&count| u128::from(count)).sum();
        let count = u128::from(self.count);
        let fits = if f64::from_bits(self.sum).is_nan() { observed <= count } else { observed == count };
        if fits { Ok(()) } else { Err(Reason::HistogramCount) }
    }

    /// Append a `HistogramDataPoint`.
    pub fn write_explicit<'e>(
        &self,
        out: &mut Vec<u8>,
        exemplars: impl Iterator<Item = &'e [u8]>,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) {
        self.write_times(out);
        if !self.is_stale() {
            self.write_count_and_sum(out);
            let mut counts = vec![0; self.bounds.len() + 1];
            let from = self.positive.offset.max(0) as usize;
            for (count, found) in counts.iter_mut().skip(from).zip(&self.positive.counts) {
                *count = *found;
            }
            push_numbers(out, 0x32, counts.iter().map(|count| count.to_le_bytes()));
            push_numbers(out, 0x3a, self.bounds.iter().map(|bound| bound.to_le_bytes()));
        }
        exemplars.for_each(|exemplar| push_bytes(out, 0x42, exemplar));
        attributes(out);
        if self.is_stale() {
            out.extend_from_slice(&[0x50, 1]);
        }
    }

    /// Append an `ExponentialHistogramDataPoint`.
    pub fn write_exponential<'e>(
        &self,
        out: &mut Vec<u8>,
        exemplars: impl Iterator<Item = &'e [u8]>,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) {
        attributes(out);
        self.write_times(out);
        if !self.is_stale() {
            self.write_count_and_sum(out);
        }
        if self.schema != 0 {
            out.push(0x30);
            push_varint(out, zigzag(self.schema));
        }
        if self.zero_count > 0 {
            push_fixed(out, 0x39, self.zero_count);
        }
        self.positive.write(out, 0x42);
        self.negative.write(out, 0x4a);
        if self.is_stale() {
            out.extend_from_slice(&[0x50, 1]);
        }
        exemplars.for_each(|exemplar| push_bytes(out, 0x5a, exemplar));
        if self.zero_threshold != 0 {
            push_fixed(out, 0x71, self.zero_threshold);
        }
    }

    fn write_times(&self, out: &mut Vec<u8>) {
        if self.start > 0 {
            push_fixed(out, 0x11, self.start);
        }
        push_fixed(out, 0x19, self.time);
    }

    fn write_count_and_sum(&self, out: &mut Vec<u8>) {
        if self.count > 0 {
            push_fixed(out, 0x21, self.count);
        }
        push_fixed(out, 0x29, self.sum);
    }
}

impl Buckets {
    fn write(&self, out: &mut Vec<u8>, tag: u8) {
        if self.counts.is_empty() {
            return;
        }
        let mut message = vec![];
        // Prometheus numbers a bucket by its upper bound, OTLP by its lower one.
        let offset = self.offset - 1;
        if offset != 0 {
            message.push(0x08);
            push_varint(&mut message, zigzag(offset));
        }
        let mut packed = vec![];
        self.counts.iter().for_each(|&count| push_varint(&mut packed, count));
        push_bytes(&mut message, 0x12, &packed);
        push_bytes(out, tag, &message);
    }
}

impl Side {
    /// Read one of spans, deltas and counts.
    fn read(&mut self, which: u32, content: Content) {
        match (which, content) {
            (0, Content::Length(message)) => {
                let (mut offset, mut length) = (0, 0);
                for field in Fields::new(message) {
                    match (field.number, field.content) {
                        (1, Content::Varint(number)) => offset = unzigzag(number as u32 as u64) as i32,
                        (2, Content::Varint(number)) => length = number as u32,
                        _ => {}
                    }
                }
                self.spans.push((offset, length));
            }
            (1, Content::Varint(number)) => self.deltas.push(unzigzag(number)),
            (1, Content::Length(packed)) => {
                let mut at = 0;
                while let Ok((number, end)) = varint(packed, at) {
                    self.deltas.push(unzigzag(number));
                    at = end;
                }
            }
            (2, content) => read_doubles(content, &mut self.counts),
            _ => {}
        }
    }

    /// The counts of all buckets from the first to the last one.
    fn buckets(&self, is_float: bool) -> Result<Buckets, Reason> {
        let given = if is_float { self.counts.len() } else { self.deltas.len() };
        let spanned: u64 = self.spans.iter().map(|(_, length)| u64::from(*length)).sum();
        if self.spans.iter().skip(1).any(|(offset, _)| *offset < 0) || spanned != given as u64 {
            return Err(Reason::HistogramBuckets);
        }
        let between: u64 = self.spans.iter().skip(1).map(|(offset, _)| offset.unsigned_abs() as u64).sum();
        if spanned + between > MAX_BUCKETS {
            return Err(Reason::HistogramWidth);
        }
        let mut buckets = Buckets { offset: self.spans.first().map_or(0, |(offset, _)| *offset), counts: vec![] };
        if buckets.offset == i32::MIN {
            return Err(Reason::HistogramBuckets);
        }
        let (mut at, mut last) = (0, 0_i64);
        for (index, &(offset, length)) in self.spans.iter().enumerate() {
            if index > 0 {
                buckets.counts.resize(buckets.counts.len() + offset as usize, 0);
            }
            for _ in 0..length {
                let count = if is_float {
                    whole(Count::Float(self.counts[at]))?
                } else {
                    last = last.checked_add(self.deltas[at]).ok_or(Reason::HistogramBuckets)?;
                    u64::try_from(last).map_err(|_| Reason::HistogramBuckets)?
                };
                buckets.counts.push(count);
                at += 1;
            }
        }
        Ok(buckets)
    }
}

/// A count that OTLP can have.
fn whole(count: Count) -> Result<u64, Reason> {
    match count {
        Count::Int(count) => Ok(count),
        Count::Float(count) if !(0.0..TWO_TO_64).contains(&count) => Err(Reason::HistogramBuckets),
        Count::Float(count) if count.fract() != 0.0 => Err(Reason::HistogramFraction),
        Count::Float(count) => Ok(count as u64),
    }
}

fn read_doubles(content: Content, out: &mut Vec<f64>) {
    match content {
        Content::Fixed64(bits) => out.push(f64::from_bits(bits)),
        Content::Length(packed) => out.extend(packed.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk))),
        _ => {}
    }
}

/// Append a packed field of numbers of eight bytes; none at all for no numbers.
fn push_numbers(out: &mut Vec<u8>, tag: u8, numbers: impl ExactSizeIterator<Item = [u8; 8]>) {
    if numbers.len() > 0 {
        out.push(tag);
        push_varint(out, numbers.len() as u64 * 8);
        numbers.for_each(|number| out.extend_from_slice(&number));
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn zigzag(number: i32) -> u64 {
    u64::from((number << 1 ^ number >> 31) as u32)
}
