//! Whether a label is among the five greatest outputs: the host reads the last layer's accumulators of an evaluated batch, as it
//! reads predictions. Nothing of training depends on it.

use crate::isa::Memory;
use crate::machine::{State, element};
use crate::program::{Program, Tensor};

/// Classes from which on the error of five guesses is told.
const FEWEST_CLASSES: u32 = 20;

/// The outputs of a batch, where there are classes enough to guess five.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outputs<'a>(&'a Tensor, u64);

impl<'a> Outputs<'a> {
    pub(super) fn of(program: &'a Program) -> Option<Self> {
        let training = program.training.as_ref().filter(|t| t.classes >= FEWEST_CLASSES)?;
        let last = training.layers.len().checked_sub(1)?;
        let tensor = program.tensor(&format!("layer.{last}.waiting"))?;
        Some(Outputs(tensor, training.classes.into()))
    }

    /// How many of the batch's first images, which have these labels, have their label among the five greatest.
    pub(super) fn right(&self, state: &State, labels: &[u16]) -> u64 {
        let Outputs(tensor, classes) = *self;
        let (dram, range) = (state.memory(Memory::Dram), tensor.range());
        let output =
            |image: u64, class: u64| element(dram, range.start, tensor.format, image * classes + class);
        let right = |&(image, &label): &(u64, &u16)| {
            is_among_five((0..classes).map(|class| output(image, class)), u64::from(label))
        };
        (0..).zip(labels).filter(right).count() as u64
    }
}

/// Whether fewer than five outputs come before the label's: greater, or as great and of a lower class.
fn is_among_five(outputs: impl Iterator<Item = i64> + Clone, label: u64) -> bool {
    let numbered = || (0..).zip(outputs.clone());
    let Some((_, own)) = numbered().find(|&(class, _): &(u64, i64)| class == label) else { return false };
    numbered().filter(|&(class, value)| value > own || value == own && class < label).take(5).count() < 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_guesses_are_the_greatest_and_of_equals_the_first() {
        let outputs = [9, 8, 7, 3, 3, 3, 1];
        let among = |label: u64| is_among_five(outputs.into_iter(), label);
        let found: Vec<bool> = (0..8).map(among).collect();
        assert_eq!(found, [true, true, true, true, true, false, false, false]);
    }
}
