//! The right operand as joins meet it, one product after another with many columns side by side.

use super::{Row, STEPPED_LANES};

/// Codes `[index][column]`, columns padded with zeros to whole lanes.
#[derive(Debug, Default)]
pub(in crate::machine) struct Columns {
    codes: Vec<i16>,
    width: usize,
    /// The greatest magnitude of each index.
    greatest_of_index: Vec<i32>,
}

impl Columns {
    /// Becomes `indices` by `columns` codes: `put` is given each index and writes all its codes.
    #[inline(always)]
    pub(in crate::machine) fn take(
        &mut self,
        (indices, columns): (usize, usize),
        mut put: impl FnMut(usize, &mut [i16]),
    ) {
        let width = columns.next_multiple_of(STEPPED_LANES);
        self.width = width;
        self.codes.resize(indices * width, 0);
        self.greatest_of_index.clear();
        for (index, codes) in self.codes.chunks_exact_mut(width).enumerate() {
            let (codes, padding) = codes.split_at_mut(columns);
            put(index, codes);
            padding.fill(0);
            let greatest = codes.iter().map(|code| code.unsigned_abs()).max();
            self.greatest_of_index.push(greatest.unwrap_or(0).into());
        }
    }

    /// There are none, until others are taken.
    pub(in crate::machine) fn clear(&mut self) {
        self.width = 0;
    }

    /// Whether there are none.
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.width == 0
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

    /// The greatest magnitude of all.
    pub(in crate::machine) fn greatest_code(&self) -> i64 {
        self.greatest_of_index.iter().max().copied().unwrap_or(0).into()
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
