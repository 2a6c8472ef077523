//! Exact products of byte operands: windows in place in a frame, the right operand in panels, tiles by the kernels.

use rayon::prelude::*;

use super::frame::{Frame, ZERO, turn};
use super::{Product, size};
use crate::isa::{Covered, Matrix, Memory, TapOrder};
use crate::machine::kernels::{self, LANES, MAX_REGISTERS, Segment, TILE_ROWS};
use crate::machine::{State, values};

/// Products fewer than this are not worth a second thread.
const SPLIT_PRODUCTS: usize = 1 << 21;

/// Scratch of byte products, kept between instructions.
#[derive(Debug, Default)]
pub(super) struct Bytes {
    frame: Frame,
    turned: Vec<u8>,
    codes: Vec<i8>,
    right_of: Vec<usize>,
    bases: Vec<usize>,
    runs: Vec<Run>,
    segments: Vec<Segment>,
    panels: Vec<i8>,
    corrections: Vec<i32>,
    nonzero_right: Vec<u32>,
    /// Sums of the last product, rows of as many as the instruction has columns.
    pub(super) sums: Vec<i32>,
}

/// Consecutive reduction indices whose left operands lie side by side.
#[derive(Debug, Clone, Copy)]
struct Run {
    offset: usize,
    length: usize,
}

/// Joins consecutive pieces `(offset, length)`.
fn joined(pieces: impl Iterator<Item = (usize, usize)>, runs: &mut Vec<Run>) {
    runs.clear();
    for (offset, length) in pieces {
        match runs.last_mut() {
            Some(run) if run.offset + run.length == offset => run.length += length,
            _ => runs.push(Run { offset, length }),
        }
    }
}

/// Taps of numbers `first..first + count` as `(tap_row, tap_col, first channel, channels)`.
fn taps(m: &Matrix, first: u32, count: u32) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    TapOrder::of(m).runs(size(first), size(count)).map(|t| (t.row, t.column, t.channel, t.count))
}

/// Positions of numbers `first..first + count` as `(image, out_row, first column, columns)`.
fn positions(m: &Matrix, first: u32, count: u32) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let (columns, rows) = (size(m.out_cols), size(m.out_rows));
    let (first, end) = (size(first), size(first) + size(count));
    (first / columns..end.div_ceil(columns)).map(move |row| {
        let from = first.max(row * columns) - row * columns;
        let to = end.min((row + 1) * columns) - row * columns;
        (row / rows, row % rows, from, to - from)
    })
}

impl Bytes {
    /// The sums of an instruction, start values left out; none where its operands are no bytes or 32 bits are too few.
    pub(super) fn product(&mut self, m: &Matrix, positions_reduced: bool, state: &State) -> Option<Product> {
        let lone = m.out_rows == 1 && m.out_cols == 1;
        let wide = m.left_format.bits() != 8 || m.right_format.bits() > 8;
        if wide || m.length >= 1 << 17 || (positions_reduced && m.step_x != 1 && !lone) {
            return None;
        }
        // All taps sum to the same in any order; in the order of memory they lie in the longest runs.
        let in_memory_order = Matrix { channel_block: 0, ..*m };
        let m = if size(m.length) == size(m.tap_rows) * size(m.tap_cols) * size(m.channels) {
            &in_memory_order
        } else {
            m
        };
        let covered = Covered::of(m, positions_reduced);
        if !Frame::is_small(m, &covered) {
            return None;
        }
        let left = &state.memory(Memory::Operand)[size_of_offset(m.left.offset)..];
        self.frame.fill(m, left, covered);
        if positions_reduced {
            self.over_positions(m, lone)
        } else {
            self.over_taps(m)
        }
        self.unpack_right(m, positions_reduced, state);
        let turned = positions_reduced && (lone || self.frame.channels() > 1);
        let left = if turned { &self.turned } else { &self.frame.bytes };
        let registers_each =
            pack_panels(m, &self.codes, &self.right_of, &self.runs, &mut self.panels, &mut self.corrections);
        multiply(
            m,
            left,
            &self.bases,
            &self.segments,
            &self.panels,
            &self.corrections,
            &registers_each,
            &mut self.sums,
        );
        let nonzero_products = if positions_reduced {
            nonzero_over_positions(m, &self.frame, &self.nonzero_right)
        } else {
            nonzero_over_taps(m, &self.frame, &self.nonzero_right)
        };
        Some(Product { nonzero_products, greatest: 128 << (m.right_format.bits() - 1) })
    }

    /// No product of the last instruction is greater.
    pub(super) fn greatest(&self) -> i64 {
        let right = self.codes.iter().map(|c| c.unsigned_abs()).max().unwrap_or(0);
        i64::from(kernels::widest(|| self.frame.greatest())) * i64::from(right)
    }

    /// Rows are positions, runs are taps that lie side by side.
    fn over_taps(&mut self, m: &Matrix) {
        let frame = &self.frame;
        let (image, row, channels) = (frame.image(), frame.row(), frame.channels());
        let at = frame.covered;
        self.bases.clear();
        for (n, y, x, count) in positions(m, m.first_row, m.rows) {
            let base = (n - at.images.first) * image + (y - at.rows.first) * size(m.step_y) * row;
            let x = x - at.columns.first;
            self.bases.extend((x..x + count).map(|x| base + x * size(m.step_x) * channels));
        }
        joined(taps(m, m.first_k, m.length).map(|tap| (tap_place(m, frame, tap), tap.3)), &mut self.runs);
        self.segment();
    }

    /// Rows are taps, runs are positions side by side: in a frame turned so that positions are.
    fn over_positions(&mut self, m: &Matrix, lone: bool) {
        let frame = &self.frame;
        let (columns, channels, image) = (frame.columns, frame.channels(), frame.image());
        let (at, images) = (frame.covered, frame.covered.images.count);
        let whole = images * image;
        if lone || channels > 1 {
            self.turned.clear();
            self.turned.resize(whole + 4, ZERO);
        }
        self.bases.clear();
        if lone {
            turn(&frame.bytes[..whole], images, image, &mut self.turned);
            for tap in taps(m, m.first_row, m.rows) {
                let base = tap_place(m, frame, tap);
                self.bases.extend((base..base + tap.3).map(|place| place * images));
            }
            self.runs.clear();
            self.runs.push(Run { offset: 0, length: size(m.length) });
        } else {
            if channels > 1 {
                let row = frame.row();
                let rows = frame.bytes[..whole].par_chunks(row).zip(self.turned.par_chunks_mut(row));
                rows.with_min_len(256).for_each(|(from, to)| turn(from, columns, channels, to));
            }
            for (y, x, c, count) in taps(m, m.first_row, m.rows) {
                let (y, x) = (y - at.tap_rows.first, x - at.tap_columns.first);
                let base = y * size(m.dilate_y) * channels * columns + x * size(m.dilate_x);
                let c = c - at.channels.first;
                self.bases.extend((c..c + count).map(|c| base + c * columns));
            }
            let place = |(n, y, x, length): (usize, usize, usize, usize)| {
                let row = (n - at.images.first) * frame.rows + (y - at.rows.first) * size(m.step_y);
                Run { offset: row * channels * columns + x - at.columns.first, length }
            };
            // Rows of positions stay apart: groups of four begin with each.
            self.runs.clear();
            self.runs.extend(positions(m, m.first_k, m.length).map(place));
        }
        self.segment();
    }

    fn segment(&mut self) {
        self.segments.clear();
        let segment = |run: &Run| Segment { offset: run.offset, groups: run.length.div_ceil(4) };
        self.segments.extend(self.runs.iter().map(segment));
    }

    /// Codes of the right operand, and where each reduction index finds its first.
    fn unpack_right(&mut self, m: &Matrix, positions_reduced: bool, state: &State) {
        let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2].map(i64::from);
        self.right_of.clear();
        let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut place = |a: usize, b: usize, c: usize, count: usize| {
            let base = m.right_first + signed(a) * strides[0] + signed(b) * strides[1];
            let places = (c..c + count).map(|c| base + signed(c) * strides[2]);
            self.right_of.extend(places.map(|p| usize::try_from(p).unwrap_or(usize::MAX)));
        };
        if positions_reduced {
            positions(m, m.first_k, m.length).for_each(|(n, y, x, count)| place(n, y, x, count));
        } else {
            taps(m, m.first_k, m.length).for_each(|(y, x, c, count)| place(y, x, c, count));
        }
        let columns = size(m.columns);
        let last_column = i64::from(m.columns - 1) * i64::from(m.column_stride);
        let greatest = self.right_of.iter().max().copied().unwrap_or(0);
        let span = usize::try_from(last_column.max(0)).unwrap_or(0);
        values::read_bytes(
            state.memory(Memory::Weight),
            m.right,
            m.right_format,
            greatest + span + 1,
            &mut self.codes,
        );
        // Whole registers are read past the last column.
        self.codes.resize(self.codes.len() + MAX_REGISTERS * LANES, 0);
        self.nonzero_right.clear();
        self.nonzero_right.resize(self.right_of.len(), 0);
        let (codes, right_of, counts) = (&self.codes, &self.right_of, &mut self.nonzero_right);
        kernels::widest(|| count_nonzero(codes, right_of, i64::from(m.column_stride), columns, counts));
    }
}

/// Codes not zero of each reduction index, over all columns.
#[inline(always)]
fn count_nonzero(codes: &[i8], right_of: &[usize], stride: i64, columns: usize, counts: &mut [u32]) {
    if stride == 1 {
        for (count, &base) in counts.iter_mut().zip(right_of) {
            *count = codes[base..base + columns].iter().map(|&c| u32::from(c != 0)).sum();
        }
        return;
    }
    // Indices that lie side by side are counted side by side, column by column.
    let mut rest = counts;
    for run in right_of.chunk_by(|a, b| *b == a + 1) {
        let (counts, later) = rest.split_at_mut(run.len());
        rest = later;
        for column in 0..columns {
            let codes = &codes[at_column(run[0], stride, column)..][..run.len()];
            counts.iter_mut().zip(codes).for_each(|(n, &c)| *n += u32::from(c != 0));
        }
    }
}

fn size_of_offset(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn at_column(base: usize, stride: i64, column: usize) -> usize {
    let moved = stride * i64::try_from(column).unwrap_or(i64::MAX);
    base.checked_add_signed(isize::try_from(moved).unwrap_or(isize::MAX)).unwrap_or(usize::MAX)
}

/// Packs the right operand into panels of four registers and one of what is left; registers of each.
fn pack_panels(
    m: &Matrix,
    codes: &[i8],
    right_of: &[usize],
    runs: &[Run],
    panels: &mut Vec<i8>,
    corrections: &mut Vec<i32>,
) -> Vec<usize> {
    let lanes = size(m.columns).div_ceil(LANES);
    let registers: Vec<usize> =
        (0..lanes).step_by(MAX_REGISTERS).map(|r| MAX_REGISTERS.min(lanes - r)).collect();
    let groups: usize = runs.iter().map(|r| r.length.div_ceil(4)).sum();
    panels.clear();
    panels.resize(groups * lanes * 4 * LANES, 0);
    corrections.clear();
    corrections.resize(lanes * LANES, 0);
    let stride = i64::from(m.column_stride);
    let mut column = 0;
    let mut rest = &mut panels[..];
    for &registers in &registers {
        let (panel, later) = rest.split_at_mut(groups * registers * 4 * LANES);
        rest = later;
        let mut blocks = panel.as_chunks_mut::<{ 4 * LANES }>().0.iter_mut();
        let mut indices = right_of;
        for run in runs {
            let (run_indices, later) = indices.split_at(run.length);
            indices = later;
            for four in run_indices.chunks(4) {
                for (v, block) in (0..registers).zip(&mut blocks) {
                    pack_block(codes, four, column + v * LANES, stride, size(m.columns), block);
                }
            }
        }
        let corrections = &mut corrections[column..column + registers * LANES];
        for group in panel.chunks_exact(registers * 4 * LANES) {
            for (correction, four) in corrections.iter_mut().zip(group.as_chunks::<4>().0) {
                *correction += four.iter().map(|&c| i32::from(c)).sum::<i32>();
            }
        }
        corrections.iter_mut().for_each(|c| *c *= i32::from(ZERO));
        column += registers * LANES;
    }
    registers
}

/// Sixteen columns of up to four reduction indices; columns past the last hold anything.
fn pack_block(
    codes: &[i8],
    four: &[usize],
    column: usize,
    stride: i64,
    columns: usize,
    block: &mut [i8; 4 * LANES],
) {
    const NONE: [i8; LANES] = [0; LANES];
    if stride == 1 {
        let row = |t: usize| four.get(t).map_or(&NONE[..], |&base| &codes[base + column..][..LANES]);
        kernels::interleave([row(0), row(1), row(2), row(3)], block);
        return;
    }
    let consecutive = four.len() == 4 && four.windows(2).all(|w| w[1] == w[0] + 1);
    if consecutive {
        let step = isize::try_from(stride).unwrap_or(0);
        let mut at = at_column(four[0], stride, column);
        for place in block.as_chunks_mut::<4>().0.iter_mut().take(columns.saturating_sub(column)) {
            place.copy_from_slice(&codes[at..at + 4]);
            at = at.wrapping_add_signed(step);
        }
        return;
    }
    for (place, j) in block.as_chunks_mut::<4>().0.iter_mut().zip(column..columns) {
        place.iter_mut().zip(four).for_each(|(p, &base)| *p = codes[at_column(base, stride, j)]);
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one scratch, borrowed apart")]
fn multiply(
    m: &Matrix,
    left: &[u8],
    bases: &[usize],
    segments: &[Segment],
    panels: &[i8],
    corrections: &[i32],
    registers_each: &[usize],
    sums: &mut Vec<i32>,
) {
    let (rows, columns) = (size(m.rows), size(m.columns));
    sums.clear();
    sums.resize(rows * columns, 0);
    let groups: usize = segments.iter().map(|s| s.groups).sum();
    let work = rows * columns * size(m.length);
    let tasks = if work < SPLIT_PRODUCTS { 1 } else { rayon::current_num_threads() };
    // Whole tiles of every panel width.
    let rows_each = rows.div_ceil(tasks).next_multiple_of(24);
    let strip = |(bases, sums): (&[usize], &mut [i32])| {
        let mut out = [0i32; 24 * LANES];
        let (mut column, mut panel) = (0, 0);
        for &registers in registers_each {
            let width = registers * LANES;
            let length = groups * width * 4;
            let used = width.min(columns - column);
            let tile_rows = TILE_ROWS[registers - 1];
            for (bases, sums) in bases.chunks(tile_rows).zip(sums.chunks_mut(tile_rows * columns)) {
                let panel = &panels[panel..panel + length];
                let corrections = &corrections[column..column + width];
                kernels::tile(registers, left, bases, segments, panel, corrections, &mut out);
                for (sums, out) in sums.chunks_mut(columns).zip(out.chunks(width)) {
                    sums[column..column + used].copy_from_slice(&out[..used]);
                }
            }
            column += width;
            panel += length;
        }
    };
    if tasks == 1 {
        strip((bases, sums));
    } else {
        bases.par_chunks(rows_each).zip(sums.par_chunks_mut(rows_each * columns)).for_each(strip);
    }
}

/// Where the first channel of a tap lies in a frame, from a window's place on.
fn tap_place(m: &Matrix, frame: &Frame, (y, x, c, _): (usize, usize, usize, usize)) -> usize {
    let at = frame.covered;
    (y - at.tap_rows.first) * size(m.dilate_y) * frame.row()
        + (x - at.tap_columns.first) * size(m.dilate_x) * frame.channels()
        + (c - at.channels.first)
}

/// Σ over taps of (positions with a left operand not zero) · (columns with a right operand not zero).
fn nonzero_over_taps(m: &Matrix, frame: &Frame, nonzero_right: &[u32]) -> u64 {
    let image = frame.image();
    let at = frame.covered;
    let places: Vec<(usize, usize)> =
        taps(m, m.first_k, m.length).map(|tap| (tap_place(m, frame, tap), tap.3)).collect();
    // Sums of one tap's channels that 32 bits hold.
    let small = u64::from(m.channels) * u64::from(m.images) * u64::from(m.columns) < 1 << 32;
    let window = |counts: &[u32], base: usize| {
        let mut right = nonzero_right;
        let mut sum = 0u64;
        for &(place, count) in &places {
            let (here, later) = right.split_at(count);
            right = later;
            sum += dot(&counts[base + place..][..count], here, small);
        }
        sum
    };
    let base = |y: usize, x: usize| {
        (y - at.rows.first) * size(m.step_y) * frame.row()
            + (x - at.columns.first) * size(m.step_x) * frame.channels()
    };
    let pixels = size(m.out_rows * m.out_cols);
    // How many images have a code not zero at each place.
    let mut counts = vec![0u32; image];
    if size(m.first_row).is_multiple_of(pixels) && size(m.rows).is_multiple_of(pixels) {
        for bytes in frame.bytes.chunks_exact(image) {
            counts.iter_mut().zip(bytes).for_each(|(c, &b)| *c += u32::from(b != ZERO));
        }
        let one = positions(m, 0, m.out_rows * m.out_cols);
        let of_row = |(_, y, x, count)| (x..x + count).map(|x| window(&counts, base(y, x))).sum::<u64>();
        return kernels::widest(|| one.map(of_row).sum());
    }
    // Parts of images: one after another.
    let mut total = 0;
    let mut counted = None;
    for (n, y, x, count) in positions(m, m.first_row, m.rows) {
        if counted != Some(n) {
            counted = Some(n);
            let bytes = &frame.bytes[(n - at.images.first) * image..][..image];
            counts.iter_mut().zip(bytes).for_each(|(c, &b)| *c = u32::from(b != ZERO));
        }
        total += (x..x + count).map(|x| window(&counts, base(y, x))).sum::<u64>();
    }
    total
}

/// Σ a·b; `small`: 32 bits hold it.
#[inline(always)]
fn dot(a: &[u32], b: &[u32], small: bool) -> u64 {
    if small {
        a.iter().zip(b).map(|(&a, &b)| a.wrapping_mul(b)).fold(0u32, u32::wrapping_add).into()
    } else {
        a.iter().zip(b).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum()
    }
}

/// Σ over positions of (taps with a left operand not zero) · (columns with a right operand not zero).
fn nonzero_over_positions(m: &Matrix, frame: &Frame, nonzero_right: &[u32]) -> u64 {
    let channels = frame.channels();
    let at = frame.covered;
    let mut of_pixel = vec![0u32; at.images.count * frame.rows * frame.columns];
    let mut counted = None;
    let mut total = 0;
    for (tap_y, tap_x, c, count) in taps(m, m.first_row, m.rows) {
        if counted != Some((c, count)) {
            counted = Some((c, count));
            let c = c - at.channels.first;
            for (n, pixel) in of_pixel.iter_mut().zip(frame.bytes.chunks_exact(channels)) {
                *n = match count {
                    1 => u32::from(pixel[c] != ZERO),
                    _ => u32::try_from(kernels::nonzeros(&pixel[c..c + count], ZERO)).unwrap_or(u32::MAX),
                };
            }
        }
        let tap = (tap_y - at.tap_rows.first) * size(m.dilate_y) * frame.columns
            + (tap_x - at.tap_columns.first) * size(m.dilate_x);
        let mut right = nonzero_right;
        for (n, y, x, count) in positions(m, m.first_k, m.length) {
            let row = (n - at.images.first) * frame.rows + (y - at.rows.first) * size(m.step_y);
            let first = row * frame.columns + (x - at.columns.first) * size(m.step_x) + tap;
            let (here, later) = right.split_at(count);
            right = later;
            let pixels = of_pixel[first..].iter().step_by(size(m.step_x));
            total += pixels.zip(here).map(|(&a, &b)| u64::from(a) * u64::from(b)).sum::<u64>();
        }
    }
    total
}
