//! `wagesim compile`.

use std::path::PathBuf;

use clap::Args;

use super::load::Choice;
use super::map::Map;
use super::{Failure, failed, given, print};
use crate::program::{Plan, Program};

/// Compile a network for a machine
///
/// Writes the program as a .safetensors file: code words, initial values, memory map and the names reports go by.
/// `wagesim disasm` shows it as text, `wagesim train` executes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim compile -o quick.safetensors
  wagesim compile programs/lenet5-mnist.toml --machine programs/machines/tiny-16k.toml -o tiny.safetensors
  wagesim compile --map --set memory.operand.kib=32      where tiles lie, and what each choice was")]
pub(super) struct Compile {
    #[command(flatten)]
    choice: Choice,
    /// The program file; NAME.safetensors if left out
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print where everything lies, and how each product was tiled and why
    #[arg(long)]
    map: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Summary {
    file: PathBuf,
    name: String,
    machine: String,
    instructions: usize,
    dram_bytes: u64,
    entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Map>,
}

#[derive(serde::Serialize)]
struct Entry {
    name: String,
    executed: usize,
}

/// Entries with the instructions each executes, control left out.
fn entries(program: &Program) -> Result<Vec<Entry>, Failure> {
    let plan = |name: &String| {
        let plan = Plan::new(program, name).map_err(given)?;
        Ok(Entry { name: name.clone(), executed: plan.steps.len() })
    };
    program.entries.keys().map(plan).collect()
}

impl Compile {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let inputs = self.choice.load(&[])?;
        let name = format!("{}.safetensors", inputs.network.name);
        let file = self.out.clone().unwrap_or_else(|| PathBuf::from(name));
        inputs.program.save(&file).map_err(failed)?;
        let summary = Summary {
            file,
            name: inputs.program.name.clone(),
            machine: inputs.machine.short_name(),
            instructions: inputs.program.code.len(),
            dram_bytes: inputs.program.dram_bytes,
            entries: entries(&inputs.program)?,
            map: self.map.then(|| Map::new(&inputs.program, inputs.tilings)),
        };
        if self.json {
            return print(&(serde_json::to_string_pretty(&summary).map_err(failed)? + "\n"));
        }
        let executed: Vec<String> =
            summary.entries.iter().map(|e| format!("{} {}", e.name, e.executed)).collect();
        print(&format!(
            "{} for {}: {} instructions, {} bytes of DRAM, in {}\nexecuted by entry: {}\n",
            summary.name,
            summary.machine,
            summary.instructions,
            summary.dram_bytes,
            summary.file.display(),
            executed.join(", ")
        ))?;
        summary.map.map_or(Ok(()), |map| print(&map.text()))
    }
}
