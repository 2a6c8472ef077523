//! Traces as others read them: each form by a strict reader of its own, its sums held to the report's.

mod common;
mod cycles;
mod debug;
mod golden;
mod log;
mod timeline;
