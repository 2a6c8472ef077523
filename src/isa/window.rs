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

/// The boxes that numbers `first..first + count` of a `[_, middle, last]` index fill, exactly: at most five.
pub(super) fn boxes(first: u32, count: u32, [_, middle, last]: [u32; 3]) -> Vec<[Span; 3]> {
    let (middle, last) = (size(middle), size(last));
    let (mut at, end) = (size(first), size(first) + size(count));
    let mut boxes = Vec::new();
    while at < end {
        let [outer, row, place] = [at / (middle * last), at / last % middle, at % last];
        let one = |first| Span { first, count: 1 };
        // The greatest step from here that fills a box: whole outer indices, whole rows, or a part of a row.
        let filled = if place == 0 && row == 0 && end - at >= middle * last {
            let count = (end - at) / (middle * last);
            boxes.push([
                Span { first: outer, count },
                Span { first: 0, count: middle },
                Span { first: 0, count: last },
            ]);
            count * middle * last
        } else if place == 0 && end - at >= last {
            let count = ((end - at) / last).min(middle - row);
            boxes.push([one(outer), Span { first: row, count }, Span { first: 0, count: last }]);
            count * last
        } else {
            let count = (end - at).min(last - place);
            boxes.push([one(outer), one(row), Span { first: place, count }]);
            count
        };
        at += filled;
    }
    boxes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_hold_just_the_numbers_of_a_range() {
        for (first, count) in [(0, 60), (7, 1), (7, 30), (3, 2), (12, 24), (11, 25), (59, 1)] {
            let mut numbers = Vec::new();
            let boxes = boxes(first, count, [5, 3, 4]);
            assert!(boxes.len() <= 5);
            for [outer, middle, last] in boxes {
                for o in outer.first..=outer.last() {
                    for m in middle.first..=middle.last() {
                        numbers.extend((last.first..=last.last()).map(|l| (o * 3 + m) * 4 + l));
                    }
                }
            }
            assert_eq!(numbers, (size(first)..size(first) + size(count)).collect::<Vec<_>>());
        }
    }
}
