//! The search for the least accumulators: for each target (a phase, or a phase of one layer) the least width whose test error
//! stays within bounds, then all of them together, widened until they pass. Owns which widths are tried; every trial is a
//! point of a sweep, so a search goes on where it was stopped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Base, ExploreError, Finish, Grid, Plan, Results, Row, Watch, collect, jobs, report_of, sweep};
use crate::report::Report;
use crate::spec::{Phase, Setting};

/// The widths a register may have.
const WIDTHS: std::ops::RangeInclusive<u32> = 4..=64;

/// What is searched, and within which bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What all trials start from.
    pub base: Base,
    /// Name of the search.
    pub name: String,
    /// `wrap` or `saturate`.
    pub overflow: String,
    /// Seeds of every trial.
    pub seeds: Vec<u64>,
    /// Share of the test images that a narrow machine may have wrong beyond the worst seed of the wide one.
    pub tolerance: f64,
    /// Whether each layer has widths of its own.
    pub by_layer: bool,
}

/// A register to be made narrow.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Target {
    /// `forward`, `error` or `gradient`.
    pub phase: String,
    /// The layer whose weights it takes, from 0; all layers if none.
    pub layer: Option<u32>,
    /// Width that would have held every sum of the wide machine.
    pub predicted: u32,
    /// Width that would have held all but 1 in 1000 of them.
    pub predicted_but_1e3: u32,
    /// The least width that passed, alone.
    pub measured: u32,
    /// Its width in the joint machine.
    pub joint: u32,
    /// The trials, by width.
    pub trials: BTreeMap<u32, Trial>,
}

/// Seeds of one machine.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Trial {
    /// Test error, each seed.
    pub test_errors: Vec<f64>,
    /// Whether all of them ended, and the mean of their errors is within the bound.
    pub passed: bool,
    /// Share of the phase's outputs that were wrong: the mean of the seeds.
    pub wrong_share: BTreeMap<String, f64>,
    /// Training energy an image.
    pub energy_per_image_pj: f64,
    /// Area of the logic of array and vector unit.
    pub area_um2: f64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// `wrap` or `saturate`.
    pub overflow: String,
    /// Seeds of every trial.
    pub seeds: Vec<u64>,
    /// The wide machine.
    pub wide: Trial,
    /// Mean test error that a machine may have: the worst seed of the wide one, and the tolerance.
    pub bound: f64,
    /// The registers.
    pub targets: Vec<Target>,
    /// The joint machines tried, by the widths of the targets; the last passed.
    pub joint: Vec<(Vec<u32>, Trial)>,
    /// Settings that make the joint machine.
    pub settings: Vec<String>,
}

/// How trials are carried out.
pub struct Means<'a> {
    /// The search's folder.
    pub dir: &'a Path,
    /// Trainings at once; as many as fit if none.
    pub jobs: Option<usize>,
    /// Set to stop between two steps.
    pub stop: &'a AtomicBool,
}

impl Target {
    fn key(&self, what: &str) -> String {
        let layer = self.layer.map_or(String::new(), |layer| format!(".layer.{layer}"));
        format!("accumulators.{}{layer}.{what}", self.phase)
    }

    fn settings(&self, bits: u32, overflow: &str) -> Vec<String> {
        vec![format!("{}=\"{overflow}\"", self.key("overflow")), format!("{}={bits}", self.key("bits"))]
    }

    /// The width to be tried next; none when the least that passes is known. Widths are taken to be alike: below one that
    /// fails none passes.
    fn next(&self) -> Option<u32> {
        let passed = self.trials.iter().find(|(_, t)| t.passed).map(|(&bits, _)| bits);
        let failed =
            self.trials.iter().rev().find(|(bits, t)| !t.passed && passed.is_none_or(|p| **bits < p));
        let failed = failed.map(|(&bits, _)| bits);
        let next = match (passed, failed) {
            (None, None) => self.predicted_but_1e3,
            (None, Some(failed)) => failed + 1,
            (Some(passed), Some(failed)) => passed - (passed - failed) / 2,
            // Downwards in growing strides: each lower width trains longer, for more of its joins saturate.
            (Some(passed), None) => passed.saturating_sub(u32::try_from(self.trials.len()).unwrap_or(1)),
        };
        let next = next.clamp(*WIDTHS.start(), *WIDTHS.end());
        (!self.trials.contains_key(&next)).then_some(next)
    }

    /// Share of its own outputs that were wrong in a trial of it alone.
    pub fn wrong_share(&self, bits: u32) -> f64 {
        self.trials.get(&bits).and_then(|t| t.wrong_share.get(&self.phase)).copied().unwrap_or(0.0)
    }

    /// What tables call it.
    pub fn name(&self, layers: &[String]) -> String {
        let layer = self.layer.and_then(|l| layers.get(usize::try_from(l).ok()?));
        layer.map_or_else(|| self.phase.clone(), |layer| format!("{} of {layer}", self.phase))
    }
}

/// What the statistics of a wide run predict for every target.
fn targets(wide: &Report, search: &Search) -> Vec<Target> {
    let target = |phase: Phase, layer: Option<u32>| {
        let class = format!("acc_{}", phase.name());
        // An error's sums stand at the layer they are for, its register at the one whose weights it takes.
        let at = layer.map(|l| if phase == Phase::Error { l.checked_sub(1) } else { Some(l) });
        let name = match at {
            None => None,
            Some(at) => Some(wide.layers.get(usize::try_from(at?).ok()?)?.name.clone()),
        };
        let lines = wide.statistics.iter().filter(|s| s.class.name() == class);
        let lines = lines.filter(|s| name.as_ref().is_none_or(|name| *name == s.layer));
        let of = |s: &crate::report::Statistic| {
            if search.overflow == "wrap" { s.sufficient } else { s.sufficient_on_the_way }
        };
        let widths: Vec<_> = lines.filter_map(of).collect();
        Some(Target {
            phase: phase.name().to_owned(),
            layer,
            predicted: widths.iter().map(|w| w.all).max()?,
            predicted_but_1e3: widths.iter().map(|w| w.but_1e3).max()?,
            measured: 0,
            joint: 0,
            trials: BTreeMap::new(),
        })
    };
    let layers = u32::try_from(wide.layers.len()).unwrap_or(0);
    let all = Phase::ALL.into_iter();
    if search.by_layer {
        all.flat_map(|phase| (0..layers).filter_map(move |l| target(phase, Some(l))).collect::<Vec<_>>())
            .collect()
    } else {
        all.filter_map(|phase| target(phase, None)).collect()
    }
}

/// What a search tells of its way.
pub trait Narrate {
    /// A round of trials begins: so many trainings.
    fn round(&self, words: &str, trainings: usize) -> Box<dyn Watch>;
}

/// Errors that decide about trials.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The greatest mean error that passes.
    passes: f64,
    /// The greatest error after the first epoch that is trained on.
    stops: f64,
}

impl Search {
    /// Machines, by their settings, each with every seed.
    fn plan(&self, machines: &[Vec<String>], stops: f64) -> Result<Plan, ExploreError> {
        let grid = |settings: &Vec<String>| {
            let set: Result<Vec<Setting>, _> = settings.iter().map(|s| Setting::parse(s)).collect();
            Ok(Grid { set: set?, axes: Vec::new(), seeds: self.seeds.clone() })
        };
        let grids: Result<Vec<Grid>, ExploreError> = machines.iter().map(grid).collect();
        Plan::new(&self.name, self.base.clone(), Some(stops), &grids?)
    }

    /// Trains machines, each with every seed; their trials in order, nothing when stopped.
    fn trials(
        &self,
        machines: &[Vec<String>],
        Bounds { passes, stops }: Bounds,
        means: &Means<'_>,
        narrate: &dyn Narrate,
        words: &str,
    ) -> Result<Option<(Vec<Trial>, Results)>, ExploreError> {
        let plan = self.plan(machines, stops)?;
        let all: Vec<usize> = (0..plan.trainings.len()).collect();
        let most = means.jobs.map_or_else(|| jobs(&plan), Ok)?;
        let watch = narrate.round(words, all.len());
        if sweep(&plan, &all, means.dir, most.min(all.len()), means.stop, watch.as_ref())? == Finish::Stopped
        {
            return Ok(None);
        }
        drop(watch);
        let results = collect(&plan, means.dir)?;
        let trial =
            |i: usize| trial(&results.points[i * self.seeds.len()..(i + 1) * self.seeds.len()], passes);
        Ok(Some(((0..machines.len()).map(trial).collect(), results)))
    }

    /// Searches: what was found, and a row for each training. Nothing when stopped, and the same call goes on.
    ///
    /// # Errors
    /// What a sweep meets; a wide machine that does not train.
    pub fn run(
        &self,
        means: &Means<'_>,
        narrate: &dyn Narrate,
    ) -> Result<Option<(Found, Results)>, ExploreError> {
        let first = self.trials(
            &[Vec::new()],
            Bounds { passes: f64::INFINITY, stops: f64::INFINITY },
            means,
            narrate,
            "the wide machine",
        )?;
        let Some((wide, results)) = first else { return Ok(None) };
        let (Some(wide), Some(row)) = (wide.into_iter().next(), results.points.first()) else {
            return Ok(None);
        };
        if let Some(row) = results.points.iter().find(|row| row.status != "done") {
            let why = row.why.clone().unwrap_or_else(|| row.status.clone());
            return Err(ExploreError::Plain(format!(
                "the wide machine does not train ({why}); begin with wider accumulators"
            )));
        }
        let report = report_of(means.dir, &row.point)?;
        let bound = wide.test_errors.iter().copied().fold(0.0, f64::max) + self.tolerance;
        // A point that begins no worse than the wide machine did is not stopped.
        let begins = results.points.iter().filter_map(|row| Some(row.epochs.first()?.test_error));
        let stops = begins.fold(0.5, f64::max).max(bound) + self.tolerance;
        let bounds = Bounds { passes: bound, stops };
        let mut targets = targets(&report, self);
        let mut tried = vec![Vec::new()];
        loop {
            let wanted: Vec<(usize, u32)> =
                targets.iter().enumerate().filter_map(|(i, t)| Some((i, t.next()?))).collect();
            if wanted.is_empty() {
                break;
            }
            let machines: Vec<_> =
                wanted.iter().map(|&(i, bits)| targets[i].settings(bits, &self.overflow)).collect();
            let layers: Vec<String> = report.layers.iter().map(|l| l.name.clone()).collect();
            let words = wanted.iter().map(|&(i, bits)| format!("{} {bits}", targets[i].name(&layers)));
            let words = words.collect::<Vec<_>>().join(", ");
            let Some((trials, _)) = self.trials(&machines, bounds, means, narrate, &words)? else {
                return Ok(None);
            };
            tried.extend(machines);
            for ((i, bits), trial) in wanted.into_iter().zip(trials) {
                targets[i].trials.insert(bits, trial);
            }
        }
        for target in &mut targets {
            let passed = target.trials.iter().find(|(_, t)| t.passed).map(|(&bits, _)| bits);
            target.measured = passed.unwrap_or(*WIDTHS.end());
            target.joint = target.measured;
        }
        let mut joint = Vec::new();
        loop {
            let settings: Vec<String> =
                targets.iter().flat_map(|t| t.settings(t.joint, &self.overflow)).collect();
            let widths: Vec<u32> = targets.iter().map(|t| t.joint).collect();
            let words =
                format!("together: {}", widths.iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
            let Some((trials, _)) =
                self.trials(std::slice::from_ref(&settings), bounds, means, narrate, &words)?
            else {
                return Ok(None);
            };
            let Some(trial) = trials.into_iter().next() else { return Ok(None) };
            let passed = trial.passed;
            joint.push((widths, trial));
            tried.push(settings.clone());
            let widest = targets.iter().all(|t| t.joint >= t.predicted.max(t.measured));
            if passed || widest {
                let (name, overflow) = (self.name.clone(), self.overflow.clone());
                let seeds = self.seeds.clone();
                let found = Found { name, overflow, seeds, wide, bound, targets, joint, settings };
                return Ok(Some((found, collect(&self.plan(&tried, stops)?, means.dir)?)));
            }
            // Together they meet other sums than alone: the one most often wrong is given a bit.
            let narrow = targets.iter_mut().filter(|t| t.joint < t.predicted.max(t.measured));
            let share = |t: &Target| t.wrong_share(t.measured) / f64::from(1 + t.joint - t.measured);
            if let Some(worst) = narrow.max_by(|a, b| share(a).total_cmp(&share(b))) {
                worst.joint += 1;
            }
        }
    }
}

fn trial(rows: &[Row], bound: f64) -> Trial {
    #[expect(clippy::cast_precision_loss, reason = "a mean of few")]
    let mean = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).sum::<f64>() / rows.len().max(1) as f64;
    let error = mean(&|row| row.test_error().unwrap_or(1.0));
    let phases = Phase::ALL.map(Phase::name);
    let share = |phase: &str| mean(&|row| row.wrong_share.get(phase).copied().unwrap_or(0.0));
    Trial {
        test_errors: rows.iter().map(|row| row.test_error().unwrap_or(1.0)).collect(),
        passed: rows.iter().all(|row| row.status == "done") && error <= bound,
        wrong_share: phases.into_iter().map(|phase| (phase.to_owned(), share(phase))).collect(),
        energy_per_image_pj: mean(&Row::energy_per_image_pj),
        area_um2: mean(&|row| row.area_um2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widths that are tried where those from `least` on pass.
    fn tried(predicted: u32, least: u32) -> Vec<u32> {
        let mut target = Target {
            phase: "forward".to_owned(),
            layer: None,
            predicted,
            predicted_but_1e3: predicted,
            measured: 0,
            joint: 0,
            trials: BTreeMap::new(),
        };
        let mut tried = Vec::new();
        while let Some(bits) = target.next() {
            tried.push(bits);
            let trial = Trial {
                test_errors: Vec::new(),
                passed: bits >= least,
                wrong_share: BTreeMap::new(),
                energy_per_image_pj: 0.0,
                area_um2: 0.0,
            };
            target.trials.insert(bits, trial);
        }
        tried
    }

    #[test]
    fn the_least_width_and_the_one_below_it_are_both_tried() {
        for predicted in [4, 5, 12, 20, 63] {
            for least in 4..=24 {
                let tried = tried(predicted, least);
                assert!(tried.contains(&least), "from {predicted}, least {least}: {tried:?}");
                assert!(
                    least == 4 || tried.contains(&(least - 1)),
                    "from {predicted}, least {least}: {tried:?}"
                );
            }
        }
        assert_eq!(tried(14, 11), [14, 13, 11, 8, 10]);
        assert_eq!(tried(14, 16), [14, 15, 16]);
    }
}
