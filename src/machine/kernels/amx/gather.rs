//! Rows of the left operand as tiles read them: each block of the reduction a cache line of its own, sixteen rows' lines side
//! by side. A tile is loaded from whole lines several times faster than from bytes that lie across them, which is more than
//! the copy takes.
//!
//! Every row of a class meets the same segments, so how a block is put together is worked out once.

use std::arch::x86_64::{
    __m512i, _mm512_load_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_maskz_permutex2var_epi8, _mm512_store_si512,
};

use super::GROUPS;
use super::instructions::SIDE;
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{GROUP, Segment};

/// How the blocks of a class of rows are put together, and which groups of the right operand each of them meets.
#[derive(Debug)]
pub(in crate::machine::kernels) struct Gather {
    takes: Vec<Take>,
    /// The first group that each block meets.
    groups: Vec<usize>,
    /// Groups of the whole reduction.
    depth: usize,
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

impl Gather {
    /// Of a class that meets these segments.
    pub(in crate::machine::kernels) fn of(segments: &[Segment]) -> Gather {
        let depth = segments.iter().map(|s| s.groups).sum();
        let mut gather = Gather { takes: Vec::new(), groups: Vec::new(), depth };
        // Runs of segments whose groups lie side by side in the panels.
        for run in segments.chunk_by(|a, b| a.first_group + a.groups == b.first_group) {
            let sources: Vec<usize> =
                run.iter().flat_map(|s| s.offset..s.offset + GROUP * s.groups).collect();
            for (number, sources) in sources.chunks(LINE).enumerate() {
                gather.add(sources);
                gather.groups.push(run[0].first_group + number * GROUPS);
            }
        }
        gather
    }

    /// Adds a block of bytes from these places.
    fn add(&mut self, sources: &[usize]) {
        let block = self.groups.len();
        let mut lane = 0;
        while lane < sources.len() {
            let first = sources[lane];
            let near =
                sources[lane..].iter().take_while(|&&s| (first..first + 2 * LINE).contains(&s)).count();
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
            self.takes.push(Take { block, from: first, lanes, scattered });
            lane += count;
        }
    }

    /// Groups of the whole reduction.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Blocks of the reduction.
    fn blocks(&self) -> usize {
        self.groups.len()
    }

    /// The first group that each block meets.
    pub(super) fn groups(&self) -> &[usize] {
        &self.groups
    }

    /// How many takes there are of bytes side by side, and of others.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn ways(&self) -> (usize, usize) {
        let scattered = self.takes.iter().filter(|take| take.scattered.is_some()).count();
        (self.takes.len() - scattered, scattered)
    }

    /// Gathers rows that begin at these bytes: `[tile][block][row]`.
    ///
    /// # Safety
    /// The processor has the features; the segments of every row lie in the left operand.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) unsafe fn take(&self, left: &[u8], bases: &[usize], to: &mut Lines) {
        let of_tile = self.blocks() * SIDE * LINE;
        to.hold(bases.len().div_ceil(SIDE) * of_tile);
        for (bases, tile) in bases.chunks(SIDE).zip(to.chunks_exact_mut(of_tile)) {
            for take in &self.takes {
                let block = &mut tile[take.block * SIDE * LINE..][..SIDE * LINE];
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
                                let high =
                                    _mm512_maskz_loadu_epi8(high_wanted, from.wrapping_add(LINE).cast());
                                let bytes = _mm512_maskz_permutex2var_epi8(take.lanes, low, order, high);
                                take.put(bytes, line);
                            }
                        }
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
