//! Golden vectors for hardware: what an instruction finds in memories and registers, and what it leaves there.
//!
//! A folder a vector, with memories as `$readmemh` reads them and operands as tensors; `manifest.jsonl` has a line for each.
//! Besides those of the run, vectors of operands at the ends of their formats, whose partial sums leave their registers on the
//! way: random data seldom do.

mod hex;
mod tensors;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::form::together;
use super::sink::Ended;
use super::{End, Form, Halt, Limits, Sink, SinkError, Timetable, Window, Written};
use crate::isa::{Footprint, Instr, encode};
use crate::machine::{Engine, Fault, Joins, Operands, Outcome, State, Stepped, Stress};
use crate::program::{Plan, Step};

/// What an instruction is executed on, kept until it has been.
struct Stimulus {
    seq: usize,
    footprint: Footprint,
    /// Bytes of the ranges read, then of those written.
    ranges: Vec<Vec<u8>>,
    operands: Option<Operands>,
    scales: [i64; 16],
    counters: [u128; 8],
}

/// What came of it.
enum Response<'s> {
    Done(&'s State, &'s Outcome, Option<Joins>),
    Fault(Fault),
}

/// Writes vectors.
pub struct Golden<'a> {
    table: &'a Timetable<'a>,
    window: &'a Window,
    dir: PathBuf,
    manifest: Sink,
    engine: Box<dyn Engine>,
    limits: Limits,
    /// Vectors of operands at the ends of their formats too.
    stress: bool,
    step: u64,
    seq: usize,
    /// Of the vectors' files.
    bytes: u64,
}

fn failed(path: &Path, source: std::io::Error) -> Halt {
    let path = path.display().to_string();
    Halt::Failed(match source.kind() {
        std::io::ErrorKind::StorageFull => SinkError::Full { path },
        _ => SinkError::Write { path, source },
    })
}

/// Writes the files of a vector.
fn put(dir: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Halt> {
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    files.iter().try_for_each(|(file, bytes)| {
        let path = dir.join(file);
        std::fs::write(&path, bytes).map_err(|e| failed(&path, e))
    })
}

fn place(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl<'a> Golden<'a> {
    /// A folder with no vector yet; `stress`: with operands at the ends of their formats too.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(
        dir: &Path,
        limits: &Limits,
        table: &'a Timetable<'a>,
        window: &'a Window,
        engine: Box<dyn Engine>,
        stress: bool,
    ) -> Result<Self, Halt> {
        std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
        let unlimited = Limits { most_bytes: None, stop: limits.stop.clone() };
        let mut manifest = Sink::create(&dir.join("manifest.jsonl"), &unlimited, 64)?;
        let head = json!({
            "vectors": "wagesim", "version": 1, "program": table.program.name, "entry": table.plan.entry,
            "machine": table.machine,
        });
        manifest.records(0, |out| out.extend_from_slice(format!("{head}\n").as_bytes()))?;
        let (dir, limits) = (dir.to_owned(), limits.clone());
        Ok(Golden { table, window, dir, manifest, engine, limits, stress, step: 1, seq: 0, bytes: 0 })
    }

    /// The next instruction, executed; with its vectors where it is within the window.
    fn next(&mut self, step: &Step, state: &mut State) -> Result<(), End> {
        let seq = self.seq;
        self.seq += 1;
        let times = &self.table.schedule.times[seq];
        if !self.window.takes(seq, step) || !self.window.meets(times.issued, times.ended) {
            self.engine.execute(step, state)?;
            return Ok(());
        }
        if self.stress {
            for kind in Stress::ALL {
                self.stressed(seq, step, state, kind)?;
            }
        }
        let stimulus = stimulus(seq, step, state);
        let outcome = self.engine.execute(step, state)?;
        Ok(self.vector(&stimulus, step, "run", &Response::Done(state, &outcome, None))?)
    }

    /// A vector of operands at the ends of their formats, executed on the stepped engine, the instruction alone.
    fn stressed(&mut self, seq: usize, step: &Step, state: &State, kind: Stress) -> Result<(), Halt> {
        let mut state = state.clone();
        if !kind.put(step, &mut state) {
            return Ok(());
        }
        let stimulus = stimulus(seq, step, &state);
        let plan = Plan { entry: String::new(), steps: [*step].into(), probes: Vec::new(), control_after: 1 };
        let trace = Stepped::new(self.table.machine.clone()).trace(&plan, &mut state, &mut []);
        match &trace {
            Ok(trace) => {
                let outcome = trace.outcomes.first().copied().unwrap_or_default();
                let response = Response::Done(&state, &outcome, trace.joins.first().copied());
                self.vector(&stimulus, step, kind.name(), &response)
            }
            Err(fault) => self.vector(&stimulus, step, kind.name(), &Response::Fault(*fault)),
        }
    }

    fn vector(
        &mut self,
        stimulus: &Stimulus,
        step: &Step,
        kind: &str,
        response: &Response<'_>,
    ) -> Result<(), Halt> {
        let name = format!("s{}-i{:06}-{kind}", self.step, stimulus.seq);
        let mut files = hex::files(stimulus, "stimulus", |_, i| Some(&stimulus.ranges[i]));
        if let Response::Done(state, ..) = response {
            let reads = stimulus.footprint.reads.len();
            files.extend(hex::files(stimulus, "response", |range, i| {
                (i >= reads).then(|| &state.memory(range.memory)[place(range.first)..place(range.end)])
            }));
        }
        let tensors = tensors::file(stimulus, step, response);
        files.push(("tensors.safetensors".to_owned(), tensors));
        let all: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        if self.limits.most_bytes.is_some_and(|most| self.bytes + all > most) {
            return Err(Halt::Limit);
        }
        let dir = self.dir.join(&name);
        if let Err(halt) = put(&dir, &files) {
            // What is not in the manifest is not there.
            let _ = std::fs::remove_dir_all(&dir);
            return Err(halt);
        }
        let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        let line = self.line(stimulus, step, kind, response, &name, &names);
        self.manifest.record(|out| out.extend_from_slice(format!("{line}\n").as_bytes()))?;
        self.bytes += all;
        self.manifest.flush()
    }

    /// A vector's line of the manifest.
    fn line(
        &self,
        stimulus: &Stimulus,
        step: &Step,
        kind: &str,
        response: &Response<'_>,
        name: &str,
        files: &[&String],
    ) -> Value {
        let words = encode(&[step.instr]).unwrap_or_default();
        let duration = self.table.duration(step);
        let ranges = |ranges: &[crate::isa::Range]| -> Vec<Value> {
            ranges
                .iter()
                .map(|r| json!({"memory": r.memory.name(), "first": r.first, "end": r.end}))
                .collect()
        };
        let mut line = json!({
            "vector": name, "operands": kind, "step": self.step, "seq": stimulus.seq, "pc": step.pc,
            "unit": step.instr.unit().name(), "text": step.instr.to_string(),
            "encoding": words.iter().map(|w| format!("{w:016x}")).collect::<Vec<_>>(),
            "reads": ranges(&stimulus.footprint.reads), "writes": ranges(&stimulus.footprint.writes),
            "occupancy_cycles": duration.occupancy_cycles, "reading_cycles": duration.reading_cycles,
            "latency_cycles": duration.latency_cycles, "files": files,
        });
        if let Instr::MTaps(_) | Instr::MPositions(_) = step.instr {
            line["accumulator"] = json!(step.rule);
            line["weight_stationary"] = step.weight_stationary.into();
        }
        let footprint = &stimulus.footprint;
        let scale = |r: crate::isa::Scale| usize::from(r.0);
        let counter = |r: crate::isa::Counter| usize::from(r.0);
        for r in footprint.registers_read.scales() {
            line["registers_before"][r.to_string()] = stimulus.scales[scale(r)].into();
        }
        for r in footprint.registers_read.counters() {
            line["registers_before"][r.to_string()] = json!(stimulus.counters[counter(r)].to_string());
        }
        match response {
            Response::Fault(fault) => line["fault"] = fault.to_string().into(),
            Response::Done(state, outcome, joins) => {
                for r in footprint.registers_written.scales() {
                    line["registers_after"][r.to_string()] = state.scales[scale(r)].into();
                }
                for r in footprint.registers_written.counters() {
                    line["registers_after"][r.to_string()] = json!(state.counters[counter(r)].to_string());
                }
                line["wrong_outputs"] = outcome.wrong_outputs.into();
                line["saturated_joins"] = outcome.saturated_joins.into();
                line["clipped"] = outcome.clipped.into();
                if let Some(joins) = joins {
                    line["joins_out_of_range"] = joins.out_of_range.into();
                    line["least_partial_sum"] = joins.least.to_string().into();
                    line["greatest_partial_sum"] = joins.greatest.to_string().into();
                }
            }
        }
        line
    }
}

impl Form for Golden<'_> {
    fn step(&mut self, step: u64, before: Option<&State>) -> Result<(), End> {
        let Some(before) = before else { return Ok(()) };
        (self.step, self.seq) = (step, 0);
        let mut state = before.clone();
        self.engine.begin();
        self.table.through(self.window).iter().try_for_each(|instr| self.next(instr, &mut state))
    }

    fn finish(self: Box<Self>, complete: bool) -> (Vec<Written>, Option<Halt>) {
        let ended = self.manifest.finish(complete, |vectors, complete| {
            format!("{}\n", json!({"end": vectors, "complete": complete})).into_bytes()
        });
        let bytes = self.bytes + ended.bytes;
        together([Written::of("golden", self.dir, Ended { bytes, ..ended })])
    }
}

fn stimulus(seq: usize, step: &Step, state: &State) -> Stimulus {
    let footprint = Footprint::of(&step.instr);
    let bytes =
        |range: &crate::isa::Range| state.memory(range.memory)[place(range.first)..place(range.end)].to_vec();
    let ranges = footprint.reads.iter().chain(&footprint.writes).map(bytes).collect();
    let operands = Operands::of(step, state);
    Stimulus { seq, footprint, ranges, operands, scales: state.scales, counters: state.counters }
}
