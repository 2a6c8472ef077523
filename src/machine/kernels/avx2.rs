//! AVX2: bytes widened to 16 bits, products joined in pairs to 32-bit sums. (The instruction that takes bytes as they
//! are saturates its pairs at 16 bits, so it cannot be used.)

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16,
    _mm256_hadd_epi32, _mm256_madd_epi16, _mm256_permute4x64_epi64, _mm256_setzero_si256,
    _mm256_storeu_si256,
};

use super::portable;
use super::product::{Extremes, GROUP, LANES, MAX_REGISTERS, Product};

/// Rows worked on side by side: two times four accumulators and four registers of codes.
const ROWS: usize = 2;

/// [`super::Kernels::product`].
///
/// # Safety
/// The processor has AVX2; the operands hold all that the shape reaches; nobody else has the output's bytes of these rows.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn product(p: &Product<'_>, extremes: &mut Extremes) {
    let (registers, groups) = (p.shape.registers(), p.shape.groups());
    for first in (0..registers).step_by(MAX_REGISTERS) {
        let width = MAX_REGISTERS.min(registers - first);
        for v in first..first + width {
            // Codes of register v of the panel, one group to the next `stride` bytes apart.
            let stride = width * GROUP * LANES;
            let at = first * groups * GROUP * LANES + (v - first) * GROUP * LANES;
            for (number, class) in p.shape.classes().iter().enumerate() {
                let (bases, places) = (p.shape.bases_of(class), p.shape.rows_of(class));
                for (bases, places) in bases.chunks(ROWS).zip(places.chunks(ROWS)) {
                    let mut accumulators = [[_mm256_setzero_si256(); 4]; ROWS];
                    for segment in p.shape.segments_of(class) {
                        for group in 0..segment.groups {
                            let codes = at + (segment.first_group + group) * stride;
                            let left = segment.offset + GROUP * group;
                            // SAFETY: the caller proved that groups of a segment lie in both operands.
                            unsafe { join(p, codes, left, bases, &mut accumulators) };
                        }
                    }
                    for (accumulators, &place) in accumulators.iter().zip(places) {
                        let sums = columns(accumulators);
                        // SAFETY: the caller's promise.
                        unsafe { portable::put(p, number, v, place, &sums, extremes) };
                    }
                }
            }
        }
    }
}

/// One group joined to the pairs of each row.
///
/// # Safety
/// The processor has AVX2; the codes and, from every base on, four bytes at `left` lie in the operands.
#[target_feature(enable = "avx2")]
unsafe fn join(
    p: &Product<'_>,
    codes: usize,
    left: usize,
    bases: &[usize],
    accumulators: &mut [[__m256i; 4]; ROWS],
) {
    // SAFETY: a register's codes of this group.
    let codes = unsafe { p.operands.panels.as_ptr().add(codes) };
    let right: [__m256i; 4] = std::array::from_fn(|quarter| {
        // SAFETY: as above.
        _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(codes.add(16 * quarter).cast()) })
    });
    for (accumulators, &base) in accumulators.iter_mut().zip(bases) {
        // SAFETY: four bytes of a segment.
        let four = unsafe { p.operands.left.as_ptr().add(base + left).cast::<i32>().read_unaligned() };
        let four = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
        for (accumulator, right) in accumulators.iter_mut().zip(right) {
            *accumulator = _mm256_add_epi32(*accumulator, _mm256_madd_epi16(four, right));
        }
    }
}

/// The sums of sixteen columns from the two halves that each of them has.
#[target_feature(enable = "avx2")]
fn columns(accumulators: &[__m256i; 4]) -> [i32; LANES] {
    let mut sums = [0i32; LANES];
    for (pair, sums) in accumulators.as_chunks::<2>().0.iter().zip(sums.as_chunks_mut::<8>().0) {
        let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(pair[0], pair[1]));
        // SAFETY: eight sums.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), halves) };
    }
    sums
}
