//! Products of any operands: rows and columns packed as 16-bit codes, sums of 64 bits.

use rayon::prelude::*;

use super::{Product, size};
use crate::isa::{Address, Matrix, Memory, TapOrder, TapRun};
use crate::machine::kernels::{Columns, Kernels, compiled, row_products};
use crate::machine::{State, element, values};

/// Operands of one instruction: rows of `length` codes each.
pub(super) struct Packed {
    pub(super) left: Vec<i16>,
    pub(super) right: RightCodes,
    pub(super) length: usize,
}

/// The right operand: where each reduction index finds the code of the first column, and bytes from column to column.
pub(super) struct RightCodes {
    codes: Vec<i16>,
    first: Vec<i64>,
    stride: i64,
    pub(super) columns: usize,
}

impl RightCodes {
    fn at(&self, first: i64, column: usize) -> i16 {
        let place = first + self.stride * i64::try_from(column).unwrap_or(0);
        self.codes[usize::try_from(place).unwrap_or(usize::MAX)]
    }

    /// `[column][index]`.
    fn by_column(&self) -> Vec<i16> {
        (0..self.columns).flat_map(|j| self.first.iter().map(move |&first| self.at(first, j))).collect()
    }

    /// `[index][column]`.
    pub(super) fn by_index(&self) -> Columns {
        let mut found = Columns::default();
        found.take((self.first.len(), self.columns), |index, row| {
            let first = self.first[index];
            let place = usize::try_from(first).unwrap_or(usize::MAX);
            match self.codes.get(place..place + self.columns).filter(|_| self.stride == 1) {
                Some(codes) => row.copy_from_slice(codes),
                None => row.iter_mut().enumerate().for_each(|(j, v)| *v = self.at(first, j)),
            }
        });
        found
    }
}

fn code(value: i64) -> i16 {
    i16::try_from(value).unwrap_or(0)
}

/// The left operand at a position and tap, by the window's rule.
fn left_index(m: &Matrix, [image, row, col]: [i64; 3], [tap_row, tap_col, channel]: [i64; 3]) -> Option<i64> {
    let y = row * i64::from(m.step_y) + tap_row * i64::from(m.dilate_y) - i64::from(m.pad_top);
    let x = col * i64::from(m.step_x) + tap_col * i64::from(m.dilate_x) - i64::from(m.pad_left);
    let (widen_y, widen_x) = (i64::from(m.widen_y), i64::from(m.widen_x));
    let inside = y >= 0
        && x >= 0
        && y % widen_y == 0
        && x % widen_x == 0
        && y / widen_y < i64::from(m.height)
        && x / widen_x < i64::from(m.width);
    inside.then(|| {
        i64::from(m.left_first)
            + image * i64::from(m.image_stride)
            + y / widen_y * i64::from(m.row_stride)
            + x / widen_x * i64::from(m.pixel_stride)
            + channel
    })
}

fn split(number: i64, [_, d1, d2]: [u32; 3]) -> [i64; 3] {
    let (d1, d2) = (i64::from(d1), i64::from(d2));
    [number / (d1 * d2), number / d2 % d1, number % d2]
}

fn tap_run(run: TapRun) -> ([i64; 3], usize) {
    ([run.row, run.column, run.channel].map(|n| i64::try_from(n).unwrap_or(i64::MAX)), run.count)
}

pub(super) fn pack(m: &Matrix, positions_reduced: bool, state: &State) -> Packed {
    let positions = [m.images, m.out_rows, m.out_cols];
    let taps = [m.tap_rows, m.tap_cols, m.channels];
    let row_box = if positions_reduced { taps } else { positions };
    let length = size(m.length);
    let left_bytes = state.memory(Memory::Operand);
    let left_at = usize::try_from(m.left.offset).unwrap_or(usize::MAX);
    // Runs of the reduction that lie together: channels of a tap; positions are taken one by one.
    let runs: Vec<([i64; 3], usize)> = if positions_reduced {
        (0..i64::from(m.length)).map(|k| (split(i64::from(m.first_k) + k, positions), 1)).collect()
    } else {
        TapOrder::of(m).runs(size(m.first_k), length).map(tap_run).collect()
    };
    let each = |&([a, b, c], count): &([i64; 3], usize)| (c..).take(count).map(move |c| [a, b, c]);
    let ks: Vec<[i64; 3]> = runs.iter().flat_map(each).collect();
    let mut left = vec![0i16; size(m.rows) * length];
    let bytes_each = m.left_format.bits() == 8;
    left.chunks_mut(length).enumerate().for_each(|(r, row)| {
        let at = split(i64::from(m.first_row) + i64::try_from(r).unwrap_or(0), row_box);
        if positions_reduced && bytes_each && m.widen_x == 1 {
            return pack_tap(m, &left_bytes[left_at..], &ks, at, row);
        }
        let mut k = 0;
        for &(reduced, run) in &runs {
            let (p, t) = if positions_reduced { (reduced, at) } else { (at, reduced) };
            if let Some(index) = left_index(m, p, t) {
                let first = usize::try_from(index).unwrap_or(usize::MAX);
                if bytes_each {
                    let codes = &left_bytes[left_at + first..left_at + first + run];
                    row[k..k + run].iter_mut().zip(codes).for_each(|(v, &b)| *v = i16::from(b.cast_signed()));
                } else {
                    for (i, v) in row[k..k + run].iter_mut().enumerate() {
                        *v = code(element(left_bytes, left_at, m.left_format, (first + i) as u64));
                    }
                }
            }
            k += run;
        }
    });
    Packed { left, right: pack_right(m, &ks, state), length }
}

/// One tap at every position: a walk along each row of positions.
fn pack_tap(m: &Matrix, codes: &[u8], ks: &[[i64; 3]], tap: [i64; 3], row: &mut [i16]) {
    let (step, stride) = (i64::from(m.step_x), i64::from(m.pixel_stride));
    let mut k = 0;
    while k < row.len() {
        let [image, y, first] = ks[k];
        let run = (size(m.out_cols) - usize::try_from(first).unwrap_or(0)).min(row.len() - k);
        let x = first * step + tap[1] * i64::from(m.dilate_x) - i64::from(m.pad_left);
        // The place of x = 0 in this row of the image, if the row is one.
        let at_zero = Matrix { pad_left: 0, step_x: 0, dilate_x: 0, ..*m };
        if let Some(base) = left_index(&at_zero, [image, y, 0], tap) {
            for (v, x) in row[k..k + run].iter_mut().zip((0..).map(|i| x + i * step)) {
                if (0..i64::from(m.width)).contains(&x) {
                    let index = usize::try_from(base + x * stride).unwrap_or(usize::MAX);
                    *v = i16::from(codes[index].cast_signed());
                }
            }
        }
        k += run;
    }
}

fn pack_right(m: &Matrix, ks: &[[i64; 3]], state: &State) -> RightCodes {
    let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2].map(i64::from);
    let base: Vec<i64> =
        ks.iter().map(|k| m.right_first + k.iter().zip(strides).map(|(a, b)| a * b).sum::<i64>()).collect();
    let last_column = i64::from(m.columns - 1) * i64::from(m.column_stride);
    let bounds = base.iter().flat_map(|&b| [b, b + last_column]);
    let count = bounds.max().and_then(|n| usize::try_from(n + 1).ok()).unwrap_or(0);
    let mut codes = Vec::new();
    let right = Address { memory: Memory::Weight, ..m.right };
    values::read(state.memory(Memory::Weight), right, m.right_format, count, &mut codes);
    RightCodes {
        codes: codes.into_iter().map(code).collect(),
        first: base,
        stride: m.column_stride.into(),
        columns: size(m.columns),
    }
}

/// The greatest magnitude of a code.
#[inline(always)]
pub(super) fn greatest(codes: &[i16]) -> i64 {
    codes.iter().map(|code| code.unsigned_abs()).max().unwrap_or(0).into()
}

/// Products that sum to below 2^31 whatever the codes.
#[inline(always)]
fn safe_block(left: &[i16], right: &[i16]) -> (i64, usize) {
    let product = greatest(left) * greatest(right);
    (product, usize::try_from((i64::from(i32::MAX) / product.max(1)).max(1)).unwrap_or(1))
}

/// Exact sums of one row with every column.
#[inline(always)]
fn row_sums(row: &[i16], right: &[i16], block: usize, sums: &mut [i64]) {
    let mut part = [0i32; 64];
    for (sums, columns) in sums.chunks_mut(64).zip(right.chunks(64 * row.len())) {
        if row.len() <= block {
            row_products(row, columns, &mut part[..sums.len()]);
            sums.iter_mut().zip(&part).for_each(|(s, &p)| *s = p.into());
        } else {
            for (sum, column) in sums.iter_mut().zip(columns.chunks(row.len())) {
                for (a, b) in row.chunks(block).zip(column.chunks(block)) {
                    row_products(a, b, &mut part[..1]);
                    *sum += i64::from(part[0]);
                }
            }
        }
    }
}

fn nonzero_products(left: &[i16], right: &[i16], length: usize) -> u64 {
    let count = |v: &[i16]| {
        let mut counts = vec![0u64; length];
        for row in v.chunks(length) {
            counts.iter_mut().zip(row).for_each(|(c, &x)| *c += u64::from(x != 0));
        }
        counts
    };
    count(left).iter().zip(count(right)).map(|(a, b)| a * b).sum()
}

/// The exact sums of an instruction, start values left out.
pub(super) fn product(
    m: &Matrix,
    positions_reduced: bool,
    state: &State,
    kernels: Kernels,
) -> (Product, Vec<i64>) {
    let Packed { left, right, length } = pack(m, positions_reduced, state);
    let (columns, right) = (right.columns, right.by_column());
    let (greatest, block) = compiled!(kernels, safe_block(&left, &right));
    let mut sums = vec![0i64; size(m.rows) * columns];
    let rows = sums.par_chunks_mut(columns).zip(left.par_chunks(length));
    rows.with_min_len(128).for_each(|(sums, row)| {
        compiled!(kernels, row_sums(row, &right, block, sums));
    });
    (Product { nonzero_products: nonzero_products(&left, &right, length), greatest }, sums)
}
