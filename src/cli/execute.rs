//! `wagesim run`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::load::{EngineName, machine, read};
use super::{Failure, failed, given, print};
use crate::isa::Memory;
use crate::machine::{Engine, Observer, Outcome, State, run};
use crate::observe::Ledger;
use crate::program::{Plan, Program, Step, Tensor};
use crate::spec::{Machine, Setting};

/// Execute a program: from text or compiled, on tensors given
///
/// Tensors of the program's memory map are taken from the input file by name, the entry is executed once, and tensors are
/// written to the output file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wagesim run programs/requantise-product.s --input in.safetensors --output out.safetensors")]
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
    /// Seed of initial values and of rounding
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What executes the program; the same bits
    #[arg(long, value_enum, default_value = "fast")]
    engine: EngineName,
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
        let mut state = State::new(sizes.map(|n| usize::try_from(n).unwrap_or(usize::MAX)), self.seed);
        state.memories[Memory::Dram.index()] = program.initial_dram(self.seed);
        if let Some(path) = &self.input {
            take_inputs(&program, path, &mut state)?;
        }
        let mut engine = self.engine.on(&machine);
        let counts = execute(&plan, entry, &machine, engine.as_mut(), &mut state)?;
        if let Some(path) = &self.output {
            write_outputs(&program, path, &self.tensors, &state)?;
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

/// Signedness and bytes of a file's whole numbers.
fn whole_number(dtype: Dtype) -> Option<(bool, usize)> {
    Some(match dtype {
        Dtype::I8 => (true, 1),
        Dtype::U8 => (false, 1),
        Dtype::I16 => (true, 2),
        Dtype::U16 => (false, 2),
        Dtype::I32 => (true, 4),
        Dtype::U32 => (false, 4),
        Dtype::I64 => (true, 8),
        _ => return None,
    })
}

fn take_inputs(program: &Program, path: &Path, state: &mut State) -> Result<(), Failure> {
    let origin = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| origin.clone()).map_err(given)?;
    let file = SafeTensors::deserialize(&bytes)
        .with_context(|| format!("{origin}: not a whole file"))
        .map_err(given)?;
    for (name, view) in file.iter() {
        let refuse = |what: String| given(anyhow!("{origin}: tensor `{name}` {what}"));
        let tensor = program.tensor(name).ok_or_else(|| {
            let names: Vec<&str> = program.tensors.iter().map(|t| t.name.as_str()).collect();
            refuse(format!("is none of the program's: {}", names.join(", ")))
        })?;
        let count = view.shape().iter().product::<usize>() as u64;
        if count != tensor.elements() {
            return Err(refuse(format!("has {count} elements; the program's has {}", tensor.elements())));
        }
        let (signed, size) = whole_number(view.dtype()).ok_or_else(|| {
            refuse("holds no whole numbers; use i8, u8, i16, u16, i32, u32 or i64".to_owned())
        })?;
        let values = view.data().chunks(size).map(|chunk| {
            let mut wide = if signed && chunk[size - 1] >= 0x80 { [0xff; 8] } else { [0; 8] };
            wide[..size].copy_from_slice(chunk);
            i64::from_le_bytes(wide)
        });
        let dram = state.memory_mut(Memory::Dram);
        tensor.put(dram, values).map_err(|(index, value)| {
            refuse(format!("holds {value} at element {index}, beyond {} bits", tensor.format.bits()))
        })?;
    }
    Ok(())
}

/// The narrowest type of a file that holds every value of a tensor.
fn file_values(tensor: &Tensor, state: &State) -> (Dtype, Vec<u8>) {
    let (bits, signed) = (tensor.format.bits(), tensor.signed);
    let (dtype, size) = match (bits, signed) {
        (0..=8, true) => (Dtype::I8, 1),
        (0..=8, false) => (Dtype::U8, 1),
        (9..=16, true) => (Dtype::I16, 2),
        (9..=16, false) => (Dtype::U16, 2),
        (17..=32, true) => (Dtype::I32, 4),
        (17..=32, false) => (Dtype::U32, 4),
        _ => (Dtype::I64, 8),
    };
    let values = tensor.values(state.memory(Memory::Dram));
    (dtype, values.flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect())
}

fn write_outputs(program: &Program, path: &Path, names: &[String], state: &State) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|n| program.tensor(n).is_none()) {
        let known: Vec<&str> = program.tensors.iter().map(|t| t.name.as_str()).collect();
        return Err(given(anyhow!("--tensors {unknown}: the program has {}", known.join(", "))));
    }
    let wanted = program.tensors.iter().filter(|t| names.is_empty() || names.contains(&t.name));
    let data: Vec<_> = wanted
        .map(|t| {
            let (dtype, bytes) = file_values(t, state);
            let shape = t.shape.iter().map(|&d| usize::try_from(d).unwrap_or(usize::MAX)).collect::<Vec<_>>();
            (t.name.clone(), dtype, shape, bytes)
        })
        .collect();
    let views: Result<Vec<_>, _> = data
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.clone(), view))
        })
        .collect();
    let bytes = views.and_then(|v| safetensors::serialize(v, None)).map_err(failed)?;
    std::fs::write(path, bytes).with_context(|| path.display().to_string()).map_err(failed)
}
