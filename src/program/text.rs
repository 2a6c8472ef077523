//! A program as assembly text, complete, and back.
//!
//! ```text
//! .program {"name":"example","dram_bytes":4096}
//! .const N = 32
//! .tensor {"name":"a","address":0,"bits":8,"signed":true,"shape":[32]}
//! main:
//! .phase forward 0
//!     load dst=operand[0] src=dram[a] bytes=N
//!     halt
//! ```
//! Directives carry what is not code: `.program`, `.tensor`, `.probe` (of the next instruction) and `.training` as JSON,
//! `.phase NAME [LAYER]`, `.const NAME = NUMBER`. A label begins an entry. A tensor's name is its address; a tensor
//! without one lies behind the tensor before.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use super::{Mark, Phase, Probe, Program, Tensor, Training};
use crate::isa::{Constants, Instr, assemble};
use crate::spec::SourceError;

/// Bytes that tensors without an address begin at multiples of.
const ALIGNMENT: u64 = 64;

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dram_bytes: Option<u64>,
}

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

    /// The program of a text; `origin` is how errors name it.
    ///
    /// # Errors
    /// The first line that means nothing, with its place and a way out; then what [`Program::check`] finds.
    pub fn from_text(text: &str, origin: &str) -> Result<Program, SourceError> {
        let mut reader = Reader::new(text, origin);
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            reader.line(line.trim_end_matches(['\n', '\r']), start)?;
            start += line.len();
        }
        reader.finish()
    }
}

struct Reader<'t> {
    text: &'t str,
    origin: &'t str,
    program: Program,
    named: Option<String>,
    dram_bytes: Option<u64>,
    constants: Constants,
    /// Probes that wait for their instruction, with where they stand.
    probes: Vec<(serde_json::Value, Range<usize>)>,
    /// Where open loops stand.
    loops: Vec<Range<usize>>,
}

/// A directive as `(name, rest, byte of the rest)`.
fn directive(line: &str) -> Option<(&str, &str, usize)> {
    let trimmed = line.trim_start();
    let named = trimmed.strip_prefix('.')?;
    let length = named.find([' ', '\t']).unwrap_or(named.len());
    let rest = named[length..].trim_start();
    Some((&named[..length], rest.trim_end(), line.len() - rest.len()))
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, origin: &'t str) -> Self {
        let program = Program {
            name: String::new(),
            code: Vec::new(),
            entries: BTreeMap::new(),
            dram_bytes: 0,
            tensors: Vec::new(),
            marks: Vec::new(),
            probes: Vec::new(),
            training: None,
        };
        Reader {
            text,
            origin,
            program,
            named: None,
            dram_bytes: None,
            constants: Constants::new(),
            probes: Vec::new(),
            loops: Vec::new(),
        }
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> SourceError {
        SourceError::new(self.origin, self.text, span, message).with_hint(hint)
    }

    fn line(&mut self, line: &str, start: usize) -> Result<(), SourceError> {
        if let Some((name, rest, at)) = directive(line) {
            return self.directive(name, rest, start + at, start..start + line.len());
        }
        let code = line.split([';', '#']).next().unwrap_or("");
        if let Some(label) = code.trim().strip_suffix(':') {
            let whole = start..start + line.len();
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if label.is_empty() || !label.chars().all(word) {
                return Err(self.error(
                    whole,
                    "a label is letters, digits, `_` and `-`",
                    "write it as `main:`",
                ));
            }
            if self.program.entries.insert(label.to_owned(), self.program.code.len()).is_some() {
                return Err(self.error(whole, format!("label `{label}` stands twice"), "rename one of them"));
            }
            return Ok(());
        }
        let found = assemble(line, &self.constants).map_err(|e| {
            let span = start + e.span.start..start + e.span.end;
            self.error(span, e.message, e.hint)
        })?;
        let Some(instr) = found else { return Ok(()) };
        let whole = start..start + code.trim_end().len();
        match instr {
            Instr::Loop(_) => self.loops.push(whole),
            Instr::End if self.loops.pop().is_none() => {
                return Err(self.error(
                    whole,
                    "`end` without a `loop`",
                    "take it out, or begin the loop before it",
                ));
            }
            _ => {}
        }
        for (mut value, span) in std::mem::take(&mut self.probes) {
            if let Some(fields) = value.as_object_mut() {
                fields.insert("pc".to_owned(), self.program.code.len().into());
            }
            let probe: Probe = serde_json::from_value(value)
                .map_err(|e| self.error(span, e.to_string(), "see isa/assembly.md"))?;
            self.program.probes.push(probe);
        }
        self.program.code.push(instr);
        Ok(())
    }

    /// JSON of a directive.
    fn json<T: serde::de::DeserializeOwned>(&self, rest: &str, at: usize) -> Result<T, SourceError> {
        serde_json::from_str(rest).map_err(|e| {
            let column = at + e.column().saturating_sub(1).min(rest.len());
            let message = e.to_string();
            let message = message.split(" at line").next().unwrap_or_default().to_owned();
            self.error(
                column..column + 1,
                message,
                "a directive carries one JSON object on its line; see isa/assembly.md",
            )
        })
    }

    fn directive(
        &mut self,
        name: &str,
        rest: &str,
        at: usize,
        whole: Range<usize>,
    ) -> Result<(), SourceError> {
        match name {
            "program" => {
                let header: Header = self.json(rest, at)?;
                (self.named, self.dram_bytes) = (header.name, header.dram_bytes);
            }
            "tensor" => self.tensor(rest, at)?,
            "probe" => {
                let value: serde_json::Value = self.json(rest, at)?;
                self.probes.push((value, at..at + rest.len()));
            }
            "training" => {
                let training: Training = self.json(rest, at)?;
                self.program.training = Some(training);
            }
            "phase" => {
                let mut words = rest.split_whitespace();
                let written = words.next().unwrap_or_default();
                let phase = Phase::ALL.into_iter().find(|p| p.name() == written);
                let layer = words.next().map(str::parse::<u32>).transpose();
                let (Some(phase), Ok(layer)) = (phase, layer) else {
                    let names = Phase::ALL.map(Phase::name).join(", ");
                    let hint = format!("write `.phase NAME [LAYER]`, NAME one of {names}");
                    return Err(self.error(at..at + rest.len(), "this names no phase", hint));
                };
                self.program.marks.push(Mark { pc: self.program.code.len(), phase, layer });
            }
            "const" => self.constant(rest, at)?,
            _ => {
                let hint = "there are .program, .const, .tensor, .phase, .probe and .training";
                return Err(self.error(whole, format!("there is no directive `.{name}`"), hint));
            }
        }
        Ok(())
    }

    fn tensor(&mut self, rest: &str, at: usize) -> Result<(), SourceError> {
        let mut value: serde_json::Value = self.json(rest, at)?;
        let behind = self.program.tensors.last().map_or(0, |t| t.address + t.bytes());
        if let Some(fields) = value.as_object_mut() {
            fields.entry("address").or_insert_with(|| behind.next_multiple_of(ALIGNMENT).into());
        }
        let hint = "a tensor is {\"name\":…,\"bits\":8,\"signed\":true,\"shape\":[…]}; see isa/assembly.md";
        let tensor: Tensor = serde_json::from_value(value)
            .map_err(|e| self.error(at..at + rest.len(), e.to_string(), hint))?;
        let elements = tensor.shape.iter().try_fold(64u64, |p, &d| p.checked_mul(d)).filter(|&n| n < 1 << 42);
        if elements.is_none() || tensor.address >= 1 << 40 {
            return Err(self.error(at..at + rest.len(), "the tensor lies beyond 2^40 bytes", hint));
        }
        self.constants.insert(tensor.name.clone(), i64::try_from(tensor.address).unwrap_or(i64::MAX));
        self.program.tensors.push(tensor);
        Ok(())
    }

    fn constant(&mut self, rest: &str, at: usize) -> Result<(), SourceError> {
        let span = at..at + rest.len();
        let hint = "write `.const NAME = NUMBER`; NUMBER may use constants before it";
        let Some((name, value)) = rest.split_once('=') else {
            return Err(self.error(span, "a constant has a name and a value", hint));
        };
        let (name, offset) = (name.trim(), rest.len() - value.len());
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
            return Err(self.error(span, "a constant's name is letters, digits and `_`", hint));
        }
        // A constant is a number that `set` takes.
        let line = format!("set dst=s0 value={value}");
        let before = line.len() - value.len();
        let found = assemble(&line, &self.constants).map_err(|e| {
            let place = |n: usize| at + offset + n.saturating_sub(before);
            self.error(place(e.span.start)..place(e.span.end), e.message, e.hint)
        })?;
        let Some(Instr::Set(set)) = found else {
            return Err(self.error(span, "a constant has a value", hint));
        };
        self.constants.insert(name.to_owned(), set.value);
        Ok(())
    }

    fn finish(mut self) -> Result<Program, SourceError> {
        let end = self.text.len()..self.text.len();
        if let Some(open) = self.loops.pop() {
            return Err(self.error(open, "this loop has no `end`", "close it with `end`"));
        }
        if let Some((_, span)) = self.probes.pop() {
            return Err(self.error(
                span,
                "this probe has no instruction behind it",
                "put it before the one it means",
            ));
        }
        let stem = std::path::Path::new(self.origin).file_stem();
        let stem = stem.map_or_else(|| "program".to_owned(), |s| s.to_string_lossy().into_owned());
        self.program.name = self.named.take().unwrap_or(stem);
        let last = self.program.tensors.iter().map(|t| t.address + t.bytes()).max().unwrap_or(0);
        self.program.dram_bytes = self.dram_bytes.unwrap_or(last);
        match self.program.check() {
            Ok(()) => Ok(self.program),
            Err(e) => Err(self.error(end, e.to_string(), "see isa/assembly.md")),
        }
    }
}
