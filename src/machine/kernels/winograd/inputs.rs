//! Codes of two columns mixed, 64 at a time.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi8, _mm512_adds_epi8, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_sub_epi8, _mm512_subs_epi8,
    _mm512_test_epi8_mask, _mm512_xor_si512,
};

use super::{Mixing, Rows};
use crate::machine::kernels::lines::LINE;

/// [`super::Kernels::mix`].
///
/// # Safety
/// The processor has the features; all rows are there.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn mix(mixing: Mixing, rows: Rows, from: (*const u8, *const u8), to: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        match mixing {
            Mixing::Alone => all::<{ Mixing::Alone as u8 }>(rows, from, to),
            Mixing::NaturalSum => all::<{ Mixing::NaturalSum as u8 }>(rows, from, to),
            Mixing::Sum => all::<{ Mixing::Sum as u8 }>(rows, from, to),
            Mixing::Difference => all::<{ Mixing::Difference as u8 }>(rows, from, to),
        }
    }
}

/// The same of one kind.
///
/// # Safety
/// As [`mix`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn all<const MIXING: u8>(rows: Rows, (a, b): (*const u8, *const u8), to: *mut u8) -> bool {
    let mut differ = _mm512_setzero_si512();
    for row in 0..rows.count {
        for at in (0..rows.length).step_by(LINE) {
            let mask = u64::MAX >> (LINE - (rows.length - at).min(LINE));
            let [from, into] = rows.steps.map(|step| row * step + at);
            // SAFETY: bytes behind a row are masked.
            let [a, b] =
                [a, b].map(|codes| unsafe { _mm512_maskz_loadu_epi8(mask, codes.wrapping_add(from).cast()) });
            let (mixed, differs) = mixed::<MIXING>(a, b);
            differ = _mm512_or_si512(differ, differs);
            // SAFETY: the same.
            unsafe { _mm512_mask_storeu_epi8(to.wrapping_add(into).cast(), mask, mixed) };
        }
    }
    _mm512_test_epi8_mask(differ, differ) != 0
}

/// What two codes make, and how it differs from what it would be if it were clamped.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn mixed<const MIXING: u8>(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
    let none = _mm512_setzero_si512();
    if MIXING == Mixing::Alone as u8 {
        return (a, none);
    }
    if MIXING == Mixing::NaturalSum as u8 {
        return (_mm512_add_epi8(a, b), none);
    }
    let flip = _mm512_set1_epi8(i8::MIN);
    let (a, b) = (_mm512_xor_si512(a, flip), _mm512_xor_si512(b, flip));
    let (wrapped, clamped) = if MIXING == Mixing::Sum as u8 {
        (_mm512_add_epi8(a, b), _mm512_adds_epi8(a, b))
    } else {
        (_mm512_sub_epi8(a, b), _mm512_subs_epi8(a, b))
    };
    (_mm512_xor_si512(wrapped, flip), _mm512_xor_si512(wrapped, clamped))
}
