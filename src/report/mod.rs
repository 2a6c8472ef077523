//! What a run came to, for people and programs: `report.json`, the table at the end, the plots.

mod build;
mod estimate;
pub(crate) mod figure;
mod page;
mod plots;
mod table;
mod widths;

pub use build::{report, report_elsewhere};
pub use estimate::{Estimate, estimate};
pub use figure::PlotError;
pub use page::{Page, PageTable};
pub use plots::plots;
pub(crate) use table::plain;
pub use table::{estimate_table, table};

use std::collections::BTreeMap;

use crate::isa::Unit;
use crate::observe::{ClassStatistics, Component, Event, Sufficient};
use crate::program::Class;
use crate::timing::UnitCycles;
use crate::train::Epoch;

/// Version of `report.json`; a change that old readers do not read raises it.
pub const VERSION: u32 = 3;

/// A run's report. Everything but [`Report::host`] is a function of program, machine, seed and data.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// Version of `wagesim`.
    pub wagesim: String,
    /// Name of the program.
    pub program: String,
    /// Short name of the machine.
    pub machine: String,
    /// The name its file gives it.
    pub machine_name: String,
    /// The run's seed.
    pub seed: u64,
    /// The data.
    pub data: Data,
    /// Images a step.
    pub batch: u32,
    /// How time was counted.
    pub time: Time,
    /// The table that energy was priced by.
    pub energy_preset: String,
    /// Whether the run reached its last epoch.
    pub complete: bool,
    /// Outcome of each epoch.
    pub epochs: Vec<Epoch>,
    /// Training, all phases and layers.
    pub totals: Totals,
    /// Training, by phase, in the order of a step.
    pub phases: Vec<Part>,
    /// Training, by layer.
    pub layers: Vec<Layer>,
    /// Evaluation, which stands apart from training.
    pub evaluation: Totals,
    /// Events that energy was counted in, training.
    pub events: Vec<EventCount>,
    /// Bit statistics, training.
    pub statistics: Vec<Statistic>,
    /// What a reader must know about the figures.
    pub notes: Vec<String>,
    /// What the host decides: nothing else here depends on it.
    pub host: Host,
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Data {
    /// The set's name.
    pub set: String,
    /// SHA-256 of images and labels.
    pub sha256: String,
}

/// Where an accumulator first left its range.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Overflow {
    /// The training step, from 1; of evaluations the batch, counted over all of them.
    pub step: u64,
    /// The phase.
    pub phase: String,
    /// Name of the layer.
    pub layer: String,
    /// The instruction, as `disasm` counts them.
    pub instruction: u32,
    /// Row of its product.
    pub row: u32,
    /// Column of its product.
    pub column: u32,
}

/// How time was counted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Time {
    /// How a fold's drain is paid: `overlap`, `serial` or `ignore`.
    pub drain: String,
    /// What stays in the array in the forward, error and gradient phase.
    pub dataflow: [String; 3],
    /// Clock, MHz.
    pub clock_mhz: u32,
}

/// Sums of a part of the run.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Training steps (0 for an evaluation).
    pub steps: u64,
    /// Images of the data that went through.
    pub images: u64,
    /// Images the machine executed: the blank ones that fill an evaluation's last batch are among them, and in all counts here.
    pub executed_images: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles.
    pub cycles: u64,
    /// Where they go, by unit: each unit's add up to `cycles`.
    pub units: BTreeMap<Unit, UnitCycles>,
    /// Seconds at the machine's clock.
    pub seconds: f64,
    /// Energy.
    pub energy_pj: f64,
    /// Energy by component.
    pub component_pj: BTreeMap<Component, f64>,
    /// Products, padding's zeros among them.
    pub products: u64,
    /// Products without padding's.
    pub useful_products: u64,
    /// Products with both operands not zero.
    pub nonzero_products: u64,
    /// Useful products of those the array has multipliers for in these cycles.
    pub utilisation: f64,
    /// Outputs whose register differs from the exact sum.
    pub wrong_outputs: u64,
    /// Joins that saturated.
    pub saturated_joins: u64,
    /// Where an accumulator first left its range, in any way of overflow.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_overflow: Option<Overflow>,
    /// Bytes read from DRAM, whole bursts.
    pub dram_read_bytes: u64,
    /// Bytes written to DRAM, whole bursts.
    pub dram_written_bytes: u64,
}

/// A phase, of the whole net or of a layer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// The phase.
    pub phase: String,
    /// Cycles in which the oldest instruction not ended was of this part; the parts' add up to the total.
    pub cycles: u64,
    /// Cycles in which the array was busy with it.
    pub array_cycles: u64,
    /// Where the cycles of its instructions go, by unit: busy, and the waits before they start.
    pub units: BTreeMap<Unit, UnitCycles>,
    /// Energy.
    pub energy_pj: f64,
    /// Bytes to and from DRAM, whole bursts.
    pub dram_bytes: u64,
    /// Products, padding's zeros among them.
    pub products: u64,
    /// Products without padding's.
    pub useful_products: u64,
    /// Products with both operands not zero.
    pub nonzero_products: u64,
    /// Useful products of those the array has multipliers for in these cycles.
    pub utilisation: f64,
    /// Outputs whose register differs from the exact sum.
    pub wrong_outputs: u64,
    /// Joins that saturated.
    pub saturated_joins: u64,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Cycles in which the oldest instruction not ended was of this layer.
    pub cycles: u64,
    /// Cycles in which the array was busy with it.
    pub array_cycles: u64,
    /// Energy.
    pub energy_pj: f64,
    /// Useful products of those the array has multipliers for in these cycles.
    pub utilisation: f64,
    /// Its phases, in the order of a step.
    pub phases: Vec<Part>,
}

/// How often an event happened, and what it cost.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EventCount {
    /// Where.
    pub component: Component,
    /// What, with its widths.
    #[serde(flatten)]
    pub event: Event,
    /// How often.
    pub count: u64,
    /// Energy of all of them.
    pub energy_pj: f64,
}

/// Bit statistics of a layer's tensors of one class.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Statistic {
    /// Name of the layer.
    pub layer: String,
    /// Class of the tensor.
    pub class: Class,
    /// The least width that holds every value looked at.
    pub bits: u32,
    /// The width that would have sufficed for the values: of accumulators, of a register that wraps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sufficient: Option<Sufficient>,
    /// The width that would have sufficed for an accumulator that saturates.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sufficient_on_the_way: Option<Sufficient>,
    /// The rest.
    #[serde(flatten)]
    pub statistics: ClassStatistics,
}

/// What the host decides.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Host {
    /// Wall time of training, evaluation left out, of this process.
    pub training_seconds: f64,
    /// Wall time of evaluation, of this process.
    pub evaluation_seconds: f64,
    /// Training steps this process did.
    pub steps: u32,
    /// Training images by wall time of training.
    pub images_per_second: f64,
    /// Worker threads.
    pub threads: usize,
    /// The engine.
    pub engine: String,
}
