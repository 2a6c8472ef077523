//! Output-stationary: sums stay, operands pass, and finished sums move down behind the next fold.

use super::array::{Ahead, Array, Feed, Left, Right, rule, tree};
use super::cycle::{Cycle, Signal, Write};
use super::index;
use super::sum::{Sum, element_index, matrix};
use crate::isa::Matrix;
use crate::machine::reference::get;
use crate::machine::reference::matrix::{left_operand, left_place, right_operand, right_place};
use crate::spec::Drain;

/// Rows or columns of the product from a fold's first on, `None` beyond the last.
fn number(fold: u32, size: usize, place: usize, all: u32) -> Option<u32> {
    let number = index(fold) * size + place;
    u32::try_from(number).ok().filter(|&n| n < all)
}

/// Reduction indices of the next tree.
fn group(first: u32, tree: u32, length: u32) -> std::ops::Range<u32> {
    first..first.saturating_add(tree).min(length)
}

impl Array {
    pub(super) fn os_folds(&self, m: &Matrix) -> u32 {
        self.row_folds(m).saturating_mul(self.column_folds(m))
    }

    fn row_folds(&self, m: &Matrix) -> u32 {
        m.rows.div_ceil(u32::try_from(self.rows).unwrap_or(u32::MAX))
    }

    pub(super) fn column_folds(&self, m: &Matrix) -> u32 {
        m.columns.div_ceil(u32::try_from(self.columns).unwrap_or(u32::MAX))
    }

    /// Row and column of the product at a place of a fold; folds go down the rows first.
    fn row_of(&self, m: &Matrix, fold: u32, row: usize) -> Option<u32> {
        number(fold % self.row_folds(m), self.rows, row, m.rows)
    }

    fn column_of(&self, m: &Matrix, fold: u32, column: usize) -> Option<u32> {
        number(fold / self.row_folds(m), self.columns, column, m.columns)
    }

    /// What is read in this cycle: operands of a tree for each row and each column, and the next fold's first values.
    pub(super) fn feed_os(&mut self, feed: &mut Feed, m: &Matrix, cycle: &mut Cycle) {
        if feed.opening {
            self.read_first_values(feed, feed.fold, m, cycle);
            if feed.shifts == self.rows {
                (feed.opening, feed.shifts) = (false, 0);
            }
            return;
        }
        if feed.streamed == 0 && m.accumulate && self.drain == Drain::Ignore {
            self.place_first_values(feed, m, cycle);
        }
        if feed.streamed < m.length {
            self.read_operands(feed, m, cycle);
        }
        let another = feed.fold + 1 < feed.folds;
        if self.drain == Drain::Overlap && m.accumulate && another && feed.shifts < self.rows {
            self.read_first_values(feed, feed.fold + 1, m, cycle);
        }
    }

    fn read_operands(&mut self, feed: &mut Feed, m: &Matrix, cycle: &mut Cycle) {
        let (step, state) = (cycle.step(feed.id), cycle.state);
        let positions_reduced = matrix(step).is_some_and(|(_, reduced)| reduced);
        let cycle_read = &*cycle;
        let tree = group(feed.streamed, step.rule.tree, m.length);
        let (first, last) = (tree.start == 0, tree.end == m.length);
        let last_fold = feed.fold + 1 == feed.folds;
        for row in 0..self.rows {
            let number = self.row_of(m, feed.fold, row);
            let read = |row| {
                tree.clone().map(move |k| {
                    if cycle_read.is_watched()
                        && let Some(index) = left_place(m, positions_reduced, row, k)
                    {
                        cycle_read.reads(m.left, m.left_format, index);
                    }
                    left_operand(m, positions_reduced, state, row, k)
                })
            };
            let values = number.map(|row| read(row).collect()).unwrap_or_default();
            self.left_edge[row] = Some(Left {
                id: feed.id,
                values,
                row: number,
                first,
                last,
                begins: true,
                last_fold,
                weight_stationary: false,
            });
        }
        for column in 0..self.columns {
            let number = self.column_of(m, feed.fold, column);
            let read = |column| {
                tree.clone().map(move |k| {
                    if cycle_read.is_watched() {
                        let index = right_place(m, positions_reduced, k, column);
                        cycle_read.reads(m.right, m.right_format, index);
                    }
                    right_operand(m, positions_reduced, state, k, column)
                })
            };
            let values = number.map(|column| read(column).collect()).unwrap_or_default();
            self.right_edge[column] = Some(Right { values, column: number });
        }
        feed.streamed = tree.end;
        if last && last_fold && self.drain == Drain::Overlap {
            cycle.signal(feed.id, Signal::Read);
        }
    }

    /// Where an output goes on from.
    fn first_value(&mut self, id: usize, m: &Matrix, output: Option<(u32, u32)>, cycle: &Cycle) -> i64 {
        let Some(output) = output else { return 0 };
        cycle.reads(m.out, m.out_format, element_index(m, output));
        let held = get(cycle.state, m.out, m.out_format, element_index(m, output));
        self.outputs.go_on(id, m, rule(cycle, id), output, held)
    }

    /// One row of a fold's first values, the bottom row first.
    fn read_first_values(&mut self, feed: &mut Feed, fold: u32, m: &Matrix, cycle: &Cycle) {
        let shift = feed.shifts;
        let row = self.row_of(m, fold, self.rows - 1 - shift);
        for column in 0..self.columns {
            let output = row.zip(self.column_of(m, fold, column));
            let start = self.first_value(feed.id, m, output, cycle);
            self.ahead_edge[column] = Some(Ahead { shift, start, weights: Vec::new(), column: None });
        }
        feed.shifts += 1;
    }

    /// `ignore`: a fold's first values are there in no cycle.
    fn place_first_values(&mut self, feed: &Feed, m: &Matrix, cycle: &Cycle) {
        for row in 0..self.rows {
            for column in 0..self.columns {
                let output = self.row_of(m, feed.fold, row).zip(self.column_of(m, feed.fold, column));
                let start = self.first_value(feed.id, m, output, cycle);
                let ahead = Ahead { shift: row, start, weights: Vec::new(), column: None };
                self.elements[row * self.columns + column].ahead = Some(ahead);
            }
        }
    }

    /// A processing element joins a tree of products to its sum.
    pub(super) fn element_os(
        &mut self,
        row: usize,
        column: usize,
        left: &Left,
        right: Option<&Right>,
        cycle: &mut Cycle,
    ) {
        let (rule, bottom) = (rule(cycle, left.id), row + 1 == self.rows);
        let here = &mut self.elements[row * self.columns + column];
        if left.first {
            let start = here.ahead.take().map_or(0, |ahead| ahead.start);
            let output = left.row.zip(right.and_then(|right| right.column));
            here.sum = Some(Sum::new(left.id, output, rule, start));
            self.bottom_began |= bottom && column == 0;
        }
        let record = &mut cycle.records[left.id];
        let (Some(sum), Some(right)) = (&mut here.sum, right) else { return };
        if sum.output.is_some() {
            let (products, nonzero) = tree(&left.values, &right.values);
            sum.join(products, rule, &mut record.joins);
            record.outcome.nonzero_products += nonzero;
        }
        if !left.last {
            return;
        }
        sum.finish(rule, &mut record.joins);
        sum.ends_fold = row == 0 && column + 1 == self.columns;
        sum.ends_instruction = sum.ends_fold && left.last_fold;
        debug_assert!(here.second.is_none(), "the second register of row {row} is taken");
        here.second = here.sum.take();
        if self.drain == Drain::Ignore {
            self.read_out |= bottom && column + 1 == self.columns;
        } else if bottom {
            debug_assert!(self.moves[column].is_none(), "column {column} still moves down");
            self.moves[column] = Some(0);
        }
    }

    /// Finished sums move down a row: in move j those of rows from j on; the bottom one leaves.
    pub(super) fn move_down(&mut self, cycle: &mut Cycle) {
        for column in 0..self.columns {
            let Some(number) = self.moves[column] else { continue };
            let leaving = self.elements[(self.rows - 1) * self.columns + column].second.take();
            for row in (number + 1..self.rows).rev() {
                let above = self.elements[(row - 1) * self.columns + column].second.take();
                self.elements[row * self.columns + column].second = above;
            }
            self.moves[column] = Some(number + 1).filter(|&next| next < self.rows);
            if let Some(sum) = leaving {
                self.write_out(&sum, cycle);
            }
        }
    }

    /// `ignore`: all sums of a fold leave at once, in no cycle.
    pub(super) fn read_all_out(&mut self, cycle: &mut Cycle) {
        let mut leaving: Vec<Sum> = self.elements.iter_mut().filter_map(|e| e.second.take()).collect();
        // What ends the fold leaves last.
        leaving.sort_by_key(|sum| sum.ends_fold);
        leaving.iter().for_each(|sum| self.write_out(sum, cycle));
    }

    fn write_out(&mut self, sum: &Sum, cycle: &mut Cycle) {
        let step = cycle.step(sum.id);
        if let (Some(output), Some((m, _))) = (sum.output, matrix(step)) {
            let (value, index) = (sum.register(step.rule), element_index(m, output));
            cycle.write(Write::Element { address: m.out, format: m.out_format, index, value });
            self.outputs.left(sum, m, output, value, 0);
        }
        self.has_left(sum, cycle);
    }
}
