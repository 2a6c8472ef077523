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

/// Sums of weights modulo 256, before they are packed: rows of columns where weights' columns lie side by side, else rows of all
/// reduction indices.
pub(super) struct Summed {
    pub(super) codes: Vec<u8>,
    /// Lengths of what is reduced together.
    runs: Vec<usize>,
    pub(super) columns: usize,
    /// Whether rows are of columns.
    pub(super) by_columns: bool,
    /// From row to row.
    pub(super) row: usize,
}

/// Bytes behind a row of reduction indices: rows would else lie so far apart that few of them find a place in the first cache.
const BEHIND: usize = LANES * GROUP;

impl Summed {
    /// No sums yet of an instruction's weights.
    pub(super) fn new(m: &Matrix, runs: Vec<usize>) -> Summed {
        let (columns, length) = (size(m.columns), runs.iter().sum::<usize>());
        let by_columns = m.column_stride == 1;
        let [row, rows] = if by_columns { [columns, length] } else { [length + BEHIND, columns] };
        Summed { codes: vec![0; row * rows + MAX_REGISTERS * LANES], runs, columns, by_columns, row }
    }

    /// Packs them.
    #[inline(always)]
    pub(super) fn pack(&self, kernels: Kernels, panels: &mut Lines) {
        let [step, stride] = if self.by_columns { [self.row, 1] } else { [1, self.row] };
        let indices: Vec<usize> = (0..self.runs.iter().sum()).map(|index| index * step).collect();
        let stride = i64::try_from(stride).unwrap_or(i64::MAX);
        let Summed { codes, runs, columns, .. } = self;
        let codes = Codes { codes, indices: &indices, runs, columns: *columns, stride };
        codes.pack(kernels, indices.len() / GROUP, panels);
    }
}

/// Packs sums of weights: of how many channels each is, and of which taps, by the reduction index of their first channel, how often.
#[inline(always)]
fn pack_sums(
    kernels: Kernels,
    m: &Matrix,
    (codes, right_of): (&[u8], &[usize]),
    sums: &[(usize, Vec<(usize, i8)>)],
    panels: &mut Lines,
) {
    let mut summed = Summed::new(m, sums.iter().map(|(channels, _)| *channels).collect());
    let (columns, row) = (summed.columns, summed.row);
    let mut index = 0;
    for (count, weights) in sums {
        for &(first, times) in weights {
            if summed.by_columns {
                let rows = summed.codes[index * row..].chunks_exact_mut(row);
                for (to, &from) in rows.zip(&right_of[first..][..*count]) {
                    add(&codes[from..][..columns], times, to);
                }
            } else {
                let step = isize::try_from(m.column_stride).unwrap_or(0);
                let mut index = index;
                for run in right_of[first..][..*count].chunk_by(|a, b| *b == a + 1) {
                    let mut from = run[0];
                    for to in summed.codes[..row * columns].chunks_exact_mut(row) {
                        add(&codes[from..][..run.len()], times, &mut to[index..][..run.len()]);
                        from = from.wrapping_add_signed(step);
                    }
                    index += run.len();
                }
            }
        }
        index += count;
    }
    summed.pack(kernels, panels);
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
