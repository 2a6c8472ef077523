//! The reference part of the manual, made from the table.

use std::fmt::Write;

use super::instr::{Access, InstrSpec, Kind, TABLE, Unit};

/// `isa/reference.md`: every instruction with its encoding, fields and meaning.
pub fn reference() -> String {
    let mut out = String::from(
        "<!-- Made from isa/table.toml; `UPDATE=1 cargo test --test manual` writes it anew. -->\n\n\
         # Instructions\n\n\
         Each is made of 64-bit words: bits 0 to 7 of the first are the opcode, the fields follow without gaps, least\n\
         significant bit first, and the rest of the last word is 0. A field with a default may be left out of text.\n",
    );
    // Writing to a string does not fail.
    let _ = write_all(&mut out);
    out
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Control => "Control: executed as they are issued, one a cycle",
        Unit::Load => "Load: DRAM to a scratchpad",
        Unit::Store => "Store: a scratchpad to DRAM",
        Unit::Array => "The MAC array",
        Unit::Vector => "The vector unit",
    }
}

fn write_all(out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n| opcode | instruction | words | |\n|---|---|---|---|")?;
    for spec in TABLE {
        let (anchor, opcode) = (spec.mnemonic.replace('.', ""), spec.opcode);
        writeln!(
            out,
            "| `{opcode:#04x}` | [`{}`](#{anchor}) | {} | {} |",
            spec.mnemonic, spec.words, spec.summary
        )?;
    }
    for unit in Unit::ALL {
        writeln!(out, "\n## {}", unit_name(unit))?;
        for spec in TABLE.iter().filter(|s| s.unit == unit) {
            write_one(out, spec)?;
        }
    }
    Ok(())
}

fn write_one(out: &mut String, spec: &InstrSpec) -> std::fmt::Result {
    writeln!(out, "\n### {}\n\n{}\n\n```\n{}\n```", spec.mnemonic, spec.summary, spec.meaning)?;
    if spec.fields.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| bits | field | kind | default | |\n|---|---|---|---|---|")?;
    for field in spec.fields {
        let last = field.position + field.width - 1;
        let default = field.default.map_or(String::new(), |d| d.to_string());
        let access = match field.access {
            Some(Access::Read) => "read: ",
            Some(Access::Write) => "written: ",
            None => "",
        };
        let (name, kind, doc) = (field.name, kind_name(field.kind), field.doc);
        writeln!(out, "| {}–{last} | `{name}` | {kind} | {default} | {access}{doc} |", field.position)?;
    }
    Ok(())
}

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::Address(Some(memory)) => format!("address in {}", memory.name()),
        Kind::Address(None) => "address".to_owned(),
        Kind::Uint(bits) => format!("number, {bits} bits"),
        Kind::Int(bits) => format!("signed number, {bits} bits"),
        Kind::Flag => "flag".to_owned(),
        Kind::Format => "bits of an element".to_owned(),
        Kind::Scalar => "scalar register".to_owned(),
        Kind::Scale => "scale register".to_owned(),
        Kind::Counter => "counter".to_owned(),
        Kind::Mode => "accumulator mode".to_owned(),
        Kind::Overflow => "wrap, saturate, trap".to_owned(),
        Kind::Rounding => "even, up, truncate".to_owned(),
    }
}
