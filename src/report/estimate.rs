//! What a training step and an evaluation cost, without data: the schedule and the counts of the program alone.

use super::build::{Prices, sum, time};
use super::{Layer, Part, Time, Totals};
use crate::observe::{Ledger, Preset};
use crate::program::{Plan, PlanError, Program};
use crate::spec::Machine;

/// Cycles and energy of one training step and of one batch evaluated.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// Name of the program.
    pub program: String,
    /// Short name of the machine.
    pub machine: String,
    /// Images a step.
    pub batch: u32,
    /// How time was counted.
    pub time: Time,
    /// The table that energy was priced by.
    pub energy_preset: String,
    /// One training step.
    pub totals: Totals,
    /// The step, by phase.
    pub phases: Vec<Part>,
    /// The step, by layer.
    pub layers: Vec<Layer>,
    /// One batch evaluated, weights quantised before.
    pub evaluation: Totals,
    /// What a reader must know about the figures.
    pub notes: Vec<String>,
}

/// Estimates a training program on a machine.
///
/// # Errors
/// When an entry cannot be unrolled, or is for another array.
pub fn estimate(program: &Program, machine: &Machine, preset: &Preset) -> Result<Estimate, PlanError> {
    let counted = |entry| {
        let plan = Plan::new(program, entry)?;
        plan.verify_rows(machine.array.rows)?;
        program.verify_control(entry, machine.control.registers, machine.control.loop_depth)?;
        let mut ledger = Ledger::new(&plan, machine);
        ledger.count_pass(&plan);
        Ok(ledger.tallies())
    };
    let (train, quantise, evaluate) = (counted("train")?, counted("quantise")?, counted("evaluate")?);
    let prices = Prices { machine, preset };
    let batch = program.training.as_ref().map_or(0, |t| t.batch);
    Ok(Estimate {
        program: program.name.clone(),
        machine: machine.short_name(),
        batch,
        time: time(machine),
        energy_preset: preset.name.clone(),
        totals: prices.totals(&sum(train.values()), 1, [batch.into(); 2]),
        phases: prices.parts(&train, |_| true),
        layers: prices.layers(&train, program),
        evaluation: prices.totals(&sum(quantise.values().chain(evaluate.values())), 0, [batch.into(); 2]),
        notes: vec![
            "cycles are exact; energy counts every product as one of operands that are not zero".to_owned(),
        ],
    })
}
