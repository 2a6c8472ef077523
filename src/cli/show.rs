//! `wagesim report`.

use std::path::{Path, PathBuf};

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
        let (report, text) = read_report(&self.run)?;
        if self.json {
            return print(&text);
        }
        report::plots(&report, &self.run).map_err(failed)?;
        print(&report::table(&report))
    }
}

/// The report of a run directory, and its text.
pub(super) fn read_report(run: &Path) -> Result<(Report, String), Failure> {
    /// What reports of every version have.
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let path = run.join("report.json");
    let named = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(named).map_err(given)?;
    let Version { version } = serde_json::from_str(&text).with_context(named).map_err(given)?;
    if version != report::VERSION {
        let known = report::VERSION;
        let way_out = format!("`wagesim train --resume --out {}` writes it again", run.display());
        return Err(given(anyhow!("{}: its version is {version}, not {known}; {way_out}", path.display())));
    }
    let report = serde_json::from_str(&text).with_context(named).map_err(given)?;
    Ok((report, text))
}
