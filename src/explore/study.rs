//! A study: a file that names a program and the grids of points to be swept over it. Owns the file's keys.

use std::path::{Path, PathBuf};

use super::{Axis, ExploreError, Grid};
use crate::spec::Setting;

/// A study file, as typed.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What it is called.
    pub name: Option<String>,
    /// The program file, relative to the study's.
    pub program: PathBuf,
    /// The machine file, relative to the study's.
    pub machine: Option<PathBuf>,
    /// Settings of all points.
    #[serde(default)]
    set: Vec<String>,
    /// Seeds of each point.
    #[serde(default = "one")]
    seeds: Vec<u64>,
    /// A point whose test error after its first epoch is above this stops.
    pub stop_above: Option<f64>,
    grid: Vec<GridFile>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GridFile {
    #[serde(default)]
    set: Vec<String>,
    #[serde(default)]
    vary: Vec<String>,
    seeds: Option<Vec<u64>>,
}

fn one() -> Vec<u64> {
    vec![1]
}

impl Study {
    /// Whether a text is a study's: it has grids.
    pub fn is_one(text: &str) -> bool {
        text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("grid"))
    }

    /// Reads a study; files it names are relative to its own.
    ///
    /// # Errors
    /// Text that is no study, with the place in it.
    pub fn parse(text: &str, path: &Path) -> Result<Study, ExploreError> {
        let content =
            |e: toml::de::Error| ExploreError::Content { path: path.to_owned(), what: e.to_string() };
        let mut study: Study = toml::from_str(text).map_err(content)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        study.program = folder.join(&study.program);
        study.machine = study.machine.map(|machine| folder.join(machine));
        Ok(study)
    }

    /// Settings of all points.
    pub fn settings(&self) -> &[String] {
        &self.set
    }

    /// Its grids; `seeds`, where given, in place of all of the file's.
    ///
    /// # Errors
    /// A setting or an axis that does not read.
    pub fn grids(&self, seeds: Option<&[u64]>) -> Result<Vec<Grid>, ExploreError> {
        let grid = |grid: &GridFile| {
            let set: Result<Vec<Setting>, _> = grid.set.iter().map(|s| Setting::parse(s)).collect();
            let axes: Result<Vec<Axis>, _> = grid.vary.iter().map(|s| Axis::parse(s)).collect();
            let seeds = seeds.or(grid.seeds.as_deref()).unwrap_or(&self.seeds).to_vec();
            Ok(Grid { set: set?, axes: axes?, seeds })
        };
        self.grid.iter().map(grid).collect()
    }
}
