//! Elements in lanes: blocks of them read from memory, worked on and written, wide enough that nothing is lost.

use crate::isa::{Address, Format};
use crate::machine::State;
use crate::machine::state::{element, set_element};

/// Elements of a block; a whole number of bytes in every format.
pub(super) const BLOCK: usize = 1024;

/// A whole number that elements are worked on in.
pub(super) trait Lane: Copy + Default + Ord + std::ops::Neg<Output = Self> {
    /// A value, held to the lane's ends.
    fn held(value: i64) -> Self;
    /// The value.
    fn wide(self) -> i64;
    /// The sum, held to the lane's ends.
    fn plus(self, other: Self) -> Self;
    /// `x · 2^-n`, ties to even; `n` is less than the lane's bits.
    fn shift_even(self, n: u32) -> Self;
    /// The value where bit 0 of `keep` is set, else 0.
    fn kept(self, keep: u8) -> Self;
    /// The greatest magnitude among lanes.
    fn greatest_magnitude(lanes: &[Self]) -> u64;
    /// The low bits of a value, all of it where the lane holds it.
    fn of_i32(value: i32) -> Self;
    /// The low 32 bits.
    fn low(self) -> u32;
}

macro_rules! lane {
    ($lane:ty, $unsigned:ty) => {
        impl Lane for $lane {
            #[inline(always)]
            fn held(value: i64) -> Self {
                Self::try_from(value.clamp(Self::MIN.into(), Self::MAX.into())).unwrap_or(0)
            }

            #[inline(always)]
            fn wide(self) -> i64 {
                self.into()
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.saturating_add(other)
            }

            #[inline(always)]
            fn shift_even(self, n: u32) -> Self {
                // What is shifted out, as a share of 2^BITS: above half, or half and odd, rounds up.
                let floor = self >> n;
                let rest = if n == 0 { 0 } else { self.cast_unsigned() << (Self::BITS - n) };
                let half: $unsigned = 1 << (Self::BITS - 1);
                let up = rest > half || (rest == half && floor & 1 == 1);
                floor + Self::from(up)
            }

            #[inline(always)]
            fn kept(self, keep: u8) -> Self {
                if keep & 1 == 1 { self } else { 0 }
            }

            #[inline(always)]
            fn greatest_magnitude(lanes: &[Self]) -> u64 {
                lanes.iter().fold(0, |greatest: $unsigned, v| greatest.max(v.unsigned_abs())).into()
            }

            #[inline(always)]
            fn of_i32(value: i32) -> Self {
                Self::from_le_bytes(*i64::from(value).to_le_bytes().first_chunk().expect("no lane is wider"))
            }

            #[inline(always)]
            fn low(self) -> u32 {
                let [a, b, c, d, ..] = self.wide().to_le_bytes();
                u32::from_le_bytes([a, b, c, d])
            }
        }
    };
}

lane!(i8, u8);
lane!(i16, u16);
lane!(i32, u32);
lane!(i64, u64);

pub(super) fn start(address: Address) -> usize {
    usize::try_from(address.offset).unwrap_or(usize::MAX)
}

pub(super) fn bytes_of(format: Format, count: usize) -> usize {
    usize::try_from(format.bytes(count as u64)).unwrap_or(usize::MAX)
}

/// Two's complement elements `first`, `first + 1`, … ; `first` is a multiple of 8 or the format whole bytes.
#[inline(always)]
pub(super) fn load<L: Lane>(state: &State, address: Address, format: Format, first: usize, out: &mut [L]) {
    let (bytes, at, n) = (state.memory(address.memory), start(address), out.len());
    match format.bits() {
        8 => {
            let bytes = &bytes[at + first..][..n];
            out.iter_mut().zip(bytes).for_each(|(o, &b)| *o = L::of_i32(b.cast_signed().into()));
        }
        16 => {
            let words = bytes[at + 2 * first..][..2 * n].as_chunks::<2>().0;
            out.iter_mut().zip(words).for_each(|(o, &w)| *o = L::of_i32(i16::from_le_bytes(w).into()));
        }
        24 => {
            let words = bytes[at + 3 * first..][..3 * n].as_chunks::<3>().0;
            for (o, &[a, b, c]) in out.iter_mut().zip(words) {
                *o = L::of_i32(i32::from_le_bytes([0, a, b, c]) >> 8);
            }
        }
        32 => {
            let words = bytes[at + 4 * first..][..4 * n].as_chunks::<4>().0;
            out.iter_mut().zip(words).for_each(|(o, &w)| *o = L::of_i32(i32::from_le_bytes(w)));
        }
        _ => {
            for (i, o) in (first as u64..).zip(out) {
                *o = L::held(element(bytes, at, format, i));
            }
        }
    }
}

/// Two bits each of four patterns, a byte for each.
#[inline(always)]
fn spread(packed: u8) -> [u8; 4] {
    let packed = u32::from(packed);
    ((packed | packed << 6 | packed << 12 | packed << 18) & 0x0303_0303).to_le_bytes()
}

/// The low two bits of four bytes.
#[inline(always)]
fn gathered(bytes: [u8; 4]) -> u8 {
    let bits = u32::from_le_bytes(bytes) & 0x0303_0303;
    (bits | bits >> 6 | bits >> 12 | bits >> 18).to_le_bytes()[0]
}

/// Unsigned elements of at most 8 bits; `first` is a multiple of 8.
#[inline(always)]
pub(super) fn load_unsigned(state: &State, address: Address, format: Format, first: usize, out: &mut [u8]) {
    let (bytes, at, n) = (state.memory(address.memory), start(address), out.len());
    match format.bits() {
        2 => {
            let packed = &bytes[at + first / 4..][..n.div_ceil(4)];
            let (quads, rest) = out.as_chunks_mut::<4>();
            quads.iter_mut().zip(packed).for_each(|(quad, &b)| *quad = spread(b));
            let last = spread(packed.last().copied().unwrap_or(0));
            rest.iter_mut().zip(last).for_each(|(o, pattern)| *o = pattern);
        }
        8 => out.copy_from_slice(&bytes[at + first..][..n]),
        _ => {
            for (i, o) in (first as u64..).zip(out) {
                let pattern = crate::machine::state::unsigned_element(bytes, at, format, i);
                *o = u8::try_from(pattern).unwrap_or(u8::MAX);
            }
        }
    }
}

/// The low bits of `values` from bit 0 of `out` on; bits behind the last stay.
#[inline(always)]
pub(super) fn save<L: Lane>(values: &[L], format: Format, out: &mut [u8]) {
    match format.bits() {
        8 => out.iter_mut().zip(values).for_each(|(o, v)| *o = v.low().to_le_bytes()[0]),
        16 => {
            let words = out.as_chunks_mut::<2>().0;
            words.iter_mut().zip(values).for_each(|(o, v)| {
                let [a, b, ..] = v.low().to_le_bytes();
                *o = [a, b];
            });
        }
        24 => {
            let words = out.as_chunks_mut::<3>().0;
            words.iter_mut().zip(values).for_each(|(o, v)| {
                let [a, b, c, _] = v.low().to_le_bytes();
                *o = [a, b, c];
            });
        }
        32 => {
            let words = out.as_chunks_mut::<4>().0;
            words.iter_mut().zip(values).for_each(|(o, v)| *o = v.low().to_le_bytes());
        }
        2 => {
            let mut bytes = [0; BLOCK];
            for (values, out) in values.chunks(BLOCK).zip(out.chunks_mut(BLOCK / 4)) {
                bytes.iter_mut().zip(values).for_each(|(b, v)| *b = v.low().to_le_bytes()[0]);
                save_pairs(&bytes[..values.len()], out);
            }
        }
        _ => {
            for (i, v) in (0u64..).zip(values) {
                set_element(out, 0, format, i, v.wide());
            }
        }
    }
}

/// The low two bits of bytes; bits behind the last stay.
#[inline(always)]
fn save_pairs(bytes: &[u8], out: &mut [u8]) {
    let (quads, rest) = bytes.as_chunks::<4>();
    out.iter_mut().zip(quads).for_each(|(o, &quad)| *o = gathered(quad));
    if let Some(last) = out.get_mut(quads.len()).filter(|_| !rest.is_empty()) {
        let mut quad = spread(*last);
        quad.iter_mut().zip(rest).for_each(|(q, &r)| *q = r);
        *last = gathered(quad);
    }
}

/// The low bits of unsigned bytes from bit 0 of `out` on; bits behind the last stay.
#[inline(always)]
pub(super) fn save_unsigned(bytes: &[u8], format: Format, out: &mut [u8]) {
    match format.bits() {
        2 => save_pairs(bytes, out),
        8 => out[..bytes.len()].copy_from_slice(bytes),
        _ => {
            for (i, &b) in (0u64..).zip(bytes) {
                set_element(out, 0, format, i, b.into());
            }
        }
    }
}

/// Elements in a memory: from a byte on, so many of a format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) address: Address,
    pub(super) format: Format,
    pub(super) count: usize,
}

impl Run {
    /// So many elements at an address.
    pub(super) fn new(address: Address, format: Format, count: usize) -> Run {
        Run { address, format, count }
    }

    /// Memory from its element `first` on, a multiple of 8.
    pub(super) fn bytes_from(self, state: &mut State, first: usize) -> &mut [u8] {
        &mut state.memory_mut(self.address.memory)[start(self.address) + bytes_of(self.format, first)..]
    }

    /// Puts bytes that hold its elements at their place; bits behind the last stay.
    pub(super) fn put(self, state: &mut State, bytes: &[u8]) {
        let bits = self.count * usize::try_from(self.format.bits()).unwrap_or(0);
        let to = self.bytes_from(state, 0);
        to[..bits / 8].copy_from_slice(&bytes[..bits / 8]);
        if !bits.is_multiple_of(8) {
            let mask = (1u8 << (bits % 8)) - 1;
            let last = &mut to[bits / 8];
            *last = *last & !mask | bytes[bits / 8] & mask;
        }
    }
}

/// The elements of a destination, beside the memory they will stand in.
pub(super) struct Elements<'a> {
    count: usize,
    format: Format,
    out: &'a mut [u8],
}

impl Elements<'_> {
    /// Computes them block by block. `each` fills those from its first argument on and returns a count, whose sum comes back.
    #[inline(always)]
    pub(super) fn fill<L: Lane>(&mut self, mut each: impl FnMut(usize, &mut [L]) -> u64) -> u64 {
        let mut lanes = [L::default(); BLOCK];
        let blocks = self.out.chunks_mut(bytes_of(self.format, BLOCK));
        let mut counted = 0;
        for (out, first) in blocks.zip((0..self.count).step_by(BLOCK)) {
            let lanes = &mut lanes[..BLOCK.min(self.count - first)];
            counted += each(first, lanes);
            save(lanes, self.format, out);
        }
        counted
    }
}

/// A destination computed by `fill` from memory as it was before the instruction; what it counted comes back.
pub(super) fn map(
    scratch: &mut Vec<u8>,
    state: &mut State,
    to: Run,
    fill: impl FnOnce(&State, &mut Elements<'_>) -> u64,
) -> u64 {
    let Run { format, count, .. } = to;
    // What is there from before is overwritten, or behind the last element and not put.
    scratch.resize(bytes_of(format, count), 0);
    let counted = fill(state, &mut Elements { count, format, out: scratch });
    to.put(state, scratch);
    counted
}

/// The greatest magnitude among elements.
#[inline(always)]
pub(super) fn greatest<L: Lane>(state: &State, from: Run) -> u64 {
    let mut lanes = [L::default(); BLOCK];
    let mut greatest = 0;
    // No closure: its body would not be compiled for the extension.
    for first in (0..from.count).step_by(BLOCK) {
        let lanes = &mut lanes[..BLOCK.min(from.count - first)];
        load(state, from.address, from.format, first, lanes);
        greatest = L::greatest_magnitude(lanes).max(greatest);
    }
    greatest
}
