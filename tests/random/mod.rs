//! Random small machines, states and programs whose instructions depend on each other. A seed is the whole case.

mod dice;

use dice::Dice;
use wagesim::isa::{
    Address, Counter, Format, Instr, Load, Matrix, Memory, ModeIndex, Scalar, Scale, Sizes, Store, VAdd,
    VArgmax, VDivide, VExp, VFill, VLookup, VMask, VMaxabs, VOnehot, VPool, VReduce, VRelu, VShift, VState,
    VStochastic, VSub, VSumsq, VUnpool, XExponent, XSet, XSub, verify,
};
use wagesim::machine::State;
use wagesim::number::{AccumulatorRule, Overflow, Rounding};
use wagesim::program::{Phase, Plan, Step};
use wagesim::spec::{Drain, Machine, Scratchpad};

/// Bytes of the memories a case has.
const SIZES: Sizes = [600, 600, 1200, 500, 1500];

/// A program on a machine.
pub(crate) struct Case {
    /// The plan, verified for the state's memories.
    pub(crate) plan: Plan,
    /// The machine.
    pub(crate) machine: Machine,
    /// What it begins with.
    pub(crate) state: State,
}

impl Dice {
    /// Dice that begin with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..4).for_each(|_| {
            dice.word();
        });
        dice
    }

    fn narrow(&mut self, least: i64, greatest: i64) -> i32 {
        i32::try_from(self.within(least, greatest)).unwrap()
    }

    /// One of few places, so that instructions meet.
    fn offset(&mut self) -> u64 {
        if self.one_in(2) { self.of(&[0, 64, 160]) } else { self.word() % 220 }
    }

    fn scratchpad(&mut self) -> Address {
        let memory = self.of(&Memory::SCRATCHPADS);
        Address::at(memory, self.offset())
    }

    fn scale(&mut self) -> Scale {
        Scale(u8::try_from(self.count(0, 3)).unwrap())
    }

    fn counter(&mut self) -> Counter {
        Counter(u8::try_from(self.count(0, 2)).unwrap())
    }
}

fn machine(d: &mut Dice) -> Machine {
    let mut machine = Machine::default();
    machine.array.rows = d.count(1, 8);
    machine.array.columns = d.count(1, 8);
    machine.array.drain = d.of(&[Drain::Overlap, Drain::Overlap, Drain::Serial, Drain::Ignore]);
    machine.vector.lanes = d.of(&[1, 2, 3, 4, 8, 32]);
    let mut ports = || Scratchpad { kib: 4, ports: d.of(&[1, 1, 2, 3, 4]) };
    machine.memory.operand = ports();
    machine.memory.weight = ports();
    machine.memory.accumulator = ports();
    machine.memory.mask = ports();
    machine.dram.bytes_per_cycle = d.of(&[1, 2, 3, 5, 8, 16, 32, 256]);
    machine.dram.latency_cycles = d.of(&[0, 1, 2, 7, 20, 60]);
    machine.dram.burst_bytes = d.of(&[1, 2, 3, 8, 16, 64]);
    machine.dram.channels = d.count(1, 2);
    machine.control.queue_depth = d.of(&[1, 1, 2, 3, 16]);
    machine
}

fn rule(d: &mut Dice, machine: &Machine, weight_stationary: bool) -> AccumulatorRule {
    let bits = if d.one_in(3) { d.count(4, 64) } else { d.count(10, 24) };
    let chunk = if d.one_in(2) { 0 } else { d.count(1, 6) };
    AccumulatorRule {
        bits,
        overflow: d.of(&[Overflow::Wrap, Overflow::Saturate, Overflow::Saturate, Overflow::Trap]),
        tree: if d.one_in(2) { 1 } else { d.count(1, 4) },
        chunk: if weight_stationary { machine.array.rows } else { chunk },
        outer_bits: if d.one_in(3) { d.count(4, 64) } else { d.count(10, 28) },
    }
}

/// A matrix product in one to three pieces of its reduction.
fn matrices(d: &mut Dice, rule: AccumulatorRule) -> Vec<Instr> {
    let positions_reduced = d.one_in(2);
    let dense = d.one_in(3);
    let small = |d: &mut Dice, most: u32| if dense { 1 } else { d.count(1, most) };
    let (images, out_rows, out_cols) = (d.count(1, if dense { 20 } else { 3 }), small(d, 3), small(d, 4));
    let (tap_rows, tap_cols, channels) = (small(d, 2), small(d, 3), d.count(1, if dense { 30 } else { 5 }));
    let (height, width) = (small(d, 4), small(d, 4));
    let plain = d.one_in(2);
    let odd = |d: &mut Dice| if plain { 1 } else { d.count(1, 2) };
    let columns = d.count(1, 14);
    let counts =
        if positions_reduced { [images, out_rows, out_cols] } else { [tap_rows, tap_cols, channels] };
    let strides = match d.count(0, 1) {
        0 => [counts[1] * counts[2] * columns, counts[2] * columns, columns].map(i64::from),
        _ => [d.within(-5, 5), d.within(-5, 5), d.within(-5, 5)],
    };
    let column_stride = d.within(-2, 3);
    let lowest: i64 = strides.iter().zip(counts).map(|(&s, c)| (s * i64::from(c - 1)).min(0)).sum();
    let right_first = -(lowest + (column_stride * i64::from(columns - 1)).min(0)) + d.within(0, 3);
    let narrow = |n: i64| i32::try_from(n).unwrap();
    let all = [images * out_rows * out_cols, tap_rows * tap_cols * channels];
    let [all_rows, all_k] = if positions_reduced { [all[1], all[0]] } else { all };
    let first_row = if d.one_in(2) { 0 } else { d.count(0, all_rows - 1) };
    let rows = if d.one_in(2) { all_rows - first_row } else { d.count(1, all_rows - first_row) };
    let least = rule.result_bits();
    let out_format = if d.one_in(2) { least } else { least.div_ceil(8) * 8 };
    let row_stride = width * channels;
    let m = Matrix {
        out: Address::at(Memory::Accumulator, d.offset()),
        out_format: Format::new(out_format).unwrap(),
        left: Address::at(Memory::Operand, d.offset()),
        left_format: Format::new(d.of(&[8, 8, 2, 5, 12])).unwrap(),
        right: Address::at(Memory::Weight, d.offset()),
        right_format: Format::new(d.of(&[8, 2, 2, 7])).unwrap(),
        mode: ModeIndex(0),
        accumulate: d.one_in(3),
        partial: false,
        images,
        out_rows,
        out_cols,
        tap_rows,
        tap_cols,
        channels,
        channel_block: if positions_reduced || d.one_in(2) { 0 } else { d.count(1, channels + 1) },
        first_row,
        rows,
        columns,
        first_k: 0,
        length: all_k,
        height,
        width,
        pad_top: if plain { 0 } else { d.narrow(-1, 2) },
        pad_left: if plain { 0 } else { d.narrow(-1, 2) },
        step_y: odd(d),
        step_x: odd(d),
        dilate_y: odd(d),
        dilate_x: odd(d),
        widen_y: odd(d),
        widen_x: odd(d),
        left_first: d.narrow(0, 3),
        image_stride: height * row_stride,
        row_stride,
        pixel_stride: channels,
        right_first,
        right_stride_0: narrow(strides[0]),
        right_stride_1: narrow(strides[1]),
        right_stride_2: narrow(strides[2]),
        column_stride: narrow(column_stride),
        out_stride: columns + if d.one_in(3) { d.count(0, 3) } else { 0 },
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
    instrs
}

fn vector(d: &mut Dice) -> Instr {
    let count = if d.one_in(3) { d.count(1, 150) } else { d.count(1, 40) };
    let (mut dst, src, b) = (d.scratchpad(), d.scratchpad(), d.scratchpad());
    if d.one_in(4) {
        dst = src;
        if d.one_in(3) {
            // A little before or behind: what overtakes itself the verifier refuses.
            dst.offset = (src.offset + u64::from(d.count(0, 16))).saturating_sub(8);
        }
    }
    let (format, other) = (d.format(40), d.format(40));
    let (scale, shift, bits) = (d.scale(), d.narrow(-20, 40), d.count(2, 32));
    let (rows, columns) = (d.count(1, 9), d.count(1, 12));
    let limit = d.word() % (1 << d.count(1, 40));
    let place_format = Format::new(d.of(&[4, 5, 8])).unwrap();
    let (images, out_rows, out_cols, channels) = (d.count(1, 3), d.count(1, 3), d.count(1, 3), d.count(1, 4));
    let (window, step) = (d.count(1, 3), d.count(1, 3));
    match d.count(0, 20) {
        0 => Instr::VFill(VFill { dst, dst_format: format, value: d.narrow(-3000, 3000), count }),
        1 => Instr::VLookup(VLookup { dst, dst_format: d.format(10), src, table: b, count }),
        2 | 3 => {
            let rounding = d.of(&[Rounding::Even, Rounding::Up, Rounding::Truncate]);
            let (src_format, dst_format) = (format, other);
            Instr::VShift(VShift { dst, dst_format, src, src_format, shift, scale, bits, rounding, count })
        }
        4 => Instr::VRelu(VRelu { dst, src, format, count }),
        5 => Instr::VState(VState { dst, src, src_format: format, bits, shift, count }),
        6 => Instr::VMask(VMask { dst, src, format, states: b, keep: d.count(0, 15), count }),
        7 | 8 => {
            let row_stride = ((out_cols - 1) * step + window) * channels + d.count(0, 2);
            let image_stride = ((out_rows - 1) * step + window) * row_stride + d.count(0, 3);
            Instr::VPool(VPool {
                dst,
                src,
                format: d.format(16),
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
        9 | 10 => Instr::VUnpool(VUnpool {
            dst,
            src,
            format: d.format(16),
            place: b,
            place_format,
            images,
            in_rows: out_rows,
            in_cols: out_cols,
            channels,
            height: d.count(1, 7),
            width: d.count(1, 7),
            window,
            step,
            bits,
        }),
        11 => Instr::VMaxabs(VMaxabs { dst: scale, src, src_format: format, count }),
        12 => Instr::VOnehot(VOnehot {
            dst,
            dst_format: other,
            src,
            src_format: format,
            labels: b,
            rows,
            columns,
            shift: d.count(0, 40),
        }),
        13 => Instr::VSumsq(VSumsq { dst: d.counter(), src, src_format: format, count }),
        14 => {
            let (first, ties) = (d.counter(), d.counter());
            Instr::VArgmax(VArgmax { dst, src, src_format: format, labels: b, rows, columns, first, ties })
        }
        15 => Instr::VStochastic(VStochastic {
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
        17 => Instr::VReduce(VReduce {
            dst,
            dst_format: other,
            src,
            src_format: format,
            rows,
            columns,
            sum: d.one_in(2),
        }),
        18 => Instr::VExp(VExp {
            dst,
            dst_format: other,
            src,
            src_format: format,
            row: b,
            row_format: d.format(40),
            table: d.scratchpad(),
            rows,
            columns,
            fraction: d.count(0, 40),
        }),
        19 => Instr::VDivide(VDivide {
            dst,
            dst_format: other,
            src,
            src_format: format,
            row: b,
            row_format: d.format(40),
            rows,
            columns,
            shift: d.count(0, 32),
        }),
        16 => Instr::VSub(VSub { dst, a: src, format, b, b_format: other, limit, count }),
        _ => Instr::VAdd(VAdd { dst, a: src, format, b, b_format: other, limit, count }),
    }
}

/// A move; few places of DRAM, so that what was stored is loaded again.
fn movement(d: &mut Dice) -> Instr {
    let dram = Address::at(Memory::Dram, 300 + d.of(&[0, 0, 50, 100, 333]));
    let scratchpad = d.scratchpad();
    if d.one_in(3) {
        let bytes = d.count(1, 250);
        let (planes, rows) = (1, 1);
        return if d.one_in(2) {
            Instr::Load(Load { planes, rows, bytes, ..empty_load(scratchpad, dram) })
        } else {
            Instr::Store(Store { planes, rows, bytes, ..empty_store(dram, scratchpad) })
        };
    }
    let (planes, rows, bytes) = (d.count(1, 3), d.count(1, 4), d.count(1, 20));
    let follow = d.one_in(2);
    let near = if follow { i64::from(bytes) } else { i64::from(bytes) + d.within(-4, 9) };
    let plane = if follow && d.one_in(2) { near * i64::from(rows) } else { d.within(-100, 200) };
    let (pad_top, pad_bottom) = (d.count(0, 2), d.count(0, 2));
    let (pad_left, pad_right) = if d.one_in(3) { (d.count(0, 9), d.count(0, 9)) } else { (0, 0) };
    if d.one_in(2) {
        // Rows in the scratchpad lie beside each other: what is written twice by one load has no order.
        let dst_row = pad_left + bytes + pad_right + d.count(0, 3);
        let dst_plane = dst_row * (pad_top + rows + pad_bottom) + d.count(0, 5);
        return Instr::Load(Load {
            planes,
            rows,
            bytes,
            src_row: near,
            src_plane: plane,
            dst_row,
            dst_plane,
            pad_top,
            pad_bottom,
            pad_left,
            pad_right,
            ..empty_load(scratchpad, dram)
        });
    }
    let (src_row, src_plane) = (d.count(0, 30), d.count(0, 100));
    Instr::Store(Store {
        planes,
        rows,
        bytes,
        dst_row: near,
        dst_plane: plane,
        src_row,
        src_plane,
        ..empty_store(dram, scratchpad)
    })
}

fn empty_load(dst: Address, src: Address) -> Load {
    Load {
        dst,
        src,
        planes: 1,
        rows: 1,
        bytes: 1,
        src_row: 0,
        src_plane: 0,
        dst_row: 0,
        dst_plane: 0,
        pad_top: 0,
        pad_bottom: 0,
        pad_left: 0,
        pad_right: 0,
    }
}

fn empty_store(dst: Address, src: Address) -> Store {
    Store { dst, src, planes: 1, rows: 1, bytes: 1, dst_row: 0, dst_plane: 0, src_row: 0, src_plane: 0 }
}

fn scalar(d: &mut Dice) -> Instr {
    match d.count(0, 2) {
        0 => Instr::XSet(XSet { dst: d.scale(), value: d.narrow(-60, 60) }),
        1 => Instr::XExponent(XExponent { dst: d.scale(), a: d.scale() }),
        _ => Instr::XSub(XSub { dst: d.scale(), a: d.scale(), b: d.scale() }),
    }
}

/// A program of several instructions on a machine; the same seed gives the same case.
pub(crate) fn random_case(seed: u64) -> Case {
    let mut d = Dice::new(seed);
    let d = &mut d;
    let machine = machine(d);
    let mut state = State::new(SIZES.map(|n| usize::try_from(n).unwrap()), seed);
    state.step = d.count(1, 1000);
    let mask = d.of(&[0xff, 0x0f, 0x3f]);
    for memory in &mut state.memories {
        memory.iter_mut().for_each(|b| {
            *b = if d.one_in(5) { 0 } else { u8::try_from(d.word() & mask).unwrap() };
        });
    }
    for scale in 1..4 {
        state.scales[scale] = if d.one_in(20) { d.of(&[i64::MIN, i64::MAX]) } else { d.within(-10, 30) };
    }
    let (control_after, mut steps) = (d.count(1, 3), Vec::new());
    let wanted = usize::try_from(d.count(1, 14)).unwrap();
    while steps.len() < wanted {
        let weight_stationary = d.one_in(2);
        let rule = rule(d, &machine, weight_stationary);
        let (instrs, rule, weight_stationary) = match d.count(0, 9) {
            0..=2 => (matrices(d, rule), rule, weight_stationary),
            3..=5 => (vec![movement(d)], AccumulatorRule::default(), false),
            6..=8 => (vec![vector(d)], AccumulatorRule::default(), false),
            _ => (vec![scalar(d)], AccumulatorRule::default(), false),
        };
        if !instrs.iter().all(|i| verify(i, &SIZES).is_ok()) {
            continue;
        }
        for instr in instrs {
            let control_before = if d.one_in(2) { 0 } else { d.count(0, 4) };
            steps.push(Step {
                pc: u32::try_from(steps.len()).unwrap(),
                instr,
                rule,
                weight_stationary,
                control_before,
                phase: Phase::Other,
                layer: None,
                first_probe: 0,
                probes: 0,
            });
        }
    }
    let plan = Plan { entry: "main".to_owned(), steps: steps.into(), probes: Vec::new(), control_after };
    Case { plan, machine, state }
}
