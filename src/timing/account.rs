//! Where cycles go: for each phase, layer and unit, busy cycles and waits by cause. No cycle is left over: for every unit they add
//! up to the cycles of the schedule.

use std::collections::BTreeMap;

use crate::isa::Unit;
use crate::program::Phase;

/// What a unit waits for (`isa/timing.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// What a load has still to bring.
    Operand,
    /// What another instruction has still to write.
    Dependency,
    /// The drain of the array.
    Drain,
    /// What an older instruction has still to read.
    Overwrite,
    /// A port of a memory.
    Port,
    /// The way to DRAM.
    Channel,
    /// Control, which waits at another unit's full queue.
    Queue,
    /// Control, which has not come to the next instruction.
    Control,
    /// Nothing: the unit has no more instructions.
    Finished,
}

impl Wait {
    /// Every wait, in the order reports list them.
    pub const ALL: [Wait; 9] = [
        Wait::Operand,
        Wait::Dependency,
        Wait::Drain,
        Wait::Overwrite,
        Wait::Port,
        Wait::Channel,
        Wait::Queue,
        Wait::Control,
        Wait::Finished,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Wait::Operand => "operand",
            Wait::Dependency => "dependency",
            Wait::Drain => "drain",
            Wait::Overwrite => "overwrite",
            Wait::Port => "port",
            Wait::Channel => "channel",
            Wait::Queue => "queue",
            Wait::Control => "control",
            Wait::Finished => "finished",
        }
    }
}

/// Cycles of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UnitCycles {
    /// Within an instruction's occupancy.
    pub busy: u64,
    /// Waiting, by cause; causes that never were are left out.
    pub waits: BTreeMap<Wait, u64>,
}

impl UnitCycles {
    /// Busy and waiting.
    pub fn total(&self) -> u64 {
        self.busy + self.waits.values().sum::<u64>()
    }

    pub(super) fn wait(&mut self, wait: Wait, cycles: u64) {
        *self.waits.entry(wait).or_default() += cycles;
    }

    /// Adds `times` times another.
    pub fn add(&mut self, other: &UnitCycles, times: u64) {
        self.busy += other.busy * times;
        for (&wait, &cycles) in &other.waits {
            self.wait(wait, cycles * times);
        }
    }
}

/// The four units with queues, in the order accounts list them.
pub(super) const UNITS: [Unit; 4] = [Unit::Load, Unit::Store, Unit::Array, Unit::Vector];

pub(super) fn place(unit: Unit) -> usize {
    UNITS.iter().position(|&u| u == unit).unwrap_or(0)
}

/// Cycles of one phase and layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Cycles in which the oldest instruction not ended was of this phase and layer; over all accounts, the cycles of
    /// the schedule.
    pub cycles: u64,
    units: [UnitCycles; 4],
}

impl Account {
    /// Cycles of a unit that its instructions of this phase and layer took, or waited before.
    pub fn unit(&self, unit: Unit) -> &UnitCycles {
        &self.units[place(unit)]
    }

    /// Cycles of every unit that has a queue, in the order reports list them.
    pub fn units(&self) -> impl Iterator<Item = (Unit, &UnitCycles)> {
        UNITS.into_iter().zip(&self.units)
    }

    pub(super) fn unit_mut(&mut self, unit: usize) -> &mut UnitCycles {
        &mut self.units[unit]
    }

    /// Adds `times` times another.
    pub fn add(&mut self, other: &Account, times: u64) {
        self.cycles += other.cycles * times;
        self.units.iter_mut().zip(&other.units).for_each(|(mine, theirs)| mine.add(theirs, times));
    }
}

/// The accounts of a schedule, by phase and layer.
pub type Accounts = BTreeMap<(Phase, Option<u32>), Account>;
