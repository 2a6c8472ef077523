//! Many runs of one program: plans of points, their trainings side by side, what they came to. Knows nothing of terminals.

mod axis;
mod base;
mod error;
mod plan;
mod point;
mod results;
mod study;
mod sweep;

pub use axis::Axis;
pub use base::{Base, Inputs};
pub use error::ExploreError;
pub use plan::{Grid, Plan, Point};
pub use point::{Status, Watch};
pub use results::{Results, Row, collect};
pub use study::Study;
pub use sweep::{Finish, jobs, sweep};
