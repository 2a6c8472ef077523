//! The report of one evaluation: errors by class, which class was taken for which, what the accelerator spent.

use super::build::{Sums, joined, sum, time};
use super::price::price_part;
use super::{Time, Totals};
use crate::program::Program;
use crate::spec::{Machine, Preset};
use crate::train::Evaluation;

/// An evaluation of a checkpoint.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EvaluationReport {
    /// Name of the program.
    pub program: String,
    /// Short name of the machine.
    pub machine: String,
    /// Training steps the weights had.
    pub step: u32,
    /// Share of the images whose first greatest output is not the label.
    pub test_error: f64,
    /// The same where a tie with the label counts as right.
    pub test_error_ties_right: f64,
    /// Share of the images whose label is not among the five greatest outputs; of 20 classes or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error_top5: Option<f64>,
    /// Errors by class, in the order of labels.
    pub classes: Vec<ClassError>,
    /// `[label][prediction]`: images.
    pub confusion: Vec<Vec<u64>>,
    /// How time was counted.
    pub time: Time,
    /// The table that energy was priced by.
    pub energy_preset: String,
    /// Cycles, energy and counts of the evaluation, weights quantised before.
    pub totals: Totals,
    /// Wall time of the evaluation on this host.
    pub host_seconds: f64,
}

/// The images of one class.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClassError {
    /// The label.
    pub class: usize,
    /// Images of it.
    pub images: u64,
    /// Share of them taken for another.
    pub error: f64,
    /// The class it was taken for most often, and how often; none where every image was right.
    pub taken_for: Option<(usize, u64)>,
}

impl EvaluationReport {
    /// The report; `host_seconds` is the wall time it took.
    pub fn new(
        program: &Program,
        machine: &Machine,
        preset: &Preset,
        step: u32,
        evaluation: &Evaluation,
        host_seconds: f64,
    ) -> Self {
        let sums = Sums { machine, program };
        let score = &evaluation.score;
        let confusion: Vec<Vec<u64>> = evaluation.confusion.rows().map(<[u64]>::to_vec).collect();
        let batch = program.training.as_ref().map_or(0, |t| t.batch);
        let [quantise, forward] = evaluation.ledgers.each_ref().map(|ledger| ledger.tallies());
        let tallies = joined([&quantise, &forward]);
        let executed = evaluation.ledgers[1].passes() * u64::from(batch);
        let mut totals = sums.totals(&sum(tallies.values()), 0, [score.images, executed]);
        price_part(preset, &mut sums.events(&tallies), &mut totals, &mut [], &mut []);
        EvaluationReport {
            program: program.name.clone(),
            machine: machine.short_name(),
            step,
            test_error: share(score.images - score.right, score.images),
            test_error_ties_right: share(score.images - score.right_with_ties, score.images),
            test_error_top5: score.right_in_five.map(|right| share(score.images - right, score.images)),
            classes: confusion.iter().enumerate().map(|(class, row)| class_error(class, row)).collect(),
            confusion,
            time: time(machine),
            energy_preset: preset.name.clone(),
            totals,
            host_seconds,
        }
    }
}

fn class_error(class: usize, row: &[u64]) -> ClassError {
    let images = row.iter().sum();
    let right = row.get(class).copied().unwrap_or(0);
    let others = row.iter().copied().enumerate().filter(|&(other, n)| other != class && n > 0);
    let taken_for = others.rev().max_by_key(|&(_, n)| n);
    ClassError { class, images, error: share(images - right, images), taken_for }
}

#[expect(clippy::cast_precision_loss, reason = "a share to be read")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_names_the_first_it_is_taken_for_most() {
        let found = class_error(1, &[2, 5, 2, 0]);
        assert_eq!((found.images, found.taken_for), (9, Some((0, 2))));
        assert!((found.error - 4.0 / 9.0).abs() < 1e-12);
        assert_eq!(class_error(0, &[3, 0]).taken_for, None);
    }
}
