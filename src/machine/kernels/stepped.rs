//! Joins one after another, many columns side by side.

use super::{Columns, Extension, Kernels, Row, compiled};
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
fn is_lone(rule: AccumulatorRule) -> bool {
    rule.tree == 1 && rule.chunk == 0
}

impl Kernels {
    /// Joins the products of `row` with as many columns as there are registers, from one on, in order, to the registers;
    /// adds the joins that left their range to `overflows`.
    ///
    /// # Panics
    /// When there are not so many columns, or they are no whole number of lanes.
    pub(in crate::machine) fn stepped(
        self,
        lanes: Lanes,
        rule: AccumulatorRule,
        row: &Row,
        (right, column): (&Columns, usize),
        registers: &mut [i64],
        overflows: &mut [u32],
    ) {
        assert!(registers.len().is_multiple_of(STEPPED_LANES) && overflows.len() == registers.len());
        compiled!(self, by_blocks(lanes, &Block { kernels: self, rule, row, right, column }, registers, overflows));
    }
}

/// Two blocks of lanes at once, as long as there are two: one join waits for the last.
#[inline(always)]
fn by_blocks(lanes: Lanes, all: &Block<'_>, registers: &mut [i64], overflows: &mut [u32]) {
    let (twos, one) = registers.as_chunks_mut::<{ 2 * STEPPED_LANES }>();
    let (over_twos, over_one) = overflows.as_chunks_mut::<{ 2 * STEPPED_LANES }>();
    let behind = twos.len() * 2 * STEPPED_LANES;
    for (number, (registers, overflows)) in twos.iter_mut().zip(over_twos).enumerate() {
        let column = all.column + number * 2 * STEPPED_LANES;
        block(lanes, &Block { column, ..*all }, registers, overflows);
    }
    if let (Some(registers), Some(overflows)) = (one.first_chunk_mut(), over_one.first_chunk_mut()) {
        let column = all.column + behind;
        block::<STEPPED_LANES>(lanes, &Block { column, ..*all }, registers, overflows);
    }
}

/// What joins columns side by side.
#[derive(Clone, Copy)]
struct Block<'a> {
    kernels: Kernels,
    rule: AccumulatorRule,
    row: &'a Row,
    right: &'a Columns,
    /// The first of them.
    column: usize,
}

#[inline(always)]
fn block<const N: usize>(lanes: Lanes, b: &Block<'_>, registers: &mut [i64; N], overflows: &mut [u32; N]) {
    let saturates = b.rule.overflow == Overflow::Saturate;
    match (lanes, is_lone(b.rule), saturates) {
        (Lanes::Half, ..) => half(b, registers, overflows),
        (Lanes::Ends, ..) => ends(b, registers, overflows),
        (Lanes::Narrow, true, true) => narrow_lone::<N, true>(b, registers, overflows),
        (Lanes::Narrow, true, false) => narrow_lone::<N, false>(b, registers, overflows),
        (Lanes::Narrow, false, true) => narrow_groups::<N, true>(b, registers, overflows),
        (Lanes::Narrow, false, false) => narrow_groups::<N, false>(b, registers, overflows),
        (Lanes::Wide, _, true) => wide_groups::<N, true>(b, registers, overflows),
        (Lanes::Wide, _, false) => wide_groups::<N, false>(b, registers, overflows),
    }
}

/// A register of `bits` bits in the top of 16: a sum of 16 bits saturates where the register's would. What a saturated
/// sum has below the register (all ones, or all zeros) neither carries nor is carried into.
#[inline(always)]
fn half<const N: usize>(b: &Block<'_>, registers: &mut [i64; N], overflows: &mut [u32; N]) {
    let up = 16 - b.rule.bits;
    let mut sums = registers.map(|register| low_16(register << up));
    // Counts of so many joins fit 16 bits.
    let (places, lefts) = (b.row.places().chunks(1 << 15), b.row.nonzero().chunks(1 << 15));
    for steps in places.zip(lefts) {
        let mut over = [0; N];
        b.saturate(steps, up, &mut sums, &mut over);
        overflows.iter_mut().zip(over).for_each(|(o, n)| *o += u32::from(n));
    }
    registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = i64::from(sum >> up));
}

/// The low 16 bits.
#[inline(always)]
fn low_16(number: i64) -> i16 {
    let [a, b, ..] = number.to_le_bytes();
    i16::from_le_bytes([a, b])
}

/// The low 32 bits.
#[inline(always)]
fn low_32(number: i64) -> i32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// A register of more than 16 bits that saturates, in 16: for so many joins as come to less than half of them it meets one
/// end of its range at most. If one is that near, that is the end of the 16 bits; a register that is near none begins in
/// their middle and meets none. What the 16 bits have moved is what the register has.
#[inline(always)]
fn ends<const N: usize>(b: &Block<'_>, registers: &mut [i64; N], overflows: &mut [u32; N]) {
    const REACH: i32 = i16::MAX as i32;
    let (least, greatest): (i32, i32) = (-(1 << (b.rule.bits - 1)), (1 << (b.rule.bits - 1)) - 1);
    let mut sums = registers.map(low_32);
    let mut over = [0u16; N];
    let (mut places, mut lefts) = (b.row.places(), b.row.nonzero());
    let mut counted = 0;
    while !places.is_empty() {
        let mut room = REACH;
        let more = |(place, left): &(&u32, &i32)| {
            room -= left.abs() * b.right.greatest_of(**place);
            room >= 0
        };
        let count = places.iter().zip(lefts).take_while(more).count().clamp(1, 1 << 15);
        if counted + count >= 1 << 16 {
            overflows.iter_mut().zip(over).for_each(|(o, n)| *o += u32::from(n));
            (over, counted) = ([0; N], 0);
        }
        let mut starts = [0i16; N];
        for (start, &sum) in starts.iter_mut().zip(&sums) {
            // Of these one is 0, or both.
            let [above, below] = [(sum - (greatest - REACH)).max(0), (sum - (least + REACH + 1)).min(0)];
            *start = low_16((above + below).into());
        }
        let mut moved = starts;
        b.saturate((&places[..count], &lefts[..count]), 0, &mut moved, &mut over);
        for ((sum, moved), start) in sums.iter_mut().zip(&moved).zip(&starts) {
            *sum += i32::from(moved.wrapping_sub(*start));
        }
        counted += count;
        (places, lefts) = (&places[count..], &lefts[count..]);
    }
    overflows.iter_mut().zip(over).for_each(|(o, n)| *o += u32::from(n));
    registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = sum.into());
}

impl Block<'_> {
    /// Joins sums that saturate at the ends of 16 bits, each left code times 2^`up`, and counts the joins that did. No
    /// product, nor a count, leaves 16 bits.
    #[inline(always)]
    fn saturate<const N: usize>(
        &self,
        steps: (&[u32], &[i32]),
        up: u32,
        sums: &mut [i16; N],
        over: &mut [u16; N],
    ) {
        match self.kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.saturate_in_registers(steps, up, sums, over);
            },
            _ => self.saturate_in_loops(steps, up, sums, over),
        }
    }

    #[inline(always)]
    fn saturate_in_loops<const N: usize>(
        &self,
        (places, lefts): (&[u32], &[i32]),
        up: u32,
        sums: &mut [i16; N],
        over: &mut [u16; N],
    ) {
        for (&index, &left) in places.iter().zip(lefts) {
            let (left, right) = (low_16(left.into()) << up, self.right.at::<N>(index, self.column));
            for j in 0..N {
                let product = left.wrapping_mul(right[j]);
                let sum = sums[j].saturating_add(product);
                over[j] += u16::from(sum != sums[j].wrapping_add(product));
                sums[j] = sum;
            }
        }
    }

    /// The same: the compiler would not keep the sums in registers.
    ///
    /// # Safety
    /// The processor has the features.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn saturate_in_registers<const N: usize>(
        &self,
        (places, lefts): (&[u32], &[i32]),
        up: u32,
        sums: &mut [i16; N],
        over: &mut [u16; N],
    ) {
        use std::arch::x86_64::{
            _mm512_add_epi16, _mm512_adds_epi16, _mm512_cmpneq_epi16_mask, _mm512_loadu_si512,
            _mm512_mask_add_epi16, _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_setzero_si512,
            _mm512_storeu_si512,
        };
        const { assert!(N == STEPPED_LANES || N == 2 * STEPPED_LANES) };
        let (mut held, mut counts) = ([_mm512_setzero_si512(); 2], [_mm512_setzero_si512(); 2]);
        for v in 0..N / STEPPED_LANES {
            // SAFETY: whole registers of sums and counts.
            unsafe {
                held[v] = _mm512_loadu_si512(sums[v * STEPPED_LANES..].as_ptr().cast());
                counts[v] = _mm512_loadu_si512(over[v * STEPPED_LANES..].as_ptr().cast());
            }
        }
        for (&index, &left) in places.iter().zip(lefts) {
            let left = _mm512_set1_epi16(low_16(left.into()) << up);
            let right = self.right.at::<N>(index, self.column);
            for v in 0..N / STEPPED_LANES {
                // SAFETY: whole registers of the columns.
                let codes = unsafe { _mm512_loadu_si512(right[v * STEPPED_LANES..].as_ptr().cast()) };
                let product = _mm512_mullo_epi16(left, codes);
                let sum = _mm512_adds_epi16(held[v], product);
                let leaves = _mm512_cmpneq_epi16_mask(sum, _mm512_add_epi16(held[v], product));
                counts[v] = _mm512_mask_add_epi16(counts[v], leaves, counts[v], _mm512_set1_epi16(1));
                held[v] = sum;
            }
        }
        for v in 0..N / STEPPED_LANES {
            // SAFETY: whole registers of sums and counts.
            unsafe {
                _mm512_storeu_si512(sums[v * STEPPED_LANES..].as_mut_ptr().cast(), held[v]);
                _mm512_storeu_si512(over[v * STEPPED_LANES..].as_mut_ptr().cast(), counts[v]);
            }
        }
    }
}

/// Joins of 32 bits, each of one product.
#[inline(always)]
fn narrow_lone<const N: usize, const SATURATE: bool>(
    b: &Block<'_>,
    registers: &mut [i64; N],
    overflows: &mut [u32; N],
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
    overflows.iter_mut().zip(over).for_each(|(o, n)| *o += n);
    registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = sum.into());
}

macro_rules! groups {
    ($name:ident, $lane:ty) => {
        #[inline(always)]
        fn $name<const N: usize, const SATURATE: bool>(
            b: &Block<'_>,
            registers: &mut [i64; N],
            overflows: &mut [u32; N],
        ) {
            let join = |register: &mut [$lane; N],
                        added: &[$lane; N],
                        bits: u32,
                        overflows: &mut [u32; N]| {
                let (least, greatest): ($lane, $lane) = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
                let unused = <$lane>::BITS - bits;
                for j in 0..N {
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
                if rule.chunk > 0 { ([0; N], start) } else { (start, [0; N]) };
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
            overflows.iter_mut().zip(over).for_each(|(o, v)| *o += v);
        }
    };
}

groups!(narrow_groups, i32);
groups!(wide_groups, i64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Accumulator;
    use proptest::prelude::*;

    fn rule() -> impl Strategy<Value = AccumulatorRule> {
        let overflow = prop::sample::select(Overflow::ALL.to_vec());
        let tree = prop_oneof![Just(1u32), 1u32..6];
        let chunk = prop_oneof![Just(0u32), 0u32..6];
        (4u32..=62, overflow, tree, chunk, 4u32..=62).prop_map(
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
            let width = 3 * STEPPED_LANES;
            let right: Vec<i16> = (0..row.len() * width).map(|_| next() >> few).collect();
            let starts: Vec<i64> =
                (0..width).map(|_| crate::number::wrap(i128::from(next()) << 20, rule.result_bits())).collect();
            let greatest = row.iter().map(|a| i64::from(a.unsigned_abs())).max().unwrap_or(0) * (128 >> few);
            let lanes = stepped_lanes(rule, greatest).unwrap();
            let (mut registers, mut overflows) = (starts.clone(), vec![0; width]);
            let mut columns = Columns::default();
            columns.take((row.len(), width), |k, to| to.copy_from_slice(&right[k * width..][..width]));
            let kernels = Kernels::of(Extension::chosen());
            let row_of = Row::of(kernels, &row);
            kernels.stepped(lanes, rule, &row_of, (&columns, 0), &mut registers, &mut overflows);
            for j in 0..width {
                let mut one = Accumulator::new(rule, starts[j], starts[j].into());
                row.iter().enumerate().for_each(|(k, &a)| one.product(i64::from(a) * i64::from(right[k * width + j])));
                let sum = one.finish();
                prop_assert_eq!((registers[j], u64::from(overflows[j])), (sum.register, sum.overflows));
            }
        }
    }
}
