//! The right operand as joins meet it, one product after another with many columns side by side, and its norms.

use super::{Row, STEPPED_LANES};

/// Codes `[index][column]`, columns padded with zeros to whole lanes.
#[derive(Debug, Default)]
pub(in crate::machine) struct Columns {
    codes: Vec<i16>,
    width: usize,
    /// The greatest magnitude of each index.
    greatest_of_index: Vec<i32>,
    greatest: Vec<u32>,
    roots: Vec<u32>,
}

impl Columns {
    /// Becomes `indices` by `columns` codes: `put` is given each index and its codes, all zero.
    #[inline(always)]
    pub(in crate::machine) fn take(
        &mut self,
        (indices, columns): (usize, usize),
        mut put: impl FnMut(usize, &mut [i16]),
    ) {
        let width = columns.next_multiple_of(STEPPED_LANES);
        self.width = width;
        self.codes.clear();
        self.codes.resize(indices * width, 0);
        self.greatest_of_index.clear();
        self.greatest.clear();
        self.greatest.resize(width, 0);
        self.roots.clear();
        self.roots.resize(width, 0);
        for (index, codes) in self.codes.chunks_exact_mut(width).enumerate() {
            put(index, &mut codes[..columns]);
            let mut of_index = 0;
            for ((greatest, squares), &code) in self.greatest.iter_mut().zip(&mut self.roots).zip(&*codes) {
                let magnitude = u32::from(code.unsigned_abs());
                of_index = magnitude.max(of_index);
                *greatest = magnitude.max(*greatest);
                *squares = squares.wrapping_add(magnitude * magnitude);
            }
            self.greatest_of_index.push(of_index.cast_signed());
        }
        self.roots.iter_mut().for_each(|squares| *squares = root(*squares));
    }

    /// Forgets all.
    pub(in crate::machine) fn clear(&mut self) {
        self.codes.clear();
    }

    /// Whether there are none.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Whether a row has as many indices, and there are so many columns.
    pub(super) fn meets(&self, row: &Row, columns: usize) -> bool {
        self.codes.len() == row.codes().len() * self.width && columns <= self.width
    }

    /// All codes, rows of [`Columns::width`].
    pub(in crate::machine) fn codes(&self) -> &[i16] {
        &self.codes
    }

    /// Columns, padding's too.
    pub(in crate::machine) fn width(&self) -> usize {
        self.width
    }

    /// The greatest magnitude of each column.
    pub(in crate::machine) fn greatest(&self) -> &[u32] {
        &self.greatest
    }

    /// The greatest magnitude of all.
    pub(in crate::machine) fn greatest_code(&self) -> i64 {
        self.greatest.iter().max().copied().unwrap_or(0).into()
    }

    /// At least the square root of the sum of squares of each column; of fewer than 2^17 bytes, of no other codes.
    pub(in crate::machine) fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// The greatest magnitude of an index.
    #[inline(always)]
    pub(super) fn greatest_of(&self, index: u32) -> i32 {
        usize::try_from(index).ok().and_then(|index| self.greatest_of_index.get(index)).copied().unwrap_or(0)
    }

    /// `N` codes of an index, from a column on.
    ///
    /// # Panics
    /// When there are not so many.
    #[inline(always)]
    pub(super) fn at<const N: usize>(&self, index: u32, column: usize) -> &[i16; N] {
        let first = usize::try_from(index).unwrap_or(usize::MAX) * self.width + column;
        self.codes[first..].first_chunk().expect("whole lanes")
    }
}

/// The least number whose square is not less.
pub(in crate::machine) fn root(square: u32) -> u32 {
    let down = square.isqrt();
    down + u32::from(down * down < square)
}
