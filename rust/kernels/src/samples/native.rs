//! Exponential histograms as Prometheus' native ones.

use super::STALE_MARKER;
use crate::metrics::{Buckets, Point};

const MAX_SCHEMA: i32 = 8;
const MIN_SCHEMA: i32 = -4;
/// Up to so many empty buckets cost less than a span.
const MAX_GAP: usize = 2;

/// A histogram of integers.
#[derive(Default)]
pub struct NativeHistogram {
    pub count: u64,
    pub sum: f64,
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: u64,
    pub positive: Spans,
    pub negative: Spans,
}

/// Offsets and lengths, and what each bucket has more than the one before.
#[derive(Default)]
pub struct Spans {
    pub spans: Vec<(i32, u32)>,
    pub deltas: Vec<i64>,
}

impl NativeHistogram {
    /// That of a series which went away.
    pub fn stale() -> Self {
        Self { sum: f64::from_bits(STALE_MARKER), ..Self::default() }
    }

    /// Of a point; None where its buckets are too wide, or too far away, for Prometheus.
    pub fn new(point: &Point) -> Option<Self> {
        if point.scale < MIN_SCHEMA {
            return None;
        }
        let schema = point.scale.min(MAX_SCHEMA);
        let shift = i64::from(point.scale) - i64::from(schema);
        Some(Self {
            count: point.count,
            sum: point.sum.unwrap_or(0.0),
            schema,
            zero_threshold: point.zero_threshold,
            zero_count: point.zero_count,
            positive: Spans::new(&point.positive, shift)?,
            negative: Spans::new(&point.negative, shift)?,
        })
    }
}

impl Spans {
    /// Of buckets of which 2^shift become one.
    fn new(buckets: &Buckets, shift: i64) -> Option<Self> {
        let offset = i64::from(buckets.offset);
        // From a shift of 63 on there are two buckets, below and above 1.
        let merged = |index: usize| (offset + index as i64) >> shift.min(63);
        let mut counts: Vec<(i64, u64)> = vec![];
        for (index, &count) in buckets.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            match counts.last_mut() {
                Some((last, total)) if *last == merged(index) => *total = total.wrapping_add(count),
                _ => counts.push((merged(index), count)),
            }
        }
        let mut made = Self::default();
        let (mut end, mut before) = (0_i64, 0_u64);
        for (index, count) in counts {
            // OTLP numbers a bucket by its lower bound, Prometheus by its upper one.
            let index = index + 1;
            let gap = index - end;
            match made.spans.last_mut() {
                Some((_, length)) if gap <= MAX_GAP as i64 => {
                    for _ in 0..gap {
                        made.deltas.push(0_u64.wrapping_sub(before) as i64);
                        before = 0;
                    }
                    *length += gap as u32 + 1;
                }
                _ => made.spans.push((i32::try_from(gap).ok()?, 1)),
            }
            made.deltas.push(count.wrapping_sub(before) as i64);
            (before, end) = (count, index + 1);
        }
        Some(made)
    }
}
