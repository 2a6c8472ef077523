//! Registers that saturate, each join of one product, in lanes of 16 bits: those that fit them at their top, wider ones as
//! long as they are near one end of their range at most.

use super::stepped::{Block, low_32};
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
    /// sum has below the register (all ones, or all zeros) neither carries nor is carried into.
    #[inline(always)]
    pub(super) fn half<const N: usize>(&self, registers: &mut [i64; N], overflows: &mut [u32; N]) {
        let up = 16 - self.rule.bits;
        let mut sums = registers.map(|register| low_16(register << up));
        self.count(overflows, |steps, over| match self.kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.saturate_in_registers(steps, up, &mut sums, over);
            },
            _ => self.saturate(steps, up, &mut sums, over),
        });
        registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = i64::from(sum >> up));
    }

    /// A register of more than 16 bits, in 16: for so many joins as come to less than half of them it meets one end of its
    /// range at most. If one is that near, that is the end of the 16 bits; a register that is near none begins in their
    /// middle and meets none. What the 16 bits have moved is what the register has.
    #[inline(always)]
    pub(super) fn ends<const N: usize>(&self, registers: &mut [i64; N], overflows: &mut [u32; N]) {
        let mut sums = registers.map(low_32);
        self.count(overflows, |steps, over| match self.kernels.extension() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` has only what the processor has.
            Extension::Avx512Vnni | Extension::Amx => unsafe {
                self.near_ends_in_registers(steps, &mut sums, over);
            },
            _ => self.near_ends(steps, &mut sums, over),
        });
        registers.iter_mut().zip(sums).for_each(|(r, sum)| *r = sum.into());
    }

    /// Does all steps, as many at once as counts of 16 bits allow.
    #[inline(always)]
    fn count<const N: usize>(
        &self,
        overflows: &mut [u32; N],
        mut work: impl FnMut(Steps<'_>, &mut [u16; N]),
    ) {
        for steps in self.row.steps(COUNTED) {
            let mut over = [0; N];
            work(steps, &mut over);
            overflows.iter_mut().zip(over).for_each(|(o, n)| *o += u32::from(n));
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

    /// From where on a register is near the upper end of its range, and up to where near the lower.
    #[inline(always)]
    fn near(&self) -> [i32; 2] {
        let (least, greatest): (i32, i32) = (-(1 << (self.rule.bits - 1)), (1 << (self.rule.bits - 1)) - 1);
        [greatest - REACH, least + REACH + 1]
    }

    #[inline(always)]
    fn near_ends<const N: usize>(
        &self,
        (mut places, mut lefts): Steps<'_>,
        sums: &mut [i32; N],
        over: &mut [u16; N],
    ) {
        let [upper, lower] = self.near();
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

/// The same where the compiler would not keep sums in registers.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi16, _mm512_add_epi32, _mm512_adds_epi16, _mm512_castsi256_si512,
        _mm512_castsi512_si256, _mm512_cmpneq_epi16_mask, _mm512_cvtepi16_epi32, _mm512_cvtepi32_epi16,
        _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_loadu_si512, _mm512_mask_add_epi16,
        _mm512_max_epi32, _mm512_min_epi32, _mm512_mullo_epi16, _mm512_set1_epi16, _mm512_set1_epi32,
        _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi16, _mm512_sub_epi32,
    };

    use super::{Block, REACH, STEPPED_LANES, Steps, low_16};

    /// Sums of 16 bits, and the joins of each that saturated.
    struct Held {
        sums: [__m512i; 2],
        counts: [__m512i; 2],
    }

    impl Block<'_> {
        /// One join of `N` sums.
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        unsafe fn join<const N: usize>(&self, index: u32, left: i16, held: &mut Held) {
            let left = _mm512_set1_epi16(left);
            let right = self.right.at::<N>(index, self.column);
            for v in 0..N / STEPPED_LANES {
                // SAFETY: whole registers of the columns.
                let codes = unsafe { _mm512_loadu_si512(right[v * STEPPED_LANES..].as_ptr().cast()) };
                let product = _mm512_mullo_epi16(left, codes);
                let sum = _mm512_adds_epi16(held.sums[v], product);
                let leaves = _mm512_cmpneq_epi16_mask(sum, _mm512_add_epi16(held.sums[v], product));
                let counts = held.counts[v];
                held.counts[v] = _mm512_mask_add_epi16(counts, leaves, counts, _mm512_set1_epi16(1));
                held.sums[v] = sum;
            }
        }

        /// [`Block::saturate`].
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        pub(super) unsafe fn saturate_in_registers<const N: usize>(
            &self,
            (places, lefts): Steps<'_>,
            up: u32,
            sums: &mut [i16; N],
            over: &mut [u16; N],
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut held = Held { sums: load(sums), counts: load(over) };
                for (&index, &left) in places.iter().zip(lefts) {
                    self.join::<N>(index, low_16(left.into()) << up, &mut held);
                }
                store(sums, held.sums);
                store(over, held.counts);
            }
        }

        /// [`Block::near_ends`].
        ///
        /// # Safety
        /// The processor has the features.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        pub(super) unsafe fn near_ends_in_registers<const N: usize>(
            &self,
            (places, lefts): Steps<'_>,
            sums: &mut [i32; N],
            over: &mut [u16; N],
        ) {
            let [upper, lower] = self.near();
            let near = [_mm512_set1_epi32(upper), _mm512_set1_epi32(lower)];
            let zero = _mm512_setzero_si512();
            // SAFETY: the caller's promise; whole registers of the sums are read and written.
            unsafe {
                let mut held = Held { sums: [zero; 2], counts: load(over) };
                let mut starts = [zero; 2];
                // The first step looks at the registers too.
                let mut room = -1;
                let mut wide = [[zero; 2]; 2];
                for v in 0..N / STEPPED_LANES {
                    let sums = sums[v * STEPPED_LANES..].as_ptr();
                    wide[v] = [_mm512_loadu_si512(sums.cast()), _mm512_loadu_si512(sums.add(16).cast())];
                }
                for (&index, &left) in places.iter().zip(lefts) {
                    let most = left.abs() * self.right.greatest_of(index);
                    if most > room {
                        room = REACH;
                        for v in 0..N / STEPPED_LANES {
                            wide[v] = moved(wide[v], held.sums[v], starts[v]);
                            starts[v] = start(wide[v], near);
                            held.sums[v] = starts[v];
                        }
                    }
                    room -= most;
                    self.join::<N>(index, low_16(left.into()), &mut held);
                }
                for v in 0..N / STEPPED_LANES {
                    let [first, second] = moved(wide[v], held.sums[v], starts[v]);
                    let sums = sums[v * STEPPED_LANES..].as_mut_ptr();
                    _mm512_storeu_si512(sums.cast(), first);
                    _mm512_storeu_si512(sums.add(16).cast(), second);
                }
                store(over, held.counts);
            }
        }
    }

    /// Where sums of 16 bits start that are near an end of their range.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn start([first, second]: [__m512i; 2], near: [__m512i; 2]) -> __m512i {
        let first = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(beyond(first, near)));
        _mm512_inserti64x4::<1>(first, _mm512_cvtepi32_epi16(beyond(second, near)))
    }

    /// How far sums are beyond where they are near an end.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn beyond(sum: __m512i, [upper, lower]: [__m512i; 2]) -> __m512i {
        let zero = _mm512_setzero_si512();
        let above = _mm512_max_epi32(_mm512_sub_epi32(sum, upper), zero);
        let below = _mm512_min_epi32(_mm512_sub_epi32(sum, lower), zero);
        _mm512_add_epi32(above, below)
    }

    /// Sums once 16 bits of each have moved from their starts.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn moved([first, second]: [__m512i; 2], held: __m512i, start: __m512i) -> [__m512i; 2] {
        let moved = _mm512_sub_epi16(held, start);
        let moved_first = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(moved));
        let moved_second = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64::<1>(moved));
        [_mm512_add_epi32(first, moved_first), _mm512_add_epi32(second, moved_second)]
    }

    /// Lanes of 16 bits.
    ///
    /// # Safety
    /// The processor has the features; `T` is of 16 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn load<T, const N: usize>(lanes: &[T; N]) -> [__m512i; 2] {
        const { assert!(size_of::<T>() == 2 && (N == STEPPED_LANES || N == 2 * STEPPED_LANES)) };
        let mut registers = [_mm512_setzero_si512(); 2];
        for v in 0..N / STEPPED_LANES {
            // SAFETY: whole registers.
            registers[v] = unsafe { _mm512_loadu_si512(lanes[v * STEPPED_LANES..].as_ptr().cast()) };
        }
        registers
    }

    /// The reverse of [`load`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn store<T, const N: usize>(lanes: &mut [T; N], registers: [__m512i; 2]) {
        const { assert!(size_of::<T>() == 2 && (N == STEPPED_LANES || N == 2 * STEPPED_LANES)) };
        for v in 0..N / STEPPED_LANES {
            // SAFETY: whole registers.
            unsafe { _mm512_storeu_si512(lanes[v * STEPPED_LANES..].as_mut_ptr().cast(), registers[v]) };
        }
    }
}
