//! A timeline in the trace-event format ("JSON object format"), which Perfetto, speedscope and others open.
//!
//! One process; a track for the phases, one for control's loops, one for each unit with what it executes and what it
//! waits for, and counters. Times are microseconds of the machine's clock; the arguments have the cycles.

mod args;
mod counters;
mod loops;
mod memories;
mod occupancy;
mod ports;

use std::io::Write;
use std::path::Path;

use args::{busy, wait_name, waiting};
use counters::{Counters, Scratchpads};
use loops::Loops;

use super::form::together;
use super::{End, Form, Halt, Limits, Sink, Timetable, Window, Written};
use crate::isa::Unit;
use crate::machine::State;
use crate::program::Phase;
use crate::timing::Activity;

/// Tracks in the order a viewer shows them.
const TRACKS: [(&str, u32); 6] =
    [("phase", 1), ("control", 2), ("load", 3), ("array", 4), ("vector", 5), ("store", 6)];

fn track(unit: Unit) -> u32 {
    TRACKS.iter().find(|(name, _)| *name == unit.name()).map_or(0, |&(_, tid)| tid)
}

/// A number of cycles as microseconds, exact to the picosecond below.
struct Micros {
    cycles: u64,
    clock_mhz: u32,
}

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let clock = u64::from(self.clock_mhz.max(1));
        let (whole, rest) = (self.cycles / clock, self.cycles % clock * 1_000_000 / clock);
        match rest {
            0 => write!(f, "{whole}"),
            _ if rest % 1000 == 0 => write!(f, "{whole}.{:03}", rest / 1000),
            _ => write!(f, "{whole}.{rest:06}"),
        }
    }
}

/// Writes a timeline.
pub struct Timeline<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    sink: Sink,
    scratchpads: Scratchpads,
    /// First cycle of the pass under way.
    offset: u64,
    first: bool,
}

impl<'a> Timeline<'a> {
    /// A timeline with nothing in it yet.
    ///
    /// # Errors
    /// When the file cannot be made or is full at once.
    pub fn create(
        path: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
    ) -> Result<Self, Halt> {
        let sink = Sink::create(path, limits, closing(table, false).len())?;
        let scratchpads = Scratchpads::of(table, window);
        let mut timeline = Timeline { table, window, sink, scratchpads, offset: 0, first: true };
        timeline.sink.records(0, |out| out.extend(b"{\"traceEvents\":[\n"))?;
        let name = json(&format!("{} on {}", table.program.name, table.machine.short_name()));
        timeline.metadata("process_name", 0, &format!("\"name\":{name}"))?;
        for (track, tid) in TRACKS {
            timeline.metadata("thread_name", tid, &format!("\"name\":\"{track}\""))?;
            timeline.metadata("thread_sort_index", tid, &format!("\"sort_index\":{tid}"))?;
        }
        Ok(timeline)
    }

    fn metadata(&mut self, what: &str, tid: u32, args: &str) -> Result<(), Halt> {
        self.event(|out| {
            write!(out, "{{\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"name\":\"{what}\",\"args\":{{{args}}}}}")
        })
    }

    /// One event; `write` gives its object.
    fn event(&mut self, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), Halt> {
        self.events(1, write)
    }

    /// Events that stay together, with what separates them.
    fn events(
        &mut self,
        count: u64,
        write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
    ) -> Result<(), Halt> {
        let first = std::mem::take(&mut self.first);
        self.sink.records(count, |out| {
            if !first {
                out.extend(b",\n");
            }
            // A vector takes all that is written.
            let _ = write(out);
        })
    }

    fn at(&self, cycle: u64) -> Micros {
        Micros { cycles: self.offset + cycle, clock_mhz: self.table.machine.clock_mhz }
    }

    /// Cycles `from..to` of a track: a beginning and an end, so that what follows begins at the very number this ends with.
    fn slice(&mut self, tid: u32, [from, to]: [u64; 2], name: &str, rest: &[u8]) -> Result<(), Halt> {
        let (begin, end) = (self.at(from), self.at(to));
        self.events(2, |out| {
            write!(out, "{{\"ph\":\"B\",\"pid\":1,\"tid\":{tid},\"ts\":{begin},\"name\":\"{name}\",")?;
            out.extend_from_slice(rest);
            write!(out, "}},\n{{\"ph\":\"E\",\"pid\":1,\"tid\":{tid},\"ts\":{end},\"name\":\"{name}\"}}")
        })
    }

    /// One execution of the entry: training step `step`, the passes before it having taken their cycles.
    fn pass(&mut self, step: u64) -> Result<(), Halt> {
        let (table, window) = (self.table, self.window);
        self.offset = (step - 1) * table.schedule.cycles;
        self.phases(step)?;
        Loops::new(table, window).write(self)?;
        let mut counters = Counters::default();
        let mut rest = Vec::new();
        for span in &table.spans {
            if !window.meets(span.from, span.to) {
                continue;
            }
            let instr = span.step.and_then(|seq| Some((seq, table.plan.steps.get(seq)?)));
            if !instr.map_or(window.takes_idle(span.unit), |(seq, instr)| window.takes(seq, instr)) {
                continue;
            }
            rest.clear();
            let name = match (span.activity, instr) {
                (Activity::Busy, Some((seq, instr))) => {
                    let _ = busy(&mut rest, table, step, seq, instr, span);
                    counters.busy(self, span, instr)?;
                    instr.instr.spec().mnemonic
                }
                (Activity::Busy, None) => continue,
                (Activity::Wait(wait), _) => {
                    let _ = waiting(&mut rest, step, wait.name(), instr.map(|(seq, _)| seq), span);
                    wait_name(wait)
                }
            };
            self.slice(track(span.unit), [span.from, span.to], name, &rest)?;
        }
        counters.end(self)?;
        counters::scratchpads(self)
    }

    /// Which phase and layer the oldest instruction not ended is of: the report's cycles of phases and layers.
    fn phases(&mut self, step: u64) -> Result<(), Halt> {
        let (table, window) = (self.table, self.window);
        let mut open: Option<(Phase, Option<u32>, u64)> = None;
        let mut done = 0;
        for (seq, (instr, times)) in table.plan.steps.iter().zip(&table.schedule.times).enumerate() {
            let taken = window.takes(seq, instr) && window.meets(times.issued, times.ended);
            let label = taken.then_some((instr.phase, instr.layer));
            if open.map(|(phase, layer, _)| (phase, layer)) != label {
                self.phase(step, open, done)?;
                open = label.map(|(phase, layer)| (phase, layer, done));
            }
            done = done.max(times.ended);
        }
        self.phase(step, open, done)?;
        let rest = (Phase::Other, None, done);
        if window.is_whole() { self.phase(step, Some(rest), table.schedule.cycles) } else { Ok(()) }
    }

    fn phase(&mut self, step: u64, open: Option<(Phase, Option<u32>, u64)>, to: u64) -> Result<(), Halt> {
        let Some((phase, layer, from)) = open.filter(|open| open.2 < to) else { return Ok(()) };
        let layer = self.table.layer_name(layer);
        let name =
            layer.as_ref().map_or(phase.name().to_owned(), |layer| format!("{} {layer}", phase.name()));
        let mut rest = Vec::new();
        let _ = write!(rest, "\"cat\":\"phase\",\"args\":{{\"step\":{step},\"phase\":\"{}\",", phase.name());
        if let Some(layer) = layer {
            let _ = write!(rest, "\"layer\":{},", json(&layer));
        }
        let _ = write!(rest, "\"cycle\":{from},\"cycles\":{}}}", to - from);
        let name = json(&name);
        self.slice(1, [from, to], name.trim_matches('"'), &rest)
    }
}

impl Form for Timeline<'_> {
    fn step(&mut self, step: u64, _: Option<&State>) -> Result<(), End> {
        Ok(self.pass(step)?)
    }

    fn finish(self: Box<Self>, complete: bool) -> (Vec<Written>, Option<Halt>) {
        let (file, table) = (self.sink.path().to_owned(), self.table);
        let ended = self.sink.finish(complete, |_, complete| closing(table, complete));
        together([Written::of("timeline", file, ended)])
    }
}

/// What stands behind the events.
fn closing(table: &Timetable<'_>, complete: bool) -> Vec<u8> {
    let other = serde_json::json!({
        "program": table.program.name,
        "machine": table.machine.short_name(),
        "entry": table.plan.entry,
        "clock_mhz": table.machine.clock_mhz,
        "complete": complete,
    });
    format!("\n],\"displayTimeUnit\":\"ns\",\"otherData\":{other}}}\n").into_bytes()
}

/// A text as JSON, with its quotes.
pub(super) fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_microseconds_of_the_clock() {
        let text = |cycles, clock_mhz| Micros { cycles, clock_mhz }.to_string();
        assert_eq!(text(0, 500), "0");
        assert_eq!(text(1, 500), "0.002");
        assert_eq!(text(1500, 500), "3");
        assert_eq!(text(1, 3000), "0.000333");
        assert_eq!(text(2_574_019, 500), "5148.038");
    }
}
