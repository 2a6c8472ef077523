//! The vector unit: every instruction as its meaning in the table says. An instruction reads all it reads before it writes.

mod elementwise;
mod lanes;
mod runs;
mod windows;

use super::kernels::{Kernels, compiled};
use super::reference::elements;
use super::values::{read, read_unsigned, write};
use super::{Fault, Outcome, State};
use crate::isa::{Address, Format, Instr};
use crate::number::exponent;
use crate::program::Step;
use lanes::lanes;
use runs::Run;

/// The vector unit's scratch.
#[derive(Debug)]
pub(super) struct Vector {
    kernels: Kernels,
    a: Vec<i64>,
    b: Vec<i64>,
    patterns: Vec<u64>,
    /// Of an operand that is overwritten.
    copy: Vec<u8>,
    steps: Vec<u8>,
    places: Vec<u8>,
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn format(bits: u32) -> Format {
    Format::new(bits).expect("a fixed width")
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn get(state: &State, address: Address, format: Format, count: usize, out: &mut Vec<i64>) {
    read(state.memory(address.memory), address, format, count, out);
}

fn get_unsigned(state: &State, address: Address, format: Format, count: usize, out: &mut Vec<u64>) {
    read_unsigned(state.memory(address.memory), address, format, count, out);
}

fn put(state: &mut State, address: Address, format: Format, values: &[i64]) {
    write(state.memory_mut(address.memory), address, format, values);
}

fn run(address: Address, format: Format, count: u32) -> Run {
    Run::new(address, format, size(count))
}

fn set_scale(state: &mut State, index: u8, value: i64) {
    if index != 0 {
        state.scales[usize::from(index)] = value;
    }
}

impl Vector {
    /// A vector unit with nothing under way.
    pub(super) fn new(kernels: Kernels) -> Self {
        let (a, b, patterns, copy, steps, places) = Default::default();
        Vector { kernels, a, b, patterns, copy, steps, places }
    }

    pub(super) fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let kernels = self.kernels;
        let Vector { a, b, patterns, .. } = self;
        let mut outcome = Outcome::default();
        match &step.instr {
            Instr::VFill(i) => self.fill(i, state),
            Instr::VLookup(i) => self.lookup(i, state),
            Instr::VShift(i) => outcome.clipped = self.shift(i, state),
            Instr::VRelu(i) => self.relu(i, state),
            Instr::VState(i) => self.state(i, state),
            Instr::VMask(i) => self.mask(i, state),
            Instr::VPool(i) => lanes!(i.format.bits(), {
                compiled!(kernels, windows::pool::<Lane>(i, state, &mut self.copy, &mut self.places));
            }),
            Instr::VUnpool(i) => {
                // Sums where windows overlap want room.
                outcome.clipped = lanes!(
                    i.format.bits().max(32),
                    compiled!(kernels, windows::unpool::<Lane>(i, state, &mut self.copy, &mut self.places))
                );
            }
            Instr::VMaxabs(i) => {
                let src = run(i.src, i.src_format, i.count);
                let greatest = i64::try_from(self.greatest(src, state)).unwrap_or(i64::MAX);
                set_scale(state, i.dst.0, state.scales[usize::from(i.dst.0)].max(greatest));
            }
            Instr::VOnehot(i) => {
                let columns = size(i.columns);
                get(state, i.src, i.src_format, size(i.rows) * columns, a);
                get_unsigned(state, i.labels, format(16), size(i.rows), patterns);
                for (row, &label) in a.chunks_mut(columns).zip(patterns.iter()) {
                    if let Some(v) = usize::try_from(label).ok().and_then(|l| row.get_mut(l)) {
                        *v = v.wrapping_sub(1 << i.shift);
                    }
                }
                put(state, i.dst, i.dst_format, a);
            }
            Instr::VSumsq(i) => {
                get(state, i.src, i.src_format, size(i.count), a);
                let squares = a.iter().map(|v| u128::from(v.unsigned_abs()).pow(2));
                let sum = squares.fold(0, u128::wrapping_add);
                let counter = &mut state.counters[usize::from(i.dst.0)];
                *counter = counter.wrapping_add(sum);
            }
            Instr::VArgmax(i) => {
                let columns = size(i.columns);
                get(state, i.src, i.src_format, size(i.rows) * columns, a);
                get_unsigned(state, i.labels, format(16), size(i.rows), patterns);
                b.clear();
                for (row, &label) in a.chunks(columns).zip(patterns.iter()) {
                    let greatest = row.iter().copied().max().unwrap_or(0);
                    let index = row.iter().position(|&v| v == greatest).unwrap_or(0) as u64;
                    let tied = usize::try_from(label).ok().and_then(|l| row.get(l)) == Some(&greatest);
                    state.counters[usize::from(i.first.0)] += u128::from(index == label);
                    state.counters[usize::from(i.ties.0)] += u128::from(tied);
                    b.push(signed(index));
                }
                put(state, i.dst, format(16), b);
            }
            Instr::VReduce(i) => {
                get(state, i.src, i.src_format, size(i.rows) * size(i.columns), a);
                let of_row = |row: &[i64]| {
                    row.iter().copied().reduce(|so_far, x| elements::reduced(i.sum, so_far, x)).unwrap_or(0)
                };
                b.clear();
                b.extend(a.chunks(size(i.columns)).map(of_row));
                put(state, i.dst, i.dst_format, b);
            }
            Instr::VExp(i) => {
                let mut table = Vec::new();
                get(state, i.table, format(32), 257, &mut table);
                get(state, i.row, i.row_format, size(i.rows), b);
                get(state, i.src, i.src_format, size(i.rows) * size(i.columns), a);
                for (row, &greatest) in a.chunks_mut(size(i.columns)).zip(b.iter()) {
                    for x in row {
                        let entry = usize::try_from(elements::exp_entry(i, *x, greatest)).unwrap_or(0);
                        *x = elements::exp(i, *x, greatest, [table[entry], table[entry + 1]]);
                    }
                }
                put(state, i.dst, i.dst_format, a);
            }
            Instr::VDivide(i) => {
                get(state, i.row, i.row_format, size(i.rows), b);
                get(state, i.src, i.src_format, size(i.rows) * size(i.columns), a);
                for (row, &denominator) in a.chunks_mut(size(i.columns)).zip(b.iter()) {
                    row.iter_mut().for_each(|x| *x = elements::divide(i, *x, denominator));
                }
                put(state, i.dst, i.dst_format, a);
            }
            Instr::VStochastic(i) => self.stochastic(step.pc, i, state)?,
            Instr::VSub(i) => {
                let (a, b) = ((i.a, i.format), (i.b, i.b_format));
                outcome.clipped = self.add::<true>(i.dst, a, b, (i.limit, i.count), state);
            }
            Instr::VAdd(i) => {
                let (a, b) = ((i.a, i.format), (i.b, i.b_format));
                outcome.clipped = self.add::<false>(i.dst, a, b, (i.limit, i.count), state);
            }
            Instr::XSet(i) => set_scale(state, i.dst.0, i.value.into()),
            Instr::XExponent(i) => {
                let m = state.scales[usize::from(i.a.0)];
                let e = u128::try_from(m).ok().and_then(exponent).unwrap_or(0);
                set_scale(state, i.dst.0, e.into());
            }
            Instr::XSub(i) => {
                let [a, b] = [i.a, i.b].map(|r| state.scales[usize::from(r.0)]);
                set_scale(state, i.dst.0, a.saturating_sub(b));
            }
            Instr::CClear(i) => state.counters[usize::from(i.dst.0)] = 0,
            _ => {}
        }
        Ok(outcome)
    }
}
