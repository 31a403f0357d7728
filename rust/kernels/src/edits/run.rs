//! What a program makes of one message.

use std::borrow::Cow;

use super::super::pattern::Pattern;
use super::super::trail::{self, Hit, Trail};
use super::super::validate::is_value_within;
use super::super::values::Value;
use super::super::view::Item;
use super::super::wire::{Content, Field, MAX_DEPTH};
use super::inside::{self, Bytes, read_entry};
use super::layout::Kind;
use super::places;
use super::program::{Act, Origin, Program, Spot};
use super::rewrite::{Patch, What};
use super::{Algorithm, Step, When};

/// Digests whose memory is kept for others.
const MAX_SPARE: usize = 64;

/// What runs write to, and learn of the messages that they see, for the next one to use.
#[derive(Default)]
pub struct Scratch {
    /// Bytes that were written so far.
    pub written: usize,
    entries: Vec<Entry<'static>>,
    patches: Vec<Patch>,
    /// Memory of digests that were written.
    spare: Vec<Vec<u8>>,
    /// By the numbers of the programs.
    trails: Vec<Trail>,
}

/// An attribute as it is now.
pub struct Entry<'a> {
    /// Where its field begins and ends; both 0 for a new one.
    pub start: usize,
    pub end: usize,
    /// Its message as it was.
    pub before: &'a [u8],
    /// Of its key, None for one that no edit names.
    pub number: Option<usize>,
    pub key: &'a [u8],
    pub value: Bytes<'a>,
    pub state: State,
}

impl<'a> From<trail::Entry<'a>> for Entry<'a> {
    #[inline(always)]
    fn from(found: trail::Entry<'a>) -> Self {
        let trail::Entry { number, start, end, message: before, plain } = found;
        let (key, value) = match plain {
            Some((key, value)) => (key, Cow::Borrowed(value)),
            None => read_entry(before),
        };
        Self { start, end, before, number, key, value, state: State::Kept }
    }
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
            fields: vec![],
            found: vec![],
            inside: vec![],
            spare: std::mem::take(&mut scratch.spare),
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
        scratch.spare = run.spare;
        scratch.spare.extend(entries.drain(..).filter_map(|entry| match entry.value {
            Cow::Owned(bytes) => Some(bytes),
            Cow::Borrowed(_) => None,
        }));
        scratch.spare.truncate(MAX_SPARE);
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
    /// As `Program::places`.
    pub fields: Vec<FieldState<'a>>,
    /// Where those are.
    pub found: Vec<Field<'a>>,
    pub inside: Vec<Patch>,
    spare: Vec<Vec<u8>>,
    is_changed: bool,
}

impl<'a> Run<'a, '_> {
    /// Find everything that edits may concern, and carry out those inside messages of this one.
    #[inline(always)]
    fn read(&mut self, scratch: &mut Scratch) {
        let program = self.program;
        if scratch.trails.len() <= program.number {
            scratch.trails.resize_with(program.number + 1, Trail::default);
        }
        let mut trail = std::mem::take(&mut scratch.trails[program.number]);
        trail.walk(self.message, &program.wanted, |hit| {
            match hit {
                Hit::Attribute(found) => self.entries.push(found.into()),
                Hit::Field(field) => self.see(field, scratch),
            }
            true
        });
        scratch.trails[program.number] = trail;
        for place in &program.places {
            let value = places::read(place, self.found.iter().copied());
            self.fields.push(FieldState { value, is_changed: false });
        }
    }

    /// Take note of a field, or carry out the edits inside of it.
    #[inline(never)]
    fn see(&mut self, field: Field<'a>, scratch: &mut Scratch) {
        let program = self.program;
        if let Content::Length(inner) = field.content
            && let Some((number, inside)) = program.inside.iter().find(|inside| inside.0 == field.number)
        {
            let mut content = vec![];
            if inside.run(self.item, inner, scratch, &mut content) {
                self.is_changed = true;
                let what = What::Inside(*number, content);
                self.inside.push(Patch { start: field.start, end: field.end, what });
            }
        } else if program.places.iter().any(|place| place.is_in(&field)) {
            self.found.push(field);
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
                    let mut new = self.spare.pop().unwrap_or_default();
                    algorithm.hash(&Value::read(&old), &mut new);
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
            Act::HashMatching(pattern, algorithm) => self.hash_matching(pattern, algorithm),
            Act::Extract { from, pattern, keys } => self.extract(from, pattern, keys),
            Act::KeepKeys(keys) => self.keep(|entry| keys.has(entry.key)),
            Act::Rename { old, new, overwrites } => self.rename(*old, *new, *overwrites),
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

    /// The first attribute that there is of the key with a number.
    fn find(&self, number: usize) -> Option<usize> {
        self.entries.iter().position(|entry| entry.number == Some(number) && entry.state != State::Gone)
    }

    /// What is in a place, None where there is nothing.
    fn get(&self, spot: &Spot, path: &[Step]) -> Option<Bytes<'a>> {
        let value = match spot {
            Spot::Attribute(key) => self.entries[self.find(*key)?].value.clone(),
            Spot::Field(index) => self.fields.get(*index)?.value.clone()?,
        };
        inside::get(value, path)
    }

    /// Write a value to a place, if it can be written there; one that is shallow needs no look at its depth.
    fn put(&mut self, spot: &Spot, path: &[Step], value: Bytes<'a>, is_shallow: bool) {
        match spot {
            Spot::Attribute(key) => {
                let found = self.find(*key);
                let Some(new) = self.with(found.map(|at| &*self.entries[at].value), path, value) else { return };
                if !is_shallow && !is_value_within(&new, MAX_DEPTH - self.program.layout.depth - 2) {
                    return;
                }
                self.put_attribute(found, *key, new);
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

    fn put_attribute(&mut self, found: Option<usize>, number: usize, value: Bytes<'a>) {
        let Some(at) = found else {
            self.is_changed = true;
            let key = &self.program.wanted.keys()[number];
            let (number, state) = (Some(number), State::New);
            self.entries.push(Entry { start: 0, end: 0, before: b"", number, key, value, state });
            return;
        };
        self.put_value(at, value);
        self.drop_further(at, number);
    }

    fn put_value(&mut self, at: usize, value: Bytes<'a>) {
        if self.entries[at].value != value {
            self.entries[at].value = value;
            self.change(at);
        }
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
    fn drop_further(&mut self, first: usize, number: usize) {
        let further = &mut self.entries[first + 1..];
        for entry in further.iter_mut().filter(|entry| entry.number == Some(number) && entry.state != State::Gone) {
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

    fn delete(&mut self, spot: &Spot, path: &[Step]) {
        match spot {
            Spot::Attribute(key) if path.is_empty() => self.keep(|entry| entry.number != Some(*key)),
            Spot::Attribute(key) => {
                let Some(at) = self.find(*key) else { return };
                if let Some(new) = inside::without(&self.entries[at].value, path) {
                    self.put_attribute(Some(at), *key, Cow::Owned(new));
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

    /// Hash the first attribute of each key that matches; the further ones of the key go.
    fn hash_matching(&mut self, pattern: &Pattern, algorithm: &Algorithm) {
        let mut matcher = pattern.matcher();
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            if entry.state == State::Gone || !matcher.is_match(entry.key) {
                continue;
            }
            let (key, mut new) = (entry.key, self.spare.pop().unwrap_or_default());
            algorithm.hash(&Value::read(&entry.value), &mut new);
            self.put_value(at, Cow::Owned(new));
            for further in self.entries[at + 1..].iter_mut().filter(|further| further.key == key) {
                self.is_changed |= further.state != State::Gone;
                further.state = State::Gone;
            }
        }
    }

    fn extract(&mut self, from: &'a Origin, pattern: &Pattern, keys: &[usize]) {
        let Some(value) = self.given(from) else { return };
        let Value::Text(text) = Value::read(&value) else { return };
        let Some(found) = pattern.matcher().captures(text) else { return };
        for (key, place) in keys.iter().zip(found.iter().skip(1)) {
            let part = place.and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
            self.put_attribute(self.find(*key), *key, places::text_or_empty(part));
        }
    }

    fn rename(&mut self, old: usize, new: usize, overwrites: bool) {
        let Some(at) = self.find(old) else { return };
        if old == new || (!overwrites && self.find(new).is_some()) {
            return;
        }
        self.keep(|entry| entry.number != Some(new));
        self.drop_further(at, old);
        (self.entries[at].number, self.entries[at].key) = (Some(new), &self.program.wanted.keys()[new]);
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
