//! The vector unit: every instruction as its meaning in the table says. An instruction reads all it reads before it writes.

mod lanes;
mod windows;

use std::sync::atomic::{AtomicU64, Ordering};

use super::values::{read, read_unsigned, write};
use super::{Fault, Outcome, State};
use crate::isa::{Address, Format, Instr, VLookup, VMask, VShift, VState, VStochastic};
use crate::number::{Rounding, Stream, StreamKind, clip, exponent, fits, max_code, rsh, stochastic_step};
use crate::program::Step;
use lanes::{Lane as _, load, load_unsigned, map};

/// The vector unit's scratch.
#[derive(Debug, Default)]
pub(super) struct Vector {
    a: Vec<i64>,
    b: Vec<i64>,
    patterns: Vec<u64>,
    out: Vec<u8>,
    places: Vec<u8>,
}

/// Evaluates a body with `Lane` the narrowest lane that holds sums of elements of these formats.
macro_rules! lanes {
    ([$($format:expr),+], $body:expr) => {
        if [$($format.bits()),+].into_iter().all(|bits| bits < 32 || (bits == 32 && [$($format),+].len() == 1)) {
            type Lane = i32;
            $body
        } else {
            type Lane = i64;
            $body
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

fn set_scale(state: &mut State, index: u8, value: i64) {
    if index != 0 {
        state.scales[usize::from(index)] = value;
    }
}

impl Vector {
    pub(super) fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let Vector { a, b, patterns, .. } = self;
        let mut outcome = Outcome::default();
        match &step.instr {
            Instr::VFill(i) => {
                a.clear();
                a.resize(size(i.count), i.value.into());
                put(state, i.dst, i.dst_format, a);
            }
            Instr::VLookup(i) => self.lookup(i, state),
            Instr::VShift(i) => outcome.clipped = self.shift(i, state),
            Instr::VRelu(i) => {
                let (dst, src, count) = ((i.dst, i.format), (i.src, i.format), size(i.count));
                lanes!(
                    [i.format],
                    map(state, &mut self.out, dst, count, |before, first, lanes: &mut [Lane]| {
                        load(before, src.0, src.1, first, lanes);
                        lanes.iter_mut().for_each(|v| *v = (*v).max(0));
                        0
                    })
                );
            }
            Instr::VState(i) => self.state(i, state),
            Instr::VMask(i) => self.mask(i, state),
            Instr::VPool(i) => lanes!([i.format], {
                windows::pool::<Lane>(i, state, &mut self.out, &mut self.places);
            }),
            Instr::VUnpool(i) => {
                outcome.clipped = lanes!([i.format], windows::unpool::<Lane>(i, state, &mut self.out));
            }
            Instr::VMaxabs(i) => {
                let greatest = lanes!([i.src_format], {
                    lanes::greatest(state, (i.src, i.src_format), size(i.count), |lanes: &[Lane]| {
                        lanes.iter().map(|v| v.wide().unsigned_abs()).max().unwrap_or(0)
                    })
                });
                let greatest = i64::try_from(greatest).unwrap_or(i64::MAX);
                set_scale(state, i.dst.0, state.scales[usize::from(i.dst.0)].max(greatest));
            }
            Instr::VOnehot(i) => {
                let columns = size(i.columns);
                get(state, i.src, i.src_format, size(i.rows) * columns, a);
                get_unsigned(state, i.labels, format(16), size(i.rows), patterns);
                for (row, &label) in a.chunks_mut(columns).zip(patterns.iter()) {
                    if let Some(v) = usize::try_from(label).ok().and_then(|l| row.get_mut(l)) {
                        *v -= 1 << i.shift;
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
            Instr::VStochastic(i) => self.stochastic(step.pc, i, state)?,
            Instr::VSub(i) => {
                let (a, b) = ((i.a, i.format), (i.b, i.b_format));
                outcome.clipped = self.add::<true>(i.dst, a, b, i.limit, size(i.count), state);
            }
            Instr::VAdd(i) => {
                let (a, b) = ((i.a, i.format), (i.b, i.b_format));
                outcome.clipped = self.add::<false>(i.dst, a, b, i.limit, size(i.count), state);
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
        let table = &self.b;
        map(
            state,
            &mut self.out,
            (i.dst, i.dst_format),
            size(i.count),
            |before, first, lanes: &mut [i64]| {
                let at = usize::try_from(i.src.offset).unwrap_or(usize::MAX) + first;
                let bytes = &before.memory(i.src.memory)[at..at + lanes.len()];
                lanes.iter_mut().zip(bytes).for_each(|(v, &b)| *v = table[usize::from(b)]);
                0
            },
        );
    }

    fn shift(&mut self, i: &VShift, state: &mut State) -> u64 {
        let n = i64::from(i.shift) + state.scales[usize::from(i.scale.0)];
        let n = i32::try_from(n.clamp(-200, 200)).unwrap_or(0);
        let (dst, src, count) = ((i.dst, i.dst_format), (i.src, i.src_format), size(i.count));
        let right = u32::try_from(n).ok().filter(|&n| n < 32 && i.rounding == Rounding::Even);
        let Some(right) = right else {
            return map(state, &mut self.out, dst, count, |before, first, lanes: &mut [i64]| {
                load(before, src.0, src.1, first, lanes);
                let mut clipped = 0;
                for v in lanes {
                    let q = rsh(i128::from(*v), n, i.rounding);
                    *v = clip(q, i.bits);
                    clipped += u64::from(i128::from(*v) != q);
                }
                clipped
            });
        };
        lanes!([i.src_format], {
            let limit = <Lane as lanes::Lane>::held(max_code(i.bits));
            map(state, &mut self.out, dst, count, |before, first, lanes: &mut [Lane]| {
                load(before, src.0, src.1, first, lanes);
                let mut clipped = 0u32;
                for v in lanes {
                    let q = v.shift_even(right);
                    *v = q.clamp(-limit, limit);
                    clipped += u32::from(*v != q);
                }
                clipped.into()
            })
        })
    }

    /// |x| > c · 2^n, both sides times 2^-n where n is negative.
    fn state(&mut self, i: &VState, state: &mut State) {
        let (up, down) = (i.shift.max(0).unsigned_abs(), i.shift.min(0).unsigned_abs());
        let bound = i128::from(max_code(i.bits)) << up.min(64);
        // The greatest magnitude that is not clipped.
        let most = i64::try_from(bound >> down.min(60)).unwrap_or(i64::MAX);
        let (dst, src, count) = ((i.dst, format(2)), (i.src, i.src_format), size(i.count));
        lanes!([i.src_format], {
            let (least, most) = (-most, most);
            let [least, most] = [least, most].map(<Lane as lanes::Lane>::held);
            map(state, &mut self.out, dst, count, |before, first, lanes: &mut [Lane]| {
                load(before, src.0, src.1, first, lanes);
                for v in lanes {
                    let clipped = *v > most || *v < least;
                    *v = if clipped { 2 } else { Lane::from(*v > 0) };
                }
                0
            })
        });
    }

    fn mask(&mut self, i: &VMask, state: &mut State) {
        let (dst, src, count) = ((i.dst, i.format), (i.src, i.format), size(i.count));
        let kept: [bool; 4] = std::array::from_fn(|s| i.keep >> s & 1 == 1);
        lanes!(
            [i.format],
            map(state, &mut self.out, dst, count, |before, first, lanes: &mut [Lane]| {
                let mut states = [0u8; lanes::BLOCK];
                let states = &mut states[..lanes.len()];
                load(before, src.0, src.1, first, lanes);
                load_unsigned(before, i.states, format(2), first, states);
                for (v, &s) in lanes.iter_mut().zip(states.iter()) {
                    *v = if kept[usize::from(s & 3)] { *v } else { 0 };
                }
                0
            })
        );
    }

    fn stochastic(&mut self, pc: u32, i: &VStochastic, state: &mut State) -> Result<(), Fault> {
        let t = state.scales[usize::from(i.scale.0)].clamp(-200, 200);
        let t = i32::try_from(t).unwrap_or(0);
        let stream = Stream { seed: state.seed, step: state.step, kind: StreamKind::Rounding };
        let (dst, src, count) = ((i.dst, i.dst_format), (i.src, i.src_format), size(i.count));
        let bits = i.dst_format.bits();
        // |g| < 2^31 and t <= 31 leave room for the fraction times 2^random_bits in 64 bits.
        let narrow = i.src_format.bits() <= 32;
        let whole = u32::try_from(t).ok().filter(|&t| (1..=31).contains(&t) && narrow);
        let misfits = AtomicU64::new(u64::MAX);
        let misfit = |element: u64| misfits.fetch_min(element, Ordering::Relaxed);
        map(state, &mut self.out, dst, count, |before, first, lanes: &mut [i64]| {
            let mut words = [0u32; lanes::BLOCK];
            let words = &mut words[..lanes.len()];
            stream.fill(i.number + first as u64, words);
            load(before, src.0, src.1, first, lanes);
            let drop = 32 - i.random_bits;
            match whole {
                Some(t) => {
                    for (v, &word) in lanes.iter_mut().zip(words.iter()) {
                        let (magnitude, random) = (v.unsigned_abs(), u64::from(word >> drop));
                        let fraction = magnitude & ((1 << t) - 1);
                        let up = u64::from(fraction << i.random_bits > random << t);
                        let step = i64::try_from((magnitude >> t) + up).unwrap_or(i64::MAX);
                        *v = if *v < 0 { -step } else { step };
                    }
                }
                None => {
                    for (place, (v, &word)) in (first as u64..).zip(lanes.iter_mut().zip(words.iter())) {
                        let step = stochastic_step(*v, t, word >> drop, i.random_bits);
                        *v = i64::try_from(step).unwrap_or_else(|_| {
                            misfit(place);
                            0
                        });
                    }
                }
            }
            if let Some(place) = lanes.iter().position(|&v| !fits(v, bits)) {
                misfit((first + place) as u64);
            }
            0
        });
        match misfits.into_inner() {
            u64::MAX => Ok(()),
            element => Err(Fault::Range { pc, element }),
        }
    }

    /// `a ± b`, held to `±limit`; how many were held.
    fn add<const MINUS: bool>(
        &mut self,
        dst: Address,
        a: (Address, Format),
        b: (Address, Format),
        limit: u64,
        count: usize,
        state: &mut State,
    ) -> u64 {
        lanes!([a.1, b.1], {
            let limit = <Lane as lanes::Lane>::held(signed(limit));
            map(state, &mut self.out, (dst, a.1), count, |before, first, lanes: &mut [Lane]| {
                let mut others = [0; lanes::BLOCK];
                let others = &mut others[..lanes.len()];
                load(before, a.0, a.1, first, lanes);
                load(before, b.0, b.1, first, others);
                let mut held = 0u32;
                for (v, &w) in lanes.iter_mut().zip(others.iter()) {
                    let sum = if MINUS { v.saturating_sub(w) } else { v.saturating_add(w) };
                    *v = sum.clamp(-limit, limit);
                    held += u32::from(*v != sum);
                }
                held.into()
            })
        })
    }
}
