//! The product of woven operands by VNNI: four positions of a channel, unsigned, meet those of sixteen columns.

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_setzero_si512,
};

use super::{STEP, Strip, Woven};
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{Extremes, GROUP, LANES, MAX_REGISTERS, Target};
use crate::machine::kernels::sums::{Columns, Held};

/// [`super::Kernels::woven_product`].
///
/// # Safety
/// The processor has the features; operands and output hold all that the shape says; nobody else has the output's bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn product(
    shape: &Woven,
    (left, right): (&Lines, &Lines),
    target: &Target<'_>,
    extremes: &mut Extremes,
) {
    let mut held = Held::new();
    let registers = shape.column_registers();
    for first in (0..registers).step_by(MAX_REGISTERS) {
        let right = right.as_ptr().wrapping_add(first * shape.of_register());
        let panel = Panel { shape, left, right, first, target };
        // SAFETY: the caller's promise, and so many registers of columns there are.
        unsafe {
            match registers - first {
                1 => panel.sums::<16, 1>(&mut held),
                2 => panel.sums::<8, 2>(&mut held),
                3 => panel.sums::<8, 3>(&mut held),
                _ => panel.sums::<4, 4>(&mut held),
            }
        }
    }
    held.write(extremes);
}

/// Up to four registers of columns.
struct Panel<'a> {
    shape: &'a Woven,
    left: &'a Lines,
    /// Its first group.
    right: *const u8,
    /// Its first register.
    first: usize,
    target: &'a Target<'a>,
}

impl Panel<'_> {
    /// The sums of all rows, `R` at a time, in `V` registers of columns.
    ///
    /// # Safety
    /// As [`product`]; the panel has `V` registers, and `R` divides [`LANES`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn sums<const R: usize, const V: usize>(&self, held: &mut Held) {
        // SAFETY: the caller's promise.
        let columns: [Columns; V] = unsafe { self.columns() };
        for Strip { at, rows } in self.shape.strips() {
            for (row, channel) in rows.clone().step_by(R).zip((0..).step_by(R)) {
                let at = at + channel / LANES * LINE + channel % LANES * GROUP;
                // SAFETY: the caller's promise; a line has `R` channels from this one on.
                let sums = unsafe { self.tile::<R, V>(self.left.as_ptr().wrapping_add(at)) };
                for (row, sums) in (row..rows.end).zip(sums) {
                    for (columns, sums) in columns.iter().zip(sums) {
                        // SAFETY: the caller's promise.
                        unsafe { columns.put(self.target, row, sums, held) };
                    }
                }
            }
        }
    }

    /// Its columns, corrected for the 128 that each code of the left operand has too much.
    ///
    /// # Safety
    /// As [`Panel::sums`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn columns<const V: usize>(&self) -> [Columns; V] {
        let mut corrections = [_mm512_setzero_si512(); V];
        let too_much = _mm512_set1_epi8(-128);
        let mut right = self.right;
        for _ in 0..self.shape.right().len() / GROUP {
            for (v, correction) in corrections.iter_mut().enumerate() {
                // SAFETY: the panel has V registers of codes for each group.
                let codes = unsafe { _mm512_load_si512(right.wrapping_add(v * LINE).cast()) };
                *correction = _mm512_dpbusd_epi32(*correction, too_much, codes);
            }
            right = right.wrapping_add(V * LINE);
        }
        let column = |v: usize| (self.first + v) * LANES;
        std::array::from_fn(|v| Columns::corrected(column(v), self.shape.columns(), corrections[v]))
    }

    /// The sums of `R` channels, from the first group's codes of the first on.
    ///
    /// # Safety
    /// As [`Panel::sums`]; so many channels lie side by side in each group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile<const R: usize, const V: usize>(&self, left: *const u8) -> [[__m512i; V]; R] {
        let mut sums = [[_mm512_setzero_si512(); V]; R];
        let mut right = self.right;
        for run in &self.shape.runs {
            let mut left = left.wrapping_add(run.first * STEP);
            for _ in 0..run.groups {
                // SAFETY: the panel has V registers for each group.
                let codes: [__m512i; V] = std::array::from_fn(|v| unsafe {
                    _mm512_load_si512(right.wrapping_add(v * LINE).cast())
                });
                for (r, sums) in sums.iter_mut().enumerate() {
                    let channel = left.wrapping_add(r * GROUP).cast::<i32>();
                    // SAFETY: the shape's runs lie in what is woven.
                    let left = _mm512_set1_epi32(unsafe { channel.read_unaligned() });
                    for (sum, codes) in sums.iter_mut().zip(codes) {
                        *sum = _mm512_dpbusd_epi32(*sum, left, codes);
                    }
                }
                right = right.wrapping_add(V * LINE);
                left = left.wrapping_add(STEP);
            }
        }
        sums
    }
}
