//! Partial sums one after another, many columns side by side: how far each sum reaches on its way, were every register
//! wide enough.

use super::stepped::is_lone;
use super::{Columns, Kernels, Row, STEPPED_LANES, compiled};
use crate::number::AccumulatorRule;

/// How far the sums of some columns reach, from the beginning of their reductions on.
#[derive(Debug)]
pub(in crate::machine) struct Reach<'a> {
    /// The sums so far.
    pub(in crate::machine) sums: &'a mut [i64],
    /// The least that joins came to; at most 0.
    pub(in crate::machine) least: &'a mut [i64],
    /// The greatest that joins came to; at least 0.
    pub(in crate::machine) greatest: &'a mut [i64],
}

/// [`STEPPED_LANES`] of them.
struct Block<'a> {
    sums: &'a mut [i64; STEPPED_LANES],
    least: &'a mut [i64; STEPPED_LANES],
    greatest: &'a mut [i64; STEPPED_LANES],
}

impl Kernels {
    /// Adds the products of `row` with every column of `right` in order, to the sums. No product is greater than `greatest`.
    ///
    /// # Panics
    /// When there are not so many columns, or they are no whole number of lanes; when the row has more or fewer indices.
    pub(in crate::machine) fn partial_sums(
        self,
        rule: AccumulatorRule,
        greatest: i64,
        row: &Row,
        right: &Columns,
        reach: Reach<'_>,
    ) {
        assert!(right.meets(row, reach.sums.len()) && reach.sums.len().is_multiple_of(STEPPED_LANES));
        let furthest = reach.sums.iter().map(|s| i128::from(s.unsigned_abs())).max().unwrap_or(0);
        let narrow = i128::from(greatest) * row.codes().len() as i128 + furthest < 1 << 31;
        let alone = is_lone(rule);
        // Joins whose sum lanes of so many bits hold, counted from where it began.
        let joins = |most: i64| usize::try_from(most / greatest.max(1)).unwrap_or(usize::MAX);
        let (of_16, of_32) = (joins(i16::MAX.into()), joins(i32::MAX.into()));
        let blocks = reach.sums.as_chunks_mut().0.iter_mut();
        let blocks = blocks.zip(reach.least.as_chunks_mut().0).zip(reach.greatest.as_chunks_mut().0);
        for (number, ((sums, least), greatest)) in blocks.enumerate() {
            let block = Block { sums, least, greatest };
            let right = (right, number * STEPPED_LANES);
            compiled!(
                self,
                if alone && of_16 >= MANY {
                    lone_sums_of_16(of_16, row, right, block)
                } else if alone && of_32 > 0 {
                    lone_sums_of_32(of_32, row, right, block)
                } else if narrow {
                    narrow_sums(rule, row, right, block)
                } else {
                    wide_sums(rule, row, right, block)
                }
            );
        }
    }
}

/// Joins from which on lanes of 16 bits pay: what comes to be known of them is widened after so many.
const MANY: usize = 16;

macro_rules! lone_sums {
    ($name:ident, $lane:ty) => {
        /// Each product a join, in lanes that begin from zero every `joins` joins.
        #[inline(always)]
        fn $name(joins: usize, row: &Row, (right, column): (&Columns, usize), block: Block<'_>) {
            for (places, lefts) in row.steps(joins) {
                let zeros = [<$lane>::default(); STEPPED_LANES];
                let (mut sum, mut least, mut greatest) = (zeros, zeros, zeros);
                for (&place, &left) in places.iter().zip(lefts) {
                    let right: &[i16; STEPPED_LANES] = right.at(place, column);
                    let left = <$lane>::try_from(left).unwrap_or(0);
                    for j in 0..STEPPED_LANES {
                        sum[j] = sum[j].wrapping_add(left.wrapping_mul(<$lane>::from(right[j])));
                        least[j] = least[j].min(sum[j]);
                        greatest[j] = greatest[j].max(sum[j]);
                    }
                }
                for j in 0..STEPPED_LANES {
                    let start = block.sums[j];
                    block.least[j] = block.least[j].min(start + i64::from(least[j]));
                    block.greatest[j] = block.greatest[j].max(start + i64::from(greatest[j]));
                    block.sums[j] = start + i64::from(sum[j]);
                }
            }
        }
    };
}

lone_sums!(lone_sums_of_16, i16);
lone_sums!(lone_sums_of_32, i32);

macro_rules! sums {
    ($name:ident, $lane:ty) => {
        #[inline(always)]
        fn $name(rule: AccumulatorRule, row: &Row, (right, column): (&Columns, usize), block: Block<'_>) {
            let lane = |v: i64| <$lane>::try_from(v).unwrap_or(0);
            let mut sum = block.sums.map(lane);
            let (mut least, mut greatest) = (sum, sum);
            let tree = usize::try_from(rule.tree).unwrap_or(usize::MAX);
            // The inner register's sum, where there are chunks.
            let (mut inner, mut joins) = ([0; STEPPED_LANES], 0);
            let mut rights = right.codes()[column..].chunks(right.width());
            let mut reach = |s: $lane, j: usize| {
                least[j] = least[j].min(s);
                greatest[j] = greatest[j].max(s);
            };
            for group in row.codes().chunks(tree) {
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
            for j in 0..STEPPED_LANES {
                block.sums[j] = sum[j].into();
                block.least[j] = block.least[j].min(least[j].into());
                block.greatest[j] = block.greatest[j].max(greatest[j].into());
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
            row in prop::collection::vec(prop_oneof![Just(0i16), -128i16..=127], 1..400), tree in prop_oneof![Just(1u32), 1u32..5], chunk in prop_oneof![Just(0u32), 0u32..5],
            // Codes of few bits leave room for joins of 16.
            most in prop_oneof![Just(1i64), Just(2), Just(8), Just(128)],
            start in prop_oneof![-1000i64..1000, Just(1i64 << 40)], seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i16::try_from(i64::from(word.to_be_bytes()[0].cast_signed()) * most / 128).unwrap()
            };
            let right: Vec<i16> = (0..row.len() * STEPPED_LANES).map(|_| next()).collect();
            let rule = AccumulatorRule { tree, chunk, ..AccumulatorRule::default() };
            let (mut sums, mut least, mut greatest) =
                (vec![start; STEPPED_LANES], vec![start.min(0); STEPPED_LANES], vec![start.max(0); STEPPED_LANES]);
            let reach = Reach { sums: &mut sums, least: &mut least, greatest: &mut greatest };
            let kernels = Kernels::of(super::super::Extension::chosen());
            let mut columns = Columns::default();
            columns.take((row.len(), STEPPED_LANES), |k, to| {
                to.copy_from_slice(&right[k * STEPPED_LANES..][..STEPPED_LANES]);
            });
            kernels.partial_sums(rule, 128 * most, &Row::of(&row), &columns, reach);
            for j in 0..STEPPED_LANES {
                let (mut outer, mut inner, mut n, mut expected) = (start, 0, 0, (start.min(0), start.max(0)));
                let mut joined = |s: i64| expected = (expected.0.min(s), expected.1.max(s));
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
                prop_assert_eq!((sums[j], (least[j], greatest[j])), (outer, expected));
            }
        }
    }
}
