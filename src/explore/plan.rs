//! A plan: which points there are, what each sets, and which of them are trained together. Owns names and sharing; must
//! not know how a point is executed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{Axis, Base, ExploreError};
use crate::program::hex;
use crate::spec::Setting;

/// Version of the file.
const VERSION: u32 = 1;
/// The longest name of a folder that any file system takes, with room for what is appended.
const LONGEST: usize = 200;
/// Points of a plan, at most.
const MOST: usize = 100_000;

/// Axes that are crossed with each other and with seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Settings of all its points.
    pub set: Vec<Setting>,
    /// What changes.
    pub axes: Vec<Axis>,
    /// Seeds of each of its points.
    pub seeds: Vec<u64>,
}

/// Everything that makes a sweep again, anywhere.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this form.
    version: u32,
    /// What pictures and tables call it.
    pub name: String,
    /// What all points start from.
    pub base: Base,
    /// A point whose test error after its first epoch is above this stops.
    pub stop_above: Option<f64>,
    /// Keys that differ between points, in the order they were named.
    pub keys: Vec<String>,
    /// The points.
    pub points: Vec<Point>,
    /// Points whose numbers are the same, by index, the one that is trained first; in the order of their first.
    pub trainings: Vec<Vec<usize>>,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its name, and its folder's.
    pub name: String,
    /// `key=value`, in the order they are applied.
    pub settings: Vec<String>,
    /// Its seed.
    pub seed: u64,
}

impl Point {
    /// Its settings with the seed's, to be laid over a base.
    ///
    /// # Errors
    /// Never for a point of [`Plan::new`].
    pub fn all_settings(&self) -> Result<Vec<Setting>, ExploreError> {
        let seed = format!("recipe.seed={}", self.seed);
        let all: Result<_, _> = self.settings.iter().chain([&seed]).map(|s| Setting::parse(s)).collect();
        Ok(all?)
    }

    /// The value it gives a key, as typed.
    pub fn value(&self, key: &str) -> Option<String> {
        let value = self.settings.iter().rev().find_map(|s| s.strip_prefix(key)?.strip_prefix('='));
        value.map(|v| v.trim_matches('"').to_owned())
    }
}

impl Plan {
    /// The plan of these grids; every point is read and compiled once, so that what cannot run is known before anything does.
    ///
    /// # Errors
    /// A point whose settings are not a program on a machine, no points, too many.
    pub fn new(
        name: &str,
        base: Base,
        stop_above: Option<f64>,
        grids: &[Grid],
    ) -> Result<Plan, ExploreError> {
        let mut keys: Vec<String> = Vec::new();
        let mut points: Vec<Point> = Vec::new();
        let mut names = BTreeSet::new();
        for grid in grids {
            let own = grid.set.iter().map(|s| &s.key).chain(grid.axes.iter().flat_map(|axis| &axis.keys));
            own.filter(|key| grids.len() > 1 || grid.axes.iter().any(|a| a.keys.contains(key))).for_each(
                |key| {
                    if !keys.contains(key) {
                        keys.push(key.clone())
                    }
                },
            );
            for settings in crossed(grid)? {
                for &seed in &grid.seeds {
                    let point = Point { name: named(&settings, seed), settings: settings.clone(), seed };
                    if names.insert(point.name.clone()) {
                        points.push(point);
                    }
                }
            }
        }
        if points.is_empty() {
            return Err(ExploreError::Plain(
                "a sweep needs a point: give it an axis, --vary KEY=VALUES".to_owned(),
            ));
        }
        let trainings = trainings(&base, &points)?;
        Ok(Plan { version: VERSION, name: name.to_owned(), base, stop_above, keys, points, trainings })
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When there is none or it is not what was written.
    pub fn load(path: &Path) -> Result<Plan, ExploreError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ExploreError::File { path: path.to_owned(), error })?;
        let plan: Result<Plan, _> = serde_json::from_str(&text);
        let content = |what: String| ExploreError::Content { path: path.to_owned(), what };
        let plan = plan.map_err(|e| content(e.to_string()))?;
        match plan.version {
            VERSION => Ok(plan),
            other => Err(content(format!("its version is {other}, not {VERSION}"))),
        }
    }
}

/// The settings of every point of a grid, the last axis fastest.
fn crossed(grid: &Grid) -> Result<Vec<Vec<String>>, ExploreError> {
    let mut points = vec![grid.set.iter().map(Setting::text).collect::<Vec<_>>()];
    for axis in &grid.axes {
        if points.len().saturating_mul(axis.places.len()) > MOST {
            return Err(ExploreError::Plain(format!("a sweep has at most {MOST} points; vary less")));
        }
        points = points
            .iter()
            .flat_map(|point| axis.places.iter().map(move |place| (point, place)))
            .map(|(point, place)| point.iter().cloned().chain(place.iter().map(Setting::text)).collect())
            .collect();
    }
    Ok(points)
}

/// The name of a point: its settings and seed, in characters that any file system takes.
fn named(settings: &[String], seed: u64) -> String {
    let whole: Vec<String> = settings.iter().cloned().chain([format!("seed={seed}")]).collect();
    let whole = whole.join(",");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=.,_-+".contains(c) { c } else { '-' };
    let name: String = whole.replace('"', "").chars().map(plain).collect();
    if name.len() <= LONGEST {
        return name;
    }
    let digest = Sha256::digest(whole.as_bytes());
    format!("{},{},seed={seed}", &name[..LONGEST - 40], hex(&digest[..6]))
}

/// Which points compute the same numbers, by index.
fn trainings(base: &Base, points: &[Point]) -> Result<Vec<Vec<usize>>, ExploreError> {
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    let mut compiled = BTreeSet::new();
    let mut trainings: Vec<Vec<usize>> = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let inputs = base.inputs(&point.all_settings()?)?;
        // A seed changes nothing of a program.
        let settings = point.settings.join(",");
        if compiled.insert(settings) {
            inputs.compile().map_err(|error| ExploreError::Compile { point: point.name.clone(), error })?;
        }
        let at = *place.entry(inputs.seen_by_data()).or_insert_with(|| {
            trainings.push(Vec::new());
            trainings.len() - 1
        });
        trainings[at].push(i);
    }
    Ok(trainings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            program: include_str!("../../programs/quick.toml").to_owned(),
            origin: "quick.toml".to_owned(),
            folder: None,
            machine: None,
            data: None,
            settings: vec!["recipe.batch=4".to_owned()],
        }
    }

    fn plan(axes: &[&str], seeds: &[u64]) -> Result<Plan, ExploreError> {
        let axes = axes.iter().map(|a| Axis::parse(a).unwrap()).collect();
        Plan::new("a", base(), None, &[Grid { set: Vec::new(), axes, seeds: seeds.to_vec() }])
    }

    #[test]
    fn axes_and_seeds_are_crossed() {
        let plan =
            plan(&["accumulators.forward.bits=10..11", "accumulators.overflow=wrap,saturate"], &[1, 2])
                .unwrap();
        assert_eq!(plan.points.len(), 8);
        assert_eq!(plan.keys, ["accumulators.forward.bits", "accumulators.overflow"]);
        assert_eq!(plan.points[2].name, "accumulators.forward.bits=10,accumulators.overflow=saturate,seed=1");
        assert_eq!(plan.points[2].value("accumulators.overflow").as_deref(), Some("saturate"));
        assert_eq!(plan.trainings.len(), 8);
    }

    #[test]
    fn what_the_data_cannot_see_is_trained_once() {
        let axes =
            ["clock_mhz=100,500", "dram.bytes_per_cycle=8,32", "array.rows=16,32", "accumulators.bits=31,32"];
        let plan = plan(&axes, &[1]).unwrap();
        assert_eq!((plan.points.len(), plan.trainings.len()), (16, 2));
        assert_eq!(plan.trainings[0].len(), 8);
    }

    #[test]
    fn a_long_name_is_cut_and_stays_unlike_others() {
        let rate = |eta: &str| vec![format!("recipe.learning_rate=[{}]", eta.repeat(40))];
        let (a, b) = (named(&rate("{ eta = 1 }"), 1), named(&rate("{ eta = 2 }"), 1));
        assert!(a != b && a.len() <= LONGEST && !a.contains('{'), "{a}");
    }

    #[test]
    fn a_point_that_cannot_run_is_refused_before_any_does() {
        for (axis, message) in [
            ("accumulators.bits=65", "65"),
            ("accumulators.bits=0", "0"),
            ("accumulators.forward.bit=8..9", "did you mean `accumulators.forward.bits`?"),
            ("energy=horowitz54", "horowitz45"),
            ("memory.accumulator.kib=1", "no tile fits"),
        ] {
            let settings = ["array.rows=64", axis];
            let error = plan(&settings, &[1]).unwrap_err().to_string();
            assert!(error.contains(message), "{axis}: {error}");
        }
    }
}
