//! The left operand with its padding written out: every window is then runs of bytes at a place of its own, and no
//! product asks whether it is inside.

use super::size;
use crate::isa::{Covered, Matrix};

/// A code of 0 in a frame: codes are kept plus 128.
pub(super) const ZERO: u8 = 0x80;

/// Bytes behind a frame that a last group of four may read.
const SLACK: usize = 4;

/// Bytes a frame may have: windows far apart would take memory without bound.
const MOST_BYTES: usize = 1 << 28;

/// Images of codes plus 128, as far as the windows covered reach, padding among them.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// `[image][row][column][channel]`.
    pub(super) bytes: Vec<u8>,
    /// What of the instruction it is of; indices into the frame count from its firsts.
    pub(super) covered: Covered,
    /// Rows of an image.
    pub(super) rows: usize,
    /// Columns of a row.
    pub(super) columns: usize,
}

impl Frame {
    /// Channels of a pixel.
    pub(super) fn channels(&self) -> usize {
        self.covered.channels.count
    }

    /// Bytes of a row.
    pub(super) fn row(&self) -> usize {
        self.columns * self.channels()
    }

    /// Bytes of an image.
    pub(super) fn image(&self) -> usize {
        self.rows * self.row()
    }

    /// Whether windows lie close enough together for a frame.
    pub(super) fn is_small(m: &Matrix, covered: &Covered) -> bool {
        let rows = covered.rows.reach(m.step_y, covered.tap_rows, m.dilate_y).count;
        let columns = covered.columns.reach(m.step_x, covered.tap_columns, m.dilate_x).count;
        let counts = [covered.images.count, rows, columns, covered.channels.count];
        let bytes = counts.into_iter().try_fold(1usize, |product, n| product.checked_mul(n));
        bytes.is_some_and(|n| n <= MOST_BYTES)
    }

    /// Takes what is covered from the codes at `left`.
    pub(super) fn fill(&mut self, m: &Matrix, codes: &[u8], covered: Covered) {
        let reach_y = covered.rows.reach(m.step_y, covered.tap_rows, m.dilate_y);
        let reach_x = covered.columns.reach(m.step_x, covered.tap_columns, m.dilate_x);
        (self.rows, self.columns, self.covered) = (reach_y.count, reach_x.count, covered);
        let length = covered.images.count * self.image();
        self.bytes.clear();
        self.bytes.resize(length + SLACK, ZERO);
        let (row_bytes, image_bytes, channels) = (self.row(), self.image(), self.channels());
        let inside = |at: usize, pad: i32, widen: u32, size: u32| {
            let at = signed(at) - i64::from(pad);
            let widen = i64::from(widen);
            (at >= 0 && at % widen == 0 && at / widen < i64::from(size)).then(|| at / widen)
        };
        // Columns of the frame that lie in memory: one run of them where they are not widened.
        let columns: Vec<(usize, i64)> = (0..self.columns)
            .filter_map(|x| Some((x, inside(reach_x.first + x, m.pad_left, m.widen_x, m.width)?)))
            .collect();
        let one_run = m.widen_x == 1 && size(m.pixel_stride) == channels;
        let first_image = signed(covered.images.first);
        for (image, target) in (first_image..).zip(self.bytes[..length].chunks_mut(image_bytes)) {
            for (y, target) in target.chunks_mut(row_bytes).enumerate() {
                let Some(row) = inside(reach_y.first + y, m.pad_top, m.widen_y, m.height) else { continue };
                let base = i64::from(m.left_first)
                    + image * i64::from(m.image_stride)
                    + row * i64::from(m.row_stride)
                    + signed(covered.channels.first);
                let runs = if one_run { &columns[..columns.len().min(1)] } else { &columns[..] };
                let length = if one_run { columns.len() * channels } else { channels };
                for &(x, source) in runs {
                    copy(
                        codes,
                        base + source * i64::from(m.pixel_stride),
                        &mut target[x * channels..][..length],
                    );
                }
            }
        }
    }

    /// The greatest magnitude of a code.
    pub(super) fn greatest(&self) -> u8 {
        self.bytes.iter().map(|&b| (b ^ ZERO).cast_signed().unsigned_abs()).max().unwrap_or(0)
    }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Codes from `first` on, plus 128. A box may hold places that no window meets: those outside memory stay zero.
fn copy(codes: &[u8], first: i64, to: &mut [u8]) {
    let before = usize::try_from(-first).unwrap_or(0).min(to.len());
    let to = &mut to[before..];
    let first = usize::try_from(first).unwrap_or(0);
    let from = codes.get(first..).unwrap_or(&[]);
    to.iter_mut().zip(from).for_each(|(t, &c)| *t = c ^ ZERO);
}

/// `out[c·rows + r] = matrix[r·columns + c]`.
pub(super) fn turn(matrix: &[u8], rows: usize, columns: usize, out: &mut [u8]) {
    const BLOCK: usize = 16;
    for r0 in (0..rows).step_by(BLOCK) {
        let rows_here = BLOCK.min(rows - r0);
        for c in 0..columns {
            let target = &mut out[c * rows + r0..][..rows_here];
            for (t, source) in target.iter_mut().zip(matrix[r0 * columns + c..].iter().step_by(columns)) {
                *t = *source;
            }
        }
    }
}
