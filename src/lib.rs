//! `wagesim`: a bit-accurate, cycle-level simulator of a fixed-point accelerator that trains neural
//! networks with integers only (WAGE).
//!
//! Data flows one way: network → compiler → program → machine → observers → report. A module imports
//! only modules listed above it here; `tests/house.rs` reads the `use crate::` lines and holds that.

pub mod number;

pub mod isa;

pub mod spec;

pub mod network;

pub mod program;

pub mod timing;

pub mod compiler;

pub mod machine;

pub mod observe;

pub mod trace;

pub mod debug;

pub mod data;

pub mod train;

pub mod report;

pub mod explore;

pub mod cli;
