//! Memories and registers as their user wants to read them.

use std::fmt::Write;

use crate::isa::{Format, Memory, Range};
use crate::machine::{State, element};

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Whole numbers.
    Codes,
    /// A code of b bits times 2^(1-b): what it stands for.
    Values,
    /// Its bits.
    Bits,
}

/// Elements of a memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) memory: Memory,
    pub(super) first: u64,
    pub(super) format: Format,
    pub(super) signed: bool,
    pub(super) count: u64,
    pub(super) form: Form,
}

/// A range as it is typed.
pub(super) fn range(range: &Range) -> String {
    format!("{}[{:#x}..{:#x}]", range.memory.name(), range.first, range.end)
}

fn written(code: i64, bits: u32, signed: bool, form: Form) -> String {
    let pattern = code.cast_unsigned() & (u64::MAX >> (64 - bits));
    match form {
        Form::Bits => {
            (0..bits).rev().map(|place| if pattern >> place & 1 == 1 { '1' } else { '0' }).collect()
        }
        Form::Codes if signed => code.to_string(),
        Form::Codes => pattern.to_string(),
        Form::Values => {
            #[expect(clippy::cast_precision_loss, reason = "a value to be read, not computed with")]
            let code = if signed { code as f64 } else { pattern as f64 };
            let unit = 2f64.powi(1 - i32::try_from(bits).unwrap_or(64));
            format!("{}", code * unit)
        }
    }
}

/// Characters a line has room for.
const LINE: usize = 96;

/// Elements, as many a line as fit, the byte of the first before them.
pub(super) fn memory(shown: &Shown, state: &State) -> Result<String, String> {
    let bytes = state.memory(shown.memory);
    let (name, size) = (shown.memory.name(), bytes.len());
    let end = shown.count.checked_mul(shown.format.bits().into()).map(|bits| bits.div_ceil(8));
    let end = end.and_then(|bytes| bytes.checked_add(shown.first)).filter(|&end| end <= size as u64);
    if end.is_none() {
        return Err(format!("that leaves {name}, which has {size} bytes ({size:#x})"));
    }
    let first = usize::try_from(shown.first).unwrap_or(usize::MAX);
    let bits = shown.format.bits();
    let texts: Vec<String> = (0..shown.count)
        .map(|i| written(element(bytes, first, shown.format, i), bits, shown.signed, shown.form))
        .collect();
    let width = texts.iter().map(String::len).max().unwrap_or(1) + 1;
    let a_line = (LINE / width).max(1);
    let mut text = String::new();
    for (number, line) in (0u64..).step_by(a_line).zip(texts.chunks(a_line)) {
        let at = shown.first + number * u64::from(bits) / 8;
        let elements: String = line.iter().map(|element| format!("{element:>width$}")).collect();
        // A string takes all that is written.
        let _ = writeln!(text, "{name}[{at:#x}]{elements}");
    }
    Ok(text)
}

/// Scale registers and counters that are not 0.
pub(super) fn registers(state: &State, form: Form) -> String {
    let mut text = String::new();
    for (i, &value) in state.scales.iter().enumerate().filter(|(_, value)| **value != 0) {
        let _ = writeln!(text, "x{i:<3} {}", written(value, 64, true, form));
    }
    for (i, value) in state.counters.iter().enumerate().filter(|(_, value)| **value != 0) {
        let _ = match form {
            Form::Bits => writeln!(text, "c{i:<3} {value:0128b}"),
            _ => writeln!(text, "c{i:<3} {value}"),
        };
    }
    if text.is_empty() { "all registers are 0\n".to_owned() } else { text }
}
