//! Elements in lanes, wide enough that nothing is lost: where they lie if memory has them as wide, else blocks of them.

use crate::isa::Format;
use crate::machine::state::{element, set_element};

/// Elements of a block; a whole number of bytes in every format.
pub(super) const BLOCK: usize = 512;

/// A whole number that elements are worked on in.
pub(super) trait Lane: Copy + Default + Ord + std::ops::Neg<Output = Self> {
    /// As memory has it.
    type Bytes: Copy + Default;
    /// Bits of a lane.
    const BITS: u32;
    /// The lanes in bytes.
    fn chunks(bytes: &[u8]) -> &[Self::Bytes];
    /// The same, to write.
    fn chunks_mut(bytes: &mut [u8]) -> &mut [Self::Bytes];
    /// The number that bytes are.
    fn of_bytes(bytes: Self::Bytes) -> Self;
    /// Its bytes.
    fn bytes(self) -> Self::Bytes;
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
    fn greatest_magnitude(lanes: &[Self::Bytes]) -> u64;
    /// The low bits of a value, all of it where the lane holds it.
    fn low_of(value: i64) -> Self;
}

macro_rules! lane {
    ($lane:ty, $unsigned:ty) => {
        impl Lane for $lane {
            type Bytes = [u8; size_of::<$lane>()];
            const BITS: u32 = <$lane>::BITS;

            #[inline(always)]
            fn chunks(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }

            #[inline(always)]
            fn chunks_mut(bytes: &mut [u8]) -> &mut [Self::Bytes] {
                bytes.as_chunks_mut().0
            }

            #[inline(always)]
            fn of_bytes(bytes: Self::Bytes) -> Self {
                Self::from_le_bytes(bytes)
            }

            #[inline(always)]
            fn bytes(self) -> Self::Bytes {
                self.to_le_bytes()
            }

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
                // What is shifted out, as a share of 2^BITS: above half, or half and odd, rounds up. Its last bit is free.
                let floor = self >> n;
                let rest = if n == 0 { 0 } else { self.cast_unsigned() << (Self::BITS - n) };
                let half: $unsigned = 1 << (Self::BITS - 1);
                floor + Self::from(rest | (floor & 1).cast_unsigned() > half)
            }

            #[inline(always)]
            fn kept(self, keep: u8) -> Self {
                if keep & 1 == 1 { self } else { 0 }
            }

            #[inline(always)]
            fn greatest_magnitude(lanes: &[Self::Bytes]) -> u64 {
                let mut greatest: $unsigned = 0;
                for &lane in lanes {
                    greatest = greatest.max(Self::from_le_bytes(lane).unsigned_abs());
                }
                greatest.into()
            }

            #[inline(always)]
            fn low_of(value: i64) -> Self {
                Self::from_le_bytes(*value.to_le_bytes().first_chunk().expect("no lane is wider"))
            }
        }
    };
}

lane!(i8, u8);
lane!(i16, u16);
lane!(i32, u32);
lane!(i64, u64);

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
pub(super) use lanes;

pub(super) fn bytes_of(format: Format, count: usize) -> usize {
    usize::try_from(format.bytes(count as u64)).unwrap_or(usize::MAX)
}

/// Elements of a format from `first` on, as many as `block` has, in lanes: where they lie if they are as wide, else in
/// `block`. Where they are not, `first` is a multiple of 8.
#[inline(always)]
pub(super) fn read<'a, L: Lane>(
    bytes: &'a [u8],
    format: Format,
    first: usize,
    block: &'a mut [L::Bytes],
) -> &'a [L::Bytes] {
    if format.bits() == L::BITS {
        return &L::chunks(bytes)[first..][..block.len()];
    }
    load::<L>(bytes, format, first, block);
    block
}

/// Two's complement elements `first`, `first + 1`, … ; `first` is a multiple of 8 or the format whole bytes.
#[inline(always)]
pub(super) fn load<L: Lane>(bytes: &[u8], format: Format, first: usize, out: &mut [L::Bytes]) {
    let n = out.len();
    let from = &bytes[bytes_of(format, first)..];
    match format.bits() {
        8 => {
            for (o, &b) in out.iter_mut().zip(&from[..n]) {
                *o = L::low_of(b.cast_signed().into()).bytes();
            }
        }
        16 => {
            for (o, &w) in out.iter_mut().zip(from[..2 * n].as_chunks().0) {
                *o = L::low_of(i16::from_le_bytes(w).into()).bytes();
            }
        }
        24 => {
            for (o, &[a, b, c]) in out.iter_mut().zip(from[..3 * n].as_chunks().0) {
                *o = L::low_of((i32::from_le_bytes([0, a, b, c]) >> 8).into()).bytes();
            }
        }
        32 => {
            for (o, &w) in out.iter_mut().zip(from[..4 * n].as_chunks().0) {
                *o = L::low_of(i32::from_le_bytes(w).into()).bytes();
            }
        }
        _ => {
            for (i, o) in (first as u64..).zip(out) {
                *o = L::held(element(bytes, 0, format, i)).bytes();
            }
        }
    }
}

/// Two bits each of four patterns, a byte for each.
#[inline(always)]
pub(super) fn spread(packed: u8) -> [u8; 4] {
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
pub(super) fn load_unsigned(bytes: &[u8], format: Format, first: usize, out: &mut [u8]) {
    let n = out.len();
    match format.bits() {
        2 => {
            let packed = &bytes[first / 4..][..n.div_ceil(4)];
            let (quads, rest) = out.as_chunks_mut::<4>();
            quads.iter_mut().zip(packed).for_each(|(quad, &b)| *quad = spread(b));
            let last = spread(packed.last().copied().unwrap_or(0));
            rest.iter_mut().zip(last).for_each(|(o, pattern)| *o = pattern);
        }
        8 => out.copy_from_slice(&bytes[first..][..n]),
        _ => {
            for (i, o) in (first as u64..).zip(out) {
                let pattern = crate::machine::state::unsigned_element(bytes, 0, format, i);
                *o = u8::try_from(pattern).unwrap_or(u8::MAX);
            }
        }
    }
}

/// The low bits of lanes from bit 0 of `out` on; bits behind the last stay.
#[inline(always)]
pub(super) fn save<L: Lane>(lanes: &[L::Bytes], format: Format, out: &mut [u8]) {
    match format.bits() {
        8 => {
            for (o, &lane) in out.iter_mut().zip(lanes) {
                *o = low(L::of_bytes(lane))[0];
            }
        }
        16 => {
            for (o, &lane) in out.as_chunks_mut().0.iter_mut().zip(lanes) {
                let [a, b, ..] = low(L::of_bytes(lane));
                *o = [a, b];
            }
        }
        24 => {
            for (o, &lane) in out.as_chunks_mut().0.iter_mut().zip(lanes) {
                let [a, b, c, _] = low(L::of_bytes(lane));
                *o = [a, b, c];
            }
        }
        32 => {
            for (o, &lane) in out.as_chunks_mut().0.iter_mut().zip(lanes) {
                *o = low(L::of_bytes(lane));
            }
        }
        2 => {
            let mut bytes = [0; BLOCK];
            for (lanes, out) in lanes.chunks(BLOCK).zip(out.chunks_mut(BLOCK / 4)) {
                let bytes = &mut bytes[..lanes.len()];
                for (b, &lane) in bytes.iter_mut().zip(lanes) {
                    *b = low(L::of_bytes(lane))[0];
                }
                save_pairs(bytes, out);
            }
        }
        _ => {
            for (i, &lane) in (0u64..).zip(lanes) {
                set_element(out, 0, format, i, L::of_bytes(lane).wide());
            }
        }
    }
}

/// The low 32 bits of a lane.
#[inline(always)]
fn low<L: Lane>(lane: L) -> [u8; 4] {
    *lane.wide().to_le_bytes().first_chunk().expect("no lane is wider")
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
