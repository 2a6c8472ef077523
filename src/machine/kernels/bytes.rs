//! Bytes put in another order, and counted.

/// Bytes that [`turn`] may read or write behind its matrices.
pub(in crate::machine) const TURN_SLACK: usize = 16;

/// `to[c·rows + r] = from[r·columns + c]`; the [`TURN_SLACK`] bytes behind `to` may change.
///
/// # Panics
/// When a matrix and its slack do not fit.
pub(in crate::machine) fn turn(from: &[u8], rows: usize, columns: usize, to: &mut [u8]) {
    assert!(from.len() >= rows * columns + TURN_SLACK && to.len() >= rows * columns + TURN_SLACK);
    let mut column = 0;
    while column < columns {
        // The last block of sixteen is moved back over the one before; fewer than sixteen spill into what comes later.
        let first = if columns >= BLOCK { column.min(columns - BLOCK) } else { 0 };
        let mut row = 0;
        while row < rows {
            let top = if rows >= BLOCK { row.min(rows - BLOCK) } else { 0 };
            block(
                &from[top * columns + first..],
                (rows - top).min(BLOCK),
                columns,
                &mut to[first * rows + top..],
                rows,
            );
            row += BLOCK;
        }
        column += BLOCK;
    }
}

const BLOCK: usize = 16;

/// Sixteen columns of up to sixteen rows.
#[cfg(target_arch = "x86_64")]
fn block(from: &[u8], rows: usize, stride: usize, to: &mut [u8], to_stride: usize) {
    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_setzero_si128, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    };
    // SAFETY (of the intrinsics): SSE2 is part of x86-64.
    let mut lines = [unsafe { _mm_setzero_si128() }; BLOCK];
    for (r, line) in lines.iter_mut().take(rows).enumerate() {
        let source = &from[r * stride..][..BLOCK];
        // SAFETY: sixteen bytes.
        *line = unsafe { _mm_loadu_si128(source.as_ptr().cast()) };
    }
    // Four times, each line is woven with the one eight further: a bit of the row's number moves to the column's.
    for _ in 0..4 {
        let mut woven = lines;
        for i in 0..8 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                woven[2 * i] = _mm_unpacklo_epi8(lines[i], lines[i + 8]);
                woven[2 * i + 1] = _mm_unpackhi_epi8(lines[i], lines[i + 8]);
            }
        }
        lines = woven;
    }
    for (c, line) in lines.iter().take(stride).enumerate() {
        let target: &mut [u8] = &mut to[c * to_stride..][..BLOCK];
        // SAFETY: sixteen bytes.
        unsafe { _mm_storeu_si128(target.as_mut_ptr().cast::<__m128i>(), *line) };
    }
}

/// Sixteen columns of up to sixteen rows.
#[cfg(not(target_arch = "x86_64"))]
fn block(from: &[u8], rows: usize, stride: usize, to: &mut [u8], to_stride: usize) {
    for c in 0..stride.min(BLOCK) {
        for r in 0..rows {
            to[c * to_stride + r] = from[r * stride + c];
        }
    }
}

/// Four rows column by column: `to[4·j + t] = rows[t][j]`, sixteen columns.
pub(in crate::machine) fn interleave(rows: [&[u8; 16]; 4], to: &mut [u8; 64]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{
            _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi8, _mm_unpackhi_epi16, _mm_unpacklo_epi8,
            _mm_unpacklo_epi16,
        };
        // SAFETY: SSE2 is part of x86-64; every pointer is to sixteen bytes of an array.
        unsafe {
            let [a, b, c, d] = rows.map(|row| _mm_loadu_si128(row.as_ptr().cast()));
            let (ab, cd) = (_mm_unpacklo_epi8(a, b), _mm_unpacklo_epi8(c, d));
            let (ab_high, cd_high) = (_mm_unpackhi_epi8(a, b), _mm_unpackhi_epi8(c, d));
            let woven = [
                _mm_unpacklo_epi16(ab, cd),
                _mm_unpackhi_epi16(ab, cd),
                _mm_unpacklo_epi16(ab_high, cd_high),
                _mm_unpackhi_epi16(ab_high, cd_high),
            ];
            for (quarter, woven) in to.as_chunks_mut::<16>().0.iter_mut().zip(woven) {
                _mm_storeu_si128(quarter.as_mut_ptr().cast(), woven);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (j, four) in to.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *four = rows.map(|row| row[j]);
    }
}

/// How many of the bytes differ from `zero`.
#[inline(always)]
pub(in crate::machine) fn nonzeros(bytes: &[u8], zero: u8) -> u32 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let (words, rest) = bytes.as_chunks::<8>();
    let zeros = u64::from_le_bytes([zero; 8]);
    let of_word = |word: &[u8; 8]| {
        let bits = u64::from_le_bytes(*word) ^ zeros;
        // The top bit of a byte is set where any of its bits is.
        ((((bits & LOW) + LOW) | bits) & !LOW).count_ones()
    };
    let of_rest = rest.iter().map(|&b| u32::from(b != zero)).sum::<u32>();
    words.iter().map(of_word).sum::<u32>() + of_rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turned_twice_is_as_before(rows in 1usize..70, columns in 1usize..70, seed in any::<u64>()) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.to_be_bytes()[0]
            };
            let from: Vec<u8> = (0..rows * columns + TURN_SLACK).map(|_| next()).collect();
            let mut to = vec![0; from.len()];
            turn(&from, rows, columns, &mut to);
            for r in 0..rows {
                for c in 0..columns {
                    prop_assert_eq!(to[c * rows + r], from[r * columns + c]);
                }
            }
        }

        #[test]
        fn four_rows_are_woven(bytes in prop::array::uniform32(any::<u8>()), more in prop::array::uniform32(any::<u8>())) {
            let rows = [&bytes[..16], &bytes[16..], &more[..16], &more[16..]];
            let mut to = [0; 64];
            interleave(rows.map(|r| r.try_into().unwrap()), &mut to);
            for j in 0..16 {
                prop_assert_eq!(&to[4 * j..4 * j + 4], &rows.map(|r| r[j])[..]);
            }
        }

        #[test]
        fn nonzeros_are_counted(bytes in prop::collection::vec(126u8..=129, 0..200)) {
            let counted = bytes.iter().filter(|&&b| b != 128).count();
            prop_assert_eq!(usize::try_from(nonzeros(&bytes, 128)).unwrap(), counted);
        }
    }
}
