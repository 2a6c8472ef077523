//! Control's track: loops and their rounds inside one another. A loop is there from the cycle in which control executes its
//! `loop` to that of its last `end`; where a window takes no instruction of it, it is left out.

use std::io::Write;

use super::{Halt, Timeline};
use crate::isa::{Instr, Unit};
use crate::program::Flow;
use crate::trace::{Timetable, Window};

/// A loop or a round that has begun.
struct Open {
    name: String,
    from: u64,
    /// It is in the timeline.
    shown: bool,
}

pub(super) struct Loops<'t> {
    table: &'t Timetable<'t>,
    window: &'t Window,
    open: Vec<Open>,
}

impl<'t> Loops<'t> {
    pub(super) fn new(table: &'t Timetable<'t>, window: &'t Window) -> Self {
        Loops { table, window, open: Vec::new() }
    }

    pub(super) fn write(mut self, line: &mut Timeline<'_>) -> Result<(), Halt> {
        let table = self.table;
        let (mut seq, mut cycle) = (0, 0);
        let mut flow = Flow::new(table.program, &table.plan.entry);
        while let Some((pc, instr)) = flow.next() {
            if instr.unit() != Unit::Control {
                let times = &table.schedule.times[seq];
                let taken = self.window.takes(seq, &table.plan.steps[seq]);
                if taken && self.window.meets(times.issued, times.ended) {
                    self.show(line)?;
                }
                (seq, cycle) = (seq + 1, times.issued + 1);
                continue;
            }
            match instr {
                Instr::Loop(l) => {
                    self.begin(format!("loop ×{} at {pc}", l.count), cycle);
                    self.begin(format!("round 0 of {}", l.count), cycle + 1);
                }
                Instr::End => {
                    self.end(line, cycle + 1)?;
                    // A loop and its round stand for each loop under way; the round has just been taken off.
                    match flow.rounds().last().filter(|_| flow.rounds().len() * 2 > self.open.len()) {
                        Some(round) => {
                            self.begin(format!("round {} of {}", round.done, round.count), cycle + 1);
                        }
                        None => self.end(line, cycle + 1)?,
                    }
                }
                _ => {}
            }
            cycle += 1;
        }
        Ok(())
    }

    fn begin(&mut self, name: String, from: u64) {
        self.open.push(Open { name, from, shown: false });
    }

    /// An instruction is taken: all loops around it are shown.
    fn show(&mut self, line: &mut Timeline<'_>) -> Result<(), Halt> {
        for open in self.open.iter_mut().filter(|open| !open.shown) {
            open.shown = true;
            let (ts, name, from) = (line.at(open.from), &open.name, open.from);
            line.event(|out| {
                write!(out, "{{\"ph\":\"B\",\"pid\":1,\"tid\":2,\"ts\":{ts},\"name\":\"{name}\",\"cat\":\"loop\",\"args\":{{\"cycle\":{from}}}}}")
            })?;
        }
        Ok(())
    }

    fn end(&mut self, line: &mut Timeline<'_>, to: u64) -> Result<(), Halt> {
        match self.open.pop() {
            Some(open) if open.shown => {
                let ts = line.at(to);
                let name = &open.name;
                line.event(|out| {
                    write!(out, "{{\"ph\":\"E\",\"pid\":1,\"tid\":2,\"ts\":{ts},\"name\":\"{name}\"}}")
                })
            }
            _ => Ok(()),
        }
    }
}
