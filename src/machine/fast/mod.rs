//! The engine that runs programs: each instruction as a whole, on runs of elements; strands of a plan side by side.

mod known;
mod worker;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use super::engine::in_order;
use super::kernels::{Extension, Kernels, Window, execute};
use super::matrix::Array;
use super::vector::Vector;
use super::{Engine, Fault, Observer, Outcome, State, moves};
use crate::isa::{Instr, Memory, Registers, Unit};
use crate::program::{Plan, Step, Strands};
use known::{Known, Shared};
use worker::{Beside, Common, Worker, locked, nanoseconds};

/// Executes instructions a whole instruction at a time; keeps its scratch between them.
#[derive(Debug)]
pub struct Fast {
    workers: Vec<Worker>,
    /// What is known of plans, by the address of their steps.
    plans: HashMap<usize, Known>,
    shares_all: bool,
}

/// The units, with their scratch.
#[derive(Debug)]
struct Units {
    array: Array,
    vector: Vector,
}

/// Plans of which something is kept.
const PLANS: usize = 8;

impl Units {
    fn new(kernels: Kernels) -> Units {
        Units { array: Array::new(kernels), vector: Vector::new(kernels) }
    }

    /// Nothing is under way.
    fn begin(&mut self) {
        self.array.begin();
    }

    /// Executes an instruction on a state, moving bytes of DRAM through a window.
    fn execute(&mut self, step: &Step, state: &mut State, window: Window<'_>) -> Result<Outcome, Fault> {
        self.array.overwritten(&step.instr);
        match (&step.instr, window) {
            (Instr::Load(m), Window::Read(bytes, first)) => {
                moves::load(m, (bytes, first), state.memory_mut(m.dst.memory));
            }
            (Instr::Store(m), Window::Write(bytes, first)) => {
                moves::store(m, state.memory(m.src.memory), (bytes, first));
            }
            _ => match step.instr.unit() {
                Unit::Array => return self.array.execute(step, state),
                Unit::Vector => return self.vector.execute(step, state),
                Unit::Load | Unit::Store | Unit::Control => {}
            },
        }
        Ok(Outcome::default())
    }
}

impl Fast {
    /// An engine with nothing under way: the kernels of [`Extension::chosen`], as many threads as rayon has here; one
    /// where one of rayon's own makes it, for others work beside it.
    pub fn new() -> Self {
        let alone = rayon::current_thread_index().is_some();
        Self::with(Extension::chosen(), if alone { 1 } else { rayon::current_num_threads() })
    }

    /// An engine of one thread or several, with the kernels of an extension (or the best below it that the processor
    /// has).
    pub fn with(extension: Extension, threads: usize) -> Self {
        let kernels = Kernels::of(extension);
        let workers = (0..threads.max(1)).map(|_| Worker::new(kernels)).collect();
        Fast { workers, plans: HashMap::new(), shares_all: false }
    }

    /// An engine of one thread whose kernels are AMX's, emulated where the processor has none; no engine where it has not even
    /// what AMX stands on.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_amx() -> Option<Self> {
        let workers = vec![Worker::new(Kernels::emulated_amx()?)];
        Some(Fast { workers, plans: HashMap::new(), shares_all: false })
    }

    /// Products of tiles that were emulated on this thread; none where the processor has AMX.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_products() -> Option<u64> {
        (!Extension::Amx.is_available()).then(super::kernels::emulated_products)
    }

    /// The same, whose threads share every plan from its first run on, be it ever so small: not to be fast, but to be tried.
    pub fn sharing_all(self) -> Self {
        Fast { shares_all: true, ..self }
    }

    /// What is known of a plan, after looking at it if need be.
    fn known(&mut self, plan: &Plan) -> &mut Known {
        let place = plan.steps.as_ptr().addr();
        if self.plans.len() == PLANS && !self.plans.contains_key(&place) {
            self.plans.clear();
        }
        let (shares_all, workers) = (self.shares_all, self.workers.len());
        self.plans.entry(place).or_insert_with(|| {
            let mut known = Known::guessed(plan, workers);
            if shares_all && known.shared.is_none() {
                known.shared = Some(Shared::of(Strands::of(plan), &vec![1; plan.steps.len()]));
            }
            known
        })
    }

    /// Executes the next instruction of a run: the state is as this engine left it.
    fn advance(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let dram = Memory::Dram.index();
        // Beside the scratchpads for as long as the instruction takes.
        let mut bytes = std::mem::take(&mut state.memories[dram]);
        let window = match &step.instr {
            Instr::Load(_) => Window::Read(&bytes, 0),
            Instr::Store(_) => Window::Write(&mut bytes, 0),
            _ => Window::Closed,
        };
        let outcome = self.workers[0].units.execute(step, state, window);
        state.memories[dram] = bytes;
        outcome
    }

    /// Executes a plan in order, and times it.
    fn timed(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        let mut times = Vec::with_capacity(plan.steps.len());
        in_order(plan, state, observers, |step, state| {
            let began = Instant::now();
            let outcome = self.advance(step, state)?;
            times.push(nanoseconds(began));
            Ok(outcome)
        })?;
        let known = self.known(plan);
        plan.steps.iter().zip(times).for_each(|(step, time)| known.took(step, time));
        Ok(())
    }

    /// Executes a plan's strands side by side.
    fn side_by_side(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        let Fast { workers, plans, .. } = self;
        let Some(known) = plans.get_mut(&plan.steps.as_ptr().addr()) else { return Ok(()) };
        let Some(Shared { strands, urgency }) = &known.shared else { return Ok(()) };
        let mut dram = std::mem::take(&mut state.memories[Memory::Dram.index()]);
        let reads_before = strands.all().iter().any(|strand| !strand.before.is_empty());
        let before = if reads_before { state.memories.to_vec() } else { Vec::new() };
        workers.iter_mut().for_each(|worker| worker.begin(state));
        let mut numbers: Vec<u128> = (0..Registers::COUNT).map(|place| state.register(place)).collect();
        numbers.resize(strands.numbers(), 0);
        let common = Common {
            plan,
            strands,
            is_timed: known.is_timed(),
            before,
            numbers: Mutex::new(numbers),
            left: Mutex::new(&mut *state),
        };
        let count = workers.len();
        let mut hands: Vec<Beside<'_>> = workers
            .iter_mut()
            .map(|worker| Beside { worker, common: &common, observers: Vec::new(), strand: 0 })
            .collect();
        // Those who are told by hands are not told afterwards.
        let told: Vec<bool> = observers
            .iter_mut()
            .map(|observer| {
                let beside = observer.beside(count);
                let told = !beside.is_empty();
                hands.iter_mut().zip(beside).for_each(|(hand, beside)| hand.observers.push(beside));
                told
            })
            .collect();
        let done = execute(strands, urgency, hands, &mut dram);
        let numbers = std::mem::take(&mut *locked(&common.numbers));
        state.memories[Memory::Dram.index()] = dram;
        for (place, &number) in strands.registers_left().iter().enumerate() {
            state.set_register(place, numbers[number]);
        }
        let (executed, fault) = match done {
            Ok(()) => (plan.steps.len(), None),
            Err((step, fault)) => (step, Some(fault)),
        };
        let mut outcomes = vec![Outcome::default(); plan.steps.len()];
        for &(step, outcome) in workers.iter().flat_map(|worker| &worker.outcomes) {
            outcomes[step] = outcome;
        }
        for (step, outcome) in plan.steps.iter().zip(&outcomes).take(executed) {
            for (observer, _) in observers.iter_mut().zip(&told).filter(|(_, told)| !**told) {
                observer.executed(plan, step, outcome, state);
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        observers.iter_mut().for_each(|observer| observer.finished(plan));
        for &(step, time) in workers.iter().flat_map(|worker| &worker.times) {
            known.took(&plan.steps[step], time);
        }
        Ok(())
    }
}

impl Default for Fast {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Fast {
    fn name(&self) -> &'static str {
        "fast"
    }

    fn begin(&mut self) {
        self.workers.iter_mut().for_each(|worker| worker.units.begin());
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        self.workers[0].units.array.look_anew();
        self.advance(step, state)
    }

    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        if self.workers.len() == 1 {
            return in_order(plan, state, observers, |step, state| self.advance(step, state));
        }
        let can_share = observers.iter_mut().all(|o| !o.looks() || !o.beside(1).is_empty());
        let known = self.known(plan);
        let (is_timed, shares) = (known.is_timed(), known.shared.is_some() && can_share);
        match (shares, is_timed) {
            (true, _) => self.side_by_side(plan, state, observers)?,
            (false, true) => self.timed(plan, state, observers)?,
            (false, false) => in_order(plan, state, observers, |step, state| self.advance(step, state))?,
        }
        let (shares_all, workers) = (self.shares_all, self.workers.len());
        if is_timed && !shares_all {
            self.known(plan).ran(plan, workers);
        }
        Ok(())
    }
}
