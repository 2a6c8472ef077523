//! The geometry of a windowed product: which part of the left operand a tile of it touches, and the matrix
//! instruction's window fields for that tile.

use super::moves::{Extent, Region3};
use crate::isa::{Span, TapOrder};
use crate::network::Layer;

/// A run `first..first + count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Run {
    pub(super) fn new(first: u64, count: u64) -> Self {
        Run { first, count }
    }

    pub(super) fn end(self) -> u64 {
        self.first + self.count
    }

    pub(super) fn last(self) -> u64 {
        self.first + self.count - 1
    }
}

/// The runs of each index that the flat run `range` of a `[d0, d1, d2]` box touches.
pub(super) fn bounding(range: Run, [_, d1, d2]: [u64; 3]) -> [Run; 3] {
    let (first, last) = (range.first, range.last());
    let outer = Run::new(first / (d1 * d2), last / (d1 * d2) - first / (d1 * d2) + 1);
    if outer.count > 1 {
        return [outer, Run::new(0, d1), Run::new(0, d2)];
    }
    let (first, last) = (first % (d1 * d2), last % (d1 * d2));
    let middle = Run::new(first / d2, last / d2 - first / d2 + 1);
    if middle.count > 1 {
        return [outer, middle, Run::new(0, d2)];
    }
    [outer, middle, Run::new(first % d2, last % d2 - first % d2 + 1)]
}

/// The rows, columns and channels that the run `range` of taps touches, channels in blocks of `block` (0: all at once).
pub(super) fn bounding_taps(range: Run, taps: [u64; 3], block: u64) -> [Run; 3] {
    let size = |n: u64| usize::try_from(n).expect("sizes are far below 2^63");
    let order = TapOrder::new(taps.map(size), size(block));
    let run = |span: Span| {
        let [first, count] =
            [span.first, span.count].map(|n| u64::try_from(n).expect("no span is longer than its range"));
        Run::new(first, count)
    };
    order.bounds(size(range.first), size(range.count)).map(run)
}

/// A product over windows of images: positions by taps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The left operand's image: rows, columns, channels.
    pub(super) image: [u64; 3],
    /// Positions of an image: rows, columns.
    pub(super) out: [u64; 2],
    /// Taps: rows, columns.
    pub(super) kernel: [u64; 2],
    /// Rows and columns from position to position.
    pub(super) step: u64,
    /// Rows and columns each row and column of the image stands for.
    pub(super) widen: u64,
    /// Rows above and columns left of the image where the first window begins.
    pub(super) pad: [i64; 2],
}

/// The part of the left operand a tile touches, and the window fields that make an instruction see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// What must be loaded of every image.
    pub(super) region: Region3,
    /// Window fields relative to what is loaded.
    pub(super) pad: [i64; 2],
    /// Element that channel 0 would be.
    pub(super) first: i64,
}

impl Window {
    /// A layer's forward product.
    pub(super) fn forward(layer: &Layer) -> Self {
        Window {
            image: super::layout::input_shape(layer),
            out: [layer.out_h.into(), layer.out_w.into()],
            kernel: [layer.kernel_h.into(), layer.kernel_w.into()],
            step: layer.stride.into(),
            widen: 1,
            pad: [layer.pad_top.into(), layer.pad_left.into()],
        }
    }

    /// The error of a layer's input: the layer's error map, widened, under the flipped kernel.
    pub(super) fn error(layer: &Layer) -> Self {
        Window {
            image: super::layout::map_shape(layer),
            out: [layer.input.height.into(), layer.input.width.into()],
            kernel: [layer.kernel_h.into(), layer.kernel_w.into()],
            step: 1,
            widen: layer.stride.into(),
            pad: [
                i64::from(layer.kernel_h) - 1 - i64::from(layer.pad_top),
                i64::from(layer.kernel_w) - 1 - i64::from(layer.pad_left),
            ],
        }
    }

    /// Dimensions of a tap's index.
    pub(super) fn taps(&self) -> [u64; 3] {
        [self.kernel[0], self.kernel[1], self.image[2]]
    }

    /// How many taps.
    pub(super) fn tap_count(&self) -> u64 {
        self.taps().iter().product()
    }

    /// Positions of an image.
    pub(super) fn positions(&self) -> u64 {
        self.out[0] * self.out[1]
    }

    /// What a box of positions under a box of taps touches. Positions are numbered from `rows.first`,
    /// `cols.first` on in the instruction; taps keep their own numbers.
    pub(super) fn view(&self, rows: Run, cols: Run, taps: [Run; 3]) -> View {
        let (row_extent, pad_top) = self.axis(0, rows, taps[0]);
        let (col_extent, pad_left) = self.axis(1, cols, taps[1]);
        let channels = Extent::run(taps[2].first, taps[2].count, self.image[2]);
        View {
            region: Region3 { rows: row_extent, cols: col_extent, channels },
            pad: [pad_top, pad_left],
            first: -signed(taps[2].first),
        }
    }

    fn axis(&self, axis: usize, positions: Run, taps: Run) -> (Extent, i64) {
        let (step, widen, length) = (signed(self.step), signed(self.widen), signed(self.image[axis]));
        let first = signed(positions.first) * step + signed(taps.first) - self.pad[axis];
        let last = signed(positions.last()) * step + signed(taps.last()) - self.pad[axis];
        // The least and greatest real index inside; one index where all is padding.
        let low = (first + widen - 1).div_euclid(widen).clamp(0, length - 1);
        let high = last.div_euclid(widen).clamp(low, length - 1);
        let pad = self.pad[axis] + low * widen - signed(positions.first) * step;
        let unsigned = |n: i64| u64::try_from(n).expect("clamped to the image");
        (Extent::run(unsigned(low), unsigned(high - low + 1), unsigned(length)), pad)
    }
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).expect("sizes are far below 2^63")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_within_one_tap_touches_its_channels_only() {
        let runs = bounding(Run::new(3 * 8 + 2, 4), [5, 5, 8]);
        assert_eq!(runs, [Run::new(0, 1), Run::new(3, 1), Run::new(2, 4)]);
    }

    #[test]
    fn a_range_over_kernel_rows_touches_whole_rows() {
        let runs = bounding(Run::new(39, 3), [5, 5, 8]);
        assert_eq!(runs, [Run::new(0, 2), Run::new(0, 5), Run::new(0, 8)]);
    }

    #[test]
    fn a_range_over_blocks_touches_both_blocks_channels() {
        assert_eq!(bounding_taps(Run::new(39, 3), [5, 5, 8], 0), bounding(Run::new(39, 3), [5, 5, 8]));
        // Blocks of 3, 3 and 2 channels, 75, 75 and 50 taps.
        let within = bounding_taps(Run::new(75 + 7, 2), [5, 5, 8], 3);
        assert_eq!(within, [Run::new(0, 1), Run::new(2, 1), Run::new(4, 2)]);
        let over = bounding_taps(Run::new(149, 3), [5, 5, 8], 3);
        assert_eq!(over, [Run::new(0, 5), Run::new(0, 5), Run::new(5, 3)]);
    }

    #[test]
    fn a_middle_tile_of_a_padded_convolution_loads_its_halo() {
        let window = Window { image: [8, 8, 4], out: [8, 8], kernel: [3, 3], step: 1, widen: 1, pad: [1, 1] };
        let taps = [Run::new(0, 3), Run::new(0, 3), Run::new(0, 4)];
        let view = window.view(Run::new(2, 2), Run::new(0, 8), taps);
        assert_eq!(view.region.rows, Extent::run(1, 4, 8));
        assert_eq!(view.region.cols, Extent::full(8));
        assert_eq!(view.pad, [0, 1]);
    }

    #[test]
    fn a_widened_map_loads_the_rows_that_stand_inside() {
        let window = Window { image: [4, 4, 1], out: [8, 8], kernel: [3, 3], step: 1, widen: 2, pad: [1, 1] };
        let taps = [Run::new(0, 3), Run::new(0, 3), Run::new(0, 1)];
        let view = window.view(Run::new(4, 2), Run::new(0, 8), taps);
        // rows 3..=6 of the widened map: real rows 2 (at 4) and 3 (at 6)
        assert_eq!(view.region.rows, Extent::run(2, 2, 4));
        assert_eq!(view.pad[0], 1 + 4 - 4);
    }
}
