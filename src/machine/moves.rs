//! DMA: planes of rows of bytes between DRAM and a scratchpad.

use super::kernels::prefetch;
use crate::isa::{Load, Store};

/// Rows that are fetched before their turn: more than the processor sees coming while it copies one.
const AHEAD: usize = 16;

/// One side of a move: row `r` of plane `p` begins at `base + p · plane + r · row`.
#[derive(Clone, Copy)]
struct Side {
    base: i64,
    plane: i64,
    row: i64,
}

impl Side {
    fn place(self, plane: usize, row: usize) -> usize {
        let at = self.base + signed(plane) * self.plane + signed(row) * self.row;
        usize::try_from(at).unwrap_or(usize::MAX)
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A move: where its rows come from, where they go, and the zeros around them.
struct Move {
    from: Side,
    to: Side,
    planes: usize,
    /// Rows of a plane that are copied.
    rows: usize,
    /// Bytes of a row that are copied.
    bytes: usize,
    /// Rows of zeros before the first and behind the last.
    above: usize,
    below: usize,
    /// Bytes of zeros before and behind a row.
    left: usize,
    right: usize,
}

impl Move {
    /// The same with rows that lie side by side at both ends as one, and planes likewise.
    fn joined(mut self) -> Move {
        let padded = self.above + self.below + self.left + self.right > 0;
        let side_by_side = |bytes: usize, from: i64, to: i64| from == signed(bytes) && to == from;
        if !padded && (self.rows == 1 || side_by_side(self.bytes, self.from.row, self.to.row)) {
            (self.bytes, self.rows) = (self.bytes * self.rows, 1);
            if self.planes == 1 || side_by_side(self.bytes, self.from.plane, self.to.plane) {
                (self.bytes, self.planes) = (self.bytes * self.planes, 1);
            } else {
                (self.rows, self.planes) = (self.planes, 1);
                (self.from.row, self.to.row) = (self.from.plane, self.to.plane);
            }
        }
        self
    }

    /// Rows of a plane, zeros among them.
    fn all_rows(&self) -> usize {
        self.above + self.rows + self.below
    }

    /// Does it; `from` and `to` are the bytes of the two memories from addresses on. Rows of DRAM, which `to` is where it `stores`, are
    /// fetched ahead.
    fn execute(self, (from, first_from): (&[u8], usize), (to, first_to): (&mut [u8], usize), stores: bool) {
        let whole = self.joined();
        let length = whole.left + whole.bytes + whole.right;
        for plane in 0..whole.planes {
            for row in 0..whole.all_rows() {
                if stores && row + AHEAD < whole.rows {
                    let ahead = whole.to.place(plane, row + AHEAD) - first_to;
                    prefetch(&to[ahead..][..whole.bytes], true);
                }
                let to = &mut to[whole.to.place(plane, row) - first_to..][..length];
                match row.checked_sub(whole.above).filter(|&row| row < whole.rows) {
                    None => to.fill(0),
                    Some(row) => {
                        if !stores && row + AHEAD < whole.rows {
                            let ahead = whole.from.place(plane, row + AHEAD) - first_from;
                            prefetch(&from[ahead..][..whole.bytes], false);
                        }
                        let from = &from[whole.from.place(plane, row) - first_from..][..whole.bytes];
                        if whole.left + whole.right == 0 {
                            copy(from, to);
                        } else {
                            to[..whole.left].fill(0);
                            to[whole.left..whole.left + whole.bytes].copy_from_slice(from);
                            to[whole.left + whole.bytes..].fill(0);
                        }
                    }
                }
            }
        }
    }
}

/// Copies a row; the short ones that moves mostly have without a call for each.
fn copy(from: &[u8], to: &mut [u8]) {
    fn exactly<const N: usize>(from: &[u8], to: &mut [u8]) -> Option<()> {
        *to.as_mut_array::<N>()? = *from.as_array()?;
        Some(())
    }
    let is_done = match from.len() {
        32 => exactly::<32>(from, to),
        64 => exactly::<64>(from, to),
        128 => exactly::<128>(from, to),
        _ => None,
    };
    is_done.unwrap_or_else(|| to.copy_from_slice(from));
}

/// Executes a load; `dram` are the bytes from an address on.
pub(super) fn load(m: &Load, dram: (&[u8], usize), scratchpad: &mut [u8]) {
    let base = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    Move {
        from: Side { base: base(m.src.offset), plane: m.src_plane, row: m.src_row },
        to: Side { base: base(m.dst.offset), plane: m.dst_plane.into(), row: m.dst_row.into() },
        planes: size(m.planes),
        rows: size(m.rows),
        bytes: size(m.bytes),
        above: size(m.pad_top),
        below: size(m.pad_bottom),
        left: size(m.pad_left),
        right: size(m.pad_right),
    }
    .execute(dram, (scratchpad, 0), false);
}

/// Executes a store; `dram` are the bytes from an address on.
pub(super) fn store(m: &Store, scratchpad: &[u8], dram: (&mut [u8], usize)) {
    let base = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    Move {
        from: Side { base: base(m.src.offset), plane: m.src_plane.into(), row: m.src_row.into() },
        to: Side { base: base(m.dst.offset), plane: m.dst_plane, row: m.dst_row },
        planes: size(m.planes),
        rows: size(m.rows),
        bytes: size(m.bytes),
        above: 0,
        below: 0,
        left: 0,
        right: 0,
    }
    .execute((scratchpad, 0), dram, true);
}
