//! Who executes a plan's strands: units, scratchpads and registers of its own, DRAM and what registers hand on shared.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Units;
use crate::isa::Memory;
use crate::machine::kernels::{Hand, Kernels, Window};
use crate::machine::{Fault, Lines, Observer, Outcome, State};
use crate::program::{Place, Plan, Strands, Written};

/// Who executes instructions: units, and a state of its own where others work beside it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) units: Units,
    /// Scratchpads and registers, no DRAM.
    state: State,
    /// What is known to be in the scratchpads ([`Written::put`](crate::program::Written)).
    put: Vec<(Place, usize)>,
    /// What became of the steps it has executed, where that is asked for.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// How many nanoseconds they took, where that is asked for.
    pub(super) times: Vec<(usize, u64)>,
}

impl Worker {
    pub(super) fn new(kernels: Kernels) -> Worker {
        let state = State::new([0; 5], 0);
        Worker { units: Units::new(kernels), state, put: Vec::new(), outcomes: Vec::new(), times: Vec::new() }
    }

    /// Ready for a plan on this state.
    pub(super) fn begin(&mut self, state: &State) {
        (self.state.seed, self.state.step, self.state.source) = (state.seed, state.step, state.source);
        for memory in Memory::SCRATCHPADS {
            self.state.memories[memory.index()].hold(state.memory(memory).len());
        }
        self.put.clear();
        self.outcomes.clear();
        self.times.clear();
    }

    /// Bytes of a scratchpad are to be written.
    fn overwrite(&mut self, place: &Place) {
        self.put.retain(|(of, _)| !of.meets(place));
    }
}

/// What workers beside each other have in common.
pub(super) struct Common<'a> {
    pub(super) plan: &'a Plan,
    pub(super) strands: &'a Strands,
    /// Whether steps are timed.
    pub(super) is_timed: bool,
    /// Whether outcomes are kept.
    pub(super) keeps_outcomes: bool,
    /// The scratchpads as they were before the plan; empty where nobody reads them.
    pub(super) before: Vec<Lines>,
    /// The numbers that registers hold ([`Renamed`](crate::program::Renamed)).
    pub(super) numbers: Mutex<Vec<u128>>,
    /// The state whose scratchpads are as the plan leaves them.
    pub(super) left: Mutex<&'a mut State>,
}

/// A worker beside others, on a state whose DRAM is elsewhere.
pub(super) struct Beside<'a> {
    pub(super) worker: &'a mut Worker,
    pub(super) common: &'a Common<'a>,
    /// Who is told of what it executes.
    pub(super) observers: Vec<&'a mut (dyn Observer + Send)>,
    /// The strand under way.
    pub(super) strand: usize,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hand for Beside<'_> {
    type Error = Fault;

    fn begin(&mut self, strand: usize) {
        self.strand = strand;
        self.worker.units.begin();
        for place in &self.common.strands.all()[strand].before {
            let Place { memory, bytes } = place;
            let before = &self.common.before[memory.index()][bytes.clone()];
            self.worker.state.memory_mut(*memory)[bytes.clone()].copy_from_slice(before);
            self.worker.overwrite(place);
        }
    }

    fn execute(&mut self, step: usize, window: Window<'_>) -> Result<(), Fault> {
        let Common { plan, strands, is_timed, keeps_outcomes, numbers, .. } = self.common;
        let Written { places, put } = strands.written(step);
        let is_there = put.is_some_and(|put| {
            self.worker.put.iter().filter(|(_, there)| *there == put).count() == places.len()
        });
        if !is_there {
            places.iter().for_each(|place| self.worker.overwrite(place));
        }
        let Worker { units, state, put: known, outcomes, times } = &mut *self.worker;
        let registers = strands.registers(step);
        if !registers.read.is_empty() {
            let numbers = locked(numbers);
            registers.read.iter().for_each(|&(place, number)| state.set_register(place, numbers[number]));
        }
        registers.gathered.iter().for_each(|&(place, _)| state.set_register(place, 0));
        let began = is_timed.then(Instant::now);
        let outcome =
            if is_there { Outcome::default() } else { units.execute(&plan.steps[step], state, window)? };
        times.extend(began.map(|began| (step, nanoseconds(began))));
        if let Some(put) = put.filter(|_| !is_there) {
            known.extend(places.iter().map(|place| (place.clone(), put)));
        }
        if *keeps_outcomes {
            outcomes.push((step, outcome));
        }
        if !(registers.written.is_empty() && registers.gathered.is_empty()) {
            let mut numbers = locked(numbers);
            registers.written.iter().for_each(|&(place, number)| numbers[number] = state.register(place));
            for &(place, number) in &registers.gathered {
                numbers[number] = State::gathered(place, numbers[number], state.register(place));
            }
        }
        if strands.home(step) == self.strand {
            for observer in &mut self.observers {
                observer.executed(plan, step, &outcome, state);
            }
        }
        Ok(())
    }

    fn end(&mut self, strand: usize) {
        for Place { memory, bytes } in &self.common.strands.all()[strand].left {
            let from = &self.worker.state.memory(*memory)[bytes.clone()];
            locked(&self.common.left).memory_mut(*memory)[bytes.clone()].copy_from_slice(from);
        }
    }
}

/// What has passed since.
pub(super) fn nanoseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
