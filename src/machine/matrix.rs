//! The matrix instructions: operands packed once an instruction, exact products, and the accumulator's rules
//! only where they can matter.

use rayon::prelude::*;

use super::state::element;
use super::{Exact, Fault, Outcome, OverflowPlace, State, kernels, values};
use crate::isa::{Address, Instr, Matrix, Memory};
use crate::number::{Accumulator, AccumulatorRule, Overflow, wrap};
use crate::program::Step;

/// Exact sums of reductions that later instructions go on with, by byte of the accumulator memory.
#[derive(Debug, Default)]
pub(super) struct Unfinished(std::collections::BTreeMap<u64, i128>);

/// Operands of one instruction: rows of `length` codes each.
struct Packed {
    left: Vec<i16>,
    right: Vec<i16>,
    length: usize,
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
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

fn pack(m: &Matrix, positions_reduced: bool, state: &State) -> Packed {
    let positions = [m.images, m.out_rows, m.out_cols];
    let taps = [m.tap_rows, m.tap_cols, m.channels];
    let (row_box, k_box) = if positions_reduced { (taps, positions) } else { (positions, taps) };
    let length = size(m.length);
    let left_bytes = state.memory(Memory::Operand);
    let left_at = usize::try_from(m.left.offset).unwrap_or(usize::MAX);
    let ks: Vec<[i64; 3]> =
        (0..i64::from(m.length)).map(|k| split(i64::from(m.first_k) + k, k_box)).collect();
    let mut left = vec![0i16; size(m.rows) * length];
    let bytes_each = m.left_format.bits() == 8;
    left.par_chunks_mut(length).with_min_len(64).enumerate().for_each(|(r, row)| {
        let at = split(i64::from(m.first_row) + i64::try_from(r).unwrap_or(0), row_box);
        if positions_reduced && bytes_each && m.widen_x == 1 {
            return pack_tap(m, &left_bytes[left_at..], &ks, at, row);
        }
        let mut k = 0;
        while k < length {
            let (p, t) = if positions_reduced { (ks[k], at) } else { (at, ks[k]) };
            // A run of channels lies together; positions are taken one by one.
            let channels_left = size(m.channels) - usize::try_from(t[2]).unwrap_or(0);
            let run = if positions_reduced { 1 } else { channels_left.min(length - k) };
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

fn pack_right(m: &Matrix, ks: &[[i64; 3]], state: &State) -> Vec<i16> {
    let strides = [m.right_stride_0, m.right_stride_1, m.right_stride_2].map(i64::from);
    let base: Vec<i64> =
        ks.iter().map(|k| m.right_first + k.iter().zip(strides).map(|(a, b)| a * b).sum::<i64>()).collect();
    let last_column = i64::from(m.columns - 1) * i64::from(m.column_stride);
    let bounds = base.iter().flat_map(|&b| [b, b + last_column]);
    let count = bounds.max().and_then(|n| usize::try_from(n + 1).ok()).unwrap_or(0);
    let mut codes = Vec::new();
    let right = Address { memory: Memory::Weight, ..m.right };
    values::read(state.memory(Memory::Weight), right, m.right_format, count, &mut codes);
    let codes: Vec<i16> = codes.into_iter().map(code).collect();
    let mut packed = vec![0i16; size(m.columns) * ks.len()];
    for (j, column) in packed.chunks_mut(ks.len()).enumerate() {
        let shift = i64::from(m.column_stride) * i64::try_from(j).unwrap_or(0);
        for (v, &b) in column.iter_mut().zip(&base) {
            *v = codes[usize::try_from(b + shift).unwrap_or(usize::MAX)];
        }
    }
    packed
}

/// Products that sum to below 2^31 whatever the codes.
fn safe_block(left: &[i16], right: &[i16]) -> (i64, usize) {
    let greatest = |v: &[i16]| v.iter().map(|x| i64::from(x.unsigned_abs())).max().unwrap_or(0);
    let product = greatest(left) * greatest(right);
    (product, usize::try_from((i64::from(i32::MAX) / product.max(1)).max(1)).unwrap_or(1))
}

/// Exact sums of one row with every column.
fn row_sums(row: &[i16], right: &[i16], block: usize, sums: &mut [i64]) {
    let mut part = [0i32; 64];
    for (sums, columns) in sums.chunks_mut(64).zip(right.chunks(64 * row.len())) {
        if row.len() <= block {
            kernels::row_products(row, columns, &mut part[..sums.len()]);
            sums.iter_mut().zip(&part).for_each(|(s, &p)| *s = p.into());
        } else {
            for (sum, column) in sums.iter_mut().zip(columns.chunks(row.len())) {
                for (a, b) in row.chunks(block).zip(column.chunks(block)) {
                    kernels::row_products(a, b, &mut part[..1]);
                    *sum += i64::from(part[0]);
                }
            }
        }
    }
}

/// The width no partial sum may leave for the exact sum to be the register.
fn narrowest(rule: AccumulatorRule) -> u32 {
    if rule.chunk > 0 { rule.bits.min(rule.outer_bits) } else { rule.bits }
}

/// Whether no join of any output can leave its range.
fn provable(rule: AccumulatorRule, p: &Packed, starts: &[(i64, i128)], product: i64) -> bool {
    let start = starts.iter().map(|s| s.0.unsigned_abs()).max().unwrap_or(0);
    i128::from(product) * p.length as i128 + i128::from(start) < 1 << (narrowest(rule) - 1)
}

fn range_of(sums: &[i64]) -> Exact {
    Exact {
        least: sums.iter().copied().min().unwrap_or(0),
        greatest: sums.iter().copied().max().unwrap_or(0),
        zeros: sums.iter().filter(|&&s| s == 0).count() as u64,
    }
}

fn nonzero_products(p: &Packed) -> u64 {
    let count = |v: &[i16]| {
        let mut counts = vec![0u64; p.length];
        for row in v.chunks(p.length) {
            counts.iter_mut().zip(row).for_each(|(c, &x)| *c += u64::from(x != 0));
        }
        counts
    };
    count(&p.left).iter().zip(count(&p.right)).map(|(a, b)| a * b).sum()
}

/// What became of one output.
#[derive(Clone, Copy)]
struct Output {
    register: i64,
    exact: i128,
    overflows: u64,
}

/// Executes a matrix instruction.
pub(super) fn execute(step: &Step, state: &mut State, unfinished: &mut Unfinished) -> Result<Outcome, Fault> {
    let (m, positions_reduced) = match &step.instr {
        Instr::MTaps(m) => (m, false),
        Instr::MPositions(m) => (m, true),
        _ => return Ok(Outcome::default()),
    };
    let packed = pack(m, positions_reduced, state);
    let columns = size(m.columns);
    let starts = starts(m, state, unfinished);
    let (product, block) = safe_block(&packed.left, &packed.right);
    let rule = step.rule;
    let mut sums = vec![0i64; size(m.rows) * columns];
    sums.par_chunks_mut(columns)
        .zip(packed.left.par_chunks(packed.length))
        .with_min_len(128)
        .for_each(|(sums, row)| row_sums(row, &packed.right, block, sums));
    if unfinished.0.is_empty() && provable(rule, &packed, &starts, product) {
        sums.iter_mut().zip(&starts).for_each(|(sum, start)| *sum += start.0);
        store_rows(m, state, &sums);
        let exact = (!m.partial).then(|| range_of(&sums));
        return Ok(Outcome { nonzero_products: nonzero_products(&packed), exact, ..Outcome::default() });
    }
    let outputs: Vec<Output> = sums
        .par_iter()
        .enumerate()
        .map(|(i, &sum)| {
            let (r, j) = (i / columns, i % columns);
            let row = &packed.left[r * packed.length..(r + 1) * packed.length];
            let column = &packed.right[j * packed.length..(j + 1) * packed.length];
            output(rule, row, column, starts.get(i).copied().unwrap_or((0, 0)), product, sum)
        })
        .collect();
    let first = outputs.iter().position(|o| o.overflows > 0);
    let place = |i: usize| OverflowPlace {
        row: u32::try_from(i / columns).unwrap_or(0),
        column: u32::try_from(i % columns).unwrap_or(0),
    };
    if let (Overflow::Trap, Some(i)) = (rule.overflow, first) {
        return Err(Fault::Trap { pc: step.pc, place: place(i) });
    }
    store(m, state, &outputs, unfinished);
    let mut outcome = Outcome {
        nonzero_products: nonzero_products(&packed),
        first_overflow: first.map(place),
        ..Outcome::default()
    };
    if rule.overflow == Overflow::Saturate {
        outcome.saturated_joins = outputs.iter().map(|o| o.overflows).sum();
    }
    if !m.partial {
        outcome.wrong_outputs = outputs.iter().filter(|o| i128::from(o.register) != o.exact).count() as u64;
        let exact = |o: &Output| i64::try_from(o.exact).unwrap_or(0);
        outcome.exact = Some(Exact {
            least: outputs.iter().map(exact).min().unwrap_or(0),
            greatest: outputs.iter().map(exact).max().unwrap_or(0),
            zeros: outputs.iter().filter(|o| o.exact == 0).count() as u64,
        });
    }
    Ok(outcome)
}

/// Registers and exact sums to go on from; empty where the instruction starts from zero.
fn starts(m: &Matrix, state: &State, unfinished: &Unfinished) -> Vec<(i64, i128)> {
    if !m.accumulate {
        return Vec::new();
    }
    let bytes = state.memory(Memory::Accumulator);
    let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
    let indices = (0..u64::from(m.rows))
        .flat_map(|r| (0..u64::from(m.columns)).map(move |j| r * u64::from(m.out_stride) + j));
    indices
        .map(|i| {
            let register = element(bytes, at, m.out_format, i);
            let key = m.out.offset * 8 + i * u64::from(m.out_format.bits());
            (register, unfinished.0.get(&key).copied().unwrap_or(register.into()))
        })
        .collect()
}

fn output(
    rule: AccumulatorRule,
    row: &[i16],
    column: &[i16],
    (start, start_exact): (i64, i128),
    product: i64,
    sum: i64,
) -> Output {
    let bound = i128::from(product) * row.len() as i128 + i128::from(start).abs();
    let associative = rule.overflow == Overflow::Wrap && (rule.chunk == 0 || rule.bits >= rule.outer_bits);
    if bound < 1 << (narrowest(rule) - 1) || associative {
        let sum = i128::from(sum);
        let whole = i128::from(start) + sum;
        let register = wrap(whole, rule.result_bits());
        // A wrapped join is counted as one place; how many joins wrapped is the reference's to say.
        let overflows = u64::from(i128::from(register) != whole);
        return Output { register, exact: start_exact + sum, overflows };
    }
    let mut accumulator = Accumulator::new(rule, start, start_exact);
    row.iter().zip(column).for_each(|(&a, &b)| accumulator.product(i64::from(a) * i64::from(b)));
    let sum = accumulator.finish();
    Output { register: sum.register, exact: sum.exact, overflows: sum.overflows }
}

fn store(m: &Matrix, state: &mut State, outputs: &[Output], unfinished: &mut Unfinished) {
    let registers: Vec<i64> = outputs.iter().map(|o| o.register).collect();
    store_rows(m, state, &registers);
    for (r, row) in outputs.chunks(size(m.columns)).enumerate() {
        let first = r as u64 * u64::from(m.out_stride) * u64::from(m.out_format.bits());
        for (j, o) in (0u64..).zip(row) {
            let key = m.out.offset * 8 + first + j * u64::from(m.out_format.bits());
            if m.partial && i128::from(o.register) != o.exact {
                unfinished.0.insert(key, o.exact);
            } else if !unfinished.0.is_empty() {
                unfinished.0.remove(&key);
            }
        }
    }
}

/// Registers to the accumulator memory, rows `out_stride` elements apart.
fn store_rows(m: &Matrix, state: &mut State, registers: &[i64]) {
    let bytes = state.memory_mut(Memory::Accumulator);
    let bits = u64::from(m.out_format.bits());
    if m.out_stride == m.columns {
        return values::write(bytes, m.out, m.out_format, registers);
    }
    for (r, row) in (0u64..).zip(registers.chunks(size(m.columns))) {
        let first = r * u64::from(m.out_stride);
        if (first * bits).is_multiple_of(8) {
            let address = Address { offset: m.out.offset + first * bits / 8, ..m.out };
            values::write(bytes, address, m.out_format, row);
        } else {
            let at = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
            for (j, &v) in (0u64..).zip(row) {
                super::state::set_element(bytes, at, m.out_format, first + j, v);
            }
        }
    }
}
