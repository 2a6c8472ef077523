//! What a run came to, for people and programs: `report.json`, the table at the end, the plots.

mod build;
mod estimate;
mod evaluation;
pub(crate) mod figure;
pub(crate) mod legend;
mod page;
mod parts;
mod plots;
mod price;
mod table;
mod topology;
mod widths;

pub use build::{report, report_elsewhere};
pub use estimate::{Estimate, estimate};
pub use evaluation::{ClassError, EvaluationReport};
pub use figure::PlotError;
pub use page::{Page, PageTable};
pub use parts::{Area, ElementArea, EventCount, Layer, Part, Peak, Totals, Whole};
pub use plots::{plots, roofline};
pub use table::{AREA_NOTE, estimate_table, evaluation_table, price_table, table, topology_table};
pub(crate) use table::{area, plain};
pub use topology::{Drains, Flow, ShapeEstimate, TopologyEstimate, estimate_topology};

use crate::observe::{ClassStatistics, Sufficient};
use crate::program::Class;
use crate::spec::Preset;
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
    /// Name of the table that energy was priced by.
    pub energy_preset: String,
    /// The table, whole.
    pub preset: Preset,
    /// The machine's roofs.
    pub peak: Peak,
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
    /// Both together.
    pub whole: Whole,
    /// Area of the machine's logic.
    pub area: Area,
    /// Events that energy was counted in, training.
    pub events: Vec<EventCount>,
    /// The same, evaluation.
    pub evaluation_events: Vec<EventCount>,
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
