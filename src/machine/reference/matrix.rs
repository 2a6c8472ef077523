//! `m.taps` and `m.positions`: every product of every output, joined in order.

use super::{Reference, get, set};
use crate::isa::Matrix;
use crate::machine::{Exact, Fault, Outcome, OverflowPlace, State};
use crate::number::{Accumulator, Overflow, wrap};
use crate::program::Step;

/// The three indices of a number, the last fastest.
fn split(number: u32, [_, middle, last]: [u32; 3]) -> [i64; 3] {
    let (number, middle, last) = (i64::from(number), i64::from(middle), i64::from(last));
    [number / (middle * last), number / last % middle, number % last]
}

/// The indices of a tap of the reduction: block by block of channels, the last block as many as there are.
fn tap_of(m: &Matrix, number: u32) -> [i64; 3] {
    if m.channel_block == 0 || m.channel_block >= m.channels {
        return split(number, [m.tap_rows, m.tap_cols, m.channels]);
    }
    let (number, columns) = (i64::from(number), i64::from(m.tap_cols));
    let (channels, block) = (i64::from(m.channels), i64::from(m.channel_block));
    let whole = i64::from(m.tap_rows) * columns * block;
    let before = number / whole * block;
    let width = block.min(channels - before);
    let (place, channel) = (number % whole / width, number % whole % width);
    [place / columns, place % columns, before + channel]
}

/// The element that is the left operand of a position and a tap; none where the window is outside.
fn left(m: &Matrix, [image, row, column]: [i64; 3], [tap_row, tap_column, channel]: [i64; 3]) -> Option<u64> {
    let y = row * i64::from(m.step_y) + tap_row * i64::from(m.dilate_y) - i64::from(m.pad_top);
    let x = column * i64::from(m.step_x) + tap_column * i64::from(m.dilate_x) - i64::from(m.pad_left);
    let (widen_y, widen_x) = (i64::from(m.widen_y), i64::from(m.widen_x));
    if y < 0 || x < 0 || y % widen_y != 0 || x % widen_x != 0 {
        return None;
    }
    let (y, x) = (y / widen_y, x / widen_x);
    if y >= i64::from(m.height) || x >= i64::from(m.width) {
        return None;
    }
    let index = i64::from(m.left_first)
        + image * i64::from(m.image_stride)
        + y * i64::from(m.row_stride)
        + x * i64::from(m.pixel_stride)
        + channel;
    Some(u64::try_from(index).unwrap_or(u64::MAX))
}

/// The element that is the right operand of a reduction index and a column.
fn right(m: &Matrix, [a, b, c]: [i64; 3], column: u32) -> u64 {
    let index = m.right_first
        + a * i64::from(m.right_stride_0)
        + b * i64::from(m.right_stride_1)
        + c * i64::from(m.right_stride_2)
        + i64::from(column) * i64::from(m.column_stride);
    u64::try_from(index).unwrap_or(u64::MAX)
}

/// The left operand of a row of the product and a reduction index, both counted from the instruction's first; 0 where the
/// window is outside.
pub(in crate::machine) fn left_operand(
    m: &Matrix,
    positions_reduced: bool,
    state: &State,
    row: u32,
    k: u32,
) -> i64 {
    let place = left_place(m, positions_reduced, row, k);
    place.map_or(0, |index| get(state, m.left, m.left_format, index))
}

/// The element of `left` that it is, if it is one.
pub(in crate::machine) fn left_place(m: &Matrix, positions_reduced: bool, row: u32, k: u32) -> Option<u64> {
    let (positions, taps) = indices(m);
    let (row, k) = (m.first_row + row, m.first_k + k);
    if positions_reduced {
        left(m, split(k, positions), split(row, taps))
    } else {
        left(m, split(row, positions), tap_of(m, k))
    }
}

/// The right operand of a reduction index, counted from the instruction's first, and a column of the product.
pub(in crate::machine) fn right_operand(
    m: &Matrix,
    positions_reduced: bool,
    state: &State,
    k: u32,
    column: u32,
) -> i64 {
    get(state, m.right, m.right_format, right_place(m, positions_reduced, k, column))
}

/// The element of `right` that it is.
pub(in crate::machine) fn right_place(m: &Matrix, positions_reduced: bool, k: u32, column: u32) -> u64 {
    let k = m.first_k + k;
    let reduced = if positions_reduced { split(k, indices(m).0) } else { tap_of(m, k) };
    right(m, reduced, column)
}

/// How far the indices of positions and taps run.
fn indices(m: &Matrix) -> ([u32; 3], [u32; 3]) {
    ([m.images, m.out_rows, m.out_cols], [m.tap_rows, m.tap_cols, m.channels])
}

impl Reference {
    pub(super) fn matrix(
        &mut self,
        step: &Step,
        m: &Matrix,
        positions_reduced: bool,
        state: &mut State,
    ) -> Result<Outcome, Fault> {
        let mut outcome = Outcome::default();
        let mut outputs = Vec::new();
        for row in 0..m.rows {
            for column in 0..m.columns {
                let index = u64::from(row) * u64::from(m.out_stride) + u64::from(column);
                let bit = m.out.offset * 8 + index * u64::from(m.out_format.bits());
                // A register takes as many bits as it has.
                let held = if m.accumulate { get(state, m.out, m.out_format, index) } else { 0 };
                let register = wrap(held.into(), step.rule.result_bits());
                let unfinished = self.unfinished.exact(bit).filter(|_| m.accumulate);
                let started = unfinished.unwrap_or(register.into());
                let mut accumulator = Accumulator::new(step.rule, register, started);
                for k in 0..m.length {
                    let a = left_operand(m, positions_reduced, state, row, k);
                    let b = right_operand(m, positions_reduced, state, k, column);
                    accumulator.product(a * b);
                    outcome.nonzero_products += u64::from(a != 0 && b != 0);
                }
                let sum = accumulator.finish();
                let overflowed = match step.rule.overflow {
                    Overflow::Wrap => {
                        i128::from(sum.register) != i128::from(register) + (sum.exact - started)
                    }
                    Overflow::Saturate | Overflow::Trap => sum.overflows > 0,
                };
                if overflowed && outcome.first_overflow.is_none() {
                    let place = OverflowPlace { row, column };
                    if step.rule.overflow == Overflow::Trap {
                        return Err(Fault::Trap { pc: step.pc, place });
                    }
                    outcome.first_overflow = Some(place);
                }
                if step.rule.overflow == Overflow::Saturate {
                    outcome.saturated_joins += sum.overflows;
                }
                outputs.push((index, bit, sum.register, sum.exact));
            }
        }
        for &(index, bit, register, exact) in &outputs {
            set(state, m.out, m.out_format, index, register);
            let goes_on = m.partial && i128::from(register) != exact;
            self.unfinished.put(bit..bit + u64::from(m.out_format.bits()), goes_on.then_some(exact));
        }
        if !m.partial {
            let exact = outputs.iter().map(|&(_, _, _, exact)| i64::try_from(exact).unwrap_or(0));
            let wrong = outputs.iter().filter(|&&(_, _, register, exact)| i128::from(register) != exact);
            outcome.wrong_outputs = wrong.count() as u64;
            outcome.exact = Some(Exact {
                least: exact.clone().min().unwrap_or(0),
                greatest: exact.clone().max().unwrap_or(0),
                zeros: exact.filter(|&e| e == 0).count() as u64,
            });
        }
        Ok(outcome)
    }
}
