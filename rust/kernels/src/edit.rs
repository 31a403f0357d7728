//! Messages rewritten in a new view that shares all others with the one before.

use std::ops::Range;

use super::buffers::{Bytes, Fresh, Slice};
use super::scan::read_metric;
use super::view::{Item, Level, Metric, View};
use super::wire::{Head, Malformed, push_delimited};

/// Kinds of data with the same points: gauge and sum.
const NUMBERS: [u32; 2] = [5, 7];

/// For the head of a message, and a short attribute more.
const ROOM: usize = 64;

/// What can be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Resource,
    /// The text alone.
    ResourceSchemaUrl,
    Scope,
    /// The text alone.
    ScopeSchemaUrl,
    /// Without its points, which it keeps.
    Metric,
    Item,
}

impl Message {
    const ALL: [Self; 6] =
        [Self::Resource, Self::ResourceSchemaUrl, Self::Scope, Self::ScopeSchemaUrl, Self::Metric, Self::Item];

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|message| message.name() == name)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::ResourceSchemaUrl => "resource_schema_url",
            Self::Scope => "scope",
            Self::ScopeSchemaUrl => "scope_schema_url",
            Self::Metric => "metric",
            Self::Item => "item",
        }
    }

    /// What belongs to all that it is one for.
    pub fn level(self) -> Level {
        match self {
            Self::Resource | Self::ResourceSchemaUrl => Level::Resource,
            Self::Scope | Self::ScopeSchemaUrl => Level::Scope,
            Self::Metric => Level::Metric,
            Self::Item => Level::Item,
        }
    }

    /// Its bytes.
    pub fn of<'a>(self, item: &Item<'a>) -> &'a [u8] {
        match self {
            Self::Resource => item.resource,
            Self::ResourceSchemaUrl => item.resource_schema_url,
            Self::Scope => item.scope,
            Self::ScopeSchemaUrl => item.scope_schema_url,
            Self::Metric => item.metric,
            Self::Item => item.message,
        }
    }
}

impl View {
    /// The view with some of its messages rewritten; None where nothing changed.
    ///
    /// `edit` is shown each of them with what it belongs to: it appends the new one and says true, or says false. A
    /// metric's kind of data may change only between those with the same points. Whatever is edited, all is shown as
    /// it was before. New messages must be well-formed.
    ///
    /// A mask of a byte for each item leaves out those whose byte is 0. What several items have is edited when one of
    /// them is left, and for all of them, as in the Collector's transform processor: there is only one of it.
    pub fn edit(
        &self,
        messages: &[Message],
        mask: Option<&[u8]>,
        mut edit: impl FnMut(Message, &Item, &mut Vec<u8>) -> Result<bool, Malformed>,
    ) -> Result<Option<Self>, Malformed> {
        let is_meant = |items: &Range<usize>| match mask {
            Some(mask) => mask.get(items.clone()).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)),
            None => true,
        };
        let mut changes = Changes { view: self.clone(), fresh: Fresh::behind(self.buffers.len()), any: false };
        if mask.is_none() && messages.contains(&Message::Item) {
            // Mostly all of them change, and become little longer.
            let bytes: usize = self.items.iter().map(|item| item.size() + item.size() / 8 + ROOM).sum();
            changes.fresh.expect(bytes);
        }
        let (mut next, mut outcome) = ([0_usize; 4], Ok(()));
        let bytes = self.open();
        self.walk(|level, item, items| {
            next[level as usize] += 1;
            if outcome.is_err() || !is_meant(items) {
                return;
            }
            let place = next.map(|shown| shown.saturating_sub(1));
            for message in messages.iter().filter(|message| message.level() == level) {
                outcome = match level {
                    Level::Metric => {
                        let head = self.metrics[place[2]].head(&bytes);
                        changes.rewrite(*message, place, &Item { metric: &head, ..*item }, &mut edit)
                    }
                    _ => changes.rewrite(*message, place, item, &mut edit),
                };
                if outcome.is_err() {
                    return;
                }
            }
        });
        outcome.map(|()| changes.finish())
    }
}

/// A view that is being edited.
struct Changes {
    view: View,
    fresh: Fresh,
    any: bool,
}

impl Changes {
    /// Rewrite a message, whose index at its level is given with those of what it belongs to.
    #[inline(always)]
    fn rewrite(
        &mut self,
        message: Message,
        [owner, scope, metric, index]: [usize; 4],
        item: &Item,
        edit: &mut impl FnMut(Message, &Item, &mut Vec<u8>) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        let number = match message {
            Message::Resource | Message::Scope => 1,
            Message::ResourceSchemaUrl | Message::ScopeSchemaUrl => 3,
            Message::Item if item.kind > 0 => 1,
            Message::Metric | Message::Item => 2,
        };
        // The new message often is about as long: its head may stand before it, so that whole runs can be copied.
        let room = Head::new(number, message.of(item).len());
        let mut outcome = Ok(false);
        let written = self.fresh.write(room.bytes().len(), |out| {
            outcome = edit(message, item, out);
            outcome == Ok(true)
        })?;
        outcome?;
        let Some(written) = written else { return Ok(()) };
        let head = Head::new(number, written.size());
        if head.bytes().len() == room.bytes().len() {
            self.fresh.head(written, head.bytes());
        }
        self.any = true;
        let view = &mut self.view;
        view.is_whole = false;
        view.owners[owner].whole = None;
        if message.level() > Level::Resource {
            view.scopes[scope].whole = None;
        }
        if message == Message::Metric || item.kind > 0 {
            view.metrics[metric].whole = None;
        }
        match message {
            Message::Resource => view.owners[owner].resource = Some(written),
            Message::ResourceSchemaUrl => view.owners[owner].schema_url = written,
            Message::Scope => view.scopes[scope].scope = Some(written),
            Message::ScopeSchemaUrl => view.scopes[scope].schema_url = written,
            Message::Metric => self.replace_metric(metric, written)?,
            Message::Item => view.items[index] = written,
        }
        Ok(())
    }

    fn replace_metric(&mut self, index: usize, written: Slice) -> Result<(), Malformed> {
        let message = self.fresh.last(written).to_vec();
        let edited = read_metric(&message, 0..message.len(), written, &mut vec![], &mut self.fresh)?;
        let metric = &mut self.view.metrics[index];
        let keeps_points =
            metric.kind == edited.kind || NUMBERS.contains(&metric.kind) && NUMBERS.contains(&edited.kind);
        if !metric.items.is_empty() && !keeps_points {
            return Err(Malformed::new("a metric's points under another kind of data", 0));
        }
        *metric = Metric { items: metric.items.clone(), ..edited };
        Ok(())
    }

    fn finish(mut self) -> Option<View> {
        self.view.buffers.extend(self.fresh.into_buffers());
        self.any.then_some(self.view)
    }
}

impl Metric {
    /// The message without the points.
    fn head(&self, bytes: &Bytes) -> Vec<u8> {
        let mut head = bytes.at(self.rest).to_vec();
        if self.kind > 0 {
            push_delimited(&mut head, self.kind, bytes.at(self.data_rest));
        }
        head
    }
}
