//! Columns in ClickHouse's Native format, filled row by row.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::values::{Attribute, Value, write_hex};
use super::wire::{plain_attribute, plain_text, push_varint, varint};

const LOW_CARDINALITY_VERSION: u64 = 1;
const HAS_ADDITIONAL_KEYS: u64 = 0x200;
const NEED_UPDATE_DICTIONARY: u64 = 0x400;

/// The bytes of a column, borrowed from it where possible.
pub type Parts<'a> = Vec<Cow<'a, [u8]>>;

/// A column that a block can be made of.
pub trait Column: Sync {
    /// Whether a low-cardinality column is in it, whose version stands before the data of the whole column.
    fn versioned(&self) -> bool {
        false
    }

    /// Append the data of the rows.
    fn write<'a>(&'a self, parts: &mut Parts<'a>);
}

/// Append the version of the layout of low-cardinality columns.
pub fn write_version(parts: &mut Parts) {
    parts.push(Cow::Owned(LOW_CARDINALITY_VERSION.to_le_bytes().to_vec()));
}

/// A number as it is stored.
pub trait Number: Copy + Sync {
    /// Append it, little-endian.
    fn write(self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
numbers!(u8, i16, u32, i32, u64, f64);

impl Number for bool {
    fn write(self, out: &mut Vec<u8>) {
        out.push(self.into());
    }
}

/// Numbers of one width.
pub struct Fixed<T> {
    data: Vec<u8>,
    last: Option<T>,
}

impl<T> Default for Fixed<T> {
    fn default() -> Self {
        Self { data: vec![], last: None }
    }
}

impl<T: Number> Fixed<T> {
    #[inline(always)]
    pub fn push(&mut self, value: T) {
        value.write(&mut self.data);
        self.last = Some(value);
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        if let Some(value) = self.last {
            (0..rows).for_each(|_| value.write(&mut self.data));
        }
    }

    /// Have those of the rows that are named, in their order.
    pub fn spread(&mut self, rows: &[u32]) {
        let width = size_of::<T>();
        self.data = gathered(&self.data, rows.iter().map(|&row| row as usize * width..(row as usize + 1) * width));
        self.last = None;
    }
}

/// The ranges, one behind the other.
fn gathered(data: &[u8], ranges: impl Iterator<Item = Range<usize>> + Clone) -> Vec<u8> {
    let mut found = Vec::with_capacity(ranges.clone().map(|range| range.len()).sum());
    ranges.for_each(|range| found.extend_from_slice(&data[range]));
    found
}

impl<T: Sync> Column for Fixed<T> {
    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.push(Cow::Borrowed(&self.data));
    }
}

/// Numbers that may be missing.
#[derive(Default)]
pub struct Nullable {
    missing: Vec<u8>,
    values: Fixed<f64>,
}

impl Nullable {
    pub fn push(&mut self, value: Option<f64>) {
        self.missing.push(value.is_none().into());
        self.values.push(value.unwrap_or(0.0));
    }
}

impl Column for Nullable {
    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.push(Cow::Borrowed(&self.missing));
        self.values.write(parts);
    }
}

/// Texts with their lengths.
#[derive(Default)]
pub struct Text {
    data: Vec<u8>,
    last: usize,
}

impl Text {
    #[inline(always)]
    pub fn push(&mut self, text: &[u8]) {
        self.last = self.data.len();
        push_varint(&mut self.data, text.len() as u64);
        self.data.extend_from_slice(text);
    }

    /// Add bytes in hexadecimal.
    #[inline(always)]
    pub fn push_hex(&mut self, bytes: &[u8]) {
        self.last = self.data.len();
        push_varint(&mut self.data, 2 * bytes.len() as u64);
        write_hex(bytes, &mut self.data);
    }

    /// Add the text of a value; `scratch` is room to work in.
    #[inline(always)]
    pub fn push_value(&mut self, value: &Value, scratch: &mut Vec<u8>) {
        if let Value::Text(text) = value {
            return self.push(text);
        }
        scratch.clear();
        value.write_text(scratch);
        self.push(scratch);
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        let (start, end) = (self.last, self.data.len());
        for _ in 0..rows {
            self.data.extend_from_within(start..end);
        }
        self.last = self.data.len() - (end - start);
    }

    /// Have those of the rows that are named, in their order.
    pub fn spread(&mut self, rows: &[u32]) {
        let ends = self.ends();
        self.data = gathered(&self.data, rows.iter().map(|&row| ends[row as usize]..ends[row as usize + 1]));
        self.last = self.data.len();
    }

    /// Where the texts end, behind a 0.
    fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0];
        let mut at = 0;
        while let Ok((length, start)) = varint(&self.data, at) {
            at = start + length as usize;
            ends.push(at);
        }
        ends
    }
}

impl Column for Text {
    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.push(Cow::Borrowed(&self.data));
    }
}

/// So that nobody can send keys that all fall together.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));

/// Texts in order of first appearance; the first one is empty.
struct Dictionary {
    keys: Text,
    entries: Vec<(usize, usize)>,
    /// Open addressing: half of the hash and the number of the entry; 0 is free, since the empty text is not in it.
    slots: Vec<(u32, u32)>,
    seed: u64,
}

impl Default for Dictionary {
    fn default() -> Self {
        let mut keys = Text::default();
        keys.push(b"");
        Self { keys, entries: vec![(0, 0)], slots: vec![(0, 0); 16], seed: *SEED }
    }
}

impl Dictionary {
    #[inline(always)]
    fn entry(&self, index: u32) -> &[u8] {
        let (start, end) = self.entries[index as usize];
        &self.keys.data[start..end]
    }

    fn index(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = xxh3_64_with_seed(text, self.seed) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                (_, 0) => break,
                (other, index) if other == hash && self.entry(index) == text => return index,
                _ => at = (at + 1) & mask,
            }
        }
        let index = self.entries.len() as u32;
        self.slots[at] = (hash, index);
        self.keys.push(text);
        let end = self.keys.data.len();
        self.entries.push((end - text.len(), end));
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
        index
    }

    fn grow(&mut self) {
        let mut slots = vec![(0, 0); self.slots.len() * 4];
        let mask = slots.len() - 1;
        for &(hash, index) in self.slots.iter().filter(|(_, index)| *index > 0) {
            let mut at = hash as usize & mask;
            while slots[at].1 > 0 {
                at = (at + 1) & mask;
            }
            slots[at] = (hash, index);
        }
        self.slots = slots;
    }
}

/// Whether texts are the same; for the short ones here that is cheaper in place than a call.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || one.len() > 64 {
        return one == other;
    }
    let mut different = 0;
    if let (Some(end), Some(other_end)) = (one.last_chunk(), other.last_chunk()) {
        different |= u64::from_ne_bytes(*end) ^ u64::from_ne_bytes(*other_end);
        for (chunk, other) in one.as_chunks().0.iter().zip(other.as_chunks().0) {
            different |= u64::from_ne_bytes(*chunk) ^ u64::from_ne_bytes(*other);
        }
    } else {
        for (byte, other) in one.iter().zip(other) {
            different |= u64::from(byte ^ other);
        }
    }
    different == 0
}

/// Texts as indexes into a dictionary.
#[derive(Default)]
pub struct LowCardinality {
    dictionary: Dictionary,
    rows: Vec<u32>,
    last: u32,
}

impl LowCardinality {
    #[inline(always)]
    pub fn push(&mut self, text: &[u8]) {
        if !same(self.dictionary.entry(self.last), text) {
            self.last = self.dictionary.index(text);
        }
        self.rows.push(self.last);
    }

    /// Add a text of which is known where it probably stands; gives where it does stand.
    #[inline(always)]
    fn push_predicted(&mut self, text: &[u8], predicted: u32) -> u32 {
        let index = if same(self.dictionary.entry(predicted), text) { predicted } else { self.dictionary.index(text) };
        self.rows.push(index);
        index
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        self.rows.resize(self.rows.len() + rows, self.last);
    }

    /// The texts of the dictionary; the first one is empty.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.dictionary.entries.len() as u32).map(|index| self.dictionary.entry(index))
    }

    /// For every row which of the texts it has.
    pub fn into_rows(self) -> Vec<u32> {
        self.rows
    }

    /// Have those of the rows that are named, in their order; each of the others' texts must be in one of them.
    pub fn spread(&mut self, rows: &[u32]) {
        self.rows = rows.iter().map(|&row| self.rows[row as usize]).collect();
    }

    /// For every row the place that its text has among all texts in order.
    pub fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.dictionary.entries.len() as u32).collect();
        order.sort_unstable_by_key(|&index| self.dictionary.entry(index));
        let mut ranks = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&index, rank)| ranks[index as usize] = rank);
        self.rows.iter().map(|&index| ranks[index as usize]).collect()
    }
}

impl Column for LowCardinality {
    fn versioned(&self) -> bool {
        true
    }

    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        if self.rows.is_empty() {
            return;
        }
        let entries = self.dictionary.entries.len();
        let (width, indexes): (u64, Vec<u8>) = match entries {
            0..=0x100 => (0, self.rows.iter().map(|&row| row as u8).collect()),
            0x101..=0x1_0000 => (1, self.rows.iter().flat_map(|&row| (row as u16).to_le_bytes()).collect()),
            _ => (2, self.rows.iter().flat_map(|&row| row.to_le_bytes()).collect()),
        };
        let flags = HAS_ADDITIONAL_KEYS | NEED_UPDATE_DICTIONARY | width;
        parts.push(Cow::Owned([flags.to_le_bytes(), (entries as u64).to_le_bytes()].concat()));
        self.dictionary.keys.write(parts);
        parts.push(Cow::Owned((self.rows.len() as u64).to_le_bytes().to_vec()));
        parts.push(Cow::Owned(indexes));
    }
}

/// Where each row of a column of arrays ends.
#[derive(Default)]
pub struct Ends {
    data: Fixed<u64>,
    end: u64,
}

impl Ends {
    /// End a row after so many elements more.
    #[inline(always)]
    pub fn push(&mut self, elements: usize) {
        self.end += elements as u64;
        self.data.push(self.end);
    }
}

impl Column for Ends {
    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        self.data.write(parts);
    }
}

/// Arrays of numbers.
pub struct List<T> {
    ends: Ends,
    elements: Fixed<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { ends: Ends::default(), elements: Fixed::default() }
    }
}

impl<T: Number> List<T> {
    /// Add a row.
    pub fn push(&mut self, values: &[T]) {
        values.iter().for_each(|&value| self.elements.push(value));
        self.ends.push(values.len());
    }
}

impl<T: Sync> Column for List<T> {
    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        self.ends.write(parts);
        self.elements.write(parts);
    }
}

/// Maps of texts.
#[derive(Default)]
pub struct Map {
    keys: LowCardinality,
    values: Text,
    ends: Fixed<u64>,
    /// Entries until the end of the last row, and of the one before.
    end: usize,
    last_end: usize,
    /// Where the values of the last row begin, and where they end.
    values_start: usize,
    values_end: usize,
    /// By position in a row, where in the dictionary the key of the last row with that many entries stands.
    predicted: Vec<u32>,
}

impl Map {
    /// Add an entry with a text to the row.
    #[inline(always)]
    pub fn add_text(&mut self, key: &[u8], text: &[u8]) {
        self.add_key(key);
        self.values.push(text);
    }

    /// Add an entry to the row; `scratch` is room to work in.
    fn add(&mut self, key: &[u8], value: &Value, scratch: &mut Vec<u8>) {
        self.add_key(key);
        self.values.push_value(value, scratch);
    }

    #[inline(always)]
    fn add_key(&mut self, key: &[u8]) {
        let position = self.keys.rows.len() - self.end;
        match self.predicted.get_mut(position) {
            Some(predicted) => *predicted = self.keys.push_predicted(key, *predicted),
            None => self.predicted.push(self.keys.push_predicted(key, 0)),
        }
    }

    /// End the row that was filled.
    #[inline(always)]
    pub fn end_row(&mut self) {
        self.values_start = std::mem::replace(&mut self.values_end, self.values.data.len());
        self.last_end = std::mem::replace(&mut self.end, self.keys.rows.len());
        self.ends.push(self.end as u64);
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        let (keys, values) = (self.last_end..self.end, self.values_start..self.values_end);
        for _ in 0..rows {
            self.keys.rows.extend_from_within(keys.clone());
            self.values.data.extend_from_within(values.clone());
            self.end += keys.len();
            self.ends.push(self.end as u64);
        }
        self.last_end = self.end - keys.len();
        self.values_end = self.values.data.len();
        self.values_start = self.values_end - values.len();
    }

    /// Have those of the rows that are named, in their order.
    pub fn spread(&mut self, rows: &[u32]) {
        let (row_ends, value_ends) = (self.ends.data.as_chunks().0, self.values.ends());
        let end_of = |row: u32| u64::from_le_bytes(row_ends[row as usize]) as usize;
        let entries = |row: u32| if row == 0 { 0 } else { end_of(row - 1) }..end_of(row);
        let mut spread = Self { keys: std::mem::take(&mut self.keys), ..Self::default() };
        let keys = rows.iter().flat_map(|&row| &spread.keys.rows[entries(row)]);
        spread.keys.rows = keys.copied().collect();
        let values = rows.iter().map(|&row| entries(row)).map(|range| value_ends[range.start]..value_ends[range.end]);
        spread.values.data = gathered(&self.values.data, values);
        for &row in rows {
            spread.end += entries(row).len();
            spread.ends.push(spread.end as u64);
        }
        *self = spread;
    }
}

impl Column for Map {
    fn versioned(&self) -> bool {
        true
    }

    fn write<'a>(&'a self, parts: &mut Parts<'a>) {
        self.ends.write(parts);
        self.keys.write(parts);
        self.values.write(parts);
    }
}

/// The map of a set of attributes and the signature of their types.
#[derive(Default)]
pub struct Attributes {
    pub map: Map,
    pub types: LowCardinality,
    signature: Vec<u8>,
    /// Strings since the last sign: they are written only when another sign follows.
    strings: usize,
    scratch: Vec<u8>,
}

impl Attributes {
    /// Add the attribute of a `KeyValue` message to the row.
    #[inline(always)]
    pub fn add(&mut self, data: &[u8]) {
        if let Some((key, value)) = plain_attribute(data)
            && let Some(text) = plain_text(value)
        {
            self.strings += 1;
            self.map.add_text(key, text);
        } else {
            self.add_attribute(&Attribute::read(data));
        }
    }

    /// Add an attribute to the row.
    pub fn add_attribute(&mut self, attribute: &Attribute) {
        if let Value::Text(_) = attribute.value {
            self.strings += 1;
        } else {
            self.signature.resize(self.signature.len() + self.strings, b's');
            self.strings = 0;
            attribute.value.write_sign(&mut self.signature);
        }
        self.map.add(attribute.key, &attribute.value, &mut self.scratch);
    }

    /// End the row.
    #[inline(always)]
    pub fn end_row(&mut self) {
        self.map.end_row();
        self.types.push(&self.signature);
        self.signature.clear();
        self.strings = 0;
    }

    /// Add rows like the last one.
    pub fn repeat(&mut self, rows: usize) {
        self.map.repeat(rows);
        self.types.repeat(rows);
    }

    /// Have those of the rows that are named, in their order.
    pub fn spread(&mut self, rows: &[u32]) {
        self.map.spread(rows);
        self.types.spread(rows);
    }
}
