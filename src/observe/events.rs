//! Events that cost energy, and the parts of the machine they happen in. Knows neither prices nor instructions.

use std::collections::BTreeMap;

use crate::isa::Memory;
use crate::spec::Machine;

/// Parts of the machine that energy is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Multipliers of the MAC array.
    ArrayMultiply,
    /// Its adders: trees and accumulators.
    ArrayAdd,
    /// Its registers: operands, sums, and sums on their way down.
    ArrayRegister,
    /// Its comparators, which saturate.
    ArrayCompare,
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
    /// What leaks in every cycle.
    Leakage,
}

impl Component {
    /// Every component, in the order reports list them.
    pub const ALL: [Component; 12] = [
        Component::ArrayMultiply,
        Component::ArrayAdd,
        Component::ArrayRegister,
        Component::ArrayCompare,
        Component::Vector,
        Component::Control,
        Component::Operand,
        Component::Weight,
        Component::Accumulator,
        Component::Mask,
        Component::Dram,
        Component::Leakage,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Component::ArrayMultiply => "array_multiply",
            Component::ArrayAdd => "array_add",
            Component::ArrayRegister => "array_register",
            Component::ArrayCompare => "array_compare",
            Component::Vector => "vector",
            Component::Control => "control",
            Component::Operand => "operand",
            Component::Weight => "weight",
            Component::Accumulator => "accumulator",
            Component::Mask => "mask",
            Component::Dram => "dram",
            Component::Leakage => "leakage",
        }
    }

    /// The part of the array that an event of it happens in.
    pub(super) fn of_array(event: Event) -> Self {
        match event {
            Event::Multiply { .. } => Component::ArrayMultiply,
            Event::Compare { .. } => Component::ArrayCompare,
            Event::Register { .. } => Component::ArrayRegister,
            _ => Component::ArrayAdd,
        }
    }

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
    /// A bit read from or written to a scratchpad.
    ScratchpadBit {
        /// Size of the scratchpad, KiB.
        kib: u32,
    },
    /// A bit read from or written to DRAM.
    DramBit,
    /// A cycle that passes.
    Cycle,
}

impl Event {
    /// A bit of a memory of a machine.
    pub(super) fn bit(memory: Memory, machine: &Machine) -> Event {
        machine.memory.scratchpad(memory).map_or(Event::DramBit, |s| Event::ScratchpadBit { kib: s.kib })
    }
}

/// How often each event of each component happens.
pub type Events = BTreeMap<(Component, Event), u128>;
