//! The engine that runs programs: each instruction as a whole, on runs of elements.

use super::matrix::Array;
use super::vector::Vector;
use super::{Engine, Fault, Outcome, State, moves};
use crate::isa::{Instr, Unit};
use crate::program::Step;

/// Executes instructions a whole instruction at a time; keeps its scratch between them.
#[derive(Debug, Default)]
pub struct Fast {
    array: Array,
    vector: Vector,
}

impl Fast {
    /// An engine with nothing under way.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Engine for Fast {
    fn name(&self) -> &'static str {
        "fast"
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        match step.instr.unit() {
            Unit::Array => self.array.execute(step, state),
            Unit::Vector => self.vector.execute(step, state),
            Unit::Load | Unit::Store | Unit::Control => {
                match &step.instr {
                    Instr::Load(m) => moves::load(m, state),
                    Instr::Store(m) => moves::store(m, state),
                    _ => {}
                }
                Ok(Outcome::default())
            }
        }
    }
}
