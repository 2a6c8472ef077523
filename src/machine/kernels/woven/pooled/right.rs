//! The right operand of pooled products: of each window and column the one code that is not zero, and which place has it.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_mask_mov_epi8, _mm512_maskz_loadu_epi8, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_test_epi8_mask,
};

use super::super::weave::Loom;
use super::{OF_WINDOWS, WINDOWS};
use crate::machine::kernels::lines::LINE;
use crate::machine::kernels::product::{GROUP, LANES};

/// A line of each window.
type Lines = [[u8; LINE]; WINDOWS];

/// [`super::super::Kernels::weave_right`]; false where two codes of a window are not zero.
///
/// # Panics
/// When codes end less than a cache line behind the last position, or `to` does not hold all.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in super::super) fn right(
    positions: &[Option<usize>],
    codes: &[u8],
    columns: usize,
    to: &mut [u8],
) -> bool {
    let loom = Loom::new(0);
    let all_windows = positions.as_chunks::<{ GROUP * WINDOWS }>().0;
    let of_register = all_windows.len() * OF_WINDOWS;
    for first in (0..columns).step_by(LINE) {
        let count = (columns - first).min(LINE);
        let mask = u64::MAX >> (LINE - count);
        for (number, windows) in all_windows.iter().enumerate() {
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
            for register in (0..count).step_by(LANES) {
                let at = (first + register) / LANES * of_register + number * OF_WINDOWS;
                let lines = to[at..at + OF_WINDOWS].as_chunks_mut::<LINE>().0;
                for (which, [a, b, c, d]) in [&alone, &places].into_iter().enumerate() {
                    let windows = [a.as_ptr(), b.as_ptr(), c.as_ptr(), d.as_ptr()];
                    let mut line = [0; LINE];
                    // SAFETY: a line has sixteen bytes from each register on.
                    unsafe { loom.weave(windows, register, &mut line) };
                    spread(&line, lines[which..].iter_mut().step_by(2));
                }
            }
        }
    }
    true
}

/// Spreads each four columns of a line over a line of their own.
#[inline]
#[target_feature(enable = "avx512f")]
fn spread<'a>(line: &[u8; LINE], to: impl Iterator<Item = &'a mut [u8; LINE]>) {
    // SAFETY: a register's bytes.
    let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
    let fours = [
        _mm512_shuffle_i32x4::<0x00>(line, line),
        _mm512_shuffle_i32x4::<0x55>(line, line),
        _mm512_shuffle_i32x4::<0xaa>(line, line),
        _mm512_shuffle_i32x4::<0xff>(line, line),
    ];
    for (to, four) in to.zip(fours) {
        // SAFETY: a register's bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), four) };
    }
}

/// A place, in every byte.
#[inline]
#[target_feature(enable = "avx512f")]
fn byte(place: usize) -> __m512i {
    _mm512_set1_epi8(i8::try_from(place).unwrap_or(0))
}
