//! Messages rewritten in a new view that shares all others with the one before.

use std::ops::Range;

use super::buffers::{Bytes, Fresh, Slice};
use super::scan::read_metric;
use super::view::{Item, Level, Metric, View};
use super::wire::{Head, Malformed, push_delimited};

/// Kinds of data with the same points: gauge and sum.
const NUMBERS: [u32; 2] = [5, 7];

impl View {
    /// The view with messages rewritten at some levels; None where nothing changed.
    ///
    /// `edit` is shown the resources, scopes, metrics or items, the message of its level last: it appends the new
    /// message and says true, or says false. A metric comes without its points and keeps those that it has; its kind
    /// of data may change only between those with the same points. Whatever is edited, all see the view as it was.
    ///
    /// A mask of a byte for each item leaves out those whose byte is 0. A resource, scope or metric is edited when one
    /// of its items is left, and for all its items, as in the Collector's transform processor: there is only one of it.
    pub fn edit(
        &self,
        levels: &[Level],
        mask: Option<&[u8]>,
        mut edit: impl FnMut(Level, &Item, &mut Vec<u8>) -> bool,
    ) -> Result<Option<Self>, Malformed> {
        let is_meant = |items: &Range<usize>| match mask {
            Some(mask) => mask.get(items.clone()).is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)),
            None => true,
        };
        let mut changes = Changes { view: self.clone(), fresh: Fresh::behind(self.buffers.len()), any: false };
        let (mut next, mut fault) = ([0; 4], None);
        let bytes = self.open();
        self.walk(|level, item, items| {
            let at = &mut next[level as usize];
            *at += 1;
            if fault.is_some() || !levels.contains(&level) || !is_meant(items) {
                return;
            }
            let place = next.map(|shown: usize| shown.saturating_sub(1));
            fault = match level {
                Level::Metric => {
                    let head = self.metrics[place[2]].head(&bytes);
                    changes.rewrite(level, place, &Item { metric: &head, ..*item }, &mut edit).err()
                }
                _ => changes.rewrite(level, place, item, &mut edit).err(),
            };
        });
        match fault {
            Some(fault) => Err(fault),
            None => Ok(changes.finish()),
        }
    }
}

/// A view that is being edited.
struct Changes {
    view: View,
    fresh: Fresh,
    any: bool,
}

impl Changes {
    /// Rewrite the message of a level, whose index is given after those of what it belongs to.
    #[inline(always)]
    fn rewrite(
        &mut self,
        level: Level,
        [owner, scope, metric, index]: [usize; 4],
        item: &Item,
        edit: &mut impl FnMut(Level, &Item, &mut Vec<u8>) -> bool,
    ) -> Result<(), Malformed> {
        let is_point = level == Level::Item && item.kind > 0;
        let number = if level < Level::Metric || is_point { 1 } else { 2 };
        // The new message often is about as long: its head may stand before it, so that whole runs can be copied.
        let room = Head::new(number, item.at(level).len());
        let Some(written) = self.fresh.write(room.bytes().len(), |out| edit(level, item, out))? else {
            return Ok(());
        };
        let head = Head::new(number, written.size());
        if head.bytes().len() == room.bytes().len() {
            self.fresh.head(written, head.bytes());
        }
        self.any = true;
        let view = &mut self.view;
        view.is_whole = false;
        view.owners[owner].whole = None;
        if level > Level::Resource {
            view.scopes[scope].whole = None;
        }
        if level == Level::Metric || item.kind > 0 {
            view.metrics[metric].whole = None;
        }
        match level {
            Level::Resource => view.owners[owner].resource = Some(written),
            Level::Scope => view.scopes[scope].scope = Some(written),
            Level::Metric => self.replace_metric(metric, written)?,
            Level::Item => view.items[index] = written,
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
