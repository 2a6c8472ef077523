//! What an instruction costs beside time: products, bytes, and the events that energy is counted in. Functions of
//! instruction, rule and machine alone (`docs/energy.md`); no data, no address changes them.

use super::events::{Component, Event, Events};
use super::work::{Work, vector_work};
use crate::isa::{Instr, Matrix, Memory, Unit};
use crate::number::{AccumulatorRule, Overflow};
use crate::program::Step;
use crate::spec::Machine;
use crate::timing::Transfer;

/// What one execution of an instruction costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// Products, those with padding's zeros among them.
    pub products: u64,
    /// Products without padding's.
    pub useful_products: u64,
    /// Outputs finished or left unfinished.
    pub outputs: u64,
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
    pub fn of(step: &Step, machine: &Machine) -> Cost {
        let (instr, rule) = (&step.instr, step.rule);
        let mut cost = match instr {
            Instr::Load(_) | Instr::Store(_) => transfer(instr, machine),
            Instr::MTaps(m) => matrix(m, false, rule, step.weight_stationary, machine),
            Instr::MPositions(m) => matrix(m, true, rule, step.weight_stationary, machine),
            _ if instr.unit() == Unit::Vector => vector(&vector_work(instr), machine),
            _ => Cost::default(),
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

    /// Bits that pass between a memory and what works on them.
    fn move_bits(&mut self, memory: Memory, bits: u128, machine: &Machine) {
        self.add(Component::of(memory), Event::bit(memory, machine), bits);
    }

    fn array(&mut self, event: Event, count: u128) {
        self.add(Component::of_array(event), event, count);
    }

    fn gate(&mut self, event: Event, count: u128) {
        if count > 0 {
            *self.gateable.entry((Component::of_array(event), event)).or_default() += count;
        }
    }
}

fn vector(work: &Work, machine: &Machine) -> Cost {
    let mut cost = Cost::default();
    for stream in &work.streams {
        cost.move_bits(stream.memory, stream.bits.into(), machine);
    }
    for &(event, count) in &work.operations {
        cost.add(Component::Vector, event, count.into());
    }
    cost
}

fn transfer(instr: &Instr, machine: &Machine) -> Cost {
    let (Some(transfer), scratchpad, read) = (match instr {
        Instr::Load(m) => (Transfer::of(instr, machine), m.dst.memory, true),
        Instr::Store(m) => (Transfer::of(instr, machine), m.src.memory, false),
        _ => (None, Memory::Dram, false),
    }) else {
        return Cost::default();
    };
    let mut cost = Cost::default();
    let bytes = if read { &mut cost.dram_read_bytes } else { &mut cost.dram_written_bytes };
    *bytes = transfer.dram_bytes;
    cost.move_bits(Memory::Dram, u128::from(transfer.dram_bytes) * 8, machine);
    cost.move_bits(scratchpad, u128::from(transfer.scratchpad_bytes) * 8, machine);
    cost
}

/// A product on the array.
fn matrix(
    m: &Matrix,
    positions_reduced: bool,
    rule: AccumulatorRule,
    weight_stationary: bool,
    machine: &Machine,
) -> Cost {
    let (r, c) = (u64::from(machine.array.rows), u64::from(machine.array.columns));
    let (rows, columns, length) = (u64::from(m.rows), u64::from(m.columns), u64::from(m.length));
    let (row_folds, column_folds) = (rows.div_ceil(r), columns.div_ceil(c));
    let joins = length.div_ceil(rule.tree.into());
    let inside = pairs_inside(m, positions_reduced);
    let outputs = rows * columns;
    let mut cost =
        Cost { products: outputs * length, useful_products: inside * columns, outputs, ..Cost::default() };
    let (a_bits, b_bits) = (m.left_format.bits(), m.right_format.bits());
    let products = u128::from(cost.products);
    let all_joins = u128::from(joins) * u128::from(outputs);
    cost.gate(Event::Multiply { a_bits, b_bits }, products);
    let product_bits = a_bits + b_bits - 1;
    let joined_bits = tree_adders(&mut cost, rule.tree, product_bits, all_joins);
    let adder = rule.bits.max(joined_bits);
    cost.gate(Event::Add { bits: adder }, all_joins);
    cost.array(Event::Register { bits: a_bits }, products);
    cost.array(Event::Register { bits: b_bits }, products);
    cost.array(Event::Register { bits: rule.bits }, all_joins);
    if rule.overflow == Overflow::Saturate {
        cost.gate(Event::Compare { bits: adder }, all_joins);
    }
    if rule.chunk > 0 {
        let outer = u128::from(joins.div_ceil(rule.chunk.into())) * u128::from(outputs);
        let bits = rule.outer_bits.max(rule.bits);
        cost.array(Event::Add { bits }, outer);
        cost.array(Event::Register { bits: rule.outer_bits }, outer);
        if rule.overflow == Overflow::Saturate {
            cost.array(Event::Compare { bits }, outer);
        }
    }
    let moved = u128::from(outputs) * u128::from(m.out_format.bits());
    let (left, right) = (u128::from(inside), u128::from(length * columns) * u128::from(b_bits));
    cost.move_bits(Memory::Operand, left * u128::from(column_folds) * u128::from(a_bits), machine);
    if weight_stationary {
        // A column of weights is summed on its way down and joins what the accumulator memory holds, fold by fold;
        // weights enter once.
        let length_folds = u128::from(length.div_ceil(r * u64::from(rule.tree)));
        let passes = 2 * length_folds - if m.accumulate { 0 } else { 1 };
        cost.move_bits(Memory::Weight, right, machine);
        cost.move_bits(Memory::Accumulator, moved * passes, machine);
    } else {
        // A finished sum moves down to the edge through the registers below it; a first value comes as far.
        let last = rows - (row_folds - 1) * r;
        let hops = (row_folds - 1) * (r * (r + 1) / 2) + last * r - last * (last - 1) / 2;
        let ways = if m.accumulate { 2 } else { 1 };
        let bits = rule.result_bits();
        cost.array(Event::Register { bits }, u128::from(ways * hops * columns));
        cost.move_bits(Memory::Weight, right * u128::from(row_folds), machine);
        cost.move_bits(Memory::Accumulator, u128::from(ways) * moved, machine);
    }
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

/// How often each of `places` is met by the numbers `first..first + count` of an order that takes `of` indices in
/// blocks of `block`: block, place, index of the block, the last fastest.
fn meetings(first: u64, count: u64, [block, of]: [u64; 2], places: u64) -> Vec<u64> {
    // Numbers below n that fall on a place.
    let below = |n: u64, place: u64| {
        let (before, rest) = (n / (block * places) * block, n % (block * places));
        let width = block.min(of - before);
        before + rest.saturating_sub(place * width).min(width)
    };
    (0..places).map(|p| below(first + count, p) - below(first, p)).collect()
}

/// Pairs of position and tap whose left operand is one of memory, not padding.
fn pairs_inside(m: &Matrix, positions_reduced: bool) -> u64 {
    let (rows, reduced) = ((m.first_row, m.rows), (m.first_k, m.length));
    let (positions, taps) = if positions_reduced { (reduced, rows) } else { (rows, reduced) };
    let pixels = u64::from(m.out_rows) * u64::from(m.out_cols);
    let kernel = u64::from(m.tap_rows) * u64::from(m.tap_cols);
    let channels = u64::from(m.channels);
    let block = if m.channel_block == 0 { channels } else { channels.min(m.channel_block.into()) };
    let at_pixel = meetings(positions.0.into(), positions.1.into(), [1, m.images.into()], pixels);
    let at_tap = meetings(taps.0.into(), taps.1.into(), [block, channels], kernel);
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
        for (first, count, [block, of], places) in [
            (0, 24, [3, 6], 4),
            (5, 17, [3, 6], 4),
            (11, 2, [1, 2], 7),
            (100, 1000, [4, 124], 9),
            (7, 60, [3, 17], 4),
            (5, 40, [9, 9], 5),
        ] {
            let mut counted = vec![0; usize::try_from(places).unwrap()];
            let mut number = 0;
            for before in (0..of).step_by(usize::try_from(block).unwrap()) {
                for place in 0..places {
                    for _ in before..of.min(before + block) {
                        if (first..first + count).contains(&number) {
                            counted[usize::try_from(place).unwrap()] += 1;
                        }
                        number += 1;
                    }
                }
            }
            assert!(first + count <= number);
            assert_eq!(meetings(first, count, [block, of], places), counted);
        }
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
            channel_block: 0,
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
    fn a_mac_costs_what_the_energy_page_says() {
        // A 2 x 8 bit MAC with an accumulator of 32, 16 and 12 bits: 0.53, 0.33 and 0.28 pJ.
        let machine = Machine::default();
        let preset = crate::spec::Preset::default();
        for (bits, published) in [(32, 0.53), (16, 0.33), (12, 0.28)] {
            let rule = AccumulatorRule { bits, outer_bits: bits, ..AccumulatorRule::default() };
            let cost = matrix(&dense(1, 1_000_000, 1), false, rule, false, &machine);
            let mut events = cost.events.clone();
            events.retain(|(component, _), _| component.name().starts_with("array"));
            events.extend(cost.gateable);
            let pj: f64 = preset.price(&events).values().sum::<f64>() / 1e6;
            assert!((pj - published).abs() < 0.011, "{bits} bits: {pj} pJ");
        }
    }

    #[test]
    fn a_tree_adds_one_adder_fewer_than_its_products() {
        let mut cost = Cost::default();
        assert_eq!(tree_adders(&mut cost, 4, 9, 10), 11);
        let adders: u128 = cost.gateable.values().sum();
        assert_eq!(adders, 30);
        assert_eq!(cost.gateable[&(Component::ArrayAdd, Event::Add { bits: 10 })], 20);
    }
}
