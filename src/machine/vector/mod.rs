//! The vector unit: every instruction as its meaning in the table says. An instruction reads all it reads before it writes.

mod lanes;
mod windows;

use super::kernels::{Kernels, compiled};
use super::reference::elements;
use super::values::{read, read_unsigned, write};
use super::{Fault, Outcome, State};
use crate::isa::{Address, Format, Instr, VLookup, VMask, VShift, VState, VStochastic};
use crate::number::{Rounding, clip, exponent, fits, max_code, rsh, stochastic_step};
use crate::program::Step;
use lanes::{Lane as _, Run, load, load_unsigned, map};

/// The vector unit's scratch.
#[derive(Debug)]
pub(super) struct Vector {
    kernels: Kernels,
    a: Vec<i64>,
    b: Vec<i64>,
    patterns: Vec<u64>,
    out: Vec<u8>,
    steps: Vec<u8>,
    windows: windows::Scratch,
}

/// Evaluates a body with `Lane` the narrowest lane of so many bits or more.
macro_rules! lanes {
    ($bits:expr, $body:expr) => {
        match $bits {
            ..=8 => {
                type Lane = i8;
                $body
            }
            ..=16 => {
                type Lane = i16;
                $body
            }
            ..=32 => {
                type Lane = i32;
                $body
            }
            _ => {
                type Lane = i64;
                $body
            }
        }
    };
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
        let (a, b, patterns, out, steps, windows) = Default::default();
        Vector { kernels, a, b, patterns, out, steps, windows }
    }

    pub(super) fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let kernels = self.kernels;
        let Vector { a, b, patterns, .. } = self;
        let mut outcome = Outcome::default();
        match &step.instr {
            Instr::VFill(i) => {
                let dst = run(i.dst, i.dst_format, i.count);
                map(&mut self.out, state, dst, |_, out| {
                    compiled!(
                        kernels,
                        out.fill(
                            #[inline(always)]
                            |_, lanes: &mut [i32]| {
                                lanes.fill(i.value);
                                0
                            }
                        )
                    )
                });
            }
            Instr::VLookup(i) => self.lookup(i, state),
            Instr::VShift(i) => outcome.clipped = self.shift(i, state),
            Instr::VRelu(i) => {
                let (dst, src) = (run(i.dst, i.format, i.count), run(i.src, i.format, i.count));
                lanes!(i.format.bits(), {
                    map(&mut self.out, state, dst, |before, out| {
                        compiled!(
                            kernels,
                            out.fill(
                                #[inline(always)]
                                |first, lanes: &mut [Lane]| {
                                    load(before, src.address, src.format, first, lanes);
                                    lanes.iter_mut().for_each(|v| *v = (*v).max(0));
                                    0
                                }
                            )
                        )
                    });
                });
            }
            Instr::VState(i) => self.state(i, state),
            Instr::VMask(i) => self.mask(i, state),
            Instr::VPool(i) => lanes!(i.format.bits(), {
                compiled!(self.kernels, windows::pool::<Lane>(i, state, &mut self.windows));
            }),
            Instr::VUnpool(i) => {
                // Sums where windows overlap want room.
                outcome.clipped = lanes!(
                    i.format.bits().max(32),
                    compiled!(self.kernels, windows::unpool::<Lane>(i, state, &mut self.windows))
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
                outcome.clipped = self.add::<true>(i.dst, a, b, (i.limit, size(i.count)), state);
            }
            Instr::VAdd(i) => {
                let (a, b) = ((i.a, i.format), (i.b, i.b_format));
                outcome.clipped = self.add::<false>(i.dst, a, b, (i.limit, size(i.count)), state);
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

    fn lookup(&mut self, i: &VLookup, state: &mut State) {
        get(state, i.table, i.dst_format, 256, &mut self.b);
        let table: Vec<i32> = self.b.iter().map(|&v| i32::try_from(v).unwrap_or(0)).collect();
        let dst = run(i.dst, i.dst_format, i.count);
        let (kernels, narrow, wide) = (self.kernels, i.dst_format.bits() <= 32, &self.b);
        map(&mut self.out, state, dst, |before, out| {
            let codes = &before.memory(i.src.memory)[lanes::start(i.src)..];
            if narrow {
                compiled!(
                    kernels,
                    out.fill(
                        #[inline(always)]
                        |first, lanes| looked_up(&codes[first..], &table, lanes)
                    )
                )
            } else {
                compiled!(
                    kernels,
                    out.fill(
                        #[inline(always)]
                        |first, lanes| looked_up(&codes[first..], wide, lanes)
                    )
                )
            }
        });
    }

    fn shift(&mut self, i: &VShift, state: &mut State) -> u64 {
        let n = state.scales[usize::from(i.scale.0)].saturating_add(i.shift.into());
        let n = i32::try_from(n.clamp(-200, 200)).unwrap_or(0);
        let (dst, src) = (run(i.dst, i.dst_format, i.count), run(i.src, i.src_format, i.count));
        let right = u32::try_from(n).ok().filter(|&n| n < 32 && i.rounding == Rounding::Even);
        let kernels = self.kernels;
        let Some(right) = right else {
            return map(&mut self.out, state, dst, |before, out| {
                compiled!(
                    kernels,
                    out.fill(
                        #[inline(always)]
                        |first, lanes: &mut [i64]| {
                            load(before, src.address, src.format, first, lanes);
                            let mut clipped = 0;
                            for v in lanes {
                                let q = rsh(i128::from(*v), n, i.rounding);
                                *v = clip(q, i.bits);
                                clipped += u64::from(i128::from(*v) != q);
                            }
                            clipped
                        }
                    )
                )
            });
        };
        lanes!(i.src_format.bits().max(right + 1), {
            let limit = max_code(i.bits);
            let [least, most] = [-limit, limit].map(<Lane as lanes::Lane>::held);
            map(&mut self.out, state, dst, |before, out| {
                compiled!(
                    kernels,
                    out.fill(
                        #[inline(always)]
                        |first, lanes: &mut [Lane]| {
                            load(before, src.address, src.format, first, lanes);
                            let mut clipped = 0u32;
                            for v in lanes {
                                let q = v.shift_even(right);
                                *v = q.clamp(least, most);
                                clipped += u32::from(*v != q);
                            }
                            clipped.into()
                        }
                    )
                )
            })
        })
    }

    /// |x| > c · 2^n, both sides times 2^-n where n is negative.
    fn state(&mut self, i: &VState, state: &mut State) {
        let (up, down) = (i.shift.max(0).unsigned_abs(), i.shift.min(0).unsigned_abs());
        let bound = i128::from(max_code(i.bits)) << up.min(64);
        // The greatest magnitude that is not clipped.
        let most = i64::try_from(bound >> down.min(60)).unwrap_or(i64::MAX);
        let (dst, src) = (run(i.dst, format(2), i.count), run(i.src, i.src_format, i.count));
        let kernels = self.kernels;
        lanes!(i.src_format.bits(), {
            let [least, most] = [-most, most].map(<Lane as lanes::Lane>::held);
            map(&mut self.out, state, dst, |before, out| {
                compiled!(
                    kernels,
                    out.fill(
                        #[inline(always)]
                        |first, lanes: &mut [Lane]| {
                            load(before, src.address, src.format, first, lanes);
                            for v in lanes {
                                // Both are asked: else the ends are looked up lane by lane where they are needed.
                                let clipped = (*v > most) | (*v < least);
                                *v = if clipped { 2 } else { Lane::from(*v > 0) };
                            }
                            0
                        }
                    )
                )
            });
        });
    }

    fn mask(&mut self, i: &VMask, state: &mut State) {
        let (dst, src) = (run(i.dst, i.format, i.count), run(i.src, i.format, i.count));
        let states = run(i.states, format(2), i.count);
        let keep = [0, 1, 2, 3].map(|state| if i.keep >> state & 1 == 1 { u8::MAX } else { 0 });
        let kernels = self.kernels;
        lanes!(i.format.bits(), {
            map(&mut self.out, state, dst, |before, out| {
                compiled!(kernels, {
                    let mut patterns = [0u8; lanes::BLOCK];
                    out.fill(
                        #[inline(always)]
                        |first, lanes: &mut [Lane]| {
                            let patterns = &mut patterns[..lanes.len()];
                            load(before, src.address, src.format, first, lanes);
                            load_unsigned(before, states.address, states.format, first, patterns);
                            for s in patterns.iter_mut() {
                                let mut kept = 0;
                                for (state, keep) in (0..).zip(keep) {
                                    kept |= if *s == state { keep } else { 0 };
                                }
                                *s = kept;
                            }
                            for (v, &keep) in lanes.iter_mut().zip(patterns.iter()) {
                                *v = v.kept(keep);
                            }
                            0
                        },
                    )
                })
            });
        });
    }

    fn greatest(&self, src: Run, state: &State) -> u64 {
        let kernels = self.kernels;
        lanes!(src.format.bits(), compiled!(kernels, lanes::greatest::<Lane>(state, src)))
    }

    fn stochastic(&mut self, pc: u32, i: &VStochastic, state: &mut State) -> Result<(), Fault> {
        let t = state.scales[usize::from(i.scale.0)].clamp(-200, 200);
        let t = i32::try_from(t).unwrap_or(0);
        let random = state.rounding_words();
        let (dst, src) = (run(i.dst, i.dst_format, i.count), run(i.src, i.src_format, i.count));
        let bits = i.dst_format.bits();
        let whole = u32::try_from(t).ok().filter(|t| (1..=31).contains(t) && i.src_format.bits() <= 32);
        let drop = 32 - i.random_bits;
        // Nothing is written where a step does not fit: what is computed goes to a copy first.
        let steps = &mut self.steps;
        steps.resize(lanes::bytes_of(i.dst_format, dst.count), 0);
        let (mut misfit, before) = (None, &*state);
        compiled!(self.kernels, {
            let mut words = [0u32; lanes::BLOCK];
            let (mut narrow, mut wide) = ([0i32; lanes::BLOCK], [0i64; lanes::BLOCK]);
            for first in (0..dst.count).step_by(lanes::BLOCK) {
                let count = lanes::BLOCK.min(dst.count - first);
                let words = &mut words[..count];
                random.fill(i.number + first as u64, words);
                let out = &mut steps[lanes::bytes_of(i.dst_format, first)..];
                if let Some(t) = whole {
                    let lanes = &mut narrow[..count];
                    load(before, src.address, src.format, first, lanes);
                    round(lanes, words, t, i.random_bits);
                    misfit = misfit.or_else(|| unfit(lanes, bits).map(|place| first + place));
                    lanes::save(lanes, i.dst_format, out);
                } else {
                    let lanes = &mut wide[..count];
                    load(before, src.address, src.format, first, lanes);
                    for (place, (v, &word)) in (first..).zip(lanes.iter_mut().zip(words.iter())) {
                        let step = stochastic_step(*v, t, word >> drop, i.random_bits);
                        *v = i64::try_from(step).ok().filter(|&v| fits(v, bits)).unwrap_or_else(|| {
                            misfit = misfit.or(Some(place));
                            0
                        });
                    }
                    lanes::save(lanes, i.dst_format, out);
                }
            }
        });
        if let Some(element) = misfit {
            return Err(Fault::Range { pc, element: element as u64 });
        }
        dst.put(state, steps);
        Ok(())
    }

    /// `a ± b`, held to `±limit`; how many were held.
    fn add<const MINUS: bool>(
        &mut self,
        dst: Address,
        a: (Address, Format),
        b: (Address, Format),
        (limit, count): (u64, usize),
        state: &mut State,
    ) -> u64 {
        let (dst, a, b) = (Run::new(dst, a.1, count), Run::new(a.0, a.1, count), Run::new(b.0, b.1, count));
        let kernels = self.kernels;
        lanes!(a.format.bits().max(b.format.bits()) + 1, {
            let limit = signed(limit);
            let [least, most] = [limit.saturating_neg(), limit].map(<Lane as lanes::Lane>::held);
            map(&mut self.out, state, dst, |before, out| {
                compiled!(kernels, {
                    let mut others = [0; lanes::BLOCK];
                    out.fill(
                        #[inline(always)]
                        |first, lanes: &mut [Lane]| {
                            let others = &mut others[..lanes.len()];
                            load(before, a.address, a.format, first, lanes);
                            load(before, b.address, b.format, first, others);
                            let mut held = 0u32;
                            for (v, &w) in lanes.iter_mut().zip(others.iter()) {
                                let sum = if MINUS { v.saturating_sub(w) } else { v.saturating_add(w) };
                                *v = sum.clamp(least, most);
                                held += u32::from(*v != sum);
                            }
                            held.into()
                        },
                    )
                })
            })
        })
    }
}

/// What a table has for codes.
#[inline(always)]
fn looked_up<L: Copy>(codes: &[u8], table: &[L], lanes: &mut [L]) -> u64 {
    lanes.iter_mut().zip(codes).for_each(|(v, &code)| *v = table[usize::from(code)]);
    0
}

/// Gradients rounded stochastically: magnitudes times 2^-t, 1 ≤ t ≤ 31; `bits` of each word are random.
#[inline(always)]
fn round(lanes: &mut [i32], words: &[u32], t: u32, bits: u32) {
    // fraction · 2^bits > random · 2^t, both sides divided by the lesser power so that 32 bits hold them.
    let (left, right) = (bits.saturating_sub(t), t.saturating_sub(bits));
    for (v, &word) in lanes.iter_mut().zip(words) {
        let (magnitude, random) = (v.unsigned_abs(), word >> (32 - bits));
        let fraction = magnitude & ((1 << t) - 1);
        let up = u32::from(fraction << left > random << right);
        let step = ((magnitude >> t) + up).cast_signed();
        *v = if *v < 0 { -step } else { step };
    }
}

/// The first that is no number of `bits` bits.
#[inline(always)]
fn unfit(lanes: &[i32], bits: u32) -> Option<usize> {
    let greatest = 1i32.checked_shl(bits - 1).filter(|_| bits < 32)? - 1;
    let least = -greatest - 1;
    let outside = lanes.iter().fold(0, |outside, v| outside | u32::from(*v > greatest || *v < least));
    (outside != 0).then(|| lanes.iter().position(|v| *v > greatest || *v < least)).flatten()
}
