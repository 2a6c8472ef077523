//! A program on a machine: feeds batches, sets the learning rate, executes its entries, reads counters.

use super::five::Outputs;
use crate::data::{Batch, DataError, Draw, Images};
use crate::isa::Memory;
use crate::machine::{Engine, Fault, Observer, State, run};
use crate::program::{Plan, PlanError, Program, Tensor, Training};

/// A label that matches no class: what fills the last batch of an evaluation.
const NO_LABEL: u16 = u16::MAX;

/// Why a run stopped or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A program that is not for training.
    #[error("the program has no {0}; compile a network to train it")]
    NotTrainable(&'static str),
    /// An entry that cannot be unrolled.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Images that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Weights that are of another network.
    #[error(transparent)]
    Checkpoint(Box<super::CheckpointError>),
    /// The machine stopped.
    #[error("step {step}, {place}: {fault}; {way_out}")]
    Fault {
        /// The training step, from 1.
        step: u32,
        /// Phase and layer.
        place: String,
        /// What stopped it.
        fault: Fault,
        /// What to do.
        way_out: String,
    },
    /// Images that are not the program's input.
    #[error(
        "the {part} images are {} × {} × {} bytes (rows, columns, channels), the program takes {wanted} bytes an image; \
         give data in its shape, or compile a network for these images",
        shape[0], shape[1], shape[2]
    )]
    Shape {
        /// `training` or `test`.
        part: &'static str,
        /// Rows, columns, channels.
        shape: [usize; 3],
        /// Bytes of an image of the program.
        wanted: u64,
    },
    /// A data set with fewer images than a batch.
    #[error("{images} training images make no batch of {batch}; set recipe.batch to at most {images}")]
    NoBatch {
        /// Images to train on.
        images: usize,
        /// Images a step.
        batch: u32,
    },
}

/// The entries of a training program, unrolled.
pub struct Plans {
    /// Stored weights to weights as used.
    pub quantise: Plan,
    /// One training step.
    pub train: Plan,
    /// One batch through the forward pass.
    pub evaluate: Plan,
}

/// A program on a machine, ready to train.
pub struct Trainer<'a> {
    program: &'a Program,
    training: &'a Training,
    plans: std::sync::Arc<Plans>,
    engine: Box<dyn Engine + 'a>,
    /// The machine.
    pub state: State,
}

/// What a pass over images came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Images.
    pub images: u64,
    /// Images whose first greatest output is the label.
    pub right: u64,
    /// Images whose label is among the greatest outputs.
    pub right_with_ties: u64,
    /// Σd², in the program's units.
    pub squares: u128,
    /// Images whose label is among the five greatest outputs (of equals the lower class first); evaluations of at least 20
    /// classes tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_in_five: Option<u64>,
}

impl Score {
    /// Adds another pass.
    pub fn add(&mut self, other: Score) {
        self.images += other.images;
        self.right += other.right;
        self.right_with_ties += other.right_with_ties;
        self.squares += other.squares;
        if let Some(right) = other.right_in_five {
            *self.right_in_five.get_or_insert(0) += right;
        }
    }
}

impl<'a> Trainer<'a> {
    /// A machine with scratchpads of these sizes (bytes) that holds the program's initial data.
    ///
    /// # Errors
    /// When the program is none for training.
    pub fn new(
        program: &'a Program,
        scratchpads: [usize; 4],
        seed: u64,
        engine: Box<dyn Engine + 'a>,
    ) -> Result<Self, TrainError> {
        let training = program.training.as_ref().ok_or(TrainError::NotTrainable("training data"))?;
        let bytes = |n: usize| n as u64;
        let [operand, weight, accumulator, mask] = scratchpads;
        let sizes = [bytes(operand), bytes(weight), bytes(accumulator), bytes(mask), program.dram_bytes];
        let plan = |entry| -> Result<Plan, PlanError> {
            let plan = Plan::new(program, entry)?;
            plan.verify(&sizes)?;
            Ok(plan)
        };
        let plans = Plans { quantise: plan("quantise")?, train: plan("train")?, evaluate: plan("evaluate")? };
        let dram = usize::try_from(program.dram_bytes).unwrap_or(0);
        let mut state = State::new([operand, weight, accumulator, mask, dram], seed);
        program.fill_dram(seed, state.memory_mut(Memory::Dram));
        Ok(Trainer { program, training, plans: plans.into(), engine, state })
    }

    /// The program's entries.
    pub fn plans(&self) -> std::sync::Arc<Plans> {
        self.plans.clone()
    }

    /// The program.
    pub fn program(&self) -> &'a Program {
        self.program
    }

    /// What the host knows of the program.
    pub fn training(&self) -> &'a Training {
        self.training
    }

    /// Name of the engine.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    fn tensor(&self, name: &'static str) -> Result<&'a Tensor, TrainError> {
        self.program.tensor(name).ok_or(TrainError::NotTrainable(name))
    }

    /// Writes a batch, and blanks for what is missing to a whole one.
    fn feed(&mut self, batch: &Batch) -> Result<(), TrainError> {
        let (input, label) = (self.tensor("input")?.range(), self.tensor("label")?.range());
        let dram = self.state.memory_mut(Memory::Dram);
        dram[input.clone()].fill(0);
        dram[label.clone()].fill(NO_LABEL.to_le_bytes()[0]);
        dram[input][..batch.pixels.len()].copy_from_slice(&batch.pixels);
        for (to, from) in dram[label].chunks_exact_mut(2).zip(&batch.labels) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        Ok(())
    }

    fn execute(
        &mut self,
        plan: &Plan,
        step: u32,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), TrainError> {
        run(plan, self.engine.as_mut(), &mut self.state, observers)
            .map_err(|fault| stopped(plan, step, fault))
    }

    fn score(&self, images: usize) -> Score {
        let counter = |i: u8| self.state.counters[usize::from(i)];
        let count = |i: u8| u64::try_from(counter(i)).unwrap_or(u64::MAX);
        Score {
            images: images as u64,
            right: count(self.training.first_counter),
            right_with_ties: count(self.training.ties_counter),
            squares: counter(self.training.loss_counter),
            right_in_five: None,
        }
    }

    /// Puts in place what the host gives a training step.
    ///
    /// # Errors
    /// When the program is none for training.
    pub fn begin(&mut self, batch: &Batch, step: u32, lr_log2: i32) -> Result<(), TrainError> {
        self.feed(batch)?;
        self.state.step = step;
        self.state.scales[usize::from(self.training.learning_rate_scale)] = lr_log2.into();
        Ok(())
    }

    /// One training step, numbered from 1 over the whole run.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn step(
        &mut self,
        batch: &Batch,
        step: u32,
        lr_log2: i32,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Score, TrainError> {
        self.begin(batch, step, lr_log2)?;
        self.execute(&self.plans().train, step, observers)?;
        Ok(self.score(batch.labels.len()))
    }

    /// The weights as they are, on the test images; `before` is told of the quantisation, `during` of the batches, and `each`
    /// of every batch's labels and what was predicted for them.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn evaluate(
        &mut self,
        images: &Images,
        step: u32,
        before: &mut dyn Observer,
        during: &mut dyn Observer,
        each: &mut dyn FnMut(&[u16], &[u16]),
    ) -> Result<Score, TrainError> {
        let predictions = self.tensor("prediction")?.range();
        let outputs = Outputs::of(self.program);
        let plans = self.plans();
        self.execute(&plans.quantise, step, &mut [before])?;
        let all: Vec<u32> = (0..u32::try_from(images.len()).unwrap_or(u32::MAX)).collect();
        let mut total = Score::default();
        let batches: Vec<&[u32]> = all.chunks(usize::try_from(self.training.batch).unwrap_or(1)).collect();
        let mut next = None;
        for (i, indices) in batches.iter().enumerate() {
            let batch = next.take().map_or_else(|| images.batch(indices, None), Ok)?;
            self.feed(&batch)?;
            let ahead = batches.get(i + 1).map(|indices| Ahead { images, indices, draw: None });
            let (executed, prepared) =
                beside(ahead, || self.execute(&plans.evaluate, step, &mut [&mut *during]));
            executed?;
            next = prepared?;
            let words = self.state.memory(Memory::Dram)[predictions.clone()].as_chunks::<2>().0;
            let predicted: Vec<u16> = words.iter().map(|&word| u16::from_le_bytes(word)).collect();
            each(&batch.labels, &predicted);
            let right_in_five = outputs.map(|outputs| outputs.right(&self.state, &batch.labels));
            total.add(Score { right_in_five, ..self.score(indices.len()) });
        }
        Ok(total)
    }

    /// The mean of ½Σd² over the images of a score, in units of 1.
    pub fn loss(&self, score: &Score) -> f64 {
        let unit = 2f64.powi(2 * i32::try_from(self.training.loss_shift).unwrap_or(0) + 1);
        #[expect(clippy::cast_precision_loss, reason = "a mean to be read, not computed with")]
        let (squares, images) = (score.squares as f64, score.images as f64);
        squares / unit / images
    }
}

/// A batch to be made ready while another is computed with.
pub(super) struct Ahead<'a> {
    pub(super) images: &'a Images,
    pub(super) indices: &'a [u32],
    pub(super) draw: Option<&'a Draw>,
}

/// Does `work`, and beside it makes the batch ready where that is work for a thread.
pub(super) fn beside<T>(
    ahead: Option<Ahead<'_>>,
    work: impl FnOnce() -> T,
) -> (T, Result<Option<Batch>, DataError>) {
    let Some(ahead) = ahead.filter(|ahead| ahead.images.is_work(ahead.draw)) else {
        return (work(), Ok(None));
    };
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| ahead.images.batch(ahead.indices, ahead.draw).map(Some));
        let done = work();
        // A thread that panicked has said so; its batch is made again where it is needed.
        (done, batch.join().unwrap_or(Ok(None)))
    })
}

/// A fault with the phase and layer it happened in, and what its user can do.
fn stopped(plan: &Plan, step: u32, fault: Fault) -> TrainError {
    let at = plan.steps.iter().find(|s| s.pc == fault.pc());
    let phase = at.map_or("other", |s| s.phase.name());
    let place = match at.and_then(|s| s.layer) {
        Some(layer) => format!("{phase} of layer {layer}"),
        None => phase.to_owned(),
    };
    let way_out = match fault {
        Fault::Trap { .. } => format!(
            "widen it (accumulators.{phase}.bits), or count overflows instead (accumulators.{phase}.overflow=\"saturate\")"
        ),
        Fault::Range { .. } => {
            "a smaller learning rate or more gradient bits (wage.bits.G) make it fit".to_owned()
        }
        Fault::Chunk { .. } => "compile the program for this machine".to_owned(),
    };
    TrainError::Fault { step, place, fault, way_out }
}
