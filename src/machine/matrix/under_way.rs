//! What reductions under way go on from. Mostly an instruction goes on with all that another left, and nothing is looked up.

use std::ops::Range;

use super::rule::{Output, Start, bits_of, keys, outputs_of, starts};
use super::{range_of, size};
use crate::isa::{Instr, Matrix};
use crate::machine::unfinished::Unfinished;
use crate::machine::{Exact, State};
use crate::number::AccumulatorRule;

/// Exact sums of reductions that later instructions go on with, where the register is another number.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Outputs of whole instructions; no two have a bit in common.
    tiles: Vec<Tile>,
    /// Others, while there are no tiles.
    single: Unfinished,
}

/// The outputs of an instruction.
#[derive(Debug)]
struct Tile {
    m: Matrix,
    /// In row-major order.
    sums: Vec<i64>,
}

impl UnderWay {
    /// Whether every register under way is its exact sum.
    pub(super) fn is_empty(&self) -> bool {
        self.tiles.is_empty() && self.single.is_empty()
    }

    /// An instruction of another unit is executed.
    pub(super) fn overwritten(&mut self, instr: &Instr) {
        if self.is_empty() {
            return;
        }
        let bits: Vec<Range<u64>> = Unfinished::bits_overwritten_by(instr).collect();
        let meets = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        if self.tiles.iter().any(|tile| bits.iter().any(|bits| meets(bits, &bits_of(&tile.m)))) {
            self.scatter();
        }
        self.single.overwritten(instr);
    }

    /// Registers and exact sums to go on from; empty where the instruction starts from zero.
    pub(super) fn starts(&mut self, m: &Matrix, rule: AccumulatorRule, state: &State) -> Vec<Start> {
        if !m.accumulate {
            return Vec::new();
        }
        let tile = self.make_room(m);
        let mut found = Vec::with_capacity(size(m.rows) * size(m.columns));
        let mut add = |register: i64, exact: Option<i128>| {
            found.push(Start { register, exact: exact.unwrap_or(register.into()) });
        };
        if let Some(place) = tile {
            let mut sums = self.tiles[place].sums.iter();
            starts(m, rule, state, |register| add(register, sums.next().map(|&sum| sum.into())));
        } else {
            let mut places = keys(m);
            let mut exact = || places.next().and_then(|place| self.single.exact(place));
            starts(m, rule, state, |register| add(register, exact()));
        }
        found
    }

    /// Keeps what later instructions need of an instruction's outputs.
    pub(super) fn keep(&mut self, m: &Matrix, outputs: &[Output]) {
        if let Some(place) = self.make_room(m) {
            self.tiles.swap_remove(place);
        }
        let differs = |o: &Output| m.partial && i128::from(o.register) != o.exact;
        if self.single.is_empty() {
            if !outputs.iter().any(differs) {
                return;
            }
            if let Some(sums) = outputs.iter().map(|o| i64::try_from(o.exact).ok()).collect() {
                self.tiles.push(Tile { m: *m, sums });
                return;
            }
            self.scatter();
        }
        put(&mut self.single, m, outputs.iter().map(|o| differs(o).then_some(o.exact)));
    }

    /// Whether nothing but a tile, or nothing at all, is known of an instruction's outputs, as [`UnderWay::join`] wants it.
    pub(super) fn is_plain(&mut self, m: &Matrix) -> bool {
        self.make_room(m);
        self.single.is_empty()
    }

    /// Exact sums, between those of `alone`, join those of an instruction's outputs, which become `registers`; later
    /// instructions may go on with them. `changed` of the registers are not `starts` and `sums`. Returns how many are not
    /// the whole exact sum, and the exact sums' extremes; nothing while the reduction is under way.
    ///
    /// # Panics
    /// When something else is known than a tile.
    #[inline(always)]
    pub(super) fn join(
        &mut self,
        m: &Matrix,
        (starts, sums, alone): (&[i32], &[u8], Exact),
        (registers, changed): (&[i32], u64),
    ) -> (u64, Option<Exact>) {
        assert!(self.single.is_empty());
        let same = self.make_room(m).map(|place| self.tiles.swap_remove(place));
        let tile = same.filter(|_| m.accumulate);
        match tile {
            None if m.partial && changed == 0 => return (0, None),
            None if !m.partial && starts.is_empty() => return (changed, Some(alone)),
            _ => {}
        }
        let sums = sums.as_chunks::<4>().0.iter().map(|&word| i64::from(i32::from_le_bytes(word)));
        let exact = match tile {
            Some(Tile { sums: mut exact, .. }) => {
                exact.iter_mut().zip(sums).for_each(|(exact, sum)| *exact += sum);
                exact
            }
            None if starts.is_empty() => sums.collect(),
            None => sums.zip(starts).map(|(sum, &start)| sum + i64::from(start)).collect(),
        };
        let wrong = exact.iter().zip(registers).map(|(&exact, &r)| u64::from(exact != i64::from(r))).sum();
        if !m.partial {
            return (wrong, Some(range_of(&exact)));
        }
        if wrong > 0 {
            self.tiles.push(Tile { m: *m, sums: exact });
        }
        (0, None)
    }

    /// The tile that an instruction's outputs are; where they are none, no tile meets them.
    fn make_room(&mut self, m: &Matrix) -> Option<usize> {
        let same = self.tiles.iter().position(|tile| outputs_of(&tile.m) == outputs_of(m));
        let bits = bits_of(m);
        let meets = |tile: &Tile| {
            let other = bits_of(&tile.m);
            other.start < bits.end && bits.start < other.end
        };
        if same.is_none() && self.tiles.iter().any(meets) {
            self.scatter();
        }
        same
    }

    /// Makes single sums of all tiles'.
    fn scatter(&mut self) {
        for Tile { m, sums } in self.tiles.drain(..) {
            put(&mut self.single, &m, sums.into_iter().map(|sum| Some(sum.into())));
        }
    }
}

fn put(single: &mut Unfinished, m: &Matrix, sums: impl Iterator<Item = Option<i128>>) {
    for (place, exact) in keys(m).zip(sums) {
        single.put(place..place + u64::from(m.out_format.bits()), exact);
    }
}
