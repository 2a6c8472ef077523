//! How many ports of each scratchpad are held, cycle by cycle (`isa/timing.md`, *Ports*): a unit holds one while an instruction
//! of its is under way that touches the memory, until it has read it or, where it writes, has ended.

use super::{Timetable, Window};
use crate::isa::{Footprint, Memory, Unit};

/// Cycles `from..to` in which a unit holds a port of a memory.
struct Held {
    memory: usize,
    from: u64,
    to: u64,
}

/// From a cycle on, so many ports of a memory are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ports {
    pub(super) cycle: u64,
    pub(super) memory: usize,
    pub(super) held: i64,
}

/// The changes of all scratchpads that a window's instructions make, in order of time.
pub(super) fn ports(table: &Timetable<'_>, window: &Window) -> Vec<Ports> {
    let mut edges = Vec::new();
    for unit in [Unit::Load, Unit::Store, Unit::Array, Unit::Vector] {
        for Held { memory, from, to } in held(table, window, unit) {
            edges.push(Ports { cycle: from, memory, held: 1 });
            edges.push(Ports { cycle: to, memory, held: -1 });
        }
    }
    edges.sort_unstable();
    let mut counts = [0; 4];
    let mut changes: Vec<Ports> = Vec::new();
    for Ports { cycle, memory, held } in edges {
        counts[memory] += held;
        let now = Ports { cycle, memory, held: counts[memory] };
        match changes.iter_mut().rev().take_while(|c| c.cycle == cycle).find(|c| c.memory == memory) {
            Some(change) => *change = now,
            None => changes.push(now),
        }
    }
    changes
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
