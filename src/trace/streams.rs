//! The stream of DRAM's accesses: bursts in the order and the cycles in which they are begun, as the trace that Ramulator 2
//! reads and as the tables that SCALE-Sim writes.
//!
//! A load's bursts are asked for as its beats enter the way to DRAM, a store's are given as its beats come out of it. Addresses
//! are bytes of DRAM; an access is one burst, so accesses times `dram.burst_bytes` are the bytes of the report.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Halt, Limits, Sink, Timetable, Window};
use crate::isa::{Instr, Unit};
use crate::timing::Times;

/// A burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Burst {
    cycle: u64,
    address: u64,
}

/// The bursts of one move, in order of time.
struct Bursts {
    /// Address of the next run's first byte, by row and plane.
    first: i64,
    rows: u64,
    planes: u64,
    row: i64,
    plane: i64,
    /// Bursts of a run.
    run: u64,
    burst: u64,
    beat: u64,
    from: u64,
    /// Bursts so far.
    next: u64,
}

impl Bursts {
    fn of(instr: &Instr, times: &Times, table: &Timetable<'_>) -> Option<Self> {
        let dram = &table.machine.dram;
        let (at, [bytes, rows, planes], row, plane, from) = match instr {
            Instr::Load(m) => (m.src, [m.bytes, m.rows, m.planes], m.src_row, m.src_plane, times.started),
            Instr::Store(m) => {
                let from = times.started + u64::from(dram.latency_cycles);
                (m.dst, [m.bytes, m.rows, m.planes], m.dst_row, m.dst_plane, from)
            }
            _ => return None,
        };
        let [bytes, rows, planes] = [bytes, rows, planes].map(u64::from);
        // Rows that follow each other without a gap are one run, and so are planes of such rows (`isa/timing.md`).
        let follows = |stride: i64, length: u64| u64::try_from(stride).is_ok_and(|s| s == length);
        let rows_follow = rows == 1 || follows(row, bytes);
        let planes_follow = rows_follow && (planes == 1 || follows(plane, rows * bytes));
        let (length, rows, planes) = match (rows_follow, planes_follow) {
            (_, true) => (planes * rows * bytes, 1, 1),
            (true, _) => (rows * bytes, 1, planes),
            _ => (bytes, rows, planes),
        };
        let burst = u64::from(dram.burst_bytes.max(1));
        let first = i64::try_from(at.offset).unwrap_or(i64::MAX);
        let run = length.div_ceil(burst);
        Some(Bursts {
            first,
            rows,
            planes,
            row,
            plane,
            run,
            burst,
            beat: dram.bytes_per_cycle.into(),
            from,
            next: 0,
        })
    }
}

impl Iterator for Bursts {
    type Item = Burst;

    fn next(&mut self) -> Option<Burst> {
        let (run, within) = (self.next / self.run.max(1), self.next % self.run.max(1));
        if self.run == 0 || run == self.rows * self.planes {
            return None;
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let start = self.first
            + signed(run / self.rows) * self.plane
            + signed(run % self.rows) * self.row
            + signed(within * self.burst);
        let cycle = self.from + self.next * self.burst / self.beat;
        self.next += 1;
        Some(Burst { cycle, address: u64::try_from(start).unwrap_or(0) })
    }
}

/// A table in SCALE-Sim's form: a row for each cycle with an access, the cycle and the addresses.
pub(super) struct Rows {
    sink: Sink,
    open: Option<u64>,
    addresses: Vec<u64>,
    pub(super) accesses: u64,
}

impl Rows {
    pub(super) fn create(path: &Path, limits: &Limits) -> Result<Self, Halt> {
        Ok(Rows { sink: Sink::create(path, limits, 0)?, open: None, addresses: Vec::new(), accesses: 0 })
    }

    /// An access; cycles never go back.
    pub(super) fn add(&mut self, cycle: u64, address: u64) -> Result<(), Halt> {
        if self.open != Some(cycle) {
            self.row()?;
            self.open = Some(cycle);
        }
        self.addresses.push(address);
        Ok(())
    }

    fn row(&mut self) -> Result<(), Halt> {
        let Some(cycle) = self.open.take() else { return Ok(()) };
        let addresses = std::mem::take(&mut self.addresses);
        self.sink.record(|out| {
            // A vector takes all that is written.
            let _ = write!(out, "{cycle},");
            for address in &addresses {
                let _ = write!(out, "{address},");
            }
            out.push(b'\n');
        })?;
        self.accesses += addresses.len() as u64;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Stream, Halt> {
        let halt = self.row();
        let (file, accesses) = (self.sink.path().to_owned(), self.accesses);
        let bytes = self.sink.finish(b"")?;
        halt.map(|()| Stream { file, accesses, bytes })
    }
}

/// A stream that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The file.
    pub file: PathBuf,
    /// Accesses in it.
    pub accesses: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the streams of DRAM: `PREFIX.dram.trace`, `PREFIX.dram_read.csv`, `PREFIX.dram_write.csv`.
pub struct DramStreams<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    trace: Sink,
    lines: u64,
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
    ) -> Result<Self, Halt> {
        let trace = Sink::create(&named(prefix, ".dram.trace"), limits, 0)?;
        let read = Rows::create(&named(prefix, ".dram_read.csv"), limits)?;
        let write = Rows::create(&named(prefix, ".dram_write.csv"), limits)?;
        Ok(DramStreams { table, window, trace, lines: 0, tables: [read, write] })
    }

    /// One execution of the entry: training step `step`.
    ///
    /// # Errors
    /// When a file must end.
    pub fn pass(&mut self, step: u64) -> Result<(), Halt> {
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
            let what = ["LD", "ST"][place];
            self.trace.record(|out| {
                let _ = writeln!(out, "{what} {address:#x}");
            })?;
            self.lines += 1;
            self.tables[place].add(offset + cycle, address)?;
        }
    }

    /// Ends the files.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn finish(self) -> Result<Vec<Stream>, Halt> {
        let (file, accesses) = (self.trace.path().to_owned(), self.lines);
        let bytes = self.trace.finish(b"")?;
        let mut streams = vec![Stream { file, accesses, bytes }];
        for table in self.tables {
            streams.push(table.finish()?);
        }
        Ok(streams)
    }
}
