//! Checkpoints: the kept tensors of the machine and the run's progress, one `.safetensors` file written aside, synced and
//! renamed. The same run gives the same bytes on any host.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::Progress;
use super::directory::replace;
use crate::isa::{Memory, encode};
use crate::machine::State;
use crate::program::{Program, Tensor, hex};

/// Version of the form; a change that old files do not read raises it.
const VERSION: u32 = 3;
/// The one key of the file's metadata.
const KEY: &str = "wagesim";

/// Why a checkpoint cannot be read, written or gone on from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file cannot be written.
    #[error("{path}: {error}; the checkpoint before it is untouched")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what was written.
    #[error("{path}: {what}; put a whole copy of the file there, or begin again with another `--out`")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// How it shows.
        what: String,
    },
    /// The checkpoint is of another run.
    #[error("the checkpoint is of another run: {what}; give the program, machine and seed it was begun with")]
    OtherRun {
        /// What differs.
        what: String,
    },
    /// The checkpoint is of a run on other images.
    #[error(
        "the run was begun with other data (SHA-256 {kept}, these have {found}); give the folder it was begun with: `--data DIR`"
    )]
    OtherData {
        /// Digest of the data it was begun with.
        kept: String,
        /// Digest of the data given now.
        found: String,
    },
}

impl CheckpointError {
    pub(super) fn other_run(what: &str) -> Self {
        CheckpointError::OtherRun { what: what.to_owned() }
    }
}

/// What goes into the metadata.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    /// Digest of the program's code and memory map.
    program: String,
    seed: u64,
    /// Digest of the images and labels.
    data: String,
    progress: Progress,
    /// Digest of all the above and of the tensors.
    digest: String,
}

/// A run as it was between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    header: Header,
    /// The kept tensors, by name.
    tensors: Vec<FileTensor>,
}

/// Digest of what a program does: its code, and where its tensors lie.
fn program_digest(program: &Program) -> String {
    let mut sha = Sha256::new();
    for word in encode(&program.code).unwrap_or_default() {
        sha.update(word.to_le_bytes());
    }
    for t in &program.tensors {
        let (bits, kept) = (t.format.bits(), t.kept);
        sha.update(format!("{} {} {bits} {kept} {:?}\n", t.name, t.address, t.shape));
    }
    hex(sha.finalize())
}

/// Digest of a header, its own digest left out, and of the tensors behind it.
fn digest(header: &Header, tensors: &[FileTensor]) -> String {
    let header = Header { digest: String::new(), ..header.clone() };
    let mut sha = Sha256::new();
    sha.update(serde_json::to_vec(&header).unwrap_or_default());
    for (name, _, _, bytes) in tensors {
        sha.update(format!("{name} {}\n", bytes.len()));
        sha.update(bytes);
    }
    hex(sha.finalize())
}

/// A tensor of the file: name, shape, type and bytes.
type FileTensor = (String, Vec<usize>, Dtype, Vec<u8>);

/// The type a tensor has in the file, and its shape there: whole bytes keep theirs, packed elements become bytes.
fn file_type(tensor: &Tensor) -> (Dtype, Vec<usize>) {
    let length = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let dtype = match tensor.format.bits() {
        8 => Dtype::I8,
        16 => Dtype::I16,
        32 => Dtype::I32,
        64 => Dtype::I64,
        _ => return (Dtype::U8, vec![length(tensor.bytes())]),
    };
    (dtype, tensor.shape.iter().map(|&d| length(d)).collect())
}

fn kept(program: &Program) -> impl Iterator<Item = &Tensor> {
    program.tensors.iter().filter(|t| t.kept)
}

impl Checkpoint {
    pub(super) fn of(program: &Program, seed: u64, data: String, state: &State, progress: Progress) -> Self {
        let dram = state.memory(Memory::Dram);
        let mut tensors: Vec<_> = kept(program)
            .map(|tensor| {
                let (dtype, shape) = file_type(tensor);
                (tensor.name.clone(), shape, dtype, dram[tensor.range()].to_vec())
            })
            .collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let program = program_digest(program);
        let mut header = Header { version: VERSION, program, seed, data, progress, digest: String::new() };
        header.digest = digest(&header, &tensors);
        Checkpoint { header, tensors }
    }

    /// What the run had come to.
    pub fn progress(&self) -> &Progress {
        &self.header.progress
    }

    /// Puts the tensors where they were.
    pub(super) fn restore(
        &self,
        program: &Program,
        seed: u64,
        data: &str,
        state: &mut State,
    ) -> Result<(), CheckpointError> {
        if self.header.program != program_digest(program) {
            return Err(CheckpointError::other_run("its program differs"));
        }
        if self.header.seed != seed {
            let what = format!("its seed is {}, not {seed}", self.header.seed);
            return Err(CheckpointError::OtherRun { what });
        }
        if self.header.data != data {
            let (kept, found) = (self.header.data.clone(), data.to_owned());
            return Err(CheckpointError::OtherData { kept, found });
        }
        self.warm(program, state)
    }

    /// Puts the tensors where a program has them: one of the same network, for any machine.
    pub(super) fn warm(&self, program: &Program, state: &mut State) -> Result<(), CheckpointError> {
        let mut places = Vec::new();
        for tensor in kept(program) {
            let found = self.tensors.iter().find(|(name, ..)| *name == tensor.name);
            let bytes = found.filter(|(_, shape, dtype, _)| (*dtype, shape.clone()) == file_type(tensor));
            let missing = || {
                let (dtype, shape) = file_type(tensor);
                CheckpointError::other_run(&format!("it has no {} of {shape:?} {dtype:?}", tensor.name))
            };
            places.push((tensor.range(), bytes.map(|(_, _, _, bytes)| bytes).ok_or_else(missing)?));
        }
        let dram = state.memory_mut(Memory::Dram);
        places.into_iter().for_each(|(range, bytes)| dram[range].copy_from_slice(bytes));
        Ok(())
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.header.seed
    }

    /// Writes the file: aside, synced, renamed. What was there stays whole until then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let failed = |error| CheckpointError::Write { path: path.to_owned(), error };
        replace(path, &self.bytes().map_err(failed)?).map_err(failed)
    }

    fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let header = serde_json::to_string(&self.header)?;
        let views: Result<Vec<_>, _> = self
            .tensors
            .iter()
            .map(|(name, shape, dtype, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.clone(), view))
            })
            .collect();
        let metadata = [(KEY.to_owned(), header)].into();
        views.and_then(|v| safetensors::serialize(v, Some(metadata))).map_err(std::io::Error::other)
    }

    /// Reads a file and proves it whole.
    ///
    /// # Errors
    /// When it cannot be read or is not what was written.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let read = |error| CheckpointError::Read { path: path.to_owned(), error };
        let bytes = std::fs::read(path).map_err(read)?;
        Self::parse(&bytes).map_err(|what| CheckpointError::Corrupt {
            path: path.to_owned(),
            what: format!("not a whole checkpoint ({what})"),
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Cow<'static, str>> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let header = header.ok_or("it was written by another program")?;
        let version: serde_json::Value = serde_json::from_str(header).map_err(|e| e.to_string())?;
        if version["version"] != VERSION {
            return Err(format!("its version is {}, not {VERSION}", version["version"]).into());
        }
        let header: Header = serde_json::from_str(header).map_err(|e| e.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut tensors: Vec<_> = file
            .iter()
            .map(|(name, v)| (name.to_owned(), v.shape().to_vec(), v.dtype(), v.data().to_vec()))
            .collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        if digest(&header, &tensors) != header.digest {
            return Err("its content differs from its digest".into());
        }
        Ok(Checkpoint { header, tensors })
    }
}
