//! The machine file, checked: plain data. Owns every parameter of a machine, its default and its range; must not know
//! what a program does with them. Errors in files are drawn here too ([`SourceError`]), for every reader of files.

mod diagnostic;
mod document;
mod preset;
mod read;
mod setting;
mod write;

pub use diagnostic::SourceError;
pub(crate) use document::{Document, Section, general};
pub use preset::{
    AreaByBit, AreaByBitAndBit, AreaByLevel, Areas, EnergyByBit, EnergyByBitAndBit, EnergyByCapacity,
    EnergyByCycle, EnergyByLevel, EnergyOfDram, Preset, PresetError,
};
pub use setting::{Setting, nearest};

use std::collections::BTreeMap;

use serde::Serialize;

use crate::number::{AccumulatorRule, Overflow, Rounding, WordSource};

/// A machine. `Machine::default()` is the machine of `programs/machines/default.toml`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// What reports call it.
    pub name: String,
    /// The multiply-accumulate array.
    pub array: Array,
    /// The accumulators' rules.
    pub accumulators: Accumulators,
    /// The vector unit.
    pub vector: Vector,
    /// The scratchpads.
    pub memory: Memory,
    /// DRAM and the way to it.
    pub dram: Dram,
    /// What issues instructions.
    pub control: Control,
    /// Clock, MHz.
    pub clock_mhz: u32,
    /// The energy table.
    pub energy: Preset,
    /// The random numbers.
    pub random: Random,
}

/// The three uses of the array in a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Activations times weights.
    Forward,
    /// Errors times weights, for the layer below.
    Error,
    /// Activations times errors, for the weights.
    Gradient,
}

impl Phase {
    /// In the order of a step.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Error, Self::Gradient];

    /// As files and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Error => "error",
            Self::Gradient => "gradient",
        }
    }
}

/// The multiply-accumulate array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Array {
    /// Rows of processing elements.
    pub rows: u32,
    /// Columns of processing elements.
    pub columns: u32,
    /// What stays in a processing element, where a phase has no choice of its own.
    pub dataflow: Dataflow,
    /// Dataflow of the forward phase, where it differs.
    pub forward: Option<Dataflow>,
    /// Dataflow of the error phase, where it differs.
    pub error: Option<Dataflow>,
    /// Dataflow of the gradient phase, where it differs.
    pub gradient: Option<Dataflow>,
    /// How a fold's drain is paid.
    pub drain: Drain,
    /// One array for all phases, or one each (areas added).
    pub shared: bool,
}

impl Array {
    /// The dataflow of a phase.
    pub fn dataflow_of(&self, phase: Phase) -> Dataflow {
        let own = match phase {
            Phase::Forward => self.forward,
            Phase::Error => self.error,
            Phase::Gradient => self.gradient,
        };
        own.unwrap_or(self.dataflow)
    }
}

/// What stays in a processing element while a fold runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dataflow {
    /// The sum.
    OutputStationary,
    /// The weight; a column of R rows is summed before the accumulator.
    WeightStationary,
}

impl Dataflow {
    /// As files and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutputStationary => "output-stationary",
            Self::WeightStationary => "weight-stationary",
        }
    }
}

/// How the time of moving a fold's sums out of the array is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// A second register hides it behind the next fold.
    Overlap,
    /// The next fold waits for it.
    Serial,
    /// It costs nothing.
    Ignore,
}

impl Drain {
    /// As files and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Serial => "serial",
            Self::Ignore => "ignore",
        }
    }
}

/// The accumulators' rules (`ARITHMETIC`: the accumulator's rules).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accumulators {
    /// Rule of the forward phase.
    pub forward: AccumulatorRule,
    /// Rule of the error phase.
    pub error: AccumulatorRule,
    /// Rule of the gradient phase.
    pub gradient: AccumulatorRule,
    /// Rules of single layers, where they differ from their phase's. An error's layer is the one whose weights it takes.
    #[serde(skip)]
    pub layers: BTreeMap<(Phase, u32), AccumulatorRule>,
    /// Bytes an accumulator takes in memories and DRAM.
    pub packing: Packing,
    /// The order in which products join.
    pub order: Order,
}

impl Accumulators {
    /// The rule of a phase in one layer.
    pub fn rule_of(&self, phase: Phase, layer: usize) -> AccumulatorRule {
        let own = u32::try_from(layer).ok().and_then(|layer| self.layers.get(&(phase, layer)));
        own.copied().unwrap_or_else(|| self.rule(phase))
    }

    /// The rule of a phase, in layers that have none of their own.
    pub fn rule(&self, phase: Phase) -> AccumulatorRule {
        match phase {
            Phase::Forward => self.forward,
            Phase::Error => self.error,
            Phase::Gradient => self.gradient,
        }
    }
}

/// How accumulators are laid in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// As many bytes as the bits need.
    Bytes,
    /// 1, 2, 4 or 8 bytes.
    Words,
}

/// The order of the reduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Kernel row, kernel column, channel.
    Kernel,
    /// Channels in blocks of so many, block outermost.
    Channels(u32),
}

/// The vector unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vector {
    /// Elements a cycle.
    pub lanes: u32,
    /// Rounding of the forward shifts; `Even` is the contract.
    pub forward_rounding: Rounding,
    /// Rounding of the error shifts; `Even` is the contract.
    pub error_rounding: Rounding,
    /// Whether a zero operand gates its multiplier: changes energy, never a bit or a cycle.
    pub zero_gating: bool,
}

/// The scratchpads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Activations and errors as codes.
    pub operand: Scratchpad,
    /// Weights.
    pub weight: Scratchpad,
    /// Finished sums.
    pub accumulator: Scratchpad,
    /// States of activations and places of pools.
    pub mask: Scratchpad,
}

impl Memory {
    /// Bytes of the scratchpads: operand, weight, accumulator, mask.
    pub fn bytes(&self) -> [u64; 4] {
        [self.operand, self.weight, self.accumulator, self.mask].map(Scratchpad::bytes)
    }

    /// A scratchpad by its name in the instruction set; DRAM is none.
    pub fn scratchpad(&self, memory: crate::isa::Memory) -> Option<Scratchpad> {
        match memory {
            crate::isa::Memory::Operand => Some(self.operand),
            crate::isa::Memory::Weight => Some(self.weight),
            crate::isa::Memory::Accumulator => Some(self.accumulator),
            crate::isa::Memory::Mask => Some(self.mask),
            crate::isa::Memory::Dram => None,
        }
    }
}

/// One scratchpad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scratchpad {
    /// Size, KiB.
    pub kib: u32,
    /// Instructions that may touch it at once.
    pub ports: u32,
}

impl Scratchpad {
    /// Size, bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.kib) * 1024
    }
}

/// DRAM and the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dram {
    /// Bytes moved in a cycle.
    pub bytes_per_cycle: u32,
    /// Cycles before the first byte.
    pub latency_cycles: u32,
    /// Least bytes of one access.
    pub burst_bytes: u32,
    /// 1: reads and writes share it; 2: one each.
    pub channels: u32,
}

/// What issues instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Hardware loops inside one another.
    pub loop_depth: u32,
    /// Scalar registers, `s0` (always 0) among them.
    pub registers: u32,
    /// Instructions that may wait for each unit.
    pub queue_depth: u32,
}

/// The random numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Random {
    /// The generator.
    pub generator: Generator,
}

/// A random generator that can be placed at any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Generator {
    /// Philox with four 32-bit words and ten rounds.
    #[serde(rename = "philox4x32-10")]
    Philox4x32x10,
    /// A 16-bit shift register in each lane of the vector unit: its words, alone, depend on lanes.
    #[serde(rename = "lfsr16")]
    Lfsr16,
}

impl Machine {
    /// Where the random words of stochastic rounding come from.
    pub fn word_source(&self) -> WordSource {
        match self.random.generator {
            Generator::Philox4x32x10 => WordSource::Philox,
            Generator::Lfsr16 => WordSource::Lfsr16 { lanes: self.vector.lanes },
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        let rule = AccumulatorRule::default();
        Self {
            name: "default".to_owned(),
            array: Array {
                rows: 32,
                columns: 32,
                dataflow: Dataflow::OutputStationary,
                forward: None,
                error: None,
                gradient: None,
                drain: Drain::Overlap,
                shared: true,
            },
            accumulators: Accumulators {
                forward: rule,
                error: rule,
                gradient: rule,
                layers: BTreeMap::new(),
                packing: Packing::Bytes,
                order: Order::Kernel,
            },
            vector: Vector {
                lanes: 32,
                forward_rounding: Rounding::Even,
                error_rounding: Rounding::Even,
                zero_gating: false,
            },
            memory: Memory {
                operand: Scratchpad { kib: 256, ports: 2 },
                weight: Scratchpad { kib: 128, ports: 2 },
                accumulator: Scratchpad { kib: 128, ports: 3 },
                mask: Scratchpad { kib: 32, ports: 2 },
            },
            dram: Dram { bytes_per_cycle: 32, latency_cycles: 100, burst_bytes: 64, channels: 1 },
            control: Control { loop_depth: 8, registers: 32, queue_depth: 16 },
            clock_mhz: 500,
            energy: Preset::default(),
            random: Random { generator: Generator::Philox4x32x10 },
        }
    }
}

impl Machine {
    /// Bytes an accumulator of `rule` takes in memories and DRAM; the outer register's where there are chunks.
    pub fn accumulator_bytes(&self, rule: AccumulatorRule) -> usize {
        let bits = if rule.chunk > 0 { rule.outer_bits } else { rule.bits };
        let bytes = match self.accumulators.packing {
            Packing::Bytes => bits.div_ceil(8),
            Packing::Words => bits.div_ceil(8).next_power_of_two(),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// A short name that tells machines apart where they usually differ: `32x32_os_acc32trap`; three accumulators
    /// (forward, error, gradient) where they differ: `32x32_os_acc16sat-16sat-32trap`.
    pub fn short_name(&self) -> String {
        let flow = |dataflow| match dataflow {
            Dataflow::OutputStationary => "os",
            Dataflow::WeightStationary => "ws",
        };
        let rules = per_phase(|phase| short_rule(self.accumulators.rule(phase)));
        let flows = per_phase(|phase| flow(self.array.dataflow_of(phase)).to_owned());
        let layers = &self.accumulators.layers;
        let layers: String = layers
            .iter()
            .map(|(&(phase, layer), &rule)| format!("_{}{layer}acc{}", phase.name(), short_rule(rule)))
            .collect();
        format!("{}x{}_{flows}_acc{rules}{layers}", self.array.rows, self.array.columns)
    }
}

/// One name where the phases agree, three where they do not.
fn per_phase(name: impl Fn(Phase) -> String) -> String {
    let [forward, error, gradient] = Phase::ALL.map(name);
    if forward == error && error == gradient { forward } else { format!("{forward}-{error}-{gradient}") }
}

fn short_rule(rule: AccumulatorRule) -> String {
    let overflow = match rule.overflow {
        Overflow::Wrap => "wrap",
        Overflow::Saturate => "sat",
        Overflow::Trap => "trap",
    };
    let tree = if rule.tree > 1 { format!("t{}", rule.tree) } else { String::new() };
    let chunk = if rule.chunk > 0 { format!("c{}o{}", rule.chunk, rule.outer_bits) } else { String::new() };
    format!("{}{overflow}{tree}{chunk}", rule.bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_design_s() {
        let machine = Machine::default();
        assert_eq!(machine.short_name(), "32x32_os_acc32trap");
        assert_eq!(machine.memory.accumulator, Scratchpad { kib: 128, ports: 3 });
        assert_eq!(machine.memory.operand.bytes(), 256 * 1024);
        assert_eq!(machine.array.dataflow_of(Phase::Error), Dataflow::OutputStationary);
    }

    #[test]
    fn an_accumulator_takes_the_bytes_its_bits_need() {
        let mut machine = Machine::default();
        let bytes = |machine: &Machine, bits| {
            machine.accumulator_bytes(AccumulatorRule { bits, outer_bits: 64, ..AccumulatorRule::default() })
        };
        assert_eq!([4, 8, 9, 19, 24, 33, 64].map(|bits| bytes(&machine, bits)), [1, 1, 2, 3, 3, 5, 8]);
        machine.accumulators.packing = Packing::Words;
        assert_eq!([4, 8, 9, 19, 24, 33, 64].map(|bits| bytes(&machine, bits)), [1, 1, 2, 4, 4, 8, 8]);
    }

    #[test]
    fn a_chunked_accumulator_takes_its_outer_register_s_bytes() {
        let rule = AccumulatorRule { bits: 12, chunk: 32, outer_bits: 20, ..AccumulatorRule::default() };
        assert_eq!(Machine::default().accumulator_bytes(rule), 3);
        assert_eq!(Machine::default().accumulator_bytes(AccumulatorRule { chunk: 0, ..rule }), 2);
    }

    #[test]
    fn the_short_name_tells_phases_apart() {
        let mut machine = Machine::default();
        let narrow =
            AccumulatorRule { bits: 16, overflow: Overflow::Saturate, tree: 4, chunk: 9, outer_bits: 24 };
        machine.accumulators.forward = narrow;
        machine.array.columns = 8;
        assert_eq!(machine.short_name(), "32x8_os_acc16satt4c9o24-32trap-32trap");
    }
}
