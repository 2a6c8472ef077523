//! Joins one after another, many columns side by side.

use super::{Columns, Kernels, Row, compiled};
use crate::number::{AccumulatorRule, Overflow};

/// Columns stepped side by side.
pub(in crate::machine) const STEPPED_LANES: usize = 32;

/// How wide the lanes are that hold every sum before it is brought into range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Lanes {
    /// 16 bits, the register at their top, so that their own saturation is its.
    Half,
    /// 16 bits, of a register that is wider and saturates.
    Ends,
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Wide,
}

/// The lanes that a rule needs where no product is greater than `greatest`; none where 64 bits are too few.
pub(in crate::machine) fn stepped_lanes(rule: AccumulatorRule, greatest: i64) -> Option<Lanes> {
    let group = i128::from(greatest) * i128::from(rule.tree);
    let bits = if rule.chunk > 0 { rule.bits.max(rule.outer_bits) } else { rule.bits };
    let saturates = rule.overflow == Overflow::Saturate && is_lone(rule) && greatest <= 1 << 14;
    if saturates && bits <= 16 && group < 1 << (bits - 1) {
        Some(Lanes::Half)
    } else if saturates && (17..=30).contains(&bits) {
        Some(Lanes::Ends)
    } else if bits <= 30 && group < 1 << 30 {
        Some(Lanes::Narrow)
    } else if bits <= 62 && group < 1 << 62 {
        Some(Lanes::Wide)
    } else {
        None
    }
}

/// Whether each product joins alone, and no other register behind.
pub(super) fn is_lone(rule: AccumulatorRule) -> bool {
    rule.tree == 1 && rule.chunk == 0
}

/// Joins of a row that left their range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::machine) struct RowOverflows {
    /// How many.
    pub(in crate::machine) joins: u64,
    /// The first column that had one.
    pub(in crate::machine) first: Option<usize>,
}

impl RowOverflows {
    /// Adds those of columns side by side, from one on.
    #[inline(always)]
    pub(super) fn add(&mut self, column: usize, joins: &[u32]) {
        let sum = joins.iter().map(|&n| u64::from(n)).sum::<u64>();
        if sum > 0 {
            self.joins += sum;
            self.have(column + joins.iter().position(|&n| n > 0).unwrap_or(0));
        }
    }

    /// Adds those of many joins, each of `V` times [`STEPPED_LANES`] columns, a bit for each.
    #[inline(always)]
    pub(super) fn add_lanes<const V: usize>(&mut self, column: usize, lanes: &[[u32; V]]) {
        let (mut joins, mut any) = (0, [0; V]);
        for lanes in lanes {
            for v in 0..V {
                joins += lanes[v].count_ones();
                any[v] |= lanes[v];
            }
        }
        self.joins += u64::from(joins);
        if let Some(v) = any.iter().position(|&lanes| lanes > 0) {
            self.have(column + v * STEPPED_LANES + any[v].trailing_zeros() as usize);
        }
    }

    fn have(&mut self, column: usize) {
        self.first = Some(self.first.map_or(column, |first| first.min(column)));
    }
}

impl Kernels {
    /// Joins the products of `row` with as many columns as there are registers, from one on, in order, to the registers. Returns the
    /// joins that left their range.
    ///
    /// # Panics
    /// When there are not so many columns, or they are no whole number of lanes; when the row has more or fewer indices.
    pub(in crate::machine) fn stepped(
        self,
        lanes: Lanes,
        rule: AccumulatorRule,
        row: &Row,
        (right, column): (&Columns, usize),
        registers: &mut [i64],
    ) -> RowOverflows {
        assert!(registers.len().is_multiple_of(STEPPED_LANES));
        assert!(right.meets(row, column + registers.len()));
        compiled!(self, by_blocks(lanes, &Block { kernels: self, rule, row, right, column }, registers))
    }
}

/// Two blocks of lanes at once, as long as there are two: one join waits for the last.
#[inline(always)]
fn by_blocks(lanes: Lanes, all: &Block<'_>, registers: &mut [i64]) -> RowOverflows {
    let mut overflows = RowOverflows::default();
    let (twos, one) = registers.as_chunks_mut::<{ 2 * STEPPED_LANES }>();
    let behind = twos.len() * 2 * STEPPED_LANES;
    for (number, registers) in twos.iter_mut().enumerate() {
        let column = all.column + number * 2 * STEPPED_LANES;
        block::<_, 2>(lanes, &Block { column, ..*all }, registers, &mut overflows);
    }
    if let Some(registers) = one.first_chunk_mut() {
        let column = all.column + behind;
        block::<STEPPED_LANES, 1>(lanes, &Block { column, ..*all }, registers, &mut overflows);
    }
    overflows
}

/// What joins columns side by side.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) kernels: Kernels,
    pub(super) rule: AccumulatorRule,
    pub(super) row: &'a Row,
    pub(super) right: &'a Columns,
    /// The first of them.
    pub(super) column: usize,
}

#[inline(always)]
fn block<const N: usize, const V: usize>(
    lanes: Lanes,
    b: &Block<'_>,
    registers: &mut [i64; N],
    overflows: &mut RowOverflows,
) {
    let saturates = b.rule.overflow == Overflow::Saturate;
    match (lanes, is_lone(b.rule), saturates) {
        (Lanes::Half, ..) => b.half::<N, V>(registers, overflows),
        (Lanes::Ends, ..) => b.ends::<N, V>(registers, overflows),
        (Lanes::Narrow, true, true) => narrow_lone::<N, true>(b, registers, overflows),
        (Lanes::Narrow, true, false) => narrow_lone::<N, false>(b, registers, overflows),
        (Lanes::Narrow, false, true) => narrow_groups::<N, true>(b, registers, overflows),
        (Lanes::Narrow, false, false) => narrow_groups::<N, false>(b, registers, overflows),
        (Lanes::Wide, _, true) => wide_groups::<N, true>(b, registers, overflows),
        (Lanes::Wide, _, false) => wide_groups::<N, false>(b, registers, overflows),
    }
}

/// The low 32 bits.
#[inline(always)]
pub(super) fn low_32(number: i64) -> i32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Joins of 32 bits, each of one product.
#[inline(always)]
fn narrow_lone<const N: usize, const SATURATE: bool>(
    b: &Block<'_>,
    registers: &mut [i64; N],
    overflows: &mut RowOverflows,
) {
    let (least, greatest) = (-(1 << (b.rule.bits - 1)), (1 << (b.rule.bits - 1)) - 1);
    let unused = 32 - b.rule.bits;
    let mut sums = registers.map(low_32);
    let mut over = [0u32; N];
    for (&index, &left) in b.row.places().iter().zip(b.row.nonzero()) {
        let right = b.right.at::<N>(index, b.column);
        for j in 0..N {
            let sum = sums[j] + left * i32::from(right[j]);
            let held = if SATURATE { sum.clamp(least, greatest) } else { sum << unused >> unused };
            over[j] += u32::from(held != sum);
            sums[j] = held;
        }
    }
    overflows.add(b.column, &over);
    registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = sum.into());
}

macro_rules! groups {
    ($name:ident, $lane:ty) => {
        #[inline(always)]
        fn $name<const N: usize, const SATURATE: bool>(
            b: &Block<'_>,
            registers: &mut [i64; N],
            overflows: &mut RowOverflows,
        ) {
            let join =
                |register: &mut [$lane; N], added: &[$lane; N], bits: u32, overflows: &mut [u32; N]| {
                    let (least, greatest): ($lane, $lane) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                    let unused = <$lane>::BITS - bits;
                    for j in 0..N {
                        let sum = register[j] + added[j];
                        let held =
                            if SATURATE { sum.clamp(least, greatest) } else { sum << unused >> unused };
                        overflows[j] += u32::from(held != sum);
                        register[j] = held;
                    }
                };
            let rule = b.rule;
            // Registers and sums fit the lanes: `stepped_lanes` proved it.
            let start = registers.map(|r| <$lane>::try_from(r).unwrap_or(0));
            let (mut inner, mut outer) = if rule.chunk > 0 { ([0; N], start) } else { (start, [0; N]) };
            let mut over = [0u32; N];
            let tree = usize::try_from(rule.tree).unwrap_or(usize::MAX);
            let mut joins = 0;
            let mut rights = b.right.codes()[b.column..].chunks(b.right.width());
            for group in b.row.codes().chunks(tree) {
                let mut sum: [$lane; N] = [0; N];
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
                    (inner, joins) = ([0; N], 0);
                }
            }
            if rule.chunk > 0 && joins > 0 {
                join(&mut outer, &inner, rule.outer_bits, &mut over);
            }
            let last = if rule.chunk > 0 { outer } else { inner };
            registers.iter_mut().zip(last).for_each(|(r, v)| *r = v.into());
            overflows.add(b.column, &over);
        }
    };
}

groups!(narrow_groups, i32);
groups!(wide_groups, i64);

#[cfg(test)]
mod tests {
    use super::super::Extension;
    use super::*;
    use crate::number::Accumulator;
    use proptest::prelude::*;

    fn rule() -> impl Strategy<Value = AccumulatorRule> {
        let overflow = prop::sample::select(Overflow::ALL.to_vec());
        let tree = prop_oneof![Just(1u32), 1u32..6];
        let chunk = prop_oneof![Just(0u32), 0u32..6];
        (4u32..=62, overflow, tree, chunk, 4u32..=62).prop_map(|(bits, overflow, tree, chunk, outer_bits)| {
            AccumulatorRule { bits, overflow, tree, chunk, outer_bits }
        })
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
            let width = 3 * STEPPED_LANES;
            let right: Vec<i16> = (0..row.len() * width).map(|_| next() >> few).collect();
            // In the middle, near either end, anywhere.
            let most = (1i64 << (rule.result_bits() - 1)) - 1;
            let starts: Vec<i64> = (0..width)
                .map(|j| match (j % 4, i64::from(next())) {
                    (0, _) => 0,
                    (1, x) => (most - 200 * x.abs()).max(0),
                    (2, x) => (200 * x.abs() - most).min(0) - 1,
                    (_, x) => crate::number::wrap(i128::from(x) << 20, rule.result_bits()),
                })
                .collect();
            let greatest = row.iter().map(|a| i64::from(a.unsigned_abs())).max().unwrap_or(0) * (128 >> few);
            let lanes = stepped_lanes(rule, greatest).unwrap();
            let mut columns = Columns::default();
            columns.take((row.len(), width), |k, to| to.copy_from_slice(&right[k * width..][..width]));
            for kernels in Extension::available().map(Kernels::of) {
                let mut registers = starts.clone();
                let codes = Row::of(&row);
                let found = kernels.stepped(lanes, rule, &codes, (&columns, 0), &mut registers);
                let mut overflows = RowOverflows::default();
                for j in 0..width {
                    let mut one = Accumulator::new(rule, starts[j], starts[j].into());
                    let right = |k: usize| i64::from(right[k * width + j]);
                    row.iter().enumerate().for_each(|(k, &a)| one.product(i64::from(a) * right(k)));
                    let sum = one.finish();
                    prop_assert_eq!(registers[j], sum.register);
                    overflows.joins += sum.overflows;
                    overflows.first = overflows.first.or((sum.overflows > 0).then_some(j));
                }
                prop_assert_eq!(found, overflows);
            }
        }
    }
}
