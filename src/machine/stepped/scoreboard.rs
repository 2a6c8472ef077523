//! Which heads of queues start (`isa/timing.md`: What an instruction waits for).

use super::record::{Record, place};
use crate::isa::{Memory, Unit};
use crate::program::Plan;
use crate::spec::Machine;

/// Instructions in queues and under way, and what they hold.
pub(super) struct Scoreboard<'a> {
    plan: &'a Plan,
    machine: &'a Machine,
    /// Put into a queue and not ended, the oldest first.
    alive: Vec<usize>,
    /// The last instruction each unit started.
    last: [Option<usize>; 4],
}

impl<'a> Scoreboard<'a> {
    pub(super) fn new(plan: &'a Plan, machine: &'a Machine) -> Self {
        Scoreboard { plan, machine, alive: Vec::new(), last: [None; 4] }
    }

    /// An instruction was put into a queue.
    pub(super) fn enter(&mut self, id: usize) {
        self.alive.push(id);
    }

    /// Whether every instruction put into a queue has ended.
    pub(super) fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    /// Forgets what has ended.
    pub(super) fn leave(&mut self, records: &[Record]) {
        self.alive.retain(|&id| !records[id].has_ended());
    }

    /// The heads, the oldest first, that start in this cycle; `array_takes` says whether the array's registers let one in.
    pub(super) fn start(
        &mut self,
        heads: &[usize],
        now: u64,
        records: &mut [Record],
        array_takes: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        // Memories whose port an older head waits for. The channel needs no claim: while one lacks it, it is taken.
        let mut claimed = Vec::new();
        let mut started = Vec::new();
        for &id in heads {
            let unit = place(&self.plan.steps[id]);
            let unit_is_free = self.last[unit].is_none_or(|last| records[last].has_freed_its_unit());
            if !unit_is_free || !array_takes(id) || self.depends(id, records) {
                continue;
            }
            let lacking = self.lacking_ports(id, records);
            let is_claimed = claimed.iter().any(|&memory| records[id].footprint.touches(memory));
            if lacking.is_empty() && !is_claimed && !self.lacks_channel(id, records) {
                records[id].started = Some(now);
                self.last[unit] = Some(id);
                started.push(id);
            }
            claimed.extend(lacking);
        }
        started
    }

    /// Put into a queue and not ended, the oldest first.
    pub(super) fn alive(&self) -> &[usize] {
        &self.alive
    }

    /// Whether an older instruction has still to write what this one reads or writes, or to read what it writes.
    fn depends(&self, id: usize, records: &[Record]) -> bool {
        let mine = &records[id].footprint;
        self.alive.iter().take_while(|&&older| older < id).map(|&older| &records[older]).any(|older| {
            mine.after_writes_of(&older.footprint)
                || (!older.has_read() && mine.after_reads_of(&older.footprint))
        })
    }

    /// Whether a unit holds a port of a memory.
    pub(super) fn holds(&self, unit: usize, memory: Memory, records: &[Record]) -> bool {
        let on_unit = self.alive.iter().filter(|&&id| place(&self.plan.steps[id]) == unit);
        on_unit.map(|&id| &records[id]).filter(|record| record.is_under_way()).any(|record| {
            let touched = &record.footprint;
            touched.writes_to(memory) || (touched.touches(memory) && !record.has_read())
        })
    }

    /// The scratchpads an instruction touches of which its unit holds no port and none is free.
    fn lacking_ports(&self, id: usize, records: &[Record]) -> Vec<Memory> {
        let unit = place(&self.plan.steps[id]);
        let lacks = |&memory: &Memory| {
            let holders = (0..4).filter(|&unit| self.holds(unit, memory, records)).count();
            records[id].footprint.touches(memory)
                && !self.holds(unit, memory, records)
                && holders >= self.ports(memory)
        };
        Memory::SCRATCHPADS.into_iter().filter(lacks).collect()
    }

    fn ports(&self, memory: Memory) -> usize {
        let memories = &self.machine.memory;
        let ports = match memory {
            Memory::Operand => memories.operand.ports,
            Memory::Weight => memories.weight.ports,
            Memory::Accumulator => memories.accumulator.ports,
            Memory::Mask => memories.mask.ports,
            Memory::Dram => u32::MAX,
        };
        usize::try_from(ports).unwrap_or(usize::MAX)
    }

    fn is_move(&self, id: usize) -> bool {
        matches!(self.plan.steps[id].instr.unit(), Unit::Load | Unit::Store)
    }

    /// Whether a move needs the channel that another holds: with one of its own for each unit, the unit is all it needs.
    fn lacks_channel(&self, id: usize, records: &[Record]) -> bool {
        let shared = self.machine.dram.channels == 1;
        let taken = |&&other: &&usize| {
            self.is_move(other) && records[other].is_under_way() && !records[other].has_freed_its_unit()
        };
        shared && self.is_move(id) && self.alive.iter().any(|other| taken(&other))
    }
}
