//! How many bytes of each scratchpad hold live data: written, and still to be read.
//!
//! A byte is live from the cycle in which the instruction that writes it starts until the last instruction that reads what was
//! written has read its operands; what is never read is never live. Ranges go from first byte to behind the last, as the
//! scoreboard's do. Live data are of the whole entry, whatever of it is traced.

use std::collections::BTreeMap;

use super::memories::{Change, totals};
use crate::isa::{Footprint, Memory, Range};
use crate::trace::Timetable;

/// Bytes that were written together and have been read alike since.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// Behind its last byte.
    end: u64,
    /// The cycle in which their writing starts.
    written: u64,
    /// Behind the last cycle in which they are read, so far.
    read: Option<u64>,
}

/// One scratchpad as far as the plan has gone: stretches that do not overlap, by their first byte.
#[derive(Default)]
struct Content(BTreeMap<u64, Stretch>);

impl Content {
    /// Parts the stretch around a byte, if it is one's inside.
    fn part(&mut self, at: u64) {
        if let Some((_, stretch)) = self.0.range_mut(..at).next_back()
            && stretch.end > at
        {
            let behind = *stretch;
            stretch.end = at;
            self.0.insert(at, behind);
        }
    }

    fn read(&mut self, range: &Range, until: u64) {
        self.part(range.first);
        self.part(range.end);
        for (_, stretch) in self.0.range_mut(range.first..range.end) {
            stretch.read = stretch.read.max(Some(until));
        }
    }

    /// What a range held is overwritten from cycle `from` on; the lives that end so.
    fn write(&mut self, range: &Range, from: u64) -> Vec<Life> {
        self.part(range.first);
        self.part(range.end);
        let over: Vec<u64> = self.0.range(range.first..range.end).map(|(&first, _)| first).collect();
        let over = over.into_iter().filter_map(|first| Some((first, self.0.remove(&first)?)));
        let lives = over.filter_map(|(first, stretch)| stretch.life(first, from)).collect();
        if range.first < range.end {
            self.0.insert(range.first, Stretch { end: range.end, written: from, read: None });
        }
        lives
    }

    /// The lives of what nothing overwrites.
    fn rest(&self) -> impl Iterator<Item = Life> {
        self.0.iter().filter_map(|(&first, stretch)| stretch.life(first, u64::MAX))
    }
}

/// So many bytes were live in the cycles `from..to`.
struct Life {
    bytes: u64,
    from: u64,
    to: u64,
}

impl Stretch {
    /// The life of the bytes from `first` on, which ends before cycle `over`.
    fn life(&self, first: u64, over: u64) -> Option<Life> {
        Some(Life { bytes: self.end - first, from: self.written, to: self.read?.min(over) })
    }
}

/// The changes of live bytes over an execution of the plan.
pub(super) fn occupancy(table: &Timetable<'_>) -> Vec<Change> {
    let mut contents: [Content; 4] = Default::default();
    let mut lives = Vec::new();
    let place = |memory: Memory| Memory::SCRATCHPADS.iter().position(|&m| m == memory);
    for (step, times) in table.plan.steps.iter().zip(&table.schedule.times) {
        let footprint = Footprint::of(&step.instr);
        let until = times.started + table.duration(step).reading_cycles;
        for range in &footprint.reads {
            if let Some(memory) = place(range.memory) {
                contents[memory].read(range, until);
            }
        }
        for range in &footprint.writes {
            if let Some(memory) = place(range.memory) {
                lives.extend(
                    contents[memory].write(range, times.started).into_iter().map(|life| (memory, life)),
                );
            }
        }
    }
    for (memory, content) in contents.iter().enumerate() {
        lives.extend(content.rest().map(|life| (memory, life)));
    }
    let edges = lives.into_iter().flat_map(|(memory, Life { bytes, from, to })| {
        let value = i64::try_from(bytes).unwrap_or(i64::MAX);
        [Change { cycle: from, memory, value }, Change { cycle: to, memory, value: -value }]
    });
    totals(edges.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Plan, Program};
    use crate::spec::Machine;

    /// Live bytes of a scratchpad in every cycle, each byte followed alone.
    fn one_by_one(table: &Timetable<'_>, memory: Memory, bytes: u64) -> Vec<i64> {
        let end = table.schedule.times.iter().map(|times| times.ended).max().unwrap_or(0);
        let mut live = vec![0; usize::try_from(end).unwrap() + 2];
        for byte in 0..bytes {
            let mut data: Option<(u64, u64)> = None;
            let mut tell = |data: Option<(u64, u64)>, over: u64| {
                if let Some((written, read)) = data {
                    (written..read.min(over)).for_each(|cycle| live[usize::try_from(cycle).unwrap()] += 1);
                }
            };
            for (step, times) in table.plan.steps.iter().zip(&table.schedule.times) {
                let footprint = Footprint::of(&step.instr);
                let has = |ranges: &[Range]| {
                    ranges.iter().any(|r| r.memory == memory && (r.first..r.end).contains(&byte))
                };
                if let Some((_, read)) = data.as_mut().filter(|_| has(&footprint.reads)) {
                    *read = (*read).max(times.started + table.duration(step).reading_cycles);
                }
                if has(&footprint.writes) {
                    tell(data, times.started);
                    // What was never read is live in no cycle.
                    data = Some((times.started, 0));
                }
            }
            tell(data, u64::MAX);
        }
        live
    }

    #[test]
    fn live_bytes_are_those_of_every_byte_followed_alone() {
        let texts = [
            include_str!("../../../traces/example/example.s"),
            include_str!("../../../programs/dense-step.s"),
        ];
        for text in texts {
            let (program, machine) = (Program::from_text(text, "p.s").unwrap(), Machine::default());
            let entry = program.entries.keys().next().unwrap();
            let plan = Plan::new(&program, entry).unwrap();
            let table = Timetable::new(&program, &machine, &plan, &machine.energy);
            let changes = occupancy(&table);
            for (place, memory) in Memory::SCRATCHPADS.into_iter().enumerate() {
                let mut now = 0;
                for (cycle, live) in one_by_one(&table, memory, 1 << 12).into_iter().enumerate() {
                    let at = |change: &&Change| (change.cycle, change.memory) == (cycle as u64, place);
                    now = changes.iter().find(at).map_or(now, |change| change.value);
                    assert_eq!(now, live, "{} in cycle {cycle}", memory.name());
                }
            }
            assert!(changes.len() > 6, "{changes:?}");
        }
    }
}
