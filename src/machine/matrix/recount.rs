//! A recount of matrix instructions beside the engine, every join of every output: what the sums would have been and how
//! far they reached on their way, were every register wide enough; and how many joins wrapped. Changes nothing.

use std::collections::HashMap;

use rayon::prelude::*;

use super::wide::{self, Packed};
use super::{rule, size};
use crate::isa::{Format, Instr, Matrix};
use crate::machine::State;
use crate::machine::kernels::{self, Extension, Kernels, Reach};
use crate::number::{AccumulatorRule, Overflow, max_code};
use crate::program::Step;

/// One output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recounted {
    /// Its exact sum.
    pub exact: i64,
    /// The least a join would have come to; at most 0.
    pub least: i64,
    /// The greatest a join would have come to; at least 0.
    pub greatest: i64,
}

/// What an instruction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recount {
    /// Its outputs; none where later instructions go on with them.
    pub outputs: Vec<Recounted>,
    /// Joins that wrapped.
    pub wrapped_joins: u64,
    /// No sum of so many products of such codes is greater.
    pub worst_case: i64,
    /// No sum with these right operands is greater, whatever the left ones: the greatest L1 norm of a column by the greatest
    /// code. Of `m.taps`, whose right operand is weights.
    pub l1_bound: Option<i64>,
}

/// Recounts instructions in the order they were executed, from the beginning of a step on.
#[derive(Debug)]
pub struct Recounter {
    kernels: Kernels,
    /// Reductions that later instructions go on with, the latest last: an instruction's outputs, as a rule gone on with as a
    /// whole.
    under_way: Vec<(Matrix, Vec<Open>)>,
    /// Those of them that were not, by bit of the accumulator memory.
    single: HashMap<u64, Open>,
}

/// An output under way.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    reach: Reach,
    register: i64,
    products: i64,
    norm: i64,
}

impl Default for Recounter {
    fn default() -> Self {
        let (under_way, single) = Default::default();
        Recounter { kernels: Kernels::of(Extension::chosen()), under_way, single }
    }
}

fn greatest_code(format: Format) -> i64 {
    max_code(format.bits().clamp(2, 32))
}

impl Recounter {
    /// Recounts the instruction just executed; nothing for one of another unit.
    pub fn recount(&mut self, step: &Step, state: &State) -> Option<Recount> {
        let (m, positions_reduced) = match &step.instr {
            Instr::MTaps(m) => (m, false),
            Instr::MPositions(m) => (m, true),
            _ => return None,
        };
        let packed = wide::pack(m, positions_reduced, state);
        let columns = size(m.columns);
        let width = columns.next_multiple_of(kernels::STEPPED_LANES);
        let mut right = vec![0i16; packed.length * width];
        for (j, column) in packed.right.chunks(packed.length).enumerate() {
            column.iter().enumerate().for_each(|(k, &v)| right[k * width + j] = v);
        }
        let norm = |column: &[i16]| column.iter().map(|&v| i64::from(v.unsigned_abs())).sum::<i64>();
        let norms: Vec<i64> = packed.right.chunks(packed.length).map(norm).collect();
        let mut outputs = self.start(m);
        let wrapped_joins = self.join(step.rule, &packed, &right, width, &mut outputs);
        for row in outputs.chunks_mut(columns) {
            for (open, norm) in row.iter_mut().zip(&norms) {
                open.products += i64::from(m.length);
                open.norm += norm;
            }
        }
        let greatest = |of: fn(&Open) -> i64| outputs.iter().map(of).max().unwrap_or(0);
        let left = greatest_code(m.left_format);
        let codes = left.saturating_mul(greatest_code(m.right_format));
        let worst_case = greatest(|o| o.products).saturating_mul(codes);
        let l1_bound = (!positions_reduced).then(|| greatest(|o| o.norm).saturating_mul(left));
        if m.partial {
            self.under_way.retain(|(of, _)| rule::outputs_of(of) != rule::outputs_of(m));
            self.under_way.push((*m, outputs));
            return Some(Recount { wrapped_joins, worst_case, l1_bound, outputs: Vec::new() });
        }
        let recounted =
            |o: &Open| Recounted { exact: o.reach.sum, least: o.reach.least, greatest: o.reach.greatest };
        let outputs = outputs.iter().map(recounted).collect();
        Some(Recount { outputs, wrapped_joins, worst_case, l1_bound })
    }

    /// What an instruction goes on from.
    fn start(&mut self, m: &Matrix) -> Vec<Open> {
        if !m.accumulate {
            return vec![Open::default(); size(m.rows) * size(m.columns)];
        }
        if let Some(place) =
            self.under_way.iter().position(|(of, _)| rule::outputs_of(of) == rule::outputs_of(m))
        {
            return self.under_way.remove(place).1;
        }
        for (of, outputs) in self.under_way.drain(..) {
            self.single.extend(rule::keys(&of).zip(outputs));
        }
        rule::keys(m).map(|key| self.single.remove(&key).unwrap_or_default()).collect()
    }

    /// Joins the products of an instruction; how many joins wrapped.
    fn join(
        &self,
        rule: AccumulatorRule,
        packed: &Packed,
        right: &[i16],
        width: usize,
        outputs: &mut [Open],
    ) -> u64 {
        let magnitude = |v: &[i16]| v.iter().map(|x| i64::from(x.unsigned_abs())).max().unwrap_or(0);
        let greatest_right = magnitude(&packed.right);
        let greatest = magnitude(&packed.left) * greatest_right;
        let lanes = kernels::stepped_lanes(rule, greatest).filter(|_| rule.overflow == Overflow::Wrap);
        let columns = packed.right.len() / packed.length;
        let rows = outputs.par_chunks_mut(columns).zip(packed.left.par_chunks(packed.length));
        let each = |(outputs, row): (&mut [Open], &[i16])| {
            let mut reaches = vec![Reach::default(); width];
            reaches.iter_mut().zip(&*outputs).for_each(|(r, o)| *r = o.reach);
            self.kernels.partial_sums(rule, greatest, row, right, &mut reaches);
            outputs.iter_mut().zip(reaches).for_each(|(o, r)| o.reach = r);
            let Some(lanes) = lanes else { return 0 };
            let mut registers = vec![0i64; width];
            registers.iter_mut().zip(&*outputs).for_each(|(r, o)| *r = o.register);
            let mut overflows = vec![0u32; width];
            self.kernels.stepped(lanes, rule, row, right, &mut registers, &mut overflows);
            outputs.iter_mut().zip(registers).for_each(|(o, r)| o.register = r);
            overflows[..outputs.len()].iter().map(|&n| u64::from(n)).sum()
        };
        rows.with_min_len(4).map(each).sum()
    }
}
