//! `wagesim price`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::sweep::explored;
use super::{Failure, failed, given, print};
use crate::explore::run_report;
use crate::report::price_table;
use crate::spec::Preset;

/// Price a finished run again under another energy table, without running it
///
/// A report keeps how often every event happened, with its widths, and the elements of the machine's logic: energy, power and
/// area follow from these counts and a table. The run directory is not changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim price runs/quick                              as it was priced
  wagesim price runs/quick --preset horowitz45-hbm2     with HBM2 for DRAM
  wagesim price runs/quick --preset my-table.toml --json

A table of your own says what it changes, each number with its source:
  base = \"horowitz45\"
  name = \"my-table\"
  [dram]
  pj_per_bit = 5.0
  source = \"the data sheet of my DRAM\"")]
pub(super) struct Price {
    /// Run directory
    run: PathBuf,
    /// Shipped table (horowitz45, horowitz45-lpddr4, horowitz45-hbm2, horowitz45-ddr3) or a table's file (TOML); the
    /// run's own if left out
    #[arg(long, value_name = "NAME|FILE")]
    preset: Option<String>,
    /// Print the whole report, priced again, as JSON
    #[arg(long)]
    json: bool,
}

impl Price {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut report = run_report(&self.run).map_err(explored)?;
        let preset = match &self.preset {
            Some(name) => Preset::named(name, Path::new("")).map_err(given)?,
            None => report.preset.clone(),
        };
        report.price(&preset);
        match self.json {
            true => print(&(serde_json::to_string_pretty(&report).map_err(failed)? + "\n")),
            false => print(&price_table(&report)),
        }
    }
}
