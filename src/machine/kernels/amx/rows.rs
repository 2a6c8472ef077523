//! Rows of the left operand as tiles read them: in place, or gathered.

use super::instructions::SIDE;
use super::{ACROSS, GROUPS, groups_of, runs};
use crate::machine::kernels::product::{GROUP, Segment};

/// Rows a tile has at least to be read in place.
const FULL_ENOUGH: usize = 12;

/// Up to sixteen rows a constant step apart; a tile reads sixteen in any case.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) at: *const u8,
    pub(super) step: usize,
    pub(super) count: usize,
}

impl Rows {
    /// The first rows of some, where they lie so and sixteen of them would lie in the left operand.
    pub(super) fn in_place(left: &[u8], bases: &[usize], reach: usize) -> Option<Rows> {
        let step = bases.get(1)?.checked_sub(bases[0])?;
        let pairs = bases[..bases.len().min(SIDE)].windows(2);
        let count = 1 + pairs.take_while(|pair| pair[0] + step == pair[1]).count();
        let end = bases[0] + (SIDE - 1) * step + reach;
        (count >= FULL_ENOUGH && end <= left.len()).then(|| Rows {
            at: left.as_ptr().wrapping_add(bases[0]),
            step,
            count,
        })
    }
}

/// Bytes of a row of a block: a cache line's.
const LINE: usize = GROUP * GROUPS;

/// A row of a block.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// Rows gathered from where they lie: their segments side by side, zeros behind each run.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<Line>);

impl Gathered {
    /// Gathers up to two tiles of rows of `blocks` blocks.
    pub(super) fn take(
        &mut self,
        left: &[u8],
        bases: &[usize],
        segments: &[Segment],
        blocks: usize,
    ) -> [Option<Rows>; ACROSS] {
        // An odd number of cache lines from row to row: rows do not meet in the same sets of the cache.
        let lines = blocks | 1;
        if self.0.len() < ACROSS * SIDE * lines {
            self.0.resize(ACROSS * SIDE * lines, Line([0; LINE]));
        }
        for (&base, row) in bases.iter().zip(self.0.chunks_exact_mut(lines)) {
            // SAFETY: a line is so many bytes, and nothing else.
            let bytes = unsafe { std::slice::from_raw_parts_mut(row.as_mut_ptr().cast(), lines * LINE) };
            let mut rest: &mut [u8] = bytes;
            for run in runs(segments) {
                let (here, later) = rest.split_at_mut((GROUP * groups_of(run)).next_multiple_of(LINE));
                gather(left, base, run, here);
                rest = later;
            }
        }
        let step = lines * LINE;
        let rows = |first: usize| {
            let count = bases.len().saturating_sub(first).min(SIDE);
            (count > 0).then(|| Rows { at: self.0[first * lines..].as_ptr().cast(), step, count })
        };
        [rows(0), rows(SIDE)]
    }
}

/// The segments of a run side by side, zeros behind them.
fn gather(left: &[u8], base: usize, run: &[Segment], mut to: &mut [u8]) {
    for segment in run {
        let (here, later) = to.split_at_mut(GROUP * segment.groups);
        here.copy_from_slice(&left[base + segment.offset..][..GROUP * segment.groups]);
        to = later;
    }
    to.fill(0);
}
