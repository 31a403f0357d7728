//! The edits of one kind of message, and what they make of one.

use std::borrow::Cow;

use super::super::otlp::Signal;
use super::super::scan::Item;
use super::super::validate::is_value_within;
use super::super::values::Value;
use super::super::wire::{Content, Field, Fields, MAX_DEPTH, push_delimited};
use super::inside::{self, Bytes, push_entry, read_entry};
use super::keys::Keys;
use super::layout::{Kind, Layout, Level, Place, layout};
use super::places;
use super::{Algorithm, Edit, Given, Name, Source, Step, Type, When, absent};

/// The edits of a message with this layout, and of messages inside it.
pub struct Program {
    layout: &'static Layout,
    acts: Vec<Act>,
    /// Attributes that are named; others need not be looked at, unless all have to be.
    keys: Keys,
    sees_all: bool,
    /// Fields that are read or written.
    places: Vec<&'static Place>,
    inside: Vec<(u32, Program)>,
}

/// An edit of this message.
enum Act {
    Set { spot: Spot, path: Vec<Step>, value: Origin, when: When },
    Delete { spot: Spot, path: Vec<Step> },
    Hash { spot: Spot, path: Vec<Step>, algorithm: Algorithm },
    Convert { spot: Spot, path: Vec<Step>, to: Type },
    KeepKeys(Keys),
    Rename { old: Box<[u8]>, new: Box<[u8]>, overwrites: bool },
    Truncate(usize),
    Limit { count: usize, priority: Keys },
}

/// Where in this message: an attribute by its key, or a field by its index among `places`.
enum Spot {
    Attribute(Box<[u8]>),
    Field(usize),
}

/// Where a value comes from.
enum Origin {
    Literal(Vec<u8>),
    Here(Spot, Vec<Step>),
    Around(Around),
}

/// A place in a message around this one.
struct Around {
    level: Level,
    place: Result<&'static Place, (u32, Box<[u8]>)>,
    path: Vec<Step>,
}

/// What runs write to, for the next one to use.
#[derive(Default)]
pub struct Scratch {
    /// Bytes that were written so far.
    pub written: usize,
    entries: Vec<Entry<'static>>,
    patches: Vec<Patch>,
}

/// An attribute as it is now.
struct Entry<'a> {
    /// Where its field begins and ends; both 0 for a new one.
    start: usize,
    end: usize,
    /// Its message as it was.
    before: &'a [u8],
    key: &'a [u8],
    value: Bytes<'a>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Kept,
    Changed,
    New,
    Gone,
}

/// A field as it is now: its value as an `AnyValue`, None for the default.
struct FieldState<'a> {
    value: Option<Bytes<'a>>,
    is_changed: bool,
}

/// What takes the place of a range of the message.
struct Patch {
    start: usize,
    end: usize,
    what: What,
}

enum What {
    Nothing,
    Attribute(usize),
    NewAttributes,
    Field(usize),
    Inside(u32, Vec<u8>),
}

impl Program {
    /// What is to be done to messages at a level and inside it; None where that is nothing.
    pub fn new(
        signal: Signal,
        level: Level,
        layout: &'static Layout,
        kind: u32,
        edits: &[&Edit],
    ) -> Result<Option<Self>, String> {
        let mut program =
            Self { layout, acts: vec![], keys: Keys::default(), sees_all: false, places: vec![], inside: vec![] };
        for edit in edits.iter().filter(|edit| edit.level() == level) {
            let act = program.act(signal, level, kind, edit)?;
            program.acts.push(act);
        }
        if level == Level::Item {
            for inner in [Level::Event, Level::Link, Level::Exemplar] {
                let found = layout.messages(inner);
                if let Some((number, layout)) = found {
                    let inside = Self::new(signal, inner, layout, kind, edits)?;
                    program.inside.extend(inside.map(|inside| (number, inside)));
                } else if edits.iter().any(|edit| edit.level() == inner) && !is_summary(signal, kind, inner) {
                    return Err(absent(signal, inner, None));
                }
            }
        }
        Ok((!program.acts.is_empty() || !program.inside.is_empty()).then_some(program))
    }

    fn act(&mut self, signal: Signal, level: Level, kind: u32, edit: &Edit) -> Result<Act, String> {
        Ok(match edit {
            Edit::Set { target, value, when } => {
                let value = match value {
                    Given::Literal(value) => Origin::Literal(value.clone()),
                    Given::Copy(source) if source.level == level => {
                        Origin::Here(self.spot(signal, source)?, source.path.clone())
                    }
                    Given::Copy(source) => Origin::Around(Around::new(signal, kind, source)?),
                };
                Act::Set { spot: self.spot(signal, target)?, path: target.path.clone(), value, when: *when }
            }
            Edit::Delete(target) => Act::Delete { spot: self.spot(signal, target)?, path: target.path.clone() },
            Edit::Hash(target, algorithm) => {
                let algorithm = algorithm.clone();
                Act::Hash { spot: self.spot(signal, target)?, path: target.path.clone(), algorithm }
            }
            Edit::Convert(target, to) => {
                Act::Convert { spot: self.spot(signal, target)?, path: target.path.clone(), to: *to }
            }
            Edit::Rename { old, new, overwrites, .. } => {
                self.keys.add(old);
                self.keys.add(new);
                Act::Rename { old: old.clone(), new: new.clone(), overwrites: *overwrites }
            }
            Edit::KeepKeys { keys, .. } => {
                self.sees_all = true;
                Act::KeepKeys(keys.iter().collect())
            }
            Edit::Truncate { max_bytes, .. } => {
                self.sees_all = true;
                Act::Truncate(*max_bytes)
            }
            Edit::Limit { count, priority_keys, .. } => {
                self.sees_all = true;
                Act::Limit { count: *count, priority: priority_keys.iter().collect() }
            }
        })
    }

    fn spot(&mut self, signal: Signal, source: &Source) -> Result<Spot, String> {
        match &source.name {
            Name::Attribute(key) => {
                self.keys.add(key);
                Ok(Spot::Attribute(key.clone()))
            }
            Name::Field(name) => {
                let place = self.layout.field(name).ok_or_else(|| absent(signal, source.level, Some(name)))?;
                let known = self.places.iter().position(|known| *known == place);
                Ok(Spot::Field(known.unwrap_or_else(|| {
                    self.places.push(place);
                    self.places.len() - 1
                })))
            }
        }
    }

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

/// Points of summaries alone have no exemplars among those of metrics.
fn is_summary(signal: Signal, kind: u32, inner: Level) -> bool {
    (signal, kind, inner) == (Signal::Metrics, 11, Level::Exemplar)
}

impl Around {
    fn new(signal: Signal, kind: u32, source: &Source) -> Result<Self, String> {
        let level = source.level;
        let place = match (layout(signal, level, kind), &source.name) {
            (Some(layout), Name::Attribute(key)) => Err((layout.attributes, key.clone())),
            (Some(layout), Name::Field(name)) => {
                Ok(layout.field(name).ok_or_else(|| absent(signal, level, Some(name)))?)
            }
            (None, Name::Attribute(_)) => return Err(absent(signal, level, None)),
            (None, Name::Field(name)) => return Err(absent(signal, level, Some(name))),
        };
        Ok(Self { level, place, path: source.path.clone() })
    }

    fn read<'a>(&self, item: &Item<'a>) -> Option<Bytes<'a>> {
        let message = match self.level {
            Level::ResourceOwner => return places::text(item.resource_schema_url),
            Level::ScopeOwner => return places::text(item.scope_schema_url),
            Level::Resource => item.resource,
            Level::Scope => item.scope,
            Level::Metric => item.metric,
            _ => item.message,
        };
        let value = match &self.place {
            Ok(place) => places::read(place, Fields::new(message))?,
            Err((number, key)) => Fields::new(message).find_map(|field| match field.content {
                Content::Length(entry) if field.number == *number => {
                    let (found, value) = read_entry(entry);
                    (*found == **key).then_some(value)
                }
                _ => None,
            })?,
        };
        inside::get(value, &self.path)
    }
}

/// The edits of one message.
struct Run<'a, 'i> {
    program: &'a Program,
    item: &'i Item<'a>,
    message: &'a [u8],
    /// Attributes that edits may concern, in order.
    entries: Vec<Entry<'a>>,
    behind_attributes: Option<usize>,
    /// As `Program::places`.
    fields: Vec<FieldState<'a>>,
    /// Where those are.
    found: Vec<Field<'a>>,
    inside: Vec<Patch>,
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
                let new = match value {
                    Origin::Literal(value) => Some(Cow::Borrowed(&**value)),
                    Origin::Here(spot, path) => self.get(spot, path),
                    Origin::Around(around) => around.read(self.item),
                };
                if let Some(new) = new {
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

    fn write(&mut self, patches: &mut Vec<Patch>, out: &mut Vec<u8>) {
        patches.clear();
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, entry)| entry.end > 0) {
            let what = match entry.state {
                State::Changed => What::Attribute(index),
                State::Gone => What::Nothing,
                State::Kept | State::New => continue,
            };
            patches.push(Patch { start: entry.start, end: entry.end, what });
        }
        if self.entries.last().is_some_and(|entry| entry.end == 0) {
            let at = self.behind_attributes.unwrap_or(self.message.len());
            patches.push(Patch { start: at, end: at, what: What::NewAttributes });
        }
        let in_order = patches.len();
        for (index, place) in self.program.places.iter().enumerate().filter(|(index, _)| self.fields[*index].is_changed)
        {
            self.patch_field(index, place, patches);
        }
        patches.append(&mut self.inside);
        if patches.len() > in_order {
            patches.sort_by_key(|patch| (patch.start, patch.end));
        }
        let (mut at, message) = (0, self.message);
        out.reserve(message.len() + 256);
        for patch in &*patches {
            out.extend_from_slice(&message[at..patch.start]);
            at = patch.end;
            match &patch.what {
                What::Nothing => {}
                What::Attribute(index) => self.write_entry(&self.entries[*index], out),
                What::NewAttributes => {
                    let new = self.entries.iter().filter(|entry| entry.state == State::New);
                    new.for_each(|entry| self.write_entry(entry, out));
                }
                What::Field(index) => self.write_field(self.program.places[*index], out),
                What::Inside(number, content) => push_delimited(out, *number, content),
            }
        }
        out.extend_from_slice(&message[at..]);
    }

    /// A field that changed takes the place of the first one of its number; those of messages are merged there.
    fn patch_field(&self, index: usize, place: &Place, patches: &mut Vec<Patch>) {
        let earlier = self.program.places.iter().zip(&self.fields).take(index);
        if earlier.into_iter().any(|(other, state)| other.number == place.number && state.is_changed) {
            return;
        }
        let mut what = What::Field(index);
        for field in self.found.iter().filter(|field| place.is_in(field)) {
            patches.push(Patch { start: field.start, end: field.end, what });
            what = What::Nothing;
        }
        if matches!(what, What::Field(_)) {
            let end = self.message.len();
            patches.push(Patch { start: end, end, what });
        }
    }

    fn write_entry(&self, entry: &Entry, out: &mut Vec<u8>) {
        push_entry(out, self.program.layout.attributes, entry.before, entry.key, &entry.value);
    }

    fn write_field(&self, place: &Place, out: &mut Vec<u8>) {
        let places = self.program.places.iter().zip(&self.fields);
        let mut changed = places.filter(|(other, state)| other.number == place.number && state.is_changed);
        if place.inside == 0 {
            if let Some((place, state)) = changed.next() {
                places::write(place.kind, place.number, state.value.as_deref(), out);
            }
            return;
        }
        let changed: Vec<_> = changed.collect();
        let mut content = vec![];
        for field in self.found.iter().filter(|field| place.is_in(field)) {
            let Content::Length(message) = field.content else { continue };
            for inner in Fields::new(message) {
                let is_replaced =
                    changed.iter().any(|(place, _)| inner.number == place.inside && place.kind.is_in(inner.content));
                if !is_replaced {
                    content.extend_from_slice(&message[inner.start..inner.end]);
                }
            }
        }
        for (place, state) in changed {
            places::write(place.kind, place.inside, state.value.as_deref(), &mut content);
        }
        push_delimited(out, place.number, &content);
    }
}
