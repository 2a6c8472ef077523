//! `wagesim trace`.

mod compare;
mod forms;
mod recording;
mod stepping;
mod window;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::begin::Begin;
use super::load::{Choice, EngineChoice};
use super::target::Target;
use super::{Failure, failed, given, print};
use crate::trace::{Limits, Place, Timetable, Window};
use forms::{Job, Written};
use window::{Within, size};

/// Trace a program: a timeline for Perfetto, and more
///
/// Compiles the network (or takes a program as it is) and writes what happens when, in forms that other tools open. The
/// schedule does not depend on data, so a timeline needs none. Files whose names end in `.zst` are compressed; `-` is the
/// output. `docs/traces.md` tells what to do with them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim trace --timeline step.json                      one training step of the LeNet; open it at ui.perfetto.dev
  wagesim trace --timeline conv1.json --layer conv1 --phase error,gradient
  wagesim trace --log a.jsonl.zst --digest --steps 1..3   every instruction of three steps, with what it wrote
  wagesim trace --diff a.jsonl.zst b.jsonl.zst            the first instruction where two runs part
  wagesim trace programs/requantise.s --zeros --log - | head

A window is what is in every range and list given: --steps 2..3 --cycles 0..9999 --unit array. Ranges
have both their ends; instructions and cycles count from 0 in each step, steps from 1.

Exit codes: 0 done (also where --max-size or a closed pipe ended it: the file is whole as far as it
goes), 1 a file that cannot be written, 2 what was given is wrong, 130 stopped by Ctrl-C.")]
pub(super) struct Trace {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    begin: Begin,
    /// A timeline in the trace-event format, for Perfetto
    #[arg(long, value_name = "FILE", help_heading = "Traces")]
    timeline: Option<PathBuf>,
    /// A log: a JSON object a line for each instruction
    #[arg(long, value_name = "FILE", help_heading = "Traces")]
    log: Option<PathBuf>,
    /// In the log, what each instruction came to on data, and a digest of what it wrote
    #[arg(long, requires = "log", help_heading = "Traces")]
    digest: bool,
    /// Execute on data: the log has what each instruction came to
    #[arg(long, help_heading = "Traces")]
    execute: bool,
    /// The streams of DRAM's accesses, for Ramulator 2 and as SCALE-Sim writes them: PREFIX.dram.trace, PREFIX.dram_read.csv
    #[arg(long, value_name = "PREFIX", help_heading = "Traces")]
    memory: Option<PathBuf>,
    /// The scratchpads' streams too, of the stepped engine on data: PREFIX.operand_read.csv and so on
    #[arg(long, requires = "memory", help_heading = "Traces")]
    scratchpads: bool,
    /// A waveform of the stepped engine on data: FST where the name ends in .fst, else VCD
    #[arg(long, value_name = "FILE", help_heading = "Traces")]
    waveform: Option<PathBuf>,
    /// In the waveform, processing elements at ROW,COLUMN (again for more), or `all`
    #[arg(long, value_name = "ROW,COLUMN", requires = "waveform", help_heading = "Traces")]
    pe: Vec<String>,
    /// Golden vectors for hardware, of every instruction of the window on data: $readmemh files, tensors, a manifest
    #[arg(long, value_name = "DIR", help_heading = "Traces")]
    golden: Option<PathBuf>,
    /// Golden vectors of full-scale operands too, whose partial sums wrap, saturate or trap on the way
    #[arg(long, requires = "golden", help_heading = "Traces")]
    stress: bool,
    #[command(flatten)]
    engine: EngineChoice,
    /// Folder of the data set's files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Find the first instruction where two logs part (exit code 1 where they do)
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["timeline", "log"], help_heading = "Traces")]
    diff: Vec<PathBuf>,
    /// Fields of the logs not to look at; `cycles` stands for all four times
    #[arg(long, value_delimiter = ',', value_name = "LIST", requires = "diff", help_heading = "Traces")]
    ignore: Vec<String>,
    #[command(flatten)]
    within: Within,
    /// Bytes a file may have at most, as in 64M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let [a, b] = self.diff.as_slice() {
            return compare::compare(a, b, &self.ignore, self.json);
        }
        if [&self.timeline, &self.log, &self.memory, &self.waveform, &self.golden]
            .iter()
            .all(|trace| trace.is_none())
        {
            let what =
                "--timeline, --log, --memory, --waveform or --golden; `wagesim trace --help` shows examples";
            return Err(given(anyhow!("name a trace: {what}")));
        }
        let target = Target::load(&self.choice, &self.begin)?;
        let window = self.within.window(&target)?;
        let preset = target.machine().energy.clone();
        let table = Timetable::new(target.program(), target.machine(), &target.plan, &preset);
        self.holds_something(&table, &window)?;
        let limits = Limits { most_bytes: self.max_size, ..Limits::default() };
        let stop = limits.stop.clone();
        let handler = ctrlc::set_handler(move || {
            if stop.swap(true, std::sync::atomic::Ordering::SeqCst) {
                std::process::exit(130);
            }
        });
        handler.map_err(failed)?;
        let job = Job { command: self, limits: &limits, target: &target, table: &table, window: &window };
        let mut written = Vec::new();
        if let Some(path) = &self.timeline {
            written.push(job.timeline(path)?);
        }
        if let Some(path) = &self.log {
            written.push(job.log(path)?);
        }
        if let Some(prefix) = &self.memory {
            written.extend(job.memory(prefix)?);
            if self.scratchpads {
                written.extend(job.scratchpads(prefix)?);
            }
        }
        if let Some(path) = &self.waveform {
            let places = self.places(&target)?;
            written.push(job.waveform(path, &places)?);
        }
        if let Some(dir) = &self.golden {
            written.push(job.golden(dir)?);
        }
        let stopped = limits.stop.load(std::sync::atomic::Ordering::SeqCst);
        self.tell(&written)?;
        if stopped { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// The processing elements meant.
    fn places(&self, target: &Target) -> Result<Vec<Place>, Failure> {
        let size = |n: u32| usize::try_from(n).unwrap_or(0);
        let array = &target.machine().array;
        let (rows, columns) = (size(array.rows), size(array.columns));
        let mut places = Vec::new();
        for text in &self.pe {
            if text == "all" {
                return Ok((0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).collect());
            }
            let numbers = text
                .split_once(',')
                .and_then(|(r, c)| Some((r.trim().parse().ok()?, c.trim().parse().ok()?)));
            match numbers {
                Some((row, column)) if row < rows && column < columns => places.push((row, column)),
                _ => {
                    let what = format!(
                        "is no element of {rows} rows and {columns} columns; write ROW,COLUMN from 0, or all"
                    );
                    return Err(given(anyhow!("--pe: `{text}` {what}")));
                }
            }
        }
        Ok(places)
    }

    /// Refuses a window without an instruction.
    fn holds_something(&self, table: &Timetable<'_>, window: &Window) -> Result<(), Failure> {
        if table.within(window).next().is_some() {
            return Ok(());
        }
        let (instructions, cycles) = (table.plan.steps.len(), table.schedule.cycles);
        let mut phases: Vec<&str> = table.plan.steps.iter().map(|s| s.phase.name()).collect();
        phases.dedup();
        phases.sort_unstable();
        phases.dedup();
        Err(given(anyhow!(
            "the window holds nothing: entry `{}` executes instructions 0..{} in cycles 0..{}, phases {}; widen it",
            table.plan.entry,
            instructions.saturating_sub(1),
            cycles.saturating_sub(1),
            phases.join(", "),
        )))
    }

    fn tell(&self, written: &[Written]) -> Result<(), Failure> {
        for file in written {
            if let Some(cut) = &file.cut {
                eprintln!("note: {} ends early: {cut}", file.file.display());
            }
        }
        if written.iter().any(|w| w.file == Path::new("-")) {
            return Ok(());
        }
        if self.json {
            return print(&(serde_json::to_string_pretty(written).map_err(failed)? + "\n"));
        }
        let lines = written
            .iter()
            .map(|w| format!("{} {}: {} records, {} bytes\n", w.trace, w.file.display(), w.records, w.bytes));
        print(&lines.collect::<String>())
    }
}
