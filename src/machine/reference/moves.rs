//! `load` and `store`, a byte at a time.

use crate::isa::{Address, Load, Memory, Store};
use crate::machine::State;

fn at(address: Address, moved: i64) -> usize {
    let place = i64::try_from(address.offset).unwrap_or(i64::MAX) + moved;
    usize::try_from(place).unwrap_or(usize::MAX)
}

pub(super) fn load(m: &Load, state: &mut State) {
    let bytes = m.pad_left + m.bytes + m.pad_right;
    for plane in 0..m.planes {
        for row in 0..m.pad_top + m.rows + m.pad_bottom {
            for byte in 0..bytes {
                let inside = (m.pad_top..m.pad_top + m.rows).contains(&row)
                    && (m.pad_left..m.pad_left + m.bytes).contains(&byte);
                let value = if inside {
                    let row = i64::from(row - m.pad_top) * m.src_row;
                    let moved = i64::from(plane) * m.src_plane + row + i64::from(byte - m.pad_left);
                    state.memory(Memory::Dram)[at(m.src, moved)]
                } else {
                    0
                };
                let moved = i64::from(plane) * i64::from(m.dst_plane) + i64::from(row) * i64::from(m.dst_row);
                let place = at(m.dst, moved + i64::from(byte));
                state.memory_mut(m.dst.memory)[place] = value;
            }
        }
    }
}

pub(super) fn store(m: &Store, state: &mut State) {
    for plane in 0..m.planes {
        for row in 0..m.rows {
            for byte in 0..m.bytes {
                let moved = i64::from(plane) * i64::from(m.src_plane) + i64::from(row) * i64::from(m.src_row);
                let value = state.memory(m.src.memory)[at(m.src, moved + i64::from(byte))];
                let moved = i64::from(plane) * m.dst_plane + i64::from(row) * m.dst_row;
                let place = at(m.dst, moved + i64::from(byte));
                state.memory_mut(Memory::Dram)[place] = value;
            }
        }
    }
}
