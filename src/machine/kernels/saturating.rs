//! Registers that saturate, each join of one product, in lanes of 16 bits: those that fit them at their top, wider ones as
//! long as they are near one end of their range at most.

use super::stepped::{Block, RowOverflows, low_32};
use super::{Extension, STEPPED_LANES};

/// Joins whose count fits 16 bits.
const COUNTED: usize = 1 << 15;

/// How far a wider register may move before it is looked at again.
const REACH: i32 = i16::MAX as i32;

/// Places and codes of the left operand that are not zero.
type Steps<'a> = (&'a [u32], &'a [i32]);

/// The low 16 bits.
#[inline(always)]
fn low_16(number: i64) -> i16 {
    let [a, b, ..] = number.to_le_bytes();
    i16::from_le_bytes([a, b])
}

impl Block<'_> {
    /// A register of `bits` bits in the top of 16: a sum of 16 bits saturates where the register's would. What a saturated
    /// sum has below the register (all ones, or all zeros) neither carries nor is carried into. `N` are `V` times
    /// [`STEPPED_LANES`].
    #[inline(always)]
    pub(super) fn half<const N: usize, const V: usize>(
        &self,
        registers: &mut [i64; N],
        overflows: &mut RowOverflows,
    ) {
        let up = 16 - self.rule.bits;
        let mut sums = registers.map(|register| low_16(register << up));
        match self.kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.saturate_in_registers::<N, V>(up, &mut sums, overflows);
            },
            _ => self.count(overflows, |steps, over| self.saturate(steps, up, &mut sums, over)),
        }
        registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = i64::from(sum >> up));
    }

    /// A register of more than 16 bits, in 16: for so many joins as come to less than half of them it meets one end of its
    /// range at most. If one is that near, that is the end of the 16 bits; a register that is near none begins in their
    /// middle and meets none. What the 16 bits have moved is what the register has.
    #[inline(always)]
    pub(super) fn ends<const N: usize, const V: usize>(
        &self,
        registers: &mut [i64; N],
        overflows: &mut RowOverflows,
    ) {
        let mut sums = registers.map(low_32);
        match self.kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.near_ends_in_registers::<N, V>(&mut sums, overflows);
            },
            _ => self.count(overflows, |steps, over| self.near_ends(steps, &mut sums, over)),
        }
        registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = sum.into());
    }

    /// Does all steps, as many at once as counts of 16 bits allow.
    #[inline(always)]
    fn count<const N: usize>(
        &self,
        overflows: &mut RowOverflows,
        mut work: impl FnMut(Steps<'_>, &mut [u16; N]),
    ) {
        for steps in self.row.steps(COUNTED) {
            let mut over = [0; N];
            work(steps, &mut over);
            overflows.add(self.column, &over.map(u32::from));
        }
    }

    /// Joins sums that saturate at the ends of 16 bits, each left code times 2^`up`, and counts the joins that did. No
    /// product leaves 16 bits.
    #[inline(always)]
    fn saturate<const N: usize>(
        &self,
        (places, lefts): Steps<'_>,
        up: u32,
        sums: &mut [i16; N],
        over: &mut [u16; N],
    ) {
        for (&index, &left) in places.iter().zip(lefts) {
            let (left, right) = (low_16(left.into()) << up, self.right.at::<N>(index, self.column));
            for j in 0..N {
                let product = left.wrapping_mul(right[j]);
                let sum = sums[j].saturating_add(product);
                over[j] += u16::from(sum != sums[j].wrapping_add(product));
                sums[j] = sum;
            }
        }
    }

    #[inline(always)]
    fn near_ends<const N: usize>(
        &self,
        (mut places, mut lefts): Steps<'_>,
        sums: &mut [i32; N],
        over: &mut [u16; N],
    ) {
        // From where on a register is near the upper end of its range, and up to where near the lower.
        let most = (1 << (self.rule.bits - 1)) - 1;
        let (upper, lower) = (most - REACH, REACH - most);
        while !places.is_empty() {
            let mut room = REACH;
            let more = |(place, left): &(&u32, &i32)| {
                room -= left.abs() * self.right.greatest_of(**place);
                room >= 0
            };
            let count = places.iter().zip(lefts).take_while(more).count().max(1);
            let mut starts = [0i16; N];
            for (start, &sum) in starts.iter_mut().zip(&*sums) {
                // One of the two is 0, or both.
                *start = low_16(((sum - upper).max(0) + (sum - lower).min(0)).into());
            }
            let mut moved = starts;
            self.saturate((&places[..count], &lefts[..count]), 0, &mut moved, over);
            for ((sum, moved), start) in sums.iter_mut().zip(&moved).zip(&starts) {
                *sum += i32::from(moved - start);
            }
            (places, lefts) = (&places[count..], &lefts[count..]);
        }
    }
}

/// The same where the compiler would not keep sums in registers. Which lanes a join saturates is stored, and counted behind many
/// joins: a count in registers would be a fifth of a join's work.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_adds_epi16, _mm512_cmpeq_epi16_mask, _mm512_cmplt_epu16_mask,
        _mm512_cmpneq_epi16_mask, _mm512_loadu_si512, _mm512_mask_add_epi16, _mm512_maskz_add_epi16,
        _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_srai_epi16,
        _mm512_storeu_si512, _mm512_sub_epi16, _mm512_ternarylogic_epi32, _mm512_xor_si512,
    };

    use super::{Block, REACH, RowOverflows, STEPPED_LANES, Steps, low_16};

    /// Steps whose lanes that saturate are counted at once.
    const COUNTED_AT_ONCE: usize = 128;

    impl Block<'_> {
        /// One join of `N` sums with a left code, which each half of a word holds; bits of the lanes that saturate.
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        unsafe fn join<const N: usize, const V: usize>(
            &self,
            (index, left): (u32, i32),
            sums: &mut [__m512i; V],
            saturated: &mut [u32; V],
        ) {
            let left = _mm512_set1_epi32(left);
            let right = self.right.at::<N>(index, self.column);
            for v in 0..V {
                // SAFETY: whole registers of the columns.
                let codes = unsafe { _mm512_loadu_si512(right[v * STEPPED_LANES..].as_ptr().cast()) };
                let product = _mm512_mullo_epi16(left, codes);
                let sum = _mm512_adds_epi16(sums[v], product);
                saturated[v] = _mm512_cmpneq_epi16_mask(sum, _mm512_add_epi16(sums[v], product));
                sums[v] = sum;
            }
        }

        /// All steps as [`Block::saturate`] does them.
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
        pub(super) unsafe fn saturate_in_registers<const N: usize, const V: usize>(
            &self,
            up: u32,
            sums: &mut [i16; N],
            overflows: &mut RowOverflows,
        ) {
            let mut held = load(sums);
            for steps in self.row.steps(COUNTED_AT_ONCE) {
                let (mut saturated, pairs) = ([[0; V]; COUNTED_AT_ONCE], pairs(steps, up));
                for ((&index, &left), saturated) in steps.0.iter().zip(&pairs).zip(&mut saturated) {
                    // SAFETY: the caller's promise.
                    unsafe { self.join::<N, V>((index, left), &mut held, saturated) };
                }
                overflows.add_lanes(self.column, &saturated[..steps.0.len()]);
            }
            store(sums, held);
        }

        /// All steps as [`Block::near_ends`] does them.
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
        pub(super) unsafe fn near_ends_in_registers<const N: usize, const V: usize>(
            &self,
            sums: &mut [i32; N],
            overflows: &mut RowOverflows,
        ) {
            let (mut low, mut high) = ([0; N], [0; N]);
            for ((low, high), &sum) in low.iter_mut().zip(&mut high).zip(&*sums) {
                (*low, *high) = (low_16(sum.into()), low_16((sum >> 16).into()));
            }
            let highest = low_16((1 << (self.rule.bits - 17)) - 1);
            let zero = [_mm512_setzero_si512(); V];
            let mut wide = Wide {
                low: load(&low),
                high: load(&high),
                starts: zero,
                highest: _mm512_set1_epi16(highest),
                lowest: _mm512_set1_epi16(!highest),
            };
            let mut held = zero;
            // The first step looks at the registers too.
            let mut room = -1;
            for steps in self.row.steps(COUNTED_AT_ONCE) {
                let (mut saturated, pairs) = ([[0; V]; COUNTED_AT_ONCE], pairs(steps, 0));
                let of_steps = steps.0.iter().zip(steps.1).zip(&pairs);
                for (((&index, &code), &left), saturated) in of_steps.zip(&mut saturated) {
                    let most = code.abs() * self.right.greatest_of(index);
                    if most > room {
                        room = REACH;
                        wide.look(&mut held);
                    }
                    room -= most;
                    // SAFETY: the caller's promise.
                    unsafe { self.join::<N, V>((index, left), &mut held, saturated) };
                }
                overflows.add_lanes(self.column, &saturated[..steps.0.len()]);
            }
            wide.look(&mut held);
            store(&mut low, wide.low);
            store(&mut high, wide.high);
            for ((sum, low), high) in sums.iter_mut().zip(low).zip(high) {
                *sum = i32::from(high) << 16 | i32::from(low.cast_unsigned());
            }
        }
    }

    /// Registers of more than 16 bits.
    struct Wide<const V: usize> {
        low: [__m512i; V],
        high: [__m512i; V],
        /// Where sums of 16 bits started from.
        starts: [__m512i; V],
        /// The high halves of the greatest and of the least.
        highest: __m512i,
        lowest: __m512i,
    }

    impl<const V: usize> Wide<V> {
        /// Adds what sums of 16 bits have moved; they start anew. A register is less than 2^15 from the upper end of its range where its
        /// high half is that of the greatest, and its low half has its first bit, as that has; likewise at the lower end, where it has not.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn look(&mut self, held: &mut [__m512i; V]) {
            // a ^ (b & c).
            const CHANGED_WHERE: i32 = 0b0111_1000;
            let ends = _mm512_xor_si512(self.highest, self.lowest);
            for (v, held) in held.iter_mut().enumerate() {
                let moved = _mm512_sub_epi16(*held, self.starts[v]);
                let low = _mm512_add_epi16(self.low[v], moved);
                let carries = _mm512_cmplt_epu16_mask(low, moved);
                let high = _mm512_add_epi16(self.high[v], _mm512_srai_epi16::<15>(moved));
                let high = _mm512_mask_add_epi16(high, carries, high, _mm512_set1_epi16(1));
                let has_first = _mm512_srai_epi16::<15>(low);
                let end = _mm512_ternarylogic_epi32::<CHANGED_WHERE>(self.lowest, ends, has_first);
                let is_near = _mm512_cmpeq_epi16_mask(high, end);
                *held = _mm512_maskz_add_epi16(is_near, low, _mm512_set1_epi16(i16::MIN));
                (self.low[v], self.high[v], self.starts[v]) = (low, high, *held);
            }
        }
    }

    /// Codes times 2^`up`, in both halves of a word.
    #[inline(always)]
    fn pairs((_, lefts): Steps<'_>, up: u32) -> [i32; COUNTED_AT_ONCE] {
        let mut pairs = [0; COUNTED_AT_ONCE];
        for (pair, &left) in pairs.iter_mut().zip(lefts) {
            let left = left << up;
            *pair = left << 16 | left & 0xffff;
        }
        pairs
    }

    /// Lanes of 16 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn load<const N: usize, const V: usize>(lanes: &[i16; N]) -> [__m512i; V] {
        const { assert!(N == V * STEPPED_LANES) };
        let mut registers = [_mm512_setzero_si512(); V];
        for v in 0..V {
            // SAFETY: whole registers.
            registers[v] = unsafe { _mm512_loadu_si512(lanes[v * STEPPED_LANES..].as_ptr().cast()) };
        }
        registers
    }

    /// The reverse of [`load`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn store<const N: usize, const V: usize>(lanes: &mut [i16; N], registers: [__m512i; V]) {
        const { assert!(N == V * STEPPED_LANES) };
        for v in 0..V {
            // SAFETY: whole registers.
            unsafe { _mm512_storeu_si512(lanes[v * STEPPED_LANES..].as_mut_ptr().cast(), registers[v]) };
        }
    }
}
