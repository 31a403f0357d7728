//! Thresholds and randomness of 56 bits: what is kept has a randomness of at least the threshold.

/// Hexadecimal digits of 56 bits.
pub const DIGITS: u32 = 14;
pub const ALWAYS: u64 = 0;
pub const NEVER: u64 = 1 << 56;
/// The randomness that is kept by every threshold but `NEVER`.
pub const MOST: u64 = NEVER - 1;
/// Of a hash.
pub const BUCKETS: u64 = 1 << 14;

const SCALE: f64 = NEVER as f64;
pub const LEAST_PROBABILITY: f64 = 1.0 / SCALE;

/// The threshold that a share of `probability` passes, `NEVER` for less than 2**-56.
///
/// It has `precision` digits behind those that are 0 or f from the first on, which a probability near 0 or 1 has.
pub fn threshold_of(probability: f64, precision: u32) -> u64 {
    if probability.is_nan() || probability < LEAST_PROBABILITY {
        return NEVER;
    }
    if probability >= 1.0 {
        return ALWAYS;
    }
    let near = near_zero(probability).max(near_zero(1.0 - probability));
    let threshold = NEVER - ((probability * SCALE).round() as u64).min(NEVER);
    let shift = 4 * (DIGITS - DIGITS.min(precision + near));
    (threshold + (1 << shift >> 1)) >> shift << shift
}

/// The share that a threshold passes.
pub fn probability_of(threshold: u64) -> f64 {
    NEVER.saturating_sub(threshold) as f64 / SCALE
}

/// The hexadecimal digits behind the point that are 0, of a number from 2**-56 to 1.
fn near_zero(number: f64) -> u32 {
    // The exponent of a number from a half to 1 is 0.
    let exponent = (number.to_bits() >> 52 & 0x7ff) as u32;
    1022_u32.saturating_sub(exponent) / 4
}

/// Randomness of which the first 14 bits are the bucket of a hash (FNV-1a of 32 bits), counted from the end.
pub fn hashed_randomness(seed: [u8; 4], content: &[u8]) -> u64 {
    let mut hashed = 0x811c_9dc5_u32;
    for byte in seed.iter().chain(content) {
        hashed = (hashed ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    let (bucket, unused) = (u64::from(hashed) % BUCKETS, u64::from(hashed >> 18));
    (BUCKETS - 1 - bucket) << 42 | (unused ^ unused << 10) << 14 | bucket
}

/// 1 to 14 hexadecimal digits, with zeros behind them.
pub fn read_threshold(text: &[u8]) -> Option<u64> {
    let digits = u32::try_from(text.len()).ok().filter(|digits| (1..=DIGITS).contains(digits))?;
    Some(read_hex(text)? << (4 * (DIGITS - digits)))
}

/// 14 hexadecimal digits.
pub fn read_randomness(text: &[u8]) -> Option<u64> {
    if text.len() == DIGITS as usize { read_hex(text) } else { None }
}

fn read_hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, byte| Some(number << 4 | u64::from(char::from(*byte).to_digit(16)?)))
}

/// Hexadecimal digits, which take no allocation.
#[derive(Clone, Copy)]
pub struct Text {
    digits: [u8; DIGITS as usize],
    size: usize,
}

impl Text {
    /// All 14 of a randomness.
    pub fn randomness(number: u64) -> Self {
        let mut digits = [b'0'; DIGITS as usize];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        Self { digits, size: digits.len() }
    }

    /// Those of a threshold without the zeros at the end.
    pub fn threshold(number: u64) -> Self {
        let all = Self::randomness(number);
        let last = all.digits.iter().rposition(|digit| *digit != b'0').unwrap_or(0);
        Self { size: last + 1, ..all }
    }

    /// As they are written.
    pub fn bytes(&self) -> &[u8] {
        &self.digits[..self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_digits_that_are_asked_for() {
        for (probability, precision, text) in [
            (1.0, 4, "0"),
            (0.5, 4, "8"),
            (0.25, 1, "c"),
            (0.01, 4, "fd70a"),
            (0.01, 3, "fd71"),
            (0.01, 14, "fd70a3d70a3d71"),
            (1.0 / 3.0, 3, "aab"),
            (2.0 / 3.0, 4, "5555"),
            (LEAST_PROBABILITY, 1, "ffffffffffffff"),
        ] {
            let made = Text::threshold(threshold_of(probability, precision));
            assert_eq!(String::from_utf8_lossy(made.bytes()), text, "{probability} {precision}");
        }
        assert_eq!(threshold_of(LEAST_PROBABILITY / 2.0, 4), NEVER);
        assert_eq!(threshold_of(f64::NAN, 4), NEVER);
    }

    #[test]
    fn digits_are_read_as_they_are_written() {
        assert_eq!(read_threshold(b"c"), Some(0xc << 52));
        assert_eq!(read_threshold(b"0"), Some(0));
        assert_eq!(read_randomness(b"FFffffffffffff"), Some(MOST));
        for text in [&b""[..], b"000000000000000", b"-1", b"0x1", b"1_0", b" 1"] {
            assert_eq!((read_threshold(text), read_randomness(text)), (None, None), "{text:?}");
        }
    }
}
