//! A message written anew, in whole runs of what did not change.

use super::super::wire::{Content, Fields, push_delimited};
use super::inside::push_entry;
use super::layout::Place;
use super::places;
use super::run::{Entry, Run, State};

/// What takes the place of a range of the message.
pub struct Patch {
    pub start: usize,
    pub end: usize,
    pub what: What,
}

pub enum What {
    Nothing,
    Attribute(usize),
    NewAttributes,
    Field(usize),
    Inside(u32, Vec<u8>),
}

impl Run<'_, '_> {
    /// Append the message as it is now.
    pub fn write(&mut self, patches: &mut Vec<Patch>, out: &mut Vec<u8>) {
        out.reserve(self.message.len() + 256);
        if self.inside.is_empty() && !self.fields.iter().any(|field| field.is_changed) {
            return self.write_attributes(out);
        }
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
            let at = self.message.len();
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

    /// Append the message where attributes alone have changed; new ones come last.
    fn write_attributes(&self, out: &mut Vec<u8>) {
        let (mut at, message) = (0, self.message);
        for entry in self.entries.iter().filter(|entry| entry.state != State::Kept) {
            match entry.state {
                State::Gone if entry.end == 0 => continue,
                State::New => {
                    out.extend_from_slice(&message[at..]);
                    at = message.len();
                }
                _ => {
                    // Of several that go, most stand side by side.
                    if at < entry.start {
                        out.extend_from_slice(&message[at..entry.start]);
                    }
                    at = entry.end;
                }
            }
            if entry.state != State::Gone {
                self.write_entry(entry, out);
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
