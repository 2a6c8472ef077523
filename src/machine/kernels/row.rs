//! A row of the left operand as joins meet it, one product after another.

use super::{Extension, Kernels, compiled};

/// A row of the left operand, and which of its codes are not zero: a product of 0 changes no sum.
#[derive(Debug, Default)]
pub(in crate::machine) struct Row {
    codes: Vec<i16>,
    places: Vec<u32>,
    nonzero: Vec<i32>,
}

impl Row {
    /// A row of these codes.
    pub(in crate::machine) fn of(kernels: Kernels, codes: &[i16]) -> Row {
        let mut row = Row::default();
        row.take(kernels, codes);
        row
    }

    /// Becomes another.
    pub(in crate::machine) fn take(&mut self, kernels: Kernels, codes: &[i16]) {
        self.codes.clear();
        self.codes.extend_from_slice(codes);
        self.find(kernels);
    }

    /// Becomes codes plus 128 that lie in pieces, first byte and length of each, `length` together.
    ///
    /// # Panics
    /// When pieces are longer, or there are fewer than [`TURN_SLACK`](super::TURN_SLACK) bytes behind one.
    pub(in crate::machine) fn take_pieces(
        &mut self,
        kernels: Kernels,
        bytes: &[u8],
        (pieces, length): (impl Iterator<Item = (usize, usize)>, usize),
    ) {
        // Whole registers are written: what is behind a piece the next overwrites.
        self.codes.resize(length + REGISTER, 0);
        let mut at = 0;
        compiled!(kernels, {
            for (first, length) in pieces {
                for done in (0..length).step_by(REGISTER) {
                    let from = bytes[first + done..].first_chunk().expect("slack behind a piece");
                    let to = self.codes[at + done..].first_chunk_mut().expect("slack behind the codes");
                    widen(kernels, from, to);
                }
                at += length;
            }
        });
        self.codes.truncate(length);
        self.find(kernels);
    }

    /// Finds the codes that are not zero.
    fn find(&mut self, kernels: Kernels) {
        let codes = &self.codes[..];
        // Whole registers are written.
        let room = codes.len().next_multiple_of(REGISTER) + REGISTER;
        self.places.resize(room, 0);
        self.nonzero.resize(room, 0);
        let found = (&mut self.places[..], &mut self.nonzero[..]);
        let count = match kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has; there is room for whole registers behind every code.
            Extension::Avx512Vnni | Extension::Amx => unsafe { nonzeros_by_registers(codes, found) },
            _ => nonzeros(codes, found),
        };
        self.places.truncate(count);
        self.nonzero.truncate(count);
    }

    /// In the order of the reduction.
    pub(super) fn codes(&self) -> &[i16] {
        &self.codes
    }

    /// Those that are not zero and their places, up to so many at once.
    pub(super) fn steps(&self, most: usize) -> impl Iterator<Item = (&[u32], &[i32])> {
        self.places.chunks(most).zip(self.nonzero.chunks(most))
    }

    /// Places of those that are not zero.
    pub(super) fn places(&self) -> &[u32] {
        &self.places
    }

    /// Those that are not zero.
    pub(super) fn nonzero(&self) -> &[i32] {
        &self.nonzero
    }
}

/// Codes found at once.
const REGISTER: usize = 16;

/// Codes of codes plus 128.
#[inline(always)]
fn widen(kernels: Kernels, from: &[u8; REGISTER], to: &mut [i16; REGISTER]) {
    match kernels.extension() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Kernels` has only what the processor has.
        Extension::Avx512Vnni | Extension::Amx => unsafe { widen_in_register(from, to) },
        _ => to.iter_mut().zip(from).for_each(|(to, &code)| *to = i16::from(code) - 128),
    }
}

/// The same: the compiler would take them one by one.
///
/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn widen_in_register(from: &[u8; REGISTER], to: &mut [i16; REGISTER]) {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm256_cvtepu8_epi16, _mm256_set1_epi16, _mm256_storeu_si256, _mm256_sub_epi16,
    };
    // SAFETY: a register of either.
    unsafe {
        let codes = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.as_ptr().cast()));
        _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_sub_epi16(codes, _mm256_set1_epi16(128)));
    }
}

/// Finds the codes that are not zero and their places, in order; how many.
fn nonzeros(codes: &[i16], (places, found): (&mut [u32], &mut [i32])) -> usize {
    let mut count = 0;
    for (place, &code) in (0u32..).zip(codes) {
        // Written in any case, kept if it counts: which are zero is past foreseeing.
        (places[count], found[count]) = (place, code.into());
        count += usize::from(code != 0);
    }
    count
}

/// The same, sixteen at once.
///
/// # Safety
/// The processor has the features; places and what is found have room for a register more than the codes, rounded up to
/// whole ones.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
unsafe fn nonzeros_by_registers(codes: &[i16], (places, found): (&mut [u32], &mut [i32])) -> usize {
    use std::arch::x86_64::{
        _mm256_maskz_loadu_epi16, _mm512_add_epi32, _mm512_cvtepi16_epi32, _mm512_maskz_compress_epi32,
        _mm512_set1_epi32, _mm512_setr_epi32, _mm512_storeu_si512, _mm512_test_epi32_mask,
    };
    let mut count = 0;
    let mut here = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for part in codes.chunks(REGISTER) {
        let whole = u16::MAX >> (REGISTER - part.len());
        // SAFETY: as many codes as the mask has bits; `count` is at most the number of codes before, so that a register
        // from there on lies in the room.
        unsafe {
            let part = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(whole, part.as_ptr()));
            let kept = _mm512_test_epi32_mask(part, part);
            _mm512_storeu_si512(places[count..].as_mut_ptr().cast(), _mm512_maskz_compress_epi32(kept, here));
            _mm512_storeu_si512(found[count..].as_mut_ptr().cast(), _mm512_maskz_compress_epi32(kept, part));
            count += kept.count_ones() as usize;
        }
        here = _mm512_add_epi32(here, _mm512_set1_epi32(16));
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nonzeros_are_found_in_order(codes in prop::collection::vec(prop_oneof![Just(0i16), any::<i16>()], 0..200)) {
            let expected: Vec<(u32, i32)> =
                (0u32..).zip(&codes).filter(|(_, c)| **c != 0).map(|(place, &c)| (place, c.into())).collect();
            for extension in Extension::available() {
                let row = Row::of(Kernels::of(extension), &codes);
                let found: Vec<(u32, i32)> = row.places().iter().copied().zip(row.nonzero().iter().copied()).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
