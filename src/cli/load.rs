//! What a command works on: a network compiled for a machine, or a program compiled before.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::{Failure, given};
use crate::compiler::{self, explain};
use crate::machine::{Engine, Extension, Fast, Reference, Stepped};
use crate::network::{self, Network, Recipe};
use crate::program::Program;
use crate::spec::{Machine, Setting};
use crate::train::RunDirectory;

/// What is worked on where nothing is named.
pub(super) const QUICK: &str = include_str!("../../programs/quick.toml");
/// How the name of a compiled program ends.
const COMPILED: &str = "safetensors";
/// Settings that a compiled program takes: only the host reads them.
const HOST_KEYS: [&str; 2] = ["recipe.epochs", "recipe.seed"];

/// Where a program file names the folder of its data.
pub(super) const DATA_PATH: &str = "data.path";

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum EngineName {
    Fast,
    Reference,
    Stepped,
}

/// What executes programs, as every command that does takes it.
#[derive(Debug, Clone, Args)]
pub(super) struct EngineChoice {
    /// What executes the program: `reference` is the plain definition, `stepped` moves every register of the machine a cycle
    /// at a time; both slow, the same bits
    #[arg(long, value_enum, default_value = "fast", value_name = "ENGINE")]
    engine: EngineName,
    /// What the fast engine's kernels are compiled for: portable, avx2, avx512-vnni or amx; the same
    /// bits. What WAGESIM_ISA_EXTENSION names, or the best of this processor, if left out
    #[arg(long, value_name = "NAME", value_parser = Extension::named)]
    isa_extension: Option<Extension>,
}

impl EngineChoice {
    /// Whether instructions are executed side by side, as the machine does, and end out of order.
    pub(super) fn is_stepped(&self) -> bool {
        self.engine == EngineName::Stepped
    }

    /// The engine; where it does not execute in the program's order, one that does.
    pub(super) fn in_order(&self, machine: &Machine) -> Box<dyn Engine> {
        if self.is_stepped() { Box::new(Fast::new()) } else { self.on(machine) }
    }

    /// The engine, for a machine.
    pub(super) fn on(&self, machine: &Machine) -> Box<dyn Engine> {
        match self.engine {
            EngineName::Fast => {
                let extension = self.isa_extension.unwrap_or_else(Extension::chosen);
                Box::new(Fast::with(extension, rayon::current_num_threads()))
            }
            EngineName::Reference => Box::new(Reference::new()),
            EngineName::Stepped => Box::new(Stepped::new(machine.clone())),
        }
    }
}

/// Program, machine and settings, as every command takes them.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Choice {
    /// Network and recipe (TOML) or compiled program (.safetensors); the LeNet's quick recipe if left out
    pub(super) program: Option<PathBuf>,
    /// Machine file (TOML); what the program names, or the default machine, if left out
    #[arg(long, value_name = "FILE")]
    pub(super) machine: Option<PathBuf>,
    /// Any key of program or machine, as in `--set accumulators.forward.bits=16`
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// What a run's bytes follow from.
pub(super) struct Inputs {
    pub(super) network: Network,
    pub(super) recipe: Recipe,
    pub(super) machine: Machine,
    pub(super) program: Program,
    /// How the compiler tiled each product; nothing for a compiled program.
    pub(super) tilings: Vec<compiler::Choice>,
}

impl Choice {
    /// Whether anything was chosen.
    pub(super) fn is_made(&self) -> bool {
        self.program.is_some() || self.machine.is_some() || !self.set.is_empty()
    }

    fn settings(&self, more: &[String]) -> Result<Vec<Setting>, Failure> {
        self.set.iter().chain(more).map(|s| from_here(Setting::parse(s).map_err(given)?)).collect()
    }

    /// Reads and compiles; `more` are settings laid over the others.
    pub(super) fn load(&self, more: &[String]) -> Result<Inputs, Failure> {
        if let Some(path) = self.program.as_deref().filter(|p| p.extension().is_some_and(|e| e == COMPILED)) {
            return self.load_compiled(path, more);
        }
        let routed = network::route(&self.settings(more)?).map_err(given)?;
        let (text, origin) = match &self.program {
            Some(path) => (read(path)?, path.display().to_string()),
            None => (QUICK.to_owned(), "quick.toml".to_owned()),
        };
        // Read from the text as it was written, so that errors show its lines.
        let (network, mut recipe, named) = network::load(&text, &origin, &routed.program).map_err(given)?;
        let text = network::applied(&text, &origin, &routed.program).map_err(given)?;
        let folder = self.program.as_deref().and_then(Path::parent);
        beside(&mut recipe, folder);
        // What the recipe within this binary names is the default machine.
        let named = folder.and_then(|folder| named.map(|name| folder.join(name)));
        let machine = machine(self.machine.clone().or(named).as_deref(), &routed.machine)?;
        let (program, tilings) = explain(&network, &recipe, &machine, &text).map_err(given)?;
        Ok(Inputs { network, recipe, machine, program, tilings })
    }

    fn load_compiled(&self, path: &Path, more: &[String]) -> Result<Inputs, Failure> {
        let origin = path.display().to_string();
        if self.machine.is_some() {
            let hint = "it was compiled for a machine; compile the network again for another";
            return Err(given(anyhow!("{origin}: a compiled program takes no --machine; {hint}")));
        }
        let settings = self.settings(more)?;
        if let Some(other) = settings.iter().find(|s| !HOST_KEYS.contains(&s.key.as_str())) {
            let (key, keys) = (&other.key, HOST_KEYS.join(" and "));
            let message =
                format!("{origin}: a compiled program takes {keys}, not `{key}`; compile the network again");
            return Err(given(anyhow!(message)));
        }
        let program = Program::load(path).map_err(given)?;
        let training = program.training.as_ref();
        let training = training.ok_or_else(|| {
            given(anyhow!("{origin} is no program for training; `wagesim run {origin}` executes it"))
        })?;
        let (mut network, mut recipe, _) =
            network::load(&training.source, &format!("source of {origin}"), &settings).map_err(given)?;
        // A source without a name was named by its file when it was compiled.
        network.name.clone_from(&program.name);
        beside(&mut recipe, path.parent());
        let machine = format!("machine of {origin}");
        let machine = Machine::from_toml(&training.machine, &machine, &[]).map_err(given)?;
        Ok(Inputs { network, recipe, machine, program, tilings: Vec::new() })
    }
}

/// What the run in a directory was begun with, its data's folder among it; `more` are settings of the host's keys.
pub(super) fn kept(directory: &RunDirectory, more: &[String]) -> Result<Inputs, Failure> {
    let begun = Choice { program: Some(directory.program()), ..Choice::default() };
    let mut inputs = begun.load(more)?;
    let source = directory.source();
    let (_, kept, _) = network::load(&read(&source)?, &source.display().to_string(), &[]).map_err(given)?;
    inputs.recipe.data_path = kept.data_path;
    Ok(inputs)
}

/// A folder named on the command line is relative to where the command runs, not to a file.
fn from_here(mut setting: Setting) -> Result<Setting, Failure> {
    if let (DATA_PATH, toml::Value::String(path)) = (setting.key.as_str(), &mut setting.value) {
        *path = std::path::absolute(&*path).map_err(given)?.display().to_string();
    }
    Ok(setting)
}

/// A folder that a program file names is relative to the file.
fn beside(recipe: &mut Recipe, folder: Option<&Path>) {
    if let (Some(path), Some(folder)) = (&mut recipe.data_path, folder) {
        *path = folder.join(&*path);
    }
}

/// A machine file with settings laid over it; the default machine where there is none.
pub(super) fn machine(path: Option<&Path>, settings: &[Setting]) -> Result<Machine, Failure> {
    match path {
        Some(path) => Machine::from_toml(&read(path)?, &path.display().to_string(), settings),
        None => Machine::from_toml("", "default machine", settings),
    }
    .map_err(given)
}

/// A text file.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string()).map_err(Failure::Given)
}
