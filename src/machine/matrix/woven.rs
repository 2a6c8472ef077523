//! Which instructions over positions are done of woven operands, and how: taps as strips of what is woven.

use super::frame::Frame;
use super::layout::taps;
use super::size;
use crate::isa::Matrix;
use crate::machine::kernels::{GROUP, Kernels, LANES, NOWHERE, Strip, WINDOWS, Weave, Woven};

/// Lanes of registers, and positions of groups, for each that is wanted: more do not pay.
const MOST_IDLE: usize = 2;
/// Pixels of the frame for each position: windows far apart leave most of it unmet.
const MOST_PIXELS: usize = 32;

/// How an instruction is done of woven operands.
#[derive(Debug)]
pub(super) struct Ways {
    /// Whatever the codes.
    pub(super) dense: Woven,
    /// Where of the four positions of each window of pooling one at most has a code of the right operand that is not zero.
    pub(super) pooled: Option<Woven>,
}

/// An instruction over positions in its frame.
struct Over<'a> {
    kernels: Kernels,
    m: &'a Matrix,
    frame: &'a Frame,
    right_of: &'a [usize],
    /// Where each pixel of each image is in memory.
    pixels: Vec<usize>,
}

/// How an instruction over positions is done of woven operands; not where positions or taps are no box or not a step apart, where
/// channels do not fill registers, where columns are not side by side, and where it would not pay.
pub(super) fn of(kernels: Kernels, m: &Matrix, frame: &Frame, right_of: &[usize]) -> Option<Ways> {
    let at = frame.covered;
    let (images, rows, columns) = (at.images.count, at.rows.count, at.columns.count);
    let is_box = images * rows * columns == size(m.length);
    let one_apart = (m.step_y == 1 || rows == 1) && (m.step_x == 1 || columns == 1);
    let taps_are_box = at.tap_rows.count * at.tap_columns.count * at.channels.count == size(m.rows);
    let channels = frame.channels();
    if m.column_stride != 1 || !is_box || !one_apart || !taps_are_box || !channels.is_multiple_of(LANES) {
        return None;
    }
    let of_image = frame.rows * frame.columns;
    if of_image > MOST_PIXELS * rows * columns {
        return None;
    }
    let mut pixels = vec![NOWHERE; images * of_image];
    for (first, from, count) in frame.pixels() {
        for (pixel, from) in pixels[first..][..count].iter_mut().zip((from..).step_by(channels)) {
            *pixel = from;
        }
    }
    let over = Over { kernels, m, frame, right_of, pixels };
    // Of fewer than four images, four positions of a row.
    let by_images = columns.next_multiple_of(GROUP) * images >= images.next_multiple_of(GROUP) * columns;
    let dense = if by_images { over.by_images() } else { over.by_columns() }?;
    Some(Ways { dense, pooled: kernels.pools().then(|| over.pooled()).flatten() })
}

impl Over<'_> {
    /// Groups are four images at one place.
    fn by_images(&self) -> Option<Woven> {
        let (at, frame) = (self.frame.covered, self.frame);
        let groups = at.images.count.div_ceil(GROUP);
        if groups * GROUP > MOST_IDLE * at.images.count {
            return None;
        }
        let mut woven = Vec::new();
        for (y, x) in (0..frame.rows).flat_map(|y| (0..frame.columns).map(move |x| (y, x))) {
            woven.extend((0..groups).map(|g| [0, 1, 2, 3].map(|i| self.pixel(g * GROUP + i, y, x))));
        }
        let weave = self.weave(woven, 1, 1);
        let strips = self.strips(&weave, |down, across| (0, (down * frame.columns + across) * groups))?;
        let runs = (0..at.rows.count).map(|y| {
            let of_row = (0..at.columns.count)
                .flat_map(|x| (0..groups * GROUP).map(move |n| self.code(n, y, x)))
                .collect();
            (y * frame.columns * groups, of_row)
        });
        Some(self.product(weave, strips, runs))
    }

    /// Groups are four positions of a row; once for each column of taps, for a tap's first need not be the first of four.
    fn by_columns(&self) -> Option<Woven> {
        let (at, frame) = (self.frame.covered, self.frame);
        let (images, rows, columns) = (at.images.count, at.rows.count, at.columns.count);
        let groups = columns.div_ceil(GROUP);
        if groups * GROUP > MOST_IDLE * columns {
            return None;
        }
        let dilate = size(self.m.dilate_x);
        let mut woven = Vec::new();
        for plane in 0..at.tap_columns.count {
            for (y, n) in (0..frame.rows).flat_map(|y| (0..images).map(move |n| (y, n))) {
                let four = |g| [0, 1, 2, 3].map(|i| self.pixel(n, y, plane * dilate + g * GROUP + i));
                woven.extend((0..groups).map(four));
            }
        }
        let weave = self.weave(woven, at.tap_columns.count, 1);
        let strips = self.strips(&weave, |down, across| (across / dilate, down * images * groups))?;
        // Rows follow each other: one run.
        let all = (0..rows)
            .flat_map(|y| (0..images).map(move |n| (y, n)))
            .flat_map(|(y, n)| (0..groups * GROUP).map(move |x| self.code(n, y, x)))
            .collect();
        Some(self.product(weave, strips, std::iter::once((0, all))))
    }

    /// Groups are windows of two rows and two columns, those of four pairs of rows side by side; once for taps an even number of
    /// columns across and once for others. Rows of taps would take pairs apart.
    fn pooled(&self) -> Option<Woven> {
        let (at, frame) = (self.frame.covered, self.frame);
        let (images, rows, columns) = (at.images.count, at.rows.count, at.columns.count);
        if at.tap_rows.count > 1 || !rows.is_multiple_of(2) || !columns.is_multiple_of(2) {
            return None;
        }
        let (pairs, across) = (images * rows / 2, frame.columns / 2);
        let fours = pairs.div_ceil(WINDOWS);
        // The image of a pair, the row of a position.
        let row = |pair: usize, which: usize| (pair / (rows / 2), pair % (rows / 2) * 2 + which / 2);
        let mut woven = Vec::new();
        let planes = if at.tap_columns.count > 1 { 2 } else { 1 };
        for (plane, four) in (0..planes).flat_map(|plane| (0..fours).map(move |four| (plane, four))) {
            for (x, pair) in (0..across).flat_map(|x| (0..WINDOWS).map(move |w| (x, four * WINDOWS + w))) {
                woven.push([0, 1, 2, 3].map(|which| {
                    let (n, y) = row(pair, which);
                    self.pixel(n, y, plane + 2 * x + which % 2)
                }));
            }
        }
        let weave = self.weave(woven, planes, WINDOWS);
        let strips = self.strips(&weave, |_, across| (across % 2, across / 2 * WINDOWS))?;
        let runs = (0..fours).map(|four| {
            let of_four = (0..columns / 2)
                .flat_map(|x| (0..WINDOWS).map(move |w| (x, four * WINDOWS + w)))
                .flat_map(|(x, pair)| (0..GROUP).map(move |which| (x, row(pair, which), which)))
                .map(|(x, (n, y), which)| self.code(n, y, 2 * x + which % 2))
                .collect();
            (four * across * WINDOWS, of_four)
        });
        Some(self.product(weave, strips, runs))
    }

    /// Where the channels of a pixel begin, if it is one.
    fn pixel(&self, n: usize, y: usize, x: usize) -> usize {
        let Frame { rows, columns, covered, .. } = self.frame;
        let inside = n < covered.images.count && x < *columns;
        if inside { self.pixels[(n * rows + y) * columns + x] } else { NOWHERE }
    }

    /// Where a position finds its codes in the right operand, if it is one: indices are in the order image, row, column.
    fn code(&self, n: usize, y: usize, x: usize) -> Option<usize> {
        let at = self.frame.covered;
        let inside = n < at.images.count && x < at.columns.count;
        inside.then(|| self.right_of[(n * at.rows.count + y) * at.columns.count + x])
    }

    fn weave(&self, groups: Vec<[usize; GROUP]>, planes: usize, side_by_side: usize) -> Weave {
        Weave { groups, planes, channels: self.frame.channels(), side_by_side }
    }

    fn product(
        &self,
        weave: Weave,
        strips: Vec<Strip>,
        runs: impl Iterator<Item = (usize, Vec<Option<usize>>)>,
    ) -> Woven {
        Woven::new(self.kernels, weave, strips, runs, size(self.m.columns))
    }

    /// Taps as strips, whose plane and first group `of` tells from how many rows down and columns across they are; none where registers
    /// are not whole or most of them idle.
    fn strips(&self, weave: &Weave, of: impl Fn(usize, usize) -> (usize, usize)) -> Option<Vec<Strip>> {
        let (m, at) = (self.m, self.frame.covered);
        let mut strips = Vec::new();
        let (mut row, mut lanes) = (0, 0);
        for (y, x, c, count) in taps(m, m.first_row, m.rows) {
            let down = (y - at.tap_rows.first) * size(m.dilate_y);
            let across = (x - at.tap_columns.first) * size(m.dilate_x);
            let channel = c - at.channels.first;
            let (plane, first) = of(down, across);
            if !channel.is_multiple_of(LANES) {
                return None;
            }
            let (end, mut register) = (row + count, channel / LANES);
            while row < end {
                // Two registers that lie side by side, or the second of two.
                let registers = 2 - register % 2;
                let rows = row..end.min(row + registers * LANES);
                lanes += rows.len().next_multiple_of(LANES);
                row = rows.end;
                strips.push(Strip { at: weave.place(plane, register, first), rows });
                register += registers;
            }
        }
        (lanes <= MOST_IDLE * size(m.rows)).then_some(strips)
    }
}
