//! An engine that does something else in place of the next plan, when it was asked to; all other plans the fast engine executes.

use std::cell::Cell;
use std::rc::Rc;

use crate::machine::{Engine, Fast, Fault, Observer, Outcome, State};
use crate::program::{Plan, Step};

/// The engine; `other` is what it does in place of a plan.
pub(super) struct Instead<F> {
    name: &'static str,
    fast: Fast,
    asked: Rc<Cell<bool>>,
    other: F,
}

impl<F> Instead<F>
where
    F: FnMut(&Plan, &mut State, &mut [&mut dyn Observer]) -> Result<(), Fault>,
{
    /// An engine that does `other` once each time `asked` was set.
    pub(super) fn new(name: &'static str, asked: Rc<Cell<bool>>, other: F) -> Self {
        Instead { name, fast: Fast::new(), asked, other }
    }
}

impl<F> Engine for Instead<F>
where
    F: FnMut(&Plan, &mut State, &mut [&mut dyn Observer]) -> Result<(), Fault>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn begin(&mut self) {
        self.fast.begin();
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        self.fast.execute(step, state)
    }

    fn run(
        &mut self,
        plan: &Plan,
        state: &mut State,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), Fault> {
        if self.asked.replace(false) {
            (self.other)(plan, state, observers)
        } else {
            self.fast.run(plan, state, observers)
        }
    }
}
