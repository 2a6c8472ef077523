//! Random streams: Philox4x32-10 (Salmon et al., SC 2011), placed at any word of any stream of a seed.

use super::shift::{Rounding, clip, rsh};

/// What a stream is for; streams of one seed are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Stochastic rounding of weight steps.
    Rounding,
    /// Initial weights.
    Weights,
    /// Order of the images.
    Order,
    /// Augmentation.
    Augmentation,
}

impl StreamKind {
    fn number(self) -> u32 {
        match self {
            Self::Rounding => 0,
            Self::Weights => 1,
            Self::Order => 2,
            Self::Augmentation => 3,
        }
    }
}

/// A stream of 32-bit words: word `i` is word `i mod 4` of the block with counter
/// `(i div 4 low, i div 4 high, step, kind)` under the key `(seed low, seed high)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// The step (rounding) or epoch (order); 0 where there is none.
    pub step: u32,
    /// What it is for.
    pub kind: StreamKind,
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low(x: u64) -> u32 {
    x as u32
}

fn high(x: u64) -> u32 {
    low(x >> 32)
}

/// Blocks worked on side by side: what registers hold.
const BLOCKS: usize = 32;
const ROUNDS: usize = 10;
/// What a round multiplies by.
const A: u64 = 0xD251_1F53;
const B: u64 = 0xCD9E_8D57;

#[inline(always)]
fn round(c: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (a, b) = (u64::from(c[0]) * A, u64::from(c[2]) * B);
    [high(b) ^ c[1] ^ key[0], low(b), high(a) ^ c[3] ^ key[1], low(a)]
}

#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)]
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = next_key(key);
    }
    counter
}

impl Stream {
    /// Four words: `4·block` and the three that follow.
    pub fn block(&self, block: u64) -> [u32; 4] {
        let counter = [low(block), high(block), self.step, self.kind.number()];
        philox(counter, [low(self.seed), high(self.seed)])
    }

    /// Word number `index`.
    pub fn word(&self, index: u64) -> u32 {
        let [a, b, c, d] = self.block(index / 4);
        match index % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }

    /// Words `first`, `first + 1`, … into `out`.
    #[inline(always)]
    pub fn fill(&self, first: u64, out: &mut [u32]) {
        let skip = usize::try_from(first % 4).unwrap_or(0);
        let head = ((4 - skip) % 4).min(out.len());
        let (begin, rest) = out.split_at_mut(head);
        if head > 0 {
            begin.copy_from_slice(&self.block(first / 4)[skip..skip + head]);
        }
        let mut block = first.div_ceil(4);
        let (many, rest) = rest.as_chunks_mut::<{ 4 * BLOCKS }>();
        for words in many {
            self.blocks(block, words);
            block += BLOCKS as u64;
        }
        if !rest.is_empty() {
            let mut words = [0; 4 * BLOCKS];
            self.blocks(block, &mut words);
            rest.copy_from_slice(&words[..rest.len()]);
        }
    }

    /// Many blocks side by side, each word in a lane as wide as its products: what stands above it is let stand.
    #[inline(always)]
    fn blocks(&self, first: u64, words: &mut [u32; 4 * BLOCKS]) {
        let (mut c0, mut c1) = ([0; BLOCKS], [0; BLOCKS]);
        let (mut c2, mut c3) = ([u64::from(self.step); BLOCKS], [u64::from(self.kind.number()); BLOCKS]);
        for (i, block) in (first..).take(BLOCKS).enumerate() {
            (c0[i], c1[i]) = (block, block >> 32);
        }
        let mut key = [low(self.seed), high(self.seed)];
        for _ in 0..ROUNDS {
            let [k0, k1] = key.map(u64::from);
            for i in 0..BLOCKS {
                let (a, b) = (u64::from(low(c0[i])) * A, u64::from(low(c2[i])) * B);
                (c0[i], c1[i], c2[i], c3[i]) = (b >> 32 ^ c1[i] ^ k0, b, a >> 32 ^ c3[i] ^ k1, a);
            }
            key = next_key(key);
        }
        for (i, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *words = [c0[i], c1[i], c2[i], c3[i]].map(low);
        }
    }
}

/// The order of `n` images in an epoch: Fisher and Yates from the last place down, each index drawn below its
/// bound by rejection (a word is taken when it is below the greatest multiple of the bound, then reduced).
pub fn permutation(seed: u64, epoch: u32, n: u32) -> Vec<u32> {
    let stream = Stream { seed, step: epoch, kind: StreamKind::Order };
    let mut order: Vec<u32> = (0..n).collect();
    let mut index = 0;
    for last in (1..order.len()).rev() {
        let bound = last as u64 + 1;
        let limit = (1u64 << 32) / bound * bound;
        let word = loop {
            let word = u64::from(stream.word(index));
            index += 1;
            if word < limit {
                break word;
            }
        };
        order.swap(last, usize::try_from(word % bound).unwrap_or(last));
    }
    order
}

/// A code of `bits` bits drawn from a word: uniform in `±limit`, quantised. `limit_fixed` is the limit in units
/// of `2^-(bits - 1 + 24)`.
pub fn draw_weight(word: u32, limit_fixed: i64, bits: u32) -> i64 {
    let centred = 2 * i128::from(word) + 1 - (1 << 32);
    clip(rsh(centred * i128::from(limit_fixed), 56, Rounding::Even), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_words() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn a_stream_can_begin_anywhere() {
        let stream = Stream { seed: 7, step: 3, kind: StreamKind::Rounding };
        for (first, count) in [(5, 11), (0, 3), (2, 1), (3, 200), (8, 64), ((1 << 34) - 7, 150)] {
            let mut words = vec![0; count];
            stream.fill(first, &mut words);
            let single: Vec<u32> = (first..).take(count).map(|i| stream.word(i)).collect();
            assert_eq!(words, single);
        }
    }

    #[test]
    fn a_permutation_holds_every_index_and_changes_with_the_epoch() {
        let order = permutation(1, 1, 1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(order, permutation(1, 2, 1000));
    }

    #[test]
    fn weights_of_two_bits_are_drawn_a_third_each_at_the_least_limit() {
        // limit 0.75: codes beyond 0.25 of 2^-1 units; in fixed point 0.75 * 2 * 2^24
        let stream = Stream { seed: 1, step: 0, kind: StreamKind::Weights };
        let mut counts = [0u32; 3];
        for i in 0..30_000 {
            counts[usize::try_from(draw_weight(stream.word(i), 3 << 23, 2) + 1).unwrap()] += 1;
        }
        assert!(counts.iter().all(|&c| (9_700..10_300).contains(&c)), "{counts:?}");
    }
}
