//! Records of the write-ahead log; their layout is told in `airis.storage.wal.format`.

use crc32c::{crc32c, crc32c_append};

const MARKER: [u8; 4] = *b"\xa1riR";
const CHECKED_FROM: usize = 8;
/// Bytes of a record before its content.
pub const HEAD: usize = 80;
const MAX_CONTENT: usize = 1 << 30;

/// All of a record but its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub sequence: u64,
    pub kind: u8,
    pub codec: u8,
    pub signal: u8,
    pub items: u32,
    pub requests: u32,
    pub wall_unix_nano: i64,
    pub batch_id: [u8; 16],
    pub slots: u64,
}

/// What stands at a place: a record, or what is left of one.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub offset: usize,
    pub end: usize,
    /// None where nothing can be read.
    pub head: Option<Head>,
    pub meta_size: usize,
    pub is_whole: bool,
}

/// What stands before the payload: the head, and the meta. None for more content than a record has room for.
pub fn frame(log_id: &[u8], head: &Head, meta: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
    let size = meta.len().checked_add(payload.len()).filter(|&size| size <= MAX_CONTENT)?;
    let seed = crc32c(log_id);
    let content = crc32c_append(crc32c_append(seed, meta), payload);
    let mut out = Vec::with_capacity(HEAD + meta.len());
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&[0; 4]);
    for number in [content, size as u32, meta.len() as u32] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&head.sequence.to_le_bytes());
    out.extend_from_slice(&[head.kind, head.codec, head.signal, 0]);
    out.extend_from_slice(&head.items.to_le_bytes());
    out.extend_from_slice(&head.requests.to_le_bytes());
    out.extend_from_slice(&head.wall_unix_nano.to_le_bytes());
    out.extend_from_slice(&head.batch_id);
    out.extend_from_slice(&head.slots.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let checksum = crc32c_append(seed, &out[CHECKED_FROM..]);
    out[4..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(meta);
    Some(out)
}

/// What stands in `data` from an offset on, without a gap.
pub fn read(log_id: &[u8], data: &[u8], start: usize) -> Vec<Found> {
    let seed = crc32c(log_id);
    let mut all = vec![];
    let mut at = start;
    while at < data.len() {
        let found = match record(seed, data, at) {
            Some(found) => found,
            None => {
                let next = next_head(seed, data, at + 1, data.len());
                let end = next.unwrap_or(data.len());
                all.push(Found { offset: at, end, head: None, meta_size: 0, is_whole: false });
                match next.and_then(|next| record(seed, data, next)) {
                    Some(found) => found,
                    None => break,
                }
            }
        };
        at = found.end;
        all.push(found);
    }
    all
}

/// A head that is whole, with the checksum and the sizes of its content.
fn head(seed: u32, data: &[u8], at: usize) -> Option<(Head, u32, usize, usize)> {
    let bytes: &[u8; HEAD] = data.get(at..)?.first_chunk()?;
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if bytes[..4] != MARKER || crc32c_append(seed, &bytes[CHECKED_FROM..]) != u32_at(4) {
        return None;
    }
    let mut batch_id = [0; 16];
    batch_id.copy_from_slice(&bytes[48..64]);
    let head = Head {
        sequence: u64_at(20),
        kind: bytes[28],
        codec: bytes[29],
        signal: bytes[30],
        items: u32_at(32),
        requests: u32_at(36),
        wall_unix_nano: u64_at(40) as i64,
        batch_id,
        slots: u64_at(64),
    };
    Some((head, u32_at(8), u32_at(12) as usize, u32_at(16) as usize))
}

/// Where the next whole head begins.
fn next_head(seed: u32, data: &[u8], mut from: usize, end: usize) -> Option<usize> {
    while let Some(at) = data.get(from..end)?.windows(MARKER.len()).position(|window| window == MARKER) {
        if head(seed, data, from + at).is_some() {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn record(seed: u32, data: &[u8], at: usize) -> Option<Found> {
    let (head, checksum, size, meta_size) = head(seed, data, at)?;
    let body = at + HEAD;
    let mut end = body.saturating_add(size).min(data.len());
    let content = &data[body..end];
    let is_whole = content.len() == size && meta_size <= size && crc32c_append(seed, content) == checksum;
    if !is_whole {
        // A file that lost bytes in the middle: the rest is not this record's.
        end = next_head(seed, data, body, end).unwrap_or(end);
    }
    Some(Found { offset: at, end, head: Some(head), meta_size: if is_whole { meta_size } else { 0 }, is_whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8] = b"sixteen bytes id";

    #[test]
    fn what_is_damaged_costs_itself_alone() {
        let head = |sequence| Head { sequence, kind: 1, items: 3, ..Head::default() };
        let record = |sequence, payload: &[u8]| {
            [frame(ID, &head(sequence), b"meta", payload).unwrap_or_default(), payload.to_vec()].concat()
        };
        let (first, second) = (record(1, b"first"), record(2, b"second"));
        let mut data = [first.clone(), second].concat();
        for at in 0..first.len() {
            data[at] ^= 1;
            let found = read(ID, &data, 0);
            assert!(found.iter().any(|f| f.is_whole && f.head == Some(head(2))), "byte {at}");
            assert_eq!(found.iter().filter(|f| f.is_whole).count(), 1);
            assert_eq!(found.iter().map(|f| f.end - f.offset).sum::<usize>(), data.len());
            data[at] ^= 1;
        }
        assert_eq!(read(ID, &data, 0).len(), 2);
        assert!(!read(b"another log's id", &data, 0).iter().any(|f| f.is_whole));
    }
}
