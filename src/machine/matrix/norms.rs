//! Norms of rows and columns, by which sums of their products are proved to stay in range: no sum of an output's products'
//! magnitudes, and so no partial sum of the products, is greater than the row's sum of magnitudes times the column's greatest, nor
//! than the product of their Euclidean norms (Cauchy and Schwarz).

use std::ops::Range;

use super::layout::Layout;
use super::right::by_columns;
use super::size;
use crate::machine::kernels::{Kernels, Row, STEPPED_LANES};

/// Of a row, or the greatest of several: the sum of its magnitudes, and that of their squares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowNorm {
    pub(super) sum: u32,
    pub(super) squares: u32,
}

/// Of a column, or the greatest of several: its greatest magnitude, and the sum of squares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnNorm {
    pub(super) greatest: u32,
    pub(super) squares: u32,
}

impl RowNorm {
    /// That of a row.
    #[inline(always)]
    pub(super) fn of(row: &Row) -> RowNorm {
        let [sum, squares] = row.norms();
        RowNorm { sum, squares }
    }

    /// Whether the magnitudes of products with a column come to no more than `room`, which is below 2^31.
    #[inline(always)]
    pub(super) fn is_within(self, column: ColumnNorm, room: u64) -> bool {
        u64::from(self.sum) * u64::from(column.greatest) <= room
            || u64::from(self.squares) * u64::from(column.squares) <= room * room
    }
}

/// The least number whose square is not less.
pub(super) fn root(square: u32) -> u32 {
    let down = square.isqrt();
    down + u32::from(down * down < square)
}

/// Norms of the left operand's rows, over taps.
#[derive(Debug, Default)]
pub(super) struct RowNorms {
    /// [`Kernels::norms_before`] each grain ([`Layout::grain`]) of the frame: no row's sums leave their halves.
    before: Vec<u64>,
    /// The greatest of all rows; none before they were measured.
    greatest: Option<RowNorm>,
}

impl RowNorms {
    /// They are of other codes.
    pub(super) fn forget(&mut self) {
        self.greatest = None;
    }

    /// Measures codes plus 128 in their frame, unless they are measured; the greatest of all rows.
    #[inline(always)]
    pub(super) fn measure(&mut self, kernels: Kernels, layout: &Layout, frame: &[u8]) -> RowNorm {
        if let Some(greatest) = self.greatest {
            return greatest;
        }
        kernels.norms_before(&frame[..layout.frame.len()], layout.grain, &mut self.before);
        let mut greatest = [0; 2];
        for class in layout.shape.classes() {
            for &base in layout.shape.bases_of(class) {
                let sums = self.sums(layout, base);
                greatest = std::array::from_fn(|i| sums[i].max(greatest[i]));
            }
        }
        let greatest = RowNorm { sum: greatest[0], squares: greatest[1] };
        *self.greatest.insert(greatest)
    }

    /// Those of the row that begins at a base.
    #[inline(always)]
    pub(super) fn of(&self, layout: &Layout, base: usize) -> RowNorm {
        let [sum, squares] = self.sums(layout, base);
        RowNorm { sum, squares }
    }

    /// The sum of magnitudes and that of squares.
    #[inline(always)]
    fn sums(&self, layout: &Layout, base: usize) -> [u32; 2] {
        let before = &self.before[base / layout.grain..];
        let of_piece = |grains: &Range<usize>| before[grains.end].wrapping_sub(before[grains.start]);
        let sums = layout.grains.iter().map(of_piece).fold(0, u64::wrapping_add);
        let [a, b, c, d, rest @ ..] = sums.to_le_bytes();
        [[a, b, c, d], rest].map(u32::from_le_bytes)
    }
}

/// Norms of the right operand's columns.
#[derive(Debug, Default)]
pub(super) struct ColumnNorms {
    /// The greatest magnitude of each, padded to whole lanes with columns of zero.
    greatest: Vec<u32>,
    /// The least number whose square is not less than their squares' sum.
    roots: Vec<u32>,
    /// The greatest of all columns; none before they were measured.
    of_all: Option<ColumnNorm>,
}

impl ColumnNorms {
    /// They are of other codes.
    pub(super) fn forget(&mut self) {
        self.of_all = None;
    }

    /// Measures codes, whole lanes behind the last, unless they are measured; the greatest of all columns.
    #[inline(always)]
    pub(super) fn measure(&mut self, layout: &Layout, codes: &[u8]) -> ColumnNorm {
        if let Some(of_all) = self.of_all {
            return of_all;
        }
        let columns = size(layout.m.columns);
        let width = columns.next_multiple_of(STEPPED_LANES);
        for norms in [&mut self.greatest, &mut self.roots] {
            norms.clear();
            norms.resize(width, 0);
        }
        if layout.m.column_stride == 1 {
            self.lanes(layout, codes);
            self.greatest[columns..].fill(0);
            self.roots[columns..].fill(0);
        } else {
            for (_, column, codes) in by_columns(layout, codes) {
                let (mut greatest, mut squares) = (0, 0);
                for code in codes {
                    let magnitude = code.cast_signed().unsigned_abs();
                    greatest = magnitude.max(greatest);
                    squares += u32::from(magnitude) * u32::from(magnitude);
                }
                self.greatest[column] = self.greatest[column].max(greatest.into());
                self.roots[column] += squares;
            }
        }
        let most = |norms: &[u32]| norms.iter().max().copied().unwrap_or(0);
        let of_all = ColumnNorm { greatest: most(&self.greatest), squares: most(&self.roots) };
        self.roots.iter_mut().for_each(|squares| *squares = root(*squares));
        *self.of_all.insert(of_all)
    }

    /// Whole lanes of columns side by side: the greatest magnitudes, and sums of squares where roots are to be.
    #[inline(always)]
    fn lanes(&mut self, layout: &Layout, codes: &[u8]) {
        let greatest = self.greatest.as_chunks_mut::<STEPPED_LANES>().0;
        let squares = self.roots.as_chunks_mut::<STEPPED_LANES>().0;
        for (number, norms) in greatest.iter_mut().zip(squares).enumerate() {
            let (mut greatest, mut squares) = ([0; STEPPED_LANES], [0; STEPPED_LANES]);
            for &base in &layout.right_of {
                let codes = &codes[base + number * STEPPED_LANES..];
                let codes: &[u8; STEPPED_LANES] = codes.first_chunk().expect("lanes behind the last");
                for j in 0..STEPPED_LANES {
                    let magnitude = u32::from(codes[j].cast_signed().unsigned_abs());
                    greatest[j] = magnitude.max(greatest[j]);
                    squares[j] += magnitude * magnitude;
                }
            }
            (*norms.0, *norms.1) = (greatest, squares);
        }
    }

    /// Those of each block of lanes: greatest magnitudes and roots.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&[u32; STEPPED_LANES], &[u32; STEPPED_LANES])> {
        self.greatest.as_chunks().0.iter().zip(self.roots.as_chunks().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_within_room_is(
            codes in prop::collection::vec(prop_oneof![Just((-128i16, -128i16)), (-128i16..128, -2i16..3), (-128i16..128, -128i16..128)], 1..300),
            less in 0u64..3,
        ) {
            let (row, column): (Vec<i16>, Vec<i16>) = codes.iter().copied().unzip();
            let magnitudes = column.iter().map(|code| u32::from(code.unsigned_abs()));
            let column = ColumnNorm {
                greatest: magnitudes.clone().max().unwrap_or(0),
                squares: magnitudes.map(|m| m * m).sum(),
            };
            let products: u64 = codes.iter().map(|&(a, b)| u64::from(a.unsigned_abs()) * u64::from(b.unsigned_abs())).sum();
            let row = RowNorm::of(&Row::of(&row));
            prop_assert!(products == 0 || !row.is_within(column, products - 1));
            let bounds = [u64::from(row.sum) * u64::from(column.greatest), u64::from(root(row.squares)) * u64::from(root(column.squares))];
            prop_assert!(bounds.iter().all(|&bound| row.is_within(column, bound + less)));
        }

        #[test]
        fn roots_are_least(square in prop_oneof![any::<u32>(), (0u32..1 << 16).prop_map(|root| root * root)], more in 0u32..2) {
            let square = square.saturating_add(more);
            let root = u64::from(root(square));
            prop_assert!(root * root >= square.into());
            prop_assert!(root == 0 || (root - 1) * (root - 1) < square.into());
        }
    }
}
