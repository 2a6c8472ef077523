//! Sums of a reduction over positions that several instructions make stay as tiles have them until the last of these, where whoever
//! executes them says that nobody looks before; or until another instruction does.

use super::rule::outputs_of;
use super::size;
use crate::isa::{Instr, Matrix, Memory};
use crate::machine::State;
use crate::machine::kernels::{Extremes, KeptSums, Kernels, Lines, Strip, Woven};

/// Sums that are kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    sums: KeptSums,
    of: Option<Of>,
}

/// What they are of.
#[derive(Debug)]
struct Of {
    /// The last instruction that joined some.
    m: Matrix,
    strips: Vec<Strip>,
    /// None of them is greater.
    greatest: u64,
}

impl Kept {
    /// No sum that an instruction goes on with is greater, if they are kept.
    pub(super) fn greatest(&self, m: &Matrix) -> Option<u64> {
        let of = self.of.as_ref().filter(|of| m.accumulate && outputs_of(&of.m) == outputs_of(m))?;
        Some(of.greatest)
    }

    /// Whether those that an instruction goes on with are kept, and as its own product has them.
    pub(super) fn fits(&self, m: &Matrix, shape: &Woven) -> bool {
        let rows = |strips: &[Strip]| strips.iter().map(|strip| strip.rows.clone()).collect::<Vec<_>>();
        self.greatest(m).is_some()
            && self.of.as_ref().is_some_and(|of| rows(&of.strips) == rows(shape.strips()))
    }

    /// Keeps an instruction's sums, none of them greater than this; those that it goes on with are kept.
    pub(super) fn join(
        &mut self,
        kernels: Kernels,
        (m, shape): (&Matrix, &Woven),
        operands: (&Lines, &Lines),
        greatest: u64,
    ) {
        kernels.woven_sums(shape, operands, &mut self.sums, m.accumulate);
        match &mut self.of {
            Some(of) if m.accumulate => (of.m, of.greatest) = (*m, greatest),
            of => *of = Some(Of { m: *m, strips: shape.strips().to_vec(), greatest }),
        }
    }

    /// Puts them where they belong, if there are any: what they are of, and their extremes.
    pub(super) fn put(&mut self, kernels: Kernels, state: &mut State) -> Option<(Matrix, Extremes)> {
        let Of { m, strips, .. } = self.of.take()?;
        let out = usize::try_from(m.out.offset).unwrap_or(usize::MAX);
        let out = &mut state.memory_mut(Memory::Accumulator)[out..];
        let out = (out, 4 * size(m.out_stride));
        Some((m, kernels.put_woven((size(m.columns), &strips), &self.sums, out)))
    }

    /// Whether there are any, and an instruction that is none of the array's may look at where they belong, or write there.
    pub(super) fn is_met_by(&self, instr: &Instr) -> bool {
        let may_meet = match instr {
            Instr::Load(m) => m.dst.memory == Memory::Accumulator,
            Instr::Store(m) => m.src.memory == Memory::Accumulator,
            _ => true,
        };
        self.of.is_some() && may_meet
    }

    /// They are nobody's.
    pub(super) fn forget(&mut self) {
        self.of = None;
    }
}
