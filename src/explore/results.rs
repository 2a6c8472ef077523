//! What a sweep came to: a row a point, as CSV and JSON. Owns the columns; made from the points' folders alone.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ExploreError, Plan, Status, point};
use crate::report::Report;
use crate::train::{Epoch, RunDirectory};

/// Version of `results.json`.
const VERSION: u32 = 2;
/// The phases that have accumulators.
const PHASES: [&str; 3] = ["forward", "error", "gradient"];

/// What became of a plan's points.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Results {
    /// Version of this form.
    pub version: u32,
    /// Name of the plan.
    pub name: String,
    /// Name of the program.
    pub program: String,
    /// Keys that differ between points.
    pub keys: Vec<String>,
    /// A point above this test error after its first epoch was stopped.
    pub stop_above: Option<f64>,
    /// One a point, in the plan's order.
    pub points: Vec<Row>,
}

/// One point's outcome.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Its name.
    pub point: String,
    /// What it sets, by key, as typed.
    pub settings: BTreeMap<String, String>,
    /// Its seed.
    pub seed: u64,
    /// `done`, `diverged`, `failed` or `missing`.
    pub status: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
    /// The point it shares its numbers with, where that one was trained for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trained_in: Option<String>,
    /// Short name of its machine.
    pub machine: String,
    /// Outcome of each epoch.
    pub epochs: Vec<Epoch>,
    /// Share of the outputs of each phase whose register was not the exact sum.
    pub wrong_share: BTreeMap<String, f64>,
    /// Joins of each phase that saturated, to an output.
    pub saturated_joins: BTreeMap<String, f64>,
    /// Cycles of training.
    pub cycles: u64,
    /// Seconds of training at the machine's clock.
    pub seconds: f64,
    /// Energy of training.
    pub energy_pj: f64,
    /// Area of the logic of its array and vector unit; 0 of a point that is missing.
    pub area_um2: f64,
    /// Images trained on.
    pub images: u64,
}

impl Row {
    /// A run as a point of a comparison.
    pub(super) fn of_run(name: &str, report: &Report) -> Row {
        let settings = [("run", name), ("machine", report.machine.as_str())];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut row = Row { status: "done".to_owned(), ..Row::missing(name, settings.into(), report.seed) };
        fill(&mut row, report);
        row
    }

    fn missing(point: &str, settings: BTreeMap<String, String>, seed: u64) -> Row {
        Row {
            point: point.to_owned(),
            settings,
            seed,
            status: "missing".to_owned(),
            why: None,
            trained_in: None,
            machine: String::new(),
            epochs: Vec::new(),
            wrong_share: BTreeMap::new(),
            saturated_joins: BTreeMap::new(),
            cycles: 0,
            seconds: 0.0,
            energy_pj: 0.0,
            area_um2: 0.0,
            images: 0,
        }
    }

    /// Test error of its last epoch.
    pub fn test_error(&self) -> Option<f64> {
        self.epochs.last().map(|e| e.test_error)
    }

    /// Training energy, an image.
    pub fn energy_per_image_pj(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an energy to be read")]
        let images = self.images.max(1) as f64;
        self.energy_pj / images
    }
}

/// Collects the results of a plan from its folder.
///
/// # Errors
/// A report that does not read.
pub fn collect(plan: &Plan, dir: &Path) -> Result<Results, ExploreError> {
    let mut points = Vec::new();
    let mut program = String::new();
    for p in &plan.points {
        let settings = plan.keys.iter().filter_map(|key| Some((key.clone(), p.value(key)?))).collect();
        let mut row = Row::missing(&p.name, settings, p.seed);
        if let Some(ending) = point::ending(dir, &p.name) {
            row.status = ending.status.name().to_owned();
            if let Status::Failed(why) = ending.status {
                row.why = Some(why);
            }
            row.trained_in = ending.trained_in;
            let report = report_of(dir, &p.name)?;
            program.clone_from(&report.program);
            fill(&mut row, &report);
        }
        points.push(row);
    }
    let (name, keys) = (plan.name.clone(), plan.keys.clone());
    Ok(Results { version: VERSION, name, program, keys, stop_above: plan.stop_above, points })
}

/// The report of a point.
///
/// # Errors
/// When it is not there or does not read.
pub fn report_of(dir: &Path, point: &str) -> Result<Report, ExploreError> {
    report(&point::folder(dir, point).join("report.json"))
}

/// The report of the first point whose every register was its exact sum, if there is one.
///
/// # Errors
/// A report that does not read.
pub fn wide_report(results: &Results, dir: &Path) -> Result<Option<Report>, ExploreError> {
    let exact = |row: &&Row| row.status == "done" && row.wrong_share.values().all(|&share| share == 0.0);
    let plain = results.points.iter().filter(exact).min_by_key(|row| row.settings.len());
    plain.map(|row| report_of(dir, &row.point)).transpose()
}

pub(super) fn report(path: &Path) -> Result<Report, ExploreError> {
    let again = "`wagesim train --resume --out` and its folder write it again";
    read(path, crate::report::VERSION, again)
}

/// Reads a file of a known version; `again` says what writes it where it is of another.
fn read<T: serde::de::DeserializeOwned>(path: &Path, known: u32, again: &str) -> Result<T, ExploreError> {
    /// What files of every version have.
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| ExploreError::File { path: path.to_owned(), error })?;
    let content = |what: String| ExploreError::Content { path: path.to_owned(), what };
    let Version { version } = serde_json::from_str(&text).map_err(|e| content(e.to_string()))?;
    if version != known {
        return Err(content(format!("its version is {version}, not {known}; {again}")));
    }
    serde_json::from_str(&text).map_err(|e| content(e.to_string()))
}

fn fill(row: &mut Row, report: &Report) {
    row.machine.clone_from(&report.machine);
    row.epochs.clone_from(&report.epochs);
    (row.cycles, row.seconds) = (report.totals.cycles, report.totals.seconds);
    (row.energy_pj, row.images) = (report.totals.energy_pj, report.totals.images);
    row.area_um2 = report.area.total_um2;
    for phase in PHASES {
        let class = format!("acc_{phase}");
        let of_class = report.statistics.iter().filter(|s| s.class.name() == class);
        let outputs: u64 = of_class.map(|s| s.statistics.elements).sum();
        #[expect(clippy::cast_precision_loss, reason = "shares to be read")]
        let share = |count: u64| if outputs == 0 { 0.0 } else { count as f64 / outputs as f64 };
        let parts = || report.phases.iter().filter(|p| p.phase == phase);
        row.wrong_share.insert(phase.to_owned(), share(parts().map(|p| p.wrong_outputs).sum()));
        row.saturated_joins.insert(phase.to_owned(), share(parts().map(|p| p.saturated_joins).sum()));
    }
}

impl Results {
    /// Reads the file of a sweep's folder.
    ///
    /// # Errors
    /// When there is none, or it is of another version.
    pub fn load(path: &Path) -> Result<Results, ExploreError> {
        read(path, VERSION, "`wagesim sweep --collect --out` and its folder write it again")
    }

    /// Results of these rows.
    pub(super) fn of_rows(name: &str, program: &str, keys: &[&str], points: Vec<Row>) -> Results {
        let keys = keys.iter().map(|&key| key.to_owned()).collect();
        Results {
            version: VERSION,
            name: name.to_owned(),
            program: program.to_owned(),
            keys,
            stop_above: None,
            points,
        }
    }

    /// How many points have this status.
    pub fn count(&self, status: &str) -> usize {
        self.points.iter().filter(|p| p.status == status).count()
    }

    /// Writes `results.csv` and `results.json` into the sweep's folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), ExploreError> {
        let directory = RunDirectory::at(dir)?;
        let path = dir.join("results.json");
        let json = serde_json::to_string_pretty(self)
            .map_err(|e| ExploreError::Content { path: path.clone(), what: e.to_string() })?;
        directory.write(&path, (json + "\n").as_bytes())?;
        let path = dir.join("results.csv");
        let csv = self.csv().map_err(|what| ExploreError::Content { path: path.clone(), what })?;
        Ok(directory.write(&path, &csv)?)
    }

    fn csv(&self) -> Result<Vec<u8>, String> {
        let epochs = self.points.iter().map(|p| p.epochs.len()).max().unwrap_or(0);
        let mut head: Vec<String> = vec!["point".to_owned()];
        head.extend(self.keys.iter().cloned());
        head.extend(["seed", "status", "epochs", "test_error", "loss"].map(str::to_owned));
        head.extend((1..=epochs).map(|n| format!("test_error_{n}")));
        head.extend(PHASES.map(|phase| format!("wrong_share_{phase}")));
        head.extend(PHASES.map(|phase| format!("saturated_joins_{phase}")));
        let of_run = ["cycles", "seconds", "energy_pj", "area_um2", "images"];
        head.extend(of_run.into_iter().chain(["machine", "trained_in", "why"]).map(str::to_owned));
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&head).map_err(|e| e.to_string())?;
        for p in &self.points {
            let last = p.epochs.last();
            let or_nothing = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
            let share = |of: &BTreeMap<String, f64>, phase: &str| or_nothing(of.get(phase).copied());
            let mut row = vec![p.point.clone()];
            row.extend(self.keys.iter().map(|key| p.settings.get(key).cloned().unwrap_or_default()));
            row.extend([p.seed.to_string(), p.status.clone(), p.epochs.len().to_string()]);
            row.extend([or_nothing(p.test_error()), or_nothing(last.map(|e| e.loss))]);
            row.extend((0..epochs).map(|i| or_nothing(p.epochs.get(i).map(|e| e.test_error))));
            row.extend(PHASES.map(|phase| share(&p.wrong_share, phase)));
            row.extend(PHASES.map(|phase| share(&p.saturated_joins, phase)));
            let of_run = [p.cycles.to_string(), p.seconds.to_string(), p.energy_pj.to_string()];
            let of_run = of_run.into_iter().chain([p.area_um2.to_string(), p.images.to_string()]);
            row.extend(of_run.map(|v| if p.machine.is_empty() { String::new() } else { v }));
            row.extend([
                p.machine.clone(),
                p.trained_in.clone().unwrap_or_default(),
                p.why.clone().unwrap_or_default(),
            ]);
            writer.write_record(&row).map_err(|e| e.to_string())?;
        }
        writer.into_inner().map_err(|e| e.to_string())
    }
}
