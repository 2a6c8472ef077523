//! How many bytes a move takes through the way to DRAM.

use crate::isa::{Instr, Load, Store};
use crate::spec::Machine;

/// Bytes of a load or store at its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes of DRAM, whole bursts.
    pub dram_bytes: u64,
    /// Bytes of the scratchpad, padding among them.
    pub scratchpad_bytes: u64,
}

impl Transfer {
    /// What a move moves; none for other instructions.
    pub fn of(instr: &Instr, machine: &Machine) -> Option<Transfer> {
        match instr {
            Instr::Load(m) => Some(load(m, machine)),
            Instr::Store(m) => Some(store(m, machine)),
            _ => None,
        }
    }

    /// Cycles in which bytes enter the way.
    pub fn beats(&self, machine: &Machine) -> u64 {
        self.dram_bytes.max(self.scratchpad_bytes).div_ceil(machine.dram.bytes_per_cycle.into())
    }
}

fn load(m: &Load, machine: &Machine) -> Transfer {
    let rows = u64::from(m.pad_top) + u64::from(m.rows) + u64::from(m.pad_bottom);
    let row = u64::from(m.pad_left) + u64::from(m.bytes) + u64::from(m.pad_right);
    Transfer {
        dram_bytes: dram_bytes(m.planes, m.rows, m.bytes, m.src_row, m.src_plane, machine),
        scratchpad_bytes: u64::from(m.planes) * rows * row,
    }
}

fn store(m: &Store, machine: &Machine) -> Transfer {
    Transfer {
        dram_bytes: dram_bytes(m.planes, m.rows, m.bytes, m.dst_row, m.dst_plane, machine),
        scratchpad_bytes: u64::from(m.planes) * u64::from(m.rows) * u64::from(m.bytes),
    }
}

/// Bytes of DRAM that planes of rows touch: rows that follow each other without gaps are one run, and a run is
/// whole bursts.
fn dram_bytes(planes: u32, rows: u32, bytes: u32, row: i64, plane: i64, machine: &Machine) -> u64 {
    let (planes, rows, bytes) = (u64::from(planes), u64::from(rows), u64::from(bytes));
    let follows = |stride: i64, length: u64| u64::try_from(stride).is_ok_and(|s| s == length);
    let rows_follow = rows == 1 || follows(row, bytes);
    let planes_follow = rows_follow && (planes == 1 || follows(plane, rows * bytes));
    let (runs, length) = match (rows_follow, planes_follow) {
        (_, true) => (1, planes * rows * bytes),
        (true, _) => (planes, rows * bytes),
        _ => (planes * rows, bytes),
    };
    runs * length.next_multiple_of(machine.dram.burst_bytes.max(1).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_gaps_are_one_run_of_bursts() {
        let machine = Machine::default();
        assert_eq!(machine.dram.burst_bytes, 64);
        assert_eq!(dram_bytes(2, 3, 10, 10, 30, &machine), 64);
        assert_eq!(dram_bytes(2, 3, 10, 10, 100, &machine), 2 * 64);
        assert_eq!(dram_bytes(2, 3, 10, 20, 60, &machine), 6 * 64);
    }
}
