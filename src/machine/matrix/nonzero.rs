//! How many products over positions have both operands not zero: for each of them, left operands not zero times right operands not
//! zero; the left ones are counted once a pixel and summed over windows axis by axis.

use super::frame::ZERO;
use super::layout::{Layout, positions, taps};
use super::left::Left;
use super::size;
use crate::machine::kernels::Kernels;

/// Scratch of counts.
#[derive(Debug, Default)]
pub(super) struct Nonzero {
    places: Vec<u32>,
    rows: Vec<u32>,
    windows: Vec<u32>,
}

impl Nonzero {
    /// Products over positions of the frame's codes with both operands not zero; `right` counts those of each reduction index.
    #[inline(always)]
    pub(super) fn of_positions(
        &mut self,
        kernels: Kernels,
        layout: &Layout,
        left: &Left,
        right: &[u32],
    ) -> u64 {
        let left = left.in_frame(layout);
        let (channels, at) = (layout.frame.channels(), layout.frame.covered);
        if at.tap_rows.count * at.tap_columns.count * channels != size(layout.m.rows) {
            return self.of_positions_each(kernels, layout, left, right);
        }
        self.places.clear();
        if channels == 1 {
            self.places.extend(left.iter().map(|&code| u32::from(code != ZERO)));
        } else {
            let places = (0..left.len()).step_by(channels);
            kernels.count_nonzeros(left, (places, channels), ZERO, &mut self.places);
        }
        windows(layout, &mut self.places, &mut self.rows, &mut self.windows);
        over_windows(layout, &self.windows, right)
    }

    /// How many of all rows' codes of each position are not zero, of codes where memory has them; taps are a box.
    #[inline(always)]
    pub(super) fn windows_in_memory(
        &mut self,
        kernels: Kernels,
        layout: &Layout,
        codes: &[u8],
        to: &mut Vec<u32>,
    ) {
        let (channels, images) = (layout.frame.channels(), layout.frame.covered.images.count);
        let is_in_memory = |&(_, from, count): &_| count == 1 && from + channels <= codes.len();
        self.places.clear();
        if layout.frame.is_lone() && layout.frame.pixels().filter(is_in_memory).count() == images {
            let froms = layout.frame.pixels().map(|(_, from, _)| from);
            kernels.count_nonzeros(codes, (froms, channels), 0, &mut self.places);
        } else {
            self.places.resize(layout.frame.len() / channels, 0);
            for (first, from, count) in layout.frame.pixels() {
                // Those outside memory no window meets.
                let count = count.min(codes.len().saturating_sub(from) / channels);
                self.rows.clear();
                let froms = (from..from + count * channels).step_by(channels);
                kernels.count_nonzeros(codes, (froms, channels), 0, &mut self.rows);
                self.places[first..][..count].copy_from_slice(&self.rows);
            }
        }
        windows(layout, &mut self.places, &mut self.rows, to);
    }

    /// Any taps: one after another.
    fn of_positions_each(&mut self, kernels: Kernels, layout: &Layout, left: &[u8], right: &[u32]) -> u64 {
        let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
        let channels = frame.channels();
        let mut total = 0;
        for (tap_y, tap_x, c, channel_count) in taps(m, m.first_row, m.rows) {
            let c = c - at.channels.first;
            let tap = (tap_y - at.tap_rows.first) * size(m.dilate_y) * frame.columns
                + (tap_x - at.tap_columns.first) * size(m.dilate_x);
            let mut right = right;
            for (n, y, x, count) in positions(m, m.first_k, m.length) {
                let row = (n - at.images.first) * frame.rows + (y - at.rows.first) * size(m.step_y);
                let first = row * frame.columns + (x - at.columns.first) * size(m.step_x) + tap;
                let (here, later) = right.split_at(count);
                right = later;
                let pixels = (0..count).map(|i| (first + i * size(m.step_x)) * channels + c);
                self.places.clear();
                kernels.count_nonzeros(left, (pixels, channel_count), ZERO, &mut self.places);
                total += dot(&self.places, here);
            }
        }
        total
    }
}

/// How many of all rows' codes of each position are not zero, given the counts of places; the taps are a box, so each is a sum over it:
/// along rows, then along columns. Columns of positions are one apart, or there is one.
#[inline(always)]
fn windows(layout: &Layout, places: &mut Vec<u32>, rows: &mut Vec<u32>, to: &mut Vec<u32>) {
    let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
    debug_assert!(m.step_x == 1 || at.columns.count == 1);
    // A place is the window of the only tap.
    if frame.is_lone() {
        to.clear();
        to.extend_from_slice(places);
        return;
    }
    // Sums that go on into the next row, or behind the last, are no position's.
    let across = (at.tap_columns.count, size(m.dilate_x));
    let down = (at.tap_rows.count, size(m.dilate_y) * frame.columns);
    let (of_image, step) = (frame.rows * frame.columns, size(m.step_y) * frame.columns);
    let (columns, positions) = (at.columns.count, at.images.count * at.rows.count * at.columns.count);
    let row_lanes = columns.next_multiple_of(SIDE_BY_SIDE);
    places.resize(places.len() + met_by(across), 0);
    rows.resize(of_image + met_by(down), 0);
    to.resize(positions + row_lanes, 0);
    // Image by image, for the sums of one stay in the first cache.
    for n in 0..at.images.count {
        let sums = &mut rows[..of_image.next_multiple_of(SIDE_BY_SIDE)];
        sum_apart(&places[n * of_image..], across, sums);
        for y in 0..at.rows.count {
            // What is behind a row's last is the next one's.
            let sums = &mut to[(n * at.rows.count + y) * columns..][..row_lanes];
            sum_apart(&rows[y * step..], down, sums);
        }
    }
    to.truncate(positions);
}

/// Sums of counts that are found side by side.
const SIDE_BY_SIDE: usize = 16;

/// How many counts, from the first on, the sums of one register meet.
fn met_by((count, apart): (usize, usize)) -> usize {
    (count - 1) * apart + SIDE_BY_SIDE
}

/// `sums[i] = Σ over o below count of counts[i + o · apart]`, in whole registers.
#[inline(always)]
fn sum_apart(counts: &[u32], (count, apart): (usize, usize), sums: &mut [u32]) {
    for (number, sums) in sums.as_chunks_mut::<SIDE_BY_SIDE>().0.iter_mut().enumerate() {
        let mut sum = [0; SIDE_BY_SIDE];
        for o in 0..count {
            let counts: &[u32; SIDE_BY_SIDE] =
                counts[number * SIDE_BY_SIDE + o * apart..].first_chunk().expect("counts that are met");
            sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
        }
        *sums = sum;
    }
}

/// Products over positions with both operands not zero, given how many left and right codes of each position are not.
#[inline(always)]
pub(super) fn over_windows(layout: &Layout, windows: &[u32], right: &[u32]) -> u64 {
    let (m, at) = (&layout.m, layout.frame.covered);
    // As many as lie in the box around them: they are all of it, in order.
    if windows.len() == right.len() {
        return dot(windows, right);
    }
    let mut right = right;
    let mut total = 0;
    for (n, y, x, count) in positions(m, m.first_k, m.length) {
        let (n, y, x) = (n - at.images.first, y - at.rows.first, x - at.columns.first);
        let (here, later) = right.split_at(count);
        right = later;
        total += dot(&windows[(n * at.rows.count + y) * at.columns.count + x..][..count], here);
    }
    total
}

/// The sum of products.
#[inline(always)]
pub(super) fn dot(a: &[u32], b: &[u32]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum()
}
