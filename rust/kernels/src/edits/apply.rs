//! Views edited, which share what does not change with those before.

use super::super::edit::Message;
use super::super::view::{Item, View};
use super::super::wire::{Content, Fields, Malformed, push_delimited};
use super::{Level, Scratch, Stage};

const MESSAGES: [(Message, Level); 6] = [
    (Message::Resource, Level::Resource),
    (Message::ResourceSchemaUrl, Level::ResourceOwner),
    (Message::Scope, Level::Scope),
    (Message::ScopeSchemaUrl, Level::ScopeOwner),
    (Message::Metric, Level::Metric),
    (Message::Item, Level::Item),
];

/// The view after all stages, None where nothing changed.
pub fn apply(
    stages: &[Stage],
    view: &View,
    mask: Option<&[u8]>,
    scratch: &mut Scratch,
) -> Result<Option<View>, Malformed> {
    let mut edited: Option<View> = None;
    for stage in stages {
        let before = edited.as_ref().unwrap_or(view);
        edited = stage.apply(before, mask, scratch)?.or(edited);
    }
    Ok(edited)
}

impl Stage {
    fn apply(&self, view: &View, mask: Option<&[u8]>, scratch: &mut Scratch) -> Result<Option<View>, Malformed> {
        let edited = MESSAGES.iter().filter(|known| self.has(known.1)).map(|known| known.0).collect::<Vec<_>>();
        view.edit(&edited, mask, |message, item, out| {
            let Some((_, level)) = MESSAGES.iter().find(|known| known.0 == message) else { return Ok(false) };
            match message {
                Message::ResourceSchemaUrl | Message::ScopeSchemaUrl => {
                    self.schema_url(*level, item, message.of(item), scratch, out)
                }
                _ => self.edit(*level, item, message.of(item), scratch, out),
            }
        })
    }

    /// Write what a schema URL becomes; false where it stays. It is edited as the message that has no other field.
    fn schema_url(
        &self,
        level: Level,
        item: &Item,
        url: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        let (mut message, mut edited) = (vec![], vec![]);
        push_delimited(&mut message, 3, url);
        if !self.edit(level, item, &message, scratch, &mut edited)? {
            return Ok(false);
        }
        for field in Fields::new(&edited) {
            if let Content::Length(url) = field.content {
                out.extend_from_slice(url);
                break;
            }
        }
        Ok(true)
    }
}
