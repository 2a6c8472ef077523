//! A compiled program as one `.safetensors` file: code words and initial values as tensors, the rest as JSON metadata.
//! The same program gives the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::{Initial, Mark, Probe, Program, Tensor, Training};
use crate::isa::{decode, encode};

/// Version of the form; a change that old files do not read raises it.
const VERSION: u32 = 1;
/// The one key of the file's metadata.
const KEY: &str = "wagesim-program";
/// The tensor of code words; initial values are `initial.NAME`.
const CODE: &str = "code";

/// Why a program file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no program, or a damaged one.
    #[error("{path}: {what}; compile or assemble it again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    name: String,
    dram_bytes: u64,
    entries: BTreeMap<String, usize>,
    tensors: Vec<Tensor>,
    marks: Vec<Mark>,
    probes: Vec<Probe>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    training: Option<Training>,
    /// Digest of all the above and of the tensors.
    digest: String,
}

fn digest(header: &mut Header, blobs: &[(String, Vec<u8>)]) -> String {
    header.digest.clear();
    let mut sha = Sha256::new();
    sha.update(serde_json::to_vec(header).unwrap_or_default());
    for (name, bytes) in blobs {
        sha.update(format!("{name} {}\n", bytes.len()));
        sha.update(bytes);
    }
    hex(sha.finalize())
}

/// A digest as text: two digits a byte.
pub(crate) fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words_of(bytes: &[u8]) -> Vec<u64> {
    bytes.as_chunks::<8>().0.iter().map(|&w| u64::from_le_bytes(w)).collect()
}

impl Program {
    /// The file's bytes.
    ///
    /// # Errors
    /// When an instruction's field does not fit its width, or two tensors with initial values have one name.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let words = encode(&self.code).map_err(|e| e.to_string())?;
        let mut blobs =
            vec![(CODE.to_owned(), words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>())];
        let mut tensors = self.tensors.clone();
        for tensor in &mut tensors {
            if let Initial::Values(values) = &mut tensor.initial {
                let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                blobs.push((format!("initial.{}", tensor.name), bytes));
                values.clear();
            }
        }
        blobs.sort();
        if let Some(pair) = blobs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("tensor `{}` stands twice", pair[0].0));
        }
        let mut header = Header {
            version: VERSION,
            name: self.name.clone(),
            dram_bytes: self.dram_bytes,
            entries: self.entries.clone(),
            tensors,
            marks: self.marks.clone(),
            probes: self.probes.clone(),
            training: self.training.clone(),
            digest: String::new(),
        };
        header.digest = digest(&mut header, &blobs);
        let text = serde_json::to_string(&header).map_err(|e| e.to_string())?;
        let views: Result<Vec<_>, _> = blobs
            .iter()
            .map(|(name, bytes)| {
                let dtype = if name == CODE { Dtype::U64 } else { Dtype::I64 };
                TensorView::new(dtype, vec![bytes.len() / 8], bytes).map(|view| (name.clone(), view))
            })
            .collect();
        let metadata = [(KEY.to_owned(), text)].into();
        views.and_then(|v| safetensors::serialize(v, Some(metadata))).map_err(|e| e.to_string())
    }

    /// The program of a file's bytes.
    ///
    /// # Errors
    /// What is wrong with them: no such file, damaged, words that are no instructions, ranges that do not fit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, String> {
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|e| format!("not a whole file ({e})"))?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY)).ok_or("it holds no program")?;
        let version: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if version["version"] != VERSION {
            return Err(format!("its version is {}, not {VERSION}", version["version"]));
        }
        let mut header: Header = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a whole file ({e})"))?;
        let mut blobs: Vec<(String, Vec<u8>)> =
            file.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
        blobs.sort();
        let written = std::mem::take(&mut header.digest);
        if digest(&mut header, &blobs) != written {
            return Err("its content differs from its digest".to_owned());
        }
        let blobs: BTreeMap<String, Vec<u8>> = blobs.into_iter().collect();
        let code = decode(&words_of(blobs.get(CODE).ok_or("it has no code")?)).map_err(|e| e.to_string())?;
        for tensor in &mut header.tensors {
            if let Initial::Values(values) = &mut tensor.initial {
                let name = format!("initial.{}", tensor.name);
                let bytes = blobs.get(&name).ok_or_else(|| format!("it has no tensor `{name}`"))?;
                *values = words_of(bytes).into_iter().map(u64::cast_signed).collect();
            }
        }
        let program = Program {
            name: header.name,
            code,
            entries: header.entries,
            dram_bytes: header.dram_bytes,
            tensors: header.tensors,
            marks: header.marks,
            probes: header.probes,
            training: header.training,
        };
        program.check().map_err(|e| e.to_string())?;
        Ok(program)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let what = |what| FileError::Content { path: path.to_owned(), what };
        let bytes = self.to_bytes().map_err(what)?;
        std::fs::write(path, bytes).map_err(|error| FileError::Io { path: path.to_owned(), error })
    }

    /// Reads a file and proves it whole.
    ///
    /// # Errors
    /// When it cannot be read or is no program.
    pub fn load(path: &Path) -> Result<Program, FileError> {
        let bytes = std::fs::read(path).map_err(|error| FileError::Io { path: path.to_owned(), error })?;
        Self::from_bytes(&bytes).map_err(|what| FileError::Content { path: path.to_owned(), what })
    }
}
