//! Where the windows of a matrix instruction reach: boxes of positions and taps, and the places they touch.

use super::instr::Matrix;

/// Numbers from `first` on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: usize,
    /// How many.
    pub count: usize,
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl Span {
    /// The last number.
    pub fn last(self) -> usize {
        self.first + self.count - 1
    }

    /// Box of the last of nested indices of numbers `first..=last`, and numbers of the indices above.
    fn split(first: usize, last: usize, size: usize) -> (Span, (usize, usize)) {
        let (above, above_last) = (first / size, last / size);
        let span = if above == above_last {
            Span { first: first % size, count: last - first + 1 }
        } else {
            Span { first: 0, count: size }
        };
        (span, (above, above_last))
    }

    /// Places that steps of `step` over positions and `dilate` over taps reach, before padding.
    pub fn reach(self, step: u32, taps: Span, dilate: u32) -> Span {
        let (step, dilate) = (size(step), size(dilate));
        let first = self.first * step + taps.first * dilate;
        Span { first, count: (self.count - 1) * step + (taps.count - 1) * dilate + 1 }
    }
}

/// The positions and taps an instruction covers, as the least boxes that hold them: nothing outside is in memory for
/// certain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Covered {
    /// Images.
    pub images: Span,
    /// Rows of positions.
    pub rows: Span,
    /// Columns of positions.
    pub columns: Span,
    /// Rows of taps.
    pub tap_rows: Span,
    /// Columns of taps.
    pub tap_columns: Span,
    /// Channels of taps.
    pub channels: Span,
}

impl Covered {
    /// What an instruction covers; `positions_reduced` for `m.positions`. Counts and extents are at least 1.
    pub fn of(m: &Matrix, positions_reduced: bool) -> Self {
        let (rows, reduced) = ((m.first_row, m.rows), (m.first_k, m.length));
        let (positions, taps) = if positions_reduced { (reduced, rows) } else { (rows, reduced) };
        let last = |(first, count): (u32, u32)| (size(first), size(first) + size(count) - 1);
        let (first, end) = last(positions);
        let (columns, (first, end)) = Span::split(first, end, size(m.out_cols));
        let (rows, (first, end)) = Span::split(first, end, size(m.out_rows));
        let images = Span { first, count: end - first + 1 };
        let (first, end) = last(taps);
        let (channels, (first, end)) = Span::split(first, end, size(m.channels));
        let (tap_columns, (first, end)) = Span::split(first, end, size(m.tap_cols));
        let tap_rows = Span { first, count: end - first + 1 };
        Covered { images, rows, columns, tap_rows, tap_columns, channels }
    }
}
