//! Bytes that views share, and places in them.

use std::ops::Range;
use std::sync::Arc;

use super::wire::Malformed;

/// Bytes that stay where they are and never change, kept by whoever still points into them.
pub type Buffer = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The most that is put into one buffer; places have 32 bits, so that there are more of them in a cache line.
pub const MAX_BUFFER_BYTES: usize = 1 << 30;

/// A place in one of several buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    buffer: u32,
    start: u32,
    size: u32,
}

impl Slice {
    /// A range of a buffer with this number.
    #[inline(always)]
    pub fn new(buffer: usize, range: Range<usize>) -> Self {
        Self { buffer: buffer as u32, start: range.start as u32, size: (range.end - range.start) as u32 }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub fn size(self) -> usize {
        self.size as usize
    }

    /// A range of what is in it.
    #[inline(always)]
    pub fn part(self, range: Range<usize>) -> Self {
        Self { start: self.start + range.start as u32, size: (range.end - range.start) as u32, ..self }
    }

    /// The same place where all buffers have moved up by so many.
    pub fn moved(self, buffers: usize) -> Self {
        Self { buffer: self.buffer + buffers as u32, ..self }
    }

    /// This and what follows on it, in one.
    #[inline(always)]
    pub fn joined(self, next: Self) -> Option<Self> {
        let follows = self.buffer == next.buffer && self.start + self.size == next.start;
        follows.then(|| Self { size: self.size + next.size, ..self })
    }

    /// The place that begins so many bytes earlier.
    #[inline(always)]
    pub fn widened(self, before: usize) -> Option<Self> {
        let before = before as u32;
        Some(Self { start: self.start.checked_sub(before)?, size: self.size + before, ..self })
    }
}

/// Buffers that are read.
pub struct Bytes<'a>(Vec<&'a [u8]>);

impl<'a> Bytes<'a> {
    /// The bytes of all buffers.
    pub fn new(buffers: &'a [Buffer]) -> Self {
        Self(buffers.iter().map(|buffer| (**buffer).as_ref()).collect())
    }

    /// What is in a place.
    #[inline(always)]
    pub fn at(&self, slice: Slice) -> &'a [u8] {
        let start = slice.start as usize;
        // A place that there is not would be a fault here, but never one to fall over.
        self.0.get(slice.buffer as usize).and_then(|data| data.get(start..start + slice.size())).unwrap_or_default()
    }

    /// The message in a place, empty where there is none.
    #[inline(always)]
    pub fn message(&self, place: Option<Slice>) -> &'a [u8] {
        place.map_or(&[], |slice| self.at(slice))
    }
}

/// New bytes for a view, which become buffers of it behind those that it has.
pub struct Fresh {
    first: usize,
    full: Vec<Buffer>,
    open: Vec<u8>,
}

impl Fresh {
    /// None yet, behind so many buffers.
    pub fn behind(buffers: usize) -> Self {
        Self { first: buffers, full: vec![], open: vec![] }
    }

    /// Make room for so many bytes, where there is nothing yet: more memory by and by would be copied into each time.
    pub fn expect(&mut self, bytes: usize) {
        if self.open.capacity() == 0 {
            self.open.reserve(bytes.min(MAX_BUFFER_BYTES));
        }
    }

    /// Where the bytes are that `write` appends; None, and nothing kept of them, where it says that there are none.
    ///
    /// So many bytes before them are left free for `head`.
    pub fn write(&mut self, room: usize, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<Option<Slice>, Malformed> {
        if self.open.len() > MAX_BUFFER_BYTES {
            self.full.push(Arc::new(std::mem::take(&mut self.open)));
        }
        let (before, start) = (self.open.len(), self.open.len() + room);
        self.open.resize(start, 0);
        if !write(&mut self.open) || self.open.len() < start {
            self.open.truncate(before);
            return Ok(None);
        }
        let written = start..self.open.len();
        if written.len() > MAX_BUFFER_BYTES {
            return Err(Malformed::new("a message of more than 1 GiB", 0));
        }
        Ok(Some(Slice::new(self.first + self.full.len(), written)))
    }

    /// Put bytes into the room before those that were written last.
    pub fn head(&mut self, written: Slice, head: &[u8]) {
        let start = written.start as usize;
        if let Some(room) = start.checked_sub(head.len()).and_then(|from| self.open.get_mut(from..start)) {
            room.copy_from_slice(head);
        }
    }

    /// The bytes that were written last.
    pub fn last(&self, written: Slice) -> &[u8] {
        self.open.get(written.start as usize..).unwrap_or_default()
    }

    /// Add bytes.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Slice, Malformed> {
        let added = self.write(0, |out| {
            out.extend_from_slice(bytes);
            true
        })?;
        Ok(added.unwrap_or_default())
    }

    /// The buffers.
    pub fn into_buffers(mut self) -> Vec<Buffer> {
        if !self.open.is_empty() {
            self.full.push(Arc::new(self.open));
        }
        self.full
    }
}
