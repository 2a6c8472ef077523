//! `wagesim trace`.

mod compare;
mod order;
mod tracing;
mod window;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::anyhow;
use clap::Args;

use super::begin::Begin;
use super::load::{Choice, EngineChoice};
use super::progress::Steps;
use super::target::Target;
use super::{Failure, failed, given, print, stop_on_ctrl_c};
use crate::trace::{Timetable, Traces};
use order::files;
pub(super) use order::{File, Order};
pub(super) use tracing::Tracing;
pub(super) use window::Entry;

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
    #[command(flatten)]
    order: Order,
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
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let [a, b] = self.diff.as_slice() {
            return compare::compare(a, b, &self.ignore, self.json);
        }
        self.order.names_a_form()?;
        let target = Target::load(&self.choice, &self.begin)?;
        let entry = if target.trains() { Entry::Step } else { Entry::Once(&target.plan.entry) };
        let window = self.order.window(target.program(), &entry)?;
        let preset = target.machine().energy.clone();
        let table = Timetable::new(target.program(), target.machine(), &target.plan, &preset);
        let stop = Arc::default();
        stop_on_ctrl_c(&stop)?;
        if self.order.executes_in_order() && self.engine.is_stepped() {
            let what = "the stepped engine ends instructions out of order; take fast or reference";
            return Err(given(anyhow!("--engine stepped: {what}")));
        }
        let mut traces = self.order.open(&table, &window, &stop, &|| self.engine.on(target.machine()))?;
        let ran = self.trace(&target, &mut traces);
        let closed = traces.close();
        let (written, ended) = files(closed);
        self.tell(&written)?;
        ran.and(ended)?;
        if stop.load(Ordering::SeqCst) { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Shows the traces every step of their window.
    fn trace(&self, target: &Target, traces: &mut Traces<'_>) -> Result<(), Failure> {
        let [first, last] = traces.steps();
        let display = Steps::new("tracing", last);
        if !self.order.needs_data() {
            for step in first..=last {
                display.begin(step);
                traces.step(step, None);
                if !traces.go_on() {
                    break;
                }
            }
            return Ok(());
        }
        target.look(&self.begin, self.data.as_deref(), [first, last], &display, &mut |step, before| {
            traces.step(step, Some(before));
            if traces.go_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    fn tell(&self, written: &[File]) -> Result<(), Failure> {
        if written.iter().any(|file| file.written.file == Path::new("-")) {
            return Ok(());
        }
        if self.json {
            return print(&(serde_json::to_string_pretty(written).map_err(failed)? + "\n"));
        }
        print(&written.iter().map(|file| format!("{file}\n")).collect::<String>())
    }
}
