//! Products whose outputs come in squares, two in a row and two below: minimal filtering along both, `F(2×2, 3×3)`, sixteen products in
//! place of thirty-six. Inputs are sums and differences of four codes, and some are no bytes: those stand modulo 256, and what they lack is
//! once more 256 times a few weights, for each output. Sums come out eightfold.

#[cfg(target_arch = "x86_64")]
mod vnni;

use super::For;
use crate::machine::kernels::product::{Extremes, GROUP, LANES, PANELS_SLACK, Target};
use crate::machine::kernels::{Kernels, Lines};

/// Products of a square of outputs.
pub(in crate::machine) const PRODUCTS: usize = 16;
/// What outputs come to by such products.
pub(in crate::machine) const TIMES: i32 = 8;

/// For whom each of them is, of rows and of columns, in the order in which they are done; weights of the last four are taken twice.
pub(in crate::machine) const WHOM: [[For; 2]; PRODUCTS] = {
    const ONE: [For; 2] = [For::Both, For::Opposed];
    const TWO: [For; 2] = [For::First, For::Second];
    let phases = [[ONE, ONE], [ONE, TWO], [TWO, TWO], [TWO, ONE]];
    let mut whom = [[For::Both; 2]; PRODUCTS];
    let mut number = 0;
    while number < PRODUCTS {
        let [rows, columns] = phases[number / 4];
        whom[number] = [rows[number / 2 % 2], columns[number % 2]];
        number += 1;
    }
    whom
};

/// A square of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Square {
    /// Which row of the output its first is; the next in its row is the next.
    pub(in crate::machine) row: usize,
    /// Whether it has a second row, and a second column.
    pub(in crate::machine) whole: [bool; 2],
}

/// All of such a product that does not depend on data, checked once. The left operand has `[square][product][channel]`.
#[derive(Debug)]
pub(in crate::machine) struct Squares {
    squares: Vec<Square>,
    /// Outputs from one row of a square to the next.
    below: usize,
    channels: usize,
    columns: usize,
    rows: usize,
}

impl Squares {
    /// A product of so many columns over so many channels.
    ///
    /// # Panics
    /// When channels are no whole groups.
    pub(in crate::machine) fn new(
        squares: Vec<Square>,
        below: usize,
        [channels, columns]: [usize; 2],
    ) -> Squares {
        let last = |s: &Square| s.row + usize::from(s.whole[0]) * below + usize::from(s.whole[1]);
        let rows = squares.iter().map(|s| last(s) + 1).max().unwrap_or(0);
        assert!(channels.is_multiple_of(GROUP), "channels are no whole groups");
        Squares { squares, below, channels, columns, rows }
    }

    /// Groups of a product.
    pub(in crate::machine) fn groups(&self) -> usize {
        self.channels / GROUP
    }

    /// Registers of all columns.
    pub(in crate::machine) fn registers(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Bytes of the left operand.
    pub(in crate::machine) fn bytes(&self) -> usize {
        self.squares.len() * PRODUCTS * self.channels
    }

    /// Products that are done, groups of them by registers.
    pub(in crate::machine) fn products(&self) -> usize {
        self.squares.len() * PRODUCTS * self.groups() * self.registers()
    }
}

/// Four inputs that are no bytes, of a group of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) struct Rest {
    /// Its group among those of all products.
    pub(in crate::machine) group: u32,
    /// How often each of four outputs lacks 256 of each: four signed bytes.
    pub(in crate::machine) times: [i32; 4],
}

/// Inputs of squares.
#[derive(Debug, Default)]
pub(in crate::machine) struct SquareInputs {
    /// Each modulo 256.
    pub(in crate::machine) bytes: Lines,
    /// Those that are no bytes.
    pub(in crate::machine) rests: Vec<Rest>,
    /// Where the rests of each square end.
    pub(in crate::machine) end: Vec<u32>,
}

impl SquareInputs {
    /// The rests of a square.
    #[inline]
    fn rests_of(&self, square: usize) -> &[Rest] {
        let first = square.checked_sub(1).map_or(0, |before| self.end[before]);
        &self.rests[first as usize..self.end[square] as usize]
    }
}

/// The codes of an image, plus 128, of which squares are made: columns of `channels` codes in rows of `row` bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Image<'a> {
    pub(in crate::machine) codes: &'a [u8],
    pub(in crate::machine) rows: usize,
    pub(in crate::machine) columns: usize,
    pub(in crate::machine) channels: usize,
    /// Whether none is negative.
    pub(in crate::machine) natural: bool,
}

/// The operands of such a product.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct SquareOperands<'a> {
    pub(in crate::machine) left: &'a SquareInputs,
    /// As [`crate::machine::kernels::Operands`] has them, groups of one product after those of another.
    pub(in crate::machine) panels: &'a [u8],
    /// For each of four outputs and each column (whole registers): by how much eight times the sum is too great.
    pub(in crate::machine) corrections: &'a [i32],
}

/// Whether outputs get a product twice: the weights of the others are taken twice.
pub(in crate::machine) const fn twice(product: usize) -> bool {
    product < PRODUCTS - 4
}

/// How much is added to an input so that it is unsigned.
pub(in crate::machine) fn added(whom: [For; 2], natural: bool) -> i32 {
    if natural && whom == [For::Both; 2] { 0 } else { 128 }
}

impl Kernels {
    /// Adds the inputs of an image's squares, from number `first` on, `[row][column]` of them.
    ///
    /// # Panics
    /// When the image or the inputs are shorter than that needs, or the extension has no such products.
    pub(in crate::machine) fn mix_squares(
        self,
        image: Image<'_>,
        [down, across]: [usize; 2],
        first: usize,
        inputs: &mut SquareInputs,
    ) {
        assert!(self.filters() && image.channels.is_multiple_of(GROUP));
        assert!(image.rows >= 3 && image.columns >= 3, "no square fits");
        assert!(image.codes.len() >= image.rows * image.columns * image.channels, "a code leaves the image");
        assert!(
            inputs.bytes.len() >= (first + down * across) * PRODUCTS * image.channels,
            "a square leaves the inputs"
        );
        // SAFETY: a `Kernels` has only what the processor has; the rest was measured.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            if image.natural {
                vnni::mix::<true>(image, [down, across], first, inputs);
            } else {
                vnni::mix::<false>(image, [down, across], first, inputs);
            }
        }
    }

    /// An eighth of what is summed for each output and column, less corrections: little-endian words in rows of `row_bytes` bytes;
    /// with `accumulate` added to what is there. Returns the sums' extremes.
    ///
    /// # Panics
    /// When an operand or the output is shorter than the shape needs, or the extension has no such products.
    pub(in crate::machine) fn square_product(
        self,
        shape: &Squares,
        operands: SquareOperands<'_>,
        out: (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let lanes = shape.registers() * LANES;
        let left = operands.left;
        assert!(self.filters());
        assert!(left.bytes.len() >= shape.bytes(), "a square leaves the left operand");
        assert!(left.end.len() >= shape.squares.len(), "a square without rests");
        let groups = u32::try_from(PRODUCTS * shape.groups()).unwrap_or(0);
        assert!(left.rests.iter().all(|rest| rest.group < groups), "a rest leaves the panels");
        assert!(
            operands.panels.len() >= PRODUCTS * shape.channels * lanes + PANELS_SLACK,
            "a square leaves the panels"
        );
        assert!(operands.corrections.len() >= 4 * lanes, "an output without corrections");
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
