//! `wagesim estimate`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::load::{Choice, machine, read};
use super::{Failure, failed, given, print};
use crate::network::{TopologyForm, read_topology};
use crate::report::{estimate, estimate_table, estimate_topology, roofline, topology_table};
use crate::spec::{Machine, Setting};

/// Cycles, energy and area of a training step, without data
///
/// Compiles the network for the machine and works out the schedule: cycles by layer, phase and unit are exactly those of a run.
/// Of a SCALE-Sim topology (.csv) it prints the array's cycles, layer by layer, as SCALE-Sim does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim estimate                                                 the LeNet on the default machine
  wagesim estimate programs/lenet5-mnist.toml --set array.rows=64 --set array.dataflow=weight-stationary
  wagesim estimate --set dram.bytes_per_cycle=8 --json
  wagesim estimate --roofline roofline.png                         what bounds each layer, as a picture
  wagesim estimate --set energy=horowitz45-hbm2                    energy with HBM2 for DRAM
  wagesim estimate alexnet.csv --set array.rows=16                 SCALE-Sim's figures for its topology file")]
pub(super) struct Estimate {
    #[command(flatten)]
    choice: Choice,
    /// Draw the roofline, products a cycle by products a byte, into a .png or .svg
    #[arg(long, value_name = "FILE")]
    roofline: Option<PathBuf>,
    /// Form of a topology's lines, where its header does not say it
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// The forms of a topology.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Layout {
    /// Convolutions: IFMAP, filter, channels, filters, stride
    Conv,
    /// Products: M, N, K
    Gemm,
}

impl Estimate {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Some(path) =
            self.choice.program.as_deref().filter(|p| p.extension().is_some_and(|e| e == "csv"))
        {
            return self.topology(path);
        }
        if self.layout.is_some() {
            return Err(given(anyhow!("--layout is for a SCALE-Sim topology (.csv); leave it out")));
        }
        let inputs = self.choice.load(&[])?;
        let mut estimate =
            estimate(&inputs.program, &inputs.machine, &inputs.machine.energy).map_err(given)?;
        let risks = inputs.network.risks(&inputs.machine.accumulators, inputs.recipe.batch);
        estimate.notes.extend(risks.iter().map(ToString::to_string));
        if let Some(path) = &self.roofline {
            let title = format!("Roofline of {}, {}", estimate.program, estimate.machine);
            roofline(&title, &estimate.layers, estimate.peak, path).map_err(given)?;
        }
        if self.json {
            return print(&(serde_json::to_string_pretty(&estimate).map_err(failed)? + "\n"));
        }
        print(&estimate_table(&estimate))
    }

    /// The array's cycles for a topology.
    fn topology(&self, path: &Path) -> Result<(), Failure> {
        let origin = path.display().to_string();
        if self.roofline.is_some() {
            let what = "a topology says nothing of DRAM, which a roofline needs; estimate a network (TOML)";
            return Err(given(anyhow!("{origin}: {what}")));
        }
        let form = self.layout.map(|layout| match layout {
            Layout::Conv => TopologyForm::Convolution,
            Layout::Gemm => TopologyForm::Product,
        });
        let layers = read_topology(&read(path)?, &origin, form).map_err(given)?;
        let estimate = estimate_topology(&origin, &layers, &self.machine()?);
        if self.json {
            return print(&(serde_json::to_string_pretty(&estimate).map_err(failed)? + "\n"));
        }
        print(&topology_table(&estimate))
    }

    /// The machine alone.
    fn machine(&self) -> Result<Machine, Failure> {
        let settings: Result<Vec<Setting>, _> = self.choice.set.iter().map(|s| Setting::parse(s)).collect();
        machine(self.choice.machine.as_deref(), &settings.map_err(given)?)
    }
}
