//! How long requests took, within one percent.

use std::time::Duration;

/// Steps between a power of two and the next one.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts by time in nanoseconds.
pub struct Latency {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Latency {
    pub fn new() -> Self {
        Self { counts: vec![0; STEPS * 64], total: 0, max: Duration::ZERO }
    }

    pub fn record(&mut self, took: Duration) {
        self.counts[place(took.as_nanos() as u64)] += 1;
        self.total += 1;
        self.max = self.max.max(took);
    }

    pub fn max(&self) -> Duration {
        self.max
    }

    /// The time that this share of requests did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper(place)).min(self.max);
            }
        }
        self.max
    }
}

fn place(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < STEP_BITS {
        return nanos as usize;
    }
    let step = (nanos >> (power - STEP_BITS)) as usize - STEPS;
    (power - STEP_BITS + 1) as usize * STEPS + step
}

/// The largest time that is counted there.
fn upper(place: usize) -> u64 {
    let (power, step) = (place / STEPS, (place % STEPS) as u64);
    match power {
        0 => step,
        _ => ((STEPS as u64 + step + 1) << (power - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_two_percent() {
        let mut latency = Latency::new();
        for micros in 1..=10_000_u64 {
            latency.record(Duration::from_micros(micros));
        }
        for (share, wanted) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = latency.quantile(share).as_secs_f64() * 1e6;
            assert!((found / wanted - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert_eq!(latency.max(), Duration::from_millis(10));
        assert_eq!(Latency::new().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn every_time_has_a_place() {
        for nanos in (0..64).map(|power| 1_u64 << power).flat_map(|power| [power - 1, power, power + 1]) {
            assert!(upper(place(nanos)) >= nanos);
            assert!(upper(place(nanos)) - nanos <= nanos / 32);
        }
    }
}
