//! The timeline's counters: bytes a cycle of DRAM, power of each unit, ports held and live bytes of each scratchpad.

use std::io::Write;

use super::memories::Change;
use super::occupancy::occupancy;
use super::ports::ports;
use super::{Halt, Timeline};
use crate::isa::{Memory, Unit};
use crate::program::Step;
use crate::timing::Span;
use crate::trace::{Timetable, Window};

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

    /// Nothing goes on.
    pub(super) fn end(self, line: &mut Timeline<'_>) -> Result<(), Halt> {
        let fallen = UNITS.into_iter().zip(self.falls);
        fallen
            .filter_map(|(unit, fell)| Some((unit, fell?)))
            .try_for_each(|(unit, fell)| zero(line, unit, fell))
    }
}

/// The counters of the scratchpads, which are the same in every pass.
#[derive(Default)]
pub(super) struct Scratchpads {
    ports: Vec<Change>,
    live: Vec<Change>,
}

impl Scratchpads {
    /// Ports that the window's instructions hold, and live bytes while one of them is under way.
    pub(super) fn of(table: &Timetable<'_>, window: &Window) -> Self {
        let times = || table.within(window).map(|(.., times)| times);
        let from = times().map(|times| times.started).min().unwrap_or(0);
        let to = times().map(|times| times.ended).max().unwrap_or(0);
        Scratchpads { ports: ports(table, window), live: between(&occupancy(table), from, to) }
    }
}

/// The changes within cycles `from..to`: from the values there are at first to zero at the end.
fn between(changes: &[Change], from: u64, to: u64) -> Vec<Change> {
    let (before, rest) = changes.split_at(changes.partition_point(|change| change.cycle <= from));
    let last = |changes: &[Change], memory| changes.iter().rfind(|change| change.memory == memory).copied();
    let begin = (0..4).filter_map(|memory| last(before, memory)).map(|first| Change { cycle: from, ..first });
    let within = rest.iter().take_while(|change| change.cycle < to).copied();
    let mut shown: Vec<Change> = begin.chain(within).collect();
    let end: Vec<_> = (0..4).filter_map(|memory| last(&shown, memory)).collect();
    shown.extend(end.iter().filter(|last| last.value != 0).map(|last| Change {
        cycle: to,
        value: 0,
        ..*last
    }));
    shown
}

/// The counters of the scratchpads over a pass.
pub(super) fn scratchpads(line: &mut Timeline<'_>) -> Result<(), Halt> {
    let Scratchpads { ports, live } = std::mem::take(&mut line.scratchpads);
    let mut all = |what: &str, unit: &str, changes: &[Change]| {
        changes.iter().try_for_each(|&Change { cycle, memory, value }| {
            let (ts, memory) = (line.at(cycle), Memory::SCRATCHPADS[memory].name());
            line.event(|out| {
                write!(
                    out,
                    "{{\"ph\":\"C\",\"pid\":1,\"ts\":{ts},\"name\":\"{what}: {memory}\",\"args\":{{\"{unit}\":{value}}}}}"
                )
            })
        })
    };
    let written = all("ports held", "ports", &ports).and_then(|()| all("live bytes", "bytes", &live));
    line.scratchpads = Scratchpads { ports, live };
    written
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
