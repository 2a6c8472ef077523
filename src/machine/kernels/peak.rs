//! What the processor multiplies at best: each extension's product of bytes on registers alone. Kernels are measured
//! against it.

use super::Extension;

impl Extension {
    /// Does `rounds` of a loop of nothing but this extension's products of bytes, on registers alone; how many products that
    /// were. None where the compiler chooses the instructions, or the processor has not the extension.
    #[doc(hidden)]
    pub fn peak_products(self, rounds: u64) -> Option<u64> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Extension::Avx2 if rounds > 0 && self.is_available() => Some(x86::avx2(rounds)),
            #[cfg(target_arch = "x86_64")]
            Extension::Avx512Vnni if rounds > 0 && self.is_available() => Some(x86::vnni(rounds)),
            #[cfg(target_arch = "x86_64")]
            Extension::Amx if rounds > 0 && self.is_available() => Some(super::amx::peak(rounds)),
            _ => None,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    use crate::machine::kernels::{GROUP, LANES};

    /// Twelve sums of their own; the processor has two units whose sums take four to five cycles.
    pub(super) fn vnni(rounds: u64) -> u64 {
        // SAFETY: the caller has seen that the processor has it; registers and a counter alone are touched.
        unsafe {
            asm!(
                "2:",
                "vpdpbusd zmm0, zmm12, zmm13",
                "vpdpbusd zmm1, zmm12, zmm13",
                "vpdpbusd zmm2, zmm12, zmm13",
                "vpdpbusd zmm3, zmm12, zmm13",
                "vpdpbusd zmm4, zmm12, zmm13",
                "vpdpbusd zmm5, zmm12, zmm13",
                "vpdpbusd zmm6, zmm12, zmm13",
                "vpdpbusd zmm7, zmm12, zmm13",
                "vpdpbusd zmm8, zmm12, zmm13",
                "vpdpbusd zmm9, zmm12, zmm13",
                "vpdpbusd zmm10, zmm12, zmm13",
                "vpdpbusd zmm11, zmm12, zmm13",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) rounds => _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _,
                out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                options(nomem, nostack)
            );
        }
        rounds * 12 * (GROUP * LANES) as u64
    }

    /// Six sums of their own, each of products of sixteen pairs of 16 bits: what bytes are widened to.
    pub(super) fn avx2(rounds: u64) -> u64 {
        // SAFETY: as above.
        unsafe {
            asm!(
                "2:",
                "vpmaddwd ymm6, ymm12, ymm13",
                "vpmaddwd ymm7, ymm12, ymm13",
                "vpmaddwd ymm8, ymm12, ymm13",
                "vpmaddwd ymm9, ymm12, ymm13",
                "vpmaddwd ymm10, ymm12, ymm13",
                "vpmaddwd ymm11, ymm12, ymm13",
                "vpaddd ymm0, ymm0, ymm6",
                "vpaddd ymm1, ymm1, ymm7",
                "vpaddd ymm2, ymm2, ymm8",
                "vpaddd ymm3, ymm3, ymm9",
                "vpaddd ymm4, ymm4, ymm10",
                "vpaddd ymm5, ymm5, ymm11",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) rounds => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _,
                out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                options(nomem, nostack)
            );
        }
        rounds * 6 * LANES as u64
    }
}
