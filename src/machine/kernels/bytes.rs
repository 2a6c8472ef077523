//! Bytes put in another order, and counted.

use super::{Extension, Kernels};

/// Bytes that [`Kernels::turn`] may read or write behind its matrices.
pub(in crate::machine) const TURN_SLACK: usize = 16;

impl Kernels {
    /// `to[c·rows + r] = from[r·columns + c]`; the [`TURN_SLACK`] bytes behind `to` may change.
    ///
    /// # Panics
    /// When a matrix and its slack do not fit.
    pub(in crate::machine) fn turn(self, from: &[u8], rows: usize, columns: usize, to: &mut [u8]) {
        assert!(from.len() >= rows * columns + TURN_SLACK && to.len() >= rows * columns + TURN_SLACK);
        #[cfg(target_arch = "x86_64")]
        if self.extension() >= Extension::Avx512Vnni {
            let mut column = 0;
            while column + WIDE <= columns {
                for row in (0..rows).step_by(BLOCK) {
                    let top = if rows >= BLOCK { row.min(rows - BLOCK) } else { 0 };
                    let place = (column, top, (rows - top).min(BLOCK));
                    // SAFETY: a `Kernels` has only what the processor has.
                    unsafe { wide_block(from, (rows, columns), place, to) };
                }
                column += WIDE;
            }
            return turn(from, (rows, columns), column, to);
        }
        turn(from, (rows, columns), 0, to);
    }
}

/// Columns from `first` on.
fn turn(from: &[u8], (rows, columns): (usize, usize), first: usize, to: &mut [u8]) {
    let mut column = first;
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
/// Columns of a block of AVX-512.
#[cfg(target_arch = "x86_64")]
const WIDE: usize = 64;

/// Sixteen rows of [`WIDE`] columns, turned in each quarter of a register: quarter `q` of line `c` is column `16·q + c`.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn turned_quarters(
    mut lines: [std::arch::x86_64::__m512i; BLOCK],
) -> [std::arch::x86_64::__m512i; BLOCK] {
    use std::arch::x86_64::{_mm512_unpackhi_epi8, _mm512_unpacklo_epi8};
    // Four times, each line is woven with the one eight further: a bit of the row's number moves to the column's.
    for _ in 0..4 {
        let mut woven = lines;
        for i in 0..8 {
            woven[2 * i] = _mm512_unpacklo_epi8(lines[i], lines[i + 8]);
            woven[2 * i + 1] = _mm512_unpackhi_epi8(lines[i], lines[i + 8]);
        }
        lines = woven;
    }
    lines
}

/// [`WIDE`] columns of up to sixteen rows: as [`block`], in each quarter of a register.
///
/// # Panics
/// When the block leaves a matrix.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn wide_block(
    from: &[u8],
    (rows, columns): (usize, usize),
    (column, top, count): (usize, usize, usize),
    to: &mut [u8],
) {
    use std::arch::x86_64::{
        _mm_storeu_si128, _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_setzero_si512,
    };
    let mut lines = [_mm512_setzero_si512(); BLOCK];
    for (r, line) in lines.iter_mut().take(count).enumerate() {
        let source = &from[(top + r) * columns + column..][..WIDE];
        // SAFETY: 64 bytes.
        *line = unsafe { _mm512_loadu_si512(source.as_ptr().cast()) };
    }
    let lines = turned_quarters(lines);
    // Columns in order: fewer rows than sixteen spill into what comes later.
    let to = &mut to[column * rows + top..][..(WIDE - 1) * rows + BLOCK];
    macro_rules! quarter {
        ($quarter:literal) => {
            for (c, line) in lines.iter().enumerate() {
                let column: &mut [u8] = &mut to[(BLOCK * $quarter + c) * rows..][..BLOCK];
                let bytes = _mm512_extracti32x4_epi32::<$quarter>(*line);
                // SAFETY: sixteen bytes.
                unsafe { _mm_storeu_si128(column.as_mut_ptr().cast(), bytes) };
            }
        };
    }
    quarter!(0);
    quarter!(1);
    quarter!(2);
    quarter!(3);
}

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
fn nonzeros(bytes: &[u8], zero: u8) -> u32 {
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

/// Counts how many of the `count` bytes from each place on differ from `zero`, by masks of 64 bytes.
///
/// # Panics
/// When they do not all lie in `bytes`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
fn count_by_masks(
    bytes: &[u8],
    (places, count): (impl Iterator<Item = usize>, usize),
    zero: u8,
    counts: &mut Vec<u32>,
) {
    use std::arch::x86_64::{
        _mm512_cmpneq_epi8_mask, _mm512_loadu_si512, _mm512_mask_cmpneq_epi8_mask, _mm512_maskz_loadu_epi8,
        _mm512_set1_epi8,
    };
    let zeros = _mm512_set1_epi8(zero.cast_signed());
    let rest = count % 64;
    let of_rest = (1u64 << rest) - 1;
    // Sixteen are put at once: each push would wait for the vector's length, which is in memory.
    let (mut few, mut taken) = ([0; 16], 0);
    for place in places {
        let (lines, last) = bytes[place..][..count].as_chunks::<64>();
        let mut found = 0;
        for line in lines {
            // SAFETY: a line is 64 bytes.
            let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
            found += _mm512_cmpneq_epi8_mask(line, zeros).count_ones();
        }
        if rest > 0 {
            // SAFETY: bytes behind the last are masked.
            let line = unsafe { _mm512_maskz_loadu_epi8(of_rest, last.as_ptr().cast()) };
            found += _mm512_mask_cmpneq_epi8_mask(of_rest, line, zeros).count_ones();
        }
        few[taken] = found;
        taken += 1;
        if taken == few.len() {
            counts.extend_from_slice(&few);
            taken = 0;
        }
    }
    counts.extend_from_slice(&few[..taken]);
}

impl Kernels {
    /// How many of the `count` bytes from each place on differ from `zero`.
    ///
    /// # Panics
    /// When they do not all lie in `bytes`.
    pub(in crate::machine) fn count_nonzeros(
        self,
        bytes: &[u8],
        (places, count): (impl Iterator<Item = usize>, usize),
        zero: u8,
        counts: &mut Vec<u32>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if self.extension() >= Extension::Avx512Vnni {
            // SAFETY: a `Kernels` has only what the processor has.
            return unsafe { count_by_masks(bytes, (places, count), zero, counts) };
        }
        let found = places.map(|place| nonzeros(&bytes[place..][..count], zero));
        match self.extension() {
            Extension::Avx2 => self.with_avx2(|| counts.extend(found)),
            _ => counts.extend(found),
        }
    }
}

/// Adds to each sum its four codes of every group of a panel.
#[inline(always)]
fn add_fours(panel: &[u8], sums: &mut [i32]) {
    for group in panel.chunks_exact(4 * sums.len()) {
        for (sum, four) in sums.iter_mut().zip(group.as_chunks::<4>().0) {
            *sum += four.iter().map(|c| i32::from(c.cast_signed())).sum::<i32>();
        }
    }
}

/// The same as products with ones.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_fours_by_products(panel: &[u8], sums: &mut [i32]) {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_storeu_si512};
    let (ones, group) = (_mm512_set1_epi8(1), 4 * sums.len());
    for (number, lanes) in sums.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        // SAFETY: sixteen lanes.
        let mut sum = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
        for group in panel.chunks_exact(group) {
            let codes = &group[64 * number..][..64];
            // SAFETY: 64 bytes.
            sum = _mm512_dpbusd_epi32(sum, ones, unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) });
        }
        // SAFETY: sixteen lanes.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sum) };
    }
}

impl Kernels {
    /// Adds to each sum its four codes of every group of a panel, whose groups have four codes for each sum.
    ///
    /// # Panics
    /// When sums are no whole registers of sixteen.
    pub(in crate::machine) fn add_fours(self, panel: &[u8], sums: &mut [i32]) {
        assert!(sums.len().is_multiple_of(16) && !sums.is_empty());
        match self.extension() {
            Extension::Portable => add_fours(panel, sums),
            Extension::Avx2 => self.with_avx2(|| add_fours(panel, sums)),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe { add_fours_by_products(panel, sums) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => add_fours(panel, sums),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn turned_columns_are_rows(rows in 1usize..70, columns in 1usize..200, seed in any::<u64>()) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.to_be_bytes()[0]
            };
            let from: Vec<u8> = (0..rows * columns + TURN_SLACK).map(|_| next()).collect();
            for extension in Extension::available() {
                let mut to = vec![0; from.len()];
                Kernels::of(extension).turn(&from, rows, columns, &mut to);
                for r in 0..rows {
                    for c in 0..columns {
                        prop_assert_eq!(to[c * rows + r], from[r * columns + c]);
                    }
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
        fn fours_are_added(bytes in prop::collection::vec(any::<u8>(), 0..2000), registers in 1usize..=4) {
            let sums: Vec<i32> = (0..i32::try_from(16 * registers).unwrap()).map(|n| 1000 * n).collect();
            let mut expected = sums.clone();
            for (at, &code) in bytes[..bytes.len() / (64 * registers) * 64 * registers].iter().enumerate() {
                expected[at % (64 * registers) / 4] += i32::from(code.cast_signed());
            }
            for extension in Extension::available() {
                let mut found = sums.clone();
                Kernels::of(extension).add_fours(&bytes, &mut found);
                prop_assert_eq!(&found, &expected);
            }
        }

        #[test]
        fn nonzeros_are_counted(bytes in prop::collection::vec(126u8..=129, 0..400), count in 1usize..150) {
            let places = || (0..bytes.len().saturating_sub(count)).step_by(7);
            let counted = |place: usize| bytes[place..place + count].iter().filter(|&&b| b != 128).count();
            let expected: Vec<usize> = places().map(counted).collect();
            for extension in Extension::available() {
                let mut counts = Vec::new();
                Kernels::of(extension).count_nonzeros(&bytes, (places(), count), 128, &mut counts);
                let counts: Vec<usize> = counts.iter().map(|&n| usize::try_from(n).unwrap()).collect();
                prop_assert_eq!(&counts, &expected);
            }
        }
    }
}
