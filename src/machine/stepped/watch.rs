//! What a watcher is shown of the machine, cycle by cycle: registers as they stand when the cycle is over, and what was read and
//! written in it. A watcher changes nothing; where there is none, nothing is kept for it.

use super::array::Element;
use super::record::Record;
use super::{Units, place};
use crate::isa::{Address, Format, Memory, Unit};
use crate::program::Plan;

/// Elements or bytes of a memory read or written: `bits` from a bit of it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The memory.
    pub memory: Memory,
    /// Written; else read.
    pub write: bool,
    /// The first bit.
    pub bit: u64,
    /// How many.
    pub bits: u32,
}

impl Access {
    pub(super) fn element(write: bool, address: Address, format: Format, index: u64) -> Self {
        let bit = address.offset * 8 + index * u64::from(format.bits());
        Access { memory: address.memory, write, bit, bits: format.bits() }
    }

    pub(super) fn byte(write: bool, memory: Memory, at: usize) -> Self {
        Access { memory, write, bit: at as u64 * 8, bits: 8 }
    }
}

/// Is shown every cycle.
pub trait Watch {
    /// A cycle is over; false where no more need be shown, and the rest of the plan need not be executed.
    fn cycle(&mut self, view: &View<'_>) -> bool;
}

/// Registers of a processing element. Of a tree's operands the first; nothing where a register is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ElementView {
    /// The left operand.
    pub left: Option<i64>,
    /// The right operand, or the weight that stays.
    pub right: Option<i64>,
    /// The sum: the inner register where there are chunks.
    pub sum: Option<i64>,
    /// The finished sum on its way down.
    pub finished: Option<i64>,
    /// A join of this cycle left its range. The bottom row of an array whose weights stay has no register and shows none.
    pub overflow: bool,
}

/// A stage of the vector unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageView {
    /// Number of the instruction in the plan.
    pub seq: usize,
    /// Lanes in use.
    pub lanes: usize,
}

/// A unit that moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveView {
    /// The instruction whose beats enter.
    pub seq: Option<usize>,
    /// Beats between its two ends.
    pub in_flight: usize,
}

/// One cycle of the machine.
pub struct View<'a> {
    pub(super) units: &'a Units<'a>,
    pub(super) records: &'a [Record],
    pub(super) plan: &'a Plan,
    pub(super) accesses: &'a [Access],
    /// The cycle, from 0.
    pub cycle: u64,
    /// The instruction control put into a queue in it.
    pub issued: Option<usize>,
}

impl View<'_> {
    /// What was read and written in this cycle, DRAM's own bytes as they are moved.
    pub fn accesses(&self) -> &[Access] {
        self.accesses
    }

    /// Instructions waiting in a unit's queue.
    pub fn waiting(&self, unit: Unit) -> usize {
        let waiting = self.units.control.waiting();
        QUEUES.iter().position(|&u| u == unit).map_or(0, |at| waiting[at])
    }

    /// Instructions put into a queue and not ended.
    pub fn alive(&self) -> &[usize] {
        self.units.scoreboard.alive()
    }

    /// The instruction that occupies a unit.
    pub fn occupant(&self, unit: Unit) -> Option<usize> {
        let occupies = |&&id: &&usize| {
            QUEUES[place(&self.plan.steps[id])] == unit
                && self.records[id].is_under_way()
                && !self.records[id].has_freed_its_unit()
        };
        self.alive().iter().find(occupies).copied()
    }

    /// Ports of a scratchpad that are held.
    pub fn ports_held(&self, memory: Memory) -> usize {
        (0..QUEUES.len()).filter(|&unit| self.units.scoreboard.holds(unit, memory, self.records)).count()
    }

    /// Joins that left their range so far, of all instructions.
    pub fn overflows(&self) -> u64 {
        self.alive().iter().map(|&id| self.records[id].joins.out_of_range).sum()
    }

    /// Joins of an instruction that left their range so far.
    pub fn overflows_of(&self, seq: usize) -> u64 {
        self.records.get(seq).map_or(0, |record| record.joins.out_of_range)
    }

    /// A processing element.
    pub fn element(&self, row: usize, column: usize) -> ElementView {
        let array = &self.units.array;
        let Some(element) = array.elements.get(row * array.columns + column) else {
            return ElementView::default();
        };
        let Element { left, right, sum, second, weights, .. } = element;
        let right = right.as_ref().map(|right| &right.values);
        let right = right.or(weights.as_ref().map(|weights| &weights.weights));
        // The sum whose last operand this is has moved to the second register.
        let finished = second.as_ref().filter(|_| left.as_ref().is_some_and(|left| left.last));
        let joined = left.as_ref().and(sum.as_ref().or(finished));
        ElementView {
            left: left.as_ref().and_then(|left| left.values.first().copied()),
            right: right.and_then(|values| values.first().copied()),
            sum: sum.as_ref().map(|sum| sum.inner),
            finished: second.as_ref().map(super::sum::Sum::held),
            overflow: joined.is_some_and(|sum| sum.left_range),
        }
    }

    /// The three registers between the vector unit's stages: behind the read, behind each stage of arithmetic.
    pub fn vector(&self) -> [Option<StageView>; 3] {
        self.units.vector.stages()
    }

    /// The load or the store unit.
    pub fn moving(&self, unit: Unit) -> MoveView {
        match unit {
            Unit::Load => self.units.load.view(),
            Unit::Store => self.units.store.view(),
            _ => MoveView::default(),
        }
    }
}

/// The units with queues, in the order of their places.
const QUEUES: [Unit; 4] = [Unit::Load, Unit::Store, Unit::Array, Unit::Vector];
