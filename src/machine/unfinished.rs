//! Exact sums of reductions that later instructions go on with, where the register holds another number: statistics need
//! them, no machine has them. What becomes of registers is the engines' affair.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::isa::{Footprint, Instr, Memory};

/// Exact sums, by the first bit of the register's place in the accumulator memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Unfinished(BTreeMap<u64, Sum>);

#[derive(Debug, Clone, Copy)]
struct Sum {
    /// Behind its place's last bit.
    end: u64,
    exact: i128,
}

impl Unfinished {
    /// Whether every register under way is its exact sum.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The exact sum of the register at a place, where the register is another.
    pub(super) fn exact(&self, first_bit: u64) -> Option<i128> {
        self.0.get(&first_bit).map(|sum| sum.exact)
    }

    /// A register goes to a place; its exact sum where that is another and is gone on with.
    pub(super) fn put(&mut self, bits: Range<u64>, exact: Option<i128>) {
        self.forget(bits.clone());
        if let Some(exact) = exact {
            self.0.insert(bits.start, Sum { end: bits.end, exact });
        }
    }

    /// An instruction that is no matrix instruction is executed: what it overwrites is under way no more.
    pub(super) fn overwritten(&mut self, instr: &Instr) {
        if self.is_empty() || matches!(instr, Instr::MTaps(_) | Instr::MPositions(_)) {
            return;
        }
        let written = Footprint::of(instr).writes;
        for range in written.iter().filter(|range| range.memory == Memory::Accumulator) {
            self.forget(range.first * 8..range.end * 8);
        }
    }

    fn forget(&mut self, bits: Range<u64>) {
        if self.is_empty() {
            return;
        }
        let before = self.0.range(..bits.start).next_back();
        let before = before.filter(|(_, sum)| sum.end > bits.start).map(|(&first, _)| first);
        let gone: Vec<u64> = before.into_iter().chain(self.0.range(bits).map(|(&first, _)| first)).collect();
        for first in gone {
            self.0.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overwritten_is_under_way_no_more() {
        let mut sums = Unfinished::default();
        sums.put(0..32, Some(7));
        sums.put(32..64, Some(8));
        sums.put(64..96, None);
        assert_eq!([0, 32, 64].map(|bit| sums.exact(bit)), [Some(7), Some(8), None]);
        sums.put(40..48, Some(9));
        assert_eq!([0, 32, 40].map(|bit| sums.exact(bit)), [Some(7), None, Some(9)]);
        let text = "main:\n v.fill dst=accumulator[3] dst_format=8 count=1\n halt\n";
        let program = crate::program::Program::from_text(text, "fill.s").unwrap();
        sums.overwritten(&program.code[0]);
        assert_eq!([0, 40].map(|bit| sums.exact(bit)), [None, Some(9)]);
    }
}
