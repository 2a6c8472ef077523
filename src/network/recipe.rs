//! The recipe: data, augmentation, batch, epochs, learning rate, seed. Owns what of it is allowed; must not know where data lies.

use std::path::PathBuf;

use serde::Serialize;

use crate::network::{Augmentation, DataSet};

/// A learning rate and the epoch it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The first epoch it holds for; epochs count from 1.
    pub from_epoch: u32,
    /// λ, the rate's logarithm to base 2.
    pub lr_log2: i32,
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// The data.
    pub data: DataSet,
    /// A folder to read it from in place of the usual one; as written.
    pub data_path: Option<PathBuf>,
    /// What is done to training images.
    pub augment: Augmentation,
    /// Images a step.
    pub batch: u32,
    /// Epochs.
    pub epochs: u32,
    /// Learning rates in order; the first holds from epoch 1.
    pub schedule: Vec<Rate>,
    /// Initial weights, shuffling and rounding draw from separate streams of it.
    pub seed: u64,
}

impl Recipe {
    /// λ in an epoch, counted from 1.
    pub fn lr_log2(&self, epoch: u32) -> i32 {
        let begun = self.schedule.iter().rev().find(|rate| rate.from_epoch <= epoch);
        begun.or(self.schedule.first()).map_or(0, |rate| rate.lr_log2)
    }

    /// The greatest λ of the schedule.
    pub fn max_lr_log2(&self) -> i32 {
        self.schedule.iter().map(|rate| rate.lr_log2).max().unwrap_or(0)
    }
}

/// λ of a learning rate, where it is a power of two.
///
/// # Errors
/// The powers of two below and above it, to be named to the user; none where it is not a positive number.
pub(crate) fn exact_log2(rate: f64) -> Result<i32, Option<(f64, f64)>> {
    if !rate.is_finite() || rate < f64::MIN_POSITIVE {
        return Err(None);
    }
    // A normal float is 2^(exponent - 1023) times 1 + mantissa.
    let (exponent, mantissa) = ((rate.to_bits() >> 52) & 0x7ff, rate.to_bits() & ((1 << 52) - 1));
    if mantissa == 0 {
        return i32::try_from(exponent).map(|exponent| exponent - 1023).map_err(|_| None);
    }
    let below = f64::from_bits(exponent << 52);
    Err(Some((below, 2.0 * below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_have_an_exact_logarithm() {
        let found = [8.0, 1.0, 0.125, 1024.0].map(exact_log2);
        assert_eq!(found, [Ok(3), Ok(0), Ok(-3), Ok(10)]);
        assert_eq!(exact_log2(3.0), Err(Some((2.0, 4.0))));
        assert_eq!(exact_log2(0.1), Err(Some((0.0625, 0.125))));
        for none in [0.0, -8.0, f64::NAN, f64::INFINITY] {
            assert_eq!(exact_log2(none), Err(None));
        }
    }

    #[test]
    fn a_rate_holds_until_the_next_begins() {
        let rate = |from_epoch, lr_log2| Rate { from_epoch, lr_log2 };
        let recipe = Recipe {
            data: DataSet::Mnist,
            data_path: None,
            augment: Augmentation::default(),
            batch: 128,
            epochs: 300,
            schedule: vec![rate(1, 3), rate(200, 0), rate(250, -3)],
            seed: 1,
        };
        let found = [1, 199, 200, 249, 250, 300].map(|epoch| recipe.lr_log2(epoch));
        assert_eq!(found, [3, 3, 0, 0, -3, -3]);
        assert_eq!(recipe.max_lr_log2(), 3);
    }
}
