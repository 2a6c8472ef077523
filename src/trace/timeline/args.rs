//! Names, categories and arguments of the slices on units' tracks.

use std::io::Write;

use super::json;
use crate::isa::{Footprint, Instr, Range};
use crate::program::Step;
use crate::timing::{Span, Wait};
use crate::trace::Timetable;

/// What a wait's slice is called.
pub(super) fn wait_name(wait: Wait) -> &'static str {
    match wait {
        Wait::Operand => "wait: operand",
        Wait::Dependency => "wait: dependency",
        Wait::Drain => "wait: drain",
        Wait::Overwrite => "wait: overwrite",
        Wait::Port => "wait: port",
        Wait::Channel => "wait: channel",
        Wait::Queue => "wait: queue",
        Wait::Control => "wait: control",
        Wait::Finished => "finished",
    }
}

/// Category and arguments of a wait.
pub(super) fn waiting(
    out: &mut Vec<u8>,
    step: u64,
    cause: &str,
    seq: Option<usize>,
    span: &Span,
) -> std::io::Result<()> {
    write!(out, "\"cat\":\"wait\",\"args\":{{\"step\":{step},\"cause\":\"{cause}\",")?;
    if let Some(seq) = seq {
        write!(out, "\"before\":{seq},")?;
    }
    write!(out, "\"cycle\":{},\"cycles\":{}}}", span.from, span.to - span.from)
}

/// Category and arguments of an instruction.
pub(super) fn busy(
    out: &mut Vec<u8>,
    table: &Timetable<'_>,
    step: u64,
    seq: usize,
    instr: &Step,
    span: &Span,
) -> std::io::Result<()> {
    let (times, price) = (&table.schedule.times[seq], table.price(instr));
    let phase = instr.phase.name();
    write!(
        out,
        "\"cat\":\"{phase}\",\"args\":{{\"step\":{step},\"seq\":{seq},\"pc\":{},\"phase\":\"{phase}\"",
        instr.pc
    )?;
    if let Some(layer) = table.layer_name(instr.layer) {
        write!(out, ",\"layer\":{}", json(&layer))?;
    }
    let cycles = span.to - span.from;
    write!(
        out,
        ",\"cycle\":{},\"cycles\":{cycles},\"issued\":{},\"ended\":{}",
        span.from, times.issued, times.ended
    )?;
    match price.dram_read_bytes + price.dram_written_bytes {
        0 => {}
        bytes => write!(out, ",\"dram_bytes\":{bytes}")?,
    }
    if let Instr::MTaps(m) | Instr::MPositions(m) = &instr.instr {
        let bits = instr.rule.bits;
        write!(
            out,
            ",\"rows\":{},\"length\":{},\"columns\":{},\"accumulator_bits\":{bits}",
            m.rows, m.length, m.columns
        )?;
        write!(out, ",\"products\":{}", price.products)?;
    }
    let footprint = Footprint::of(&instr.instr);
    ranges(out, "reads", &footprint.reads)?;
    ranges(out, "writes", &footprint.writes)?;
    out.push(b'}');
    Ok(())
}

fn ranges(out: &mut Vec<u8>, name: &str, ranges: &[Range]) -> std::io::Result<()> {
    for (i, range) in ranges.iter().enumerate() {
        let before = if i == 0 { format!(",\"{name}\":\"") } else { ", ".to_owned() };
        write!(out, "{before}{}[{:#x}..{:#x}]", range.memory.name(), range.first, range.end)?;
    }
    if !ranges.is_empty() {
        out.push(b'"');
    }
    Ok(())
}
