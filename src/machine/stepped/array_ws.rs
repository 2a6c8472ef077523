//! Weight-stationary: weights stay, left operands pass, sums move down a row a cycle and join the accumulator memory's
//! value below the bottom row, which has no register of its own.

use super::array::{Ahead, Array, Feed, Left, rule, tree};
use super::cycle::{Cycle, Signal, Write};
use super::index;
use super::sum::{Sum, element_index, matrix};
use crate::isa::Matrix;
use crate::machine::reference::get;
use crate::machine::reference::matrix::{left_operand, left_place, right_operand, right_place};
use crate::number::join;
use crate::program::Step;
use crate::spec::Drain;

/// A row of the product whose left operands are read when the order leaves its pipe.
pub(super) struct Order {
    id: usize,
    row: u32,
    /// Fold of the reduction.
    fold: u32,
    last: bool,
    last_fold: bool,
}

impl Array {
    /// Folds of the reduction: each row of the array holds a tree of it.
    fn reduction_folds(&self, step: &Step, m: &Matrix) -> u32 {
        let rows = u32::try_from(self.rows).unwrap_or(u32::MAX);
        m.length.div_ceil(rows.saturating_mul(step.rule.tree))
    }

    pub(super) fn ws_folds(&self, step: &Step, m: &Matrix) -> u32 {
        self.reduction_folds(step, m).saturating_mul(self.column_folds(m))
    }

    /// Reduction indices of a row of the array in a fold.
    fn tree_of(&self, step: &Step, m: &Matrix, fold: u32, row: usize) -> std::ops::Range<u32> {
        let tree = index(step.rule.tree);
        let first = (index(fold) * self.rows + row).saturating_mul(tree);
        let held = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).min(m.length);
        held(first)..held(first.saturating_add(tree))
    }

    /// What enters in this cycle: a row of weights, the bottom one first, and the order for a row of left operands.
    pub(super) fn feed_ws(&mut self, feed: &mut Feed, m: &Matrix, cycle: &Cycle) -> Option<Order> {
        let folds = self.reduction_folds(cycle.step(feed.id), m);
        let (fold, column_fold) = (feed.fold % folds, feed.fold / folds);
        if feed.shifts < self.rows {
            self.read_weights(feed, [fold, column_fold], m, cycle);
            feed.shifts += 1;
        }
        if feed.streamed == m.rows {
            return None;
        }
        let row = feed.streamed;
        feed.streamed += 1;
        let (last, last_fold) = (feed.streamed == m.rows, feed.fold + 1 == feed.folds);
        Some(Order { id: feed.id, row, fold, last, last_fold })
    }

    fn read_weights(&mut self, feed: &Feed, [fold, column_fold]: [u32; 2], m: &Matrix, cycle: &Cycle) {
        let (step, state) = (cycle.step(feed.id), cycle.state);
        let positions_reduced = matrix(step).is_some_and(|(_, reduced)| reduced);
        let tree = self.tree_of(step, m, fold, self.rows - 1 - feed.shifts);
        for place in 0..self.columns {
            let number = u32::try_from(index(column_fold) * self.columns + place).ok();
            let column = number.filter(|&n| n < m.columns);
            let read = |column| {
                tree.clone().map(move |k| {
                    if cycle.is_watched() {
                        let index = right_place(m, positions_reduced, k, column);
                        cycle.reads(m.right, m.right_format, index);
                    }
                    right_operand(m, positions_reduced, state, k, column)
                })
            };
            let weights = column.map(|column| read(column).collect()).unwrap_or_default();
            self.ahead_edge[place] = Some(Ahead { shift: feed.shifts, start: 0, weights, column });
        }
    }

    /// An order leaves its pipe: a row of the product is read, a tree for each row of the array.
    pub(super) fn read_row(&mut self, order: &Order, cycle: &mut Cycle) {
        let step = cycle.step(order.id);
        let Some((m, positions_reduced)) = matrix(step) else { return };
        for row in 0..self.rows {
            let tree = self.tree_of(step, m, order.fold, row);
            let read = |k| {
                if cycle.is_watched()
                    && let Some(index) = left_place(m, positions_reduced, order.row, k)
                {
                    cycle.reads(m.left, m.left_format, index);
                }
                left_operand(m, positions_reduced, cycle.state, order.row, k)
            };
            debug_assert!(self.left_edge[row].is_none(), "the left edge is taken");
            self.left_edge[row] = Some(Left {
                id: order.id,
                values: tree.map(read).collect(),
                row: Some(order.row),
                first: order.row == 0,
                last: order.last,
                begins: order.fold == 0,
                last_fold: order.last_fold,
                weight_stationary: true,
            });
        }
        if order.last && order.last_fold && self.drain == Drain::Overlap {
            cycle.signal(order.id, Signal::Read);
        }
    }

    /// A processing element joins a tree of products to the sum from above and hands it down.
    pub(super) fn element_ws(&mut self, row: usize, column: usize, left: &Left, cycle: &mut Cycle) {
        let rule = rule(cycle, left.id);
        let from_above = match row {
            0 => None,
            _ => self.elements[(row - 1) * self.columns + column].sum.take(),
        };
        let here = &mut self.elements[row * self.columns + column];
        if left.first {
            here.weights = here.ahead.take();
        }
        let Some(weights) = &here.weights else { return };
        let output = left.row.zip(weights.column);
        // The inner register of the contract: it starts from 0 in each fold of the reduction.
        let mut sum = from_above.unwrap_or_else(|| Sum::new(left.id, output, rule, 0));
        if sum.output.is_some() && !left.values.is_empty() {
            let (products, nonzero) = tree(&left.values, &weights.weights);
            let record = &mut cycle.records[left.id];
            sum.join_inner(products, rule, &mut record.joins);
            record.outcome.nonzero_products += nonzero;
        }
        if row + 1 < self.rows {
            here.sum = Some(sum);
            return;
        }
        sum.ends_fold = left.last && column + 1 == self.columns;
        sum.ends_instruction = sum.ends_fold && left.last_fold;
        self.join_memory(&sum, left.begins, cycle);
    }

    /// A column's sum joins the outer register, which is the accumulator memory's element.
    fn join_memory(&mut self, sum: &Sum, begins: bool, cycle: &mut Cycle) {
        let step = cycle.step(sum.id);
        if let (Some(output), Some((m, _))) = (sum.output, matrix(step)) {
            let index = element_index(m, output);
            if !begins || m.accumulate {
                cycle.reads(m.out, m.out_format, index);
            }
            let held = get(cycle.state, m.out, m.out_format, index);
            let outer = match (begins, m.accumulate) {
                (false, _) => held,
                (true, true) => self.outputs.go_on(sum.id, m, step.rule, output, held),
                (true, false) => 0,
            };
            let (value, out) = join(outer, sum.inner.into(), step.rule.outer_bits, step.rule.overflow);
            cycle.records[sum.id].joins.joined(i128::from(outer) + i128::from(sum.inner), out);
            cycle.write(Write::Element { address: m.out, format: m.out_format, index, value });
            self.outputs.left(sum, m, output, value, u64::from(out));
        }
        self.has_left(sum, cycle);
    }
}
