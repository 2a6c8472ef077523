//! Traces: what a program does, instruction by instruction and cycle by cycle, in forms that other tools open.
//!
//! A trace is written as it comes, so a file as long as the disk takes no more memory than a short one. What of a run is
//! traced is one [`Window`], whatever the form. No trace changes a bit, and nothing here is in the way of a run without one.
//!
//! - `form`: what all forms have in common; `halt`: what ends them early.
//! - `window`: what is traced; `sink`: files that are whole wherever they end; `timetable`: when, and at what cost.
//! - `timeline`: trace events for Perfetto; `log`: a line an instruction; `diff`: where two logs part.
//! - `streams`: DRAM's accesses; `scratchpads` and `waveform` watch the stepped engine.
//! - `golden`: vectors for hardware.

mod diff;
mod form;
mod golden;
mod halt;
mod log;
mod scratchpads;
mod sink;
mod streams;
mod timeline;
mod timetable;
mod waveform;
mod window;

pub use diff::{CYCLES, DiffError, Difference, diff};
pub use form::{Closed, End, Form, Traces, Written};
pub use golden::Golden;
pub use halt::{Halt, Limits, SinkError};
pub use log::{Log, OnData};
pub use scratchpads::ScratchpadStreams;
pub use sink::Sink;
pub use streams::{DramStreams, Levels};
pub use timeline::Timeline;
pub use timetable::{Price, Timetable};
pub use waveform::{Place, Waveform};
pub use window::{Bounds, Window};
