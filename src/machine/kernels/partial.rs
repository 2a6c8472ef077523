//! Partial sums one after another, many columns side by side: how far each sum reaches on its way, were every register
//! wide enough.

use super::{Kernels, STEPPED_LANES, compiled};
use crate::number::AccumulatorRule;

/// How far the sum of an output reaches, from the beginning of its reduction on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::machine) struct Reach {
    /// The sum so far.
    pub(in crate::machine) sum: i64,
    /// The least a join came to; at most 0.
    pub(in crate::machine) least: i64,
    /// The greatest a join came to; at least 0.
    pub(in crate::machine) greatest: i64,
}

impl Kernels {
    /// Adds the products of `row` with every column of `right` (`[index][column]`, as many columns as reaches), in order, to
    /// the sums. No product is greater than `greatest`.
    ///
    /// # Panics
    /// When `right` is no whole number of rows of `reaches.len()`, or that no whole number of lanes.
    pub(in crate::machine) fn partial_sums(
        self,
        rule: AccumulatorRule,
        greatest: i64,
        row: &[i16],
        right: &[i16],
        reaches: &mut [Reach],
    ) {
        assert!(right.len() == row.len() * reaches.len() && reaches.len().is_multiple_of(STEPPED_LANES));
        let width = reaches.len();
        let furthest = reaches.iter().map(|r| i128::from(r.sum.unsigned_abs())).max().unwrap_or(0);
        let narrow = i128::from(greatest) * row.len() as i128 + furthest < 1 << 31;
        for column in (0..width).step_by(STEPPED_LANES) {
            let reaches = reaches[column..].first_chunk_mut().expect("whole lanes");
            let right = &right[column..];
            compiled!(
                self,
                if narrow {
                    narrow_sums(rule, row, right, width, reaches)
                } else {
                    wide_sums(rule, row, right, width, reaches)
                }
            );
        }
    }
}

macro_rules! sums {
    ($name:ident, $lane:ty) => {
        #[inline(always)]
        fn $name(
            rule: AccumulatorRule,
            row: &[i16],
            right: &[i16],
            width: usize,
            reaches: &mut [Reach; STEPPED_LANES],
        ) {
            let lane = |v: i64| <$lane>::try_from(v).unwrap_or(0);
            let mut sum = reaches.map(|r| lane(r.sum));
            let (mut least, mut greatest) = (sum, sum);
            if rule.tree == 1 && rule.chunk == 0 {
                for (&left, right) in row.iter().zip(right.chunks(width)) {
                    // A product of 0 changes no sum.
                    let Some(right) = right.first_chunk::<STEPPED_LANES>().filter(|_| left != 0) else {
                        continue;
                    };
                    let left = <$lane>::from(left);
                    for j in 0..STEPPED_LANES {
                        sum[j] += left * <$lane>::from(right[j]);
                        least[j] = least[j].min(sum[j]);
                        greatest[j] = greatest[j].max(sum[j]);
                    }
                }
            } else {
                let tree = usize::try_from(rule.tree).unwrap_or(usize::MAX);
                // The inner register's sum, where there are chunks.
                let (mut inner, mut joins) = ([0; STEPPED_LANES], 0);
                let mut rights = right.chunks(width);
                let mut reach = |s: $lane, j: usize| {
                    least[j] = least[j].min(s);
                    greatest[j] = greatest[j].max(s);
                };
                for group in row.chunks(tree) {
                    for (&left, right) in group.iter().zip(&mut rights) {
                        for (s, &r) in inner.iter_mut().zip(right) {
                            *s += <$lane>::from(left) * <$lane>::from(r);
                        }
                    }
                    joins += 1;
                    if rule.chunk == 0 {
                        for j in 0..STEPPED_LANES {
                            sum[j] += inner[j];
                            reach(sum[j], j);
                        }
                        inner = [0; STEPPED_LANES];
                        continue;
                    }
                    (0..STEPPED_LANES).for_each(|j| reach(inner[j], j));
                    if joins == rule.chunk {
                        for j in 0..STEPPED_LANES {
                            sum[j] += inner[j];
                            reach(sum[j], j);
                        }
                        (inner, joins) = ([0; STEPPED_LANES], 0);
                    }
                }
                // A short chunk joins like a whole one.
                for j in 0..STEPPED_LANES {
                    sum[j] += inner[j];
                    reach(sum[j], j);
                }
            }
            for (j, r) in reaches.iter_mut().enumerate() {
                r.sum = sum[j].into();
                r.least = r.least.min(least[j].into());
                r.greatest = r.greatest.max(greatest[j].into());
            }
        }
    };
}

sums!(narrow_sums, i32);
sums!(wide_sums, i64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reaches_are_those_of_joins_in_order(
            row in prop::collection::vec(prop_oneof![Just(0i16), -128i16..=127], 1..60), tree in 1u32..5, chunk in 0u32..5,
            start in prop_oneof![-1000i64..1000, Just(1i64 << 40)], seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i16::from(word.to_be_bytes()[0].cast_signed())
            };
            let right: Vec<i16> = (0..row.len() * STEPPED_LANES).map(|_| next()).collect();
            let rule = AccumulatorRule { tree, chunk, ..AccumulatorRule::default() };
            let from = Reach { sum: start, least: start.min(0), greatest: start.max(0) };
            let mut reaches = vec![from; STEPPED_LANES];
            Kernels::of(super::super::Extension::chosen()).partial_sums(rule, 1 << 14, &row, &right, &mut reaches);
            for (j, &found) in reaches.iter().enumerate() {
                let (mut outer, mut inner, mut n, mut expected) = (start, 0, 0, from);
                let mut joined = |s: i64| {
                    expected.least = expected.least.min(s);
                    expected.greatest = expected.greatest.max(s);
                };
                let products: Vec<i64> =
                    row.iter().enumerate().map(|(k, &a)| i64::from(a) * i64::from(right[k * STEPPED_LANES + j])).collect();
                for group in products.chunks(usize::try_from(tree).unwrap()) {
                    let group: i64 = group.iter().sum();
                    if chunk == 0 {
                        outer += group;
                        joined(outer);
                        continue;
                    }
                    inner += group;
                    joined(inner);
                    n += 1;
                    if n == chunk {
                        outer += inner;
                        joined(outer);
                        (inner, n) = (0, 0);
                    }
                }
                outer += inner;
                joined(outer);
                expected.sum = outer;
                prop_assert_eq!(found, expected);
            }
        }
    }
}
