//! Registers from exact sums, where the sums are not the registers at once: wider ones that are proved, those reduced once, those
//! stepped; and how registers go to their memory.

use super::rule::{self, Output, associative, narrowest};
use super::{Array, Met, Product, range_of, safe, size, stepped};
use crate::isa::{Address, Format, Matrix, Memory};
use crate::machine::kernels::compiled;
use crate::machine::{Exact, Fault, Outcome, State, state, values};
use crate::number::Overflow;
use crate::program::Step;

impl Array {
    /// Registers of up to 32 bits, whose starts are taken; none where they may come to more than 32 bits on the way, or lanes of 64 bits
    /// do not hold a join.
    ///
    /// # Panics
    /// When something else than whole tiles is under way there ([`UnderWay::is_plain`](super::under_way::UnderWay::is_plain)).
    pub(super) fn narrow_registers(
        &mut self,
        Met { number, left, right }: Met,
        step: &Step,
        (product, exact): (Product, Exact),
        state: &mut State,
    ) -> Option<Result<Outcome, Fault>> {
        let (kernels, rule, layout) = (self.kernels, step.rule, &self.prepared[number].layout);
        let (m, narrow) = (&layout.m, &mut self.narrow);
        if !safe(m, 32, product.greatest, narrow.greatest_start.into()) {
            return None;
        }
        let (left, right) = (&mut self.lefts[left], &mut self.rights[right]);
        let found = narrow.registers(rule, kernels, (layout, left), right, &self.sums, product.greatest)?;
        if let (Overflow::Trap, Some(place)) = (rule.overflow, found.overflowed.first) {
            return Some(Err(Fault::Trap { pc: step.pc, place }));
        }
        let (starts, registers) = (&narrow.starts, &narrow.registers);
        let sums = (&starts[..], &self.sums[..], exact);
        let under_way = &mut self.accumulators.under_way;
        let (wrong_outputs, exact) = compiled!(kernels, under_way.join(m, sums, (registers, found.changed)));
        compiled!(kernels, store_rows(m, state, registers, values::write_i32));
        let saturates = rule.overflow == Overflow::Saturate;
        Some(Ok(Outcome {
            nonzero_products: product.nonzero_products,
            exact,
            wrong_outputs,
            saturated_joins: if saturates { found.overflowed.joins } else { 0 },
            first_overflow: found.overflowed.first,
            clipped: 0,
        }))
    }

    /// Registers of any operands, starts and widths.
    pub(super) fn finish(
        &mut self,
        step: &Step,
        m: &Matrix,
        positions_reduced: bool,
        state: &mut State,
        product: Product,
        sums: &[i64],
    ) -> Result<Outcome, Fault> {
        let rule = step.rule;
        let nonzero_products = product.nonzero_products;
        let under_way = &mut self.accumulators.under_way;
        let starts = under_way.starts(m, rule, state);
        let start = starts.iter().map(|s| s.register.unsigned_abs()).max().unwrap_or(0);
        if under_way.is_empty() && safe(m, narrowest(rule), product.greatest, start) {
            let started: Vec<i64>;
            let sums = if starts.is_empty() {
                sums
            } else {
                started = sums.iter().zip(&starts).map(|(sum, start)| sum + start.register).collect();
                &started
            };
            store_rows(m, state, sums, values::write);
            let exact = (!m.partial).then(|| range_of(sums));
            return Ok(Outcome { nonzero_products, exact, ..Outcome::default() });
        }
        let (outputs, overflowed) = if associative(rule) {
            let start = |i| starts.get(i).copied().unwrap_or_default();
            let outputs = sums.iter().enumerate().map(|(i, &sum)| rule::reduced(rule, start(i), sum));
            let outputs: Vec<Output> = outputs.collect();
            let overflowed = rule::wrapped(&outputs, &starts, sums, size(m.columns));
            (outputs, overflowed)
        } else {
            stepped::outputs(rule, m, positions_reduced, state, &starts, sums, self.kernels)
        };
        if let (Overflow::Trap, Some(place)) = (rule.overflow, overflowed.first) {
            return Err(Fault::Trap { pc: step.pc, place });
        }
        let registers: Vec<i64> = outputs.iter().map(|o| o.register).collect();
        store_rows(m, state, &registers, values::write);
        self.accumulators.under_way.keep(m, &outputs);
        let mut outcome =
            Outcome { nonzero_products, first_overflow: overflowed.first, ..Outcome::default() };
        if rule.overflow == Overflow::Saturate {
            outcome.saturated_joins = overflowed.joins;
        }
        if !m.partial {
            let wrong = outputs.iter().filter(|o| i128::from(o.register) != o.exact);
            outcome.wrong_outputs = wrong.count() as u64;
            let exact: Vec<i64> = outputs.iter().map(|o| i64::try_from(o.exact).unwrap_or(0)).collect();
            outcome.exact = Some(range_of(&exact));
        }
        Ok(outcome)
    }
}

/// Sums of 32 bits, dense, to the accumulator memory.
#[inline(always)]
pub(super) fn store_words(m: &Matrix, state: &mut State, sums: &[u8]) {
    let words: Vec<i32> = sums.as_chunks::<4>().0.iter().map(|&w| i32::from_le_bytes(w)).collect();
    store_rows(m, state, &words, values::write_i32);
}

/// Registers to the accumulator memory, rows `out_stride` elements apart.
#[inline(always)]
fn store_rows<T: Copy + Into<i64>>(
    m: &Matrix,
    state: &mut State,
    registers: &[T],
    write: impl Fn(&mut [u8], Address, Format, &[T]),
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
                state::set_element(bytes, at, m.out_format, first + j, v.into());
            }
        }
    }
}
