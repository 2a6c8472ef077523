//! Inner loops compiled once for each instruction set extension and chosen at run time; the only unsafe code.
//!
//! Every version of a kernel gives the same numbers; what is wrapped here is checked here, so that callers stay safe.
#![allow(unsafe_code)]

mod portable;
mod stepped;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub(super) use portable::{interleave, nonzeros, row_products};
pub(super) use stepped::{STEPPED_LANES, stepped, stepped_lanes};

/// A run of the reduction: `groups` times four consecutive bytes of a row of the left operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// First byte, from the row's base on.
    pub(super) offset: usize,
    /// Groups of four bytes.
    pub(super) groups: usize,
}

/// Columns of one register.
pub(super) const LANES: usize = 16;
/// Registers a panel is wide at most.
pub(super) const MAX_REGISTERS: usize = 4;
/// Rows of a tile for panels of one to four registers: the accumulators of a tile fill 24 of 32 registers.
pub(super) const TILE_ROWS: [usize; MAX_REGISTERS] = [12, 12, 8, 6];

/// Sums of products of up to [`TILE_ROWS`] rows with a panel of `16 · registers` columns, modulo 2^32.
///
/// `left` holds codes plus 128; a panel holds, for each group of the segments in turn and each column, four codes.
/// `sums[r · 16 · registers + j]` becomes Σ (left − 128) · right, `corrections[j]` being 128 · Σ right.
///
/// # Panics
/// When a segment of a row leaves `left`, or the panel or the sums are too short.
pub(super) fn tile(
    registers: usize,
    left: &[u8],
    bases: &[usize],
    segments: &[Segment],
    panel: &[i8],
    corrections: &[i32],
    sums: &mut [i32],
) {
    let rows = TILE_ROWS[registers - 1];
    let groups: usize = segments.iter().map(|s| s.groups).sum();
    let reach = segments.iter().map(|s| s.offset + 4 * s.groups).max().unwrap_or(0);
    let last = bases.iter().max().copied().unwrap_or(0);
    assert!(!bases.is_empty() && bases.len() <= rows);
    assert!(last + reach <= left.len(), "a segment leaves the left operand");
    assert!(panel.len() >= groups * registers * 4 * LANES && corrections.len() >= registers * LANES);
    assert!(sums.len() >= bases.len() * registers * LANES);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw") {
        let tile = vnni::Tile { left, bases, segments, panel, corrections };
        // SAFETY: the processor has the features, and every access was proved to stay in its slice above.
        return unsafe {
            match registers {
                1 => vnni::tile::<12, 1>(&tile, sums),
                2 => vnni::tile::<12, 2>(&tile, sums),
                3 => vnni::tile::<8, 3>(&tile, sums),
                _ => vnni::tile::<6, 4>(&tile, sums),
            }
        };
    }
    portable::tile(registers, left, bases, segments, panel, corrections, sums);
}

/// Does `work` compiled for the widest registers there are, as far as the compiler inlines it.
#[inline]
pub(super) fn widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
    {
        // SAFETY: the processor has the features the function is compiled for.
        return unsafe { widest_avx512(work) };
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn widest_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_extension_gives_the_same_tile(
            registers in 1usize..=4, rows in 1usize..=6, runs in prop::collection::vec((0usize..40, 1usize..9), 1..5),
            seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.to_be_bytes()[0]
            };
            let segments: Vec<Segment> =
                runs.iter().map(|&(offset, groups)| Segment { offset, groups }).collect();
            let groups: usize = runs.iter().map(|r| r.1).sum();
            let left: Vec<u8> = (0..200).map(|_| next()).collect();
            let bases: Vec<usize> = (0..rows).map(|r| 17 * r).collect();
            let columns = LANES * registers;
            let panel: Vec<i8> = (0..groups * columns * 4).map(|_| next().cast_signed()).collect();
            let corrections: Vec<i32> = (0..columns).map(|_| i32::from(next()) << 20).collect();
            let (mut fast, mut plain) = (vec![0; rows * columns], vec![0; rows * columns]);
            tile(registers, &left, &bases, &segments, &panel, &corrections, &mut fast);
            portable::tile(registers, &left, &bases, &segments, &panel, &corrections, &mut plain);
            prop_assert_eq!(fast, plain);
        }
    }
}
