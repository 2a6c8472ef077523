//! Observers of executed instructions. None changes a bit of the state; each can be left out.

mod area;
mod cost;
mod dump;
mod energy;
mod events;
mod ledger;
mod statistics;
mod widths;
mod work;
mod yields;

pub use area::{Element, Logic};
pub use cost::Cost;
pub(crate) use dump::encode;
pub use dump::{DumpError, TensorDump};
pub use events::{Component, Event, Events};
pub use ledger::{FirstOverflow, Ledger, LedgerCounts, Tally};
pub use statistics::{ClassStatistics, EpochWidths, RecountStatistics, Statistics, StatisticsLine};
pub use widths::{NeededBits, Sufficient};
