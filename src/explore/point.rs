//! One training of a plan: the run of its first point in that point's folder, and the reports of all points that share its
//! numbers. Owns what a point's folder holds; must not know how many trainings run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::base::Inputs;
use super::{ExploreError, Plan};
use crate::data::DataSet;
use crate::machine::Fast;
use crate::network::applied;
use crate::program::{Program, hex};
use crate::report::{Host, report_elsewhere};
use crate::spec::Setting;
use crate::train::{Checkpoint, Epoch, Run, RunDirectory, TrainError};

/// How a point ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "status", content = "why", rename_all = "lowercase")]
pub enum Status {
    /// All its epochs.
    Done,
    /// Stopped after its first epoch: its test error was above the plan's bound.
    Diverged,
    /// The machine stopped.
    Failed(String),
}

impl Status {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Diverged => "diverged",
            Status::Failed(_) => "failed",
        }
    }
}

/// The last file of a point's folder to be written: its point is finished.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ending {
    /// Digest of what the point was made from.
    inputs: String,
    /// Name of the point that was trained for it, where it is another.
    pub(super) trained_in: Option<String>,
    #[serde(flatten)]
    pub(super) status: Status,
}

/// Who is told how a training goes; several go at once.
pub trait Watch: Sync {
    /// A training begins or goes on, `done` of its `steps` done before.
    fn begins(&self, point: &str, done: u32, steps: u32);
    /// One more step.
    fn step(&self);
    /// A training ended, `left` steps before its last; one that had ended before has no epochs here.
    fn ends(&self, point: &str, status: &Status, epochs: &[Epoch], left: u32);
}

/// The folder of a point.
pub(super) fn folder(dir: &Path, point: &str) -> PathBuf {
    dir.join("points").join(point)
}

/// How a point ended; nothing while it has not.
pub(super) fn ending(dir: &Path, point: &str) -> Option<Ending> {
    let text = std::fs::read_to_string(folder(dir, point).join("ending.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// A point, ready to be trained or priced.
struct Prepared {
    name: String,
    inputs: Inputs,
    program: Program,
    digest: String,
    directory: RunDirectory,
}

impl Prepared {
    fn new(plan: &Plan, index: usize, dir: &Path) -> Result<Self, ExploreError> {
        let point = &plan.points[index];
        let inputs = plan.base.inputs(&point.all_settings()?)?;
        let program = inputs.compile();
        let program = program.map_err(|error| ExploreError::Compile { point: point.name.clone(), error })?;
        let digest = digest(&inputs, plan.stop_above);
        let directory = RunDirectory::at(&folder(dir, &point.name))?;
        Ok(Prepared { name: point.name.clone(), inputs, program, digest, directory })
    }

    fn has_ended(&self, dir: &Path) -> bool {
        ending(dir, &self.name).is_some_and(|e| e.inputs == self.digest) && self.directory.report().exists()
    }

    /// Writes what makes the run again.
    fn keep(&self, data: &Path) -> Result<(), ExploreError> {
        let value = |text: &str| toml::Value::String(text.to_owned());
        let settings = [
            ("machine", value("machine.toml")),
            ("name", value(&self.inputs.network.name)),
            ("data.path", value(&data.display().to_string())),
        ];
        let settings = settings.map(|(key, value)| Setting { key: key.to_owned(), value });
        let source = applied(&self.inputs.source, "program", &settings)?;
        self.directory.write(&self.directory.source(), source.as_bytes())?;
        self.directory.write(&self.directory.machine(), self.inputs.machine.to_toml().as_bytes())?;
        let path = self.directory.program();
        let program = self.program.to_bytes();
        let program =
            program.map_err(|e| ExploreError::Content { path: path.clone(), what: e.to_string() })?;
        Ok(self.directory.write(&path, &program)?)
    }

    fn json(&self, path: &Path, value: &impl serde::Serialize) -> Result<(), ExploreError> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| ExploreError::Content { path: path.to_owned(), what: e.to_string() })?;
        Ok(self.directory.write(path, (text + "\n").as_bytes())?)
    }
}

fn digest(inputs: &Inputs, stop_above: Option<f64>) -> String {
    let mut sha = Sha256::new();
    sha.update(format!(
        "{} {:?} {:?} {stop_above:?}\n",
        env!("CARGO_PKG_VERSION"),
        inputs.network,
        inputs.recipe
    ));
    sha.update(inputs.machine.to_toml());
    hex(sha.finalize())
}

/// Trains a training's first point, from where it was, and writes the folders of all its points; nothing when stopped.
///
/// # Errors
/// When a folder holds another run, or cannot be written.
pub(super) fn train(
    plan: &Plan,
    training: &[usize],
    data: (&DataSet, &Path),
    dir: &Path,
    stop: &AtomicBool,
    watch: &dyn Watch,
) -> Result<Option<Status>, ExploreError> {
    let points: Result<Vec<_>, _> = training.iter().map(|&i| Prepared::new(plan, i, dir)).collect();
    let points = points?;
    let Some(first) = points.first() else { return Ok(None) };
    if let (true, Some(ending)) = (points.iter().all(|p| p.has_ended(dir)), ending(dir, &first.name)) {
        watch.begins(&first.name, 0, 0);
        watch.ends(&first.name, &ending.status, &[], 0);
        return Ok(Some(ending.status));
    }
    let Inputs { machine, recipe, .. } = &first.inputs;
    let mut run = Run::new(&first.program, machine, recipe, data.0, Box::new(Fast::new()))?;
    let failed = |error| ExploreError::Checkpoint { point: first.name.clone(), error };
    let checkpoint = first.directory.checkpoint();
    if checkpoint.exists() {
        run.resume(&Checkpoint::load(&checkpoint).map_err(failed)?).map_err(failed)?;
    } else {
        run.checkpoint().save(&checkpoint).map_err(failed)?;
    }
    first.keep(data.1)?;
    watch.begins(&first.name, run.step_count(), run.steps());
    let (began, before) = (Instant::now(), run.step_count());
    let stops = |run: &Run<'_>| {
        let bound = plan.stop_above.unwrap_or(f64::INFINITY);
        run.epochs().first().is_some_and(|e| e.test_error > bound)
    };
    let status = loop {
        if run.epoch_is_full() {
            match run.close_epoch() {
                Ok(_) => {}
                Err(fault @ TrainError::Fault { .. }) => break Status::Failed(fault.to_string()),
                Err(other) => return Err(other.into()),
            }
            run.checkpoint().save(&checkpoint).map_err(failed)?;
        }
        if stops(&run) {
            break Status::Diverged;
        }
        if run.is_done() {
            break Status::Done;
        }
        if stop.load(Ordering::SeqCst) {
            run.checkpoint().save(&checkpoint).map_err(failed)?;
            return Ok(None);
        }
        match run.step(&mut []) {
            Ok(()) => watch.step(),
            Err(fault @ TrainError::Fault { .. }) => break Status::Failed(fault.to_string()),
            Err(other) => return Err(other.into()),
        }
    };
    let (seconds, steps) = (began.elapsed().as_secs_f64(), run.step_count() - before);
    let host = Host {
        training_seconds: seconds,
        evaluation_seconds: 0.0,
        steps,
        images_per_second: f64::from(steps) * f64::from(recipe.batch) / seconds.max(1e-9),
        threads: rayon::current_num_threads(),
        engine: run.engine_name().to_owned(),
    };
    for point in &points {
        let machine = &point.inputs.machine;
        let mut report = report_elsewhere(&run, &point.program, machine, &machine.energy, host.clone())?;
        report.notes.push("host: training_seconds has the evaluations in it".to_owned());
        let shared = (point.name != first.name).then(|| first.name.clone());
        if let Some(shared) = &shared {
            point.keep(data.1)?;
            report.notes.push(format!(
                "the numbers are those of the run in {shared}: the machines differ in what data cannot see; cycles and energy are this machine's"
            ));
        }
        point.json(&point.directory.report(), &report)?;
        let ending = Ending { inputs: point.digest.clone(), trained_in: shared, status: status.clone() };
        point.json(&point.directory.path().join("ending.json"), &ending)?;
    }
    watch.ends(&first.name, &status, run.epochs(), run.steps() - run.step_count());
    Ok(Some(status))
}
