//! What is to be traced, as it is typed: forms, a window and a bound. `wagesim trace` has these options of its own;
//! `wagesim train --trace` takes them as one text.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use clap::{Args, Parser};

use super::window::{Entry, Within, size};
use super::{Failure, failed, given};
use crate::machine::Engine;
use crate::program::Program;
use crate::spec::Array;
use crate::trace::{
    Closed, DramStreams, End, Form, Golden, Halt, Levels, Limits, Log, OnData, Place, ScratchpadStreams,
    Timeline, Timetable, Traces, Waveform, Window, Written,
};

/// Forms of trace, and what of a run is in them.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Order {
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
    /// The stream for Ramulator 2's ReadWriteTrace too, PREFIX.dram_levels.trace: how many channels, ranks, bank groups, banks, rows,
    /// columns (of a burst) the DRAM has, as many levels as it is to be read with
    #[arg(long, value_name = "N,N,…", requires = "memory", help_heading = "Traces")]
    dram_levels: Option<Levels>,
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
    within: Within,
    /// Bytes a file may have at most, as in 64M
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Window")]
    max_size: Option<u64>,
}

/// An order that is a text of its own.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Typed {
    #[command(flatten)]
    order: Order,
}

/// What is told where no form is named.
const NO_FORM: &str = "name a trace: --timeline, --log, --memory, --waveform or --golden; `wagesim trace --help` shows examples";

/// A file that was written, and what its user is told of it.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct File {
    #[serde(flatten)]
    pub(super) written: Written,
    /// Why it ends before its window does.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<&'static str>,
}

impl std::fmt::Display for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Written { trace, file, records, bytes, .. } = &self.written;
        write!(f, "{trace} {}: {records} records, {bytes} bytes", file.display())
    }
}

impl Order {
    /// The order a text says, in the words of a shell.
    pub(in crate::cli) fn typed(text: &str) -> Result<Order, String> {
        let words = shlex::split(text).ok_or("a quote in it is not closed")?;
        let order = Typed::try_parse_from(words).map_err(|error| error.render().to_string())?.order;
        if order.forms().count() == 0 {
            return Err(NO_FORM.to_owned());
        }
        if order.forms().any(|form| form == "-") {
            return Err("`-`: the output has the report; name a file".to_owned());
        }
        Ok(order)
    }

    fn forms(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.timeline, &self.log, &self.memory, &self.waveform, &self.golden].into_iter().flatten()
    }

    /// Refuses an order without a form.
    pub(super) fn names_a_form(&self) -> Result<(), Failure> {
        if self.forms().next().is_none() {
            return Err(given(anyhow!(NO_FORM)));
        }
        match [&self.memory, &self.golden].into_iter().flatten().any(|name| name == Path::new("-")) {
            true => Err(given(anyhow!("`-`: --memory and --golden write several files; give them a name"))),
            false => Ok(()),
        }
    }

    /// Whether a form of it executes the program.
    pub(super) fn needs_data(&self) -> bool {
        self.executes_in_order() || self.scratchpads || self.waveform.is_some()
    }

    /// Whether a form of it needs an engine that executes in the program's order.
    pub(super) fn executes_in_order(&self) -> bool {
        (self.log.is_some() && (self.digest || self.execute)) || self.golden.is_some()
    }

    /// Its window over an entry.
    pub(in crate::cli) fn window(&self, program: &Program, entry: &Entry<'_>) -> Result<Window, Failure> {
        self.within.window(program, entry)
    }

    /// Its forms with nothing in them yet, `stop` ending them early; `engine` makes what executes in the program's order.
    pub(in crate::cli) fn open<'a>(
        &self,
        table: &'a Timetable<'a>,
        window: &'a Window,
        stop: &Arc<AtomicBool>,
        engine: &dyn Fn() -> Box<dyn Engine>,
    ) -> Result<Traces<'a>, Failure> {
        holds_something(table, window)?;
        let limits = &Limits { most_bytes: self.max_size, stop: Arc::clone(stop) };
        let places = self.places(&table.machine.array)?;
        let mut forms: Vec<Box<dyn Form + 'a>> = Vec::new();
        if let Some(path) = &self.timeline {
            forms.push(Box::new(Timeline::create(path, limits, table, window).map_err(unopened)?));
        }
        if let Some(path) = &self.log {
            let executes = self.digest || self.execute;
            let on_data = executes.then(|| OnData { engine: engine(), digest: self.digest });
            forms.push(Box::new(Log::create(path, limits, table, window, on_data).map_err(unopened)?));
        }
        if let Some(prefix) = &self.memory {
            let levels = self.levels(table)?;
            let streams = DramStreams::create(prefix, limits, table, window, levels);
            forms.push(Box::new(streams.map_err(unopened)?));
            if self.scratchpads {
                let streams = ScratchpadStreams::create(prefix, limits, table, window);
                forms.push(Box::new(streams.map_err(unopened)?));
            }
        }
        if let Some(path) = &self.waveform {
            let waveform = Waveform::create(path, limits, table, window, &places);
            forms.push(Box::new(waveform.map_err(unopened)?));
        }
        if let Some(dir) = &self.golden {
            let golden = Golden::create(dir, limits, table, window, engine(), self.stress);
            forms.push(Box::new(golden.map_err(unopened)?));
        }
        Ok(Traces::new(window, forms))
    }

    /// The DRAM's levels, where they are given; they hold the program's DRAM.
    fn levels(&self, table: &Timetable<'_>) -> Result<Option<&Levels>, Failure> {
        let burst = u64::from(table.machine.dram.burst_bytes);
        let needed = table.program.dram_bytes.div_ceil(burst.max(1));
        match &self.dram_levels {
            Some(levels) if levels.bursts() < needed => Err(given(anyhow!(
                "--dram-levels: they hold {} bursts of {burst} bytes, the program's DRAM has {needed}; give more rows",
                levels.bursts()
            ))),
            levels => Ok(levels.as_ref()),
        }
    }

    /// The processing elements meant.
    fn places(&self, array: &Array) -> Result<Vec<Place>, Failure> {
        let size = |n: u32| usize::try_from(n).unwrap_or(0);
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
}

/// A file that could not be begun.
fn unopened(halt: Halt) -> Failure {
    match halt {
        Halt::Limit => {
            given(anyhow!("--max-size: too little for how a trace of this form begins and ends; give more"))
        }
        halt => failed(halt),
    }
}

/// Refuses a window without an instruction.
fn holds_something(table: &Timetable<'_>, window: &Window) -> Result<(), Failure> {
    if table.within(window).next().is_some() {
        return Ok(());
    }
    let (instructions, cycles) = (table.plan.steps.len(), table.schedule.cycles);
    let mut phases: Vec<&str> = table.plan.steps.iter().map(|s| s.phase.name()).collect();
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

/// What is told of traces that were closed: their files, a note of each that ends early, and the first failure among them.
pub(in crate::cli) fn files(closed: Vec<Closed>) -> (Vec<File>, Result<(), Failure>) {
    let (mut files, mut ended) = (Vec::new(), Ok(()));
    for Closed { written, end } in closed {
        let cut = match end {
            None | Some(End::Halt(Halt::Closed)) => None,
            Some(End::Halt(Halt::Limit)) => {
                Some("it has come to --max-size; give it more, or a smaller window")
            }
            Some(End::Halt(Halt::Stopped)) => Some("stopped"),
            Some(End::Halt(Halt::Failed(error))) => {
                ended = ended.and(Err(failed(error)));
                Some("it cannot be written")
            }
            Some(End::Fault(fault)) => {
                ended = ended.and(Err(failed(fault)));
                Some("the machine stopped")
            }
        };
        for written in written {
            if let Some(cut) = cut {
                eprintln!("note: {} ends early: {cut}", written.file.display());
            }
            files.push(File { written, cut });
        }
    }
    (files, ended)
}
