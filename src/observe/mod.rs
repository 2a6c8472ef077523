//! Observers of executed instructions. None changes a bit of the state; each can be left out.

mod dump;
mod energy;
mod events;
mod ledger;
mod statistics;
mod work;
mod yields;

pub(crate) use dump::encode;
pub use dump::{DumpError, TensorDump};
pub use energy::{Preset, PresetError};
pub use events::{Component, Cost, Event, Events};
pub use ledger::{FirstOverflow, Ledger, LedgerCounts, Tally};
pub use statistics::{ClassStatistics, Statistics, StatisticsLine};
