//! The fast engine is the reference engine: the same state, the same outcome, on random instructions of every kind.

mod windows;

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::Config;
use wagesim::compiler::compile;
use wagesim::isa::{
    Address, Counter, Footprint, Format, Instr, Load, Matrix, Memory, Range, Registers, Scalar, Scale, Store,
    VAdd, VArgmax, VDivide, VExp, VFill, VLookup, VMask, VMaxabs, VOnehot, VPool, VReduce, VRelu, VShift,
    VState, VStochastic, VSub, VSumsq, VUnpool, XExponent, XSet, XSub, verify,
};
use wagesim::machine::{Engine, Extension, Fast, Observer, Outcome, Reference, State, run};
use wagesim::network::load;
use wagesim::number::{AccumulatorRule, Overflow, Rounding};
use wagesim::program::{Contents, Phase, Plan, Step, Strands};
use wagesim::spec::Machine;
use windows::{convolution, gradients, halves, pooled_gradient, tiles, window};

const SIZES: [u64; 5] = [6000, 6000, 12000, 3000, 6000];

/// Numbers from a seed; a failing seed is the whole case.
struct Dice(u64);

impl Dice {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn within(&mut self, least: i64, greatest: i64) -> i64 {
        let span = u64::try_from(greatest - least + 1).unwrap();
        least + i64::try_from(self.word() % span).unwrap()
    }

    fn count(&mut self, least: u32, greatest: u32) -> u32 {
        u32::try_from(self.within(least.into(), greatest.into())).unwrap()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.word().is_multiple_of(n)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.word()).unwrap() % all.len()]
    }

    fn scratchpad(&mut self) -> Address {
        let memory = self.of(&Memory::SCRATCHPADS);
        Address::at(memory, self.word() % 300)
    }

    /// A common format, or any.
    fn format(&mut self, most: u32) -> Format {
        let bits = if self.one_in(3) { self.count(1, most) } else { self.of(&[2, 8, 16, 24, 32]).min(most) };
        Format::new(bits).unwrap()
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
    let (images, out_rows, out_cols) = (d.count(1, if dense { 40 } else { 4 }), small(d, 5), small(d, 6));
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

fn step(pc: u32, instr: Instr, rule: AccumulatorRule) -> Step {
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
fn case(seed: u64, groups: usize) -> (State, Vec<(Instr, AccumulatorRule)>) {
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

/// Executes the same on both; how many instructions were valid.
fn agree(seed: u64, mut fast: Fast) -> Result<usize, TestCaseError> {
    let (mut state, steps) = case(seed, 3);
    let mut other_state = state.clone();
    let mut reference = Reference::new();
    for (pc, &(instr, rule)) in (0u32..).zip(&steps) {
        let step = step(pc, instr, rule);
        let found = fast.execute(&step, &mut state);
        let expected = reference.execute(&step, &mut other_state);
        prop_assert_eq!(&found, &expected, "seed {}, {} with {:?}", seed, instr, rule);
        if found.is_err() {
            break;
        }
        for memory in Memory::ALL {
            let (a, b) = (state.memory(memory), other_state.memory(memory));
            let first = a.iter().zip(b).position(|(a, b)| a != b);
            prop_assert_eq!(
                first,
                None,
                "seed {}: {} differs after {} with {:?}",
                seed,
                memory.name(),
                instr,
                rule
            );
        }
        prop_assert_eq!(
            (state.scales, state.counters),
            (other_state.scales, other_state.counters),
            "{}",
            instr
        );
    }
    Ok(steps.len())
}

/// The outcomes an observer that does not look at the state is told of.
#[derive(Default)]
struct Told(Vec<(u32, Outcome)>);

impl Observer for Told {
    fn looks(&self) -> bool {
        false
    }

    fn executed(&mut self, plan: &Plan, step: usize, outcome: &Outcome, _: &State) {
        let step = &plan.steps[step];
        self.0.push((step.pc, *outcome));
    }
}

fn plan(steps: &[(Instr, AccumulatorRule)]) -> Plan {
    let steps = (0u32..).zip(steps).map(|(pc, &(instr, rule))| step(pc, instr, rule)).collect();
    Plan { entry: "main".to_owned(), steps, probes: Vec::new(), control_after: 0 }
}

/// Holds that every step is in a strand; that of two steps of different strands that meet in DRAM, one writing, the younger's strand
/// begins after the older's end; and that a strand that reads what another writes in a register begins after its beginning.
fn over_before(plan: &Plan, strands: &Strands) -> Result<(), TestCaseError> {
    let all = strands.all();
    // Which strands are over, and which have begun, when each begins, for certain.
    let mut over = vec![vec![false; all.len()]; all.len()];
    let mut begun = over.clone();
    let mut comes_after = vec![0; all.len()];
    let include = |known: &mut Vec<Vec<bool>>, later: usize, earlier: usize| {
        let earlier = known[earlier].clone();
        known[later].iter_mut().zip(earlier).for_each(|(later, earlier)| *later |= earlier);
    };
    for (number, strand) in all.iter().enumerate() {
        for (later, is_over) in [(&strand.once_begun, false), (&strand.once_ended, true)] {
            for &later in later {
                prop_assert!(later > number, "{} comes after {}", later, number);
                include(&mut over, later, number);
                include(&mut begun, later, number);
                begun[later][number] = true;
                over[later][number] |= is_over;
                comes_after[later] += 1;
            }
        }
        prop_assert_eq!(strand.comes_after, comes_after[number]);
    }
    let footprints: Vec<Footprint> = plan.steps.iter().map(|s| Footprint::of(&s.instr)).collect();
    let dram = |f: &Footprint| {
        let dram = |ranges: &[Range]| ranges.iter().copied().filter(|r| r.memory == Memory::Dram).collect();
        let none = Registers::default();
        Footprint {
            reads: dram(&f.reads),
            writes: dram(&f.writes),
            registers_read: none,
            registers_written: none,
        }
    };
    // The steps that wrote the registers that a step reads, or gathered in them; steps that gather, as long as nobody has read
    // what they do, change places.
    let mut writers = vec![(Vec::new(), Vec::new(), false); Registers::COUNT];
    let mut wrote = Vec::new();
    for (step, footprint) in footprints.iter().enumerate() {
        let gathers =
            matches!(plan.steps[step].instr, Instr::VMaxabs(_) | Instr::VSumsq(_) | Instr::VArgmax(_));
        let mut before: Vec<usize> = Vec::new();
        for place in footprint.registers_read.places() {
            let (writer, gatherers, is_read) = &mut writers[place];
            before.extend(&*writer);
            if gathers && !*is_read {
                gatherers.push(step);
            } else {
                before.extend(&*gatherers);
                *is_read = true;
            }
        }
        for place in footprint.registers_written.places() {
            if !gathers || writers[place].2 {
                writers[place] = (vec![step], Vec::new(), false);
            }
        }
        wrote.push(before);
    }
    let meet = |a: &Footprint, b: &Footprint| a.after_writes_of(b) || a.after_reads_of(b);
    let mut executed = vec![false; plan.steps.len()];
    for (a, younger) in all.iter().enumerate() {
        prop_assert!(younger.steps.is_sorted());
        for &step in &younger.steps {
            executed[step] = true;
            for (b, older) in all.iter().enumerate().filter(|(b, _)| *b != a) {
                for &before in older.steps.iter().filter(|&&before| before < step) {
                    let (this, other) = (&footprints[step], &footprints[before]);
                    if meet(&dram(this), &dram(other)) {
                        prop_assert!(over[a][b], "{} and {}", before, step);
                    }
                    if wrote[step].contains(&before) {
                        prop_assert!(begun[a][b], "{} and {}", before, step);
                    }
                }
            }
        }
    }
    prop_assert!(executed.into_iter().all(|executed| executed));
    Ok(())
}

/// Holds that threads leave what one does that executes the steps in order, if these are valid, and tell the same.
fn side_by_side_as_in_order(
    seed: u64,
    (state, steps): (State, Vec<(Instr, AccumulatorRule)>),
) -> Result<(), TestCaseError> {
    let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
    prop_assume!(steps.iter().all(|(instr, _)| verify(instr, &sizes) == Ok(())));
    let plan = plan(&steps);
    over_before(&plan, &Strands::of(&plan))?;
    let mut expected = state.clone();
    let mut told = Told::default();
    let ended = run(&plan, &mut Fast::with(Extension::chosen(), 1), &mut expected, &mut [&mut told]);
    for threads in 2..=3 {
        let mut engine = Fast::with(Extension::chosen(), threads).sharing_all();
        for _ in 0..2 {
            let (mut found, mut told_now) = (state.clone(), Told::default());
            prop_assert_eq!(&run(&plan, &mut engine, &mut found, &mut [&mut told_now]), &ended);
            prop_assert_eq!(&told_now.0, &told.0);
            for memory in Memory::ALL {
                let (a, b) = (found.memory(memory), expected.memory(memory));
                let first = a.iter().zip(b).position(|(a, b)| a != b).filter(|_| ended.is_ok());
                prop_assert_eq!(first, None, "seed {}, {} threads, {}", seed, threads, memory.name());
            }
            let registers = |state: &State| (state.scales, state.counters);
            prop_assert!(ended.is_err() || registers(&found) == registers(&expected), "seed {}", seed);
        }
    }
    Ok(())
}

fn cases() -> u32 {
    std::env::var("ENGINE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn engines_agree(seed in any::<u64>()) {
        for extension in Extension::available() {
            agree(seed, Fast::with(extension, 1))?;
        }
    }
}

// What takes longer: whole plans several times, products that fill tiles.
proptest! {
    #![proptest_config(Config { cases: cases() / 5, failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn strands_side_by_side_do_what_the_plan_does_in_order(seed in any::<u64>(), groups in 1usize..20) {
        let (state, steps) = case(seed, groups);
        let plan = plan(&steps);
        let executed = |engine: &mut dyn Engine, state: &mut State| {
            let mut told = Told::default();
            (run(&plan, engine, state, &mut [&mut told]), told.0)
        };
        let mut expected = state.clone();
        let ended = executed(&mut Reference::new(), &mut expected);
        for threads in 2..=3 {
            let mut engine = Fast::with(Extension::chosen(), threads).sharing_all();
            // Once more: what threads keep of a run is not seen in the next.
            for _ in 0..2 {
                let mut found = state.clone();
                prop_assert_eq!(&executed(&mut engine, &mut found), &ended);
                prop_assert!(ended.0.is_err() || found == expected, "seed {}, {} threads", seed, threads);
            }
        }
    }

    #[test]
    fn engines_agree_on_errors_that_pooling_sent_back(seed in 1u64.., odd in 0u32..3) {
        let mut d = Dice(seed);
        let (state, m) = pooled_gradient(&mut d, odd);
        let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
        let step = step(0, Instr::MPositions(m), AccumulatorRule::default());
        prop_assert_eq!(verify(&step.instr, &sizes), Ok(()));
        let mut expected = state.clone();
        let outcome = Reference::new().execute(&step, &mut expected);
        for extension in Extension::available() {
            let mut found = state.clone();
            prop_assert_eq!(&Fast::with(extension, 1).execute(&step, &mut found), &outcome);
            prop_assert!(found == expected, "seed {}, {}", seed, step.instr);
        }
    }

    #[test]
    fn engines_agree_on_outputs_that_share_taps(seed in 1u64..) {
        let (state, m, rule) = convolution(&mut Dice(seed));
        let sizes = Memory::ALL.map(|memory| state.memory(memory).len() as u64);
        let step = step(0, Instr::MTaps(m), rule);
        prop_assume!(verify(&step.instr, &sizes) == Ok(()));
        let mut expected = state.clone();
        let outcome = Reference::new().execute(&step, &mut expected);
        for extension in Extension::available() {
            let mut fast = Fast::with(extension, 1);
            // Again: what is known of weights stays.
            for _ in 0..2 {
                let mut found = state.clone();
                prop_assert_eq!(&fast.execute(&step, &mut found), &outcome);
                prop_assert!(found == expected, "seed {}, {}", seed, step.instr);
            }
        }
    }

    #[test]
    fn tiles_that_find_the_same_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, tiles(&mut Dice(seed)))?;
    }

    #[test]
    fn gradients_abreast_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, gradients(&mut Dice(seed)))?;
    }

    #[test]
    fn halves_of_reductions_do_what_the_plan_does_in_order(seed in 1u64..) {
        side_by_side_as_in_order(seed, halves(&mut Dice(seed)))?;
    }

    #[test]
    fn a_strand_is_over_before_one_that_meets_it_begins(seed in any::<u64>(), groups in 1usize..20) {
        let plan = plan(&case(seed, groups).1);
        over_before(&plan, &Strands::of(&plan))?;
    }
}

#[test]
fn most_gradients_go_abreast_with_others_of_their_columns_and_taps() {
    let go_abreast = |seed: &u64| {
        let (_, steps) = gradients(&mut Dice(seed * 7919));
        let strands = Strands::of(&plan(&steps));
        let abreast = strands.families().iter().filter(|family| family.goes_abreast);
        let found = |strand: usize, of: fn(&Contents) -> Option<usize>| -> BTreeSet<usize> {
            let steps = strands.all()[strand].steps.iter();
            steps.filter_map(|&step| of(&strands.touched(step).contents)).collect()
        };
        let mut differ = [false; 2];
        for family in abreast {
            let [first, last] = [family.strands.first(), family.strands.last()].map(|s| *s.unwrap());
            differ[0] |= found(first, |contents| contents.left) != found(last, |contents| contents.left);
            differ[1] |= found(first, |contents| contents.right) != found(last, |contents| contents.right);
        }
        differ
    };
    // Whether some go abreast that find other left operands, and other right ones.
    let found: Vec<[bool; 2]> = (1..100).map(|seed| go_abreast(&seed)).collect();
    let times = [0, 1].map(|operand| found.iter().filter(|differ| differ[operand]).count());
    assert!(times.iter().all(|&n| n > 40), "{times:?}");
}

#[test]
fn most_halves_may_be_summed_together() {
    let may_be = |seed: &u64| {
        let (_, steps) = halves(&mut Dice(seed * 7919));
        let strands = Strands::of(&plan(&steps));
        strands.steps().any(|step| strands.touched(step).other_half.is_some())
    };
    assert!((1..100).filter(may_be).count() > 50);
}

#[test]
fn most_random_instructions_are_valid() {
    let valid: usize =
        (1..500u64).map(|s| agree(s * 7919, Fast::with(Extension::chosen(), 1)).unwrap()).sum();
    assert!(valid > 800, "{valid} of about 2000");
}

/// A training step is shared well: strands are many, and the longest way through them is short.
#[test]
fn a_training_step_is_many_strands() {
    for text in [
        include_str!("../programs/lenet5-mnist.toml"),
        include_str!("../programs/vgg7-cifar10.toml"),
        include_str!("../programs/alexnet-imagenet.toml"),
    ] {
        let (network, recipe, _) = load(text, "net", &[]).unwrap();
        let program = compile(&network, &recipe, &Machine::default(), text).unwrap();
        let plan = Plan::new(&program, "train").unwrap();
        let strands = Strands::of(&plan);
        let longest = strands.urgency(&vec![1; plan.steps.len()]).into_iter().max().unwrap();
        assert!(strands.all().len() > 500 && longest * 10 < plan.steps.len() as u64);
    }
}
