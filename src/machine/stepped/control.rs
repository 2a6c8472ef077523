//! Control and the four queues (`isa/timing.md`: Control).

use std::collections::VecDeque;

use super::record::place;
use crate::program::Plan;

/// Executes one instruction a cycle, in program order.
pub(super) struct Control<'a> {
    plan: &'a Plan,
    depth: usize,
    /// The next instruction of another unit.
    next: usize,
    /// Control instructions that stand before it.
    before: u32,
    queues: [VecDeque<usize>; 4],
}

impl<'a> Control<'a> {
    pub(super) fn new(plan: &'a Plan, depth: usize) -> Self {
        let before = plan.steps.first().map_or(plan.control_after, |step| step.control_before);
        Control { plan, depth, next: 0, before, queues: Default::default() }
    }

    /// Whether the entry's last control instruction was executed.
    pub(super) fn has_halted(&self) -> bool {
        self.next == self.plan.steps.len() && self.before == 0
    }

    /// The instructions at the heads of the queues, the oldest first.
    pub(super) fn heads(&self) -> Vec<usize> {
        let mut heads: Vec<usize> = self.queues.iter().filter_map(|queue| queue.front().copied()).collect();
        heads.sort_unstable();
        heads
    }

    /// How many wait in each queue.
    pub(super) fn waiting(&self) -> [usize; 4] {
        self.queues.each_ref().map(VecDeque::len)
    }

    /// The head of its queue starts and leaves it.
    pub(super) fn take(&mut self, id: usize) {
        let queue = &mut self.queues[place(&self.plan.steps[id])];
        debug_assert_eq!(queue.front(), Some(&id));
        queue.pop_front();
    }

    /// One cycle, `waiting` in the queues when it began; the instruction put into a queue, if one was.
    pub(super) fn cycle(&mut self, waiting: [usize; 4]) -> Option<usize> {
        if self.before > 0 {
            self.before -= 1;
            return None;
        }
        let queue = place(self.plan.steps.get(self.next)?);
        if waiting[queue] >= self.depth {
            return None;
        }
        let issued = self.next;
        self.queues[queue].push_back(issued);
        self.next += 1;
        let after = self.plan.control_after;
        self.before = self.plan.steps.get(self.next).map_or(after, |step| step.control_before);
        Some(issued)
    }
}
