//! Norms of codes, by which sums of their products are proved to stay in range.

use super::{Extension, Kernels};

impl Kernels {
    /// Of codes plus 128, sums of all before each grain of so many, and behind the last: of magnitudes in the lower half of a word, of
    /// squares in the upper. The difference of two, modulo 2^64, is what lies between, where each of its sums fits its half.
    #[inline(always)]
    pub(in crate::machine) fn norms_before(self, codes: &[u8], grain: usize, before: &mut Vec<u64>) {
        before.clear();
        before.push(0);
        #[cfg(target_arch = "x86_64")]
        if self.extension() >= Extension::Avx512Vnni && grain.is_multiple_of(REGISTER) {
            // SAFETY: a `Kernels` has only what the processor has.
            return unsafe { by_registers(codes, grain, before) };
        }
        let mut sums = 0u64;
        for codes in codes.chunks_exact(grain) {
            let (mut magnitudes, mut squares) = (0u32, 0u32);
            for &code in codes {
                let magnitude = u32::from((code ^ 128).cast_signed().unsigned_abs());
                (magnitudes, squares) = (magnitudes + magnitude, squares.wrapping_add(magnitude * magnitude));
            }
            sums = sums.wrapping_add(u64::from(magnitudes) | u64::from(squares) << 32);
            before.push(sums);
        }
    }
}

/// Codes of a register.
#[cfg(target_arch = "x86_64")]
const REGISTER: usize = 32;

/// The same where grains are whole registers.
///
/// # Safety
/// The processor has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn by_registers(codes: &[u8], grain: usize, before: &mut Vec<u64>) {
    use std::arch::x86_64::{
        _mm_add_epi64, _mm_cvtsi128_si64, _mm_unpackhi_epi64, _mm256_abs_epi8, _mm256_add_epi64,
        _mm256_castsi256_si128, _mm256_dpbusd_epi32, _mm256_extracti128_si256, _mm256_loadu_si256,
        _mm256_min_epu8, _mm256_sad_epu8, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_slli_epi64,
        _mm256_srli_epi64, _mm256_sub_epi8, _mm256_xor_si256,
    };
    let (zero, sign) = (_mm256_setzero_si256(), _mm256_set1_epi8(i8::MIN));
    let mut sums = 0u64;
    for codes in codes.chunks_exact(grain) {
        let (mut magnitudes, mut squares) = (zero, zero);
        for codes in codes.as_chunks::<REGISTER>().0 {
            // SAFETY: a register of codes.
            let codes = unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) };
            let all = _mm256_abs_epi8(_mm256_xor_si256(codes, sign));
            magnitudes = _mm256_add_epi64(magnitudes, _mm256_sad_epu8(all, zero));
            // One factor has a sign: 128 is 127 and 1.
            let most = _mm256_min_epu8(all, _mm256_set1_epi8(i8::MAX));
            squares = _mm256_dpbusd_epi32(squares, all, most);
            squares = _mm256_dpbusd_epi32(squares, all, _mm256_sub_epi8(all, most));
        }
        // Squares of both halves of each 64 bits, in their upper half.
        let odd = _mm256_slli_epi64::<32>(_mm256_srli_epi64::<32>(squares));
        let squares = _mm256_add_epi64(_mm256_slli_epi64::<32>(squares), odd);
        let both = _mm256_add_epi64(magnitudes, squares);
        let both = _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
        let both = _mm_add_epi64(both, _mm_unpackhi_epi64(both, both));
        sums = sums.wrapping_add(_mm_cvtsi128_si64(both).cast_unsigned());
        before.push(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grains_are_summed(
            codes in prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..1000), grain in 1usize..200,
            whole in any::<bool>(),
        ) {
            let grain = if whole { grain.next_multiple_of(32) } else { grain };
            for kernels in Extension::available().map(Kernels::of) {
                let mut before = Vec::new();
                kernels.norms_before(&codes, grain, &mut before);
                prop_assert_eq!(before.len(), codes.len() / grain + 1);
                for (grain, sums) in codes.chunks_exact(grain).zip(before.windows(2)) {
                    let magnitudes = grain.iter().map(|&code| u64::from((code ^ 128).cast_signed().unsigned_abs()));
                    let sum = magnitudes.clone().sum::<u64>() | magnitudes.map(|m| m * m).sum::<u64>() << 32;
                    prop_assert_eq!(sums[1].wrapping_sub(sums[0]), sum);
                }
            }
        }
    }
}
