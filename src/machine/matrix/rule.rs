//! The accumulator's rules: what is known of sums before any is stepped, and what reductions under way go on from.

use std::ops::Range;

use crate::isa::{Address, Format, Matrix, Memory};
use crate::machine::kernels::RowOverflows;
use crate::machine::{OverflowPlace, State, element};
use crate::number::{AccumulatorRule, Overflow, wrap};

/// What an output's register goes on from, and what it would go on from were it wide enough.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    pub(super) register: i64,
    pub(super) exact: i128,
}

/// What became of one output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) register: i64,
    pub(super) exact: i128,
}

/// Joins of an instruction that left their range; of a register that wrapped, one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overflowed {
    pub(super) joins: u64,
    /// The first output with one.
    pub(super) first: Option<OverflowPlace>,
}

impl Overflowed {
    /// Adds those of a row.
    pub(super) fn add(&mut self, row: usize, overflows: RowOverflows) {
        self.joins += overflows.joins;
        if let Some(column) = overflows.first {
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let place = OverflowPlace { row: number(row), column: number(column) };
            let earlier = |p: &OverflowPlace| (p.row, p.column) <= (place.row, place.column);
            if !self.first.as_ref().is_some_and(earlier) {
                self.first = Some(place);
            }
        }
    }
}

/// The width no partial sum may leave for the exact sum to be the register.
pub(super) fn narrowest(rule: AccumulatorRule) -> u32 {
    if rule.chunk > 0 { rule.bits.min(rule.outer_bits) } else { rule.bits }
}

/// The same, or the 32 bits of a word where these are fewer.
pub(super) fn narrowest_word(rule: AccumulatorRule) -> u32 {
    narrowest(rule).min(32)
}

/// To how much the magnitudes of an output's products may come for no partial sum to leave so many bits, where none starts from more;
/// none where that alone leaves them.
pub(super) fn room(bits: u32, start: u64) -> Option<u64> {
    let most = (1u64 << (bits - 1)) - 1;
    most.checked_sub(start)
}

/// Whether the order of joins does not matter.
pub(super) fn associative(rule: AccumulatorRule) -> bool {
    rule.overflow == Overflow::Wrap && (rule.chunk == 0 || rule.bits >= rule.outer_bits)
}

/// An output whose joins are associative.
pub(super) fn reduced(rule: AccumulatorRule, start: Start, sum: i64) -> Output {
    let sum = i128::from(sum);
    let whole = i128::from(start.register) + sum;
    let register = wrap(whole, rule.result_bits());
    Output { register, exact: start.exact + sum }
}

/// The registers of rows of outputs that wrapped: how many joins did is the reference's to say.
pub(super) fn wrapped(outputs: &[Output], starts: &[Start], sums: &[i64], columns: usize) -> Overflowed {
    let mut overflowed = Overflowed::default();
    for (i, (output, &sum)) in outputs.iter().zip(sums).enumerate() {
        let start = starts.get(i).copied().unwrap_or_default();
        if i128::from(output.register) != i128::from(start.register) + i128::from(sum) {
            overflowed.add(i / columns, RowOverflows { joins: 1, first: Some(i % columns) });
        }
    }
    overflowed
}

/// Each register that an instruction goes on from, in row-major order: it takes as many bits as it has.
pub(super) fn starts(m: &Matrix, rule: AccumulatorRule, state: &State, mut each: impl FnMut(i64)) {
    let bytes = state.memory(Memory::Accumulator);
    let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
    for r in 0..u64::from(m.rows) {
        for j in 0..u64::from(m.columns) {
            let held = element(bytes, at, m.out_format, r * u64::from(m.out_stride) + j);
            each(wrap(held.into(), rule.result_bits()));
        }
    }
}

/// Where outputs lie: from an address, in a format, so many rows and columns, a stride apart.
pub(super) fn outputs_of(m: &Matrix) -> (Address, Format, [u32; 3]) {
    (m.out, m.out_format, [m.rows, m.columns, m.out_stride])
}

/// Rows and columns of an instruction's outputs; rows without gaps are one.
pub(super) fn rows_of(m: &Matrix) -> (u32, u32) {
    if m.out_stride == m.columns { (1, m.rows * m.columns) } else { (m.rows, m.columns) }
}

/// From the first bit of an instruction's outputs to behind the last.
pub(super) fn bits_of(m: &Matrix) -> Range<u64> {
    let first = m.out.offset * 8;
    let last = u64::from(m.rows - 1) * u64::from(m.out_stride) + u64::from(m.columns);
    first..first + last * u64::from(m.out_format.bits())
}

/// First bit of each output, in row-major order.
pub(super) fn keys(m: &Matrix) -> impl Iterator<Item = u64> {
    let bits = u64::from(m.out_format.bits());
    let (first, stride, columns) = (m.out.offset * 8, u64::from(m.out_stride), u64::from(m.columns));
    (0..u64::from(m.rows)).flat_map(move |r| (0..columns).map(move |j| first + (r * stride + j) * bits))
}
