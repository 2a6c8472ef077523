//! Elements in lanes: blocks of them read from memory, worked on and written, wide enough that nothing is lost.

use rayon::prelude::*;

use crate::isa::{Address, Format};
use crate::machine::state::{element, set_element};
use crate::machine::{State, kernels};

/// Elements of a block; a whole number of bytes in every format.
pub(super) const BLOCK: usize = 1024;
/// Elements from which on blocks go to more threads than one.
const SPLIT: usize = 1 << 16;

/// A whole number that elements are worked on in.
pub(super) trait Lane: Copy + Default + Ord + Send + Sync + std::ops::Neg<Output = Self> {
    /// A value, held to the lane's ends.
    fn held(value: i64) -> Self;
    /// The value.
    fn wide(self) -> i64;
    /// The sum, held to the lane's ends.
    fn plus(self, other: Self) -> Self;
    /// `x · 2^-n`, ties to even; `n` is less than the lane's bits.
    fn shift_even(self, n: u32) -> Self;
    /// From little-endian bytes of a 32-bit element.
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
            fn of_i32(value: i32) -> Self {
                value.into()
            }

            #[inline(always)]
            fn low(self) -> u32 {
                let [a, b, c, d, ..] = self.to_le_bytes();
                u32::from_le_bytes([a, b, c, d])
            }
        }
    };
}

lane!(i32, u32);
lane!(i64, u64);

fn start(address: Address) -> usize {
    usize::try_from(address.offset).unwrap_or(usize::MAX)
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

/// Unsigned elements of at most 8 bits; `first` is a multiple of 8.
#[inline(always)]
pub(super) fn load_unsigned(state: &State, address: Address, format: Format, first: usize, out: &mut [u8]) {
    let (bytes, at, n) = (state.memory(address.memory), start(address), out.len());
    match format.bits() {
        2 => {
            let packed = &bytes[at + first / 4..][..n.div_ceil(4)];
            let (quads, rest) = out.as_chunks_mut::<4>();
            for (quad, &b) in quads.iter_mut().zip(packed) {
                *quad = [b & 3, b >> 2 & 3, b >> 4 & 3, b >> 6];
            }
            let last = packed.last().copied().unwrap_or(0);
            rest.iter_mut().zip([0, 2, 4]).for_each(|(o, shift)| *o = last >> shift & 3);
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

/// The low bits of `values` from bit 0 of `out` on.
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
            for (o, quad) in out.iter_mut().zip(values.chunks(4)) {
                let shifts = [0, 2, 4, 6];
                let bits = quad.iter().zip(shifts).map(|(v, s)| (v.low() & 3) << s);
                *o = bits.fold(0, |a, b| a | b).to_le_bytes()[0];
            }
        }
        _ => {
            for (i, v) in (0u64..).zip(values) {
                set_element(out, 0, format, i, v.wide());
            }
        }
    }
}

/// Puts bytes that hold `count` elements at their place; bits behind the last element stay.
pub(super) fn put(state: &mut State, address: Address, format: Format, count: usize, bytes: &[u8]) {
    let at = start(address);
    let memory = state.memory_mut(address.memory);
    let bits = count as u64 * u64::from(format.bits());
    let whole = usize::try_from(bits / 8).unwrap_or(usize::MAX);
    memory[at..at + whole].copy_from_slice(&bytes[..whole]);
    if !bits.is_multiple_of(8) {
        let mask = (1u8 << (bits % 8)) - 1;
        let last = &mut memory[at + whole];
        *last = *last & !mask | bytes[whole] & mask;
    }
}

/// Elements of a destination computed block by block from memory as it was before the instruction. `each` fills the
/// elements from its second argument on and returns a count; the sum of counts comes back.
#[inline(always)]
pub(super) fn map<L: Lane>(
    state: &mut State,
    scratch: &mut Vec<u8>,
    (address, format): (Address, Format),
    count: usize,
    each: impl Fn(&State, usize, &mut [L]) -> u64 + Sync,
) -> u64 {
    let length = usize::try_from(format.bytes(count as u64)).unwrap_or(usize::MAX);
    scratch.clear();
    scratch.resize(length, 0);
    let block_bytes = usize::try_from(format.bytes(BLOCK as u64)).unwrap_or(usize::MAX);
    let before = &*state;
    let block = |(block, bytes): (usize, &mut [u8])| {
        kernels::widest(|| {
            let first = block * BLOCK;
            let mut lanes = [L::default(); BLOCK];
            let lanes = &mut lanes[..BLOCK.min(count - first)];
            let counted = each(before, first, lanes);
            save(lanes, format, bytes);
            counted
        })
    };
    let counted = if count < SPLIT {
        scratch.chunks_mut(block_bytes).enumerate().map(block).sum()
    } else {
        scratch.par_chunks_mut(block_bytes).with_min_len(16).enumerate().map(block).sum()
    };
    put(state, address, format, count, scratch);
    counted
}

/// The greatest of `each` over blocks.
#[inline(always)]
pub(super) fn greatest<L: Lane>(
    state: &State,
    (address, format): (Address, Format),
    count: usize,
    each: impl Fn(&[L]) -> u64 + Sync,
) -> u64 {
    let block = |block: usize| {
        kernels::widest(|| {
            let first = block * BLOCK;
            let mut lanes = [L::default(); BLOCK];
            let lanes = &mut lanes[..BLOCK.min(count - first)];
            load(state, address, format, first, lanes);
            each(lanes)
        })
    };
    let blocks = 0..count.div_ceil(BLOCK);
    if count < SPLIT {
        blocks.map(block).max().unwrap_or(0)
    } else {
        blocks.into_par_iter().with_min_len(16).map(block).max().unwrap_or(0)
    }
}
