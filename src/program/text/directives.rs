//! Directives: what a program has besides instructions. Those that give names stand in `names`, macros in `expansion`.

use std::ops::Range;

use super::Header;
use super::names::ALIGNMENT;
use super::reader::{Done, Problem, Reader, Thing};
use crate::isa::{listed, nearest, without_comment};
use crate::program::{Mark, Phase, Probe, Tensor, Training};

/// Every directive.
const DIRECTIVES: [&str; 11] =
    ["include", "program", "const", "reg", "place", "tensor", "macro", "endm", "phase", "probe", "training"];

const SEE: &str = "a directive carries one JSON object on its line; see isa/assembly.md";

impl Reader<'_> {
    /// Reads a line that begins with a point.
    pub(super) fn directive(&mut self, line: Range<usize>) -> Done {
        let text = &self.text[line.clone()];
        let point = text.len() - text.trim_start().len();
        let named = &text[point + 1..];
        let length = named.find([' ', '\t', ';', '#']).unwrap_or(named.len());
        let (name, rest) = named.split_at(length);
        let word = line.start + point..line.start + point + 1 + length;
        let rest = rest.trim_start();
        let start = line.start + text.len() - rest.len();
        if !self.expansions.is_empty() && matches!(name, "program" | "tensor" | "training") {
            let message = format!("`.{name}` within a macro");
            return Err(Problem::new(word, message, "put it outside: a program has it once"));
        }
        match name {
            "program" => {
                let header: Header = self.json(rest, start)?;
                (self.named, self.dram_bytes) = (header.name, header.dram_bytes);
                Ok(())
            }
            "tensor" => self.tensor(rest, start),
            "probe" => self.probe(rest, start),
            "training" => {
                let training: Training = self.json(rest, start)?;
                self.program.training = Some(training);
                Ok(())
            }
            "phase" => self.phase(without_comment(rest), start),
            "const" | "reg" | "place" => self.name(name, rest, start),
            "macro" => {
                self.begin_macro(rest, start, word.start..start + without_comment(rest).trim_end().len())
            }
            "include" => Err(self.refused_include(line)),
            "endm" => Err(Problem::new(word, "`.endm` without a `.macro`", "take it out")),
            _ => {
                let hint = match nearest(name, DIRECTIVES.into_iter()) {
                    Some(near) => format!("did you mean `.{near}`?"),
                    None => format!("there are {}", listed(DIRECTIVES.into_iter())),
                };
                Err(Problem::new(word, format!("there is no directive `.{name}`"), hint))
            }
        }
    }

    /// JSON of a directive; a comment may follow it.
    fn json<T: serde::de::DeserializeOwned>(&self, rest: &str, start: usize) -> Result<T, Problem> {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        let found = values.next();
        let end = values.byte_offset();
        match found {
            Some(Ok(value)) if without_comment(rest.get(end..).unwrap_or("")).trim().is_empty() => Ok(value),
            Some(Ok(_)) => {
                let hint = "a directive carries one JSON object; `;` begins a comment";
                Err(Problem::new(start + end..start + rest.len(), "nothing is expected here", hint))
            }
            Some(Err(e)) => {
                let column = start + e.column().saturating_sub(1).min(rest.len());
                let message = e.to_string();
                let message = message.split(" at line").next().unwrap_or_default().to_owned();
                Err(Problem::new(column..column + 1, message, SEE))
            }
            None => Err(Problem::new(start..start + rest.len(), "its JSON object is missing", SEE)),
        }
    }

    fn phase(&mut self, rest: &str, start: usize) -> Done {
        let mut words = rest.split_whitespace();
        let written = words.next().unwrap_or_default();
        let phase = Phase::ALL.into_iter().find(|p| p.name() == written);
        let layer = words.next().map(str::parse::<u32>).transpose();
        let (Some(phase), Ok(layer), None) = (phase, layer, words.next()) else {
            let names = Phase::ALL.map(Phase::name);
            let hint = match nearest(written, names.into_iter()).filter(|_| phase.is_none()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write `.phase NAME [LAYER]`, NAME one of {}", names.join(", ")),
            };
            return Err(Problem::new(start..start + rest.trim_end().len(), "this names no phase", hint));
        };
        self.program.marks.push(Mark { pc: self.program.code.len(), phase, layer });
        Ok(())
    }

    fn probe(&mut self, rest: &str, start: usize) -> Done {
        let mut value: serde_json::Value = self.json(rest, start)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("pc".to_owned(), 0.into());
        }
        let span = start..start + rest.trim_end().len();
        let probe: Probe =
            serde_json::from_value(value).map_err(|e| Problem::new(span.clone(), e.to_string(), SEE))?;
        self.probes.push((probe, span));
        Ok(())
    }

    fn tensor(&mut self, rest: &str, start: usize) -> Done {
        let mut value: serde_json::Value = self.json(rest, start)?;
        let behind = self.program.tensors.last().map_or(0, |t| t.address + t.bytes());
        if let Some(fields) = value.as_object_mut() {
            fields.entry("address").or_insert_with(|| behind.next_multiple_of(ALIGNMENT).into());
        }
        let span = start..start + rest.trim_end().len();
        let hint = "a tensor is {\"name\":…,\"bits\":8,\"signed\":true,\"shape\":[…]}; see isa/assembly.md";
        let tensor: Tensor =
            serde_json::from_value(value).map_err(|e| Problem::new(span.clone(), e.to_string(), hint))?;
        let elements = tensor.shape.iter().try_fold(1u64, |p, &d| p.checked_mul(d)).filter(|&n| n < 1 << 42);
        if elements.is_none() || tensor.address >= 1 << 40 {
            return Err(Problem::new(span, "the tensor lies beyond 2^40 bytes", hint));
        }
        self.name_tensor(&tensor, span.clone())?;
        self.given_at.insert((Thing::Tensor, tensor.name.clone()), span);
        self.program.tensors.push(tensor);
        Ok(())
    }
}
