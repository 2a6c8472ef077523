//! The instruction log: a JSON object a line, one for each instruction executed, between a line that says what was run and one
//! that says how it ended.
//!
//! Without data a line has what program and machine decide. On data it has what the instruction came to besides, and on
//! request a digest of what it wrote.

use std::io::Write;
use std::path::Path;

use sha2::Digest;

use super::form::together;
use super::timeline::json;
use super::{End, Form, Halt, Limits, Sink, Timetable, Window, Written};
use crate::isa::{Footprint, Range, encode};
use crate::machine::{Engine, Outcome, State};
use crate::program::{Flow, Step, hex};

/// Writes a log.
pub struct Log<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    sink: Sink,
    /// Words of each instruction of the program, in hexadecimal.
    encodings: Vec<String>,
    /// What executes, on data.
    engine: Option<Box<dyn Engine>>,
    digest: bool,
    /// The training step under way.
    step: u64,
    seq: usize,
    flow: Flow<'a>,
}

/// How a log on data is made.
pub struct OnData {
    /// What executes.
    pub engine: Box<dyn Engine>,
    /// Digests of what was written.
    pub digest: bool,
}

/// How many digits of a digest are written: 64 bits.
const DIGEST_DIGITS: usize = 16;

impl<'a> Log<'a> {
    /// A log with nothing in it yet.
    ///
    /// # Errors
    /// When the file cannot be made or is full at once.
    pub fn create(
        path: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
        on_data: Option<OnData>,
    ) -> Result<Self, Halt> {
        let encoded = |instr| encode(std::slice::from_ref(instr)).unwrap_or_default();
        let hex = |words: Vec<u64>| words.iter().map(|w| format!("{w:016x}")).collect::<Vec<_>>().join(" ");
        let encodings = table.program.code.iter().map(|instr| hex(encoded(instr))).collect();
        let mut sink = Sink::create(path, limits, ending(u64::MAX, false).len())?;
        let head = serde_json::json!({
            "log": "wagesim", "version": 1, "program": table.program.name, "entry": table.plan.entry,
            "machine": table.machine.short_name(),
        });
        sink.records(0, |out| out.extend_from_slice(format!("{head}\n").as_bytes()))?;
        let flow = Flow::new(table.program, &table.plan.entry);
        let digest = on_data.as_ref().is_some_and(|on| on.digest);
        let engine = on_data.map(|on| on.engine);
        Ok(Log { table, window, sink, encodings, engine, digest, step: 1, seq: 0, flow })
    }

    fn next(&mut self, step: &Step, ran: Option<(&Outcome, &State)>) -> Result<(), Halt> {
        let seq = self.seq;
        self.seq += 1;
        let pc = usize::try_from(step.pc).unwrap_or(usize::MAX);
        // Control's own instructions stand between.
        while self.flow.next().is_some_and(|(at, instr)| at != pc || instr.unit() != step.instr.unit()) {}
        let times = &self.table.schedule.times[seq];
        if !self.window.takes(seq, step) || !self.window.meets(times.issued, times.ended) {
            return Ok(());
        }
        let (table, flow, encoding) = (self.table, &self.flow, &self.encodings[pc]);
        let number = self.step;
        let digest = self.digest;
        self.sink.record(|out| {
            // A vector takes all that is written.
            let _ = Line { table, flow, number, seq, step, encoding }.write(out, ran, digest);
        })
    }
}

impl Form for Log<'_> {
    fn step(&mut self, step: u64, before: Option<&State>) -> Result<(), End> {
        let table = self.table;
        (self.step, self.seq) = (step, 0);
        self.flow = Flow::new(table.program, &table.plan.entry);
        let (Some(mut engine), Some(before)) = (self.engine.take(), before) else {
            return Ok(table.plan.steps.iter().try_for_each(|instr| self.next(instr, None))?);
        };
        let mut state = before.clone();
        engine.begin();
        let executed = table.through(self.window).iter().try_for_each(|instr| {
            let outcome = engine.execute(instr, &mut state)?;
            Ok(self.next(instr, Some((&outcome, &state)))?)
        });
        self.engine = Some(engine);
        executed
    }

    fn finish(self: Box<Self>, complete: bool) -> (Vec<Written>, Option<Halt>) {
        let file = self.sink.path().to_owned();
        together([Written::of("log", file, self.sink.finish(complete, ending))])
    }
}

fn ending(records: u64, complete: bool) -> Vec<u8> {
    format!("{{\"end\":{records},\"complete\":{complete}}}\n").into_bytes()
}

/// One instruction.
struct Line<'t> {
    table: &'t Timetable<'t>,
    flow: &'t Flow<'t>,
    number: u64,
    seq: usize,
    step: &'t Step,
    encoding: &'t str,
}

impl Line<'_> {
    fn write(&self, out: &mut Vec<u8>, ran: Option<(&Outcome, &State)>, digest: bool) -> std::io::Result<()> {
        let (table, step) = (self.table, self.step);
        let rounds: Vec<u32> = self.flow.rounds().iter().map(|round| round.done).collect();
        write!(
            out,
            "{{\"step\":{},\"seq\":{},\"pc\":{},\"loops\":{rounds:?}",
            self.number, self.seq, step.pc
        )?;
        write!(out, ",\"phase\":\"{}\"", step.phase.name())?;
        if let Some(layer) = table.layer_name(step.layer) {
            write!(out, ",\"layer\":{}", json(&layer))?;
        }
        let unit = step.instr.unit().name();
        write!(out, ",\"unit\":\"{unit}\",\"encoding\":\"{}\",\"text\":\"{}\"", self.encoding, step.instr)?;
        self.scalars(out)?;
        let footprint = Footprint::of(&step.instr);
        let registers = [
            ("registers_read", footprint.registers_read),
            ("registers_written", footprint.registers_written),
        ];
        for (name, registers) in registers {
            let scales = registers.scales().map(|r| r.to_string());
            let names: Vec<String> = scales.chain(registers.counters().map(|r| r.to_string())).collect();
            if !names.is_empty() {
                write!(out, ",\"{name}\":{names:?}")?;
            }
        }
        let times = &table.schedule.times[self.seq];
        write!(out, ",\"issued\":{},\"started\":{}", times.issued, times.started)?;
        write!(out, ",\"unit_free\":{},\"ended\":{}", times.unit_free, times.ended)?;
        ranges(out, "reads", &footprint.reads)?;
        ranges(out, "writes", &footprint.writes)?;
        let price = table.price(step);
        for (name, count) in [
            ("products", price.products),
            ("dram_read_bytes", price.dram_read_bytes),
            ("dram_written_bytes", price.dram_written_bytes),
        ] {
            if count > 0 {
                write!(out, ",\"{name}\":{count}")?;
            }
        }
        if let Some((outcome, state)) = ran {
            came_to(out, outcome)?;
            registers_hold(out, &footprint, state)?;
            if digest {
                write!(out, ",\"digest\":\"{}\"", digest_of(&footprint, state))?;
            }
        }
        out.extend(b"}\n");
        Ok(())
    }

    /// The scalar registers that addresses are relative to, with their values.
    fn scalars(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let pc = usize::try_from(self.step.pc).unwrap_or(usize::MAX);
        let Some(mut written) = self.table.program.code.get(pc).copied() else { return Ok(()) };
        let mut resolved = self.step.instr;
        let mut named: Vec<(u8, i64)> = written
            .addresses_mut()
            .iter()
            .zip(resolved.addresses_mut())
            .filter(|(written, _)| written.base.0 != 0)
            .map(|(written, resolved)| {
                (written.base.0, resolved.offset.cast_signed() - written.offset.cast_signed())
            })
            .collect();
        named.sort_unstable();
        named.dedup();
        for (i, (register, value)) in named.iter().enumerate() {
            let before = if i == 0 { ",\"scalars\":{" } else { "," };
            write!(out, "{before}\"s{register}\":{value}")?;
        }
        if !named.is_empty() {
            out.push(b'}');
        }
        Ok(())
    }
}

fn ranges(out: &mut Vec<u8>, name: &str, ranges: &[Range]) -> std::io::Result<()> {
    for (i, range) in ranges.iter().enumerate() {
        let before = if i == 0 { format!(",\"{name}\":[") } else { ",".to_owned() };
        let memory = range.memory.name();
        write!(out, "{before}{{\"memory\":\"{memory}\",\"first\":{},\"end\":{}}}", range.first, range.end)?;
    }
    if !ranges.is_empty() {
        out.push(b']');
    }
    Ok(())
}

/// What the engine said.
fn came_to(out: &mut Vec<u8>, outcome: &Outcome) -> std::io::Result<()> {
    for (name, count) in [
        ("nonzero_products", outcome.nonzero_products),
        ("wrong_outputs", outcome.wrong_outputs),
        ("saturated_joins", outcome.saturated_joins),
        ("clipped", outcome.clipped),
    ] {
        if count > 0 {
            write!(out, ",\"{name}\":{count}")?;
        }
    }
    if let Some(place) = outcome.first_overflow {
        write!(out, ",\"first_overflow\":{{\"row\":{},\"column\":{}}}", place.row, place.column)?;
    }
    Ok(())
}

/// The values of registers written.
fn registers_hold(out: &mut Vec<u8>, footprint: &Footprint, state: &State) -> std::io::Result<()> {
    let written = footprint.registers_written;
    let scales = written.scales().map(|r| (r.to_string(), state.scales[usize::from(r.0)].to_string()));
    let counters = written.counters().map(|r| (r.to_string(), state.counters[usize::from(r.0)].to_string()));
    for (i, (name, value)) in scales.chain(counters).enumerate() {
        let before = if i == 0 { ",\"registers\":{" } else { "," };
        write!(out, "{before}\"{name}\":{value}")?;
    }
    if written != crate::isa::Registers::default() {
        out.push(b'}');
    }
    Ok(())
}

/// SHA-256 of the bytes of all ranges written, from first to last, and of the registers written.
fn digest_of(footprint: &Footprint, state: &State) -> String {
    let mut hasher = sha2::Sha256::new();
    let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    for range in &footprint.writes {
        let bytes = state.memory(range.memory).get(place(range.first)..place(range.end));
        hasher.update(bytes.unwrap_or_default());
    }
    let written = footprint.registers_written;
    written.scales().for_each(|r| hasher.update(state.scales[usize::from(r.0)].to_le_bytes()));
    written.counters().for_each(|r| hasher.update(state.counters[usize::from(r.0)].to_le_bytes()));
    let digits = hex(hasher.finalize());
    digits[..DIGEST_DIGITS].to_owned()
}
