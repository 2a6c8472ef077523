//! Observers of executed instructions. None changes a bit of the state; each can be left out.

mod dump;

pub use dump::{DumpError, TensorDump};
