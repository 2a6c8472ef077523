//! The compiled artefact: code, memory map, initial data, and the names observers go by.
//!
//! A program is complete: executed on a machine, from a seed and batches, it needs nothing of the network it
//! came from. It knows nothing of engines.

mod check;
mod file;
mod flow;
mod initial;
mod inputs;
mod length;
mod plan;
mod spans;
mod strands;
mod text;

pub use check::ProgramError;
pub use file::FileError;
pub(crate) use file::hex;
pub use flow::{Flow, Round};
pub use plan::{Plan, PlanError, PlanProbe, Step};
pub use strands::{
    Contents, Family, LEFTS, Moved, Place, RIGHTS, Renamed, Rows, SITES, Strand, Strands, Touched, whole,
};
pub use text::{Assembled, TextError, TextErrors};

use std::collections::BTreeMap;

use crate::isa::{Format, Instr};

/// A program: what the machine executes, and what others call the things it executes.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Instructions in order; a program counter is an index into them.
    pub code: Vec<Instr>,
    /// Where each entry begins; it ends at its `halt`. Training programs have `quantise`, `train`, `evaluate`.
    pub entries: BTreeMap<String, usize>,
    /// Bytes of DRAM the program needs.
    pub dram_bytes: u64,
    /// The memory map: what lies where in DRAM.
    pub tensors: Vec<Tensor>,
    /// Names for runs of instructions, in order; each reaches to the next.
    pub marks: Vec<Mark>,
    /// Names for what instructions write.
    pub probes: Vec<Probe>,
    /// What the host must know to train it; absent in programs that only run.
    pub training: Option<Training>,
}

/// A tensor in DRAM: dense, the last index fastest.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Its name: `input`, `label`, `layer.0.weight`, …
    pub name: String,
    /// Byte address of its first element.
    pub address: u64,
    /// Bits an element occupies; elements follow each other without gaps.
    #[serde(rename = "bits")]
    pub format: Format,
    /// Whether elements are two's complement.
    #[serde(default)]
    pub signed: bool,
    /// Lengths of its dimensions.
    pub shape: Vec<u64>,
    /// What it holds when a run begins.
    #[serde(default, skip_serializing_if = "Initial::is_zero")]
    pub initial: Initial,
    /// Kept in checkpoints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

/// What a tensor holds when a run begins.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Initial {
    /// Zeros.
    #[default]
    Zero,
    /// These elements.
    Values(Vec<i64>),
    /// Codes drawn from the run's seed (`isa/arithmetic.md`, initial weights): element `i` is
    /// `draw_weight(word first + i of the weights stream, limit, bits) << shift`.
    Drawn {
        /// Number of the first word.
        first: u64,
        /// Fixed-point limit of the uniform distribution.
        limit: i64,
        /// Width of the code drawn.
        bits: u32,
        /// Left shift into the stored width.
        shift: u32,
    },
}

/// A run of instructions with a name that reports go by.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// First instruction; the run ends where the next mark or entry begins.
    pub pc: usize,
    /// The phase.
    pub phase: Phase,
    /// The layer, from 0; absent where no single layer is meant.
    pub layer: Option<u32>,
}

/// Phases of training that reports tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Stored weights to weights as used.
    Quantise,
    /// Forward.
    Forward,
    /// Loss and the error of the last layer.
    Loss,
    /// Errors of hidden layers.
    Error,
    /// Gradients.
    Gradient,
    /// Weight updates.
    Update,
    /// Anything else: hand-written code.
    Other,
}

impl Phase {
    /// Every phase, in the order reports list them.
    pub const ALL: [Phase; 7] = [
        Phase::Quantise,
        Phase::Forward,
        Phase::Loss,
        Phase::Error,
        Phase::Gradient,
        Phase::Update,
        Phase::Other,
    ];

    /// Its name in assembly and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Quantise => "quantise",
            Phase::Forward => "forward",
            Phase::Loss => "loss",
            Phase::Error => "error",
            Phase::Gradient => "gradient",
            Phase::Update => "update",
            Phase::Other => "other",
        }
    }
}

/// Which elements of which tensor an instruction writes, so that observers can name them.
///
/// The elements an instruction writes form a box of up to four dimensions, in the order it writes them. Element (i, j, k, l) of the box is element
/// `origin + Σ loops[d]·counter[d] + i·strides[0] + j·strides[1] + k·strides[2] + l·strides[3]` of the tensor.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The instruction.
    pub pc: usize,
    /// The tensor: `layer.1.acc`, …; names of the memory map or of its own.
    pub tensor: String,
    /// Elements of the whole tensor's dimensions.
    pub shape: Vec<u64>,
    /// What the instruction yields that is meant: its output, or a by-product.
    pub what: Yield,
    /// Element of the tensor that the box's first element is, before loops.
    pub origin: i64,
    /// Elements of the tensor for one more round of each enclosing loop, outermost first.
    pub loops: Vec<i64>,
    /// Extents of the box; their product is what the instruction writes. Leading dimensions may be left out.
    pub extents: Vec<u64>,
    /// Elements of the tensor from index to index of each dimension of the box.
    pub strides: Vec<i64>,
    /// Class of the tensor in statistics.
    pub class: Class,
}

/// What of an instruction a probe means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Yield {
    /// What it writes, in the order it writes.
    Output,
    /// The random words of `v.stochastic`.
    Random,
    /// What it reads through `src`, in order (`v.shift`: the stored weights).
    Source,
    /// The labels that `v.onehot` reads.
    Labels,
}

/// Classes of tensors in statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Class {
    /// Stored weights.
    #[serde(rename = "W_stored")]
    StoredWeight,
    /// Weights as used.
    W,
    /// Activations.
    A,
    /// Errors.
    E,
    /// Weight steps.
    G,
    /// Forward accumulators.
    #[serde(rename = "acc_forward")]
    ForwardAccumulator,
    /// Error accumulators.
    #[serde(rename = "acc_error")]
    ErrorAccumulator,
    /// Gradient accumulators.
    #[serde(rename = "acc_gradient")]
    GradientAccumulator,
    /// Watched by dumps, not counted.
    None,
}

impl Class {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Class::StoredWeight => "W_stored",
            Class::W => "W",
            Class::A => "A",
            Class::E => "E",
            Class::G => "G",
            Class::ForwardAccumulator => "acc_forward",
            Class::ErrorAccumulator => "acc_error",
            Class::GradientAccumulator => "acc_gradient",
            Class::None => "none",
        }
    }
}

/// What the host must know to train a program.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Images a step.
    pub batch: u32,
    /// Bytes of an input image.
    pub image_bytes: u64,
    /// Classes.
    pub classes: u32,
    /// Scale register that the host sets to the learning rate's log2.
    pub learning_rate_scale: u8,
    /// Greatest log2 of a learning rate the program's formats hold.
    pub max_lr_log2: i32,
    /// Counter of Σd², in units of 2^-(2·`loss_shift`).
    pub loss_counter: u8,
    /// log2 of the output's unit: outputs are accumulators times 2^-loss_shift.
    pub loss_shift: u32,
    /// Counter of images whose first greatest output is the label.
    pub first_counter: u8,
    /// Counter of images whose label is among the greatest outputs.
    pub ties_counter: u8,
    /// Names of the layers.
    pub layers: Vec<String>,
    /// Header of tensor dumps (`net`), without the learning rate.
    pub header: serde_json::Value,
    /// The network and recipe file the program was compiled from, settings applied.
    pub source: String,
    /// The machine file it was compiled for, in full.
    pub machine: String,
}

impl Initial {
    fn is_zero(&self) -> bool {
        *self == Initial::Zero
    }
}

impl Program {
    /// The mark an instruction stands under.
    pub fn mark_at(&self, pc: usize) -> Option<&Mark> {
        let after = self.marks.partition_point(|m| m.pc <= pc);
        after.checked_sub(1).map(|i| &self.marks[i])
    }

    /// Whether an entry can have a name: letters, digits, `_` and `-`.
    pub fn is_entry_name(name: &str) -> bool {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !name.is_empty() && name.chars().all(letter)
    }

    /// The tensor of that name in the memory map.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|t| t.name == name)
    }
}

impl Tensor {
    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Bytes it occupies.
    pub fn bytes(&self) -> u64 {
        self.format.bytes(self.elements())
    }
}
