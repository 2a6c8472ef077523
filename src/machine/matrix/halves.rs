//! Reductions in two halves ([`whole`](crate::program::whole)): where both can be summed together for squares of outputs, the first half is
//! counted only, and summed with the second.

use std::collections::HashMap;

use super::layout::Layout;
use super::rights::Whose;
use super::{Array, LAYOUTS, LooksAt, Prepared, safe_by_format};
use crate::isa::{Instr, Memory};
use crate::machine::kernels::compiled;
use crate::machine::{Fault, Outcome, State};
use crate::program::{Contents, Step};

/// A step, and what is known of what it finds.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Found<'a> {
    pub(in crate::machine) step: &'a Step,
    pub(in crate::machine) contents: Contents,
    /// Whether nobody looks at what it leaves before another instruction of those that are executed with it does.
    pub(in crate::machine) may_wait: bool,
}

/// Which half of a reduction a step sums, and who sums the other.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) enum Half<'a> {
    /// The first; the other is this.
    First(Found<'a>),
    /// The second.
    Second(Found<'a>),
}

/// What is known of reductions in two halves.
#[derive(Debug, Default)]
pub(super) struct Wholes {
    /// The prepared instructions that sum both, by those that sum each; none where that is not done.
    of: HashMap<[usize; 2], Option<usize>>,
    /// Right operands by those of both halves and what is known of each; by what is known of the first's alone, what is counted with that.
    rights: HashMap<([usize; 2], [Option<usize>; 2]), usize>,
}

/// Two halves that are summed together.
#[derive(Debug, Clone, Copy)]
struct Whole<'a> {
    /// The prepared instruction that sums both.
    number: usize,
    /// And those that sum each.
    halves: [(usize, Found<'a>); 2],
}

impl Array {
    /// Which operands a half looks at in memory; none where it is summed by itself.
    pub(super) fn half_looks_at(&mut self, found: Found<'_>, half: Half<'_>) -> Option<LooksAt> {
        let Whole { number, halves } = self.summed_together(found, half)?;
        let [first, second] = halves.map(|(number, half)| self.has_right(number, half.contents.right));
        Some(LooksAt {
            left: self.left_of(self.prepared[number].frame, found.contents.left).is_none(),
            right: !first || (matches!(half, Half::Second(_)) && !second),
        })
    }

    /// Executes a half, where it is not summed by itself.
    pub(super) fn half(
        &mut self,
        found: Found<'_>,
        half: Half<'_>,
        state: &mut State,
    ) -> Option<Result<Outcome, Fault>> {
        let whole = self.summed_together(found, half)?;
        self.accumulators.awaits_half = matches!(half, Half::First(_));
        if self.accumulators.awaits_half {
            return Some(Ok(self.count_first(whole, state)));
        }
        let right = self.right_of_both(whole, state);
        Some(self.bytes((whole.number, right), found, state))
    }

    /// The half and the other, where they are summed together.
    fn summed_together<'a>(&mut self, found: Found<'a>, half: Half<'a>) -> Option<Whole<'a>> {
        let (halves, is_ready) = match half {
            Half::First(second) => ([found, second], self.accumulators.under_way.is_empty()),
            Half::Second(first) => ([first, found], self.accumulators.awaits_half),
        };
        let are_known = halves.iter().all(|half| half.contents.right.is_some());
        if is_ready && are_known { self.whole(halves) } else { None }
    }

    /// The prepared instruction that sums both halves; none where it would not for squares of outputs, or formats do not prove that no
    /// register leaves its range.
    fn whole<'a>(&mut self, halves: [Found<'a>; 2]) -> Option<Whole<'a>> {
        let [one, other] = halves;
        let (Instr::MTaps(first), Instr::MTaps(second)) = (&one.step.instr, &other.step.instr) else {
            return None;
        };
        let mut numbers = [self.prepare(first, false)?, self.prepare(second, false)?];
        if self.prepared.get(numbers[0]).is_none_or(|prepared| prepared.layout.m != *first) {
            // All was forgotten when the second was prepared.
            numbers[0] = self.prepare(first, false)?;
        }
        let number = if let Some(known) = self.whole.of.get(&numbers) {
            *known
        } else {
            let [first, second] = numbers.map(|half| &self.prepared[half].layout);
            let layout = Layout::whole(first, second, self.kernels).filter(|layout| {
                safe_by_format(&layout.m, other.step.rule, 0) && layout.squares(self.kernels).is_some()
            });
            if self.prepared.len() == LAYOUTS {
                self.forget_prepared();
                return self.whole(halves);
            }
            let number = layout.map(|layout| self.add(layout, None));
            self.whole.of.insert(numbers, number);
            number
        };
        number.map(|number| Whole { number, halves: [(numbers[0], one), (numbers[1], other)] })
    }

    /// Counts the products of a first half; its sums are left to the second.
    fn count_first(&mut self, whole: Whole<'_>, state: &State) -> Outcome {
        let Whole { number, halves: [(half, first), _] } = whole;
        self.accumulators.standing.put(&self.prepared[half].layout.m, None);
        let right_of_half = self.right(half, first.contents, state);
        let own = self.place_right(whole, [first.contents.right, None]);
        let (left, is_known) = self.place_left(self.prepared[number].frame, first.contents.left);
        let Prepared { layout, frame, .. } = &self.prepared[number];
        let left = &mut self.lefts[left];
        if !is_known {
            let codes = &state.memory(Memory::Operand)
                [usize::try_from(self.prepared[half].layout.m.left.offset).unwrap_or(usize::MAX)..];
            compiled!(self.kernels, left.take(*frame, layout, codes));
            left.content = first.contents.left.map(|content| (*frame, content));
        }
        let mut right = std::mem::take(&mut self.rights[own]);
        if right.content != first.contents.right {
            right.count_with_first(layout, &self.rights[right_of_half]);
            right.content = first.contents.right;
        }
        let nonzero_products = compiled!(self.kernels, left.nonzero_over_taps(layout, right.met(layout)));
        self.rights[own] = right;
        Outcome { nonzero_products, ..Outcome::default() }
    }

    /// The right operand of both halves, which has taken their codes.
    fn right_of_both(&mut self, whole: Whole<'_>, state: &State) -> usize {
        let contents = whole.halves.map(|(_, half)| half.contents.right);
        let own = self.place_right(whole, contents);
        if self.rights[own].content != contents[1] {
            let halves = whole.halves.map(|(number, half)| self.right(number, half.contents, state));
            let mut right = std::mem::take(&mut self.rights[own]);
            right.take_halves(halves.map(|half| &self.rights[half]));
            right.content = contents[1];
            self.rights[own] = right;
        }
        own
    }

    /// Where the right operand of two halves is, or what is counted with the first.
    fn place_right(&mut self, whole: Whole<'_>, contents: [Option<usize>; 2]) -> usize {
        let weights = |(number, _): (usize, Found<'_>)| match self.prepared[number].right {
            Some(Whose::Weights(own)) => own,
            _ => unreachable!("a half is a reduction over taps"),
        };
        let of_halves = whole.halves.map(weights);
        *self.whole.rights.entry((of_halves, contents)).or_insert_with(|| self.rights.add())
    }
}
