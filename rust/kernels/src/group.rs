//! A view in groups of items that have the same values.

use std::collections::HashMap;
use std::ops::Range;

use super::fields::{Datum, Found, Level as Asked, Source};
use super::values::{Attribute, Value, messages, write_hex};
use super::view::{Item, View};

/// The items that have the same values.
pub struct Group {
    /// The first of them in the view that was grouped; None for the rest, whose values differ.
    pub first: Option<usize>,
    /// None where it is all of that view.
    pub view: Option<View>,
}

/// A whole number of every item that has the same values.
pub struct Collected {
    /// As that of a group.
    pub first: Option<usize>,
    /// In the order of the items.
    pub numbers: Vec<i64>,
}

impl View {
    /// The items by what they have, in groups of the order in which the first of each comes.
    ///
    /// Sources must be of what an item has one of. There are at most `limit` groups; items of more of them are one more group behind these, of what is left.
    pub fn group(&self, sources: &[Source], limit: usize) -> Vec<Group> {
        let lowest = lowest_of(sources);
        let mut of_items = vec![0; self.items.len()];
        let mut firsts: Vec<Option<usize>> = vec![];
        let mut has_rest = false;
        self.number(sources, lowest, limit, |number, items, _| {
            has_rest |= number == limit;
            if number < limit && number == firsts.len() {
                firsts.push(Some(items.start));
            }
            of_items[items].fill(number as u32);
        });
        firsts.extend(has_rest.then_some(None));
        if firsts.len() == 1 {
            return vec![Group { first: firsts[0], view: None }];
        }
        let views = self.partition(&of_items, firsts.len());
        firsts.into_iter().zip(views).map(|(first, view)| Group { first, view: Some(view) }).collect()
    }

    /// As `group`, but of every item only a whole number: the nearest that 64 bits hold, 0 for what is none.
    pub fn collect(&self, sources: &[Source], measure: &Source, limit: usize) -> Vec<Collected> {
        let lowest = lowest_of(sources).max(measure.level);
        let mut collected: Vec<Collected> = vec![];
        let mut rest: Vec<i64> = vec![];
        self.number(sources, lowest, limit, |number, items, item| {
            let value = match measure.read(item, &[]).as_ref().map(Found::datum) {
                Some(Datum::Whole(whole)) => whole.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
                _ => 0,
            };
            if number < limit && number == collected.len() {
                collected.push(Collected { first: Some(items.start), numbers: vec![] });
            }
            let numbers = if number < limit { &mut collected[number].numbers } else { &mut rest };
            numbers.resize(numbers.len() + items.len(), value);
        });
        if !rest.is_empty() {
            collected.push(Collected { first: None, numbers: rest });
        }
        collected
    }

    /// Tell of all items the number of their group, from 0 on, the limit for what are too many.
    ///
    /// Items that have one message of the level `lowest` are told together, with it.
    fn number(
        &self,
        sources: &[Source],
        lowest: Asked,
        limit: usize,
        mut tell: impl FnMut(usize, Range<usize>, &Item),
    ) {
        let mut numbers = Numbers { sources, values: vec![vec![]; sources.len()], key: vec![], by_key: HashMap::new() };
        self.walk(|level, item, items| {
            let level = Asked::from(level);
            if level > lowest || items.is_empty() {
                return;
            }
            numbers.read(level, item);
            if level == lowest {
                tell(numbers.number(limit), items.clone(), item);
            }
        });
    }
}

fn lowest_of(sources: &[Source]) -> Asked {
    sources.iter().map(|source| source.level).max().unwrap_or(Asked::Resource)
}

/// The groups by their values, as bytes that only the same ones have.
struct Numbers<'a> {
    sources: &'a [Source],
    /// Of each source what the item that is looked at has.
    values: Vec<Vec<u8>>,
    key: Vec<u8>,
    by_key: HashMap<Vec<u8>, usize>,
}

impl Numbers<'_> {
    /// Read what is asked at a level.
    fn read(&mut self, level: Asked, item: &Item) {
        for (source, value) in self.sources.iter().zip(&mut self.values) {
            if source.level == level {
                value.clear();
                let found = source.read(item, &[]);
                write_typed(&found.as_ref().map_or(Datum::Empty, Found::datum), value);
            }
        }
    }

    /// The number of the group with the values that were read, new ones from 0 on; the limit where there are too many.
    fn number(&mut self, limit: usize) -> usize {
        self.key.clear();
        self.values.iter().for_each(|value| self.key.extend_from_slice(value));
        if let Some(number) = self.by_key.get(&self.key) {
            return *number;
        }
        let number = self.by_key.len();
        if number < limit {
            self.by_key.insert(self.key.clone(), number);
        }
        number
    }
}

/// Append a value as bytes that only the same value of the same type has; of a map the order does not matter.
fn write_typed(value: &Datum, out: &mut Vec<u8>) {
    let sized = |bytes: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(&bytes.len().to_le_bytes());
        out.extend_from_slice(bytes);
    };
    match value {
        Datum::Empty => out.push(b'n'),
        Datum::Text(text) => {
            out.push(b's');
            sized(text, out);
        }
        Datum::Id(id) => {
            out.push(b's');
            out.extend_from_slice(&(2 * id.len()).to_le_bytes());
            write_hex(id, out);
        }
        Datum::Bool(yes) => out.extend_from_slice(&[b'b', u8::from(*yes)]),
        Datum::Whole(number) => {
            out.push(b'i');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Datum::Double(number) => {
            out.push(b'd');
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Datum::Bytes(bytes) => {
            out.push(b'x');
            sized(bytes, out);
        }
        Datum::Array(values) => {
            out.push(b'[');
            messages(values, 1).for_each(|value| write_typed(&Found::from(Value::read(value)).datum(), out));
            out.push(b']');
        }
        Datum::Map(entries) => {
            out.push(b'{');
            let mut entries: Vec<_> = messages(entries, 1).map(Attribute::read).collect();
            entries.sort_by(|one, other| one.key.cmp(other.key));
            for Attribute { key, value } in entries {
                out.push(b'k');
                sized(key, out);
                write_typed(&Found::from(value).datum(), out);
            }
            out.push(b'}');
        }
    }
}
