//! The right operand of one tile over taps: which boxes of the weights are loaded, and how the instruction finds them.

use super::Weights;
use crate::compiler::moves::{Extent, Region3};
use crate::compiler::window::{Run, signed};

/// The right operand of one tile: what is loaded, and where the instruction finds it.
#[derive(Debug, Clone)]
pub(super) struct RightTile {
    /// What is loaded of `[outer, rows, inner]` and where it goes; one box for each DMA plane order.
    parts: Vec<Region3>,
    bits: u64,
    pub(super) first: i64,
    pub(super) strides: [i64; 3],
    pub(super) column_stride: i64,
}

impl RightTile {
    pub(super) fn new(
        weights: Weights,
        [d0, d1, d2]: [u64; 3],
        all_columns: u64,
        taps: [Run; 3],
        run: Option<Run>,
        columns: Run,
        bits: u64,
    ) -> Option<Self> {
        let flat = |run: Run| Self::flat([d0, d1, d2], all_columns, run, columns, bits);
        match weights {
            Weights::Forward => match run {
                Some(run) => flat(run),
                None => Self::boxes([d0, d1, d2], all_columns, taps, columns, bits).or_else(|| {
                    let number = |[row, col, channel]: [u64; 3]| (row * d1 + col) * d2 + channel;
                    let (first, last) = (number(taps.map(|t| t.first)), number(taps.map(Run::last)));
                    flat(Run::new(first, last + 1 - first))
                }),
            },
            Weights::Flipped => {
                // Stored [tap row, tap column, column, reduced channel]; tap indices count from the last.
                let row_first = d0 - taps[0].end();
                let col_first = d1 - taps[1].end();
                let bits_of = |n: u64| n * bits;
                let mut channel_first = taps[2].first;
                while taps[2].count < d2 && bits_of(channel_first) % 8 != 0 {
                    channel_first -= 1;
                }
                let mut channel_count = taps[2].end() - channel_first;
                while taps[2].count < d2
                    && !(channel_count * bits).is_multiple_of(8)
                    && channel_first + channel_count < d2
                {
                    channel_count += 1;
                }
                let channels = if taps[2].count == d2 {
                    Extent::full(d2)
                } else {
                    Extent::run(channel_first, channel_count, d2)
                };
                let whole = taps[0].count == d0
                    && taps[1].count == d1
                    && columns.count == all_columns
                    && channels.is_full();
                let column_extent = Extent::run(columns.first, columns.count, all_columns);
                let parts: Vec<Region3> = if whole {
                    vec![Region3::full([d0 * d1, all_columns, d2])]
                } else {
                    (0..taps[0].count)
                        .map(|r| Region3 {
                            rows: Extent::run((row_first + r) * d1 + col_first, taps[1].count, d0 * d1),
                            cols: column_extent,
                            channels,
                        })
                        .collect()
                };
                if !whole && !parts.iter().all(|p| p.aligned(bits) && (p.elements() * bits).is_multiple_of(8))
                {
                    return None;
                }
                let (cob, jt, kxb) = (signed(channels.count), signed(columns.count), signed(taps[1].count));
                let top = signed(d0) - 1 - signed(row_first);
                let left = signed(d1) - 1 - signed(col_first);
                Some(RightTile {
                    parts,
                    bits,
                    first: (top * kxb + left) * jt * cob - signed(channels.first),
                    strides: [-kxb * jt * cob, -jt * cob, 1],
                    column_stride: cob,
                })
            }
        }
    }

    /// Some channels of several taps, a box for each row of taps; none where bytes do not begin with them.
    fn boxes(
        [d0, d1, d2]: [u64; 3],
        all_columns: u64,
        [rows, cols, channels]: [Run; 3],
        columns: Run,
        bits: u64,
    ) -> Option<Self> {
        let one_run = channels.count == d2 && (cols.count == d1 || rows.count == 1);
        if one_run || rows.count * cols.count == 1 {
            return None;
        }
        let columns = Extent::run(columns.first, columns.count, all_columns);
        let whole = |channels: u64| (channels * columns.count * bits).is_multiple_of(8);
        let first = (0..=channels.first).rev().find(|&n| whole(n)).unwrap_or(0);
        let end = (channels.end()..d2).find(|&n| whole(n)).unwrap_or(d2);
        let cols_of = Extent::run(first, end - first, d2);
        let part = |tap: u64, count: u64| {
            let rows = Extent::run(tap, count, d0 * d1);
            Region3 { rows, cols: cols_of, channels: columns }
        };
        let parts: Vec<Region3> = if cols.count == d1 {
            vec![part(rows.first * d1, rows.count * d1)]
        } else {
            (rows.first..rows.end()).map(|row| part(row * d1 + cols.first, cols.count)).collect()
        };
        let width = signed(columns.count);
        let across = signed(cols_of.count) * width;
        let down = signed(cols.count) * across;
        let aligned = |p: &Region3| p.aligned(bits) && (p.elements() * bits).is_multiple_of(8);
        parts.iter().all(aligned).then(|| RightTile {
            parts,
            bits,
            first: -(signed(rows.first) * down + signed(cols.first) * across + signed(first) * width),
            strides: [down, across, width],
            column_stride: 1,
        })
    }

    /// A run of rows of the flat [taps, columns] matrix; begun early where bytes do not begin with them.
    fn flat([d0, d1, d2]: [u64; 3], all_columns: u64, run: Run, columns: Run, bits: u64) -> Option<Self> {
        let (mut first, end) = (run.first, run.end());
        while columns.count == all_columns && !(first * all_columns * bits).is_multiple_of(8) {
            first -= 1;
        }
        let rows = Extent::run(first, end - first, d0 * d1 * d2);
        let columns = Extent::run(columns.first, columns.count, all_columns);
        let width = signed(columns.count);
        let part = Region3 { rows, cols: Extent::full(1), channels: columns };
        let (c, kw) = (signed(d2), signed(d1));
        (columns.is_full() || part.aligned(bits)).then(|| RightTile {
            parts: vec![part],
            bits,
            first: -signed(first) * width,
            strides: [kw * c * width, c * width, width],
            column_stride: 1,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| (p.elements() * self.bits).div_ceil(8)).sum()
    }

    /// What to load, and the byte of the weight memory it goes to.
    pub(super) fn moves(&self) -> Vec<(Region3, u64)> {
        let mut offset = 0;
        self.parts
            .iter()
            .map(|&part| {
                let at = offset;
                offset += (part.elements() * self.bits).div_ceil(8);
                (part, at)
            })
            .collect()
    }
}
