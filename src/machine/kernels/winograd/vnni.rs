//! Products of pairs of outputs by VNNI: what is for both, and what one gets subtracted, is joined to sums of their own, which
//! become the outputs' before what is for one alone is.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_setzero_si512, _mm512_srai_epi32, _mm512_sub_epi32,
};

use super::{ACROSS, Filtering, FilteringOperands, MOST, Pair, Pairs};
use crate::machine::kernels::product::{Extremes, LANES, Target};
use crate::machine::kernels::sums::{Columns, Held};
use crate::machine::kernels::vnni::{Panel, join, panels, shared_out};

/// [`super::Kernels::filtering_product`].
///
/// # Safety
/// The processor has the features; the operands and the output hold all that the shape reaches; nobody else has the output's bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn product(
    shape: &Filtering,
    operands: FilteringOperands<'_>,
    target: &Target<'_>,
    extremes: &mut Extremes,
) {
    let mut held = Held::new();
    let lanes = shape.registers() * LANES;
    for panel in panels(shape.registers(), shape.groups()).flat_map(|panel| panel.parts(ACROSS)) {
        for (class, corrections) in shape.classes.iter().zip(operands.corrections.chunks_exact(2 * lanes)) {
            let corrections = corrections.split_at(lanes).into();
            let of = Of { shape, operands, target, panel, class, corrections };
            // SAFETY: what the caller proved holds for every class and panel.
            unsafe {
                match panel.registers {
                    1 => of.pairs::<1>(&mut held),
                    _ => of.pairs::<ACROSS>(&mut held),
                }
            }
        }
    }
    held.write(extremes);
}

/// The pairs of a class and the columns of a part of a panel.
struct Of<'a> {
    shape: &'a Filtering,
    operands: FilteringOperands<'a>,
    target: &'a Target<'a>,
    panel: Panel,
    class: &'a Pairs,
    /// Of each output.
    corrections: [&'a [i32]; 2],
}

impl Of<'_> {
    /// All pairs, up to [`MOST`] at a time.
    ///
    /// # Safety
    /// As [`product`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn pairs<const V: usize>(&self, held: &mut Held) {
        let pairs = &self.shape.pairs[self.class.pairs.clone()];
        for pairs in pairs.chunks(shared_out(pairs.len(), MOST)) {
            // SAFETY: as the caller proved.
            unsafe {
                match pairs.len() {
                    1 => self.tile::<1, V>(pairs, held),
                    2 => self.tile::<2, V>(pairs, held),
                    3 => self.tile::<3, V>(pairs, held),
                    4 => self.tile::<4, V>(pairs, held),
                    5 => self.tile::<5, V>(pairs, held),
                    _ => self.tile::<MOST, V>(pairs, held),
                }
            }
        }
    }

    /// `R` pairs and `V` registers of columns.
    ///
    /// # Safety
    /// As [`product`]; there are `R` pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn tile<const R: usize, const V: usize>(&self, pairs: &[Pair], held: &mut Held) {
        // SAFETY: a base lies in the left operand, the panel in the panels.
        let (rows, panel): ([*const u8; R], _) = unsafe {
            let left = self.operands.left.as_ptr();
            (
                std::array::from_fn(|r| left.add(pairs[r].base)),
                (self.operands.panels.as_ptr().add(self.panel.at), self.panel.step),
            )
        };
        let [both, opposed, only_first, only_second] = &self.class.segments;
        let mut first = [[_mm512_setzero_si512(); V]; R];
        let mut second = first;
        // SAFETY: the caller's promise.
        unsafe {
            join(rows, panel, both, &mut first);
            join(rows, panel, opposed, &mut second);
        }
        for (first, second) in first.iter_mut().zip(&mut second) {
            for (first, second) in first.iter_mut().zip(second) {
                (*first, *second) = (_mm512_add_epi32(*first, *second), _mm512_sub_epi32(*first, *second));
            }
        }
        // SAFETY: the caller's promise.
        unsafe {
            join(rows, panel, only_first, &mut first);
            join(rows, panel, only_second, &mut second);
            self.put::<0, R, V>(pairs, &first, held);
            if self.class.whole {
                self.put::<1, R, V>(pairs, &second, held);
            }
        }
    }

    /// Puts the sums of the first output of pairs, or of the second.
    ///
    /// # Safety
    /// As [`product`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn put<const OUTPUT: usize, const R: usize, const V: usize>(
        &self,
        pairs: &[Pair],
        sums: &[[__m512i; V]; R],
        held: &mut Held,
    ) {
        for v in 0..V {
            let column = self.panel.column + v * LANES;
            let correction = &self.corrections[OUTPUT][column..][..LANES];
            // SAFETY: a register's lanes.
            let correction = unsafe { _mm512_loadu_si512(correction.as_ptr().cast()) };
            let columns = Columns::uncorrected(column, self.shape.columns);
            for (pair, sums) in pairs.iter().zip(sums) {
                let sums = _mm512_srai_epi32::<1>(_mm512_sub_epi32(sums[v], correction));
                // SAFETY: as the caller proved; the row is the caller's.
                unsafe { columns.put(self.target, pair.row + OUTPUT, sums, held) };
            }
        }
    }
}
