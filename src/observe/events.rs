//! What an instruction costs: its cycles, and the events that energy is counted in. Functions of instruction, rule and
//! machine alone (`docs/cycles.md`, `docs/energy.md`); no data, no address changes them.

use std::collections::BTreeMap;

use super::work::{Work, vector_work};
use crate::isa::{Instr, Load, Matrix, Memory, Store, Unit};
use crate::number::{AccumulatorRule, Overflow};
use crate::spec::Machine;

/// Parts of the machine that energy is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The MAC array.
    Array,
    /// The vector unit.
    Vector,
    /// Issue of instructions.
    Control,
    /// The operand scratchpad.
    Operand,
    /// The weight scratchpad.
    Weight,
    /// The accumulator scratchpad.
    Accumulator,
    /// The mask scratchpad.
    Mask,
    /// DRAM.
    Dram,
}

impl Component {
    /// The component a memory is.
    pub fn of(memory: Memory) -> Self {
        match memory {
            Memory::Operand => Component::Operand,
            Memory::Weight => Component::Weight,
            Memory::Accumulator => Component::Accumulator,
            Memory::Mask => Component::Mask,
            Memory::Dram => Component::Dram,
        }
    }
}

/// One kind of event that costs energy, with its operand widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A multiplication.
    Multiply {
        /// Width of one operand.
        a_bits: u32,
        /// Width of the other.
        b_bits: u32,
    },
    /// An addition or subtraction.
    Add {
        /// Width.
        bits: u32,
    },
    /// A register written.
    Register {
        /// Width.
        bits: u32,
    },
    /// A barrel shift.
    Shift {
        /// Width.
        bits: u32,
    },
    /// A comparison.
    Compare {
        /// Width.
        bits: u32,
    },
    /// A step of a counter or of the random generator.
    Count {
        /// Width.
        bits: u32,
    },
    /// A bit read from or written to a memory.
    MemoryBit,
}

/// How often each event of each component happens.
pub type Events = BTreeMap<(Component, Event), u128>;

/// What one execution of an instruction costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Cycles from start to end.
    pub cycles: u64,
    /// Products, those with padding's zeros among them.
    pub products: u64,
    /// Products without padding's.
    pub useful_products: u64,
    /// Outputs finished or left unfinished.
    pub outputs: u64,
    /// Products the array could have made in these cycles.
    pub product_slots: u64,
    /// Bytes read from DRAM, whole bursts.
    pub dram_read_bytes: u64,
    /// Bytes written to DRAM, whole bursts.
    pub dram_written_bytes: u64,
    /// Events that always happen.
    pub events: Events,
    /// Events that a zero operand spares where the machine gates its multipliers: for all products not zero.
    pub gateable: Events,
}

impl Cost {
    /// The cost of an instruction on a machine.
    pub fn of(instr: &Instr, rule: AccumulatorRule, machine: &Machine) -> Cost {
        let mut cost = match instr {
            Instr::Load(m) => load(m, machine),
            Instr::Store(m) => store(m, machine),
            Instr::MTaps(m) => matrix(m, false, rule, machine),
            Instr::MPositions(m) => matrix(m, true, rule, machine),
            _ if instr.unit() == Unit::Vector => vector(&vector_work(instr), machine),
            _ => Cost { cycles: 1, ..Cost::default() },
        };
        let words = u128::from(instr.spec().words);
        cost.add(Component::Control, Event::Register { bits: 64 }, words);
        cost.add(Component::Control, Event::Count { bits: 32 }, 1);
        cost
    }

    fn add(&mut self, component: Component, event: Event, count: u128) {
        if count > 0 {
            *self.events.entry((component, event)).or_default() += count;
        }
    }

    fn gate(&mut self, event: Event, count: u128) {
        if count > 0 {
            *self.gateable.entry((Component::Array, event)).or_default() += count;
        }
    }
}

/// Cycles a vector instruction needs beside its elements: read, two of arithmetic, write.
const VECTOR_STAGES: u64 = 4;

fn vector(work: &Work, machine: &Machine) -> Cost {
    let lanes = u64::from(machine.vector.lanes);
    let mut cost =
        Cost { cycles: VECTOR_STAGES + work.lane_elements.div_ceil(lanes).max(1) - 1, ..Cost::default() };
    for stream in &work.streams {
        cost.add(Component::of(stream.memory), Event::MemoryBit, stream.bits.into());
    }
    for &(event, count) in &work.operations {
        cost.add(Component::Vector, event, count.into());
    }
    cost
}

/// Bytes of DRAM that planes of rows touch: rows that follow each other without gaps are one run, and a run is
/// whole bursts.
fn dram_bytes(planes: u32, rows: u32, bytes: u32, row: i64, plane: i64, machine: &Machine) -> u64 {
    let (planes, rows, bytes) = (u64::from(planes), u64::from(rows), u64::from(bytes));
    let follows = |stride: i64, length: u64| u64::try_from(stride).is_ok_and(|s| s == length);
    let rows_follow = rows == 1 || follows(row, bytes);
    let planes_follow = rows_follow && (planes == 1 || follows(plane, rows * bytes));
    let (runs, length) = match (rows_follow, planes_follow) {
        (_, true) => (1, planes * rows * bytes),
        (true, _) => (planes, rows * bytes),
        _ => (planes * rows, bytes),
    };
    runs * length.next_multiple_of(machine.dram.burst_bytes.max(1).into())
}

fn transfer_cycles(dram: u64, scratchpad: u64, machine: &Machine) -> u64 {
    let rate = u64::from(machine.dram.bytes_per_cycle);
    u64::from(machine.dram.latency_cycles) + dram.max(scratchpad).div_ceil(rate)
}

fn load(m: &Load, machine: &Machine) -> Cost {
    let dram = dram_bytes(m.planes, m.rows, m.bytes, m.src_row, m.src_plane, machine);
    let rows = u64::from(m.pad_top) + u64::from(m.rows) + u64::from(m.pad_bottom);
    let row = u64::from(m.pad_left) + u64::from(m.bytes) + u64::from(m.pad_right);
    let written = u64::from(m.planes) * rows * row;
    let mut cost =
        Cost { cycles: transfer_cycles(dram, written, machine), dram_read_bytes: dram, ..Cost::default() };
    cost.add(Component::Dram, Event::MemoryBit, u128::from(dram) * 8);
    cost.add(Component::of(m.dst.memory), Event::MemoryBit, u128::from(written) * 8);
    cost
}

fn store(m: &Store, machine: &Machine) -> Cost {
    let dram = dram_bytes(m.planes, m.rows, m.bytes, m.dst_row, m.dst_plane, machine);
    let read = u64::from(m.planes) * u64::from(m.rows) * u64::from(m.bytes);
    let mut cost =
        Cost { cycles: transfer_cycles(dram, read, machine), dram_written_bytes: dram, ..Cost::default() };
    cost.add(Component::Dram, Event::MemoryBit, u128::from(dram) * 8);
    cost.add(Component::of(m.src.memory), Event::MemoryBit, u128::from(read) * 8);
    cost
}

/// A product on the output-stationary array, each fold's drain paid (`drain = "serial"`):
/// folds · (2R + C + T − 2) cycles, T = ceil(length / tree).
fn matrix(m: &Matrix, positions_reduced: bool, rule: AccumulatorRule, machine: &Machine) -> Cost {
    let (r, c) = (u64::from(machine.array.rows), u64::from(machine.array.columns));
    let (rows, columns, length) = (u64::from(m.rows), u64::from(m.columns), u64::from(m.length));
    let (row_folds, column_folds) = (rows.div_ceil(r), columns.div_ceil(c));
    let joins = length.div_ceil(rule.tree.into());
    let cycles = row_folds * column_folds * (2 * r + c + joins - 2);
    let inside = pairs_inside(m, positions_reduced);
    let outputs = rows * columns;
    let mut cost = Cost {
        cycles,
        products: outputs * length,
        useful_products: inside * columns,
        outputs,
        product_slots: cycles * r * c * u64::from(rule.tree),
        ..Cost::default()
    };
    let (a_bits, b_bits) = (m.left_format.bits(), m.right_format.bits());
    let products = u128::from(cost.products);
    let all_joins = u128::from(joins) * u128::from(outputs);
    cost.gate(Event::Multiply { a_bits, b_bits }, products);
    let product_bits = a_bits + b_bits - 1;
    let joined_bits = tree_adders(&mut cost, rule.tree, product_bits, all_joins);
    let adder = rule.bits.max(joined_bits);
    cost.gate(Event::Add { bits: adder }, all_joins);
    cost.add(Component::Array, Event::Register { bits: a_bits }, products);
    cost.add(Component::Array, Event::Register { bits: b_bits }, products);
    cost.add(Component::Array, Event::Register { bits: rule.bits }, all_joins);
    if rule.overflow == Overflow::Saturate {
        cost.gate(Event::Compare { bits: adder }, all_joins);
    }
    if rule.chunk > 0 {
        let outer = u128::from(joins.div_ceil(rule.chunk.into())) * u128::from(outputs);
        let bits = rule.outer_bits.max(rule.bits);
        cost.add(Component::Array, Event::Add { bits }, outer);
        cost.add(Component::Array, Event::Register { bits: rule.outer_bits }, outer);
        if rule.overflow == Overflow::Saturate {
            cost.add(Component::Array, Event::Compare { bits }, outer);
        }
    }
    // A finished sum moves down to the edge through the registers below it.
    let last = rows - (row_folds - 1) * r;
    let hops = (row_folds - 1) * (r * (r + 1) / 2) + last * r - last * (last - 1) / 2;
    cost.add(Component::Array, Event::Register { bits: rule.result_bits() }, u128::from(hops * columns));
    let moved = u128::from(outputs) * u128::from(m.out_format.bits());
    cost.add(Component::Operand, Event::MemoryBit, u128::from(inside * column_folds) * u128::from(a_bits));
    cost.add(
        Component::Weight,
        Event::MemoryBit,
        u128::from(length * columns) * u128::from(row_folds) * u128::from(b_bits),
    );
    cost.add(Component::Accumulator, Event::MemoryBit, if m.accumulate { 2 * moved } else { moved });
    cost
}

/// The adders of a tree for each join, level by level; returns the width of its sum.
fn tree_adders(cost: &mut Cost, tree: u32, product_bits: u32, joins: u128) -> u32 {
    let (mut left, mut bits) = (tree.max(1), product_bits);
    while left > 1 {
        bits += 1;
        cost.gate(Event::Add { bits }, joins * u128::from(left / 2));
        left = left.div_ceil(2);
    }
    bits
}

/// How often each of `places` is met by the numbers `first..first + count`, where a place is
/// `number / inner % places`.
fn meetings(first: u64, count: u64, inner: u64, places: u64) -> Vec<u64> {
    // Numbers below n that fall on a place.
    let below = |n: u64, place: u64| {
        let (whole, rest) = (n / (inner * places), n % (inner * places));
        whole * inner + rest.saturating_sub(place * inner).min(inner)
    };
    (0..places).map(|p| below(first + count, p) - below(first, p)).collect()
}

/// Pairs of position and tap whose left operand is one of memory, not padding.
fn pairs_inside(m: &Matrix, positions_reduced: bool) -> u64 {
    let (rows, reduced) = ((m.first_row, m.rows), (m.first_k, m.length));
    let (positions, taps) = if positions_reduced { (reduced, rows) } else { (rows, reduced) };
    let pixels = u64::from(m.out_rows) * u64::from(m.out_cols);
    let kernel = u64::from(m.tap_rows) * u64::from(m.tap_cols);
    let at_pixel = meetings(positions.0.into(), positions.1.into(), 1, pixels);
    let at_tap = meetings(taps.0.into(), taps.1.into(), m.channels.into(), kernel);
    let inside = |place: u32, tap: u32, step: u32, dilate: u32, pad: i32, widen: u32, size: u32| {
        let at = i64::from(place) * i64::from(step) + i64::from(tap) * i64::from(dilate) - i64::from(pad);
        at >= 0 && at % i64::from(widen) == 0 && at / i64::from(widen) < i64::from(size)
    };
    let mut pairs = 0;
    let mut pixel = at_pixel.iter();
    for row in 0..m.out_rows {
        for col in 0..m.out_cols {
            let met = pixel.next().copied().unwrap_or(0);
            let mut tap = at_tap.iter();
            for tap_row in 0..m.tap_rows {
                let y = inside(row, tap_row, m.step_y, m.dilate_y, m.pad_top, m.widen_y, m.height);
                for tap_col in 0..m.tap_cols {
                    let tapped = tap.next().copied().unwrap_or(0);
                    if y && inside(col, tap_col, m.step_x, m.dilate_x, m.pad_left, m.widen_x, m.width) {
                        pairs += met * tapped;
                    }
                }
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meetings_are_the_numbers_counted() {
        for (first, count, inner, places) in [(0, 24, 3, 4), (5, 17, 3, 4), (11, 2, 1, 7), (100, 1000, 4, 9)]
        {
            let mut counted = vec![0; usize::try_from(places).unwrap()];
            for n in first..first + count {
                counted[usize::try_from(n / inner % places).unwrap()] += 1;
            }
            assert_eq!(meetings(first, count, inner, places), counted);
        }
    }

    #[test]
    fn rows_without_gaps_are_one_run_of_bursts() {
        let machine = Machine::default();
        assert_eq!(machine.dram.burst_bytes, 64);
        assert_eq!(dram_bytes(2, 3, 10, 10, 30, &machine), 64);
        assert_eq!(dram_bytes(2, 3, 10, 10, 100, &machine), 2 * 64);
        assert_eq!(dram_bytes(2, 3, 10, 20, 60, &machine), 6 * 64);
    }

    /// A dense layer: rows, length, columns of the product.
    fn dense(rows: u32, length: u32, columns: u32) -> Matrix {
        use crate::isa::{Address, Format, ModeIndex};
        let byte = Format::new(8).unwrap();
        Matrix {
            rows,
            columns,
            length,
            channels: length,
            images: rows,
            left: Address::at(Memory::Operand, 0),
            left_format: byte,
            right: Address::at(Memory::Weight, 0),
            right_format: Format::new(2).unwrap(),
            out: Address::at(Memory::Accumulator, 0),
            out_format: Format::new(32).unwrap(),
            mode: ModeIndex(0),
            image_stride: length,
            pixel_stride: length,
            out_stride: columns,
            height: 1,
            width: 1,
            out_rows: 1,
            out_cols: 1,
            tap_rows: 1,
            tap_cols: 1,
            step_y: 1,
            step_x: 1,
            dilate_y: 1,
            dilate_x: 1,
            widen_y: 1,
            widen_x: 1,
            first_row: 0,
            first_k: 0,
            accumulate: false,
            partial: false,
            pad_top: 0,
            pad_left: 0,
            left_first: 0,
            row_stride: 0,
            right_first: 0,
            right_stride_0: 0,
            right_stride_1: 0,
            right_stride_2: 0,
            column_stride: 1,
        }
    }

    #[test]
    fn a_product_takes_the_published_cycles_and_its_drains() {
        // SCALE-Sim's figures, which leave out the drain, and 32 cycles of drain a fold.
        for (rows, length, columns, without_drain, folds) in [
            (784, 25, 32, 2175, 25),
            (196, 800, 64, 12068, 14),
            (128, 3136, 512, 204_672, 64),
            (128, 512, 10, 2296, 4),
        ] {
            let m = dense(rows, length, columns);
            let cost = matrix(&m, false, AccumulatorRule::default(), &Machine::default());
            assert_eq!(cost.cycles, without_drain + 32 * folds);
            assert_eq!(cost.products, u64::from(rows) * u64::from(length) * u64::from(columns));
            assert_eq!(cost.useful_products, cost.products);
        }
    }

    #[test]
    fn a_mac_costs_what_the_energy_page_says() {
        // A 2 x 8 bit MAC with an accumulator of 32, 16 and 12 bits: 0.53, 0.33 and 0.28 pJ.
        let machine = Machine::default();
        let preset = crate::observe::Preset::named("horowitz45").unwrap();
        for (bits, published) in [(32, 0.53), (16, 0.33), (12, 0.28)] {
            let rule = AccumulatorRule { bits, outer_bits: bits, ..AccumulatorRule::default() };
            let cost = matrix(&dense(1, 1_000_000, 1), false, rule, &machine);
            let mut events = cost.events.clone();
            events.retain(|(component, _), _| *component == Component::Array);
            events.extend(cost.gateable);
            let pj: f64 = preset.price(&events, &machine).iter().map(|(_, pj)| pj).sum::<f64>() / 1e6;
            assert!((pj - published).abs() < 0.011, "{bits} bits: {pj} pJ");
        }
    }

    #[test]
    fn a_tree_adds_one_adder_fewer_than_its_products() {
        let mut cost = Cost::default();
        assert_eq!(tree_adders(&mut cost, 4, 9, 10), 11);
        let adders: u128 = cost.gateable.values().sum();
        assert_eq!(adders, 30);
        assert_eq!(cost.gateable[&(Component::Array, Event::Add { bits: 10 })], 20);
    }
}
