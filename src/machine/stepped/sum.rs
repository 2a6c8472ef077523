//! The sum a processing element holds, and what is known of each output beside its register.

use std::collections::BTreeMap;

use super::record::{Joins, Record};
use crate::isa::{Instr, Matrix};
use crate::machine::unfinished::Unfinished;
use crate::machine::{Exact, Fault, OverflowPlace};
use crate::number::{AccumulatorRule, Overflow, join, wrap};
use crate::program::Step;

/// A sum in a register of the array (`isa/arithmetic.md`: Accumulators).
#[derive(Debug, Clone)]
pub(super) struct Sum {
    pub(super) id: usize,
    /// Row and column of the product; nothing where the fold is wider than the product.
    pub(super) output: Option<(u32, u32)>,
    /// The inner register where there are chunks, else the only one.
    pub(super) inner: i64,
    outer: i64,
    in_chunk: u32,
    /// The products summed here, exactly.
    exact: i128,
    overflows: u64,
    /// The join of the last cycle it had one left its range.
    pub(super) left_range: bool,
    /// The last of its fold to leave the array.
    pub(super) ends_fold: bool,
    /// The last of its instruction.
    pub(super) ends_instruction: bool,
}

impl Sum {
    /// A register that goes on from `start`.
    pub(super) fn new(id: usize, output: Option<(u32, u32)>, rule: AccumulatorRule, start: i64) -> Self {
        let (inner, outer) = if rule.chunk > 0 { (0, start) } else { (start, 0) };
        Sum {
            id,
            output,
            inner,
            outer,
            in_chunk: 0,
            exact: 0,
            overflows: 0,
            left_range: false,
            ends_fold: false,
            ends_instruction: false,
        }
    }

    /// A tree of products joins the inner register.
    pub(super) fn join_inner(&mut self, tree: i128, rule: AccumulatorRule, joins: &mut Joins) {
        self.exact += tree;
        let (inner, out) = join(self.inner, tree, rule.bits, rule.overflow);
        joins.joined(i128::from(self.inner) + tree, out);
        self.inner = inner;
        self.overflows += u64::from(out);
        self.left_range = out;
    }

    /// A tree of products joins, and after so many the inner register joins the outer one.
    pub(super) fn join(&mut self, tree: i128, rule: AccumulatorRule, joins: &mut Joins) {
        self.join_inner(tree, rule, joins);
        self.in_chunk += 1;
        if self.in_chunk == rule.chunk {
            self.join_chunk(rule, joins);
        }
    }

    fn join_chunk(&mut self, rule: AccumulatorRule, joins: &mut Joins) {
        let (outer, out) = join(self.outer, self.inner.into(), rule.outer_bits, rule.overflow);
        joins.joined(i128::from(self.outer) + i128::from(self.inner), out);
        self.outer = outer;
        self.overflows += u64::from(out);
        self.left_range |= out;
        (self.inner, self.in_chunk) = (0, 0);
    }

    /// The last product of an output-stationary sum was made; a short chunk joins like a whole one.
    pub(super) fn finish(&mut self, rule: AccumulatorRule, joins: &mut Joins) {
        if rule.chunk > 0 && self.in_chunk > 0 {
            self.join_chunk(rule, joins);
        }
    }

    /// What is held on the way out, whatever the rule: the outer register where anything has joined it.
    pub(super) fn held(&self) -> i64 {
        if self.in_chunk == 0 && self.outer != 0 { self.outer } else { self.inner }
    }

    /// What the register holds.
    pub(super) fn register(&self, rule: AccumulatorRule) -> i64 {
        if rule.chunk > 0 { self.outer } else { self.inner }
    }
}

/// What an output has come to; no part of the machine, for its statistics alone.
#[derive(Debug, Clone, Copy, Default)]
struct Output {
    start: i64,
    exact_start: i128,
    products: i128,
    register: i64,
    overflows: u64,
}

/// The outputs of the matrix instructions under way.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    under_way: BTreeMap<usize, Vec<Output>>,
    unfinished: Unfinished,
}

/// Place of an output among the elements of `out`.
pub(super) fn element_index(m: &Matrix, (row, column): (u32, u32)) -> u64 {
    u64::from(row) * u64::from(m.out_stride) + u64::from(column)
}

fn bit(m: &Matrix, output: (u32, u32)) -> u64 {
    m.out.offset * 8 + element_index(m, output) * u64::from(m.out_format.bits())
}

impl Outputs {
    /// An instruction of another unit starts.
    pub(super) fn overwritten(&mut self, instr: &Instr) {
        self.unfinished.overwritten(instr);
    }

    pub(super) fn start(&mut self, id: usize, m: &Matrix) {
        let count = super::index(u64::from(m.rows) * u64::from(m.columns));
        self.under_way.insert(id, vec![Output::default(); count]);
    }

    fn output(&mut self, id: usize, m: &Matrix, (row, column): (u32, u32)) -> Option<&mut Output> {
        let index = super::index(u64::from(row) * u64::from(m.columns) + u64::from(column));
        self.under_way.get_mut(&id).and_then(|outputs| outputs.get_mut(index))
    }

    /// An output goes on from what memory holds: the register takes as many low bits of it as it has.
    pub(super) fn go_on(
        &mut self,
        id: usize,
        m: &Matrix,
        rule: AccumulatorRule,
        output: (u32, u32),
        held: i64,
    ) -> i64 {
        let register = wrap(held.into(), rule.result_bits());
        let exact = self.unfinished.exact(bit(m, output)).unwrap_or(register.into());
        if let Some(output) = self.output(id, m, output) {
            (output.start, output.exact_start) = (register, exact);
        }
        register
    }

    /// A sum left the array and its output's register holds this.
    pub(super) fn left(&mut self, sum: &Sum, m: &Matrix, output: (u32, u32), register: i64, overflows: u64) {
        let (exact, before) = (sum.exact, sum.overflows);
        if let Some(output) = self.output(sum.id, m, output) {
            output.products += exact;
            output.overflows += before + overflows;
            output.register = register;
        }
    }

    /// The last sum left: what the instruction came to.
    pub(super) fn end(&mut self, id: usize, step: &Step, m: &Matrix, record: &mut Record) {
        let outputs = self.under_way.remove(&id).unwrap_or_default();
        let overflow = step.rule.overflow;
        let places = (0..m.rows).flat_map(|row| (0..m.columns).map(move |column| (row, column)));
        let mut exact_sums = Vec::new();
        for (place, output) in places.zip(&outputs) {
            let exact = output.exact_start + output.products;
            let overflowed = match overflow {
                Overflow::Wrap => i128::from(output.register) != i128::from(output.start) + output.products,
                Overflow::Saturate | Overflow::Trap => output.overflows > 0,
            };
            if overflowed && record.outcome.first_overflow.is_none() {
                let place = OverflowPlace { row: place.0, column: place.1 };
                record.outcome.first_overflow = Some(place);
                if overflow == Overflow::Trap {
                    record.fault = Some(Fault::Trap { pc: step.pc, place });
                }
            }
            if overflow == Overflow::Saturate {
                record.outcome.saturated_joins += output.overflows;
            }
            let wrong = i128::from(output.register) != exact;
            let first = bit(m, place);
            let bits = first..first + u64::from(m.out_format.bits());
            self.unfinished.put(bits, (m.partial && wrong).then_some(exact));
            if !m.partial {
                record.outcome.wrong_outputs += u64::from(wrong);
                exact_sums.push(i64::try_from(exact).unwrap_or(0));
            }
        }
        if !m.partial {
            record.outcome.exact = Some(Exact {
                least: exact_sums.iter().copied().min().unwrap_or(0),
                greatest: exact_sums.iter().copied().max().unwrap_or(0),
                zeros: exact_sums.iter().map(|&sum| u64::from(sum == 0)).sum(),
            });
        }
    }
}

/// The matrix instruction of a step, and whether it reduces over positions.
pub(super) fn matrix(step: &Step) -> Option<(&Matrix, bool)> {
    match &step.instr {
        Instr::MTaps(m) => Some((m, false)),
        Instr::MPositions(m) => Some((m, true)),
        _ => None,
    }
}
