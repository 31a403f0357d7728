//! What senders said of targets and of metric families, for the requests after it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::Version;
use super::request::Request;

const COUNTER: u32 = 1;
const HISTOGRAM: u32 = 3;
const GAUGE_HISTOGRAM: u32 = 4;
const SUMMARY: u32 = 5;
const INFO: u32 = 6;

/// Endings of a series' name, and the types of the families that have such series.
const SUFFIXES: [(&[u8], &[u32]); 7] = [
    (b"_total", &[COUNTER]),
    (b"_bucket", &[HISTOGRAM, GAUGE_HISTOGRAM]),
    (b"_sum", &[HISTOGRAM, SUMMARY]),
    (b"_count", &[HISTOGRAM, SUMMARY]),
    (b"_gsum", &[GAUGE_HISTOGRAM]),
    (b"_gcount", &[GAUGE_HISTOGRAM]),
    (b"_info", &[INFO]),
];

/// Type, help and unit of a metric family.
#[derive(Clone, Copy, Default)]
pub struct Family<'a> {
    pub type_number: u32,
    pub help: &'a [u8],
    pub unit: &'a [u8],
}

impl Family<'_> {
    pub fn owned(self) -> OwnedFamily {
        OwnedFamily { type_number: self.type_number, help: self.help.to_vec(), unit: self.unit.to_vec() }
    }
}

/// A family that outlives its request.
pub struct OwnedFamily {
    type_number: u32,
    help: Vec<u8>,
    unit: Vec<u8>,
}

impl OwnedFamily {
    fn borrow(&self) -> Family<'_> {
        Family { type_number: self.type_number, help: &self.help, unit: &self.unit }
    }
}

/// Job and instance.
pub type Target = (Vec<u8>, Vec<u8>);
pub type TargetAttributes = Vec<(Vec<u8>, Vec<u8>)>;

/// What a request announces.
#[derive(Default)]
pub struct Learned {
    pub targets: BTreeMap<Target, TargetAttributes>,
    pub families: Vec<(Vec<u8>, OwnedFamily)>,
}

/// What was announced, up to a size; what was not announced again for longest goes.
pub struct Announced {
    targets: Generations<Target, TargetAttributes>,
    families: Generations<Vec<u8>, OwnedFamily>,
}

impl Announced {
    /// Room for so many bytes of targets, and as many of families.
    pub fn new(capacity: usize) -> Self {
        Self { targets: Generations::new(capacity), families: Generations::new(capacity) }
    }

    /// How many targets and families are known.
    pub fn count(&self) -> usize {
        self.targets.count() + self.families.count()
    }

    /// What is known of a target.
    pub fn target(&self, target: &Target) -> Option<&TargetAttributes> {
        self.targets.get(target)
    }

    /// Note what a request announced.
    pub fn add(&mut self, learned: Learned) {
        for (target, attributes) in learned.targets {
            let texts = attributes.iter().map(|(name, value)| name.len() + value.len());
            let size = target.0.len() + target.1.len() + texts.sum::<usize>();
            self.targets.insert(target, attributes, size);
        }
        for (name, family) in learned.families {
            let size = name.len() + family.help.len() + family.unit.len();
            self.families.insert(name, family, size);
        }
    }
}

/// What is known of the family of a series: 2.0 tells it with the series, 1.0 for itself, sometimes.
pub fn family_of<'a>(
    request: &Request<'a>,
    announced: &'a Announced,
    name: &[u8],
    with_series: Family<'a>,
) -> Family<'a> {
    if request.version == Version::V2 {
        return with_series;
    }
    let find = |name: &[u8]| request.family(name).or_else(|| announced.families.get(name).map(OwnedFamily::borrow));
    if let Some(family) = find(name) {
        return family;
    }
    for (suffix, types) in SUFFIXES {
        let stem = name.strip_suffix(suffix).filter(|stem| !stem.is_empty());
        if let Some(family) = stem.and_then(find).filter(|family| types.contains(&family.type_number)) {
            return family;
        }
    }
    Family::default()
}

/// Entries in two generations: when the younger one is half of what there is room for, the older one goes.
struct Generations<K, V> {
    capacity: usize,
    /// Values with their sizes.
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_size: usize,
}

/// What an entry takes besides its texts, about.
const ENTRY_BYTES: usize = 100;

impl<K: Hash + Eq, V> Generations<K, V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, young: HashMap::new(), old: HashMap::new(), young_size: 0 }
    }

    fn count(&self) -> usize {
        self.young.len() + self.old.keys().filter(|key| !self.young.contains_key(key)).count()
    }

    fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key)).map(|(value, _)| value)
    }

    fn insert(&mut self, key: K, value: V, size: usize) {
        let size = size + ENTRY_BYTES;
        if size > self.capacity / 2 {
            return;
        }
        if self.young_size + size > self.capacity / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_size = 0;
        }
        let before = self.young.insert(key, (value, size));
        self.young_size = self.young_size + size - before.map_or(0, |(_, size)| size);
    }
}
