//! How many products have both operands not zero: for each reduction index, left operands not zero times right operands
//! not zero. The left ones are counted once a place of the frame and summed over windows axis by axis.

use std::ops::{Add, Sub};

use super::frame::ZERO;
use super::layout::{Layout, positions, tap_place, taps};
use super::left::Left;
use super::size;
use crate::isa::Span;
use crate::machine::kernels::Kernels;

/// Scratch of counts.
#[derive(Debug, Default)]
pub(super) struct Nonzero {
    few: Vec<u8>,
    along: Vec<u16>,
    places: Vec<u32>,
    rows: Vec<u32>,
    windows: Vec<u32>,
}

impl Nonzero {
    /// Products of the frame's codes with both operands not zero; `right` counts those of each reduction index.
    #[inline(always)]
    pub(super) fn products(&mut self, kernels: Kernels, layout: &Layout, left: &Left, right: &[u32]) -> u64 {
        let left = left.in_frame(layout);
        let at = layout.frame.covered;
        let positions = at.images.count * at.rows.count * at.columns.count;
        let taps = at.tap_rows.count * at.tap_columns.count * at.channels.count;
        let rows = size(layout.m.rows);
        match layout.positions_reduced {
            false if positions == rows && at.columns.count <= usize::from(u16::MAX) => {
                self.of_taps(layout, left, right)
            }
            false => self.of_taps_each(layout, left, right),
            true if taps == rows => {
                let channels = layout.frame.channels();
                self.places.clear();
                if channels == 1 {
                    self.places.extend(left.iter().map(|&code| u32::from(code != ZERO)));
                } else {
                    let places = (0..left.len()).step_by(channels);
                    kernels.count_nonzeros(left, (places, channels), ZERO, &mut self.places);
                }
                self.of_positions(layout, right)
            }
            true => self.of_positions_each(kernels, layout, left, right),
        }
    }

    /// The positions are a box: each tap's count is a sum over it.
    #[inline(always)]
    fn of_taps(&mut self, layout: &Layout, left: &[u8], right: &[u32]) -> u64 {
        let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
        let (channels, tap_columns, tap_rows) = (frame.channels(), at.tap_columns.count, at.tap_rows.count);
        let of_row = tap_columns * channels;
        let across = Windows {
            outputs: at.columns,
            step: size(m.step_x),
            taps: tap_columns,
            dilate: size(m.dilate_x),
        };
        let down =
            Windows { outputs: at.rows, step: size(m.step_y), taps: tap_rows, dilate: size(m.dilate_y) };
        self.along.resize(frame.rows * of_row, 0);
        self.windows.resize(tap_rows * of_row, 0);
        // As many images as a byte counts, and 16 bits along a row.
        let images = (usize::from(u16::MAX) / at.columns.count).clamp(1, 255);
        let mut total = 0;
        for images in left.chunks(images * frame.image()) {
            // How many have a code not zero at each place.
            let (first, later) = images.split_at(frame.image());
            self.few.clear();
            self.few.extend(first.iter().map(|&b| u8::from(b != ZERO)));
            for image in later.chunks_exact(frame.image()) {
                self.few.iter_mut().zip(image).for_each(|(n, &b)| *n += u8::from(b != ZERO));
            }
            // Along each row: `[row][tap_col][channel]`; down the rows: `[tap_row][tap_col][channel]`.
            let rows = self.few.chunks_exact(frame.row()).zip(self.along.chunks_exact_mut(of_row));
            for (row, sums) in rows {
                across.sum(row, channels, sums);
            }
            down.sum(&self.along, of_row, &mut self.windows);
            let mut right = right;
            for (y, x, c, count) in taps(m, m.first_k, m.length) {
                let (y, x, c) = (y - at.tap_rows.first, x - at.tap_columns.first, c - at.channels.first);
                let (here, later) = right.split_at(count);
                right = later;
                total += dot(&self.windows[(y * tap_columns + x) * channels + c..][..count], here);
            }
        }
        total
    }

    /// Any positions: one window after another.
    fn of_taps_each(&mut self, layout: &Layout, left: &[u8], right: &[u32]) -> u64 {
        let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
        let places: Vec<(usize, usize)> =
            taps(m, m.first_k, m.length).map(|tap| (tap_place(m, frame, tap), tap.3)).collect();
        let mut total = 0;
        for (n, y, x, count) in positions(m, m.first_row, m.rows) {
            let row =
                (n - at.images.first) * frame.image() + (y - at.rows.first) * size(m.step_y) * frame.row();
            for x in x..x + count {
                let base = row + (x - at.columns.first) * size(m.step_x) * frame.channels();
                let mut right = right;
                for &(place, count) in &places {
                    let (here, later) = right.split_at(count);
                    right = later;
                    let codes = left[base + place..][..count].iter().zip(here);
                    total += codes.map(|(&b, &n)| if b == ZERO { 0 } else { u64::from(n) }).sum::<u64>();
                }
            }
        }
        total
    }

    /// The same of an instruction over positions, the left operand's codes where memory has them; taps are a box.
    #[inline(always)]
    pub(super) fn of_positions_in_memory(
        &mut self,
        kernels: Kernels,
        layout: &Layout,
        codes: &[u8],
        right: &[u32],
    ) -> u64 {
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
        self.of_positions(layout, right)
    }

    /// Counts of places are there, the taps are a box: each position's count is a sum over it.
    #[inline(always)]
    fn of_positions(&mut self, layout: &Layout, right: &[u32]) -> u64 {
        let (m, frame, at) = (&layout.m, &layout.frame, layout.frame.covered);
        // A position's taps, as a tap's positions: the window's roles change.
        let whole = |count| Span { first: 0, count };
        let across = Windows {
            outputs: whole(at.tap_columns.count),
            step: size(m.dilate_x),
            taps: at.columns.count,
            dilate: size(m.step_x),
        };
        self.rows.resize(at.images.count * frame.rows * at.columns.count, 0);
        let rows = self.places.chunks_exact(frame.columns);
        for (row, sums) in rows.zip(self.rows.chunks_exact_mut(at.columns.count)) {
            across.sum(row, 1, sums);
        }
        let down = Windows {
            outputs: whole(at.tap_rows.count),
            step: size(m.dilate_y),
            taps: at.rows.count,
            dilate: size(m.step_y),
        };
        let of_image = at.rows.count * at.columns.count;
        self.windows.resize(at.images.count * of_image, 0);
        let images = self.rows.chunks_exact(frame.rows * at.columns.count);
        for (image, sums) in images.zip(self.windows.chunks_exact_mut(of_image)) {
            down.sum(image, at.columns.count, sums);
        }
        let mut right = right;
        let mut total = 0;
        for (n, y, x, count) in positions(m, m.first_k, m.length) {
            let (n, y, x) = (n - at.images.first, y - at.rows.first, x - at.columns.first);
            let (here, later) = right.split_at(count);
            right = later;
            total += dot(&self.windows[(n * at.rows.count + y) * at.columns.count + x..][..count], here);
        }
        total
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

/// Numbers of a place that are too few to be summed side by side.
const FEW: usize = 16;

/// Windows along one axis: sums over outputs for each tap.
struct Windows {
    outputs: Span,
    step: usize,
    taps: usize,
    dilate: usize,
}

impl Windows {
    /// `sums[tap][inner] = Σ over outputs o of places[o · step + tap · dilate][inner]`, `inner` of each place.
    #[inline(always)]
    fn sum<T, S>(&self, places: &[T], inner: usize, sums: &mut [S])
    where
        T: Copy,
        S: Copy + From<T> + Add<Output = S> + Sub<Output = S>,
    {
        if self.dilate == 1 && inner <= FEW && self.outputs.count <= self.taps {
            // Few of each place: all taps at once, for each output.
            let sums = &mut sums[..self.taps * inner];
            for output in 0..self.outputs.count {
                let places = &places[output * self.step * inner..][..self.taps * inner];
                if output == 0 {
                    sums.iter_mut().zip(places).for_each(|(s, &n)| *s = n.into());
                } else {
                    sums.iter_mut().zip(places).for_each(|(s, &n)| *s = *s + n.into());
                }
            }
            return;
        }
        let slides = self.step == self.dilate && self.step == 1;
        for tap in 0..self.taps {
            let (before, sums) = sums[..(tap + 1) * inner].split_at_mut(tap * inner);
            let at = |place: usize| &places[place * inner..][..inner];
            if slides && tap > 0 && self.outputs.count > 2 {
                // The window of the tap before, moved by one place.
                let before = &before[(tap - 1) * inner..];
                let (gone, come) = (at(tap - 1), at(tap - 1 + self.outputs.count));
                for (((sum, &before), &gone), &come) in sums.iter_mut().zip(before).zip(gone).zip(come) {
                    *sum = before - gone.into() + come.into();
                }
                continue;
            }
            sums.iter_mut().zip(at(tap * self.dilate)).for_each(|(s, &n)| *s = n.into());
            for output in 1..self.outputs.count {
                let places = at(output * self.step + tap * self.dilate);
                sums.iter_mut().zip(places).for_each(|(s, &n)| *s = *s + n.into());
            }
        }
    }
}

#[inline(always)]
fn dot(a: &[u32], b: &[u32]) -> u64 {
    a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum()
}
