//! A row of the left operand as joins meet it, one product after another.

use super::{Extension, Kernels};

/// A row of the left operand, and which of its codes are not zero: a product of 0 changes no sum.
#[derive(Debug, Default)]
pub(in crate::machine) struct Row {
    codes: Vec<i16>,
    places: Vec<u32>,
    nonzero: Vec<i32>,
    /// Scratch: each place beside its code, the low byte.
    found: Vec<u32>,
}

impl Row {
    /// A row of these codes.
    pub(in crate::machine) fn of(codes: &[i16]) -> Row {
        let mut row = Row::default();
        row.take(codes);
        row
    }

    /// Becomes another.
    pub(in crate::machine) fn take(&mut self, codes: &[i16]) {
        self.codes.clear();
        self.codes.extend_from_slice(codes);
        self.find();
    }

    /// Becomes codes plus 128 that lie in pieces, first byte and length of each, `length` together.
    ///
    /// # Panics
    /// When pieces are longer or shorter, or 2^24 codes, or there are fewer than [`TURN_SLACK`](super::TURN_SLACK) bytes behind one.
    #[inline(always)]
    pub(in crate::machine) fn take_pieces(
        &mut self,
        kernels: Kernels,
        bytes: &[u8],
        (pieces, length): (impl Iterator<Item = (usize, usize)>, usize),
    ) {
        match kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.take_by_registers(bytes, (pieces, length));
            },
            _ => {
                self.codes.clear();
                for (first, length) in pieces {
                    let codes = bytes[first..first + length].iter();
                    self.codes.extend(codes.map(|&code| i16::from(code) - 128));
                }
                assert_eq!(self.codes.len(), length, "pieces are no row");
                self.find();
            }
        }
    }

    /// The same, sixteen codes at once.
    ///
    /// # Safety
    /// The processor has the features.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn take_by_registers(
        &mut self,
        bytes: &[u8],
        (pieces, length): (impl Iterator<Item = (usize, usize)>, usize),
    ) {
        use std::arch::x86_64::{
            _mm_loadu_si128, _mm_set1_epi8, _mm_xor_si128, _mm256_cvtepi8_epi16, _mm256_storeu_si256,
            _mm512_add_epi32, _mm512_cvtepu8_epi32, _mm512_loadu_si512, _mm512_mask_test_epi32_mask,
            _mm512_maskz_compress_epi32, _mm512_or_si512, _mm512_set1_epi32, _mm512_setr_epi32,
            _mm512_slli_epi32, _mm512_srai_epi32, _mm512_srli_epi32, _mm512_storeu_si512,
        };
        assert!(length < 1 << 24, "a place stands beside a byte in a word");
        // Whole registers are written: what is behind a piece the next overwrites.
        self.codes.resize(length + REGISTER, 0);
        self.found.resize(length + REGISTER, 0);
        let places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let (mut at, mut count) = (0, 0);
        for (first, length) in pieces {
            let whole = length.next_multiple_of(REGISTER);
            let from = bytes[first..][..whole].as_chunks::<REGISTER>().0;
            let to = self.codes[at..][..whole].as_chunks_mut::<REGISTER>().0;
            let mut left = length;
            let place = i32::try_from(at).expect("rows are short");
            let mut here = _mm512_slli_epi32::<8>(_mm512_add_epi32(places, _mm512_set1_epi32(place)));
            for (from, to) in from.iter().zip(to) {
                let within = u16::MAX >> REGISTER.saturating_sub(left);
                left = left.saturating_sub(REGISTER);
                // SAFETY: a register of each; of no more codes than were taken before so many are not zero, so that behind
                // them there is room for a register.
                unsafe {
                    let codes = _mm_xor_si128(_mm_loadu_si128(from.as_ptr().cast()), _mm_set1_epi8(i8::MIN));
                    _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_cvtepi8_epi16(codes));
                    let codes = _mm512_cvtepu8_epi32(codes);
                    let kept = _mm512_mask_test_epi32_mask(within, codes, codes);
                    let to = self.found.as_mut_ptr().add(count);
                    let both = _mm512_or_si512(here, codes);
                    _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi32(kept, both));
                    count += kept.count_ones() as usize;
                }
                here = _mm512_add_epi32(here, _mm512_set1_epi32(16 << 8));
            }
            at += length;
        }
        assert_eq!(at, length, "pieces are no row");
        self.codes.truncate(length);
        self.places.resize(count + REGISTER, 0);
        self.nonzero.resize(count + REGISTER, 0);
        let found = self.found.chunks_exact(REGISTER).zip(self.places.chunks_exact_mut(REGISTER));
        for ((both, places), nonzero) in found.zip(self.nonzero.chunks_exact_mut(REGISTER)) {
            // SAFETY: a register of each.
            unsafe {
                let both = _mm512_loadu_si512(both.as_ptr().cast());
                _mm512_storeu_si512(places.as_mut_ptr().cast(), _mm512_srli_epi32::<8>(both));
                let codes = _mm512_srai_epi32::<24>(_mm512_slli_epi32::<24>(both));
                _mm512_storeu_si512(nonzero.as_mut_ptr().cast(), codes);
            }
        }
        self.places.truncate(count);
        self.nonzero.truncate(count);
    }

    /// The sum of magnitudes of the codes, and that of squares.
    #[inline(always)]
    pub(in crate::machine) fn norms(&self) -> [u32; 2] {
        let (mut magnitudes, mut squares) = (0u32, 0u32);
        for &code in &self.codes {
            magnitudes = magnitudes.wrapping_add(code.unsigned_abs().into());
            squares = squares.wrapping_add((i32::from(code) * i32::from(code)).cast_unsigned());
        }
        [magnitudes, squares]
    }

    /// Finds the codes that are not zero.
    fn find(&mut self) {
        self.places.resize(self.codes.len(), 0);
        self.nonzero.resize(self.codes.len(), 0);
        let mut count = 0;
        for (place, &code) in (0u32..).zip(&self.codes) {
            // Written in any case, kept if it counts: which are zero is past foreseeing.
            (self.places[count], self.nonzero[count]) = (place, code.into());
            count += usize::from(code != 0);
        }
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
#[cfg(target_arch = "x86_64")]
const REGISTER: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_taken_in_order(
            bytes in prop::collection::vec(prop_oneof![Just(128u8), any::<u8>()], 300..400),
            pieces in prop::collection::vec((0usize..200, 1usize..80), 1..6),
        ) {
            let codes: Vec<i16> = pieces
                .iter()
                .flat_map(|&(first, length)| bytes[first..first + length].iter().map(|&code| i16::from(code) - 128))
                .collect();
            let nonzero: Vec<(u32, i32)> =
                (0u32..).zip(&codes).filter(|(_, c)| **c != 0).map(|(place, &c)| (place, c.into())).collect();
            let norms = [1, 2].map(|power| codes.iter().map(|c| u32::from(c.unsigned_abs()).pow(power)).sum::<u32>());
            // What a longer row left.
            let mut rows = Extension::available().map(|extension| (Kernels::of(extension), Row::of(&[1; 500])));
            for (kernels, mut row) in &mut rows {
                row.take_pieces(kernels, &bytes, (pieces.iter().copied(), codes.len()));
                let found: Vec<(u32, i32)> = row.places().iter().copied().zip(row.nonzero().iter().copied()).collect();
                prop_assert_eq!((row.codes(), &found, row.norms()), (&codes[..], &nonzero, norms));
            }
        }
    }
}
