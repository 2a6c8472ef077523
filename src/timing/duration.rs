//! The three durations of an instruction: when its unit, what it read and what it wrote are free (`isa/timing.md`).

use super::Transfer;
use super::work::beats;
use crate::isa::{Instr, Matrix, Unit};
use crate::program::Step;
use crate::spec::{Drain, Machine};

/// Cycles from an instruction's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Duration {
    /// Until its unit starts the next one.
    pub occupancy_cycles: u64,
    /// Until all it reads has been read.
    pub reading_cycles: u64,
    /// Until all it writes has been written.
    pub latency_cycles: u64,
}

/// Stages of the vector unit behind the first: two of arithmetic, write.
const VECTOR_STAGES: u64 = 3;

impl Duration {
    /// The durations of an instruction on a machine. Control takes one cycle and no unit.
    pub fn of(step: &Step, machine: &Machine) -> Duration {
        match &step.instr {
            Instr::MTaps(m) | Instr::MPositions(m) => matrix(m, step, machine),
            instr @ (Instr::Load(_) | Instr::Store(_)) => {
                let beats = Transfer::of(instr, machine).map_or(0, |t| t.beats(machine));
                piped(beats, machine.dram.latency_cycles.into())
            }
            instr if instr.unit() == Unit::Vector => piped(beats(instr, machine), VECTOR_STAGES),
            _ => piped(1, 0),
        }
    }
}

/// Beats that enter one a cycle and come out `stages` cycles later.
fn piped(beats: u64, stages: u64) -> Duration {
    Duration { occupancy_cycles: beats, reading_cycles: beats, latency_cycles: beats + stages }
}

/// How a product is cut to the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folds {
    /// Folds.
    pub count: u64,
    /// Cycles in which operands of a fold enter.
    pub streamed_cycles: u64,
}

impl Folds {
    /// The folds of a product of `rows` by `length` by `columns`.
    pub fn of(
        rows: u64,
        length: u64,
        columns: u64,
        tree: u32,
        weight_stationary: bool,
        machine: &Machine,
    ) -> Folds {
        let (r, c, tree) =
            (u64::from(machine.array.rows), u64::from(machine.array.columns), u64::from(tree.max(1)));
        if weight_stationary {
            Folds { count: length.div_ceil(r * tree) * columns.div_ceil(c), streamed_cycles: rows }
        } else {
            Folds { count: rows.div_ceil(r) * columns.div_ceil(c), streamed_cycles: length.div_ceil(tree) }
        }
    }

    /// The durations of an instruction of these folds; `preload_cycles` before the first values are in place.
    pub fn duration(&self, weight_stationary: bool, accumulate: bool, machine: &Machine) -> Duration {
        let (r, c) = (u64::from(machine.array.rows), u64::from(machine.array.columns));
        let (f, t) = (self.count, self.streamed_cycles);
        let preload = if accumulate && !weight_stationary { r } else { 0 };
        let one_fold = 2 * r + c + t - 2;
        let one_after_another = |pitch: u64| piped(f * pitch, 0);
        match machine.array.drain {
            Drain::Serial => one_after_another(preload + one_fold),
            Drain::Ignore if weight_stationary => one_after_another(one_fold),
            Drain::Ignore => one_after_another(one_fold - r),
            Drain::Overlap => {
                let pitch = t.max(r);
                let before_last = preload + (f - 1) * pitch;
                Duration {
                    occupancy_cycles: preload + f * pitch,
                    reading_cycles: before_last + t + if weight_stationary { r } else { 0 },
                    latency_cycles: before_last + one_fold,
                }
            }
        }
    }
}

fn folds(m: &Matrix, step: &Step, machine: &Machine) -> Folds {
    let (rows, length, columns) = (m.rows.into(), m.length.into(), m.columns.into());
    Folds::of(rows, length, columns, step.rule.tree, step.weight_stationary, machine)
}

fn matrix(m: &Matrix, step: &Step, machine: &Machine) -> Duration {
    folds(m, step, machine).duration(step.weight_stationary, m.accumulate, machine)
}

fn product(step: &Step) -> Option<&Matrix> {
    match &step.instr {
        Instr::MTaps(m) | Instr::MPositions(m) => Some(m),
        _ => None,
    }
}

/// Cycles beyond the occupancy of the product before it that a product waits for the array's registers.
pub(super) fn gap(older: &Step, younger: &Step, machine: &Machine) -> u64 {
    let (Some(before), Some(m)) = (product(older), product(younger)) else { return 0 };
    if machine.array.drain != Drain::Overlap || younger.weight_stationary || m.accumulate {
        return 0;
    }
    if older.weight_stationary {
        // Rows of the left operand enter at the same edge.
        let duration = matrix(before, older, machine);
        return duration.reading_cycles.saturating_sub(duration.occupancy_cycles);
    }
    // Two folds' sums come to the bottom of a column as many cycles apart as it has rows.
    let streamed = folds(before, older, machine).streamed_cycles.min(machine.array.rows.into());
    streamed.saturating_sub(folds(m, younger, machine).streamed_cycles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(drain: Drain) -> Machine {
        let mut machine = Machine::default();
        machine.array.drain = drain;
        machine
    }

    fn cycles(rows: u64, length: u64, columns: u64, ws: bool, drain: Drain) -> u64 {
        let machine = machine(drain);
        Folds::of(rows, length, columns, 1, ws, &machine).duration(ws, false, &machine).latency_cycles
    }

    /// SCALE-Sim 3.0.0 at 32×32: M, K, N, output-stationary, weight-stationary.
    const PUBLISHED: [(u64, u64, u64, u64, u64); 6] = [
        (784, 25, 32, 2175, 878),
        (196, 800, 64, 12068, 14500),
        (128, 3136, 512, 204_672, 348_096),
        (128, 512, 10, 2296, 3552),
        (1024, 1152, 128, 155_392, 160_992),
        (64, 2304, 512, 75712, 182_016),
    ];

    #[test]
    fn ignored_drains_give_the_published_cycles() {
        for (m, k, n, os, ws) in PUBLISHED {
            assert_eq!(cycles(m, k, n, false, Drain::Ignore), os);
            assert_eq!(cycles(m, k, n, true, Drain::Ignore), ws);
        }
    }

    #[test]
    fn a_serial_drain_adds_the_rows_of_each_output_stationary_fold() {
        for (m, k, n, os, ws) in PUBLISHED {
            let folds = m.div_ceil(32) * n.div_ceil(32);
            assert_eq!(cycles(m, k, n, false, Drain::Serial), os + 32 * folds);
            assert_eq!(cycles(m, k, n, true, Drain::Serial), ws);
        }
    }

    #[test]
    fn overlap_hides_all_but_the_last_drain() {
        let machine = machine(Drain::Overlap);
        let folds = Folds::of(196, 800, 64, 1, false, &machine);
        let d = folds.duration(false, false, &machine);
        assert_eq!((d.occupancy_cycles, d.latency_cycles), (14 * 800, 13 * 800 + 64 + 32 + 800 - 2));
        // Fewer products than rows: the drain is what paces the folds.
        let short = Folds::of(64, 9, 32, 1, false, &machine).duration(false, false, &machine);
        assert_eq!(
            (short.occupancy_cycles, short.reading_cycles, short.latency_cycles),
            (64, 41, 32 + 64 + 32 + 9 - 2)
        );
    }

    #[test]
    fn a_tree_shortens_the_stream_or_the_folds() {
        let machine = machine(Drain::Overlap);
        assert_eq!(Folds::of(32, 25, 32, 4, false, &machine), Folds { count: 1, streamed_cycles: 7 });
        assert_eq!(Folds::of(100, 256, 32, 4, true, &machine), Folds { count: 2, streamed_cycles: 100 });
    }
}
