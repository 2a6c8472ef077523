//! The plain engine: each instruction as `isa/table.toml` says it, one element and one join after another.
//!
//! To be read beside the manual. It shares no code with the fast engine but what an accumulator and a sum under way are;
//! `tests/engines` holds the two together. The stepped engine takes from here what one element comes to.

pub(super) mod elements;
pub(super) mod matrix;
mod moves;
mod vector;

use bitvec::prelude::*;

use super::unfinished::Unfinished;
use super::{Engine, Fault, Outcome, State};
use crate::isa::{Address, Format, Instr};
use crate::program::Step;

/// Executes instructions as they are defined.
#[derive(Debug, Default)]
pub struct Reference {
    unfinished: Unfinished,
}

impl Reference {
    /// An engine with nothing under way.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Engine for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn begin(&mut self) {
        self.unfinished = Unfinished::default();
    }

    fn execute(&mut self, step: &Step, state: &mut State) -> Result<Outcome, Fault> {
        self.unfinished.overwritten(&step.instr);
        match &step.instr {
            Instr::MTaps(m) => self.matrix(step, m, false, state),
            Instr::MPositions(m) => self.matrix(step, m, true, state),
            Instr::Load(m) => {
                moves::load(m, state);
                Ok(Outcome::default())
            }
            Instr::Store(m) => {
                moves::store(m, state);
                Ok(Outcome::default())
            }
            other => vector::execute(step.pc, other, state),
        }
    }
}

fn start(address: Address) -> usize {
    usize::try_from(address.offset).unwrap_or(usize::MAX)
}

/// Element `index`, two's complement.
pub(super) fn get(state: &State, address: Address, format: Format, index: u64) -> i64 {
    let unused = 64 - format.bits();
    (get_unsigned(state, address, format, index) << unused).cast_signed() >> unused
}

/// Element `index`, unsigned.
pub(super) fn get_unsigned(state: &State, address: Address, format: Format, index: u64) -> u64 {
    state.memory(address.memory)[start(address)..].view_bits::<Lsb0>()[place(format, index)].load_le()
}

/// Bits of element `index`: a memory is a string of bits, codes, masks and accumulators alike.
fn place(format: Format, index: u64) -> std::ops::Range<usize> {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let first = size(index * u64::from(format.bits()));
    first..first + size(format.bits().into())
}

/// Writes element `index`.
fn set(state: &mut State, address: Address, format: Format, index: u64, value: i64) {
    let bytes = &mut state.memory_mut(address.memory)[start(address)..];
    bytes.view_bits_mut::<Lsb0>()[place(format, index)].store_le(value.cast_unsigned());
}
