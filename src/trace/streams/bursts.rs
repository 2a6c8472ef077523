//! The bursts of a move, in order of time.

use crate::isa::Instr;
use crate::timing::Times;
use crate::trace::Timetable;

/// A burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Burst {
    pub(super) cycle: u64,
    pub(super) address: u64,
}

/// The bursts of one move, in order of time.
pub(super) struct Bursts {
    /// Address of the next run's first byte, by row and plane.
    first: i64,
    rows: u64,
    planes: u64,
    row: i64,
    plane: i64,
    /// Bursts of a run.
    run: u64,
    burst: u64,
    beat: u64,
    from: u64,
    /// Bursts so far.
    next: u64,
}

impl Bursts {
    /// Those of a load or a store.
    pub(super) fn of(instr: &Instr, times: &Times, table: &Timetable<'_>) -> Option<Self> {
        let dram = &table.machine.dram;
        let (at, [bytes, rows, planes], row, plane, from) = match instr {
            Instr::Load(m) => (m.src, [m.bytes, m.rows, m.planes], m.src_row, m.src_plane, times.started),
            Instr::Store(m) => {
                let from = times.started + u64::from(dram.latency_cycles);
                (m.dst, [m.bytes, m.rows, m.planes], m.dst_row, m.dst_plane, from)
            }
            _ => return None,
        };
        let [bytes, rows, planes] = [bytes, rows, planes].map(u64::from);
        // Rows that follow each other without a gap are one run, and so are planes of such rows (`isa/timing.md`).
        let follows = |stride: i64, length: u64| u64::try_from(stride).is_ok_and(|s| s == length);
        let rows_follow = rows == 1 || follows(row, bytes);
        let planes_follow = rows_follow && (planes == 1 || follows(plane, rows * bytes));
        let (length, rows, planes) = match (rows_follow, planes_follow) {
            (_, true) => (planes * rows * bytes, 1, 1),
            (true, _) => (rows * bytes, 1, planes),
            _ => (bytes, rows, planes),
        };
        let burst = u64::from(dram.burst_bytes.max(1));
        let first = i64::try_from(at.offset).unwrap_or(i64::MAX);
        let run = length.div_ceil(burst);
        Some(Bursts {
            first,
            rows,
            planes,
            row,
            plane,
            run,
            burst,
            beat: dram.bytes_per_cycle.into(),
            from,
            next: 0,
        })
    }
}

impl Iterator for Bursts {
    type Item = Burst;

    fn next(&mut self) -> Option<Burst> {
        let (run, within) = (self.next / self.run.max(1), self.next % self.run.max(1));
        if self.run == 0 || run == self.rows * self.planes {
            return None;
        }
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let start = self.first
            + signed(run / self.rows) * self.plane
            + signed(run % self.rows) * self.row
            + signed(within * self.burst);
        let cycle = self.from + self.next * self.burst / self.beat;
        self.next += 1;
        Some(Burst { cycle, address: u64::try_from(start).unwrap_or(0) })
    }
}
