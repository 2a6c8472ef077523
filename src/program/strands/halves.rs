//! Reductions over taps in two halves, as tiles have that are too deep for scratchpads: the second instruction goes on with what the first
//! leaves. Where all that the first found is there still, whoever executes the strand may sum both halves with the second.

use crate::isa::{Footprint, Instr, Matrix, Memory, Range};

/// Taps of a window.
fn taps(m: &Matrix) -> u64 {
    u64::from(m.tap_rows) * u64::from(m.tap_cols) * u64::from(m.channels)
}

/// An instruction's reduction over all taps, where it sums a first half of them, beginning with none.
fn all_taps(m: &Matrix) -> Option<Matrix> {
    let is_first = m.partial && !m.accumulate && m.first_k == 0;
    let length = u32::try_from(taps(m)).ok()?;
    is_first.then_some(Matrix { length, ..*m })
}

/// Bytes of the left operand of a reduction over all taps, where an instruction sums a first half of them.
pub(super) fn left_of_all(m: &Matrix) -> Option<Range> {
    let reads = Footprint::of(&Instr::MTaps(all_taps(m)?)).reads;
    reads.into_iter().find(|range| range.memory == Memory::Operand)
}

/// Both halves of a reduction over all taps as one instruction, which begins with nothing; its right operand is nowhere. None where these
/// are no halves of one.
pub fn whole(first: &Matrix, second: &Matrix) -> Option<Matrix> {
    let all = all_taps(first)?;
    let goes_on = second.accumulate && second.first_k == first.length;
    let ends = u64::from(second.first_k) + u64::from(second.length) == taps(second);
    let whole = Matrix { left: second.left, right: second.right, partial: second.partial, ..all };
    let same = Matrix {
        accumulate: true,
        first_k: second.first_k,
        length: second.length,
        right_first: second.right_first,
        ..whole
    };
    (goes_on && ends && same == *second).then_some(whole)
}
