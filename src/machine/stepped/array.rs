//! The registers of the array and how they move, the same for both dataflows (`isa/timing.md`: Matrix instructions).
//!
//! `array_os` and `array_ws` say what is read into the edges and what a processing element does with it.

use std::collections::VecDeque;

use super::array_ws::Order;
use super::cycle::{Cycle, Signal};
use super::index;
use super::sum::{Outputs, Sum, matrix};
use crate::number::AccumulatorRule;
use crate::program::Step;
use crate::spec::{Drain, Machine};

/// Left operands on their way to the right: one of each product of a tree.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) id: usize,
    pub(super) values: Vec<i64>,
    /// Row of the product, where it has one.
    pub(super) row: Option<u32>,
    /// The first of its fold.
    pub(super) first: bool,
    /// The last of its fold.
    pub(super) last: bool,
    /// The reduction begins in its fold.
    pub(super) begins: bool,
    /// Its fold is the instruction's last.
    pub(super) last_fold: bool,
    pub(super) weight_stationary: bool,
}

/// Right operands on their way down.
#[derive(Debug)]
pub(super) struct Right {
    pub(super) values: Vec<i64>,
    /// Column of the product, where it has one.
    pub(super) column: Option<u32>,
}

/// What enters ahead of a fold and stops at its row: a sum to go on from, or weights.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Which move of R brings it in: rows up to this one move.
    pub(super) shift: usize,
    /// The sum to go on from.
    pub(super) start: i64,
    pub(super) weights: Vec<i64>,
    /// Column of the product, where it has one.
    pub(super) column: Option<u32>,
}

/// The registers of one processing element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) left: Option<Left>,
    pub(super) right: Option<Right>,
    pub(super) sum: Option<Sum>,
    /// The second register: a finished sum on its way down.
    pub(super) second: Option<Sum>,
    /// The third register.
    pub(super) ahead: Option<Ahead>,
    /// Weights that stay.
    pub(super) weights: Option<Ahead>,
}

/// Lines of registers at an edge: line i has i of them, so that what is read in one cycle enters skewed.
struct Skew<T>(Vec<VecDeque<Option<T>>>);

impl<T> Skew<T> {
    fn new(lines: usize) -> Self {
        Skew((0..lines).map(|line| (0..line).map(|_| None).collect()).collect())
    }

    /// Every line takes one and gives one.
    fn shift(&mut self, edge: &mut [Option<T>]) -> Vec<Option<T>> {
        let lines = self.0.iter_mut().zip(edge);
        lines
            .map(|(line, edge)| {
                line.push_back(edge.take());
                line.pop_front().flatten()
            })
            .collect()
    }
}

/// The instruction whose operands are being read.
pub(super) struct Feed {
    pub(super) id: usize,
    pub(super) fold: u32,
    pub(super) folds: u32,
    /// Rows of sums or weights that entered ahead.
    pub(super) shifts: usize,
    /// The fold's first values have still to enter.
    pub(super) opening: bool,
    /// What was streamed: reduction indices (output-stationary), rows of the product (weight-stationary).
    pub(super) streamed: u32,
}

/// The array.
pub(super) struct Array {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) drain: Drain,
    pub(super) elements: Vec<Element>,
    pub(super) feed: Option<Feed>,
    pub(super) outputs: Outputs,
    under_way: usize,
    /// What is read in this cycle, by row.
    pub(super) left_edge: Vec<Option<Left>>,
    /// By column.
    pub(super) right_edge: Vec<Option<Right>>,
    pub(super) ahead_edge: Vec<Option<Ahead>>,
    left_skew: Skew<Left>,
    right_skew: Skew<Right>,
    ahead_skew: Skew<Ahead>,
    /// Weight-stationary: rows to read once the fold's weights are in, R registers long.
    pub(super) orders: VecDeque<Option<Order>>,
    /// Output-stationary: the move down each column is at.
    pub(super) moves: Vec<Option<usize>>,
    /// The fold's first operand has come to the bottom row.
    pub(super) bottom_began: bool,
    /// The fold's last sum has left.
    pub(super) fold_left: bool,
    /// `ignore`: the fold's last product was made.
    pub(super) read_out: bool,
}

impl Array {
    pub(super) fn new(machine: &Machine, outputs: Outputs) -> Self {
        let (rows, columns) = (index(machine.array.rows), index(machine.array.columns));
        Array {
            rows,
            columns,
            drain: machine.array.drain,
            elements: (0..rows * columns).map(|_| Element::default()).collect(),
            feed: None,
            outputs,
            under_way: 0,
            left_edge: (0..rows).map(|_| None).collect(),
            right_edge: (0..columns).map(|_| None).collect(),
            ahead_edge: (0..columns).map(|_| None).collect(),
            left_skew: Skew::new(rows),
            right_skew: Skew::new(columns),
            ahead_skew: Skew::new(columns),
            orders: (0..rows).map(|_| None).collect(),
            moves: vec![None; columns],
            bottom_began: false,
            fold_left: false,
            read_out: false,
        }
    }

    /// Exact sums of reductions not finished, when the entry is over.
    pub(super) fn into_outputs(self) -> Outputs {
        self.outputs
    }

    /// Whether the registers let an instruction begin. A weight-stationary one, and one whose first values enter ahead,
    /// read no left operand for R cycles and find the way free.
    pub(super) fn takes(&self, step: &Step) -> bool {
        let Some((m, _)) = matrix(step) else { return true };
        if step.weight_stationary || m.accumulate {
            return true;
        }
        let left_edge_is_free = self.orders.iter().all(Option::is_none);
        left_edge_is_free && self.second_registers_are_free_for(m.length.div_ceil(step.rule.tree))
    }

    /// Whether a sum finished after so many operands finds the second register empty: the last operand of the fold before
    /// must have come to the bottom row, and the first move down have been made.
    fn second_registers_are_free_for(&self, operands: u32) -> bool {
        let Some(bottom) = self.left_skew.0.last() else { return true };
        let last =
            |left: &Option<Left>| left.as_ref().is_some_and(|left| left.last && !left.weight_stationary);
        bottom.iter().rposition(last).is_none_or(|ahead| index(operands) > ahead + 1)
    }

    pub(super) fn start(&mut self, id: usize, step: &Step) {
        let Some((m, _)) = matrix(step) else { return };
        self.outputs.start(id, m);
        self.under_way += 1;
        let folds = if step.weight_stationary { self.ws_folds(step, m) } else { self.os_folds(m) };
        let mut feed = Feed { id, fold: 0, folds, shifts: 0, opening: false, streamed: 0 };
        feed.opening = !step.weight_stationary && m.accumulate && self.drain != Drain::Ignore;
        self.feed = Some(feed);
        (self.bottom_began, self.fold_left) = (false, false);
    }

    /// One cycle of every register.
    pub(super) fn cycle(&mut self, cycle: &mut Cycle) {
        if self.under_way == 0 {
            return;
        }
        self.move_down(cycle);
        let order = self.feed(cycle);
        self.orders.push_back(order);
        if let Some(order) = self.orders.pop_front().flatten() {
            self.read_row(&order, cycle);
        }
        self.shift_elements(cycle);
        if std::mem::take(&mut self.read_out) {
            self.read_all_out(cycle);
        }
        self.close(cycle);
    }

    fn feed(&mut self, cycle: &mut Cycle) -> Option<Order> {
        let mut feed = self.feed.take()?;
        let step = cycle.step(feed.id);
        let (m, _) = matrix(step)?;
        let order = if step.weight_stationary {
            self.feed_ws(&mut feed, m, cycle)
        } else {
            self.feed_os(&mut feed, m, cycle);
            None
        };
        self.feed = Some(feed);
        order
    }

    /// Operands move one element on and are used; what enters ahead moves behind them.
    fn shift_elements(&mut self, cycle: &mut Cycle) {
        let mut lefts = self.left_skew.shift(&mut self.left_edge);
        let mut rights = self.right_skew.shift(&mut self.right_edge);
        let aheads = self.ahead_skew.shift(&mut self.ahead_edge);
        // From the bottom right up, so that each takes what its neighbour held when the cycle began.
        for row in (0..self.rows).rev() {
            for column in (0..self.columns).rev() {
                let here = row * self.columns + column;
                let left = match column {
                    0 => lefts[row].take(),
                    _ => self.elements[here - 1].left.take(),
                };
                let right = match row {
                    0 => rights[column].take(),
                    _ => self.elements[here - self.columns].right.take(),
                };
                if let Some(left) = &left {
                    if left.weight_stationary {
                        self.element_ws(row, column, left, cycle);
                    } else {
                        self.element_os(row, column, left, right.as_ref(), cycle);
                    }
                }
                (self.elements[here].left, self.elements[here].right) = (left, right);
            }
        }
        for (column, ahead) in aheads.into_iter().enumerate() {
            if let Some(ahead) = ahead {
                self.move_ahead(column, ahead);
            }
        }
    }

    /// One move of R: rows up to the move's number shift, the others hold what the fold under way will still take.
    fn move_ahead(&mut self, column: usize, ahead: Ahead) {
        for row in (1..=ahead.shift).rev() {
            let above = self.elements[(row - 1) * self.columns + column].ahead.take();
            let here = &mut self.elements[row * self.columns + column].ahead;
            debug_assert!(here.is_none(), "the third register of row {row} is taken");
            *here = above;
        }
        let top = &mut self.elements[column].ahead;
        debug_assert!(top.is_none(), "the third register of the top row is taken");
        *top = Some(ahead);
    }

    /// After a sum has left: whether its fold or its instruction is over.
    pub(super) fn has_left(&mut self, sum: &Sum, cycle: &mut Cycle) {
        self.fold_left |= sum.ends_fold;
        if !sum.ends_instruction {
            return;
        }
        let step = cycle.step(sum.id);
        if let Some((m, _)) = matrix(step) {
            self.outputs.end(sum.id, step, m, &mut cycle.records[sum.id]);
        }
        self.under_way -= 1;
        cycle.signal(sum.id, Signal::Ended);
    }

    /// Whether the fold's place at the edges is free for the next.
    fn close(&mut self, cycle: &mut Cycle) {
        let Some(feed) = &self.feed else { return };
        let step = cycle.step(feed.id);
        let Some((m, _)) = matrix(step) else { return };
        let overlap = self.drain == Drain::Overlap;
        let is_over = match (overlap, step.weight_stationary) {
            (true, true) => feed.shifts == self.rows && feed.streamed == m.rows,
            (true, false) => self.bottom_began && feed.streamed >= m.length,
            (false, _) => self.fold_left,
        };
        if !is_over {
            return;
        }
        (self.bottom_began, self.fold_left) = (false, false);
        let opening = !step.weight_stationary && m.accumulate && self.drain == Drain::Serial;
        let id = feed.id;
        if feed.fold + 1 < feed.folds {
            let (fold, folds) = (feed.fold + 1, feed.folds);
            self.feed = Some(Feed { id, fold, folds, shifts: 0, opening, streamed: 0 });
            return;
        }
        self.feed = None;
        cycle.signal(id, Signal::Free);
        if !overlap {
            cycle.signal(id, Signal::Read);
        }
    }
}

/// Products of a tree, exactly, and how many of them have no zero.
pub(super) fn tree(left: &[i64], right: &[i64]) -> (i128, u64) {
    let products = left.iter().zip(right);
    products.fold((0, 0), |(sum, nonzero), (&a, &b)| {
        (sum + i128::from(a) * i128::from(b), nonzero + u64::from(a != 0 && b != 0))
    })
}

/// The rule of the instruction an operand belongs to.
pub(super) fn rule(cycle: &Cycle, id: usize) -> AccumulatorRule {
    cycle.step(id).rule
}
