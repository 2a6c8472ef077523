//! A program as text, complete: what [`Program::from_text`] reads back to the same program.

use std::fmt::Write;

use super::Header;
use crate::isa::Instr;
use crate::program::Program;

impl Program {
    /// The program as text that [`Program::from_text`] reads back to the same program.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let header = Header { name: Some(self.name.clone()), dram_bytes: Some(self.dram_bytes) };
        writeln!(out, "; {} instructions in {} entries", self.code.len(), self.entries.len())?;
        writeln!(out, ".program {}\n", json(serde_json::to_string(&header)))?;
        for tensor in &self.tensors {
            writeln!(out, ".tensor {}", json(serde_json::to_string(tensor)))?;
        }
        let (mut marks, mut probes) = (self.marks.iter().peekable(), self.probes.iter().peekable());
        let mut depth = 0usize;
        for (pc, instr) in self.code.iter().enumerate() {
            for (name, _) in self.entries.iter().filter(|(_, at)| **at == pc) {
                writeln!(out, "\n{name}:")?;
            }
            while let Some(mark) = marks.next_if(|m| m.pc == pc) {
                let layer = mark.layer.map_or(String::new(), |l| format!(" {l}"));
                writeln!(out, ".phase {}{layer}", mark.phase.name())?;
            }
            depth -= usize::from(*instr == Instr::End && depth > 0);
            let indent = 4 * (depth + 1);
            while let Some(probe) = probes.next_if(|p| p.pc == pc) {
                let mut value = serde_json::to_value(probe).unwrap_or_default();
                if let Some(fields) = value.as_object_mut() {
                    fields.remove("pc");
                }
                writeln!(out, "{:indent$}.probe {value}", "")?;
            }
            writeln!(out, "{:indent$}{instr}", "")?;
            depth += usize::from(matches!(instr, Instr::Loop(_)));
        }
        if let Some(training) = &self.training {
            writeln!(out, "\n.training {}", json(serde_json::to_string(training)))?;
        }
        Ok(())
    }
}
