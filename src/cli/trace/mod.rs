//! `wagesim trace`.

mod compare;
mod recording;
mod stepping;
mod window;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::begin::Begin;
use super::load::{Choice, EngineChoice};
use super::progress::Steps;
use super::target::Target;
use super::{Failure, failed, given, print};
use crate::trace::{
    DramStreams, Follow, Golden, Halt, Limits, Log, Place, ScratchpadStreams, Stream, Timeline, Timetable,
    Waveform, Window,
};
use recording::Recording;
use stepping::{Stepping, Watcher};
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

/// One file that was written.
#[derive(Debug, serde::Serialize)]
struct Written {
    trace: &'static str,
    file: PathBuf,
    records: u64,
    bytes: u64,
    /// Of a scratchpad: bits that its accesses moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_bits: Option<u64>,
    /// Why it ends before its run does.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<String>,
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
        let mut written = Vec::new();
        if let Some(path) = &self.timeline {
            written.push(timeline(path, &limits, &table, &window)?);
        }
        if let Some(path) = &self.log {
            written.push(self.log(path, &limits, &target, &table, &window)?);
        }
        if let Some(prefix) = &self.memory {
            written.extend(memory(prefix, &limits, &table, &window)?);
            if self.scratchpads {
                written.extend(self.scratchpads(prefix, &limits, &target, &table, &window)?);
            }
        }
        if let Some(path) = &self.waveform {
            let places = self.places(&target)?;
            written.push(self.waveform(path, &limits, &target, &table, &window, &places)?);
        }
        if let Some(dir) = &self.golden {
            written.push(self.golden(dir, &limits, &target, &table, &window)?);
        }
        let stopped = limits.stop.load(std::sync::atomic::Ordering::SeqCst);
        self.tell(&written)?;
        if stopped { Err(Failure::Stopped) } else { Ok(()) }
    }

    fn log(
        &self,
        path: &Path,
        limits: &Limits,
        target: &Target,
        table: &Timetable<'_>,
        window: &Window,
    ) -> Result<Written, Failure> {
        if self.engine.is_stepped() {
            let what = "instructions of the stepped engine end out of order; log with fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let mut log = match Log::create(path, limits, table, window, self.digest) {
            Ok(log) => log,
            Err(halt) => return written("log", path, 0, Err(halt), None),
        };
        let [first, last] = steps(window);
        let (ran, halt) = if self.digest || self.execute {
            let engine = self.engine.on(target.machine());
            let ran = target.execute(&self.begin, self.data.as_deref(), engine, [first, last], &mut log);
            (ran, log.take_halt())
        } else {
            (Ok(()), passes([first, last], |step| log.pass(step)))
        };
        let records = log.records();
        let end = log.finish(halt.as_ref().or(ran.is_err().then_some(&Halt::Stopped)));
        ran?;
        written("log", path, records, end, halt)
    }

    /// Executes on the stepped engine while a watcher looks; the watcher, and what ended it.
    fn watch<'t, W: Watcher + 't>(
        &self,
        target: &Target,
        window: &Window,
        watcher: W,
    ) -> Result<(W, Option<Halt>), Failure> {
        let [first, last] = steps(window);
        let mut stepping = Stepping::new(watcher, last);
        let engine = stepping.engine(target.machine());
        target.execute(&self.begin, self.data.as_deref(), engine, [first, last], &mut stepping)?;
        let halt = stepping.take_halt();
        let watcher = stepping.into_watcher().ok_or_else(|| failed(anyhow!("the engine is still there")))?;
        Ok((watcher, halt))
    }

    fn scratchpads(
        &self,
        prefix: &Path,
        limits: &Limits,
        target: &Target,
        table: &Timetable<'_>,
        window: &Window,
    ) -> Result<Vec<Written>, Failure> {
        let streams = match ScratchpadStreams::create(prefix, limits, table, window) {
            Ok(streams) => streams,
            Err(halt) => return Ok(vec![written("scratchpads", prefix, 0, Err(halt), None)?]),
        };
        let (streams, halt) = self.watch(target, window, streams)?;
        let ended = streams.finish();
        let cut = ended_by(halt)?;
        match ended {
            Ok(moved) => Ok(moved
                .into_iter()
                .map(|m| Written {
                    trace: "scratchpad",
                    file: m.file,
                    records: m.accesses,
                    bytes: m.bytes,
                    moved_bits: Some(m.bits),
                    cut: cut.clone(),
                })
                .collect()),
            Err(halt) => Ok(vec![written("scratchpads", prefix, 0, Err(halt), None)?]),
        }
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

    fn waveform(
        &self,
        path: &Path,
        limits: &Limits,
        target: &Target,
        table: &Timetable<'_>,
        window: &Window,
        places: &[Place],
    ) -> Result<Written, Failure> {
        let waveform = match Waveform::create(path, limits, table, window, places) {
            Ok(waveform) => waveform,
            Err(halt) => return written("waveform", path, 0, Err(halt), None),
        };
        let (waveform, halt) = self.watch(target, window, waveform)?;
        let cycles = waveform.cycles();
        written("waveform", path, cycles, waveform.finish(path), halt)
    }

    fn golden(
        &self,
        dir: &Path,
        limits: &Limits,
        target: &Target,
        table: &Timetable<'_>,
        window: &Window,
    ) -> Result<Written, Failure> {
        if self.engine.is_stepped() {
            let what = "the stepped engine executes instructions side by side; take fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let golden = match Golden::create(dir, limits, table, window, self.stress) {
            Ok(golden) => golden,
            Err(halt) => return written("golden", dir, 0, Err(halt), None),
        };
        let mut recording = Recording::new(golden);
        let engine = recording.engine(self.engine.on(target.machine()));
        let ran = target.execute(&self.begin, self.data.as_deref(), engine, steps(window), &mut recording);
        let halt = recording.take_halt();
        let golden = recording.into_golden().ok_or_else(|| failed(anyhow!("the engine is still there")))?;
        let vectors = golden.vectors();
        let end = golden.finish(halt.as_ref().or(ran.is_err().then_some(&Halt::Stopped)));
        ran?;
        written("golden", dir, vectors, end, halt)
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

/// What a trace came to, as its user is told; an error where it cannot be written.
fn ended_by(halt: Option<Halt>) -> Result<Option<String>, Failure> {
    match halt {
        None | Some(Halt::Closed) => Ok(None),
        Some(Halt::Limit) => {
            Ok(Some("it has come to --max-size; give it more, or a smaller window".to_owned()))
        }
        Some(Halt::Stopped) => Ok(Some("stopped".to_owned())),
        Some(Halt::Failed(error)) => Err(failed(error)),
    }
}

fn timeline(
    path: &Path,
    limits: &Limits,
    table: &Timetable<'_>,
    window: &Window,
) -> Result<Written, Failure> {
    let mut timeline = match Timeline::create(path, limits, table, window) {
        Ok(timeline) => timeline,
        Err(halt) => return written("timeline", path, 0, Err(halt), None),
    };
    let [first, last] = steps(window);
    let halt = passes([first, last], |step| timeline.pass(step));
    let records = timeline.events();
    let end = timeline.finish(halt.as_ref());
    written("timeline", path, records, end, halt)
}

fn memory(
    prefix: &Path,
    limits: &Limits,
    table: &Timetable<'_>,
    window: &Window,
) -> Result<Vec<Written>, Failure> {
    let mut streams = match DramStreams::create(prefix, limits, table, window) {
        Ok(streams) => streams,
        Err(halt) => return Ok(vec![written("dram", prefix, 0, Err(halt), None)?]),
    };
    let [first, last] = steps(window);
    let halt = passes([first, last], |step| streams.pass(step));
    let ended = streams.finish();
    let cut = ended_by(halt)?;
    match ended {
        Ok(streams) => Ok(streams
            .into_iter()
            .map(|Stream { file, accesses, bytes }| Written {
                trace: "dram",
                file,
                records: accesses,
                bytes,
                moved_bits: None,
                cut: cut.clone(),
            })
            .collect()),
        Err(halt) => Ok(vec![written("dram", prefix, 0, Err(halt), None)?]),
    }
}

/// Traces steps one after another; what ended it early.
fn passes([first, last]: [u64; 2], mut pass: impl FnMut(u64) -> Result<(), Halt>) -> Option<Halt> {
    let display = Steps::new("tracing", last);
    (first..=last).find_map(|step| {
        display.begin(step);
        pass(step).err()
    })
}

/// The training steps of a window.
fn steps(window: &Window) -> [u64; 2] {
    [window.steps.first.unwrap_or(1), window.steps.last.unwrap_or(1)]
}

/// What is told of a file that ended so, cut short by `halt` if it was.
fn written(
    trace: &'static str,
    path: &Path,
    records: u64,
    end: Result<u64, Halt>,
    halt: Option<Halt>,
) -> Result<Written, Failure> {
    let (bytes, late) = end.map_or_else(|halt| (0, Some(halt)), |bytes| (bytes, None));
    let cut = ended_by(halt.or(late))?;
    Ok(Written { trace, file: path.to_owned(), records, bytes, moved_bits: None, cut })
}
