//! Fields of an instruction, by the table: which there are, what each may hold, its bits.

use std::ops::Range;

use super::AssemblyError;
use super::expression::too_large;
use super::line::Line;
use super::names::{Place, Value, listed, nearest};
use crate::isa::disassembly::{MEMORY_SHIFT, OFFSET_BITS, ROUNDINGS, pattern, rounding_name};
use crate::isa::instr::{FieldSpec, InstrSpec, Kind};
use crate::isa::{Counter, Memory, ModeIndex, Scalar, Scale};
use crate::number::Overflow;

/// Patterns of the fields in the table's order.
pub(super) fn fields(
    line: &mut Line<'_>,
    spec: &InstrSpec,
    mnemonic: &Range<usize>,
) -> Result<Vec<u64>, AssemblyError> {
    let mut raw: Vec<Option<u64>> = vec![None; spec.fields.len()];
    while !line.is_done() {
        if line.take(",") {
            continue;
        }
        let span = line.span();
        let Some((name, _)) = line.word() else {
            return Err(AssemblyError::new(span, "a field begins with its name", "write `field=value`"));
        };
        let Some(place) = spec.fields.iter().position(|f| f.name == name) else {
            let hint = match nearest(&name, spec.fields.iter().map(|f| f.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if spec.fields.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", listed(spec.fields.iter().map(|f| f.name))),
            };
            let message = format!("`{}` has no field `{name}`", spec.mnemonic);
            return Err(AssemblyError::new(span, message, hint));
        };
        let field = &spec.fields[place];
        if raw[place].is_some() {
            let message = format!("`{name}` is given twice");
            return Err(AssemblyError::new(span, message, "leave one of them out"));
        }
        let value = if line.take("=") {
            let (value, span) = line.value()?;
            field_pattern(line, field, value, span)?
        } else if field.kind == Kind::Flag {
            1
        } else {
            let message = format!("`{name}` has no value");
            return Err(AssemblyError::new(span, message, format!("write `{name}=…`: {}", field.doc)));
        };
        raw[place] = Some(value);
    }
    let missing: Vec<&str> = spec
        .fields
        .iter()
        .zip(&raw)
        .filter(|(f, r)| r.is_none() && f.default.is_none())
        .map(|(f, _)| f.name)
        .collect();
    if !missing.is_empty() {
        let message = format!("`{}` lacks {}", spec.mnemonic, listed(missing.iter().copied()));
        return Err(AssemblyError::new(mnemonic.clone(), message, "these fields have no default"));
    }
    let or_default = |(f, r): (&FieldSpec, &Option<u64>)| r.unwrap_or(pattern(f, f.default.unwrap_or(0)));
    Ok(spec.fields.iter().zip(&raw).map(or_default).collect())
}

/// Bits of a value in a field.
fn field_pattern(
    line: &Line<'_>,
    field: &FieldSpec,
    value: Value,
    span: Range<usize>,
) -> Result<u64, AssemblyError> {
    let refuse = |message: String, hint: String| AssemblyError::new(span.clone(), message, hint);
    let range = |value: i128, least: i128, greatest: i128| {
        if (least..=greatest).contains(&value) {
            let value = i64::try_from(value).map_err(|_| too_large(span.clone()))?;
            return Ok(pattern(field, value));
        }
        let message = format!("{} is {value}, beyond {least} to {greatest}", field.name);
        Err(refuse(message, format!("{}: {}", field.name, field.doc)))
    };
    let named = |names: &[&'static str], word: &str| {
        let found = names.iter().position(|n| *n == word).map(|i| i as u64);
        let hint = format!("{} is one of {}", field.name, listed(names.iter().copied()));
        found.ok_or_else(|| refuse(format!("`{word}` is no value of {}", field.name), hint))
    };
    match (field.kind, value) {
        (Kind::Overflow, Value::Word(word)) => named(&Overflow::ALL.map(Overflow::name), &word),
        (Kind::Rounding, Value::Word(word)) => named(&ROUNDINGS.map(rounding_name), &word),
        (Kind::Scalar | Kind::Scale | Kind::Counter | Kind::Mode, value) => {
            let letter = register_letter(field.kind);
            let count = 1u64 << field.width;
            match value {
                Value::Register(l, n) if l == letter && u64::from(n) < count => Ok(n.into()),
                _ => {
                    let hint = format!("{} is {letter}0 to {letter}{}", field.name, count - 1);
                    Err(refuse("no such register here".to_owned(), hint))
                }
            }
        }
        (Kind::Address(only), Value::Place(place)) => address_pattern(field, only, &place, span),
        (Kind::Uint(width), value) => range(line.as_number(value, &span)?, 0, (1 << width) - 1),
        (Kind::Int(width), value) => {
            range(line.as_number(value, &span)?, -(1 << (width - 1)), (1 << (width - 1)) - 1)
        }
        (Kind::Flag, value) => range(line.as_number(value, &span)?, 0, 1),
        (Kind::Format, value) => range(line.as_number(value, &span)?, 1, 64),
        (Kind::Address(_), Value::Word(word)) => Err(line.no_place(&word, span)),
        (kind, _) => {
            let expected = match kind {
                Kind::Address(_) => "an address: `memory[offset]`, `memory[s1 + offset]` or a named place",
                Kind::Overflow => "wrap, saturate or trap",
                _ => "even, up or truncate",
            };
            Err(refuse(format!("{} takes something else", field.name), format!("it is {expected}")))
        }
    }
}

/// The letter of a field's registers.
fn register_letter(kind: Kind) -> char {
    match kind {
        Kind::Scalar => Scalar::LETTER,
        Kind::Scale => Scale::LETTER,
        Kind::Counter => Counter::LETTER,
        _ => ModeIndex::LETTER,
    }
}

fn address_pattern(
    field: &FieldSpec,
    only: Option<Memory>,
    place: &Place,
    span: Range<usize>,
) -> Result<u64, AssemblyError> {
    let refuse = |message: String, hint: String| AssemblyError::new(span.clone(), message, hint);
    let memory = place.memory;
    if let Some(only) = only.filter(|&m| m != memory) {
        let hint = format!("write `{}={}[…]`", field.name, only.name());
        let message = format!("{} lies in {}, not in {}", field.name, only.name(), memory.name());
        return Err(refuse(message, hint));
    }
    let offset = u64::try_from(place.offset).ok().filter(|&o| o < 1 << OFFSET_BITS).ok_or_else(|| {
        let hint = "an offset is 0 to 2^40 - 1 bytes".to_owned();
        refuse(format!("{} has offset {}", field.name, place.offset), hint)
    })?;
    let memory = if only.is_none() { (memory.index() as u64) << MEMORY_SHIFT } else { 0 };
    Ok(offset | u64::from(place.base.0) << OFFSET_BITS | memory)
}
