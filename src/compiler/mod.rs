//! Network to program: lowering, tiling, memory map, initial data.
//!
//! Each phase of training is lowered by a file of its own onto two tiled products (over taps, over positions)
//! and a few vector passes; the emitter keeps order, names and loops. Nothing here executes anything.

mod choice;
mod cost;
mod emit;
mod error;
mod forward;
mod gradient;
mod layout;
mod moves;
mod positions;
mod softmax;
mod taps;
mod window;

use std::collections::BTreeMap;

use crate::isa::{CClear, Counter, Instr, ModeIndex, Scale};
use crate::network::{InputTable, Network, Recipe};
use crate::number::{Rounding, clip, rsh};
use crate::program::{Phase, Program, Training};
use crate::spec::{Dataflow, Machine};
pub use choice::Choice;
use cost::Cost;
use emit::Emitter;
use layout::{Formats, Layout};

/// Why a network has no program for a machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// No tile fits the scratchpads.
    #[error(
        "layer {layer}, {phase}: no tile fits the scratchpads, not even {what}; \
         make memory.operand, memory.weight, memory.accumulator or memory.mask larger, or accumulators.chunk smaller"
    )]
    NoTile {
        /// The layer, from 0.
        layer: usize,
        /// The phase.
        phase: &'static str,
        /// The least tile tried.
        what: String,
    },
    /// Accumulators of a layer that is not there.
    #[error("accumulators.{phase}.layer.{layer}: the network has layers 0 to {last}")]
    NoLayer {
        /// The phase.
        phase: &'static str,
        /// The layer named.
        layer: u32,
        /// The last layer there is.
        last: usize,
    },
}

/// Scale register of the learning rate's log2, which the host sets.
const LEARNING_RATE: Scale = Scale(15);
/// Scale register of a maximum, then of its exponent.
const MAXIMUM: Scale = Scale(1);
/// Scale register of an exponent less the learning rate's.
const STEP_SHIFT: Scale = Scale(2);
/// Counters: Σd², images right, images right where ties count.
const LOSS: Counter = Counter(0);
const FIRST: Counter = Counter(1);
const TIES: Counter = Counter(2);
/// Accumulator modes of the three phases.
const FORWARD: ModeIndex = ModeIndex(0);
const ERROR: ModeIndex = ModeIndex(1);
const GRADIENT: ModeIndex = ModeIndex(2);

/// What every phase is lowered from.
struct Lowering<'a> {
    network: &'a Network,
    machine: &'a Machine,
    batch: u64,
    formats: Formats,
    layout: Layout,
}

impl Lowering<'_> {
    /// Whether a phase keeps weights in the array.
    fn stationary(&self, phase: crate::spec::Phase) -> bool {
        self.machine.array.dataflow_of(phase) == Dataflow::WeightStationary
    }

    fn cost(&self) -> Cost<'_> {
        Cost::new(self.machine)
    }
}

/// Compiles a network and recipe for a machine. `source` is the text it came from, kept in the program.
///
/// # Errors
/// When a layer has no tile that fits the machine's scratchpads, or the machine names a layer that is not there.
pub fn compile(
    network: &Network,
    recipe: &Recipe,
    machine: &Machine,
    source: &str,
) -> Result<Program, CompileError> {
    explain(network, recipe, machine, source).map(|(program, _)| program)
}

/// The same, with what was chosen for each product and why.
///
/// # Errors
/// As [`compile`].
pub fn explain(
    network: &Network,
    recipe: &Recipe,
    machine: &Machine,
    source: &str,
) -> Result<(Program, Vec<Choice>), CompileError> {
    let last = network.layers.len() - 1;
    let beyond = |layer: u32| usize::try_from(layer).is_ok_and(|layer| layer > last);
    if let Some(&(phase, layer)) = machine.accumulators.layers.keys().find(|(_, layer)| beyond(*layer)) {
        return Err(CompileError::NoLayer { phase: phase.name(), layer, last });
    }
    let formats = Formats::new(network, recipe, machine);
    let layout = Layout::new(network, recipe, &formats);
    let lowering = Lowering { network, machine, batch: recipe.batch.into(), formats, layout };
    let mut program = Program {
        name: network.name.clone(),
        code: Vec::new(),
        entries: BTreeMap::new(),
        dram_bytes: lowering.layout.bytes,
        tensors: lowering.layout.tensors.clone(),
        marks: Vec::new(),
        probes: Vec::new(),
        training: Some(training(network, recipe, machine, source)),
    };
    let mut quantise = Emitter::new(false);
    lowering.quantise(&mut quantise)?;
    let mut choices = Vec::new();
    append(&mut program, "quantise", quantise);
    let mut train = Emitter::new(true);
    lowering.begin(&mut train);
    lowering.quantise(&mut train)?;
    lowering.forward(&mut train, true)?;
    lowering.loss(&mut train)?;
    lowering.backward(&mut train)?;
    choices.append(&mut train.choices);
    append(&mut program, "train", train);
    let mut evaluate = Emitter::new(false);
    lowering.begin(&mut evaluate);
    lowering.forward(&mut evaluate, false)?;
    lowering.score(&mut evaluate);
    choices.append(&mut evaluate.choices);
    append(&mut program, "evaluate", evaluate);
    Ok((program, choices))
}

fn append(program: &mut Program, entry: &str, mut part: Emitter) {
    part.push(Instr::Halt);
    let start = program.code.len();
    program.entries.insert(entry.to_owned(), start);
    program.code.append(&mut part.code);
    program.marks.extend(part.marks.into_iter().map(|m| crate::program::Mark { pc: m.pc + start, ..m }));
    program.probes.extend(part.probes.into_iter().map(|p| crate::program::Probe { pc: p.pc + start, ..p }));
}

fn training(network: &Network, recipe: &Recipe, machine: &Machine, source: &str) -> Training {
    let mut header = network.header(0, Some(&machine.accumulators));
    if let Some(object) = header.as_object_mut() {
        object.remove("lr_log2");
    }
    Training {
        batch: recipe.batch,
        image_bytes: network.input.elements(),
        classes: network.classes,
        learning_rate_scale: LEARNING_RATE.0,
        max_lr_log2: recipe.max_lr_log2(),
        loss_counter: LOSS.0,
        loss_shift: layout::loss_shift(network),
        first_counter: FIRST.0,
        ties_counter: TIES.0,
        layers: network.layers.iter().map(|l| l.name.clone()).collect(),
        header,
        source: source.to_owned(),
        machine: machine.to_toml(),
    }
}

impl Lowering<'_> {
    /// Counters at the beginning of an entry.
    fn begin(&self, e: &mut Emitter) {
        e.mark(Phase::Forward, None);
        for dst in [LOSS, FIRST, TIES] {
            e.push(Instr::CClear(CClear { dst }));
        }
    }
}

/// The codes of the 256 bytes (ARITHMETIC: initial weights and inputs).
fn input_table(table: InputTable, bits: u32) -> Vec<i64> {
    let shift = |extra: i32| extra - i32::try_from(bits).unwrap_or(0);
    let nearest = |p: i128| {
        // (2p - 255) · 2^(bits-1) / 255, to the nearest integer; 255 is odd, so there are no ties.
        let twice = (2 * p - 255) << bits;
        (twice + 255).div_euclid(510)
    };
    (0..256)
        .map(|p: i128| match table {
            InputTable::By256 => clip(rsh(p, shift(9), Rounding::Even), bits),
            InputTable::By128Less1 => clip(rsh(p - 128, shift(8), Rounding::Even), bits),
            InputTable::By127Point5Less1 => clip(nearest(p), bits),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_tables_are_those_of_the_contract_at_eight_bits() {
        for p in 0..256i64 {
            let i = usize::try_from(p).unwrap();
            let half = p / 2 + i64::from(p % 2 == 1 && (p / 2) % 2 == 1);
            assert_eq!(input_table(InputTable::By256, 8)[i], half.min(127));
            assert_eq!(input_table(InputTable::By128Less1, 8)[i], (p - 128).clamp(-127, 127));
            let centred = (p - 128 + i64::from(p >= 128)).clamp(-127, 127);
            assert_eq!(input_table(InputTable::By127Point5Less1, 8)[i], centred, "byte {p}");
        }
    }
}
