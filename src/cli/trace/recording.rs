//! Golden vectors: an engine that keeps what an instruction finds before it executes it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::machine::{Engine, Fault, Observer, Outcome, State, in_order};
use crate::program::{Plan, Step};
use crate::trace::{Follow, Golden, Halt};

struct Shared<'a> {
    golden: RefCell<Golden<'a>>,
    /// The next plan executed is recorded.
    active: Cell<bool>,
    halt: RefCell<Option<Halt>>,
}

impl Shared<'_> {
    fn keep<T>(&self, made: Result<T, Halt>) -> Option<T> {
        made.map_err(|halt| *self.halt.borrow_mut() = Some(halt)).ok()
    }
}

/// An engine with a recorder.
struct Recorded<'a> {
    engine: Box<dyn Engine>,
    shared: Rc<Shared<'a>>,
}

impl Engine for Recorded<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn begin(&mut self) {
        self.engine.begin();
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        let shared = &self.shared;
        if shared.halt.borrow().is_some() {
            return self.engine.execute(step, state);
        }
        let stimulus = shared.keep(shared.golden.borrow_mut().before(step, state)).flatten();
        let outcome = self.engine.execute(step, state)?;
        if let Some(stimulus) = stimulus {
            shared.keep(shared.golden.borrow_mut().after(&stimulus, step, state, &outcome));
        }
        Ok(outcome)
    }

    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        if !self.shared.active.replace(false) {
            return self.engine.run(plan, state, observers);
        }
        in_order(self, plan, state, observers)
    }
}

/// Goes along with the run and says when vectors are recorded.
pub(super) struct Recording<'a> {
    shared: Rc<Shared<'a>>,
}

impl<'a> Recording<'a> {
    pub(super) fn new(golden: Golden<'a>) -> Self {
        let shared = Shared { golden: golden.into(), active: false.into(), halt: RefCell::new(None) };
        Recording { shared: Rc::new(shared) }
    }

    /// The engine whose instructions are recorded.
    pub(super) fn engine(&self, engine: Box<dyn Engine>) -> Box<dyn Engine + 'a> {
        Box::new(Recorded { engine, shared: Rc::clone(&self.shared) })
    }

    /// The vectors, when the engine is gone.
    pub(super) fn into_golden(self) -> Option<Golden<'a>> {
        Rc::into_inner(self.shared).map(|shared| shared.golden.into_inner())
    }
}

impl Observer for Recording<'_> {
    fn executed(&mut self, _: &Plan, _: &Step, _: &Outcome, _: &State) {}
}

impl Follow for Recording<'_> {
    fn begin(&mut self, step: u64) {
        self.shared.active.set(true);
        self.shared.golden.borrow_mut().begin(step);
    }

    fn has_ended(&self) -> bool {
        self.shared.halt.borrow().is_some()
    }

    fn take_halt(&mut self) -> Option<Halt> {
        self.shared.halt.borrow_mut().take()
    }
}
