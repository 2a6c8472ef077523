//! Many runs of one program: plans of points, their trainings side by side, what they came to. Knows nothing of terminals.

mod axis;
mod base;
mod error;
mod found;
mod pictures;
mod plan;
mod point;
mod results;
mod search;
mod study;
mod summary;
mod sweep;

pub use axis::Axis;
pub use base::{Base, Inputs};
pub use error::ExploreError;
pub use found::{FOUND_NOTES, FoundSummary, found_page};
pub use pictures::{elements, pictures};
pub use plan::{Grid, Plan, Point};
pub use point::{Status, Watch};
pub use results::{Results, Row, collect, report_of, wide_report};
pub use search::{Found, Means, Narrate, Search, Target, Trial};
pub use study::Study;
pub use summary::{compared, comparison, comparison_page, naming_columns, page, run_report, summary};
pub use sweep::{Finish, jobs, sweep};
