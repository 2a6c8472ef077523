//! Rows of the left operand as tiles read them, a block of the reduction a cache line. A tile is loaded from whole lines several times
//! faster than from bytes that lie across them. Where a row's blocks are whole lines as they lie, and sixteen rows evenly apart,
//! tiles are loaded from there; else rows are gathered, each block a line of its own, sixteen rows' lines side by side, which is
//! still faster than to load from across lines.
//!
//! Every row of a class meets the same segments, so how a block is put together is worked out once.

use std::arch::x86_64::{
    __m512i, _mm512_load_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_maskz_permutex2var_epi8, _mm512_store_si512,
};

use super::GROUPS;
use super::instructions::{Block, Rows, SIDE};
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{GROUP, Segment};

/// Bytes of a tile of whole lines.
const TILE: usize = SIDE * LINE;

/// The blocks of a class of rows.
#[derive(Debug)]
pub(in crate::machine::kernels) struct Blocks {
    all: Vec<Block>,
    /// Groups of the whole reduction.
    depth: usize,
    found: Found,
}

/// How tiles come to their rows.
#[derive(Debug)]
enum Found {
    /// They lie evenly apart, so many bytes, for each sixteen of them.
    InPlace(Vec<usize>),
    /// They are put together so.
    Gathered(Vec<Take>),
}

/// Bytes that one block takes from near each other.
#[derive(Debug, PartialEq, Eq)]
struct Take {
    block: usize,
    /// The first byte, from a row's base on.
    from: usize,
    /// Which bytes of the line they become; what is before them the block has already.
    lanes: u64,
    scattered: Option<Box<Scattered>>,
}

/// Bytes that do not lie as the line has them.
#[derive(Debug, PartialEq, Eq)]
#[repr(C, align(64))]
struct Scattered {
    /// Which of 128 bytes each byte of the line is.
    order: [u8; LINE],
    /// Which of the first and of the second 64 bytes are wanted.
    wanted: [u64; 2],
}

/// Runs of bytes side by side from which on a take that reorders is worth its two loads.
const MANY: usize = 3;

impl Blocks {
    /// Of a class whose rows begin there and meet these segments.
    pub(in crate::machine::kernels) fn of(bases: &[usize], segments: &[Segment]) -> Blocks {
        let depth = segments.iter().map(|s| s.groups).sum();
        Self::in_place(bases, segments, depth).unwrap_or_else(|| Self::gathered(segments, depth))
    }

    /// None where rows are no whole lines evenly apart, sixteen by sixteen.
    fn in_place(bases: &[usize], segments: &[Segment], depth: usize) -> Option<Blocks> {
        let is_line = |byte: usize| byte.is_multiple_of(LINE);
        let are_lines = bases.iter().copied().all(is_line)
            && segments.iter().all(|s| is_line(s.offset) && s.groups.is_multiple_of(GROUPS));
        let (sixteens, rest) = bases.as_chunks::<SIDE>();
        if !are_lines || !rest.is_empty() {
            return None;
        }
        let step = |sixteen: &[usize; SIDE]| {
            let step = sixteen[1].checked_sub(sixteen[0])?;
            sixteen.windows(2).all(|two| two[1].checked_sub(two[0]) == Some(step)).then_some(step)
        };
        let steps = sixteens.iter().map(step).collect::<Option<_>>()?;
        let all = segments.iter().flat_map(|s| {
            let numbers = 0..s.groups / GROUPS;
            numbers.map(|n| Block { left: s.offset + n * LINE, group: s.first_group + n * GROUPS })
        });
        Some(Blocks { all: all.collect(), depth, found: Found::InPlace(steps) })
    }

    fn gathered(segments: &[Segment], depth: usize) -> Blocks {
        let (mut all, mut takes) = (Vec::new(), Vec::new());
        // Runs of segments whose groups lie side by side in the panels.
        for run in segments.chunk_by(|a, b| a.first_group + a.groups == b.first_group) {
            let sources: Vec<usize> =
                run.iter().flat_map(|s| s.offset..s.offset + GROUP * s.groups).collect();
            for (number, sources) in sources.chunks(LINE).enumerate() {
                add(&mut takes, all.len(), sources);
                all.push(Block { left: all.len() * TILE, group: run[0].first_group + number * GROUPS });
            }
        }
        Blocks { all, depth, found: Found::Gathered(takes) }
    }

    /// Groups of the whole reduction.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The blocks of the reduction.
    pub(super) fn all(&self) -> &[Block] {
        &self.all
    }

    /// How many takes there are of bytes side by side, and of others; and how many sixteens of rows in place.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn ways(&self) -> [usize; 3] {
        match &self.found {
            Found::InPlace(steps) => [0, 0, steps.len()],
            Found::Gathered(takes) => {
                let scattered = takes.iter().filter(|take| take.scattered.is_some()).count();
                [takes.len() - scattered, scattered, 0]
            }
        }
    }

    /// Where tiles find the rows from number `first` on, a multiple of sixteen, that begin at these bytes: one tile or several.
    ///
    /// # Safety
    /// The processor has the features; the segments of every row lie in the left operand.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) unsafe fn rows<const TILES: usize>(
        &self,
        left: &[u8],
        (first, bases): (usize, &[usize]),
        scratch: &mut Lines,
    ) -> [Rows; TILES] {
        let mut rows = [Rows { first: left.as_ptr(), step: 0 }; TILES];
        match &self.found {
            Found::InPlace(steps) => {
                let of_tiles = bases.iter().step_by(SIDE).zip(&steps[first / SIDE..]);
                for (rows, (&base, &step)) in rows.iter_mut().zip(of_tiles) {
                    *rows = Rows { first: left.as_ptr().wrapping_add(base), step };
                }
            }
            Found::Gathered(takes) => {
                let of_tile = self.all.len() * TILE;
                scratch.hold(TILES * of_tile);
                for (bases, tile) in bases.chunks(SIDE).zip(scratch.chunks_exact_mut(of_tile)) {
                    // SAFETY: the caller's promise.
                    unsafe { gather(takes, left, bases, tile) };
                }
                let first = scratch.as_ptr();
                for (number, rows) in rows.iter_mut().enumerate() {
                    *rows = Rows { first: first.wrapping_add(number * of_tile), step: LINE };
                }
            }
        }
        rows
    }
}

/// Adds what a block takes from these places.
fn add(takes: &mut Vec<Take>, block: usize, sources: &[usize]) {
    let mut lane = 0;
    while lane < sources.len() {
        let first = sources[lane];
        let near = sources[lane..].iter().take_while(|&&s| (first..first + 2 * LINE).contains(&s)).count();
        let near = &sources[lane..lane + near];
        let beside = near.iter().zip(first..).take_while(|(s, at)| **s == *at).count();
        let runs = 1 + near.windows(2).filter(|w| w[1] != w[0] + 1).count();
        let (count, scattered) = if runs >= MANY {
            let (mut order, mut wanted) = ([0; LINE], [0u64; 2]);
            for (place, source) in order[lane..].iter_mut().zip(near) {
                let at = source - first;
                *place = u8::try_from(at).unwrap_or(0);
                wanted[at / LINE] |= 1 << (at % LINE);
            }
            (near.len(), Some(Box::new(Scattered { order, wanted })))
        } else {
            (beside, None)
        };
        let lanes = ones(count) << lane;
        takes.push(Take { block, from: first, lanes, scattered });
        lane += count;
    }
}

/// Gathers rows that begin at these bytes: `[block][row]`.
///
/// # Safety
/// The processor has the features; the segments of every row lie in the left operand; the tile is of [`Lines`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
unsafe fn gather(takes: &[Take], left: &[u8], bases: &[usize], tile: &mut [u8]) {
    for take in takes {
        let block = &mut tile[take.block * TILE..][..TILE];
        let (lines, _) = block.as_chunks_mut::<LINE>();
        let to = bases.iter().zip(lines);
        // SAFETY: the caller's promise: what is wanted are bytes of segments.
        unsafe {
            match &take.scattered {
                None => {
                    // The line's bytes as they lie: lanes are where they are wanted.
                    let shift = take.lanes.trailing_zeros() as usize;
                    let from = left.as_ptr().wrapping_add(take.from).wrapping_sub(shift);
                    for (&base, line) in to {
                        let from = from.wrapping_add(base);
                        take.put(_mm512_maskz_loadu_epi8(take.lanes, from.cast()), line);
                    }
                }
                Some(scattered) => {
                    let order = _mm512_load_si512(scattered.order.as_ptr().cast());
                    let [low_wanted, high_wanted] = scattered.wanted;
                    let from = left.as_ptr().wrapping_add(take.from);
                    for (&base, line) in to {
                        let from = from.wrapping_add(base);
                        let low = _mm512_maskz_loadu_epi8(low_wanted, from.cast());
                        let high = _mm512_maskz_loadu_epi8(high_wanted, from.wrapping_add(LINE).cast());
                        let bytes = _mm512_maskz_permutex2var_epi8(take.lanes, low, order, high);
                        take.put(bytes, line);
                    }
                }
            }
        }
    }
}

impl Take {
    /// # Safety
    /// The line is one of [`Lines`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn put(&self, bytes: __m512i, line: &mut [u8; LINE]) {
        // SAFETY: it has 64 bytes and begins where a cache line does.
        unsafe {
            if self.lanes & 1 == 0 {
                _mm512_mask_storeu_epi8(line.as_mut_ptr().cast(), self.lanes, bytes);
            } else {
                _mm512_store_si512(line.as_mut_ptr().cast(), bytes);
            }
        }
    }
}

fn ones(count: usize) -> u64 {
    u64::MAX.checked_shr(64 - u32::try_from(count).unwrap_or(64)).unwrap_or(0)
}
