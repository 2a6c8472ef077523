//! DMA: planes of rows of bytes between DRAM and a scratchpad.

use super::State;
use super::kernels::Team;
use crate::isa::{Load, Memory, Store};

/// Bytes that one thread copies in a nanosecond, roughly; a team shares by it.
const BYTES_A_NANOSECOND: usize = 20;

/// Nanoseconds that a row takes besides its bytes.
const NANOSECONDS_A_ROW: usize = 4;

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

    /// Whether every row begins behind the end of the one before.
    fn ascends(&self) -> bool {
        let of_row = signed(self.left + self.bytes + self.right);
        let of_plane = self.to.row * (signed(self.all_rows()) - 1) + of_row;
        (self.all_rows() == 1 || self.to.row >= of_row) && (self.planes == 1 || self.to.plane >= of_plane)
    }

    /// Writes rows numbered `first` to `end` of all planes; byte 0 of `to` is that at `begin` of the memory.
    fn copy(&self, first: usize, end: usize, source: &[u8], to: &mut [u8], begin: usize) {
        let length = self.left + self.bytes + self.right;
        let (mut plane, mut row) = (first / self.all_rows(), first % self.all_rows());
        for _ in first..end {
            let to = &mut to[self.to.place(plane, row) - begin..][..length];
            match row.checked_sub(self.above).filter(|&row| row < self.rows) {
                None => to.fill(0),
                Some(row) => {
                    let from = &source[self.from.place(plane, row)..][..self.bytes];
                    if self.left + self.right == 0 {
                        to.copy_from_slice(from);
                    } else {
                        to[..self.left].fill(0);
                        to[self.left..self.left + self.bytes].copy_from_slice(from);
                        to[self.left + self.bytes..].fill(0);
                    }
                }
            }
            row += 1;
            if row == self.all_rows() {
                (plane, row) = (plane + 1, 0);
            }
        }
    }

    /// Does it, shared by a team where rows do not meet.
    fn execute(self, source: &[u8], to: &mut [u8], team: &mut Team) {
        let whole = self.joined();
        let nanoseconds = whole.planes
            * whole.all_rows()
            * (NANOSECONDS_A_ROW + (whole.left + whole.bytes + whole.right) / BYTES_A_NANOSECOND);
        let parts = team.pieces(nanoseconds);
        if parts > 1 && whole.planes * whole.all_rows() == 1 && whole.left + whole.right == 0 {
            // One row: in pieces it is several.
            return split_row(&whole, parts, source, to, team);
        }
        let rows = whole.planes * whole.all_rows();
        if parts == 1 || !whole.ascends() {
            return whole.copy(0, rows, source, to, 0);
        }
        let of_part = rows.div_ceil(parts);
        let place = |row: usize| whole.to.place(row / whole.all_rows(), row % whole.all_rows());
        let (mut pieces, mut rest, mut begin) = (Vec::with_capacity(parts), to, 0);
        for first in (0..rows).step_by(of_part) {
            let end = rows.min(first + of_part);
            let (_, behind) = rest.split_at_mut(place(first) - begin);
            begin = place(first);
            let length = if end == rows { behind.len() } else { place(end) - begin };
            let (here, behind) = behind.split_at_mut(length);
            pieces.push((first, end, here, begin));
            (rest, begin) = (behind, begin + length);
        }
        team.each(&mut pieces, |(first, end, to, begin)| whole.copy(*first, *end, source, to, *begin));
    }
}

/// Copies one row in pieces.
fn split_row(m: &Move, parts: usize, source: &[u8], to: &mut [u8], team: &mut Team) {
    let from = &source[m.from.place(0, 0)..][..m.bytes];
    let to = &mut to[m.to.place(0, 0)..][..m.bytes];
    let of_part = m.bytes.div_ceil(parts).next_multiple_of(64);
    let mut pieces: Vec<(&[u8], &mut [u8])> = from.chunks(of_part).zip(to.chunks_mut(of_part)).collect();
    team.each(&mut pieces, |(from, to)| to.copy_from_slice(from));
}

pub(super) fn load(m: &Load, state: &mut State, team: &mut Team) {
    let [operand, weight, accumulator, mask, dram] = &mut state.memories;
    let to = match m.dst.memory {
        Memory::Operand => operand,
        Memory::Weight => weight,
        Memory::Accumulator => accumulator,
        Memory::Mask | Memory::Dram => mask,
    };
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
    .execute(dram, to, team);
}

pub(super) fn store(m: &Store, state: &mut State, team: &mut Team) {
    let [operand, weight, accumulator, mask, dram] = &mut state.memories;
    let from = match m.src.memory {
        Memory::Operand => operand,
        Memory::Weight => weight,
        Memory::Accumulator => accumulator,
        Memory::Mask | Memory::Dram => mask,
    };
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
    .execute(from, dram, team);
}
