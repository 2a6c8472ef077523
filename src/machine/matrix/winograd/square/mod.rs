//! Which instructions over taps are done by products of squares of outputs ([`Squares`]), and how: those of all of a window of three
//! by three taps.

mod weights;

use super::super::frame::{Frame, MOST_BYTES};
use super::super::layout::{Layout, taps};
use super::super::left::Left;
use super::super::right::Right;
use super::super::size;
use super::{TENTHS, of_box};
use crate::isa::Matrix;
use crate::machine::kernels::{
    Extremes, GROUP, Image, Kernels, Square, SquareInputs, SquareOperands, Squares, TIMES,
};
pub(in crate::machine::matrix) use weights::SquareWeights;

/// Bits of weights nine of which, or one twelve times, are a byte.
const MOST_BITS: u32 = 4;
/// Taps of a row, and rows of taps.
const TAPS: usize = 3;
/// Groups of inputs for each that may be too great for bytes.
const FEW: usize = 20;

/// How an instruction is done by products of squares of outputs.
#[derive(Debug)]
pub(in crate::machine::matrix) struct SquareWay {
    squares: Squares,
    /// Squares of an image, below each other and side by side.
    image: [usize; 2],
    /// Reduction index of the first channel of each tap, row by row.
    indices: [usize; TAPS * TAPS],
}

/// How an instruction over taps is done by products of squares of outputs; not where the window is another, positions are no box, they or
/// taps are not a place apart, weights are wide, and where it would not save products of `products`.
pub(in crate::machine::matrix) fn of(m: &Matrix, frame: &Frame, products: usize) -> Option<SquareWay> {
    let at = frame.covered;
    let narrow = m.right_format.bits() <= MOST_BITS && (m.column_stride == 1 || m.right_stride_2 == 1);
    let outputs = [at.rows.count, at.columns.count];
    let window = [at.tap_rows.count, at.tap_columns.count];
    if !of_box(m, frame) || m.step_y != 1 || !narrow || outputs.contains(&1) || window != [TAPS; 2] {
        return None;
    }
    let mut indices = [None; TAPS * TAPS];
    let mut index = 0;
    for (y, x, channel, count) in taps(m, m.first_k, m.length) {
        let tap = TAPS * (y - at.tap_rows.first) + x - at.tap_columns.first;
        if channel != at.channels.first || count != frame.channels() || count % GROUP != 0 {
            return None;
        }
        indices[tap] = Some(index);
        index += count;
    }
    if indices.contains(&None) {
        return None;
    }
    let indices = indices.map(Option::unwrap_or_default);
    // Sums come to so many times what they are to be.
    let greatest = u64::from(m.length) << (7 + m.right_format.bits() - 1);
    if greatest * u64::from(TIMES.unsigned_abs()) >= 1 << 31 {
        return None;
    }
    let image = outputs.map(|count| count.div_ceil(2));
    let mut squares = Vec::new();
    for n in 0..at.images.count {
        for (y, x) in (0..image[0]).flat_map(|y| (0..image[1]).map(move |x| (2 * y, 2 * x))) {
            let row = (n * outputs[0] + y) * outputs[1] + x;
            squares.push(Square { row, whole: [y + 1 < outputs[0], x + 1 < outputs[1]] });
        }
    }
    let squares = Squares::new(squares, outputs[1], [frame.channels(), size(m.columns)]);
    let pays = squares.products() * 10 <= products * TENTHS && squares.bytes() <= MOST_BYTES;
    pays.then_some(SquareWay { squares, image, indices })
}

impl SquareWay {
    /// Makes the inputs of codes in a frame, of which none is negative where they are natural; false where too many are no bytes.
    #[inline(always)]
    pub(in crate::machine::matrix) fn mix(
        &self,
        kernels: Kernels,
        frame: &Frame,
        (codes, natural): (&[u8], bool),
        inputs: &mut SquareInputs,
    ) -> bool {
        inputs.bytes.hold(self.squares.bytes());
        inputs.rests.clear();
        inputs.end.clear();
        let of_image = self.image[0] * self.image[1];
        for (number, codes) in codes.chunks_exact(frame.image()).enumerate() {
            let image = Image {
                codes,
                rows: frame.rows,
                columns: frame.columns,
                channels: frame.channels(),
                natural,
            };
            kernels.mix_squares(image, self.image, number * of_image, inputs);
            if inputs.rests.len() * FEW * GROUP > self.squares.bytes() {
                return false;
            }
        }
        true
    }

    /// The sums of an instruction whose inputs are made: as [`Kernels::square_product`] has them.
    #[inline(always)]
    pub(in crate::machine::matrix) fn product(
        &self,
        kernels: Kernels,
        layout: &Layout,
        (left, right): (&Left, &mut Right),
        out: (&mut [u8], usize),
        accumulate: bool,
    ) -> Extremes {
        let weights = right.square(kernels, layout, self);
        let operands = SquareOperands {
            left: &left.squares,
            panels: weights.panels(),
            corrections: weights.corrections(left.natural),
        };
        kernels.square_product(&self.squares, operands, out, accumulate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Covered, Instr};
    use crate::program::{Plan, Program};

    /// Products of squares of outputs of what `more` says of a window over two images of 8×8 pixels of 16 channels.
    fn products(more: &str) -> Option<usize> {
        let text = format!(
            "main:\n mode dst=m0 bits=32 overflow=wrap outer_bits=32\n m.taps out=accumulator[0] out_format=32 \
             left=operand[0] left_format=8 right=weight[0] mode=m0 images=2 channels=16 columns=16 height=8 width=8 \
             image_stride=1024 row_stride=128 pixel_stride=16 right_stride_0=768 right_stride_1=256 right_stride_2=16 \
             out_stride=16 {more}\n halt\n"
        );
        let plan = Plan::new(&Program::from_text(&text, "window.s").unwrap(), "main").unwrap();
        let Instr::MTaps(m) = &plan.steps[0].instr else { panic!("no window") };
        of(m, &Frame::new(m, Covered::of(m, false), 1), usize::MAX / 10).map(|way| way.squares.products())
    }

    #[test]
    fn nine_taps_take_sixteen_products_for_four_outputs() {
        let nine = "tap_rows=3 tap_cols=3 length=144 right_format=2";
        assert_eq!(products(&format!("{nine} out_rows=6 out_cols=6 rows=72")), Some(2 * 9 * 16 * 4));
        // Squares that are not whole take as many.
        assert_eq!(products(&format!("{nine} out_rows=5 out_cols=6 rows=60")), Some(2 * 9 * 16 * 4));
        // Not what has one row, other taps, a part of them, rows two apart or wide weights.
        for none in [
            format!("{nine} out_rows=1 out_cols=6 rows=12"),
            "tap_rows=3 tap_cols=2 length=96 right_format=2 out_rows=6 out_cols=6 rows=72".to_owned(),
            "tap_rows=3 tap_cols=3 length=128 right_format=2 out_rows=6 out_cols=6 rows=72".to_owned(),
            format!("{nine} out_rows=3 out_cols=6 step_y=2 rows=36"),
            "tap_rows=3 tap_cols=3 length=144 right_format=5 out_rows=6 out_cols=6 rows=72".to_owned(),
        ] {
            assert_eq!(products(&none), None, "{none}");
        }
    }
}
