//! How many products have both operands not zero. Over taps each place of the frame meets so many right operands that are not zero,
//! which the weights alone say ([`Met`]): the sum over places that are not zero themselves. Over positions, for each
//! of them, left operands not zero times right operands not zero: the left ones are counted once a pixel and summed over
//! windows axis by axis.

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

/// How many right operands that are not zero each place of the frame that is no padding meets over all rows of an instruction over
/// taps: of one image where all images meet the same, else of all.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Bytes of what it is of.
    image: usize,
    places: Vec<u32>,
    /// The same, where none is greater.
    few: Vec<i16>,
    greatest: u32,
}

impl Met {
    /// Forgets whom places meet.
    pub(super) fn clear(&mut self) {
        self.image = 0;
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.image == 0
    }

    /// Takes what the right operand's codes say, whose counts for each reduction index are `right`.
    #[inline(always)]
    pub(super) fn take(&mut self, layout: &Layout, right: &[u32]) {
        let all = met(layout, right);
        self.image = all.len();
        self.places.clear();
        layout.frame.inside(all.len()).for_each(|range| self.places.extend_from_slice(&all[range]));
        self.greatest = self.places.iter().copied().max().unwrap_or(0);
        self.few.clear();
        if i16::try_from(self.greatest).is_ok() {
            self.few.extend(self.places.iter().map(|&n| i16::try_from(n).unwrap_or(i16::MAX)));
        }
    }

    /// Bytes of the frame that it is of: an image's, or all.
    pub(super) fn image(&self) -> usize {
        self.image
    }

    /// Counts how often codes of such images are not zero, of each place; in up to 255 images.
    #[inline(always)]
    pub(super) fn count(&self, layout: &Layout, images: &[u8], counts: &mut Vec<u8>) {
        counts.clear();
        counts.resize(self.places.len(), 0);
        for image in images.chunks_exact(self.image) {
            let mut rest = &mut counts[..];
            for range in layout.frame.inside(self.image) {
                let (counts, later) = rest.split_at_mut(range.len());
                rest = later;
                counts.iter_mut().zip(&image[range]).for_each(|(n, &b)| *n += u8::from(b != ZERO));
            }
        }
    }

    /// The sum of what places meet, each as often as said, and none more often than `most`.
    #[inline(always)]
    pub(super) fn sum(&self, times: &[u8], most: usize) -> u64 {
        if self.few.is_empty() {
            return times.iter().zip(&self.places).map(|(&n, &met)| u64::from(n) * u64::from(met)).sum();
        }
        // As many places as 32 bits sum.
        let most = u32::try_from(most).unwrap_or(u32::MAX).saturating_mul(self.greatest).max(1);
        let block = usize::try_from(i32::MAX.unsigned_abs() / most).unwrap_or(1).max(1);
        let mut total = 0;
        for (times, met) in times.chunks(block).zip(self.few.chunks(block)) {
            let mut sum = 0;
            for (&n, &met) in times.iter().zip(met) {
                sum += i32::from(i16::from(n)) * i32::from(met);
            }
            total += u64::from(sum.unsigned_abs());
        }
        total
    }
}

/// [`Met`], padding among it.
#[inline(always)]
fn met(layout: &Layout, right: &[u32]) -> Vec<u32> {
    let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
    let all_meet_the_same = at.images.count * at.rows.count * at.columns.count == size(m.rows);
    let length = if all_meet_the_same { frame.image() } else { frame.len() };
    let mut places = vec![0; length];
    let bases = layout.shape.classes().iter().flat_map(|class| layout.shape.bases_of(class));
    for &base in bases.filter(|base| **base < length) {
        let mut right = right;
        for (first, count) in layout.pieces(base) {
            let (here, later) = right.split_at(count);
            right = later;
            places[first..][..count].iter_mut().zip(here).for_each(|(place, n)| *place += n);
        }
    }
    places
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
        let channels = layout.frame.channels();
        self.places.clear();
        self.places.resize(layout.frame.len() / channels, 0);
        for (first, from, count) in layout.frame.pixels() {
            // Those outside memory no window meets.
            let count = count.min(codes.len().saturating_sub(from) / channels);
            self.rows.clear();
            let froms = (from..from + count * channels).step_by(channels);
            kernels.count_nonzeros(codes, (froms, channels), 0, &mut self.rows);
            self.places[first..][..count].copy_from_slice(&self.rows);
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

#[inline(always)]
fn dot(a: &[u32], b: &[u32]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum()
}
