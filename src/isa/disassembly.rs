//! Instructions as assembly text, by the table; [`super::assemble`] reads it back to the same instruction.

use std::fmt;

use super::field::Memory;
use super::instr::{FieldSpec, Instr, Kind};
use crate::number::{Overflow, Rounding};

/// Bits of an address's offset, and where its base and memory stand.
pub(super) const OFFSET_BITS: u32 = 40;
pub(super) const MEMORY_SHIFT: u32 = OFFSET_BITS + 5;

impl fmt::Display for Instr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.spec();
        f.write_str(spec.mnemonic)?;
        for (field, raw) in spec.fields.iter().zip(self.raw_fields()) {
            if field.default.map(|d| pattern(field, d)) != Some(raw) {
                write!(f, " {}={}", field.name, value_text(field, raw))?;
            }
        }
        Ok(())
    }
}

/// The pattern of a number in a field: the low bits of its two's complement.
pub(super) fn pattern(field: &FieldSpec, value: i64) -> u64 {
    let value = if field.kind == Kind::Format { value - 1 } else { value };
    value.cast_unsigned() & (u64::MAX >> (64 - field.width))
}

fn name_of<T: Copy>(all: &[T], raw: u64, name: impl Fn(T) -> &'static str) -> String {
    let index = usize::try_from(raw).unwrap_or(usize::MAX);
    all.get(index).map_or_else(|| raw.to_string(), |&v| name(v).to_owned())
}

pub(super) const ROUNDINGS: [Rounding; 3] = [Rounding::Even, Rounding::Up, Rounding::Truncate];

pub(super) fn rounding_name(rounding: Rounding) -> &'static str {
    match rounding {
        Rounding::Even => "even",
        Rounding::Up => "up",
        Rounding::Truncate => "truncate",
    }
}

fn value_text(field: &FieldSpec, raw: u64) -> String {
    match field.kind {
        Kind::Uint(_) | Kind::Flag => raw.to_string(),
        Kind::Int(width) => {
            let unused = 64 - width;
            ((raw << unused).cast_signed() >> unused).to_string()
        }
        Kind::Format => (raw + 1).to_string(),
        Kind::Scalar => format!("s{raw}"),
        Kind::Scale => format!("x{raw}"),
        Kind::Counter => format!("c{raw}"),
        Kind::Mode => format!("m{raw}"),
        Kind::Overflow => name_of(&Overflow::ALL, raw, Overflow::name),
        Kind::Rounding => name_of(&ROUNDINGS, raw, rounding_name),
        Kind::Address(memory) => {
            let offset = raw & ((1 << OFFSET_BITS) - 1);
            let base = raw >> OFFSET_BITS & 31;
            let of = |index: u64| name_of(&Memory::ALL, index, Memory::name);
            let memory = memory.map_or_else(|| of(raw >> MEMORY_SHIFT), |m| m.name().to_owned());
            match (base, offset) {
                (0, _) => format!("{memory}[{offset:#x}]"),
                (_, 0) => format!("{memory}[s{base}]"),
                _ => format!("{memory}[s{base}+{offset:#x}]"),
            }
        }
    }
}
