//! Why exploring stopped. Typed here; the command line adds exit codes.

use std::path::PathBuf;

use crate::compiler::CompileError;
use crate::data::DataError;
use crate::program::PlanError;
use crate::spec::SourceError;
use crate::train::{CheckpointError, DirectoryError, TrainError};

/// Why a plan cannot be made or carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// A setting, an axis, a program or a machine file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A network that has no program for a point's machine.
    #[error("{point}: {error}")]
    Compile {
        /// The point.
        point: String,
        /// Why.
        error: CompileError,
    },
    /// Images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Folders of points.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A checkpoint that cannot be gone on from, or written.
    #[error("{point}: {error}")]
    Checkpoint {
        /// The point.
        point: String,
        /// Why.
        error: CheckpointError,
    },
    /// A run that cannot begin.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An entry that cannot be unrolled.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that does not read.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What was asked for makes no plan.
    #[error("{0}")]
    Plain(String),
}

impl ExploreError {
    /// Whether it is what the user gave that is at fault; else a run failed.
    pub fn is_given(&self) -> bool {
        match self {
            ExploreError::Checkpoint { error, .. } => !matches!(error, CheckpointError::Write { .. }),
            ExploreError::Train(error) => !matches!(error, TrainError::Fault { .. }),
            _ => true,
        }
    }
}
