//! Products whose reduction runs over positions, of operands woven: four positions of each channel side by side, sixteen
//! channels a line, by shuffles of lines of memory as they are. Every tap finds its positions in the same order a fixed way
//! further.
//!
//! VNNI wants both operands so. AMX does these products transposed: the output's columns are the rows of tiles, its rows their
//! columns, so the left operand is woven and blocks of positions of the right one are turned.
//!
//! *Pooled* products are one for four: groups are windows of positions of which one at most has a code of the right operand that is
//! not zero, as pooling sends errors back. Four windows of a channel lie side by side; each lane picks the position of each
//! that its column wants.

#[cfg(target_arch = "x86_64")]
mod pooled;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vnni;
#[cfg(target_arch = "x86_64")]
mod weave;

use std::ops::Range;

use super::lines::{LINE, Lines};
use super::product::{Extremes, GROUP, LANES, Target};
use super::{Extension, Kernels};

/// Positions of a block of the reduction of AMX: as deep as a tile is.
pub(super) const BLOCK: usize = 64;
/// Registers of channels of a group of positions that lie side by side.
pub(super) const ACROSS: usize = 2;
/// Bytes from group to group.
pub(super) const STEP: usize = ACROSS * LINE;

/// Groups of a channel side by side where products are pooled.
pub(in crate::machine) const WINDOWS: usize = 4;

/// Columns, and channels, of a register of pooled products.
const FOURS: usize = LANES / WINDOWS;
/// Bytes that a register of columns has, where products are pooled, of windows of a channel side by side: for each four columns a line of
/// codes and one of places, the same for each of four channels.
const OF_WINDOWS: usize = FOURS * 2 * LINE;

/// No position, for which codes are 0.
pub(in crate::machine) const NOWHERE: usize = usize::MAX;

/// Which positions of a left operand are woven, four at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) struct Weave {
    /// Where the channels of each of four positions begin, or [`NOWHERE`]; plane by plane, as many of each.
    pub(in crate::machine) groups: Vec<[usize; GROUP]>,
    /// Planes.
    pub(in crate::machine) planes: usize,
    /// Channels of a position, whole registers.
    pub(in crate::machine) channels: usize,
    /// Groups of a channel side by side, of which planes have whole multiples: one, or [`WINDOWS`] where products are pooled.
    pub(in crate::machine) side_by_side: usize,
}

impl Weave {
    /// Registers of sixteen channels.
    pub(super) fn registers(&self) -> usize {
        self.channels / LANES
    }

    /// Groups of each plane.
    pub(super) fn of_plane(&self) -> usize {
        self.groups.len() / self.planes
    }

    /// Where a plane's channels from `register` on begin when they are woven, at group `first`, the first of those side by side.
    pub(in crate::machine) fn place(&self, plane: usize, register: usize, first: usize) -> usize {
        let pair = plane * self.registers().div_ceil(ACROSS) + register / ACROSS;
        (pair * self.of_plane() + first) * STEP + register % ACROSS * LINE * self.side_by_side
    }

    /// Bytes of what is woven, and a block that begins with the last group.
    fn bytes(&self) -> usize {
        self.place(self.planes, 0, 0) + BLOCK / GROUP * STEP
    }
}

/// Up to 32 rows of the output: channels of a tap side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) struct Strip {
    /// Where its first group is woven ([`Weave::place`]).
    pub(in crate::machine) at: usize,
    /// Which rows of the output they are.
    pub(in crate::machine) rows: Range<usize>,
}

/// Groups that follow each other in what is woven.
#[derive(Debug, Clone)]
struct Run {
    /// From a strip's first on.
    first: usize,
    groups: usize,
}

/// All of a product of woven operands that does not depend on data, checked once.
#[derive(Debug, Clone)]
pub(in crate::machine) struct Woven {
    weave: Weave,
    strips: Vec<Strip>,
    /// The reduction. On AMX runs are whole blocks.
    runs: Vec<Run>,
    /// Where each position of each group finds its codes in the right operand; none where there is no position.
    right: Vec<Option<usize>>,
    columns: usize,
    rows: usize,
    right_reach: usize,
}

impl Woven {
    /// Runs of positions, each its first group from a strip's first on and where its positions, whole groups, find their codes in the
    /// right operand.
    ///
    /// # Panics
    /// When strips leave what is woven, or are wider than two registers; when planes or registers are not whole.
    pub(in crate::machine) fn new(
        kernels: Kernels,
        weave: Weave,
        strips: Vec<Strip>,
        runs: impl Iterator<Item = (usize, Vec<Option<usize>>)>,
        columns: usize,
    ) -> Woven {
        assert!(weave.planes > 0 && weave.groups.len().is_multiple_of(weave.planes), "a plane is not whole");
        assert!(weave.channels > 0 && weave.channels.is_multiple_of(LANES), "a register is not whole");
        let beside = weave.side_by_side;
        assert!(beside == 1 || (beside == WINDOWS && kernels.pools()), "no such product");
        assert!(weave.of_plane().is_multiple_of(beside), "groups side by side are not whole");
        let whole = if kernels.extension() == Extension::Amx { BLOCK } else { GROUP * beside };
        let (mut right, mut all) = (Vec::new(), Vec::new());
        for (first, positions) in runs {
            let length = positions.len().next_multiple_of(whole);
            all.push(Run { first, groups: length / GROUP });
            right.extend(positions);
            right.resize(right.len().next_multiple_of(whole), None);
        }
        let last = all.iter().map(|run| run.first + run.groups).max().unwrap_or(0);
        let rows = strips.iter().map(|s| s.rows.end).max().unwrap_or(0);
        for strip in &strips {
            let registers = strip.rows.len().div_ceil(LANES);
            let (step, line) = (STEP * beside, LINE * beside);
            assert!(
                strip.at.is_multiple_of(line)
                    && registers > 0
                    && strip.at % step / line + registers <= ACROSS
            );
            assert!(strip.at / step * step + last * STEP <= weave.bytes(), "a strip leaves what is woven");
        }
        let right_reach = right.iter().flatten().max().map_or(0, |at| at + columns.next_multiple_of(LINE));
        Woven { weave, strips, runs: all, right, columns, rows, right_reach }
    }

    /// The same of one position of each group alone.
    pub(in crate::machine) fn of_place(&self, place: usize) -> Woven {
        let position = |(at, position): (usize, &Option<usize>)| position.filter(|_| at % GROUP == place);
        Woven { right: self.right.iter().enumerate().map(position).collect(), ..self.clone() }
    }

    /// Rows of the output by where their channels lie.
    pub(in crate::machine) fn strips(&self) -> &[Strip] {
        &self.strips
    }

    /// Where each position of each group finds its codes in the right operand; none where there is no position.
    pub(in crate::machine) fn right(&self) -> &[Option<usize>] {
        &self.right
    }

    /// The first group of each block, from a strip's first on.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> {
        self.runs.iter().flat_map(|run| (run.first..run.first + run.groups).step_by(BLOCK / GROUP))
    }

    /// Columns of the output.
    pub(in crate::machine) fn columns(&self) -> usize {
        self.columns
    }

    /// Registers of columns of the output.
    pub(super) fn column_registers(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Whether one product is done for four.
    pub(in crate::machine) fn is_pooled(&self) -> bool {
        self.weave.side_by_side == WINDOWS
    }

    /// Bytes that a register of columns has of the right operand.
    pub(super) fn of_register(&self) -> usize {
        if self.is_pooled() {
            self.right.len() / (GROUP * WINDOWS) * OF_WINDOWS
        } else {
            self.right.len() * LANES
        }
    }

    fn right_bytes(&self) -> usize {
        self.column_registers() * self.of_register()
    }
}

/// Sums of woven products as tiles have them, kept from product to product.
#[derive(Debug, Default)]
pub(in crate::machine) struct KeptSums {
    #[cfg(target_arch = "x86_64")]
    tiles: Vec<super::amx::Sums>,
}

impl Kernels {
    /// Whether sums of woven products had better be kept as tiles have them, as long as others are joined to them.
    pub(in crate::machine) fn keeps_sums(self) -> bool {
        self.extension() == Extension::Amx
    }

    /// The sums of [`Kernels::product`], of woven operands, kept; where it `goes_on`, joined to those kept of a product with the same
    /// columns, whose strips have the same rows.
    ///
    /// # Panics
    /// When an operand is shorter than the shape needs, or the extension does not keep sums.
    pub(in crate::machine) fn woven_sums(
        self,
        shape: &Woven,
        (left, right): (&Lines, &Lines),
        kept: &mut KeptSums,
        goes_on: bool,
    ) {
        assert!(self.keeps_sums() && left.len() >= shape.weave.bytes() && right.len() >= shape.right_bytes());
        // SAFETY: a `Kernels` has only what the processor has; the rest was measured.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            super::amx::transposed::sums(shape, (left, right), &mut kept.tiles, goes_on);
        }
    }

    /// Puts kept sums of so many columns and these strips where they belong: their extremes.
    ///
    /// # Panics
    /// When the output is shorter than that, or the extension does not keep sums.
    pub(in crate::machine) fn put_woven(
        self,
        (columns, strips): (usize, &[Strip]),
        kept: &KeptSums,
        out: (&mut [u8], usize),
    ) -> Extremes {
        assert!(self.keeps_sums());
        let rows = strips.iter().map(|strip| strip.rows.end).max().unwrap_or(0);
        let target = Target::new(out, false, [rows, columns]);
        let mut extremes = Extremes::default();
        // SAFETY: a `Kernels` has only what the processor has; the output was measured, and is borrowed for this alone.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            super::amx::transposed::put((columns, strips), &kept.tiles, &target, &mut extremes);
        }
        extremes
    }

    /// Whether it has products of woven operands.
    pub(in crate::machine) fn weaves(self) -> bool {
        self.extension() >= Extension::Avx512Vnni
    }

    /// Whether it has pooled products.
    pub(in crate::machine) fn pools(self) -> bool {
        self.extension() == Extension::Avx512Vnni
    }

    /// Weaves the left operand's codes: `[plane][pair of registers][groups side by side][register][channel][group][position]`.
    /// Positions that do not lie in it are none.
    ///
    /// # Panics
    /// When the extension does not weave.
    pub(in crate::machine) fn weave_left(self, shape: &Woven, codes: &[u8], to: &mut Lines) {
        assert!(self.weaves());
        to.hold(shape.weave.bytes());
        // VNNI multiplies unsigned by signed bytes: codes plus 128.
        let flipped = if self.extension() == Extension::Amx { 0 } else { 128 };
        // SAFETY: a `Kernels` has only what the processor has; `to` was made as long.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            if shape.is_pooled() {
                weave::left::<WINDOWS>(&shape.weave, codes, flipped, to);
            } else {
                weave::left::<1>(&shape.weave, codes, flipped, to);
            }
        }
    }

    /// Weaves codes that begin at each place of some groups of up to four, zero where there is none, to panels of four registers and one
    /// of what is left: `[panel][group][register][column][place]`.
    ///
    /// # Panics
    /// When codes of whole registers leave `codes`, panels leave `to`, or the extension does not weave.
    pub(in crate::machine) fn weave_panels(
        self,
        groups: impl Iterator<Item = impl Iterator<Item = Option<usize>>> + Clone,
        codes: &[u8],
        columns: usize,
        to: &mut [u8],
    ) {
        assert!(self.weaves());
        // SAFETY: a `Kernels` has only what the processor has.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            weave::panels(groups, codes, columns.div_ceil(LANES), to);
        }
    }

    /// Lays out the right operand's codes, zero where there is no position: in panels; on AMX turned,
    /// `[register][block][column][position]`. Where products are pooled, `[register][windows side by side][four columns][codes, places]
    /// [channel][column][window]`, if no window has two codes that are not zero: whether that is so.
    ///
    /// # Panics
    /// When codes end less than a cache line behind the last that is met, or the extension does not weave.
    pub(in crate::machine) fn weave_right(self, shape: &Woven, codes: &[u8], to: &mut Lines) -> bool {
        assert!(codes.len() >= shape.right_reach, "a position leaves the right operand");
        to.hold(shape.right_bytes());
        match self.extension() {
            // SAFETY: a `Kernels` has only what the processor has.
            #[cfg(target_arch = "x86_64")]
            Extension::Avx512Vnni if shape.is_pooled() => unsafe {
                pooled::right(&shape.right, codes, shape.columns, to)
            },
            Extension::Avx512Vnni => {
                let groups = shape.right.chunks_exact(GROUP).map(|four| four.iter().copied());
                self.weave_panels(groups, codes, shape.columns, to);
                true
            }
            // SAFETY: a `Kernels` has only what the processor has; the rest was measured.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe {
                super::amx::transposed::turn(shape, codes, to);
                true
            },
            _ => unreachable!("it does not weave"),
        }
    }

    /// The sums of [`Kernels::product`], of woven operands.
    ///
    /// # Panics
    /// When an operand or the output is shorter than the shape needs, or the extension does not weave.
    pub(in crate::machine) fn woven_product(
        self,
        shape: &Woven,
        (left, right): (&Lines, &Lines),
        out: (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        assert!(left.len() >= shape.weave.bytes() && right.len() >= shape.right_bytes());
        let target = Target::new(out, accumulate, [shape.rows, shape.columns]);
        let mut extremes = Extremes::default();
        match self.extension() {
            // SAFETY: a `Kernels` has only what the processor has; the rest was measured, and the output is borrowed for this alone.
            #[cfg(target_arch = "x86_64")]
            Extension::Avx512Vnni => unsafe {
                if shape.is_pooled() {
                    pooled::product(shape, (left, right), &target, &mut extremes);
                } else {
                    vnni::product(shape, (left, right), &target, &mut extremes);
                }
            },
            // SAFETY: the same.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe {
                super::amx::transposed::product(shape, (left, right), &target, &mut extremes);
            },
            _ => unreachable!("it does not weave"),
        }
        extremes
    }
}
