//! Export requests of reference size: one resource of eleven attributes, one scope, any number of items.
//!
//! A span has ten attributes of the HTTP conventions and some 410 bytes, a log record is like it, a data point has
//! seven of the attributes. The same seed gives the same bytes.

mod metrics;
mod protobuf;
mod records;

use protobuf::{message, text_attribute};

/// What is in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Spans,
    Logs,
    /// Points of gauges and counters.
    Numbers,
    Histograms,
}

impl Kind {
    /// By its name on a command line.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "spans" => Self::Spans,
            "logs" => Self::Logs,
            "numbers" => Self::Numbers,
            "histograms" => Self::Histograms,
            _ => return None,
        })
    }

    /// The signal, as in the path of OTLP over HTTP.
    pub fn signal(self) -> &'static str {
        match self {
            Self::Spans => "traces",
            Self::Logs => "logs",
            Self::Numbers | Self::Histograms => "metrics",
        }
    }
}

/// Where an id is in a request. Ids of one number are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    pub at: usize,
    /// 16 of a trace, 8 of a span.
    pub size: usize,
    pub number: u64,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Payload {
    pub bytes: Vec<u8>,
    pub items: usize,
    pub ids: Vec<Id>,
}

/// Ids that one request of so many items may need, of each kind.
pub fn numbers(items: usize) -> u64 {
    items as u64 + 1
}

/// Give the ids other values; `first` has to be `numbers` higher for each request, so that no two have one in common.
pub fn renumber(bytes: &mut [u8], ids: &[Id], first: u64) {
    for id in ids {
        let number = first.wrapping_add(id.number);
        let (high, low) = (mixed(number), mixed(!number));
        let both = [high.to_be_bytes(), low.to_be_bytes()];
        if let Some(room) = bytes.get_mut(id.at..id.at + id.size) {
            room.copy_from_slice(&both.as_flattened()[..id.size]);
        }
    }
}

/// A number that looks random; another one for every other number.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Make a request; `now` is in nanoseconds.
pub fn payload(kind: Kind, items: usize, seed: u64, now: u64) -> Payload {
    let made = match kind {
        Kind::Spans => records::spans(items, seed, now),
        Kind::Logs => records::logs(items, seed, now),
        Kind::Numbers => metrics::numbers(items, seed, now),
        Kind::Histograms => metrics::histograms(items, seed, now),
    };
    let mut scope = Vec::new();
    message(&mut scope, 1, |scope| protobuf::text(scope, 1, "benchmark"));
    let scope_head = scope.len();
    scope.extend_from_slice(&made.bytes);
    let mut resource = Vec::new();
    message(&mut resource, 1, |resource| {
        for number in 0..10 {
            text_attribute(resource, 1, &format!("resource.attribute.{number}"), &format!("value-{number}"));
        }
        text_attribute(resource, 1, "service.name", "checkout");
    });
    protobuf::bytes(&mut resource, 2, &scope);
    let mut bytes = Vec::new();
    protobuf::bytes(&mut bytes, 1, &resource);
    // All that comes before the items, at whatever level, is at the beginning.
    let before = bytes.len() - scope.len() + scope_head;
    let mut ids = made.ids;
    ids.iter_mut().for_each(|id| id.at += before);
    renumber(&mut bytes, &ids, seed.wrapping_mul(numbers(items)));
    Payload { bytes, items, ids }
}

/// Items one behind another.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    ids: Vec<Id>,
}

impl Made {
    /// Add a message whose ids are given by their places in it.
    fn push(&mut self, field: u32, item: &[u8], ids: &[Id]) {
        protobuf::bytes(&mut self.bytes, field, item);
        let before = self.bytes.len() - item.len();
        self.ids.extend(ids.iter().map(|id| Id { at: id.at + before, ..*id }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const KINDS: [Kind; 4] = [Kind::Spans, Kind::Logs, Kind::Numbers, Kind::Histograms];
    const NOW: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others_of_that_size() {
        for kind in KINDS {
            let (one, same, other) =
                (payload(kind, 100, 1, NOW), payload(kind, 100, 1, NOW), payload(kind, 100, 2, NOW));
            assert_eq!(one.bytes, same.bytes);
            assert_ne!(one.bytes, other.bytes);
            let sizes = [one.bytes.len() as f64, other.bytes.len() as f64];
            assert!((sizes[0] / sizes[1] - 1.0).abs() < 0.02, "{kind:?}: {sizes:?}");
        }
    }

    #[test]
    fn items_have_the_reference_size() {
        for (kind, least, most) in
            [(Kind::Spans, 400, 420), (Kind::Logs, 380, 440), (Kind::Numbers, 190, 300), (Kind::Histograms, 400, 520)]
        {
            let size = payload(kind, 512, 1, NOW).bytes.len() / 512;
            assert!((least..=most).contains(&size), "{kind:?} has {size} bytes");
        }
    }

    #[test]
    fn renumbered_requests_have_no_trace_and_no_span_in_common() {
        let mut payload = payload(Kind::Spans, 64, 1, NOW);
        let mut seen = HashSet::new();
        for request in 0..50 {
            renumber(&mut payload.bytes, &payload.ids, request * numbers(64));
            let own: HashSet<Vec<u8>> =
                payload.ids.iter().map(|id| payload.bytes[id.at..id.at + id.size].to_vec()).collect();
            assert_eq!(own.len(), 64 / 8 + 64, "8 spans share a trace, and a parent is one of the spans");
            assert!(own.iter().all(|id| seen.insert(id.clone())));
        }
    }
}
