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
        windows(layout, &self.places, &mut self.rows, &mut self.windows);
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
        windows(layout, &self.places, &mut self.rows, to);
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

/// How many of all rows' codes of each position are not zero, given the counts of places; the taps are a box, so each is a sum over it.
#[inline(always)]
fn windows(layout: &Layout, places: &[u32], rows: &mut Vec<u32>, to: &mut Vec<u32>) {
    let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
    // A place is the window of the only tap.
    if frame.is_lone() {
        to.clear();
        to.extend_from_slice(places);
        return;
    }
    // A position's taps, as a tap's positions: the window's roles change.
    let across = Windows {
        outputs: at.tap_columns.count,
        step: size(m.dilate_x),
        taps: at.columns.count,
        dilate: size(m.step_x),
    };
    rows.resize(at.images.count * frame.rows * at.columns.count, 0);
    for (row, sums) in places.chunks_exact(frame.columns).zip(rows.chunks_exact_mut(at.columns.count)) {
        across.sum(row, 1, sums);
    }
    let down = Windows {
        outputs: at.tap_rows.count,
        step: size(m.dilate_y),
        taps: at.rows.count,
        dilate: size(m.step_y),
    };
    let of_image = at.rows.count * at.columns.count;
    to.resize(at.images.count * of_image, 0);
    let images = rows.chunks_exact(frame.rows * at.columns.count);
    for (image, sums) in images.zip(to.chunks_exact_mut(of_image)) {
        down.sum(image, at.columns.count, sums);
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

/// Numbers of a place that are too few to be summed side by side.
const FEW: usize = 16;

/// Windows along one axis: sums over outputs for each tap.
struct Windows {
    outputs: usize,
    step: usize,
    taps: usize,
    dilate: usize,
}

impl Windows {
    /// `sums[tap][inner] = Σ over outputs o of places[o · step + tap · dilate][inner]`, `inner` of each place.
    #[inline(always)]
    fn sum(&self, places: &[u32], inner: usize, sums: &mut [u32]) {
        if self.dilate == 1 && inner <= FEW && self.outputs <= self.taps {
            // Few of each place: all taps at once, for each output.
            let sums = &mut sums[..self.taps * inner];
            for output in 0..self.outputs {
                let places = &places[output * self.step * inner..][..self.taps * inner];
                if output == 0 {
                    sums.iter_mut().zip(places).for_each(|(s, &n)| *s = n);
                } else {
                    sums.iter_mut().zip(places).for_each(|(s, &n)| *s += n);
                }
            }
            return;
        }
        let slides = self.step == self.dilate && self.step == 1;
        for tap in 0..self.taps {
            let (before, sums) = sums[..(tap + 1) * inner].split_at_mut(tap * inner);
            let at = |place: usize| &places[place * inner..][..inner];
            if slides && tap > 0 && self.outputs > 2 {
                // The window of the tap before, moved by one place.
                let before = &before[(tap - 1) * inner..];
                let (gone, come) = (at(tap - 1), at(tap - 1 + self.outputs));
                for (((sum, &before), &gone), &come) in sums.iter_mut().zip(before).zip(gone).zip(come) {
                    *sum = before - gone + come;
                }
                continue;
            }
            sums.iter_mut().zip(at(tap * self.dilate)).for_each(|(s, &n)| *s = n);
            for output in 1..self.outputs {
                let places = at(output * self.step + tap * self.dilate);
                sums.iter_mut().zip(places).for_each(|(s, &n)| *s += n);
            }
        }
    }
}

/// The sum of products.
#[inline(always)]
pub(super) fn dot(a: &[u32], b: &[u32]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum()
}
