//! Registers that fit 32 bits, as every sum on its way does, where not every join is proved to stay in range.
//!
//! A partial sum of an output's products lies between the sum of the negative ones and that of the positive ones. With Σ
//! their exact sum and N at least the sum of their magnitudes ([`super::norms`]), the positive ones come to at most (N + Σ) / 2 and the
//! negative ones to at least (Σ − N) / 2, whatever the order, the tree or the chunks. Only blocks of
//! columns that this does not prove are stepped.

use super::layout::Layout;
use super::left::Left;
use super::norms::{ColumnNorms, RowNorm, root};
use super::right::Right;
use super::rule::{self, Overflowed, associative, narrowest, narrowest_word, room};
use super::size;
use crate::isa::{Address, Matrix, Memory};
use crate::machine::kernels::{Kernels, Row, RowOverflows, STEPPED_LANES, compiled, stepped_lanes};
use crate::machine::{State, values};
use crate::number::{AccumulatorRule, Overflow};

/// Scratch of narrow registers.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    /// What the registers go on from, dense; none where that is zero.
    pub(super) starts: Vec<i32>,
    /// The greatest magnitude of them.
    pub(super) greatest_start: u32,
    /// The registers found, dense.
    pub(super) registers: Vec<i32>,
    row: Row,
    doubtful: Vec<bool>,
    held: Vec<i64>,
}

/// What became of an instruction's registers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// Registers that are not what they went on from and the exact sum.
    pub(super) changed: u64,
    pub(super) overflowed: Overflowed,
}

impl Found {
    /// Puts what registers of a row hold, from a column on, where the exact sums were. So many joins left their range.
    #[inline(always)]
    fn put(
        &mut self,
        (row, first): (usize, usize),
        rule: AccumulatorRule,
        registers: &mut [i32],
        held: &[i64],
        mut overflows: RowOverflows,
    ) {
        let mut changed = 0u32;
        let wraps = rule.overflow == Overflow::Wrap;
        if wraps {
            let differs = |(register, &held): (&i32, &i64)| i64::from(*register) != held;
            overflows.first = registers.iter().zip(held).position(differs).map(|column| first + column);
        }
        for (register, &held) in registers.iter_mut().zip(held) {
            let held = i32::try_from(held).unwrap_or(0);
            changed += u32::from(held != *register);
            *register = held;
        }
        self.changed += u64::from(changed);
        if wraps {
            overflows.joins = changed.into();
        }
        self.overflowed.add(row, overflows);
    }
}

impl Narrow {
    /// Takes what an instruction's registers go on from, each as many bits as it has; 32 of them, where it has more.
    #[inline(always)]
    pub(super) fn take_starts(&mut self, m: &Matrix, rule: AccumulatorRule, state: &State) {
        self.starts.clear();
        self.greatest_start = 0;
        if !m.accumulate {
            return;
        }
        let row_bits = u64::from(m.out_stride) * u64::from(m.out_format.bits());
        let (rows, columns) = rule::rows_of(m);
        if rows == 1 || row_bits.is_multiple_of(8) {
            let bytes = state.memory(Memory::Accumulator);
            for row in 0..u64::from(rows) {
                let at = Address { offset: m.out.offset + row * row_bits / 8, ..m.out };
                values::read_i32(bytes, at, m.out_format, size(columns), &mut self.starts);
            }
        } else {
            rule::starts(m, rule, state, |register| self.starts.push(i32::try_from(register).unwrap_or(0)));
        }
        let unused = 32u32.saturating_sub(rule.result_bits());
        let mut greatest = 0;
        for start in &mut self.starts {
            *start = *start << unused >> unused;
            greatest = start.unsigned_abs().max(greatest);
        }
        self.greatest_start = greatest;
    }

    /// The registers that an instruction of these exact sums (dense words) comes to from what was taken; none where lanes of
    /// 64 bits do not hold a join. No product of the operands is greater than `greatest`, and so many of them and any
    /// start stay within 32 bits.
    pub(super) fn registers(
        &mut self,
        rule: AccumulatorRule,
        kernels: Kernels,
        (layout, left): (&Layout, &mut Left),
        right: &mut Right,
        sums: &[u8],
        greatest: i64,
    ) -> Option<Found> {
        let columns = size(layout.m.columns);
        compiled!(kernels, self.add(sums));
        if associative(rule) {
            return Some(compiled!(kernels, reduce(rule.result_bits(), columns, &mut self.registers)));
        }
        let lanes = stepped_lanes(rule, greatest)?;
        let width = columns.next_multiple_of(STEPPED_LANES);
        let room = room(narrowest_word(rule), self.greatest_start.into());
        let of_all = compiled!(kernels, right.measure(layout));
        // Rows over positions are many short pieces, and mostly in doubt: each is taken, and measured then.
        let by_rows = layout.positions_reduced;
        if !by_rows {
            compiled!(kernels, left.measure(kernels, layout));
        }
        let left = &*left;
        let mut found = Found::default();
        for class in layout.shape.classes() {
            for (&base, &row) in layout.shape.bases_of(class).iter().zip(layout.shape.rows_of(class)) {
                let registers = &mut self.registers[row * columns..][..columns];
                let starts = self.starts.get(row * columns..(row + 1) * columns).unwrap_or_default();
                let (row_codes, doubtful) = (&mut self.row, &mut self.doubtful);
                let pieces = (layout.pieces(base), size(layout.m.length));
                let is_doubtful = compiled!(kernels, {
                    let norm = if by_rows {
                        row_codes.take_pieces(kernels, left.laid_out(layout), pieces.clone());
                        RowNorm::of(row_codes)
                    } else {
                        left.norm(layout, base)
                    };
                    let is_doubtful = !room.is_some_and(|room| norm.is_within(of_all, room))
                        && doubt(rule, norm, right.norms(), (starts, registers), doubtful);
                    if is_doubtful && !by_rows {
                        row_codes.take_pieces(kernels, left.laid_out(layout), pieces);
                    }
                    is_doubtful
                });
                if !is_doubtful {
                    continue;
                }
                let stepped = compiled!(kernels, right.stepped(layout));
                self.held.clear();
                self.held.extend(starts.iter().map(|&start| i64::from(start)));
                self.held.resize(width, 0);
                let mut first = 0;
                for blocks in self.doubtful.chunk_by(|a, b| a == b) {
                    let end = first + blocks.len() * STEPPED_LANES;
                    if blocks[0] {
                        let held = &mut self.held[first..end];
                        let overflows = kernels.stepped(lanes, rule, &self.row, (stepped, first), held);
                        let registers = &mut registers[first..end.min(columns)];
                        compiled!(kernels, found.put((row, first), rule, registers, held, overflows));
                    }
                    first = end;
                }
            }
        }
        Some(found)
    }

    /// What registers would be that hold every sum.
    #[inline(always)]
    fn add(&mut self, sums: &[u8]) {
        let sums = sums.as_chunks::<4>().0.iter().map(|&w| i32::from_le_bytes(w));
        self.registers.clear();
        if self.starts.is_empty() {
            self.registers.extend(sums);
        } else {
            self.registers.extend(sums.zip(&self.starts).map(|(sum, start)| start + sum));
        }
    }
}

/// Which blocks of columns of a row are not proved to stay in range, from their starts (none: zero) to what they come to; whether any
/// is not.
#[inline(always)]
fn doubt(
    rule: AccumulatorRule,
    norm: RowNorm,
    right: &ColumnNorms,
    (starts, wholes): (&[i32], &[i32]),
    doubtful: &mut Vec<bool>,
) -> bool {
    let most = i32::MAX >> (32 - narrowest(rule));
    let row = [norm.sum, root(norm.squares)];
    // Inner registers begin with zero.
    let inner = rule.chunk > 0;
    let mut any = false;
    doubtful.clear();
    for (number, (wholes, norms)) in wholes.chunks(STEPPED_LANES).zip(right.blocks()).enumerate() {
        let starts = if starts.is_empty() { &[0; STEPPED_LANES] } else { &starts[number * STEPPED_LANES..] };
        let (mut highest, mut lowest) = (0, 0);
        for (((&whole, &start), &greatest), &root) in wholes.iter().zip(starts).zip(norms.0).zip(norms.1) {
            // Roots are below 2^16. The first is not more than the greatest product so many times: with any start, below 2^31.
            let norm = (row[0] * greatest).min(row[1] * root);
            let sum = whole - start;
            let up = (norm.wrapping_add_signed(sum) / 2).cast_signed();
            let down = (norm.wrapping_add_signed(-sum) / 2).cast_signed();
            let (above, below) = if inner { (start.max(0), start.min(0)) } else { (start, start) };
            highest = highest.max(above + up);
            lowest = lowest.min(below - down);
        }
        let is_doubtful = highest > most || lowest < !most;
        any |= is_doubtful;
        doubtful.push(is_doubtful);
    }
    any
}

/// Sums reduced once to `bits` bits.
#[inline(always)]
fn reduce(bits: u32, columns: usize, registers: &mut [i32]) -> Found {
    let mut found = Found::default();
    let unused = 32 - bits;
    for (row, registers) in registers.chunks_exact_mut(columns).enumerate() {
        let wrong: u32 = registers.iter().map(|&sum| u32::from(sum << unused >> unused != sum)).sum();
        if wrong > 0 {
            let first = registers.iter().position(|&sum| sum << unused >> unused != sum);
            found.overflowed.add(row, RowOverflows { joins: wrong.into(), first });
            registers.iter_mut().for_each(|sum| *sum = *sum << unused >> unused);
        }
    }
    found.changed = found.overflowed.joins;
    found
}
