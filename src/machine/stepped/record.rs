//! What is kept of each instruction of a plan: what it touches, how far it has come, what it came to.

use super::cycle::Signal;
use crate::isa::Footprint;
use crate::isa::Unit;
use crate::machine::{Fault, Outcome};
use crate::program::Step;

/// When an instruction did what, in cycles from the entry's first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Control put it into its unit's queue.
    pub issued: u64,
    /// Its first cycle in its unit.
    pub started: u64,
    /// The first cycle in which its unit could start the next: `started` and its occupancy.
    pub unit_free: u64,
    /// The first cycle in which what it reads could be overwritten: `started` and its reading.
    pub read: u64,
    /// The first cycle in which what it writes could be read: `started` and its latency.
    pub ended: u64,
}

/// What the joins of a matrix instruction came to, every step of every sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joins {
    /// Joins that left their register's range, whatever was done then.
    pub out_of_range: u64,
    /// The least a join came to, before the register's range was applied; at most 0.
    pub least: i128,
    /// The greatest; at least 0.
    pub greatest: i128,
}

impl Joins {
    pub(super) fn joined(&mut self, exact: i128, out: bool) {
        self.out_of_range += u64::from(out);
        self.least = self.least.min(exact);
        self.greatest = self.greatest.max(exact);
    }
}

/// One instruction.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) footprint: Footprint,
    pub(super) issued: Option<u64>,
    pub(super) started: Option<u64>,
    unit_free: Option<u64>,
    read: Option<u64>,
    ended: Option<u64>,
    pub(super) outcome: Outcome,
    pub(super) joins: Joins,
    pub(super) fault: Option<Fault>,
}

impl Record {
    /// The instruction has come so far, seen from cycle `now` on.
    pub(super) fn note(&mut self, signal: Signal, now: u64) {
        let moment = match signal {
            Signal::Free => &mut self.unit_free,
            Signal::Read => &mut self.read,
            Signal::Ended => &mut self.ended,
        };
        debug_assert!(moment.is_none(), "{signal:?} once an instruction");
        *moment = Some(now);
    }

    /// In its unit, its results not all written.
    pub(super) fn is_under_way(&self) -> bool {
        self.started.is_some() && !self.has_ended()
    }

    pub(super) fn has_freed_its_unit(&self) -> bool {
        self.unit_free.is_some()
    }

    pub(super) fn has_read(&self) -> bool {
        self.read.is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn timing(&self) -> Timing {
        let moment = |moment: Option<u64>| moment.unwrap_or(0);
        Timing {
            issued: moment(self.issued),
            started: moment(self.started),
            unit_free: moment(self.unit_free),
            read: moment(self.read),
            ended: moment(self.ended),
        }
    }
}

/// Place of a unit among the four that have a queue.
pub(super) fn place(step: &Step) -> usize {
    match step.instr.unit() {
        Unit::Load | Unit::Control => 0,
        Unit::Store => 1,
        Unit::Array => 2,
        Unit::Vector => 3,
    }
}
