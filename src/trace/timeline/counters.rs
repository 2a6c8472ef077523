//! The timeline's counters: bytes a cycle of DRAM, power of each unit, ports held.

use std::io::Write;

use super::super::ports::ports;
use super::{Halt, Timeline, ports_name};
use crate::isa::Unit;
use crate::program::Step;
use crate::timing::Span;

/// Counters that are zero where their unit is not busy.
#[derive(Default)]
pub(super) struct Counters {
    /// The cycle in which each unit's counters fall to zero, if nothing goes on there.
    falls: [Option<u64>; 4],
}

const UNITS: [Unit; 4] = [Unit::Load, Unit::Store, Unit::Array, Unit::Vector];

fn power_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Load => "power, mW: load",
        Unit::Store => "power, mW: store",
        Unit::Array => "power, mW: array",
        Unit::Vector => "power, mW: vector",
        Unit::Control => "power, mW: control",
    }
}

fn dram_name(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Load => Some("DRAM, bytes/cycle: read"),
        Unit::Store => Some("DRAM, bytes/cycle: written"),
        _ => None,
    }
}

impl Counters {
    /// An instruction occupies a unit.
    pub(super) fn busy(&mut self, line: &mut Timeline<'_>, span: &Span, instr: &Step) -> Result<(), Halt> {
        let Some(place) = UNITS.iter().position(|&unit| unit == span.unit) else { return Ok(()) };
        if let Some(fell) = self.falls[place].filter(|&fell| fell < span.from) {
            zero(line, span.unit, fell)?;
        }
        self.falls[place] = Some(span.to);
        let price = line.table.price(instr);
        let cycles = per_cycle(span);
        let power = price.energy_pj * f64::from(line.table.machine.clock_mhz) / 1000.0 / cycles;
        count(line, power_name(span.unit), span.from, power)?;
        let Some(name) = dram_name(span.unit) else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "a rate to be looked at; the slices have the bytes")]
        let bytes = (price.dram_read_bytes + price.dram_written_bytes) as f64;
        count(line, name, span.from, bytes / cycles)
    }

    /// Nothing goes on; the ports of the pass.
    pub(super) fn end(self, line: &mut Timeline<'_>) -> Result<(), Halt> {
        for (unit, fell) in UNITS.into_iter().zip(self.falls) {
            if let Some(fell) = fell {
                zero(line, unit, fell)?;
            }
        }
        for change in ports(line.table, line.window) {
            let ts = line.at(change.cycle);
            let (name, held) = (ports_name(change.memory), change.held);
            line.event(|out| {
                write!(
                    out,
                    "{{\"ph\":\"C\",\"pid\":1,\"ts\":{ts},\"name\":\"{name}\",\"args\":{{\"ports\":{held}}}}}"
                )
            })?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate to be looked at")]
fn per_cycle(span: &Span) -> f64 {
    (span.to - span.from) as f64
}

fn zero(line: &mut Timeline<'_>, unit: Unit, cycle: u64) -> Result<(), Halt> {
    count(line, power_name(unit), cycle, 0.0)?;
    dram_name(unit).map_or(Ok(()), |name| count(line, name, cycle, 0.0))
}

fn count(line: &mut Timeline<'_>, name: &str, cycle: u64, value: f64) -> Result<(), Halt> {
    let ts = line.at(cycle);
    line.event(|out| {
        write!(
            out,
            "{{\"ph\":\"C\",\"pid\":1,\"ts\":{ts},\"name\":\"{name}\",\"args\":{{\"value\":{value:.3}}}}}"
        )
    })
}
