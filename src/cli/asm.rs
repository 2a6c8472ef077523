//! `wagesim asm`.

use std::path::PathBuf;

use clap::Args;

use super::load::read;
use super::{Failure, failed, given, print};
use crate::program::{Assembled, Program};

/// Assemble a program from text
///
/// `isa/assembly.md` tells how programs are written; `wagesim disasm` writes the text of a compiled one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wagesim asm programs/requantise-product.s             requantise-product.safetensors beside it
  wagesim asm kernel.s -o kernel.safetensors --json     what was written, as JSON

`.include \"parts/requantise.s\"` takes the lines of another file: its path is relative to the
file that includes it. Errors name file and line; warnings are names that nothing uses.")]
pub(super) struct Asm {
    /// Assembly text
    source: PathBuf,
    /// The program file; the text's name with .safetensors if left out
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Summary<'a> {
    file: &'a PathBuf,
    name: &'a str,
    instructions: usize,
    dram_bytes: u64,
    entries: Vec<&'a String>,
}

impl Asm {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let origin = self.source.display().to_string();
        let Assembled { program, warnings, .. } =
            Program::assembled(&read(&self.source)?, &origin).map_err(given)?;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        let out = self.out.clone().unwrap_or_else(|| self.source.with_extension("safetensors"));
        program.save(&out).map_err(failed)?;
        if self.json {
            let (name, instructions, dram_bytes) = (&program.name, program.code.len(), program.dram_bytes);
            let entries = program.entries.keys().collect();
            let summary = Summary { file: &out, name, instructions, dram_bytes, entries };
            return print(&(serde_json::to_string_pretty(&summary).map_err(failed)? + "\n"));
        }
        print(&format!("{}: {} instructions, in {}\n", program.name, program.code.len(), out.display()))
    }
}
