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
pub(super) fn boxes(first: usize, count: usize, [_, middle, last]: [usize; 3]) -> Vec<[Span; 3]> {
    let (mut at, end) = (first, first + count);
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

/// Taps side by side in the reduction: channels `channel..channel + count` of one place of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapRun {
    /// Row of the tap.
    pub row: usize,
    /// Column of the tap.
    pub column: usize,
    /// The first channel.
    pub channel: usize,
    /// How many.
    pub count: usize,
}

/// The order in which taps are numbered: block of channels, tap row, tap column, channel of the block, the last
/// fastest; the last block may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapOrder {
    columns: usize,
    channels: usize,
    block: usize,
    places: usize,
}

impl TapOrder {
    /// Of windows of rows, columns and channels, none of them 0; a block of 0 channels has all of them.
    pub fn new([rows, columns, channels]: [usize; 3], block: usize) -> Self {
        let block = if block == 0 { channels } else { block.min(channels) };
        TapOrder { columns, channels, block, places: rows * columns }
    }

    /// An instruction's.
    pub fn of(m: &Matrix) -> Self {
        TapOrder::new([m.tap_rows, m.tap_cols, m.channels].map(size), size(m.channel_block))
    }

    /// Tap number `number`, and as many after it as lie side by side.
    fn run(self, number: usize) -> TapRun {
        let whole = self.block * self.places;
        let before = number / whole * self.block;
        let width = self.block.min(self.channels - before);
        let (place, channel) = (number % whole / width, number % whole % width);
        TapRun {
            row: place / self.columns,
            column: place % self.columns,
            channel: before + channel,
            count: width - channel,
        }
    }

    /// Taps `first..first + count`, in order.
    pub fn runs(self, first: usize, count: usize) -> impl Iterator<Item = TapRun> {
        let (mut next, end) = (first, first + count);
        std::iter::from_fn(move || {
            let run = (next < end).then(|| self.run(next))?;
            let count = run.count.min(end - next);
            next += count;
            Some(TapRun { count, ..run })
        })
    }

    /// The boxes of rows, columns and channels that taps `first..first + count` fill, exactly; `count` is at least 1.
    pub(super) fn boxes(self, first: usize, count: usize) -> Vec<[Span; 3]> {
        let whole = self.block * self.places;
        let (mut at, end) = (first, first + count);
        let mut filled = Vec::new();
        while at < end {
            let before = at / whole * self.block;
            // Whole blocks fill one box together; of others there is a part at each end.
            let blocks = if at.is_multiple_of(whole) { (end - at) / whole } else { 0 };
            let width = if blocks > 0 { blocks * self.block } else { self.block.min(self.channels - before) };
            let count =
                if blocks > 0 { blocks * whole } else { (end - at).min(width * self.places - at % whole) };
            let shape = [self.places / self.columns, self.columns, width];
            filled.extend(boxes(at % whole, count, shape).into_iter().map(|[rows, columns, channels]| {
                [rows, columns, Span { first: before + channels.first, ..channels }]
            }));
            at += count;
        }
        filled
    }

    /// Rows, columns and channels of the least box that holds taps `first..first + count`; `count` is at least 1.
    pub fn bounds(self, first: usize, count: usize) -> [Span; 3] {
        let (whole, last) = (self.block * self.places, first + count - 1);
        let (block, last_block) = (first / whole, last / whole);
        let before = |block: usize| block * self.block;
        let width = |block: usize| self.block.min(self.channels - before(block));
        if block == last_block {
            let (channels, (place, last)) = Span::split(first % whole, last % whole, width(block));
            let (columns, (row, last)) = Span::split(place, last, self.columns);
            let channels = Span { first: before(block) + channels.first, ..channels };
            return [Span { first: row, count: last - row + 1 }, columns, channels];
        }
        // The end of one block and the beginning of another: every place of the window.
        let end = width(block) * self.places - 1;
        let from = before(block) + Span::split(first % whole, end, width(block)).0.first;
        let to = before(last_block) + Span::split(0, last % whole, width(last_block)).0.last();
        let all = |count| Span { first: 0, count };
        [all(self.places / self.columns), all(self.columns), Span { first: from, count: to + 1 - from }]
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
        let (first, end) = (size(positions.0), size(positions.0) + size(positions.1) - 1);
        let (columns, (first, end)) = Span::split(first, end, size(m.out_cols));
        let (rows, (first, end)) = Span::split(first, end, size(m.out_rows));
        let images = Span { first, count: end - first + 1 };
        let [tap_rows, tap_columns, channels] = TapOrder::of(m).bounds(size(taps.0), size(taps.1));
        Covered { images, rows, columns, tap_rows, tap_columns, channels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(numbers, (first..first + count).collect::<Vec<_>>());
        }
    }

    /// Every tap in the order the manual says.
    fn listed([rows, columns, channels]: [usize; 3], block: usize) -> Vec<[usize; 3]> {
        let mut taps = Vec::new();
        for begin in (0..channels).step_by(if block == 0 { channels } else { block }) {
            for row in 0..rows {
                for column in 0..columns {
                    let end = if block == 0 { channels } else { channels.min(begin + block) };
                    taps.extend((begin..end).map(|channel| [row, column, channel]));
                }
            }
        }
        taps
    }

    proptest! {
        #[test]
        fn taps_run_as_they_are_listed_and_lie_in_their_bounds(
            shape in [1usize..4, 1usize..4, 1usize..9], block in 0usize..11, cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let all = listed(shape, block);
            let (a, b) = (cut.0.index(all.len()), cut.1.index(all.len()));
            let (first, last) = (a.min(b), a.max(b));
            let order = TapOrder::new(shape, block);
            let runs = order.runs(first, last - first + 1);
            let found: Vec<[usize; 3]> =
                runs.flat_map(|r| (0..r.count).map(move |c| [r.row, r.column, r.channel + c])).collect();
            prop_assert_eq!(&found, &all[first..=last]);
            let mut boxed: Vec<[usize; 3]> = Vec::new();
            for [rows, columns, channels] in order.boxes(first, last - first + 1) {
                for row in rows.first..=rows.last() {
                    for column in columns.first..=columns.last() {
                        boxed.extend((channels.first..=channels.last()).map(|c| [row, column, c]));
                    }
                }
            }
            boxed.sort_unstable();
            let mut sorted = found.clone();
            sorted.sort_unstable();
            prop_assert_eq!(boxed, sorted);
            for (index, span) in order.bounds(first, last - first + 1).into_iter().enumerate() {
                let least = found.iter().map(|tap| tap[index]).min().unwrap();
                let greatest = found.iter().map(|tap| tap[index]).max().unwrap();
                prop_assert_eq!((span.first, span.last()), (least, greatest));
            }
        }
    }
}
