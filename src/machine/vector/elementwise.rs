//! Instructions that work on each element alone: one pass over memory, in lanes as narrow as formats allow.

use super::lanes::{self, BLOCK, Lane as _, bytes_of, lanes, load, save, spread};
use super::runs::{Run, compute, greatest};
use super::{Vector, format, get, run, signed};
use crate::isa::{Address, Format, VFill, VLookup, VMask, VRelu, VShift, VState, VStochastic};
use crate::machine::kernels::compiled;
use crate::machine::{Fault, State};
use crate::number::{Rounding, clip, fits, max_code, rsh, stochastic_step};

/// The low bit of each of four patterns of two bits.
const ALL: u8 = 0b0101_0101;

/// Of four patterns of two bits, which are among some: `set` has [`ALL`] for each that is, 0 for others.
#[inline(always)]
fn among(patterns: u8, set: [u8; 4]) -> u8 {
    let (low, high) = (patterns, patterns >> 1);
    !high & !low & set[0] | !high & low & set[1] | high & !low & set[2] | high & low & set[3]
}

impl Vector {
    pub(super) fn fill(&mut self, i: &VFill, state: &mut State) {
        let dst = run(i.dst, i.dst_format, i.count);
        lanes!(i.dst_format.bits(), {
            let value = Lane::low_of(i.value.into()).to_le_bytes();
            compiled!(
                self.kernels,
                compute::<Lane>(
                    state,
                    &mut self.copy,
                    (dst, None, dst.none()),
                    #[inline(always)]
                    |_, lanes, _| {
                        lanes.fill(value);
                        0
                    }
                )
            );
        });
    }

    pub(super) fn lookup(&mut self, i: &VLookup, state: &mut State) {
        get(state, i.table, i.dst_format, 256, &mut self.b);
        let runs = (run(i.dst, i.dst_format, i.count), None, run(i.src, format(8), i.count));
        lanes!(i.dst_format.bits(), {
            let mut table = [Lane::default().to_le_bytes(); 256];
            table.iter_mut().zip(&self.b).for_each(|(entry, &v)| *entry = Lane::low_of(v).to_le_bytes());
            compiled!(
                self.kernels,
                compute::<Lane>(
                    state,
                    &mut self.copy,
                    runs,
                    #[inline(always)]
                    |first, lanes, codes| {
                        for (v, &code) in lanes.iter_mut().zip(&codes[first..]) {
                            *v = table[usize::from(code)];
                        }
                        0
                    }
                )
            );
        });
    }

    /// How many were clipped.
    pub(super) fn shift(&mut self, i: &VShift, state: &mut State) -> u64 {
        let n = state.scales[usize::from(i.scale.0)].saturating_add(i.shift.into());
        let n = i32::try_from(n.clamp(-200, 200)).unwrap_or(0);
        let runs = (run(i.dst, i.dst_format, i.count), None, run(i.src, i.src_format, i.count));
        let right = u32::try_from(n).ok().filter(|&n| n < 32 && i.rounding == Rounding::Even);
        let (kernels, copy) = (self.kernels, &mut self.copy);
        let Some(right) = right else {
            return compiled!(kernels, {
                let mut block = [[0; 8]; BLOCK];
                compute::<i64>(
                    state,
                    copy,
                    runs,
                    #[inline(always)]
                    |first, lanes, from| {
                        let block = &mut block[..lanes.len()];
                        let mut clipped = 0;
                        for (v, &x) in
                            lanes.iter_mut().zip(lanes::read::<i64>(from, i.src_format, first, block))
                        {
                            let q = rsh(i64::from_le_bytes(x).into(), n, i.rounding);
                            let code = clip(q, i.bits);
                            *v = code.to_le_bytes();
                            clipped += u64::from(i128::from(code) != q);
                        }
                        clipped
                    },
                )
            });
        };
        lanes!(i.src_format.bits().max(right + 1), {
            type Source = Lane;
            lanes!(
                i.dst_format.bits(),
                compiled!(kernels, shift_even::<Source, Lane>(state, copy, runs, (right, max_code(i.bits))))
            )
        })
    }

    pub(super) fn relu(&mut self, i: &VRelu, state: &mut State) {
        let (dst, src) = (run(i.dst, i.format, i.count), run(i.src, i.format, i.count));
        lanes!(i.format.bits(), {
            compiled!(
                self.kernels,
                compute::<Lane>(
                    state,
                    &mut self.copy,
                    (dst, Some(src), dst.none()),
                    #[inline(always)]
                    |_, lanes, _| {
                        for v in lanes {
                            *v = Lane::from_le_bytes(*v).max(0).to_le_bytes();
                        }
                        0
                    }
                )
            );
        });
    }

    /// |x| > c · 2^n, both sides times 2^-n where n is negative.
    pub(super) fn state(&mut self, i: &VState, state: &mut State) {
        let (up, down) = (i.shift.max(0).unsigned_abs(), i.shift.min(0).unsigned_abs());
        let bound = i128::from(max_code(i.bits)) << up.min(64);
        // The greatest magnitude that is not clipped.
        let most = i64::try_from(bound >> down.min(60)).unwrap_or(i64::MAX);
        let runs = (run(i.dst, format(2), i.count), None, run(i.src, i.src_format, i.count));
        lanes!(i.src_format.bits(), {
            let [least, most] = [-most, most].map(<Lane as lanes::Lane>::held);
            compiled!(self.kernels, {
                let mut block = [Lane::default().to_le_bytes(); BLOCK];
                compute::<i8>(
                    state,
                    &mut self.copy,
                    runs,
                    #[inline(always)]
                    |first, lanes, from| {
                        let block = &mut block[..lanes.len()];
                        let from = lanes::read::<Lane>(from, i.src_format, first, block);
                        for (v, &x) in lanes.iter_mut().zip(from) {
                            let x = Lane::from_le_bytes(x);
                            // Both are asked: else the ends are looked up lane by lane where they are needed.
                            let clipped = (x > most) | (x < least);
                            *v = [if clipped { 2 } else { u8::from(x > 0) }];
                        }
                        0
                    },
                )
            });
        });
    }

    pub(super) fn mask(&mut self, i: &VMask, state: &mut State) {
        let (dst, src) = (run(i.dst, i.format, i.count), run(i.src, i.format, i.count));
        let states = run(i.states, format(2), i.count);
        let keep = [0, 1, 2, 3].map(|state| if i.keep >> state & 1 == 1 { ALL } else { 0 });
        lanes!(i.format.bits(), {
            compiled!(self.kernels, {
                let mut kept = [0u8; BLOCK];
                compute::<Lane>(
                    state,
                    &mut self.copy,
                    (dst, Some(src), states),
                    #[inline(always)]
                    |first, lanes, states| {
                        for (four, &states) in kept.as_chunks_mut().0.iter_mut().zip(&states[first / 4..]) {
                            *four = spread(among(states, keep));
                        }
                        for (v, &keep) in lanes.iter_mut().zip(&kept) {
                            *v = Lane::from_le_bytes(*v).kept(keep).to_le_bytes();
                        }
                        0
                    },
                )
            });
        });
    }

    pub(super) fn greatest(&self, src: Run, state: &State) -> u64 {
        lanes!(src.format.bits(), compiled!(self.kernels, greatest::<Lane>(state, src)))
    }

    /// `a ± b`, held to `±limit`; how many were held.
    pub(super) fn add<const MINUS: bool>(
        &mut self,
        dst: Address,
        a: (Address, Format),
        b: (Address, Format),
        (limit, count): (u64, u32),
        state: &mut State,
    ) -> u64 {
        let (dst, a, b) = (run(dst, a.1, count), run(a.0, a.1, count), run(b.0, b.1, count));
        let limit = signed(limit);
        // Where a lane's end is beyond the limit, what is held to the lane is held to the limit, or there is a bit more.
        let bits = a.format.bits().max(b.format.bits());
        lanes!(bits + u32::from(limit >= i64::MAX >> (64 - bits)), {
            let [least, most] = [limit.saturating_neg(), limit].map(<Lane as lanes::Lane>::held);
            compiled!(self.kernels, {
                let mut block = [Lane::default().to_le_bytes(); BLOCK];
                compute::<Lane>(
                    state,
                    &mut self.copy,
                    (dst, Some(a), b),
                    #[inline(always)]
                    |first, lanes, from| {
                        let block = &mut block[..lanes.len()];
                        let others = lanes::read::<Lane>(from, b.format, first, block);
                        // Here, or they would be read anew for each lane.
                        let (least, most) = (least, most);
                        let mut held = 0u32;
                        for (v, &w) in lanes.iter_mut().zip(others) {
                            let (x, w) = (Lane::from_le_bytes(*v), Lane::from_le_bytes(w));
                            let sum = if MINUS { x.saturating_sub(w) } else { x.saturating_add(w) };
                            let kept = sum.max(least).min(most);
                            *v = kept.to_le_bytes();
                            held += u32::from(kept != sum);
                        }
                        held.into()
                    },
                )
            })
        })
    }

    pub(super) fn stochastic(&mut self, pc: u32, i: &VStochastic, state: &mut State) -> Result<(), Fault> {
        let t = state.scales[usize::from(i.scale.0)].clamp(-200, 200);
        let t = i32::try_from(t).unwrap_or(0);
        let dst = run(i.dst, i.dst_format, i.count);
        // Nothing is written where a step does not fit: what is computed goes to a copy first.
        self.steps.resize(bytes_of(i.dst_format, dst.count), 0);
        let steps = &mut self.steps;
        let misfit = lanes!(
            i.dst_format.bits(),
            compiled!(self.kernels, stochastic_steps::<Lane>(i, t, state, steps))
        );
        if let Some(element) = misfit {
            return Err(Fault::Range { pc, element });
        }
        dst.put(state, &self.steps);
        Ok(())
    }
}

/// Elements times 2^-`right`, ties to even, held to `±limit`; how many were.
#[inline(always)]
fn shift_even<S: lanes::Lane, D: lanes::Lane>(
    state: &mut State,
    copy: &mut Vec<u8>,
    runs: (Run, Option<Run>, Run),
    (right, limit): (u32, i64),
) -> u64 {
    let (least, most, format) = (S::held(-limit), S::held(limit), runs.2.format);
    let mut block = [S::Bytes::default(); BLOCK];
    compute::<D>(
        state,
        copy,
        runs,
        #[inline(always)]
        |first, lanes, from| {
            let block = &mut block[..lanes.len()];
            let mut clipped = 0u32;
            for (v, &x) in lanes.iter_mut().zip(lanes::read::<S>(from, format, first, block)) {
                let q = S::of_bytes(x).shift_even(right);
                let held = q.max(least).min(most);
                *v = D::low_of(held.wide()).bytes();
                clipped += u32::from(held != q);
            }
            clipped.into()
        },
    )
}

/// The steps of gradients times 2^-t, or the first that does not fit.
#[inline(always)]
fn stochastic_steps<L: lanes::Lane>(i: &VStochastic, t: i32, state: &State, out: &mut [u8]) -> Option<u64> {
    let src = run(i.src, i.src_format, i.count);
    let (from, random, bits) = (src.bytes(state), state.rounding_words(), i.dst_format.bits());
    let narrow = u32::try_from(t).ok().filter(|t| (1..=31).contains(t) && i.src_format.bits() <= 32);
    let (mut words, mut block) = ([0u32; BLOCK], [[0; 4]; BLOCK]);
    let mut steps = [L::Bytes::default(); BLOCK];
    for first in (0..src.count).step_by(BLOCK) {
        let count = BLOCK.min(src.count - first);
        let (words, steps) = (&mut words[..count], &mut steps[..count]);
        random.fill(i.number + first as u64, words);
        let all_fit = match narrow {
            Some(t) => {
                let from = lanes::read::<i32>(from, i.src_format, first, &mut block[..count]);
                round::<L>(from, words, (t, i.random_bits, bits), steps)
            }
            None => false,
        };
        if !all_fit {
            let misfit = one_by_one::<L>(i, t, (from, first), words, steps);
            if misfit.is_some() {
                return misfit;
            }
        }
        save::<L>(steps, i.dst_format, &mut out[bytes_of(i.dst_format, first)..]);
    }
    None
}

/// The same of some from the first on, whatever t is.
fn one_by_one<L: lanes::Lane>(
    i: &VStochastic,
    t: i32,
    (from, first): (&[u8], usize),
    words: &[u32],
    steps: &mut [L::Bytes],
) -> Option<u64> {
    let mut block = [[0; 8]; BLOCK];
    load::<i64>(from, i.src_format, first, &mut block[..words.len()]);
    for (n, ((step, &x), &word)) in (first as u64..).zip(steps.iter_mut().zip(&block).zip(words)) {
        let random = word >> (32 - i.random_bits);
        let exact = stochastic_step(i64::from_le_bytes(x), t, random, i.random_bits);
        match i64::try_from(exact).ok().filter(|&k| fits(k, i.dst_format.bits())) {
            Some(k) => *step = L::low_of(k).bytes(),
            None => return Some(n),
        }
    }
    None
}

/// The same where 1 ≤ t ≤ 31; whether all are numbers of `bits` bits. Some bits of each word, its first, are random.
#[inline(always)]
fn round<L: lanes::Lane>(
    gradients: &[[u8; 4]],
    words: &[u32],
    (t, random_bits, bits): (u32, u32, u32),
    steps: &mut [L::Bytes],
) -> bool {
    let random = u32::MAX << (32 - random_bits);
    let greatest = i32::MAX >> (32 - bits.min(32));
    let (mut least, mut most) = (0, 0);
    for ((step, &g), &word) in steps.iter_mut().zip(gradients).zip(words) {
        let g = i32::from_le_bytes(g);
        let magnitude = g.unsigned_abs();
        // What is shifted out and what is random, as shares of 2^32.
        let up = u32::from(magnitude << (32 - t) > word & random);
        let k = ((magnitude >> t) + up).cast_signed();
        let k = if g < 0 { -k } else { k };
        (least, most) = (k.min(least), k.max(most));
        *step = L::low_of(k.into()).bytes();
    }
    most <= greatest && least >= -greatest - 1
}
