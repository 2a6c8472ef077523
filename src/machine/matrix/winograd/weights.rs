//! Sums of weights as inputs meet them, in panels.

use super::super::right::{Codes, add_groups};
use super::super::size;
use super::inputs::too_much;
use super::{For, Way};
use crate::isa::Matrix;
use crate::machine::kernels::{GROUP, Kernels, LANES, Lines, MAX_REGISTERS};

/// The sums of one right operand's weights.
#[derive(Debug, Default)]
pub(in crate::machine::matrix) struct Weights {
    /// As [`crate::machine::kernels::FilteringOperands`] has them.
    pub(in crate::machine::matrix) panels: Lines,
    /// The same where codes may be negative, and where none is.
    corrections: [Vec<i32>; 2],
}

impl Weights {
    /// As the kernels have them.
    pub(in crate::machine::matrix) fn corrections(&self, natural: bool) -> &[i32] {
        &self.corrections[usize::from(natural)]
    }

    /// Takes them from a right operand's codes, the first of each reduction index where `right_of` says.
    #[inline(always)]
    pub(in crate::machine::matrix) fn take(
        &mut self,
        kernels: Kernels,
        way: &Way,
        m: &Matrix,
        (codes, right_of): (&[u8], &[usize]),
    ) {
        let sums: Vec<_> = way.units.iter().map(|u| (u.channels.len(), u.weights.clone())).collect();
        pack_sums(kernels, m, (codes, right_of), &sums, &mut self.panels);
        self.correct(kernels, way);
    }

    /// By how much twice the sums are too great: what was added to inputs times the weights that they meet.
    #[inline(always)]
    fn correct(&mut self, kernels: Kernels, way: &Way) {
        let (lanes, groups) = (way.filtering.registers() * LANES, way.filtering.groups());
        // Of each unit and column.
        let mut of_units = vec![0; way.units.len() * lanes];
        for (unit, sums) in way.units.iter().zip(of_units.chunks_exact_mut(lanes)) {
            let some = unit.first_group..unit.first_group + unit.groups();
            add_groups(kernels, (&self.panels, groups), some, sums);
        }
        for (natural, corrections) in [false, true].into_iter().zip(&mut self.corrections) {
            corrections.clear();
            corrections.resize(way.units_of.len() * 2 * lanes, 0);
            for (units, corrections) in way.units_of.iter().zip(corrections.chunks_exact_mut(2 * lanes)) {
                for &number in units {
                    let unit = &way.units[number];
                    let added = too_much(way.inputs[unit.input].mix, natural);
                    let sums = &of_units[number * lanes..][..lanes];
                    for (corrections, times) in corrections.chunks_exact_mut(lanes).zip(For::times(unit.whom))
                    {
                        let times = times * added;
                        corrections.iter_mut().zip(sums).for_each(|(c, sum)| *c += times * sum);
                    }
                }
            }
        }
    }
}

/// Packs sums of weights: of how many channels each is, and of which taps, by the reduction index of their first channel, how often.
#[inline(always)]
pub(super) fn pack_sums(
    kernels: Kernels,
    m: &Matrix,
    (codes, right_of): (&[u8], &[usize]),
    sums: &[(usize, Vec<(usize, i8)>)],
    panels: &mut Lines,
) {
    let columns = size(m.columns);
    let runs: Vec<usize> = sums.iter().map(|(channels, _)| *channels).collect();
    let length = runs.iter().sum();
    // Where columns lie side by side, rows of them; else rows of reduction indices.
    let by_rows = m.column_stride == 1;
    let row = if by_rows { columns } else { length };
    let mut summed = vec![0; length * columns + MAX_REGISTERS * LANES];
    let mut index = 0;
    for (count, weights) in sums {
        for &(first, times) in weights {
            if by_rows {
                let rows = summed[index * row..].chunks_exact_mut(row);
                for (to, &from) in rows.zip(&right_of[first..][..*count]) {
                    add(&codes[from..][..row], times, to);
                }
            } else {
                let mut from = right_of[first];
                let step = isize::try_from(m.column_stride).unwrap_or(0);
                for to in summed[..length * columns].chunks_exact_mut(row) {
                    add(&codes[from..][..*count], times, &mut to[index..][..*count]);
                    from = from.wrapping_add_signed(step);
                }
            }
        }
        index += count;
    }
    let stride = if by_rows { 1 } else { i64::try_from(row).unwrap_or(i64::MAX) };
    let step = if by_rows { row } else { 1 };
    let indices: Vec<usize> = (0..length).map(|index| index * step).collect();
    let codes = Codes { codes: &summed, indices: &indices, runs: &runs, columns, stride };
    codes.pack(kernels, length / GROUP, panels);
}

/// Adds weights so many times.
#[inline(always)]
fn add(weights: &[u8], times: i8, to: &mut [u8]) {
    for _ in 0..times.unsigned_abs() {
        if times > 0 {
            to.iter_mut().zip(weights).for_each(|(to, w)| *to = to.wrapping_add(*w));
        } else {
            to.iter_mut().zip(weights).for_each(|(to, w)| *to = to.wrapping_sub(*w));
        }
    }
}
