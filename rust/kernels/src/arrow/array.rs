//! Arrays in Arrow's columnar format, and what they are made of.
//!
//! <https://arrow.apache.org/docs/format/Columnar.html>

use std::ffi::{CStr, CString};
use std::ops::Range;

use super::TooLarge;

/// Texts of a column and their offsets, which have 32 bits, never take more, nor do elements of lists.
const MAX_BYTES: usize = 1 << 30;

/// Where a list ends, after so many elements of eight bytes.
pub fn list_end(elements: usize) -> Result<u32, TooLarge> {
    if elements > MAX_BYTES / size_of::<u64>() { Err(TooLarge) } else { Ok(elements as u32) }
}

/// The type of an array.
#[derive(Clone, Debug)]
pub struct Layout {
    pub name: CString,
    /// As the C data interface writes types.
    pub format: &'static CStr,
    pub is_nullable: bool,
    pub children: Vec<Layout>,
    /// Of what is in the dictionary; the format is that of the indexes.
    pub dictionary: Option<Box<Layout>>,
}

impl Layout {
    /// A type that has no others in it.
    pub fn new(name: &CStr, format: &'static CStr) -> Self {
        Self { name: name.to_owned(), format, is_nullable: true, children: vec![], dictionary: None }
    }

    /// A type made of others.
    pub fn of(name: &CStr, format: &'static CStr, children: Vec<Self>) -> Self {
        Self { children, ..Self::new(name, format) }
    }

    /// The same, but that nothing is ever absent.
    pub fn required(self) -> Self {
        Self { is_nullable: false, ..self }
    }
}

/// Memory that is as aligned as what is in it.
#[derive(Debug)]
pub enum Buffer {
    Bytes(Vec<u8>),
    /// Numbers of four bytes, by their bits.
    Fours(Vec<u32>),
    /// Numbers of eight bytes, by their bits.
    Eights(Vec<u64>),
}

/// An array, of whatever type.
#[derive(Debug, Default)]
pub struct Array {
    pub length: usize,
    pub nulls: usize,
    /// In the order of the format; None is for a validity bitmap where nothing is absent.
    pub buffers: Vec<Option<Buffer>>,
    pub children: Vec<Array>,
    pub dictionary: Option<Box<Array>>,
}

impl Array {
    /// An array in which nothing is absent.
    pub fn full(length: usize, buffers: impl IntoIterator<Item = Buffer>) -> Self {
        Self::new(length, Validity::default(), buffers)
    }

    /// An array with what is absent in it.
    pub fn new(length: usize, validity: Validity, buffers: impl IntoIterator<Item = Buffer>) -> Self {
        let nulls = validity.nulls;
        let bitmap = (nulls > 0).then_some(Buffer::Bytes(validity.bits.bytes));
        let buffers = std::iter::once(bitmap).chain(buffers.into_iter().map(Some)).collect();
        Self { length, nulls, buffers, ..Self::default() }
    }

    /// The same with other arrays in it.
    pub fn with(self, children: Vec<Self>) -> Self {
        Self { children, ..self }
    }
}

/// Bits, the first one the least significant of its byte.
#[derive(Debug, Default)]
pub struct Bits {
    bytes: Vec<u8>,
    length: usize,
}

impl Bits {
    /// Add a bit so many times. Bits behind the last one are 0.
    #[inline(always)]
    pub fn push(&mut self, bit: bool, times: usize) {
        let used = self.length % 8;
        if bit
            && used > 0
            && let Some(last) = self.bytes.last_mut()
        {
            *last |= 0xff << used;
        }
        self.length += times;
        self.bytes.resize(self.length.div_ceil(8), if bit { 0xff } else { 0 });
        let used = self.length % 8;
        if used > 0
            && let Some(last) = self.bytes.last_mut()
        {
            *last &= !(0xff << used);
        }
    }

    pub fn into_buffer(self) -> Buffer {
        Buffer::Bytes(self.bytes)
    }
}

/// Which rows are there, and which are absent.
#[derive(Debug, Default)]
pub struct Validity {
    /// None are kept before the first that is absent.
    bits: Bits,
    length: usize,
    nulls: usize,
}

impl Validity {
    #[inline(always)]
    pub fn push(&mut self, is_there: bool, times: usize) {
        if !is_there && times > 0 {
            self.push_absent(times);
        } else if self.nulls > 0 {
            self.bits.push(true, times);
        }
        self.length += times;
    }

    fn push_absent(&mut self, times: usize) {
        if self.nulls == 0 {
            self.bits.push(true, self.length);
        }
        self.bits.push(false, times);
        self.nulls += times;
    }
}

/// Texts, or bytes, one behind the other.
#[derive(Debug)]
pub struct Texts {
    data: Vec<u8>,
    offsets: Vec<u32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { data: vec![], offsets: vec![0] }
    }
}

impl Texts {
    /// How many there are.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// One of them.
    #[inline(always)]
    pub fn at(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Add a text so many times.
    #[inline(always)]
    pub fn push(&mut self, text: &[u8], times: usize) -> Result<(), TooLarge> {
        self.check(text.len(), 1, times)?;
        for _ in 0..times {
            self.data.extend_from_slice(text);
            self.offsets.push(self.data.len() as u32);
        }
        Ok(())
    }

    /// Add some that are there once more, as often as told.
    pub fn repeat(&mut self, texts: Range<usize>, times: usize) -> Result<(), TooLarge> {
        let bytes = self.offsets[texts.start] as usize..self.offsets[texts.end] as usize;
        self.check(bytes.len(), texts.len(), times)?;
        for _ in 0..times {
            let moved = self.data.len() - bytes.start;
            self.data.extend_from_within(bytes.clone());
            let ends = texts.start + 1..texts.end + 1;
            self.offsets.extend_from_within(ends);
            let added = self.offsets.len() - texts.len();
            self.offsets[added..].iter_mut().for_each(|end| *end += moved as u32);
        }
        Ok(())
    }

    /// Refuse to grow too large, before anything is written: a sender could make much of little.
    #[inline(always)]
    fn check(&self, bytes: usize, texts: usize, times: usize) -> Result<(), TooLarge> {
        let more = times.saturating_mul(bytes + size_of::<u32>() * texts);
        let size = self.data.len() + size_of::<u32>() * self.count();
        if size.saturating_add(more) > MAX_BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// Bytes of any kind: offsets and data.
    pub fn into_binary(self) -> [Buffer; 2] {
        [Buffer::Fours(self.offsets), Buffer::Bytes(self.data)]
    }

    /// UTF-8: offsets and data. Whoever reads them takes it for granted, so that what is not is replaced by U+FFFD.
    pub fn into_text(self) -> Result<[Buffer; 2], TooLarge> {
        if self.is_text() {
            return Ok(self.into_binary());
        }
        let mut repaired = Self::default();
        for index in 0..self.count() {
            repaired.push(String::from_utf8_lossy(self.at(index)).as_bytes(), 1)?;
        }
        Ok(repaired.into_binary())
    }

    fn is_text(&self) -> bool {
        if self.data.is_ascii() {
            return true;
        }
        // All of it is UTF-8, and no text begins inside of a character.
        let Ok(text) = std::str::from_utf8(&self.data) else { return false };
        self.offsets.iter().all(|&offset| text.is_char_boundary(offset as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_were_pushed() {
        for first in 0..20 {
            for second in 0..20 {
                let mut bits = Bits::default();
                for (bit, times) in [(true, first), (false, second), (true, 1), (true, second), (false, first)] {
                    bits.push(bit, times);
                }
                let expected: Vec<bool> = [(true, first), (false, second), (true, 1 + second), (false, first)]
                    .into_iter()
                    .flat_map(|(bit, times)| std::iter::repeat_n(bit, times))
                    .collect();
                let found: Vec<bool> =
                    (0..bits.bytes.len() * 8).map(|at| bits.bytes[at / 8] >> (at % 8) & 1 > 0).collect();
                assert_eq!(found[..expected.len()], expected);
                assert!(!found[expected.len()..].contains(&true));
            }
        }
    }

    #[test]
    fn texts_that_are_characters_only_together_are_repaired() -> Result<(), TooLarge> {
        let mut texts = Texts::default();
        let (start, end) = "ü".as_bytes().split_at(1);
        texts.push(start, 1)?;
        texts.push(end, 2)?;
        let [Buffer::Fours(offsets), Buffer::Bytes(data)] = texts.into_text()? else { panic!("of texts") };
        assert_eq!(offsets, [0, 3, 6, 9]);
        assert_eq!(String::from_utf8_lossy(&data), "\u{fffd}\u{fffd}\u{fffd}");
        Ok(())
    }

    #[test]
    fn what_would_be_too_large_is_refused_before_it_is_written() -> Result<(), TooLarge> {
        let mut texts = Texts::default();
        texts.push(b"a", 1)?;
        assert!(texts.push(&[b'a'; 1024], 1 << 20).is_err());
        assert!(texts.push(b"", usize::MAX).is_err());
        assert!(texts.repeat(0..1, 1 << 28).is_err());
        assert_eq!(texts.count(), 1);
        assert_eq!(list_end(1 << 27)?, 1 << 27);
        assert!(list_end((1 << 27) + 1).is_err());
        Ok(())
    }
}
