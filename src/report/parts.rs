//! The parts of a report that estimates share with it: sums, phases, layers, events, area.

use std::collections::BTreeMap;

use super::Overflow;
use crate::isa::Unit;
use crate::observe::{Component, Element, Event};
use crate::timing::UnitCycles;

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
    /// Average power: energy by seconds, watts.
    pub power_w: f64,
    /// Energy of one image executed.
    pub image_pj: f64,
    /// Seconds of one image executed.
    pub image_seconds: f64,
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
    /// Energy by component.
    pub component_pj: BTreeMap<Component, f64>,
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
    /// Energy by component.
    pub component_pj: BTreeMap<Component, f64>,
    /// Useful products of those the array has multipliers for in these cycles.
    pub utilisation: f64,
    /// Its phases, in the order of a step.
    pub phases: Vec<Part>,
}

/// How often an event happened in a phase of a layer, and what it cost.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EventCount {
    /// The phase.
    pub phase: String,
    /// Name of the layer; none for what belongs to no layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub layer: Option<String>,
    /// Where.
    pub component: Component,
    /// What, with its widths.
    #[serde(flatten)]
    pub event: Event,
    /// How often.
    pub count: u128,
    /// Energy of all of them.
    pub energy_pj: f64,
}

/// Area of the logic that the program asks of array and vector unit.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Area {
    /// Area of all, logic only.
    pub total_um2: f64,
    /// Area by place: an array, the vector unit.
    pub place_um2: BTreeMap<String, f64>,
    /// The elements.
    pub elements: Vec<ElementArea>,
}

/// Elements of logic and their area.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ElementArea {
    /// What and how many.
    #[serde(flatten)]
    pub element: Element,
    /// Area of all of them.
    pub um2: f64,
}

/// The most a machine can do in a cycle: the roofs of a roofline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Peak {
    /// Products of the array.
    pub products_per_cycle: u64,
    /// Bytes to and from DRAM.
    pub dram_bytes_per_cycle: u64,
}

/// A run from its beginning: training and every evaluation.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Whole {
    /// The test error it came to, where an epoch was evaluated.
    pub test_error: Option<f64>,
    /// Seconds at the machine's clock.
    pub seconds: f64,
    /// Energy.
    pub energy_pj: f64,
    /// Average power, watts.
    pub power_w: f64,
}
