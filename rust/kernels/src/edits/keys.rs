//! Sets of keys that are asked for every attribute.

/// Keys, in order.
#[derive(Default)]
pub struct Keys {
    keys: Vec<Box<[u8]>>,
    /// A bit for each, which few other keys have.
    marks: u64,
}

impl Keys {
    /// Add a key.
    pub fn add(&mut self, key: &[u8]) {
        if let Err(at) = self.keys.binary_search_by(|known| (**known).cmp(key)) {
            self.keys.insert(at, key.into());
            self.marks |= mark(key);
        }
    }

    /// Whether a key is one of them.
    #[inline(always)]
    pub fn has(&self, key: &[u8]) -> bool {
        self.marks & mark(key) != 0 && self.holds(key)
    }

    fn holds(&self, key: &[u8]) -> bool {
        if self.keys.len() > 8 {
            return self.keys.binary_search_by(|known| (**known).cmp(key)).is_ok();
        }
        self.keys.iter().any(|known| **known == *key)
    }
}

impl<'a> FromIterator<&'a Box<[u8]>> for Keys {
    fn from_iter<I: IntoIterator<Item = &'a Box<[u8]>>>(keys: I) -> Self {
        let mut made = Self::default();
        keys.into_iter().for_each(|key| made.add(key));
        made
    }
}

/// Of the length, the first and the last byte: attributes of one span often share some of these, seldom all.
#[inline(always)]
fn mark(key: &[u8]) -> u64 {
    let (first, last) = (key.first().copied().unwrap_or(0), key.last().copied().unwrap_or(0));
    1 << ((key.len() * 31 + usize::from(first) * 7 + usize::from(last)) & 63)
}
