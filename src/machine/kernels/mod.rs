//! Inner loops compiled once for each instruction set extension and chosen at run time; the only unsafe code.
//!
//! Every version is the same safe body, so all give the same bytes.
#![allow(unsafe_code)]

/// `out[j]` = the sum of `row[k] · columns[j·length + k]`, for columns of `row`'s length. The caller has proved
/// that every sum stays within 32 bits.
pub(super) fn row_products(row: &[i16], columns: &[i16], out: &mut [i32]) {
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
    }
}
