//! Who executes a plan's strands: units, scratchpads and registers of its own, DRAM and what registers hand on shared.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Units;
use crate::isa::{Instr, Memory};
use crate::machine::kernels::{Hand, Kernels, Moves};
use crate::machine::matrix::{Accumulators, Found, Half};
use crate::machine::{Fault, Lines, Observer, Outcome, State};
use crate::program::{Place, Plan, SITES, Strands, Touched};

/// Who executes instructions: units, and sites for strands of its own where others work beside it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) units: Units,
    /// One for each strand that goes abreast with others.
    sites: Vec<Site>,
    /// The site whose accumulators the units know.
    here: usize,
    /// What became of the steps it has executed, where that is asked for.
    pub(super) outcomes: Vec<(usize, Outcome)>,
    /// How many nanoseconds they took, where that is asked for.
    pub(super) times: Vec<(usize, u64)>,
}

/// Where a strand is executed.
#[derive(Debug)]
struct Site {
    /// Scratchpads and registers, no DRAM.
    state: State,
    /// What is known to be in each scratchpad.
    put: [Vec<Put>; Memory::SCRATCHPADS.len()],
    /// What is known of the accumulators, while the units are elsewhere.
    accumulators: Accumulators,
    strand: usize,
}

/// What a step put in a scratchpad, or is to.
#[derive(Debug)]
struct Put {
    place: Place,
    /// [`Touched::put`].
    number: usize,
    /// The load that is executed once somebody looks at the place.
    put_off: Option<usize>,
}

impl Worker {
    pub(super) fn new(kernels: Kernels) -> Worker {
        Worker {
            units: Units::new(kernels),
            sites: vec![Site::new()],
            here: 0,
            outcomes: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Ready for a plan on this state.
    pub(super) fn begin(&mut self, state: &State) {
        self.sites.iter_mut().for_each(|site| site.prepare(state));
        self.units.array.forget_contents();
        self.outcomes.clear();
        self.times.clear();
    }

    /// Goes to a site, which there is from then on.
    fn go_to(&mut self, site: usize) -> &mut Site {
        while self.sites.len() <= site {
            let mut new = Site::new();
            new.prepare(&self.sites[0].state);
            self.sites.push(new);
        }
        if self.here != site {
            for site in [self.here, site] {
                self.units.array.exchange(&mut self.sites[site].accumulators);
            }
            self.here = site;
        }
        &mut self.sites[site]
    }
}

impl Site {
    fn new() -> Site {
        let (state, accumulators) = (State::new([0; 5], 0), Accumulators::default());
        Site { state, put: Default::default(), accumulators, strand: 0 }
    }

    /// Ready for a plan on this state.
    fn prepare(&mut self, state: &State) {
        (self.state.seed, self.state.step, self.state.source) = (state.seed, state.step, state.source);
        for memory in Memory::SCRATCHPADS {
            self.state.memories[memory.index()].hold(state.memory(memory).len());
        }
        self.put.iter_mut().for_each(Vec::clear);
    }

    /// Whether what has this number is in all of these places still, or to be.
    fn has(&self, number: usize, places: &[Place]) -> bool {
        let is_at = |place: &Place| {
            self.put[place.memory.index()].iter().any(|put| put.number == number && put.place == *place)
        };
        places.iter().all(is_at)
    }

    /// Bytes of a scratchpad are to be written.
    fn overwrite(&mut self, place: &Place) {
        self.put[place.memory.index()].retain(|put| !put.place.meets(place));
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
    /// Whether observers look at scratchpads: then no load is put off until a step looks at what it puts.
    pub(super) looks: bool,
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
}

impl Common<'_> {
    /// A step, what is known of what it finds, and which half of a reduction it is; none where an observer looks, who sees each.
    fn found(&self, step: usize) -> (Found<'_>, Option<Half<'_>>) {
        let touched = |step: usize| self.strands.touched(step);
        let found = |step: usize| {
            let contents = touched(step).contents;
            Found { step: &self.plan.steps[step], contents, may_wait: !self.looks }
        };
        let half = touched(step)
            .other_half
            .filter(|_| !self.looks)
            .map(|other| if step < other { Half::First(found(other)) } else { Half::Second(found(other)) });
        (found(step), half)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Beside<'_> {
    /// Executes those loads put off at this site, of what a scratchpad is to have, that somebody looks at.
    fn catch_up(&mut self, moves: &mut Moves<'_>, memory: Memory, looks_at: impl Fn(&Place, usize) -> bool) {
        let Worker { units, sites, here, .. } = &mut *self.worker;
        let Site { state, put, .. } = &mut sites[*here];
        for Put { place, put_off, .. } in &mut put[memory.index()] {
            if let Some(step) = put_off.take_if(|step| looks_at(place, *step)) {
                units.load(&self.common.plan.steps[step].instr, state, moves.of(step));
            }
        }
    }

    /// Makes ready for a step at this site: what it looks at is there, what it overwrites is forgotten.
    fn make_ready(
        &mut self,
        step: usize,
        (found, half): (Found<'_>, Option<Half<'_>>),
        moves: &mut Moves<'_>,
    ) {
        let strands = self.common.strands;
        let Touched { reads, writes, is_whole, .. } = strands.touched(step);
        let looks_at = self.worker.units.array.looks_at(found, half);
        let is_looked_at = |read: &&Place| match read.memory {
            Memory::Operand => looks_at.left,
            Memory::Weight => looks_at.right,
            _ => true,
        };
        for read in reads.iter().filter(is_looked_at) {
            self.catch_up(moves, read.memory, |place, _| place.meets(read));
        }
        if let Some(stored) = strands.moved(step).filter(|moved| moved.writes) {
            for memory in Memory::SCRATCHPADS {
                let is_source = |load| strands.moved(load).is_some_and(|source| stored.meets(source));
                self.catch_up(moves, memory, |_, load| is_source(load));
            }
        }
        for write in writes {
            let is_gone = |place: &Place| *is_whole && place.is_within(write);
            self.catch_up(moves, write.memory, |place, _| place.meets(write) && !is_gone(place));
            let here = self.worker.here;
            self.worker.sites[here].overwrite(write);
        }
    }
}

impl Hand for Beside<'_> {
    type Error = Fault;

    fn sites(&self) -> usize {
        // Who looks has seen all steps of a strand before one of another.
        if self.common.looks { 1 } else { SITES }
    }

    fn begin(&mut self, site: usize, strand: usize) {
        self.worker.go_to(site);
        self.worker.units.begin();
        let site = &mut self.worker.sites[site];
        site.strand = strand;
        // What came after the strand before may have written what was not loaded.
        site.put.iter_mut().for_each(|put| put.retain(|put| put.put_off.is_none()));
        for place in &self.common.strands.all()[strand].before {
            let Place { memory, bytes } = place;
            let before = &self.common.before[memory.index()][bytes.clone()];
            site.state.memory_mut(*memory)[bytes.clone()].copy_from_slice(before);
            site.overwrite(place);
        }
    }

    fn execute(&mut self, site: usize, number: usize, moves: &mut Moves<'_>) -> Result<(), Fault> {
        let Common { plan, strands, is_timed, keeps_outcomes, looks, numbers, .. } = self.common;
        let (found, half) = self.common.found(number);
        let step = found.step;
        let Touched { writes, put, .. } = strands.touched(number);
        let here = self.worker.go_to(site);
        let is_there = put.is_some_and(|put| here.has(put, writes));
        let began = is_timed.then(Instant::now);
        if !is_there {
            self.make_ready(number, (found, half), moves);
        }
        let is_put_off = !looks && put.is_some() && matches!(step.instr, Instr::Load(_)) && step.probes == 0;
        let Worker { units, sites, outcomes, times, .. } = &mut *self.worker;
        let Site { state, put: known, strand, .. } = &mut sites[site];
        let registers = strands.registers(number);
        if !registers.read.is_empty() {
            let numbers = locked(numbers);
            registers.read.iter().for_each(|&(place, number)| state.set_register(place, numbers[number]));
        }
        registers.gathered.iter().for_each(|&(place, _)| state.set_register(place, 0));
        let outcome = if is_there || is_put_off {
            Outcome::default()
        } else {
            units.execute(found, half, state, moves.of(number))?
        };
        times.extend(began.map(|began| (number, nanoseconds(began))));
        if let Some(put) = put.filter(|_| !is_there) {
            let put_off = is_put_off.then_some(number);
            for place in writes {
                known[place.memory.index()].push(Put { place: place.clone(), number: put, put_off });
            }
        }
        if *keeps_outcomes {
            outcomes.push((number, outcome));
        }
        if !(registers.written.is_empty() && registers.gathered.is_empty()) {
            let mut numbers = locked(numbers);
            registers.written.iter().for_each(|&(place, number)| numbers[number] = state.register(place));
            for &(place, number) in &registers.gathered {
                numbers[number] = State::gathered(place, numbers[number], state.register(place));
            }
        }
        if strands.home(number) == *strand {
            for observer in &mut self.observers {
                observer.executed(plan, number, &outcome, state);
            }
        }
        Ok(())
    }

    fn end(&mut self, site: usize, moves: &mut Moves<'_>) {
        let strand = self.worker.go_to(site).strand;
        let Worker { units, sites, .. } = &mut *self.worker;
        units.array.settle(&mut sites[site].state);
        for place in &self.common.strands.all()[strand].left {
            self.catch_up(moves, place.memory, |put, _| put.meets(place));
            let Place { memory, bytes } = place;
            let from = &self.worker.sites[site].state.memory(*memory)[bytes.clone()];
            locked(&self.common.left).memory_mut(*memory)[bytes.clone()].copy_from_slice(from);
        }
    }
}

/// What has passed since.
pub(super) fn nanoseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
