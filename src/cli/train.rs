//! `wagesim train`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::Failure;
use crate::compiler::compile;
use crate::data::mnist;
use crate::machine::Fast;
use crate::network::{self, Network, Recipe};
use crate::program::Program;
use crate::spec::{Machine, Setting};
use crate::train::{TrainError, Trainer};

const QUICK: &str = include_str!("../../programs/quick.toml");

/// Train a network: compile it for the machine, execute it on real data, print the error after each epoch.
#[derive(Debug, Args)]
pub(super) struct Train {
    /// Network and recipe (TOML); the LeNet's quick recipe if left out
    program: Option<PathBuf>,
    /// Machine file (TOML); the default machine if left out
    #[arg(long)]
    machine: Option<PathBuf>,
    /// Any key of program or machine, as in `--set accumulators.forward.bits=16`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder of the data set's files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Epochs, in place of the recipe's
    #[arg(long)]
    epochs: Option<u32>,
    /// Stop after so many steps
    #[arg(long)]
    steps: Option<u32>,
    /// Seed, in place of the recipe's
    #[arg(long)]
    seed: Option<u64>,
    /// Worker threads; all cores if left out
    #[arg(long)]
    threads: Option<usize>,
    /// Write every tensor of chosen steps into a folder, for `tests/outside/recompute.py`
    #[arg(long, value_name = "DIR")]
    dump_tensors: Option<PathBuf>,
    /// The steps to write, counted from 1 over the run
    #[arg(long, value_delimiter = ',', default_value = "1")]
    dump_steps: Vec<u32>,
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string()).map_err(Failure::Given)
}

impl Train {
    fn load(&self) -> Result<(Network, Recipe, Machine, Program), Failure> {
        let given = |e: anyhow::Error| Failure::Given(e);
        let settings: Result<Vec<Setting>, _> = self.set.iter().map(|s| Setting::parse(s)).collect();
        let settings = settings.map_err(|e| given(e.into()))?;
        let routed = network::route(&settings).map_err(|e| given(e.into()))?;
        let (text, origin) = match &self.program {
            Some(path) => (read(path)?, path.display().to_string()),
            None => (QUICK.to_owned(), "quick.toml".to_owned()),
        };
        let (network, mut recipe, named) =
            network::load(&text, &origin, &routed.program).map_err(|e| given(e.into()))?;
        let beside = |name: &String| {
            self.program.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(name)
        };
        let machine = match self.machine.clone().or_else(|| named.as_ref().map(beside)) {
            Some(path) => Machine::from_toml(&read(&path)?, &path.display().to_string(), &routed.machine),
            None => Machine::from_toml("", "default machine", &routed.machine),
        };
        let machine = machine.map_err(|e| given(e.into()))?;
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        let program = compile(&network, &recipe, &machine, &text).map_err(|e| given(e.into()))?;
        Ok((network, recipe, machine, program))
    }

    pub(super) fn run(&self) -> Result<(), Failure> {
        let (network, recipe, machine, program) = self.load()?;
        if let Some(threads) = self.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
            pool.map_err(|e| Failure::Given(e.into()))?;
        }
        let dir = self.data.as_deref().or(recipe.data_path.as_deref());
        let data = mnist(dir).map_err(|e| Failure::Given(e.into()))?;
        let failed = |e: TrainError| match e {
            TrainError::Fault { .. } => Failure::Run(e.into()),
            e => Failure::Given(e.into()),
        };
        let memory = &machine.memory;
        let sizes = [memory.operand, memory.weight, memory.accumulator, memory.mask]
            .map(|m| usize::try_from(m.bytes()).unwrap_or(usize::MAX));
        let mut trainer =
            Trainer::new(&program, sizes, recipe.seed, Box::new(Fast::new())).map_err(failed)?;
        println!("{} on {}, seed {}", network.name, machine.short_name(), recipe.seed);
        let mut step = 0;
        for epoch in 1..=recipe.epochs {
            let began = Instant::now();
            let mut loss = 0.0;
            let batches = trainer.batches(&data, epoch);
            let mut done = 0u32;
            for indices in &batches {
                if self.steps.is_some_and(|most| step >= most) {
                    break;
                }
                step += 1;
                done += 1;
                let mut dump = crate::observe::TensorDump::new(&program);
                let wanted = self.dump_tensors.is_some() && self.dump_steps.contains(&step);
                let lr = recipe.lr_log2(epoch);
                let mut observers: Vec<&mut dyn crate::machine::Observer> = Vec::new();
                if wanted {
                    observers.push(&mut dump);
                }
                let score = trainer.step(&data.train, indices, step, lr, &mut observers).map_err(failed)?;
                loss += trainer.loss(&score);
                if let (true, Some(dir)) = (wanted, &self.dump_tensors) {
                    dump.write(dir, step, lr).map_err(|e| Failure::Run(e.into()))?;
                }
            }
            if done == 0 {
                break;
            }
            let seconds = began.elapsed().as_secs_f64();
            let score = trainer.evaluate(&data.test, step).map_err(failed)?;
            #[expect(clippy::cast_precision_loss, reason = "a fraction of 10,000 images")]
            let error = 1.0 - score.right as f64 / score.images as f64;
            println!(
                "epoch {epoch:>3}  loss {:.4}  test error {:.2} %  {:.0} images/s",
                loss / f64::from(done),
                100.0 * error,
                f64::from(done * recipe.batch) / seconds
            );
        }
        Ok(())
    }
}
