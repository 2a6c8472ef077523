//! Products reduced over taps: the forward pass and the errors of hidden layers, tiled to the machine.
//!
//! A tile has whole images, or rows of one image; some columns; and its reduction whole or in pieces that are
//! whole numbers of chunks, so that tiling never changes the order of joins. What becomes of a tile's
//! accumulators is the caller's (`finish`).

mod right;
mod tiling;

use std::fmt;

use super::CompileError;
use super::cost::{Work, halvings};
use super::emit::{Emitter, Place, Tile};
use super::layout::Stored;
use super::moves::BoxMove;
use super::window::{Run, Window, bounding_taps};
use crate::isa::{Format, Instr, Matrix, Memory, ModeIndex};
use crate::number::AccumulatorRule;
use crate::program::{Class, Yield};
use crate::spec::Order;
use right::RightTile;

/// How the right operand lies: weights as they are, or flipped and with inputs for columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    /// `[tap rows, tap columns, reduced channels, columns]`.
    Forward,
    /// `[tap rows, tap columns, columns, reduced channels]`, taps counted from the last.
    Flipped,
}

/// Accumulators' way to what is kept of them, as tiling must know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    /// Rows of what a tile yields (pooled rows where there is a pool).
    pub(super) units: u64,
    /// Accumulator rows from unit to unit.
    pub(super) step: u64,
    /// Accumulator rows a unit needs.
    pub(super) window: u64,
}

/// A product over taps.
#[derive(Clone)]
pub(super) struct TapsProduct<'a> {
    pub(super) layer: usize,
    pub(super) phase: &'static str,
    pub(super) window: Window,
    pub(super) weights: Weights,
    pub(super) columns: u64,
    pub(super) batch: u64,
    pub(super) left: Stored,
    pub(super) right: Stored,
    pub(super) out: Format,
    pub(super) rule: AccumulatorRule,
    pub(super) order: Order,
    pub(super) weight_stationary: bool,
    pub(super) mode: ModeIndex,
    pub(super) rows: Rows,
    /// Columns may be split (the last layer's may not: its rows are compared as a whole).
    pub(super) split_columns: bool,
    /// Bytes `finish` needs for a tile of so many units and columns of so many images, and whether it can have
    /// that tile at all.
    pub(super) needs: &'a (dyn Fn(u64, Run, Run) -> Option<Needs> + Sync),
    pub(super) probe: &'a str,
    pub(super) probe_shape: Vec<u64>,
    pub(super) class: Class,
}

/// Scratchpad bytes beyond the product's own, and work.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    pub(super) operand: u64,
    pub(super) accumulator: u64,
    pub(super) mask: u64,
    pub(super) work: Work,
}

/// A choice of tile sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TapsTiling {
    images: u64,
    units: u64,
    columns: u64,
    length: u64,
}

impl fmt::Display for TapsTiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TapsTiling { images, units, columns, length } = self;
        write!(f, "{images} images × {units} rows × {columns} columns, {length} products deep")
    }
}

/// One tile as `finish` sees it: where its accumulators lie and what they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) tile: Tile,
    /// Units of rows of each image (pooled rows where there is a pool).
    pub(super) units: Run,
    /// Accumulator rows of each image.
    pub(super) rows: Run,
    pub(super) columns: Run,
    /// Free bytes of each scratchpad begin here (operand, accumulator, mask).
    pub(super) free: [u64; 3],
    /// Whether this is the only tile there is.
    pub(super) only: bool,
}

impl TapsProduct<'_> {
    fn unit_rows(&self, units: Run) -> Run {
        let first = units.first * self.rows.step;
        let count = if units.end() == self.rows.units {
            self.window.out[0] - first
        } else {
            (units.count - 1) * self.rows.step + self.rows.window
        };
        Run::new(first, count)
    }

    /// Products that must stay together: a reduction is split between chunks only.
    fn group(&self) -> u64 {
        u64::from(self.rule.tree) * u64::from(self.rule.chunk.max(1))
    }

    fn unit_runs(&self, t: &TapsTiling) -> Vec<Run> {
        runs(self.rows.units, t.units)
    }

    /// Channels of a block of the reduction; 0 where one block has all.
    fn channel_block(&self) -> u64 {
        match self.order {
            Order::Channels(block) if u64::from(block) < self.window.image[2] => block.into(),
            Order::Channels(_) | Order::Kernel => 0,
        }
    }

    /// The reduction in pieces of up to so many products: blocks of channels as whole as groups allow.
    fn pieces(&self, length: u64) -> Vec<Run> {
        let [kernel_rows, kernel_cols, _] = self.window.taps();
        let (all, group) = (self.window.tap_count(), self.group());
        let block = kernel_rows * kernel_cols * self.channel_block();
        let mut pieces = Vec::new();
        let mut first = 0;
        while first < all {
            let mut end = all.min(first + length);
            let begun = end.checked_div(block).unwrap_or(0) * block;
            if end < all && begun > first && begun.is_multiple_of(group) {
                end = begun;
            }
            pieces.push(Run::new(first, end - first));
            first = end;
        }
        pieces
    }

    fn right_tile(&self, columns: Run, reduction: Run) -> Option<RightTile> {
        let bits = u64::from(self.right.format.bits());
        let taps = self.taps_of(reduction);
        // In the order of memory a piece is one run of taps.
        let run = (self.channel_block() == 0).then_some(reduction);
        RightTile::new(self.weights, self.window.taps(), self.columns, taps, run, columns, bits)
    }

    fn column_tiles(&self) -> Vec<u64> {
        if self.split_columns && self.columns.is_multiple_of(8) {
            halvings(self.columns, 8)
        } else {
            vec![self.columns]
        }
    }

    /// That no tiling fits.
    pub(super) fn no_tile(&self) -> CompileError {
        CompileError::NoTile {
            layer: self.layer,
            phase: self.phase,
            what: format!(
                "one row of the map, {} columns and {} products at a time",
                self.column_tiles().last().copied().unwrap_or(0),
                self.group().min(self.window.tap_count())
            ),
        }
    }

    fn taps_of(&self, reduction: Run) -> [Run; 3] {
        bounding_taps(reduction, self.window.taps(), self.channel_block())
    }

    fn view(&self, rows: Run, reduction: Run) -> super::window::View {
        self.box_view(rows, self.taps_of(reduction))
    }

    fn box_view(&self, rows: Run, taps: [Run; 3]) -> super::window::View {
        self.window.view(rows, Run::new(0, self.window.out[1]), taps)
    }

    /// Emits the product: for each tile, loads, the matrix instructions, and `finish`. Tiles lie in banks.
    pub(super) fn emit(&self, e: &mut Emitter, t: &TapsTiling, finish: &mut dyn FnMut(&mut Emitter, &Done)) {
        let pieces = self.pieces(t.length);
        let unit_runs = self.unit_runs(t);
        let only = t.images == self.batch && unit_runs.len() == 1 && t.columns == self.columns;
        for columns in runs(self.columns, t.columns) {
            if let [whole] = pieces[..] {
                self.load_right(e, columns, whole);
            }
            e.tiles(0, self.batch, t.images, &mut |e, tile| {
                for &units in &unit_runs {
                    let rows = self.unit_rows(units);
                    let mut left_bytes = 0;
                    for (index, &piece) in pieces.iter().enumerate() {
                        if index > 0 {
                            e.turn(&[Memory::Operand, Memory::Weight]);
                        }
                        left_bytes = left_bytes.max(self.load_left(e, tile, rows, piece));
                        if pieces.len() > 1 {
                            self.load_right(e, columns, piece);
                        }
                        let last = index + 1 == pieces.len();
                        self.product(e, tile, rows, columns, piece, index > 0, !last);
                    }
                    let outputs = tile.count * rows.count * self.window.out[1] * columns.count;
                    let free = [left_bytes, self.out.bytes(outputs), 0].map(|b| b.next_multiple_of(8));
                    finish(e, &Done { tile, units, rows, columns, free, only });
                    e.turn(&[Memory::Operand, Memory::Accumulator, Memory::Mask]);
                    if pieces.len() > 1 {
                        e.turn(&[Memory::Weight]);
                    }
                }
            });
            if pieces.len() == 1 {
                e.turn(&[Memory::Weight]);
            }
        }
    }

    fn load_left(&self, e: &mut Emitter, tile: Tile, rows: Run, piece: Run) -> u64 {
        let region = self.view(rows, piece).region;
        let scratch = e.at(Memory::Operand, 0);
        BoxMove { tensor: self.left, scratch, region }.load(e, tile);
        self.left.format.bytes(region.elements() * tile.count)
    }

    fn load_right(&self, e: &mut Emitter, columns: Run, piece: Run) {
        let right = self.right_tile(columns, piece).expect("the tiling was checked");
        for (part, offset) in right.moves() {
            let scratch = e.at(Memory::Weight, offset);
            BoxMove { tensor: self.right, scratch, region: part }.load(e, Tile::once(0, 1));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the coordinates of one tile")]
    fn product(
        &self,
        e: &mut Emitter,
        tile: Tile,
        rows: Run,
        columns: Run,
        piece: Run,
        accumulate: bool,
        partial: bool,
    ) {
        let view = self.view(rows, piece);
        let right = self.right_tile(columns, piece).expect("the tiling was checked");
        let [kernel_rows, kernel_cols] = self.window.kernel;
        let region = view.region;
        let cols = self.window.out[1];
        let matrix = Matrix {
            out: e.at(Memory::Accumulator, 0),
            out_format: self.out,
            left: e.at(Memory::Operand, 0),
            left_format: self.left.format,
            right: e.at(Memory::Weight, 0),
            right_format: self.right.format,
            mode: self.mode,
            accumulate,
            partial,
            images: narrow(tile.count),
            out_rows: narrow(rows.count),
            out_cols: narrow(cols),
            tap_rows: narrow(kernel_rows),
            tap_cols: narrow(kernel_cols),
            channels: narrow(self.window.image[2]),
            channel_block: narrow(self.channel_block()),
            first_row: 0,
            rows: narrow(tile.count * rows.count * cols),
            columns: narrow(columns.count),
            first_k: narrow(piece.first),
            length: narrow(piece.count),
            height: narrow(region.rows.count),
            width: narrow(region.cols.count),
            pad_top: small(view.pad[0]),
            pad_left: small(view.pad[1]),
            step_y: narrow(self.window.step),
            step_x: narrow(self.window.step),
            dilate_y: 1,
            dilate_x: 1,
            widen_y: narrow(self.window.widen),
            widen_x: narrow(self.window.widen),
            left_first: small(view.first),
            image_stride: narrow(region.elements()),
            row_stride: narrow(region.cols.count * region.channels.count),
            pixel_stride: narrow(region.channels.count),
            right_first: right.first,
            right_stride_0: small(right.strides[0]),
            right_stride_1: small(right.strides[1]),
            right_stride_2: small(right.strides[2]),
            column_stride: small(right.column_stride),
            out_stride: narrow(columns.count),
        };
        let [out_rows, out_cols] = self.window.out;
        let image = out_rows * out_cols * self.columns;
        let place = Place {
            tensor: self.probe,
            shape: self.probe_shape.clone(),
            origin: tile.first * image + rows.first * cols * self.columns + columns.first,
            per_unit: image,
            extents: vec![tile.count, rows.count, cols, columns.count],
            strides: vec![image, cols * self.columns, self.columns, 1],
            class: self.class,
        };
        e.probe(Yield::Output, place, tile);
        e.push(Instr::MTaps(matrix));
    }
}

/// `0..whole` in runs of `size`.
pub(super) fn runs(whole: u64, size: u64) -> Vec<Run> {
    each_run(whole, size).collect()
}

/// The same, one after another.
pub(super) fn each_run(whole: u64, size: u64) -> impl Iterator<Item = Run> {
    (0..whole.div_ceil(size)).map(move |i| Run::new(i * size, size.min(whole - i * size)))
}

pub(super) fn narrow(n: u64) -> u32 {
    u32::try_from(n).expect("a tile fits a scratchpad")
}

pub(super) fn small(n: i64) -> i32 {
    i32::try_from(n).expect("a tile fits a scratchpad")
}
