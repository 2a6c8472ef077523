//! `wagesim disasm`.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, failed, given, print};
use crate::program::Program;

/// Show a compiled program as text
///
/// The text is complete: `wagesim asm` makes the same program of it, byte for byte.
#[derive(Debug, Args)]
pub(super) struct Disasm {
    /// A compiled program (.safetensors)
    program: PathBuf,
    /// A file for the text; the output if left out
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as JSON; the text is part of it where it goes to no file
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Summary<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a PathBuf>,
    name: &'a str,
    instructions: usize,
    lines: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl Disasm {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let program = Program::load(&self.program).map_err(given)?;
        let text = program.to_text();
        if let Some(path) = &self.out {
            std::fs::write(path, &text)
                .map_err(|e| failed(anyhow::Error::new(e).context(path.display().to_string())))?;
        }
        if self.json {
            let shown = self.out.is_none().then_some(text.as_str());
            let (instructions, lines) = (program.code.len(), text.lines().count());
            let summary =
                Summary { file: self.out.as_ref(), name: &program.name, instructions, lines, text: shown };
            return print(&(serde_json::to_string_pretty(&summary).map_err(failed)? + "\n"));
        }
        if self.out.is_none() { print(&text) } else { Ok(()) }
    }
}
