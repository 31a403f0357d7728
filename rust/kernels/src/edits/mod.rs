//! Edits of attributes and fields, compiled once and carried out on messages as they are on the wire.
//!
//! What each edit means is told in `airis.data.edits`. Edits of one message are carried out in one pass over its
//! fields; what does not change is copied in whole runs, and a message in which nothing changes is not copied.

mod apply;
mod conversion;
mod hashing;
mod inside;
mod keys;
mod layout;
mod places;
mod program;
mod rewrite;
mod run;

use std::sync::{Arc, Mutex, PoisonError};

use super::otlp::Signal;
use super::pattern::Pattern;
use super::view::{Item, View};
use super::wire::Malformed;

pub use conversion::Type;
pub use hashing::Algorithm;
pub use inside::Step;
pub use layout::Level;
pub use run::Scratch;

use apply::apply;
use layout::{kinds, layout};
use program::Program;

/// Every item can get a copy of what its resource has: a sender could make much of little.
const MAX_WRITTEN_BYTES: usize = 1 << 30;

/// What an attribute or a field is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Attribute(Box<[u8]>),
    Field(Box<str>),
}

/// A value that is read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub level: Level,
    pub name: Name,
    pub path: Vec<Step>,
}

/// What is written.
#[derive(Clone, Debug)]
pub enum Given {
    /// An `AnyValue`.
    Literal(Vec<u8>),
    Copy(Source),
}

/// Whether a value is written where there is one already, and where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Absent,
    Present,
}

/// One edit.
#[derive(Clone)]
pub enum Edit {
    Set {
        target: Source,
        value: Given,
        when: When,
    },
    Delete(Source),
    Hash(Source, Algorithm),
    Convert(Source, Type),
    DeleteMatching {
        level: Level,
        pattern: Arc<Pattern>,
    },
    HashMatching {
        level: Level,
        pattern: Arc<Pattern>,
        algorithm: Algorithm,
    },
    /// All groups of the pattern have names.
    Extract {
        source: Source,
        pattern: Arc<Pattern>,
        level: Level,
    },
    KeepKeys {
        level: Level,
        keys: Vec<Box<[u8]>>,
    },
    Rename {
        level: Level,
        old: Box<[u8]>,
        new: Box<[u8]>,
        overwrites: bool,
    },
    Truncate {
        level: Level,
        max_bytes: usize,
    },
    Limit {
        level: Level,
        count: usize,
        priority_keys: Vec<Box<[u8]>>,
    },
}

impl Edit {
    fn level(&self) -> Level {
        match self {
            Self::Set { target, .. } | Self::Delete(target) | Self::Hash(target, _) | Self::Convert(target, _) => {
                target.level
            }
            Self::DeleteMatching { level, .. }
            | Self::HashMatching { level, .. }
            | Self::Extract { level, .. }
            | Self::KeepKeys { level, .. }
            | Self::Rename { level, .. }
            | Self::Truncate { level, .. }
            | Self::Limit { level, .. } => *level,
        }
    }

    /// The level that a value is copied from, where it is another one.
    fn source(&self) -> Option<Level> {
        match self {
            Self::Set { target, value: Given::Copy(source), .. } if source.level != target.level => Some(source.level),
            Self::Extract { source, level, .. } if source.level != *level => Some(source.level),
            _ => None,
        }
    }
}

/// A program of edits for each signal.
pub struct Edits {
    traces: Result<Stages, String>,
    metrics: Result<Stages, String>,
    logs: Result<Stages, String>,
}

impl Edits {
    /// Compile.
    pub fn new(edits: &[Edit]) -> Self {
        let stages = |signal| Stages::new(signal, edits);
        Self { traces: stages(Signal::Traces), metrics: stages(Signal::Metrics), logs: stages(Signal::Logs) }
    }

    /// What is to be done one behind another; an error for edits that the items of a signal cannot have.
    pub fn stages(&self, signal: Signal) -> Result<&Stages, &str> {
        let stages = match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
            // There is no view of them.
            Signal::Profiles => return Err("profiles are not edited"),
        };
        stages.as_ref().map_err(String::as_str)
    }
}

/// Edits of one signal that are carried out one behind another.
pub struct Stages {
    all: Vec<Stage>,
    /// What a run writes to, and learns of its messages, for the next one.
    spare: Mutex<Vec<Scratch>>,
}

impl Stages {
    fn new(signal: Signal, edits: &[Edit]) -> Result<Self, String> {
        let mut programs = 0;
        let all = stages(edits).into_iter().map(|stage| Stage::new(signal, &stage, &mut programs));
        Ok(Self { all: all.collect::<Result<_, _>>()?, spare: Mutex::default() })
    }

    /// The view after all of them, None where nothing changed.
    ///
    /// A mask has a byte for each item: where it is 0 the item stays, and an owner with nothing but such items.
    pub fn apply(&self, view: &View, mask: Option<&[u8]>) -> Result<Option<View>, Malformed> {
        let mut scratch = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        scratch.written = 0;
        let edited = apply(&self.all, view, mask, &mut scratch);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        edited
    }
}

/// Edits in groups: in one of them nothing is copied from another level that was edited before in the same group.
fn stages(edits: &[Edit]) -> Vec<Vec<&Edit>> {
    let mut stages: Vec<Vec<&Edit>> = vec![];
    for edit in edits {
        match stages.last_mut() {
            Some(open) if open.iter().all(|before| Some(before.level()) != edit.source()) => open.push(edit),
            _ => stages.push(vec![edit]),
        }
    }
    stages
}

/// Edits that can be carried out on each message by itself, in any order of messages.
pub struct Stage {
    resource_owner: Option<Program>,
    resource: Option<Program>,
    scope_owner: Option<Program>,
    scope: Option<Program>,
    metric: Option<Program>,
    /// By the kind of an item's data.
    items: Vec<(u32, Program)>,
}

impl Stage {
    fn new(signal: Signal, edits: &[&Edit], programs: &mut usize) -> Result<Self, String> {
        let mut items = vec![];
        for &kind in kinds(signal) {
            if let Some(layout) = layout(signal, Level::Item, kind) {
                let program = Program::new(signal, Level::Item, layout, kind, edits, programs)?;
                items.extend(program.map(|program| (kind, program)));
            }
        }
        let mut program = |level| match layout(signal, level, 0) {
            Some(layout) => Program::new(signal, level, layout, 0, edits, programs),
            None if edits.iter().any(|edit| edit.level() == level) => Err(absent(signal, level, None)),
            None => Ok(None),
        };
        Ok(Self {
            resource_owner: program(Level::ResourceOwner)?,
            resource: program(Level::Resource)?,
            scope_owner: program(Level::ScopeOwner)?,
            scope: program(Level::Scope)?,
            metric: program(Level::Metric)?,
            items,
        })
    }

    fn program(&self, level: Level, kind: u32) -> Option<&Program> {
        match level {
            Level::ResourceOwner => self.resource_owner.as_ref(),
            Level::Resource => self.resource.as_ref(),
            Level::ScopeOwner => self.scope_owner.as_ref(),
            Level::Scope => self.scope.as_ref(),
            Level::Metric => self.metric.as_ref(),
            // Gauges and sums have the same points.
            Level::Item => {
                let kind = if kind == 7 { 5 } else { kind };
                self.items.iter().find(|program| program.0 == kind).map(|program| &program.1)
            }
            Level::Event | Level::Link | Level::Exemplar => None,
        }
    }

    /// Whether messages at a level can change.
    pub fn has(&self, level: Level) -> bool {
        match level {
            Level::Item => !self.items.is_empty(),
            _ => self.program(level, 0).is_some(),
        }
    }

    /// Append what the message at a level becomes, and tell whether it changed at all; else nothing is appended.
    ///
    /// Of `item` what is above the level is read, and at `Level::Item` its kind. A schema URL is edited as a message
    /// that has nothing but its field, a metric as one that may be without its data.
    pub fn edit<'a>(
        &'a self,
        level: Level,
        item: &Item<'a>,
        message: &'a [u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        let Some(program) = self.program(level, item.kind) else { return Ok(false) };
        let start = out.len();
        let mut item = *item;
        if level == Level::Item {
            item.message = message;
        }
        let is_changed = program.run(&item, message, scratch, out);
        scratch.written += out.len() - start;
        if scratch.written > MAX_WRITTEN_BYTES {
            return Err(Malformed::new("edits would make more than 1 GiB of it", 0));
        }
        Ok(is_changed)
    }
}

/// What is said of a level or a field that items of a signal do not have.
fn absent(signal: Signal, level: Level, field: Option<&str>) -> String {
    let signal = signal.name();
    format!("{signal} have no {} {}", level.name(), field.unwrap_or("attributes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(level: Level, key: &str) -> Source {
        Source { level, name: Name::Attribute(key.as_bytes().into()), path: vec![] }
    }

    fn copy(to: (Level, &str), from: (Level, &str)) -> Edit {
        let value = Given::Copy(attribute(from.0, from.1));
        Edit::Set { target: attribute(to.0, to.1), value, when: When::Always }
    }

    #[test]
    fn copies_cannot_make_much_of_little() {
        let edits = Edits::new(&[copy((Level::Item, "a"), (Level::Resource, "a"))]);
        let stage = &edits.stages(Signal::Traces).expect("edits for spans").all[0];
        let mut resource = vec![];
        inside::push_entry(&mut resource, 1, b"", b"a", &[&[0x0a, 100][..], &[b'x'; 100]].concat());
        let item = Item {
            resource: &resource,
            resource_schema_url: b"",
            scope: b"",
            scope_schema_url: b"",
            metric: b"",
            kind: 0,
            message: b"",
        };
        let mut scratch = Scratch::default();
        scratch.written += MAX_WRITTEN_BYTES - 200;
        let mut out = vec![];
        assert_eq!(stage.edit(Level::Item, &item, b"", &mut scratch, &mut out), Ok(true));
        assert!(stage.edit(Level::Item, &item, b"", &mut scratch, &mut out).is_err());
    }

    #[test]
    fn edits_that_do_not_see_one_another_are_done_together() {
        use Level::{Event, Item, Resource, ResourceOwner};
        for (edits, count) in [
            (vec![copy((Item, "a"), (Item, "b")), copy((Item, "b"), (Item, "a"))], 1),
            (vec![copy((Item, "a"), (Resource, "b")), copy((Resource, "b"), (Resource, "c"))], 1),
            (vec![copy((Resource, "b"), (Resource, "c")), copy((Item, "a"), (Resource, "b"))], 2),
            (vec![copy((Resource, "b"), (Resource, "c")), copy((Item, "a"), (ResourceOwner, "b"))], 1),
            (vec![copy((Item, "b"), (Item, "c")), copy((Event, "a"), (Item, "b")), copy((Event, "b"), (Item, "c"))], 2),
        ] {
            assert_eq!(stages(&edits).len(), count);
        }
    }
}
