//! Widths: how many values need how many bits, and what width would have sufficed. Knows no tensors.

use crate::number::needed_bits;

/// How many values need each number of bits, from 1: the least k with −2^(k−1) ≤ x ≤ 2^(k−1) − 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct NeededBits(Vec<u64>);

impl NeededBits {
    /// `count` more of a value.
    pub fn add(&mut self, value: i64, count: u64) {
        self.add_bits(needed_bits(value), count);
    }

    /// `count` more that need so many bits.
    pub fn add_bits(&mut self, bits: u32, count: u64) {
        let bin = usize::try_from(bits).unwrap_or(1).max(1) - 1;
        if self.0.len() <= bin {
            self.0.resize(bin + 1, 0);
        }
        self.0[bin] += count;
    }

    /// Adds another.
    pub fn join(&mut self, other: &NeededBits) {
        (1u32..).zip(&other.0).filter(|&(_, &n)| n > 0).for_each(|(bits, &n)| self.add_bits(bits, n));
    }

    /// How many values there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many need each number of bits, from 1.
    pub fn counts(&self) -> &[u64] {
        &self.0
    }

    /// The least width that holds all but at most one in `one_in` of the values; all of them for `u64::MAX`.
    pub fn sufficient(&self, one_in: u64) -> u32 {
        let allowed = self.total() / one_in;
        let mut left_out = 0;
        for (bin, &count) in self.0.iter().enumerate().rev() {
            left_out += count;
            if left_out > allowed {
                return u32::try_from(bin + 1).unwrap_or(u32::MAX);
            }
        }
        1
    }
}

/// Widths that would have sufficed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sufficient {
    /// For all.
    pub all: u32,
    /// For all but 10^-5.
    pub but_1e5: u32,
    /// For all but 10^-4.
    pub but_1e4: u32,
    /// For all but 10^-3.
    pub but_1e3: u32,
}

impl Sufficient {
    /// By counts of sampled values; `all` is at least what every value, sampled or not, needs.
    pub fn of(bits: &NeededBits, least: u32) -> Sufficient {
        let but = |n| bits.sufficient(n);
        Sufficient {
            all: bits.sufficient(u64::MAX).max(least),
            but_1e5: but(100_000),
            but_1e4: but(10_000),
            but_1e3: but(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_suffices_for_all_but_a_share() {
        let mut bits = NeededBits::default();
        for (value, count) in [(0, 100_000), (100, 899), (1000, 100), (-5000, 1)] {
            bits.add(value, count);
        }
        assert_eq!(bits.total(), 101_000);
        let found = Sufficient::of(&bits, 0);
        assert_eq!(found, Sufficient { all: 14, but_1e5: 11, but_1e4: 11, but_1e3: 8 });
        assert_eq!(Sufficient::of(&bits, 16).all, 16);
        assert_eq!(NeededBits::default().sufficient(1000), 1);
    }
}
