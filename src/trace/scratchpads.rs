//! The streams of the scratchpads: every element that the stepped engine reads and writes, in SCALE-Sim's form. A watcher of that
//! engine; it computes no address itself.

use std::path::Path;

use super::form::together;
use super::streams::{Rows, named};
use super::{End, Form, Halt, Limits, Timetable, Window, Written};
use crate::isa::Memory;
use crate::machine::{State, Stepped, View, Watch};
use crate::spec::Machine;

/// One memory in one direction.
struct Port {
    memory: Memory,
    write: bool,
    rows: Rows,
    bits: u64,
}

/// Writes `PREFIX.operand_read.csv` and so on, eight files.
pub struct ScratchpadStreams<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    ports: Vec<Port>,
    offset: u64,
    halt: Option<Halt>,
}

/// Addresses of a row: what the widest of the memory's users takes in a cycle.
fn width(memory: Memory, machine: &Machine) -> usize {
    let array = match memory {
        Memory::Operand => machine.array.rows,
        Memory::Weight | Memory::Accumulator => machine.array.columns,
        _ => 0,
    };
    let most = array.max(machine.vector.lanes).max(machine.dram.bytes_per_cycle);
    usize::try_from(most).unwrap_or(1)
}

impl<'a> ScratchpadStreams<'a> {
    /// Streams with nothing in them yet.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn create(
        prefix: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
    ) -> Result<Self, Halt> {
        let mut ports = Vec::new();
        for memory in Memory::SCRATCHPADS {
            for (write, ending) in [(false, "read"), (true, "write")] {
                let path = named(prefix, &format!(".{}_{ending}.csv", memory.name()));
                ports.push(Port {
                    memory,
                    write,
                    rows: Rows::create(&path, limits, width(memory, table.machine))?,
                    bits: 0,
                });
            }
        }
        Ok(ScratchpadStreams { table, window, ports, offset: 0, halt: None })
    }

    fn note(&mut self, view: &View<'_>) -> Result<(), Halt> {
        let cycle = self.offset + view.cycle;
        for access in view.accesses() {
            let port = self.ports.iter_mut().find(|p| p.memory == access.memory && p.write == access.write);
            if let Some(port) = port {
                port.rows.add(cycle, access.bit / 8)?;
                port.bits += u64::from(access.bits);
            }
        }
        Ok(())
    }
}

impl Form for ScratchpadStreams<'_> {
    fn step(&mut self, step: u64, before: Option<&State>) -> Result<(), End> {
        let Some(before) = before else { return Ok(()) };
        self.offset = (step - 1) * self.table.schedule.cycles;
        let mut stepped = Stepped::new(self.table.machine.clone());
        stepped.watched(self.table.plan, &mut before.clone(), &mut [], Some(self))?;
        self.halt.take().map_or(Ok(()), |halt| Err(halt.into()))
    }

    fn finish(self: Box<Self>, _: bool) -> (Vec<Written>, Option<Halt>) {
        together(self.ports.into_iter().map(|port| {
            let (written, late) = port.rows.finish("scratchpad");
            (Written { moved_bits: Some(port.bits), ..written }, late)
        }))
    }
}

impl Watch for ScratchpadStreams<'_> {
    fn cycle(&mut self, view: &View<'_>) -> bool {
        let cycles = self.window.cycles;
        if self.halt.is_none() && cycles.holds(view.cycle) {
            self.halt = self.note(view).err();
        }
        let behind = cycles.last.is_some_and(|last| view.cycle >= last);
        !(behind || self.halt.is_some())
    }
}
