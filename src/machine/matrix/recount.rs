//! A recount of matrix instructions beside the engine, every join of every output: what the sums would have been and how
//! far they reached on their way, were every register wide enough; and how many joins wrapped. Changes nothing.

use std::collections::HashMap;

use super::layout::Layout;
use super::left::Left;
use super::right::Right;
use super::wide::{self, Packed};
use super::{rule, size};
use crate::isa::{Format, Instr, Matrix, Memory};
use crate::machine::State;
use crate::machine::kernels::{self, Columns, Extension, Kernels, Reach, Row, compiled};
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
    under_way: Vec<(Matrix, Opens)>,
    /// Those of them that were not, by bit of the accumulator memory.
    single: HashMap<u64, Open>,
    left: Left,
    right: Right,
}

/// An output under way.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    sum: i64,
    least: i64,
    greatest: i64,
    register: i64,
    products: i64,
    norm: i64,
}

/// An instruction's outputs under way, `width` to a row: so many columns, and what fills lanes.
#[derive(Debug)]
struct Opens {
    columns: usize,
    width: usize,
    sums: Vec<i64>,
    least: Vec<i64>,
    greatest: Vec<i64>,
    registers: Vec<i64>,
    /// Products of the output that has the most.
    products: i64,
    /// Sums of the right operand's magnitudes of each column; the greatest where rows differ.
    norms: Vec<i64>,
}

impl Opens {
    /// Of an instruction, all zero.
    fn new(m: &Matrix) -> Opens {
        let columns = size(m.columns);
        let width = columns.next_multiple_of(kernels::STEPPED_LANES);
        let zeros = || vec![0; size(m.rows) * width];
        let [sums, least, greatest, registers] = [zeros(), zeros(), zeros(), zeros()];
        Opens { columns, width, sums, least, greatest, registers, products: 0, norms: vec![0; columns] }
    }

    /// Places of the outputs, row by row.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (columns, width) = (self.columns, self.width);
        (0..self.sums.len()).step_by(width).flat_map(move |row| row..row + columns)
    }

    fn get(&self, place: usize) -> Open {
        Open {
            sum: self.sums[place],
            least: self.least[place],
            greatest: self.greatest[place],
            register: self.registers[place],
            products: self.products,
            norm: self.norms[place % self.width],
        }
    }

    fn set(&mut self, place: usize, open: Open) {
        self.sums[place] = open.sum;
        self.least[place] = open.least;
        self.greatest[place] = open.greatest;
        self.registers[place] = open.register;
        self.products = self.products.max(open.products);
        let norm = &mut self.norms[place % self.width];
        *norm = open.norm.max(*norm);
    }
}

impl Default for Recounter {
    fn default() -> Self {
        let (under_way, single, left, right) = Default::default();
        Recounter { kernels: Kernels::of(Extension::chosen()), under_way, single, left, right }
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
        let mut outputs = self.start(m);
        let wrapped_joins = match Layout::new(m, positions_reduced, self.kernels) {
            Some(layout) => self.join_bytes(step.rule, &layout, state, &mut outputs),
            None => {
                join_packed(self.kernels, step.rule, &wide::pack(m, positions_reduced, state), &mut outputs)
            }
        };
        outputs.products += i64::from(m.length);
        let left = greatest_code(m.left_format);
        let codes = left.saturating_mul(greatest_code(m.right_format));
        let worst_case = outputs.products.saturating_mul(codes);
        let greatest_norm = outputs.norms.iter().max().copied().unwrap_or(0);
        let l1_bound = (!positions_reduced).then(|| greatest_norm.saturating_mul(left));
        if m.partial {
            self.under_way.retain(|(of, _)| rule::outputs_of(of) != rule::outputs_of(m));
            self.under_way.push((*m, outputs));
            return Some(Recount { wrapped_joins, worst_case, l1_bound, outputs: Vec::new() });
        }
        let recounted = |place: usize| Recounted {
            exact: outputs.sums[place],
            least: outputs.least[place],
            greatest: outputs.greatest[place],
        };
        let outputs = outputs.places().map(recounted).collect();
        Some(Recount { outputs, wrapped_joins, worst_case, l1_bound })
    }

    /// What an instruction goes on from.
    fn start(&mut self, m: &Matrix) -> Opens {
        if !m.accumulate {
            return Opens::new(m);
        }
        if let Some(place) =
            self.under_way.iter().position(|(of, _)| rule::outputs_of(of) == rule::outputs_of(m))
        {
            return self.under_way.remove(place).1;
        }
        for (of, outputs) in self.under_way.drain(..) {
            self.single.extend(rule::keys(&of).zip(outputs.places().map(|place| outputs.get(place))));
        }
        let mut outputs = Opens::new(m);
        for (key, place) in rule::keys(m).zip(outputs.places()) {
            outputs.set(place, self.single.remove(&key).unwrap_or_default());
        }
        outputs
    }

    /// Joins the products of bytes; how many joins wrapped.
    fn join_bytes(
        &mut self,
        rule: AccumulatorRule,
        layout: &Layout,
        state: &State,
        outputs: &mut Opens,
    ) -> u64 {
        let Recounter { kernels, left, right, .. } = self;
        let at = usize::try_from(layout.m.left.offset).unwrap_or(usize::MAX);
        let codes = &state.memory(Memory::Operand)[at..];
        left.forget();
        right.forget();
        let greatest = compiled!(kernels, {
            left.take(0, layout, codes);
            left.lay_out(*kernels, layout);
            right.take(*kernels, layout, state);
            i64::from(left.greatest(layout)) * i64::from(right.greatest())
        });
        let (shape, length) = (&layout.shape, size(layout.m.length));
        let rows = shape.classes().iter().flat_map(|c| shape.rows_of(c).iter().zip(shape.bases_of(c)));
        let right = compiled!(kernels, right.stepped(layout));
        join(*kernels, (rule, greatest), right, outputs, rows, |(&number, &base), row| {
            let pieces = (layout.pieces(base), length);
            compiled!(kernels, row.take_pieces(*kernels, left.laid_out(layout), pieces));
            number
        })
    }
}

/// Joins the products of any operands.
fn join_packed(kernels: Kernels, rule: AccumulatorRule, packed: &Packed, outputs: &mut Opens) -> u64 {
    let right = packed.right.by_index();
    let greatest = compiled!(kernels, wide::greatest(&packed.left)) * right.greatest_code();
    let rows = packed.left.chunks(packed.length).enumerate();
    join(kernels, (rule, greatest), &right, outputs, rows, |(number, codes), row| {
        row.take(codes);
        number
    })
}

/// Joins the products of rows, each of which `take` makes of something and says its number, with columns; no product is greater
/// than `greatest`. How many joins wrapped.
fn join<R>(
    kernels: Kernels,
    (rule, greatest): (AccumulatorRule, i64),
    right: &Columns,
    outputs: &mut Opens,
    rows: impl Iterator<Item = R>,
    mut take: impl FnMut(R, &mut Row) -> usize,
) -> u64 {
    let lanes = kernels::stepped_lanes(rule, greatest).filter(|_| rule.overflow == Overflow::Wrap);
    let width = outputs.width;
    let (mut row, mut wrapped) = (Row::default(), 0);
    for of_row in rows {
        let number = take(of_row, &mut row);
        let places = number * width..(number + 1) * width;
        let reach = Reach {
            sums: &mut outputs.sums[places.clone()],
            least: &mut outputs.least[places.clone()],
            greatest: &mut outputs.greatest[places.clone()],
        };
        kernels.partial_sums(rule, greatest, &row, right, reach);
        if let Some(lanes) = lanes {
            wrapped += kernels.stepped(lanes, rule, &row, (right, 0), &mut outputs.registers[places]).joins;
        }
    }
    for codes in right.codes().chunks_exact(width) {
        outputs.norms.iter_mut().zip(codes).for_each(|(n, &v)| *n += i64::from(v.unsigned_abs()));
    }
    wrapped
}
