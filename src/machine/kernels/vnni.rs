//! AVX-512 VNNI: four products of an unsigned and a signed byte joined to a 32-bit sum by one instruction, modulo 2^32.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_setzero_si512,
};

use super::product::{Class, Extremes, GROUP, LANES, MAX_REGISTERS, Product, Segment};
use super::sums::{Columns, Held};

/// Bytes of a register.
pub(super) const REGISTER: usize = GROUP * LANES;

/// A panel, or a part of one: registers of columns from `column` on, how many, where their codes of the first group are, and how many
/// bytes lie from group to group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) column: usize,
    pub(super) registers: usize,
    pub(super) at: usize,
    pub(super) step: usize,
}

impl Panel {
    /// The parts of so many registers, and one of what is left.
    pub(super) fn parts(self, registers: usize) -> impl Iterator<Item = Panel> {
        (0..self.registers).step_by(registers).map(move |first| Panel {
            column: self.column + first * LANES,
            registers: registers.min(self.registers - first),
            at: self.at + first * REGISTER,
            step: self.step,
        })
    }
}

/// The panels of a product of so many registers of columns and groups.
pub(super) fn panels(registers: usize, groups: usize) -> impl Iterator<Item = Panel> {
    (0..registers).step_by(MAX_REGISTERS).map(move |first| {
        let registers = MAX_REGISTERS.min(registers - first);
        Panel { column: first * LANES, registers, at: first * groups * REGISTER, step: registers * REGISTER }
    })
}

/// [`super::Kernels::product`].
///
/// # Safety
/// The processor has the features; the operands and the output hold all that the shape reaches; nobody else has the
/// output's bytes of these rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn product(p: &Product<'_>, extremes: &mut Extremes) {
    let mut held = Held::new();
    for panel in panels(p.shape.registers(), p.shape.groups()) {
        for number in 0..p.shape.classes().len() {
            // SAFETY: what the caller proved holds for every class and panel.
            unsafe { class(p, &panel, number, &mut held) };
        }
    }
    held.write(extremes);
}

/// The rows of a class and the columns of a panel.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
pub(super) unsafe fn class(p: &Product<'_>, panel: &Panel, number: usize, held: &mut Held) {
    // SAFETY: the caller's promise.
    unsafe {
        match panel.registers {
            1 => rows::<12, 1>(p, panel, number, held),
            2 => rows::<12, 2>(p, panel, number, held),
            3 => rows::<8, 3>(p, panel, number, held),
            _ => rows::<6, 4>(p, panel, number, held),
        }
    }
}

/// How many of so many are taken at once: at most `most`, shared out evenly, so that no few are left at the end.
pub(super) fn shared_out(count: usize, most: usize) -> usize {
    count.div_ceil(count.div_ceil(most).max(1)).max(1)
}

/// The rows of a class, up to `MOST` at a time: accumulators of a tile fill 24 of 32 registers.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
unsafe fn rows<const MOST: usize, const V: usize>(
    p: &Product<'_>,
    panel: &Panel,
    number: usize,
    held: &mut Held,
) {
    let class = &p.shape.classes()[number];
    let (mut bases, mut places) = (p.shape.bases_of(class), p.shape.rows_of(class));
    let most = shared_out(bases.len(), MOST);
    while !bases.is_empty() {
        let count = most.min(bases.len());
        let tile = Tile { p, panel, number, class, bases, places };
        // SAFETY: as the caller proved.
        unsafe {
            match count {
                1 => tile.sums::<1, V>(held),
                2 => tile.sums::<2, V>(held),
                3 => tile.sums::<3, V>(held),
                4 => tile.sums::<4, V>(held),
                5 => tile.sums::<5, V>(held),
                6 => tile.sums::<6, V>(held),
                7 => tile.sums::<7, V>(held),
                8 => tile.sums::<8, V>(held),
                9 => tile.sums::<9, V>(held),
                10 => tile.sums::<10, V>(held),
                11 => tile.sums::<11, V>(held),
                _ => tile.sums::<12, V>(held),
            }
        }
        (bases, places) = (&bases[count..], &places[count..]);
    }
}

struct Tile<'a> {
    p: &'a Product<'a>,
    panel: &'a Panel,
    number: usize,
    class: &'a Class,
    bases: &'a [usize],
    places: &'a [usize],
}

impl Tile<'_> {
    /// The first `R` rows and `V` registers of columns.
    ///
    /// # Safety
    /// As [`product`]; there are `R` rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,popcnt")]
    unsafe fn sums<const R: usize, const V: usize>(&self, held: &mut Held) {
        let Tile { p, panel, number, class, bases, places } = self;
        let mut accumulators = [[_mm512_setzero_si512(); V]; R];
        // SAFETY: a base lies in the left operand, the panel in the panels, and so do the segments.
        unsafe {
            let rows: [*const u8; R] = std::array::from_fn(|r| p.operands.left.as_ptr().add(bases[r]));
            let first = p.operands.panels.as_ptr().add(panel.at);
            join(rows, (first, panel.step), p.shape.segments_of(class), &mut accumulators);
        }
        for v in 0..V {
            let columns = Columns::new(p, *number, panel.column + v * LANES);
            for (accumulators, &place) in accumulators.iter().zip(*places) {
                // SAFETY: as the caller proved; the row is the caller's.
                unsafe { columns.put(&p.target, place, accumulators[v], held) };
            }
        }
    }
}

/// Fewer sums do not keep a processor's multipliers busy: it begins up to two products a cycle, and each takes up to five and waits for
/// a load besides. (Measured: twelve make nine tenths of what twenty-four do.)
const BUSY: usize = 13;

/// Joins the products of segments to sums of rows that begin at some places and `V` registers of a panel, so many bytes from group to
/// group. Where these are too few to keep the processor busy, every other group has sums of its own.
///
/// # Safety
/// The processor has the features; so far as segments reach, rows and the panel hold codes.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) unsafe fn join<const R: usize, const V: usize>(
    rows: [*const u8; R],
    (panel, step): (*const u8, usize),
    segments: &[Segment],
    sums: &mut [[__m512i; V]; R],
) {
    // What is lent may be anywhere: the loop would store every sum.
    let (mut own, mut others) = (*sums, [[_mm512_setzero_si512(); V]; R]);
    for segment in segments {
        let mut right = panel.wrapping_add(segment.first_group * step);
        let mut at = segment.offset;
        let mut groups = segment.groups;
        // SAFETY: the segment has these groups.
        unsafe {
            while R * V < BUSY && groups >= 2 {
                own = join_group(rows, right, at, own);
                others = join_group(rows, right.wrapping_add(step), at + GROUP, others);
                right = right.wrapping_add(2 * step);
                at += 2 * GROUP;
                groups -= 2;
            }
            for _ in 0..groups {
                own = join_group(rows, right, at, own);
                right = right.wrapping_add(step);
                at += GROUP;
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            let other = if R * V < BUSY { others[r][v] } else { _mm512_setzero_si512() };
            sums[r][v] = _mm512_add_epi32(own[r][v], other);
        }
    }
}

/// Joins the products of a group.
///
/// # Safety
/// As [`join`]; `V` registers of the group's codes lie from `right` on, four bytes of each row `at` from its beginning.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn join_group<const R: usize, const V: usize>(
    rows: [*const u8; R],
    right: *const u8,
    at: usize,
    mut sums: [[__m512i; V]; R],
) -> [[__m512i; V]; R] {
    // SAFETY: the caller's promise.
    let codes: [__m512i; V] =
        std::array::from_fn(|v| unsafe { _mm512_loadu_si512(right.add(REGISTER * v).cast()) });
    for r in 0..R {
        // SAFETY: the caller's promise.
        let four = unsafe { rows[r].add(at).cast::<i32>().read_unaligned() };
        let left = _mm512_set1_epi32(four);
        for v in 0..V {
            sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], left, codes[v]);
        }
    }
    sums
}
