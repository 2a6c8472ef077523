//! What the engine keeps of a plan: how long its instructions take, and its strands where sharing them pays.

use std::collections::HashMap;
use std::sync::Arc;

use crate::program::{Plan, Step, Strands};

/// Runs in which a plan's instructions are timed, after which it is known whether sharing it pays: the first has to lay out everything.
const TIMED_RUNS: u32 = 2;
/// Nanoseconds that side by side must spare: threads are begun and ended for it.
const SPARED: u64 = 200_000;

/// What is known of a plan.
#[derive(Debug)]
pub(super) struct Known {
    /// The plan's: as long as this is kept, no other plan's steps are where they are.
    _steps: Arc<[Step]>,
    /// The least time of each instruction, in nanoseconds, by its place in the program.
    least: HashMap<u32, u64>,
    runs: u32,
    /// None where sharing it does not pay.
    pub(super) shared: Option<Shared>,
}

/// A plan that is executed side by side.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) strands: Strands,
    pub(super) urgency: Vec<u64>,
}

/// About how many nanoseconds a step takes that was not timed yet.
fn guess(step: &Step) -> u64 {
    1000 + step.instr.products() / 100
}

impl Shared {
    /// A plan's strands, each of whose steps takes so long.
    pub(super) fn of(strands: Strands, times: &[u64]) -> Shared {
        let urgency = strands.urgency(times);
        Shared { strands, urgency }
    }
}

impl Known {
    /// What can be guessed.
    pub(super) fn guessed(plan: &Plan, workers: usize) -> Known {
        let mut known =
            Known { _steps: Arc::clone(&plan.steps), least: HashMap::new(), runs: 0, shared: None };
        let times: Vec<u64> = plan.steps.iter().map(guess).collect();
        known.share(plan, &times, workers);
        known
    }

    /// Whether steps are to be timed.
    pub(super) fn is_timed(&self) -> bool {
        self.runs < TIMED_RUNS
    }

    /// An instruction took so long.
    pub(super) fn took(&mut self, step: &Step, time: u64) {
        self.least.entry(step.pc).and_modify(|least| *least = time.min(*least)).or_insert(time);
    }

    /// A run is over whose steps were timed.
    pub(super) fn ran(&mut self, plan: &Plan, workers: usize) {
        self.runs += 1;
        if !self.is_timed() {
            let time = |step: &Step| self.least.get(&step.pc).copied().unwrap_or(0);
            let times: Vec<u64> = plan.steps.iter().map(time).collect();
            self.share(plan, &times, workers);
        }
    }

    /// Shares a plan among so many workers, where that spares enough of these times.
    fn share(&mut self, plan: &Plan, times: &[u64], workers: usize) {
        let shared = self.shared.take();
        let alone: u64 = times.iter().sum();
        if alone > SPARED {
            let strands = shared.map_or_else(|| Strands::of(plan), |shared| shared.strands);
            let shared = Shared::of(strands, times);
            let longest = shared.urgency.iter().max().copied().unwrap_or(0);
            let pays = longest.max(alone / workers as u64) + SPARED < alone;
            self.shared = pays.then_some(shared);
        }
    }
}
