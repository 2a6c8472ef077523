//! Joins one after another, many columns side by side.

use super::{Kernels, compiled};
use crate::number::{AccumulatorRule, Overflow};

/// Columns stepped side by side.
pub(in crate::machine) const STEPPED_LANES: usize = 32;

/// How wide the lanes are that hold every sum before it is brought into range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Lanes {
    /// 16 bits, the register at their top, so that their own saturation is its.
    Half,
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

/// The lanes that a rule needs where no product is greater than `greatest`; none where 64 bits are too few.
pub(in crate::machine) fn stepped_lanes(rule: AccumulatorRule, greatest: i64) -> Option<Lanes> {
    let group = i128::from(greatest) * i128::from(rule.tree);
    let bits = if rule.chunk > 0 { rule.bits.max(rule.outer_bits) } else { rule.bits };
    let top = rule.overflow == Overflow::Saturate && rule.chunk == 0 && rule.tree == 1 && bits <= 16;
    if top && group < 1 << (bits - 1) && greatest < 1 << 14 {
        Some(Lanes::Half)
    } else if bits <= 30 && group < 1 << 30 {
        Some(Lanes::Narrow)
    } else if bits <= 62 && group < 1 << 62 {
        Some(Lanes::Wide)
    } else {
        None
    }
}

impl Kernels {
    /// Joins the products of `row` with every column of `right` (`[index][column]`, as many columns as registers), in
    /// order, to the registers; adds the joins that left their range to `overflows`.
    ///
    /// # Panics
    /// When `right` is no whole number of rows of `registers.len()`, or that no whole number of lanes.
    pub(in crate::machine) fn stepped(
        self,
        lanes: Lanes,
        rule: AccumulatorRule,
        row: &[i16],
        right: &[i16],
        registers: &mut [i64],
        overflows: &mut [u32],
    ) {
        assert!(right.len() == row.len() * registers.len() && overflows.len() == registers.len());
        assert!(registers.len().is_multiple_of(STEPPED_LANES));
        let width = registers.len();
        if lanes == Lanes::Half {
            return compiled!(self, half(rule.bits, row, right, registers, overflows));
        }
        for column in (0..width).step_by(STEPPED_LANES) {
            let registers = registers[column..].first_chunk_mut().expect("whole lanes");
            let overflows = overflows[column..].first_chunk_mut().expect("whole lanes");
            let block = Block { rule, row, right: &right[column..], width };
            compiled!(
                self,
                match lanes {
                    Lanes::Half | Lanes::Narrow => narrow(&block, registers, overflows),
                    Lanes::Wide => wide(&block, registers, overflows),
                }
            );
        }
    }
}

struct Block<'a> {
    rule: AccumulatorRule,
    row: &'a [i16],
    right: &'a [i16],
    width: usize,
}

/// A register of `bits` bits in the top of 16: a sum of 16 bits saturates where the register's would. What a saturated
/// sum has below the register (all ones, or all zeros) neither carries nor is carried into.
#[inline(always)]
fn half(bits: u32, row: &[i16], right: &[i16], registers: &mut [i64], overflows: &mut [u32]) {
    let (up, width) = (16 - bits, registers.len());
    // A product of 0 changes no sum; `right` of a block of columns, and the left code moved to the top.
    let lefts: Vec<(usize, i16)> =
        row.iter().enumerate().filter(|&(_, &a)| a != 0).map(|(k, &a)| (k * width, a << up)).collect();
    for column in (0..width).step_by(STEPPED_LANES) {
        let mut sums = [0i16; STEPPED_LANES];
        for (sum, &register) in sums.iter_mut().zip(&registers[column..]) {
            *sum = i16::try_from(register << up).unwrap_or(0);
        }
        // Counts of so many joins fit 16 bits.
        for lefts in lefts.chunks(1 << 15) {
            let mut over = [0u16; STEPPED_LANES];
            for &(at, left) in lefts {
                let Some(right) = right[at + column..].first_chunk::<STEPPED_LANES>() else { continue };
                for j in 0..STEPPED_LANES {
                    let product = left.wrapping_mul(right[j]);
                    let sum = sums[j].saturating_add(product);
                    over[j] += u16::from(sum != sums[j].wrapping_add(product));
                    sums[j] = sum;
                }
            }
            overflows[column..].iter_mut().zip(over).for_each(|(o, n)| *o += u32::from(n));
        }
        registers[column..].iter_mut().zip(sums).for_each(|(r, sum)| *r = i64::from(sum >> up));
    }
}

macro_rules! steps {
    ($name:ident, $body:ident, $lane:ty) => {
        #[inline(always)]
        fn $name(b: &Block<'_>, registers: &mut [i64; STEPPED_LANES], overflows: &mut [u32; STEPPED_LANES]) {
            match b.rule.overflow {
                Overflow::Saturate => $body::<true>(b, registers, overflows),
                Overflow::Wrap | Overflow::Trap => $body::<false>(b, registers, overflows),
            }
        }

        #[inline(always)]
        fn $body<const SATURATE: bool>(
            b: &Block<'_>,
            registers: &mut [i64; STEPPED_LANES],
            overflows: &mut [u32; STEPPED_LANES],
        ) {
            let join = |register: &mut [$lane; STEPPED_LANES],
                        added: &[$lane; STEPPED_LANES],
                        bits: u32,
                        overflows: &mut [u32; STEPPED_LANES]| {
                let (least, greatest): ($lane, $lane) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                let unused = <$lane>::BITS - bits;
                for j in 0..STEPPED_LANES {
                    let sum = register[j] + added[j];
                    let held = if SATURATE { sum.clamp(least, greatest) } else { sum << unused >> unused };
                    overflows[j] += u32::from(held != sum);
                    register[j] = held;
                }
            };
            let rule = b.rule;
            // Registers and sums fit the lanes: `stepped_lanes` proved it.
            let start = registers.map(|r| <$lane>::try_from(r).unwrap_or(0));
            let (mut inner, mut outer) =
                if rule.chunk > 0 { ([0; STEPPED_LANES], start) } else { (start, [0; STEPPED_LANES]) };
            let mut over = [0u32; STEPPED_LANES];
            let tree = usize::try_from(rule.tree).unwrap_or(usize::MAX);
            let mut joins = 0;
            let mut rights = b.right.chunks(b.width);
            for group in b.row.chunks(tree) {
                let mut sum: [$lane; STEPPED_LANES] = [0; STEPPED_LANES];
                let mut none = true;
                for (&left, right) in group.iter().zip(&mut rights) {
                    // A product of 0 changes no sum.
                    if left != 0 {
                        none = false;
                        let left = <$lane>::from(left);
                        for (s, &r) in sum.iter_mut().zip(right) {
                            *s += left * <$lane>::from(r);
                        }
                    }
                }
                if !none {
                    join(&mut inner, &sum, rule.bits, &mut over);
                }
                joins += 1;
                if joins == rule.chunk {
                    join(&mut outer, &inner, rule.outer_bits, &mut over);
                    (inner, joins) = ([0; STEPPED_LANES], 0);
                }
            }
            if rule.chunk > 0 && joins > 0 {
                join(&mut outer, &inner, rule.outer_bits, &mut over);
            }
            let last = if rule.chunk > 0 { outer } else { inner };
            registers.iter_mut().zip(last).for_each(|(r, v)| *r = v.into());
            overflows.iter_mut().zip(over).for_each(|(o, v)| *o += v);
        }
    };
}

steps!(narrow, narrow_steps, i32);
steps!(wide, wide_steps, i64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Accumulator;
    use proptest::prelude::*;

    fn rule() -> impl Strategy<Value = AccumulatorRule> {
        let overflow = prop::sample::select(Overflow::ALL.to_vec());
        (4u32..=62, overflow, 1u32..6, 0u32..6, 4u32..=62).prop_map(
            |(bits, overflow, tree, chunk, outer_bits)| AccumulatorRule {
                bits,
                overflow,
                tree,
                chunk,
                outer_bits,
            },
        )
    }

    proptest! {
        #[test]
        fn lanes_are_accumulators(
            rule in rule(), row in prop::collection::vec(prop_oneof![Just(0i16), -128i16..=127], 1..60), few in 0u32..7,
            seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i16::from(word.to_be_bytes()[0].cast_signed())
            };
            let width = 2 * STEPPED_LANES;
            let right: Vec<i16> = (0..row.len() * width).map(|_| next() >> few).collect();
            let starts: Vec<i64> =
                (0..width).map(|_| crate::number::wrap(i128::from(next()) << 20, rule.result_bits())).collect();
            let greatest = row.iter().map(|a| i64::from(a.unsigned_abs())).max().unwrap_or(0) * (128 >> few);
            let lanes = stepped_lanes(rule, greatest).unwrap();
            let (mut registers, mut overflows) = (starts.clone(), vec![0; width]);
            Kernels::of(super::super::Extension::chosen()).stepped(lanes, rule, &row, &right, &mut registers, &mut overflows);
            for j in 0..width {
                let mut one = Accumulator::new(rule, starts[j], starts[j].into());
                row.iter().enumerate().for_each(|(k, &a)| one.product(i64::from(a) * i64::from(right[k * width + j])));
                let sum = one.finish();
                prop_assert_eq!((registers[j], u64::from(overflows[j])), (sum.register, sum.overflows));
            }
        }
    }
}
