//! A training run: which step is next, what its epochs came to, and the default observers that go with it.
//!
//! Everything a run has come to is its [`Progress`] and the kept tensors of the machine: a run that goes on from both
//! cannot be told from one that was never stopped.

use super::trainer::{Ahead, beside};
use super::{Checkpoint, CheckpointError, Score, TrainError, Trainer};
use crate::data::{Batch, DataSet, Draw, order};
use crate::machine::{Engine, Observer, State};
use crate::network::Recipe;
use crate::observe::{Ledger, LedgerCounts, Statistics, StatisticsLine};
use crate::program::Program;
use crate::spec::Machine;

/// Codes are read for the statistics at the first step and at every step that is a multiple of this.
const LOOK_EVERY: u32 = 64;
/// Accumulators are recounted at the first step and once an epoch, but no more often than this many steps: a recount takes as
/// long as some thirty steps.
const RECOUNT_OFTEN: u32 = 256;
/// And no more rarely than this many; so rarely where a step has more than [`LONG`] products: a recount takes some fifty times
/// as long as such a step.
const RECOUNT_RARELY: u32 = 1024;
/// Products of a step that is long.
const LONG: u64 = 1 << 33;

/// One epoch's outcome.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u32,
    /// Steps it had.
    pub steps: u32,
    /// λ: log2 of its learning rate.
    pub lr_log2: i32,
    /// Mean of ½Σd² over the images trained on, each as it was seen, in units of 1.
    pub loss: f64,
    /// Share of the training images, each as it was seen, whose first greatest output was not the label.
    pub train_error: f64,
    /// Share of the test images whose first greatest output is not the label.
    pub test_error: f64,
    /// The same where a tie with the label counts as right.
    pub test_error_ties_right: f64,
    /// Share of the test images whose label is not among the five greatest outputs; of 20 classes or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error_top5: Option<f64>,
}

/// What a run has come to, besides the tensors kept: counters only, no times of the host.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Training steps done.
    pub step: u32,
    /// Epochs done.
    pub epochs: Vec<Epoch>,
    /// Of the epoch under way.
    pub seen: Score,
    /// Counts of the training entry.
    pub training: LedgerCounts,
    /// Counts of the evaluations: quantisation, then forward.
    pub evaluation: [LedgerCounts; 2],
    /// Statistics of the training entry.
    pub statistics: Vec<StatisticsLine>,
}

/// A training run on real data.
pub struct Run<'a> {
    trainer: Trainer<'a>,
    recipe: &'a Recipe,
    data: &'a DataSet,
    data_digest: String,
    order: Vec<u32>,
    /// The next step's batch, where it was made ready beside the step before.
    next: Option<Batch>,
    step: u32,
    epochs: Vec<Epoch>,
    seen: Score,
    training: Ledger,
    evaluation: [Ledger; 2],
    statistics: Statistics<'a>,
    recount_every: u32,
}

impl<'a> Run<'a> {
    /// A run at its beginning.
    ///
    /// # Errors
    /// When the program is none for training or the data make no batch.
    pub fn new(
        program: &'a Program,
        machine: &Machine,
        recipe: &'a Recipe,
        data: &'a DataSet,
        engine: Box<dyn Engine + 'a>,
    ) -> Result<Self, TrainError> {
        for (part, images) in [("training", &data.train), ("test", &data.test)] {
            let bytes = images.shape.iter().product::<usize>() as u64;
            let wanted = program.training.as_ref().map_or(bytes, |t| t.image_bytes);
            if bytes != wanted {
                return Err(TrainError::Shape { part, shape: images.shape, wanted });
            }
        }
        let mut trainer = Trainer::new(program, scratchpads(machine), recipe.seed, engine)?;
        trainer.state.source = machine.word_source();
        let plans = trainer.plans();
        for plan in [&plans.quantise, &plans.train, &plans.evaluate] {
            plan.verify_rows(machine.array.rows)?;
            program.verify_control(&plan.entry, machine.control.registers, machine.control.loop_depth)?;
        }
        let ledger = |plan| Ledger::new(plan, machine);
        let mut run = Run {
            recipe,
            data,
            data_digest: data.digest(),
            order: Vec::new(),
            next: None,
            step: 0,
            epochs: Vec::new(),
            seen: Score::default(),
            training: ledger(&plans.train),
            evaluation: [ledger(&plans.quantise), ledger(&plans.evaluate)],
            statistics: Statistics::new(program),
            recount_every: RECOUNT_RARELY,
            trainer,
        };
        if plans.train.steps.iter().map(|step| step.instr.products()).sum::<u64>() <= LONG {
            run.recount_every = run.steps_per_epoch().clamp(RECOUNT_OFTEN, RECOUNT_RARELY);
        }
        match run.steps_per_epoch() {
            0 => Err(TrainError::NoBatch { images: data.train.len(), batch: run.trainer.training().batch }),
            _ => Ok(run),
        }
    }

    /// Goes on where a checkpoint of the same inputs was made.
    ///
    /// # Errors
    /// When the checkpoint is of other inputs or does not hold what this run needs; the run is then unchanged.
    pub fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let progress = checkpoint.progress();
        let fits = |ledger: &Ledger, counts| ledger.clone().restore(counts);
        let [quantise, evaluate] = &self.evaluation;
        let [quantised, evaluated] = &progress.evaluation;
        if !(fits(&self.training, &progress.training)
            && fits(quantise, quantised)
            && fits(evaluate, evaluated))
        {
            return Err(CheckpointError::other_run("its counts are of another program"));
        }
        checkpoint.restore(
            self.trainer.program(),
            self.recipe.seed,
            &self.data_digest,
            &mut self.trainer.state,
        )?;
        self.training.restore(&progress.training);
        for (ledger, counts) in self.evaluation.iter_mut().zip(&progress.evaluation) {
            ledger.restore(counts);
        }
        self.statistics.restore(&progress.statistics);
        (self.step, self.seen) = (progress.step, progress.seen);
        self.epochs.clone_from(&progress.epochs);
        self.order.clear();
        self.next = None;
        Ok(())
    }

    /// Begins with the weights of another run's checkpoint: the same network, on any machine, with any recipe.
    ///
    /// # Errors
    /// When the checkpoint does not hold this network's tensors; the run is then unchanged.
    pub fn start_from(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.warm(self.trainer.program(), &mut self.trainer.state)
    }

    /// A checkpoint of the run as it is.
    pub fn checkpoint(&self) -> Checkpoint {
        let progress = Progress {
            step: self.step,
            epochs: self.epochs.clone(),
            seen: self.seen,
            training: self.training.counts().clone(),
            evaluation: self.evaluation.each_ref().map(|l| l.counts().clone()),
            statistics: self.statistics.lines(),
        };
        Checkpoint::of(
            self.trainer.program(),
            self.recipe.seed,
            self.data_digest.clone(),
            &self.trainer.state,
            progress,
        )
    }

    /// Steps of a whole epoch; images that make no batch are left out.
    pub fn steps_per_epoch(&self) -> u32 {
        u32::try_from(self.data.train.len()).unwrap_or(u32::MAX) / self.trainer.training().batch
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u32 {
        self.steps_per_epoch().saturating_mul(self.recipe.epochs)
    }

    /// Training steps done.
    pub fn step_count(&self) -> u32 {
        self.step
    }

    /// Epochs done.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// Whether every step was done and every epoch evaluated.
    pub fn is_done(&self) -> bool {
        self.step >= self.steps() && !self.epoch_is_open()
    }

    /// The epoch the next step belongs to, or of the step before where it is not evaluated yet; from 1.
    pub fn epoch(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Whether the epoch has had a step and waits for its evaluation or more steps.
    pub fn epoch_is_open(&self) -> bool {
        self.seen.images > 0
    }

    /// Whether the epoch under way has had all its steps.
    pub fn epoch_is_full(&self) -> bool {
        self.epoch_is_open() && self.step.is_multiple_of(self.steps_per_epoch())
    }

    /// λ of the epoch under way.
    pub fn lr_log2(&self) -> i32 {
        self.recipe.lr_log2(self.epoch())
    }

    /// Mean loss of the images seen in the epoch under way.
    pub fn loss(&self) -> f64 {
        self.trainer.loss(&self.seen)
    }

    /// The machine as the next training step finds it: batch, learning rate and number of the step in their places.
    ///
    /// # Errors
    /// When the batch cannot be read.
    pub fn before(&mut self) -> Result<&State, TrainError> {
        let (step, lr) = (self.step + 1, self.lr_log2());
        let fed = self.fed()?;
        self.trainer.begin(&fed, step, lr)?;
        self.next = Some(fed);
        Ok(&self.trainer.state)
    }

    /// The images of the step at a place of its epoch.
    fn of_step(&self, place: u32) -> &[u32] {
        let size = |n: u32| usize::try_from(n).unwrap_or(0);
        let (place, batch) = (size(place), size(self.trainer.training().batch));
        &self.order[place * batch..(place + 1) * batch]
    }

    fn draw(&self) -> Draw {
        Draw { seed: self.recipe.seed, epoch: self.epoch(), augment: self.recipe.augment }
    }

    /// The next step's batch.
    fn fed(&mut self) -> Result<Batch, TrainError> {
        let images = u32::try_from(self.data.train.len()).unwrap_or(u32::MAX);
        let place = self.step % self.steps_per_epoch();
        if self.order.is_empty() || place == 0 {
            self.order = order(self.recipe.seed, self.epoch(), images);
        }
        let next = self.next.take();
        Ok(next.map_or_else(|| self.data.train.batch(self.of_step(place), Some(&self.draw())), Ok)?)
    }

    /// The next training step, told to `observers` as to the run's own.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn step(&mut self, observers: &mut [&mut dyn Observer]) -> Result<(), TrainError> {
        let fed = self.fed()?;
        let place = (self.step + 1) % self.steps_per_epoch();
        let (draw, coming) =
            (self.draw(), if place == 0 { Vec::new() } else { self.of_step(place).to_owned() });
        let images = &self.data.train;
        let ahead = (place != 0).then_some(Ahead { images, indices: &coming, draw: Some(&draw) });
        let (step, lr) = (self.step + 1, self.recipe.lr_log2(self.epoch()));
        let at = |every: u32| step == 1 || step.is_multiple_of(every);
        self.statistics.begin(self.epoch(), at(LOOK_EVERY), at(self.recount_every));
        let mut all: Vec<&mut dyn Observer> = vec![&mut self.training, &mut self.statistics];
        all.extend(observers.iter_mut().map(|o| &mut **o as &mut dyn Observer));
        let (score, next) = beside(ahead, || self.trainer.step(&fed, step, lr, &mut all));
        let score = score?;
        // What cannot be read is read again, and told, by the step that needs it: this one is done.
        self.next = next.unwrap_or(None);
        self.seen.add(score);
        self.step = step;
        Ok(())
    }

    /// Evaluates the weights as they are and closes the epoch under way.
    ///
    /// # Errors
    /// When the machine stops.
    pub fn close_epoch(&mut self) -> Result<Epoch, TrainError> {
        let [quantise, forward] = &mut self.evaluation;
        let score = self.trainer.evaluate(&self.data.test, self.step, quantise, forward, &mut |_, _| ())?;
        let seen = std::mem::take(&mut self.seen);
        let epoch = Epoch {
            epoch: self.epoch(),
            steps: u32::try_from(seen.images).unwrap_or(u32::MAX) / self.trainer.training().batch,
            lr_log2: self.recipe.lr_log2(self.epoch()),
            loss: self.trainer.loss(&seen),
            train_error: error(seen.right, seen.images),
            test_error: error(score.right, score.images),
            test_error_ties_right: error(score.right_with_ties, score.images),
            test_error_top5: score.right_in_five.map(|right| error(right, score.images)),
        };
        self.epochs.push(epoch);
        Ok(epoch)
    }

    /// Counts of the training entry.
    pub fn training_ledger(&self) -> &Ledger {
        &self.training
    }

    /// Counts of the evaluations: quantisation, then forward.
    pub fn evaluation_ledgers(&self) -> &[Ledger; 2] {
        &self.evaluation
    }

    /// Bit statistics of the training steps.
    pub fn statistics(&self) -> Vec<StatisticsLine> {
        self.statistics.lines()
    }

    /// Name of the engine.
    pub fn engine_name(&self) -> &'static str {
        self.trainer.engine_name()
    }

    /// Images of an evaluation.
    pub fn test_images(&self) -> u64 {
        self.data.test.len() as u64
    }

    /// SHA-256 of the images and labels.
    pub fn data_digest(&self) -> &str {
        &self.data_digest
    }

    /// Codes were read for the statistics at the first step and at every multiple of this.
    pub fn look_every(&self) -> u32 {
        LOOK_EVERY
    }

    /// Accumulators were recounted at the first step and at every multiple of this.
    pub fn recount_every(&self) -> u32 {
        self.recount_every
    }

    /// The program that is trained.
    pub fn program(&self) -> &'a Program {
        self.trainer.program()
    }

    /// The recipe.
    pub fn recipe(&self) -> &'a Recipe {
        self.recipe
    }
}

/// Bytes of a machine's scratchpads, in the order of memories.
pub(super) fn scratchpads(machine: &Machine) -> [usize; 4] {
    machine.memory.bytes().map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// The share that is not right.
#[expect(clippy::cast_precision_loss, reason = "a fraction of images")]
fn error(right: u64, images: u64) -> f64 {
    (images - right) as f64 / images.max(1) as f64
}
