//! Boxes of `[image, row, column, channel]` tensors moved between DRAM and a dense tile in a scratchpad.

use super::emit::{Emitter, Tile};
use super::layout::Stored;
use crate::isa::{Address, Instr, Load, Store};

/// A run of indices of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First index.
    pub(super) first: u64,
    /// How many.
    pub(super) count: u64,
    /// The dimension's length.
    pub(super) of: u64,
}

impl Extent {
    pub(super) fn full(of: u64) -> Self {
        Extent { first: 0, count: of, of }
    }

    pub(super) fn run(first: u64, count: u64, of: u64) -> Self {
        debug_assert!(first + count <= of, "{first} + {count} <= {of}");
        Extent { first, count, of }
    }

    pub(super) fn is_full(self) -> bool {
        self.count == self.of
    }
}

/// A box of one image: rows, columns, channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region3 {
    pub(super) rows: Extent,
    pub(super) cols: Extent,
    pub(super) channels: Extent,
}

impl Region3 {
    /// A whole image.
    pub(super) fn full([rows, cols, channels]: [u64; 3]) -> Self {
        Region3 { rows: Extent::full(rows), cols: Extent::full(cols), channels: Extent::full(channels) }
    }

    /// Elements of the box.
    pub(super) fn elements(&self) -> u64 {
        self.rows.count * self.cols.count * self.channels.count
    }

    /// Elements of a whole image.
    pub(super) fn image(&self) -> u64 {
        self.rows.of * self.cols.of * self.channels.of
    }

    /// Index of the box's first element in the image.
    pub(super) fn origin(&self) -> u64 {
        (self.rows.first * self.cols.of + self.cols.first) * self.channels.of + self.channels.first
    }

    /// Whether every contiguous run of the box begins and ends at whole bytes, for elements of `bits`.
    pub(super) fn aligned(&self, bits: u64) -> bool {
        let whole = |elements: u64| (elements * bits).is_multiple_of(8);
        let row = self.cols.of * self.channels.of;
        if self.channels.is_full() && self.cols.is_full() {
            self.rows.is_full()
                || (whole(self.image()) && whole(row * self.rows.first) && whole(row * self.rows.count))
        } else if self.channels.is_full() {
            whole(row)
                && whole(self.cols.first * self.channels.of)
                && whole(self.cols.count * self.channels.of)
        } else {
            whole(self.channels.of) && whole(self.channels.first) && whole(self.channels.count)
        }
    }

    /// How many DMA instructions move `images` such boxes, and how many rows of bytes.
    pub(super) fn instructions(&self, images: u64) -> u64 {
        if self.channels.is_full() || self.cols.is_full() { 1 } else { images }
    }
}

/// A strided move: planes of rows of bytes, strides in bytes of the DRAM side; the scratchpad's side is dense.
struct Move {
    planes: u64,
    rows: u64,
    bytes: u64,
    row: u64,
    plane: u64,
}

fn shape(region: &Region3, images: u64, bits: u64) -> Move {
    let bytes = |elements: u64| (elements * bits).div_ceil(8);
    let (rows, cols, channels) = (region.rows, region.cols, region.channels);
    let (image, row) = (bytes(region.image()), bytes(cols.of * channels.of));
    if channels.is_full() && cols.is_full() {
        if rows.is_full() {
            let run = bytes(images * region.image());
            Move { planes: 1, rows: 1, bytes: run, row: 0, plane: 0 }
        } else {
            let run = bytes(rows.count * cols.of * channels.of);
            Move { planes: 1, rows: images, bytes: run, row: image, plane: 0 }
        }
    } else if channels.is_full() {
        let run = bytes(cols.count * channels.of);
        Move { planes: images, rows: rows.count, bytes: run, row, plane: image }
    } else if rows.is_full() && cols.is_full() {
        let (rows, run) = (images * rows.of * cols.of, bytes(channels.count));
        Move { planes: 1, rows, bytes: run, row: bytes(channels.of), plane: 0 }
    } else if cols.is_full() {
        let (rows, run) = (rows.count * cols.of, bytes(channels.count));
        Move { planes: images, rows, bytes: run, row: bytes(channels.of), plane: image }
    } else {
        let run = bytes(channels.count);
        Move { planes: rows.count, rows: cols.count, bytes: run, row: bytes(channels.of), plane: row }
    }
}

fn narrow(n: u64) -> u32 {
    u32::try_from(n).expect("a tile fits a scratchpad")
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).expect("strides are below 2^40")
}

/// The same box of every image of a tile, between DRAM (`tensor`) and a dense tile at `scratch`.
#[derive(Clone, Copy)]
pub(super) struct BoxMove {
    pub(super) tensor: Stored,
    pub(super) scratch: Address,
    pub(super) region: Region3,
}

impl BoxMove {
    pub(super) fn load(&self, e: &mut Emitter, tile: Tile) {
        self.each(e, tile, |m, dram, scratch| {
            Instr::Load(Load {
                dst: scratch,
                src: dram,
                planes: narrow(m.planes),
                rows: narrow(m.rows),
                bytes: narrow(m.bytes),
                src_row: signed(m.row),
                src_plane: signed(m.plane),
                dst_row: if m.rows > 1 { narrow(m.bytes) } else { 0 },
                dst_plane: if m.planes > 1 { narrow(m.rows * m.bytes) } else { 0 },
                pad_top: 0,
                pad_bottom: 0,
                pad_left: 0,
                pad_right: 0,
            })
        });
    }

    pub(super) fn store(&self, e: &mut Emitter, tile: Tile) {
        self.each(e, tile, |m, dram, scratch| {
            Instr::Store(Store {
                dst: dram,
                src: scratch,
                planes: narrow(m.planes),
                rows: narrow(m.rows),
                bytes: narrow(m.bytes),
                dst_row: signed(m.row),
                dst_plane: signed(m.plane),
                src_row: if m.rows > 1 { narrow(m.bytes) } else { 0 },
                src_plane: if m.planes > 1 { narrow(m.rows * m.bytes) } else { 0 },
            })
        });
    }

    fn each(&self, e: &mut Emitter, tile: Tile, instr: impl Fn(&Move, Address, Address) -> Instr) {
        let bits = u64::from(self.tensor.format.bits());
        let image_bits = self.region.image() * bits;
        let parts = self.region.instructions(tile.count);
        let m = shape(&self.region, tile.count / parts, bits);
        for part in 0..parts {
            let dram =
                e.dram(&self.tensor, tile, image_bits, part * image_bits + self.region.origin() * bits);
            let mut scratch = self.scratch;
            scratch.offset += part * m.planes * m.rows * m.bytes;
            e.push(instr(&m, dram, scratch));
        }
    }
}
