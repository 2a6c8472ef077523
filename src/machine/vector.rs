//! The vector unit: every instruction as its meaning in the table says, on runs of elements.

use super::values::{read, read_unsigned, write};
use super::{Fault, Outcome, State};
use crate::isa::{Address, Format, Instr, VPool, VShift, VStochastic, VUnpool};
use crate::number::{Stream, StreamKind, clip, exponent, max_code, rsh, stochastic_step};
use crate::program::Step;

/// The vector unit's scratch.
#[derive(Debug, Default)]
pub(super) struct Vector {
    a: Vec<i64>,
    b: Vec<i64>,
    patterns: Vec<u64>,
    words: Vec<u32>,
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
            Instr::VLookup(i) => {
                get(state, i.table, i.dst_format, 256, b);
                get_unsigned(state, i.src, format(8), size(i.count), patterns);
                a.clear();
                a.extend(patterns.iter().map(|&p| b[usize::try_from(p).unwrap_or(0)]));
                put(state, i.dst, i.dst_format, a);
            }
            Instr::VShift(i) => outcome.clipped = self.shift(i, state),
            Instr::VRelu(i) => {
                get(state, i.src, i.format, size(i.count), a);
                a.iter_mut().for_each(|v| *v = (*v).max(0));
                put(state, i.dst, i.format, a);
            }
            Instr::VState(i) => {
                get(state, i.src, i.src_format, size(i.count), a);
                // |x| > c · 2^n, both sides times 2^-n where n is negative.
                let (up, down) = (i.shift.max(0).unsigned_abs(), i.shift.min(0).unsigned_abs());
                let bound = i128::from(max_code(i.bits)) << up.min(64);
                for v in a.iter_mut() {
                    let clipped = i128::from(v.unsigned_abs()) << down.min(60) > bound;
                    *v = if clipped { 2 } else { i64::from(*v > 0) };
                }
                put(state, i.dst, format(2), a);
            }
            Instr::VMask(i) => {
                get(state, i.src, i.format, size(i.count), a);
                get_unsigned(state, i.states, format(2), size(i.count), patterns);
                for (v, &s) in a.iter_mut().zip(patterns.iter()) {
                    *v *= i64::from(i.keep >> s & 1);
                }
                put(state, i.dst, i.format, a);
            }
            Instr::VPool(i) => self.pool(i, state),
            Instr::VUnpool(i) => outcome.clipped = self.unpool(i, state),
            Instr::VMaxabs(i) => {
                get(state, i.src, i.src_format, size(i.count), a);
                let greatest = a.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
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
                let sum: u128 = a.iter().map(|v| u128::from(v.unsigned_abs()).pow(2)).sum();
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
                get(state, i.a, i.format, size(i.count), a);
                get(state, i.b, i.b_format, size(i.count), b);
                b.iter_mut().for_each(|v| *v = v.saturating_neg());
                outcome.clipped = add_clamped(a, b, i.limit);
                put(state, i.dst, i.format, a);
            }
            Instr::VAdd(i) => {
                get(state, i.a, i.format, size(i.count), a);
                get(state, i.b, i.b_format, size(i.count), b);
                outcome.clipped = add_clamped(a, b, i.limit);
                put(state, i.dst, i.format, a);
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

    fn shift(&mut self, i: &VShift, state: &mut State) -> u64 {
        let n = i64::from(i.shift) + state.scales[usize::from(i.scale.0)];
        let n = i32::try_from(n.clamp(-200, 200)).unwrap_or(0);
        get(state, i.src, i.src_format, size(i.count), &mut self.a);
        let mut clipped = 0;
        let limit = max_code(i.bits);
        match u32::try_from(n) {
            Ok(n) if n <= 40 && i.rounding == crate::number::Rounding::Even => {
                // floor(x + half - 1 + (bit n of x)) >> n rounds ties to even; |x| < 2^62 leaves room.
                let (half, odd) = if n > 0 { ((1i64 << (n - 1)) - 1, 1) } else { (0, 0) };
                for v in &mut self.a {
                    let q = v.saturating_add(half + (*v >> n & odd)) >> n;
                    *v = q.clamp(-limit, limit);
                    clipped += u64::from(*v != q);
                }
            }
            _ => {
                for v in &mut self.a {
                    let q = rsh(i128::from(*v), n, i.rounding);
                    *v = clip(q, i.bits);
                    clipped += u64::from(i128::from(*v) != q);
                }
            }
        }
        put(state, i.dst, i.dst_format, &self.a);
        clipped
    }

    fn pool(&mut self, i: &VPool, state: &mut State) {
        let (channels, row_stride, image_stride) =
            (size(i.channels), size(i.row_stride), size(i.image_stride));
        let (window, step) = (size(i.window), size(i.step));
        let (rows, cols) = (size(i.out_rows), size(i.out_cols));
        let last_row = (rows - 1) * step + window - 1;
        let last_col = (cols - 1) * step + window - 1;
        let count = (size(i.images) - 1) * image_stride + last_row * row_stride + (last_col + 1) * channels;
        get(state, i.src, i.format, count, &mut self.b);
        self.a.clear();
        let mut places = Vec::with_capacity(size(i.images) * rows * cols * channels);
        for image in self.b.chunks(image_stride) {
            for y in 0..rows {
                for x in 0..cols {
                    let corner = y * step * row_stride + x * step * channels;
                    let at = self.a.len();
                    self.a.extend_from_slice(&image[corner..corner + channels]);
                    places.resize(at + channels, 0);
                    for (w, place) in (1..window * window).zip(1i64..) {
                        let from = corner + w / window * row_stride + w % window * channels;
                        let values = &image[from..from + channels];
                        let best = self.a[at..].iter_mut().zip(&mut places[at..]);
                        for ((v, p), &candidate) in best.zip(values) {
                            if candidate > *v {
                                (*v, *p) = (candidate, place);
                            }
                        }
                    }
                }
            }
        }
        put(state, i.dst, i.format, &self.a);
        put(state, i.place, i.place_format, &places);
    }

    fn unpool(&mut self, i: &VUnpool, state: &mut State) -> u64 {
        let (channels, window, step) = (size(i.channels), size(i.window), size(i.step));
        let (rows, cols) = (size(i.in_rows), size(i.in_cols));
        let (height, width) = (size(i.height), size(i.width));
        let count = size(i.images) * rows * cols * channels;
        get(state, i.src, i.format, count, &mut self.a);
        get_unsigned(state, i.place, i.place_format, count, &mut self.patterns);
        self.b.clear();
        self.b.resize(size(i.images) * height * width * channels, 0);
        let pixels = self.a.chunks(channels).zip(self.patterns.chunks(channels));
        for (pixel, (values, places)) in pixels.enumerate() {
            let (image, y, x) = (pixel / (rows * cols), pixel / cols % rows, pixel % cols);
            for (c, (&v, &p)) in values.iter().zip(places).enumerate() {
                let p = usize::try_from(p).unwrap_or(0);
                let (y, x) = (y * step + p / window, x * step + p % window);
                if y < height && x < width {
                    self.b[((image * height + y) * width + x) * channels + c] += v;
                }
            }
        }
        let limit = max_code(i.bits);
        let mut clipped = 0;
        for v in &mut self.b {
            let held = (*v).clamp(-limit, limit);
            clipped += u64::from(held != *v);
            *v = held;
        }
        put(state, i.dst, i.format, &self.b);
        clipped
    }

    fn stochastic(&mut self, pc: u32, i: &VStochastic, state: &mut State) -> Result<(), Fault> {
        let t = state.scales[usize::from(i.scale.0)].clamp(-200, 200);
        let t = i32::try_from(t).unwrap_or(0);
        get(state, i.src, i.src_format, size(i.count), &mut self.a);
        self.words.clear();
        self.words.resize(size(i.count), 0);
        let stream = Stream { seed: state.seed, step: state.step, kind: StreamKind::Rounding };
        stream.fill(i.number, &mut self.words);
        let bits = i.dst_format.bits();
        for (element, (v, &word)) in (0u64..).zip(self.a.iter_mut().zip(&self.words)) {
            let k = stochastic_step(*v, t, word >> (32 - i.random_bits), i.random_bits);
            let held = i64::try_from(k).ok().filter(|&k| crate::number::fits(k, bits));
            *v = held.ok_or(Fault::Range { pc, element })?;
        }
        put(state, i.dst, i.dst_format, &self.a);
        Ok(())
    }
}

/// `a += b`, held to `±limit`; how many were held.
fn add_clamped(a: &mut [i64], b: &[i64], limit: u64) -> u64 {
    let limit = signed(limit);
    let mut clipped = 0;
    for (v, &w) in a.iter_mut().zip(b) {
        let sum = v.saturating_add(w);
        *v = sum.clamp(-limit, limit);
        clipped += u64::from(*v != sum);
    }
    clipped
}
