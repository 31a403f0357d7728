//! A whole payload, edited into a new one.

use std::ops::Range;

use super::super::otlp::{METRIC_DATA, Signal};
use super::super::scan::{Index, Item};
use super::super::wire::{Content, Field, Fields, MAX_DEPTH, Malformed, push_delimited};
use super::{Level, Scratch, Stage};

impl Stage {
    /// The payload after the edits, None where it stays as it is. A mask has a byte for each
    /// item: where it is 0 the item stays, and an owner with nothing but such items.
    pub fn apply(
        &self,
        index: &Index,
        payload: &[u8],
        mask: Option<&[u8]>,
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        let mut application = Application { stage: self, index, payload, mask, scratch, owner: 0, scope: 0, item: 0 };
        application.request()
    }
}

struct Application<'s, 'a> {
    stage: &'a Stage,
    index: &'a Index,
    payload: &'a [u8],
    mask: Option<&'s [u8]>,
    scratch: &'s mut Scratch,
    /// What comes next, as numbers in the index.
    owner: usize,
    scope: usize,
    item: usize,
}

impl<'a> Application<'_, 'a> {
    fn request(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let mut copy = Copy::new(self.payload, 0..self.payload.len());
        for field in Fields::new(self.payload) {
            if let (1, Content::Length(_)) = (field.number, field.content)
                && let Some(content) = self.owner(&field)?
            {
                copy.replace(&field, &content);
            }
        }
        Ok(copy.finish())
    }

    fn owner(&mut self, whole: &Field) -> Result<Option<Vec<u8>>, Malformed> {
        let owner = &self.index.owners[self.owner];
        self.owner += 1;
        let mut item = Item {
            resource: owner.resource.bytes(self.payload),
            resource_schema_url: &self.payload[owner.schema_url.clone()],
            scope: &[],
            scope_schema_url: &[],
            metric: &[],
            kind: 0,
            message: &[],
        };
        let is_chosen = self.is_chosen(owner.items.clone());
        let mut header = Header::new(
            self.edit_if(is_chosen, Level::Resource, &item, item.resource)?,
            self.edit_url(is_chosen, Level::ResourceOwner, &item, item.resource_schema_url)?,
        );
        let mut copy = Copy::new(self.payload, whole.body..whole.end);
        for field in Fields::within(self.payload, whole.body, whole.end, MAX_DEPTH) {
            match (field.number, field.content) {
                (2, Content::Length(_)) => {
                    if let Some(content) = self.scope(&field, &mut item)? {
                        copy.replace(&field, &content);
                    }
                }
                _ => header.pass(&field, &mut copy),
            }
        }
        header.end(&mut copy);
        Ok(copy.finish())
    }

    fn scope(&mut self, whole: &Field, item: &mut Item<'a>) -> Result<Option<Vec<u8>>, Malformed> {
        let scope = &self.index.scopes[self.scope];
        self.scope += 1;
        item.scope = scope.scope.bytes(self.payload);
        item.scope_schema_url = &self.payload[scope.schema_url.clone()];
        let is_chosen = self.is_chosen(scope.items.clone());
        let mut header = Header::new(
            self.edit_if(is_chosen, Level::Scope, item, item.scope)?,
            self.edit_url(is_chosen, Level::ScopeOwner, item, item.scope_schema_url)?,
        );
        let mut copy = Copy::new(self.payload, whole.body..whole.end);
        for field in Fields::within(self.payload, whole.body, whole.end, MAX_DEPTH) {
            match (field.number, field.content) {
                (2, Content::Length(message)) => {
                    let changed = if self.index.signal == Signal::Metrics {
                        self.metric(&field, message, item)?
                    } else {
                        self.item(item, message)?
                    };
                    if let Some(content) = changed {
                        copy.replace(&field, &content);
                    }
                }
                _ => header.pass(&field, &mut copy),
            }
        }
        header.end(&mut copy);
        Ok(copy.finish())
    }

    fn metric(&mut self, whole: &Field, message: &'a [u8], item: &mut Item<'a>) -> Result<Option<Vec<u8>>, Malformed> {
        let is_data =
            |field: &Field| METRIC_DATA.contains(&field.number) && matches!(field.content, Content::Length(_));
        let data: Vec<Field> = Fields::within(self.payload, whole.body, whole.end, MAX_DEPTH).filter(is_data).collect();
        item.metric = message;
        item.kind = data.last().map_or(0, |last| last.number);
        // Of a oneof the last member counts, and begins anew.
        let dead = data.iter().rposition(|field| field.number != item.kind).map_or(0, |at| at + 1);
        let first = self.item;
        let mut copy = Copy::new(self.payload, whole.body..whole.end);
        for field in &data[dead..] {
            let mut points = Copy::new(self.payload, field.body..field.end);
            for point in Fields::within(self.payload, field.body, field.end, MAX_DEPTH) {
                if let (1, Content::Length(message)) = (point.number, point.content)
                    && let Some(content) = self.item(item, message)?
                {
                    points.replace(&point, &content);
                }
            }
            if let Some(content) = points.finish() {
                copy.replace(field, &content);
            }
        }
        let points = copy.finish();
        if !self.is_chosen(first..self.item) || !self.stage.has(Level::Metric) {
            return Ok(points);
        }
        let mut out = vec![];
        let is_changed = match &points {
            // What is edited lies beside the data.
            Some(changed) => self.stage_edit(Level::Metric, item, changed, &mut out)?,
            None => self.stage.edit(Level::Metric, item, message, self.scratch, &mut out)?,
        };
        Ok(if is_changed { Some(out) } else { points })
    }

    fn stage_edit(&mut self, level: Level, item: &Item, message: &[u8], out: &mut Vec<u8>) -> Result<bool, Malformed> {
        self.stage.edit(level, item, message, self.scratch, out)
    }

    fn item(&mut self, item: &Item<'a>, message: &'a [u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let is_chosen = self.is_chosen(self.item..self.item + 1);
        self.item += 1;
        self.edit_if(is_chosen, Level::Item, item, message)
    }

    fn edit_if(
        &mut self,
        is_chosen: bool,
        level: Level,
        item: &Item<'a>,
        message: &'a [u8],
    ) -> Result<Option<Vec<u8>>, Malformed> {
        let mut out = vec![];
        let is_changed = is_chosen && self.stage.edit(level, item, message, self.scratch, &mut out)?;
        Ok(is_changed.then_some(out))
    }

    /// A schema URL alone, as the field that its owner has.
    fn edit_url(
        &mut self,
        is_chosen: bool,
        level: Level,
        item: &Item,
        url: &[u8],
    ) -> Result<Option<Vec<u8>>, Malformed> {
        if !is_chosen || !self.stage.has(level) {
            return Ok(None);
        }
        let (mut message, mut out) = (vec![], vec![]);
        push_delimited(&mut message, 3, url);
        let is_changed = self.stage.edit(level, item, &message, self.scratch, &mut out)?;
        Ok(is_changed.then_some(out))
    }

    fn is_chosen(&self, items: Range<usize>) -> bool {
        self.mask.is_none_or(|mask| mask.get(items).is_some_and(|chosen| chosen.iter().any(|byte| *byte != 0)))
    }
}

/// What an owner or a scope has beside what it owns, as fields, where that changes.
#[derive(Default)]
struct Header {
    message: Option<Vec<u8>>,
    url: Option<Vec<u8>>,
}

impl Header {
    fn new(message: Option<Vec<u8>>, url: Option<Vec<u8>>) -> Self {
        let as_field = |message: Vec<u8>| {
            let mut field = vec![];
            push_delimited(&mut field, 1, &message);
            field
        };
        Self { message: message.map(as_field), url }
    }

    /// Put what changed in the place of the first such field, and nothing in that of further ones.
    fn pass(&mut self, field: &Field, copy: &mut Copy) {
        let changed = match (field.number, field.content) {
            (1, Content::Length(_)) => &mut self.message,
            (3, Content::Length(_)) => &mut self.url,
            _ => return,
        };
        if let Some(changed) = changed {
            copy.skip(field);
            copy.out.append(changed);
        }
    }

    /// Put at the end what had no place before.
    fn end(self, copy: &mut Copy) {
        for changed in [self.message, self.url].into_iter().flatten().filter(|changed| !changed.is_empty()) {
            copy.skip_to_end();
            copy.out.extend_from_slice(&changed);
        }
    }
}

/// A message that is copied as soon as something in it changes, in runs of what does not.
struct Copy<'a> {
    data: &'a [u8],
    /// What is still to be copied.
    rest: Range<usize>,
    out: Vec<u8>,
    is_changed: bool,
}

impl<'a> Copy<'a> {
    fn new(data: &'a [u8], range: Range<usize>) -> Self {
        Self { data, rest: range, out: vec![], is_changed: false }
    }

    fn skip(&mut self, field: &Field) {
        self.out.extend_from_slice(&self.data[self.rest.start..field.start]);
        self.rest.start = field.end;
        self.is_changed = true;
    }

    fn skip_to_end(&mut self) {
        self.out.extend_from_slice(&self.data[self.rest.clone()]);
        self.rest.start = self.rest.end;
        self.is_changed = true;
    }

    fn replace(&mut self, field: &Field, content: &[u8]) {
        self.skip(field);
        push_delimited(&mut self.out, field.number, content);
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.is_changed.then(|| {
            self.out.extend_from_slice(&self.data[self.rest]);
            self.out
        })
    }
}
