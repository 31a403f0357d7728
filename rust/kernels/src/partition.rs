//! Views of some of the items of another one, with what they belong to.

use super::view::{Metric, Owner, Scope, View};

/// Which resource, scope and metric of a view is meant; `NONE` for what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    pub owner: usize,
    pub scope: usize,
    pub metric: usize,
}

const NONE: usize = usize::MAX;

impl Path {
    pub const TOP: Self = Self { owner: NONE, scope: NONE, metric: NONE };

    /// A resource.
    pub fn owner(owner: usize) -> Self {
        Self { owner, ..Self::TOP }
    }

    /// A scope in it.
    pub fn scope(self, scope: usize) -> Self {
        Self { scope, metric: NONE, ..self }
    }

    /// A metric in that.
    pub fn metric(self, metric: usize) -> Self {
        Self { metric, ..self }
    }

    /// The levels that are meant: none, a resource, a scope, a metric.
    pub fn depth(self) -> usize {
        [self.owner, self.scope, self.metric].iter().take_while(|index| **index != NONE).count()
    }

    /// The levels that both have in common.
    pub fn shared(self, other: Self) -> usize {
        let pairs = [(self.owner, other.owner), (self.scope, other.scope), (self.metric, other.metric)];
        pairs.iter().take_while(|(mine, others)| mine == others && *mine != NONE).count()
    }
}

/// A view that is put together of parts of another one, in their order.
pub struct Builder<'a> {
    from: &'a View,
    made: View,
    path: Path,
}

impl<'a> Builder<'a> {
    /// Nothing of a view.
    pub fn new(from: &'a View) -> Self {
        Self { from, made: View::new(from.signal, vec![]), path: Path::TOP }
    }

    /// Add an item in the place where it is.
    #[inline(always)]
    pub fn push(&mut self, path: Path, item: usize) {
        self.open(path);
        self.made.items.push(self.from.items[item]);
    }

    /// Add what items belong to, without any.
    #[inline(always)]
    pub fn open(&mut self, path: Path) {
        if path != self.path {
            self.change(path);
        }
    }

    /// Add a resource with all in it.
    pub fn push_owner(&mut self, owner: usize) {
        let path = Path::owner(owner);
        self.open(path);
        self.from.owners[owner].scopes.clone().for_each(|scope| self.push_scope(path.scope(scope)));
    }

    /// Add a scope with all in it.
    pub fn push_scope(&mut self, path: Path) {
        self.open(path);
        let scope = &self.from.scopes[path.scope];
        if scope.metrics.is_empty() {
            self.made.items.extend_from_slice(&self.from.items[scope.items.clone()]);
        }
        scope.metrics.clone().for_each(|metric| self.push_metric(path.metric(metric)));
    }

    /// Add a metric with all its points.
    pub fn push_metric(&mut self, path: Path) {
        self.open(path);
        self.made.items.extend_from_slice(&self.from.items[self.from.metrics[path.metric].items.clone()]);
    }

    fn change(&mut self, path: Path) {
        let (made, from) = (&mut self.made, self.from);
        let shared = path.shared(self.path);
        close(made, from, self.path, shared);
        let (scopes, metrics, items) = (made.scopes.len(), made.metrics.len(), made.items.len());
        if shared < 1 && path.owner != NONE {
            made.owners.push(Owner { scopes: scopes..scopes, items: items..items, ..from.owners[path.owner].clone() });
        }
        if shared < 2 && path.scope != NONE {
            made.scopes.push(Scope {
                metrics: metrics..metrics,
                items: items..items,
                ..from.scopes[path.scope].clone()
            });
        }
        if shared < 3 && path.metric != NONE {
            made.metrics.push(Metric { items: items..items, ..from.metrics[path.metric].clone() });
        }
        self.path = path;
    }

    /// The view.
    pub fn finish(mut self) -> View {
        close(&mut self.made, self.from, self.path, 0);
        self.made.buffers.clone_from(&self.from.buffers);
        self.made.rest.clone_from(&self.from.rest);
        self.made
    }
}

/// End what is open below a level: what has all that it had is as whole as it was.
fn close(made: &mut View, from: &View, path: Path, keep: usize) {
    let depth = path.depth();
    if depth > 2
        && keep < 3
        && let Some(metric) = made.metrics.last_mut()
    {
        metric.items.end = made.items.len();
        metric.whole = metric.whole.filter(|_| metric.items.len() == from.metrics[path.metric].items.len());
    }
    if depth > 1
        && keep < 2
        && let Some(scope) = made.scopes.last_mut()
    {
        let source = &from.scopes[path.scope];
        scope.metrics.end = made.metrics.len();
        scope.items.end = made.items.len();
        let has_all = scope.items.len() == source.items.len() && scope.metrics.len() == source.metrics.len();
        scope.whole = scope.whole.filter(|_| has_all);
    }
    if depth > 0
        && keep < 1
        && let Some(owner) = made.owners.last_mut()
    {
        let source = &from.owners[path.owner];
        owner.scopes.end = made.scopes.len();
        owner.items.end = made.items.len();
        let has_all = owner.items.len() == source.items.len() && owner.scopes.len() == source.scopes.len();
        let is_whole = has_all && made.scopes[owner.scopes.clone()].iter().all(|scope| scope.whole.is_some());
        owner.whole = owner.whole.filter(|_| is_whole);
    }
}

impl View {
    /// The items whose byte is not 0, of one byte for each; None where that is all of them.
    ///
    /// A metric, scope or resource without any of them goes, also one that had none before.
    pub fn select(&self, mask: &[u8]) -> Option<Self> {
        if mask.iter().all(|byte| *byte != 0) {
            return None;
        }
        let mut made = Builder::new(self);
        self.each_item(|path, item| {
            if mask.get(item).is_some_and(|byte| *byte != 0) {
                made.push(path, item);
            }
        });
        Some(made.finish())
    }

    /// So many views, each with the items that have its number, of one number for each.
    pub fn partition(&self, numbers: &[u32], views: usize) -> Vec<Self> {
        let mut made: Vec<_> = (0..views).map(|_| Builder::new(self)).collect();
        self.each_item(|path, item| {
            if let Some(builder) = numbers.get(item).and_then(|number| made.get_mut(*number as usize)) {
                builder.push(path, item);
            }
        });
        made.into_iter().map(Builder::finish).collect()
    }

    #[inline(always)]
    fn each_item(&self, mut visit: impl FnMut(Path, usize)) {
        for (index, owner) in self.owners.iter().enumerate() {
            for scope in owner.scopes.clone() {
                let path = Path::owner(index).scope(scope);
                let scope = &self.scopes[scope];
                if scope.metrics.is_empty() {
                    scope.items.clone().for_each(|item| visit(path, item));
                }
                for metric in scope.metrics.clone() {
                    self.metrics[metric].items.clone().for_each(|item| visit(path.metric(metric), item));
                }
            }
        }
    }
}
