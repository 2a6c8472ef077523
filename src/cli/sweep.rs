//! `wagesim sweep`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use clap::Args;

use super::load::{Choice, read};
use super::progress::SweepDisplay;
use super::{Failure, failed, given, print, show, stop_on_ctrl_c};
use crate::explore::{self, Axis, Base, ExploreError, Finish, Grid, Plan, Results, Study};
use crate::report::{AREA_NOTE, plain};
use crate::spec::Setting;
use crate::train::RunDirectory;

/// Train many points: any keys of program or machine, each combination, several seeds
///
/// Points run side by side, as many as there are cores and memory for. Each is a run directory of its own, in
/// `DIR/points`; `DIR/results.csv` and `DIR/results.json` have a row a point. The same command again goes on where a
/// sweep was stopped, finished points kept. Points that differ only in what data cannot see (clock, energy, DRAM, ports,
/// queues, array shape, scratchpad sizes) are trained once and priced each for themselves.
#[derive(Debug, Args)]
#[command(after_help = "\
Values are lists and ranges with both ends: 8,12,16 or 10..20 or 8..32:4. Keys joined by `;` change together.

Examples:
  wagesim sweep --vary accumulators.forward.bits=10..16 --vary accumulators.forward.overflow=wrap,saturate --seeds 1,2,3
  wagesim sweep programs/quick.toml --epochs 1 --vary 'wage.bits.G=8,7,6;recipe.learning_rate=8,4,2'
  wagesim sweep programs/studies/accumulators.toml          a study: a file of grids
  wagesim sweep --vary dram.bytes_per_cycle=8..64:8         trained once, priced eight times
  wagesim sweep --out runs/quick-sweep                      go on with a sweep by its folder alone

On many machines (docs/accumulators.md has a script for Slurm):
  wagesim sweep STUDY --out DIR --plan      write the plan and print how many trainings it has
  wagesim sweep --out DIR --point 3         do one of them, from 1
  wagesim sweep --out DIR --collect         write the results, name what is missing

Exit codes: 0 done, 1 a point failed or is missing, 2 what was given is wrong, 130 stopped by Ctrl-C.")]
pub(super) struct Sweep {
    #[command(flatten)]
    choice: Choice,
    /// A key and the values it takes, as in `--vary accumulators.bits=12..16`; each combination is a point
    #[arg(long, value_name = "KEY=VALUES")]
    vary: Vec<String>,
    /// Seeds of each point
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    seeds: Vec<u64>,
    /// Epochs, in place of the recipe's
    #[arg(long)]
    epochs: Option<u32>,
    /// Stop a point whose test error after its first epoch is above this share, and call it diverged
    #[arg(long, value_name = "SHARE")]
    stop_above: Option<f64>,
    /// Folder of the data set's files
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The sweep's folder; `runs/NAME-sweep` if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Trainings at once; as many as cores and memory allow if left out
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Write the plan and do nothing of it
    #[arg(long, conflicts_with_all = ["point", "collect"])]
    plan: bool,
    /// Do one training of the plan, by its number from 1
    #[arg(long, value_name = "N", conflicts_with = "collect")]
    point: Option<usize>,
    /// Write the results of what was done, and say what is missing
    #[arg(long)]
    collect: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// An error of exploring, with the exit code it stands for.
pub(super) fn explored(error: ExploreError) -> Failure {
    if error.is_given() { given(error) } else { failed(error) }
}

impl Choice {
    /// What points start from, and the study where the file is one.
    pub(super) fn base(
        &self,
        data: Option<&Path>,
        epochs: Option<u32>,
    ) -> Result<(Base, Option<Study>), Failure> {
        let from_here = |path: &Path| std::path::absolute(path).map_err(given);
        let data = data.map(from_here).transpose()?;
        let epochs = epochs.map(|n| format!("recipe.epochs={n}"));
        let Some(path) = &self.program else {
            let settings = self.set.iter().cloned().chain(epochs).collect();
            let machine = self.machine.as_deref().map(from_here).transpose()?;
            let base = Base {
                program: super::load::QUICK.to_owned(),
                origin: "quick.toml".to_owned(),
                folder: None,
                machine,
                data,
                settings,
            };
            return Ok((base, None));
        };
        let text = read(path)?;
        let study = Study::is_one(&text).then(|| Study::parse(&text, path)).transpose().map_err(explored)?;
        let program = study.as_ref().map_or(path, |study| &study.program);
        let text = if study.is_some() { read(program)? } else { text };
        let machine = self.machine.as_ref().or(study.as_ref().and_then(|study| study.machine.as_ref()));
        let own = study.as_ref().map(Study::settings).unwrap_or_default();
        let base = Base {
            program: text,
            origin: program.display().to_string(),
            folder: Some(from_here(program.parent().unwrap_or(Path::new("")).join(".").as_path())?),
            machine: machine.map(|machine| from_here(machine)).transpose()?,
            data,
            settings: own.iter().chain(&self.set).cloned().chain(epochs).collect(),
        };
        Ok((base, study))
    }
}

impl Sweep {
    /// The plan, from what was given or from the folder; and the folder.
    fn planned(&self) -> Result<(Plan, PathBuf), Failure> {
        if !self.choice.is_made() && self.vary.is_empty() {
            let Some(dir) = &self.out else {
                let hint =
                    "give --vary KEY=VALUES, a study, or the folder of a sweep to go on with: --out DIR";
                return Err(given(anyhow!("a sweep needs points: {hint}")));
            };
            return Ok((Plan::load(&dir.join(PLAN)).map_err(explored)?, dir.clone()));
        }
        let (base, study) = self.choice.base(self.data.as_deref(), self.epochs)?;
        let seeds = (!self.seeds.is_empty()).then_some(self.seeds.as_slice());
        let mut grids =
            study.as_ref().map(|s| s.grids(seeds)).transpose().map_err(explored)?.unwrap_or_default();
        if !self.vary.is_empty() {
            if study.is_some() {
                return Err(given(anyhow!("a study says itself what varies; give --vary with a program")));
            }
            let axes: Result<_, _> = self.vary.iter().map(|v| Axis::parse(v)).collect();
            let seeds = match seeds {
                Some(seeds) => seeds.to_vec(),
                None => vec![base.inputs(&[]).map_err(explored)?.recipe.seed],
            };
            grids.push(Grid { set: Vec::<Setting>::new(), axes: axes.map_err(given)?, seeds });
        }
        let name = match study.as_ref().and_then(|s| s.name.clone()) {
            Some(name) => name,
            None => base.inputs(&[]).map_err(explored)?.network.name + "-sweep",
        };
        let stop_above = self.stop_above.or(study.as_ref().and_then(|s| s.stop_above));
        let dir = self.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
        let plan = Plan::new(&name, base, stop_above, &grids).map_err(explored)?;
        Ok((plan, dir))
    }

    pub(super) fn run(&self) -> Result<(), Failure> {
        let (plan, dir) = self.planned()?;
        let directory = RunDirectory::at(&dir).map_err(given)?;
        if !self.collect && self.point.is_none() {
            let text = serde_json::to_string_pretty(&plan).map_err(failed)?;
            directory.write(&dir.join(PLAN), (text + "\n").as_bytes()).map_err(given)?;
        }
        let (points, trainings, path) = (plan.points.len(), plan.trainings.len(), dir.display());
        if self.plan {
            return print(&format!(
                "{points} points, {trainings} trainings, in {path}\nwagesim sweep --out {path} --point N    N from 1 to {trainings}\nwagesim sweep --out {path} --collect    when they are done\n"
            ));
        }
        if !self.collect {
            self.train(&plan, &dir)?;
        }
        if self.point.is_some() {
            return Ok(());
        }
        let results = explore::collect(&plan, &dir).map_err(explored)?;
        results.write(&dir).map_err(explored)?;
        let wide = explore::wide_report(&results, &dir).map_err(explored)?;
        explore::pictures(&results, wide.as_ref(), &dir).map_err(failed)?;
        show::write(&explore::page(&results, wide.as_ref()).map_err(failed)?, &dir)?;
        if self.json {
            print(&(serde_json::to_string_pretty(&results).map_err(failed)? + "\n"))?;
        } else {
            print(&format!(
                "\n{}results.csv, results.json, report.html and pictures in {path}\n",
                table(&results)
            ))?;
        }
        let wrong =
            ["failed", "missing"].map(|status| results.points.iter().filter(move |p| p.status == status));
        let [bad_failed, bad_missing] =
            wrong.map(|points| points.map(|p| p.point.as_str()).collect::<Vec<_>>());
        match (bad_failed.len(), bad_missing.len()) {
            (0, 0) => Ok(()),
            (f, m) => {
                let named = [bad_failed, bad_missing].concat();
                let named = named.iter().take(5).copied().collect::<Vec<_>>().join("\n  ");
                Err(failed(anyhow!(
                    "{f} of {points} points failed, {m} are missing; results.csv says why:\n  {named}"
                )))
            }
        }
    }

    /// Trains what is wanted of the plan.
    fn train(&self, plan: &Plan, dir: &Path) -> Result<(), Failure> {
        let all = plan.trainings.len();
        let wanted: Vec<usize> = match self.point {
            None => (0..all).collect(),
            Some(n) if (1..=all).contains(&n) => vec![n - 1],
            Some(n) => return Err(given(anyhow!("--point {n}: the plan has trainings 1 to {all}"))),
        };
        let jobs = match self.jobs {
            Some(jobs) => usize::from(jobs).min(wanted.len()),
            None => explore::jobs(plan).map_err(explored)?.min(wanted.len()),
        };
        let stop = Arc::new(AtomicBool::new(false));
        stop_on_ctrl_c(&stop)?;
        let display = SweepDisplay::new(wanted.len(), self.json);
        let finish = explore::sweep(plan, &wanted, dir, jobs, &stop, &display).map_err(explored)?;
        drop(display);
        if finish == Finish::Stopped {
            eprintln!("stopped; `wagesim sweep --out {}` goes on", dir.display());
            return Err(Failure::Stopped);
        }
        Ok(())
    }
}

/// The plan's file in a sweep's folder.
pub(super) const PLAN: &str = "plan.json";

/// The results in a terminal: seeds of a place side by side.
pub(super) fn table(results: &Results) -> String {
    let (head, rows) = explore::summary(results);
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = plain(&head, explore::naming_columns(results)..);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    table.trim_fmt() + "\n\nnote: " + AREA_NOTE + "\n"
}
