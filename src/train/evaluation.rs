//! One evaluation of kept weights: which class was taken for which, and what the accelerator spent on it.

use super::{Checkpoint, CheckpointError, Score, TrainError, Trainer};
use crate::data::Images;
use crate::observe::Ledger;
use crate::program::Program;
use crate::spec::Machine;

/// How often each class was taken for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[label][prediction]`.
    counts: Vec<u64>,
}

impl Confusion {
    fn new(classes: usize) -> Self {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    fn count(&mut self, label: u16, prediction: u16) {
        let place = usize::from(label) * self.classes + usize::from(prediction);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
    }

    /// For each label, how often each class was predicted.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks(self.classes.max(1))
    }
}

/// What an evaluation came to.
#[derive(Debug)]
pub struct Evaluation {
    /// Images right.
    pub score: Score,
    /// Which class was taken for which.
    pub confusion: Confusion,
    /// Counts of the quantisation, then of the batches.
    pub ledgers: [Ledger; 2],
}

/// Evaluates the weights of a checkpoint on images.
///
/// # Errors
/// When the checkpoint is of another network, or the machine stops.
pub fn evaluate(
    program: &Program,
    machine: &Machine,
    checkpoint: &Checkpoint,
    images: &Images,
    engine: Box<dyn crate::machine::Engine>,
) -> Result<Evaluation, TrainError> {
    let mut trainer = Trainer::new(program, super::run::scratchpads(machine), checkpoint.seed(), engine)?;
    checkpoint.warm(program, &mut trainer.state)?;
    let plans = trainer.plans();
    let mut ledgers = [&plans.quantise, &plans.evaluate].map(|plan| Ledger::new(plan, machine));
    let classes = usize::try_from(trainer.training().classes).unwrap_or(0);
    let mut confusion = Confusion::new(classes);
    let [quantise, forward] = &mut ledgers;
    let step = checkpoint.progress().step;
    let score = trainer.evaluate(images, step, quantise, forward, &mut |labels, predictions| {
        labels.iter().zip(predictions).for_each(|(&label, &prediction)| confusion.count(label, prediction));
    })?;
    Ok(Evaluation { score, confusion, ledgers })
}

impl From<CheckpointError> for TrainError {
    fn from(error: CheckpointError) -> Self {
        TrainError::Checkpoint(Box::new(error))
    }
}
