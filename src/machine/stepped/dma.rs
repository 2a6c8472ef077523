//! The load and the store unit: beats of bytes through a pipe as long as DRAM's latency.
//!
//! A load's beat reads DRAM as it enters the pipe and writes the scratchpad as it leaves; a store's reads the scratchpad and
//! writes DRAM. DRAM moves whole bursts: a beat takes the next bytes of them, those nobody asked for among them. Zeros
//! around a load's planes come from no memory; they fill the room a beat has left.

use std::collections::VecDeque;

use super::cycle::{Cycle, Signal, Write};
use super::index;
use super::watch::MoveView;
use crate::isa::{Address, Instr, Load, Memory, Store};
use crate::spec::Machine;

/// What goes by on the DRAM side.
enum Cell {
    /// A byte that is moved: byte, row and plane.
    Byte([u32; 3]),
    /// The rest of a burst.
    Rest,
}

/// The bytes of a move as DRAM sees them: runs of whole bursts.
struct Bursts {
    bytes: u32,
    rows: u32,
    planes: u32,
    row_follows: bool,
    plane_follows: bool,
    burst: u32,
    at: [u32; 3],
    /// Place in the burst.
    in_burst: u32,
    /// The run is over, its last burst is not.
    resting: bool,
}

impl Bursts {
    /// Rows that follow each other without a gap are one run, and so are planes of such rows.
    fn new([bytes, rows, planes]: [u32; 3], row: i64, plane: i64, burst: u32) -> Self {
        let row_follows = rows == 1 || row == i64::from(bytes);
        let plane_follows = row_follows && plane == i64::from(bytes) * i64::from(rows);
        Bursts {
            bytes,
            rows,
            planes,
            row_follows,
            plane_follows,
            burst: burst.max(1),
            at: [0; 3],
            in_burst: 0,
            resting: false,
        }
    }

    fn next(&mut self) -> Option<Cell> {
        if self.resting && self.in_burst > 0 {
            self.in_burst = (self.in_burst + 1) % self.burst;
            return Some(Cell::Rest);
        }
        let here = self.at;
        let [byte, row, plane] = here;
        if plane == self.planes {
            return None;
        }
        (self.at, self.resting) = if byte + 1 < self.bytes {
            ([byte + 1, row, plane], false)
        } else if row + 1 < self.rows {
            ([0, row + 1, plane], !self.row_follows)
        } else {
            ([0, 0, plane + 1], plane + 1 == self.planes || !self.plane_follows)
        };
        self.in_burst = (self.in_burst + 1) % self.burst;
        Some(Cell::Byte(here))
    }

    fn is_over(&self) -> bool {
        self.at[2] == self.planes && self.in_burst == 0
    }
}

/// The zeros around a load's planes, in the order of their places.
struct Zeros {
    at: [u32; 3],
}

impl Zeros {
    /// The zeros of a move; a store has none.
    fn new(instr: &Instr) -> Self {
        let mut zeros = Zeros { at: [0; 3] };
        if let Instr::Load(m) = instr {
            zeros.find(m);
        }
        zeros
    }

    fn advance(&mut self, m: &Load) {
        let [byte, row, plane] = self.at;
        let last_byte = byte + 1 == m.pad_left + m.bytes + m.pad_right;
        let last_row = row + 1 == m.pad_top + m.rows + m.pad_bottom;
        self.at = match (last_byte, last_row) {
            (false, _) => [byte + 1, row, plane],
            (true, false) => [0, row + 1, plane],
            (true, true) => [0, 0, plane + 1],
        };
    }

    /// Goes on to the next zero from here.
    fn find(&mut self, m: &Load) {
        let inside = |[byte, row, _]: [u32; 3]| {
            (m.pad_top..m.pad_top + m.rows).contains(&row)
                && (m.pad_left..m.pad_left + m.bytes).contains(&byte)
        };
        while !self.is_over(m) && inside(self.at) {
            self.advance(m);
        }
    }

    /// The next zero's place in the scratchpad.
    fn next(&mut self, m: &Load) -> Option<usize> {
        if self.is_over(m) {
            return None;
        }
        let here = self.at;
        self.advance(m);
        self.find(m);
        Some(place(m.dst, here, m.dst_row.into(), m.dst_plane.into()))
    }

    fn is_over(&self, m: &Load) -> bool {
        self.at[2] == m.planes
    }
}

fn place(address: Address, [byte, row, plane]: [u32; 3], row_stride: i64, plane_stride: i64) -> usize {
    let moved = i64::from(plane) * plane_stride + i64::from(row) * row_stride + i64::from(byte);
    index(i64::try_from(address.offset).unwrap_or(i64::MAX) + moved)
}

/// What a move writes, byte for byte, when its beat leaves the pipe.
struct Beat {
    id: usize,
    memory: Memory,
    bytes: Vec<(usize, u8)>,
    last: bool,
}

/// A move whose beats are entering.
struct Moving {
    id: usize,
    bursts: Bursts,
    zeros: Zeros,
}

/// The load or the store unit.
pub(super) struct Dma {
    bytes_a_cycle: usize,
    burst: u32,
    moving: Option<Moving>,
    pipe: VecDeque<Option<Beat>>,
}

impl Dma {
    pub(super) fn new(machine: &Machine) -> Self {
        let pipe = (0..machine.dram.latency_cycles).map(|_| None).collect();
        let bytes_a_cycle = index(machine.dram.bytes_per_cycle);
        Dma { bytes_a_cycle, burst: machine.dram.burst_bytes, moving: None, pipe }
    }

    pub(super) fn start(&mut self, id: usize, instr: &Instr) {
        let bursts = match instr {
            Instr::Load(m) => Bursts::new([m.bytes, m.rows, m.planes], m.src_row, m.src_plane, self.burst),
            Instr::Store(m) => Bursts::new([m.bytes, m.rows, m.planes], m.dst_row, m.dst_plane, self.burst),
            _ => return,
        };
        self.moving = Some(Moving { id, bursts, zeros: Zeros::new(instr) });
    }

    /// What a watcher sees.
    pub(super) fn view(&self) -> MoveView {
        let in_flight = self.pipe.iter().flatten().count();
        MoveView { seq: self.moving.as_ref().map(|moving| moving.id), in_flight }
    }

    pub(super) fn cycle(&mut self, cycle: &mut Cycle) {
        let entering = self.moving.as_mut().and_then(|moving| match &cycle.step(moving.id).instr {
            Instr::Load(m) => Some(load_beat(moving, m, self.bytes_a_cycle, cycle)),
            Instr::Store(m) => Some(store_beat(moving, m, self.bytes_a_cycle, cycle)),
            _ => None,
        });
        if let Some(beat) = &entering
            && beat.last
        {
            cycle.signal(beat.id, Signal::Free);
            cycle.signal(beat.id, Signal::Read);
            self.moving = None;
        }
        self.pipe.push_back(entering);
        let Some(beat) = self.pipe.pop_front().flatten() else { return };
        for &(at, value) in &beat.bytes {
            cycle.write(Write::Byte { memory: beat.memory, at, value });
        }
        if beat.last {
            cycle.signal(beat.id, Signal::Ended);
        }
    }
}

/// The next bytes of DRAM, and zeros where the beat has room for more.
fn load_beat(moving: &mut Moving, m: &Load, bytes_a_cycle: usize, cycle: &Cycle) -> Beat {
    let dram = cycle.state.memory(Memory::Dram);
    let mut bytes = Vec::new();
    for _ in 0..bytes_a_cycle {
        if let Some(Cell::Byte(at)) = moving.bursts.next() {
            let [byte, row, plane] = at;
            let inside = [byte + m.pad_left, row + m.pad_top, plane];
            let to = place(m.dst, inside, m.dst_row.into(), m.dst_plane.into());
            cycle.reads_byte(Memory::Dram, place(m.src, at, m.src_row, m.src_plane));
            bytes.push((to, dram[place(m.src, at, m.src_row, m.src_plane)]));
        }
    }
    while bytes.len() < bytes_a_cycle
        && let Some(to) = moving.zeros.next(m)
    {
        bytes.push((to, 0));
    }
    let last = moving.bursts.is_over() && moving.zeros.is_over(m);
    Beat { id: moving.id, memory: m.dst.memory, bytes, last }
}

/// The next bytes of the bursts that DRAM is given.
fn store_beat(moving: &mut Moving, m: &Store, bytes_a_cycle: usize, cycle: &Cycle) -> Beat {
    let scratchpad = cycle.state.memory(m.src.memory);
    let mut bytes = Vec::new();
    for _ in 0..bytes_a_cycle {
        if let Some(Cell::Byte(at)) = moving.bursts.next() {
            let to = place(m.dst, at, m.dst_row, m.dst_plane);
            cycle.reads_byte(m.src.memory, place(m.src, at, m.src_row.into(), m.src_plane.into()));
            bytes.push((to, scratchpad[place(m.src, at, m.src_row.into(), m.src_plane.into())]));
        }
    }
    Beat { id: moving.id, memory: Memory::Dram, bytes, last: moving.bursts.is_over() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes and rests of a move's bursts, `b` and `-`.
    fn bursts(size: [u32; 3], row: i64, plane: i64, burst: u32) -> String {
        let mut bursts = Bursts::new(size, row, plane, burst);
        let mut seen = String::new();
        while let Some(cell) = bursts.next() {
            seen.push(if matches!(cell, Cell::Byte(_)) { 'b' } else { '-' });
        }
        assert!(bursts.is_over());
        seen
    }

    #[test]
    fn a_run_is_whole_bursts() {
        assert_eq!(bursts([5, 1, 1], 0, 0, 4), "bbbbb---");
        assert_eq!(bursts([3, 2, 1], 9, 0, 4), "bbb-bbb-");
        assert_eq!(bursts([3, 2, 1], 3, 0, 4), "bbbbbb--");
    }

    #[test]
    fn planes_are_one_run_where_their_rows_are() {
        assert_eq!(bursts([2, 2, 2], 2, 4, 3), "bbbbbbbb-");
        assert_eq!(bursts([2, 2, 2], 2, 5, 3), "bbbb--bbbb--");
        // The second plane begins behind the first's last row, but rows have gaps: a move looks at its strides.
        assert_eq!(bursts([2, 2, 2], 3, 5, 4), "bb--bb--bb--bb--");
    }
}
