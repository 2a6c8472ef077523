//! Products whose outputs come in pairs, side by side in a row of an image, and share what they can: Winograd's minimal filtering,
//! `F(2, 3)` and `F(2, 2)`. Of three taps in a row two outputs take four products in place of six, of two taps three in place of
//! four. The left operand has sums and differences of codes, the right one sums of weights; sums come out doubled and are halved,
//! which is exact.

#[cfg(target_arch = "x86_64")]
mod inputs;
mod square;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::ops::Range;

pub(in crate::machine) use square::{
    Image, PRODUCTS, Square, SquareInputs, SquareOperands, Squares, TIMES, WHOM, added, twice,
};

use super::product::{Extremes, GROUP, LANES, PANELS_SLACK, Segment, Target};
use super::{Extension, Kernels};

/// Pairs, or squares, and registers of columns that are worked on at once: six by two take half as many lines of weights from the second
/// cache for a product as three by two or three by four.
#[cfg(target_arch = "x86_64")]
const MOST: usize = 6;
#[cfg(target_arch = "x86_64")]
const ACROSS: usize = 2;

/// Whom products are for, in the order in which they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machine) enum For {
    /// Both outputs.
    Both,
    /// The first; the second gets them subtracted.
    Opposed,
    /// The first alone.
    First,
    /// The second alone.
    Second,
}

impl For {
    /// All.
    pub(in crate::machine) const ALL: [For; 4] = [For::Both, For::Opposed, For::First, For::Second];

    /// How often each of the two outputs gets such a product.
    pub(in crate::machine) const fn times(self) -> [i32; 2] {
        match self {
            For::Both => [1, 1],
            For::Opposed => [1, -1],
            For::First => [1, 0],
            For::Second => [0, 1],
        }
    }
}

/// A pair of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Pair {
    /// Where it begins in the left operand.
    pub(in crate::machine) base: usize,
    /// Which row of the output its first is; the second is the next.
    pub(in crate::machine) row: usize,
}

/// Pairs that meet the same segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::machine) struct Pairs {
    /// Its pairs among all.
    pub(in crate::machine) pairs: Range<usize>,
    /// Whether pairs have a second output.
    pub(in crate::machine) whole: bool,
    /// The segments of [each](For::ALL).
    pub(in crate::machine) segments: [Vec<Segment>; 4],
}

/// All of such a product that does not depend on data, checked once.
#[derive(Debug)]
pub(in crate::machine) struct Filtering {
    pairs: Vec<Pair>,
    classes: Vec<Pairs>,
    groups: usize,
    columns: usize,
    reach: usize,
    rows: usize,
}

impl Filtering {
    /// A product of so many columns, by panels of so many groups.
    ///
    /// # Panics
    /// When a class names pairs or groups there are not.
    pub(in crate::machine) fn new(
        pairs: Vec<Pair>,
        classes: Vec<Pairs>,
        groups: usize,
        columns: usize,
    ) -> Filtering {
        let (mut reach, mut rows) = (0, 0);
        for class in &classes {
            for pair in &pairs[class.pairs.clone()] {
                rows = rows.max(pair.row + if class.whole { 2 } else { 1 });
                for segment in class.segments.iter().flatten() {
                    assert!(segment.first_group + segment.groups <= groups, "a segment leaves the panels");
                    reach = reach.max(pair.base + segment.offset + GROUP * segment.groups);
                }
            }
        }
        Filtering { pairs, classes, groups, columns, reach, rows }
    }

    /// Groups of a panel.
    pub(in crate::machine) fn groups(&self) -> usize {
        self.groups
    }

    /// Registers of all columns.
    pub(in crate::machine) fn registers(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Bytes of the left operand that are met.
    pub(in crate::machine) fn reach(&self) -> usize {
        self.reach
    }

    /// Products that are done, groups of them by registers.
    pub(in crate::machine) fn products(&self) -> usize {
        let of_pair = |class: &Pairs| class.segments.iter().flatten().map(|s| s.groups).sum::<usize>();
        self.classes.iter().map(|class| class.pairs.len() * of_pair(class)).sum::<usize>() * self.registers()
    }
}

/// What of codes of two columns an input is; all are codes plus 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Mixing {
    /// The first.
    Alone,
    /// The sum of two that are not negative, without the 128.
    NaturalSum,
    /// The sum.
    Sum,
    /// The first less the second.
    Difference,
}

/// Rows of bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Rows {
    pub(in crate::machine) count: usize,
    /// Bytes of each.
    pub(in crate::machine) length: usize,
    /// From row to row: of what is mixed, and of what that makes.
    pub(in crate::machine) steps: [usize; 2],
}

impl Rows {
    /// Bytes up to the last row's end, with such a step.
    fn reach(self, step: usize) -> usize {
        self.count.checked_sub(1).map_or(0, |last| last * step + self.length)
    }
}

/// The operands of such a product.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct FilteringOperands<'a> {
    /// Unsigned bytes.
    pub(in crate::machine) left: &'a [u8],
    /// As [`super::Operands`] has them.
    pub(in crate::machine) panels: &'a [u8],
    /// For each class, each of two outputs and each column (whole registers): by how much twice the sum is too great.
    pub(in crate::machine) corrections: &'a [i32],
}

impl Kernels {
    /// Whether it has products of pairs and of squares of outputs, and they pay.
    pub(in crate::machine) fn filters(self) -> bool {
        self.extension() == Extension::Avx512Vnni
    }

    /// Mixes rows of codes, modulo 256: whether some results are no bytes.
    ///
    /// # Panics
    /// When rows leave what is mixed or made, or the extension has no such products.
    pub(in crate::machine) fn mix(
        self,
        mixing: Mixing,
        rows: Rows,
        (a, b): (&[u8], &[u8]),
        to: &mut [u8],
    ) -> bool {
        assert!(self.filters());
        assert!(a.len().min(b.len()) >= rows.reach(rows.steps[0]), "a row leaves what is mixed");
        assert!(to.len() >= rows.reach(rows.steps[1]), "a row leaves what is made");
        // SAFETY: a `Kernels` has only what the processor has; the rest was measured.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            inputs::mix(mixing, rows, (a.as_ptr(), b.as_ptr()), to.as_mut_ptr())
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("it has no such products")
    }

    /// Half of what is summed for each output and column, less corrections: little-endian words in rows of `row_bytes` bytes; with
    /// `accumulate` added to what is there. Returns the sums' extremes.
    ///
    /// # Panics
    /// When an operand or the output is shorter than the shape needs, or the extension has no such products.
    pub(in crate::machine) fn filtering_product(
        self,
        shape: &Filtering,
        operands: FilteringOperands<'_>,
        out: (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let lanes = shape.registers() * LANES;
        assert!(self.filters());
        assert!(operands.left.len() >= shape.reach, "a segment leaves the left operand");
        assert!(
            operands.panels.len() >= shape.groups * GROUP * lanes + PANELS_SLACK,
            "a segment leaves the panels"
        );
        assert!(operands.corrections.len() >= 2 * shape.classes.len() * lanes, "a class without corrections");
        let target = Target::new(out, accumulate, [shape.rows, shape.columns]);
        let mut extremes = Extremes::default();
        // SAFETY: a `Kernels` has only what the processor has; the rest was measured, and the output is borrowed for this alone.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            vnni::product(shape, operands, &target, &mut extremes);
        }
        extremes
    }
}
