//! What a plan reads of DRAM before it writes it: what must have values before it runs.

use super::{Initial, Plan, Program, Tensor};
use crate::isa::{Footprint, Memory, Unit};

impl Plan {
    /// Tensors without initial values that some instruction reads before any wrote to them, in the memory map's order.
    ///
    /// An instruction counts as touching what lies between its first byte and its last.
    pub fn read_first<'p>(&self, program: &'p Program) -> Vec<&'p Tensor> {
        let mut unwritten: Vec<(&Tensor, bool)> = program
            .tensors
            .iter()
            .filter(|t| t.initial == Initial::Zero && t.bytes() > 0)
            .map(|t| (t, false))
            .collect();
        let meets = |t: &Tensor, first: u64, end: u64| first < t.address + t.bytes() && t.address < end;
        for step in self.steps.iter().filter(|s| matches!(s.instr.unit(), Unit::Load | Unit::Store)) {
            let footprint = Footprint::of(&step.instr);
            for read in footprint.reads.iter().filter(|r| r.memory == Memory::Dram) {
                unwritten.iter_mut().for_each(|(t, is_read)| *is_read |= meets(t, read.first, read.end));
            }
            for write in footprint.writes.iter().filter(|r| r.memory == Memory::Dram) {
                unwritten.retain(|(t, is_read)| *is_read || !meets(t, write.first, write.end));
            }
        }
        unwritten.into_iter().filter(|(_, is_read)| *is_read).map(|(t, _)| t).collect()
    }
}
