//! Machine state, units and the engines that execute instructions.
//!
//! An engine makes an instruction's effect on the [`State`] and says what happened in an [`Outcome`]. It knows
//! nothing of time, energy, layers or tensors. [`Stepped`] alone moves values with time, a whole plan at once.

mod engine;
mod fast;
mod kernels;
mod matrix;
mod moves;
mod operands;
mod reference;
mod state;
mod stepped;
mod unfinished;
mod values;
mod vector;

pub use engine::{Engine, Exact, Fault, Observer, Outcome, OverflowPlace, run};
pub use fast::Fast;
pub use kernels::{Extension, Lines};
pub use matrix::{Recount, Recounted, Recounter};
pub use operands::{Operands, Stress};
pub use reference::Reference;
pub use state::{State, element};
pub use stepped::{
    Access, ElementView, Joins, MoveView, StageView, Stepped, Timing, Trace, View, Watch, run_stepped,
};
