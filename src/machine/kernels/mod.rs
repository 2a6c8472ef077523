//! Inner loops, a module for each instruction set extension, chosen at run time; the only unsafe code.
//!
//! Every extension gives the same numbers; what is wrapped here is checked here, so that callers stay safe.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod bytes;
mod columns;
mod crew;
mod extension;
mod lines;
mod norms;
mod partial;
mod peak;
mod portable;
mod product;
mod row;
mod saturating;
mod stepped;
#[cfg(target_arch = "x86_64")]
mod sums;
#[cfg(target_arch = "x86_64")]
mod vnni;
mod winograd;
mod woven;

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
pub(super) use amx::emulated_products;
pub(super) use bytes::{TURN_SLACK, interleave};
pub(super) use columns::Columns;
pub(super) use crew::{Hand, Moves, Window, execute};
pub use extension::Extension;
pub(super) use extension::{Kernels, compiled};
pub use lines::Lines;
pub(super) use lines::{LINE, prefetch};
pub(super) use partial::Reach;
pub(super) use portable::row_products;
pub(super) use product::{
    Class, Extremes, GROUP, LANES, MAX_REGISTERS, Operands, PANELS_SLACK, Segment, Shape,
};
pub(super) use row::Row;
pub(super) use stepped::{RowOverflows, STEPPED_LANES, stepped_lanes};
pub(super) use winograd::{
    Filtering, FilteringOperands, For, Image, Mixing, PRODUCTS, Pair, Pairs, Rows, Square, SquareInputs,
    SquareOperands, Squares, TIMES, WHOM, added, twice,
};
pub(super) use woven::{KeptSums, NOWHERE, Strip, WINDOWS, Weave, Woven};
