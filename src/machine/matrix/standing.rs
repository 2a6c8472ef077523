//! What stands in the accumulator memory is known as long as nothing else is written there: an instruction that goes on with
//! what another left need not look at it.

use std::ops::Range;

use super::rule::{bits_of, outputs_of};
use crate::isa::{Instr, Matrix, Unit};
use crate::machine::unfinished::Unfinished;

/// Outputs of matrix instructions and their greatest magnitudes.
#[derive(Debug, Default)]
pub(super) struct Standing(Vec<(Matrix, u64)>);

impl Standing {
    /// The greatest magnitude of an instruction's outputs as they stand, where that is known.
    pub(super) fn greatest(&self, m: &Matrix) -> Option<u64> {
        self.0.iter().find(|(of, _)| outputs_of(of) == outputs_of(m)).map(|(_, greatest)| *greatest)
    }

    /// An instruction's outputs were written; `greatest` is none of them beyond, if that is known.
    pub(super) fn put(&mut self, m: &Matrix, greatest: Option<u64>) {
        self.forget(&bits_of(m));
        self.0.extend(greatest.map(|greatest| (*m, greatest)));
    }

    /// An instruction of another unit is executed.
    pub(super) fn overwritten(&mut self, instr: &Instr) {
        if !self.0.is_empty() && matches!(instr.unit(), Unit::Load | Unit::Vector) {
            Unfinished::bits_overwritten_by(instr).for_each(|bits| self.forget(&bits));
        }
    }

    fn forget(&mut self, bits: &Range<u64>) {
        self.0.retain(|(of, _)| {
            let of = bits_of(of);
            of.end <= bits.start || bits.end <= of.start
        });
    }
}
