//! The host: feeds batches, sets the learning rate, reads counters. It computes nothing of a training step.

use crate::data::{DataSet, Images, order};
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
    /// The machine stopped.
    #[error("step {step}: {fault}; widen the accumulator (accumulators.*.bits) or let it saturate")]
    Fault {
        /// The training step, from 1.
        step: u32,
        /// What stopped it.
        fault: Fault,
    },
}

/// A program on a machine, ready to train.
pub struct Trainer<'a> {
    program: &'a Program,
    training: &'a Training,
    plans: [Plan; 3],
    engine: Box<dyn Engine>,
    /// The machine.
    pub state: State,
}

/// What a pass over images came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Score {
    /// Images.
    pub images: u64,
    /// Images whose first greatest output is the label.
    pub right: u64,
    /// Images whose label is among the greatest outputs.
    pub right_with_ties: u64,
    /// Σd², in the program's units.
    pub squares: u128,
}

impl Score {
    fn add(&mut self, other: Score) {
        self.images += other.images;
        self.right += other.right;
        self.right_with_ties += other.right_with_ties;
        self.squares += other.squares;
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
        engine: Box<dyn Engine>,
    ) -> Result<Self, TrainError> {
        let training = program.training.as_ref().ok_or(TrainError::NotTrainable("training data"))?;
        let plans =
            [Plan::new(program, "quantise")?, Plan::new(program, "train")?, Plan::new(program, "evaluate")?];
        let [operand, weight, accumulator, mask] = scratchpads;
        let mut state = State::new([operand, weight, accumulator, mask, 0], seed);
        state.memories[Memory::Dram.index()] = program.initial_dram(seed);
        Ok(Trainer { program, training, plans, engine, state })
    }

    fn tensor(&self, name: &'static str) -> Result<&'a Tensor, TrainError> {
        self.program.tensor(name).ok_or(TrainError::NotTrainable(name))
    }

    /// Writes the images of these indices, and blanks for what is missing to a batch.
    fn feed(&mut self, images: &Images, indices: &[u32]) -> Result<(), TrainError> {
        let (input, label) = (self.tensor("input")?.range(), self.tensor("label")?.range());
        let size = input.len() / label.len() * 2;
        let dram = self.state.memory_mut(Memory::Dram);
        dram[input.clone()].fill(0);
        dram[label.clone()].fill(NO_LABEL.to_le_bytes()[0]);
        for (slot, &i) in indices.iter().enumerate() {
            let i = usize::try_from(i).unwrap_or(0);
            let first = input.start + slot * size;
            dram[first..first + size].copy_from_slice(images.image(i));
            let first = label.start + 2 * slot;
            dram[first..first + 2].copy_from_slice(&images.labels[i].to_le_bytes());
        }
        Ok(())
    }

    fn execute(
        &mut self,
        plan: usize,
        step: u32,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), TrainError> {
        run(&self.plans[plan], self.engine.as_mut(), &mut self.state, observers)
            .map_err(|fault| TrainError::Fault { step, fault })
    }

    fn score(&self, images: usize) -> Score {
        let counter = |i: u8| self.state.counters[usize::from(i)];
        let count = |i: u8| u64::try_from(counter(i)).unwrap_or(u64::MAX);
        Score {
            images: images as u64,
            right: count(self.training.first_counter),
            right_with_ties: count(self.training.ties_counter),
            squares: counter(self.training.loss_counter),
        }
    }

    /// One training step, numbered from 1 over the whole run.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn step(
        &mut self,
        images: &Images,
        indices: &[u32],
        step: u32,
        lr_log2: i32,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Score, TrainError> {
        self.feed(images, indices)?;
        self.state.step = step;
        self.state.scales[usize::from(self.training.learning_rate_scale)] = lr_log2.into();
        self.execute(1, step, observers)?;
        Ok(self.score(indices.len()))
    }

    /// The batches of an epoch, from the seed.
    pub fn batches(&self, data: &DataSet, epoch: u32) -> Vec<Vec<u32>> {
        let count = u32::try_from(data.train.len()).unwrap_or(u32::MAX);
        let batch = usize::try_from(self.training.batch).unwrap_or(1);
        order(self.state.seed, epoch, count).chunks_exact(batch).map(<[u32]>::to_vec).collect()
    }

    /// The weights as they are, on the test images.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn evaluate(&mut self, images: &Images, step: u32) -> Result<Score, TrainError> {
        self.execute(0, step, &mut [])?;
        let all: Vec<u32> = (0..u32::try_from(images.len()).unwrap_or(u32::MAX)).collect();
        let mut total = Score::default();
        for indices in all.chunks(usize::try_from(self.training.batch).unwrap_or(1)) {
            self.feed(images, indices)?;
            self.execute(2, step, &mut [])?;
            total.add(self.score(indices.len()));
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
