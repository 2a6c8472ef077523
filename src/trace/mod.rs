//! Traces: what a program does, instruction by instruction and cycle by cycle, in forms that other tools open.
//!
//! A trace is written as it comes, so a file as long as the disk takes no more memory than a short one. What of a run is
//! traced is one [`Window`], whatever the form. No trace changes a bit, and nothing here is in the way of a run without one.
//!
//! - `window`: what is traced; `sink`: files that are whole wherever they end; `timetable`: when, and at what cost.
//! - `timeline`: trace events for Perfetto.

mod ports;
mod sink;
mod timeline;
mod timetable;
mod window;

pub use sink::{Halt, Limits, Sink, SinkError};
pub use timeline::Timeline;
pub use timetable::{Price, Timetable};
pub use window::{Bounds, Window};
