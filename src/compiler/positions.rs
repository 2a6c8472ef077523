//! Products reduced over positions: gradients, tiled to the machine.
//!
//! A tile of accumulators (taps by columns) stays while the batch goes by in pieces: whole images, or runs of
//! positions that are whole numbers of chunks.

use std::collections::BTreeSet;
use std::fmt;

use super::CompileError;
use super::choice::Candidate;
use super::cost::{Cost, Work, halvings, image_tiles};
use super::emit::{Emitter, Place, Tile};
use super::layout::Stored;
use super::moves::{BoxMove, Extent, Region3};
use super::taps::{each_run, narrow, runs, small};
use super::window::{Run, View, Window, bounding, signed};
use crate::isa::{Format, Instr, Matrix, Memory, ModeIndex};
use crate::number::AccumulatorRule;
use crate::program::{Class, Yield};

/// A product over positions.
#[derive(Clone, Copy)]
pub(super) struct PositionsProduct<'a> {
    pub(super) layer: usize,
    pub(super) window: Window,
    pub(super) columns: u64,
    pub(super) batch: u64,
    /// Images, `[batch, rows, columns, channels]`.
    pub(super) left: Stored,
    /// Errors, `[batch, positions down, positions across, columns]`.
    pub(super) right: Stored,
    pub(super) out: Format,
    pub(super) rule: AccumulatorRule,
    pub(super) weight_stationary: bool,
    pub(super) mode: ModeIndex,
    pub(super) probe: &'a str,
    pub(super) shape: &'a [u64],
}

/// How the batch goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pieces {
    /// So many whole images at a time.
    Images(u64),
    /// So many positions at a time, wherever images end.
    Positions(u64),
}

/// A choice of tile sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PositionsTiling {
    taps: u64,
    columns: u64,
    pieces: Pieces,
}

impl fmt::Display for PositionsTiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PositionsTiling { taps, columns, pieces } = self;
        match pieces {
            Pieces::Images(n) => write!(f, "{taps} taps × {columns} columns, {n} images deep"),
            Pieces::Positions(n) => write!(f, "{taps} taps × {columns} columns, {n} positions deep"),
        }
    }
}

/// One tile of accumulators, finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) taps: Run,
    pub(super) columns: Run,
    /// Whether it is the whole gradient.
    pub(super) only: bool,
}

/// A piece of the reduction: positions of a box of images.
#[derive(Debug, Clone, Copy)]
struct Piece {
    tile: Tile,
    rows: Run,
    cols: Run,
    first_k: u64,
    length: u64,
}

/// What the pieces of the reduction look like: images, rows and columns of each, and the greatest (of equals the last).
struct Boxes {
    sizes: BTreeSet<[u64; 3]>,
    greatest: Piece,
}

impl PositionsProduct<'_> {
    fn group(&self) -> u64 {
        u64::from(self.rule.tree) * u64::from(self.rule.chunk.max(1))
    }

    /// Every tiling that fits the scratchpads.
    pub(super) fn candidates(&self, cost: &Cost<'_>) -> Vec<Candidate<PositionsTiling>> {
        let all = self.batch * self.window.positions();
        let image = self.window.positions();
        let mut pieces: Vec<Pieces> = image_tiles(self.batch)
            .into_iter()
            .filter(|&n| n == self.batch || (n * image).is_multiple_of(self.group()))
            .map(Pieces::Images)
            .collect();
        // Runs of positions where not even one image fits; the greatest that stay within an image first.
        let below = halvings(all.min(image.max(self.group())), self.group());
        pieces.extend(below.into_iter().filter(|n| n % self.group() == 0).map(Pieces::Positions));
        let [_, kernel_cols, channels] = self.window.taps();
        let mut taps = vec![self.window.tap_count()];
        for unit in [kernel_cols * channels, channels, 1] {
            taps.extend(halvings(*taps.last().expect("never empty"), unit).into_iter().skip(1));
        }
        let columns = halvings(self.columns, 1);
        // Boxes are those of pieces or taps alone: there are many more tilings.
        let pieces: Vec<_> = pieces.into_iter().filter_map(|p| Some((p, self.boxes(p)?))).collect();
        let mut found = Vec::new();
        for taps in taps {
            let tap_boxes = self.tap_boxes(taps);
            for &columns in &columns {
                let tilings = pieces.iter().map(|(p, b)| (PositionsTiling { taps, columns, pieces: *p }, b));
                found.extend(tilings.filter_map(|(t, boxes)| self.candidate(t, boxes, &tap_boxes, cost)));
            }
        }
        found
    }

    /// That no tiling fits.
    pub(super) fn no_tile(&self) -> CompileError {
        let all = self.batch * self.window.positions();
        CompileError::NoTile {
            layer: self.layer,
            phase: "gradient",
            what: format!("one tap, one column and {} positions at a time", self.group().min(all)),
        }
    }

    /// The boxes of pieces; none where there is no piece.
    fn boxes(&self, pieces: Pieces) -> Option<Boxes> {
        let size = |p: &Piece| [p.tile.count, p.rows.count, p.cols.count];
        let mut sizes = BTreeSet::new();
        let each = self.pieces(pieces).inspect(|p| {
            sizes.insert(size(p));
        });
        let greatest = each.max_by_key(|p| size(p).into_iter().product::<u64>())?;
        Some(Boxes { sizes, greatest })
    }

    /// Rows, columns and channels of boxes of so many taps: those that go over the end of a kernel row reach further than the
    /// first.
    fn tap_boxes(&self, taps: u64) -> BTreeSet<[u64; 3]> {
        let all = each_run(self.window.tap_count(), taps);
        all.map(|taps| bounding(taps, self.window.taps()).map(|run| run.count)).collect()
    }

    /// Bytes of the greatest tile in each scratchpad: as many as its windows reach, though padding may spare some.
    pub(super) fn tile_bytes(&self, t: &PositionsTiling) -> Option<[u64; 4]> {
        self.bytes(t, &self.boxes(t.pieces)?.sizes, &self.tap_boxes(t.taps))
    }

    fn bytes(
        &self,
        t: &PositionsTiling,
        pieces: &BTreeSet<[u64; 3]>,
        taps: &BTreeSet<[u64; 3]>,
    ) -> Option<[u64; 4]> {
        let axis =
            |positions: u64, taps: u64, image: u64| ((positions - 1) * self.window.step + taps).min(image);
        let [height, width, _] = self.window.image;
        let reach = |[images, rows, cols]: [u64; 3], [down, across, channels]: [u64; 3]| {
            images * axis(rows, down, height) * axis(cols, across, width) * channels
        };
        let left = pieces.iter().flat_map(|&p| taps.iter().map(move |&t| reach(p, t))).max()?;
        let right = pieces.iter().map(|[images, rows, cols]| images * rows * cols * t.columns).max()?;
        let of = |format: Format, elements: u64| format.bytes(elements).next_multiple_of(8);
        let out = self.out.bytes(t.taps * t.columns);
        Some([of(self.left.format, left), of(self.right.format, right), out, 0])
    }

    /// What a step's product under a tiling costs, roughly; `None` when it does not fit.
    fn candidate(
        &self,
        t: PositionsTiling,
        boxes: &Boxes,
        taps: &BTreeSet<[u64; 3]>,
        cost: &Cost<'_>,
    ) -> Option<Candidate<PositionsTiling>> {
        let bytes = self.bytes(&t, &boxes.sizes, taps)?;
        if !Memory::SCRATCHPADS.into_iter().all(|m| bytes[m.index()] <= cost.capacity(m)) {
            return None;
        }
        let piece = boxes.greatest;
        let count = match t.pieces {
            Pieces::Images(n) => self.batch.div_ceil(n),
            Pieces::Positions(n) => (self.batch * self.window.positions()).div_ceil(n),
        };
        let view = self.view(Run::new(0, t.taps), &piece);
        let right = self.right_region(&piece, Run::new(0, t.columns));
        let images = piece.tile.count;
        let each = cost.transfer(&view.region, images, self.left.format.bits().into())
            + cost.transfer(&right, images, self.right.format.bits().into())
            + cost.product([t.taps, piece.length, t.columns], self.rule.tree, self.weight_stationary);
        let blocks = self.window.tap_count().div_ceil(t.taps) * self.columns.div_ceil(t.columns);
        // Gradients that wait go to DRAM and come back.
        let spill =
            if blocks > 1 { cost.bytes(self.out.bytes(t.taps * t.columns), 1) * 2 } else { Work::default() };
        let work = (each * count + spill + cost.vector(t.taps * t.columns, 1)) * blocks;
        let side_by_side =
            [Memory::Operand, Memory::Weight].into_iter().all(|m| cost.twice(m, bytes[m.index()]));
        let moves = view.region.instructions(images) + right.instructions(images);
        Some(Candidate {
            tiling: t,
            cycles: work.cycles(side_by_side && blocks * count > 1),
            instructions: blocks * count * (moves + 2),
        })
    }

    /// The pieces of a tiling; of whole images only the first, which stands for all.
    fn pieces(&self, pieces: Pieces) -> impl Iterator<Item = Piece> {
        let (images, positions, size) = match pieces {
            Pieces::Images(n) => (Some(n.min(self.batch)), 0, 1),
            Pieces::Positions(n) => (None, self.batch * self.window.positions(), n),
        };
        let images = images.map(|n| self.whole_images(Tile::once(0, n)));
        images.into_iter().chain(each_run(positions, size).map(|run| self.run_piece(run)))
    }

    fn run_piece(&self, run: Run) -> Piece {
        let [rows, cols] = self.window.out;
        let [images, rows, cols] = bounding(run, [self.batch, rows, cols]);
        let tile = Tile::once(images.first, images.count);
        // Positions are numbered in the box of the images that are loaded.
        let skipped = images.first * self.window.positions()
            + if images.count == 1 { rows.first * self.window.out[1] } else { 0 }
            + if images.count == 1 && rows.count == 1 { cols.first } else { 0 };
        Piece { tile, rows, cols, first_k: run.first - skipped, length: run.count }
    }

    fn whole_images(&self, tile: Tile) -> Piece {
        let [rows, cols] = self.window.out;
        let length = tile.count * rows * cols;
        Piece { tile, rows: Run::new(0, rows), cols: Run::new(0, cols), first_k: 0, length }
    }

    fn view(&self, taps: Run, piece: &Piece) -> View {
        self.window.view(piece.rows, piece.cols, bounding(taps, self.window.taps()))
    }

    fn right_region(&self, piece: &Piece, columns: Run) -> Region3 {
        let [rows, cols] = self.window.out;
        Region3 {
            rows: Extent::run(piece.rows.first, piece.rows.count, rows),
            cols: Extent::run(piece.cols.first, piece.cols.count, cols),
            channels: Extent::run(columns.first, columns.count, self.columns),
        }
    }

    /// Emits the product; `finish` is called for each tile of accumulators, which stand at byte 0.
    pub(super) fn emit(
        &self,
        e: &mut Emitter,
        t: &PositionsTiling,
        finish: &mut dyn FnMut(&mut Emitter, &Block),
    ) {
        let only = t.taps == self.window.tap_count() && t.columns == self.columns;
        for taps in runs(self.window.tap_count(), t.taps) {
            for columns in runs(self.columns, t.columns) {
                match t.pieces {
                    Pieces::Images(n) => self.emit_images(e, taps, columns, n),
                    Pieces::Positions(_) => {
                        let pieces: Vec<Piece> = self.pieces(t.pieces).collect();
                        for (i, piece) in pieces.iter().enumerate() {
                            self.piece(e, taps, columns, piece, i > 0, i + 1 < pieces.len());
                        }
                    }
                }
                finish(e, &Block { taps, columns, only });
                e.turn(&[Memory::Accumulator]);
            }
        }
    }

    /// The first piece starts from zero, the last one finishes; a loop goes over those between.
    fn emit_images(&self, e: &mut Emitter, taps: Run, columns: Run, n: u64) {
        let count = self.batch.div_ceil(n);
        let tile = |first: u64| Tile::once(first, n.min(self.batch - first));
        self.piece(e, taps, columns, &self.whole_images(tile(0)), false, count > 1);
        if count > 2 {
            e.tiles(n, (count - 1) * n, n, &mut |e, tile| {
                self.piece(e, taps, columns, &self.whole_images(tile), true, true);
            });
        }
        if count > 1 {
            self.piece(e, taps, columns, &self.whole_images(tile((count - 1) * n)), true, false);
        }
    }

    fn piece(
        &self,
        e: &mut Emitter,
        taps: Run,
        columns: Run,
        piece: &Piece,
        accumulate: bool,
        partial: bool,
    ) {
        let view = self.view(taps, piece);
        let right = self.right_region(piece, columns);
        BoxMove { tensor: self.left, scratch: e.at(Memory::Operand, 0), region: view.region }
            .load(e, piece.tile);
        BoxMove { tensor: self.right, scratch: e.at(Memory::Weight, 0), region: right }.load(e, piece.tile);
        let region = view.region;
        let [kernel_rows, kernel_cols] = self.window.kernel;
        let (width, rows) = (signed(columns.count), signed(piece.rows.count));
        let cols = signed(piece.cols.count);
        let place = Place {
            tensor: self.probe,
            shape: self.shape.to_vec(),
            origin: taps.first * self.columns + columns.first,
            per_unit: 0,
            extents: vec![taps.count, columns.count],
            strides: vec![self.columns, 1],
            class: Class::GradientAccumulator,
        };
        let [out, left, right] = [Memory::Accumulator, Memory::Operand, Memory::Weight].map(|m| e.at(m, 0));
        e.probe(Yield::Output, place, piece.tile);
        e.push(Instr::MPositions(Matrix {
            out,
            out_format: self.out,
            left,
            left_format: self.left.format,
            right,
            right_format: self.right.format,
            mode: self.mode,
            accumulate,
            partial,
            images: narrow(piece.tile.count),
            out_rows: narrow(piece.rows.count),
            out_cols: narrow(piece.cols.count),
            tap_rows: narrow(kernel_rows),
            tap_cols: narrow(kernel_cols),
            channels: narrow(self.window.image[2]),
            channel_block: 0,
            first_row: narrow(taps.first),
            rows: narrow(taps.count),
            columns: narrow(columns.count),
            first_k: narrow(piece.first_k),
            length: narrow(piece.length),
            height: narrow(region.rows.count),
            width: narrow(region.cols.count),
            pad_top: small(view.pad[0]),
            pad_left: small(view.pad[1]),
            step_y: narrow(self.window.step),
            step_x: narrow(self.window.step),
            dilate_y: 1,
            dilate_x: 1,
            widen_y: 1,
            widen_x: 1,
            left_first: small(view.first),
            image_stride: narrow(region.elements()),
            row_stride: narrow(region.cols.count * region.channels.count),
            pixel_stride: narrow(region.channels.count),
            right_first: 0,
            right_stride_0: small(rows * cols * width),
            right_stride_1: small(cols * width),
            right_stride_2: small(width),
            column_stride: 1,
            out_stride: narrow(columns.count),
        }));
        e.turn(&[Memory::Operand, Memory::Weight]);
    }
}
