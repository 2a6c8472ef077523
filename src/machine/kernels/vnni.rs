//! AVX-512 VNNI: four products of an unsigned and a signed byte joined to a 32-bit sum by one instruction, modulo 2^32.

use std::arch::x86_64::{
    _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_sub_epi32,
};

use super::{LANES, Segment};

/// Operands of a tile.
pub(super) struct Tile<'a> {
    pub(super) left: &'a [u8],
    pub(super) bases: &'a [usize],
    pub(super) segments: &'a [Segment],
    pub(super) panel: &'a [i8],
    pub(super) corrections: &'a [i32],
}

/// A tile of `R` rows (the last repeated where there are fewer) and `V` registers of columns.
///
/// # Safety
/// Every segment of every row lies in `left`, the panel holds every group of the segments, and `sums` every row there
/// is; the processor has AVX-512 VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn tile<const R: usize, const V: usize>(t: &Tile<'_>, sums: &mut [i32]) {
    let mut accumulators = [[_mm512_setzero_si512(); V]; R];
    let last = t.bases.len() - 1;
    let rows: [*const u8; R] = std::array::from_fn(|r| t.left[t.bases[r.min(last)]..].as_ptr());
    let mut panel = t.panel.as_ptr();
    for segment in t.segments {
        for group in 0..segment.groups {
            let at = segment.offset + 4 * group;
            // SAFETY: the caller proved that the panel holds V registers for this group.
            let right: [_; V] =
                std::array::from_fn(|v| unsafe { _mm512_loadu_si512(panel.add(4 * LANES * v).cast()) });
            for (row, accumulators) in rows.iter().zip(&mut accumulators) {
                // SAFETY: the caller proved that these four bytes lie in `left`.
                let four = unsafe { row.add(at).cast::<i32>().read_unaligned() };
                let left = _mm512_set1_epi32(four);
                for (accumulator, right) in accumulators.iter_mut().zip(right) {
                    *accumulator = _mm512_dpbusd_epi32(*accumulator, left, right);
                }
            }
            // SAFETY: at most one past the panel's last group.
            panel = unsafe { panel.add(4 * LANES * V) };
        }
    }
    for (r, accumulators) in accumulators.iter().take(t.bases.len()).enumerate() {
        for (v, accumulator) in accumulators.iter().enumerate() {
            let (sums, corrections) =
                (&mut sums[(r * V + v) * LANES..][..LANES], &t.corrections[v * LANES..]);
            // SAFETY: both slices hold a register's lanes.
            unsafe {
                let correction = _mm512_loadu_si512(corrections[..LANES].as_ptr().cast());
                _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_sub_epi32(*accumulator, correction));
            }
        }
    }
}
