//! The answers of a predicate for the items of a payload.

use super::super::fields::{Datum, Found, Level, Spotter};
use super::super::pattern::Matcher;
use super::super::view::{self, Item, View};
use super::{Node, Place, Predicate, Type};

const LEVELS: usize = Level::Exemplar as usize + 1;

impl Predicate {
    /// One byte for every item in order: 1 where the condition holds, else 0.
    pub fn mask(&self, view: &View) -> Vec<u8> {
        if let Node::Constant(value) = self.root {
            return vec![value.into(); view.items.len()];
        }
        let mut mask = Vec::with_capacity(view.items.len());
        let mut evaluation = Evaluation::new(self);
        view.walk(|level, item, _| {
            evaluation.enter(level, item);
            if level == view::Level::Item {
                mask.push(evaluation.holds(&self.root).into());
            }
        });
        mask
    }
}

/// What was found last, and at which state of its level.
#[derive(Clone)]
struct Kept<T> {
    at: u64,
    found: T,
}

/// One item after the other.
struct Evaluation<'p, 'a> {
    predicate: &'p Predicate,
    item: Item<'a>,
    /// The element of each repeated level that is looked at.
    elements: [&'a [u8]; LEVELS],
    /// Counts up where another message of the level, or of one above it, is looked at.
    states: [u64; LEVELS],
    data: Vec<Kept<Option<Found<'a>>>>,
    spotter: Spotter<'a>,
    /// The state of the items at which it looked.
    spotted_at: u64,
    answers: Vec<Kept<bool>>,
    matchers: Vec<Matcher<'p>>,
    text: Vec<u8>,
}

impl<'p, 'a> Evaluation<'p, 'a> {
    fn new(predicate: &'p Predicate) -> Self {
        Self {
            predicate,
            item: Item::default(),
            elements: [&[]; LEVELS],
            states: [0; LEVELS],
            data: vec![Kept { at: 0, found: None }; predicate.sources.len()],
            spotter: Spotter::new(&predicate.wanted),
            spotted_at: 0,
            answers: vec![Kept { at: 0, found: false }; predicate.cells],
            matchers: predicate.patterns.iter().map(|pattern| pattern.matcher()).collect(),
            text: vec![],
        }
    }

    /// Look at another item, or at what the items that follow belong to.
    #[inline(always)]
    fn enter(&mut self, level: view::Level, item: &Item<'a>) {
        self.states[level as usize] += 1;
        if level == view::Level::Item {
            self.item.message = item.message;
        } else {
            self.item = *item;
            self.spotter.expect(self.predicate.signal, item.kind);
        }
    }

    fn holds(&mut self, node: &'p Node) -> bool {
        match node {
            Node::Constant(value) => *value,
            Node::Literal(slot, comparison, literal) => {
                self.with(*slot, |_, found| comparison.holds(found.unwrap_or(Datum::Empty), literal.into()))
            }
            Node::Sources(left, comparison, right) => self.with(*left, |evaluation, left| {
                evaluation.with(*right, |_, right| {
                    comparison.holds(left.unwrap_or(Datum::Empty), right.unwrap_or(Datum::Empty))
                })
            }),
            Node::Matches(slot, pattern) => self.with(*slot, |evaluation, found| {
                let matcher = &mut evaluation.matchers[*pattern];
                text(found, &mut evaluation.text).is_some_and(|text| matcher.is_match(text))
            }),
            Node::OneOf(slot, set) => self.with(*slot, |_, found| set.contains(found.unwrap_or(Datum::Empty))),
            Node::Exists(slot) => self.with(*slot, |_, found| found.is_some()),
            Node::IsType(slot, types) => {
                self.with(*slot, |_, found| found.is_some_and(|datum| types.contains(&type_of(datum))))
            }
            Node::HasText(slot, place, part) => self.with(*slot, |evaluation, found| {
                text(found, &mut evaluation.text).is_some_and(|text| match place {
                    Place::Start => text.starts_with(part),
                    Place::End => text.ends_with(part),
                    Place::Anywhere => memchr::memmem::find(text, part).is_some(),
                })
            }),
            Node::All(inner) => inner.iter().all(|node| self.holds(node)),
            Node::Any(inner) => inner.iter().any(|node| self.holds(node)),
            Node::Not(inner) => !self.holds(inner),
            Node::Some(level, inner) => {
                let place = *level as usize;
                let before = self.elements[place];
                let found = level.elements(&self.item).any(|element| {
                    self.elements[place] = element;
                    self.states[place] += 1;
                    self.holds(inner)
                });
                self.elements[place] = before;
                self.states[place] += 1;
                found
            }
            Node::Above(level, cell, inner) => {
                let at = self.states[*level as usize];
                if self.answers[*cell].at != at {
                    let found = self.holds(inner);
                    self.answers[*cell] = Kept { at, found };
                }
                self.answers[*cell].found
            }
        }
    }

    /// Do something with what is found in a source.
    #[inline(always)]
    fn with<R>(&mut self, slot: usize, work: impl FnOnce(&mut Self, Option<Datum>) -> R) -> R {
        let predicate = self.predicate;
        let known = &predicate.sources[slot];
        let (source, level) = (&known.source, known.source.level as usize);
        if let Some(quick) = known.quick {
            let at = self.states[Level::Item as usize];
            if std::mem::replace(&mut self.spotted_at, at) != at {
                self.spotter.spot(self.item.message);
            }
            if let Ok(found) = quick.read(self.spotter.spotted()) {
                return work(self, found);
            }
        }
        if known.uses == 1 {
            let found = source.read(&self.item, self.elements[level]);
            return work(self, found.as_ref().map(Found::datum));
        }
        let at = self.states[level];
        // Taken out while it is used, for the same source may stand on both sides; then it is read again.
        let mut kept = std::mem::replace(&mut self.data[slot], Kept { at: 0, found: None });
        if kept.at != at {
            kept = Kept { at, found: source.read(&self.item, self.elements[level]) };
        }
        let result = work(self, kept.found.as_ref().map(Found::datum));
        self.data[slot] = kept;
        result
    }
}

/// The text of what was found, None where there is nothing.
#[inline(always)]
fn text<'v>(found: Option<Datum<'v>>, room: &'v mut Vec<u8>) -> Option<&'v [u8]> {
    match found? {
        Datum::Empty => None,
        Datum::Text(text) | Datum::Bytes(text) => Some(text),
        datum => {
            room.clear();
            datum.write_text(room);
            Some(room)
        }
    }
}

fn type_of(datum: Datum) -> Type {
    match datum {
        Datum::Empty => Type::Empty,
        Datum::Bool(_) => Type::Bool,
        Datum::Whole(_) => Type::Int,
        Datum::Double(_) => Type::Double,
        Datum::Text(_) | Datum::Id(_) => Type::Text,
        Datum::Bytes(_) => Type::Bytes,
        Datum::Array(_) => Type::Array,
        Datum::Map(_) => Type::Map,
    }
}
