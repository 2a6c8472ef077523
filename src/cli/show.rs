//! `wagesim report`.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;

use super::{Failure, failed, given, print};
use crate::report::{self, Report};

/// Show the report of a run, and draw its plots again
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Run directory
    run: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let path = self.run.join("report.json");
        let text =
            std::fs::read_to_string(&path).with_context(|| path.display().to_string()).map_err(given)?;
        if self.json {
            return print(&text);
        }
        let report: Report =
            serde_json::from_str(&text).with_context(|| path.display().to_string()).map_err(given)?;
        if report.version != report::VERSION {
            let (found, known) = (report.version, report::VERSION);
            return Err(given(anyhow!("{}: its version is {found}, not {known}", path.display())));
        }
        report::plots(&report, &self.run).map_err(failed)?;
        print(&report::table(&report))
    }
}
