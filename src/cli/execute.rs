//! `wagesim run`.

use std::path::PathBuf;

use clap::Args;

use super::begin::{self, Begin};
use super::load::{EngineChoice, machine};
use super::{Failure, failed, given, print, tensors};
use crate::machine::{Engine, Observer, Outcome, State, run};
use crate::observe::Ledger;
use crate::program::Plan;
use crate::spec::{Machine, Setting};

/// Execute a program: from text or compiled, on tensors given
///
/// Tensors of the program's memory map are taken from the input file by name, the entry is executed once, and tensors are
/// written to the output file.
#[derive(Debug, Args)]
#[command(after_help = "\
Make inputs with Python (numpy, safetensors), run, look at what came out:
  python3 -c 'import numpy as np; from safetensors.numpy import save_file
  a, b = np.ones((16, 64), np.int8), np.eye(64, 32, dtype=np.int8)
  save_file(dict(a=a, b=b), \"in.safetensors\")'
  wagesim run programs/requantise-product.s --input in.safetensors --output out.safetensors
  python3 -c 'from safetensors.numpy import load_file
  print(load_file(\"out.safetensors\")[\"codes\"])'

More:
  wagesim run p.s --input in.safetensors --json          counts and cycles as JSON
  wagesim run p.s --machine programs/machines/tiny-16k.toml --set memory.operand.kib=8
  wagesim run compiled.safetensors --entry quantise --seed 3 --output out.safetensors

Tensors go by the names of the program's `.tensor` lines, in their shapes, as whole
numbers of any type. How programs are written: isa/assembly.md.

Exit codes: 0 done, 1 a run that stopped, 2 what was given is wrong.")]
pub(super) struct Execute {
    /// Assembly text (.s) or compiled program (.safetensors)
    program: PathBuf,
    /// Machine file (TOML); the default machine if left out
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// Any key of the machine, as in `--set memory.operand.kib=64`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    begin: Begin,
    /// Where to write tensors
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The tensors to write; all if left out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    tensors: Vec<String>,
    #[command(flatten)]
    engine: EngineChoice,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

/// Sums of what the engine said.
#[derive(Debug, Default, serde::Serialize)]
struct Counts {
    entry: String,
    instructions: u64,
    cycles: u64,
    products: u64,
    nonzero_products: u64,
    wrong_outputs: u64,
    saturated_joins: u64,
    clipped: u64,
}

impl Observer for Counts {
    fn looks(&self) -> bool {
        false
    }

    fn executed(&mut self, _: &Plan, _: usize, outcome: &Outcome, _: &State) {
        self.wrong_outputs += outcome.wrong_outputs;
        self.saturated_joins += outcome.saturated_joins;
        self.clipped += outcome.clipped;
    }
}

impl Execute {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let path = &self.program;
        let program = begin::program(path)?;
        let settings: Result<Vec<Setting>, _> = self.set.iter().map(|s| Setting::parse(s)).collect();
        let machine = machine(self.machine.as_deref(), &settings.map_err(given)?)?;
        let entry = self.begin.entry(&program, path)?;
        let plan = begin::plan(&program, &entry, &machine, path)?;
        let mut state = self.begin.state(&program, &plan, &machine, path)?;
        let mut engine = self.engine.on(&machine);
        let counts = execute(&plan, entry, &machine, engine.as_mut(), &mut state)?;
        if let Some(path) = &self.output {
            tensors::write(&program, path, &self.tensors, &state)?;
        }
        if self.json {
            return print(&(serde_json::to_string_pretty(&counts).map_err(failed)? + "\n"));
        }
        let Counts { entry, instructions, cycles, products, nonzero_products, .. } = &counts;
        print(&format!(
            "{entry}: {instructions} instructions, {cycles} cycles\n{products} products, {nonzero_products} of them not zero; {} wrong outputs, {} saturated joins, {} clipped\n",
            counts.wrong_outputs, counts.saturated_joins, counts.clipped
        ))
    }
}

fn execute(
    plan: &Plan,
    entry: String,
    machine: &Machine,
    engine: &mut dyn Engine,
    state: &mut State,
) -> Result<Counts, Failure> {
    let mut counts = Counts { entry, ..Counts::default() };
    let mut ledger = Ledger::new(plan, machine);
    run(plan, engine, state, &mut [&mut counts, &mut ledger]).map_err(failed)?;
    for tally in ledger.tallies().values() {
        counts.instructions += tally.instructions;
        counts.cycles += tally.account.cycles;
        counts.products += tally.products;
        counts.nonzero_products += tally.nonzero_products;
    }
    Ok(counts)
}
