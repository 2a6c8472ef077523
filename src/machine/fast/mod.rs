//! The engine that runs programs: each instruction as a whole, on runs of elements; strands of a plan side by side.

mod known;
mod worker;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::engine::in_order;
use super::kernels::{Extension, Kernels, Window, execute};
use super::matrix::{Array, Found, Half};
use super::vector::Vector;
use super::{Engine, Fault, Observer, Outcome, State, moves};
use crate::isa::{Instr, Memory, Registers, Unit};
use crate::program::{Contents, Plan, Step, Strands};
use known::{Known, Shared};
use worker::{Beside, Common, Worker, locked, nanoseconds};

/// Executes instructions a whole instruction at a time; keeps its scratch between them.
#[derive(Debug)]
pub struct Fast {
    workers: Vec<Worker>,
    /// Threads of all workers but the first; none where there are no others.
    pool: Option<ThreadPool>,
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

    /// Executes a step on a state, moving bytes of DRAM through a window; which half of a reduction it is.
    fn execute(
        &mut self,
        found: Found<'_>,
        half: Option<Half<'_>>,
        state: &mut State,
        window: Window<'_>,
    ) -> Result<Outcome, Fault> {
        let step = found.step;
        if let Instr::Load(_) = step.instr {
            self.load(&step.instr, state, window);
            return Ok(Outcome::default());
        }
        if step.instr.unit() != Unit::Array {
            self.array.settle_before(&step.instr, state);
            self.array.overwritten(&step.instr);
        }
        match (&step.instr, window) {
            (Instr::Store(m), Window::Write(bytes, first)) => {
                moves::store(m, state.memory(m.src.memory), (bytes, first));
            }
            _ => match step.instr.unit() {
                Unit::Array => return self.array.execute(found, half, state),
                Unit::Vector => return self.vector.execute(step, state),
                Unit::Load | Unit::Store | Unit::Control => {}
            },
        }
        Ok(Outcome::default())
    }

    /// Executes a load.
    fn load(&mut self, instr: &Instr, state: &mut State, window: Window<'_>) {
        self.array.settle_before(instr, state);
        self.array.overwritten(instr);
        if let (Instr::Load(m), Window::Read(bytes, first)) = (instr, window) {
            moves::load(m, (bytes, first), state.memory_mut(m.dst.memory));
        }
    }
}

/// What tells plans apart as long as they live.
fn place(plan: &Plan) -> usize {
    plan.steps.as_ptr().addr()
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
        let others = threads.saturating_sub(1);
        let pool = (others > 0).then(|| ThreadPoolBuilder::new().num_threads(others).build().ok()).flatten();
        // Where the system gives no threads, one worker does all.
        let count = if pool.is_some() { threads } else { 1 };
        let workers = (0..count).map(|_| Worker::new(kernels)).collect();
        Fast { workers, pool, plans: HashMap::new(), shares_all: false }
    }

    /// An engine of one thread whose kernels are AMX's, emulated where the processor has none; no engine where it has not even
    /// what AMX stands on.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_amx() -> Option<Self> {
        let workers = vec![Worker::new(Kernels::emulated_amx()?)];
        Some(Fast { workers, pool: None, plans: HashMap::new(), shares_all: false })
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
        let place = place(plan);
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
        let found = Found { step, contents: Contents::default(), may_wait: false };
        let outcome = self.workers[0].units.execute(found, None, state, window);
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
}

/// Executes a plan's strands side by side, the first worker's on this thread. Where that `is_timed`, workers know how long each step took.
fn side_by_side(
    (workers, pool): (&mut [Worker], &ThreadPool),
    Shared { strands, urgency }: &Shared,
    is_timed: bool,
    plan: &Plan,
    state: &mut State,
    observers: &mut [&mut dyn Observer],
) -> Result<(), Fault> {
    let mut dram = std::mem::take(&mut state.memories[Memory::Dram.index()]);
    let reads_before = strands.all().iter().any(|strand| !strand.before.is_empty());
    let before = if reads_before { state.memories.to_vec() } else { Vec::new() };
    let mut numbers: Vec<u128> = (0..Registers::COUNT).map(|place| state.register(place)).collect();
    numbers.resize(strands.numbers(), 0);
    let looks = observers.iter().any(|observer| observer.looks());
    // Those who are told by hands are not told afterwards.
    let (mut by_hands, mut afterwards) = (Vec::new(), Vec::new());
    for (number, observer) in observers.iter_mut().enumerate() {
        match observer.beside(workers.len()) {
            beside if beside.is_empty() => afterwards.push(number),
            beside => by_hands.push(beside.into_iter()),
        }
    }
    workers.iter_mut().for_each(|worker| worker.begin(state));
    let common = Common {
        plan,
        strands,
        is_timed,
        keeps_outcomes: !afterwards.is_empty(),
        looks,
        before,
        numbers: Mutex::new(numbers),
        left: Mutex::new(&mut *state),
    };
    let hands = workers.iter_mut().map(|worker| {
        let observers = by_hands.iter_mut().filter_map(Iterator::next).collect();
        Beside { worker, common: &common, observers }
    });
    let done = execute(pool, strands, urgency, hands.collect(), &mut dram);
    let numbers = std::mem::take(&mut *locked(&common.numbers));
    state.memories[Memory::Dram.index()] = dram;
    for (place, &number) in strands.registers_left().iter().enumerate() {
        state.set_register(place, numbers[number]);
    }
    if !afterwards.is_empty() {
        let executed = done.as_ref().map_or_else(|(step, _)| *step, |()| plan.steps.len());
        let mut outcomes = vec![Outcome::default(); plan.steps.len()];
        for &(step, outcome) in workers.iter().flat_map(|worker| &worker.outcomes) {
            outcomes[step] = outcome;
        }
        for (step, outcome) in outcomes.iter().enumerate().take(executed) {
            for &observer in &afterwards {
                observers[observer].executed(plan, step, outcome, state);
            }
        }
    }
    done.map_err(|(_, fault)| fault)?;
    observers.iter_mut().for_each(|observer| observer.finished(plan));
    Ok(())
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
        let is_timed = self.known(plan).is_timed();
        let Fast { workers, pool, plans, .. } = self;
        let shared = plans.get(&place(plan)).and_then(|known| known.shared.as_ref());
        match (shared.filter(|_| can_share), pool) {
            (Some(shared), Some(pool)) => {
                side_by_side((workers, pool), shared, is_timed, plan, state, observers)?;
                let times: Vec<_> = workers.iter_mut().flat_map(|worker| worker.times.drain(..)).collect();
                let known = self.known(plan);
                times.into_iter().for_each(|(step, time)| known.took(&plan.steps[step], time));
            }
            _ if is_timed => self.timed(plan, state, observers)?,
            _ => in_order(plan, state, observers, |step, state| self.advance(step, state))?,
        }
        let (shares_all, workers) = (self.shares_all, self.workers.len());
        if is_timed && !shares_all {
            self.known(plan).ran(plan, workers);
        }
        Ok(())
    }
}
