//! The product of [`Woven`] operands, transposed: the output's columns are rows of tiles.

use std::arch::x86_64::{
    __m512i, _mm_storeu_si128, _mm512_extracti32x4_epi32, _mm512_load_si512, _mm512_loadu_si512,
    _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::instructions::{AFRESH, Block, Configured, GOING_ON, Rows, SIDE, SIGNED, Sums, Tiles};
use super::{SCRATCH, Scratch};
use crate::machine::kernels::bytes::turned_quarters;
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{Extremes, LANES, Target};
use crate::machine::kernels::sums::{Columns, Held};
use crate::machine::kernels::woven::{ACROSS, BLOCK, STEP, Strip, Woven};

/// [`super::super::Kernels::weave_right`].
///
/// # Safety
/// The processor has the features; from each position on there are codes of all columns, up to a whole line; `to` is as long as
/// all tiles.
#[target_feature(enable = "avx512f,avx512bw")]
pub(in crate::machine::kernels) unsafe fn turn(shape: &Woven, codes: &[u8], to: &mut Lines) {
    let (tiles, of_tile) = (shape.column_registers(), shape.of_register());
    let quarters = shape.right().chunks_exact(SIDE).enumerate();
    for (block, quarter, positions) in quarters.map(|(n, p)| (n / (BLOCK / SIDE), n % (BLOCK / SIDE), p)) {
        for first in (0..tiles).step_by(LINE / LANES) {
            let mut lines = [_mm512_setzero_si512(); SIDE];
            for (line, &position) in lines.iter_mut().zip(positions) {
                if let Some(at) = position {
                    // SAFETY: the caller's promise.
                    *line =
                        unsafe { _mm512_loadu_si512(codes.as_ptr().wrapping_add(at + first * LANES).cast()) };
                }
            }
            let lines = turned_quarters(lines);
            let place = (first * of_tile) + block * SIDE * LINE + quarter * SIDE;
            macro_rules! tile {
                ($number:literal) => {
                    if first + $number < tiles {
                        let to = to.as_mut_ptr().wrapping_add(place + $number * of_tile);
                        for (column, line) in lines.iter().enumerate() {
                            let bytes = _mm512_extracti32x4_epi32::<$number>(*line);
                            // SAFETY: sixteen bytes of a line of the tile's block.
                            unsafe { _mm_storeu_si128(to.wrapping_add(column * LINE).cast(), bytes) };
                        }
                    }
                };
            }
            tile!(0);
            tile!(1);
            tile!(2);
            tile!(3);
        }
    }
}

/// [`super::super::Kernels::woven_product`].
///
/// # Safety
/// The processor has the features, AMX among them, and the system lets this process use it; operands and output hold all that the
/// shape says; nobody else has the output's bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(in crate::machine::kernels) unsafe fn product(
    shape: &Woven,
    operands: (&Lines, &Lines),
    target: &Target<'_>,
    extremes: &mut Extremes,
) {
    let mut held = Held::new();
    // SAFETY: the caller's promise.
    let configured = unsafe { Configured::new() };
    let blocks = blocks(shape);
    // As products of other operands: sums are put where they belong behind the next tiles' products.
    SCRATCH.with_borrow_mut(|Scratch { sums: [sums, sums_before], .. }| {
        let mut before: Option<Summed<'_>> = None;
        for summed in all(shape.columns(), shape.strips()) {
            let tiles = summed.tiles(shape, operands, &blocks);
            // SAFETY: so many tiles were turned; all blocks of a strip lie in what is woven.
            unsafe { tiles.sums::<SIGNED, AFRESH>(&configured, summed.across(), sums) };
            if let Some(before) = before.replace(summed) {
                // SAFETY: the caller's promise.
                unsafe { before.put(shape.columns(), target, sums_before, &mut held) };
            }
            std::mem::swap(sums, sums_before);
        }
        if let Some(before) = before {
            // SAFETY: the caller's promise.
            unsafe { before.put(shape.columns(), target, sums_before, &mut held) };
        }
    });
    held.write(extremes);
}

/// [`super::super::Kernels::woven_sums`].
///
/// # Safety
/// The processor has the features, AMX among them, and the system lets this process use it; operands hold all that the shape says.
pub(in crate::machine::kernels) unsafe fn sums(
    shape: &Woven,
    operands: (&Lines, &Lines),
    kept: &mut Vec<Sums>,
    goes_on: bool,
) {
    // SAFETY: the caller's promise.
    let configured = unsafe { Configured::new() };
    let blocks = blocks(shape);
    let all = all(shape.columns(), shape.strips());
    kept.resize_with(all.clone().count(), Sums::default);
    for (summed, sums) in all.zip(kept) {
        let (tiles, across) = (summed.tiles(shape, operands, &blocks), summed.across());
        // SAFETY: so many tiles were turned; all blocks of a strip lie in what is woven.
        unsafe {
            if goes_on {
                tiles.sums::<SIGNED, GOING_ON>(&configured, across, sums);
            } else {
                tiles.sums::<SIGNED, AFRESH>(&configured, across, sums);
            }
        }
    }
}

/// [`super::super::Kernels::put_woven`].
///
/// # Safety
/// The processor has the features; the output holds all rows of the strips in so many columns; nobody else has its bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(in crate::machine::kernels) unsafe fn put(
    (columns, strips): (usize, &[Strip]),
    kept: &[Sums],
    target: &Target<'_>,
    extremes: &mut Extremes,
) {
    let mut held = Held::new();
    for (summed, sums) in all(columns, strips).zip(kept) {
        // SAFETY: the caller's promise.
        unsafe { summed.put(columns, target, sums, &mut held) };
    }
    held.write(extremes);
}

/// The blocks of the reduction.
fn blocks(shape: &Woven) -> Vec<Block> {
    shape.blocks().enumerate().map(|(n, group)| Block { left: n * SIDE * LINE, group }).collect()
}

/// All of an output, two tiles of columns by a strip at a time.
fn all(columns: usize, strips: &[Strip]) -> impl Iterator<Item = Summed<'_>> + Clone {
    let tiles = columns.div_ceil(LANES);
    let of_tiles = move |first_tile| {
        let tiles = ACROSS.min(tiles - first_tile);
        strips.iter().map(move |strip| Summed { first_tile, tiles, strip })
    };
    (0..tiles).step_by(ACROSS).flat_map(of_tiles)
}

/// Rows of the output, and tiles of its columns, whose sums are done at once.
struct Summed<'a> {
    first_tile: usize,
    tiles: usize,
    strip: &'a Strip,
}

impl Summed<'_> {
    /// Tiles of columns, and registers of rows.
    fn across(&self) -> (usize, usize) {
        (self.tiles, self.strip.rows.len().div_ceil(LANES))
    }

    fn tiles<'b>(&self, shape: &Woven, (left, right): (&Lines, &Lines), blocks: &'b [Block]) -> Tiles<'b> {
        let of_tile = shape.of_register();
        let first = right.as_ptr().wrapping_add(self.first_tile * of_tile);
        Tiles {
            left: [0, of_tile].map(|at| Rows { first: first.wrapping_add(at), step: LINE }),
            blocks,
            right: left.as_ptr().wrapping_add(self.strip.at),
            right_step: STEP,
        }
    }

    /// Puts the sums where they belong, in an output of so many columns.
    ///
    /// # Safety
    /// As [`product`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
    unsafe fn put(&self, columns: usize, target: &Target<'_>, sums: &Sums, held: &mut Held) {
        for (tile, sums) in (self.first_tile..self.first_tile + self.tiles).zip(&sums.0) {
            let columns = Columns::uncorrected(tile * LANES, columns);
            for (sums, first) in sums.iter().zip(self.strip.rows.clone().step_by(LANES)) {
                let mut registers = [_mm512_setzero_si512(); LANES];
                for (register, sums) in registers.iter_mut().zip(sums) {
                    // SAFETY: a row of sums is a register, aligned as such.
                    *register = unsafe { _mm512_load_si512(sums.as_ptr().cast()) };
                }
                let registers = transposed(registers);
                for (row, &sums) in (first..self.strip.rows.end).zip(&registers) {
                    // SAFETY: the caller's promise.
                    unsafe { columns.put(target, row, sums, held) };
                }
            }
        }
    }
}

/// Sixteen rows of sixteen lanes, as rows of what were lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut pairs = rows;
    for i in (0..LANES).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Lane q of fours[4·i + j] is column 4·q + j of rows 4·i to 4·i + 3.
    let mut fours = pairs;
    for i in (0..LANES).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    let mut columns = fours;
    for j in 0..4 {
        let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
        // Quarters 0 and 1, 2 and 3, of the first and of the second half of the rows.
        let (low, high) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
        let (low_later, high_later) =
            (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
        columns[j] = _mm512_shuffle_i32x4::<0x88>(low, low_later);
        columns[4 + j] = _mm512_shuffle_i32x4::<0xdd>(low, low_later);
        columns[8 + j] = _mm512_shuffle_i32x4::<0x88>(high, high_later);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(high, high_later);
    }
    columns
}
