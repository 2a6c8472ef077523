//! `wagesim explore`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use clap::Args;

use super::load::Choice;
use super::progress::SweepDisplay;
use super::sweep::explored;
use super::{Failure, failed, given, print, show, stop_on_ctrl_c};
use crate::explore::{self, FOUND_NOTES, Found, FoundSummary, Means, Narrate, Search, Watch};
use crate::report::plain;
use crate::spec::{Machine, Setting};
use crate::train::RunDirectory;

/// Find the least accumulators that still train
///
/// Trains the machine as it is, predicts from its bit statistics what width each phase needs, then finds for each phase the
/// least width whose test error stays within the tolerance of the worst seed of the wide machine; then trains the three
/// together and widens them until they pass. Every trial is a run directory in the search's folder, and a row of its results as
/// in a sweep; the same command again goes on where a search was stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim explore --epochs 2 --seeds 1,2                    the LeNet, saturating registers
  wagesim explore --overflow wrap --tolerance 0.002
  wagesim explore --by layer --epochs 1                     a width for each layer and phase

Exit codes: 0 done, 1 a run failed, 2 what was given is wrong, 130 stopped by Ctrl-C.")]
pub(super) struct Explore {
    #[command(flatten)]
    choice: Choice,
    /// What a register does out of range
    #[arg(long, default_value = "saturate", value_parser = ["saturate", "wrap"])]
    overflow: String,
    /// Widths for each phase, or for each phase of each layer
    #[arg(long, default_value = "phase", value_parser = ["phase", "layer"])]
    by: String,
    /// Share of the test images that a narrow machine may have wrong beyond the worst seed of the wide one
    #[arg(long, default_value = "0.003", value_name = "SHARE")]
    tolerance: f64,
    /// Seeds of each trial
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_value = "1,2")]
    seeds: Vec<u64>,
    /// Epochs of each trial, in place of the recipe's
    #[arg(long)]
    epochs: Option<u32>,
    /// Folder of the data set's files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The search's folder; `runs/NAME-explore` if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Trainings at once; as many as cores and memory allow if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

struct Narrator {
    quiet: bool,
}

impl Narrate for Narrator {
    fn round(&self, words: &str, trainings: usize) -> Box<dyn Watch> {
        if !self.quiet {
            // A reader that went away is no reason to stop.
            let _ = print(&format!("trying {words}\n"));
        }
        Box::new(SweepDisplay::new(trainings, self.quiet))
    }
}

impl Explore {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if !(0.0..=1.0).contains(&self.tolerance) {
            return Err(given(anyhow!("--tolerance {}: a share from 0 to 1, as in 0.003", self.tolerance)));
        }
        let (base, study) = self.choice.base(self.data.as_deref(), self.epochs)?;
        if study.is_some() {
            return Err(given(anyhow!("a study is for `wagesim sweep`; give a program to explore")));
        }
        let inputs = base.inputs(&[]).map_err(explored)?;
        let layers = inputs.program_layers();
        let name = inputs.network.name + "-explore";
        let dir = self.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
        let directory = RunDirectory::at(&dir).map_err(given)?;
        let search = Search {
            base,
            name,
            overflow: self.overflow.clone(),
            seeds: self.seeds.clone(),
            tolerance: self.tolerance,
            by_layer: self.by == "layer",
        };
        let stop = Arc::new(AtomicBool::new(false));
        stop_on_ctrl_c(&stop)?;
        let means = Means { dir: &dir, jobs: self.jobs.map(usize::from), stop: &stop };
        let Some((found, results)) = search.run(&means, &Narrator { quiet: self.json }).map_err(explored)?
        else {
            eprintln!("stopped; the same command goes on");
            return Err(Failure::Stopped);
        };
        let json = serde_json::to_string_pretty(&found).map_err(failed)? + "\n";
        directory.write(&dir.join("explore.json"), json.as_bytes()).map_err(failed)?;
        results.write(&dir).map_err(explored)?;
        let wide = explore::wide_report(&results, &dir).map_err(explored)?;
        explore::pictures(&results, wide.as_ref(), &dir).map_err(failed)?;
        let page = explore::found_page(&found, &layers, &results, wide.as_ref()).map_err(failed)?;
        show::write(&page, &dir)?;
        let settings: Result<Vec<Setting>, _> = found.settings.iter().map(|s| Setting::parse(s)).collect();
        let machine = search.base.inputs(&settings.map_err(failed)?).map_err(explored)?.machine;
        let machine = Machine { name: "explored".to_owned(), ..machine };
        let path = dir.join("machine.toml");
        directory.write(&path, machine.to_toml().as_bytes()).map_err(failed)?;
        if self.json {
            return print(&json);
        }
        print(&format!(
            "\n{}\nthe machine is in {}; results.csv, results.json, report.html and pictures of all trials are beside it\n",
            table(&found, &layers),
            path.display()
        ))
    }
}

/// What was found and why.
fn table(found: &Found, layers: &[String]) -> String {
    let FoundSummary { bound, head, rows, together } = FoundSummary::of(found, layers);
    let mut table = plain(&head, 1..);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    let mut out = format!("{bound}\n\n{}\n", table.trim_fmt());
    let notes = FOUND_NOTES.map(|note| format!("note: {note}"));
    together.iter().chain([&String::new()]).chain(&notes).for_each(|line| {
        out.push('\n');
        out.push_str(line);
    });
    out + "\n"
}
