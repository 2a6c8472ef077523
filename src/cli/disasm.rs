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
}

impl Disasm {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let text = Program::load(&self.program).map_err(given)?.to_text();
        match &self.out {
            None => print(&text),
            Some(path) => std::fs::write(path, text)
                .map_err(|e| failed(anyhow::Error::new(e).context(path.display().to_string()))),
        }
    }
}
