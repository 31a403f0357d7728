//! A share of spans and log records, chosen by randomness that all of a trace has in common.
//!
//! The modes, thresholds and faults are those of the Collector's probabilistic sampler; thresholds and randomness are
//! written as in OpenTelemetry's "TraceState: Probability Sampling".

mod item;
mod threshold;
mod tracestate;

use super::edit::Message;
use super::otlp::Signal;
use super::view::View;
use super::wire::Malformed;
use item::{Earlier, Sampled};
use threshold::{ALWAYS, BUCKETS, LEAST_PROBABILITY, MOST, NEVER, hashed_randomness, probability_of, threshold_of};

pub use threshold::DIGITS;

/// The mode of a sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    HashSeed,
    Proportional,
    Equalizing,
}

impl Mode {
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "hash_seed" => Some(Self::HashSeed),
            "proportional" => Some(Self::Proportional),
            "equalizing" => Some(Self::Equalizing),
            _ => None,
        }
    }
}

/// Where the randomness of an item came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Missing,
    TraceIdHash,
    TraceId,
    Explicit,
    /// The item says itself what is to become of it.
    Priority,
    Attribute,
}

/// What is wrong with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Malformed,
    MissingRandomness,
    InconsistentThreshold,
    RandomnessInUse,
    ThresholdInUse,
    /// In the trace state; it is as it was.
    NoRoom,
}

impl Fault {
    /// The name, empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Malformed => "malformed",
            Self::MissingRandomness => "missing_randomness",
            Self::InconsistentThreshold => "inconsistent_threshold",
            Self::RandomnessInUse => "randomness_in_use",
            Self::ThresholdInUse => "threshold_in_use",
            Self::NoRoom => "no_room",
        }
    }
}

/// How an item was decided: where its randomness came from, whether it is kept, what was wrong.
pub type Counted = (Policy, bool, Fault);

/// What is left of a view.
pub struct Outcome {
    /// None where that is the view as it is.
    pub kept: Option<View>,
    /// How many items were decided in which way.
    pub counts: Vec<(Counted, usize)>,
}

/// What is asked of a sampler.
pub struct Settings {
    pub mode: Mode,
    pub percentage: f64,
    pub hash_seed: u32,
    pub precision: u32,
    pub fail_closed: bool,
    /// Of logs: whether the trace id is hashed.
    pub by_trace_id: bool,
    /// Of logs: what is hashed where there is no trace id, empty for nothing.
    pub from_attribute: Box<[u8]>,
    /// Of logs: the attribute with a percentage of its own, empty for none.
    pub priority_attribute: Box<[u8]>,
}

/// What keeps a share of the items.
pub struct Sampler {
    settings: Settings,
    ratio: f64,
    threshold: u64,
    /// Nothing passes but what has a priority.
    is_never: bool,
}

impl Sampler {
    /// With settings in their ranges.
    pub fn new(settings: Settings) -> Self {
        let rounded = settings.percentage.min(100.0) as f32;
        let ratio = (f64::from(rounded) / 100.0).max(LEAST_PROBABILITY);
        let accepted = ((rounded * 163.84_f32) as u64).min(BUCKETS);
        let by_hash = settings.mode == Mode::HashSeed;
        let threshold =
            if by_hash { (BUCKETS - accepted) << 42 } else { threshold_of(ratio, settings.precision.min(DIGITS)) };
        Self { settings, ratio, threshold, is_never: rounded <= 0.0 || by_hash && accepted == 0 }
    }

    /// Keep what is to be kept, and write its threshold into it.
    pub fn apply(&self, view: &View) -> Result<Outcome, Malformed> {
        // There are few ways, and most items go the way of the one before.
        let mut counts: Vec<(Counted, usize)> = vec![];
        let mut mask = Vec::with_capacity(view.items.len());
        let edited = view.edit(&[Message::Item], None, |_, item, out| {
            let (counted, is_written) = match view.signal {
                Signal::Traces => item::span(self, item.message, out),
                _ => item::record(self, item.message, out),
            };
            match counts.iter_mut().find(|(known, _)| *known == counted) {
                Some((_, count)) => *count += 1,
                None => counts.push((counted, 1)),
            }
            mask.push(u8::from(counted.1));
            Ok(is_written)
        })?;
        let kept = edited.as_ref().unwrap_or(view).select(&mask);
        Ok(Outcome { kept: kept.or(edited), counts })
    }

    /// What becomes of an item with a trace id, a value to be hashed and what earlier samplers left, None where that
    /// is malformed.
    fn decide(&self, trace_id: &[u8], hashed: &[u8], earlier: Option<Earlier>, priority: Option<u64>) -> Sampled {
        let mut sampled = self.source(trace_id, hashed, earlier);
        if sampled.fault == Fault::None && sampled.policy == Policy::Missing {
            sampled.fault = Fault::MissingRandomness;
        }
        let before = sampled.earlier.as_mut().and_then(|earlier| {
            if sampled.fault == Fault::None && earlier.threshold > Some(sampled.randomness) {
                sampled.fault = Fault::InconsistentThreshold;
                earlier.threshold = None;
            }
            earlier.threshold
        });
        let before = before.unwrap_or(ALWAYS);
        let threshold = match (sampled.fault, self.settings.mode) {
            (Fault::None, _) if self.is_never => NEVER,
            (Fault::None, Mode::Proportional) => {
                threshold_of(probability_of(before) * self.ratio, self.settings.precision)
            }
            (Fault::None, _) => before.max(self.threshold),
            _ if self.settings.fail_closed => NEVER,
            _ => ALWAYS,
        };
        sampled.is_random = matches!(sampled.policy, Policy::TraceIdHash | Policy::Attribute);
        sampled.threshold = priority.unwrap_or(threshold);
        if priority.is_some() {
            sampled.policy = Policy::Priority;
        }
        sampled
    }

    /// Where the randomness comes from, what it is, and what was wrong so far.
    fn source(&self, trace_id: &[u8], hashed: &[u8], earlier: Option<Earlier>) -> Sampled {
        let fault = if earlier.is_none() { Fault::Malformed } else { Fault::None };
        let made =
            Sampled { policy: Policy::Missing, randomness: MOST, threshold: NEVER, is_random: false, fault, earlier };
        if self.is_never {
            return Sampled { policy: Policy::Priority, ..made };
        }
        let id = <&[u8; 16]>::try_from(trace_id).ok().filter(|id| id.iter().any(|byte| *byte > 0));
        if self.settings.mode == Mode::HashSeed {
            let (earlier, fault) = match earlier {
                Some(Earlier { randomness: Some(_), .. }) => (None, Fault::RandomnessInUse),
                Some(Earlier { threshold: Some(_), .. }) => (None, Fault::ThresholdInUse),
                earlier => (earlier, fault),
            };
            let seed = self.settings.hash_seed.to_le_bytes();
            let (policy, randomness) = match id {
                Some(id) => (Policy::TraceIdHash, hashed_randomness(seed, id)),
                None if !hashed.is_empty() => (Policy::Attribute, hashed_randomness(seed, hashed)),
                None => (Policy::Missing, MOST),
            };
            return Sampled { policy, randomness, fault, earlier, ..made };
        }
        match (earlier, id) {
            (Some(Earlier { randomness: Some(randomness), .. }), _) => {
                Sampled { policy: Policy::Explicit, randomness, ..made }
            }
            (Some(_), Some(id)) => {
                let randomness = id[9..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                Sampled { policy: Policy::TraceId, randomness, ..made }
            }
            _ => made,
        }
    }
}
