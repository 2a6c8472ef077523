//! How many ports of each scratchpad are held, cycle by cycle (`isa/timing.md`, *Ports*): a unit holds one while an instruction
//! of its is under way that touches the memory, until it has read it or, where it writes, has ended.

use super::memories::{Change, totals};
use crate::isa::{Footprint, Memory, Unit};
use crate::trace::{Timetable, Window};

/// Cycles `from..to` in which a unit holds a port of a memory.
struct Held {
    memory: usize,
    from: u64,
    to: u64,
}

/// The changes of ports held that a window's instructions make.
pub(super) fn ports(table: &Timetable<'_>, window: &Window) -> Vec<Change> {
    let mut edges = Vec::new();
    for unit in [Unit::Load, Unit::Store, Unit::Array, Unit::Vector] {
        for Held { memory, from, to } in held(table, window, unit) {
            edges.push(Change { cycle: from, memory, value: 1 });
            edges.push(Change { cycle: to, memory, value: -1 });
        }
    }
    totals(edges)
}

/// When a unit holds ports, whatever of its instructions holds them.
fn held(table: &Timetable<'_>, window: &Window, unit: Unit) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    let mut last = [None; 4];
    for (_, step, times) in table.within(window).filter(|(_, step, _)| step.instr.unit() == unit) {
        let (footprint, duration) = (Footprint::of(&step.instr), table.duration(step));
        for (memory, &name) in Memory::SCRATCHPADS.iter().enumerate() {
            let cycles = match (footprint.writes_to(name), footprint.touches(name)) {
                (true, _) => duration.latency_cycles,
                (false, true) => duration.reading_cycles,
                _ => continue,
            };
            let to = times.started + cycles;
            match last[memory].and_then(|at: usize| held.get_mut(at)) {
                Some(before) if before.to >= times.started => before.to = before.to.max(to),
                _ => {
                    last[memory] = Some(held.len());
                    held.push(Held { memory, from: times.started, to });
                }
            }
        }
    }
    held
}
