//! The stepped engine: a plan executed cycle by cycle. Beside `isa/timing.md` it is what time means.
//!
//! Every cycle is a register that moved: values are read and written in the cycle in which the machine does it, so an
//! instruction's end is when its last write happened, its occupancy when its unit's first stage was free, its reading when
//! the last read happened. No duration is computed here. Memories are read as they were when the cycle began and written as
//! it ends. That the final state is the reference engine's proves the scoreboard.
//!
//! - `control`: control and the queues; `scoreboard`: which heads start.
//! - `dma`: the load and the store unit; `vector`: the vector unit.
//! - `array`, `array_os`, `array_ws`, `sum`: the array.
//! - `cycle`, `record`: what a cycle reads and writes, what is kept of an instruction; `watch`: what is shown of it.

mod array;
mod array_os;
mod array_ws;
mod control;
mod cycle;
mod dma;
mod record;
mod scoreboard;
mod sum;
mod vector;
mod watch;

pub use record::{Joins, Timing};
pub use watch::{Access, ElementView, MoveView, StageView, View, Watch};

use array::Array;
use control::Control;
use cycle::{Cycle, Signal};
use dma::Dma;
use record::{Record, place};
use scoreboard::Scoreboard;
use sum::Outputs;
use vector::Vector;

use super::{Engine, Fault, Observer, Outcome, State};
use crate::isa::Footprint;
use crate::program::{Plan, Step};
use crate::spec::Machine;

/// What executing a plan came to, instruction by instruction of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Cycles until `halt` was executed and every instruction had ended.
    pub cycles: u64,
    /// When each did what.
    pub timings: Vec<Timing>,
    /// What each came to.
    pub outcomes: Vec<Outcome>,
    /// What the joins of each came to.
    pub joins: Vec<Joins>,
}

/// Executes plans cycle by cycle; keeps the exact sums of reductions not finished between them.
#[derive(Debug)]
pub struct Stepped {
    machine: Machine,
    outputs: Outputs,
}

/// Executes a plan, verified for the state's memories, cycle by cycle.
///
/// # Errors
/// As [`Stepped::trace`].
pub fn run_stepped(plan: &Plan, machine: &Machine, state: &mut State) -> Result<Trace, Fault> {
    Stepped::new(machine.clone()).trace(plan, state, &mut [])
}

impl Stepped {
    /// A machine with nothing under way.
    pub fn new(machine: Machine) -> Self {
        Stepped { machine, outputs: Outputs::default() }
    }

    /// Executes a plan, verified for the state's memories. Observers are told of an instruction in the cycle it ends, which may be
    /// before an older one: what it wrote is there, what it read may not be any more.
    ///
    /// # Errors
    /// The first fault in program order, found when all older instructions have ended: younger ones may have begun, and
    /// the state counts for nothing. [`Fault::Chunk`] before anything is executed.
    pub fn trace(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Trace, Fault> {
        self.watched(plan, state, observers, None)
    }

    /// The same; `watch` is shown every cycle and may end the execution: what has not ended then has not happened.
    ///
    /// # Errors
    /// As [`Stepped::trace`].
    pub fn watched(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
        mut watch: Option<&mut dyn Watch>,
    ) -> Result<Trace, Fault> {
        check(plan, &self.machine)?;
        let mut units = Units::new(plan, &self.machine, std::mem::take(&mut self.outputs));
        let mut records: Vec<Record> = plan.steps.iter().map(|_| Record::default()).collect();
        let (mut now, mut retired) = (0, 0);
        while !units.are_done() {
            let Over { ended, issued, accesses } = units.cycle(now, state, &mut records, watch.is_some());
            if let Some(watch) = &mut watch {
                let view =
                    View { units: &units, records: &records, plan, accesses: &accesses, cycle: now, issued };
                if !watch.cycle(&view) {
                    break;
                }
            }
            now += 1;
            for id in ended {
                for observer in observers.iter_mut() {
                    observer.executed(plan, id, &records[id].outcome, state);
                }
            }
            while let Some(record) = records.get(retired).filter(|record| record.has_ended()) {
                record.fault.map_or(Ok(()), Err)?;
                retired += 1;
            }
        }
        self.outputs = units.array.into_outputs();
        observers.iter_mut().for_each(|observer| observer.finished(plan));
        Ok(Trace {
            cycles: now,
            timings: records.iter().map(Record::timing).collect(),
            outcomes: records.iter().map(|record| record.outcome).collect(),
            joins: records.iter().map(|record| record.joins).collect(),
        })
    }
}

impl Engine for Stepped {
    fn name(&self) -> &'static str {
        "stepped"
    }

    fn begin(&mut self) {
        self.outputs = Outputs::default();
    }

    /// The instruction alone, with no other under way.
    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let plan = Plan { entry: String::new(), steps: [*step].into(), probes: Vec::new(), control_after: 1 };
        let trace = self.trace(&plan, state, &mut [])?;
        Ok(trace.outcomes.first().copied().unwrap_or_default())
    }

    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        self.trace(plan, state, observers).map(|_| ())
    }
}

/// What a cycle came to.
struct Over {
    /// The instructions that ended.
    ended: Vec<usize>,
    /// The instruction put into a queue.
    issued: Option<usize>,
    /// What was read and written, where someone watches.
    accesses: Vec<Access>,
}

/// The machine while it executes a plan.
struct Units<'a> {
    plan: &'a Plan,
    control: Control<'a>,
    scoreboard: Scoreboard<'a>,
    load: Dma,
    store: Dma,
    array: Array,
    vector: Vector,
}

impl<'a> Units<'a> {
    fn new(plan: &'a Plan, machine: &'a Machine, outputs: Outputs) -> Self {
        Units {
            plan,
            control: Control::new(plan, index(machine.control.queue_depth)),
            scoreboard: Scoreboard::new(plan, machine),
            load: Dma::new(machine),
            store: Dma::new(machine),
            array: Array::new(machine, outputs),
            vector: Vector::new(machine),
        }
    }

    fn are_done(&self) -> bool {
        self.control.has_halted() && self.scoreboard.is_empty()
    }

    /// One cycle: heads start, control goes on, units move, and what they wrote is there.
    fn cycle(&mut self, now: u64, state: &mut State, records: &mut [Record], watched: bool) -> Over {
        let waiting = self.control.waiting();
        let (array, steps) = (&self.array, &self.plan.steps);
        let heads = self.control.heads();
        let takes = |id: usize| array.takes(&steps[id]);
        for id in self.scoreboard.start(&heads, now, records, takes) {
            self.control.take(id);
            self.start(id);
        }
        let issued = self.control.cycle(waiting);
        if let Some(id) = issued {
            records[id].issued = Some(now);
            records[id].footprint = Footprint::of(&self.plan.steps[id].instr);
            self.scoreboard.enter(id);
        }
        let mut cycle = Cycle::new(self.plan, state, records, watched);
        self.load.cycle(&mut cycle);
        self.store.cycle(&mut cycle);
        self.array.cycle(&mut cycle);
        self.vector.cycle(&mut cycle);
        let mut results = cycle.end();
        results.commit(state);
        let mut ended = Vec::new();
        for (id, signal) in results.signals {
            records[id].note(signal, now + 1);
            if signal == Signal::Ended {
                ended.push(id);
            }
        }
        ended.sort_unstable();
        self.scoreboard.leave(records);
        Over { ended, issued, accesses: results.accesses }
    }

    fn start(&mut self, id: usize) {
        let step = &self.plan.steps[id];
        self.array.outputs.overwritten(&step.instr);
        match place(step) {
            0 => self.load.start(id, &step.instr),
            1 => self.store.start(id, &step.instr),
            2 => self.array.start(id, step),
            _ => self.vector.start(id, &step.instr),
        }
    }
}

/// What no register of this machine can do.
fn check(plan: &Plan, machine: &Machine) -> Result<(), Fault> {
    let rows = machine.array.rows;
    match plan.steps.iter().find(|step| step.weight_stationary && step.rule.chunk != rows) {
        Some(step) => Err(Fault::Chunk { pc: step.pc, chunk: step.rule.chunk, rows }),
        None => Ok(()),
    }
}

/// A number as a place in a list.
fn index(n: impl TryInto<usize>) -> usize {
    n.try_into().unwrap_or(usize::MAX)
}
