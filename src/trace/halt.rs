//! What ends a trace before its run does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What ends a trace before its run does.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes a file may have.
    pub most_bytes: Option<u64>,
    /// Set from outside (Ctrl-C) to stop.
    pub stop: Arc<AtomicBool>,
}

/// Why a trace goes no further.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// The next record would make the file too long.
    #[error("it has come to --max-size")]
    Limit,
    /// Stopped from outside.
    #[error("it was stopped")]
    Stopped,
    /// Whoever read it went away.
    #[error("its reader has gone")]
    Closed,
    /// It cannot be written.
    #[error(transparent)]
    Failed(#[from] SinkError),
}

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The disk is full; what was written before was closed, where the disk let it.
    #[error(
        "{path}: the disk is full; give it room, name another place, or ask for less (--max-size, a window, .zst)"
    )]
    Full {
        /// The file.
        path: String,
    },
    /// Anything else.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}
