//! What a training step and an evaluation cost, without data: the schedule and the counts of the program alone.

use super::build::{Sums, joined, sum, time};
use super::price::price_part;
use super::{Area, EventCount, Layer, Part, Peak, Time, Totals};
use crate::observe::Ledger;
use crate::program::{Plan, PlanError, Program};
use crate::spec::{Machine, Preset};

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
    /// Name of the table that energy was priced by.
    pub energy_preset: String,
    /// The table, whole.
    pub preset: Preset,
    /// The machine's roofs.
    pub peak: Peak,
    /// One training step.
    pub totals: Totals,
    /// The step, by phase.
    pub phases: Vec<Part>,
    /// The step, by layer.
    pub layers: Vec<Layer>,
    /// One batch evaluated, weights quantised before.
    pub evaluation: Totals,
    /// Area of the machine's logic.
    pub area: Area,
    /// Events that energy was counted in, the training step.
    pub events: Vec<EventCount>,
    /// The same, the batch evaluated.
    pub evaluation_events: Vec<EventCount>,
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
        Ok(ledger)
    };
    let ledgers = [counted("train")?, counted("quantise")?, counted("evaluate")?];
    let [train, quantise, evaluate] = ledgers.each_ref().map(Ledger::tallies);
    let evaluated = joined([&quantise, &evaluate]);
    let sums = Sums { machine, program };
    let batch = program.training.as_ref().map_or(0, |t| t.batch);
    let mut estimate = Estimate {
        program: program.name.clone(),
        machine: machine.short_name(),
        batch,
        time: time(machine),
        energy_preset: preset.name.clone(),
        preset: preset.clone(),
        peak: sums.peak(),
        totals: sums.totals(&sum(train.values()), 1, [batch.into(); 2]),
        phases: sums.parts(&train, |_| true),
        layers: sums.layers(&train),
        evaluation: sums.totals(&sum(evaluated.values()), 0, [batch.into(); 2]),
        area: sums.area(ledgers.each_ref()),
        events: sums.events(&train),
        evaluation_events: sums.events(&evaluated),
        notes: vec![
            "cycles are exact; energy counts every product as one of operands that are not zero".to_owned(),
        ],
    };
    let Estimate { events, totals, phases, layers, .. } = &mut estimate;
    price_part(preset, events, totals, phases, layers);
    price_part(preset, &mut estimate.evaluation_events, &mut estimate.evaluation, &mut [], &mut []);
    estimate.area.price(preset);
    Ok(estimate)
}
