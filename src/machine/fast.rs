//! The engine that runs programs: each instruction as a whole, on runs of elements; strands of a plan side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::engine::in_order;
use super::kernels::{Extension, Hand, Kernels, Window, execute};
use super::matrix::Array;
use super::vector::Vector;
use super::{Engine, Fault, Lines, Observer, Outcome, State, moves};
use crate::isa::{Instr, Memory, Registers, Unit};
use crate::program::{Place, Plan, Step, Strand, Strands};

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
    /// What became of the steps it has executed.
    outcomes: Vec<(usize, Outcome)>,
}

/// What is known of a plan.
#[derive(Debug)]
struct Known {
    /// The plan's: as long as this is kept, no other plan's steps are where they are.
    _steps: Arc<[Step]>,
    /// The least time of each instruction, in nanoseconds, by its place in the program.
    least: HashMap<u32, u64>,
    runs: u32,
    shared: Option<Shared>,
}

/// A plan that is executed side by side.
#[derive(Debug)]
struct Shared {
    strands: Strands,
    urgency: Vec<u64>,
}

/// Plans of which something is kept.
const PLANS: usize = 8;
/// Runs in which a plan's instructions are timed before they are shared: the first has to lay out everything.
const TIMED_RUNS: u32 = 2;
/// Nanoseconds that side by side must spare: threads are begun and ended for it.
const SPARED: u64 = 200_000;

impl Shared {
    /// A plan each of whose steps takes so long.
    fn of(plan: &Plan, nanoseconds: &[u64]) -> Shared {
        let strands = Strands::of(plan);
        let urgency = strands.urgency(nanoseconds);
        Shared { strands, urgency }
    }
}

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
    fn begin(&mut self, state: &State) {
        (self.state.seed, self.state.step, self.state.source) = (state.seed, state.step, state.source);
        for memory in Memory::SCRATCHPADS {
            self.state.memories[memory.index()].hold(state.memory(memory).len());
        }
        self.outcomes.clear();
    }
}

/// A worker beside others, on a state whose DRAM is elsewhere.
struct Beside<'a> {
    worker: &'a mut Worker,
    plan: &'a Plan,
    strands: &'a Strands,
    /// The scratchpads as they were before the plan; empty where nobody reads them.
    before: &'a [Lines],
    /// The numbers that registers hold ([`Renamed`](crate::program::Renamed)).
    numbers: &'a Mutex<Vec<u128>>,
    /// The state whose scratchpads are as the plan leaves them.
    left: &'a Mutex<&'a mut State>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hand for Beside<'_> {
    type Error = Fault;

    fn begin(&mut self, strand: &Strand) {
        self.worker.units.array.begin();
        for Place { memory, bytes } in &strand.before {
            let before = &self.before[memory.index()][bytes.clone()];
            self.worker.state.memory_mut(*memory)[bytes.clone()].copy_from_slice(before);
        }
    }

    fn execute(&mut self, step: usize, window: Window<'_>) -> Result<(), Fault> {
        let Worker { units, state, outcomes } = &mut *self.worker;
        let registers = self.strands.registers(step);
        if !registers.read.is_empty() {
            let numbers = locked(self.numbers);
            registers.read.iter().for_each(|&(place, number)| state.set_register(place, numbers[number]));
        }
        outcomes.push((step, units.execute(&self.plan.steps[step], state, window)?));
        if !registers.written.is_empty() {
            let mut numbers = locked(self.numbers);
            registers.written.iter().for_each(|&(place, number)| numbers[number] = state.register(place));
        }
        Ok(())
    }

    fn end(&mut self, strand: &Strand) {
        for Place { memory, bytes } in &strand.left {
            let from = &self.worker.state.memory(*memory)[bytes.clone()];
            locked(self.left).memory_mut(*memory)[bytes.clone()].copy_from_slice(from);
        }
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
        let shares_all = self.shares_all;
        self.plans.entry(place).or_insert_with(|| {
            let shared = shares_all.then(|| Shared::of(plan, &vec![1000; plan.steps.len()]));
            Known { _steps: Arc::clone(&plan.steps), least: HashMap::new(), runs: 0, shared }
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
        let workers = self.workers.len() as u64;
        let known = self.known(plan);
        known.runs += 1;
        if known.runs == TIMED_RUNS {
            let nanoseconds: Vec<u64> = plan.steps.iter().map(|step| least[&step.pc]).collect();
            let shared = Shared::of(plan, &nanoseconds);
            let alone: u64 = nanoseconds.iter().sum();
            let longest = shared.urgency.iter().max().copied().unwrap_or(0);
            let pays = longest.max(alone / workers) + SPARED < alone;
            known.shared = pays.then_some(shared);
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
        let Some(Shared { strands, urgency }) = known.and_then(|known| known.shared.as_ref()) else {
            return Ok(());
        };
        let mut dram = std::mem::take(&mut state.memories[Memory::Dram.index()]);
        let reads_before = strands.all().iter().any(|strand| !strand.before.is_empty());
        let before = if reads_before { state.memories.to_vec() } else { Vec::new() };
        workers.iter_mut().for_each(|worker| worker.begin(state));
        let mut numbers: Vec<u128> = (0..Registers::COUNT).map(|place| state.register(place)).collect();
        numbers.resize(strands.numbers(), 0);
        let (numbers, left) = (Mutex::new(numbers), Mutex::new(&mut *state));
        let hands = workers.iter_mut().map(|worker| Beside {
            worker,
            plan,
            strands,
            before: &before,
            numbers: &numbers,
            left: &left,
        });
        let done = execute(strands, urgency, hands.collect(), &mut dram);
        state.memories[Memory::Dram.index()] = dram;
        for (place, &number) in strands.registers_left().iter().enumerate() {
            state.set_register(place, locked(&numbers)[number]);
        }
        let (told, fault) = match done {
            Ok(()) => (plan.steps.len(), None),
            Err((step, fault)) => (step, Some(fault)),
        };
        let mut outcomes = vec![Outcome::default(); plan.steps.len()];
        for &(step, outcome) in workers.iter().flat_map(|worker| &worker.outcomes) {
            outcomes[step] = outcome;
        }
        for (step, outcome) in plan.steps.iter().zip(&outcomes).take(told) {
            for observer in observers.iter_mut() {
                observer.executed(plan, step, outcome, state);
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
        let is_timed = known.shared.is_none() && known.runs < TIMED_RUNS;
        if is_timed {
            self.timed(plan, state, observers)
        } else if known.shared.is_some() && !observers.iter().any(|observer| observer.looks()) {
            self.side_by_side(plan, state, observers)
        } else {
            in_order(plan, state, observers, |step, state| self.advance(step, state))
        }
    }
}
