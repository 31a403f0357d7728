//! What the machine can do at all: copy a request, and visit every field of it.

use std::hint::black_box;
use std::time::Instant;

use airis_payloads::{Kind, payload};

use super::Fault;
use super::arguments::Arguments;

const ITEMS: usize = 512;
const ROUNDS: usize = 50;
const REPEATS: usize = 15;
/// Fields to go down into: resource spans, scope spans, span, attribute, value. All others are stepped over.
const INSIDE: [&[u32]; 6] = [&[1], &[1, 2], &[1, 2], &[9], &[2], &[]];

/// `airis-load control`: seconds per million spans, the best of some repeats.
pub fn measure(arguments: Arguments) -> Result<(), Fault> {
    arguments.end()?;
    let spans = payload(Kind::Spans, ITEMS, 1, super::bodies::now()).bytes;
    let mut copy = vec![0; spans.len()];
    let copying = per_million(|| {
        copy.copy_from_slice(black_box(&spans));
        black_box(&copy);
    });
    let walking = per_million(|| {
        black_box(walk(black_box(&spans), &INSIDE));
    });
    println!("{{\"walk\": {walking:.4}, \"copy\": {copying:.4}}}");
    Ok(())
}

fn per_million(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    best / (ROUNDS * ITEMS) as f64 * 1e6
}

/// Visit every field, without a check; the number of fields.
fn walk(data: &[u8], inside: &[&[u32]]) -> usize {
    let Some((numbers, below)) = inside.split_first() else { return 0 };
    let (mut at, mut fields) = (0, 0);
    while at < data.len() {
        let tag;
        (tag, at) = varint(data, at);
        fields += 1;
        match tag & 7 {
            0 => at = varint(data, at).1,
            1 => at += 8,
            2 => {
                let size;
                (size, at) = varint(data, at);
                let end = (at + size as usize).min(data.len());
                if numbers.contains(&((tag >> 3) as u32)) {
                    fields += walk(&data[at..end], below);
                }
                at = end;
            }
            _ => at += 4,
        }
    }
    fields
}

fn varint(data: &[u8], mut at: usize) -> (u64, usize) {
    let (mut number, mut shift) = (0, 0);
    while let Some(&byte) = data.get(at) {
        number |= u64::from(byte & 0x7f) << (shift & 63);
        (at, shift) = (at + 1, shift + 7);
        if byte < 0x80 {
            break;
        }
    }
    (number, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_request_is_visited() {
        let fields = |items| walk(&payload(Kind::Spans, items, 1, 1 << 60).bytes, &INSIDE);
        // 7 fields of the span, 10 attributes, each with a key and a value that has one field; and the span itself.
        assert_eq!(fields(101) - fields(100), 1 + 7 + 10 + 10 * 2 + 10);
    }
}
