//! `wagesim machine`.

use std::path::PathBuf;

use clap::Args;

use super::load::machine;
use super::{Failure, failed, given, print};
use crate::spec::Setting;

/// Show a machine, complete
///
/// Every key with its value and what it means: the default machine, or a machine file with what it leaves out filled in.
/// The output is a machine file.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Machine file (TOML); the default machine if left out
    machine: Option<PathBuf>,
    /// Any key of the machine, as in `--set array.rows=16`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let settings: Result<Vec<Setting>, _> = self.set.iter().map(|s| Setting::parse(s)).collect();
        let machine = machine(self.machine.as_deref(), &settings.map_err(given)?)?;
        match self.json {
            true => print(&(serde_json::to_string_pretty(&machine).map_err(failed)? + "\n")),
            false => print(&machine.to_toml()),
        }
    }
}
