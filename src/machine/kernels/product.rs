//! Products of bytes: rows of the left operand in place, the right operand in panels, sums of 32 bits stored where they
//! belong while their extremes are kept.

use std::marker::PhantomData;
#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use super::{Extension, Kernels, portable};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx2, vnni};

/// Columns of one register.
pub(in crate::machine) const LANES: usize = 16;
/// Registers a panel is wide at most.
pub(in crate::machine) const MAX_REGISTERS: usize = 4;
/// Reduction indices side by side in a panel.
pub(in crate::machine) const GROUP: usize = 4;

/// Bytes behind the last panel that kernels may read: a block of sixteen groups begins with its last.
pub(in crate::machine) const PANELS_SLACK: usize = 15 * GROUP * LANES * MAX_REGISTERS;

/// A run of the reduction: `groups` times four consecutive bytes of a row of the left operand, and the groups of a
/// panel they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Segment {
    /// First byte, from the row's base on.
    pub(in crate::machine) offset: usize,
    /// Groups of four bytes.
    pub(in crate::machine) groups: usize,
    /// The panel's first group.
    pub(in crate::machine) first_group: usize,
}

/// Rows that meet the same segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Class {
    /// First of its rows.
    pub(in crate::machine) first_row: usize,
    /// How many rows it has.
    pub(in crate::machine) rows: usize,
    /// First of its segments.
    pub(in crate::machine) first_segment: usize,
    /// How many segments it has.
    pub(in crate::machine) segments: usize,
}

/// All of a product that does not depend on data, checked once.
#[derive(Debug)]
pub(in crate::machine) struct Shape {
    bases: Vec<usize>,
    rows: Vec<usize>,
    classes: Vec<Class>,
    segments: Vec<Segment>,
    groups: usize,
    columns: usize,
    reach: usize,
    last_row: usize,
    /// [`Shape::blocks`], once they were asked for.
    #[cfg(target_arch = "x86_64")]
    blocks: OnceLock<Vec<amx::Blocks>>,
}

impl Shape {
    /// Row `i` begins at byte `bases[i]` of the left operand and is row `rows[i]` of the output.
    ///
    /// # Panics
    /// When a class names rows or segments there are not.
    pub(in crate::machine) fn new(
        bases: Vec<usize>,
        rows: Vec<usize>,
        classes: Vec<Class>,
        segments: Vec<Segment>,
        columns: usize,
    ) -> Shape {
        assert!(bases.len() == rows.len() && !rows.is_empty() && columns > 0);
        let last_row = rows.iter().max().copied().unwrap_or(0);
        let mut met = vec![false; last_row + 1];
        assert!(rows.iter().all(|&row| !std::mem::replace(&mut met[row], true)), "a row stands twice");
        let mut reach = 0;
        for class in &classes {
            let bases = &bases[class.first_row..class.first_row + class.rows];
            let segments = &segments[class.first_segment..class.first_segment + class.segments];
            let ends = segments.iter().map(|s| s.offset + GROUP * s.groups).max().unwrap_or(0);
            reach = reach.max(bases.iter().max().map_or(0, |b| b + ends));
        }
        let groups = segments.iter().map(|s| s.first_group + s.groups).max().unwrap_or(0);
        Shape {
            bases,
            rows,
            classes,
            segments,
            groups,
            columns,
            reach,
            last_row,
            #[cfg(target_arch = "x86_64")]
            blocks: OnceLock::new(),
        }
    }

    /// Groups of a panel.
    pub(in crate::machine) fn groups(&self) -> usize {
        self.groups
    }

    /// Registers of all columns.
    pub(in crate::machine) fn registers(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Classes of rows.
    pub(in crate::machine) fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The segments of a class.
    pub(in crate::machine) fn segments_of(&self, class: &Class) -> &[Segment] {
        &self.segments[class.first_segment..class.first_segment + class.segments]
    }

    /// Where the rows of a class begin in the left operand.
    pub(in crate::machine) fn bases_of(&self, class: &Class) -> &[usize] {
        &self.bases[class.first_row..class.first_row + class.rows]
    }

    /// Which rows of the output the rows of a class are.
    pub(in crate::machine) fn rows_of(&self, class: &Class) -> &[usize] {
        &self.rows[class.first_row..class.first_row + class.rows]
    }

    /// Products that are done, groups of them by registers.
    pub(in crate::machine) fn products(&self) -> usize {
        let of_row = |class| self.segments_of(class).iter().map(|s| s.groups).sum::<usize>();
        self.classes.iter().map(|class| class.rows * of_row(class)).sum::<usize>() * self.registers()
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// How tiles find the rows of each class.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn blocks(&self) -> &[amx::Blocks] {
        let of = |class| amx::Blocks::of(self.bases_of(class), self.segments_of(class));
        self.blocks.get_or_init(|| self.classes.iter().map(of).collect())
    }
}

/// The operands of a product.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Operands<'a> {
    /// Codes plus 128.
    pub(in crate::machine) left: &'a [u8],
    /// For each panel of up to four registers, each group and each column: four codes; and [`PANELS_SLACK`]. Products are
    /// fastest where it begins at a cache line.
    pub(in crate::machine) panels: &'a [u8],
    /// For each class and column (whole registers): 128 times the sum of the codes that its segments meet.
    pub(in crate::machine) corrections: &'a [i32],
}

/// Extremes and zeros of sums.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Extremes {
    /// The least sum of each lane.
    pub(in crate::machine) least: [i32; LANES],
    /// The greatest sum of each lane.
    pub(in crate::machine) greatest: [i32; LANES],
    /// Sums that are zero.
    pub(in crate::machine) zeros: u64,
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes { least: [i32::MAX; LANES], greatest: [i32::MIN; LANES], zeros: 0 }
    }
}

/// The bytes of an output, of which kernels write rows that do not follow each other.
#[derive(Clone, Copy)]
pub(super) struct Out<'a> {
    at: *mut u8,
    length: usize,
    lives: PhantomData<&'a mut [u8]>,
}

impl<'a> Out<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Out { at: bytes.as_mut_ptr(), length: bytes.len(), lives: PhantomData }
    }

    /// Its byte `first`, to write from there on.
    #[inline(always)]
    pub(super) fn from(self, first: usize) -> *mut u8 {
        self.at.wrapping_add(first)
    }

    /// `count` bytes from `first` on.
    ///
    /// # Safety
    /// Nobody else has these bytes while they are used.
    ///
    /// # Panics
    /// When the output has not so many.
    #[inline(always)]
    pub(super) unsafe fn bytes(&self, first: usize, count: usize) -> &'a mut [u8] {
        assert!(first + count <= self.length);
        // SAFETY: they lie in the output, which lives for `'a`, and are the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at.add(first), count) }
    }
}

/// One product: its shape, its operands and where its sums go.
pub(super) struct Product<'a> {
    pub(super) shape: &'a Shape,
    pub(super) operands: Operands<'a>,
    pub(super) target: Target<'a>,
}

/// How sums stand in an output.
pub(super) struct Target<'a> {
    pub(super) out: Out<'a>,
    /// Bytes from row to row of the output.
    pub(super) row_bytes: usize,
    /// Whether sums go on from what the output holds.
    pub(super) accumulate: bool,
}

impl<'a> Target<'a> {
    /// An output of so many rows, `row_bytes` bytes apart, of so many columns.
    ///
    /// # Panics
    /// When it is shorter than that.
    pub(super) fn new(
        (out, row_bytes): (&'a mut [u8], usize),
        accumulate: bool,
        [rows, columns]: [usize; 2],
    ) -> Self {
        assert!(out.len() + row_bytes >= rows * row_bytes + 4 * columns, "a row leaves the output");
        Target { out: Out::new(out), row_bytes, accumulate }
    }
}

impl Kernels {
    /// Sums Σ (left − 128) · right of every row and column, modulo 2^32, as little-endian words in rows of `row_bytes`
    /// bytes; with `accumulate` they are added to what is there. Returns the sums' extremes.
    ///
    /// # Panics
    /// When an operand or the output is shorter than the shape needs.
    pub(in crate::machine) fn product(
        self,
        shape: &Shape,
        operands: Operands<'_>,
        out: (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let lanes = shape.registers() * LANES;
        assert!(operands.left.len() >= shape.reach, "a segment leaves the left operand");
        let panels = shape.groups * GROUP * lanes + PANELS_SLACK;
        assert!(operands.panels.len() >= panels, "a segment leaves the panels");
        assert!(operands.corrections.len() >= shape.classes.len() * lanes, "a class without corrections");
        let target = Target::new(out, accumulate, [shape.last_row + 1, shape.columns]);
        let product = Product { shape, operands, target };
        let mut extremes = Extremes::default();
        match self.extension() {
            // SAFETY: operands and output were measured above, and the output is borrowed for this alone.
            Extension::Portable => unsafe { portable::product(&product, &mut extremes) },
            // SAFETY: as above; a `Kernels` has only what the processor has.
            #[cfg(target_arch = "x86_64")]
            Extension::Avx2 => unsafe { avx2::product(&product, &mut extremes) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Extension::Avx512Vnni => unsafe { vnni::product(&product, &mut extremes) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Extension::Amx => unsafe { amx::product(&product, &mut extremes) },
            // SAFETY: as above.
            #[cfg(not(target_arch = "x86_64"))]
            _ => unsafe { portable::product(&product, &mut extremes) },
        }
        extremes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_extension_gives_the_same_sums(
            columns in 1usize..150, rows in prop::collection::vec(1usize..30, 1..4),
            runs in prop::collection::vec((0usize..40, 1usize..9), 1..5), accumulate in any::<bool>(), seed in any::<u64>(),
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.to_be_bytes()[0]
            };
            let mut first_group = 0;
            let segments: Vec<Segment> = runs.iter().map(|&(offset, groups)| {
                let segment = Segment { offset, groups, first_group };
                first_group += groups;
                segment
            }).collect();
            // The last class leaves out the first segment.
            let mut first_row = 0;
            let classes: Vec<Class> = rows.iter().enumerate().map(|(i, &rows)| {
                let skip = usize::from(i + 1 == runs.len() && runs.len() > 1);
                let class = Class { first_row, rows, first_segment: skip, segments: segments.len() - skip };
                first_row += rows;
                class
            }).collect();
            let count = first_row;
            let left: Vec<u8> = (0..400).map(|_| next()).collect();
            let bases: Vec<usize> = (0..count).map(|r| 3 * r).collect();
            let places: Vec<usize> = (0..count).rev().collect();
            let shape = Shape::new(bases, places, classes, segments, columns);
            let lanes = shape.registers() * LANES;
            let panels: Vec<u8> =
                (0..shape.groups() * GROUP * lanes + PANELS_SLACK).map(|_| next()).collect();
            let corrections: Vec<i32> = (0..lanes * rows.len()).map(|_| i32::from(next()) << 20).collect();
            let operands = Operands { left: &left, panels: &panels, corrections: &corrections };
            let row_bytes = 4 * columns + 3;
            let before: Vec<u8> = (0..count * row_bytes).map(|_| next()).collect();
            let mut expected = before.clone();
            let product = |extension, out: &mut Vec<u8>| {
                Kernels::of(extension).product(&shape, operands, (out, row_bytes), accumulate)
            };
            let plain = product(Extension::Portable, &mut expected);
            for extension in Extension::available() {
                let mut out = before.clone();
                let found = product(extension, &mut out);
                prop_assert_eq!(&out, &expected);
                prop_assert_eq!(found.least.iter().min(), plain.least.iter().min());
                prop_assert_eq!(found.greatest.iter().max(), plain.greatest.iter().max());
                prop_assert_eq!(found.zeros, plain.zeros);
            }
        }
    }
}
