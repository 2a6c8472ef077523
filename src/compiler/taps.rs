//! Products reduced over taps: the forward pass and the errors of hidden layers, tiled to the machine.
//!
//! A tile has whole images, or rows of one image; some columns; and its reduction whole or in pieces that are
//! whole numbers of chunks, so that tiling never changes the order of joins. What becomes of a tile's
//! accumulators is the caller's (`finish`).

use std::fmt;

use super::CompileError;
use super::choice::Candidate;
use super::cost::{Cost, Work, halvings, image_tiles};
use super::emit::{Emitter, Place, Tile};
use super::layout::Stored;
use super::moves::{BoxMove, Extent, Region3};
use super::window::{Run, Window, bounding_taps, signed};
use crate::isa::{Format, Instr, Matrix, Memory, ModeIndex};
use crate::number::AccumulatorRule;
use crate::program::{Class, Yield};
use crate::spec::Order;

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
        let taps = bounding_taps(reduction, self.window.taps(), self.channel_block());
        // In the order of memory a piece is one run of taps.
        let run = (self.channel_block() == 0).then_some(reduction);
        RightTile::new(self.weights, self.window.taps(), self.columns, taps, run, columns, bits)
    }

    /// Every tiling that fits the scratchpads.
    pub(super) fn candidates(&self, cost: &Cost<'_>) -> Vec<Candidate<TapsTiling>> {
        let whole = self.rows.units;
        let mut spatial: Vec<(u64, u64)> = image_tiles(self.batch).iter().map(|&n| (n, whole)).collect();
        spatial.extend(halvings(whole, 1).into_iter().filter(|&u| u < whole).map(|u| (1, u)));
        let lengths = halvings(self.window.tap_count(), self.group());
        let columns = self.column_tiles();
        let tilings = spatial.iter().flat_map(|&(images, units)| {
            let lengths = &lengths;
            columns.iter().flat_map(move |&columns| {
                lengths.iter().map(move |&length| TapsTiling { images, units, columns, length })
            })
        });
        tilings.filter_map(|t| self.candidate(t, cost)).collect()
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

    /// Bytes of the greatest tile in each scratchpad; none where a tile cannot be had or loaded.
    pub(super) fn tile_bytes(&self, t: &TapsTiling) -> Option<[u64; 4]> {
        let columns = Run::new(0, t.columns);
        let left_bits = u64::from(self.left.format.bits());
        let mut bytes = [0; 4];
        let mut most = |memory: Memory, need: u64| {
            let greatest = &mut bytes[memory.index()];
            *greatest = need.next_multiple_of(8).max(*greatest);
        };
        for units in self.unit_runs(t) {
            let rows = self.unit_rows(units);
            let needs = (self.needs)(t.images, units, columns)?;
            let outputs = t.images * rows.count * self.window.out[1] * t.columns;
            most(Memory::Accumulator, self.out.bytes(outputs).next_multiple_of(8) + needs.accumulator);
            most(Memory::Mask, needs.mask);
            for piece in self.pieces(t.length) {
                let region = self.view(rows, piece).region;
                if !region.aligned(left_bits) {
                    return None;
                }
                let left = self.left.format.bytes(region.elements() * t.images).next_multiple_of(8);
                most(Memory::Operand, left + needs.operand);
                most(Memory::Weight, self.right_tile(columns, piece)?.bytes());
            }
        }
        Some(bytes)
    }

    /// What a step's product under a tiling costs, roughly; `None` when it does not fit.
    fn candidate(&self, t: TapsTiling, cost: &Cost<'_>) -> Option<Candidate<TapsTiling>> {
        let bytes = self.tile_bytes(&t)?;
        let fits = |m: Memory| bytes[m.index()] <= cost.capacity(m);
        if !Memory::SCRATCHPADS.into_iter().all(fits) {
            return None;
        }
        let unit_runs = self.unit_runs(&t);
        let (image_tiles, column_tiles) = (self.batch.div_ceil(t.images), self.columns.div_ceil(t.columns));
        let pieces = self.pieces(t.length);
        let columns = Run::new(0, t.columns);
        let left_bits = u64::from(self.left.format.bits());
        let (mut work, mut weights, mut moves) = (Work::default(), Work::default(), 0);
        for &units in &unit_runs {
            let rows = self.unit_rows(units);
            work = work + (self.needs)(t.images, units, columns)?.work;
            for &piece in &pieces {
                let region = self.view(rows, piece).region;
                moves += region.instructions(t.images);
                work = work + cost.transfer(&region, t.images, left_bits);
                let rows = t.images * rows.count * self.window.out[1];
                let product = [rows, piece.count, t.columns];
                work = work + cost.product(product, self.rule.tree, self.weight_stationary);
                weights = cost.bytes(self.right_tile(columns, piece)?.bytes(), 1);
                if pieces.len() > 1 {
                    work = work + weights;
                }
            }
        }
        let whole = work * image_tiles + if pieces.len() > 1 { Work::default() } else { weights };
        let side_by_side = Memory::SCRATCHPADS
            .into_iter()
            .all(|m| cost.twice(m, bytes[m.index()]) || m == Memory::Weight && pieces.len() == 1);
        Some(Candidate {
            tiling: t,
            cycles: column_tiles * whole.cycles(side_by_side && unit_runs.len() as u64 * image_tiles > 1),
            instructions: column_tiles * image_tiles * (moves + 10 * unit_runs.len() as u64),
        })
    }

    fn view(&self, rows: Run, reduction: Run) -> super::window::View {
        let taps = bounding_taps(reduction, self.window.taps(), self.channel_block());
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
    (0..whole.div_ceil(size)).map(|i| Run::new(i * size, size.min(whole - i * size))).collect()
}

pub(super) fn narrow(n: u64) -> u32 {
    u32::try_from(n).expect("a tile fits a scratchpad")
}

pub(super) fn small(n: i64) -> i32 {
    i32::try_from(n).expect("a tile fits a scratchpad")
}

/// The right operand of one tile: what is loaded, and where the instruction finds it.
#[derive(Debug, Clone)]
struct RightTile {
    /// What is loaded of `[outer, rows, inner]` and where it goes; one box for each DMA plane order.
    parts: Vec<Region3>,
    bits: u64,
    first: i64,
    strides: [i64; 3],
    column_stride: i64,
}

impl RightTile {
    fn new(
        weights: Weights,
        [d0, d1, d2]: [u64; 3],
        all_columns: u64,
        taps: [Run; 3],
        run: Option<Run>,
        columns: Run,
        bits: u64,
    ) -> Option<Self> {
        let flat = |run: Run| Self::flat([d0, d1, d2], all_columns, run, columns, bits);
        match weights {
            Weights::Forward => match run {
                Some(run) => flat(run),
                None => Self::boxes([d0, d1, d2], all_columns, taps, columns, bits).or_else(|| {
                    let number = |[row, col, channel]: [u64; 3]| (row * d1 + col) * d2 + channel;
                    let (first, last) = (number(taps.map(|t| t.first)), number(taps.map(Run::last)));
                    flat(Run::new(first, last + 1 - first))
                }),
            },
            Weights::Flipped => {
                // Stored [tap row, tap column, column, reduced channel]; tap indices count from the last.
                let row_first = d0 - taps[0].end();
                let col_first = d1 - taps[1].end();
                let bits_of = |n: u64| n * bits;
                let mut channel_first = taps[2].first;
                while taps[2].count < d2 && bits_of(channel_first) % 8 != 0 {
                    channel_first -= 1;
                }
                let mut channel_count = taps[2].end() - channel_first;
                while taps[2].count < d2
                    && !(channel_count * bits).is_multiple_of(8)
                    && channel_first + channel_count < d2
                {
                    channel_count += 1;
                }
                let channels = if taps[2].count == d2 {
                    Extent::full(d2)
                } else {
                    Extent::run(channel_first, channel_count, d2)
                };
                let whole = taps[0].count == d0
                    && taps[1].count == d1
                    && columns.count == all_columns
                    && channels.is_full();
                let column_extent = Extent::run(columns.first, columns.count, all_columns);
                let parts: Vec<Region3> = if whole {
                    vec![Region3::full([d0 * d1, all_columns, d2])]
                } else {
                    (0..taps[0].count)
                        .map(|r| Region3 {
                            rows: Extent::run((row_first + r) * d1 + col_first, taps[1].count, d0 * d1),
                            cols: column_extent,
                            channels,
                        })
                        .collect()
                };
                if !whole && !parts.iter().all(|p| p.aligned(bits) && (p.elements() * bits).is_multiple_of(8))
                {
                    return None;
                }
                let (cob, jt, kxb) = (signed(channels.count), signed(columns.count), signed(taps[1].count));
                let top = signed(d0) - 1 - signed(row_first);
                let left = signed(d1) - 1 - signed(col_first);
                Some(RightTile {
                    parts,
                    bits,
                    first: (top * kxb + left) * jt * cob - signed(channels.first),
                    strides: [-kxb * jt * cob, -jt * cob, 1],
                    column_stride: cob,
                })
            }
        }
    }

    /// Some channels of several taps, a box for each row of taps; none where bytes do not begin with them.
    fn boxes(
        [d0, d1, d2]: [u64; 3],
        all_columns: u64,
        [rows, cols, channels]: [Run; 3],
        columns: Run,
        bits: u64,
    ) -> Option<Self> {
        let one_run = channels.count == d2 && (cols.count == d1 || rows.count == 1);
        if one_run || rows.count * cols.count == 1 {
            return None;
        }
        let columns = Extent::run(columns.first, columns.count, all_columns);
        let whole = |channels: u64| (channels * columns.count * bits).is_multiple_of(8);
        let first = (0..=channels.first).rev().find(|&n| whole(n)).unwrap_or(0);
        let end = (channels.end()..d2).find(|&n| whole(n)).unwrap_or(d2);
        let cols_of = Extent::run(first, end - first, d2);
        let part = |tap: u64, count: u64| {
            let rows = Extent::run(tap, count, d0 * d1);
            Region3 { rows, cols: cols_of, channels: columns }
        };
        let parts: Vec<Region3> = if cols.count == d1 {
            vec![part(rows.first * d1, rows.count * d1)]
        } else {
            (rows.first..rows.end()).map(|row| part(row * d1 + cols.first, cols.count)).collect()
        };
        let width = signed(columns.count);
        let across = signed(cols_of.count) * width;
        let down = signed(cols.count) * across;
        let aligned = |p: &Region3| p.aligned(bits) && (p.elements() * bits).is_multiple_of(8);
        parts.iter().all(aligned).then(|| RightTile {
            parts,
            bits,
            first: -(signed(rows.first) * down + signed(cols.first) * across + signed(first) * width),
            strides: [down, across, width],
            column_stride: 1,
        })
    }

    /// A run of rows of the flat [taps, columns] matrix; begun early where bytes do not begin with them.
    fn flat([d0, d1, d2]: [u64; 3], all_columns: u64, run: Run, columns: Run, bits: u64) -> Option<Self> {
        let (mut first, end) = (run.first, run.end());
        while columns.count == all_columns && !(first * all_columns * bits).is_multiple_of(8) {
            first -= 1;
        }
        let rows = Extent::run(first, end - first, d0 * d1 * d2);
        let columns = Extent::run(columns.first, columns.count, all_columns);
        let width = signed(columns.count);
        let part = Region3 { rows, cols: Extent::full(1), channels: columns };
        let (c, kw) = (signed(d2), signed(d1));
        (columns.is_full() || part.aligned(bits)).then(|| RightTile {
            parts: vec![part],
            bits,
            first: -signed(first) * width,
            strides: [kw * c * width, c * width, width],
            column_stride: 1,
        })
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| (p.elements() * self.bits).div_ceil(8)).sum()
    }

    /// What to load, and the byte of the weight memory it goes to.
    fn moves(&self) -> Vec<(Region3, u64)> {
        let mut offset = 0;
        self.parts
            .iter()
            .map(|&part| {
                let at = offset;
                offset += (part.elements() * self.bits).div_ceil(8);
                (part, at)
            })
            .collect()
    }
}
