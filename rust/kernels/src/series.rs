//! Who a metric series is, and which series were registered.

use std::collections::HashMap;

use super::values::Attribute;

/// The id of a series and the id of the resource it came from.
pub type SeriesKey = (u64, u64);

/// What says whose a point is, as it was sent: a hash of the bytes, of which one series may have several.
pub type Sign = u128;

/// The id of the series that points with a sign are of, and the hour in which it was registered.
pub type Signed = HashMap<Sign, (u64, u64)>;

/// Which series were registered in the current hour, so that a row is written once per hour and series.
pub struct Registered {
    capacity: usize,
    hours: HashMap<SeriesKey, u64>,
    signed: Signed,
}

impl Registered {
    /// Room for so many series.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, hours: HashMap::new(), signed: HashMap::new() }
    }

    /// How many series are known.
    pub fn count(&self) -> usize {
        self.hours.len()
    }

    /// Whether a series was registered in this hour or a later one.
    pub fn knows(&self, key: &SeriesKey, hour: u64) -> bool {
        self.hours.get(key).is_some_and(|&registered| registered >= hour)
    }

    /// The id of the series with a sign, if it was registered in this hour or a later one: to work it out from sorted
    /// attributes costs several times as much.
    pub fn id_of(&self, sign: Sign, hour: u64) -> Option<u64> {
        self.signed.get(&sign).filter(|(_, registered)| *registered >= hour).map(|(id, _)| *id)
    }

    /// Note series that were stored, and signs of such; what is oldest goes when it is too much.
    pub fn add(&mut self, series: &HashMap<SeriesKey, u64>, signed: &Signed) {
        if self.signed.len() + signed.len() > self.capacity {
            self.signed.clear();
        }
        if signed.len() <= self.capacity {
            self.signed.extend(signed);
        }
        if self.hours.len() + series.len() > self.capacity {
            let latest = series.values().copied().max().unwrap_or(0);
            self.hours.retain(|_, hour| *hour >= latest);
            if self.hours.len() + series.len() > self.capacity {
                // Rows are written again then, which costs a little and harms nothing.
                self.hours.clear();
            }
        }
        self.hours.extend(series);
    }
}

/// Append the length of a part and the part, so that parts in a row can be told apart.
pub fn push_sized(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    out.extend_from_slice(part);
}

/// Append what a function appends, behind its length.
pub fn push_sized_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let size = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&size.to_le_bytes());
}

/// Put attributes in the order of their keys; those with the same key stay in theirs.
pub fn sort(attributes: &mut [Attribute]) {
    if !attributes.is_sorted_by_key(|attribute| attribute.key) {
        attributes.sort_by_key(|attribute| attribute.key);
    }
}

/// Append sorted attributes as bytes that only the same ones have.
pub fn push_set(out: &mut Vec<u8>, sorted: &[Attribute]) {
    for attribute in sorted {
        push_sized(out, attribute.key);
        push_sized_with(out, |out| attribute.value.write_sign(out));
        push_sized_with(out, |out| attribute.value.write_text(out));
    }
}
