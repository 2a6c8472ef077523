//! `wagesim eval`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::load::{self, EngineChoice};
use super::{Failure, failed, given, print, stopped};
use crate::data;
use crate::report::{EvaluationReport, evaluation_table};
use crate::train::{Checkpoint, RunDirectory, evaluate};

/// Evaluate the weights of a run: error, error by class, confusion matrix, cycles and energy of inference
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim eval runs/quick                       the weights a run has come to, on its own test images
  wagesim eval runs/quick --checkpoint FILE     those of an earlier checkpoint
  wagesim eval runs/quick --json | jq .classes")]
pub(super) struct Eval {
    /// Run directory
    run: PathBuf,
    /// Checkpoint of the same network; the run's last if left out
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Folder of the data set's files; what the run was trained on if left out
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineChoice,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let directory = RunDirectory::existing(Some(&self.run), "").map_err(given)?;
        let inputs = load::kept(&directory, &[])?;
        let path = match &self.checkpoint {
            Some(path) => path.clone(),
            None => directory.kept_checkpoint().map_err(given)?,
        };
        let checkpoint = Checkpoint::load(&path).map_err(given)?;
        let folder = self.data.as_deref().or(inputs.recipe.data_path.as_deref());
        let (data, _) = data::read(inputs.recipe.data, folder).map_err(given)?;
        let began = Instant::now();
        let engine = self.engine.on(&inputs.machine);
        let evaluation =
            evaluate(&inputs.program, &inputs.machine, &checkpoint, &data.test, engine).map_err(stopped)?;
        let step = checkpoint.progress().step;
        let seconds = began.elapsed().as_secs_f64();
        let report = EvaluationReport::new(
            &inputs.program,
            &inputs.machine,
            &inputs.machine.energy,
            step,
            &evaluation,
            seconds,
        );
        if self.json {
            return print(&(serde_json::to_string_pretty(&report).map_err(failed)? + "\n"));
        }
        print(&evaluation_table(&report))
    }
}
