//! Operands woven: four lines' sixteen bytes each become sixteen times four.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_load_si512,
    _mm512_permutexvar_epi32, _mm512_set1_epi8, _mm512_shuffle_epi8, _mm512_storeu_si512,
    _mm512_unpackhi_epi8, _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
    _mm512_xor_si512,
};

use super::{ACROSS, STEP, WINDOWS, Weave};
use crate::machine::kernels::lines::{LINE, Lines};
use crate::machine::kernels::product::{GROUP, LANES, MAX_REGISTERS};

#[repr(C, align(64))]
struct Order<T, const N: usize>([T; N]);

/// Of four times four fours of bytes, the first of each, the second of each, and so on.
static FOURS: Order<u32, LANES> = Order([0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]);

/// Of each four times four bytes, the first of each, the second of each, and so on.
static BYTES: Order<u8, LINE> = {
    let mut order = [0; LINE];
    let mut place = 0;
    while place < LINE {
        #[expect(clippy::cast_possible_truncation, reason = "less than 16")]
        let from = (place % GROUP * GROUP + place % LANES / GROUP) as u8;
        order[place] = from;
        place += 1;
    }
    Order(order)
};

/// How lines are woven.
#[derive(Clone, Copy)]
pub(super) struct Loom {
    fours: __m512i,
    bytes: __m512i,
    /// Bits that all bytes get flipped.
    flipped: __m512i,
}

impl Loom {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn new(flipped: u8) -> Loom {
        // SAFETY: each is a register's bytes that begin where a line does.
        unsafe {
            Loom {
                fours: _mm512_load_si512((&raw const FOURS).cast()),
                bytes: _mm512_load_si512((&raw const BYTES).cast()),
                flipped: _mm512_set1_epi8(flipped.cast_signed()),
            }
        }
    }

    /// Weaves the bytes `at` behind four places into a line.
    ///
    /// # Safety
    /// There are sixteen bytes at each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) unsafe fn weave(self, four: [*const u8; GROUP], at: usize, to: &mut [u8; LINE]) {
        // SAFETY: the caller's promise.
        let line = unsafe { side_by_side(four, at) };
        self.put(_mm512_shuffle_epi8(_mm512_permutexvar_epi32(self.fours, line), self.bytes), to);
    }

    /// Weaves the bytes `at` behind each four places of four windows into lines: of each of sixteen bytes, four windows' four places.
    ///
    /// # Safety
    /// There are sixteen bytes at each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn weave_windows(
        self,
        windows: &[[*const u8; GROUP]; WINDOWS],
        at: usize,
        to: &mut [[u8; LINE]; WINDOWS],
    ) {
        let [w, x, y, z] = windows;
        // SAFETY: the caller's promise.
        let (a, b, c, d) = unsafe {
            (
                side_by_side([w[0], x[0], y[0], z[0]], at),
                side_by_side([w[1], x[1], y[1], z[1]], at),
                side_by_side([w[2], x[2], y[2], z[2]], at),
                side_by_side([w[3], x[3], y[3], z[3]], at),
            )
        };
        let (low, high) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
        let (low_2, high_2) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
        // Of each window four bytes, places side by side: four times.
        let fours = [
            _mm512_unpacklo_epi16(low, low_2),
            _mm512_unpackhi_epi16(low, low_2),
            _mm512_unpacklo_epi16(high, high_2),
            _mm512_unpackhi_epi16(high, high_2),
        ];
        for (four, to) in fours.into_iter().zip(to) {
            self.put(_mm512_permutexvar_epi32(self.fours, four), to);
        }
    }

    /// Stores a line, its bits flipped.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn put(self, line: __m512i, to: &mut [u8; LINE]) {
        // SAFETY: a register's bytes.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), _mm512_xor_si512(line, self.flipped)) };
    }
}

/// Sixteen bytes each, `at` behind four places.
///
/// # Safety
/// There are so many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn side_by_side([a, b, c, d]: [*const u8; GROUP], at: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let line = _mm512_castsi128_si512(_mm_loadu_si128(a.wrapping_add(at).cast()));
        let line = _mm512_inserti32x4::<1>(line, _mm_loadu_si128(b.wrapping_add(at).cast()));
        let line = _mm512_inserti32x4::<2>(line, _mm_loadu_si128(c.wrapping_add(at).cast()));
        _mm512_inserti32x4::<3>(line, _mm_loadu_si128(d.wrapping_add(at).cast()))
    }
}

/// [`super::Kernels::weave_left`], `S` groups side by side, of codes with bits `flipped`.
///
/// # Safety
/// The processor has the features; `to` is as long as what is woven.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn left<const S: usize>(weave: &Weave, codes: &[u8], flipped: u8, to: &mut Lines) {
    let (registers, pair) = (weave.registers(), weave.of_plane() * STEP);
    let zeros = vec![0; weave.channels];
    // The last place from which on there are all channels.
    let last = codes.len().checked_sub(weave.channels);
    let loom = Loom::new(flipped);
    for (plane, groups) in weave.groups.chunks_exact(weave.of_plane()).enumerate() {
        let mut to = to.as_mut_ptr().wrapping_add(weave.place(plane, 0, 0));
        for beside in groups.as_chunks::<S>().0 {
            let mut windows = [[zeros.as_ptr(); GROUP]; WINDOWS];
            for (from, &at) in windows.as_flattened_mut().iter_mut().zip(beside.as_flattened()) {
                if last.is_some_and(|last| at <= last) {
                    *from = codes[at..].as_ptr();
                }
            }
            for register in 0..registers {
                let at = register * LANES;
                let to = to.wrapping_add(register / ACROSS * pair + register % ACROSS * LINE * S);
                // SAFETY: from each place on there are all channels, whole registers. As many lines of each pair of registers as groups
                // are side by side lie in `to`.
                unsafe {
                    if S == 1 {
                        loom.weave(windows[0], at, &mut *to.cast());
                    } else {
                        loom.weave_windows(&windows, at, &mut *to.cast());
                    }
                }
            }
            to = to.wrapping_add(STEP * S);
        }
    }
}

/// [`super::Kernels::weave_panels`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn panels(
    groups: impl Iterator<Item = impl Iterator<Item = Option<usize>>> + Clone,
    codes: &[u8],
    registers: usize,
    to: &mut [u8],
) {
    const NONE: [u8; MAX_REGISTERS * LANES] = [0; MAX_REGISTERS * LANES];
    let loom = Loom::new(0);
    let mut lines = to.as_chunks_mut::<LINE>().0.iter_mut();
    for first in (0..registers).step_by(MAX_REGISTERS) {
        for four in groups.clone() {
            let mut from = [NONE.as_ptr(); GROUP];
            for (from, at) in from.iter_mut().zip(four) {
                if let Some(at) = at {
                    *from = codes[at..][..registers * LANES][first * LANES..].as_ptr();
                }
            }
            for register in 0..MAX_REGISTERS.min(registers - first) {
                let line = lines.next().expect("panels hold all groups");
                // SAFETY: so many registers were measured; `NONE` has as many as a panel.
                unsafe { loom.weave(from, register * LANES, line) };
            }
        }
    }
}
