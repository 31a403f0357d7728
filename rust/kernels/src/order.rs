//! Items in the order of their table's rows, so that the store need not bring them into it: moving a row costs it a
//! copy of every column, and it keeps what comes in order as it is.

use super::buffers::Bytes;
use super::columns::LowCardinality;
use super::owners::{ResourceColumns, ScopeColumns, service};
use super::view::View;

/// Items between the one that is read and the one that is fetched.
const AHEAD: usize = 6;
const LINE_BYTES: usize = 64;
/// Of an item that are fetched before it is read; what reads in a line has the next ones fetched by itself.
const MOST_LINES: usize = 16;

/// For every row in order the numbers of its item, resource and scope.
pub struct Order {
    items: Vec<u32>,
    resources: Vec<u32>,
    scopes: Vec<u32>,
}

impl Order {
    /// By service, then by a key of the item, which is given the place of its service among all; items that are alike
    /// stay as they came.
    pub fn new<K: Ord>(view: &View, bytes: &Bytes, keys: impl FnOnce(&[u32]) -> Vec<K>) -> Self {
        let count = view.items.len();
        let (mut resources, mut scopes) = (vec![0; count], vec![0; count]);
        let mut services = LowCardinality::default();
        for (number, owner) in (0..).zip(&view.owners) {
            resources[owner.items.clone()].fill(number);
            services.push(&service(bytes.message(owner.resource)));
        }
        for (number, scope) in (0..).zip(&view.scopes) {
            scopes[scope.items.clone()].fill(number);
        }
        let ranks = services.ranks();
        let services: Vec<u32> = resources.iter().map(|&number| ranks[number as usize]).collect();
        let mut keyed: Vec<(K, u32)> = keys(&services).into_iter().zip(0..).collect();
        if !keyed.is_sorted() {
            keyed.sort_unstable();
        }
        let items: Vec<u32> = keyed.into_iter().map(|(_, item)| item).collect();
        let of = |owners: &[u32]| items.iter().map(|&item| owners[item as usize]).collect();
        let (resources, scopes) = (of(&resources), of(&scopes));
        Self { items, resources, scopes }
    }

    /// The messages of the items; each is on its way to the processor's cache for a while before it is asked for: they
    /// stand anywhere in the payload, and waiting for memory would double what reading them costs.
    pub fn messages<'a>(&'a self, view: &'a View, bytes: &'a Bytes<'a>) -> impl Iterator<Item = &'a [u8]> {
        let message = |item: u32| bytes.at(view.items[item as usize]);
        self.items.iter().enumerate().map(move |(row, &item)| {
            if let Some(&later) = self.items.get(row + AHEAD) {
                message(later).chunks(LINE_BYTES).take(MOST_LINES).for_each(fetch);
            }
            message(item)
        })
    }

    /// Fill the columns of the rows' resources and scopes.
    pub fn fill(&self, view: &View, bytes: &Bytes, resources: &mut ResourceColumns, scopes: &mut ScopeColumns) {
        let (rows, owners) = first_seen(&self.resources, view.owners.len());
        for owner in owners.into_iter().map(|number| &view.owners[number as usize]) {
            resources.push(bytes.message(owner.resource), bytes.at(owner.schema_url));
        }
        resources.spread(&rows);
        let (rows, owners) = first_seen(&self.scopes, view.scopes.len());
        for scope in owners.into_iter().map(|number| &view.scopes[number as usize]) {
            scopes.push(bytes.message(scope.scope), bytes.at(scope.schema_url));
        }
        scopes.spread(&rows);
    }
}

/// Tell the processor that bytes will be read soon.
#[inline(always)]
fn fetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it is a hint that reads nothing, for any address; the instruction is in every such processor.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// The numbers (below `count`) in the order in which they come first, and for each one given its place in that.
fn first_seen(numbers: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut places = vec![u32::MAX; count];
    let mut seen = vec![];
    let rows = numbers.iter().map(|&number| {
        let place = &mut places[number as usize];
        if *place == u32::MAX {
            *place = seen.len() as u32;
            seen.push(number);
        }
        *place
    });
    (rows.collect(), seen)
}
