//! Pooled products by VNNI: each column picks, of four windows of a channel, the positions whose codes it has. A register holds four
//! channels, and for each of them the same four columns, so that both operands are whole lines of memory: to spread sixteen bytes over a
//! register takes the processor as long as to pick.

mod right;

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_load_si512, _mm512_set1_epi8, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_shuffle_i32x4,
};

use super::{FOURS, OF_WINDOWS, STEP, Strip, WINDOWS, Woven};
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{Extremes, GROUP, LANES, Target};
use crate::machine::kernels::sums::{Columns, Held};
pub(super) use right::right;

/// Sums of four channels, by four columns.
type Sums = [__m512i; FOURS];

/// [`super::Kernels::woven_product`], pooled.
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
    for register in 0..shape.column_registers() {
        let right = right.as_ptr().wrapping_add(register * shape.of_register());
        let of = Register { shape, right };
        // SAFETY: the caller's promise.
        let columns = unsafe { of.columns(register * LANES) };
        for Strip { at, rows } in shape.strips() {
            for (number, first) in rows.clone().step_by(LANES).enumerate() {
                let left = left.as_ptr().wrapping_add(at + number * WINDOWS * LINE);
                // SAFETY: the caller's promise; a strip has whole registers of channels.
                let sums = unsafe { of.tile(left) };
                for (first, sums) in (first..rows.end).step_by(FOURS).zip(sums) {
                    for (row, sums) in (first..rows.end).zip(by_channels(sums)) {
                        // SAFETY: the caller's promise.
                        unsafe { columns.put(target, row, sums, &mut held) };
                    }
                }
            }
        }
    }
    held.write(extremes);
}

/// Sixteen columns.
struct Register<'a> {
    shape: &'a Woven,
    /// Their first windows.
    right: *const u8,
}

impl Register<'_> {
    /// The columns, corrected for the 128 that each code of the left operand has too much.
    ///
    /// # Safety
    /// As [`product`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    unsafe fn columns(&self, first: usize) -> Columns {
        let mut corrections = [_mm512_setzero_si512(); FOURS];
        let too_much = _mm512_set1_epi8(-128);
        for windows in 0..self.shape.right().len() / (WINDOWS * GROUP) {
            for (four, correction) in corrections.iter_mut().enumerate() {
                let at = self.right.wrapping_add(windows * OF_WINDOWS + four * 2 * LINE);
                // SAFETY: four columns' codes of these windows.
                let codes = unsafe { _mm512_load_si512(at.cast()) };
                *correction = _mm512_dpbusd_epi32(*correction, too_much, codes);
            }
        }
        let [correction, ..] = by_channels(corrections);
        Columns::corrected(first, self.shape.columns(), correction)
    }

    /// The sums of sixteen channels, from the first windows of the first on: by fours of them.
    ///
    /// # Safety
    /// As [`product`]; so many channels lie side by side in each group.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn tile(&self, left: *const u8) -> [Sums; FOURS] {
        let mut sums = [[_mm512_setzero_si512(); FOURS]; FOURS];
        let mut right = self.right;
        for run in &self.shape.runs {
            let mut left = left.wrapping_add(run.first * STEP);
            for _ in 0..run.groups / WINDOWS {
                // SAFETY: the shape's runs lie in what is woven, four channels a line; the right operand has two lines for four columns.
                unsafe {
                    let channels: [__m512i; FOURS] =
                        std::array::from_fn(|four| _mm512_load_si512(left.wrapping_add(four * LINE).cast()));
                    for column in 0..FOURS {
                        let at = right.wrapping_add(column * 2 * LINE);
                        let codes = _mm512_load_si512(at.cast());
                        let places = _mm512_load_si512(at.wrapping_add(LINE).cast());
                        for (sums, channels) in sums.iter_mut().zip(channels) {
                            let picked = _mm512_shuffle_epi8(channels, places);
                            sums[column] = _mm512_dpbusd_epi32(sums[column], picked, codes);
                        }
                    }
                }
                right = right.wrapping_add(OF_WINDOWS);
                left = left.wrapping_add(WINDOWS * STEP);
            }
        }
        sums
    }
}

/// Sums of each of four channels, all sixteen columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn by_channels([a, b, c, d]: Sums) -> [__m512i; FOURS] {
    // The first and the third of each two, the second and the fourth.
    const EVEN: i32 = 0x88;
    const ODD: i32 = 0xdd;
    let (even, odd) = (_mm512_shuffle_i32x4::<EVEN>(a, b), _mm512_shuffle_i32x4::<ODD>(a, b));
    let (other_even, other_odd) = (_mm512_shuffle_i32x4::<EVEN>(c, d), _mm512_shuffle_i32x4::<ODD>(c, d));
    [
        _mm512_shuffle_i32x4::<EVEN>(even, other_even),
        _mm512_shuffle_i32x4::<EVEN>(odd, other_odd),
        _mm512_shuffle_i32x4::<ODD>(even, other_even),
        _mm512_shuffle_i32x4::<ODD>(odd, other_odd),
    ]
}
