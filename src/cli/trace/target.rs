//! What is traced: a network compiled for a machine, or a program as it is.

use std::path::PathBuf;

use super::super::begin::{self, Begin};
use super::super::load::{self, Choice, Inputs};
use super::{Failure, given};
use crate::program::{Plan, Program};
use crate::spec::{Machine, Setting};

/// A program on a machine, and the entry that is traced.
pub(super) struct Target {
    pub(super) plan: Plan,
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
                kind: Kind::Alone { program: program.into(), machine: machine.into() },
            });
        }
        let seed = begin.seed.map(|n| format!("recipe.seed={n}"));
        let inputs = choice.load(&seed.into_iter().collect::<Vec<_>>())?;
        let entry = begin.entry.as_deref().unwrap_or("train");
        let plan = begin::plan(&inputs.program, entry, &inputs.machine, &path)?;
        Ok(Target { plan, kind: Kind::Network(inputs.into()) })
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
}
