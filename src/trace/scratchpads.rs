//! The streams of the scratchpads: every element that the stepped engine reads and writes, in SCALE-Sim's form. A watcher of that
//! engine; it computes no address itself.

use std::path::{Path, PathBuf};

use super::streams::{Rows, Stream, named};
use super::{Halt, Limits, Timetable, Window};
use crate::isa::Memory;
use crate::machine::{View, Watch};

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
    /// The last step of the window is under way: nothing comes behind its last cycle.
    last: bool,
    halt: Option<Halt>,
}

/// A stream with the bits its accesses moved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// The file.
    pub file: PathBuf,
    /// Accesses in it.
    pub accesses: u64,
    /// Bits of all accesses.
    pub bits: u64,
    /// Bytes of the file.
    pub bytes: u64,
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
                ports.push(Port { memory, write, rows: Rows::create(&path, limits)?, bits: 0 });
            }
        }
        Ok(ScratchpadStreams { table, window, ports, offset: 0, last: false, halt: None })
    }

    /// The next execution is training step `step`; whether it is the window's last.
    pub fn begin(&mut self, step: u64, last: bool) {
        (self.offset, self.last) = ((step - 1) * self.table.schedule.cycles, last);
    }

    /// What ended the streams early.
    pub fn take_halt(&mut self) -> Option<Halt> {
        self.halt.take()
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

    /// Ends the files; what each moved.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn finish(self) -> Result<Vec<Moved>, Halt> {
        let ports = self.ports.into_iter();
        ports
            .map(|port| {
                let Stream { file, accesses, bytes } = port.rows.finish()?;
                Ok(Moved { file, accesses, bits: port.bits, bytes })
            })
            .collect()
    }
}

impl Watch for ScratchpadStreams<'_> {
    fn cycle(&mut self, view: &View<'_>) -> bool {
        let cycles = self.window.cycles;
        if self.halt.is_none() && cycles.holds(view.cycle) {
            self.halt = self.note(view).err();
        }
        let behind = cycles.last.is_some_and(|last| view.cycle >= last);
        !(self.last && (behind || self.halt.is_some()))
    }
}
