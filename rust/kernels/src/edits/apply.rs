//! Views edited, which share what does not change with those before.

use std::ops::Range;

use super::super::buffers::Fresh;
use super::super::view::{Item, Level as Shown, View};
use super::super::wire::{Content, Fields, Malformed, push_delimited};
use super::{Level, Scratch, Stage};

const LEVELS: [(Shown, Level); 4] = [
    (Shown::Resource, Level::Resource),
    (Shown::Scope, Level::Scope),
    (Shown::Metric, Level::Metric),
    (Shown::Item, Level::Item),
];

/// The view after all stages, None where nothing changed.
///
/// A mask has a byte for each item: where it is 0 the item stays, and an owner with nothing but such items.
pub fn apply(stages: &[Stage], view: &View, mask: Option<&[u8]>) -> Result<Option<View>, Malformed> {
    let mut scratch = Scratch::default();
    let mut edited: Option<View> = None;
    for stage in stages {
        let before = edited.as_ref().unwrap_or(view);
        edited = stage.apply(before, mask, &mut scratch)?.or(edited);
    }
    Ok(edited)
}

/// A schema URL that changes: of an owner, or of a scope with that of its owner.
struct Changed {
    owner: usize,
    scope: Option<usize>,
    url: Vec<u8>,
}

impl Stage {
    fn apply(&self, view: &View, mask: Option<&[u8]>, scratch: &mut Scratch) -> Result<Option<View>, Malformed> {
        let edited = LEVELS.iter().filter(|level| self.has(level.1)).map(|level| level.0).collect::<Vec<_>>();
        let mut fault = None;
        let made = view.edit(&edited, mask, |shown, item, out| {
            let Some((_, level)) = LEVELS.iter().find(|level| level.0 == shown) else { return false };
            match fault.is_none().then(|| self.edit(*level, item, item.at(shown), scratch, out)).transpose() {
                Ok(is_changed) => is_changed == Some(true),
                Err(error) => {
                    fault = Some(error);
                    false
                }
            }
        })?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let changed = self.schema_urls(view, mask, scratch)?;
        if changed.is_empty() {
            return Ok(made);
        }
        with_schema_urls(made.unwrap_or_else(|| view.clone()), &changed).map(Some)
    }

    /// The schema URLs that change.
    fn schema_urls(&self, view: &View, mask: Option<&[u8]>, scratch: &mut Scratch) -> Result<Vec<Changed>, Malformed> {
        let (mut changed, mut fault) = (vec![], None);
        if !self.has(Level::ResourceOwner) && !self.has(Level::ScopeOwner) {
            return Ok(changed);
        }
        let is_chosen = |items: &Range<usize>| {
            mask.is_none_or(|mask| mask.get(items.clone()).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)))
        };
        // Of the one that comes next.
        let (mut owners, mut scopes) = (0, 0);
        view.walk(|shown, item, items| {
            let (level, url, scope) = match shown {
                Shown::Resource => (Level::ResourceOwner, item.resource_schema_url, None),
                Shown::Scope => (Level::ScopeOwner, item.scope_schema_url, Some(scopes)),
                Shown::Metric | Shown::Item => return,
            };
            owners += usize::from(shown == Shown::Resource);
            scopes += usize::from(shown == Shown::Scope);
            if fault.is_none() && is_chosen(items) {
                match self.schema_url(level, item, url, scratch) {
                    Ok(Some(url)) => changed.push(Changed { owner: owners - 1, scope, url }),
                    Ok(None) => {}
                    Err(error) => fault = Some(error),
                }
            }
        });
        fault.map_or(Ok(changed), Err)
    }

    /// What a schema URL becomes, None where it stays; it is edited as the message that has no other field.
    fn schema_url(
        &self,
        level: Level,
        item: &Item,
        url: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        let (mut message, mut out) = (vec![], vec![]);
        push_delimited(&mut message, 3, url);
        if !self.edit(level, item, &message, scratch, &mut out)? {
            return Ok(None);
        }
        let url = Fields::new(&out).find_map(|field| match field.content {
            Content::Length(url) => Some(url.to_vec()),
            _ => None,
        });
        Ok(Some(url.unwrap_or_default()))
    }
}

fn with_schema_urls(mut view: View, changed: &[Changed]) -> Result<View, Malformed> {
    let mut fresh = Fresh::behind(view.buffers.len());
    for Changed { owner, scope, url } in changed {
        let written = fresh.write(0, |out| {
            out.extend_from_slice(url);
            true
        })?;
        let written = written.unwrap_or_default();
        view.is_whole = false;
        view.owners[*owner].whole = None;
        match scope {
            Some(scope) => {
                view.scopes[*scope].whole = None;
                view.scopes[*scope].schema_url = written;
            }
            None => view.owners[*owner].schema_url = written,
        }
    }
    view.buffers.extend(fresh.into_buffers());
    Ok(view)
}
