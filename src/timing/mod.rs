//! When instructions happen: their durations on a machine, and the schedule of a whole program (`isa/timing.md`).
//!
//! Everything here is a function of program and machine; no data is seen and no value computed. The compiler weighs
//! tilings by it, observers report it. The stepped engine knows nothing of it: that the two agree is what proves both.

mod account;
mod duration;
mod schedule;
mod transfer;
mod work;

pub use account::{Account, Accounts, UnitCycles, Wait};
pub use duration::{Duration, Folds};
pub use schedule::{Activity, Schedule, Span, Times};
pub use transfer::Transfer;
pub use work::{is_built_once, lane_elements};
