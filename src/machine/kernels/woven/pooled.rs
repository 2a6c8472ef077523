//! The right operand of pooled products: of each window and column the one code that is not zero, and which place has it.

use std::arch::x86_64::{
    __m512i, _mm512_mask_mov_epi8, _mm512_maskz_loadu_epi8, _mm512_or_si512, _mm512_set1_epi8,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_test_epi8_mask,
};

use super::WINDOWS;
use super::weave::Loom;
use crate::machine::kernels::lines::LINE;
use crate::machine::kernels::product::{GROUP, LANES, MAX_REGISTERS};

/// A line of each window.
type Lines = [[u8; LINE]; WINDOWS];

/// [`super::Kernels::weave_right`]; false where two codes of a window are not zero.
///
/// # Panics
/// When codes end less than a cache line behind the last position, or `to` does not hold all.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn right(positions: &[Option<usize>], codes: &[u8], columns: usize, to: &mut [u8]) -> bool {
    let loom = Loom::new(0);
    let mut lines = to.as_chunks_mut::<LINE>().0.iter_mut();
    for first in (0..columns).step_by(MAX_REGISTERS * LANES) {
        let count = (columns - first).min(MAX_REGISTERS * LANES);
        let mask = u64::MAX >> (LINE - count);
        for windows in positions.as_chunks::<{ GROUP * WINDOWS }>().0 {
            let (mut alone, mut places): (Lines, Lines) = ([[0; LINE]; WINDOWS], [[0; LINE]; WINDOWS]);
            let mut twice = 0;
            for (number, window) in windows.as_chunks::<GROUP>().0.iter().enumerate() {
                let (mut code, mut place, mut met) = (_mm512_setzero_si512(), _mm512_setzero_si512(), 0);
                for (which, position) in window.iter().enumerate() {
                    let Some(at) = position else { continue };
                    let here = &codes[at + first..][..count];
                    // SAFETY: bytes behind the last are masked.
                    let line = unsafe { _mm512_maskz_loadu_epi8(mask, here.as_ptr().cast()) };
                    let some = _mm512_test_epi8_mask(line, line);
                    twice |= met & some;
                    met |= some;
                    code = _mm512_or_si512(code, line);
                    place = _mm512_mask_mov_epi8(place, some, byte(number * GROUP + which));
                }
                // SAFETY: a register's bytes each.
                unsafe {
                    _mm512_storeu_si512(alone[number].as_mut_ptr().cast(), code);
                    _mm512_storeu_si512(places[number].as_mut_ptr().cast(), place);
                }
            }
            if twice != 0 {
                return false;
            }
            for [a, b, c, d] in [&alone, &places] {
                let windows = [a.as_ptr(), b.as_ptr(), c.as_ptr(), d.as_ptr()];
                for register in (0..count).step_by(LANES) {
                    let line = lines.next().expect("panels hold all windows");
                    // SAFETY: a line has sixteen bytes from each register on.
                    unsafe { loom.weave(windows, register, line) };
                }
            }
        }
    }
    true
}

/// A place, in every byte.
#[inline]
#[target_feature(enable = "avx512f")]
fn byte(place: usize) -> __m512i {
    _mm512_set1_epi8(i8::try_from(place).unwrap_or(0))
}
