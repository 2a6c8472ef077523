//! Area: the elements of logic that a machine needs for what its programs ask of array and vector unit (`docs/energy.md`).
//! Counts elements, whose price is the table's. Memories, control, the way to DRAM and wires are no part of it.

use std::collections::BTreeMap;

use super::energy::levels;
use super::events::{Component, Event};
use super::work::vector_work;
use crate::isa::{Instr, Matrix, Unit};
use crate::number::Overflow;
use crate::program::{Phase, Step};
use crate::spec::{Drain, Machine, Preset};
use crate::timing::{is_built_once, lane_elements};

/// So many elements that do an event, somewhere in the machine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Element {
    /// `array`, or the array of one phase; `vector`.
    pub place: String,
    /// The part of it.
    pub component: Component,
    /// What one does.
    #[serde(flatten)]
    pub event: Event,
    /// How many there are.
    pub count: u64,
}

impl Preset {
    /// Square micrometres of the element that does an event; none for what is no logic.
    pub fn event_um2(&self, event: Event) -> f64 {
        let area = &self.area;
        match event {
            Event::Add { bits } => area.add.um2_per_bit * f64::from(bits),
            Event::Register { bits } => area.register.um2_per_bit * f64::from(bits),
            Event::Compare { bits } => area.compare.um2_per_bit * f64::from(bits),
            Event::Count { bits } => area.count.um2_per_bit * f64::from(bits),
            Event::Shift { bits } => {
                area.shift.um2_per_bit_and_level * f64::from(bits) * f64::from(levels(bits))
            }
            Event::Multiply { a_bits, b_bits } => {
                let (a, b) = (f64::from(a_bits), f64::from(b_bits));
                area.multiply.um2_per_bit_by_bit * a * b + area.multiply.um2_per_bit * (a + b)
            }
            Event::ScratchpadBit { .. } | Event::DramBit | Event::Cycle => 0.0,
        }
    }
}

/// What the instructions of a plan ask of array and vector unit: of each element the widest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logic {
    arrays: BTreeMap<Phase, Cell>,
    /// Elements of one lane, by kind.
    lane: BTreeMap<u8, (Event, u64)>,
    /// Widest element that passes a lane.
    lane_bits: u32,
    /// Elements that the vector unit has once.
    scalar: BTreeMap<u8, (Event, u64)>,
}

/// One processing element, and what stands at the array's edges; widths in bits, 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cell {
    a: u32,
    b: u32,
    tree: u32,
    adder: u32,
    /// The register of the sum; weight-stationary, of the sum on its way down.
    sum: u32,
    compare: u32,
    /// Output-stationary: adder and register of the outer sum.
    outer_adder: u32,
    outer: u32,
    outer_compare: u32,
    /// Output-stationary: the second register, which moves sums down, and the third, which brings first values.
    moved: u32,
    first: u32,
    /// Weight-stationary: registers of the weights.
    kept: u32,
    next_kept: u32,
    /// Weight-stationary: the join at the bottom of a column.
    bottom_adder: u32,
    bottom_compare: u32,
    /// Right operands that enter skewed at the upper edge.
    upper_skew: u32,
}

impl Cell {
    fn of(m: &Matrix, step: &Step, machine: &Machine) -> Cell {
        let rule = step.rule;
        let (a, b) = (m.left_format.bits(), m.right_format.bits());
        let tree = rule.tree.max(1);
        let adder = rule.bits.max(a + b - 1 + levels(tree));
        let saturates = |bits| if rule.overflow == Overflow::Saturate { bits } else { 0 };
        let hides = machine.array.drain == Drain::Overlap;
        let hidden = |bits| if hides { bits } else { 0 };
        let cell = Cell { a, b, tree, adder, sum: rule.bits, compare: saturates(adder), ..Cell::default() };
        let outer = rule.outer_bits.max(rule.bits);
        if step.weight_stationary {
            let kept = b * tree;
            return Cell {
                kept,
                next_kept: hidden(kept),
                bottom_adder: outer,
                bottom_compare: saturates(outer),
                ..cell
            };
        }
        let chunks = |bits| if rule.chunk > 0 { bits } else { 0 };
        Cell {
            outer_adder: chunks(outer),
            outer: chunks(rule.outer_bits),
            outer_compare: chunks(saturates(outer)),
            moved: hidden(rule.result_bits()),
            first: if m.accumulate { hidden(rule.result_bits()) } else { 0 },
            upper_skew: b * tree,
            ..cell
        }
    }

    /// The cell that does what either does.
    fn and(self, other: Cell) -> Cell {
        Cell {
            a: self.a.max(other.a),
            b: self.b.max(other.b),
            tree: self.tree.max(other.tree),
            adder: self.adder.max(other.adder),
            sum: self.sum.max(other.sum),
            compare: self.compare.max(other.compare),
            outer_adder: self.outer_adder.max(other.outer_adder),
            outer: self.outer.max(other.outer),
            outer_compare: self.outer_compare.max(other.outer_compare),
            moved: self.moved.max(other.moved),
            first: self.first.max(other.first),
            kept: self.kept.max(other.kept),
            next_kept: self.next_kept.max(other.next_kept),
            bottom_adder: self.bottom_adder.max(other.bottom_adder),
            bottom_compare: self.bottom_compare.max(other.bottom_compare),
            upper_skew: self.upper_skew.max(other.upper_skew),
        }
    }

    /// The elements of an array of such cells.
    fn elements(self, place: &str, machine: &Machine, out: &mut Vec<Element>) {
        let (rows, columns) = (u64::from(machine.array.rows), u64::from(machine.array.columns));
        let cells = rows * columns;
        let tree = u64::from(self.tree);
        let mut push = |event, count| put(out, place, Component::of_array(event), event, count);
        push(Event::Multiply { a_bits: self.a, b_bits: self.b }, cells * tree);
        let (mut left, mut bits) = (self.tree, self.a + self.b - 1);
        while left > 1 {
            bits += 1;
            push(Event::Add { bits }, cells * u64::from(left / 2));
            left = left.div_ceil(2);
        }
        for bits in [self.adder, self.outer_adder] {
            push(Event::Add { bits }, cells);
        }
        push(Event::Add { bits: self.bottom_adder }, columns);
        // A left operand hops from column to column, a right one from row to row unless it stays.
        let hops = [self.a * self.tree, self.upper_skew];
        for bits in hops.into_iter().chain([self.sum, self.outer, self.moved, self.first]) {
            push(Event::Register { bits }, cells);
        }
        for bits in [self.kept, self.next_kept] {
            push(Event::Register { bits }, cells);
        }
        // Row r enters r cycles late, and so does column c.
        push(Event::Register { bits: self.a * self.tree }, rows * (rows - 1) / 2);
        push(Event::Register { bits: self.upper_skew }, columns * (columns - 1) / 2);
        for bits in [self.compare, self.outer_compare] {
            push(Event::Compare { bits }, cells);
        }
        push(Event::Compare { bits: self.bottom_compare }, columns);
    }
}

fn put(out: &mut Vec<Element>, place: &str, component: Component, event: Event, count: u64) {
    let nothing =
        matches!(event, Event::Add { bits: 0 } | Event::Register { bits: 0 } | Event::Compare { bits: 0 });
    if nothing || count == 0 {
        return;
    }
    match out.iter_mut().find(|e| e.place == place && e.component == component && e.event == event) {
        Some(there) => there.count += count,
        None => out.push(Element { place: place.to_owned(), component, event, count }),
    }
}

/// Stages of the vector unit that a register stands between.
const LANE_REGISTERS: u64 = 3;

impl Logic {
    /// Asks for what an instruction needs.
    pub(super) fn add(&mut self, step: &Step, machine: &Machine) {
        match &step.instr {
            Instr::MTaps(m) | Instr::MPositions(m) => {
                let cell = Cell::of(m, step, machine);
                self.arrays.entry(step.phase).and_modify(|c| *c = c.and(cell)).or_insert(cell);
            }
            instr if instr.unit() == Unit::Vector => {
                let work = vector_work(instr);
                let elements = lane_elements(instr).max(1);
                let of = if is_built_once(instr) { &mut self.scalar } else { &mut self.lane };
                for &(event, count) in &work.operations {
                    need(of, event, count.div_ceil(elements));
                }
                self.lane_bits = work.element_bits.into_iter().fold(self.lane_bits, u32::max);
            }
            _ => {}
        }
    }

    /// Asks for what another asks for too.
    pub fn and(&mut self, other: &Logic) {
        for (&phase, &cell) in &other.arrays {
            self.arrays.entry(phase).and_modify(|c| *c = c.and(cell)).or_insert(cell);
        }
        for (mine, theirs) in [(&mut self.lane, &other.lane), (&mut self.scalar, &other.scalar)] {
            theirs.values().for_each(|&(event, count)| need(mine, event, count));
        }
        self.lane_bits = self.lane_bits.max(other.lane_bits);
    }

    /// The elements of a machine that does all of it.
    pub fn elements(&self, machine: &Machine) -> Vec<Element> {
        let mut out = Vec::new();
        if machine.array.shared {
            let cell = self.arrays.values().copied().reduce(Cell::and);
            cell.into_iter().for_each(|cell| cell.elements("array", machine, &mut out));
        } else {
            for (phase, cell) in &self.arrays {
                cell.elements(&format!("{} array", phase.name()), machine, &mut out);
            }
        }
        let lanes = u64::from(machine.vector.lanes);
        for (of, times) in [(&self.lane, lanes), (&self.scalar, 1)] {
            for &(event, count) in of.values() {
                put(&mut out, "vector", Component::Vector, event, count * times);
            }
        }
        let event = Event::Register { bits: self.lane_bits };
        put(&mut out, "vector", Component::Vector, event, LANE_REGISTERS * lanes);
        out
    }
}

/// Makes room for `count` elements that do `event`: of each kind the widest, as many as the instruction that needs most.
fn need(of: &mut BTreeMap<u8, (Event, u64)>, event: Event, count: u64) {
    let kind = match event {
        Event::Multiply { .. } => 0,
        Event::Add { .. } => 1,
        Event::Register { .. } => 2,
        Event::Shift { .. } => 3,
        Event::Compare { .. } => 4,
        Event::Count { .. } => 5,
        Event::ScratchpadBit { .. } | Event::DramBit | Event::Cycle => return,
    };
    let (widest, most) = of.entry(kind).or_insert((event, count));
    *most = count.max(*most);
    *widest = match (*widest, event) {
        (Event::Multiply { a_bits, b_bits }, Event::Multiply { a_bits: a, b_bits: b }) => {
            Event::Multiply { a_bits: a_bits.max(a), b_bits: b_bits.max(b) }
        }
        // One kind: the order is the width's.
        (a, b) => a.max(b),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, published: f64, tolerance: f64) {
        assert!((found / published - 1.0).abs() <= tolerance, "{found} is not {published}");
    }

    #[test]
    fn published_areas_are_met() {
        let um2 = |event| Preset::default().event_um2(event);
        for (bits, published) in [(8, 36.0), (16, 67.0), (32, 137.0)] {
            close(um2(Event::Add { bits }), published, 0.05);
        }
        for (bits, published) in [(8, 282.0), (32, 3495.0)] {
            close(um2(Event::Multiply { a_bits: bits, b_bits: bits }), published, 0.002);
        }
        close(um2(Event::Register { bits: 1 }), 5.981, 0.001);
        close(um2(Event::Shift { bits: 32 }), 519.76, 0.001);
        // An adder's carries; a register (5.981 µm²) and a gate (1.574 µm²) a bit.
        close(um2(Event::Compare { bits: 10 }), 10.0 * um2(Event::Add { bits: 1 }), 1e-9);
        close(um2(Event::Count { bits: 10 }), 75.55, 0.001);
    }

    #[test]
    fn every_width_takes_more_area_than_the_one_below() {
        let um2 = |event| Preset::default().event_um2(event);
        for bits in 2..=64 {
            for event in [
                |bits| Event::Add { bits },
                |bits| Event::Register { bits },
                |bits| Event::Compare { bits },
                |bits| Event::Count { bits },
                |bits| Event::Shift { bits },
                |bits| Event::Multiply { a_bits: bits, b_bits: 8 },
            ] {
                assert!(um2(event(bits - 1)) < um2(event(bits)), "{:?}", event(bits));
            }
        }
        assert!(um2(Event::DramBit) == 0.0);
    }

    #[test]
    fn a_cell_for_two_is_as_wide_as_the_wider_of_each() {
        let a = Cell { a: 8, b: 2, adder: 32, ..Cell::default() };
        let b = Cell { a: 4, b: 8, adder: 16, ..Cell::default() };
        assert_eq!(a.and(b), Cell { a: 8, b: 8, adder: 32, ..Cell::default() });
    }

    #[test]
    fn of_one_kind_the_widest_is_built_as_often_as_the_most_need_it() {
        let mut lane = BTreeMap::new();
        for (event, count) in [
            (Event::Compare { bits: 32 }, 1),
            (Event::Compare { bits: 8 }, 2),
            (Event::Multiply { a_bits: 8, b_bits: 2 }, 1),
            (Event::Multiply { a_bits: 2, b_bits: 9 }, 1),
        ] {
            need(&mut lane, event, count);
        }
        let found: Vec<_> = lane.into_values().collect();
        let product = Event::Multiply { a_bits: 8, b_bits: 9 };
        assert_eq!(found, [(product, 1), (Event::Compare { bits: 32 }, 2)]);
    }
}
