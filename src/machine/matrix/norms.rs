//! Norms of rows and columns, by which sums of their products are proved to stay in range: no sum of an output's products'
//! magnitudes, and so no partial sum of the products, is greater than the row's sum of magnitudes times the column's greatest, nor
//! than the product of their Euclidean norms (Cauchy and Schwarz).

use std::ops::Range;

use super::layout::Layout;
use super::right::at_column;
use super::size;
use crate::machine::kernels::{Kernels, Row, STEPPED_LANES, root};

/// What is known of a row, or the greatest of several: the sum of its magnitudes, and the least number whose square is not less than
/// their squares'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowNorm {
    sum: u32,
    root: u32,
}

/// What is known of a column, or the greatest of several: its greatest magnitude, and as [`RowNorm::root`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ColumnNorm {
    pub(super) greatest: u32,
    pub(super) root: u32,
}

impl RowNorm {
    /// That of a row.
    #[inline(always)]
    pub(super) fn of(row: &Row) -> RowNorm {
        let [sum, squares] = row.norms();
        RowNorm { sum, root: root(squares) }
    }

    /// What the magnitudes of products with a column come to at most: of fewer than 2^17 bytes each, at most 2^31.
    #[inline(always)]
    pub(super) fn times(self, column: ColumnNorm) -> u32 {
        (self.sum * column.greatest).min(self.root * column.root)
    }
}

/// Norms of the left operand's rows.
#[derive(Debug, Default)]
pub(super) struct RowNorms {
    /// [`Kernels::norms_before`] each grain ([`Layout::grain`]) as the shape has them: no row's sums leave their halves.
    before: Vec<u64>,
    /// The greatest of all rows; none before they were measured.
    greatest: Option<RowNorm>,
}

impl RowNorms {
    /// They are of other codes.
    pub(super) fn forget(&mut self) {
        self.greatest = None;
    }

    /// Measures codes plus 128 as the shape has them, unless they are measured; the greatest of all rows.
    #[inline(always)]
    pub(super) fn measure(&mut self, kernels: Kernels, layout: &Layout, laid_out: &[u8]) -> RowNorm {
        if let Some(greatest) = self.greatest {
            return greatest;
        }
        kernels.norms_before(&laid_out[..layout.frame.len()], layout.grain, &mut self.before);
        let mut greatest = [0; 2];
        for class in layout.shape.classes() {
            for &base in layout.shape.bases_of(class) {
                let sums = self.sums(layout, base);
                greatest = std::array::from_fn(|i| sums[i].max(greatest[i]));
            }
        }
        let greatest = RowNorm { sum: greatest[0], root: root(greatest[1]) };
        *self.greatest.insert(greatest)
    }

    /// Those of the row that begins at a base.
    #[inline(always)]
    pub(super) fn of(&self, layout: &Layout, base: usize) -> RowNorm {
        let [sum, squares] = self.sums(layout, base);
        RowNorm { sum, root: root(squares) }
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
    /// Of each column, padded to whole lanes with columns of zero; empty until they are measured.
    greatest: Vec<u32>,
    roots: Vec<u32>,
    of_all: ColumnNorm,
}

impl ColumnNorms {
    /// They are of other codes.
    pub(super) fn forget(&mut self) {
        self.greatest.clear();
    }

    /// Measures codes, whole lanes behind the last, unless they are measured; the greatest of all columns.
    #[inline(always)]
    pub(super) fn measure(&mut self, layout: &Layout, codes: &[u8]) -> ColumnNorm {
        if !self.greatest.is_empty() {
            return self.of_all;
        }
        let (columns, stride) = (size(layout.m.columns), i64::from(layout.m.column_stride));
        let width = columns.next_multiple_of(STEPPED_LANES);
        self.greatest.resize(width, 0);
        self.roots.clear();
        self.roots.resize(width, 0);
        if stride == 1 {
            self.lanes(layout, codes);
            self.greatest[columns..].fill(0);
            self.roots[columns..].fill(0);
        } else {
            // Indices that lie side by side are measured side by side, column by column.
            for run in layout.right_of.chunk_by(|a, b| *b == a + 1) {
                let norms = self.greatest[..columns].iter_mut().zip(&mut self.roots);
                for (column, (greatest, squares)) in norms.enumerate() {
                    let (mut of_run, mut sum) = (0, 0);
                    for code in &codes[at_column(run[0], stride, column)..][..run.len()] {
                        let magnitude = code.cast_signed().unsigned_abs();
                        of_run = magnitude.max(of_run);
                        sum += u32::from(magnitude) * u32::from(magnitude);
                    }
                    *greatest = (*greatest).max(of_run.into());
                    *squares += sum;
                }
            }
        }
        self.roots.iter_mut().for_each(|squares| *squares = root(*squares));
        let most = |norms: &[u32]| norms.iter().max().copied().unwrap_or(0);
        self.of_all = ColumnNorm { greatest: most(&self.greatest), root: most(&self.roots) };
        self.of_all
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
