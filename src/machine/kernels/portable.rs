//! Kernels in plain loops that the compiler vectorises, some compiled for wider registers too.

use super::product::{Extremes, GROUP, LANES, MAX_REGISTERS, Product};

/// Some rows of [`super::Kernels::product`] on any processor.
///
/// # Safety
/// Nobody else has the output's bytes of these rows.
pub(super) unsafe fn product(p: &Product<'_>, extremes: &mut Extremes) {
    let (registers, groups) = (p.shape.registers(), p.shape.groups());
    for v in 0..registers {
        let first = v / MAX_REGISTERS * MAX_REGISTERS;
        let width = MAX_REGISTERS.min(registers - first);
        let panel = &p.operands.panels[first * groups * GROUP * LANES..][..groups * width * GROUP * LANES];
        for (number, class) in p.shape.classes().iter().enumerate() {
            let (bases, places) = (p.shape.bases_of(class), p.shape.rows_of(class));
            for (&base, &place) in bases.iter().zip(places) {
                let mut sums = [0i32; LANES];
                for segment in p.shape.segments_of(class) {
                    let left = &p.operands.left[base + segment.offset..][..GROUP * segment.groups];
                    let codes = panel[segment.first_group * width * GROUP * LANES..]
                        .chunks_exact(width * GROUP * LANES);
                    for (four, codes) in left.as_chunks::<GROUP>().0.iter().zip(codes) {
                        let four = four.map(i32::from);
                        let codes = codes[(v - first) * GROUP * LANES..].as_chunks::<GROUP>().0;
                        for (sum, codes) in sums.iter_mut().zip(codes) {
                            let [a, b, c, d] = codes.map(|c| i32::from(c.cast_signed()));
                            let joined = four[0] * a + four[1] * b + four[2] * c + four[3] * d;
                            *sum = sum.wrapping_add(joined);
                        }
                    }
                }
                // SAFETY: the caller's promise.
                unsafe { put(p, number, v, place, &sums, extremes) };
            }
        }
    }
}

/// Corrects, joins and stores the sums of register `v` of a row of class `number`.
///
/// # Safety
/// Nobody else has the output's bytes of row `place`.
pub(super) unsafe fn put(
    p: &Product<'_>,
    number: usize,
    v: usize,
    place: usize,
    sums: &[i32; LANES],
    extremes: &mut Extremes,
) {
    let count = LANES.min(p.shape.columns() - v * LANES);
    let corrections = &p.operands.corrections[(number * p.shape.registers() + v) * LANES..];
    // SAFETY: the caller's promise.
    let out = unsafe { p.target.out.bytes(place * p.target.row_bytes + 4 * v * LANES, 4 * count) };
    let out = out.as_chunks_mut::<4>().0;
    for (j, (out, (&sum, &correction))) in out.iter_mut().zip(sums.iter().zip(corrections)).enumerate() {
        let start = if p.target.accumulate { i32::from_le_bytes(*out) } else { 0 };
        let sum = sum.wrapping_sub(correction).wrapping_add(start);
        *out = sum.to_le_bytes();
        extremes.least[j] = extremes.least[j].min(sum);
        extremes.greatest[j] = extremes.greatest[j].max(sum);
        extremes.zeros += u64::from(sum == 0);
    }
}

/// `out[j]` = the sum of `row[k] · columns[j·length + k]`, for columns of `row`'s length. The caller has proved
/// that every sum stays within 32 bits.
#[inline(always)]
pub(in crate::machine) fn row_products(row: &[i16], columns: &[i16], out: &mut [i32]) {
    for (sum, column) in out.iter_mut().zip(columns.chunks_exact(row.len())) {
        *sum = row.iter().zip(column).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
    }
}
