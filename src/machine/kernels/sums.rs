//! Sums of sixteen columns in a register of AVX-512: corrected, joined to the output, stored, their extremes kept. What comes
//! behind the products is the same for every kernel that has such registers.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_mask_max_epi32, _mm512_mask_min_epi32,
    _mm512_mask_storeu_epi32, _mm512_mask_testn_epi32_mask, _mm512_maskz_loadu_epi32, _mm512_set1_epi32,
    _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi32,
};

use super::product::{Extremes, LANES, Product, Target};

/// The extremes so far.
pub(super) struct Held {
    least: __m512i,
    greatest: __m512i,
    zeros: u64,
}

impl Held {
    /// Those of no sum.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new() -> Held {
        Held { least: _mm512_set1_epi32(i32::MAX), greatest: _mm512_set1_epi32(i32::MIN), zeros: 0 }
    }

    /// As numbers.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn write(&self, extremes: &mut Extremes) {
        // SAFETY: both arrays hold a register's lanes.
        unsafe {
            _mm512_storeu_si512(extremes.least.as_mut_ptr().cast(), self.least);
            _mm512_storeu_si512(extremes.greatest.as_mut_ptr().cast(), self.greatest);
        }
        extremes.zeros = self.zeros;
    }
}

/// Sixteen columns of an output.
pub(super) struct Columns {
    first: usize,
    mask: u16,
    correction: __m512i,
}

impl Columns {
    /// Columns from `first` on, for the rows of class `number`.
    ///
    /// # Panics
    /// When the operands have no corrections for them.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new(p: &Product<'_>, number: usize, first: usize) -> Columns {
        let corrections = &p.operands.corrections[number * p.shape.registers() * LANES + first..][..LANES];
        // SAFETY: a register's lanes.
        let correction = unsafe { _mm512_loadu_si512(corrections.as_ptr().cast()) };
        Columns::corrected(first, p.shape.columns(), correction)
    }

    /// Columns from `first` on of so many, whose sums are as they are to be.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn uncorrected(first: usize, columns: usize) -> Columns {
        Columns::corrected(first, columns, _mm512_setzero_si512())
    }

    /// Columns from `first` on of so many, whose sums are greater by so much than they are to be.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn corrected(first: usize, columns: usize, correction: __m512i) -> Columns {
        let count = columns.saturating_sub(first).min(LANES);
        Columns { first, mask: u16::MAX >> (LANES - count), correction }
    }

    /// Puts sums where row `place` of the output has these columns.
    ///
    /// # Safety
    /// The output has the row as far as its last column; nobody else has its bytes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    pub(super) unsafe fn put(&self, target: &Target<'_>, place: usize, sums: __m512i, held: &mut Held) {
        let mask = self.mask;
        let to = target.out.from(place * target.row_bytes + 4 * self.first).cast::<i32>();
        let mut sum = _mm512_sub_epi32(sums, self.correction);
        // SAFETY: the caller's promise; lanes behind the last column are masked, where there are such: it takes twice as long.
        unsafe {
            if mask == u16::MAX {
                if target.accumulate {
                    sum = _mm512_add_epi32(sum, _mm512_loadu_si512(to.cast()));
                }
                _mm512_storeu_si512(to.cast(), sum);
            } else {
                if target.accumulate {
                    sum = _mm512_add_epi32(sum, _mm512_maskz_loadu_epi32(mask, to));
                }
                _mm512_mask_storeu_epi32(to, mask, sum);
            }
        }
        held.least = _mm512_mask_min_epi32(held.least, mask, held.least, sum);
        held.greatest = _mm512_mask_max_epi32(held.greatest, mask, held.greatest, sum);
        held.zeros += u64::from(_mm512_mask_testn_epi32_mask(mask, sum, sum).count_ones());
    }
}
