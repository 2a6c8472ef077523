//! Products whose reduction runs over positions, transposed: the output's columns are the rows of tiles, its rows their
//! columns. Neither operand need be gathered then. What tiles want of the left one are four positions woven; of the right one,
//! blocks of positions turned. Every tap finds its positions in the same order a fixed way further.

use std::ops::Range;

use super::lines::{LINE, Lines};
use super::product::{Extremes, GROUP, LANES, Out, Target};
use super::{Extension, Kernels};

/// Positions of a block of the reduction: as deep as a tile is.
pub(in crate::machine) const BLOCK: usize = 64;
/// Tiles of rows, and registers of columns, that are summed side by side: lines of a group of positions that lie so.
pub(super) const ACROSS: usize = 2;
/// Bytes from group to group.
pub(super) const STEP: usize = ACROSS * LINE;

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

    /// Where a plane's channels from `register` on begin when they are woven, at group `first`.
    pub(in crate::machine) fn place(&self, plane: usize, register: usize, first: usize) -> usize {
        let pair = plane * self.registers().div_ceil(ACROSS) + register / ACROSS;
        (pair * self.of_plane() + first) * STEP + register % ACROSS * LINE
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

/// All of a transposed product that does not depend on data, checked once.
#[derive(Debug)]
pub(in crate::machine) struct Transposed {
    weave: Weave,
    strips: Vec<Strip>,
    /// Where each position of each block finds its codes in the right operand; none where there is no position.
    right: Vec<Option<usize>>,
    /// The first group of each block, from a strip's first on.
    groups: Vec<usize>,
    columns: usize,
    rows: usize,
    right_reach: usize,
}

impl Transposed {
    /// Runs of positions, each its first group from a strip's first on and where its positions, whole groups, find their codes in the
    /// right operand.
    ///
    /// # Panics
    /// When strips leave what is woven, or are wider than two registers; when planes or registers are not whole.
    pub(in crate::machine) fn new(
        weave: Weave,
        strips: Vec<Strip>,
        runs: impl Iterator<Item = (usize, Vec<Option<usize>>)>,
        columns: usize,
    ) -> Transposed {
        assert!(weave.planes > 0 && weave.groups.len().is_multiple_of(weave.planes), "a plane is not whole");
        assert!(weave.channels > 0 && weave.channels.is_multiple_of(LANES), "a register is not whole");
        let (mut right, mut groups) = (Vec::new(), Vec::new());
        for (first, positions) in runs {
            groups.extend((0..positions.len().div_ceil(BLOCK)).map(|block| first + block * BLOCK / GROUP));
            right.extend(positions);
            right.resize(groups.len() * BLOCK, None);
        }
        let last = groups.iter().max().map_or(0, |first| first + BLOCK / GROUP);
        let rows = strips.iter().map(|s| s.rows.end).max().unwrap_or(0);
        for strip in &strips {
            let registers = strip.rows.len().div_ceil(LANES);
            let from = strip.at % STEP / LINE;
            assert!(strip.at.is_multiple_of(LINE) && registers > 0 && from + registers <= ACROSS);
            assert!(strip.at / STEP * STEP + last * STEP <= weave.bytes(), "a strip leaves what is woven");
        }
        let right_reach = right.iter().flatten().max().map_or(0, |at| at + columns.next_multiple_of(LINE));
        Transposed { weave, strips, right, groups, columns, rows, right_reach }
    }

    pub(super) fn strips(&self) -> &[Strip] {
        &self.strips
    }

    pub(super) fn right(&self) -> &[Option<usize>] {
        &self.right
    }

    pub(super) fn groups(&self) -> &[usize] {
        &self.groups
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Tiles of columns of the output.
    pub(super) fn tiles(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Bytes of one tile's blocks of the right operand.
    pub(super) fn of_tile(&self) -> usize {
        self.groups.len() * LANES * LINE
    }
}

impl Kernels {
    /// Weaves the left operand's codes: `[plane][pair of registers][group][register][channel][position]`. Positions that do not
    /// lie in it are none.
    ///
    /// # Panics
    /// When the extension is not AMX.
    pub(in crate::machine) fn weave(self, shape: &Transposed, codes: &[u8], to: &mut Lines) {
        to.hold(shape.weave.bytes());
        match self.extension() {
            // SAFETY: a `Kernels` has only what the processor has; `to` was made as long.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe { super::amx::transposed::weave(&shape.weave, codes, to) },
            _ => unreachable!("only tiles want operands woven"),
        }
    }

    /// Turns the right operand's codes: `[tile of columns][block][column][position]`; zero where there is no position.
    ///
    /// # Panics
    /// When codes end less than a cache line behind the last that is met, or the extension is not AMX.
    pub(in crate::machine) fn turn_right(self, shape: &Transposed, codes: &[u8], to: &mut Lines) {
        assert!(codes.len() >= shape.right_reach, "a position leaves the right operand");
        to.hold(shape.tiles() * shape.of_tile());
        match self.extension() {
            // SAFETY: a `Kernels` has only what the processor has; the rest was measured.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe { super::amx::transposed::turn(shape, codes, to) },
            _ => unreachable!("only tiles want operands turned"),
        }
    }

    /// The sums of [`Kernels::product`], of operands woven and turned.
    ///
    /// # Panics
    /// When an operand or the output is shorter than the shape needs, or the extension is not AMX.
    pub(in crate::machine) fn transposed_product(
        self,
        shape: &Transposed,
        (left, right): (&Lines, &Lines),
        (out, row_bytes): (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        assert!(left.len() >= shape.weave.bytes() && right.len() >= shape.tiles() * shape.of_tile());
        assert!(
            out.len() + row_bytes >= shape.rows * row_bytes + 4 * shape.columns,
            "a row leaves the output"
        );
        let mut extremes = Extremes::default();
        let target = Target { out: Out::new(out), row_bytes, accumulate };
        match self.extension() {
            // SAFETY: a `Kernels` has only what the processor has; the rest was measured, and the output is borrowed for this alone.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe {
                super::amx::transposed::product(shape, (left, right), &target, &mut extremes);
            },
            _ => unreachable!("only tiles have transposed products"),
        }
        extremes
    }
}
