//! Traces: what a program does, instruction by instruction and cycle by cycle, in forms that other tools open.
//!
//! A trace is written as it comes, so a file as long as the disk takes no more memory than a short one. What of a run is
//! traced is one [`Window`], whatever the form. No trace changes a bit, and nothing here is in the way of a run without one.
//!
//! - `window`: what is traced; `sink`: files that are whole wherever they end; `timetable`: when, and at what cost.
//! - `timeline`: trace events for Perfetto; `log`: a line an instruction; `diff`: where two logs part.
//! - `streams`: DRAM's accesses; `scratchpads` and `waveform` watch the stepped engine.
//! - `golden`: vectors for hardware.

mod diff;
mod golden;
mod log;
mod ports;
mod scratchpads;
mod sink;
mod streams;
mod timeline;
mod timetable;
mod waveform;
mod window;

pub use diff::{CYCLES, DiffError, Difference, diff};
pub use golden::{Golden, Stimulus};
pub use log::Log;
pub use scratchpads::{Moved, ScratchpadStreams};
pub use sink::{Halt, Limits, Sink, SinkError};
pub use streams::{DramStreams, Stream};
pub use timeline::Timeline;
pub use timetable::{Price, Timetable};
pub use waveform::{Place, Waveform};
pub use window::{Bounds, Window};

/// A trace that goes along with a run on data.
pub trait Follow: crate::machine::Observer {
    /// The next execution of the entry is training step `step`.
    fn begin(&mut self, step: u64);

    /// Whether it takes no more.
    fn has_ended(&self) -> bool;

    /// Whether it has the terminal to itself.
    fn talks(&self) -> bool {
        false
    }

    /// What ended it.
    fn take_halt(&mut self) -> Option<Halt>;
}
