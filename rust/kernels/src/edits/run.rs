//! What a program makes of one message.

use std::borrow::Cow;

use super::super::pattern::Pattern;
use super::super::validate::is_value_within;
use super::super::values::Value;
use super::super::view::Item;
use super::super::wire::{Content, Field, Fields, MAX_DEPTH};
use super::inside::{self, Bytes, read_entry};
use super::layout::Kind;
use super::places;
use super::program::{Act, Origin, Program, Spot};
use super::rewrite::{Patch, What};
use super::{Step, When};

/// What runs write to, for the next one to use.
#[derive(Default)]
pub struct Scratch {
    /// Bytes that were written so far.
    pub written: usize,
    entries: Vec<Entry<'static>>,
    patches: Vec<Patch>,
}

/// An attribute as it is now.
pub struct Entry<'a> {
    /// Where its field begins and ends; both 0 for a new one.
    pub start: usize,
    pub end: usize,
    /// Its message as it was.
    pub before: &'a [u8],
    pub key: &'a [u8],
    pub value: Bytes<'a>,
    pub state: State,
}

/// What became of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Kept,
    Changed,
    New,
    Gone,
}

/// A field as it is now: its value as an `AnyValue`, None for the default.
pub struct FieldState<'a> {
    pub value: Option<Bytes<'a>>,
    pub is_changed: bool,
}

impl Program {
    /// Append what a message becomes, and tell whether it changed at all; else nothing is appended.
    pub fn run<'a>(&'a self, item: &Item<'a>, message: &'a [u8], scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        let mut run = Run {
            program: self,
            item,
            message,
            entries: std::mem::take(&mut scratch.entries),
            behind_attributes: None,
            fields: vec![],
            found: vec![],
            inside: vec![],
            is_changed: false,
        };
        run.read(scratch);
        for act in &self.acts {
            run.act(act);
        }
        if run.is_changed {
            run.write(&mut scratch.patches, out);
        }
        let (mut entries, is_changed) = (run.entries, run.is_changed);
        entries.clear();
        // Nothing is left in it; so made, the new one keeps the memory of the old.
        scratch.entries = entries.into_iter().map_while(|_| None).collect();
        is_changed
    }
}

/// The edits of one message.
pub struct Run<'a, 'i> {
    pub program: &'a Program,
    item: &'i Item<'a>,
    pub message: &'a [u8],
    /// Attributes that edits may concern, in order.
    pub entries: Vec<Entry<'a>>,
    pub behind_attributes: Option<usize>,
    /// As `Program::places`.
    pub fields: Vec<FieldState<'a>>,
    /// Where those are.
    pub found: Vec<Field<'a>>,
    pub inside: Vec<Patch>,
    is_changed: bool,
}

impl<'a> Run<'a, '_> {
    /// Find everything that edits may concern, and carry out those inside messages of this one.
    fn read(&mut self, scratch: &mut Scratch) {
        let (program, message) = (self.program, self.message);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next() {
            match field.content {
                Content::Length(before) if field.number == program.layout.attributes => {
                    self.see(field.start, field.end, before);
                    let behind = self.read_short_attributes(field.end);
                    self.behind_attributes = Some(behind);
                    fields = Fields::within(message, behind, message.len(), MAX_DEPTH);
                    continue;
                }
                Content::Length(inner) => {
                    if let Some((number, inside)) = program.inside.iter().find(|inside| inside.0 == field.number) {
                        let mut content = vec![];
                        if inside.run(self.item, inner, scratch, &mut content) {
                            self.is_changed = true;
                            let what = What::Inside(*number, content);
                            self.inside.push(Patch { start: field.start, end: field.end, what });
                        }
                        continue;
                    }
                }
                _ => {}
            }
            if program.places.iter().any(|place| place.is_in(&field)) {
                self.found.push(field);
            }
        }
        for place in &program.places {
            let value = places::read(place, self.found.iter().copied());
            self.fields.push(FieldState { value, is_changed: false });
        }
    }

    /// Take the attributes that begin here and follow on one another: mostly they are all there are, and short.
    #[inline(always)]
    fn read_short_attributes(&mut self, mut at: usize) -> usize {
        let tag = self.program.layout.attributes << 3 | 2;
        while let Some((&[first, size], rest)) = self.message.get(at..).and_then(<[u8]>::split_first_chunk) {
            if u32::from(first) != tag || size >= 0x80 {
                break;
            }
            let Some(before) = rest.get(..size.into()) else { break };
            let end = at + 2 + before.len();
            self.see(at, end, before);
            at = end;
        }
        at
    }

    /// Take note of an attribute if edits may concern it.
    #[inline(always)]
    fn see(&mut self, start: usize, end: usize, before: &'a [u8]) {
        let (key, value) = read_entry(before);
        if self.program.sees_all || self.program.keys.has(key) {
            self.entries.push(Entry { start, end, before, key, value, state: State::Kept });
        }
    }

    fn act(&mut self, act: &'a Act) {
        match act {
            Act::Set { spot, path, value, when } => {
                if *when != When::Always && self.get(spot, path).is_some() == (*when == When::Absent) {
                    return;
                }
                if let Some(new) = self.given(value) {
                    self.put(spot, path, new, matches!(value, Origin::Literal(_)) && path.is_empty());
                }
            }
            Act::Delete { spot, path } => self.delete(spot, path),
            Act::Hash { spot, path, algorithm } => {
                if let Some(old) = self.get(spot, path) {
                    let new = algorithm.hash(&Value::read(&old));
                    self.put(spot, path, Cow::Owned(new), true);
                }
            }
            Act::Convert { spot, path, to } => {
                let new = self.get(spot, path).and_then(|old| to.convert(&Value::read(&old)));
                if let Some(new) = new {
                    self.put(spot, path, Cow::Owned(new), true);
                }
            }
            Act::DeleteMatching(pattern) => {
                let mut matcher = pattern.matcher();
                self.keep(|entry| !matcher.is_match(entry.key));
            }
            Act::Extract { from, pattern, keys } => self.extract(from, pattern, keys),
            Act::KeepKeys(keys) => self.keep(|entry| keys.has(entry.key)),
            Act::Rename { old, new, overwrites } => self.rename(old, new, *overwrites),
            Act::Truncate(max_bytes) => self.truncate(*max_bytes),
            Act::Limit { count, priority } => {
                let there = self.entries.iter().filter(|entry| entry.state != State::Gone);
                let first = there.filter(|entry| priority.has(entry.key)).count();
                let mut room = count.saturating_sub(first);
                self.keep(|entry| {
                    let is_kept = priority.has(entry.key) || room > 0;
                    room -= usize::from(is_kept && !priority.has(entry.key));
                    is_kept
                });
            }
        }
    }

    fn given(&self, origin: &'a Origin) -> Option<Bytes<'a>> {
        match origin {
            Origin::Literal(value) => Some(Cow::Borrowed(value)),
            Origin::Here(spot, path) => self.get(spot, path),
            Origin::Around(around) => around.read(self.item),
        }
    }

    /// The first attribute that there is of a key.
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.key == key && entry.state != State::Gone)
    }

    /// What is in a place, None where there is nothing.
    fn get(&self, spot: &Spot, path: &[Step]) -> Option<Bytes<'a>> {
        let value = match spot {
            Spot::Attribute(key) => self.entries[self.find(key)?].value.clone(),
            Spot::Field(index) => self.fields.get(*index)?.value.clone()?,
        };
        inside::get(value, path)
    }

    /// Write a value to a place, if it can be written there; one that is shallow needs no look at its depth.
    fn put(&mut self, spot: &'a Spot, path: &[Step], value: Bytes<'a>, is_shallow: bool) {
        match spot {
            Spot::Attribute(key) => {
                let found = self.find(key);
                let Some(new) = self.with(found.map(|at| &*self.entries[at].value), path, value) else { return };
                if !is_shallow && !is_value_within(&new, MAX_DEPTH - self.program.layout.depth - 2) {
                    return;
                }
                self.put_attribute(found, key, new);
            }
            Spot::Field(index) => {
                let place = self.program.places[*index];
                let before = self.fields[*index].value.as_deref();
                let new = if place.kind == Kind::Value {
                    let Some(new) = self.with(before, path, value) else { return };
                    if !is_shallow && !is_value_within(&new, MAX_DEPTH - self.program.layout.depth - 1) {
                        return;
                    }
                    Some(new)
                } else {
                    let Ok(new) = places::fitting(place.kind, value) else { return };
                    new
                };
                self.put_field(*index, new);
            }
        }
    }

    fn with(&self, before: Option<&[u8]>, path: &[Step], value: Bytes<'a>) -> Option<Bytes<'a>> {
        if path.is_empty() {
            return Some(value);
        }
        inside::with(before.unwrap_or_default(), path, &value).map(Cow::Owned)
    }

    fn put_attribute(&mut self, found: Option<usize>, key: &'a [u8], value: Bytes<'a>) {
        let Some(at) = found else {
            self.is_changed = true;
            self.entries.push(Entry { start: 0, end: 0, before: b"", key, value, state: State::New });
            return;
        };
        if self.entries[at].value != value {
            self.entries[at].value = value;
            self.change(at);
        }
        self.drop_further(at, key);
    }

    fn put_field(&mut self, index: usize, value: Option<Bytes<'a>>) {
        let field = &mut self.fields[index];
        if field.value != value {
            *field = FieldState { value, is_changed: true };
            self.is_changed = true;
        }
    }

    fn change(&mut self, at: usize) {
        self.is_changed = true;
        if self.entries[at].state == State::Kept {
            self.entries[at].state = State::Changed;
        }
    }

    /// Of a key only one attribute stays.
    fn drop_further(&mut self, first: usize, key: &[u8]) {
        let further = &mut self.entries[first + 1..];
        for entry in further.iter_mut().filter(|entry| entry.key == key && entry.state != State::Gone) {
            entry.state = State::Gone;
            self.is_changed = true;
        }
    }

    fn keep(&mut self, mut is_kept: impl FnMut(&Entry) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| entry.state != State::Gone) {
            if !is_kept(entry) {
                entry.state = State::Gone;
                self.is_changed = true;
            }
        }
    }

    fn delete(&mut self, spot: &'a Spot, path: &[Step]) {
        match spot {
            Spot::Attribute(key) if path.is_empty() => self.keep(|entry| entry.key != &**key),
            Spot::Attribute(key) => {
                let Some(at) = self.find(key) else { return };
                if let Some(new) = inside::without(&self.entries[at].value, path) {
                    self.put_attribute(Some(at), key, Cow::Owned(new));
                }
            }
            Spot::Field(index) if path.is_empty() => self.put_field(*index, None),
            Spot::Field(index) => {
                let before = self.fields[*index].value.as_deref();
                if let Some(new) = before.and_then(|before| inside::without(before, path)) {
                    self.put_field(*index, Some(Cow::Owned(new)));
                }
            }
        }
    }

    fn extract(&mut self, from: &'a Origin, pattern: &Pattern, keys: &'a [Box<[u8]>]) {
        let Some(value) = self.given(from) else { return };
        let Value::Text(text) = Value::read(&value) else { return };
        let Some(found) = pattern.matcher().captures(text) else { return };
        for (key, place) in keys.iter().zip(found.iter().skip(1)) {
            let part = place.and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
            self.put_attribute(self.find(key), key, places::text_or_empty(part));
        }
    }

    fn rename(&mut self, old: &[u8], new: &'a [u8], overwrites: bool) {
        let Some(at) = self.find(old) else { return };
        if old == new || (!overwrites && self.find(new).is_some()) {
            return;
        }
        self.keep(|entry| entry.key != new);
        self.drop_further(at, old);
        self.entries[at].key = new;
        self.change(at);
    }

    fn truncate(&mut self, max_bytes: usize) {
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            let cut = match Value::read(&entry.value) {
                Value::Text(text) if text.len() > max_bytes && entry.state != State::Gone => {
                    // A byte that goes on with a character begins with the bits 10.
                    let end = (0..=max_bytes).rev().find(|end| text[*end] & 0xc0 != 0x80).unwrap_or(0);
                    places::text_or_empty(&text[..end])
                }
                _ => continue,
            };
            self.entries[at].value = cut;
            self.change(at);
        }
    }
}
