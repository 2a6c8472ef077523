//! The debugger: a plan executed as far as its user says, the machine's state looked at in between.
//!
//! Takes lines and gives texts; where lines come from, and on what state the plan is executed, is its caller's matter.
//! Instructions are executed in program order, cycles are the schedule's.
//!
//! - `command`: what a line says; `show`: memories and registers as codes, values and bits.

mod command;
mod show;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use command::{COMMANDS, Help};
use command::{Command, Stop, What};

use crate::isa::{Footprint, Range};
use crate::machine::{Engine, Fault, Outcome, State};
use crate::program::{Flow, Step};
use crate::trace::Timetable;

/// What a line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Something to read.
    Text(String),
    /// The line means nothing, or asks for what is not there.
    Wrong(String),
    /// The user leaves.
    Quit,
}

/// How many instructions executed are remembered.
const REMEMBERED: usize = 1000;

/// Where a breakpoint or a watchpoint stops.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    number: usize,
    what: What,
}

/// A plan under way.
pub struct Session<'a> {
    table: &'a Timetable<'a>,
    engine: Box<dyn Engine + 'a>,
    /// The next instruction.
    seq: usize,
    points: Vec<Point>,
    points_made: usize,
    past: VecDeque<usize>,
    /// What stopped the plan for good.
    fault: Option<Fault>,
    /// Set from outside (Ctrl-C) to stop what runs.
    stop: Arc<AtomicBool>,
}

impl<'a> Session<'a> {
    /// A session before the first instruction.
    pub fn new(table: &'a Timetable<'a>, engine: Box<dyn Engine + 'a>) -> Self {
        Session {
            table,
            engine,
            seq: 0,
            points: Vec::new(),
            points_made: 0,
            past: VecDeque::new(),
            fault: None,
            stop: Arc::default(),
        }
    }

    /// What stops a run between two instructions when it is set.
    pub fn stop(&self) -> &Arc<AtomicBool> {
        &self.stop
    }

    fn steps(&self) -> &'a [Step] {
        &self.table.plan.steps
    }

    /// Number of the next instruction; none behind the last.
    pub fn next(&self) -> Option<usize> {
        (self.seq < self.steps().len()).then_some(self.seq)
    }

    /// Names that a line may have besides commands: memories, phases, tensors.
    pub fn names(&self) -> Vec<String> {
        let memories = crate::isa::Memory::ALL.map(|m| format!("{}[", m.name())).into_iter();
        let phases = crate::program::Phase::ALL.map(|p| p.name().to_owned()).into_iter();
        let words =
            ["codes", "values", "bits", "unsigned", "read", "pc", "cycle", "phase", "overflow", "seq"]
                .map(str::to_owned);
        let tensors = self.table.program.tensors.iter().map(|t| t.name.clone());
        memories.chain(phases).chain(words).chain(tensors).collect()
    }

    /// Does what a line says.
    pub fn line(&mut self, line: &str, state: &mut State) -> Reply {
        match Command::parse(line, self.table) {
            Err(what) => Reply::Wrong(what),
            Ok(None) => Reply::Text(String::new()),
            Ok(Some(command)) => self.command(command, state),
        }
    }

    fn command(&mut self, command: Command, state: &mut State) -> Reply {
        Reply::Text(match command {
            Command::Quit => return Reply::Quit,
            Command::Help => command::help(),
            Command::Step(count) => {
                let last = self.seq.saturating_add(count);
                self.go(state, &Stop { seq: Some(last), ..Stop::default() })
            }
            Command::Run(stop) => self.go(state, &stop),
            Command::Point(what) => {
                self.points_made += 1;
                let number = self.points_made;
                let text = format!("{number}: {what}\n");
                self.points.push(Point { number, what });
                text
            }
            Command::Points => match self.points.is_empty() {
                true => "no breakpoint and no watchpoint\n".to_owned(),
                false => self.points.iter().map(|p| format!("{}: {}\n", p.number, p.what)).collect(),
            },
            Command::Delete(number) => {
                let before = self.points.len();
                self.points.retain(|p| p.number != number);
                if self.points.len() == before {
                    return Reply::Wrong(format!("no point has number {number}; `points` lists them"));
                }
                String::new()
            }
            Command::Where => self.place(),
            Command::List(around) => self.list(around),
            Command::History(count) => {
                let first = self.past.len().saturating_sub(count);
                self.past.iter().skip(first).map(|&seq| self.named(seq) + "\n").collect()
            }
            Command::Registers(form) => show::registers(state, form),
            Command::Show(shown) => match show::memory(&shown, state) {
                Ok(text) => text,
                Err(what) => return Reply::Wrong(what),
            },
        })
    }

    /// Executes until something stops it, and says what did.
    fn go(&mut self, state: &mut State, stop: &Stop) -> String {
        if let Some(fault) = self.fault {
            return format!("{fault}; nothing can be executed behind it\n");
        }
        self.stop.store(false, Ordering::SeqCst);
        let (first, mut said) = (self.seq, String::new());
        while let Some(step) = self.steps().get(self.seq) {
            if self.seq > first && self.stops_before(step, stop) {
                return said + &self.place();
            }
            if stop.seq.is_some_and(|seq| self.seq >= seq) {
                return said + &self.place();
            }
            if self.stop.swap(false, Ordering::SeqCst) {
                return said + "interrupted\n" + &self.place();
            }
            match self.execute(step, state) {
                Err(fault) => {
                    self.fault = Some(fault);
                    return format!("{said}{fault}\n");
                }
                Ok(outcome) => {
                    let (text, stops) = self.behind(step, &outcome, stop);
                    said += &text;
                    if stops {
                        return said + &self.place();
                    }
                }
            }
        }
        said + &self.place()
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let outcome = self.engine.execute(step, state)?;
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(self.seq);
        self.seq += 1;
        Ok(outcome)
    }

    /// Whether execution stops before an instruction.
    fn stops_before(&self, step: &Step, stop: &Stop) -> bool {
        let entered = |phase| {
            let before = self.seq.checked_sub(1).and_then(|at| self.steps().get(at));
            step.phase == phase && before.is_none_or(|before| before.phase != phase)
        };
        let started = self.table.schedule.times.get(self.seq).map_or(0, |times| times.started);
        stop.cycle.is_some_and(|cycle| started >= cycle)
            || stop.pc == Some(step.pc)
            || stop.phase.is_some_and(entered)
            || self.points.iter().any(|point| match point.what {
                What::Pc(pc) => step.pc == pc,
                What::Seq(seq) => self.seq == seq,
                What::Phase(phase) => entered(phase),
                _ => false,
            })
    }

    /// What there is to say behind an instruction, and whether execution stops there.
    fn behind(&self, step: &Step, outcome: &Outcome, stop: &Stop) -> (String, bool) {
        let (mut text, mut stops) = (String::new(), false);
        let overflows = stop.overflow || self.points.iter().any(|p| p.what == What::Overflow);
        if let (true, Some(place)) = (overflows, outcome.first_overflow) {
            let (wrong, row, column) = (outcome.wrong_outputs, place.row, place.column);
            text += &format!(
                "instruction {}: an accumulator left its range, first at row {row}, column {column}; {wrong} outputs wrong\n",
                self.seq - 1
            );
            stops = true;
        }
        let footprint = Footprint::of(&step.instr);
        for point in &self.points {
            let met = |ranges: &[Range], watched: &Range| ranges.iter().any(|range| range.meets(watched));
            let (verb, range) = match &point.what {
                What::Written(range) if met(&footprint.writes, range) => ("wrote", range),
                What::Read(range) if met(&footprint.reads, range) => ("read", range),
                _ => continue,
            };
            let range = show::range(range);
            text += &format!("{}: instruction {} {verb} {range}\n", point.number, self.seq - 1);
            stops = true;
        }
        (text, stops)
    }

    /// An instruction with its number, place and text.
    fn named(&self, seq: usize) -> String {
        let Some(step) = self.steps().get(seq) else { return String::new() };
        format!("{seq:>6}  {:>5}  {}", step.pc, step.instr)
    }

    /// The next instruction, where it stands and when it is executed.
    fn place(&self) -> String {
        let Some(step) = self.steps().get(self.seq) else {
            return format!("the end: {} instructions, {} cycles\n", self.seq, self.table.schedule.cycles);
        };
        let mut flow = Flow::new(self.table.program, &self.table.plan.entry);
        let mut left = self.seq + 1;
        while left > 0 {
            match flow.next() {
                Some((_, instr)) if instr.unit() == crate::isa::Unit::Control => {}
                Some(_) => left -= 1,
                None => break,
            }
        }
        let rounds = flow.rounds().iter().map(|r| format!(", round {} of {}", r.done, r.count));
        let times = &self.table.schedule.times[self.seq];
        let layer = self.table.layer_name(step.layer).map_or(String::new(), |layer| format!(" {layer}"));
        format!(
            "{}\n        {}{layer}{}; {} from cycle {} to {}\n",
            self.named(self.seq),
            step.phase.name(),
            rounds.collect::<String>(),
            step.instr.unit().name(),
            times.started,
            times.ended
        )
    }

    /// The code around the next instruction.
    fn list(&self, around: usize) -> String {
        let here = self.steps().get(self.seq).map(|step| step.pc);
        let code = &self.table.program.code;
        let at = here.map_or(code.len(), |pc| usize::try_from(pc).unwrap_or(0));
        let lines =
            code.iter().enumerate().take((at + around).saturating_add(1)).skip(at.saturating_sub(around));
        lines
            .map(|(pc, instr)| {
                let mark = if here.is_some_and(|here| usize::try_from(here) == Ok(pc)) { ">" } else { " " };
                format!("{mark} {pc:>5}  {instr}\n")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
