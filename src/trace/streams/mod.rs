//! The streams of DRAM's accesses: bursts in the order and the cycles in which they are begun, as the traces that Ramulator 2
//! reads and as the tables that SCALE-Sim writes.
//!
//! A load's bursts are asked for as its beats enter the way to DRAM, a store's are given as its beats come out of it. Addresses
//! are bytes of DRAM; an access is one burst, so accesses times `dram.burst_bytes` are the bytes of the report.

mod bursts;
mod levels;
mod rows;

use std::io::Write;
use std::path::{Path, PathBuf};

use bursts::{Burst, Bursts};
pub use levels::Levels;
pub(super) use rows::Rows;

use super::form::together;
use super::{End, Form, Halt, Limits, Sink, Timetable, Window, Written};
use crate::isa::Unit;
use crate::machine::State;

/// Writes the streams of DRAM: `PREFIX.dram.trace`, `PREFIX.dram_read.csv`, `PREFIX.dram_write.csv`; where its levels are known,
/// `PREFIX.dram_levels.trace`.
pub struct DramStreams<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    trace: Sink,
    levels: Option<(Levels, Sink)>,
    tables: [Rows; 2],
}

/// A prefix with an ending.
pub(super) fn named(prefix: &Path, ending: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

impl<'a> DramStreams<'a> {
    /// Streams with nothing in them yet.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn create(
        prefix: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
        levels: Option<&Levels>,
    ) -> Result<Self, Halt> {
        let dram = &table.machine.dram;
        let width = usize::try_from(dram.bytes_per_cycle.div_ceil(dram.burst_bytes.max(1))).unwrap_or(1);
        let trace = Sink::create(&named(prefix, ".dram.trace"), limits, 0)?;
        let levels = levels
            .map(|levels| {
                Ok::<_, Halt>((
                    levels.clone(),
                    Sink::create(&named(prefix, ".dram_levels.trace"), limits, 0)?,
                ))
            })
            .transpose()?;
        let read = Rows::create(&named(prefix, ".dram_read.csv"), limits, width)?;
        let write = Rows::create(&named(prefix, ".dram_write.csv"), limits, width)?;
        Ok(DramStreams { table, window, trace, levels, tables: [read, write] })
    }

    /// One execution of the entry: training step `step`.
    fn pass(&mut self, step: u64) -> Result<(), Halt> {
        let (table, window) = (self.table, self.window);
        let offset = (step - 1) * table.schedule.cycles;
        // Each unit's bursts come in order of time; the two are merged by it.
        let of = |unit: Unit| {
            let moves = table.within(window).filter(move |(_, step, _)| step.instr.unit() == unit);
            moves.filter_map(|(_, step, times)| Bursts::of(&step.instr, times, table)).flatten().peekable()
        };
        let mut units = [of(Unit::Load), of(Unit::Store)];
        loop {
            let next = units.each_mut().map(|unit| unit.peek().map_or(u64::MAX, |burst| burst.cycle));
            let place = usize::from(next[1] < next[0]);
            let Some(Burst { cycle, address }) = units[place].next() else { return Ok(()) };
            self.trace.record(|out| {
                let what = ["LD", "ST"][place];
                // A vector takes all that is written.
                let _ = writeln!(out, "{what} {address:#x}");
            })?;
            if let Some((levels, trace)) = &mut self.levels {
                trace.record(|out| {
                    out.extend([b"R ", b"W "][place]);
                    levels.write(address / u64::from(table.machine.dram.burst_bytes.max(1)), out);
                    out.push(b'\n');
                })?;
            }
            self.tables[place].add(offset + cycle, address)?;
        }
    }
}

impl Form for DramStreams<'_> {
    fn step(&mut self, step: u64, _: Option<&State>) -> Result<(), End> {
        Ok(self.pass(step)?)
    }

    fn finish(self: Box<Self>, _: bool) -> (Vec<Written>, Option<Halt>) {
        let traces = [Some(self.trace), self.levels.map(|(_, trace)| trace)].into_iter().flatten();
        let traces = traces.map(|trace| {
            let file = trace.path().to_owned();
            Written::of("dram", file, trace.finish(true, |_, _| Vec::new()))
        });
        together(traces.chain(self.tables.map(|table| table.finish("dram"))))
    }
}
