//! Observers of executed instructions. None changes a bit of the state; each can be left out.

mod dump;
mod energy;
mod events;
mod ledger;
mod statistics;
mod widths;
mod work;
mod yields;

pub use dump::{DumpError, TensorDump};
pub use energy::{Preset, PresetError};
pub use events::{Component, Cost, Event, Events};
pub use ledger::{FirstOverflow, Ledger, LedgerCounts, Tally};
pub use statistics::{ClassStatistics, EpochWidths, RecountStatistics, Statistics, StatisticsLine};
pub use widths::{NeededBits, Sufficient};
