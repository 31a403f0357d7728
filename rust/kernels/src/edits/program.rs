//! The edits of one kind of message, compiled.

use std::sync::Arc;

use super::super::otlp::Signal;
use super::super::pattern::Pattern;
use super::super::trail::Wanted;
use super::super::view::Item;
use super::super::wire::{Content, Fields};
use super::inside::{self, Bytes, read_entry};
use super::keys::Keys;
use super::layout::{Layout, Level, Place, layout};
use super::places;
use super::{Algorithm, Edit, Given, Name, Source, Step, Type, When, absent};

/// The edits of a message with this layout, and of messages inside it.
pub struct Program {
    pub layout: &'static Layout,
    pub acts: Vec<Act>,
    /// What is read or written; attributes that are not named need not be looked at, unless all have to be.
    pub wanted: Wanted,
    /// Fields that are read or written.
    pub places: Vec<&'static Place>,
    pub inside: Vec<(u32, Program)>,
    /// Of its trail.
    pub number: usize,
}

/// An edit of this message.
pub enum Act {
    Set { spot: Spot, path: Vec<Step>, value: Origin, when: When },
    Delete { spot: Spot, path: Vec<Step> },
    Hash { spot: Spot, path: Vec<Step>, algorithm: Algorithm },
    Convert { spot: Spot, path: Vec<Step>, to: Type },
    DeleteMatching(Arc<Pattern>),
    HashMatching(Arc<Pattern>, Algorithm),
    Extract { from: Origin, pattern: Arc<Pattern>, keys: Vec<usize> },
    KeepKeys(Keys),
    Rename { old: usize, new: usize, overwrites: bool },
    Truncate(usize),
    Limit { count: usize, priority: Keys },
}

/// Where in this message: an attribute by the number of its key, or a field by its index among `places`.
#[derive(Clone, Copy)]
pub enum Spot {
    Attribute(usize),
    Field(usize),
}

/// Where a value comes from.
pub enum Origin {
    Literal(Vec<u8>),
    Here(Spot, Vec<Step>),
    Around(Around),
}

/// A place in a message around this one.
pub struct Around {
    level: Level,
    place: Result<&'static Place, (u32, Box<[u8]>)>,
    path: Vec<Step>,
}

impl Program {
    /// What is to be done to messages at a level and inside it; None where that is nothing.
    pub fn new(
        signal: Signal,
        level: Level,
        layout: &'static Layout,
        kind: u32,
        edits: &[&Edit],
        programs: &mut usize,
    ) -> Result<Option<Self>, String> {
        let wanted = Wanted::among(layout.attributes);
        let number = *programs;
        *programs += 1;
        let mut program = Self { layout, acts: vec![], wanted, places: vec![], inside: vec![], number };
        for edit in edits.iter().filter(|edit| edit.level() == level) {
            let act = program.act(signal, level, kind, edit)?;
            program.acts.push(act);
        }
        if level == Level::Item {
            for inner in [Level::Event, Level::Link, Level::Exemplar] {
                let found = layout.messages(inner);
                if let Some((number, layout)) = found {
                    if let Some(inside) = Self::new(signal, inner, layout, kind, edits, programs)? {
                        program.wanted.field(number);
                        program.inside.push((number, inside));
                    }
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
                    Given::Copy(source) => self.origin(signal, level, kind, source)?,
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
                Act::Rename { old: self.wanted.key(old), new: self.wanted.key(new), overwrites: *overwrites }
            }
            Edit::DeleteMatching { pattern, .. } => {
                self.wanted.shows_all = true;
                Act::DeleteMatching(Arc::clone(pattern))
            }
            Edit::HashMatching { pattern, algorithm, .. } => {
                self.wanted.shows_all = true;
                Act::HashMatching(Arc::clone(pattern), algorithm.clone())
            }
            Edit::Extract { source, pattern, .. } => {
                let names = pattern.groups().iter().map(|name| name.as_deref().unwrap_or_default().as_bytes());
                let keys = names.map(|key| self.wanted.key(key)).collect();
                let from = self.origin(signal, level, kind, source)?;
                Act::Extract { from, pattern: Arc::clone(pattern), keys }
            }
            Edit::KeepKeys { keys, .. } => {
                self.wanted.shows_all = true;
                Act::KeepKeys(keys.iter().collect())
            }
            Edit::Truncate { max_bytes, .. } => {
                self.wanted.shows_all = true;
                Act::Truncate(*max_bytes)
            }
            Edit::Limit { count, priority_keys, .. } => {
                self.wanted.shows_all = true;
                Act::Limit { count: *count, priority: priority_keys.iter().collect() }
            }
        })
    }

    fn origin(&mut self, signal: Signal, level: Level, kind: u32, source: &Source) -> Result<Origin, String> {
        Ok(if source.level == level {
            Origin::Here(self.spot(signal, source)?, source.path.clone())
        } else {
            Origin::Around(Around::new(signal, kind, source)?)
        })
    }

    fn spot(&mut self, signal: Signal, source: &Source) -> Result<Spot, String> {
        match &source.name {
            Name::Attribute(key) => Ok(Spot::Attribute(self.wanted.key(key))),
            Name::Field(name) => {
                let place = self.layout.field(name).ok_or_else(|| absent(signal, source.level, Some(name)))?;
                let known = self.places.iter().position(|known| *known == place);
                Ok(Spot::Field(known.unwrap_or_else(|| {
                    self.wanted.field(place.number);
                    self.places.push(place);
                    self.places.len() - 1
                })))
            }
        }
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

    /// What is there, None where it is absent.
    pub fn read<'a>(&self, item: &Item<'a>) -> Option<Bytes<'a>> {
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
