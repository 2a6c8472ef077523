//! The engine that runs programs: each instruction as a whole, on runs of elements.

use super::kernels::{Extension, Kernels};
use super::matrix::Array;
use super::vector::Vector;
use super::{Engine, Fault, Outcome, State, moves};
use crate::isa::{Instr, Unit};
use crate::program::Step;

/// Executes instructions a whole instruction at a time; keeps its scratch between them.
#[derive(Debug)]
pub struct Fast {
    array: Array,
    vector: Vector,
}

impl Fast {
    /// An engine with nothing under way, with the kernels of [`Extension::chosen`].
    pub fn new() -> Self {
        Self::with(Extension::chosen())
    }

    /// The same with the kernels of an extension (or the best below it that the processor has).
    pub fn with(extension: Extension) -> Self {
        let kernels = Kernels::of(extension);
        Fast { array: Array::new(kernels), vector: Vector::new(kernels) }
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
