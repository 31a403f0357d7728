//! A view as one payload: what did not change is copied in pieces as large as possible.

use super::buffers::{Bytes, Slice};
use super::view::{Metric, Owner, Scope, View};
use super::wire::Head;

/// The bytes of a payload, in order, with their size.
pub struct Encoded<'a> {
    pub parts: Vec<Part<'a>>,
    pub size: usize,
}

/// A part of a payload.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Bytes(&'a [u8]),
    Head(Head),
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Head(head) => head.bytes(),
        }
    }
}

impl Encoded<'_> {
    /// The payload, with one allocation.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size);
        self.parts.iter().for_each(|part| out.extend_from_slice(part.as_ref()));
        out
    }
}

impl View {
    /// The payload that says what the view does.
    pub fn encode(&self) -> Encoded<'_> {
        let bytes = self.open();
        let mut plan = Plan { bytes, parts: vec![], size: 0, run: None };
        if self.is_whole {
            let whole = self.buffers.first().map_or(0, |buffer| (**buffer).as_ref().len());
            plan.copy(Slice::new(0, 0..whole));
        } else {
            self.rest.iter().for_each(|slice| plan.copy(*slice));
            self.owners.iter().for_each(|owner| plan.owner(self, owner));
        }
        plan.end_run();
        Encoded { parts: plan.parts, size: plan.size }
    }
}

/// What is to be copied, and the heads in between.
struct Plan<'a> {
    bytes: Bytes<'a>,
    parts: Vec<Part<'a>>,
    size: usize,
    /// What was planned last; more may follow on it in its buffer.
    run: Option<Slice>,
}

impl Plan<'_> {
    fn owner(&mut self, view: &View, owner: &Owner) {
        if let Some(whole) = owner.whole {
            return self.copy(whole);
        }
        self.message(1, |plan| {
            plan.field_if(1, owner.resource);
            view.scopes[owner.scopes.clone()].iter().for_each(|scope| plan.scope(view, scope));
            plan.field_if(3, Some(owner.schema_url).filter(|url| url.size() > 0));
            plan.copy(owner.rest);
        });
    }

    fn scope(&mut self, view: &View, scope: &Scope) {
        if let Some(whole) = scope.whole {
            return self.copy(whole);
        }
        self.message(2, |plan| {
            plan.field_if(1, scope.scope);
            if scope.metrics.is_empty() {
                view.items[scope.items.clone()].iter().for_each(|item| plan.field(2, *item));
            }
            view.metrics[scope.metrics.clone()].iter().for_each(|metric| plan.metric(view, metric));
            plan.field_if(3, Some(scope.schema_url).filter(|url| url.size() > 0));
            plan.copy(scope.rest);
        });
    }

    fn metric(&mut self, view: &View, metric: &Metric) {
        if let Some(whole) = metric.whole {
            return self.copy(whole);
        }
        self.message(2, |plan| {
            plan.copy(metric.rest);
            if metric.kind > 0 {
                plan.message(metric.kind, |plan| {
                    view.items[metric.items.clone()].iter().for_each(|point| plan.field(1, *point));
                    plan.copy(metric.data_rest);
                });
            }
        });
    }

    /// A message field whose size is known when it is filled.
    fn message(&mut self, number: u32, fill: impl FnOnce(&mut Self)) {
        self.end_run();
        let (place, before) = (self.parts.len(), self.size);
        self.parts.push(Part::Head(Head::default()));
        fill(self);
        self.end_run();
        let head = Head::new(number, self.size - before);
        self.size += head.bytes().len();
        self.parts[place] = Part::Head(head);
    }

    fn field_if(&mut self, number: u32, content: Option<Slice>) {
        if let Some(content) = content {
            self.field(number, content);
        }
    }

    #[inline(always)]
    fn field(&mut self, number: u32, content: Slice) {
        let head = Head::new(number, content.size());
        // Nearly always it stands before the content already.
        match content.widened(head.bytes().len()) {
            Some(whole) if self.bytes.at(whole).starts_with(head.bytes()) => self.copy(whole),
            _ => {
                self.end_run();
                self.size += head.bytes().len();
                self.parts.push(Part::Head(head));
                self.copy(content);
            }
        }
    }

    #[inline(always)]
    fn copy(&mut self, slice: Slice) {
        self.size += slice.size();
        match self.run.and_then(|run| run.joined(slice)) {
            Some(joined) => self.run = Some(joined),
            None => {
                self.end_run();
                self.run = Some(slice);
            }
        }
    }

    fn end_run(&mut self) {
        if let Some(run) = self.run.take().filter(|run| run.size() > 0) {
            self.parts.push(Part::Bytes(self.bytes.at(run)));
        }
    }
}
