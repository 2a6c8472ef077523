//! Kernels in plain loops that the compiler vectorises, some compiled for wider registers too.

use super::{LANES, Segment};

/// [`super::tile`] on any processor.
pub(super) fn tile(
    registers: usize,
    left: &[u8],
    bases: &[usize],
    segments: &[Segment],
    panel: &[i8],
    corrections: &[i32],
    sums: &mut [i32],
) {
    let columns = registers * LANES;
    for (&base, sums) in bases.iter().zip(sums.chunks_mut(columns)) {
        sums.iter_mut().zip(corrections).for_each(|(s, &c)| *s = c.wrapping_neg());
        let mut groups = panel.chunks_exact(4 * columns);
        for segment in segments {
            let run = &left[base + segment.offset..][..4 * segment.groups];
            for (four, group) in run.as_chunks::<4>().0.iter().zip(&mut groups) {
                let four = four.map(i32::from);
                for (sum, right) in sums.iter_mut().zip(group.as_chunks::<4>().0) {
                    let [a, b, c, d] = right.map(i32::from);
                    let joined = four[0] * a + four[1] * b + four[2] * c + four[3] * d;
                    *sum = sum.wrapping_add(joined);
                }
            }
        }
    }
}

/// Four rows of at least 16 codes each, column by column: `out[4·j + t] = rows[t][j]`.
pub(in crate::machine) fn interleave(rows: [&[i8]; 4], out: &mut [i8; 4 * LANES]) {
    let rows = rows.map(|row| row.first_chunk::<LANES>().copied().unwrap_or([0; LANES]));
    for (j, four) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *four = [rows[0][j], rows[1][j], rows[2][j], rows[3][j]];
    }
}

/// How many bytes differ from `zero`.
pub(in crate::machine) fn nonzeros(bytes: &[u8], zero: u8) -> u64 {
    // Counts of one block stay below 256 a lane.
    let block = |block: &[u8]| {
        let mut counts = [0u8; 64];
        let (lanes, rest) = block.as_chunks::<64>();
        for lane in lanes {
            counts.iter_mut().zip(lane).for_each(|(c, &b)| *c += u8::from(b != zero));
        }
        let in_rest = rest.iter().filter(|&&b| b != zero).count() as u64;
        counts.iter().map(|&c| u64::from(c)).sum::<u64>() + in_rest
    };
    bytes.chunks(64 * 255).map(block).sum()
}

/// `out[j]` = the sum of `row[k] · columns[j·length + k]`, for columns of `row`'s length. The caller has proved
/// that every sum stays within 32 bits.
pub(in crate::machine) fn row_products(row: &[i16], columns: &[i16], out: &mut [i32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has the features the function is compiled for.
            return unsafe { row_products_avx512(row, columns, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { row_products_avx2(row, columns, out) };
        }
    }
    row_products_body(row, columns, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn row_products_avx512(row: &[i16], columns: &[i16], out: &mut [i32]) {
    row_products_body(row, columns, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_products_avx2(row: &[i16], columns: &[i16], out: &mut [i32]) {
    row_products_body(row, columns, out);
}

#[inline(always)]
fn row_products_body(row: &[i16], columns: &[i16], out: &mut [i32]) {
    for (sum, column) in out.iter_mut().zip(columns.chunks_exact(row.len())) {
        *sum = row.iter().zip(column).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_extension_gives_the_same_sums(
            row in prop::collection::vec(-127i16..=127, 1..200), seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                i16::from(word.to_be_bytes()[0].cast_signed())
            };
            let columns: Vec<i16> = (0..5 * row.len()).map(|_| next()).collect();
            let (mut fast, mut plain) = ([0; 5], [0; 5]);
            row_products(&row, &columns, &mut fast);
            row_products_body(&row, &columns, &mut plain);
            prop_assert_eq!(fast, plain);
        }

        #[test]
        fn nonzeros_are_counted(bytes in prop::collection::vec(126u8..=129, 0..2000)) {
            let counted = bytes.iter().filter(|&&b| b != 128).count() as u64;
            prop_assert_eq!(nonzeros(&bytes, 128), counted);
        }
    }
}
