//! The left operand with its padding written out: every window is then runs of bytes at a place of its own, and no
//! product asks whether it is inside.

use std::ops::Range;

use crate::isa::{Covered, Matrix};

/// A code of 0 in a frame: codes are kept plus 128.
pub(super) const ZERO: u8 = 0x80;

/// Bytes a frame may have, or what is made of one: windows far apart would take memory without bound.
pub(super) const MOST_BYTES: usize = 1 << 28;

/// Where images of codes plus 128 stand, `[image][row][column][channel]`, as far as the windows covered reach, padding
/// among them. Where narrow images lie abreast, `[images][row][column][image][channel]`.
#[derive(Debug)]
pub(super) struct Frame {
    /// What of the instruction it is of; indices into the frame count from its firsts.
    pub(super) covered: Covered,
    /// Rows of an image.
    pub(super) rows: usize,
    /// Columns of a row.
    pub(super) columns: usize,
    /// Images that lie abreast, of which there are a multiple.
    abreast: usize,
    /// What is copied from memory.
    copies: Vec<Copy>,
}

/// Codes side by side in memory and in the frame.
#[derive(Debug, Clone, Copy)]
struct Copy {
    from: i64,
    to: usize,
    length: usize,
}

impl Frame {
    /// The frame of what an instruction covers, all padding, some images abreast.
    ///
    /// # Panics
    /// When their number is no multiple of those.
    pub(super) fn new(m: &Matrix, covered: Covered, abreast: usize) -> Frame {
        assert!(covered.images.count.is_multiple_of(abreast), "an image stands alone");
        let reach_y = covered.rows.reach(m.step_y, covered.tap_rows, m.dilate_y);
        let reach_x = covered.columns.reach(m.step_x, covered.tap_columns, m.dilate_x);
        let (rows, columns) = (reach_y.count, reach_x.count);
        let mut frame = Frame { covered, rows, columns, abreast, copies: Vec::new() };
        let inside = |at: usize, pad: i32, widen: u32, size: u32| {
            let at = signed(at) - i64::from(pad);
            let widen = i64::from(widen);
            (at >= 0 && at % widen == 0 && at / widen < i64::from(size)).then(|| at / widen)
        };
        // Columns of the frame that lie in memory.
        let columns: Vec<(usize, i64)> = (0..columns)
            .filter_map(|x| Some((x, inside(reach_x.first + x, m.pad_left, m.widen_x, m.width)?)))
            .collect();
        let channels = frame.channels();
        let first_channel = i64::from(m.left_first) + signed(covered.channels.first);
        for n in 0..covered.images.count {
            for y in 0..rows {
                let Some(row) = inside(reach_y.first + y, m.pad_top, m.widen_y, m.height) else { continue };
                let base = first_channel
                    + signed(covered.images.first + n) * i64::from(m.image_stride)
                    + row * i64::from(m.row_stride);
                for &(x, source) in &columns {
                    frame.copy(base + source * i64::from(m.pixel_stride), frame.at(n, y, x), channels);
                }
            }
        }
        frame.copies.sort_by_key(|copy| copy.to);
        frame
    }

    /// Adds a copy, to the one before where they join.
    fn copy(&mut self, from: i64, to: usize, length: usize) {
        match self.copies.last_mut() {
            Some(last) if last.from + signed(last.length) == from && last.to + last.length == to => {
                last.length += length;
            }
            _ => self.copies.push(Copy { from, to, length }),
        }
    }

    /// Whether each image is one place.
    pub(super) fn is_lone(&self) -> bool {
        self.rows * self.columns == 1
    }

    /// Channels of a pixel.
    pub(super) fn channels(&self) -> usize {
        self.covered.channels.count
    }

    /// Bytes from pixel to pixel of a row.
    pub(super) fn pixel(&self) -> usize {
        self.abreast * self.channels()
    }

    /// Bytes of a row of images abreast.
    pub(super) fn row(&self) -> usize {
        self.columns * self.pixel()
    }

    /// Bytes of images abreast.
    pub(super) fn image(&self) -> usize {
        self.rows * self.row()
    }

    /// Where the channels of a pixel of an image begin.
    pub(super) fn at(&self, image: usize, row: usize, column: usize) -> usize {
        image / self.abreast * self.image()
            + row * self.row()
            + column * self.pixel()
            + image % self.abreast * self.channels()
    }

    /// Whether windows lie close enough together for a frame.
    pub(super) fn is_small(m: &Matrix, covered: &Covered) -> bool {
        let rows = covered.rows.reach(m.step_y, covered.tap_rows, m.dilate_y).count;
        let columns = covered.columns.reach(m.step_x, covered.tap_columns, m.dilate_x).count;
        let counts = [covered.images.count, rows, columns, covered.channels.count];
        let bytes = counts.into_iter().try_fold(1usize, |product, n| product.checked_mul(n));
        bytes.is_some_and(|n| n <= MOST_BYTES)
    }

    /// Bytes of all images.
    pub(super) fn len(&self) -> usize {
        self.covered.images.count / self.abreast * self.image()
    }

    /// Pixels that lie in memory side by side: the first one's number, image by image, its first code, and how many there are.
    /// Some may lie behind memory's end: no window meets those.
    pub(super) fn pixels(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let channels = self.channels();
        let inside = self.copies.iter().map(move |c| {
            // Nor those before its beginning.
            let before = usize::try_from(-c.from).unwrap_or(0).div_ceil(channels);
            let first = usize::try_from(c.from + signed(before * channels)).unwrap_or(0);
            (c.to / channels + before, first, (c.length / channels).saturating_sub(before))
        });
        inside.filter(|&(.., count)| count > 0)
    }

    /// Where codes that are no padding lie, up to a place.
    pub(super) fn inside(&self, end: usize) -> impl Iterator<Item = Range<usize>> {
        let ranges = self.copies.iter().map(move |copy| copy.to..(copy.to + copy.length).min(end));
        ranges.filter(|range| !range.is_empty())
    }

    /// Makes padding of all that is not copied.
    pub(super) fn pad(&self, bytes: &mut [u8]) {
        let mut end = 0;
        for copy in &self.copies {
            bytes[end..copy.to].fill(ZERO);
            end = copy.to + copy.length;
        }
        bytes[end..].fill(ZERO);
    }

    /// Takes what belongs into `bytes` from the left operand's codes; padding is there. Whether no code is negative.
    #[inline(always)]
    pub(super) fn fill(&self, codes: &[u8], bytes: &mut [u8]) -> bool {
        let mut any = 0;
        for c in &self.copies {
            let to = &mut bytes[c.to..][..c.length];
            match usize::try_from(c.from).ok().and_then(|from| codes.get(from..from + c.length)) {
                Some(from) => {
                    for (to, &code) in to.iter_mut().zip(from) {
                        any |= code;
                        *to = code ^ ZERO;
                    }
                }
                // A box may hold places that no window meets: those outside memory are zero.
                None => {
                    for (place, to) in (c.from..).zip(to) {
                        let code =
                            usize::try_from(place).ok().and_then(|p| codes.get(p)).copied().unwrap_or(0);
                        any |= code;
                        *to = code ^ ZERO;
                    }
                }
            }
        }
        any < ZERO
    }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
