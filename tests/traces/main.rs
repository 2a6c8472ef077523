//! Traces as others read them: each form by a strict reader of its own, its sums held to the report's.

mod common;
mod cycles;
mod debug;
mod example;
mod golden;
mod log;
#[path = "../random/mod.rs"]
mod random;
mod timeline;
mod train;
