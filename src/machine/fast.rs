//! The engine that runs programs: each instruction as a whole, on runs of elements; strands of a plan side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::engine::in_order;
use super::kernels::{Extension, Kernels, Window, execute};
use super::matrix::Array;
use super::vector::Vector;
use super::{Engine, Fault, Observer, Outcome, State, moves};
use crate::isa::{Instr, Memory, Registers, Unit};
use crate::program::{Plan, Shares, Step, Strands};

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

/// Who executes instructions: units, and a state of its own where others work beside it.
#[derive(Debug)]
struct Worker {
    units: Units,
    /// Scratchpads and registers, no DRAM.
    state: State,
    /// What became of its turns.
    outcomes: Vec<Outcome>,
}

/// What is known of a plan.
#[derive(Debug)]
struct Known {
    /// The plan's: as long as this is kept, no other plan's steps are where they are.
    _steps: Arc<[Step]>,
    /// The least time of each instruction, in nanoseconds, by its place in the program.
    least: HashMap<u32, u64>,
    runs: u32,
    shares: Option<Shares>,
}

/// Scale registers and counters.
type RegisterFile = ([i64; 16], [u128; 8]);

/// Plans of which something is kept.
const PLANS: usize = 8;
/// Runs in which a plan's instructions are timed before they are shared: the first has to lay out everything.
const TIMED_RUNS: u32 = 2;
/// Nanoseconds that side by side must spare: threads are begun and ended for it.
const SPARED: u64 = 200_000;

impl Units {
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

impl Worker {
    fn new(kernels: Kernels) -> Worker {
        let units = Units { array: Array::new(kernels), vector: Vector::new(kernels) };
        Worker { units, state: State::new([0; 5], 0), outcomes: Vec::new() }
    }

    /// Ready for a plan on this state.
    fn begin(&mut self, state: &State, scratchpads: bool) {
        (self.state.seed, self.state.step, self.state.source) = (state.seed, state.step, state.source);
        for memory in Memory::SCRATCHPADS {
            let own = &mut self.state.memories[memory.index()];
            own.resize(state.memory(memory).len(), 0);
            if scratchpads {
                own.copy_from_slice(state.memory(memory));
            }
        }
        self.outcomes.clear();
    }

    /// Executes an instruction on its own state, moving bytes of DRAM through a window; it touches these of the registers that
    /// all share.
    fn turn(
        &mut self,
        step: &Step,
        window: Window<'_>,
        touched: Registers,
        shared: &Mutex<RegisterFile>,
    ) -> Result<(), Fault> {
        let shared = || shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !touched.is_empty() {
            (self.state.scales, self.state.counters) = *shared();
        }
        let outcome = self.units.execute(step, &mut self.state, window)?;
        self.outcomes.push(outcome);
        if !touched.is_empty() {
            let (scales, counters) = &mut *shared();
            for place in touched.scales().map(|s| usize::from(s.0)) {
                scales[place] = self.state.scales[place];
            }
            for place in touched.counters().map(|c| usize::from(c.0)) {
                counters[place] = self.state.counters[place];
            }
        }
        Ok(())
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
        let (workers, shares_all) = (self.workers.len(), self.shares_all);
        self.plans.entry(place).or_insert_with(|| {
            let shares = shares_all.then(|| Strands::of(plan).share(&vec![1000; plan.steps.len()], workers));
            Known { _steps: Arc::clone(&plan.steps), least: HashMap::new(), runs: 0, shares }
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

    /// Executes a plan in order, and times it; shares it among the workers when it is known well enough and that pays.
    fn timed(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        let mut least = std::mem::take(&mut self.known(plan).least);
        in_order(plan, state, observers, |step, state| {
            let began = Instant::now();
            let outcome = self.advance(step, state)?;
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            least.entry(step.pc).and_modify(|least| *least = took.min(*least)).or_insert(took);
            Ok(outcome)
        })?;
        let workers = self.workers.len();
        let known = self.known(plan);
        known.runs += 1;
        if known.runs == TIMED_RUNS {
            let nanoseconds: Vec<u64> = plan.steps.iter().map(|step| least[&step.pc]).collect();
            let shares = Strands::of(plan).share(&nanoseconds, workers);
            let pays = shares.nanoseconds() + SPARED < nanoseconds.iter().sum();
            known.shares = pays.then_some(shares);
        }
        known.least = least;
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
        let known = plans.get(&plan.steps.as_ptr().addr());
        let Some(shares) = known.and_then(|known| known.shares.as_ref()) else { return Ok(()) };
        let strands = shares.strands();
        workers.iter_mut().for_each(|worker| worker.begin(state, strands.reads_before()));
        let registers = Mutex::new((state.scales, state.counters));
        let done =
            execute(shares, workers, &mut state.memories[Memory::Dram.index()], |worker, step, window| {
                worker.turn(&plan.steps[step], window, strands.registers(step), &registers)
            });
        (state.scales, state.counters) = registers.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (left, worker) in shares.left() {
            let from = &workers[worker].state.memory(left.memory)[left.bytes.clone()];
            state.memory_mut(left.memory)[left.bytes.clone()].copy_from_slice(from);
        }
        let (told, fault) = match done {
            Ok(()) => (plan.steps.len(), None),
            Err((step, fault)) => (step, Some(fault)),
        };
        for (number, step) in plan.steps.iter().enumerate().take(told) {
            let (worker, turn) = shares.turn_of(number);
            for observer in observers.iter_mut() {
                observer.executed(plan, step, &workers[worker].outcomes[turn], state);
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        observers.iter_mut().for_each(|observer| observer.finished(plan));
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
        self.workers.iter_mut().for_each(|worker| worker.units.array.begin());
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
        let known = self.known(plan);
        let is_timed = known.shares.is_none() && known.runs < TIMED_RUNS;
        if is_timed {
            self.timed(plan, state, observers)
        } else if known.shares.is_some() && !observers.iter().any(|observer| observer.looks()) {
            self.side_by_side(plan, state, observers)
        } else {
            in_order(plan, state, observers, |step, state| self.advance(step, state))
        }
    }
}
