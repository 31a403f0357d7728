//! What the machine can do at all: copy a request, and visit every field of it.

use std::hint::black_box;

use airis_payloads::{Kind, payload};

use super::Fault;
use super::arguments::Arguments;
use super::drive::own_cpu;

const ITEMS: usize = 512;
/// The system counts CPU time in milliseconds.
const ROUNDS: usize = 1500;
const REPEATS: usize = 7;
/// Fields to go down into, a bit for each number, from the request to a value; the others are stepped over.
const INSIDE: [u64; 6] = [1 << 1, 1 << 1 | 1 << 2, 1 << 1 | 1 << 2, 1 << 9, 1 << 2, 0];

/// `airis-load control`: CPU-seconds per million spans, the best of some repeats.
pub fn measure(arguments: Arguments) -> Result<(), Fault> {
    arguments.end()?;
    own_cpu().ok_or("the system does not tell CPU times")?;
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
        let start = own_cpu().unwrap_or_default();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min((own_cpu().unwrap_or_default() - start).as_secs_f64());
    }
    best / (ROUNDS * ITEMS) as f64 * 1e6
}

/// Visit every field, without a check; the number of fields.
fn walk(data: &[u8], inside: &[u64]) -> usize {
    let Some((&numbers, below)) = inside.split_first() else { return 0 };
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
                if numbers >> (tag >> 3 & 63) & 1 != 0 {
                    fields += walk(&data[at..end], below);
                }
                at = end;
            }
            _ => at += 4,
        }
    }
    fields
}

#[inline(always)]
fn varint(data: &[u8], at: usize) -> (u64, usize) {
    match data.get(at) {
        Some(&byte) if byte < 0x80 => (byte.into(), at + 1),
        _ => long_varint(data, at),
    }
}

#[inline(never)]
fn long_varint(data: &[u8], mut at: usize) -> (u64, usize) {
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
