//! The matrix instructions: exact sums by the fastest product the operands allow, and the accumulator's rules where they
//! can matter.
//!
//! Where no partial sum can leave its range the exact sum is the register. Where `wrap` makes joins associative it is
//! the exact sum reduced once. Only what is left is stepped join by join ([`stepped`]).

mod bytes;
mod frame;
mod stepped;
mod wide;

use super::{Exact, Fault, Outcome, OverflowPlace, State, element, kernels, values};
use crate::isa::{Address, Instr, Matrix, Memory};
use crate::number::{AccumulatorRule, Overflow, wrap};
use crate::program::Step;
use bytes::Bytes;
use stepped::Stepped;

/// The array: its scratch, and the exact sums of reductions that later instructions go on with, by bit of the
/// accumulator memory.
#[derive(Debug, Default)]
pub(super) struct Array {
    bytes: Bytes,
    stepped: Stepped,
    unfinished: std::collections::BTreeMap<u64, i128>,
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// What is known of a product besides its sums.
#[derive(Debug, Clone, Copy)]
struct Product {
    /// Products with both operands not zero.
    nonzero_products: u64,
    /// No product is greater.
    greatest: i64,
}

/// What an output's register goes on from, and what it would go on from were it wide enough.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    register: i64,
    exact: i128,
}

/// What became of one output.
#[derive(Debug, Clone, Copy)]
struct Output {
    register: i64,
    exact: i128,
    overflows: u64,
}

impl Array {
    /// Executes a matrix instruction.
    pub(super) fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let (m, positions_reduced) = match &step.instr {
            Instr::MTaps(m) => (m, false),
            Instr::MPositions(m) => (m, true),
            _ => return Ok(Outcome::default()),
        };
        let starts = self.starts(m, step.rule, state);
        if let Some(mut product) = self.bytes.product(m, positions_reduced, state) {
            if !m.accumulate
                && self.unfinished.is_empty()
                && provable(step.rule, m, &starts, product.greatest)
            {
                let sums = &self.bytes.sums;
                store_rows(m, state, sums, values::write_i32);
                let exact = (!m.partial).then(|| range_of(sums));
                return Ok(Outcome {
                    nonzero_products: product.nonzero_products,
                    exact,
                    ..Outcome::default()
                });
            }
            product.greatest = self.bytes.greatest();
            let sums: Vec<i64> = self.bytes.sums.iter().map(|&s| s.into()).collect();
            return self.finish(step, m, positions_reduced, state, &starts, product, &sums);
        }
        let (product, sums) = wide::product(m, positions_reduced, state);
        self.finish(step, m, positions_reduced, state, &starts, product, &sums)
    }

    #[expect(clippy::too_many_arguments, reason = "one instruction, taken apart")]
    fn finish(
        &mut self,
        step: &Step,
        m: &Matrix,
        positions_reduced: bool,
        state: &mut State,
        starts: &[Start],
        product: Product,
        sums: &[i64],
    ) -> Result<Outcome, Fault> {
        let rule = step.rule;
        let nonzero_products = product.nonzero_products;
        if self.unfinished.is_empty() && provable(rule, m, starts, product.greatest) {
            let started: Vec<i64>;
            let sums = if starts.is_empty() {
                sums
            } else {
                started = sums.iter().zip(starts).map(|(sum, start)| sum + start.register).collect();
                &started
            };
            store_rows(m, state, sums, values::write);
            let exact = (!m.partial).then(|| range_of(sums));
            return Ok(Outcome { nonzero_products, exact, ..Outcome::default() });
        }
        let outputs = if associative(rule) {
            let start = |i| starts.get(i).copied().unwrap_or_default();
            sums.iter().enumerate().map(|(i, &sum)| reduced(rule, start(i), sum)).collect()
        } else {
            self.stepped.outputs(rule, m, positions_reduced, state, starts, sums)
        };
        let columns = size(m.columns);
        let first = outputs.iter().position(|o: &Output| o.overflows > 0);
        let place = |i: usize| OverflowPlace {
            row: u32::try_from(i / columns).unwrap_or(0),
            column: u32::try_from(i % columns).unwrap_or(0),
        };
        if let (Overflow::Trap, Some(i)) = (rule.overflow, first) {
            return Err(Fault::Trap { pc: step.pc, place: place(i) });
        }
        self.store(m, state, &outputs);
        let mut outcome =
            Outcome { nonzero_products, first_overflow: first.map(place), ..Outcome::default() };
        if rule.overflow == Overflow::Saturate {
            outcome.saturated_joins = outputs.iter().map(|o| o.overflows).sum();
        }
        if !m.partial {
            let wrong = outputs.iter().filter(|o| i128::from(o.register) != o.exact);
            outcome.wrong_outputs = wrong.count() as u64;
            let exact: Vec<i64> = outputs.iter().map(|o| i64::try_from(o.exact).unwrap_or(0)).collect();
            outcome.exact = Some(range_of(&exact));
        }
        Ok(outcome)
    }

    /// Registers and exact sums to go on from; empty where the instruction starts from zero.
    fn starts(&self, m: &Matrix, rule: AccumulatorRule, state: &State) -> Vec<Start> {
        if !m.accumulate {
            return Vec::new();
        }
        let bytes = state.memory(Memory::Accumulator);
        let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
        let indices = (0..u64::from(m.rows))
            .flat_map(|r| (0..u64::from(m.columns)).map(move |j| r * u64::from(m.out_stride) + j));
        let start = |i: u64| {
            // A register takes as many bits as it has.
            let register = wrap(element(bytes, at, m.out_format, i).into(), rule.result_bits());
            let key = m.out.offset * 8 + i * u64::from(m.out_format.bits());
            Start { register, exact: self.unfinished.get(&key).copied().unwrap_or(register.into()) }
        };
        indices.map(start).collect()
    }

    fn store(&mut self, m: &Matrix, state: &mut State, outputs: &[Output]) {
        let registers: Vec<i64> = outputs.iter().map(|o| o.register).collect();
        store_rows(m, state, &registers, values::write);
        for (r, row) in outputs.chunks(size(m.columns)).enumerate() {
            let first = r as u64 * u64::from(m.out_stride) * u64::from(m.out_format.bits());
            for (j, o) in (0u64..).zip(row) {
                let key = m.out.offset * 8 + first + j * u64::from(m.out_format.bits());
                if m.partial && i128::from(o.register) != o.exact {
                    self.unfinished.insert(key, o.exact);
                } else if !self.unfinished.is_empty() {
                    self.unfinished.remove(&key);
                }
            }
        }
    }
}

/// The width no partial sum may leave for the exact sum to be the register.
fn narrowest(rule: AccumulatorRule) -> u32 {
    if rule.chunk > 0 { rule.bits.min(rule.outer_bits) } else { rule.bits }
}

/// Whether no join of any output can leave its range.
fn provable(rule: AccumulatorRule, m: &Matrix, starts: &[Start], greatest: i64) -> bool {
    let start = starts.iter().map(|s| s.register.unsigned_abs()).max().unwrap_or(0);
    i128::from(greatest) * i128::from(m.length) + i128::from(start) < 1 << (narrowest(rule) - 1)
}

/// Whether the order of joins does not matter.
fn associative(rule: AccumulatorRule) -> bool {
    rule.overflow == Overflow::Wrap && (rule.chunk == 0 || rule.bits >= rule.outer_bits)
}

/// An output whose joins are associative. One that wrapped counts once; how many joins wrapped is the reference's
/// to say.
fn reduced(rule: AccumulatorRule, start: Start, sum: i64) -> Output {
    let sum = i128::from(sum);
    let whole = i128::from(start.register) + sum;
    let register = wrap(whole, rule.result_bits());
    Output { register, exact: start.exact + sum, overflows: u64::from(i128::from(register) != whole) }
}

fn range_of<T: Copy + Ord + Default + Into<i64>>(sums: &[T]) -> Exact {
    kernels::widest(|| range_of_body(sums))
}

#[inline(always)]
fn range_of_body<T: Copy + Ord + Default + Into<i64>>(sums: &[T]) -> Exact {
    let (mut least, mut greatest) = (sums[0], sums[0]);
    let mut zeros = 0;
    for block in sums.chunks(1 << 12) {
        let mut zeros_here = 0u32;
        for &sum in block {
            least = least.min(sum);
            greatest = greatest.max(sum);
            zeros_here += u32::from(sum == T::default());
        }
        zeros += u64::from(zeros_here);
    }
    Exact { least: least.into(), greatest: greatest.into(), zeros }
}

/// Registers to the accumulator memory, rows `out_stride` elements apart.
fn store_rows<T: Copy + Into<i64>>(
    m: &Matrix,
    state: &mut State,
    registers: &[T],
    write: impl Fn(&mut [u8], Address, crate::isa::Format, &[T]),
) {
    let bytes = state.memory_mut(Memory::Accumulator);
    let bits = u64::from(m.out_format.bits());
    if m.out_stride == m.columns {
        return write(bytes, m.out, m.out_format, registers);
    }
    for (r, row) in (0u64..).zip(registers.chunks(size(m.columns))) {
        let first = r * u64::from(m.out_stride);
        if (first * bits).is_multiple_of(8) {
            let address = Address { offset: m.out.offset + first * bits / 8, ..m.out };
            write(bytes, address, m.out_format, row);
        } else {
            let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
            for (j, &v) in (0u64..).zip(row) {
                super::state::set_element(bytes, at, m.out_format, first + j, v.into());
            }
        }
    }
}
