//! `wagesim run`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::load::{EngineChoice, machine, read};
use super::{Failure, failed, given, print, tensors};
use crate::isa::Memory;
use crate::machine::{Engine, Observer, Outcome, State, run};
use crate::observe::Ledger;
use crate::program::{Plan, Program, Step};
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
    /// The entry to execute; the only one if left out, or `main`
    #[arg(long)]
    entry: Option<String>,
    /// Machine file (TOML); the default machine if left out
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// Any key of the machine, as in `--set memory.operand.kib=64`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Tensors to begin with
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where to write tensors
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The tensors to write; all if left out
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    tensors: Vec<String>,
    /// Take tensors that nothing gives values as zeros
    #[arg(long)]
    zeros: bool,
    /// Seed of initial values and of rounding
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
    fn executed(&mut self, _: &Plan, _: &Step, outcome: &Outcome, _: &State) {
        self.wrong_outputs += outcome.wrong_outputs;
        self.saturated_joins += outcome.saturated_joins;
        self.clipped += outcome.clipped;
    }
}

impl Execute {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let program = load(&self.program)?;
        let settings: Result<Vec<Setting>, _> = self.set.iter().map(|s| Setting::parse(s)).collect();
        let machine = machine(self.machine.as_deref(), &settings.map_err(given)?)?;
        let entry = self.entry(&program)?;
        let plan = Plan::new(&program, &entry).map_err(|e| self.refuse(e))?;
        let memory = &machine.memory;
        let sizes = [
            memory.operand.bytes(),
            memory.weight.bytes(),
            memory.accumulator.bytes(),
            memory.mask.bytes(),
            program.dram_bytes,
        ];
        plan.verify(&sizes).map_err(|e| self.refuse(e))?;
        plan.verify_rows(machine.array.rows).map_err(|e| self.refuse(e))?;
        let control = &machine.control;
        let verified = program.verify_control(&entry, control.registers, control.loop_depth);
        verified.map_err(|e| self.refuse(e))?;
        let [operand, weight, accumulator, mask, dram] =
            sizes.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        if Vec::<u8>::new().try_reserve_exact(dram).is_err() {
            let what = "more than this host has; give tensors less, or place them closer with `address`";
            return Err(self.refuse(anyhow!("its DRAM is {dram} bytes: {what}")));
        }
        let mut state = State::new([operand, weight, accumulator, mask, 0], self.seed);
        state.memories[Memory::Dram.index()] = program.initial_dram(self.seed);
        let given = match &self.input {
            Some(path) => tensors::take(&program, path, &mut state)?,
            None => Vec::new(),
        };
        if !self.zeros {
            self.nothing_is_missing(&program, &plan, &given)?;
        }
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

    fn refuse(&self, error: impl Into<anyhow::Error>) -> Failure {
        given(error.into().context(self.program.display().to_string()))
    }

    /// Refuses tensors that are read and never had values.
    fn nothing_is_missing(&self, program: &Program, plan: &Plan, given: &[String]) -> Result<(), Failure> {
        let missing = plan.read_first(program).into_iter().find(|t| !given.contains(&t.name));
        let Some(tensor) = missing else { return Ok(()) };
        let (name, form) = (&tensor.name, tensors::form(tensor));
        let place = match &self.input {
            Some(path) => format!("put it into {}", path.display()),
            None => "give it with --input FILE".to_owned(),
        };
        Err(self.refuse(anyhow!(
            "tensor `{name}` ({form}) is read before anything writes it and has no values: {place}, give it `initial` values, or take it as zeros with --zeros"
        )))
    }

    fn entry(&self, program: &Program) -> Result<String, Failure> {
        if let Some(entry) = &self.entry {
            return Ok(entry.clone());
        }
        let names: Vec<&String> = program.entries.keys().collect();
        match names.as_slice() {
            [one] => Ok((*one).clone()),
            _ if program.entries.contains_key("main") => Ok("main".to_owned()),
            _ => {
                let names: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
                Err(self.refuse(anyhow!("several entries; choose with --entry: {}", names.join(", "))))
            }
        }
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

/// A program of either form, by its name.
fn load(path: &Path) -> Result<Program, Failure> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return Program::load(path).map_err(given);
    }
    Program::from_text(&read(path)?, &path.display().to_string()).map_err(given)
}
