//! Outputs whose order of joins matters, joined step by step: a row of the left operand with many columns at a time.

use rayon::prelude::*;

use super::rule::{Output, Overflowed, Start, narrowest, room, wrapped};
use super::size;
use super::wide;
use crate::isa::Matrix;
use crate::machine::State;
use crate::machine::kernels::{self, Kernels, Row, RowOverflows, compiled};
use crate::number::{Accumulator, AccumulatorRule, Overflow, Sum};

/// What becomes of every output whose exact sum, start left out, is in `sums`; which joins left their range.
pub(super) fn outputs(
    rule: AccumulatorRule,
    m: &Matrix,
    positions_reduced: bool,
    state: &State,
    starts: &[Start],
    sums: &[i64],
    kernels: Kernels,
) -> (Vec<Output>, Overflowed) {
    let packed = wide::pack(m, positions_reduced, state);
    let columns = size(m.columns);
    let right = packed.right.by_index();
    let width = right.width();
    let greatest_right = right.greatest_code();
    let greatest = compiled!(kernels, wide::greatest(&packed.left)) * greatest_right;
    let lanes = kernels::stepped_lanes(rule, greatest);
    let mut outputs = vec![Output { register: 0, exact: 0 }; size(m.rows) * columns];
    let rows = outputs.par_chunks_mut(columns).zip(sums.par_chunks(columns)).enumerate();
    let rows = rows.with_min_len(4).map(|(r, (outputs, sums))| {
        let row = &packed.left[r * packed.length..(r + 1) * packed.length];
        let started = starts.get(r * columns..(r + 1) * columns);
        let start = |j: usize| started.map_or(Start::default(), |s| s[j]);
        let norm: u64 = row.iter().map(|v| u64::from(v.unsigned_abs())).sum();
        let furthest = (0..columns).map(|j| start(j).register.unsigned_abs()).max().unwrap_or(0);
        let magnitudes = norm * greatest_right.unsigned_abs();
        if room(narrowest(rule), furthest).is_some_and(|room| magnitudes <= room) {
            for (j, (output, &sum)) in outputs.iter_mut().zip(sums).enumerate() {
                let (start, sum) = (start(j), i128::from(sum));
                let register = i64::try_from(i128::from(start.register) + sum).unwrap_or(0);
                *output = Output { register, exact: start.exact + sum };
            }
            RowOverflows::default()
        } else if let Some(lanes) = lanes {
            let mut registers = vec![0i64; width];
            (0..columns).for_each(|j| registers[j] = start(j).register);
            let row = Row::of(row);
            let overflows = kernels.stepped(lanes, rule, &row, (&right, 0), &mut registers);
            for (j, (output, &sum)) in outputs.iter_mut().zip(sums).enumerate() {
                *output = Output { register: registers[j], exact: start(j).exact + i128::from(sum) };
            }
            overflows
        } else {
            let mut overflows = RowOverflows::default();
            for (j, output) in outputs.iter_mut().enumerate() {
                let right = right.codes().iter().skip(j).step_by(width);
                let sum = one(rule, row, right, start(j));
                *output = Output { register: sum.register, exact: sum.exact };
                overflows.joins += sum.overflows;
                overflows.first = overflows.first.or((sum.overflows > 0).then_some(j));
            }
            overflows
        }
    });
    let rows: Vec<RowOverflows> = rows.collect();
    if rule.overflow == Overflow::Wrap {
        let overflowed = wrapped(&outputs, starts, sums, columns);
        return (outputs, overflowed);
    }
    let mut overflowed = Overflowed::default();
    rows.into_iter().enumerate().for_each(|(r, overflows)| overflowed.add(r, overflows));
    (outputs, overflowed)
}

/// One output by the definition.
fn one<'a>(rule: AccumulatorRule, row: &[i16], right: impl Iterator<Item = &'a i16>, start: Start) -> Sum {
    let mut accumulator = Accumulator::new(rule, start.register, start.exact);
    row.iter().zip(right).for_each(|(&a, &b)| accumulator.product(i64::from(a) * i64::from(b)));
    accumulator.finish()
}
