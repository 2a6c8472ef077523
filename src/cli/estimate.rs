//! `wagesim estimate`.

use clap::Args;

use super::load::Choice;
use super::{Failure, failed, given, print};
use crate::report::{estimate, estimate_table};

/// Cycles and energy of a training step, without data
///
/// Compiles the network for the machine and works out the schedule: cycles by layer, phase and unit are exactly those of a run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim estimate                                                 the LeNet on the default machine
  wagesim estimate programs/lenet5-mnist.toml --set array.rows=64 --set array.dataflow=weight-stationary
  wagesim estimate --set dram.bytes_per_cycle=8 --json")]
pub(super) struct Estimate {
    #[command(flatten)]
    choice: Choice,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Estimate {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let inputs = self.choice.load(&[])?;
        let estimate = estimate(&inputs.program, &inputs.machine, &inputs.machine.energy).map_err(given)?;
        if self.json {
            return print(&(serde_json::to_string_pretty(&estimate).map_err(failed)? + "\n"));
        }
        print(&estimate_table(&estimate))
    }
}
