//! Random instructions of every kind, and a state to execute them on.

use wagesim::isa::{
    Address, Counter, Format, Instr, Load, Matrix, Memory, Scalar, Scale, Store, VAdd, VArgmax, VDivide,
    VExp, VFill, VLookup, VMask, VMaxabs, VOnehot, VPool, VReduce, VRelu, VShift, VState, VStochastic, VSub,
    VSumsq, VUnpool, XExponent, XSet, XSub, verify,
};
use wagesim::machine::State;
use wagesim::number::{AccumulatorRule, Overflow, Rounding};
use wagesim::program::{Phase, Step};

use super::dice::Dice;
use super::windows::window;

const SIZES: [u64; 5] = [6000, 6000, 12000, 3000, 6000];

impl Dice {
    fn scratchpad(&mut self) -> Address {
        let memory = self.of(&Memory::SCRATCHPADS);
        Address::at(memory, self.word() % 300)
    }
}

fn rule(d: &mut Dice) -> AccumulatorRule {
    let bits = if d.one_in(3) { d.count(4, 64) } else { d.count(8, 24) };
    AccumulatorRule {
        bits,
        overflow: d.of(&Overflow::ALL),
        tree: if d.one_in(2) { 1 } else { d.count(1, 9) },
        chunk: if d.one_in(2) { 0 } else { d.count(1, 12) },
        outer_bits: if d.one_in(3) { d.count(4, 64) } else { d.count(8, 28) },
    }
}

/// A matrix product in one to three pieces of its reduction.
fn matrices(d: &mut Dice) -> (Vec<Instr>, AccumulatorRule) {
    let mut rule = rule(d);
    let positions_reduced = d.one_in(2);
    let dense = d.one_in(4);
    // Channels that fill tiles, sums that are the registers.
    let tiled = d.one_in(4);
    if tiled && d.one_in(2) {
        rule = AccumulatorRule { chunk: 0, bits: 32, ..rule };
    }
    let small = |d: &mut Dice, most: u32| if dense { 1 } else { d.count(1, most) };
    let (images, out_rows) = (d.count(1, if dense { 40 } else { 4 }), small(d, 5));
    // At times rows that fill more than a register.
    let most_columns = if d.one_in(8) { 40 } else { 6 };
    let out_cols = small(d, most_columns);
    let channels = if tiled { d.of(&[16, 20, 32, 48]) } else { d.count(1, if dense { 60 } else { 9 }) };
    let (tap_rows, tap_cols) = (small(d, 3), small(d, 3));
    let (height, width) = (small(d, 7), small(d, 7));
    let plain = d.one_in(2);
    let odd = |d: &mut Dice, most: u32| if plain { 1 } else { d.count(1, most) };
    let pixel_stride = channels + if plain { 0 } else { d.count(0, 2) };
    let row_stride = width * pixel_stride + if plain { 0 } else { d.count(0, 3) };
    let image_stride = height * row_stride;
    let columns = if d.one_in(4) { d.count(60, 80) } else { d.count(1, 35) };
    let counts =
        if positions_reduced { [images, out_rows, out_cols] } else { [tap_rows, tap_cols, channels] };
    // Dense, flipped or odd strides of the right operand, its first element where none is negative.
    let mut strides = match if tiled { 0 } else { d.count(0, 2) } {
        0 => [counts[1] * counts[2] * columns, counts[2] * columns, columns].map(i64::from),
        1 => [-i64::from(counts[1] * counts[2]), -i64::from(counts[2]), 1],
        _ => [d.within(-9, 9), d.within(-9, 9), d.within(-9, 9)],
    };
    let mut column_stride = if strides[0] > 0 { 1 } else { d.within(-4, 70) };
    if !tiled && d.one_in(5) {
        (strides[2], column_stride) = (1, i64::from(counts[2]));
    }
    let lowest: i64 = strides.iter().zip(counts).map(|(&s, c)| (s * i64::from(c - 1)).min(0)).sum();
    let right_first = -(lowest + (column_stride * i64::from(columns - 1)).min(0)) + d.within(0, 3);
    let narrow = |n: i64| i32::try_from(n).unwrap();
    let all = [images * out_rows * out_cols, tap_rows * tap_cols * channels];
    let [all_rows, all_k] = if positions_reduced { [all[1], all[0]] } else { all };
    let (first_row, rows) = if d.one_in(2) {
        (0, all_rows)
    } else {
        let first = d.count(0, all_rows - 1);
        (first, d.count(1, all_rows - first))
    };
    let least = rule.result_bits();
    let out_format = if d.one_in(2) { least } else { least.div_ceil(8) * 8 };
    let eight = d.one_in(3);
    let m = Matrix {
        out: Address::at(Memory::Accumulator, d.word() % 40),
        out_format: Format::new(out_format).unwrap(),
        left: Address::at(Memory::Operand, d.word() % 40),
        left_format: Format::new(if eight { d.count(2, 16) } else { 8 }).unwrap(),
        right: Address::at(Memory::Weight, d.word() % 40),
        right_format: Format::new(if eight { d.count(2, 16) } else { d.of(&[2, 8]) }).unwrap(),
        accumulate: d.one_in(3),
        channel_block: if positions_reduced || d.one_in(2) { 0 } else { d.count(1, channels + 1) },
        first_row,
        rows,
        columns,
        length: all_k,
        height,
        width,
        pad_top: if plain && d.one_in(2) { 0 } else { narrow(d.within(-2, 4)) },
        pad_left: if plain && d.one_in(2) { 0 } else { narrow(d.within(-2, 4)) },
        step_y: odd(d, 3),
        step_x: odd(d, 3),
        dilate_y: odd(d, 3),
        dilate_x: odd(d, 3),
        widen_y: odd(d, 3),
        widen_x: odd(d, 3),
        left_first: narrow(d.within(0, 5)),
        image_stride,
        row_stride,
        pixel_stride,
        right_first,
        right_stride_0: narrow(strides[0]),
        right_stride_1: narrow(strides[1]),
        right_stride_2: narrow(strides[2]),
        column_stride: narrow(column_stride),
        out_stride: columns + if d.one_in(3) { d.count(0, 3) } else { 0 },
        ..window(images, [out_rows, out_cols], [tap_rows, tap_cols], channels)
    };
    let make = |m: Matrix| if positions_reduced { Instr::MPositions(m) } else { Instr::MTaps(m) };
    let pieces = d.count(1, 3).min(all_k);
    let mut at = 0;
    let mut instrs = Vec::new();
    for piece in 0..pieces {
        let left = pieces - piece;
        let length = if left == 1 { all_k - at } else { d.count(1, all_k - at - (left - 1)) };
        let accumulate = if piece == 0 { m.accumulate } else { true };
        instrs.push(make(Matrix { first_k: at, length, accumulate, partial: left > 1, ..m }));
        at += length;
    }
    (instrs, rule)
}

/// Many images of few channels, or few of as many as are worked on side by side.
fn images(d: &mut Dice) -> (u32, u32) {
    if d.one_in(3) { (d.count(1, 3), d.of(&[32, 36, 64])) } else { (d.count(1, 20), d.count(1, 9)) }
}

/// A format of a window's places, the least or another.
fn places(d: &mut Dice, window: u32) -> Format {
    Format::new(d.of(&[if window < 3 { 2 } else { 4 }, 4, 5, 8])).unwrap()
}

fn vector(d: &mut Dice) -> Instr {
    let count = if d.one_in(3) { d.count(1, 1300) } else { d.count(1, 90) };
    let (dst, src, b) = (d.scratchpad(), d.scratchpad(), d.scratchpad());
    let (format, other) = (d.format(64), d.format(64));
    let scale = Scale(u8::try_from(d.count(0, 3)).unwrap());
    let shift = i32::try_from(d.within(-20, 40)).unwrap();
    let bits = d.count(2, 32);
    let counter = |d: &mut Dice| Counter(u8::try_from(d.count(0, 7)).unwrap());
    let (rows, columns) = (d.count(1, 20), d.count(1, 20));
    let limit = d.word() % (1 << d.count(1, 40));
    match d.count(0, 21) {
        0 => Instr::VFill(VFill {
            dst,
            dst_format: format,
            value: i32::try_from(d.within(-3000, 3000)).unwrap(),
            count,
        }),
        1 => Instr::VLookup(VLookup { dst, dst_format: d.format(16), src, table: b, count }),
        2 | 3 => {
            let rounding =
                if d.one_in(2) { Rounding::Even } else { d.of(&[Rounding::Up, Rounding::Truncate]) };
            Instr::VShift(VShift {
                dst,
                dst_format: other,
                src,
                src_format: format,
                shift,
                scale,
                bits,
                rounding,
                count,
            })
        }
        4 => Instr::VRelu(VRelu { dst, src, format, count }),
        5 => Instr::VState(VState { dst, src, src_format: format, bits, shift, count }),
        6 => Instr::VMask(VMask { dst, src, format, states: b, keep: d.count(0, 15), count }),
        7 | 8 => {
            let (out_rows, out_cols, (images, channels)) = (d.count(1, 4), d.count(1, 4), images(d));
            let (window, step) = (d.count(1, 3), d.count(1, 3));
            let row_stride = ((out_cols - 1) * step + window) * channels + d.count(0, 2);
            let image_stride = ((out_rows - 1) * step + window) * row_stride + d.count(0, 3);
            let place_format = places(d, window);
            Instr::VPool(VPool {
                dst,
                src,
                format: d.format(32),
                place: b,
                place_format,
                images,
                out_rows,
                out_cols,
                channels,
                window,
                step,
                row_stride,
                image_stride,
            })
        }
        9 | 10 => {
            let (in_rows, in_cols, (images, channels)) = (d.count(1, 4), d.count(1, 4), images(d));
            let (window, step) = (d.count(1, 3), d.count(1, 3));
            let place_format = places(d, window);
            Instr::VUnpool(VUnpool {
                dst,
                src,
                format: d.format(20),
                place: b,
                place_format,
                images,
                in_rows,
                in_cols,
                channels,
                height: d.count(1, 9),
                width: d.count(1, 9),
                window,
                step,
                bits,
            })
        }
        11 => Instr::VMaxabs(VMaxabs { dst: scale, src, src_format: format, count }),
        12 => Instr::VOnehot(VOnehot {
            dst,
            dst_format: other,
            src,
            src_format: d.format(60),
            labels: b,
            rows,
            columns,
            shift: d.count(0, 40),
        }),
        13 => Instr::VSumsq(VSumsq { dst: counter(d), src, src_format: format, count }),
        14 => Instr::VArgmax(VArgmax {
            dst,
            src,
            src_format: format,
            labels: b,
            rows,
            columns,
            first: counter(d),
            ties: counter(d),
        }),
        15 | 16 => Instr::VStochastic(VStochastic {
            dst,
            dst_format: Format::new(d.of(&[8, 16, 32, 64])).unwrap(),
            src,
            src_format: format,
            scale,
            number_base: Scalar(0),
            number: d.word() % 100_000,
            random_bits: d.count(1, 32),
            count,
        }),
        18 => Instr::VReduce(VReduce {
            dst,
            dst_format: other,
            src,
            src_format: d.format(60),
            rows,
            columns,
            sum: d.one_in(2),
        }),
        19 => Instr::VExp(VExp {
            dst,
            dst_format: other,
            src,
            src_format: d.format(60),
            row: b,
            row_format: d.format(60),
            table: d.scratchpad(),
            rows,
            columns,
            fraction: d.count(0, 40),
        }),
        20 => Instr::VDivide(VDivide {
            dst,
            dst_format: other,
            src,
            src_format: d.format(60),
            row: b,
            row_format: d.format(60),
            rows,
            columns,
            shift: d.count(0, 32),
        }),
        17 => Instr::VSub(VSub { dst, a: src, format, b, b_format: other, limit, count }),
        _ => Instr::VAdd(VAdd { dst, a: src, format, b, b_format: other, limit, count }),
    }
}

fn other(d: &mut Dice) -> Instr {
    let (planes, rows, bytes) = (d.count(1, 4), d.count(1, 5), d.count(1, 30));
    let dram = Address::at(Memory::Dram, 1000 + d.word() % 1000);
    let scratchpad = d.scratchpad();
    let near = |d: &mut Dice| i64::from(bytes) + d.within(0, 9);
    let (row, plane) = (near(d), d.within(-200, 400));
    let (inner_row, inner_plane) = (bytes + d.count(20, 40), d.count(300, 500));
    let scale = |d: &mut Dice| Scale(u8::try_from(d.count(0, 3)).unwrap());
    match d.count(0, 5) {
        0 | 1 => Instr::Load(Load {
            dst: scratchpad,
            src: dram,
            planes,
            rows,
            bytes,
            src_row: row,
            src_plane: plane,
            dst_row: inner_row,
            dst_plane: inner_plane,
            pad_top: d.count(0, 2),
            pad_bottom: d.count(0, 2),
            pad_left: d.count(0, 9),
            pad_right: d.count(0, 9),
        }),
        2 => Instr::Store(Store {
            dst: dram,
            src: scratchpad,
            planes,
            rows,
            bytes,
            dst_row: row,
            dst_plane: plane,
            src_row: inner_row,
            src_plane: inner_plane,
        }),
        3 => Instr::XSet(XSet { dst: scale(d), value: i32::try_from(d.within(-60, 60)).unwrap() }),
        4 => Instr::XExponent(XExponent { dst: scale(d), a: scale(d) }),
        _ => Instr::XSub(XSub { dst: scale(d), a: scale(d), b: scale(d) }),
    }
}

pub(crate) fn step(pc: u32, instr: Instr, rule: AccumulatorRule) -> Step {
    Step {
        pc,
        instr,
        rule,
        weight_stationary: false,
        control_before: 0,
        phase: Phase::Other,
        layer: None,
        first_probe: 0,
        probes: 0,
    }
}

/// A state and the valid ones of some instructions.
pub(crate) fn case(seed: u64, groups: usize) -> (State, Vec<(Instr, AccumulatorRule)>) {
    let mut d = Dice(seed | 1);
    for _ in 0..4 {
        d.word();
    }
    let mut state = State::new(SIZES.map(|n| usize::try_from(n).unwrap()), seed);
    state.step = d.count(1, 1000);
    let mask = d.of(&[0xff, 0x0f, 0x3f]);
    for memory in &mut state.memories {
        // Runs of zeros, and of the least codes.
        memory.iter_mut().for_each(|b| {
            *b = match d.word() % 5 {
                0 => 0,
                1 => 0x80,
                _ => u8::try_from(d.word() & mask).unwrap(),
            }
        });
    }
    for scale in 1..4 {
        state.scales[scale] = if d.one_in(20) { d.of(&[i64::MIN, i64::MAX]) } else { d.within(-10, 30) };
    }
    let mut steps = Vec::new();
    for _ in 0..groups {
        match d.count(0, 3) {
            0 | 1 => {
                let (instrs, rule) = matrices(&mut d);
                if instrs.iter().all(|i| verify(i, &SIZES).is_ok()) {
                    steps.extend(instrs.into_iter().map(|i| (i, rule)));
                }
            }
            2 => steps.push((vector(&mut d), AccumulatorRule::default())),
            _ => steps.push((other(&mut d), AccumulatorRule::default())),
        }
    }
    steps.retain(|(i, _)| verify(i, &SIZES).is_ok());
    (state, steps)
}
