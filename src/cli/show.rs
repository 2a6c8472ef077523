//! `wagesim report`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::sweep::explored;
use super::{Failure, failed, given, print, sweep};
use crate::explore::{self, Results, run_report};
use crate::report::{self, Page};

/// Show the report of a run or a sweep, draw its pictures again and write its page
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim report runs/quick              the table; runs/quick/report.html is one self-contained page
  wagesim report runs/quick-sweep        the same of a sweep
  wagesim report runs/quick --json")]
pub(super) struct Show {
    /// Run directory, or folder of a sweep
    run: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let of_sweep = self.run.join("results.json");
        let is_sweep = of_sweep.exists();
        if self.json {
            let path = if is_sweep { of_sweep } else { self.run.join("report.json") };
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string()).map_err(given)?;
            return print(&text);
        }
        if is_sweep {
            let results = Results::load(&of_sweep).map_err(explored)?;
            let wide = explore::wide_report(&results, &self.run).map_err(explored)?;
            explore::pictures(&results, wide.as_ref(), &self.run).map_err(failed)?;
            write(&explore::page(&results, wide.as_ref()).map_err(failed)?, &self.run)?;
            return print(&sweep::table(&results));
        }
        let report = run_report(&self.run).map_err(explored)?;
        report::plots(&report, &self.run).map_err(failed)?;
        write(&Page::run(&report).map_err(failed)?, &self.run)?;
        print(&report::table(&report))
    }
}

/// Writes a page into a folder.
pub(super) fn write(page: &Page, dir: &Path) -> Result<(), Failure> {
    let path = dir.join("report.html");
    let html = page.html().map_err(|e| failed(anyhow!(e)))?;
    std::fs::write(&path, html).with_context(|| path.display().to_string()).map_err(failed)
}
