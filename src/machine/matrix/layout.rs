//! All of a matrix instruction on bytes that does not depend on data, worked out once: where windows lie in the frame,
//! which rows of the product meet which runs of the reduction, where reduction indices lie in the right operand.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use super::frame::Frame;
use super::places::Places;
use super::right::CODES_SLACK;
use super::size;
use super::winograd;
use super::woven::{self, Ways};
use crate::isa::{Covered, Matrix, TapOrder};
use crate::machine::kernels::{Class, GROUP, Kernels, LINE, Segment, Shape};
use crate::program::whole;

/// How the frame is turned so that what is reduced lies side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Not at all.
    None,
    /// Each image: channels outside, places inside.
    Places,
    /// As a whole: places outside, images inside.
    Images,
}

/// An instruction's layout in its frame.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) m: Matrix,
    pub(super) positions_reduced: bool,
    pub(super) frame: Frame,
    pub(super) shape: Shape,
    /// Lengths of the runs of the reduction: groups of four begin with each.
    pub(super) runs: Vec<usize>,
    /// Where each reduction index finds its first code in the right operand.
    pub(super) right_of: Vec<usize>,
    /// Codes of the right operand up to the last that is met.
    pub(super) right_count: usize,
    /// First byte, from a row's base on, and length of each piece of the reduction, padding's among them.
    pieces: Vec<(usize, usize)>,
    /// Over taps, all pieces of all rows are whole multiples of so many codes from the first on.
    pub(super) grain: usize,
    /// Over taps, the pieces in grains, from a row's base on.
    pub(super) grains: Vec<Range<usize>>,
    pub(super) turn: Turn,
    /// [`Layout::places`], once they were asked for.
    places: OnceLock<Places>,
    /// [`Layout::woven`], once it was asked for.
    woven: OnceLock<Option<Ways>>,
    /// [`Layout::winograd`], once it was asked for.
    winograd: OnceLock<Option<winograd::Way>>,
    /// [`Layout::squares`], once it was asked for.
    squares: OnceLock<Option<winograd::SquareWay>>,
}

/// Taps of numbers `first..first + count` as `(tap_row, tap_col, first channel, channels)`.
pub(super) fn taps(m: &Matrix, first: u32, count: u32) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    TapOrder::of(m).runs(size(first), size(count)).map(|t| (t.row, t.column, t.channel, t.count))
}

/// Positions of numbers `first..first + count` as `(image, out_row, first column, columns)`.
pub(super) fn positions(
    m: &Matrix,
    first: u32,
    count: u32,
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let (columns, rows) = (size(m.out_cols), size(m.out_rows));
    let (first, end) = (size(first), size(first) + size(count));
    (first / columns..end.div_ceil(columns)).map(move |row| {
        let from = first.max(row * columns) - row * columns;
        let to = end.min((row + 1) * columns) - row * columns;
        (row / rows, row % rows, from, to - from)
    })
}

impl Layout {
    /// The layout of an instruction for some kernels; none where its operands are no bytes or 32 bits do not hold every sum.
    pub(super) fn new(m: &Matrix, positions_reduced: bool, kernels: Kernels) -> Option<Layout> {
        Layout::with_right(m, positions_reduced, right_of(m, positions_reduced), kernels)
    }

    /// The layout of both halves of a reduction over taps ([`whole`]), whose right operands follow each other as [`Right::take_halves`] has
    /// them; none where they are no halves of one, or as [`Layout::new`].
    ///
    /// [`Right::take_halves`]: super::right::Right::take_halves
    pub(super) fn whole(first: &Layout, second: &Layout, kernels: Kernels) -> Option<Layout> {
        let m = whole(&first.m, &second.m)?;
        let behind = second.right_of.iter().map(|at| at + first.right_count + CODES_SLACK);
        let right_of = first.right_of.iter().copied().chain(behind).collect();
        Layout::with_right(&m, false, right_of, kernels)
    }

    /// The layout of an instruction whose reduction indices find their first codes there.
    fn with_right(
        m: &Matrix,
        positions_reduced: bool,
        right_of: Vec<usize>,
        kernels: Kernels,
    ) -> Option<Layout> {
        let lone = m.out_rows == 1 && m.out_cols == 1;
        let wide = m.left_format.bits() != 8 || m.right_format.bits() > 8;
        if wide || m.length >= 1 << 17 || (positions_reduced && m.step_x != 1 && !lone) {
            return None;
        }
        let covered = Covered::of(m, positions_reduced);
        if !Frame::is_small(m, &covered) {
            return None;
        }
        let abreast = if positions_reduced { 1 } else { abreast(m, &covered, kernels) };
        let frame = Frame::new(m, covered, abreast);
        let turn = match (positions_reduced, lone) {
            (true, true) => Turn::Images,
            (true, false) if frame.channels() > 1 => Turn::Places,
            _ => Turn::None,
        };
        let (shape, pieces) =
            if positions_reduced { over_positions(m, &frame, lone) } else { over_taps(m, &frame, kernels) };
        let runs = pieces.iter().map(|p| p.1).collect();
        let (grain, grains) = if positions_reduced { (1, Vec::new()) } else { in_grains(&shape, &pieces) };
        let last_column = i64::from(m.columns - 1) * i64::from(m.column_stride);
        let span = usize::try_from(last_column.max(0)).unwrap_or(0);
        let right_count = right_of.iter().max().copied().unwrap_or(0) + span + 1;
        Some(Layout {
            m: *m,
            positions_reduced,
            frame,
            shape,
            runs,
            right_of,
            right_count,
            pieces,
            grain,
            grains,
            turn,
            places: OnceLock::new(),
            woven: OnceLock::new(),
            winograd: OnceLock::new(),
            squares: OnceLock::new(),
        })
    }

    /// Which places of the frame meet the same, over taps.
    pub(super) fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::of(self))
    }

    /// How the product is done of woven operands; none where it is not, or would not pay.
    pub(super) fn woven(&self, kernels: Kernels) -> Option<&Ways> {
        let of = || woven::of(kernels, &self.m, &self.frame, &self.right_of);
        let weaves = self.positions_reduced && kernels.weaves();
        self.woven.get_or_init(|| weaves.then(of).flatten()).as_ref()
    }

    /// How the product is done for pairs of outputs; none where it is not, or would not pay.
    pub(super) fn winograd(&self, kernels: Kernels) -> Option<&winograd::Way> {
        let of = || winograd::of(&self.m, &self.frame, self.shape.products());
        let filters = !self.positions_reduced && kernels.filters();
        self.winograd.get_or_init(|| filters.then(of).flatten()).as_ref()
    }

    /// How the product is done for squares of outputs; none where it is not, or pairs do as well.
    pub(super) fn squares(&self, kernels: Kernels) -> Option<&winograd::SquareWay> {
        let of = || {
            let products = self.winograd(kernels).map_or(self.shape.products(), winograd::Way::products);
            winograd::squares_of(&self.m, &self.frame, products)
        };
        let filters = !self.positions_reduced && kernels.filters();
        self.squares.get_or_init(|| filters.then(of).flatten()).as_ref()
    }

    /// Where the codes of a row are that begins at a base, in the order of the reduction: first byte and length of each piece.
    pub(super) fn pieces(&self, base: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        self.pieces.iter().map(move |&(offset, length)| (base + offset, length))
    }
}

/// Of how many codes all pieces of all rows are whole multiples, and the pieces in so many.
fn in_grains(shape: &Shape, pieces: &[(usize, usize)]) -> (usize, Vec<Range<usize>>) {
    let bases = shape.classes().iter().flat_map(|class| shape.bases_of(class));
    let offsets = pieces.iter().flat_map(|(offset, length)| [offset, length]);
    let grain = offsets.chain(bases).copied().fold(0, divisor);
    let in_grains = |&(offset, length): &(usize, usize)| offset / grain..(offset + length) / grain;
    (grain, pieces.iter().map(in_grains).collect())
}

/// The greatest that divides both.
fn divisor(mut a: usize, mut b: usize) -> usize {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Where the first channel of a tap lies in a frame, from a window's place on.
pub(super) fn tap_place(m: &Matrix, frame: &Frame, (y, x, c, _): (usize, usize, usize, usize)) -> usize {
    let at = frame.covered;
    (y - at.tap_rows.first) * size(m.dilate_y) * frame.row()
        + (x - at.tap_columns.first) * size(m.dilate_x) * frame.pixel()
        + (c - at.channels.first)
}

/// Gathers pieces of the reduction into segments: those that lie side by side in frame and panel are one.
#[derive(Default)]
pub(super) struct Segments {
    pub(super) all: Vec<Segment>,
    first: usize,
}

impl Segments {
    pub(super) fn add(&mut self, offset: usize, groups: usize, first_group: usize) {
        match self.all[self.first..].last_mut() {
            Some(s) if s.offset + GROUP * s.groups == offset && s.first_group + s.groups == first_group => {
                s.groups += groups;
            }
            _ => self.all.push(Segment { offset, groups, first_group }),
        }
    }

    /// Ends the segments of a class: which they are.
    fn end(&mut self) -> (usize, usize) {
        let ended = (self.first, self.all.len() - self.first);
        self.first = self.all.len();
        ended
    }
}

/// Where an instruction's taps fall on something, by position: numbers of taps of one axis from and to.
pub(super) fn met(at: usize, step: u32, dilate: u32, pad: i32, taps: u32, extent: u32) -> (u32, u32) {
    let start = i64::try_from(at).unwrap_or(0) * i64::from(step) - i64::from(pad);
    let inside = |tap: &u32| (0..i64::from(extent)).contains(&(start + i64::from(*tap) * i64::from(dilate)));
    let first = (0..taps).find(inside).unwrap_or(taps);
    (first, (first..taps).find(|t| !inside(t)).unwrap_or(taps))
}

/// Images that lie abreast in the frame of an instruction over taps: where a row of an image has fewer positions than a tile has rows,
/// so that tiles' rows lie evenly apart and can be loaded from the frame.
fn abreast(m: &Matrix, covered: &Covered, kernels: Kernels) -> usize {
    let (images, rows, columns) = (covered.images.count, covered.rows.count, covered.columns.count);
    let is_box = images * rows * columns == size(m.rows);
    let has_lines = covered.channels.count.is_multiple_of(LINE);
    // One position of each image: these lie evenly apart.
    if !is_box || !has_lines || rows * columns == 1 || m.step_x != 1 {
        return 1;
    }
    let is_even = |n: &usize| images.is_multiple_of(*n) && (n * columns).is_multiple_of(kernels.tile_rows());
    (1..=kernels.tile_rows()).find(is_even).unwrap_or(1)
}

/// Rows are positions, runs are taps that lie side by side.
fn over_taps(m: &Matrix, frame: &Frame, kernels: Kernels) -> (Shape, Vec<(usize, usize)>) {
    let at = frame.covered;
    let places: Vec<((usize, usize), usize, usize)> =
        taps(m, m.first_k, m.length).map(|tap| ((tap.0, tap.1), tap_place(m, frame, tap), tap.3)).collect();
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    for &(_, place, count) in &places {
        match pieces.last_mut() {
            Some(piece) if piece.0 + piece.1 == place => piece.1 += count,
            _ => pieces.push((place, count)),
        }
    }
    // Taps of whole groups can be left out where they fall on padding; a widened axis has gaps among its taps.
    let channels = size(m.channels);
    let whole_groups = places.iter().all(|p| p.2 == channels) && channels.is_multiple_of(GROUP);
    let leave_out = whole_groups && m.widen_y == 1 && m.widen_x == 1;
    // By tap rows and columns met: base and number of each row. Where only many rows at once are fast, all columns count as met.
    let by_column = leave_out && kernels.tile_rows() == 1;
    let mut rows_of = BTreeMap::<_, Vec<(usize, usize)>>::new();
    let mut row = 0;
    for (n, y, x, count) in positions(m, m.first_row, m.rows) {
        let (image, down) = (n - at.images.first, (y - at.rows.first) * size(m.step_y));
        for x in x..x + count {
            let base = frame.at(image, down, (x - at.columns.first) * size(m.step_x));
            let class = [
                if leave_out {
                    met(y, m.step_y, m.dilate_y, m.pad_top, m.tap_rows, m.height)
                } else {
                    (0, m.tap_rows)
                },
                if by_column {
                    met(x, m.step_x, m.dilate_x, m.pad_left, m.tap_cols, m.width)
                } else {
                    (0, m.tap_cols)
                },
            ];
            rows_of.entry(class).or_default().push((base, row));
            row += 1;
        }
    }
    let (mut bases, mut rows, mut classes, mut segments) =
        (Vec::new(), Vec::new(), Vec::new(), Segments::default());
    for ([tap_rows, tap_columns], mut members) in rows_of {
        // As they lie in the frame.
        members.sort_unstable();
        let inside = |tap: usize, (first, end): (u32, u32)| (size(first)..size(end)).contains(&tap);
        let mut first_group = 0;
        if leave_out {
            for &((y, x), place, count) in &places {
                if inside(y, tap_rows) && inside(x, tap_columns) {
                    segments.add(place, count / GROUP, first_group);
                }
                first_group += count / GROUP;
            }
        } else {
            for &(place, length) in &pieces {
                segments.add(place, length.div_ceil(GROUP), first_group);
                first_group += length.div_ceil(GROUP);
            }
        }
        let (first_segment, count) = segments.end();
        classes.push(Class { first_row: bases.len(), rows: members.len(), first_segment, segments: count });
        bases.extend(members.iter().map(|m| m.0));
        rows.extend(members.iter().map(|m| m.1));
    }
    (Shape::new(bases, rows, classes, segments.all, size(m.columns)), pieces)
}

/// Rows are taps, runs are positions side by side: in a frame turned so that positions are.
fn over_positions(m: &Matrix, frame: &Frame, lone: bool) -> (Shape, Vec<(usize, usize)>) {
    let (at, images) = (frame.covered, frame.covered.images.count);
    let mut bases = Vec::new();
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    if lone {
        for tap in taps(m, m.first_row, m.rows) {
            let base = tap_place(m, frame, tap);
            bases.extend((base..base + tap.3).map(|place| place * images));
        }
        pieces.push((0, size(m.length)));
    } else {
        for (y, x, c, count) in taps(m, m.first_row, m.rows) {
            let (y, x) = (y - at.tap_rows.first, x - at.tap_columns.first);
            let base = y * size(m.dilate_y) * frame.columns + x * size(m.dilate_x);
            let c = c - at.channels.first;
            bases.extend((c..c + count).map(|c| base + c * frame.rows * frame.columns));
        }
        // Rows of positions stay apart: groups of four begin with each.
        pieces.extend(positions(m, m.first_k, m.length).map(|(n, y, x, length)| {
            let row = (y - at.rows.first) * size(m.step_y);
            ((n - at.images.first) * frame.image() + row * frame.columns + x - at.columns.first, length)
        }));
    }
    let mut segments = Vec::new();
    let mut first_group = 0;
    for &(offset, length) in &pieces {
        let groups = length.div_ceil(GROUP);
        segments.push(Segment { offset, groups, first_group });
        first_group += groups;
    }
    let class = Class { first_row: 0, rows: bases.len(), first_segment: 0, segments: segments.len() };
    let rows = (0..bases.len()).collect();
    (Shape::new(bases, rows, vec![class], segments, size(m.columns)), pieces)
}

/// Where each reduction index finds its first code in the right operand.
fn right_of(m: &Matrix, positions_reduced: bool) -> Vec<usize> {
    let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2].map(i64::from);
    let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut found = Vec::with_capacity(size(m.length));
    let mut place = |a: usize, b: usize, c: usize, count: usize| {
        let base = m.right_first + signed(a) * strides[0] + signed(b) * strides[1];
        let places = (c..c + count).map(|c| base + signed(c) * strides[2]);
        found.extend(places.map(|p| usize::try_from(p).unwrap_or(usize::MAX)));
    };
    if positions_reduced {
        positions(m, m.first_k, m.length).for_each(|(n, y, x, count)| place(n, y, x, count));
    } else {
        taps(m, m.first_k, m.length).for_each(|(y, x, c, count)| place(y, x, c, count));
    }
    found
}
