//! What all points of a plan start from: program, machine and settings, to be laid under a point's own. Owns how the three
//! become a compiled program; must not know of points.

use std::path::{Path, PathBuf};

use super::ExploreError;
use crate::compiler::{CompileError, compile};
use crate::network::{self, Network, Recipe};
use crate::program::Program;
use crate::spec::{Machine, Setting};

/// What all points start from. Everything a plan needs to be carried out elsewhere is in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Text of the program file.
    pub program: String,
    /// How errors name it.
    pub origin: String,
    /// Folder of the program file, from the root on: machine and data are named relative to it.
    pub folder: Option<PathBuf>,
    /// The machine file, in place of the one the program names.
    pub machine: Option<PathBuf>,
    /// Folder of the data, in place of the one the program names.
    pub data: Option<PathBuf>,
    /// Settings, `key=value`, of all points.
    pub settings: Vec<String>,
}

/// What a run's bytes follow from.
#[derive(Debug)]
pub struct Inputs {
    /// The network.
    pub network: Network,
    /// The recipe; its data path is from the root on.
    pub recipe: Recipe,
    /// The machine.
    pub machine: Machine,
    /// The program file with settings applied.
    pub source: String,
}

impl Base {
    /// Program and machine with `more` laid over the settings of all points.
    ///
    /// # Errors
    /// Settings, a program or a machine that cannot be read.
    pub fn inputs(&self, more: &[Setting]) -> Result<Inputs, ExploreError> {
        let own: Result<Vec<Setting>, _> = self.settings.iter().map(|s| Setting::parse(s)).collect();
        let settings = [own?.as_slice(), more].concat();
        let routed = network::route(&settings)?;
        let (network, mut recipe, named) = network::load(&self.program, &self.origin, &routed.program)?;
        let source = network::applied(&self.program, &self.origin, &routed.program)?;
        let beside = |path: &Path| self.folder.as_ref().map_or(path.to_owned(), |folder| folder.join(path));
        recipe.data_path = self.data.clone().or_else(|| recipe.data_path.as_deref().map(beside));
        // What the recipe within the binary names is the default machine.
        let named = named.filter(|_| self.folder.is_some()).map(|name| beside(Path::new(&name)));
        let machine = match self.machine.as_ref().or(named.as_ref()) {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ExploreError::File { path: path.clone(), error })?;
                Machine::from_toml(&text, &path.display().to_string(), &routed.machine)?
            }
            None => Machine::from_toml("", "default machine", &routed.machine)?,
        };
        Ok(Inputs { network, recipe, machine, source })
    }
}

impl Inputs {
    /// Names of the layers, as reports have them.
    pub fn program_layers(&self) -> Vec<String> {
        let layers = self.compile().ok().and_then(|program| program.training);
        layers.map(|training| training.layers).unwrap_or_default()
    }

    /// The compiled program.
    ///
    /// # Errors
    /// When the machine has no place for it.
    pub fn compile(&self) -> Result<Program, CompileError> {
        compile(&self.network, &self.recipe, &self.machine, &self.source)
    }

    /// All that the numbers of a run can follow from. Clock, energy table, gating, DRAM, ports, queues, packing, and, as the
    /// order of joins survives tiling, array shape, lanes and scratchpad sizes are not among it (lanes are where each has a generator of its own).
    pub fn seen_by_data(&self) -> String {
        let Machine { accumulators: a, vector, .. } = &self.machine;
        let network = Network { name: String::new(), ..self.network.clone() };
        // The words of registers in lanes depend on how many there are.
        let source = self.machine.word_source();
        let rules = (a.forward, a.error, a.gradient, &a.layers, a.order);
        format!(
            "{network:?} {:?} {rules:?} {:?} {:?} {source:?}",
            self.recipe, vector.forward_rounding, vector.error_rounding
        )
    }
}
