//! What is traced: a network compiled for a machine, or a program as it is; and its execution on data.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::begin::{self, Begin};
use super::load::{self, Choice, Inputs};
use super::progress::Steps;
use super::{Failure, given, stopped};
use crate::data;
use crate::machine::{Fast, State};
use crate::program::{Plan, Program};
use crate::spec::{Machine, Setting};
use crate::train::Run;

/// A program on a machine, and the entry that is traced.
pub(super) struct Target {
    pub(super) plan: Plan,
    /// What errors call it.
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A network that trains.
    Network(Box<Inputs>),
    /// A program of its own.
    Alone { program: Box<Program>, machine: Box<Machine> },
}

impl Target {
    /// Loads, compiles and unrolls.
    pub(super) fn load(choice: &Choice, begin: &Begin) -> Result<Self, Failure> {
        let path = choice.program.clone().unwrap_or_else(|| PathBuf::from("quick.toml"));
        let ends_in = |ending| path.extension().is_some_and(|e| e == ending);
        if ends_in("s") || (ends_in("safetensors") && begin::program(&path)?.training.is_none()) {
            let program = begin::program(&path)?;
            let settings: Result<Vec<Setting>, _> = choice.set.iter().map(|s| Setting::parse(s)).collect();
            let machine = load::machine(choice.machine.as_deref(), &settings.map_err(given)?)?;
            let entry = begin.entry(&program, &path)?;
            let plan = begin::plan(&program, &entry, &machine, &path)?;
            return Ok(Target {
                plan,
                path,
                kind: Kind::Alone { program: program.into(), machine: machine.into() },
            });
        }
        let seed = begin.seed.map(|n| format!("recipe.seed={n}"));
        let inputs = choice.load(&seed.into_iter().collect::<Vec<_>>())?;
        let entry = begin.entry.as_deref().unwrap_or("train");
        let plan = begin::plan(&inputs.program, entry, &inputs.machine, &path)?;
        Ok(Target { plan, path, kind: Kind::Network(inputs.into()) })
    }

    pub(super) fn program(&self) -> &Program {
        match &self.kind {
            Kind::Network(inputs) => &inputs.program,
            Kind::Alone { program, .. } => program,
        }
    }

    pub(super) fn machine(&self) -> &Machine {
        match &self.kind {
            Kind::Network(inputs) => &inputs.machine,
            Kind::Alone { machine, .. } => machine,
        }
    }

    /// Whether it is executed step by step.
    pub(super) fn trains(&self) -> bool {
        matches!(self.kind, Kind::Network(_)) && self.plan.entry == "train"
    }

    /// Shows `look` the machine as the entry finds it on data: of a network before each of the steps `first..=last`, of any other
    /// program once. Ends where `look` says so, and executes no more than its user is to see.
    pub(super) fn look(
        &self,
        begin: &Begin,
        folder: Option<&Path>,
        [first, last]: [u64; 2],
        display: &Steps,
        look: &mut dyn FnMut(u64, &State) -> ControlFlow<()>,
    ) -> Result<(), Failure> {
        let inputs = match &self.kind {
            Kind::Network(inputs) if self.trains() => inputs,
            Kind::Network(_) => {
                let what =
                    "is executed between epochs, not on its own; leave --entry out, or do without data";
                return Err(given(anyhow!("--entry: `{}` {what}", self.plan.entry)));
            }
            Kind::Alone { program, machine } => {
                let _ = look(1, &begin.state(program, &self.plan, machine, &self.path)?);
                return Ok(());
            }
        };
        let dir = folder.or(inputs.recipe.data_path.as_deref());
        let (data, _) = data::read(inputs.recipe.data, dir).map_err(given)?;
        let engine = Box::new(Fast::new());
        let run = Run::new(&inputs.program, &inputs.machine, &inputs.recipe, &data, engine);
        let mut run = run.map_err(stopped)?;
        if last > run.steps().into() {
            return Err(given(anyhow!(
                "--steps: the run has {} steps; ask for less, or more epochs",
                run.steps()
            )));
        }
        for step in 1..=last {
            display.begin(step);
            if step >= first && look(step, run.before().map_err(stopped)?).is_break() {
                break;
            }
            if step < last {
                run.step(&mut []).map_err(stopped)?;
                if run.epoch_is_full() {
                    run.close_epoch().map_err(stopped)?;
                }
            }
        }
        Ok(())
    }
}
