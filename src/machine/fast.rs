//! The engine that runs programs: each instruction as a whole, on runs of elements.

use super::kernels::{Extension, Kernels, Team};
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
    team: Team,
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
        Fast { array: Array::new(kernels), vector: Vector::new(kernels), team: Team::new(threads) }
    }

    /// An engine of one thread whose kernels are AMX's, emulated where the processor has none; no engine where it has not even
    /// what AMX stands on.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_amx() -> Option<Self> {
        let kernels = Kernels::emulated_amx()?;
        Some(Fast { array: Array::new(kernels), vector: Vector::new(kernels), team: Team::new(1) })
    }

    /// Products of tiles that were emulated on this thread; none where the processor has AMX.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_products() -> Option<u64> {
        (!Extension::Amx.is_available()).then(super::kernels::emulated_products)
    }

    /// The same, whose threads share every instruction, be it ever so small: not to be fast, but to be tried.
    pub fn sharing_all(self) -> Self {
        Fast { team: self.team.sharing_all(), ..self }
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
            Unit::Array => self.array.execute(step, state, &mut self.team),
            Unit::Vector => self.vector.execute(step, state, &mut self.team),
            Unit::Load | Unit::Store | Unit::Control => {
                match &step.instr {
                    Instr::Load(m) => moves::load(m, state, &mut self.team),
                    Instr::Store(m) => moves::store(m, state, &mut self.team),
                    _ => {}
                }
                Ok(Outcome::default())
            }
        }
    }
}
