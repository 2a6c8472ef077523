//! Registers that start from zero and fit 32 bits, where not every join is proved to stay in range.
//!
//! A partial sum of a row's products lies between the sum of the negative ones and that of the positive ones. With Σ their
//! exact sum and N at least the sum of their magnitudes, the positive ones come to at most (N + Σ) / 2 and the negative
//! ones to at least (Σ − N) / 2, whatever the order, the tree or the chunks. Only rows that this does not prove are
//! stepped.

use super::layout::Layout;
use super::left::Left;
use super::right::Right;
use super::rule::{associative, narrowest};
use super::size;
use crate::machine::OverflowPlace;
use crate::machine::kernels::{Kernels, STEPPED_LANES, compiled, stepped_lanes};
use crate::number::{AccumulatorRule, Overflow};

/// Scratch of narrow registers.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    /// The registers found, dense.
    pub(super) registers: Vec<i32>,
    codes: Vec<i16>,
    row: Vec<i64>,
    overflows: Vec<u32>,
}

/// What became of an instruction's registers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Registers that are not the exact sum.
    pub(super) wrong: u64,
    /// Joins that left their range; outputs where the order of joins does not matter.
    pub(super) overflows: u64,
    /// The first output with one.
    pub(super) first_overflow: Option<OverflowPlace>,
}

impl Found {
    /// An output in `row`, column `column`, with so many overflows.
    fn add(&mut self, row: usize, column: usize, overflows: u64) {
        self.overflows += overflows;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = OverflowPlace { row: number(row), column: number(column) };
        let earlier = |p: &OverflowPlace| (p.row, p.column) <= (place.row, place.column);
        if overflows > 0 && !self.first_overflow.as_ref().is_some_and(earlier) {
            self.first_overflow = Some(place);
        }
    }
}

impl Narrow {
    /// The registers of exact sums (dense words); none where lanes of 64 bits do not hold a join. No product of the
    /// operands is greater than `greatest`.
    pub(super) fn registers(
        &mut self,
        rule: AccumulatorRule,
        kernels: Kernels,
        (layout, left): (&Layout, &Left),
        right: &mut Right,
        sums: &[u8],
        greatest: i64,
    ) -> Option<Found> {
        let columns = size(layout.m.columns);
        self.registers.clear();
        compiled!(
            kernels,
            self.registers.extend(sums.as_chunks::<4>().0.iter().map(|&w| i32::from_le_bytes(w)))
        );
        if associative(rule) {
            return Some(compiled!(kernels, reduce(rule.result_bits(), columns, &mut self.registers)));
        }
        let lanes = stepped_lanes(rule, greatest)?;
        let greatest_right = u64::from(compiled!(kernels, right.greatest()));
        let limit = 1u64 << (narrowest(rule) - 1);
        let width = columns.next_multiple_of(STEPPED_LANES);
        let mut found = Found::default();
        for class in layout.shape.classes() {
            for (&base, &row) in layout.shape.bases_of(class).iter().zip(layout.shape.rows_of(class)) {
                let registers = &mut self.registers[row * columns..][..columns];
                let norm = u64::from(compiled!(kernels, layout.row_norm(left, base, class))) * greatest_right;
                let (least, most) = compiled!(kernels, ends(registers));
                let positive = norm.saturating_add_signed(most.into()) / 2;
                let negative = norm.saturating_add_signed(-i64::from(least)) / 2;
                if positive < limit && negative <= limit {
                    continue;
                }
                layout.row_codes(left, base, &mut self.codes);
                self.row.clear();
                self.row.resize(width, 0);
                self.overflows.clear();
                self.overflows.resize(width, 0);
                let right = right.stepped(layout);
                kernels.stepped(lanes, rule, &self.codes, right, &mut self.row, &mut self.overflows);
                for (column, register) in registers.iter_mut().enumerate() {
                    let held = i32::try_from(self.row[column]).unwrap_or(0);
                    let differs = u64::from(held != *register);
                    found.wrong += differs;
                    let counted = rule.overflow != Overflow::Wrap;
                    found.add(row, column, if counted { self.overflows[column].into() } else { differs });
                    *register = held;
                }
            }
        }
        Some(found)
    }
}

/// Sums reduced once to `bits` bits.
#[inline(always)]
fn reduce(bits: u32, columns: usize, registers: &mut [i32]) -> Found {
    let mut found = Found::default();
    let unused = 32 - bits;
    for (row, registers) in registers.chunks_exact_mut(columns).enumerate() {
        let wrong: u32 = registers.iter().map(|&sum| u32::from(sum << unused >> unused != sum)).sum();
        if wrong > 0 {
            let first = registers.iter().position(|&sum| sum << unused >> unused != sum).unwrap_or(0);
            found.add(row, first, wrong.into());
            registers.iter_mut().for_each(|sum| *sum = *sum << unused >> unused);
        }
    }
    found.wrong = found.overflows;
    found
}

/// The least and the greatest.
#[inline(always)]
fn ends(sums: &[i32]) -> (i32, i32) {
    sums.iter().fold((i32::MAX, i32::MIN), |(least, most), &sum| (least.min(sum), most.max(sum)))
}
