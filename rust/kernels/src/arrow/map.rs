//! Maps of texts.

use std::collections::HashSet;
use std::ops::Range;

use super::super::values::Attribute;
use super::super::wire::{plain_attribute, plain_text};
use super::TooLarge;
use super::array::{Array, Buffer, Texts, Validity};

/// Rows of more entries look for keys that came before in a set.
const FEW: usize = 32;

/// Attributes as entries; of those with the same key the first, for readers refuse a map that has one twice.
pub struct Maps {
    ends: Vec<u32>,
    keys: Texts,
    values: Texts,
    /// The entries of the last row.
    last: Range<usize>,
    text: Vec<u8>,
}

impl Default for Maps {
    fn default() -> Self {
        Self { ends: vec![0], keys: Texts::default(), values: Texts::default(), last: 0..0, text: vec![] }
    }
}

impl Maps {
    /// Add a row of `KeyValue` messages so many times, at least once.
    pub fn push<'a>(&mut self, entries: impl Iterator<Item = &'a [u8]>, times: usize) -> Result<(), TooLarge> {
        let row = self.keys.count();
        // Neighbours mostly have the same keys: as long as these come in the same order, none of them came before.
        let mut is_alike = true;
        let mut many = HashSet::new();
        for entry in entries {
            let plain = plain_attribute(entry).and_then(|(key, value)| Some((key, plain_text(value)?)));
            let attribute = if plain.is_none() { Attribute::read(entry) } else { Attribute::default() };
            let key = plain.map_or(attribute.key, |(key, _)| key);
            let count = self.keys.count() - row;
            let expected = self.last.start + count;
            is_alike = is_alike && expected < self.last.end && self.keys.at(expected) == key;
            if count >= FEW {
                if many.is_empty() {
                    many = (row..row + count).map(|index| self.keys.at(index).to_vec()).collect();
                }
                if !many.insert(key.to_vec()) {
                    continue;
                }
            } else if !is_alike && (row..row + count).any(|index| self.keys.at(index) == key) {
                continue;
            }
            self.keys.push(key, 1)?;
            match plain {
                Some((_, text)) => self.values.push(text, 1)?,
                None => {
                    self.text.clear();
                    attribute.value.write_text(&mut self.text);
                    self.values.push(&self.text, 1)?;
                }
            }
        }
        self.last = row..self.keys.count();
        self.end_row();
        self.keys.repeat(self.last.clone(), times - 1)?;
        self.values.repeat(self.last.clone(), times - 1)?;
        let size = self.last.len() as u32;
        let first_end = self.ends.last().copied().unwrap_or_default();
        self.ends.extend((1..times as u32).map(|more| first_end + more * size));
        Ok(())
    }

    /// Add rows without entries.
    pub fn push_empty(&mut self, times: usize) {
        (0..times).for_each(|_| self.end_row());
    }

    fn end_row(&mut self) {
        self.ends.push(self.keys.count() as u32);
    }

    /// The rows as an array.
    pub fn finish(self, length: usize, validity: Validity) -> Result<Array, TooLarge> {
        let count = self.keys.count();
        let texts = |texts: Texts| Ok(Array::full(count, texts.into_text()?));
        let entries = Array::full(count, []).with(vec![texts(self.keys)?, texts(self.values)?]);
        Ok(Array::new(length, validity, [Buffer::Fours(self.ends)]).with(vec![entries]))
    }
}
