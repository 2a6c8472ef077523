//! Codes, shifts, rounding, exponents, stochastic rounding and random streams. Knows nothing else.
//!
//! Everything is integer arithmetic; `isa/arithmetic.md` is the contract, `isa/vectors/` its examples.
#![deny(clippy::float_arithmetic)]

mod accumulator;
mod random;
mod rounding;
mod shift;

pub use accumulator::{Accumulator, AccumulatorRule, Overflow, Sum, join, saturate, wrap};
pub use random::{Stream, StreamKind, draw_weight, permutation};
pub use rounding::{RoundingWords, WordSource};
pub use shift::{Rounding, clip, exponent, fits, max_code, needed_bits, needs_random, rsh, stochastic_step};
