//! The right operand in panels: four reduction indices side by side; or as products of woven operands have it. Laid out once
//! for all instructions that meet the same bytes again, as the tiles of a layer meet its weights.

use std::ops::Range;

use super::layout::Layout;
use super::norms::{ColumnNorm, ColumnNorms};
use super::size;
use super::winograd::{SquareWay, SquareWeights, Way, Weights};
use super::woven::Ways;
use crate::isa::{Format, Memory};
use crate::machine::kernels::{
    Columns, Extremes, GROUP, Kernels, LANES, Lines, MAX_REGISTERS, PANELS_SLACK, Woven, interleave,
};
use crate::machine::{State, state::unsigned_element};

/// Codes behind a right operand's last.
pub(super) const CODES_SLACK: usize = MAX_REGISTERS * LANES;

/// What is known of the right operand of one layout.
#[derive(Debug, Default)]
pub(super) struct Right {
    /// The bytes of memory it was made of, where they are not the codes; none before the first.
    bytes: Vec<u8>,
    codes: Vec<u8>,
    /// Codes as [`crate::machine::kernels::Operands`] has them.
    pub(super) panels: Lines,
    /// As the kernels have them.
    pub(super) corrections: Vec<i32>,
    /// Codes not zero of each reduction index, over all columns.
    pub(super) nonzero: Vec<u32>,
    /// How many of them places alike meet that are not zero ([`super::places::Places`]); empty until asked for.
    met: Vec<u32>,
    unit_sums: Vec<i32>,
    /// What joins one after another want; empty until asked for.
    stepped: Columns,
    norms: ColumnNorms,
    /// The greatest magnitude of a code, once it was asked for.
    greatest: Option<u8>,
    /// What [`Layout::woven`] asks for.
    pub(super) woven: Lines,
    /// What [`Layout::winograd`] asks for.
    filtered: Weights,
    /// What [`Layout::squares`] asks for.
    squared: SquareWeights,
    /// [`Contents::right`](crate::program::Contents) of the codes, if that is known.
    pub(super) content: Option<usize>,
    /// Whether panels and corrections are of these codes.
    is_packed: bool,
    /// Whether what [`Right::filter`] gives is.
    is_filtered: bool,
    /// Whether what [`Right::square`] gives is.
    is_squared: bool,
    /// Whether what is woven is of these codes, and if so whether [pooled](Ways::pooled).
    woven_pooled: Option<bool>,
}

impl Right {
    /// Forgets what it holds: another layout is to take codes.
    pub(super) fn forget(&mut self) {
        self.codes.clear();
        self.bytes.clear();
    }

    /// Another instruction is to have it, which weaves it alike, but may have other panels.
    pub(super) fn forget_panels(&mut self) {
        self.is_packed = false;
    }

    /// Takes the codes from memory.
    #[inline(always)]
    pub(super) fn take(&mut self, kernels: Kernels, layout: &Layout, state: &State) {
        let m = &layout.m;
        let count = layout.right_count;
        let length = usize::try_from(m.right_format.bytes(count as u64)).unwrap_or(usize::MAX);
        let at = usize::try_from(m.right.offset).unwrap_or(usize::MAX);
        let bytes = &state.memory(Memory::Weight)[at..at + length];
        let known = if m.right_format.bits() == 8 { self.codes.get(..length) } else { Some(&self.bytes[..]) };
        if known == Some(bytes) {
            return;
        }
        self.is_other();
        self.unpack(m.right_format, bytes, count);
        self.count_nonzero(kernels, layout);
    }

    /// What was made of its codes is no longer of them.
    fn is_other(&mut self) {
        self.stepped.clear();
        self.norms.forget();
        self.greatest = None;
        self.met.clear();
        (self.is_packed, self.is_filtered, self.is_squared, self.woven_pooled) = (false, false, false, None);
    }

    /// Takes the codes of both halves of a reduction, one behind the other; counts the second's, for the first's are counted with that.
    pub(super) fn take_halves(&mut self, [first, second]: [&Right; 2]) {
        let behind = first.codes.len();
        let are_known = self.codes.get(..behind) == Some(&first.codes[..])
            && self.codes.get(behind..) == Some(&second.codes[..]);
        if !are_known {
            self.is_other();
            self.codes.clear();
            self.codes.extend_from_slice(&first.codes);
            self.codes.extend_from_slice(&second.codes);
            self.nonzero.clear();
            self.nonzero.resize(first.nonzero.len(), 0);
            self.nonzero.extend_from_slice(&second.nonzero);
        }
    }

    /// Counts the codes of the first half of a reduction, and none of the second's.
    pub(super) fn count_with_first(&mut self, layout: &Layout, first: &Right) {
        self.is_other();
        self.nonzero.clone_from(&first.nonzero);
        self.nonzero.resize(layout.right_of.len(), 0);
    }

    /// Lays them out in panels.
    #[inline(always)]
    pub(super) fn lay_out(&mut self, kernels: Kernels, layout: &Layout) {
        if !self.is_packed {
            let codes = Codes {
                codes: &self.codes,
                indices: &layout.right_of,
                runs: &layout.runs,
                columns: size(layout.m.columns),
                stride: layout.m.column_stride.into(),
            };
            codes.pack(kernels, layout.shape.groups(), &mut self.panels);
            self.correct(kernels, layout);
            self.is_packed = true;
        }
    }

    /// Lays them out as products of woven operands have them, in one of these ways: where the left operand is woven already, as that
    /// is, pooled or not. None where that is pooled and these are not to be.
    pub(super) fn weave<'a>(
        &mut self,
        kernels: Kernels,
        ways: &'a Ways,
        left: Option<bool>,
    ) -> Option<&'a Woven> {
        let fits = |is_pooled: bool| left.is_none_or(|left| left == is_pooled);
        if !self.woven_pooled.is_some_and(fits) {
            let mut weave = |shape: &Woven| kernels.weave_right(shape, &self.codes, &mut self.woven);
            let is_pooled = fits(true) && ways.pooled.as_ref().is_some_and(&mut weave);
            if !is_pooled && fits(false) {
                weave(&ways.dense);
            }
            self.woven_pooled = fits(is_pooled).then_some(is_pooled);
        }
        let is_pooled = self.woven_pooled?;
        Some(ways.pooled.as_ref().filter(|_| is_pooled).unwrap_or(&ways.dense))
    }

    /// The sums of codes that are not to be pooled, where the left operand is: of each window's places, one after another.
    pub(super) fn place_by_place(
        &mut self,
        kernels: Kernels,
        pooled: &Woven,
        left: &Lines,
        (out, row_bytes): (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let mut extremes = Extremes::default();
        for place in 0..GROUP {
            let shape = pooled.of_place(place);
            kernels.weave_right(&shape, &self.codes, &mut self.woven);
            let operands = (left, &self.woven);
            extremes =
                kernels.woven_product(&shape, operands, (&mut *out, row_bytes), accumulate || place > 0);
        }
        self.woven_pooled = None;
        extremes
    }

    /// Lays them out as products for pairs of outputs have them.
    #[inline(always)]
    pub(super) fn filter(&mut self, kernels: Kernels, layout: &Layout, way: &Way) -> &Weights {
        if !self.is_filtered {
            self.filtered.take(kernels, way, &layout.m, (&self.codes, &layout.right_of));
            self.is_filtered = true;
        }
        &self.filtered
    }

    /// Lays them out as products for squares of outputs have them.
    #[inline(always)]
    pub(super) fn square(&mut self, kernels: Kernels, layout: &Layout, way: &SquareWay) -> &SquareWeights {
        if !self.is_squared {
            self.squared.take(kernels, way, &layout.m, (&self.codes, &layout.right_of));
            self.is_squared = true;
        }
        &self.squared
    }

    /// How many codes that are not zero places alike meet, over taps.
    #[inline(always)]
    pub(super) fn met(&mut self, layout: &Layout) -> &[u32] {
        if self.met.is_empty() {
            layout.places().meet(&self.nonzero, &mut self.met);
        }
        &self.met
    }

    /// Codes as joins one after another want them.
    #[inline(always)]
    pub(super) fn stepped(&mut self, layout: &Layout) -> &Columns {
        if self.stepped.is_empty() {
            let (columns, stride) = (size(layout.m.columns), i64::from(layout.m.column_stride));
            let codes = &self.codes;
            self.stepped.take((layout.right_of.len(), columns), |index, row| {
                let base = layout.right_of[index];
                if stride == 1 {
                    let codes = &codes[base..base + columns];
                    row.iter_mut().zip(codes).for_each(|(to, code)| *to = code.cast_signed().into());
                } else {
                    row.iter_mut().enumerate().for_each(|(j, to)| {
                        *to = codes[at_column(base, stride, j)].cast_signed().into();
                    });
                }
            });
        }
        &self.stepped
    }

    /// Measures its columns; the greatest of their norms.
    #[inline(always)]
    pub(super) fn measure(&mut self, layout: &Layout) -> ColumnNorm {
        self.norms.measure(layout, &self.codes)
    }

    /// Norms of its columns, once they are measured.
    pub(super) fn norms(&self) -> &ColumnNorms {
        &self.norms
    }

    /// The greatest magnitude of a code.
    #[inline(always)]
    pub(super) fn greatest(&mut self) -> u8 {
        if let Some(greatest) = self.greatest {
            return greatest;
        }
        let greatest = self.codes.iter().map(|c| c.cast_signed().unsigned_abs()).max().unwrap_or(0);
        *self.greatest.insert(greatest)
    }

    /// Codes as bytes, whole registers behind the last.
    #[inline(always)]
    fn unpack(&mut self, format: Format, bytes: &[u8], count: usize) {
        self.codes.clear();
        if format.bits() == 8 {
            self.codes.extend_from_slice(bytes);
        } else {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
        }
        match format.bits() {
            8 => {}
            2 => {
                // Four patterns of two bits, sign extended: 0, 1, -2, -1.
                let spread = |b: u8| {
                    [b, b >> 2, b >> 4, b >> 6].map(|q| ((q << 6).cast_signed() >> 6).to_le_bytes()[0])
                };
                self.codes.resize(self.bytes.len() * 4, 0);
                let quads = self.codes.as_chunks_mut::<4>().0;
                for (quad, &b) in quads.iter_mut().zip(&self.bytes) {
                    *quad = spread(b);
                }
                self.codes.truncate(count);
            }
            bits => {
                let unused = 8 - bits;
                let code = |i| {
                    let pattern = unsigned_element(&self.bytes, 0, format, i).to_le_bytes()[0];
                    ((pattern << unused).cast_signed() >> unused).to_le_bytes()[0]
                };
                self.codes.extend((0..count as u64).map(code));
            }
        }
        self.codes.resize(count + CODES_SLACK, 0);
    }

    #[inline(always)]
    fn count_nonzero(&mut self, kernels: Kernels, layout: &Layout) {
        let codes = &self.codes;
        self.nonzero.clear();
        if layout.m.column_stride == 1 {
            let rows = (layout.right_of.iter().copied(), size(layout.m.columns));
            return kernels.count_nonzeros(codes, rows, 0, &mut self.nonzero);
        }
        self.nonzero.resize(layout.right_of.len(), 0);
        for (indices, _, codes) in by_columns(layout, codes) {
            let counts = self.nonzero[indices].iter_mut();
            counts.zip(codes).for_each(|(n, &c)| *n += u32::from(c != 0));
        }
    }

    /// 128 times the sum of codes of every class and column.
    #[inline(always)]
    fn correct(&mut self, kernels: Kernels, layout: &Layout) {
        let (shape, groups) = (&layout.shape, layout.shape.groups());
        let registers = shape.registers();
        let lanes = registers * LANES;
        // Units: groups that no class takes apart.
        let mut cuts = vec![0, groups];
        for class in shape.classes() {
            cuts.extend(
                shape.segments_of(class).iter().flat_map(|s| [s.first_group, s.first_group + s.groups]),
            );
        }
        // One class that meets all: one unit.
        let met = |class| shape.segments_of(class).iter().map(|s| s.groups).sum::<usize>();
        let whole = shape.classes().iter().all(|class| met(class) == groups);
        if whole {
            cuts.truncate(2);
        }
        cuts.sort_unstable();
        cuts.dedup();
        self.unit_sums.clear();
        self.unit_sums.resize((cuts.len() - 1) * lanes, 0);
        for (unit, sums) in cuts.windows(2).zip(self.unit_sums.chunks_exact_mut(lanes)) {
            add_groups(kernels, (&self.panels, groups), unit[0]..unit[1], sums);
        }
        self.corrections.clear();
        self.corrections.resize(shape.classes().len() * lanes, 0);
        for (class, corrections) in shape.classes().iter().zip(self.corrections.chunks_exact_mut(lanes)) {
            let within = |first: usize, end: usize| {
                let in_segment = |s: &crate::machine::kernels::Segment| {
                    s.first_group <= first && end <= s.first_group + s.groups
                };
                whole || shape.segments_of(class).iter().any(in_segment)
            };
            for (unit, sums) in cuts.windows(2).zip(self.unit_sums.chunks_exact(lanes)) {
                if within(unit[0], unit[1]) {
                    corrections.iter_mut().zip(sums).for_each(|(c, s)| *c += 128 * s);
                }
            }
        }
    }
}

/// Codes of a right operand, and where they are to be packed from.
pub(super) struct Codes<'a> {
    /// Whole registers behind the last.
    pub(super) codes: &'a [u8],
    /// Where each reduction index finds its first code.
    pub(super) indices: &'a [usize],
    /// Lengths of runs of the reduction: groups of four begin with each.
    pub(super) runs: &'a [usize],
    pub(super) columns: usize,
    /// From column to column.
    pub(super) stride: i64,
}

impl Codes<'_> {
    /// Packs so many groups to panels of four registers and one of what is left.
    #[inline(always)]
    pub(super) fn pack(&self, kernels: Kernels, groups: usize, panels: &mut Lines) {
        let &Codes { codes, indices, runs, columns, stride } = self;
        let registers = columns.div_ceil(LANES);
        panels.hold(groups * registers * GROUP * LANES + PANELS_SLACK);
        if stride == 1 && kernels.weaves() {
            let mut indices = indices;
            let groups_of_runs = runs.iter().flat_map(move |&run| {
                let (here, later) = indices.split_at(run);
                indices = later;
                here.chunks(GROUP).map(|four| four.iter().copied().map(Some))
            });
            // Groups behind the last that a class meets are not in the panels.
            let groups = groups_of_runs.take(groups);
            return kernels.weave_panels(groups, codes, columns, panels);
        }
        let mut rest = &mut panels[..];
        for first in (0..registers).step_by(MAX_REGISTERS) {
            let width = MAX_REGISTERS.min(registers - first);
            let (panel, later) = rest.split_at_mut(groups * width * GROUP * LANES);
            rest = later;
            let mut blocks = panel.as_chunks_mut::<{ GROUP * LANES }>().0.iter_mut();
            let mut indices = indices;
            for &run in runs {
                let (here, later) = indices.split_at(run);
                indices = later;
                for four in here.chunks(GROUP) {
                    for (v, block) in (first..first + width).zip(&mut blocks) {
                        pack_block(codes, four, v * LANES, stride, columns, block);
                    }
                }
            }
        }
    }
}

/// Adds to the sum of each column (whole registers) its codes of some groups of panels, which have so many.
#[inline(always)]
pub(super) fn add_groups(
    kernels: Kernels,
    (panels, groups): (&[u8], usize),
    some: Range<usize>,
    sums: &mut [i32],
) {
    for (number, sums) in sums.chunks_mut(MAX_REGISTERS * LANES).enumerate() {
        let width = sums.len() * GROUP;
        let panel = &panels[number * MAX_REGISTERS * LANES * GROUP * groups..];
        kernels.add_fours(&panel[some.start * width..some.end * width], sums);
    }
}

/// Where columns do not lie side by side: codes of indices that do, column by column; which indices, which column.
#[inline(always)]
pub(super) fn by_columns<'a>(
    layout: &'a Layout,
    codes: &'a [u8],
) -> impl Iterator<Item = (Range<usize>, usize, &'a [u8])> {
    let (columns, stride) = (size(layout.m.columns), i64::from(layout.m.column_stride));
    let mut end = 0;
    layout.right_of.chunk_by(|a, b| *b == a + 1).flat_map(move |run| {
        let indices = end..end + run.len();
        end = indices.end;
        let of_column = move |column| &codes[at_column(run[0], stride, column)..][..run.len()];
        (0..columns).map(move |column| (indices.clone(), column, of_column(column)))
    })
}

fn at_column(base: usize, stride: i64, column: usize) -> usize {
    let moved = stride * i64::try_from(column).unwrap_or(i64::MAX);
    base.checked_add_signed(isize::try_from(moved).unwrap_or(isize::MAX)).unwrap_or(usize::MAX)
}

/// Sixteen columns of up to four reduction indices; columns past the last hold anything.
#[inline(always)]
fn pack_block(
    codes: &[u8],
    four: &[usize],
    column: usize,
    stride: i64,
    columns: usize,
    block: &mut [u8; GROUP * LANES],
) {
    const NONE: [u8; LANES] = [0; LANES];
    if stride == 1 {
        let row =
            |t: usize| four.get(t).and_then(|&base| codes[base + column..].first_chunk()).unwrap_or(&NONE);
        interleave([row(0), row(1), row(2), row(3)], block);
        return;
    }
    let consecutive = four.len() == GROUP && four.windows(2).all(|w| w[1] == w[0] + 1);
    if consecutive {
        let step = isize::try_from(stride).unwrap_or(0);
        let mut at = at_column(four[0], stride, column);
        for place in block.as_chunks_mut::<GROUP>().0.iter_mut().take(columns.saturating_sub(column)) {
            place.copy_from_slice(&codes[at..at + GROUP]);
            at = at.wrapping_add_signed(step);
        }
        return;
    }
    for (place, j) in block.as_chunks_mut::<GROUP>().0.iter_mut().zip(column..columns) {
        *place = [0; GROUP];
        place.iter_mut().zip(four).for_each(|(p, &base)| *p = codes[at_column(base, stride, j)]);
    }
}
