//! The host: feeds batches, sets the learning rate, reads counters and keeps checkpoints. It computes nothing of a
//! training step.

mod checkpoint;
mod directory;
mod evaluation;
mod five;
mod run;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tiles;
mod trainer;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use directory::{DirectoryError, RunDirectory};
pub use evaluation::{Confusion, Evaluation, evaluate};
pub use run::{Epoch, Progress, Run};
pub use trainer::{Plans, Score, TrainError, Trainer};
