//! DMA: planes of rows of bytes between DRAM and a scratchpad.

use super::State;
use crate::isa::{Load, Memory, Store};

fn place(base: u64, plane: u64, plane_stride: i64, row: u64, row_stride: i64) -> usize {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let at = signed(base) + signed(plane) * plane_stride + signed(row) * row_stride;
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

pub(super) fn load(m: &Load, state: &mut State) {
    let [operand, weight, accumulator, mask, dram] = &mut state.memories;
    let to = match m.dst.memory {
        Memory::Operand => operand,
        Memory::Weight => weight,
        Memory::Accumulator => accumulator,
        Memory::Mask | Memory::Dram => mask,
    };
    let (bytes, left, right) = (size(m.bytes), size(m.pad_left), size(m.pad_right));
    let rows = m.pad_top + m.rows + m.pad_bottom;
    for plane in 0..u64::from(m.planes) {
        for row in 0..u64::from(rows) {
            let at = place(m.dst.offset, plane, m.dst_plane.into(), row, m.dst_row.into());
            let target = &mut to[at..at + left + bytes + right];
            match row.checked_sub(m.pad_top.into()).filter(|&r| r < m.rows.into()) {
                None => target.fill(0),
                Some(source) => {
                    let from = place(m.src.offset, plane, m.src_plane, source, m.src_row);
                    target[..left].fill(0);
                    target[left..left + bytes].copy_from_slice(&dram[from..from + bytes]);
                    target[left + bytes..].fill(0);
                }
            }
        }
    }
}

pub(super) fn store(m: &Store, state: &mut State) {
    let [operand, weight, accumulator, mask, dram] = &mut state.memories;
    let from = match m.src.memory {
        Memory::Operand => operand,
        Memory::Weight => weight,
        Memory::Accumulator => accumulator,
        Memory::Mask | Memory::Dram => mask,
    };
    let bytes = size(m.bytes);
    for plane in 0..u64::from(m.planes) {
        for row in 0..u64::from(m.rows) {
            let source = place(m.src.offset, plane, m.src_plane.into(), row, m.src_row.into());
            let target = place(m.dst.offset, plane, m.dst_plane, row, m.dst_row);
            dram[target..target + bytes].copy_from_slice(&from[source..source + bytes]);
        }
    }
}
